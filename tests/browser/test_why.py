"""Why a token was chosen, how it was drawn, what else was possible, and continuing from there."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.acts import lane, run, write


def opened(page: Page, tab: str) -> None:
    """A run of two columns, the second one's third token, and a tab of the inspector."""
    write(page, "B", "temperature(1.5) | min_p(0.4) | sample")
    run(page)
    lane(page, "B").locator(".token").nth(2).click()
    expect(page.locator("#inspector .title")).to_contain_text("token 3")
    page.get_by_role("tab", name=tab, exact=True).click()


def test_a_candidate_is_found_and_gone_on_from_by_keys(page: Page):
    opened(page, "Why")
    listed, find = page.locator(".listing .line.told"), page.get_by_role("searchbox")
    expect(listed.first).to_be_visible()
    expect(page.locator(".listing .note", has_text="removed by min_p 0.4").first).to_be_visible()
    find.fill("nowhere at all")
    expect(page.locator(".listing .none").first).to_contain_text("not among")
    find.press("Escape")
    find.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(listed.nth(1)).to_be_focused()
    label = listed.nth(1).locator(".label").text_content()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Continue from here").press("Enter")
    expect(page.locator("#line")).to_contain_text("goes on from token 3 of column B")
    new = page.locator(".lane:visible").last
    expect(new.locator(".token").nth(2)).to_be_visible()
    page.get_by_role("tab", name="Why", exact=True).click()
    expect(page.locator(".listing .line.marked .label").first).to_have_text(label)


def test_a_candidate_is_followed_through_the_steps(page: Page):
    opened(page, "Why")
    panels = page.locator("#inspector .panel")
    expect(panels).to_have_count(3)  # the model and two steps
    expect(panels.nth(2).locator(".told")).to_contain_text("keeps what has at least")
    expect(panels.nth(2).locator(".cut")).to_have_count(1)
    expect(panels.nth(2).locator(".line.faint .values").first).to_have_text("removed")
    first = panels.nth(0).locator(".line").nth(1)
    first.focus()
    same = first.get_attribute("data-candidate")
    page.keyboard.press("ArrowRight")
    expect(panels.nth(1).locator(".line:focus")).to_have_attribute("data-candidate", same)
    expect(page.locator("#inspector .line.followed")).to_have_count(3)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    expect(panels.nth(2).locator(".line").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Continue from here")).to_be_visible()
    panels.nth(0).locator(".line").nth(2).hover()
    expect(panels.nth(0).locator(".line.followed")).to_have_count(1)


def test_a_setting_is_moved_and_gone_on_with(page: Page):
    opened(page, "What if")
    knob = page.locator(".changes .knob").first
    expect(knob.locator(".whole")).to_contain_text("writes this same text")
    expect(knob.locator(".one")).to_contain_text("writes this same token")
    expect(page.locator(".changes .progress")).to_have_text("How far each setting may go is shown.")
    outcome = page.locator(".changes .outcome")
    expect(outcome).to_have_count(0)
    knob.locator("input").focus()
    page.keyboard.press("Home")
    expect(outcome).to_contain_text("would")
    knob.get_by_role("button").click()
    expect(outcome).to_have_count(0)
    knob.locator("input").fill("0.1")
    outcome.get_by_role("button", name="Continue from token").click()
    expect(page.locator("#line")).to_contain_text("goes on from token")


def test_a_draw_is_told_beside_the_other_columns(page: Page):
    opened(page, "Draw")
    first = page.locator(".listing .sentence", has_text="won the draw")
    expect(first).to_contain_text("rank")
    expect(page.locator(".listing .line:visible", has_text="A ").first).to_be_visible()


def test_a_text_is_held_against_the_settings(page: Page):
    opened(page, "Likelihood")
    expect(page.locator(".listing .line:visible", has_text="B and A")).to_be_visible()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#score-fault")).to_contain_text("there is no text")
    page.get_by_role("button", name="This column’s text").click()
    box = page.get_by_label("Could these settings have written this?")
    expect(box).not_to_have_value("")
    box.press("Enter")
    expect(page.locator(".listing .line:visible", has_text="the model")).to_be_visible()
    expect(page.locator("#score-fault .message")).to_be_hidden()
