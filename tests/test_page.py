"""The page to listen to, read as text and used in a browser."""

import base64
import html.parser
import io
import re
import time

import numpy as np
import pytest

from musicgen_cli import corpus as corpora
from musicgen_cli import page, sound
from musicgen_cli.corpus import Song
from musicgen_cli.page import Clip
from musicgen_cli.representations import encode
from musicgen_cli.score import Score
from tests.browser import browsing, needs_chromium
from tests.tunes import musicgen, talk, tune

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"
COMMAND = "musicgen sample 'my model.pt' --seed 7 --length 64 --temperature 0.8 --start zeros"
MADE = f"{COMMAND}; next with chord, 3 epochs, musicgen 0.1.0"


def written(*songs, audio=b"RIFF", **remarks):
    """A page of these (song, score)."""
    file = io.BytesIO()
    page.write(file, [Clip(song, score, audio, "wav") for song, score in songs], **({"title": "songs"} | remarks))
    return file.getvalue().decode()


class Reader(html.parser.HTMLParser):
    """Counts elements, and keeps the text of each kind and the attributes that name something to load or to run."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.links, self.handlers = [], {}, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


# -- the file


@pytest.mark.parametrize("where", ["name", "text", "title"])
def test_names_are_text_whatever_they_say(where):
    plain = Reader(written((Song(), tune(1))))
    song = Song(EVIL if where == "name" else "tune", text=EVIL if where == "text" else "")
    found = Reader(written((song, tune(1)), title=EVIL if where == "title" else "songs"))
    expected = plain.elements + ["p"] * (where == "text")
    assert sorted(found.elements) == sorted(expected)
    assert not found.handlers
    assert all(link.startswith("data:") for link in found.links)
    assert any(EVIL in text for texts in found.texts.values() for text in texts)


def test_a_page_asks_for_nothing_outside_it():
    text = written((Song(), tune(1)))
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)


def test_the_sound_is_in_the_page():
    (song,) = re.findall(r'<audio [^>]*src="data:audio/wav;base64,([^"]*)"', written((Song(), tune(1)), audio=b"abc"))
    assert base64.b64decode(song) == b"abc"


def test_model_seed_and_settings_stand_beside_a_sample_and_the_whole_command():
    texts = Reader(written((Song("sample-1", text=MADE), tune(1)))).texts
    assert texts["code"] == [f"{COMMAND} | musicgen decode -o sample-1.mid"]
    assert "next with chord, 3 epochs, musicgen 0.1.0" in texts["p"]
    assert any(text.startswith("seed 7, 4/4, 84 quarter notes a minute, ") for text in texts["p"])


def test_what_is_no_sample_says_where_it_comes_from():
    texts = Reader(written((Song("tune", text="found; in an attic"), tune(1)))).texts
    assert "code" not in texts
    assert "found; in an attic" in texts["p"]


def test_a_roll_draws_each_note_where_it_sounds():
    score = Score(np.array([[0, 4, 60], [4, 6, 60], [6, 8, 67]]), 4, 16, 120.0, (2, 4))
    drawn = page.roll(score)
    assert 'viewBox="0 0 96 ' in drawn
    (notes,) = re.findall(r'class="notes" d="([^"]*)"', drawn)
    boxes = [tuple(map(int, box)) for box in re.findall(r"M(\d+) (\d+)h(\d+)v1H\d+z", notes)]
    assert [(x, width) for x, _, width in boxes] == [(0, 23), (24, 11), (36, 11)]
    assert boxes[0][1] == boxes[1][1] == boxes[2][1] + 7
    assert re.findall(r'class="bars" d="([^"]*)"', drawn) == [f"M48 0v{drawn.split()[4].rstrip(chr(34))}"]


@pytest.mark.parametrize("length", [0, 16])
def test_silence_is_a_page_too(length):
    assert Reader(written((Song(), Score(np.zeros((0, 3)), 4, length)))).elements.count("article") == 1


def test_clips_are_written_one_by_one():
    alive = []

    def clips():
        for number in range(3):
            alive.append(file.getvalue().count(b"<article"))
            yield Clip(Song(str(number)), tune(1), b"", "wav")

    file = io.BytesIO()
    page.write(file, clips(), "songs")
    assert alive == [0, 1, 2]


# -- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "profile").mkdir()
    with browsing(folder / "profile") as opened:
        yield opened


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    """A page of four clips of 20 seconds, made by the command; the second song bears an evil name."""
    folder = tmp_path_factory.mktemp("page")
    scores = [tune(number, voices=4, bars=8) for number in range(4)]
    about = [Song(EVIL if i == 1 else f"tune {i}", 96.0, text=MADE) for i in range(4)]
    music = corpora.gather(zip(about, (encode(score, "rolls", 4) for score in scores)))
    with (folder / "four.npy").open("wb") as file:
        corpora.save(music, file)
    assert talk(musicgen("decode", "four.npy", "-o", "four.html", cwd=folder)) == ["wrote four.html, 4 songs"]
    return folder / "four.html"


@pytest.fixture
def opened(browser, listening):
    browser.screen(1000, 1200)
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(listening)
    browser.wait("songs.every(song => song.audio.readyState >= 1)")
    return browser


def playing(browser):
    return browser.value("songs.flatMap((song, i) => song.audio.paused ? [] : [i])")


def now(browser, song):
    return browser.value(f"songs[{song}].audio.currentTime")


@pytest.mark.slow
@pytest.mark.skipif(not sound.packs(), reason="without soundfile a page holds WAV")
def test_four_clips_of_twenty_seconds_are_less_than_a_megabyte(listening):
    assert listening.stat().st_size < 1_000_000


@pytest.mark.slow
@needs_chromium
def test_a_song_plays_the_clock_goes_on_and_the_cursor_moves(opened, tmp_path):
    assert opened.value("songs.every(song => Math.abs(song.audio.duration - song.seconds - 1.5) < 0.1)")
    opened.click("article:nth-of-type(1) button")
    first = opened.wait("songs[0].audio.currentTime")
    opened.wait(f"songs[0].audio.currentTime > {first} + 0.3")
    assert opened.value("songs[0].cursor.offsetLeft") > 5
    assert opened.value("songs[0].article.classList.contains('playing')")
    opened.picture(tmp_path / "playing.png")
    opened.click("article:nth-of-type(3) button")
    opened.wait("songs[2].audio.currentTime")
    assert playing(opened) == [2]
    opened.click("article:nth-of-type(3) button")
    assert playing(opened) == []
    assert not opened.complaints
    assert [address[:8] for address in opened.requests if not address.startswith("data:")] == ["file:///"]


@pytest.mark.slow
@needs_chromium
def test_a_click_into_the_roll_goes_there(opened):
    opened.click("article:nth-of-type(4) .paper", right=0.76)
    assert now(opened, 3) == pytest.approx(15.2, abs=0.1)
    assert opened.value("songs[3].clock.textContent") == "0:15 / 0:20"
    assert opened.value("songs[3].cursor.offsetLeft / songs[3].paper.offsetWidth") == pytest.approx(0.76, abs=0.01)
    assert opened.value("songs.indexOf(current)") == 3


@pytest.mark.slow
@needs_chromium
def test_the_keyboard_does_all(opened):
    opened.press(" ")
    opened.wait("songs[0].audio.currentTime")
    opened.press("ArrowRight")
    assert 5 < now(opened, 0) < 15
    opened.press("ArrowDown")
    opened.wait("songs[1].audio.currentTime")
    assert playing(opened) == [1]
    opened.press(" ")  # the button has the focus
    assert playing(opened) == []
    opened.press("ArrowLeft")
    assert now(opened, 1) == 0
    opened.press("ArrowDown")
    opened.press("ArrowUp")
    opened.press("ArrowUp")
    opened.press("ArrowUp")
    assert opened.value("songs.indexOf(current)") == 0
    opened.press("Tab")
    assert opened.value("document.activeElement.className") == "paper"
    opened.press(" ")
    assert playing(opened) == [0]
    assert not opened.complaints


@pytest.mark.slow
@needs_chromium
def test_it_ends_and_begins_again(opened):
    opened.value("seek(songs[0], songs[0].audio.duration - 0.2)")
    opened.press(" ")
    opened.wait("songs[0].audio.ended")
    opened.wait("!songs[0].article.classList.contains('playing')")
    assert opened.value("songs[0].clock.textContent") == "0:20 / 0:20"
    opened.press(" ")
    assert opened.wait("songs[0].audio.currentTime") < 15
    assert playing(opened) == [0]


@pytest.mark.slow
@needs_chromium
def test_an_evil_name_does_nothing(opened):
    time.sleep(0.1)
    assert opened.value("songs[1].article.querySelector('h2').textContent") == EVIL
    assert opened.value("document.querySelectorAll('script').length") == 1
    assert opened.value("document.querySelectorAll('img').length") == 0
    assert not opened.complaints


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_a_dark_room(opened, tmp_path, dark):
    opened.screen(360, 640, dark)
    opened.picture(tmp_path / "phone.png")
    assert opened.value("document.documentElement.scrollWidth") == 360
    assert opened.value("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)"
    )
    assert opened.value("songs[0].button.offsetWidth") >= 44
    opened.click("article:nth-of-type(1) .paper", right=0.5)
    assert 0 < now(opened, 0) < 20


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("musicgen sample m.pt --seed 1", True),
        ("musicgen sample $(touch x) --seed 1", False),
        ("musicgen sample m.pt --seed 1 | sh", False),
        ("musicgen sample 'm.pt", False),
    ],
)
def test_what_a_shell_would_do_more_with_is_no_command_to_copy(command, shown):
    text = written((Song("a", text=f"{command}; poly"), tune(1)))
    assert ("<code>" in text) == shown
    assert html.escape(command) in text
