import io
import math
import re
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st

import musicgen_cli
from musicgen_cli import corpus as corpora
from musicgen_cli import midi
from musicgen_cli.commands.plot import plot
from musicgen_cli.corpus import Song
from musicgen_cli.curves_plot import LINE, PANELS, TO, curves_plot, ticks
from musicgen_cli.drawing import COLOURS, DARK, LIGHT, MAX_SIDE, Boxes, Lines, Picture, Text, below_each_other, png, svg
from musicgen_cli.errors import MusicgenError
from musicgen_cli.histograms_plot import histograms_plot
from musicgen_cli.roll import decode, encode
from musicgen_cli.roll_plot import roll_plot
from musicgen_cli.score import quantise
from tests.strategies import drawn, rolls
from tests.tunes import tune

TUNE = drawn("""\
C5 ....|....|..#-
E4 ....|#---|....
C4 ....|....|#-##""")
SVG = "{http://www.w3.org/2000/svg}"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>&\"']]>\x00\x1b[31m\ud800\u202e\ufffe\n$x_1$ \u3042\u3000\U0001f3b9"


def of(picture: Picture, kind: type, role: str) -> list:
    return [shape for shape in picture.shapes if isinstance(shape, kind) and shape.role == role]


def notes(picture: Picture) -> np.ndarray:
    """The rectangles of the notes, (N, 4), by place."""
    (boxes,) = [shape.boxes for shape in of(picture, Boxes, "a")]
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


def texts(picture: Picture) -> dict[str, Text]:
    return {shape.text: shape for shape in picture.shapes if isinstance(shape, Text)}


def numbers(picture: Picture) -> list[Text]:
    return [shape for shape in picture.shapes if isinstance(shape, Text) and shape.text.isdecimal()]


def history(epochs: int, sides=("train", "valid"), words: bool = False, best: int = 0) -> list[dict[str, float]]:
    """Made-up rows of a history, as `train` makes them."""
    names = ("loss", "accuracy") if words else ("loss", "recall", "precision", "f1", "density", "corpus_density")
    rows = []
    for epoch in range(1, epochs + 1):
        scores = {f"{side}_{name}": len(name) + len(side) / 10 + 1 / epoch for side in sides for name in names}
        rows.append({"epoch": epoch, "learning_rate": 1e-3, **scores, "seconds": 1.5, "best": int(epoch == best)})
    return rows


# -- piano rolls


@settings(max_examples=40)
@given(rolls() | rolls(bits=1))
def test_every_note_is_drawn_once(roll):
    count = len(decode(roll, 1).notes)
    picture = roll_plot(roll, 16)
    drawing = ElementTree.fromstring(svg(picture))
    paths = [path.get("d") for path in drawing.iter(f"{SVG}path") if path.get("class") == "a"]
    assert sum(path.count("M") for path in paths) == count
    assert ("silence" in texts(picture)) == (count == 0)


def test_a_note_stands_at_its_bar_and_in_the_lane_of_its_key():
    picture = roll_plot(TUNE, 4)
    named, places = texts(picture), notes(picture)
    bar = named["2"].x - named["1"].x
    assert [(x - named["1"].x) / bar for x in places[:, 0]] == [1, 2, 2.5, 2.5, 2.75]
    assert places[0, 2] == bar - 1  # a pixel less than it lasts: notes that touch are told apart
    middle = places[:, 1] + places[:, 3] / 2
    lanes = [named[name].y - 3.5 for name in ("E4", "C4", "C5", "C4", "C4")]
    assert middle == pytest.approx(lanes)
    assert lanes[2] < lanes[0] < lanes[1]  # high keys on top


def test_black_keys_have_darker_lanes_between_the_lowest_and_the_highest_key():
    (lanes,) = of(roll_plot(TUNE, 4), Boxes, "black-key")  # A#3 to C#5 or D5: two keys more on either side
    assert len(lanes.boxes) == 7
    (lane,) = of(roll_plot(TUNE, 4), Boxes, "lane")
    assert lane.boxes[0, 3] / lanes.boxes[0, 3] == 17


@pytest.mark.parametrize("key", [0, 1, 43, 86, 87])
def test_an_octave_at_least_is_drawn_at_both_ends_of_the_piano(key):
    roll = np.zeros((4, 88), bool)
    roll[:, key] = True
    (lane,), ((_, y, _, height),) = of(roll_plot(roll, 4), Boxes, "lane"), notes(roll_plot(roll, 4))
    assert lane.boxes[0, 3] >= 13 * height
    assert lane.boxes[0, 1] <= y < y + height <= lane.boxes[0, 1] + lane.boxes[0, 3]


def test_a_long_song_goes_on_in_the_next_line():
    roll = np.zeros((86 * 12 + 5, 88, 2), bool)
    roll[:, 39] = [False, True]  # one long C4, though its start is not here
    roll[100:600, 60, 0] = True
    picture = roll_plot(roll, 12, beats=3)
    lanes = [shape.boxes[0] for shape in of(picture, Boxes, "lane")]
    assert len(lanes) == 5
    assert len(notes(picture)) == 5 + 500
    widths = [width for _, _, width, _ in lanes]
    assert widths[:-1] == [widths[0]] * 4
    assert sum(widths) / widths[0] * 18 == pytest.approx(86 + 5 / 12)  # of 18 bars each
    begins = [int(number.text) for number in numbers(picture) if number.x == lanes[0][0]]
    assert begins == [1, 19, 37, 55, 73]
    for (_, top, _, height), (_, below, *_) in pairwise(lanes):
        assert top + height < below
    assert max(number.x for number in numbers(picture)) < lanes[0][0] + widths[0]  # no number where a line ends


@pytest.mark.parametrize("steps_per_bar", [1, 2, 7, 16, 96, 4096])
@pytest.mark.parametrize("steps", [1, 16, 700, 5000])
def test_bar_numbers_count_up_and_never_touch(steps, steps_per_bar):
    picture = roll_plot(np.ones((steps, 88), bool)[:, ::-1], steps_per_bar, beats=4)
    found = numbers(picture)
    values = [int(number.text) for number in found]
    assert values == sorted(set(values))
    assert values[-1] <= math.ceil(steps / steps_per_bar)
    assert all(a.y < b.y or b.x - a.x >= 40 for a, b in pairwise(found))
    assert picture.width < 1100
    assert all(0 <= text.x <= picture.width and 0 <= text.y <= picture.height for text in texts(picture).values())


def test_a_roll_from_the_middle_of_a_song_has_the_numbers_of_the_song():
    picture = roll_plot(TUNE, 4, first_step=10)  # two steps before bar 4
    assert [number.text for number in numbers(picture)] == ["4", "5", "6"]
    named = texts(picture)
    bar = named["5"].x - named["4"].x
    assert (notes(picture)[0, 0] - named["4"].x) / bar == 0.5
    assert of(picture, Boxes, "lane")[0].boxes[0, 0] == named["4"].x - bar / 2


@pytest.mark.parametrize("roll", [np.zeros((40, 88, 2), bool), np.zeros((0, 88), bool)])
def test_silence_is_said(roll):
    picture = roll_plot(roll, 16, "4'33\"")
    assert {"silence", "4'33\"", "C4"} <= set(texts(picture))


def test_a_song_of_thousands_of_notes_is_a_small_file():
    roll = np.random.default_rng(0).random((1500, 88, 2)) < 0.03
    data = svg(roll_plot(roll, 16))
    assert len(data) < 40 * len(decode(roll, 1).notes)
    assert data.count(b"<path") < 200


# -- learning curves


def test_each_kind_of_model_has_its_panels():
    bold = [[text.text for text in texts(curves_plot(rows)).values() if text.bold and text.text] for rows in
            (history(4), history(4, words=True), [{"epoch": 1, "train_loss": 2.0}])]  # fmt: skip
    names = [heading for heading, _ in PANELS]
    assert bold == [[names[0], names[1], names[3]], [names[0], names[2]], [names[0]]]


def test_training_is_faint_beside_validation():
    picture = curves_plot(history(4))
    found = {text.text: text.role for text in texts(picture).values() if text.x > TO}
    assert found == {
        "training": "a-light", "validation": "a",
        "recall, training": "a-light", "precision, training": "b-light", "recall": "a", "precision": "b",
        "predicted, training": "a-light", "corpus, training": "c-light", "predicted": "a", "corpus": "c",
    }  # fmt: skip
    assert [len(line.lines[0]) for line in of(picture, Lines, "a")] == [4, 4, 4]


def test_without_validation_songs_training_is_all_there_is():
    picture = curves_plot(history(4, sides=("train",), best=3))
    found = {text.text: text.role for text in texts(picture).values() if text.x > TO}
    assert found == {"training": "a", "recall": "a", "precision": "b", "predicted": "a", "corpus": "c"}
    assert "best: training 4.833" in texts(picture)


def test_a_curve_goes_through_its_values():
    rows = [{"epoch": n, "train_loss": loss} for n, loss in ((1, 4.0), (2, 2.0), (5, 3.0))]
    picture = curves_plot(rows)
    (curve,) = [line.lines[0] for line in of(picture, Lines, "a")]
    named = texts(picture)
    assert [named[str(n)].x for n in (1, 2, 5)] == pytest.approx(list(curve[:, 0]))
    assert [named[label].y - 3.5 for label in ("4.0", "2.0", "3.0")] == pytest.approx(list(curve[:, 1]))


def test_the_best_epoch_is_the_last_that_was_one():
    rows = history(9)
    rows[2]["best"] = rows[6]["best"] = 1
    picture = curves_plot(rows)
    named = texts(picture)
    assert named["best: 7"].x == pytest.approx(of(picture, Lines, "mark")[0].lines[0][0, 0])
    assert len(of(picture, Lines, "mark")) == 3
    assert {"best: validation 4.643", "best: recall 6.643, precision 9.643"} <= set(named)


def test_one_epoch_is_dots():
    picture = curves_plot(history(1, best=1))
    assert [number.text for number in numbers(picture) if number.anchor == "middle"] == ["1"]
    assert all(len(shape.lines[0]) == 2 and np.ptp(shape.lines[0]) < 1000 for shape in of(picture, Lines, "a"))
    assert of(picture, Lines, "a")[0].lines[0][1, 0] - of(picture, Lines, "a")[0].lines[0][0, 0] < 0.1


def test_values_that_are_no_numbers_leave_gaps():
    rows = history(7, best=4)
    rows[1]["valid_loss"], rows[3]["valid_loss"] = math.nan, math.inf
    del rows[5]["valid_recall"]
    picture = curves_plot(rows)
    assert [len(line.lines[0]) for line in of(picture, Lines, "a") if line.width == 2] == [3, 5, 7]
    assert len([line for line in of(picture, Lines, "a") if line.width == 5]) == 3  # epochs 1 and 3, and recall's last
    assert not [name for name in texts(picture) if name.startswith("best: validation")]
    assert b"nan" not in svg(picture)


@pytest.mark.parametrize("value", [math.nan, 0.0, 1e30, -3.0, 1e-12])
def test_curves_of_one_value_are_drawn(value):
    picture = curves_plot([{"epoch": n, "train_loss": value, "valid_loss": value, "best": 1} for n in (1, 2)])
    data = svg(picture)
    ElementTree.fromstring(data)
    assert not re.search(rb"\b(nan|inf)\b", data)
    assert ("No numbers to draw" in texts(picture)) == math.isnan(value)


def test_a_training_without_an_epoch_has_no_curves():
    with pytest.raises(MusicgenError, match=r"no epoch is finished.*train longer"):
        curves_plot([])


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5), st.booleans())
@example([(0.0, 0.0, 0.0, 5e-324)], False)
def test_labels_never_overlap_and_stay_inside(values, words):
    keys = ("train_recall", "valid_recall", "train_precision", "valid_precision")
    rows = [{"epoch": n, **dict(zip(keys, row)), "best": 1} for n, row in enumerate(values, 1)]
    picture = curves_plot(rows)
    heights = sorted(text.y for text in texts(picture).values() if text.x > TO)
    assert len(heights) == 4
    assert min(np.diff(heights)) >= LINE - 1e-9
    assert heights[0] > 40 + 12
    assert heights[-1] < picture.height - 40


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e6), st.integers(5, 12))
def test_ticks_are_round_and_as_many_as_there_is_room_for(low, size, most):
    marks = ticks(low, low + size, most)
    assert 2 <= len(marks) <= most
    assert low - 1e-6 * size <= marks[0]
    assert marks[-1] <= low + size * (1 + 1e-6)
    step = marks[1] - marks[0]
    assert np.diff(marks) == pytest.approx(step, rel=1e-6)
    digit = step / 10 ** math.floor(math.log10(step * 1.000001))
    assert min(abs(digit - nice) for nice in (1, 2, 5)) < 1e-4
    assert size / (step / 2.5) > most - 1.001  # the next finer ones would be too many


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 45, [10, 20, 30, 40]), (0.0093, 0.0221, [0.01, 0.015, 0.02]), (1, 2, 6)],
)
def test_ticks_as_one_would_write_them(low, high, marks):
    found = ticks(low, high)
    assert len(found) == marks if isinstance(marks, int) else found == pytest.approx(marks)


# -- files


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [roll_plot(TUNE, 4, HOSTILE), roll_plot(TUNE[:4], 4, HOSTILE), curves_plot(history(8, best=3), HOSTILE)]


def test_names_from_strangers_are_text_and_nothing_else(pictures):
    for picture in pictures:
        drawing = ElementTree.fromstring(svg(picture))
        assert {element.tag for element in drawing.iter()} == {
            SVG + tag for tag in ("svg", "title", "style", "path", "text")
        }
        name = "<script>&\"']]>\ufffd\ufffd[31m\ufffd\ufffd\ufffd $x_1$ \u3042 \U0001f3b9"
        assert drawing.find(f"{SVG}title").text == name
        (shown,) = [text.text for text in drawing.iter(f"{SVG}text") if text.get("font-size") == "15"]
        assert shown == name or (shown.endswith("\u2026") and name.startswith(shown[:-1]))


def test_an_svg_has_a_size_a_background_and_a_role(pictures):
    for picture in pictures:
        drawing = ElementTree.fromstring(svg(picture))
        assert (drawing.get("role"), drawing.get("viewBox")) == ("img", f"0 0 {picture.width} {picture.height}")
        assert (drawing.get("width"), drawing.get("height")) == (str(picture.width), str(picture.height))
        first = drawing.find(f"{SVG}path")
        assert (first.get("class"), first.get("d")) == (
            "paper",
            f"M0 0h{picture.width}v{picture.height}h-{picture.width}z",
        )


def test_every_role_has_a_colour_on_light_and_on_dark_paper(pictures):
    light, dark = svg(pictures[0]).decode().split("@media (prefers-color-scheme:dark)")
    used = {shape.role for picture in pictures for shape in picture.shapes}
    assert used <= set(COLOURS)
    for role in COLOURS:
        assert f".{role}{{color:{LIGHT[role]}}}" in light
        assert f".{role}{{color:{DARK[role]}}}" in dark


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_and_notes_stand_out_from_the_paper(palette, pictures):
    def luminance(role: str) -> float:
        channels = [int(palette[role][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return np.dot(
            [0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        )

    def contrast(role: str) -> float:
        low, high = sorted([luminance(role), luminance("paper")])
        return (high + 0.05) / (low + 0.05)

    assert min(map(contrast, ("ink", "soft", "a", "b", "c"))) > 4.5  # WCAG AA
    assert min(map(contrast, ("a-light", "b-light", "c-light"))) > 2.5


def test_the_same_picture_is_the_same_bytes():
    assert svg(roll_plot(TUNE, 4, "a")) == svg(roll_plot(TUNE.copy(), 4, "a"))
    assert svg(curves_plot(history(5))) == svg(curves_plot(history(5)))


def test_numbers_are_short():
    line = Lines("ink", [np.array([[0, 1 / 3], [10.004, 1 / 3], [10.004, 5], [-0.001, 7.25]])])
    assert b'd="M0 0.33h10v4.67l-10 2.25"' in svg(Picture(20, 20, [line]))


@pytest.mark.slow
def test_a_png_is_the_same_picture_at_twice_the_size(pictures):
    pytest.importorskip("matplotlib")
    from PIL import Image

    picture = pictures[0]
    data = png(picture)
    assert data.startswith(SIGNATURE)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    assert image.size == (2 * picture.width, 2 * picture.height)

    def colour(x: float, y: float) -> str:
        return "#{:02x}{:02x}{:02x}".format(*image.getpixel((int(2 * x), int(2 * y))))

    for x, y, width, height in notes(picture):
        assert {colour(x + width * i, y + height / 2) for i in (0.1, 0.5, 0.9)} == {LIGHT["a"]}
        assert LIGHT["a"] not in {colour(x - 1, y + height / 2), colour(x + width / 2, y - 1)}
    assert colour(1, 1) == LIGHT["paper"]


@pytest.mark.parametrize("index", range(3))
def test_png_bytes_are_the_same_every_time(pictures, index):
    pytest.importorskip("matplotlib")
    assert png(pictures[index]) == png(pictures[index])


def test_a_png_has_its_limits():
    pytest.importorskip("matplotlib")
    with pytest.raises(MusicgenError, match="too large for a PNG"):
        png(Picture(10, MAX_SIDE + 1, []))


def test_without_matplotlib_the_way_out_is_named(monkeypatch, pictures):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MusicgenError, match=re.escape("pip install 'musicgen-cli[plot]', or write .svg")):
        png(pictures[0])


# -- several songs, given notes


def test_pictures_stand_below_each_other():
    one, two = roll_plot(TUNE, 4, "one"), curves_plot(history(3), "two")
    both = below_each_other([one, two, roll_plot(np.zeros((0, 88), bool), 4)], "three")
    assert (both.width, both.title) == (max(one.width, two.width, 376), "three")
    assert both.height == one.height + two.height + roll_plot(np.zeros((0, 88), bool), 4).height
    assert len(both.shapes) > len(one.shapes) + len(two.shapes)
    for single, moved in zip(two.shapes, both.shapes[len(one.shapes) :]):
        assert type(single) is type(moved)
        if isinstance(single, Text):
            assert (moved.x, moved.y) == (single.x, single.y + one.height)
        elif isinstance(single, Lines):
            assert np.allclose(moved.lines[0] - single.lines[0], [0, one.height])
    assert svg(below_each_other([one], one.title)) == svg(one)


@pytest.mark.parametrize(
    ("first", "given", "count"), [(0, 0, 0), (0, 6, 2), (0, 7, 3), (5, 7, 1), (5, 5, 0), (0, 99, 5)]
)
def test_notes_that_were_given_are_told_from_those_that_were_made(first, given, count):
    """TUNE strikes at steps 4, 6, and 8 or later."""
    picture = roll_plot(TUNE[first:], 4, first_step=first, given=given)
    started = decode(TUNE[first:], 1).notes[:, 0] + first
    assert sum(len(shape.boxes) for shape in of(picture, Boxes, "c")) == sum(started < given)
    assert sum(len(shape.boxes) for shape in of(picture, Boxes, "a")) == sum(started >= given)
    assert ({"given", "made"} <= set(texts(picture))) == (given > 0)


# -- histograms


def test_histograms_of_the_same_music_have_all_in_common_and_of_others_less():
    music, other = (corpora.gather([(Song(), encode(quantise(tune(n), 4)))]) for n in (1, 2))
    same, unlike = (
        texts(histograms_plot(music, music)),
        [t.text for t in histograms_plot(music, other).shapes if isinstance(t, Text)],
    )
    assert "100% in common" in same
    assert sum(text.endswith("in common") for text in unlike) == 6
    assert unlike.count("100% in common") < 3


def test_bars_are_as_high_as_their_share():
    roll = np.zeros((16, 88, 2), bool)
    roll[0:16:4, 39, 0] = roll[0:16:8, 43, 0] = True  # four C, two E
    shapes = histograms_plot(*[corpora.gather([(Song(), roll)])] * 2).shapes
    first = next(shape for shape in shapes if isinstance(shape, Boxes))
    assert first.boxes[:, 3] == pytest.approx([112, 56])


def test_histograms_of_two_grids_are_refused(tmp_path):
    for grid in (4, 12):
        with (tmp_path / f"{grid}.npy").open("wb") as file:
            corpora.save(corpora.gather([(Song(), encode(quantise(tune(1), grid)))], grid), file)
    with pytest.raises(MusicgenError, match="4 steps per quarter note, the real music 12"):
        plot(tmp_path / "4.npy", tmp_path / "out.svg", against=tmp_path / "12.npy")


# -- the command


@pytest.fixture
def corpus(tmp_path):
    songs = [(Song(f"Tune {n}", 100.0, (4, 4)), encode(tune(n, bars=bars))) for n, bars in ((1, 6), (2, 80))]
    with (tmp_path / "rolls.npy").open("wb") as file:
        corpora.save(corpora.gather(songs), file)
    return tmp_path / "rolls.npy"


def title(path) -> str:
    return ElementTree.parse(path).find(f"{SVG}title").text


def count(path) -> int:
    return sum(p.get("d").count("M") for p in ElementTree.parse(path).iter(f"{SVG}path") if p.get("class") == "a")


def test_a_song_of_a_corpus_is_drawn(corpus, capsys):
    plot(corpus, corpus.with_suffix(".svg"), song="Tune 1")
    assert title(corpus.with_suffix(".svg")) == "Tune 1"
    assert count(corpus.with_suffix(".svg")) == len(quantise(tune(1, bars=6), 4).notes)
    assert capsys.readouterr() == ("", f"wrote {corpus.with_suffix('.svg')}\n")


def test_of_a_long_song_64_bars_are_drawn_and_that_is_said(corpus, capsys):
    out = corpus.with_name("out.svg")
    plot(corpus, out, song="2")
    assert capsys.readouterr().err.splitlines()[0] == "drew 64 bars, 1024 of 1280 steps; --steps 1280 draws all"
    plot(corpus, out, song="2", steps=1280)
    assert capsys.readouterr().err == f"wrote {out}\n"
    plot(corpus, out, song="2", quiet=True)
    assert capsys.readouterr().err == ""


def test_a_part_of_a_song_is_drawn(corpus):
    out = corpus.with_name("out.svg")
    plot(corpus, out, first=33, steps=32, quiet=True)
    found = [text.text for text in ElementTree.parse(out).iter(f"{SVG}text")]
    assert [text for text in found if text.isdecimal()] == ["3", "4"]
    with pytest.raises(MusicgenError, match=r"rolls.npy: --first 97 is behind the end: the song has 96 steps"):
        plot(corpus, out, first=97)


def test_a_midi_file_is_drawn(tmp_path):
    (tmp_path / "tune.mid").write_bytes(midi.write(tune(3)))
    plot(tmp_path / "tune.mid", tmp_path / "out.svg", quiet=True)
    assert (title(tmp_path / "out.svg"), count(tmp_path / "out.svg")) == ("tune", len(quantise(tune(3), 4).notes))


def test_several_songs_are_drawn_from_one_on(corpus, capsys):
    out = corpus.with_name("out.svg")
    plot(corpus, out, count=2, steps=32, quiet=True)
    found = [text.text for text in ElementTree.parse(out).iter(f"{SVG}text")]
    assert {"Tune 1", "Tune 2"} <= set(found)
    assert title(out) == "2 piano rolls"
    plot(corpus, out, song="2", count=3, steps=32)
    assert capsys.readouterr().err == f"only 1 song from there on\nwrote {out}\n"
    assert title(out) == "Tune 2"


def test_what_a_sample_was_primed_with_is_marked(tmp_path):
    text = "musicgen sample model.pt --seed 1 --length 64 --temperature 1 --prime t.mid --song t{}; chord with chord"
    for include, marked in ((" --include-prime", True), ("", False)):
        song = Song("s", text=text.format(include))
        with (tmp_path / "rolls.npy").open("wb") as file:
            corpora.save(corpora.gather([(song, encode(quantise(tune(1), 4)))]), file)
        plot(tmp_path / "rolls.npy", tmp_path / "out.svg", quiet=True)
        found = {text.text for text in ElementTree.parse(tmp_path / "out.svg").iter(f"{SVG}text")}
        assert ({"given", "made"} <= found) == marked
        assert (count(tmp_path / "out.svg") == sum(quantise(tune(1), 4).notes[:, 0] >= 32)) == marked


def test_samples_are_drawn_beside_real_music(corpus):
    out = corpus.with_name("out.svg")
    plot(corpus, out, against=corpus, quiet=True)
    assert title(out) == "rolls.npy beside rolls.npy"
    (corpus.parent / "tune.mid").write_bytes(midi.write(tune(3)))
    with pytest.raises(MusicgenError, match=r"tune.mid: --against compares corpora, and this is none"):
        plot(corpus.parent / "tune.mid", out, against=corpus)
    with pytest.raises(MusicgenError, match=r"^\S*tune.mid: is no .npy file"):
        plot(corpus, out, against=corpus.parent / "tune.mid")


@pytest.mark.parametrize("option", [{"song": "9"}, {"count": 4}, {"first": 999}, {"steps": 1}])
def test_options_for_rolls_do_not_go_with_against(corpus, option):
    with pytest.raises(typer.BadParameter, match="--against draws all songs"):
        plot(corpus, corpus.with_name("out.svg"), against=corpus, **option)


def test_samples_of_one_bit_a_key_are_not_drawn_beside_two(corpus, tmp_path):
    with (tmp_path / "one.npy").open("wb") as file:
        corpora.save(corpora.gather([(Song("s"), encode(quantise(tune(1), 4)).any(2))]), file)
    with pytest.raises(MusicgenError, match="the samples have 1 bit a key, the real music 2"):
        plot(tmp_path / "one.npy", tmp_path / "out.svg", against=corpus)


def test_a_checkpoint_is_drawn_as_curves(tmp_path, monkeypatch):
    trained = SimpleNamespace(model="poly", loss="focal", history=history(3))
    monkeypatch.setattr(musicgen_cli, "checkpoint", SimpleNamespace(load=lambda file: trained), raising=False)
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    plot(tmp_path / "model.pt", tmp_path / "curves.svg", quiet=True)
    assert title(tmp_path / "curves.svg") == "model.pt: poly, focal"
    trained.history = []
    with pytest.raises(MusicgenError, match=r"model.pt: no epoch is finished"):
        plot(tmp_path / "model.pt", tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_the_suffix_says_what_is_written(corpus):
    pytest.importorskip("matplotlib")
    plot(corpus, corpus.with_suffix(".PNG"), quiet=True)
    assert corpus.with_suffix(".PNG").read_bytes().startswith(SIGNATURE)


@pytest.mark.parametrize("name", ["out.pdf", "out", "model.pt", ".svg"])
def test_another_suffix_is_refused(corpus, name):
    with pytest.raises(MusicgenError, match=rf"{name}: a picture is a \.svg or a \.png"):
        plot(corpus, corpus.with_name(name))
    assert not corpus.with_name(name).exists()


def test_what_is_no_music_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("do re mi")
    with pytest.raises(MusicgenError, match=r"notes.txt: is neither a corpus, nor a checkpoint, nor a MIDI file"):
        plot(tmp_path / "notes.txt", tmp_path / "out.svg")


def test_from_stdin_to_stdout_without_torch_or_pyplot(corpus):
    code = """if True:
        import sys
        from pathlib import Path
        from musicgen_cli.commands.plot import plot
        plot()
        assert not {"torch", "matplotlib", "musicgen_cli.checkpoint"} & set(sys.modules)
        try:
            plot(Path(sys.argv[1]), Path(sys.argv[2]), quiet=True)
        finally:
            assert not {"torch", "matplotlib.pyplot"} & set(sys.modules)
    """
    line = [sys.executable, "-W", "error", "-c", code, corpus, corpus.with_suffix(".png")]
    done = subprocess.run(line, input=corpus.read_bytes(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == svg(roll_plot(encode(tune(1, bars=6)), 16, "Tune 1"))
