"""What a person does on the page: change a recipe, share it, be told what is wrong."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from playground.ui import recorded
from tests.browser.conftest import SLOW_MS
from tests.traces import COLUMNS, HOSTILE, comparison

expect.set_options(timeout=SLOW_MS)


def lane(page: Page, letter: str) -> Locator:
    return page.locator(".lane:visible").filter(
        has=page.locator(".letter", has_text=re.compile(f"^{letter}$"))
    )


def steps(page: Page, letter: str) -> Locator:
    return lane(page, letter).locator(".step .name")


def written(page: Page, letter: str) -> Locator:
    return lane(page, letter).locator(".written textarea")


def title(page: Page) -> Locator:
    return page.locator("#inspector .title")


def run(page: Page, tokens: int = 12) -> None:
    """Press Run and wait for the end."""
    page.locator("#tokens input").fill(str(tokens))
    page.locator("#prompt textarea").press("Control+Enter")
    expect(page.locator("#line")).not_to_contain_text("Press Run")
    expect(page.locator("#line")).to_contain_text("the prompt was read in")
    expect(page.locator("#run")).to_be_enabled()


def write(page: Page, letter: str, text: str) -> None:
    """Give a column a recipe in its written form."""
    if not written(page, letter).is_visible():
        lane(page, letter).locator(".write").click()
    written(page, letter).fill(text)
    written(page, letter).press("Enter")


def test_a_step_is_moved_switched_off_and_removed(page):
    steps(page, "B").nth(0).click()
    panel = lane(page, "B").locator(".controls")
    panel.get_by_role("button", name="Move right").click()
    expect(steps(page, "B")).to_have_text(["top_p 0.95", "temperature 0.8", "sample"])
    expect(written(page, "B")).to_have_value("top_p(0.95) | temperature(0.8) | sample")
    panel.get_by_role("button", name="Switch off").click()
    expect(written(page, "B")).to_have_value("top_p(0.95) | ~temperature(0.8) | sample")
    expect(lane(page, "B").locator(".step.off")).to_have_text(["temperature 0.8"])
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    steps(page, "B").nth(1).press("Alt+ArrowLeft")
    expect(steps(page, "B")).to_have_text(["temperature 0.8", "top_p 0.95", "sample"])
    steps(page, "B").nth(0).press("Delete")
    expect(steps(page, "B")).to_have_text(["top_p 0.95", "sample"])
    expect(lane(page, "B")).to_have_class(re.compile("edited"))
    run(page)
    expect(lane(page, "B")).to_have_attribute("data-ran", "top_p(0.95) | sample")
    expect(lane(page, "B")).not_to_have_class(re.compile("edited"))


def test_controls_are_made_of_the_parameters(page):
    steps(page, "B").nth(0).click()
    panel = lane(page, "B").locator(".controls")
    slider = panel.locator("input[type=range]")
    expect(slider).to_have_attribute("max", "2")
    slider.focus()
    slider.press("ArrowRight")
    expect(steps(page, "B").nth(0)).to_have_text("temperature 0.85")
    panel.get_by_role("button", name="Formula").click()
    expect(panel.locator(".katex").first).to_be_visible()
    expect(panel.get_by_role("link")).to_have_attribute("href", re.compile("^https://"))
    page.locator("#line").click()
    lane(page, "C").locator(".add button").click()
    lane(page, "C").get_by_role("menuitem", name="repetition_penalty").click()
    expect(steps(page, "C")).to_have_text(["repetition_penalty 1", "beam"])
    expect(lane(page, "C").locator(".step.off")).to_have_count(1)  # it changes nothing yet
    lane(page, "A").locator(".preset").select_option("pure")
    expect(written(page, "A")).to_have_value("sample")


def test_columns_are_added_duplicated_and_removed(page):
    lane(page, "A").locator(".copy").click()
    expect(page.locator(".lane:visible")).to_have_count(4)
    expect(lane(page, "B").locator(".parting")).to_contain_text("The same text as A")
    expect(lane(page, "C").locator(".parting")).to_contain_text("Parts from B")
    page.locator("#add").click()
    expect(lane(page, "E").locator(".blank")).to_contain_text("Press Run")
    page.locator("#add").click()
    expect(page.locator(".lane:visible")).to_have_count(6)
    expect(page.locator("#add")).to_be_disabled()
    for left in (5, 4):
        lane(page, "A").locator(".close").click()
        expect(page.locator(".lane:visible")).to_have_count(left)
    expect(steps(page, "A")).to_have_text(["temperature 0.8", "top_p 0.95", "sample"])
    lane(page, "A").locator(".token").nth(7).click()
    expect(title(page)).to_contain_text("token 8:")


def test_hostile_text_is_shown_as_it_is(visit, hostile_site):
    page = visit(hostile_site.address)
    sample = comparison(COLUMNS, length=48, run=recorded.ID)
    for letter, result in zip("ABC", sample.lanes, strict=True):
        spans = lane(page, letter).locator(".token")
        texts = spans.evaluate_all("spans => spans.map(span => span.textContent)")
        assert texts == [step.text for step in result.trace.path()]
    shown = {step.text for result in sample.lanes for step in result.trace.path()}
    assert len(shown & set(HOSTILE)) > 5
    assert page.locator(".tokens :not(.token)").count() == 0
    write(page, "A", "${alert(1)}<img src=x onerror=alert(1)>")
    expect(page.locator("#column-fault-0")).to_contain_text("<img src=x")
    assert page.evaluate("document.querySelectorAll('#page img[src=x]').length") == 0
