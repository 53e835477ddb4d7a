#!/bin/sh
# The third experiment: sequence to sequence.  sh examples/experiment3.sh SONGS [FOLDER]
# One pair of LSTMs reads a passage, another writes the next, one key a step, always told the true steps so far.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-experiment3}"
cd "${2:-experiment3}"

musicgen encode "$songs" -o rolls.npy
musicgen train rolls.npy --model seq2seq -o model.pt
musicgen sample model.pt --seed 1 | musicgen decode -o out.mid
musicgen eval model.pt rolls.npy
echo "the music is in $PWD/out.mid"
