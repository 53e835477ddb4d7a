"""Does music made from nothing go on, or does it die or freeze?

Reads a corpus on stdin; prints for each song the density of its four quarters, how often the same bar stands in a row
at most, and how many notes begin at a step.
"""

import io
import itertools
import sys

import numpy as np

from musicgen_cli import corpus
from musicgen_cli.roll import struck
from musicgen_cli.score import steps_per_bar

music = corpus.load(io.BytesIO(sys.stdin.buffer.read()))
print("density of each quarter        same bar in a row   onsets a step")
for i, song in enumerate(music.songs):
    roll = music.roll(i)
    quarters = "  ".join(f"{quarter.mean():.4f}" for quarter in np.array_split(roll, 4))
    bar = steps_per_bar(song.time_signature, music.steps_per_quarter)
    bars = [roll[begin : begin + bar].tobytes() for begin in range(0, len(roll) - bar + 1, bar)]
    longest = run = 1
    for before, after in itertools.pairwise(bars):
        run = run + 1 if before == after else 1
        longest = max(longest, run)
    print(f"{quarters} {longest:19} {struck(roll).sum() / len(roll):15.2f}")
