#!/bin/sh
# The second experiment: from text to piano rolls, sequence to one.  sh examples/experiment2.sh SONGS [FOLDER]
# Two LSTMs read 100 steps and name one key of the next; without --source and --target each step of a window teaches.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-experiment2}"
cd "${2:-experiment2}"

musicgen encode "$songs" -o rolls.npy
musicgen train rolls.npy --model next --source 100 --target 1 --hop 8 -o model.pt
musicgen sample model.pt --seed 1 | musicgen decode -o out.mid
musicgen eval model.pt rolls.npy
echo "the music is in $PWD/out.mid"
