#!/bin/sh
# All four experiments on one folder of MIDI files, and one table.  sh examples/compare.sh SONGS [FOLDER]
# Where SONGS has a split.json, that says who trains and who judges; EPOCHS is 60 unless set.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "${1:?a folder of MIDI files}" && pwd)
mkdir -p "${2:-compare}"
cd "${2:-compare}"
set -- --epochs "${EPOCHS:-60}" --threads 1
[ ! -f "$songs/split.json" ] || set -- "$@" --split "$songs/split.json"

[ -e rolls.npy ] || musicgen encode "$songs" -o rolls.npy
[ -e words.npy ] || musicgen encode "$songs" --as words -o words.npy
for model in text next seq2seq poly; do
    [ "$model" = text ] && corpus=words.npy || corpus=rolls.npy
    [ -e "$model.pt" ] || {
        musicgen train "$corpus" --model "$model" "$@" --log "$model.csv" -o "$model-part.pt"
        mv "$model-part.pt" "$model.pt" # what stands there is a training that ended
    }
    musicgen eval "$model.pt" "$corpus" --json > "$model.json"
done

python3 - <<'TABLE'
import json

MODELS = ("text", "next", "seq2seq", "poly")


def scores(row):  # of a table's row, where there is one
    return f"{row['recall']:6.3f}/{row['precision']:.3f}" if row else " " * 12


def line(name, one, likeliest=None, drawn=None, trained=""):
    nats = f"{one['nats_per_quarter']:14.2f}" if "nats_per_quarter" in one else " " * 14
    print(f"{name:24}{nats}   {scores(one)}   {scores(likeliest)}   {scores(drawn)}   {trained}".rstrip())


print(" " * 41 + "recall/precision of bits")
print(" " * 26 + "nats/quarter   a step ahead   free,likeliest free,drawn     best epoch, seconds")
for model in MODELS:
    with open(f"{model}.json") as file:
        facts = json.load(file)
    ahead, *others = facts["one_step"]
    free = {row["name"]: row for row in facts["free_running"]}
    trained = "{best_epoch} of {epochs}, {seconds:.0f}".format(**facts["trained"])
    line(model, ahead, free.get("model"), free.get("model, drawn"), trained)
    if model in (MODELS[0], MODELS[-1]):
        for row in others:
            line(f"  {row['name']}", row, free.pop(row["name"], None))
        for name in list(free)[2:]:
            line(f"  {name}", {}, free[name])
print("text is judged a word ahead, and as the roll of its words, where no note outlasts its chord;")
print("next and seq2seq name one key a step: their nats take it for a probability of every key.")
TABLE
