"""A visitor's history: kept, found, pinned, opened, shared and deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.acts import lane, run, written
from tests.browser.conftest import Site


def opened(page: Page) -> None:
    page.get_by_role("button", name="History", exact=True).click()


def test_runs_are_kept_compared_and_opened_again(
    page: Page, site: Site, visit: Callable[..., Page]
) -> None:
    box = page.get_by_role("dialog", name="History")
    opened(page)
    expect(box.locator(".told")).to_contain_text("once they have ended")
    page.keyboard.press("Escape")
    run(page, 5)
    lane(page, "A").locator(".rename").click()
    lane(page, "A").locator(".naming").fill("Plain")
    lane(page, "A").locator(".naming").press("Enter")
    opened(page)
    expect(box.locator(".rows li")).to_have_count(1)
    expect(box.locator(".rows li .name").first).to_have_text("Plain")
    kept = box.get_by_role("checkbox", name="keep what I run")
    expect(kept).to_be_checked()
    expect(kept).to_have_css("appearance", "auto")  # else it looks the same as one that is not
    result = Axe().run(page, context=".archive .list")
    assert result.response["violations"] == []
    box.get_by_role("button", name="Pin as baseline").click()
    expect(box.locator("li.pinned")).to_have_count(1)
    expect(page.locator(".baseline .told")).to_have_text("These columns are it.")
    page.keyboard.press("Escape")
    run(page, 9)
    expect(page.locator(".baseline .held li")).to_have_count(3)
    expect(page.locator(".baseline .held li").first).to_contain_text("5 → 9 tokens")
    opened(page)
    expect(box.locator(".rows li")).to_have_count(2)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box.locator(".rows li").last.get_by_role("button", name="Copy link").click()
    expect(box.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")

    other = visit(link)  # another browser, which has the link alone
    expect(other.locator("#line .status")).to_contain_text("From the history")
    expect(lane(other, "A").locator(".token")).to_have_count(5)
    opened(other)
    expect(other.locator(".archive .rows li")).to_have_count(0)

    box.locator(".rows li .open").last.click()
    expect(page.locator("#line .status")).to_contain_text("From the history")
    expect(lane(page, "B").locator(".token")).to_have_count(5)
    expect(written(page, "B")).to_have_value("temperature(0.8) | top_p(0.95) | sample")
    opened(page)
    box.get_by_label("Search your history").fill("no such words")
    expect(box.locator(".told")).to_contain_text("Nothing of yours")
    box.get_by_label("Search your history").fill("")
    expect(box.locator(".rows li")).to_have_count(2)
    box.get_by_role("button", name="Delete all").click()
    box.get_by_role("button", name="Delete all, surely?").click()
    expect(box.locator(".rows li")).to_have_count(0)
    expect(page.locator(".baseline")).to_be_hidden()
    box.get_by_label("keep what I run").uncheck()
    page.keyboard.press("Escape")
    run(page, 4)
    opened(page)
    expect(box.locator(".told")).to_contain_text("once they have ended")


def test_what_could_not_be_kept_is_told_and_kept_later(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = site.service.history
    assert history is not None
    keep = history.keep

    def refuse(*what: object) -> str:
        raise OSError("the disk is full")

    monkeypatch.setattr(history, "keep", refuse)
    run(page, 3)
    button = page.locator(".archive .show")
    expect(button).to_have_text("History: not kept")
    monkeypatch.setattr(history, "keep", keep)
    expect(button).to_have_text("History")
    opened(page)
    expect(page.locator(".archive .rows li")).to_have_count(1)
