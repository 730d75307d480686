"""An experiment is requested, followed, read, left and found again."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from playground.service import Service
from tests.browser.acts import lane, run
from tests.browser.conftest import Site, served


def opened(page: Page) -> None:
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.locator(".asking .count")).to_contain_text("texts")


def count(page: Page, text: str) -> None:
    expect(page.locator(".asking .count")).to_contain_text(text)


def ask(page: Page, seeds: str = "2", tokens: str = "6") -> None:
    """Two prompts, the three columns, and a sweep of two."""
    for name in ("story", "fact"):
        box = page.locator(".asking .sets").get_by_label(name)
        box.set_checked(False)
    page.get_by_label("Typed or pasted").fill("Once\nTwice")
    page.locator(".asking summary").click()
    page.get_by_label("Recipe", exact=True).fill("top_p(0.9) | sample")
    expect(page.get_by_label("Setting", exact=True).first).to_contain_text("top_p.top_p")
    page.get_by_title("Remove this setting").last.click()
    page.get_by_label("Setting", exact=True).select_option("top_p.top_p")
    page.get_by_label("Values", exact=True).fill("0.5, 0.7")
    page.get_by_label("Seeds", exact=True).fill(seeds)
    page.get_by_label("Longest text").fill(tokens)
    count(page, f"2 prompts × 5 recipes × {int(seeds):,} seed")


def stage(page: Page, name: str) -> None:
    expect(page.locator(".finding")).to_have_attribute("data-stage", name)


def test_an_experiment_is_run_read_and_found_again(page: Page):
    opened(page)
    expect(lane(page, "A")).to_have_count(0)  # Compare is hidden
    ask(page)
    page.get_by_label("Question (for the report)").fill("Which <b>one</b>?")
    page.locator(".asking .metrics").get_by_label("MAUVE").check()
    page.get_by_role("button", name="Run the experiment").click()
    stage(page, "done")
    expect(page.locator(".finding .means ~ .note").first).to_contain_text("of 4 texts no dist")
    expect(page.locator(".finding h2")).to_have_text("Which <b>one</b>?")
    expect(page.locator(".finding .progress .told")).to_have_text("Done: 20 texts.")
    rows = page.locator(".finding .table tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(1).locator("td").first).to_contain_text(re.compile(r"\d"))
    expect(page.locator("#frontier .sentence")).to_contain_text("each ellipse")
    page.locator("#frontier").scroll_into_view_if_needed()
    page.locator("#frontier .chart .points path").first.click(force=True)
    expect(page.locator(".samples .text")).to_have_count(4)
    rows.nth(1).get_by_role("button").click()
    expect(page.locator(".samples h3")).to_have_text("temperature 0.8, top_p 0.95")
    page.get_by_text("Prompt by prompt").click()
    cells = page.locator(".finding .prompts tbody button")
    expect(cells).to_have_count(10)
    cells.first.click()
    expect(page.locator(".samples .text")).to_have_count(2)
    page.get_by_text("Every pair of recipes").click()
    expect(page.locator(".finding .pairs tbody tr")).to_have_count(10)
    with page.expect_download() as saved:
        page.get_by_role("link", name="TOML that repeats it").click()
    assert 'question = "Which <b>one</b>?"' in saved.value.path().read_text()
    address = page.url
    assert "experiment=" in address
    page.reload()
    stage(page, "done")
    expect(page.locator(".finding .table tbody tr")).to_have_count(5)
    page.get_by_role("button", name="Compare", exact=True).click()
    run(page, 4)
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.locator(".asking .earlier")).to_contain_text("Which <b>one</b>?")
    rows.nth(1).get_by_role("button").click()
    expect(page.locator(".samples .text")).to_have_count(4)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("button", name="History", exact=True).click()
    page.get_by_label("Search your history").fill("which twice top_p")
    entry = page.locator(".archive .rows li")
    expect(entry).to_have_count(1)
    expect(entry).to_contain_text("experiment · ")
    expect(entry.locator(".verdict")).to_contain_text("can be told")
    entry.locator(".open").click()  # a link to it is one, too
    stage(page, "done")
    expect(page.locator(".finding h2")).to_have_text("Which <b>one</b>?")
    page.get_by_role("button", name="Delete", exact=True).locator("visible=true").click()
    page.get_by_role("button", name="Delete its texts and votes, surely?").click()
    for gone in (".finding", ".samples .text", "#frontier .chart", ".asking .earlier"):
        expect(page.locator(gone).locator("visible=true")).to_have_count(0)
    assert "experiment=" not in page.url
    page.goto(address)
    stage(page, "gone")
    expect(page.locator(".finding .fault")).to_contain_text("no such experiment")


def test_what_is_wrong_stands_beside_it_and_a_stop_keeps_what_is_there(page: Page):
    opened(page)
    ask(page, seeds="1000", tokens="60")  # far more than is written before Stop
    page.get_by_label("Values", exact=True).fill("0.5, 7")
    expect(page.locator(".fault[data-of=sweep]")).to_contain_text("top_p")
    page.get_by_label("Values", exact=True).fill("0.5, 0.7")
    page.get_by_label("Typed or pasted").fill("{]\n")
    page.get_by_label("Read as").select_option("jsonl")
    expect(page.locator(".fault[data-of=prompts]")).to_contain_text("line 1 is no JSON")
    page.locator(".asking .chosen").set_input_files(
        {"name": "some.csv", "mimeType": "text/csv", "buffer": b"prompt,answer\nOne,1\nTwo,2\n"}
    )
    expect(page.get_by_label("Read as")).to_have_value("csv")
    count(page, "2 prompts × 5 recipes × 1,000 seeds = 10,000 texts")
    page.get_by_label("Longest text").press("Control+Enter")
    stage(page, "running")
    expect(page.locator(".finding .table tbody td").first).to_contain_text(re.compile(r"\d"))
    page.get_by_role("button", name="Stop", exact=True).locator("visible=true").click()
    stage(page, "stopped")
    expect(page.locator(".finding .progress .told")).to_contain_text("what follows is of these")
    expect(page.locator(".finding .verdict")).to_be_visible()
    page.get_by_role("button", name="Go on", exact=True).click()
    stage(page, "running")
    page.get_by_role("button", name="Stop", exact=True).locator("visible=true").click()
    stage(page, "stopped")


def test_anybody_can_decide(page: Page):
    opened(page)
    ask(page, seeds="1", tokens="3")
    page.get_by_role("button", name="Run the experiment").click()
    stage(page, "done")
    page.locator(".finding .table").get_by_role("button").first.click()
    expect(page.locator(".samples .text").first).to_be_visible()
    for theme in ("light", "dark"):
        page.evaluate("name => document.body.classList.toggle('dark', name === 'dark')", theme)
        found = Axe().run(page, context="#decide").response["violations"]
        assert [
            (v["id"], node["html"][:200])
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture
def without_experiments(service: Service) -> Iterator[Site]:
    """The page of a host that offers none."""
    other = copy.copy(service)
    other.settings = service.settings.model_copy(update={"max_experiment_texts": 0})
    yield from served(other)


def test_a_host_without_experiments_shows_the_columns(without_experiments: Site, visit):
    page = visit(f"{without_experiments.address}?experiment=abc")
    expect(page.locator(".areas")).to_have_count(0)
    expect(lane(page, "A")).to_be_visible()
    page.locator("#prompt textarea").press("Control+Enter")
    expect(page.locator("#line .status")).not_to_contain_text("recorded", ignore_case=True)
