#!/bin/sh
# The first experiment: music as text.  sh examples/experiment1.sh SONGS [FOLDER]
# A note is a word (C#4), a chord another (0.4.7), all of one length; three LSTMs guess the next word.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-experiment1}"
cd "${2:-experiment1}"

musicgen encode "$songs" --as words --plain -o words.npy
musicgen vocab words.npy --stats
musicgen train words.npy --model text --optimizer rmsprop -o model.pt
musicgen sample model.pt --seed 1 | musicgen decode -o out.mid
musicgen eval model.pt words.npy
echo "the music is in $PWD/out.mid"
