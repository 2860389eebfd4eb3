"""The report in a real browser, headless Chromium over its debugging pipe; skipped without one."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoloss.report.figures import write_figure
from autoloss.report.page.page import write_report
from tests.studied import tiny_study, working_in

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
# Chromium reads commands from file 3 and answers on file 4: no port, no other program.
LAUNCH = "import os, sys; [os.dup2(int(a), k) for a, k in zip(sys.argv[1:3], (3, 4))]"
LAUNCH += "; os.execv(sys.argv[3], sys.argv[3:])"
PATIENCE = 60.0  # seconds for an answer, on a busy machine

pytestmark = pytest.mark.skipif(FOUND is None, reason=f"none of {', '.join(NAMES)} is installed")


class Browser:
    """One page of Chromium: commands of the DevTools protocol, and the events they cause."""

    def __init__(self, profile: Path) -> None:
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), FOUND, *FLAGS]
        self._process = subprocess.Popen(
            [*command, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest, self._last, self._session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict:
        """A command's result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self) -> dict:
        """The next message; events are kept."""
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], deadline - time.monotonic())
            chunk = os.read(self._in, 1 << 20) if ready else b""
            assert chunk, "Chromium does not answer"
            self._rest += chunk
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, url: str) -> None:
        """Load a page, to its end."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()

    def evaluate(self, script: str) -> object:
        """An expression's value in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def view(self, width: int, scheme: str = "light") -> None:
        """The window's width and the colour scheme."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def click(self, element: str) -> None:
        """Press the mouse in the middle of an element."""
        script = f"""(() => {{ const e = {element};
            e.scrollIntoView({{block: "center", inline: "center", behavior: "instant"}});
            const box = e.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        x, y = self.evaluate(script)
        for kind in ("mousePressed", "mouseReleased"):
            at = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **at)

    def press(self, key: str, code: int, text: str) -> None:
        """A key on what has the focus."""
        named = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def close(self) -> None:
        """End Chromium."""
        self.call("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def report(studied, tmp_path_factory):
    """The tiny study's report with two figures, beside its files."""
    copy = tmp_path_factory.mktemp("browser") / "study"
    shutil.copytree(studied, copy)
    with working_in(copy):
        study = tiny_study()
        for name in ("figure_3", "figure_4"):
            list(write_figure(study, name))
        return (copy / write_report(study)).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def page(browser, report):
    browser.view(1200)
    browser.open(report)
    return browser


def column(page, table, k):
    """The texts of a column, the first being 0."""
    return page.evaluate(f"[...{table}.tBodies[0].rows].map(r => r.cells[{k}].textContent.trim())")


def test_it_opens_without_a_complaint_or_a_request(page):
    bad = [e for e in page.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    said = [e for e in page.events if e["method"] == "Runtime.consoleAPICalled"]
    asked = [e for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert not bad + said
    assert {e["params"]["request"]["url"].partition(":")[0] for e in asked} <= {"file", "data"}


def test_every_picture_is_seen(page):
    assert page.evaluate("document.images.length") == 2
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_a_click_sorts_and_so_does_a_key(page):
    table = "document.querySelector('#table_2 table')"
    head = f"{table}.querySelectorAll('[data-sort]')[1]"
    before = column(page, table, 1)
    states, orders = [], []
    for _ in range(3):
        page.click(f"{head}.querySelector('button')")
        states.append(page.evaluate(f"{head}.getAttribute('aria-sort')"))
        orders.append([float(text.split()[0]) for text in column(page, table, 1)])
    assert states == ["ascending", "descending", "none"]
    assert orders[0] == sorted(orders[0])
    assert orders[1] == sorted(orders[0], reverse=True)
    assert column(page, table, 1) == before
    page.evaluate(f"{table}.querySelector('[data-sort] button').focus()")
    page.press("Enter", 13, "\r")
    names = column(page, table, 0)
    assert names == sorted(names, key=str.lower) != column(page, f"({table})", 1)


def test_a_number_opens_its_runs(page):
    link = page.evaluate("document.querySelector('#table_2 td a').getAttribute('href')")
    target = f"document.getElementById({json.dumps(link[1:])})"
    assert not page.evaluate(f"{target}.open")
    page.click("document.querySelector('#table_2 td a')")
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(f"{target}.open") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert page.evaluate(f"{target}.open")


@pytest.mark.parametrize("width", [375, 800, 1400])
def test_nothing_is_wider_than_the_window(page, width):
    page.view(width)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


def test_the_dark_scheme_is_dark_and_figures_stay_on_white(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.view(1200, "dark")
    dark = page.evaluate(ground)
    assert light == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", dark))) < 40
    card = page.evaluate("getComputedStyle(document.images[0]).backgroundColor")
    assert card == "rgb(255, 255, 255)"
