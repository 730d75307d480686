"""Picking by hand: a person chooses one column's tokens, and the other columns keep their texts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from playground.service import Service
from playground.ui.follow import Follower
from playground.ui.manual import Picker
from tests.browser.acts import lane, run, steps, title, write, written
from tests.browser.conftest import SLOW_MS, Site, served
from tests.browser.test_run import HOSTILE, Dictate
from tests.plugins import installed

expect.set_options(timeout=SLOW_MS)

YOURS = "temperature(1.3) | top_k(12) | manual"
RECIPES = ["sample(2)", YOURS, "greedy"]


@pytest.fixture
def page(visit: Callable[..., Page], site: Site) -> Page:
    """A column by hand between two others, all run once; the first one's second text is shown."""
    page = visit(f"{site.address}?{urlencode({'prompt': 'Hi', 'recipe': RECIPES}, doseq=True)}")
    run(page)
    lane(page, "A").get_by_role("button", name="Next text").click()
    expect(lane(page, "A").locator(".outputs")).to_contain_text("2/2")
    return page


def chooser(page: Page) -> Locator:
    return page.locator(".chooser:visible")


def choices(page: Page) -> Locator:
    return chooser(page).locator(".choices button")


def text(page: Page, letter: str) -> str:
    return lane(page, letter).locator(".tokens").evaluate("e => e.textContent")


def ids(page: Page) -> list[int]:
    """The picks in the recipe's written form, once they are the tokens of the text."""
    count = lane(page, "B").locator(".token").count()
    shown = steps(page, "B").last
    expect(shown).to_have_text(f"manual {count} pick{'s' * (count != 1)}" if count else "manual")
    return [int(n) for n in re.findall(r"\d+", written(page, "B").input_value().split("|")[-1])]


def picked(page: Page, act: Callable[[], None], tokens: int) -> None:
    """Do something, and wait until the text has so many tokens."""
    act()
    expect(lane(page, "B").locator(".token")).to_have_count(tokens)
    which = "next" if tokens else "first"
    expect(chooser(page).locator(".title")).to_have_text(f"Your turn: choose the {which} token")


def test_a_text_is_picked_and_undone_and_no_other_column_runs(page: Page, site: Site) -> None:
    expect(chooser(page)).to_have_count(1)
    expect(choices(page)).to_have_count(10)
    expect(chooser(page)).to_contain_text("10 of 12")
    expect(chooser(page).locator(".undo")).to_be_disabled()
    expect(lane(page, "B").locator(".figures dd").first).to_have_text("—")
    others = text(page, "A"), text(page, "C")
    runs = dict(site.service.runs.unpacked)
    first = choices(page).nth(2).locator(".label").inner_text()
    picked(page, choices(page).nth(2).click, 1)
    assert len(ids(page)) == 1 and text(page, "B").replace(" ", "·") == first
    before = ids(page)
    picked(page, choices(page).nth(0).click, 2)
    assert ids(page)[:1] == before and len(ids(page)) == 2
    expect(title(page)).to_contain_text("token 2:")
    link = parse_qs(urlsplit(page.url).fragment)
    assert link["recipe"] == [RECIPES[0], f"{YOURS}({ids(page)})", RECIPES[2]]
    picked(page, chooser(page).locator(".undo").click, 1)
    assert ids(page) == before
    assert (text(page, "A"), text(page, "C")) == others
    expect(lane(page, "A").locator(".outputs")).to_contain_text("2/2")
    chosen = [run for run in site.service.runs.unpacked.values() if run.id not in runs]
    assert [len(run.lanes) for run in chosen] == [1, 1, 1]
    asked = {run.request.client for run in [*chosen, list(runs.values())[-1]]}
    assert len(asked - {""}) == len(asked) == 1  # all are this visitor's
    expect(page.locator(".lane.edited")).to_have_count(0)
    expect(lane(page, "C").locator(".parting")).to_contain_text("arts from B")

    lane(page, "C").locator(".token").nth(3).click()  # of a run that another one stands in
    expect(title(page)).to_contain_text("token 4:")
    lane(page, "B").locator(".copy").click()
    expect(chooser(page)).to_have_count(2)
    assert text(page, "C") == text(page, "B") and text(page, "D") == others[1]
    run(page)
    assert ids(page) == before  # Run goes through the picks again
    for left in (1, 0):
        lane(page, "B").locator(".close").click()
        expect(chooser(page)).to_have_count(left)
    expect(page.locator(".lane.choosing")).to_have_count(0)  # nor is room kept for one


def test_keys_choose_move_and_undo(page: Page) -> None:
    choices(page).nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(choices(page).nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(choices(page).nth(6)).to_be_focused()
    names = [choices(page).nth(i).locator(".label").inner_text() for i in (3, 6)]
    picked(page, lambda: page.keyboard.press("Enter"), 1)
    assert text(page, "B").replace(" ", "·") == names[1]
    expect(choices(page).nth(0)).to_be_focused()
    picked(page, lambda: page.keyboard.press("Backspace"), 0)
    picked(page, lambda: page.keyboard.press("4"), 1)
    assert text(page, "B").replace(" ", "·") == names[0]
    assert choices(page).nth(3).get_attribute("aria-keyshortcuts") == "4"


def test_a_refused_pick_is_told_and_undone(page: Page) -> None:
    picked(page, choices(page).nth(9).click, 1)
    write(page, "B", written(page, "B").input_value().replace("top_k(12)", "top_k(1)"))
    expect(chooser(page)).to_have_count(0)  # offered by another recipe
    run(page)
    expect(lane(page, "B").locator(".parting.bad")).to_contain_text("was removed by the recipe")
    expect(chooser(page).locator(".title")).to_have_text("The last choice cannot follow.")
    picked(page, chooser(page).locator(".undo").click, 0)
    expect(lane(page, "B").locator(".parting.bad")).to_have_count(0)
    expect(choices(page)).to_have_count(1)  # top_k 1 leaves one
    expect(written(page, "B")).to_have_value("temperature(1.3) | top_k(1) | manual")


def test_picks_are_cleared_in_the_panel(page: Page) -> None:
    picked(page, choices(page).nth(0).click, 1)
    steps(page, "B").last.click()
    panel = lane(page, "B").locator(".controls")
    panel.get_by_role("button", name="Clear picks").click()
    expect(written(page, "B")).to_have_value(YOURS)
    expect(panel.get_by_role("button", name="Clear picks")).to_be_disabled()
    expect(lane(page, "B")).to_have_class(re.compile("edited"))


def test_the_text_ends_at_its_limit_and_goes_on_after_undo(page: Page) -> None:
    run(page, tokens=1)
    choices(page).nth(0).click()
    expect(chooser(page).locator(".title")).to_have_text("The limit of new tokens is reached.")
    expect(choices(page)).to_have_count(0)
    picked(page, chooser(page).locator(".undo").click, 0)


@pytest.fixture
def dictate() -> Iterator[None]:
    with installed(Dictate):
        yield


@pytest.mark.usefixtures("dictate")
def test_hostile_text_is_offered_as_it_is(visit: Callable[..., Page], site: Site) -> None:
    said = HOSTILE.partition(" ")[0] + "<"
    query = {"prompt": HOSTILE, "recipe": ["greedy", f"dictate({said!r}) | manual"]}
    page = visit(f"{site.address}?{urlencode(query, doseq=True)}")
    run(page, tokens=len(said) + 1)
    for length, character in enumerate(said, start=1):
        expect(choices(page).locator(".label")).to_have_text([character])
        picked(page, lambda: chooser(page).press("1"), length)
    assert text(page, "B") == said


def _slow_to_end(stream: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same frames, with a pause between the last one and the end of the event."""

    @wraps(stream)
    def slow(*given: Any) -> Iterator[Any]:
        yield from stream(*given)
        time.sleep(0.5)

    return slow


def test_a_choice_is_taken_as_soon_as_it_is_offered(
    service: Service, visit: Callable[..., Page]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picker, "stream", _slow_to_end(Picker.stream))
        patch.setattr(Follower, "follow", _slow_to_end(Follower.follow))
        for site in served(service):
            query = urlencode({"prompt": "Hi", "recipe": ["greedy", YOURS]}, doseq=True)
            page = visit(f"{site.address}?{query}")
            page.locator("#run").click()
            for length in (1, 2, 3):
                expect(choices(page)).to_have_count(10)
                picked(page, choices(page).nth(0).click, length)
            picked(page, chooser(page).locator(".undo").click, 2)
            assert len(ids(page)) == 2
            # Keys pressed before an answer is there are taken one after the other.
            page.evaluate("""() => {
                const press = (key) => document.querySelector('.chooser:not([hidden])')
                    .dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                press('1'); press('2'); press('3');
            }""")
            picked(page, lambda: None, 5)
            assert len(ids(page)) == 5
            # A press on a token that is about to give way to others is none.
            choices(page).nth(0).evaluate(
                "b => { for (const detail of [1, 1]) b.dispatchEvent(new MouseEvent('click', "
                "{ detail, bubbles: true })); }"
            )
            picked(page, lambda: None, 6)
            assert len(ids(page)) == 6
            page.close()  # before the server that it talks to


def test_a_choice_that_failed_keeps_no_other_from_being_taken(
    service: Service, visit: Callable[..., Page]
) -> None:
    stream, faults = Picker.stream, [RuntimeError("the first choice fails")]

    @wraps(stream)
    def once(*given: Any) -> Iterator[Any]:
        if faults:
            raise faults.pop()
        yield from stream(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picker, "stream", once)
        for site in served(service):
            page = visit(f"{site.address}?{urlencode({'prompt': 'Hi', 'recipe': YOURS})}")
            run(page, tokens=4)
            choices(page).nth(0).click()
            until = time.monotonic() + SLOW_MS / 1000
            while faults and time.monotonic() < until:
                page.wait_for_timeout(20)
            expect(page.locator("#line")).to_contain_text("This failed, through a fault of the")
            expect(chooser(page).locator(".chosen")).to_have_count(0)
            choices(page).nth(0).click()
            expect(lane(page, "A").locator(".token")).to_have_count(1)
            page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, theme: str) -> None:
    page.evaluate("name => document.body.classList.toggle('dark', name === 'dark')", theme)
    picked(page, choices(page).nth(0).click, 1)
    found = Axe().run(page, context="#columns").response["violations"]
    serious = [
        (v["id"], node["html"][:200])
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]
    assert serious == []


def test_a_phone_is_wide_enough(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    picked(page, choices(page).nth(9).click, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box, column = choices(page).nth(9).bounding_box(), lane(page, "B").bounding_box()
    assert box and column and box["x"] + box["width"] <= column["x"] + column["width"]
