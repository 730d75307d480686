"""A person's acts on the page, and the places where their results show."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SLOW_MS

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


def choose(page: Page, word: str) -> None:
    """Choose one of a row of words in the inspector, by the word: its radio button is not seen."""
    inspector, named = page.locator("#inspector"), re.compile(rf"^{re.escape(word)}\b")
    radio = inspector.get_by_role("radio", name=named)
    inspector.locator("label").filter(has=page.get_by_role("radio", name=named)).click()
    expect(radio).to_be_checked()


def run(page: Page, tokens: int = 12) -> None:
    """Press Run and wait until the inspector shows its text, however soon it ends."""
    strip = lane(page, "A").locator(".strip")
    before = strip.get_attribute("data-run") or ""
    page.locator("#tokens input").fill(str(tokens))
    page.locator("#prompt textarea").press("Control+Enter")
    expect(strip).not_to_have_attribute("data-run", before)
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#inspector .old")).to_be_hidden()


def write(page: Page, letter: str, text: str) -> None:
    """Give a column a recipe in its written form."""
    if not written(page, letter).is_visible():
        lane(page, letter).locator(".write").click()
    written(page, letter).fill(text)
    written(page, letter).press("Enter")


def start_long(page: Page) -> None:
    write(page, "A", "temperature(5) | min_new_tokens(400) | sample")
    page.locator("#tokens input").fill("400")
    page.locator("#run").click()
    expect(lane(page, "A").locator(".strip")).to_have_attribute("data-state", "running")
