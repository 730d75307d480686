"""Front ends that are killed while pages follow their runs: the pages go on at another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from playwright.sync_api import Browser, expect, sync_playwright

from playground.backends.cluster.backends import ClusterBackends
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.front_ends import (
    WAIT_S,
    FrontEnd,
    Proxy,
    end,
    is_written,
    no_error,
    shown,
    visiting,
)
from tests.cluster.waiting import free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=WAIT_S * 1000)
        yield made
        made.close()


@pytest.fixture(scope="module")
def fronts(
    backends: ClusterBackends, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FrontEnd, FrontEnd]]:
    """Two front ends of the cluster, the first of which is up."""
    backends.open()
    settings = {
        "cluster": ray.get_runtime_context().gcs_address,
        "model": folder,
        "models": folder,
        "max_new_tokens": 400,
        "history": 0,
    }
    made = [
        FrontEnd(free_port(), {**settings, "cache_dir": tmp_path_factory.mktemp(name)})
        for name in ("first", "second")
    ]
    made[0].start()
    yield made[0], made[1]
    for one in made:
        one.kill()


def undisturbed(browser: Browser, address: str) -> list[list[str]]:
    with visiting(browser, address) as (page, faults):
        page.locator("#run").click()
        end(page)
        assert faults == []
        return shown(page)


def test_a_run_goes_on_at_a_front_end_that_was_killed_and_started_again(
    browser: Browser, fronts: tuple[FrontEnd, FrontEnd]
) -> None:
    front, _ = fronts
    wanted = undisturbed(browser, front.address)
    assert [len(column) for column in wanted] == [400] * 4
    with visiting(browser, front.address) as (page, faults):
        page.locator("#run").click()
        is_written(page, 12)
        front.kill()  # -9
        expect(page.locator("#line")).to_contain_text("The server does not answer.")
        no_error(page)
        assert all(12 <= len(column) < 400 for column in shown(page))
        front.start()
        end(page)
        no_error(page)
        assert shown(page) == wanted and faults == []


def test_a_run_goes_on_at_another_front_end_behind_the_same_address(
    browser: Browser, fronts: tuple[FrontEnd, FrontEnd]
) -> None:
    first, second = fronts
    second.start()
    proxy = Proxy()
    proxy.to = first.port
    try:
        wanted = undisturbed(browser, proxy.address)
        with visiting(browser, proxy.address) as (page, faults):
            page.locator("#run").click()
            is_written(page, 12)
            first.kill()  # -9
            proxy.to = second.port
            end(page)
            no_error(page)
            assert shown(page) == wanted and faults == []
    finally:
        proxy.close()
