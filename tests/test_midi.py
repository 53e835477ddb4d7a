import contextlib
import io
import random
import re
from collections import Counter
from pathlib import Path

import mido
import numpy as np
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import corpus as corpora
from musicgen_cli import events, midi, roll
from musicgen_cli.errors import MusicgenError
from musicgen_cli.score import Score, quantise
from musicgen_cli.smf import File, Part, parse_all
from tests.midi_bytes import file, meta, metre, name, note, off, on, program, raw, riff, tempo, track
from tests.plain_smf import plain
from tests.strategies import GRIDS, pitches, played, rolls

SHARED = Path(__file__).parents[2] / "shared"
CORPORA = ["chorales", "keyboard", "lieder"]


def notes(data: bytes, **options: object) -> list[list[int]]:
    return midi.read(data, **options)[0].notes.tolist()


def tried(data: bytes) -> Score | str:
    """The score of a file, or why it has none; no other error."""
    try:
        return midi.read(data)[0]
    except MusicgenError as error:
        return str(error)


def symusic_reads(data: bytes) -> bool:
    try:
        symusic.Score.from_midi(data)
    except Exception:
        return False
    return True


def mido_reads(data: bytes) -> bool:
    try:
        mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception:
        return False
    return True


# A piano of two hands in one track, a violin and drums in their own.
BAND = file(
    track((0, tempo(600_000)), (0, metre(3, 2))),
    track(
        (0, name("Piano")), (0, on(60)), (0, on(48, 1)), (480, off(60)), (0, on(62)), (480, off(62)), (0, off(48, 1))
    ),
    track((0, name("Violin")), (0, program(40, 2)), *note(76, 2), *note(77, 2)),
    track((0, name("Drums")), *note(36, 9, 120), *note(38, 9, 120)),
)
PIANO = [[0, 480, 60], [480, 960, 62]]
LEFT_HAND = [[0, 960, 48]]
VIOLIN = [[0, 480, 76], [480, 960, 77]]
DRUMS = [[0, 120, 36], [120, 240, 38]]

# --- laws ---


@given(played())
def test_read_undoes_write(score):
    assert midi.read(midi.write(score)) == (score, Counter())


@given(played())
def test_both_readers_read_what_is_written(score):
    data = midi.write(score, name="Käse", text="from a model", program=19)
    assert symusic_reads(data)
    assert mido_reads(data)


@given(rolls(), st.sampled_from(GRIDS))
def test_a_roll_survives_being_a_midi_file(bits, grid):
    score = roll.decode(bits, grid)
    again = quantise(midi.read(midi.write(score))[0], grid)
    assert (again.notes.tolist(), again.length) == (score.notes.tolist(), score.length)


# --- reading ---


def test_all_tracks_and_channels_count():
    assert notes(BAND) == sorted(PIANO + LEFT_HAND + VIOLIN, key=lambda note: (note[0], note[2]))


def test_drums_are_left_out_and_counted():
    assert midi.read(BAND)[1] == {"drum notes left out": 2}


def test_drums_are_kept_on_demand():
    score, left_out = midi.read(BAND, drums=True)
    assert all(drum in score.notes.tolist() for drum in DRUMS)
    assert not left_out


CHOICES = {
    "by name": ({"tracks": ["Violin"]}, VIOLIN),
    "by number": ({"tracks": ["3"]}, VIOLIN),
    "by name or number": ({"tracks": ["Piano", "3"]}, [*LEFT_HAND, *PIANO, *VIOLIN]),
    "by program": ({"programs": [40]}, VIOLIN),
    "by either program": ({"programs": [0, 40]}, [*LEFT_HAND, *PIANO, *VIOLIN]),
    "by name and program": ({"tracks": ["Piano"], "programs": [40]}, []),
    "in any case": ({"tracks": ["vIOLIN"]}, VIOLIN),
    "drums by name": ({"tracks": ["Drums"], "drums": True}, DRUMS),
    "drums by name alone": ({"tracks": ["Drums"]}, []),
}


@pytest.mark.parametrize(("options", "kept"), CHOICES.values(), ids=CHOICES)
def test_parts_are_chosen(options, kept):
    assert sorted(notes(BAND, **options)) == sorted(kept)


def test_a_part_that_a_file_has_not_is_said_with_those_it_has():
    with pytest.raises(MusicgenError, match=r"only .*Violin"):
        midi.read(BAND, tracks=["Viola"])


def test_notes_of_parts_that_were_not_chosen_are_counted():
    assert midi.read(BAND, tracks=["Violin"])[1] == {"notes of other parts left out": 5}
    assert midi.read(BAND, tracks=["Drums"])[1] == {"notes of other parts left out": 5, "drum notes left out": 2}


def test_parts_are_numbered_as_parse_lists_them():
    for number, part in enumerate(midi.parse(BAND).parts, 1):
        assert notes(BAND, tracks=[str(number)], drums=True) == part.notes.tolist()


def test_a_note_on_without_velocity_is_an_end():
    data = file(track((0, on(60)), (480, on(60, velocity=0)), (0, on(62)), (240, on(62, velocity=0))))
    assert notes(data) == [[0, 480, 60], [480, 720, 62]]


def test_the_first_of_two_notes_on_a_key_ends_first():
    assert notes(file(track((0, on(60)), (10, on(60)), (10, off(60)), (30, off(60))))) == [[0, 20, 60], [10, 50, 60]]


def test_running_status_needs_no_repeated_bytes():
    assert notes(file(track((0, on(60)), (480, bytes([60, 0])), (0, bytes([62, 64])), (480, bytes([62, 0]))))) == PIANO


def test_the_first_time_signature_in_time_counts():
    late, first = [(0, on(60)), (480, metre(3, 2)), (480, off(60))], [(0, metre(6, 3))]
    assert midi.read(file(track(*late), track(*first)))[0].time_signature == (6, 8)


@pytest.mark.parametrize(("numerator", "power"), [(0, 2), (4, 7), (4, 200)])
def test_a_time_signature_that_cannot_be_played_is_four_four(numerator, power):
    assert midi.read(file(track((0, metre(numerator, power)), *note(60))))[0].time_signature == (4, 4)


def test_a_riff_wrapper_is_taken_off():
    assert midi.read(riff(BAND))[0] == midi.read(BAND)[0]


def test_notes_that_nobody_ends_are_held_to_the_end_of_their_track():
    data = file(track((0, on(60)), (120, on(64)), (360, off(60)), (480, meta(0x2F, b""))), track(*note(72, lasts=1920)))
    score, befell = midi.read(data)
    assert score.notes.tolist() == [[0, 480, 60], [0, 1920, 72], [120, 960, 64]]
    assert befell == {midi.NEVER_ENDED: 1}


def test_no_note_lies_before_the_beginning_however_long_the_file():
    data = file(track(*[((1 << 28) - 1, meta(0x01, b"on and on"))] * 9, *note(60)))  # past 31 bits of ticks
    start = 9 * ((1 << 28) - 1)
    assert notes(data) == [[start, start + 480, 60]]


# --- tempo ---


def test_tempo_changes_do_not_move_notes():
    data = file(track((0, tempo(500_000)), *note(60), (0, tempo(250_000)), *note(62), (0, tempo(1_000_000)), *note(64)))
    assert notes(data) == [[0, 480, 60], [480, 960, 62], [960, 1440, 64]]


@pytest.mark.parametrize(
    ("pieces", "average"),
    [
        ([(0, 500_000)], 120),
        ([(0, 600_000)], 100),
        ([], 120),  # what MIDI says of a file that says nothing
        ([(0, 500_000), (240, 1_500_000)], 60),  # half a beat at 120 and half at 40 take a second
        ([(240, 1_500_000)], 60),
        ([(0, 500_000), (480, 250_000)], 120),  # after the music
        ([(0, 250_000), (0, 1_000_000)], 60),  # at one time the last one counts
    ],
)
def test_the_one_tempo_preserves_the_duration(pieces, average):
    tempos = [(at - before, tempo(pace)) for (before, _), (at, pace) in zip([(0, 0), *pieces], pieces)]
    assert midi.read(file(track(*tempos), track(*note(60))))[0].tempo == average


def test_tempo_of_zero_is_no_division_by_zero():
    assert midi.read(file(track((0, tempo(0)), *note(60))))[0].tempo == 120


@given(
    st.lists(
        st.tuples(st.just(0) | st.integers(0, 500), st.integers(0, 99) | st.integers(0, (1 << 24) - 1)), max_size=3
    )
)
def test_what_a_file_says_of_its_tempo_a_corpus_can_say(changes):  # of very fast ones it could be written, not read
    data = file(track(*[(wait, tempo(pace)) for wait, pace in changes], *note(60)))
    corpora.Song("", midi.read(data)[0].tempo).check()


@pytest.mark.parametrize("micros", [1, 59, 60, (1 << 24) - 1])
def test_the_fastest_and_the_slowest_file_make_a_corpus(micros):
    score, _ = midi.read(file(track((0, tempo(micros)), *note(60))))
    whole = io.BytesIO()
    writer = corpora.Writer(whole, 4)
    writer.add(corpora.Song("one", score.tempo, score.time_signature), roll.encode(quantise(score, 4)))
    writer.finish()
    assert corpora.load(whole).songs[0].tempo == score.tempo == 60e6 / micros


@pytest.mark.parametrize("pace", [1, 60e6, 1e300])
def test_tempos_beyond_midi_are_written_as_near_as_it_goes(pace):
    read, _ = midi.read(midi.write(Score([[0, 480, 60]], 480, tempo=pace)))
    assert read.tempo == min(max(pace, 60e6 / ((1 << 24) - 1)), 60e6)


# --- writing ---


def test_a_tune_is_written_as_these_bytes():
    score = Score([[0, 4, 60], [4, 8, 60]], 4, 16, 100.0, (3, 4))
    assert midi.write(score, name="Tune", text="by hand", program=19, velocity=80) == (
        b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk\x00\x00\x00\x40"
        b"\x00\xff\x03\x04Tune"
        b"\x00\xff\x01\x07by hand"
        b"\x00\xff\x51\x03\x09\x27\xc0"  # 600000 microseconds a quarter note
        b"\x00\xff\x58\x04\x03\x02\x18\x08"
        b"\x00\xc0\x13"
        b"\x00\x90\x3c\x50"
        b"\x83\x60\x3c\x00"  # 480 ticks later its end ...
        b"\x00\x3c\x50"  # ... before it is struck again
        b"\x83\x60\x3c\x00"
        b"\x87\x40\xff\x06\x03end"  # two quarter notes of rest
        b"\x00\xff\x2f\x00"
    )


def test_a_name_in_any_script_is_read_again():
    data = midi.write(Score([[0, 480, 60]], 480), name="Kärlek 日本語 🎵")
    assert midi.parse(data).parts[0].name == "Kärlek 日本語 🎵"


def test_half_a_character_in_a_name_stops_no_writing():  # as JSON may hold
    data = midi.write(Score([[0, 480, 60]], 480), name="a\ud800b", text="c\udc80d")
    assert midi.parse(data).parts[0].name == "a?b"


def test_the_program_is_read_again():
    assert midi.parse(midi.write(Score([[0, 480, 60]], 480), program=52)).parts[0].program == 52


@pytest.mark.parametrize("score", [Score([], 480), Score([], 480, 960), Score([], 4, 3, 90.0)])
def test_silence_is_written_and_read(score):
    read, _ = midi.read(midi.write(score))
    assert (read.notes.tolist(), read.length * score.ticks_per_quarter) == ([], score.length * 480)


# --- what symusic reads is read alike ---

TWICE = {
    "voices and parts": [
        [(0, on(60)), (0, on(48, 1)), (480, off(60)), (480, off(48, 1))],
        [(0, program(40, 2)), *note(76, 2), *note(77, 2)],
    ],
    "drums": [note(60), note(36, 9)],
    "two programs on one channel": [[(0, program(7)), *note(60), (0, program(9)), *note(62)]],
    "a program that changes under a note": [[(0, on(60)), (240, program(9)), (240, off(60)), *note(62)]],
    "tempos": [[(0, tempo(600_000)), (480, tempo(300_000))], note(60, lasts=960)],
    "a time signature in the second track": [[*note(60), (0, metre(3, 2)), *note(62)], [(0, metre(6, 3))]],
    "a rest at the end": [[*note(60), (960, meta(0x06, b"end"))]],
    "notes of no length": [[(0, on(60)), (0, off(60)), *note(62)]],
    "overlaps": [[(0, on(60)), (10, on(60)), (10, off(60)), (10, off(60))]],
    "ends without a beginning": [[(0, off(60)), *note(62)]],
    "a name in UTF-8": [[(0, name("Flöte 笛")), *note(60)]],
    "a name that is no UTF-8": [[(0, meta(0x03, b"Fl\xf6te")), *note(60)]],
    "two names": [[(0, name("first")), (0, name("second")), *note(60)]],
    "seventeen sharps": [[(0, meta(0x59, b"\x11\x00")), *note(60)]],
    "nothing": [[]],
}


def heard(data: bytes) -> object:
    """What a file says to our reader, the notes of a part in the order of a score."""
    parts = [Part(part.name, part.program, part.drums, Score(part.notes, 1).notes) for part in midi.parse(data).parts]
    said = midi.parse(data)
    listed = sorted((part.name, part.program, part.drums, part.notes.tolist()) for part in parts)
    return listed, said.ticks_per_quarter, said.tempos, said.time_signature, said.length


def heard_by_symusic(data: bytes) -> object:
    score = symusic.Score.from_midi(data)
    parts = []
    for part in score.tracks:
        try:
            title = part.name
        except UnicodeDecodeError:
            title = next(iter(midi.parse(data).parts)).name
        notes = np.array([(note.time, note.end, note.pitch) for note in part.notes], np.int64).reshape(-1, 3)
        parts.append((title, part.program, part.is_drum, Score(notes, 1).notes.tolist()))
    tempos = sorted((tempo.time, tempo.mspq) for tempo in score.tempos)
    metres = [midi_metre(time.numerator, time.denominator) for time in score.time_signatures]
    ends = [end for *_, notes in parts for _, end, _ in notes] + [marker.time for marker in score.markers]
    return sorted(p for p in parts if p[3]), score.ticks_per_quarter, tempos, [*metres, (4, 4)][0], max(ends, default=0)


def midi_metre(numerator: int, denominator: int) -> tuple[int, int]:
    return (numerator, denominator) if numerator and denominator in (1, 2, 4, 8, 16, 32, 64) else (4, 4)


@pytest.mark.parametrize("tracks", TWICE.values(), ids=TWICE)
def test_a_file_means_to_us_what_it_means_to_symusic(tracks):
    data = file(*[track(*events) for events in tracks])
    assert heard(data) == heard_by_symusic(data)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Any well-formed file whose notes all end: running status, all channels, what we do not use in between."""
    tracks = []
    for _ in range(draw(st.integers(1, 3))):
        events, open_notes, status = [], [], 0
        for choice in draw(st.lists(st.integers(0, 7), max_size=30)):
            delta, channel, pitch = (
                draw(st.sampled_from([0, 1, 127, 128, 20000])),
                draw(st.integers(0, 15)),
                draw(pitches),
            )
            event = [
                on(pitch, channel),
                on(pitch, channel),
                off(*open_notes[0]) if open_notes else program(pitch, channel),
                on(*open_notes[-1], velocity=0) if open_notes else bytes([0xE0 | channel, 0, 64]),
                program(pitch, channel),
                bytes([0xD0 | channel, pitch]),
                meta(0x01, b"text"),
                b"\xf0\x03\x01\x02\xf7",
            ][choice]
            if choice < 2:
                open_notes.append((pitch, channel))
            elif choice < 4 and open_notes:
                open_notes.pop(0 if choice == 2 else -1)
            running = event[0] == status and draw(st.booleans())
            status = event[0] if event[0] < 0xF0 else 0
            events.append((delta, event[1:] if running else event))
        tracks.append(track(*events, *[(5, off(*place)) for place in open_notes]))
    return file(*tracks, division=draw(st.sampled_from([1, 96, 480, 32767])))


@given(files())
def test_any_well_formed_file_means_to_us_what_it_means_to_symusic(data):
    assert heard(data) == heard_by_symusic(data)
    assert not midi.parse(data).damage


# --- what the plain reader reads is read alike ---

TELLING = [0, 1, 0x2F, 0x3C, 0x40, 0x51, 0x7F, 0x80, 0x81, 0x90, 0x91, 0xB0, 0xC0, 0xD0, 0xF0, 0xF1, 0xF3, 0xF8, 0xFF]
noise = st.lists(st.sampled_from(TELLING), max_size=60).map(bytes)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Any file, some bytes of which are others, or missing, or too many."""
    data = bytearray(draw(files()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(22, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(noise)[:4]
    return bytes(data)


def seen(data: bytes) -> object:
    return told(midi.parse(data))


def told(said: File) -> object:
    parts = [
        (part.name, part.program, part.drums, Score(part.notes, 1).notes.tolist(), part.never_ended)
        for part in said.parts
    ]
    return parts, said.tempos, said.time_signature, said.length, said.damage


@given(damaged() | st.lists(noise.map(raw), max_size=3).map(lambda tracks: file(track(*note(60)), *tracks)))
def test_any_file_is_read_as_the_plain_reader_reads_it(data):
    parts, *_, damage = plainly = plain(data)
    if damage and not parts:
        with pytest.raises(MusicgenError, match=re.escape(damage)):
            midi.parse(data)
    else:
        assert seen(data) == plainly


@given(files(), st.integers(1, 5), st.integers(1, 9))
def test_it_does_not_matter_how_many_events_are_looked_at_at_once(data, batch, leap):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "BATCH", batch)
        patch.setattr(events, "LEAP", leap)
        assert seen(data) == plain(data)


def result(data: bytes) -> object:
    try:
        return seen(data)
    except MusicgenError as error:
        return str(error)


def results(files: list[bytes]) -> list[object]:
    return [str(said) if isinstance(said, MusicgenError) else told(said) for said in parse_all(files)]


@given(st.lists(damaged() | st.sampled_from([b"", b"noise", file(), file(track(*note(60)))[:-4]]), max_size=6))
def test_many_files_are_read_as_each_of_them_alone(files):
    assert results(files) == [result(data) for data in files]


@pytest.mark.parametrize(
    ("limit", "most"),
    [("smf.MAX_NOTES", 5), ("smf.MAX_TRACKS", 2), ("events.MAX_PLAYED", 10), ("events.MAX_METAS", 5)],
)
def test_what_is_too_much_is_too_much_for_one_file(monkeypatch, limit, most):
    few = file(track((0, name("a")), *note(60), *note(62)), track((0, name("b")), *note(64)))
    many = file(*[track((0, name("c")), *note(60), *note(62))] * 3)
    monkeypatch.setattr(f"musicgen_cli.{limit}", most)
    one, other, last = results([few, many, few])
    assert one == last == seen(few)
    assert str(other).startswith("more than ")


# --- refused by name ---

TUNE = track(*note(60))
REFUSED = {
    "nothing": (b"", "the file is empty"),
    "text": (b"hello, world, this is no tune", "not a MIDI file"),
    "half a header": (BAND[:9], "not a MIDI file"),
    "a RIFF file of another kind": (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(24), "not a MIDI file"),
    "type 2": (file(TUNE, kind=2), "MIDI type 2"),
    "SMPTE at 25 frames": (file(TUNE, division=0xE728), "SMPTE"),
    "division of zero": (file(TUNE, division=0), "no ticks per quarter note"),
    "half a first event": (file(TUNE)[:24], "damaged MIDI file .track 1 breaks off at the end of its bytes"),
    "no track where one should be": (file(b"MTrx" + TUNE[4:]) + bytes(9), "damaged MIDI file .no track"),
    "noise in a track": (
        file(track((0, b"\x11\x22\x33"))),
        "damaged MIDI file .track 1 breaks off at an event without",
    ),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_name(data, why):
    with pytest.raises(MusicgenError, match=why):
        midi.read(data)


def test_a_file_that_ends_anywhere_is_read_or_refused_in_one_line():
    reasons = [tried(BAND[:end]) for end in range(len(BAND))]
    assert all(isinstance(reason, Score) or "\n" not in reason for reason in reasons)
    assert {"the file is empty", "not a MIDI file"} < {reason for reason in reasons if isinstance(reason, str)}


def test_mutants_of_a_tune_are_read_or_refused_and_nothing_else():
    dice, ends = random.Random(88), Counter()
    for _ in range(600):
        mutant = bytearray(BAND)
        for _ in range(dice.randrange(1, 6)):
            mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        score = tried(bytes(mutant))
        ends[type(score)] += 1
        if isinstance(score, str):
            assert "\n" not in score
        else:
            assert (score.notes >= 0).all()
            assert (score.notes[:, 1] >= score.notes[:, 0]).all()
            with contextlib.suppress(MusicgenError):  # where a mutant lasts too long
                roll.encode(quantise(score, 4, max_steps=4096))
    assert min(ends[Score], ends[str]) > 20  # of each, or the test tests nothing


@pytest.mark.parametrize("options", [{}, {"tracks": ["1"]}])
def test_no_reason_is_given_for_leaving_out_nothing(options):
    no_drums = file(TUNE, track((0, off(36, 9))))  # over, but never struck: not a note
    assert 0 not in midi.read(no_drums, **options)[1].values()


# --- files from the world ---


def shared(folder: str, pattern: str = "*") -> list[Path]:
    files = sorted(path for path in (SHARED / folder).rglob(pattern) if path.is_file())
    if not files:
        pytest.skip(f"no shared/{folder} beside the repository")
    return files


def test_hostile_files_give_a_score_or_an_error_of_ours():
    for path in shared("hostile"):
        score = tried(path.read_bytes())
        if isinstance(score, Score):
            with contextlib.suppress(MusicgenError):  # where a file lasts too long
                roll.encode(quantise(score, 4))
        else:
            assert "\n" not in score, path.name


@pytest.mark.slow
@pytest.mark.parametrize("corpus", CORPORA)
def test_rolls_of_real_music_survive_being_midi_files(corpus):
    for path in shared(f"corpora/{corpus}", "*.mid"):
        score, _ = midi.read(path.read_bytes())
        music = roll.encode(quantise(score, 4))
        assert music.any(), path.name
        decoded = roll.decode(music, 4, score.tempo, score.time_signature)
        again, _ = midi.read(midi.write(decoded))
        assert np.array_equal(roll.encode(quantise(again, 4)), music), path.name
        assert again.tempo == pytest.approx(score.tempo, rel=1e-5), path.name
        assert again.time_signature == score.time_signature, path.name


# --- DESIGN 8.3 and 8.9: what the reference got wrong ---


def test_every_voice_and_part_is_read():  # DESIGN 8.3
    chorale = file(
        track((0, name("Upper")), (0, on(72)), (0, on(67, 1)), (480, off(72)), (0, off(67, 1))),
        track((0, name("Lower")), (0, on(60, 2)), (0, on(48, 3)), (480, off(60, 2)), (0, off(48, 3))),
    )
    assert notes(chorale) == [[0, 480, 48], [0, 480, 60], [0, 480, 67], [0, 480, 72]]
    one_track = file(track(*[(0, on(p)) for p in [48, 60, 67]], (480, off(48)), (0, off(60)), (0, off(67))), kind=0)
    assert notes(one_track) == [[0, 480, 48], [0, 480, 60], [0, 480, 67]]


def test_the_last_note_keeps_its_tail_and_the_last_rest_its_length():  # DESIGN 8.9
    score = Score([[0, 480, 60], [480, 5000, 67]], 480, length=9600)
    read, _ = midi.read(midi.write(score))
    assert read.notes[-1].tolist() == [480, 5000, 67]
    assert read.length == 9600


def test_tempo_and_time_signature_are_kept():  # DESIGN 8.9
    score = Score([[0, 480, 60]], 480, 480, 72.0, (6, 8))
    read, _ = midi.read(midi.write(score))
    assert (read.tempo, read.time_signature) == (pytest.approx(72, rel=1e-6), (6, 8))


def test_pitches_off_the_keyboard_are_read_as_they_are_for_quantise_to_drop():
    everything = file(track(*[event for pitch in range(128) for event in note(pitch)]))
    assert [pitch for *_, pitch in notes(everything)] == list(range(128))
    assert len(quantise(midi.read(everything)[0], 4).notes) == 88
