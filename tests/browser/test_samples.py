"""All texts of a column, in the inspector."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.acts import lane, run, write


def test_texts_are_listed_counted_and_shown_in_their_column(page: Page) -> None:
    write(page, "B", "temperature(1.5) | sample(6)")
    run(page, 8)
    lane(page, "B").locator(".token").first.click()
    page.get_by_role("tab", name="Texts").click()
    part = page.locator(".all-texts")
    expect(part.locator(".each tbody tr")).to_have_count(6)
    expect(part.locator(".sentence")).to_contain_text("6 texts of one prompt")
    expect(part.locator(".means tbody tr")).to_have_count(3)
    expect(part.locator(".means tbody tr").nth(1)).to_contain_text("±")
    expect(part.locator("tr[data-shown] button")).to_have_text("1")
    part.locator(".each tbody tr").nth(3).click()
    expect(lane(page, "B").locator(".which")).to_have_text("4/6")
    expect(part.locator("tr[data-shown] button")).to_have_text("4")
    expect(part.locator(".histogram figcaption")).to_contain_text("Token 1: ")
    part.get_by_label("at token").press("ArrowRight")
    expect(part.locator(".histogram figcaption")).to_contain_text("Token 2: ")
    write(page, "B", "temperature(1.5) | best_of(5)")
    run(page, 7)
    expect(part.locator(".each tbody tr")).to_have_count(5)
    expect(part.locator(".each thead")).to_contain_text("mean log-probability")
    expect(part.locator(".sentence")).to_contain_text("the highest log-probability is shown first")
