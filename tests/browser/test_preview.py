"""The preview of each recipe's next token, before any Run."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.acts import lane, run, steps, write
from tests.browser.conftest import SLOW_MS, Site

expect.set_options(timeout=SLOW_MS)


def bars(page: Page, letter: str) -> Locator:
    return lane(page, letter).locator(".preview .bars")


def told(page: Page, letter: str) -> str:
    return bars(page, letter).get_attribute("aria-label") or ""


def test_bars_come_with_an_edit_and_go_with_run(page: Page, site: Site) -> None:
    runs, shown = len(site.service.runs.unpacked), lane(page, "B").locator(".tokens").inner_text()
    expect(page.locator(".preview:visible")).to_have_count(0)
    page.locator("#prompt textarea").fill("Once upon a time")
    one, several = ("would choose", 1), ("goes on with several", 0)
    for letter, (does, marked) in {"A": one, "B": one, "C": several}.items():
        expect(bars(page, letter)).to_have_attribute("aria-label", re.compile(does))
        expect(bars(page, letter).locator(".chosen")).to_have_count(marked)
        expect(lane(page, letter)).to_have_class(re.compile("edited"))
    lane(page, "B").locator(".step .name").nth(0).click()
    slider = lane(page, "B").locator(".controls input[type=range]")
    slider.focus()
    before, other = told(page, "B"), told(page, "A")
    for _ in range(6):
        slider.press("ArrowRight")
    expect(bars(page, "B")).not_to_have_attribute("aria-label", before)
    assert told(page, "A") == other
    assert len(site.service.runs.unpacked) == runs  # none of it ran
    expect(lane(page, "B").locator(".step .name").nth(0)).to_have_text("temperature 1.1")
    page.keyboard.press("Escape")
    assert lane(page, "B").locator(".tokens").inner_text() == shown  # the result stays
    run(page)
    expect(page.locator(".preview:visible")).to_have_count(0)
    expect(lane(page, "B")).not_to_have_class(re.compile("edited"))


def test_a_removed_candidate_is_struck(page: Page) -> None:
    write(page, "A", "top_k(1) | greedy")
    expect(bars(page, "A").locator(".removed")).to_have_count(4)
    expect(bars(page, "A")).to_have_attribute("aria-label", re.compile("removed by top_k 1"))
    expect(bars(page, "A").locator(".removed .text").first).to_have_css(
        "text-decoration-line", "line-through"
    )
    expect(page.locator(".preview:visible")).to_have_count(1)  # no other column was edited


def test_a_new_column_and_a_prompt_put_back(page: Page) -> None:
    page.locator("#add").click()
    expect(bars(page, "D")).to_have_attribute("aria-label", re.compile("Column D would choose"))
    box = page.locator("#prompt textarea")
    first = box.input_value()
    box.fill("")
    expect(lane(page, "A").locator(".preview .note")).to_have_text("The prompt is empty.")
    box.fill(first)
    expect(page.locator(".preview:visible")).to_have_count(1)


def test_a_step_card_draws_its_cut_in_the_distribution_at_hand(page: Page) -> None:
    """Its input, its output, and the threshold between; redrawn as a control moves."""
    write(page, "B", "top_k(8) | sample")
    lane(page, "B").locator(".write").click()  # back from text to steps
    steps(page, "B").filter(has_text="top_k").click()  # once the line is taken
    controls = lane(page, "B").locator(".controls")
    picture = controls.locator(".drawing svg")
    left, cut = picture.locator("rect.left"), picture.locator("line.cut")
    expect(left).to_have_count(8)
    expect(picture).to_have_attribute("aria-label", re.compile("before and after this step"))
    expect(picture.locator("polyline.given")).to_have_count(1)
    expect(cut).to_have_count(1)
    expect(picture.locator("rect.removed").first).to_be_visible()
    at = cut.get_attribute("x1")
    slider = controls.locator("input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    expect(left).to_have_count(7)
    expect(cut).not_to_have_attribute("x1", at or "")
    page.keyboard.press("Escape")
    expect(picture).to_have_count(0)


def test_what_only_a_run_tells_is_drawn_after_it(page: Page) -> None:
    write(page, "A", "guidance(2) | greedy")
    preview = lane(page, "A").locator(".preview")
    expect(preview.locator(".note")).to_contain_text("press Run to see")
    waits = """box => {
        document.dispatchEvent(new CustomEvent('playground:setup'));
        return box.classList.contains('waiting'); }"""
    assert not preview.evaluate(waits)  # as at every frame of a run, which changes nothing of it
    run(page, 4)
    lane(page, "A").locator(".write").click()  # back from text to steps
    steps(page, "A").nth(0).click()
    drawn = lane(page, "A").locator(".controls .drawing svg")
    expect(drawn.locator("rect.left").first).to_be_visible()
