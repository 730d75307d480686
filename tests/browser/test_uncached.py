"""A column measured without its cache, on the page."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.acts import choose, run, title, write
from tests.browser.conftest import SLOW_MS, Site

expect.set_options(timeout=SLOW_MS)


def open_timings(page: Page) -> None:
    page.get_by_role("tab", name="Timings").click()


def measure(page: Page) -> None:
    page.get_by_role("button", name="Measure without the cache").click()


def test_a_column_is_measured_with_its_cache_and_without(page: Page, site: Site) -> None:
    write(page, "B", "temperature(0.9) | sample")
    run(page, 10)
    choose(page, "B")
    open_timings(page)
    before = set(site.service.runs.unpacked)
    measure(page)
    sentence = page.locator("#inspector .sentence:visible", has_text="Measured now")
    expect(sentence).to_contain_text("column B alone: 9 steps took")
    expect(sentence).to_contain_text(re.compile(r"[\d.]+ times as long.*The cache took .*B\."))
    runs = site.service.runs.unpacked
    first, second = (runs[id] for id in runs if id not in before)
    assert [run.request.cache for run in (first, second)] == [True, False]
    assert first.request.alone and second.request.alone
    assert [str(recipe) for recipe in second.request.recipes] == ["temperature(0.9) | sample"]
    assert first.views[0].path()[-1].index == second.views[0].path()[-1].index == 9
    expect(page.get_by_role("button", name="Measure without the cache")).to_be_enabled()
    choose(page, "A")
    expect(sentence).to_have_count(0)  # it was measured of B
    choose(page, "B")
    expect(sentence).to_have_count(1)


def test_what_cannot_be_measured_is_said_beside_the_button(page: Page) -> None:
    open_timings(page)  # of the recorded run, whose model is not the one that is served here
    expect(title(page)).to_contain_text("token")
    measure(page)
    expect(page.locator("#measure-fault")).to_contain_text("Not measured: The model")
