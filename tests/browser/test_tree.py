"""All texts as one tree: walked, continued, named, pruned and restored."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.acts import lane, run, title, write


def opened(page: Page) -> None:
    """A run of three columns, one of several texts, and the tree of them."""
    write(page, "B", "temperature(1.5) | sample")
    write(page, "C", "sample(3)")
    run(page, 8)
    page.get_by_role("tab", name="Tree", exact=True).click()
    expect(page.locator(".tree .sentence")).to_contain_text("5 texts")


def items(page: Page):
    return page.locator(".tree [role=treeitem]")


def goes_on(page: Page, letter: str) -> None:
    expect(page.locator("#line")).to_contain_text(f"Column {letter} goes on from")
    expect(page.locator("#run")).to_be_enabled()


def test_a_tree_is_walked_and_gone_on_with_by_keys(page: Page):
    opened(page)
    expect(page.locator(".tree .leaf")).to_have_count(5)
    first = items(page).first
    first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    told = page.locator(".tree .told")
    expect(told).to_contain_text("Token 1,")
    expect(title(page)).to_contain_text("token 1:")
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("Token 2,")
    page.keyboard.press("ArrowLeft")
    expect(told).to_contain_text("Token 1,")
    page.keyboard.press("ArrowDown")
    expect(items(page).nth(1)).to_be_focused()
    page.get_by_role("button", name="Continue after this token").press("Enter")
    goes_on(page, "D")
    expect(lane(page, "D").locator(".token")).to_have_count(8)
    expect(page.locator(".tree .sentence")).to_contain_text("6 texts")
    expect(page.locator(".tree .leaf", has_text="from")).to_have_count(1)


def test_branches_are_named_hidden_shown_pruned_and_brought_back(page: Page):
    opened(page)
    page.locator(".tree .touch").last.click()
    page.get_by_role("button", name="Edit the text").click()
    box = page.get_by_label("The text as it is gone on with")
    expect(box).not_to_have_value("")
    box.fill("a queen")
    box.press("Control+Enter")
    goes_on(page, "D")
    expect(lane(page, "D").locator(".tokens")).to_contain_text(re.compile("^a queen"))
    expect(page.locator(".tree .sentence")).to_contain_text("6 texts")
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_label("Name of this text").fill("mine")
    page.keyboard.press("Enter")
    expect(page.locator(".tree .leaf", has_text="mine")).to_be_visible()
    expect(lane(page, "D")).to_contain_text("mine")
    page.get_by_role("button", name="Hide its column").click()
    expect(lane(page, "D")).to_have_count(0)
    leaf = page.locator(".tree .leaf", has_text="mine")
    expect(leaf).to_be_visible()
    number = page.locator(".tree [role=treeitem]", has=page.locator(".leaf", has_text="mine"))
    expect(number.locator(".mark")).to_have_text("·")  # drawn anew, as of no column
    number.locator(".touch").click()
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_label("Name of this text").fill("yours")
    page.keyboard.press("Enter")
    other = page.locator(".tree .leaf", has_text="yours")
    expect(other).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    page.wait_for_function(  # the name is an entry of its own by then
        "JSON.parse(sessionStorage['playground-past']).entries.some((e) =>"
        " Object.values(e.setup.called ?? {}).includes('yours'))"
    )
    page.keyboard.press("Control+z")
    expect(leaf).to_be_visible()
    expect(other).to_have_count(0)
    number.locator(".touch").click()
    page.get_by_role("button", name="Show as a column").click()
    expect(lane(page, "D").locator(".tokens")).to_contain_text(re.compile("^a queen"))
    expect(number.locator(".mark")).to_have_text("D")
    number.focus()
    page.keyboard.press("Delete")
    expect(lane(page, "D")).to_have_count(0)
    expect(leaf).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(lane(page, "D").locator(".tokens")).to_contain_text(re.compile("^a queen"))
    expect(leaf).to_be_visible()


def test_pairs_of_columns_are_chosen_and_drawn(page: Page):
    opened(page)
    cells = page.locator(".apart .matrix button")
    expect(cells).to_have_count(3)
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".apart .told")).to_contain_text("A and C: ")
    expect(cells.nth(1)).to_have_attribute("aria-pressed", "true")
    page.locator(".apart svg").click()
    expect(title(page)).to_contain_text("token")
    expect(page.locator("#inspector .letter").first).to_have_text("C")
    with page.expect_download() as saved:
        page.locator(".apart").get_by_role("button", name="Save this view").click()
        page.locator(".apart").get_by_role("button", name="CSV").click()
    assert "at least" in saved.value.path().read_text()
    with page.expect_download() as saved:
        page.locator(".tree").get_by_role("button", name="Save this view").click()
        page.locator(".tree").get_by_role("button", name="SVG").click()
    assert "<svg" in saved.value.path().read_text()


def test_anybody_can_read_the_tree(page: Page):
    opened(page)
    for theme in ("light", "dark"):
        page.evaluate("name => document.body.classList.toggle('dark', name === 'dark')", theme)
        found = Axe().run(page, context="#inspector").response["violations"]
        assert [
            (v["id"], node["html"][:200])
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ] == []
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".tree .leaf")).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("tab", name="Distribution", exact=True).click()
    second = lane(page, "A").locator(".token").nth(1)
    second.click()
    expect(title(page)).to_contain_text("token 2")
    shown = second.inner_text().strip()  # the bars are drawn a moment after the title
    expect(page.locator("#inspector .candidates .line.marked")).to_contain_text(shown)
    page.locator("#inspector .candidates .line.told").nth(1).click()
    page.get_by_role("button", name="Continue from here").click()
    goes_on(page, "D")
    # The same at once: a token, and the button in the row of its second-best candidate.
    third = lane(page, "A").locator(".token").nth(2)
    third.click()
    expect(title(page)).to_contain_text("token 3")
    page.locator("#inspector .candidates .line").nth(1).hover()
    page.locator("#inspector .candidates .line").nth(1).get_by_role("button").click()
    goes_on(page, "E")
