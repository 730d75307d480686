"""Following a run on the page: stopping it, leaving it, and reloading meanwhile."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from playground.ui import follow
from tests.browser.acts import lane, run, start_long
from tests.browser.conftest import SLOW_MS, Site


def test_stop_keeps_what_was_written_and_columns_keep_their_place(page, unhurried):
    """What is said of a run, in one line or in two, moves nothing below it."""
    bar, height = page.locator("#bar"), "bar => bar.offsetHeight"
    opening = bar.evaluate(height)
    start_long(page)
    expect(lane(page, "A").locator(".token").nth(3)).to_be_attached()
    expect(page.locator("#line")).to_contain_text("Writing, ")
    assert bar.evaluate(height) == opening
    page.locator("#stop").click()
    expect(lane(page, "A").locator(".figures")).to_contain_text("stopped")
    expect(page.locator("#line")).not_to_contain_text("Writing, ")
    assert bar.evaluate(height) == opening
    assert 3 < lane(page, "A").locator(".token").count() < 400


def test_a_token_chosen_while_the_text_is_written_stays_chosen(page, unhurried):
    start_long(page)
    written, chosen = lane(page, "A").locator(".token"), "#inspector .title:has-text('token 3:')"
    written.nth(2).click()
    page.wait_for_selector(chosen)
    page.locator("#stop").click()
    expect(page.locator("#run")).to_be_enabled()
    expect(lane(page, "A").locator(".strip")).to_have_attribute("data-state", "done")
    expect(written.nth(2)).to_have_attribute("aria-selected", "true")
    page.wait_for_selector(chosen)


def test_a_pick_is_sent_again_where_an_older_answer_draws_over_it(page):
    run(page)
    picked = lane(page, "A").locator(".token").nth(2)
    picked.click()
    page.wait_for_selector("#inspector .title:has-text('token 3:')")
    with page.expect_request(lambda sent: '"step":2' in (sent.post_data or "")):
        page.evaluate(
            """() => {
              const { run } = document.querySelector('.strip').dataset;
              document.dispatchEvent(new CustomEvent('playground:mark',
                { detail: { run, lane: 0, output: 0, step: 0 } }));
            }"""
        )
    expect(picked).to_have_attribute("aria-selected", "true")


def test_a_text_is_followed_to_its_end_until_a_person_goes_back(page, unhurried):
    page.evaluate("document.querySelector('#page').style.setProperty('--pg-least', '90px')")
    start_long(page)
    text, tokens = lane(page, "A").locator(".strip .text"), lane(page, "A").locator(".token")

    def at_end() -> None:
        page.wait_for_function(
            "e => e.scrollTop > 0 && e.scrollHeight - e.scrollTop - e.clientHeight < 2",
            arg=text.element_handle(),
        )

    def grown() -> None:
        after = tokens.nth(tokens.count() + 40)
        unhurried.release(40)
        expect(after).to_be_attached()

    grown()
    at_end()
    page.set_viewport_size({"width": 1590, "height": 900})  # which makes the text shorter
    grown()
    at_end()
    text.evaluate("e => { e.scrollTop = 3; }")
    grown()
    assert text.evaluate("e => e.scrollTop") == 3
    text.evaluate("e => { e.scrollTop = e.scrollHeight; }")
    grown()
    at_end()
    old = page.locator("#inspector .old")
    expect(old).to_have_text("of the run before")
    page.locator("#stop").click()
    expect(page.locator("#run")).to_be_enabled()
    expect(old).to_be_hidden()
    expect(lane(page, "A").locator(".strip")).to_have_attribute("data-state", "done")
    # Where B parts from it, as nobody has gone back.
    page.wait_for_function("e => e.scrollTop === 0", arg=text.element_handle())


def test_a_page_that_draws_too_slowly_asks_for_fewer_frames(page, site: Site, unhurried):
    # A clock on which every frame comes a second later than the one before.
    page.evaluate(
        "() => { let late = 0; const now = performance.now.bind(performance); "
        "performance.now = () => now() + 1e3 * late++; }"
    )
    before = set(site.service.runs.unpacked)
    with page.expect_response(lambda r: '"slower"' in (r.request.post_data or "")) as asked:
        start_long(page)
    assert asked.value.ok and {asked.value.request.post_data_json["data"]} | before == set(
        site.service.runs.unpacked
    )
    page.locator("#stop").click()
    expect(page.locator("#run")).to_be_enabled()


def test_leaving_the_page_ends_its_run(page, site: Site, unhurried, monkeypatch):
    monkeypatch.setattr(follow, "COME_S", 0.5)
    before = set(site.service.runs.unpacked)
    start_long(page)
    (run_id,) = set(site.service.runs.unpacked) - before
    page.close()
    until = time.monotonic() + SLOW_MS / 1000
    while not site.service.runs.unpacked[run_id].done and time.monotonic() < until:
        time.sleep(0.1)
    assert site.service.comparison(run_id).lanes[0].finish_reason == "cancelled"


def test_a_run_outlives_a_reload(browser, site: Site, unhurried):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    page.goto(site.address)
    expect(page.locator("#facts")).to_contain_text("parameters")
    start_long(page)
    strip, tokens = lane(page, "A").locator(".strip"), lane(page, "A").locator(".token")
    expect(tokens.nth(3)).to_be_attached()
    name, before = strip.get_attribute("data-run"), tokens.all_text_contents()[:3]
    page.reload()
    expect(strip).to_have_attribute("data-run", name)
    expect(strip).to_have_attribute("data-state", "running")
    expect(page.locator("#line")).to_contain_text("Writing, ")
    assert tokens.all_text_contents()[:3] == before
    expect(tokens.nth(tokens.count() + 5)).to_be_attached()
    page.locator("#stop").click()
    expect(lane(page, "A").locator(".figures")).to_contain_text("stopped")
    expect(page.locator("#run")).to_be_enabled()
    page.reload()
    expect(page.locator("#line")).to_contain_text("It was stopped before its end; press Run")
    context.close()
