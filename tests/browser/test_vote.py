"""Two people vote at once, by keys alone, on texts whose recipes they are told afterwards."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SLOW_MS, Site
from tests.browser.test_decide import ask, opened, stage


def voter(browser: Browser, address: str, width: int = 1000) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.set_default_timeout(SLOW_MS)
    page.goto(address)
    expect(page.locator("body")).to_have_attribute("data-state", "asks")
    return page


def vote(page: Page, key: str) -> int:
    """Cast one by a key, see the names, and go on by another."""
    unit = page.locator("body").get_attribute("data-unit")
    expect(page.locator("#left-name")).to_be_empty()
    page.keyboard.press(key)
    expect(page.locator("body")).to_have_attribute("data-state", "told")
    expect(page.locator("#left-name")).not_to_be_empty()
    page.keyboard.press("Enter")
    expect(page.locator("body")).not_to_have_attribute("data-state", "told")
    return int(unit)


def test_two_people_vote_at_once_and_every_vote_counts_once(
    page: Page, browser: Browser, site: Site
):
    opened(page)
    ask(page, seeds="4")
    page.get_by_role("button", name="Run the experiment").click()
    stage(page, "done")
    form = page.locator(".voting form")
    form.get_by_label("greedy").uncheck()
    form.get_by_label("beam").uncheck()
    form.get_by_label("Most votes").fill("none")
    page.get_by_role("button", name="Begin a vote").click()
    expect(form.locator(".fault")).to_contain_text("whole number")
    form.get_by_label("Most votes").fill("7")
    form.get_by_label("end as soon").uncheck()
    page.get_by_role("button", name="Begin a vote").click()
    box = page.locator(".ballot")
    expect(box.locator(".rule")).to_have_text("The vote ends after 7 votes, whatever they are.")
    address = box.get_by_role("link", name="Vote", exact=True).get_attribute("href")
    one, other = voter(browser, address), voter(browser, address, width=390)
    seen: dict[Page, list[int]] = {one: [], other: []}
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        for who in (one, other):
            seen[who].append(vote(who, key))
    for units in seen.values():
        assert len(set(units)) == 3
    found = Axe().run(other).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    one.reload()
    expect(one.locator("#count")).to_contain_text("You have cast 3; all together 6")
    one.keyboard.press("ArrowUp")  # the seventh: both are bad
    expect(one.locator("body")).to_have_attribute("data-state", "told")
    one.keyboard.press("Enter")
    expect(one.locator("#note")).to_have_text("All 7 votes are cast.")
    other.keyboard.press("ArrowLeft")  # it had been asked before the last one was cast
    expect(other.locator("#note")).to_have_text("All 7 votes are cast.")
    expect(box.locator("h3")).to_have_text("7 votes of 2 voters, at most 7")
    expect(box.locator("tbody tr")).to_have_count(2)
    expect(box).to_contain_text("left one is preferred")
    expect(box).to_contain_text("1 both bad")
    with page.expect_download() as saved:
        box.get_by_role("link", name="CSV of every vote").click()
    assert len(saved.value.path().read_text().splitlines()) >= 8
    for who in (one, other):
        who.context.close()
