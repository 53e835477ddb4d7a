"""MIDI files from strangers, in numbers: each is read or refused, in time and memory that are bounded."""

import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import mido
import pytest
import symusic

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, smf
from musicgen_cli.errors import MusicgenError
from tests.torture import times
from tests.torture.bombs import BOMBS, allowed
from tests.torture.hostile import VERDICTS
from tests.torture.mutants import mutants, verdict
from tests.tunes import ENVIRONMENT, musicgen, talk

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT.parent / "shared" / "hostile"
MEMORY = 64 << 20


def told(module: str, *arguments: object, timeout: float) -> Any:
    """What a module of this folder prints, run by itself; it must not hang."""
    line = [sys.executable, "-m", f"tests.torture.{module}", *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, timeout=timeout, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("count", [times(2000, 100_000)])
def test_mutants_are_read_or_refused_in_bounded_time_and_memory(count):
    said = told("mutants", count, timeout=60 + count / 50)
    assert sum(said["verdicts"].values()) == count
    assert min(said["verdicts"].values()) > count / 50  # of each kind, or the test tests nothing
    assert said["slow"] == []
    assert said["growth"] < MEMORY


def test_bombs_cost_next_to_nothing():
    assert len(BOMBS) >= 60
    for name, said, seconds, grown in told("bombs", timeout=60):
        data, wanted = BOMBS[name]
        assert re.match(wanted, said), (name, said)
        assert seconds < allowed(data), (name, seconds)
        assert grown < MEMORY, (name, grown)


def test_every_hostile_file_has_a_stated_verdict():
    if not HOSTILE.is_dir():
        pytest.skip("no shared/hostile beside the repository")
    stated = {
        name.strip(): why for why, names in VERDICTS.items() for name in re.split(r"[|\n]", names) if name.strip()
    }
    files = {str(path.relative_to(HOSTILE)): path.read_bytes() for path in HOSTILE.rglob("*") if path.is_file()}
    files.pop("manifest.json")
    assert stated.keys() == files.keys()
    for name, data in files.items():
        assert verdict(data).startswith(stated[name]), (name, verdict(data))

    def reads(reader: Any) -> int:
        """How many of the smaller files give any notes."""
        return sum(reader(data) > 0 for data in files.values() if len(data) < 1 << 17)

    assert reads(by_us) > max(reads(by_symusic), reads(by_mido))


def by_us(data: bytes) -> int:
    try:
        return sum(len(part.notes) for part in smf.parse(data).parts)
    except MusicgenError:
        return 0


def by_symusic(data: bytes) -> int:
    try:
        return symusic.Score.from_midi(data).note_num()
    except Exception:
        return 0


def by_mido(data: bytes) -> int:
    try:
        tracks = mido.MidiFile(file=io.BytesIO(data), clip=True).tracks
        return sum(event.type == "note_on" and event.velocity > 0 for track in tracks for event in track)
    except Exception:
        return 0


@pytest.mark.parametrize("count", [times(500, 10_000)])
def test_a_folder_of_mutants_is_encoded_but_for_the_bad_ones(tmp_path, count):
    (tmp_path / "in").mkdir()
    wanted = Counter()
    for number, data in enumerate(mutants(count, seed=2)):
        (tmp_path / "in" / f"{number:05}.mid").write_bytes(data)
        wanted[fate(data)] += 1
    alone = musicgen("encode", "in", "--report", "report.jsonl", "-o", "one.npy", cwd=tmp_path)
    *lines, last = talk(alone)
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    events = [event for event in report if event["verdict"] != "encoded"]
    assert len(report) - len(events) == wanted["whole"]
    assert lines == [f"{event['verdict']} {event['file']}: {event['cause']}" for event in events]
    assert len({event["file"] for event in events}) == len(events)
    assert Counter(event["verdict"] for event in events) == {kind: wanted[kind] for kind in ("skipped", "damaged")}
    songs = wanted["whole"] + wanted["damaged"]
    assert last.startswith(f"encoded {songs} songs")
    with (tmp_path / "one.npy").open("rb") as file:
        assert len(corpora.load(file)) == songs
    shared = musicgen("encode", "in", "--jobs", "2", "-o", "two.npy", cwd=tmp_path)
    assert talk(shared) == [*lines, last]
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()


def fate(data: bytes) -> str:
    said = verdict(data).partition(":")[0]
    if said == "refused" or not midi.read(data)[0].notes[:, 2].size:
        return "skipped"
    return "damaged" if said == "damaged" else "whole"
