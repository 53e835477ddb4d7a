"""Words from end to end, with what is rare, wrong or refused on the way; see test_cli_words for the common way.

What has to be a process of its own is one; the rest calls `run`, which is all that the command does.
"""

import io
import json
import re
import shutil
import signal
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, words
from musicgen_cli.cli import run
from musicgen_cli.corpus import Corpus
from musicgen_cli.losses import LOSSES
from musicgen_cli.models import MODELS
from musicgen_cli.vocabulary import SPECIALS
from tests.test_cli import interrupt, without_time, wrong
from tests.tunes import shell, talk, tune, write_song, write_songs

SONGS, BARS, STEPS = 10, 6, 96
TINY = "--hidden 8 --dense 8 --layers 1 --epochs 1 --source 16 --target 16 --transpose 0 --threads 1"
FORMS = {"words": "--as words", "plain": "--as words --plain", "rolls": "", "sounding": "--bits 1"}
TRAINED = {  # how each model of the fixture is taught; rare.npy knows so few words that most are unknown
    "text": "words.npy --model text",
    "next": "rolls.npy --model next",
    "seq2seq": "words.npy --model seq2seq --vocab rare.npy",
    "plain": "plain.npy --model poly",
}


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs/, a corpus in each form, rare.npy, and the models of TRAINED."""
    folder = tmp_path_factory.mktemp("words")
    write_songs(folder / "songs", SONGS, bars=BARS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, options in FORMS.items():
            did(f"encode songs {options} -o {name}.npy -q")
        did("vocab words.npy --min-count 4 -o rare.npy -q")
        for name, options in TRAINED.items():
            did(f"train {options} {TINY} -o {name}.pt -q")
    return folder


@pytest.fixture
def desk(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, to work in."""
    folder = shutil.copytree(taught, tmp_path / "desk")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def here(taught: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder itself, for commands that write nothing there."""
    monkeypatch.chdir(taught)
    return taught


def did(line: str) -> None:
    assert run(line.split()) == 0, line


def told(capsys: pytest.CaptureFixture[str], line: str) -> Any:
    """What a command says in JSON."""
    capsys.readouterr()
    did(line)
    return json.loads(capsys.readouterr().out)


def load(data: bytes | Path) -> Corpus:
    return corpora.load(io.BytesIO(data if isinstance(data, bytes) else data.read_bytes()))


def sampled(model: str, options: str, folder: Path) -> Corpus:
    did(f"sample {model} {options} --threads 1 -q -o {folder / 'made.npy'}")
    return load(folder / "made.npy")


def known(path: Path) -> list[str]:
    listed: list[str] = torch.load(path, weights_only=True)["words"]
    return listed


def same(one: Corpus, other: Corpus) -> bool:
    return len(one) == len(other) and all(np.array_equal(one[i], other[i]) for i in range(len(one)))


# -- pipes


def test_from_midi_to_new_midi_by_words_in_pipes_alone(taught: Path, tmp_path: Path) -> None:
    script = f"""
        musicgen encode {taught}/songs --as words | tee words.npy | musicgen vocab - --size 50 -o vocab.npy
        cat vocab.npy | musicgen train words.npy --model text --vocab - {TINY} -o text.pt
        cat text.pt | musicgen sample - --bars 2 --seed 3 | tee made.npy | musicgen decode | tee made.mid |
            musicgen encode - --as words -o again.npy
    """
    talk(shell(f"set -e; {script}", tmp_path))
    assert (tmp_path / "made.mid").read_bytes().startswith(b"MThd")
    made, again = load(tmp_path / "made.npy"), load(tmp_path / "again.npy")
    assert words.decode(made[0], 4) == words.decode(again[0], 4)
    assert made.songs[0].tempo == pytest.approx(again.songs[0].tempo, rel=1e-5)
    assert known(tmp_path / "text.pt") == np.load(tmp_path / "vocab.npy").tolist()
    assert len(known(tmp_path / "text.pt")) == 52


@pytest.mark.parametrize(("form", "song"), list(zip(FORMS, (1, 4, 5, 8))))
def test_a_song_goes_to_midi_and_back_the_same(taught: Path, tmp_path: Path, form: str, song: int) -> None:
    encode = f"musicgen encode - {FORMS[form]}"
    line = f"{encode} < {taught}/songs/tune-{song:02}.mid | tee one.npy | musicgen decode | {encode}"
    back = shell(line, tmp_path)
    talk(back)
    assert same(load(tmp_path / "one.npy"), load(back.stdout))
    assert np.array_equal(load(back.stdout)[0], load(taught / f"{form}.npy")[song - 1])


@pytest.mark.parametrize("line", ["vocab words.npy", "vocab words.npy --stats", "plot words.npy", "show rare.npy"])
def test_a_reader_gone_is_no_error(taught: Path, line: str) -> None:
    gone = shell(f"musicgen {line} -q | exec 0<&-; echo ${{PIPESTATUS[0]}}".replace("rare.npy -q", "rare.npy"), taught)
    assert (gone.stdout, gone.stderr) == (b"141\n", b"")


# -- vocab


@pytest.mark.parametrize(("options", "least", "most"), [("", 1, None), ("--min-count 3", 3, None), ("--size 7", 1, 7)])
@pytest.mark.parametrize("files", ["words.npy", "words.npy more.npy"])
def test_a_vocabulary_agrees_with_counting_by_hand(
    desk: Path, capsys: pytest.CaptureFixture[str], options: str, least: int, most: int | None, files: str
) -> None:
    np.save("more.npy", np.array(["R:1", "R:1", "R:1", "A0:1"]))
    met = Counter(word for name in files.split() for word in np.load(name).tolist())
    kept = [(word, met[word]) for word in sorted(met, key=lambda word: (-met[word], word)) if met[word] >= least][:most]
    did(f"vocab {files} {options} -o vocab.npy")
    covered = sum(number for _, number in kept)
    with open("vocab.npy", "rb") as file:
        listed, counts = np.load(file), np.load(file)
        assert not file.read()
    assert listed.tolist() == [*SPECIALS, *(word for word, _ in kept)]
    assert counts.tolist() == [0, met.total() - covered, *(number for _, number in kept)]
    before = set(desk.iterdir())
    facts = told(capsys, f"vocab {files} {options} --json")
    assert set(desk.iterdir()) == before
    assert (facts["words"], facts["met"]) == (len(kept), met.total())
    assert facts["met once"] == sum(number == 1 for _, number in kept)
    assert facts["coverage"] == pytest.approx(covered / met.total())
    share = np.array([number for number in (met.total() - covered, *(number for _, number in kept)) if number])
    assert np.log(facts["unigram perplexity"]) == pytest.approx(-(share / share.sum() @ np.log(share / share.sum())))


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("vocab - -", 2, "standard input can be read once only"),
        ("vocab words.npy --size 0", 2, "--size"),
        ("vocab words.npy --min-count 0", 2, "--min-count"),
        ("vocab words.npy -o words.npy", 1, "words.npy: is read by this very command"),
        ("vocab words.npy -o vocab.pt", 1, "vocab.pt: the name of another kind of file"),
        ("vocab none.npy", 1, "none.npy: no such file"),
        ("vocab text.pt", 1, "text.pt: is no .npy file"),
        ("vocab sounding.npy", 1, "sounding.npy: holds sounding keys, not words"),
        ("vocab plain.npy words.npy", 1, "words.npy: holds words at 4 steps per quarter note, plain.npy plain"),
        ("train words.npy --model text --vocab none.npy", 1, "none.npy: no such file; `musicgen vocab words.npy "),
        ("train words.npy --model text --vocab rolls.npy", 1, "rolls.npy: is no vocabulary"),
        ("train words.npy --model text --vocab cut.npy", 1, "cut.npy: is "),
        ("train words.npy --model text --vocab bare.npy", 1, "bare.npy: is a damaged vocabulary"),
        ("train words.npy --model text --vocab rare.npy --resume", 2, "--resume keeps"),
    ],
)
def test_what_is_no_vocabulary_or_no_corpus_of_words_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str], line: str, code: int, says: str
) -> None:
    Path("cut.npy").write_bytes(Path("rare.npy").read_bytes()[:-9])
    np.save("bare.npy", np.array([*SPECIALS, "C4:1"]))
    before = {file: file.read_bytes() for file in desk.glob("*.*")}
    output = "" if " -o " in line or line.startswith("train") else " -o new.npy"
    assert says in wrong(capsys, line + output, code)
    assert {file: file.read_bytes() for file in desk.glob("*.*")} == before


# -- train


@pytest.mark.parametrize("form", ["rolls", "sounding", "words", "plain"])
@pytest.mark.parametrize("model", MODELS)
def test_each_model_takes_what_fits_it_and_names_what_would(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, form: str
) -> None:
    kind, held = ("words", "words") if form in ("words", "plain") else ("roll", "roll")
    held = {"sounding": "sounding keys", "plain": "plain words"}.get(form, form)
    for loss in {name for by_name in LOSSES.values() for name in by_name}:
        line = f"train {form}.npy --model {model} --loss {loss} {TINY} --minutes 0.00001 -o {tmp_path}/{loss}.pt"
        if kind not in MODELS[model].loss:
            others = " or ".join(f"--model {name}" for name in MODELS if kind in MODELS[name].loss)
            way = f"encode it with --as words, or take {others}"
            assert wrong(capsys, line) == f"{form}.npy: holds {held}, and --model {model} reads words: {way}"
        elif loss not in LOSSES[kind]:
            fit = " or ".join(LOSSES[kind])
            assert wrong(capsys, line) == f"{form}.npy: holds {held}, and --loss {loss} does not fit: take {fit}"
        else:
            did(line)
            made = torch.load(tmp_path / f"{loss}.pt", weights_only=True)
            assert (made["model"], made["loss"], made["form"]) == (model, loss, held)


@pytest.mark.parametrize("furthest", [0, 4])
def test_words_without_an_id_are_counted_at_training_and_at_priming(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], furthest: int
) -> None:
    capsys.readouterr()
    did(f"train words.npy --model text --vocab rare.npy {TINY} --transpose {furthest} -o {tmp_path}/new.pt")
    said = capsys.readouterr().err
    music, listed = load(here / "words.npy"), known(tmp_path / "new.pt")
    sides = torch.load(tmp_path / "new.pt", weights_only=True)["split"]
    heard = np.concatenate([music[i] for i in range(len(music)) if music.digest(i) in sides["train"]])
    moved = [words.transpose(heard, shift) for shift in range(-furthest, furthest + 1)]
    share = 1 - np.mean([np.isin(heard, listed) & np.isin(line, listed) for line in moved])
    assert share > 0.25
    assert said.startswith(f"{share:.1%} of the words of the training songs")
    assert ("moved by up to 4 keys" in said) == (furthest == 4)
    did(f"sample {tmp_path}/new.pt --prime words.npy --song 3 --length 4 --seed 1 -o {tmp_path}/made.npy")
    unknown = int((~np.isin(music[2], listed)).sum())
    said = capsys.readouterr().err
    assert said.startswith(f"{unknown} words of {music.lengths[2]} not in the model's vocabulary")


@pytest.mark.slow
def test_a_training_of_words_stopped_by_ctrl_c_ends_bit_for_bit_like_one_never_stopped(desk: Path) -> None:
    sizes = f"{TINY} --hop 2 --transpose 5 --vocab rare.npy --model seq2seq --teacher-forcing 0.5 --seed 4"
    begin = f"train words.npy {sizes.replace('--epochs 1', '--epochs 3')}"
    did(f"{begin} -q -o whole.pt")
    assert interrupt(f"musicgen {begin} -o parts.pt", "epoch", signal.SIGINT, desk) == 130
    assert torch.load("parts.pt", weights_only=True)["resume"]["step"] > 0
    Path("rare.npy").unlink()
    did("train words.npy -q --resume -o parts.pt")
    whole, parts = (torch.load(name, weights_only=True) for name in ("whole.pt", "parts.pt"))
    assert all(torch.equal(weights, parts["state_dict"][name]) for name, weights in whole["state_dict"].items())
    assert [without_time(row) for row in whole["history"]] == [without_time(row) for row in parts["history"]]
    told_apart = ("history", "state_dict", "digest")
    assert {name: whole[name] for name in whole if name not in told_apart} == {
        name: parts[name] for name in parts if name not in told_apart
    }


@pytest.mark.parametrize(
    ("begun", "resumed"), [("words", "rolls"), ("rolls", "words"), ("words", "plain"), ("rolls", "sounding")]
)
def test_a_training_goes_on_with_a_corpus_of_its_form_alone(
    desk: Path, capsys: pytest.CaptureFixture[str], begun: str, resumed: str
) -> None:
    did(f"train {begun}.npy --model seq2seq {TINY} --batch-size 1 --minutes 0.00001 -o part.pt")
    before = (desk / "part.pt").read_bytes()
    assert wrong(capsys, f"train {resumed}.npy --resume -o part.pt").startswith(f"{resumed}.npy: ")
    assert (desk / "part.pt").read_bytes() == before


# -- sample


@pytest.mark.parametrize("model", ["text", "seq2seq"])
@pytest.mark.parametrize("options", ["", "--top-k 3", "--top-p 0.5", "--start random", "--prime words.npy"])
def test_what_is_sampled_has_ids_of_words_alone(here: Path, tmp_path: Path, model: str, options: str) -> None:
    made = sampled(f"{model}.pt", f"--length 400 --temperature 10 --seed 2 {options}", tmp_path)
    listed = known(here / f"{model}.pt")[len(SPECIALS) :]
    *whole, last = made[0].tolist()  # the last may be cut
    assert len(whole) > 50
    assert set(whole) <= set(listed)
    assert last.partition(":")[0] in {word.partition(":")[0] for word in listed}
    assert words.lengths(made[0]).sum() == 400


@pytest.mark.parametrize(
    "options", ["", "--temperature 3 --top-p 0.9", "--start random", "--prime words.npy --song 2", "--top-k 2"]
)
def test_song_n_of_many_is_the_song_that_its_own_seed_gives(here: Path, tmp_path: Path, options: str) -> None:
    three = sampled("text.pt", f"--count 3 --bars 3 --seed 11 {options}", tmp_path)
    again = sampled("text.pt", f"--count 3 --bars 3 --seed 11 {options}", tmp_path)
    third = sampled("text.pt", f"--bars 3 --seed 13 {options}", tmp_path)
    assert same(three, again)
    assert np.array_equal(three[2], third[0])
    assert len({tuple(three[i]) for i in range(3)}) == 3


def test_the_likeliest_words_need_no_coin(here: Path, tmp_path: Path) -> None:
    first, *others = (
        sampled("text.pt", f"--bars 2 --prime words.npy {options}", tmp_path)[0].tolist()
        for options in ("--temperature 0 --seed 1", "--temperature 0 --seed 2", "--top-k 1", "--top-p 0.01")
    )
    assert [first] * 3 == others


@pytest.mark.parametrize("model", ["text", "seq2seq", "plain"])
@pytest.mark.parametrize("bars", [1, 7])
def test_bars_are_whole_and_the_primes_own(here: Path, tmp_path: Path, model: str, bars: int) -> None:
    waltz = tmp_path / "waltz.mid"
    waltz.write_bytes(midi.write(replace(tune(1), time_signature=(3, 4))))
    per_quarter = 2 if model == "plain" else 4
    alone = sampled(f"{model}.pt", f"--bars {bars} --count 2 --seed 1", tmp_path)
    assert [words.lengths(alone[i]).sum() for i in range(2)] == [bars * 4 * per_quarter] * 2
    primed = sampled(f"{model}.pt", f"--bars {bars} --prime {waltz} --seed 1", tmp_path)
    assert words.lengths(primed[0]).sum() == bars * 3 * per_quarter
    both = sampled(f"{model}.pt", f"--bars {bars} --prime {waltz} --seed 1 --prime-steps 5 --include-prime", tmp_path)
    assert words.lengths(both[0]).sum() == 5 + bars * 3 * per_quarter
    assert (primed.songs[0].time_signature, both.steps_per_quarter) == ((3, 4), per_quarter)


@pytest.mark.parametrize("command", ["sample {}.pt --prime {}.npy -o new.npy", "eval {}.pt {}.npy"])
@pytest.mark.parametrize(
    ("model", "corpus", "way_out"),
    [
        ("text", "rolls", "--as words --steps-per-quarter 4"),
        ("text", "plain", "--as words --steps-per-quarter 4"),
        ("plain", "words", "--as words --plain --steps-per-quarter 2"),
        ("next", "words", "--steps-per-quarter 4"),
        ("next", "sounding", "--steps-per-quarter 4"),
        ("text", "fine", "--as words --steps-per-quarter 4"),
    ],
)
def test_a_corpus_that_does_not_fit_a_model_is_refused_by_name(
    desk: Path, capsys: pytest.CaptureFixture[str], command: str, model: str, corpus: str, way_out: str
) -> None:
    did("encode songs --as words --steps-per-quarter 8 -q -o fine.npy")
    said = wrong(capsys, command.format(model, corpus))
    assert said.startswith(f"{corpus}.npy: holds ")
    assert said.endswith(way_out)
    assert not (desk / "new.npy").exists()


# -- eval


@pytest.mark.parametrize("model", ["text", "seq2seq", "plain"])
def test_scores_of_words_agree_with_each_other_and_with_counting_by_hand(
    here: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    corpus = "plain.npy" if model == "plain" else "words.npy"
    music = load(here / corpus)
    facts = told(capsys, f"eval {model}.pt {corpus} --split all --json --prime-steps 16 --length 16 --threads 1")
    listed = known(here / f"{model}.pt")[len(SPECIALS) :]
    assert facts["songs"] == SONGS
    assert facts["words"] == len(music.music)
    assert facts["unknown_words"] == int((~np.isin(music.music, listed)).sum())
    assert facts["notes"] == words.notes(music.music).sum()
    assert facts["quarters"] == words.lengths(music.music).sum() / music.steps_per_quarter
    ahead, unigram, copied = facts["one_step"]
    assert [row["name"] for row in facts["one_step"]] == ["model", "unigram", "copy the last word"]
    for row in (ahead, unigram):
        total = row["nats_per_word"] * facts["words"]
        assert total == pytest.approx(row["nats_per_note"] * facts["notes"])
        assert total == pytest.approx(row["nats_per_quarter"] * facts["quarters"])
        assert np.log(row["perplexity"]) == pytest.approx(row["nats_per_word"])
    assert {"nats_per_word", "nats_per_note", "nats_per_quarter", "perplexity", "accuracy"} <= ahead.keys()
    again = [music[i][1:] == music[i][:-1] for i in range(SONGS)]
    assert copied["accuracy"] == pytest.approx(np.concatenate(again).sum() / facts["words"])
    assert not {"nats_per_word", "perplexity", "loss"} & copied.keys()
    times = np.unique(music.music, return_counts=True)[1]
    assert round(unigram["accuracy"] * facts["words"], 6) in times  # it says one word all the time
    assert [row["name"] for row in facts["free_running"]][:3] == ["model", "model, drawn", "silence"]
    assert all(0 <= row["recall"] <= 1 for row in facts["free_running"])


def test_no_number_is_too_long_for_its_table(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    did(f"vocab words.npy --size 1 -q -o {tmp_path}/one.npy")
    did(f"train words.npy --model text --vocab {tmp_path}/one.npy {TINY} -q -o {tmp_path}/one.pt")
    capsys.readouterr()
    did(f"eval {tmp_path}/one.pt words.npy --threads 1")
    table = capsys.readouterr().out
    assert "…" not in table
    assert re.search(r"nats/word .*/note +/quarter +perplexity", table)
    assert max(map(len, table.splitlines())) <= 140


# -- plot and show


@pytest.mark.parametrize("file", ["words.npy", "plain.npy", "text.pt", "songs/tune-01.mid"])
def test_a_picture_comes_out_of_a_pipe(taught: Path, tmp_path: Path, file: str) -> None:
    talk(shell(f"cat {taught}/{file} | musicgen plot > out.svg", tmp_path))
    drawn = ET.parse(tmp_path / "out.svg").getroot()
    assert drawn.tag.endswith("svg")
    assert len(list(drawn.iter())) > 20


def test_a_vocabulary_is_shown_and_not_drawn(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert wrong(capsys, f"plot rare.npy -o {tmp_path}/x.svg").startswith("rare.npy: ")
    facts = told(capsys, "show rare.npy --json")
    assert facts["kind"] == "vocabulary"
    assert [row["word"] for row in facts["the words"]] == np.load("rare.npy").tolist()


def test_words_are_shown_as_words_and_drawn_as_they_sound(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    did("show words.npy --song 2 --ascii --steps 16")
    shown = capsys.readouterr().out
    assert f"the first words: {' '.join(load(here / 'words.npy')[1][:3])}" in shown
    picture = shown.split(f"steps 1 to 16 of {STEPS}:\n")[1].splitlines()
    played = words.decode(words.cut(load(here / "words.npy")[1], 16), 4)
    assert sum(line[4:].count("#") for line in picture) == len(played.notes)


@pytest.mark.parametrize(
    "line",
    [
        "encode songs --as words -o {}/a.npy",
        "vocab words.npy -o {}/a.npy",
        "train words.npy --model text " + TINY + " -o {}/a.pt",
        "sample text.pt --prime words.npy --length 8 -o {}/a.npy",
        "decode words.npy -o {}/midi/",
        "plot words.npy -o {}/a.svg",
    ],
)
def test_quiet_is_quiet(here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str) -> None:
    capfd.readouterr()
    did(line.format(tmp_path) + " -q")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["H4:2", "c4:2", "C4:0", "C4:1.5", "C4 E4", "Eb4:1", "", "<unknown>", "12.0"])
@pytest.mark.parametrize("line", ["decode own.npy -o o.mid", "vocab own.npy -o o.npy", "train own.npy -o o.pt",
                                  "sample text.pt --prime own.npy -o o.npy", "plot own.npy -o o.svg"])  # fmt: skip
def test_words_typed_wrong_are_named_wherever_they_are_read(
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.array(["C4.E4.G4:4", "R:2", word]))
    said = wrong(capsys, line.replace("text.pt", str(here / "text.pt")))
    assert said.startswith(f"own.npy: {word!r} is no word")
    assert [path.name for path in tmp_path.iterdir()] == ["own.npy"]


def test_words_typed_by_hand_are_a_corpus_at_every_stage(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.array(["C4.E4.G4:4", "R:2"] * 20))
    did("decode own.npy -o own.mid")
    did("encode own.mid --as words -o again.npy")
    assert np.load("again.npy").tolist() == np.load("own.npy").tolist()
    did(f"train own.npy --model text {TINY} -o own.pt")
    did("sample own.pt --prime own.npy --include-prime --length 6 --seed 1 -o made.npy")
    assert words.lengths(np.load("made.npy")).sum() == 126
    assert told(capsys, "eval own.pt own.npy --split train --json --prime-steps 8 --length 8")["unknown_words"] == 0
    write_song(tmp_path / "song.mid", 1)
    did("sample own.pt --prime song.mid --length 6 --seed 1 -o made.npy")
