"""Views of the inspector: read, saved as picture and table, and walked by keys alone."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.acts import lane, run, write
from tests.browser.conftest import Site

# By tab, its views from the first to the last: what takes the focus there, and a key that then
# moves something; None for one in which there is nothing to choose, by mouse neither.
VIEWS = {
    "Distribution": [("button.go", "ArrowDown"), None],
    "Why": [(".line", "ArrowRight"), (".line.told", "ArrowDown")],
    "Draw": [None, None],
    "Beams": [(".field", "ArrowLeft")],
    "Texts": [(".each button >> nth=1", "Enter")],
    "What if": [(".knob input >> nth=0", "Home")],
    "Likelihood": [None, None],
    "Timings": [(".chart", "ArrowLeft"), None, None],
    "Steps": [(".field", "ArrowLeft"), (".chart", "ArrowLeft")],
    "Tree": [("[role=treeitem] >> nth=0", "ArrowRight"), (".line-chart", "End")],
}
# Chromium drops what follows so many downloads within so long of the first, and then counts anew.
BURST, BURST_S = 10, 1.1
# What a view has drawn, where its cursor is, and what of it is chosen.
SEEN = """view => [document.activeElement.outerHTML, view.innerHTML,
    document.querySelector('#inspector .title').textContent,
    [...view.querySelectorAll('input')].map(({ value }) => value).join()].join()"""


@pytest.fixture
def burst() -> list[float]:
    """When each download came that Chromium counts together with the next one."""
    return []


def saved(page: Page, view: Locator, kind: str, burst: list[float]) -> Path:
    if len(burst) == BURST:
        page.wait_for_timeout(1000 * max(0.0, burst[0] + BURST_S - time.monotonic()))
        burst.clear()
    view.get_by_role("button", name="Save this view").press("Enter")
    with page.expect_download() as told:
        view.get_by_role("button", name=kind, exact=True).press("Enter")
    burst.append(time.monotonic())
    assert told.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(told.value.path())


def is_saved(page: Page, view: Locator, burst: list[float]) -> None:
    """As a picture that shows what the view says of itself, and as a table with rows."""
    assert saved(page, view, "PNG", burst).read_bytes().startswith(b"\x89PNG")
    drawn = "".join(ElementTree.parse(saved(page, view, "SVG", burst)).getroot().itertext())
    sentence = view.locator(".sentence, .says").first.inner_text()
    assert sentence.split()[0] in drawn
    table = saved(page, view, "CSV", burst).read_text("utf-8")
    rows = list(csv.reader(table.splitlines()))
    assert len(rows) > 1 and len(rows[0]) > 1


@pytest.fixture
def shown(page: Page) -> Page:
    """A column of several texts is looked into, beside a greedy one and a beam search."""
    write(page, "A", "greedy")
    write(page, "B", "temperature(1.5) | min_p(0.02) | sample(3)")
    write(page, "C", "beam(3)")
    run(page, 12)
    lane(page, "B").locator(".token").nth(4).click()
    expect(page.locator("#inspector .title")).to_contain_text("token 5:")
    return page


def filled(page: Page, tab: str) -> None:
    """Have the views drawn that wait for a press."""
    if tab == "Likelihood":
        page.get_by_role("button", name="This column’s text").click()
        expect(page.get_by_label("Could these settings have written this?")).not_to_have_value("")
        page.get_by_role("button", name="Ask", exact=True).click()


def test_every_view_is_read_saved_and_walked_by_keys(shown: Page, burst: list[float]) -> None:
    page, tabs = shown, page_tabs(shown)
    assert tabs[: len(VIEWS)] == [*VIEWS]
    for tab, known in VIEWS.items():
        page.get_by_role("tab", name=tab, exact=True).click()
        filled(page, tab)
        views = page.locator("#inspector .tabitem:visible .plot:visible")
        expect(views, tab).to_have_count(len(known))
        for number, keys in enumerate(known):
            view = views.nth(number)
            where = f"{tab}, view {number + 1}"
            sentence = view.locator(".sentence").first
            expect(sentence, where).to_have_text(re.compile(r"\w.{20,}\.$", re.DOTALL))
            expect(view.locator(".line, svg, .knob, td").first, where).to_be_visible()
            is_saved(page, view, burst)
            if keys is None:
                assert view.locator("[tabindex='0']:visible, input:visible").count() == 0, where
                continue
            assert moves(page, view, *keys), f"{where}: {keys[1]} moves nothing"
    page.get_by_role("button", name="Step by step").press("Enter")
    stage = page.locator(".walk .stage")
    expect(stage.locator("tbody tr").first).to_be_visible()  # until then there is nothing to save
    is_saved(page, stage.locator(".sheet"), burst)
    where, before = stage.locator(".where"), stage.locator(".where").inner_text()
    page.keyboard.press("ArrowRight")
    expect(where).not_to_have_text(before)


def moves(page: Page, view: Locator, place: str, key: str) -> bool:
    """Whether a key changes what is seen of a view, where this has the focus."""
    view.locator(place).first.focus()
    before = view.evaluate(SEEN)
    page.keyboard.press(key)
    try:
        page.wait_for_function(
            f"([view, before]) => ({SEEN})(view) !== before", arg=[view.element_handle(), before]
        )
    except TimeoutError:
        return False
    return True


def page_tabs(page: Page) -> list[str]:
    tabs = page.locator("#inspector .tab-container:not(.visually-hidden) [role=tab]")
    return [name.strip() for name in tabs.all_text_contents()]


def test_a_choice_plays_by_itself_until_it_is_paused(shown: Page) -> None:
    """Each step of each choice is shown without a press, and the text grows by its tokens."""
    page = shown
    page.evaluate("sped = setInterval; setInterval = (act, ms) => sped(act, ms / 20)")
    page.get_by_role("button", name="Step by step").click()
    stage = page.locator(".walk .stage")
    where, play = stage.locator(".where"), stage.locator(".play")
    expect(where).to_contain_text("token 5 of 12")
    page.evaluate(
        """window.played = new Set();
        new MutationObserver(() => played.add([
            document.querySelector('.walk .where').textContent,
            document.querySelector('.walk thead .now')?.textContent].join(' | ')))
        .observe(document.querySelector('.walk .stage'), {childList: true, subtree: true,
            attributes: true, characterData: true})"""
    )
    play.click()
    expect(play).to_have_text("Pause")
    page.wait_for_function("[...played].some((shown) => shown.startsWith('token 7 of 12'))")
    page.keyboard.press("p")
    expect(play).to_have_text("Play")
    steps = page.evaluate("[...played].filter((shown) => shown.startsWith('token 6 of 12'))")
    heads = [told.partition(" | ")[2] for told in steps]
    assert {"model", "temperature 1.5", "min_p 0.02", "the draw"} <= set(heads)
    paused = stage.inner_text()
    page.wait_for_timeout(200)  # two steps at this pace
    assert stage.inner_text() == paused
    page.keyboard.press("p")
    expect(where).to_contain_text("token 12 of 12")
    expect(play).to_have_text("Play")  # at the end it stops by itself


def test_a_phone_has_every_view_in_reach(visit, site: Site) -> None:
    page = visit(site.address, width=390)
    lane(page, "B").locator(".token").nth(4).click()
    expect(page.locator("#inspector .title")).to_contain_text("token 5:")
    room = page.locator("#inspector .tabitem:visible").evaluate("view => view.clientHeight")
    assert room > 0.45 * page.locator("#inspector").evaluate("whole => whole.clientHeight")
    caption = page.locator("#inspector .caption")
    tell = "(box, words) => { box.querySelector('.facts').textContent = words; }"
    caption.evaluate(tell, "much is said of this token " * 9)
    page.wait_for_function("box => box.style.minHeight === '90px'", arg=caption.element_handle())
    caption.evaluate(tell, "little")
    assert caption.evaluate("box => box.offsetHeight") == 90  # the tabs below stay where they were
    for name in ("Likelihood", "Data", "Texts"):
        tab = page.get_by_role("tab", name=name, exact=True)
        page.locator("#inspector .overflow-menu > button").click()
        page.locator("#inspector .overflow-dropdown button", has_text=name).click()
        expect(tab).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("at token")).to_be_visible()  # by which the view is moved
