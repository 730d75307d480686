"""The page's response time to clicks, with a large comparison on it, in a headless Chromium.

The program runs in a process of its own, as a host starts it; one comparison is generated over HTTP
and opened on the page as a saved file is. Then tokens are clicked in every tab of the inspector,
and every tab is opened. Each time is from the click to the last change of the inspector, and a
frame more.
"""

from __future__ import annotations

import datetime
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from playground.bench.conditions import machine
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
SET = [1, 2, 3, 4]  # the columns whose recipes set a number that can be moved
PROMISED_MS = 100.0

# Clicks an element and waits until all that it opens is drawn; milliseconds, until it is answered
# and until nothing is missing. A token is answered once its title is in the caption, a tab once it
# is open, and with ``text``, another column's text in *What if*, once its knobs stand there too.
# All is there once every range of a text is told and nothing in the inspector changes for 150 ms.
CLICK = """async ([selector, index, title, text]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const inspector = document.querySelector('#inspector');
  const target = document.querySelectorAll(selector)[index];
  const knob = () => inspector.querySelector('.knob');
  const before = knob();
  const there = () => (title
    ? inspector.querySelector('.caption .title').textContent.startsWith(title)
      && (!text || knob() !== before)
    : target.getAttribute('aria-selected') === 'true');
  const told = () => [...inspector.querySelectorAll('.knob .whole')]
    .every((range) => !range.textContent.startsWith('Looking'));
  let changed = 0;
  let answered = 0;
  const seen = new MutationObserver(() => {
    changed = performance.now();
    if (!answered && there()) answered = changed;
  });
  const all = { childList: true, subtree: true, attributes: true, characterData: true };
  seen.observe(inspector, all);
  const begun = changed = performance.now();
  target.click();
  // The time of the last change is what counts, not that of having waited for another.
  while (!(answered && told() && performance.now() - changed >= 150)
    && performance.now() - begun < 10000) await frame();
  seen.disconnect();
  return [answered - begun + 16, changed - begun + 16];
}"""


@dataclass(frozen=True)
class Clicked:
    """Milliseconds from a click until what it opens is drawn."""

    median: float
    most: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Clicked:
        return cls(round(statistics.median(times), 1), round(max(times), 1))

    def __str__(self) -> str:
        return f"{self.median:.0f} ms | {self.most:.0f} ms"


@dataclass(frozen=True)
class Tab:
    """Opening one tab, the ``first`` time and again, and a click on a token while it is open."""

    name: str
    first: float
    opening: Clicked
    token: Clicked


@dataclass(frozen=True)
class Report:
    """``answered`` and ``ranges``: a column's first token with *What if* open, until its knobs
    stand there with what is known at once, and until all ranges of its text are told.
    """

    machine: str
    date: str
    lanes: int
    tokens: int
    trace_mb: float
    tabs: list[Tab]
    answered: Clicked
    ranges: Clicked

    def __str__(self) -> str:
        found = [one for tab in self.tabs for one in (tab.opening, tab.token)] + [self.answered]
        over = sum(one.median > PROMISED_MS for one in found)
        return "\n".join(
            (
                f"{self.lanes} columns of {self.tokens} tokens, a trace of {self.trace_mb:.1f} MB, "
                f"{self.machine}, {self.date}; {over} of {len(found)} medians are over "
                f"{PROMISED_MS:.0f} ms:",
                "",
                "| tab | opened first | again | at most | a token, while it is open | at most |",
                "|---|---:|---:|---:|---:|---:|",
                *(
                    f"| {tab.name} | {tab.first:.0f} ms | {tab.opening} | {tab.token} |"
                    for tab in self.tabs
                ),
                f"| What if, a text not looked at before: answered | | | | {self.answered} |",
                f"| … and all of its ranges told | | | | {self.ranges} |",
            )
        )


def measure(tokens: int, repeats: int) -> Report:
    """Six columns of so many tokens; each click ``repeats`` times, and once before that.

    Needs playwright and a Chromium.
    """
    import torch
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
        tabs, answered, ranges = _clicks(page, tokens, repeats)
        browser.close()
    return Report(
        machine=machine(torch.device("cpu")),
        date=datetime.date.today().isoformat(),
        lanes=len(RECIPES),
        tokens=tokens,
        trace_mb=len(kept.content) / 1e6,
        tabs=tabs,
        answered=answered,
        ranges=ranges,
    )


def _clicks(page: Any, tokens: int, repeats: int) -> tuple[list[Tab], Clicked, Clicked]:
    tabs = "#inspector .tab-container:not(.visually-hidden) [role='tab']"
    names = [name.strip() for name in page.locator(tabs).all_text_contents()]

    def tab(name: str) -> float:
        ms: float = page.evaluate(CLICK, [tabs, names.index(name), "", False])[1]
        return ms

    def token(lane: int, step: int, text: bool = False) -> tuple[float, float]:
        selector = f".lane:nth-child({1 + lane % len(RECIPES)}) .strip .token"
        answered, whole = page.evaluate(CLICK, [selector, step, f"token {step + 1}:", text])
        return answered, whole

    opened: dict[str, list[float]] = {name: [] for name in names}
    token(RECIPES.index("greedy"), 0)  # which has no setting to look into
    opened["What if"].append(tab("What if"))
    looked = [token(lane, 11 + lane, text=True) for lane in SET]
    for _ in range(repeats + 1):
        for name in names:
            opened[name].append(tab(name))
    found = []
    for name in names:
        tab(name)
        times = [token(n, (37 * (n + 1)) % tokens)[1] for n in range(repeats + 1)]
        # The first may compile code and lay out fonts.
        first, *again = opened[name]
        found.append(Tab(name, first, Clicked.of(again), Clicked.of(times[1:])))
    answered, whole = zip(*looked, strict=True)
    return found, Clicked.of(answered), Clicked.of(whole)


def _chromium() -> str | None:
    """A Chromium of this machine; None for the one that playwright brings."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
