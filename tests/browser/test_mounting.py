"""Nothing that a visitor sees is moved by what Gradio mounts after it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import SLOW_MS, Site

# Every shift of what stood on the page, but for Gradio's sign that it is loading.
WATCH = """window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const ours = entry.sources.filter(({ node }) => node?.closest?.('#page'));
    const moved = ours.map(({ node }) => node.outerHTML.slice(0, 90));
    if (moved.length) window.shifts.push([entry.value, ...moved]);
  }
}).observe({ type: 'layout-shift', buffered: true });"""


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_shown_once_its_parts_stand(site: Site, browser: Browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.add_init_script(WATCH)
    page.goto(site.address)
    expect(page.locator("#inspector .caption .title")).to_be_visible(timeout=SLOW_MS)
    page.wait_for_timeout(1500)
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, *_ in shifts) < 0.02, shifts
    page.close()


def test_the_page_is_shown_though_a_part_never_comes(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    page.add_init_script(
        """new MutationObserver(() => document.querySelector('#theme')?.removeAttribute('id'))
        .observe(document, { childList: true, subtree: true });"""
    )
    page.goto(site.address)
    expect(page.locator("#inspector .caption .title")).to_be_attached(timeout=SLOW_MS)
    expect(page.locator("#inspector .caption .title")).to_be_visible(timeout=SLOW_MS)
    assert page.locator("#theme").count() == 0
    page.close()
