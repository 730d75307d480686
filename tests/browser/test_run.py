"""The whole page in a real browser, over a real engine on a tiny random model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from playground.service import Service
from playground.settings import Settings
from playground.ui import build, launch_options
from strategies import Info, Params, Processor, setting
from tests.browser.conftest import free_port
from tests.folders import VOCAB, saved
from tests.plugins import installed
from tests.tiny import tiny_llama

HOSTILE = "${alert(1)} <img src=x onerror=alert(1)> \\u12 `x` {{value}} <b>bold</b>"
expect.set_options(timeout=30_000)
WAIT = 60_000  # milliseconds; the machine may be busy


class Dictate(Processor):
    """Leaves one token: the next of a text. A tiny model writes bytes, so any text can be said."""

    info = Info("dictate", "Dictate", "Says a given text.", "x", "this test")

    class Params(Params):
        text: str = setting("", "What is said.")

    def __call__(self, scores: Any, rows: Any) -> Any:
        said = self.context.encode(self.params.text)
        out = scores.new_full(scores.shape, float("-inf"))
        for i, row in enumerate(rows):
            out[i, said[len(row.generated) % len(said)]] = 0.0
        return out


@pytest.fixture(scope="module")
def dictate() -> Iterator[None]:
    with installed(Dictate):
        yield


@pytest.fixture(scope="module")
def address(dictate: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = saved(
        tiny_llama(vocab=VOCAB, context=512), tmp_path_factory.mktemp("model") / "tiny", chat=True
    )
    service = Service(
        Settings(model=str(folder), models=(str(folder),), device="cpu", dtype="float32")
    )
    service.engine()

    async def made() -> gr.Blocks:
        return build(service)

    with ThreadPoolExecutor(1) as apart:  # this thread's loop is Playwright's
        page = apart.submit(lambda: asyncio.run(made())).result()
    _, local, _ = page.launch(
        server_port=free_port(),
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        **launch_options(),
    )
    yield local
    page.close()
    service.close()


class Visit:
    """Opens pages and keeps every complaint: console errors, dialogs, requests elsewhere."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.faults: list[str] = []
        self.pages: list[Page] = []

    def __call__(self, width: int = 1440, height: int = 900, **query: Any) -> Page:
        page = self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(WAIT)
        page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda d: (self.faults.append(f"dialog {d.message}"), d.dismiss()))
        page.on("request", lambda request: self._watch(request.url))
        page.goto(self.address + ("?" + urlencode(query, doseq=True) if query else ""))
        expect(page.locator("#facts")).to_contain_text("parameters", timeout=WAIT)
        self.pages.append(page)
        return page

    def _watch(self, url: str) -> None:
        if not url.startswith((self.address.rstrip("/"), "data:", "blob:")):
            self.faults.append(url)


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    for page in visit.pages:
        page.close()
    assert visit.faults == []


def strip(page: Page, column: int) -> Any:
    return page.locator(".strip:visible").nth(column)


def run(page: Page, start: Callable[[Page], None] | None = None) -> None:
    """Press Run, or start it otherwise, and wait for the end, however soon it comes."""
    before = strip(page, 0).get_attribute("data-run") or ""
    start(page) if start else page.locator("#run").click()
    expect(strip(page, 0)).not_to_have_attribute("data-run", before, timeout=WAIT)
    expect(page.locator("#run")).to_be_enabled(timeout=WAIT)
    expect(page.locator("#inspector .old")).to_be_hidden(timeout=WAIT)


SHORT = {"prompt": "Hello", "tokens": 12, "seed": 5}
THREE = ["greedy", "temperature(1.2) | top_p(0.9) | sample", "beam(3)"]


def test_nobody_meets_an_empty_page(visit: Visit) -> None:
    page = visit()
    expect(page.locator("#line")).to_contain_text("wrote this on")
    expect(page.locator(".strip:visible")).to_have_count(3)
    expect(strip(page, 0).locator(".token")).to_have_count(48)
    page.wait_for_selector("#inspector .rows .line")


def test_run_then_click_a_token_and_the_chart_changes(visit: Visit) -> None:
    page = visit(recipe=THREE, **SHORT)
    run(page)
    for column in range(3):
        assert strip(page, column).locator(".token").count() == 12
    expect(strip(page, 0).locator(".figures")).to_contain_text("perplexity")
    title = page.locator("#inspector-head")
    tokens = strip(page, 1).locator(".token")
    tokens.nth(3).click()
    expect(title).to_contain_text("token 4", timeout=WAIT)
    before = page.locator("#inspector .rows").first.inner_html()
    tokens.nth(7).click()
    expect(title).to_contain_text("token 8", timeout=WAIT)
    page.wait_for_function(
        "before => document.querySelector('#inspector .rows').innerHTML !== before", arg=before
    )
    page.keyboard.press("ArrowLeft")
    expect(title).to_contain_text("token 7", timeout=WAIT)


def test_the_same_seed_repeats_a_run_and_ctrl_enter_starts_it(visit: Visit) -> None:
    page = visit(recipe=["sample"], **SHORT)
    run(page)
    first = strip(page, 0).locator(".tokens").inner_text()
    run(page, lambda page: page.locator("#prompt textarea").press("Control+Enter"))
    assert strip(page, 0).locator(".tokens").inner_text() == first


def test_hostile_text_is_shown_as_it_is(visit: Visit) -> None:
    recipe = f"dictate({HOSTILE!r}) | greedy"
    page = visit(recipe=["greedy", recipe], prompt=HOSTILE, tokens=len(HOSTILE), seed=1)
    run(page)
    assert strip(page, 1).locator(".tokens").evaluate("e => e.textContent") == HOSTILE
    chips = page.locator("#prompt-tokens .chips").evaluate("e => e.textContent")
    assert "<" in chips and "$" in chips
    strip(page, 1).locator(".token").nth(HOSTILE.index("<")).click()
    expect(page.locator("#inspector-head")).to_contain_text(f"token {HOSTILE.index('<') + 1}")
    assert page.locator("img[src=x]").count() == 0 and page.locator(".strip b").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_violation(visit: Visit, theme: str) -> None:
    page = visit(__theme=theme)
    expect(page.locator("#inspector .rows .line").first).to_be_visible()
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [n["target"] for n in v["nodes"]][:3])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_is_wide_enough(visit: Visit) -> None:
    page = visit(width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("#run")).to_be_visible()
