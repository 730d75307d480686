"""Acts in quick succession happen in their order, however slow the server's answers are."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from playground.ui.column import Updates
from playground.ui.inspector_drawing import Drawing
from playground.ui.inspector_view import InspectorState
from tests.browser.acts import lane, run, steps, written
from tests.browser.conftest import Site

OPENING_MS = 1000  # what changes as a page opens makes no state that Undo goes back to
SLOWLY = """() => {
    const fetched = window.fetch;
    window.fetch = async (...asked) => {
        await new Promise((resolve) => setTimeout(resolve, 200));
        return fetched(...asked);
    };
}"""


@pytest.fixture
def page(visit: Callable[..., Page], site: Site) -> Page:
    """Delay every answer of the server until after the next act."""
    opened = visit(site.address)
    opened.wait_for_timeout(OPENING_MS)
    opened.evaluate(SLOWLY)
    return opened


def settled(page: Page, *wanted: str) -> None:
    """Expect these recipes in the columns, with no answer under way that would change them."""
    page.wait_for_function("() => !playground.turns.busy")
    boxes = page.locator(".lane:has(.recipe:visible) .written textarea")
    expect(boxes).to_have_count(len(wanted))
    for box, recipe in zip(boxes.all(), wanted, strict=True):
        expect(box).to_have_value(recipe)


A, B, C = "greedy", "temperature(0.8) | top_p(0.95) | sample", "beam"


def test_a_recipe_is_entered_and_at_once_another_column_is_removed(page: Page) -> None:
    lane(page, "B").locator(".write").click()
    written(page, "B").fill("top_k(7) | sample")
    written(page, "B").press("Enter")
    lane(page, "A").locator(".close").click()
    settled(page, "top_k(7) | sample", C)


def test_a_recipe_that_is_only_typed_counts_as_the_box_is_left(page: Page) -> None:
    lane(page, "C").locator(".write").click()
    written(page, "C").fill("min_p(0.2) | sample")
    lane(page, "A").locator(".close").click()
    settled(page, B, "min_p(0.2) | sample")


def test_two_columns_are_removed_in_one_go(page: Page) -> None:
    lane(page, "A").locator(".close").click()
    lane(page, "B").locator(".close").click()
    settled(page, C)


def test_a_column_that_is_pressed_twice_is_removed_once(page: Page) -> None:
    lane(page, "A").locator(".close").dblclick()
    settled(page, B, C)


def test_a_copy_outlives_its_original(page: Page) -> None:
    lane(page, "A").locator(".copy").click()
    lane(page, "A").locator(".close").click()
    lane(page, "C").locator(".copy").click()
    page.locator("#add").click()
    settled(page, A, B, C, C, "sample")


def test_undo_takes_back_what_is_still_on_its_way(page: Page) -> None:
    lane(page, "A").locator(".copy").click()
    page.keyboard.press("Control+z")
    settled(page, A, B, C)
    lane(page, "A").locator(".close").click()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+z")
    settled(page, B, C)
    page.keyboard.press("Control+z")
    settled(page, A, B, C)


def test_a_step_moves_as_often_as_it_is_told_to(page: Page) -> None:
    first = steps(page, "B").nth(0)
    first.focus()
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Alt+ArrowLeft")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Delete")
    settled(page, A, "top_p(0.95) | sample", C)


def test_run_writes_what_was_set_up_last(page: Page) -> None:
    steps(page, "B").nth(0).click()
    slider = lane(page, "B").locator(".controls input[type=range]")
    slider.press("ArrowRight")
    lane(page, "A").locator(".close").click()
    run(page, 4)
    warmer = "temperature(0.85) | top_p(0.95) | sample"
    expect(lane(page, "A")).to_have_attribute("data-ran", warmer)
    settled(page, warmer, C)


@pytest.mark.parametrize("waits", [(0.6, 0.0), (0.4, 0.8)], ids=["last", "first"])
def test_a_view_that_is_opened_at_once_is_of_the_token_that_was_clicked(
    visit: Callable[..., Page],
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    waits: tuple[float, float],
) -> None:
    """The server draws both at once, each without the other; one of them is answered last."""
    page = visit(site.address)
    page.wait_for_timeout(OPENING_MS)
    drawn, left = Drawing.of, list(waits)

    def slowly(drawing: Drawing, state: InspectorState) -> Updates:
        wait = left.pop(0) if left else 0.0
        updates = drawn(drawing, state)
        time.sleep(wait)
        return updates

    monkeypatch.setattr(Drawing, "of", slowly)
    lane(page, "C").locator(".token").nth(9).click()
    page.get_by_role("tab", name="Beams", exact=True).click()
    expect(page.locator("#inspector .beams .facts:visible").first).to_contain_text("token 10 ")
    expect(page.locator("#inspector .title")).to_contain_text("token 10:")
