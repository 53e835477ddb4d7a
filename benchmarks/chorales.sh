#!/bin/sh
# The figures of RESULTS.md: sh benchmarks/chorales.sh FOLDER, a folder of MIDI files and their split.json.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
songs=$(cd "$1" && pwd)
work=${2:-chorales-benchmark}
mkdir -p "$work"
cd "$work"

musicgen encode "$songs" -o rolls.npy
train() { # NAME OPTIONS...
    name=$1
    shift
    [ -e "$name.pt" ] || { time musicgen train rolls.npy --split "$songs/split.json" --threads 1 -o "$name.pt" "$@"; }
    echo "== $name: $*"
    musicgen eval "$name.pt" rolls.npy
    musicgen sample "$name.pt" --count 8 --length 2000 --seed 1 | python3 "$here/endurance.py"
}
train default --model poly --loss focal
for seed in 0 1 2; do
    train "small-$seed" --hidden 128 --learning-rate 4e-3 --epochs 45 --seed "$seed"
done
train bce --hidden 128 --learning-rate 4e-3 --epochs 45 --loss bce
train half --hidden 128 --learning-rate 4e-3 --epochs 45 --teacher-forcing 0.5 --forcing-decay linear
