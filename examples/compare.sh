#!/bin/sh
# All four experiments on one folder of MIDI files, and one table.  sh examples/compare.sh SONGS [FOLDER]
# Where SONGS has a split.json, that says who trains and who judges; EPOCHS is 60 unless set.
set -eu
PATH="${VENV:+$VENV/bin:}$PATH"
songs=$(cd "$1" && pwd)
mkdir -p "${2:-compare}"
cd "${2:-compare}"
set -- --epochs "${EPOCHS:-60}" --threads 1
[ ! -f "$songs/split.json" ] || set -- "$@" --split "$songs/split.json"

[ -e rolls.npy ] || musicgen encode "$songs" -o rolls.npy
[ -e words.npy ] || musicgen encode "$songs" --as words -o words.npy
for row in text:words:1 next:rolls:1 seq2seq:rolls:1 poly:rolls:0.3; do
    IFS=: read -r model form drawn <<ROW
$row
ROW
    [ -e "$model.pt" ] || musicgen train "$form.npy" --model "$model" "$@" --log "$model.csv" -o "$model.pt"
    musicgen show "$model.pt" --json > "$model.show.json"
    musicgen eval "$model.pt" "$form.npy" --json > "$model.eval.json"
    musicgen eval "$model.pt" "$form.npy" --temperature "$drawn" --json > "$model.drawn.json"
done

python3 - <<'TABLE'
import json


def read(model, what):
    with open(f"{model}.{what}.json") as file:
        return json.load(file)


def scores(row):
    return f"{row['recall']:6.3f}/{row['precision']:.3f}" if row else " " * 12


def line(name, nats, one, likeliest, drawn, trained=""):
    figure = f"{nats:14.2f}" if nats else " " * 14
    print(f"{name:18}{figure}   {scores(one)}   {scores(likeliest)}   {scores(drawn)}   {trained}")


print("Recall / precision of bits, running free over what comes after the prime, by the likeliest step or drawn")
print("                  nats/quarter   a step ahead   likeliest      drawn          best epoch, seconds")
for model in ("text", "next", "seq2seq", "poly"):
    facts, (ahead, *others) = read(model, "show"), read(model, "eval")["one_step"]
    free, drawn = (next(iter(read(model, what)["free_running"]), None) for what in ("eval", "drawn"))
    trained = f"{facts['best epoch']['epoch']} of {facts['epochs']}, {facts['seconds']:.0f}"
    line(model, ahead["nats_per_quarter"], ahead, free, drawn, trained)
    if model == "text":
        for row in others:
            line(f"  {row['name']}", row.get("nats_per_quarter"), row, None, None)
free = {row["name"]: row for row in read("poly", "eval")["free_running"]}
for row in others:
    line(f"  {row['name']}", None, row, free.get(row["name"]), None)
print("text is judged a word ahead, by the notes and lengths of its words; its rolls hold no note beyond its chord.")
print("next and seq2seq choose one key a step: their nats take that choice for a probability of every key.")
TABLE
