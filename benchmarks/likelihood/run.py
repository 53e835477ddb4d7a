"""Likelihood on the four polyphonic sets of Boulanger-Lewandowski et al. 2012, beside the published figures.

    python benchmarks/likelihood/run.py DATA OUT [--sets JSB_Chorales ...] [--seeds 3] [--plain] [--memory]

DATA holds NAME.npz with {train,valid[,test]}_frames, uint8 (T, 88) of sounding keys from A0, and _lengths, int32, one
for each piece. What is in OUT already is not trained again. Every choice was made on the validation pieces.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from musicgen_cli import corpus
from musicgen_cli.corpus import Song

MUSICGEN = [sys.executable, "-m", "musicgen_cli"]
GRID = {"JSB_Chorales": 1, "Nottingham": 2, "MuseData": 2, "Piano_midi": 2}  # frames per quarter note
COMMON = "--loss chord --patience 0 --threads 1"
SETTINGS = {
    "JSB_Chorales": "--transpose 0 --epochs 36 --dropout 0.6 --dense-dropout 0.6",
    "Nottingham": "--transpose 0 --epochs 14",
    "MuseData": "--transpose 0 --epochs 7 --dropout 0.4 --dense-dropout 0.4",
    "Piano_midi": "--transpose 5 --epochs 16",
}
# Nats per frame on the test pieces, as published: JSB, Nottingham, MuseData, Piano-midi; what is not given is None.
PUBLISHED = {
    "RNN-NADE (Boulanger-Lewandowski et al. 2012)": (5.56, 2.31, 5.60, 7.05),
    "SRNN, a bound (Fraccaro et al. 2016)": (4.74, 2.94, 6.28, 8.20),
    "DBN-LSTM, an estimate (Vohra et al. 2015)": (3.47, 1.32, 3.91, 4.63),
    "TCN, without the first frame (Bai et al. 2018)": (8.10, 3.07, None, None),
    "LSTM, without the first frame (Bai et al. 2018)": (8.45, 3.29, None, None),
    "R-Transformer (Wang et al. 2019)": (None, 2.37, None, None),
}


def encode(source: Path, out: Path, steps_per_quarter: int) -> list[str]:
    """Write a set as a corpus and its split; returns the sides it has."""
    data = np.load(source)
    sides = [side for side in ("train", "valid", "test") if f"{side}_frames" in data]
    songs, split = [], {"test": []}
    for side in sides:
        frames, ends = data[f"{side}_frames"].astype(bool), np.cumsum(data[f"{side}_lengths"])
        names = [f"{side}-{i + 1}" for i in range(len(ends))]
        songs += [(Song(name), piece) for name, piece in zip(names, np.split(frames, ends[:-1]))]
        split[side] = names
    with open(out.with_suffix(".npy"), "wb") as file:
        corpus.save(corpus.gather(songs, steps_per_quarter), file)
    out.with_suffix(".json").write_text(json.dumps(split))
    return sides


def musicgen(*arguments: str) -> str:
    return subprocess.run([*MUSICGEN, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def train(data: Path, model: Path, settings: str) -> float:
    """CPU seconds of a training, which are kept beside its checkpoint."""
    kept = model.with_suffix(".seconds")
    if not kept.exists():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        split = str(data.with_suffix(".json"))
        musicgen("train", str(data.with_suffix(".npy")), "-q", "-o", str(model), "--split", split, *settings.split())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        kept.write_text(str(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return float(kept.read_text())


def score(models: list[Path], data: Path, side: str) -> list[dict[str, float]]:
    """The rows of `musicgen eval`: the model or the average of several first, then the predictors by rates."""
    files = [*map(str, models), str(data.with_suffix(".npy"))]
    return json.loads(musicgen("eval", *files, "--split", side, "--json", "--threads", "1"))["one_step"]


def row(name: str, found: dict[str, float], seconds: str = "") -> str:
    mean, low, high = (found[f"nats_without_first{end}"] for end in ("", "_low", "_high"))
    return f"| {name} | {mean:.3f} ({low:.2f} to {high:.2f}) | {found['nats_per_step']:.3f} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", choices=GRID, default=list(GRID))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="only without memory")
    parser.add_argument("--memory", action="store_true", help="only with memory")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    ways = {"no memory": "", "memory": " --memory"}
    ways = {name: more for name, more in ways.items() if not (asked.plain and more) and not (asked.memory and not more)}
    for place, name in enumerate(GRID):
        if name not in asked.sets:
            continue
        data = asked.out / name
        sides = encode(asked.data / f"{name}.npz", data, GRID[name])
        trained = {}
        for way, more in ways.items():
            models = [asked.out / f"{name}-{way.replace(' ', '-')}-{seed}.pt" for seed in range(asked.seeds)]
            settings = f"{COMMON} {SETTINGS[name]}{more}"
            seconds = [train(data, model, f"{settings} --seed {seed}") for seed, model in enumerate(models)]
            trained[way] = dict(zip(models, seconds)), settings
        for side in sides[1:]:
            print(f"\n**{name}, {side} pieces**, nats a frame; 95 % intervals by bootstrap over pieces\n")
            print("| model | without the first frame | all frames | CPU seconds |\n|---|---|---|---|")
            rates: list[dict[str, float]] = []
            for way, (models, _) in trained.items():
                found = []
                for seed, (model, took) in enumerate(models.items()):
                    mine, *rates = (entry for entry in score([model], data, side) if "nats_per_step" in entry)
                    found.append(mine["nats_without_first"])
                    print(row(f"{way}, seed {seed}", mine, f"{took:.0f}"), flush=True)
                if len(models) > 1:
                    mean, deviation = np.mean(found), np.std(found, ddof=1)
                    print(f"| {way}, mean of {len(models)} seeds ± sd | {mean:.3f} ± {deviation:.3f} | | |")
                    print(row(f"{way}, probabilities averaged", score(list(models), data, side)[0]), flush=True)
            for entry in rates:
                print(row(entry["name"].replace("bit", "key"), entry))
            for who, figures in PUBLISHED.items():
                if figures[place]:
                    print(f"| published, test pieces: {who} | {figures[place]} | | |")
        for way, (_, settings) in trained.items():
            print(f"\n{way}: `musicgen train {name}.npy --split {name}.json {settings}`")


if __name__ == "__main__":
    main()
