#!/bin/sh
# Bach chorales from a folder of MIDI: a model of whole chords, 32 pieces from nothing, and how they stand beside the
# real ones.  sh examples/chorales.sh SONGS [FOLDER] [more options of `musicgen train`]
# About 12 CPU minutes for 84 training songs. SONGS/split.json, if it is there, says who trains and who judges.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-chorales}"
cd "${2:-chorales}"
shift $(($# > 1 ? 2 : 1))
[ -f "$songs/split.json" ] && set -- --split "$songs/split.json" "$@"

musicgen encode "$songs" -o rolls.npy
musicgen train rolls.npy --loss chord --memory -o model.pt "$@"
musicgen eval model.pt rolls.npy --split valid
musicgen sample model.pt --count 32 --bars 64 --seed 1 -o samples.npy
musicgen decode samples.npy -o samples/
musicgen eval samples.npy --against rolls.npy --copied-from rolls.npy
echo "the music is in $PWD/samples/"
