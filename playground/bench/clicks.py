"""The page's response time to clicks, with a large comparison on it, in a headless Chromium.

The program runs in a process of its own, as a host starts it; one comparison is generated over HTTP
and opened on the page as a saved file is. Then tokens are clicked in every tab of the inspector,
and every tab is opened. Each time is from the click to the last change of the inspector, and a
frame more.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from playground.bench.program import started
from playground.bench.six import PROMPT

RECIPES = (
    "greedy",
    "temperature(0.8) | top_p(0.95) | sample",
    "repetition_penalty(1.2) | temperature(0.9) | min_p(0.05) | sample",
    "top_k(50) | typical_p(0.9) | sample",
    "presence_penalty(0.5) | temperature(1.2) | top_p(0.8) | sample",
    "beam(4)",
)
PROMISED_MS = 100.0

# Clicks an element and waits until what it opens is drawn; milliseconds. A token is drawn once its
# title is in the caption, a tab once it is open; in both nothing in the inspector then changes.
CLICK = """async ([selector, index, title]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const inspector = document.querySelector('#inspector');
  const target = document.querySelectorAll(selector)[index];
  let changed = 0;
  const seen = new MutationObserver(() => { changed = performance.now(); });
  const all = { childList: true, subtree: true, attributes: true, characterData: true };
  seen.observe(inspector, all);
  const begun = changed = performance.now();
  target.click();
  const there = () => (title
    ? inspector.querySelector('.caption .title').textContent.startsWith(title)
    : target.getAttribute('aria-selected') === 'true');
  while (!there() && performance.now() - begun < 10000) await frame();
  // Drawn once nothing has changed for a while; the time of the last change is what counts.
  while (performance.now() - changed < 150) await frame();
  seen.disconnect();
  return changed - begun + 16;
}"""


@dataclass(frozen=True)
class Clicked:
    """Milliseconds from a click until what it opens is drawn."""

    what: str
    median: float
    most: float


@dataclass(frozen=True)
class Report:
    """``clicks`` on a token, by the tab that is open, and on the tabs themselves."""

    lanes: int
    tokens: int
    trace_mb: float
    promised_ms: float
    clicks: list[Clicked] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.lanes} columns of {self.tokens} tokens; the trace is {self.trace_mb:.1f} MB"
        lines = [
            f"{one.what:32} {one.median:6.0f} ms, at most {one.most:6.0f} ms"
            + ("  over" if one.median > self.promised_ms else "")
            for one in self.clicks
        ]
        return "\n".join([f"{head}. From the click to the drawing, medians:", *lines])


def measure(tokens: int, repeats: int) -> Report:
    """Six columns of so many tokens; each click ``repeats`` times, of which the first is left out.

    Needs playwright and a Chromium.
    """
    from playwright.sync_api import sync_playwright

    with started(max_new_tokens=1024) as program, sync_playwright() as playwright:
        address = program.address
        body = {
            "prompt": PROMPT, "recipes": RECIPES, "seed": 1, "top_n": 20,
            "max_new_tokens": tokens, "min_new_tokens": tokens,
        }  # fmt: skip
        answer = httpx.post(f"{address}/api/compare", json=body, timeout=900).raise_for_status()
        kept = httpx.get(f"{address}/api/runs/{answer.json()['id']}", timeout=60).raise_for_status()
        browser = playwright.chromium.launch(executable_path=_chromium())
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector("#inspector .rows .line")
        file = {"name": "run.json", "mimeType": "application/json", "buffer": kept.content}
        page.set_input_files(".opener .chosen", files=[file])  # type: ignore[list-item]
        page.wait_for_selector(f".strip .token:nth-child({tokens})", state="attached")
        page.wait_for_timeout(3000)
        clicks = list(_clicks(page, tokens, repeats))
        browser.close()
    return Report(len(RECIPES), tokens, len(kept.content) / 1e6, PROMISED_MS, clicks)


def _clicks(page: Any, tokens: int, repeats: int) -> Iterator[Clicked]:
    tabs = "#inspector .tab-container:not(.visually-hidden) [role='tab']"
    names = [name.strip() for name in page.locator(tabs).all_text_contents()]
    opened: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats + 1):
        for at, name in enumerate(names):
            opened[name].append(page.evaluate(CLICK, [tabs, at, ""]))
    for name, times in opened.items():
        yield _clicked(f"opening {name}", times)
    for at, name in enumerate(names):
        page.evaluate(CLICK, [tabs, at, ""])
        times = []
        for number in range(repeats + 1):
            step = (37 * (number + 1)) % tokens
            selector = f".lane:nth-child({1 + number % len(RECIPES)}) .strip .token"
            times.append(page.evaluate(CLICK, [selector, step, f"token {step + 1}:"]))
        yield _clicked(f"a token, with {name} open", times)


def _clicked(what: str, times: list[float]) -> Clicked:
    after = times[1:] or times  # the first may compile code and lay out fonts
    return Clicked(what, round(statistics.median(after), 1), round(max(after), 1))


def _chromium() -> str | None:
    """A Chromium of this machine; None for the one that playwright brings."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
