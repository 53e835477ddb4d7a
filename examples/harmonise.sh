#!/bin/sh
# Other voices under a tune, which stays on top note for note.  sh examples/harmonise.sh MODEL TUNE.mid [OUT.mid]
# MODEL is what `musicgen train --loss chord` made; every run without --seed harmonises anew.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
out=${3:-harmonised.mid}

musicgen sample "${1:?a model}" --melody "${2:?a tune}" | musicgen decode -o "$out"
musicgen show "$out"
echo "the music is in $out"
