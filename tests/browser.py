"""A headless Chromium driven through its DevTools pipe: real clicks, real keys, and all that it complains of.

No package is needed: messages are JSON, a NUL after each, on files 3 and 4 of the browser.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium here: apt install chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
    "--remote-debugging-pipe",
]  # fmt: skip
KEYS = {" ": "Space"}  # the codes of keys that are not their names
PATIENCE = 20.0  # seconds


class Browser:
    """One tab. `complaints` are errors and warnings of the console, `requests` all that it asked the network for."""

    def __init__(self, commands: int, answers: int):
        self.commands, self.answers, self.data, self.count, self.session = commands, answers, b"", 0, ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and wait for its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.data:
            assert select.select([self.answers], [], [], PATIENCE)[0], "the browser is silent"
            more = os.read(self.answers, 1 << 20)
            assert more, "the browser has gone"
            self.data += more
        first, _, self.data = self.data.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        facts = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(facts["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(facts["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(facts["args"]))
        return message

    def open(self, page: Path) -> None:
        """Open a file from disk and wait until it is loaded."""
        self("Page.navigate", url=page.absolute().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + PATIENCE
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"never so: {expression}"
            time.sleep(0.02)
        return value

    def click(self, selector: str, right: float = 0.5, down: float = 0.5) -> None:
        """Click on an element, so far from its left and its top."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        left, top, width, height = self.value(
            f"(box => [box.x, box.y, box.width, box.height])({found}.getBoundingClientRect())"
        )
        place = {"x": left + width * right, "y": top + height * down, "button": "left", "clickCount": 1}
        self("Input.dispatchMouseEvent", type="mousePressed", **place)
        self("Input.dispatchMouseEvent", type="mouseReleased", **place)

    def press(self, key: str) -> None:
        """Press a key: `ArrowLeft`, `Tab`, ` `."""
        code = KEYS.get(key, key)
        number = {"Space": 32, "Tab": 9, "Enter": 13}.get(code, 0)
        text = {"text": key} if len(key) == 1 else {}
        self("Input.dispatchKeyEvent", type="keyDown", key=key, code=code, windowsVirtualKeyCode=number, **text)
        self("Input.dispatchKeyEvent", type="keyUp", key=key, code=code, windowsVirtualKeyCode=number)

    def screen(self, width: int, height: int, dark: bool = False) -> None:
        """Show pages on a screen of so many pixels, light or dark."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write what is on the screen as a PNG."""
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot")["data"]))


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser that keeps its things in a folder, and is gone at the end."""
    assert CHROMIUM
    (theirs, commands), (answers, ours) = os.pipe(), os.pipe()
    line = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    wrapped = ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{ours}', "bash", *line]
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(wrapped, pass_fds=(theirs, ours), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(theirs)
        os.close(ours)
        try:
            yield Browser(commands, answers)
        finally:
            os.close(commands)  # at which it ends
            os.close(answers)
            process.wait(PATIENCE)
