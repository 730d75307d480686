"""A comparison's file, opened from a disk with the network off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from playground.engine import Request
from playground.trace import Comparison
from tests.engine.models import engine, finished
from tests.traces import COLUMNS, comparison

TABS = (
    "distribution", "why", "draw", "beams", "changes", "distances", "timings", "steps", "tree",
    "data",
)  # fmt: skip


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a comparison's file; a request, a dialog or an error of its script fails the test."""
    faults: list[str] = []
    contexts = []

    def open_file(run: Comparison, *, width: int = 1440, scheme: str = "light") -> Page:
        file = tmp_path / "comparison.html"
        file.write_text(run.to_html(), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: faults.append(r.url) if r.url != file.as_uri() else None)
        page.goto(file.as_uri())
        page.wait_for_selector("#page[data-ready]")
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert faults == []


def test_it_shows_hostile_texts_as_texts_and_every_view_of_a_token(opened):
    run = comparison(COLUMNS, length=48)
    run.prompt = "</script><img src=x onerror=alert(1)>"
    page = opened(run)
    assert page.text_content("#setup .asked") == run.prompt
    for lane, strip in zip(run.lanes, page.locator(".strip .tokens").all(), strict=True):
        assert strip.text_content() == lane.text
    page.locator(".strip").nth(2).locator(".token").nth(10).click()
    assert page.text_content(".caption .title").startswith("token 11: ")
    assert page.text_content(".caption .letter") == "C"
    for name in TABS:
        page.click(f"#tab-{name}")
        panel = page.locator(f"#panel-{name}")
        assert panel.is_visible()
        if name in ("timings", "steps"):
            panel.locator(".block.pg-plot").first.scroll_into_view_if_needed()
            panel.locator(".pg-plot svg :is(rect, circle)").first.wait_for()
        else:
            panel.locator(":is(.line, .knob, tr, .sentence)").first.wait_for()
    assert page.locator("#panel-tree [role='treeitem']").count() >= 3
    page.click(".walk .open")  # step by step, from the token that is selected
    page.wait_for_selector(".walk .where:has-text('token 11 of 48')")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".walk .where:has-text('token 12 of 48')")
    page.wait_for_selector(".walk tbody tr")
    page.keyboard.press("Escape")
    page.wait_for_selector(".caption .title:has-text('token 12:')")
    row = page.locator(".table tr.selected td")
    assert row.nth(0).text_content() == "C"
    assert page.locator(".table tbody tr").count() == sum(len(x.token_ids) for x in run.lanes)


def test_a_point_of_a_chart_leads_to_its_token_and_names_it(opened):
    page = opened(comparison(COLUMNS, length=20))
    page.click("#tab-steps")
    page.locator("#panel-steps .block.pg-plot").scroll_into_view_if_needed()  # drawn in sight alone
    point = page.locator("#panel-steps .pg-plot circle").nth(7)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = page.text_content("#panel-steps .pg-plot .hover")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    letter, number = told[0], told.partition("token ")[2].partition(":")[0]
    assert page.text_content(".caption .letter") == letter
    assert page.text_content(".caption .title").startswith(f"token {number}: ")


def test_its_beams_and_its_tree_lead_to_tokens(opened):
    request = Request(prompt="abab", recipes=["beam(3)", "greedy"], max_new_tokens=8)
    run = finished(engine(), request)
    page = opened(run)
    page.click("#tab-beams")
    field = page.locator("#panel-beams .field")
    field.wait_for()
    field.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector(".caption .title:has-text('token 1:')")
    page.click("#tab-tree")
    page.locator("#panel-tree [role='treeitem'][tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.wait_for_selector(".caption .title:has-text('token 2:')")
    assert page.locator("#panel-tree .acts button:visible").count() <= 2  # nothing is run here


def test_it_is_walked_by_keys_and_its_texts_turn_together(opened):
    request = Request(
        prompt="abab",
        recipes=["temperature(0.8) | top_k(40) | sample(2)", "sample(2)"],
        max_new_tokens=12,
    )
    run = finished(engine(), request)
    page = opened(run)
    page.locator(".token[tabindex='0']").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".caption .title:has-text('token 2:')")
    page.locator("#tab-distribution").focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.id") == "tab-data"
    page.locator(".outputs .after").first.click()
    for lane, strip in zip(run.lanes, page.locator(".strip .tokens").all(), strict=True):
        assert strip.text_content() == lane.trace.outputs[1].text
    page.wait_for_selector(".caption .facts:has-text('text 2 of 2')")
    page.click("#tab-changes")
    page.locator(".knob input").first.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".outcome:has-text('token')")


def test_it_follows_the_systems_theme_until_one_is_chosen_and_fits_a_phone(opened):
    page = opened(comparison(COLUMNS, length=16), width=390, scheme="dark")
    page.wait_for_selector("body.dark")
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("body:not(.dark)")
    page.click("#theme")
    page.wait_for_selector("body.dark")
    page.reload()
    page.wait_for_selector("body.dark #page[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as saved:
        page.click("#tab-data")
        page.click("a.json")
    kept = Comparison.from_json(Path(saved.value.path()).read_bytes())
    assert saved.value.suggested_filename.endswith(".json")
    assert [len(lane.token_ids) for lane in kept.lanes] == [16, 16, 16]


DROP = """([name, text]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([text], name));
  for (const kind of ['dragover', 'drop'])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true }));
}"""


def test_the_page_saves_a_file_and_opens_it_or_its_json(page, tmp_path):
    page.click("#inspector [role='tab']:has-text('Data')")
    with page.expect_download() as saved:
        page.click(".downloads a.html")
    file = tmp_path / "saved.html"
    saved.value.save_as(file)
    kept = Comparison.from_html(file.read_text(encoding="utf-8"))
    texts = [strip.text_content() for strip in page.locator(".strip .tokens").all()]
    assert texts == [lane.text for lane in kept.lanes]

    run = comparison(COLUMNS, length=12)
    run.prompt = "Another prompt"
    file.write_text(run.to_html(), encoding="utf-8")
    page.set_input_files(".opener .chosen", file)
    page.wait_for_selector("#line .status:has-text('Opened from a file')")
    assert page.input_value("#prompt textarea") == "Another prompt"
    first = page.locator(".strip .tokens").first
    assert first.text_content() == run.lanes[0].text
    page.locator(".strip").nth(1).locator(".token").nth(3).click()
    page.wait_for_selector(".caption .title:has-text('token 4:')")

    run.prompt = "Dropped"
    page.evaluate(DROP, ["run.json", run.to_json()])
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'Dropped'")
    page.evaluate(DROP, ["other.html", "<p>hello</p>"])
    page.wait_for_selector("#line .status[data-kind='bad']:has-text('Not opened: the file holds')")
    assert first.text_content() == run.lanes[0].text
