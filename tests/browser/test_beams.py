"""The tree of a search's rows: read, walked by keys and mouse, zoomed, saved, and live."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.acts import choose, lane, run, start_long, title, write


def opened(page: Page) -> None:
    page.get_by_role("tab", name="Beams", exact=True).click()


def facts(page: Page) -> str:
    return page.locator(".beams .facts").text_content() or ""


def saved(page: Page, figure: str, kind: str) -> str:
    page.locator(f"{figure} .opener").click()
    with page.expect_download() as download:
        page.locator(figure).get_by_role("button", name=kind, exact=True).click()
    return Path(download.value.path()).read_text("utf-8")


def test_the_tree_is_walked_by_keys_and_mouse(page: Page) -> None:
    write(page, "B", "beam(4)")
    run(page, 9)
    lane(page, "B").locator(".token").nth(4).click()
    opened(page)
    expect(page.locator(".beams .sentence")).to_contain_text("The thick line is the text")
    expect(page.locator(".beams .facts")).to_contain_text("token 5 ")
    expect(page.locator(".beams .token-box.best")).to_have_count(9)
    expect(lane(page, "B").locator(".outputs .score")).to_contain_text("−")
    field = page.locator(".beams .field")
    field.focus()
    for key, told in [("ArrowRight", "token 6 "), ("Home", "token 1 "), ("End", "token 9 ")]:
        page.keyboard.press(key)
        assert told in facts(page)
    page.keyboard.press("ArrowLeft")
    here = facts(page)
    page.keyboard.press("ArrowDown" if "number 1 of" in here else "ArrowUp")
    assert facts(page) != here and "token 8 " in facts(page)
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(title(page)).to_contain_text("token 9")
    lines = page.locator(".beams .rivals li")
    lines.nth(1).click()
    expect(lines.nth(1)).to_have_attribute("aria-current", "true")
    box = page.locator(".beams .token-box rect").nth(5).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".beams .facts")).to_contain_text("token 2 ")
    field.focus()
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect(page.locator(".beams .token-box")).to_have_count(0)
    expect(page.locator(".beams .dot.best")).to_have_count(1)
    page.get_by_label("what was passed over").check()
    expect(page.locator(".beams .dot.passed")).to_have_count(1)
    rows = list(csv.DictReader(io.StringIO(saved(page, ".beams", "CSV"))))
    assert sum(row["fate"] == "passed over" for row in rows) > 8
    assert sum(row["shown"] == "1" for row in rows) == 9
    assert "<path" in saved(page, ".beams", "SVG")
    choose(page, "A")
    expect(page.locator(".beams .sentence")).to_contain_text("2 other columns of this run: B, C.")


GROWTH = """() => {
    window.grown = new Set();
    new MutationObserver(() => {
        const { state } = document.querySelector('.lane[data-lane="1"] .strip').dataset;
        const { textContent } = document.querySelector('.beams .facts');
        const [, token] = /token (\\d+)/.exec(textContent) ?? [];
        if (state === 'running' && token) window.grown.add(token);
    }).observe(document.querySelector('.beams .told'), { childList: true });
}"""


def test_the_tree_grows_while_a_column_writes(page: Page, unhurried: None) -> None:
    opened(page)
    write(page, "B", "min_new_tokens(400) | beam(3)")
    page.evaluate(GROWTH)
    start_long(page)
    page.wait_for_function("window.grown.size > 1")
    page.locator("#stop").click()
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator(".beams .sentence")).to_contain_text("3 beginnings")
