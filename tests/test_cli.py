"""The commands as a stranger would use them: typed into a shell, in a folder of their own, on real files."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch

from musicgen_cli import corpus as corpora
from musicgen_cli import midi
from musicgen_cli.cli import command_line, run
from musicgen_cli.corpus import Corpus, Song
from musicgen_cli.score import MAX_STEPS, Score, quantise
from tests.midi_bytes import riff
from tests.tunes import (
    ENVIRONMENT,
    PREFIX,
    complaint,
    forked,
    musicgen,
    shell,
    skip_without_bf16,
    talk,
    tune,
    write_song,
    write_songs,
)

SONGS, BARS, STEPS = 12, 17, 272  # long enough for `eval` to run free with its defaults
TINY = "--hidden 8 --dense 8 --layers 1 --epochs 1 --source 16 --target 16"
LINES = (  # of the README, but for the size of the model
    "musicgen encode songs/*.mid -o rolls.npy",
    f"musicgen train --model poly --loss focal {TINY}",
    "musicgen sample | musicgen decode -o out.mid",
    "musicgen eval model.pt rolls.npy",
)
COMMANDS = ("songs", "encode", "cat", "dedupe", "vocab", "train", "sample", "decode", "eval", "show", "plot", "quiz")
BASELINES = ["silence", "copy the last step", "hold the last step", "4 commonest keys"]
OLD = b"what was there before"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first two lines were typed: songs/, rolls.npy and model.pt."""
    folder = tmp_path_factory.mktemp("trained")
    write_songs(folder / "songs", SONGS, bars=BARS)
    for line in LINES[:2]:
        talk(shell(line, folder))
    return folder


@pytest.fixture
def studio(tmp_path: Path, trained: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(trained, tmp_path / "studio")


def load(data: bytes | Path) -> Corpus:
    return corpora.load(io.BytesIO(data if isinstance(data, bytes) else data.read_bytes()))


def names(music: Corpus) -> list[str]:
    return [song.name for song in music.songs]


def facts(path: Path) -> Any:
    """What `show --json` says of a file."""
    return json.loads(musicgen("show", "--json", path.name, cwd=path.parent).stdout)


def wrong(capsys: pytest.CaptureFixture[str], line: str, code: int = 1) -> str:
    """What a command says that is refused, in one line, with no data out; run in this very process."""
    capsys.readouterr()
    assert run(line.split()) == code, line
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), said.err[: len(PREFIX)]) == ("", 1, PREFIX), said
    return said.err.removeprefix(PREFIX).rstrip("\n")


def events(path: Path, kind: str) -> list[Any]:
    return [message for message in mido.MidiFile(path).tracks[0] if message.type == kind]


def checkpoint(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


# -- the command line


def test_the_four_lines_work_as_typed(tmp_path: Path) -> None:
    write_songs(tmp_path / "songs", SONGS, bars=BARS)
    for line in LINES[:2]:
        talk(shell(line, tmp_path, real=True))
    made = shell(LINES[2], tmp_path, real=True)
    assert re.fullmatch(r"made 1 song of 512 steps, --seed \d+ wrote out.mid", " ".join(sorted(talk(made)))), made
    [seed] = re.findall(r"--seed \d+", made.stderr.decode())
    [text] = events(tmp_path / "out.mid", "text")
    assert text.text.startswith(f"musicgen sample model.pt {seed} --length 512 ")
    assert "poly with focal, 1 epochs" in text.text
    scores = shell(LINES[3], tmp_path, real=True)
    assert talk(scores) == []
    table = scores.stdout.decode()
    assert "nats: 1 test song, " in table
    assert "Running free: 128 steps after 128, 1 test song" in table
    assert "\x1b" not in table
    assert {path.name for path in tmp_path.iterdir()} == {"songs", "rolls.npy", "model.pt", "out.mid"}


def test_the_version_is_data(tmp_path: Path) -> None:
    result = musicgen("--version", cwd=tmp_path)
    assert (talk(result), re.fullmatch(rb"musicgen \d+\.\d+\.\d+\n", result.stdout) is not None) == ([], True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_a_line_each(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run([command, "--help"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    examples = lines[next(i for i, line in enumerate(lines) if line.strip() in ("Example:", "Examples:")) + 1 :]
    assert "musicgen " in examples[0]
    assert not any("\\b" in line or "\x1b" in line for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "encode --nonsense",
        "encode",
        "encode song.mid --bits 3",
        "train --model nonsense",
        "decode --tempo fast",
        "sample --length 4 --bars 1 -o x.npy",
        "sample --include-prime -o x.npy",
    ],
)
def test_a_command_line_at_fault_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert wrong(capsys, line, 2)
    assert list(tmp_path.iterdir()) == []


# -- encode


def test_encode_looks_through_folders_for_whatever_is_midi(tmp_path: Path) -> None:
    (tmp_path / "songs" / "deep" / "deeper").mkdir(parents=True)
    for number, name in enumerate(["a.mid", "B.MID", "deep/c.Kar", "deep/deeper/d.midi"], 1):
        write_song(tmp_path / "songs" / name, number)
    wrapped = tmp_path / "songs" / "deep" / "e.rmi"  # such files were passed over in silence
    wrapped.write_bytes(riff(write_song(tmp_path / "e.mid", 5).read_bytes()))
    (tmp_path / "songs" / "deep" / "notes.txt").write_text("no music")
    result = musicgen("encode", "songs", cwd=tmp_path)
    assert talk(result) == ["encoded 5 songs, 480 steps"]
    assert names(load(result.stdout)) == ["B", "a", "c", "d", "e"]  # in the order of the bytes of their paths


def test_encode_takes_names_in_the_order_given_and_from_lists(tmp_path: Path) -> None:
    write_songs(tmp_path, 3)
    (tmp_path / "list").write_text("tune-02.mid\n\ntune-01.mid\n")
    by_file = musicgen("encode", "tune-03.mid", "--files-from", "list", cwd=tmp_path)
    assert names(load(by_file.stdout)) == ["tune-03", "tune-02", "tune-01"]
    by_pipe = musicgen("encode", "--files-from", "-", cwd=tmp_path, given=b"tune-02.mid\0tune-01.mid\0")
    assert names(load(by_pipe.stdout)) == ["tune-02", "tune-01"]
    assert "no" in complaint(musicgen("encode", "--files-from", "-", "-o", "x.npy", cwd=tmp_path))
    assert not (tmp_path / "x.npy").exists()


def test_notes_that_come_to_lie_on_others_are_counted(tmp_path: Path) -> None:  # they were left out without a word
    notes = [[step, step + 1, 60] for step in range(64)] + [[0, 64, 48], [0, 64, 48]]
    (tmp_path / "trill.mid").write_bytes(midi.write(Score(np.array(notes), 16, 64)))
    together = "notes on the key and step of another"
    for options, lost in (("", 1 + 47), ("--steps-per-quarter 16", 1), ("--as words", 1 + 47)):
        said = talk(musicgen("encode", "trill.mid", *options.split(), "-o", "x.npy", cwd=tmp_path))
        assert said[0].split("; ")[1] == f"{lost} {together}"


def test_decode_tells_what_it_replaces(tmp_path: Path) -> None:  # songs keep the names of their files
    write_songs(tmp_path / "songs", 3)
    musicgen("encode", "songs", "-o", "x.npy", cwd=tmp_path)
    lines = [talk(musicgen("decode", "x.npy", "-o", name, cwd=tmp_path)) for name in ("songs", "new")]
    assert lines == [["wrote 3 files in songs, 3 in place of others"], ["wrote 3 files in new"]]


def test_encode_takes_any_name_that_a_file_can_have(tmp_path: Path) -> None:
    given = [b"new\nline.mid", b"-dash.mid", b"caf\xe9.mid", "日本.mid".encode()]
    for number, name in enumerate(given, 1):
        write_song(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), number)
    listed = musicgen("encode", "--files-from", "-", cwd=tmp_path, given=b"\0".join(given))
    typed = musicgen("encode", "--", *given, cwd=tmp_path)
    assert talk(listed) == talk(typed) == ["encoded 4 songs, 384 steps"]
    assert listed.stdout == typed.stdout
    assert names(load(typed.stdout)) == ["new\nline", "-dash", "caf\ufffd", "日本"]


def test_encode_skips_what_is_damaged_and_counts_it(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.mid", 1)
    (tmp_path / "cut.mid").write_bytes(song.read_bytes()[:30])
    (tmp_path / "empty.mid").touch()
    (tmp_path / "jun\nk.mid").write_bytes(b"no music")
    result = musicgen("encode", ".", "-o", "rolls.npy", cwd=tmp_path)
    assert names(load(tmp_path / "rolls.npy")) == ["song"]
    *skipped, last = talk(result)
    assert [line.split(":")[0] for line in skipped] == ["skipped cut.mid", "skipped empty.mid", r"skipped jun\nk.mid"]
    assert last == "encoded 1 song, 96 steps; 3 files skipped"


@pytest.mark.parametrize("line", ["encode bad", "encode good.mid bad --strict", "encode nowhere", "encode void"])
def test_encode_of_nothing_good_leaves_the_old_file(tmp_path: Path, line: str) -> None:
    write_song(tmp_path / "good.mid", 1)
    for folder in ("bad", "void"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bad" / "empty.mid").touch()
    (tmp_path / "rolls.npy").write_bytes(OLD)
    result = musicgen(*line.split(), "-o", "rolls.npy", cwd=tmp_path)
    *skipped, last = result.stderr.decode().splitlines()
    assert result.returncode == 1
    assert last.startswith("musicgen: error: ")
    assert all(line.startswith("skipped ") for line in skipped)
    assert (tmp_path / "rolls.npy").read_bytes() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "good.mid", "rolls.npy", "void"]


def test_encode_reads_a_song_from_stdin(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.mid", 1)
    result = musicgen("encode", "-", cwd=tmp_path, given=song.read_bytes())
    assert names(load(result.stdout)) == ["stdin"]


def test_encode_writes_each_form_of_the_same_music(tmp_path: Path) -> None:
    write_song(tmp_path / "song.mid", 1)
    forms = {form: musicgen("encode", "song.mid", *form.split(), cwd=tmp_path).stdout for form in FORMS}
    shapes = {form: (load(data).music.dtype.name, load(data).music.shape) for form, data in forms.items()}
    assert shapes == FORMS
    two, one, packed, fine = (load(data) for data in forms.values())
    assert np.array_equal(two.roll(0), packed.roll(0))
    assert np.array_equal(two.roll(0).any(2), one.roll(0))
    assert (two.steps_per_quarter, fine.steps_per_quarter) == (4, 12)
    # What is written is what anybody reads with NumPy alone.
    assert np.array_equal(np.load(io.BytesIO(forms[""])), two.music)


FORMS: dict[str, tuple[str, tuple[int, ...]]] = {
    "": ("bool", (96, 88, 2)),
    "--bits 1": ("bool", (96, 88)),
    "--packed": ("uint8", (96, 22)),
    "--steps-per-quarter 12": ("bool", (288, 88, 2)),
}

BAND = ((0, "Piano", 0, 60), (1, "Organ", 19, 64), (9, "Kit", 0, 36))  # channel, name, program, the one pitch it plays


def write_band(path: Path) -> None:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    for channel, name, program, pitch in BAND:
        file.tracks.append(
            mido.MidiTrack(
                [
                    mido.MetaMessage("track_name", name=name),
                    mido.Message("program_change", channel=channel, program=program),
                    mido.Message("note_on", channel=channel, note=pitch, velocity=64),
                    mido.Message("note_off", channel=channel, note=pitch, time=480),
                ]
            )
        )
    file.save(path)


@pytest.mark.parametrize(
    ("options", "pitches", "left_out"),
    [
        ("", {60, 64}, ["1 drum notes left out"]),
        ("--drums", {36, 60, 64}, []),
        ("--track Organ", {64}, ["2 notes of other parts left out"]),
        ("--track 1", {60}, ["2 notes of other parts left out"]),
        ("--program 19", {64}, ["2 notes of other parts left out"]),
    ],
)
def test_encode_keeps_the_parts_asked_for(tmp_path: Path, options: str, pitches: set[int], left_out: list[str]) -> None:
    write_band(tmp_path / "band.mid")
    result = musicgen("encode", "band.mid", *options.split(), cwd=tmp_path)
    assert talk(result) == ["; ".join(["encoded 1 song, 4 steps", *left_out])]
    assert set(load(result.stdout).score(0).notes[:, 2].tolist()) == pitches


# -- decode


def test_decode_gives_back_the_notes_that_were_encoded(studio: Path) -> None:
    assert talk(musicgen("decode", "rolls.npy", "-o", "back", cwd=studio)) == ["wrote 12 files in back"]
    talk(musicgen("encode", "back", "-o", "again.npy", cwd=studio))
    assert (studio / "again.npy").read_bytes() == (studio / "rolls.npy").read_bytes()


def test_decode_notes_what_it_was_told(studio: Path) -> None:
    line = "decode rolls.npy --song tune-03 --tempo 72 --program 19 --velocity 33 -o out.mid"
    assert talk(musicgen(*line.split(), cwd=studio)) == ["wrote out.mid"]
    out = studio / "out.mid"
    assert [event.name for event in events(out, "track_name")] == ["tune-03"]
    assert [round(mido.tempo2bpm(event.tempo), 2) for event in events(out, "set_tempo")] == [72]
    assert [event.program for event in events(out, "program_change")] == [19]
    assert {event.velocity for event in events(out, "note_on")} == {0, 33}
    assert musicgen("decode", "rolls.npy", "--song", 3, cwd=studio).stdout[:4] == b"MThd"


@pytest.mark.parametrize("target", ["-", "out.mid", "songs/tune-01.mid"])
def test_decode_refuses_many_songs_in_one_file(studio: Path, target: str) -> None:
    before = (studio / "rolls.npy").read_bytes()
    assert "12 songs" in complaint(musicgen("decode", "rolls.npy", "-o", target, cwd=studio))
    assert not (studio / "out.mid").exists()
    assert (studio / "rolls.npy").read_bytes() == before


def test_decode_keeps_every_song_inside_its_folder(tmp_path: Path) -> None:
    told = [
        "../../x",
        "a/b",
        "a\\b",
        "A_B",
        "..",
        "",
        "/etc/x",
        ".hidden",
        "-rf",
        "nu\nl\x1b",
        "tune",
        "TUNE",
        "n" * 300,
        "🎵" * 99,
    ]
    music = corpora.gather([(Song(name), np.ones((4, 88, 2), bool)) for name in told])
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "rolls.npy").open("wb") as file:
        corpora.save(music, file)
    result = musicgen("decode", "rolls.npy", "-o", "out", cwd=tmp_path / "in")
    assert talk(result) == [f"wrote {len(told)} files in out"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"rolls.npy", "out"}
    written = [path.name for path in (tmp_path / "in" / "out").iterdir()]
    assert len({name.lower() for name in written}) == len(told)
    assert all(name.isprintable() and name[0] not in ".-" and name.endswith(".mid") for name in written)


# -- train


@pytest.mark.slow
def test_a_training_stopped_three_ways_ends_bit_for_bit_like_one_never_stopped(studio: Path) -> None:
    sides = {"train": 9, "valid": 2, "test": 1}
    order = iter(f"tune-{number:02}" for number in range(1, SONGS + 1))
    dealt = {side: [next(order) for _ in range(count)] for side, count in sides.items()}
    (studio / "split.json").write_text(json.dumps(dealt))
    sizes = "--hidden 32 --dense 8 --layers 1 --epochs 3 --source 16 --target 16 --hop 8 --seed 3"
    sizes += " --loss cross-entropy --split split.json"
    begin = f"musicgen train rolls.npy {sizes}"
    go_on = "musicgen train rolls.npy --resume -o parts.pt"

    talk(shell(f"{begin} -o whole.pt --log whole.csv", studio))
    assert interrupt(f"{begin} -o parts.pt --log parts.csv", "   1", signal.SIGINT, studio, real=True) == 130
    unfinished = checkpoint(studio / "parts.pt")
    assert len(unfinished["history"]) in (1, 2)
    wrong = complaint(shell(f"{go_on} --hidden 7", studio))
    assert wrong.startswith("parts.pt: was begun with --hidden 32, not 7")
    in_time = talk(shell(f"{go_on} --minutes 0.0001", studio))
    assert re.match(r"stopped in epoch \d of 3, best epoch \d .*; saved parts.pt, --resume goes on", in_time[-1])
    assert interrupt(go_on, "epoch", signal.SIGTERM, studio) == 143
    assert checkpoint(studio / "parts.pt")["resume"]["step"] > unfinished["resume"]["step"]
    ended = talk(shell(f"{go_on} --log parts.csv", studio))
    assert ended[-1].startswith("finished: best epoch ")

    whole, parts = checkpoint(studio / "whole.pt"), checkpoint(studio / "parts.pt")
    assert whole["state_dict"].keys() == parts["state_dict"].keys()
    assert all(torch.equal(weights, parts["state_dict"][name]) for name, weights in whole["state_dict"].items())
    assert [without_time(row) for row in whole["history"]] == [without_time(row) for row in parts["history"]]
    assert {side: len(songs) for side, songs in whole["split"].items()} == sides
    logs = [list(csv.DictReader(io.StringIO((studio / f"{name}.csv").read_text()))) for name in ("whole", "parts")]
    assert [without_time(row) for row in logs[0]] == [without_time(row) for row in logs[1]]
    assert [row["epoch"] for row in logs[0]] == ["1", "2", "3"]
    assert list(logs[0][0]) == list(whole["history"][0])
    assert {"train_loss", "valid_loss", "train_recall", "valid_precision", "learning_rate", "seconds"} <= set(
        logs[0][0]
    )


def interrupt(line: str, at: str, number: signal.Signals, folder: Path, real: bool = False) -> int:
    """Run until stderr has a line that begins with `at`, send the signal a moment later: the exit code."""
    settings = ENVIRONMENT if real else forked()
    with subprocess.Popen(line.split(), cwd=folder, env=settings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for said in process.stderr:
            lines.append(said)
            if said.startswith(at):
                time.sleep(0.05)
                process.send_signal(number)
                break
        lines += process.stderr.readlines()
        code = process.wait(60)
    assert "--resume goes on" in lines[-1], lines
    return code


def without_time(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("rolls.npy --target 500", r"rolls\.npy: no training song .* 500 .*--target"),
        ("words.npy --loss focal", r"words\.npy: holds words, and --loss focal does not fit: take cross-entropy"),
        ("rolls.npy --resume -o none.pt", r"none\.pt: no such file"),
        ("rolls.npy --resume", r"model\.pt: its training is finished"),
        ("rolls.npy -o nowhere/model.pt", r".*nowhere: no such folder"),
        ("rolls.npy --log nowhere/log.csv -o new.pt", r".*nowhere: no such folder"),
        ("rolls.npy --split rolls.npy", r"rolls\.npy: is no split"),
    ],
)
def test_train_says_what_is_wrong_before_it_learns(
    studio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: str, says: str
) -> None:
    monkeypatch.chdir(studio)
    np.save(studio / "words.npy", np.array(["C4:2", "E4.G4:1"]))
    before = {path.name: path.read_bytes() for path in studio.glob("*.*")}
    assert re.match(says, wrong(capsys, f"train {TINY} {options}"))
    assert {path.name: path.read_bytes() for path in studio.glob("*.*")} == before


@pytest.mark.parametrize(("option", "most"), [("--source", MAX_STEPS), ("--target", MAX_STEPS), ("--epochs", 10_000)])
def test_a_model_may_be_told_as_much_as_a_checkpoint_may_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, most: int
) -> None:  # one that read or wrote more was trained, and could not be loaded again
    monkeypatch.chdir(tmp_path)
    refused = wrong(capsys, f"train none.npy {option} {most + 1}", 2)
    assert refused.startswith(f"Invalid value for '{option}': {most + 1} is not in the range")
    assert wrong(capsys, f"train none.npy {option} {most}").startswith("none.npy: no such file")


@pytest.mark.parametrize(
    ("options", "way_out"),
    [
        ("rolls.npy", "take fewer songs or fewer --epochs"),
        (
            "words.npy --model text",
            "take fewer words (`vocab --min-count` or `--size`, then --vocab), fewer songs or fewer --epochs",
        ),
    ],
)
def test_what_no_checkpoint_would_hold_after_the_last_epoch_is_said_before_the_first(
    studio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: str, way_out: str
) -> None:  # it was after an epoch, or after 36,000
    monkeypatch.chdir(studio)
    assert run(["encode", "songs", "--as", "words", "-o", "words.npy"]) == 0
    monkeypatch.setattr("musicgen_cli.archive.MAX_VALUES", 3000)
    said = wrong(capsys, f"train {options} --hidden 8 --dense 8 --layers 1 --epochs 100 -o new.pt")
    assert said == f"{options.split()[0]}: the checkpoint holds too many values: it cannot be saved; {way_out}"
    assert not (studio / "new.pt").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
@pytest.mark.parametrize("command", ["train", "sample -o x.npy"])
def test_a_device_that_is_not_there_is_refused(studio: Path, command: str) -> None:
    assert "--device cpu" in complaint(shell(f"musicgen {command} --device cuda", studio))


# -- sample


def test_the_same_seed_gives_the_same_bytes_and_each_song_has_its_own(studio: Path) -> None:
    line = "musicgen sample --bars 2 --temperature 1 {}"
    three, again, other, random = (
        shell(line.format(options), studio)
        for options in ("--count 3 --seed 5", "--count 3 --seed 5", "--seed 6", "--count 3 --seed 5 --start random")
    )
    assert talk(three) == ["made 3 songs of 32 steps, --seed 5"]
    assert three.stdout == again.stdout
    songs = load(three.stdout)
    assert names(songs) == ["sample-1", "sample-2", "sample-3"]
    assert songs.lengths.tolist() == [32, 32, 32]
    assert [re.findall(r"--seed \d|--start \w+", song.text) for song in songs.songs] == [
        [f"--seed {seed}", "--start zeros"] for seed in (5, 6, 7)
    ]
    assert np.array_equal(songs.roll(1), load(other.stdout).roll(0))
    assert not np.array_equal(songs.roll(0), songs.roll(1))
    assert not np.array_equal(songs.music, load(random.stdout).music)


def test_at_temperature_0_no_coin_is_tossed(studio: Path) -> None:
    songs = load(shell("musicgen sample --count 2 --length 20 --temperature 0", studio).stdout)
    assert songs.lengths.tolist() == [20, 20]
    assert np.array_equal(songs.roll(0), songs.roll(1))


def test_a_sample_goes_on_from_a_prime_of_either_kind(studio: Path) -> None:
    after = "--prime-steps 40 --length 8 --include-prime --seed 1"
    by_corpus = load(shell(f"musicgen sample --prime rolls.npy --song tune-02 {after}", studio).stdout)
    by_midi = load(shell(f"musicgen sample --prime - {after} < songs/tune-02.mid", studio).stdout)
    rolls = load(studio / "rolls.npy")
    assert np.array_equal(by_corpus.roll(0), by_midi.roll(0))
    assert np.array_equal(by_corpus.roll(0)[:40], rolls.roll(1)[:40])
    assert by_corpus.lengths.tolist() == [48]
    assert by_corpus.songs[0].tempo == rolls.songs[1].tempo
    first = shell(f"musicgen sample --prime rolls.npy {after}", studio)
    assert talk(first)[0] == "taking song 1 of 12, tune-01; --song chooses another"
    assert np.array_equal(load(first.stdout).roll(0)[:40], rolls.roll(0)[:40])


def test_what_is_no_checkpoint_is_refused_by_name(studio: Path) -> None:
    whole = (studio / "model.pt").read_bytes()
    (studio / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (studio / "empty.pt").touch()
    for name, wrong in {
        "cut.pt": "cut.pt: is no musicgen checkpoint, or a damaged one",
        "empty.pt": "empty.pt: is empty",
        "rolls.npy": "rolls.npy: is no musicgen checkpoint",
    }.items():
        assert complaint(musicgen("sample", name, "-o", "x.npy", cwd=studio)).startswith(wrong)
    assert not (studio / "x.npy").exists()


# -- eval


def test_eval_has_the_model_and_all_baselines_in_both_tables(studio: Path) -> None:
    result = shell("musicgen eval model.pt - --json --split valid < rolls.npy", studio)
    told = json.loads(result.stdout)
    assert talk(result) == []
    assert (told["split"], told["songs"]) == ("valid", 1)
    rates = ["one rate for all bits", "a rate for each bit"]
    for table, own in (("one_step", ["model", *rates]), ("free_running", ["model", "model, drawn"])):
        assert [row["name"] for row in told[table]] == [*own, *BASELINES]
        silence = told[table][len(own)]
        assert silence["recall"] == silence["density"] == 0 < silence["accuracy"] < 1
        assert all(0 <= row[score] <= 1 for row in told[table] for score in ("recall", "precision", "f1"))
    best = checkpoint(studio / "model.pt")["history"][0]
    assert told["one_step"][0]["loss"] == pytest.approx(best["valid_loss"], rel=1e-5)


def test_eval_takes_a_corpus_it_never_saw_and_refuses_what_does_not_fit(studio: Path) -> None:
    write_song(studio / "foreign.mid", 99)
    for options in ("-o foreign.npy", "--steps-per-quarter 12 -o fine.npy"):
        talk(shell(f"musicgen encode foreign.mid {options}", studio))
    result = shell("musicgen eval model.pt foreign.npy", studio)
    assert "nats: 1 test song, " in result.stdout.decode()
    assert talk(result) == ["no song lasts 256 steps: not run free; try a smaller --prime-steps or --length"]
    refused = {
        "fine.npy": "fine.npy: holds rolls at 12 steps per quarter note, the model reads rolls at 4",
        "foreign.npy --split valid": "foreign.npy: no song is on the valid side of model.pt",
    }
    for options, wrong in refused.items():
        assert complaint(shell(f"musicgen eval model.pt {options}", studio)).startswith(wrong)


def test_eval_tells_a_full_disk_from_a_reader_gone(studio: Path) -> None:
    line = "musicgen eval model.pt rolls.npy --prime-steps 16 --length 16"
    assert complaint(shell(f"{line} --json > /dev/full", studio)).startswith("standard output: ")
    gone = shell(f"{line} | exec 0<&-; echo ${{PIPESTATUS[0]}}", studio)
    assert (gone.stdout, gone.stderr) == (b"141\n", b"")


# -- what is there already


@pytest.mark.parametrize(
    "line",
    [
        "encode songs/tune-01.mid -o songs/../songs/tune-01.mid",
        "train rolls.npy -o rolls.npy",
        "train rolls.npy -o new.pt --log rolls.npy",
        "sample model.pt -o model.pt",
        "sample -o other.pt",
        "encode --files-from list -o list",
        "decode copy --song 1 -o copy",
        "train rolls.npy --split split --log split",
        "train rolls.npy -o new.pt --log new.pt",
        "train rolls.npy -o new.npy",
        "sample -o song.mid",
        "encode songs -o song.mid",
        "decode rolls.npy --song 1 -o rolls.npy",
        "decode rolls.npy --song 1 -o song.npy",
    ],
)
def test_no_input_is_written_over_and_no_name_lies(
    studio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.chdir(studio)
    (studio / "list").write_text("songs/tune-01.mid\n")
    (studio / "split").write_text('{"train": ["tune-01", "tune-02"]}')
    (studio / "copy").write_bytes((studio / "rolls.npy").read_bytes())
    before = {file: file.read_bytes() for file in studio.rglob("*") if file.is_file()}
    wrong(capsys, line)
    assert {file: file.read_bytes() for file in studio.rglob("*") if file.is_file()} == before


def test_a_training_without_an_epoch_leaves_the_model_that_was_there(studio: Path) -> None:
    before = (studio / "model.pt").read_bytes()
    said = talk(shell("musicgen train rolls.npy --hidden 8 --batch-size 1 --minutes 0.00001", studio))
    assert said[-1] == "no epoch finished: model.pt is what it was"
    assert (studio / "model.pt").read_bytes() == before


def test_a_silent_song_is_said_to_be_silent(studio: Path) -> None:
    said = talk(shell("musicgen sample --temperature 0 --threshold 0.99 --length 8 -q -o x.npy", studio))
    assert said == ["1 song of 1 silent: lower --threshold, raise --temperature, or train longer"]


def test_quiet_is_an_option_of_all_commands_that_tell_of_work_that_goes_well(studio: Path) -> None:
    """`show` tells on stderr only what is wrong; the others say that all the same."""
    refused = {command for command in COMMANDS if musicgen(command, "-q", "--help", cwd=studio).returncode}
    assert refused == {"show"}
    (studio / "songs" / "broken.mid").write_bytes(b"no MIDI")
    assert len(talk(shell("musicgen encode songs -q -o x.npy", studio))) == 1


def test_bars_are_those_of_the_prime(studio: Path) -> None:
    waltz = replace(tune(1), time_signature=(3, 4))
    (studio / "waltz.mid").write_bytes(midi.write(waltz))
    made = load(shell("musicgen sample --prime waltz.mid --bars 5", studio).stdout)
    assert (made.lengths.tolist(), made.songs[0].time_signature) == ([60], (3, 4))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_sample_says_the_command_that_makes_it_again(studio: Path, precision: str) -> None:
    if precision == "bf16":
        skip_without_bf16()
    options = f"--precision {precision} --threshold 0.4123456789"
    made = load(shell(f"musicgen sample --count 3 --bars 2 --seed 8 {options}", studio).stdout)
    again = load(shell(made.songs[2].text.partition(";")[0], studio).stdout)
    assert np.array_equal(again.roll(0), made.roll(2))


# -- show


def test_show_tells_what_is_in_each_kind_of_file(studio: Path) -> None:
    rolls = facts(studio / "rolls.npy")
    assert (rolls["songs"], rolls["steps"], len(rolls["the songs"])) == (SONGS, SONGS * STEPS, SONGS)
    model = facts(studio / "model.pt")
    assert (model["kind"], model["split"], model["epochs"]) == ("checkpoint", {"train": 10, "valid": 1, "test": 1}, 1)
    song = facts(studio / "songs" / "tune-01.mid")
    notes = len(quantise(tune(1, 0, BARS), 4).notes)
    assert (song["kind"], song["quarter notes"], song["notes"]) == ("MIDI file", STEPS / 4, notes)


def test_show_draws_what_sounds(tmp_path: Path) -> None:
    score = Score(np.array([[0, 2, 60], [2, 4, 60], [1, 4, 64]]), 4, 6)
    (tmp_path / "song.mid").write_bytes(midi.write(score, name="three notes"))
    drawn = musicgen("show", "song.mid", "--ascii", cwd=tmp_path)
    assert talk(drawn) == []
    head, _, picture = drawn.stdout.decode().partition("\n\n")
    assert "three notes" in head
    assert picture.splitlines() == [
        "song, steps 1 to 6 of 6:",
        " E4 .#--..",
        "D#4 ......",
        " D4 ......",
        "C#4 ......",
        " C4 #-#-..",
    ]
    blocks = musicgen("show", "song.mid", cwd=tmp_path).stdout.decode()
    assert "▀" in blocks
    assert "\x1b" not in blocks
    plain = musicgen("show", "song.mid", cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert plain.stdout == drawn.stdout


@pytest.mark.parametrize(("ended", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_a_signal_while_a_class_is_made_is_a_signal(ended, code, monkeypatch):  # of which Python 3.11 makes an error
    def end(app):
        raise RuntimeError("Error calling __set_name__") from ended

    monkeypatch.setattr("typer.main.get_command", end)
    command_line.cache_clear()
    try:
        said = run(["songs"])
    except SystemExit as left:
        said = left.code
    assert said == code


@pytest.mark.parametrize("line", ["train --learning-rate nan", "train --minutes inf", "sample --temperature nan"])
def test_what_is_no_number_is_refused(line: str, tmp_path: Path) -> None:  # it was trained, and not saved
    said = complaint(musicgen(*line.split(), cwd=tmp_path), 2)
    assert said == f"{line.split()[1]} has to be a finite number; see `musicgen {line.split()[0]} --help`"
