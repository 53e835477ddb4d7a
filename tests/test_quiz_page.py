"""The page of a quiz in a real browser, clicked through by listeners who know, and who don't."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicgen_cli.cli import run
from musicgen_cli.quiz import pair_up, ready
from musicgen_cli.quiz_page import page
from musicgen_cli.quiz_score import read_answers, read_key, score
from tests.browser import Browser, browsing, needs_chromium
from tests.test_quiz import songs

pytestmark = [pytest.mark.slow, needs_chromium]
FAST = """{const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { this.playbackRate = 16; return play.call(this); };}"""
PAIRS, SECONDS = 2, 2.0
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder that holds quiz.html and quiz.key.json: clips of two seconds, and one in which they ring."""
    folder = tmp_path_factory.mktemp("page")
    human, machine = (ready(songs(first, PAIRS + 2, bars=4, tempo=240.0), SECONDS) for first in (1, 101))
    html, key = page(pair_up(human, machine, PAIRS, SECONDS, 0), {})
    (folder / "quiz.html").write_bytes(html)
    (folder / "quiz.key.json").write_bytes(key)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        browser("Page.addScriptToEvaluateOnNewDocument", source=FAST)
        yield browser


@pytest.fixture
def quiz(browser, folder) -> Browser:
    browser.value("window.onbeforeunload = null")  # else it asks whether to leave a quiz half done
    browser.value("try { sessionStorage.clear() } catch { }")  # a blank page has none
    browser("Page.navigate", url="about:blank")
    browser.complaints.clear()
    browser.requests.clear()
    browser.screen(900, 700)
    browser.open(folder / "quiz.html")
    return browser


def disabled(quiz: Browser, name: str) -> bool:
    return bool(quiz.value(f"document.getElementById('{name}').disabled"))


def begin(quiz: Browser, training: str = "some") -> None:
    assert disabled(quiz, "begin")
    quiz.click(f"input[value={training}]")
    quiz.click("#begin")


def listen(quiz: Browser) -> None:
    for side in SIDES:
        assert disabled(quiz, "choose-left")
        quiz.click(f"#play-{side}")
        quiz.wait(f"players.{side}.ended")
    quiz.wait("!document.getElementById('choose-left').disabled")


def test_a_whole_quiz_is_answered_by_clicks_and_scores_as_answered(quiz, folder, tmp_path, capsys):
    key = json.loads((folder / "quiz.key.json").read_text())
    persons = {pair["id"]: pair["person"] for pair in key["pairs"]}
    quiz("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    quiz.picture(tmp_path / "start.png")
    begin(quiz)
    for number in range(1, len(persons) + 1):
        assert quiz.value("document.getElementById('number').textContent") == f"Pair {number} of {PAIRS + 3}"
        assert quiz.value("document.querySelectorAll('svg').length") == 0
        listen(quiz)
        assert disabled(quiz, "next")
        pair, (left, _) = quiz.value("order[answers.length]")
        quiz.click(f"#choose-{'left' if persons[pair] in (left, None) else 'right'}")
        if number == 1:
            quiz.picture(tmp_path / "pair.png")
        quiz.click("#next")
    quiz.wait("!document.getElementById('end').hidden")
    assert quiz.value("document.querySelectorAll('svg').length") == 2 * (PAIRS + 3)
    quiz.picture(tmp_path / "end.png")
    quiz.click("#download")
    quiz.wait("window.onbeforeunload === null")
    (file,) = wait_for(tmp_path, "answers-*.json")
    assert file.read_text().strip() == quiz.value("document.getElementById('text').value")
    assert not quiz.complaints
    assert {url.partition(":")[0] for url in quiz.requests} <= {"file", "blob"}

    one = read_answers(file.read_bytes(), read_key((folder / "quiz.key.json").read_bytes()))
    assert (one.training, score([one]).right.count) == ("some", PAIRS)
    line = ["quiz", "--score", str(folder / "quiz.key.json"), str(file)]
    assert run(line) == 0
    assert f": {PAIRS} of {PAIRS} right" in capsys.readouterr().out
    assert run([*line, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["right"]["count"], facts["obvious"]["count"], facts["training"]["some"]["of"]) == (PAIRS, 1, PAIRS)

    edited = tmp_path / "edited.json"
    edited.write_text(file.read_text().replace('"choice": "left"', '"choice": "right"', 1))
    assert run([*line[:-1], str(edited)]) == 1
    assert "edited.json: was edited after it was given" in capsys.readouterr().err
    assert run([*line, str(edited), str(file)]) == 0
    told = capsys.readouterr()
    assert "2 files refused" in told.err
    assert "is of a listener whose answers are counted already" in told.err


def answer_one(quiz: Browser) -> None:
    listen(quiz)
    quiz.click("#choose-left")
    quiz.click("#next")


def test_a_page_that_is_loaded_again_goes_on_where_it_was(quiz):
    begin(quiz, "much")
    answer_one(quiz)
    before = quiz.value("JSON.stringify([listener, order, answers])")
    quiz.value("window.onbeforeunload = null")
    quiz.open(quiz_file(quiz))
    assert quiz.value("JSON.stringify([listener, order, answers])") == before
    assert quiz.value("document.getElementById('number').textContent") == f"Pair 2 of {PAIRS + 3}"
    assert quiz.value("state.training") == "much"
    assert quiz.value("typeof window.onbeforeunload") == "function"


def quiz_file(quiz: Browser) -> Path:
    return Path(quiz.value("decodeURIComponent(location.pathname)"))


def at_the_end(quiz: Browser) -> None:
    """As if all pairs were answered."""
    begin(quiz)
    quiz.value("order.forEach(([pair, [left, right]]) => answers.push({pair, left, right, choice: 'left', known: false,"
               " heard: [100, 100]})); go()")  # fmt: skip


@pytest.mark.parametrize(("written", "commanded"), [(False, False), (False, True), (True, False)])
def test_copied_is_said_of_what_is_copied_alone(quiz, written, commanded):
    at_the_end(quiz)
    quiz.value(f"navigator.clipboard.writeText = () => Promise.{'resolve' if written else 'reject'}();"
               f" document.execCommand = () => {json.dumps(commanded)}; 0")  # fmt: skip
    quiz.click("#copy")
    quiz.wait("document.getElementById('copy').textContent.includes('opied')")
    assert (quiz.value("document.getElementById('copy').textContent") == "Copied") == (written or commanded)
    assert (quiz.value("window.onbeforeunload") is None) == (written or commanded)


def test_who_sees_nothing_is_told_what_is_shown(quiz):
    at_the_end(quiz)
    names = quiz.value("[...document.querySelectorAll('svg')].map(svg => svg.getAttribute('aria-label'))")
    assert names[:2] == ["notes of pair 1, left", "notes of pair 1, right"]
    assert len(set(names)) == 2 * (PAIRS + 3)


def wait_for(folder: Path, pattern: str) -> list[Path]:
    end = time.monotonic() + 20
    while not (found := list(folder.glob(pattern))) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_one_clip_sounds_at_a_time_and_each_must_be_heard(quiz):
    begin(quiz)
    quiz.value("HTMLMediaElement.prototype.play = function (play) { return function () { const done = play.call(this);"
               " this.playbackRate = 1; return done; }; }(HTMLMediaElement.prototype.play)")  # fmt: skip
    quiz.click("#play-left")
    quiz.wait("players.left.currentTime > 0.2")
    quiz.click("#play-right")
    quiz.wait("players.right.currentTime > 0.1")
    assert quiz.value("players.left.paused")
    assert not quiz.value("players.right.paused")
    quiz.click("#play-right")
    quiz.wait("players.right.paused")
    assert disabled(quiz, "choose-left")
    assert disabled(quiz, "choose-right")
    quiz.value("players.left.currentTime = players.left.duration - 0.05; players.right.currentTime = 2.9")
    for side in SIDES:  # who skips to the end has not heard it
        quiz.click(f"#play-{side}")
        quiz.wait(f"players.{side}.ended")
    assert disabled(quiz, "choose-left")
    assert quiz.value("document.getElementById('heard-left').value") < 0.9  # what was heard, not how far


def test_every_listener_has_an_order_of_their_own(quiz, folder):
    orders = []
    for _ in range(3):
        quiz.open(folder / "quiz.html")
        orders.append(quiz.value("JSON.stringify(order)"))
        quiz("Page.navigate", url="about:blank")
    assert len(set(orders)) == 3


def test_keys_are_enough(quiz):
    quiz.value("document.querySelector('input[value=none]').focus()")
    quiz.press(" ")
    quiz.press("Tab")
    quiz.press(" ")
    quiz.wait("document.activeElement.id === 'number'")
    quiz.press("Tab")
    quiz.press(" ")
    quiz.wait("players.left.ended")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(quiz, tmp_path, dark):
    quiz.screen(360, 740, dark)
    begin(quiz)
    quiz.picture(tmp_path / "phone.png")
    assert quiz.value("document.documentElement.scrollWidth") <= 360
