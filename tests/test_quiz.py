"""Pairs that differ in who wrote them alone, and a page that does not tell it."""

import base64
import io
import json
import re
import signal
import subprocess
import sys
import wave
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import corpus as corpora
from musicgen_cli import midi, quiz_page, sound, words
from musicgen_cli.cli import run
from musicgen_cli.commands.quiz import _grid
from musicgen_cli.corpus import Song
from musicgen_cli.errors import MusicgenError
from musicgen_cli.piano import RATE
from musicgen_cli.quiz import NOISE, Piece, distinct, off_grid, pair_up, ready
from musicgen_cli.quiz_page import heard, page
from musicgen_cli.quiz_score import OBVIOUS, PAIR, SAME, read_key
from musicgen_cli.roll import decode, encode
from musicgen_cli.score import END, PITCH, START, Score, quantise
from tests.tunes import tune

pytestmark = pytest.mark.slow
SECONDS = 6.0
FAST, BRIEF = 240.0, 2.0  # quarter notes a minute; seconds: two bars, where clips are played


def songs(first: int, count: int, bars: int = 8, **changed) -> list[Piece]:
    scores = {n: quantise(tune(n, bars=bars), 4) for n in range(first, first + count)}
    return [Piece(f"Tune {n}", replace(score, **changed)) for n, score in scores.items()]


def lasts(clip: Piece) -> float:
    return 60 * clip.score.length / clip.score.ticks_per_quarter / clip.score.tempo


def of_kind(kind, pairs):
    return [pair for pair in pairs if pair.kind == kind]


@pytest.fixture
def sides():
    return ready(songs(1, 9), SECONDS), ready(songs(101, 8, tempo=150.0), SECONDS)


@given(st.integers(1, 12), st.floats(6.1, 20), st.integers(0, 99))
@settings(max_examples=30)
def test_both_clips_of_a_pair_last_the_same_bars_at_the_same_tempo(count, seconds, seed):
    human, machine = ready(songs(1, 9), seconds), ready(songs(101, 8, tempo=150.0), seconds)
    pairs = pair_up(human, machine, count, seconds, seed)
    assert [len(of_kind(kind, pairs)) for kind in (PAIR, SAME, OBVIOUS)] == [min(count, 7), 2, 1]
    for pair in pairs:
        first, second = pair.clips
        assert lasts(first) == lasts(second) <= seconds
        assert first.score.length % first.bar == second.score.length % second.bar == 0
        assert first.score.tempo == second.score.tempo
        assert first.metre == second.metre
    used = [clip.source for pair in pairs for clip in pair.clips[: 1 if pair.kind != PAIR else 2]]
    assert len(used) == len(set(used)) == 2 * min(count, 7) + 3  # each song once, in the controls too


def test_the_tempo_of_a_pair_is_the_persons(sides):
    tempos = {song.source: song.score.tempo for song in sides[0]}
    for pair in of_kind(PAIR, pair_up(*sides, 4, SECONDS, 0)):
        assert {clip.score.tempo for clip in pair.clips} == {tempos[pair.clips[0].source]}


def test_a_clip_is_what_stands_between_two_bar_lines_of_its_song(sides):
    whole = {song.source: song for side in sides for song in side}
    for pair in of_kind(PAIR, pair_up(*sides, 4, SECONDS, 0)):
        for clip in pair.clips:
            song = whole[clip.source]
            begin = song.first * song.bar
            notes = song.score.notes - [begin, begin, 0]
            expected = {
                (max(start, 0), min(end, clip.score.length), pitch)
                for start, end, pitch in notes.tolist()
                if start < clip.score.length and end > 0
            }
            assert set(map(tuple, clip.score.notes.tolist())) == expected
            assert begin + clip.score.length <= song.last * song.bar < song.score.length  # the ending is not heard


def test_a_rest_before_the_music_is_left_out():
    late = [
        replace(song, score=replace(song.score, notes=song.score.notes + np.array([64, 64, 0]), length=0))
        for song in songs(1, 3)
    ]
    for pair in pair_up(ready(late, SECONDS), ready(songs(101, 2), SECONDS), 1, SECONDS, 0):
        assert all(clip.score.notes[0, START] == 0 for clip in pair.clips)


@pytest.mark.parametrize(("seconds", "lead"), [(6, 0), (10, 1), (20, 2)])
def test_songs_that_begin_alike_go_together_and_are_heard_from_where_they_part(seconds, lead):
    human = songs(1, 5, bars=12)
    made = songs(101, 3, bars=12)
    primed = []
    for song, new in zip(human[:2], songs(201, 2, bars=12)):
        prime, later = encode(song.score)[: 5 * 16], encode(new.score)
        primed.append(Piece(f"primed {song.source}", decode(np.concatenate([prime, later[: 7 * 16]]), 4)))
    again = replace(primed[0], source="primed again")
    pairs = pair_up(ready(human, seconds), ready([*made, *primed, again], seconds), 9, seconds, 0)
    alike = [pair for pair in of_kind(PAIR, pairs) if pair.alike]
    assert {pair.clips[0].source for pair in alike} == {"Tune 1", "Tune 2"}
    for pair in alike:
        assert pair.clips[1].source.removeprefix("primed ") in (pair.clips[0].source, "again")
        first, second = (
            encode(replace(clip.score, notes=clip.score.notes // [4, 4, 1], length=clip.score.length // 4))
            for clip in pair.clips
        )
        differ = np.flatnonzero((first != second).any((1, 2)))
        assert differ[0] // 16 == lead
    others = {clip.source for pair in of_kind(PAIR, pairs) if not pair.alike for clip in pair.clips}
    assert not any(name.startswith("primed") for name in others)


def test_songs_go_with_songs_in_their_metre():
    human = songs(1, 3, time_signature=(3, 4)) + songs(4, 3)
    machine = songs(101, 3, time_signature=(6, 8)) + songs(104, 3, time_signature=(7, 8))
    pairs = of_kind(PAIR, pair_up(ready(human, SECONDS), ready(machine, SECONDS), 9, SECONDS, 0))
    assert pairs
    assert {clip.metre for pair in pairs for clip in pair.clips} == {Fraction(3)}


def test_controls_are_the_same_clip_twice_and_notes_at_random(sides):
    pairs = pair_up(*sides, 4, SECONDS, 0)
    assert all(first.score == second.score for first, second in (pair.clips for pair in of_kind(SAME, pairs)))
    assert {pair.clips[0].score.tempo == 150 for pair in of_kind(SAME, pairs)} == {True, False}  # one of either side
    ((real, noise),) = [pair.clips for pair in of_kind(OBVIOUS, pairs)]
    assert sorted(map(tuple, real.score.notes[:, :2].tolist())) == sorted(map(tuple, noise.score.notes[:, :2].tolist()))
    assert set(noise.score.notes[:, PITCH].tolist()) <= set(NOISE)
    assert len(np.unique(noise.score.notes[:, PITCH])) > 12


def test_flattening_puts_all_notes_on_one_grid():
    dice = np.random.default_rng(0)
    free = []
    for song in songs(1, 4):
        notes = song.score.notes * [120, 120, 1] + np.column_stack(
            [dice.integers(0, 30, (len(song.score.notes), 2)), np.zeros(len(song.score.notes), int)]
        )
        free.append(Piece(song.source, Score(notes, 480, song.score.length * 120, song.score.tempo)))
    assert off_grid(ready(free, SECONDS)) > 0.5
    flat = ready(free, SECONDS, grid=4)
    assert off_grid(flat) == 0
    for song, exact in zip(flat, songs(1, 4)):
        assert np.array_equal(song.score.notes[:, START] // 4, exact.score.notes[:, START])


def test_no_clip_strikes_a_key_twice_at_once():
    """A MIDI file can, a roll cannot: who hears it knows which is which."""
    double = [
        replace(song, score=replace(song.score, notes=np.concatenate([song.score.notes] * 2))) for song in songs(1, 3)
    ]
    for pair in pair_up(ready(double, SECONDS), ready(songs(101, 2), SECONDS), 1, SECONDS, 0):
        for clip in pair.clips if pair.kind != OBVIOUS else pair.clips[:1]:
            notes = clip.score.notes[np.lexsort((clip.score.notes[:, START], clip.score.notes[:, PITCH]))]
            same_key = notes[1:, PITCH] == notes[:-1, PITCH]
            assert (notes[1:, START] >= notes[:-1, END])[same_key].all()


def test_silence_after_the_last_note_is_no_bar_of_a_song():
    silent = [replace(song, score=replace(song.score, length=song.score.length + 160)) for song in songs(1, 3)]
    assert [song.last for song in ready(silent, SECONDS)] == [song.last for song in ready(songs(1, 3), SECONDS)]


def test_a_song_of_many_hours_is_as_good_as_any():
    long = songs(1, 3)
    long[0] = replace(long[0], score=Score(np.concatenate([long[0].score.notes, [[10**7, 10**7 + 4, 60]]]), 4))
    assert len(pair_up(ready(long, SECONDS), ready(songs(101, 2), SECONDS), 1, SECONDS, 0)) == 4


def test_a_sample_goes_with_what_it_was_primed_with_in_its_metre_only():
    human = songs(1, 5, bars=12)
    steps = np.concatenate([encode(songs(1, 1)[0].score)[:80], encode(songs(201, 1)[0].score)])
    primed = [Piece("primed", replace(decode(steps, 4), time_signature=(3, 4))), *songs(101, 3, bars=12)]
    pairs = of_kind(PAIR, pair_up(ready(human, SECONDS), ready(primed, SECONDS), 9, SECONDS, 0))
    assert all(one.metre == other.metre for one, other in (pair.clips for pair in pairs))
    assert "primed" not in {clip.source for pair in pairs for clip in pair.clips}


def test_copies_are_left_out_of_both_sides():
    human, machine = ready([*songs(1, 3), *songs(2, 2)], SECONDS), ready([*songs(101, 2), *songs(1, 1)], SECONDS)
    kept = [[song.source for song in side] for side in distinct(human, machine)]
    assert kept == [["Tune 1", "Tune 2", "Tune 3"], ["Tune 101", "Tune 102"]]


def test_notes_of_nine_tenths_are_off_the_grid():
    """As notation programs write them."""
    gated = [
        Piece("", Score(song.score.notes * [480, 480, 1] - [0, 48, 0], 4 * 480, 0, song.score.tempo))
        for song in songs(1, 2)
    ]
    assert off_grid(ready(gated, SECONDS)) == 1


@pytest.mark.parametrize(("ticks", "grid"), [([12, 24], 12), ([2, 4], 4), ([480, 8], 8), ([480], 4), ([], 4)])
def test_flattening_is_to_the_machines_grid_sixteenths_at_least(ticks, grid):
    assert _grid([Piece("", Score(np.zeros((0, 3)), each)) for each in ticks]) == grid


def test_too_few_songs_are_refused_with_what_is_needed(sides):
    human, machine = sides
    pair_up(human[:3], machine[:2], 20, SECONDS, 0)
    for some, other in ((human[:2], machine), (human, machine[:1]), ([], [])):
        with pytest.raises(MusicgenError, match="3 and 2 in one metre are the least"):
            pair_up(some, other, 20, SECONDS, 0)


def test_songs_too_short_or_too_slow_are_left_out():
    assert [len(ready([Piece("", tune(1, 1, bars))], SECONDS)) for bars in (1, 2, 3)] == [0, 0, 1]
    assert not ready(songs(1, 1, tempo=4.0), SECONDS)


# -- the page


def parts(html: bytes) -> dict:
    return json.loads(re.search(rb'<script type="application/json" id="quiz">(.*?)</script>', html).group(1))


@pytest.fixture(scope="module")
def made():
    human, machine = (ready(songs(first, 3, tempo=FAST), BRIEF) for first in (1, 101))
    pairs = pair_up(human, machine, 1, BRIEF, 0)
    return pairs, *page(pairs, {"seconds": BRIEF})


def test_the_page_tells_no_source_and_no_label(made):
    _, html, key = made
    text = html.decode()
    bare = re.sub(r'"audio": "[^"]*"', "", text)
    data = json.dumps({**parts(html), "clips": {}})
    assert "Tune" in key.decode()
    for word in ("Tune", "tune", "random", "obvious", "same", "human", "machine", "alike", "source", "kind", "label"):
        assert word not in data
    for word in ("Tune", "obvious", "alike", "machine", "human", "control"):
        assert word not in bare
    assert {len(pair) for pair in parts(html)["pairs"]} == {2}
    assert all(set(clip) == {"audio", "notes"} for clip in parts(html)["clips"].values())


def test_the_order_of_all_things_on_the_page_is_that_of_their_names(made):
    quiz = parts(made[1])
    assert list(quiz["clips"]) == sorted(quiz["clips"])
    assert [pair["id"] for pair in quiz["pairs"]] == sorted(pair["id"] for pair in quiz["pairs"])
    assert all(pair["clips"] == sorted(pair["clips"]) for pair in quiz["pairs"])


def test_sounds_of_a_pair_have_as_many_bytes_and_the_same_head(made):
    """Frames of MP3 say how they are encoded in four bytes, and all say the same, but for padding."""
    pytest.importorskip("soundfile")
    quiz = parts(made[1])
    for pair in quiz["pairs"]:
        files = [base64.b64decode(quiz["clips"][clip]["audio"]) for clip in pair["clips"]]
        assert len(files[0]) == len(files[1])
        heads, bounds = zip(*map(mp3_frames, files))
        assert len(set().union(*heads)) == 1
        assert bounds[0] == bounds[1]


def mp3_frames(data: bytes) -> tuple[set[bytes], list[int]]:
    """The heads of all frames without their padding bit and how the stereo is joined, and where the frames begin."""
    kbits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    heads, bounds, at = set(), [], 0
    while at + 4 <= len(data):
        first, second, third, fourth = data[at : at + 4]
        assert (first, second & 0xFE) == (0xFF, 0xFA)  # MPEG 1, layer III
        heads.add(bytes([first, second, third & ~2, fourth & ~0x30]))
        bounds.append(at)
        at += 144_000 * kbits[third >> 4] // (44_100, 48_000, 32_000)[third >> 2 & 3] + (third >> 1 & 1)
    assert at == len(data)
    return heads, bounds


def test_without_soundfile_sounds_are_wav_of_one_length(made, monkeypatch):
    monkeypatch.setattr(sound, "packs", lambda: False)
    html, _ = page(made[0][:2], {})
    quiz = parts(html)
    assert quiz["type"] == "audio/wav"
    for pair in quiz["pairs"]:
        shapes = set()
        for clip in pair["clips"]:
            with wave.open(io.BytesIO(base64.b64decode(quiz["clips"][clip]["audio"]))) as file:
                shapes.add(file.getparams())
        assert len(shapes) == 1


def test_the_key_tells_what_the_page_does_not(made):
    pairs, html, data = made
    key = json.loads(data)
    assert key["quiz"] == parts(html)["id"]
    assert key["settings"] == {"seconds": BRIEF}
    assert [pair["kind"] for pair in key["pairs"]] == [pair.kind for pair in pairs]
    assert {pair["id"] for pair in key["pairs"]} == {pair["id"] for pair in parts(html)["pairs"]}
    for pair, known in zip(pairs, key["pairs"]):
        assert known["sources"] == [clip.source for clip in pair.clips]
        notes = parts(html)["clips"][known["person"] or known["clips"][0]]["notes"]
        assert [note[2] for note in notes] == pair.clips[0].score.notes[:, PITCH].tolist()
    assert set(read_key(data)["pairs"]) == {pair["id"] for pair in key["pairs"]}


def test_two_pairs_that_sound_alike_are_refused(made):
    with pytest.raises(MusicgenError, match="two pairs sound alike"):
        page([made[0][0]] * 2, {})


def test_what_soundfile_cannot_is_no_bug_of_ours(made, monkeypatch):
    soundfile = pytest.importorskip("soundfile")

    def full(*arguments):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    with pytest.raises(MusicgenError, match="cannot be written as"):
        page(made[0][:1], {})


def test_peaks_are_bent_not_cut(monkeypatch):
    blocks = np.full((RATE, 2), 0.03)
    blocks[1000:1010] = 1
    monkeypatch.setattr(sound, "render", lambda score: [blocks])
    assert 0.9 < abs(heard(songs(1, 1)[0], RATE)).max() < 1


def test_all_clips_are_equally_loud():
    thin, thick = (Piece("", replace(tune(1, voices=voices), notes=tune(1, voices=voices).notes)) for voices in (1, 4))
    found = [heard(clip, 4 * RATE) for clip in (thin, thick)]
    rms = [np.sqrt((samples**2).mean()) for samples in found]
    assert rms[0] == pytest.approx(rms[1], rel=0.1)
    assert all(
        len(samples) == 4 * RATE and abs(samples[-1]) < 1e-6 and 0.1 < abs(samples).max() < 1 for samples in found
    )
    silent = heard(Piece("", Score(np.zeros((0, 3)), 4, 64)), RATE)
    assert len(silent) == RATE
    assert not silent.any()


# -- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quiz")
    (folder / "songs").mkdir()
    for n in range(1, 6):
        (folder / "songs" / f"{n}.mid").write_bytes(midi.write(replace(tune(n), tempo=FAST)))
    with (folder / "samples.npy").open("wb") as file:
        music = [(Song(f"sample-{n}", FAST), encode(quantise(tune(100 + n), 4))) for n in range(1, 5)]
        corpora.save(corpora.gather(music), file)
    return folder


@pytest.fixture
def unplayed(monkeypatch):
    """A page that takes no time, for what is said and done around it."""
    monkeypatch.setattr(quiz_page, "page", lambda pairs, settings: (b"page", b"key"))


def musicgen(*line, capsys):
    code = run([str(part) for part in ("quiz", *line)])
    return code, *capsys.readouterr()


def test_a_quiz_from_a_folder_and_a_corpus(folder, tmp_path, capsys):
    (folder / "songs" / "broken.mid").write_bytes(b"MThd")
    line = ["--human", folder / "songs", "--machine", folder / "samples.npy", "--seconds", BRIEF]
    code, out, err = musicgen(*line, "--pairs", 1, "-o", tmp_path / "quiz.html", capsys=capsys)
    lines = err.splitlines()
    assert (code, out) == (0, "")
    assert lines[0] == f"skipped {folder}/songs/broken.mid: not a MIDI file"
    assert re.fullmatch(r"wrote .*/quiz.html, \d.\d MB: 1 pair and 3 controls; .*/quiz.key.json holds .*", lines[-1])
    assert {path.name for path in tmp_path.iterdir()} == {"quiz.html", "quiz.key.json"}
    code, _, err = musicgen(*line, "-o", tmp_path / "quiz.html", capsys=capsys)
    assert code == 1
    assert "quiz.key.json: is the key of a quiz made before" in err
    again = tmp_path / "again.html"
    musicgen(*line, "--pairs", 1, "-o", again, "-q", capsys=capsys)
    assert again.read_bytes() == (tmp_path / "quiz.html").read_bytes()


def test_playing_that_tells_who_plays_is_said(folder, unplayed, tmp_path, capsys):
    free = tmp_path / "free"
    free.mkdir()
    for n in range(1, 5):
        score = tune(n)
        late = np.arange(len(score.notes)) * 7 % 40
        notes = score.notes * [120, 120, 1] + np.column_stack([late, late, 0 * late])
        (free / f"{n}.mid").write_bytes(midi.write(Score(notes, 480, 0, FAST)))
    line = ["--human", free, "--machine", folder / "samples.npy", "--seconds", BRIEF, "--pairs", 1]
    _, _, err = musicgen(*line, "-o", tmp_path / "a.html", capsys=capsys)
    assert f"{free} is off the grid, {folder}/samples.npy is not, and that tells them apart: --flatten" in err
    _, _, err = musicgen(*line, "--flatten", "-o", tmp_path / "b.html", capsys=capsys)
    assert "off the grid" not in err


@pytest.mark.parametrize(
    ("line", "code", "cause"),
    [
        (["--human", "empty", "--machine", "samples.npy"], 1, "empty: no MIDI files in it that can be read"),
        (["--human", "nowhere", "--machine", "samples.npy"], 1, "nowhere: no such file"),
        (["--human", "samples.npy", "--machine", "text.txt"], 1, "text.txt: is no .npy file"),
        (["--human", "samples.npy", "--machine", "samples.npy", "-o", "quiz.pdf"], 1, "quiz.pdf: a quiz is a page"),
        (["--human", "samples.npy", "--machine", "samples.npy", "-o", "no/quiz.html"], 1, "no: no such folder"),
        (["--human", "samples.npy"], 2, "a quiz needs --human and --machine"),
        ([], 2, "a quiz needs --human and --machine"),
        (["--score", "quiz.key.json"], 2, "--score needs the files with the answers"),
        (["--score", "a", "--human", "b", "c"], 2, "--score reads answers: it does not go with --human"),
        (["--score", "a", "--pairs", "20", "c"], 2, "--score reads answers: it does not go with --pairs"),
        (["--score", "a", "--flatten", "-o", "x.html", "c"], 2, "--score reads answers: it does not go with --output"),
        (["--human", "-", "--machine", "-"], 2, "standard input can be read once only"),
        (["answers.json"], 2, "answers and --json go with --score KEY"),
        (["--score", "text.txt", "text.txt"], 1, "text.txt: is no key of a quiz"),
        (["--score", "nowhere", "text.txt"], 1, "nowhere: no such file; `musicgen quiz` makes it"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, monkeypatch, capsys, line, code, cause):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "text.txt").write_text("do re mi")
    done, out, err = musicgen(*line, capsys=capsys)
    assert (done, out, len(err.splitlines())) == (code, "", 1)
    assert err.removeprefix("musicgen: error: ").removeprefix("Invalid value: ").startswith(cause)
    assert not list(folder.glob("quiz*"))


def test_a_page_that_cannot_be_written_leaves_no_key(folder, unplayed, tmp_path, monkeypatch, capsys):
    from musicgen_cli import streams

    def full(path, data):
        if path.suffix == ".html":
            raise MusicgenError(f"{path}: No space left on device; nothing written")
        path.write_bytes(data)

    monkeypatch.setattr(streams, "write_bytes", full)
    line = ["--human", folder / "songs", "--machine", folder / "samples.npy", "--seconds", BRIEF, "--pairs", 1]
    code, _, err = musicgen(*line, "-o", tmp_path / "quiz.html", capsys=capsys)
    assert (code, "No space left" in err) == (1, True)
    assert not list(tmp_path.iterdir())


def test_a_quiz_from_words_and_of_copies(folder, unplayed, tmp_path, capsys):
    """What a model of words made, five times the same, is one song."""
    with (tmp_path / "words.npy").open("wb") as file:
        music = [(Song(f"s{n}", FAST), words.encode(quantise(tune(min(n, 103)), 4))) for n in range(101, 107)]
        corpora.save(corpora.gather(music), file)
    line = ["--human", folder / "songs", "--machine", tmp_path / "words.npy", "--seconds", BRIEF, "--pairs", 2]
    code, _, err = musicgen(*line, "-o", tmp_path / "quiz.html", capsys=capsys)
    assert code == 0
    assert f"{tmp_path}/words.npy: left out 3 songs with the notes of another" in err.splitlines()
    assert "2 pairs and 3 controls" in err


@pytest.mark.parametrize("encoded", [0, 3])
def test_ctrl_c_ends_it_with_nothing_written(folder, tmp_path, encoded):
    """Before the first clip and in the midst of encoding: a process that says where it is and waits there."""
    code = f"""
import sys, time
from musicgen_cli import quiz_page
from musicgen_cli.cli import main
heard, count = quiz_page.heard, 0
def wait(clip, length):
    global count
    count += 1
    if count > {encoded}:
        print("here", flush=True)
        time.sleep(60)
    return heard(clip, length)
quiz_page.heard = wait
main()
"""
    line = [sys.executable, "-c", code, "quiz", "-o", "quiz.html", "--seconds", str(BRIEF), "--human", folder / "songs"]
    line += ["--machine", folder / "samples.npy"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"here\n"
        run.send_signal(signal.SIGINT)
        run.communicate()
    assert run.returncode in (130, -signal.SIGINT)
    assert not list(tmp_path.iterdir())
