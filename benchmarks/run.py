"""Measure all there is and write it into RESULTS.md: `python -m benchmarks.run [SONGS]`, a folder of MIDI files."""

import sys
import tempfile
from pathlib import Path

import torch

from benchmarks import commands, encode, sampling, songs, stages, training, words
from benchmarks.measure import HEAD, machine

RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- written by `make bench` -->\n", "<!-- until here -->\n"
MADE_UP = 48  # songs, where no folder is given


def main(folder: Path | None) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as place:
        if folder is None:
            songs.write(Path(made), MADE_UP)
        where = (folder or Path(made)).resolve()
        count = len(list(where.glob("*.mid")))
        if not count:
            sys.exit(f"{where}: no *.mid in it")
        found = [row for part in (encode, words, training, sampling) for row in part.rows(where)]
        found += commands.rows(where, Path(place))
        profile = "\n".join(stages.table(where, Path(place)))
    missed = sum(row.missed for row in found)
    targets = sum(row.target is not None for row in found)
    unknown = sum(row.target is not None and not row.ratios for row in found)
    said = (
        f"{machine()}; one thread. CPU time, of five rounds in turn; {count} MIDI files"
        f"{'' if folder else ', made up'}. {missed} of {targets} targets missed"
        f"{f', {unknown} not measured' if unknown else ''}.\n\n"
    )
    text = RESULTS.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = "\n".join(row.line for row in found)
    RESULTS.write_text(f"{before}{BEGIN}\n{said}{HEAD}{lines}\n\n{profile}\n\n{END}{after}", "utf-8")
    print(said + HEAD + lines + "\n\n" + profile)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
