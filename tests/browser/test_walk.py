"""A text walked choice by choice in a window of its own, and the bars of all columns' tokens."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.acts import lane, run, title, write


def saved(page: Page, figure: Locator, kind: str) -> str:
    figure.locator(".opener").click()
    with page.expect_download() as download:
        figure.get_by_role("button", name=kind, exact=True).click()
    return Path(download.value.path()).read_text("utf-8")


def test_a_text_is_walked_by_the_arrow_keys_alone(page: Page) -> None:
    write(page, "B", "temperature(1.5) | top_k(3) | sample")
    run(page, 40)
    lane(page, "B").locator(".token").nth(2).click()
    expect(title(page)).to_contain_text("token 3")
    page.get_by_role("button", name="Step by step").click()
    stage = page.locator(".walk .stage")
    where, says, joins = stage.locator(".where"), stage.locator(".says"), stage.locator(".next")
    now = stage.locator("thead .now")
    expect(where).to_have_text("token 3 of 40")
    expect(now).to_have_text("the draw")
    expect(says).to_contain_text("won the draw")
    for key, place, column in [
        ("ArrowUp", 3, "the draw"), ("ArrowUp", 3, "top_k 3"), ("ArrowUp", 3, "temperature 1.5"),
        ("ArrowUp", 3, "model"), ("ArrowUp", 2, "the draw"), ("ArrowDown", 3, "model"),
        ("ArrowRight", 4, "the draw"), ("ArrowLeft", 3, "the draw"), ("End", 40, "the draw"),
        ("Home", 1, "the draw"),
    ]:  # fmt: skip
        page.keyboard.press(key)
        expect(where).to_have_text(f"token {place} of 40")
        expect(now).to_have_text(column)
    expect(joins).to_have_class(re.compile("joined"))
    page.keyboard.press("h")  # the choice is hidden until it is asked for
    expect(joins).to_have_text("?")
    expect(says).to_contain_text("top_k 3 removes")
    expect(stage.locator("tbody .drawn.later")).to_have_count(stage.locator("tbody tr").count())
    page.keyboard.press("ArrowRight")
    expect(joins).not_to_have_text("?")
    page.keyboard.press("ArrowRight")
    expect(where).to_have_text("token 2 of 40")
    expect(joins).to_have_text("?")
    assert not Axe().run(page, context=".walk .stage").response["violations"]
    rows = list(csv.DictReader(io.StringIO(saved(page, stage.locator(".sheet"), "CSV"))))
    assert sum(row["chosen"] == "1" for row in rows) == 1
    assert sum(row["removed by"] == "top_k 3" for row in rows) >= 5
    stage.get_by_role("button", name="Token ›").click()
    stage.get_by_role("button", name="Step ›").click()
    expect(where).to_have_text("token 3 of 40")
    page.keyboard.press("Escape")
    expect(stage).to_be_hidden()
    expect(title(page)).to_contain_text("token 3")
    expect(page.get_by_role("button", name="Step by step")).to_be_focused()


def test_tokens_of_all_columns_stand_on_one_scale(page: Page) -> None:
    run(page, 12)
    page.get_by_role("tab", name="Steps", exact=True).click()
    ribbon = page.locator(".ribbon")
    field, told = ribbon.locator(".field"), ribbon.locator(".told")
    expect(ribbon.locator("path.base")).to_have_count(3)
    field.focus()
    for key, starts in [("Home", ", token 1: "), ("ArrowRight", ", token 2: ")]:
        page.keyboard.press(key)
        expect(told).to_contain_text(starts)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(told).to_contain_text("A, token 2: ")
    page.keyboard.press("Enter")
    expect(title(page)).to_contain_text("token 2")
    ribbon.get_by_label("rank").check()
    expect(ribbon.locator(".sentence")).to_contain_text("no bar is rank 1")
    field.evaluate("field => field.scrollIntoView({block: 'end'})")
    box = field.locator("svg .badge").nth(1).bounding_box()
    bars = field.locator("svg path.base").nth(1).bounding_box()
    assert box is not None and bars is not None
    page.mouse.click(bars["x"] + bars["width"] * 5.5 / 12, box["y"])
    expect(title(page)).to_contain_text("token 6")
    expect(told).to_contain_text("B, token 6: ")
    rows = list(csv.DictReader(io.StringIO(saved(page, ribbon, "CSV"))))
    assert [row["position"] for row in rows if row["column"] == "C"] == [*map(str, range(1, 13))]
    assert "<path" in saved(page, ribbon, "SVG")
