"""Front ends as programs of their own, which can be killed, and what a page of one shows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).parent.parent.parent
WAIT_S = 120.0
RECIPES = (
    "greedy",
    "temperature(0.9) | top_p(0.95) | sample",
    "mirostat_v2(3.0) | sample",
    "beam(3)",
)
# Notes the tokens of the shortest column, again and again while the page says that it writes.
NOTES = """
window.fewest = [];
setInterval(() => {
  const line = document.querySelector('#line .status')?.textContent ?? '';
  const strips = [...document.querySelectorAll('#columns > .lane .strip')]
    .filter((strip) => strip.offsetParent);
  if (line.startsWith('Writing,'))
    fewest.push(Math.min(...strips.map((s) => s.querySelectorAll('.token').length)));
}, 20);
"""


class FrontEnd:
    """The command, with these settings, at a port that it has again after each start."""

    def __init__(self, port: int, settings: dict[str, Any]) -> None:
        self.port, self.address = port, f"http://127.0.0.1:{port}"
        given = {"port": port, "host": "127.0.0.1", **settings}
        names = {f"PLAYGROUND_{name.upper()}": str(value) for name, value in given.items()}
        self._environment = os.environ | names
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves its model."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "playground.cli", "run"],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + WAIT_S
        while not self._answers():
            assert self._process.poll() is None, "the front end has ended"
            assert time.monotonic() < end, "the front end is not up"
            time.sleep(0.1)

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError, ValueError):
            found: dict[str, Any] = httpx.get(f"{self.address}/healthz").json()
            return found.get("status") == "ok"
        return False

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as a host does that stops it, within a moment."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(WAIT_S)
        self._process = None


class Proxy:
    """A TCP proxy with an address of its own; connections go to the port ``to``."""

    def __init__(self) -> None:
        self.to = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.to), 5)
                    server.settimeout(None)
                except OSError:
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        self._listening.close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while sent := one.recv(1 << 16):
            other.sendall(sent)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def visiting(browser: Browser, address: str, tokens: int = 400) -> Iterator[tuple[Page, list[str]]]:
    """A page set up by a link, and the errors that it showed.

    Browsers write it to the console where a server cannot be reached, which is not counted.
    """
    context = browser.new_context()
    faults: list[str] = []
    page = context.new_page()
    page.set_default_timeout(WAIT_S * 1000)
    page.add_init_script(NOTES)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    asked = [("prompt", "abab"), *(("recipe", recipe) for recipe in RECIPES)]
    asked += [("tokens", str(tokens)), ("least", str(tokens)), ("seed", "7")]
    page.goto(f"{address}/#{urlencode(asked)}")
    page.wait_for_selector("#facts .status:has-text('parameters')")
    expect(page.locator("#line")).to_contain_text("Set up from the link")
    try:
        yield page, faults
    finally:
        context.close()


def shown(page: Page) -> list[list[str]]:
    """The tokens of each column, each with its text, id, probabilities and ranks."""
    found: list[list[str]] = page.evaluate(
        "() => [...document.querySelectorAll('#columns > .lane .strip')]"
        ".filter((strip) => strip.offsetParent)"
        ".map((strip) => [...strip.querySelectorAll('.token')].map((t) => t.title))"
    )
    return found


def end(page: Page) -> None:
    """Wait until its run has ended."""
    patient = WAIT_S * 1000
    expect(page.locator("#line .status")).to_have_attribute("data-kind", "done", timeout=patient)
    expect(page.locator("#run")).to_be_enabled()


def is_written(page: Page, least: int) -> None:
    """Wait until each column is being written, and has so many tokens."""
    page.wait_for_function(
        "(least) => [...document.querySelectorAll('#columns > .lane .strip')]"
        ".filter((strip) => strip.offsetParent)"
        ".every((strip) => strip.dataset.state === 'running' &&"
        " strip.querySelectorAll('.token').length >= least)",
        arg=least,
    )


def fewest(page: Page) -> int:
    """The fewest tokens that a column had while a run was written, since the page was loaded."""
    noted: list[int] = page.evaluate("fewest")
    return min(noted)


def no_error(page: Page) -> None:
    """Check that it shows no error, neither of its own nor of Gradio's."""
    expect(page.locator("#line .status[data-kind='bad'], .message:visible")).to_have_count(0)
    expect(page.locator(".toast-body:visible")).to_have_count(0)
