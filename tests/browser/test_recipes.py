"""Editing recipes: steps, their controls, columns."""

from __future__ import annotations

import re
from itertools import pairwise

from playwright.sync_api import expect

from tests.browser.acts import lane, run, steps, title, written


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
    lane(page, "C").get_by_role("option", name="repetition_penalty").click()
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


def test_a_step_is_found_by_typing_and_stands_where_it_belongs(page):
    lane(page, "B").locator(".add button").press("Enter")
    find = lane(page, "B").locator(".find")
    expect(find).to_be_focused()
    page.keyboard.type("rep")
    expect(lane(page, "B").get_by_role("option", name="no_repeat_ngram")).to_be_visible()
    expect(lane(page, "B").get_by_role("option", name="top_k")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(steps(page, "B")).to_have_text(
        ["repetition_penalty 1", "temperature 0.8", "top_p 0.95", "sample"]
    )
    page.keyboard.press("Escape")
    plus = lane(page, "B").locator(".add button")
    plus.click()
    page.keyboard.type("no such step")
    expect(lane(page, "B").locator(".menu .none")).to_be_visible()
    page.keyboard.press("Escape")
    expect(find).to_be_hidden()
    expect(plus).to_be_focused()


def test_controls_of_a_step_cover_neither_its_text_nor_its_preview(page):
    steps(page, "B").nth(0).click()
    expect(lane(page, "B").locator(".controls")).to_be_visible()
    tops = [
        lane(page, "B").locator(part).bounding_box()
        for part in (".controls", ".preview", ".strip .text", ".figures")
    ]
    for above, below in pairwise(tops):
        assert above["y"] + above["height"] <= below["y"] + 1
    assert tops[2]["height"] > 60


def test_clear_leaves_the_recipes(page):
    page.locator("#clear").click()
    expect(page.locator("#prompt textarea")).to_have_value("")
    expect(page.locator(".lane:visible .token")).to_have_count(0)
    expect(title(page)).to_have_text("No run to look into")
    expect(written(page, "C")).to_have_value("beam")
