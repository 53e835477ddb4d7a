#!/bin/sh
# From nothing to music: example songs, rolls, a small model, a new piece.  sh examples/demo.sh FOLDER
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
mkdir -p "${1:-demo}"
cd "${1:-demo}"

[ -d songs ] || { musicgen songs bach --limit 120 -o songs.part && mv songs.part songs; }
musicgen encode songs/*.mid -o rolls.npy
musicgen train rolls.npy --loss chord --epochs 12 --dropout 0.3 --dense-dropout 0.3 --minutes 3 --threads 1 -o model.pt
musicgen sample model.pt --bars 32 --seed 1 -o out.npy
musicgen decode out.npy -o out.mid
musicgen decode out.npy -o out.html
musicgen show out.mid
musicgen eval model.pt rolls.npy

cat <<TEXT

The music is in $PWD/out.mid, for any MIDI player, and in out.html, for a browser. A new piece each time:
    musicgen sample model.pt | musicgen decode -o another.html
With your own folder of MIDI files:
    musicgen encode ~/my-midi -o rolls.npy
    musicgen train --minutes 20
    musicgen sample | musicgen decode -o mine.html
TEXT
