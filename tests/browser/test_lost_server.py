"""A server that is killed and started again: its pages go on with what they showed and wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.acts import lane
from tests.browser.conftest import free_port
from tests.browser.front_ends import FrontEnd, end, fewest, is_written, no_error, shown, visiting
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

AWAY = "The server does not answer. What is written stays"


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    folder = saved(
        tiny_llama(VOCAB, context=512), tmp_path_factory.mktemp("lost") / "tiny", chat=True
    )
    made = FrontEnd(
        free_port(),
        {
            "model": folder,
            "models": folder,
            "threads": 1,
            "device": "cpu",
            "dtype": "float32",
            "history": 0,
            "max_new_tokens": 400,
            "cache_dir": tmp_path_factory.mktemp("cache"),
        },
    )
    made.start()
    yield made
    made.kill()


@pytest.mark.parametrize("ends", ["kill", "stop"])
def test_a_run_goes_on_to_the_same_end(browser, front_end: FrontEnd, ends: str) -> None:
    with visiting(browser, front_end.address) as (page, faults):
        page.locator("#run").click()
        end(page)
        wanted = shown(page)
        assert [len(column) for column in wanted] == [400] * 4
        page.locator("#run").click()
        is_written(page, 12)
        getattr(front_end, ends)()
        expect(page.locator("#line")).to_contain_text(AWAY)
        if ends == "kill":  # Gradio's own message, which is not shown
            expect(page.locator(".toast-body")).to_be_attached()
        no_error(page)
        before = shown(page)
        assert all(12 <= len(column) < 400 for column in before)
        front_end.start()
        end(page)
        no_error(page)
        assert shown(page) == wanted and faults == []
        assert fewest(page) >= min(map(len, before))  # of what stood there nothing was taken away
        lane(page, "A").locator(".token").nth(5).click()
        page.wait_for_selector("#inspector .title:has-text('token 6:')")


def test_what_had_ended_stays(browser, front_end: FrontEnd) -> None:
    with visiting(browser, front_end.address, tokens=12) as (page, faults):
        page.locator("#run").click()
        end(page)
        wanted = shown(page)
        front_end.kill()
        expect(page.locator("#line")).to_contain_text(AWAY)
        assert shown(page) == wanted
        front_end.start()
        expect(page.locator("#line")).to_contain_text("Its texts stay; press Run")
        assert shown(page) == wanted
        no_error(page)
        lane(page, "A").locator(".token").nth(5).click()
        expect(page.locator("#inspector")).to_contain_text("no longer kept")
        page.locator("#run").click()
        end(page)
        assert shown(page) == wanted and faults == []
        lane(page, "A").locator(".token").nth(5).click()
        page.wait_for_selector("#inspector .title:has-text('token 6:')")
