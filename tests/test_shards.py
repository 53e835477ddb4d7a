"""A collection encoded in parts, and by others: the same songs, whoever reads them, and a line for each file."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tunes import ENVIRONMENT, complaint, musicgen, shell, talk, write_songs

CLUSTER = """
import sys
import dask
from distributed import LocalCluster
if __name__ == "__main__":
    dask.config.set({"distributed.worker.memory.spill": False, "distributed.scheduler.allowed-failures": 1})
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, preload=["deadly.py"]) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
DEADLY = """
import os
from pathlib import Path
from musicgen_cli import smf
parse_all = getattr(smf.parse_all, "parse_all", smf.parse_all)  # this may be run twice
def deadly(files):
    data = b"".join(files)
    for word in (b"Tune 5", b"Tune 7"):
        if word in data and Path(word.decode()).exists():
            Path(word.decode()).unlink()
            os.kill(os.getpid(), 9)
        if word in data and Path(f"always {word.decode()}").exists():
            os.kill(os.getpid(), 9)
    return parse_all(files)
deadly.parse_all = parse_all
smf.parse_all = deadly
"""


def lines(path: Path) -> list[dict[str, str | int]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_songs(tmp_path / "in", 7)
    (tmp_path / "in" / "bad.mid").write_bytes(b"no song")
    return tmp_path


@pytest.mark.parametrize("parts", [1, 3, 10])
def test_the_parts_joined_are_the_whole(folder: Path, parts: int) -> None:
    write_songs(folder / "in", 9)  # ten files with the bad one
    (folder / "shards").mkdir()
    for number in range(1, parts + 1):
        some = f"musicgen encode in --packed --shard {number}/{parts} --report {number}.jsonl -o shards/{number}.npy"
        done = shell(some, folder)
        assert done.returncode == 0 or (parts == 10 and b"none of 1 file could be encoded" in done.stderr)
    talk(
        shell("musicgen encode in --packed --report whole.jsonl -o whole.npy && musicgen cat shards -o all.npy", folder)
    )
    assert (folder / "all.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    told = [line for number in range(1, parts + 1) for line in lines(folder / f"{number}.jsonl")]
    assert told == lines(folder / "whole.jsonl")


def test_a_part_does_not_hang_on_the_order_in_which_files_are_named(folder: Path) -> None:
    for name, order in (("a", "find in -name '*.mid' | sort"), ("b", "find in -name '*.mid' | sort -r")):
        talk(shell(f"{order} | musicgen encode --files-from - --shard 2/3 -o {name}.npy", folder))
    talk(shell("musicgen encode in --shard 2/3 -o c.npy", folder))
    talk(shell("mkdir in-2; mv in/tune-01.mid in/tune-02.mid in-2", folder))
    for name, files in (("d", "in in-2"), ("e", "in/* in-2/*")):
        talk(shell(f"musicgen encode {files} --shard 1/3 -o {name}.npy", folder))
    assert (folder / "d.npy").read_bytes() == (folder / "e.npy").read_bytes()
    assert len({(folder / name).read_bytes() for name in ("a.npy", "b.npy", "c.npy")}) == 1


def test_a_part_that_is_none_is_refused(folder: Path) -> None:
    for wrong in ("0/2", "3/2", "2", "1/0", "-1/2", "1/2/3", "a/b", "٣/٤"):
        said = complaint(shell(f"musicgen encode in --shard={wrong} -o x.npy", folder), 2)
        assert said.startswith("Invalid value: --shard is K/N"), wrong
    said = complaint(shell("musicgen encode in --shard 1/9 -o x.npy", folder))
    assert said == "part 1/9 of 8 files is empty: make fewer parts"
    assert not (folder / "x.npy").exists()


def test_the_report_has_a_line_for_each_file_in_the_order_of_the_songs(folder: Path) -> None:
    first = folder / "in" / "tune-01.mid"
    (folder / "in" / "tune-02.mid").write_bytes((folder / "in" / "tune-02.mid").read_bytes()[:-40])
    talk(shell("musicgen encode in --report r -o x.npy", folder))
    told = lines(folder / "r")
    assert [line["file"] for line in told] == sorted(f"in/{path.name}" for path in (folder / "in").iterdir())
    assert [line["verdict"] for line in told] == ["skipped", "encoded", "damaged", *["encoded"] * 5]
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert told[1] == {"file": "in/tune-01.mid", "verdict": "encoded", "sha256": digest, "steps": 96}
    assert told[2].keys() == {"file", "verdict", "cause", "sha256", "steps"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a scheduler with two workers in it, which reading some songs kills."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("cluster")
    write_songs(folder / "in", 9)
    (folder / "cluster.py").write_text(CLUSTER)
    (folder / "deadly.py").write_text(DEADLY)
    settings = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "cluster.py"],
        cwd=folder,
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdin
        assert run.stdout
        yield folder, run.stdout.readline().strip()
        run.stdin.close()


@pytest.mark.slow
def test_workers_of_dask_make_the_same_corpus_though_one_dies(cluster: tuple[Path, str]) -> None:
    folder, address = cluster
    (folder / "Tune 5").touch()
    done = talk(musicgen("encode", "in", "--dask", address, "--packed", "-o", "dask.npy", cwd=folder))
    assert done == ["encoded 9 songs, 864 steps"]
    assert not (folder / "Tune 5").exists()  # it was met
    talk(musicgen("encode", "in", "--packed", "-o", "alone.npy", cwd=folder))
    assert (folder / "dask.npy").read_bytes() == (folder / "alone.npy").read_bytes()


@pytest.mark.slow
def test_what_kills_workers_of_dask_again_and_again_costs_that_file(cluster: tuple[Path, str]) -> None:
    folder, address = cluster
    (folder / "always Tune 7").touch()
    done = talk(musicgen("encode", "in", "--dask", address, "-o", "x.npy", cwd=folder))
    why = "the process that read it died; report it as a bug, with the file"
    assert done == [f"skipped {folder}/in/tune-07.mid: {why}", "encoded 8 songs, 768 steps; 1 file skipped"]


def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_songs(tmp_path / "in", 1)
    said = complaint(musicgen("encode", "in", "--dask", "nonsense://x", "-o", "x.npy", cwd=tmp_path))
    assert said.startswith(("nonsense://x: no dask scheduler", "--dask needs dask: pip install"))
    both = musicgen("encode", "in", "--dask", "tcp://localhost:1", "--jobs", "2", "-o", "x.npy", cwd=tmp_path)
    assert "leave out --jobs" in complaint(both, 2)
