#!/bin/sh
# The fourth experiment: many keys at once, by a focal loss.  sh examples/experiment4.sh SONGS [FOLDER]
# The network of the third, whose bits are set each for itself; half of the steps it hears its own choice.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-experiment4}"
cd "${2:-experiment4}"

musicgen encode "$songs" -o rolls.npy
musicgen train rolls.npy --model poly --loss focal --teacher-forcing 0.5 -o model.pt
musicgen sample model.pt --seed 1 | musicgen decode -o out.mid
musicgen sample model.pt --seed 1 --start random | musicgen decode -o random.mid
musicgen eval model.pt rolls.npy
echo "the music is in $PWD/out.mid"
