"""The inspector in a real browser, over recorded numbers: no model runs here."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gradio as gr
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from playground import charts
from playground.ui import downloads
from playground.ui.inspector import Inspector
from playground.ui.theme import launch_options
from tests.browser.acts import choose
from tests.browser.conftest import forget
from tests.traces import COLUMNS, HOSTILE, NO_REPEAT, VOCABULARY, comparison

RUN = comparison((*COLUMNS, NO_REPEAT), length=32)
LONGER = comparison(COLUMNS, length=48, run="longer")
RUNS = {run.id: run for run in (RUN, LONGER)}
TABS = (
    "Distribution", "Why", "Draw", "Beams", "Texts", "What if", "Likelihood", "Timings", "Steps",
    "Tree", "Data",
)  # fmt: skip
DRAWN = """async (box) => {
    const moves = () => box.getAnimations({ subtree: true }).some(
        (one) => one.playState === 'running' && one.effect.getComputedTiming().endTime < Infinity);
    for (let before = null; before !== box.innerHTML || moves();) {
        before = box.innerHTML;
        await new Promise((go) => setTimeout(go, 100));
    }
}"""
LANE = 1  # temperature, then top_p, then sample


def hostile_step() -> int:
    """A step that chose text with tags in it."""
    tokens = RUN.lanes[LANE].token_ids
    return next(i for i, t in enumerate(tokens) if VOCABULARY[t] in HOSTILE[:10])


def drawn_for(inspector: Inspector, told: dict[str, Any], values: Any) -> Any:
    return inspector.draw(replace(inspector.state(values), selection=told))


def build() -> gr.Blocks:
    first = {"run": RUN.id, "lane": LANE, "step": hostile_step()}
    with gr.Blocks() as page, gr.Column(elem_id="page"):
        inspector = Inspector(RUNS.get, first)
        for name, step in (("longer", 44), ("lost", 0)):
            told = {"run": name, "lane": 0, "step": step}
            show = partial(drawn_for, inspector, told)
            gr.Button(name).click(show, inspector.inputs, inspector.outputs)
    return page


@pytest.fixture(scope="module")
def address(browser) -> Iterator[str]:
    """After the browser, in whose loop it is built: without one, Blocks leaves one unclosed."""
    page = build()
    with socket.socket() as free:  # Gradio's own search leaves a socket open at every taken port
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, local, _ = page.launch(
        server_port=port, prevent_thread_lock=True, quiet=True, ssr_mode=False,
        app_kwargs={"routes": downloads.routes(RUNS.get)}, **launch_options(),
    )  # fmt: skip
    yield local
    page.close()


@pytest.fixture
def theme() -> str:
    return "light"


both_themes = pytest.mark.parametrize("theme", ["light", "dark"])


@pytest.fixture
def page(warm, address, theme) -> Iterator[Page]:
    """The page, open; whatever it complains of or asks another host for fails the test."""
    faults: list[str] = []
    opened = warm.new_page()
    opened.set_viewport_size({"width": 1440, "height": 900})
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda r: faults.append(r.url) if outside(r.url, address) else None)
    opened.goto(f"{address}?__theme={theme}")
    opened.wait_for_selector("#inspector .rows .line")
    opened.evaluate(
        "window.marks = []; document.addEventListener('playground:mark', e => marks.push(e.detail))"
    )
    yield opened
    forget(warm, [address])
    assert faults == []


def outside(url: str, address: str) -> bool:
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def slider(page: Page):
    return page.locator("#inspector input[type=range]")


def open_tab(page: Page, name: str) -> None:
    """Where there is no room for all of them, the last are in a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator("#inspector .overflow-menu > button").click()
        tab = page.locator("#inspector .overflow-dropdown button", has_text=name)
    tab.click()


def view(page: Page, name: str) -> None:
    """Open a tab, and wait until it is drawn: nothing in it changes or moves any more."""
    if name != TABS[0]:  # which the page opens with
        with page.expect_response("**/run/predict**"):
            open_tab(page, name)
    page.locator("#inspector").evaluate(DRAWN)


def title(page: Page):
    return page.locator("#inspector .title")


def drawn(page: Page, number: int) -> str:
    """All the text that a visible chart shows."""
    return page.locator("#inspector .chart:visible").nth(number).inner_text()


def token(lane: int, step: int) -> str:
    return VOCABULARY[RUN.lanes[lane].token_ids[step]]


def test_hostile_text_is_drawn_literally(page):
    expect(title(page)).to_contain_text(token(LANE, hostile_step()))
    step = RUN.lanes[LANE].trace.path()[hostile_step()]
    labels = page.locator("#inspector .candidates .label").all_text_contents()
    shown = {label.strip().removeprefix("▸ ") for label in labels}
    hostile = [t for t in step.candidates.texts[:12] if t in HOSTILE and t.strip().isascii()]
    short = [t for t in hostile if t and len(t) <= 18]
    assert short
    assert {t.replace(" ", "·") for t in short if not set("\n\t") & set(t)} <= shown
    assert page.locator("#inspector img, #inspector a[href^=javascript]").count() == 0


def test_every_hostile_step_is_shown_without_running(page):
    for step, chosen in enumerate(RUN.lanes[LANE].token_ids):
        if VOCABULARY[chosen] in HOSTILE:
            slider(page).fill(str(step + 1))
            expect(title(page)).to_have_text(
                f"token {step + 1}: {charts.quoted(VOCABULARY[chosen])}"
            )
    for tab in TABS[1:]:
        view(page, tab)
    assert page.locator("#inspector img[src=x]").count() == 0


def test_the_slider_moves_by_key_and_tells_the_columns(page):
    start = hostile_step()
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    expect(title(page)).to_contain_text(f"token {start + 2}:")
    mark = {"run": RUN.id, "lane": LANE, "step": start + 1, "output": 0}
    assert page.evaluate("marks.at(-1)").items() >= mark.items()


def test_a_stage_changes_the_bars_and_not_the_rows(page):
    labels = page.locator("#inspector .candidates .label")
    before = labels.all_text_contents()
    choose(page, "model alone")
    expect(page.locator("#inspector .sentence").first).to_contain_text("before any step")
    expect(page.locator("#inspector .candidates .by-recipe")).to_have_count(0)
    assert labels.all_text_contents() == before


def test_a_click_on_a_stage_shows_it(page):
    page.locator("#inspector .stages .line").nth(1).click()
    expect(page.locator("#inspector .sentence").first).to_contain_text("temperature 1.3.")
    expect(page.get_by_role("radio", name="temperature 1.3")).to_be_checked()


def test_a_click_on_a_point_selects_its_token(page):
    open_tab(page, "Steps")
    chart = page.locator("#inspector .chart:visible")
    chart.locator("svg.main-svg").first.wait_for()
    at = chart.evaluate(
        """c => { const t = c.data.find(d => d.customdata?.[0][0] === 2), l = c._fullLayout;
        return {x: l.xaxis._offset + l.xaxis.l2p(t.x[9]), y: l.yaxis._offset + l.yaxis.l2p(t.y[9])};
        }"""
    )
    chart.click(position=at)
    expect(title(page)).to_contain_text("token 10:")
    assert page.evaluate("marks.at(-1).step") == 9
    page.wait_for_function(  # a ring on its point, in both panels
        "c => c.layout.shapes.filter(s => s.type === 'circle' && s.xanchor === 10).length === 2",
        arg=chart.element_handle(),
    )


def test_a_zoom_outlives_the_next_token(page):
    open_tab(page, "Timings")
    chart = page.locator("#inspector .chart:visible").first
    chart.locator("svg.main-svg").first.wait_for()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 55, steps=5)
    page.mouse.up()
    page.wait_for_function("c => c._fullLayout.xaxis.range[0] > 2", arg=chart.element_handle())
    zoomed = chart.evaluate("c => c._fullLayout.xaxis.range")
    slider(page).focus()
    page.keyboard.press("ArrowRight")
    expect(title(page)).to_contain_text(f"token {hostile_step() + 2}:")
    page.wait_for_timeout(300)
    assert chart.evaluate("c => c._fullLayout.xaxis.range") == zoomed
    at = hostile_step() + 2  # a band behind its bar
    page.wait_for_function(
        "([c, at]) => c.layout.shapes.some(({ x0, x1 }) => x0 < at && at < x1)",
        arg=[chart.element_handle(), at],
    )


@both_themes
def test_charts_follow_the_theme_at_once(page, theme):
    open_tab(page, "Timings")
    page.wait_for_selector("#inspector .chart svg.main-svg")
    ink = "() => document.querySelector('#inspector .chart .ytick text').style.fill"
    before = page.evaluate(ink)
    page.evaluate("document.body.classList.toggle('dark')")
    page.wait_for_function(f"before => ({ink})() !== before", arg=before)
    red = int(page.evaluate(ink).removeprefix("rgb(").split(",")[0])
    assert (red > 128) == (theme == "light")  # it was light and is dark now, or the reverse


def test_downloads_are_the_run(page):
    open_tab(page, "Data")
    frame = RUN.frame()
    expect(page.locator("#inspector [role=gridcell], #inspector td").first).to_be_attached()
    with page.expect_download() as csv:
        page.get_by_role("link", name="CSV").click()
    read = pd.read_csv(csv.value.path(), keep_default_na=False)
    assert list(read.columns) == list(frame.columns)
    assert read["text"].tolist() == frame["text"].tolist()
    with page.expect_download() as whole:
        page.get_by_role("link", name="JSON").click()
    assert json.loads(whole.value.path().read_text()) == json.loads(RUN.to_json())


def test_the_table_is_put_in_order_and_walked_by_keys(page):
    open_tab(page, "Data")
    heads, field = (
        page.locator("#inspector .data-table th"),
        page.locator("#inspector .field:visible"),
    )
    expect(heads.last).to_have_text("at_s")
    columns = heads.all_text_contents()
    marked = page.locator("#inspector .data-table .marked td").nth(columns.index("position"))
    expect(marked).to_have_text(str(hostile_step() + 1))
    expect(marked).to_be_in_viewport()
    head = heads.nth(columns.index("raw_entropy"))
    frame = RUN.frame().sort_values("raw_entropy", kind="stable")
    cell = page.locator(f"#inspector .data-table td:nth-child({columns.index('token_id') + 1})")
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(cell.first).to_have_text(str(frame["token_id"].iloc[0]))
    field.press("End")  # whose rows were not sent yet
    expect(cell.last).to_have_text(str(frame["token_id"].iloc[-1]))
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    falling = RUN.frame().sort_values("raw_entropy", ascending=False, kind="stable")
    expect(cell.first).to_have_text(str(falling["token_id"].iloc[0]))
    head.get_by_role("button").press("Enter")
    expect(head).not_to_have_attribute("aria-sort", re.compile("."))
    expect(marked).to_be_in_viewport()


def saved(page: Page, kind: str, number: int = 0) -> Path:
    """A visible view, saved by the keyboard alone."""
    view = page.locator("#inspector .plot:visible").nth(number)
    view.get_by_role("button", name="Save this view").press("Enter")
    with page.expect_download() as told:
        view.get_by_role("button", name=kind).press("Enter")
    assert told.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(told.value.path())


def test_views_are_saved_as_pictures_and_tables(page):
    step = RUN.lanes[LANE].trace.path()[hostile_step()]
    read = pd.read_csv(saved(page, "CSV"), keep_default_na=False)
    assert read["id"].tolist() == step.candidates.ids
    assert read["model"].tolist() == pytest.approx(step.candidates.raw)
    shape = ElementTree.parse(saved(page, "SVG")).getroot()  # whatever a token's text is
    drawn = "".join(shape.itertext())
    label = page.locator("#inspector .candidates .label").first.text_content()
    assert label in drawn
    assert saved(page, "PNG").read_bytes().startswith(b"\x89PNG")
    open_tab(page, "Steps")
    page.locator("#inspector .chart:visible svg.main-svg").first.wait_for()
    points = pd.read_csv(saved(page, "CSV", 1))
    assert set(points["column"].dropna()) == {"A", "B", "C", "D"}
    chart = ElementTree.parse(saved(page, "SVG", 1)).getroot()
    assert len(list(chart.iter("{http://www.w3.org/2000/svg}path"))) > 10
    opener = page.locator("#inspector .save:visible .opener").last
    opener.press("Enter")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    expect(page.get_by_role("button", name="PNG")).to_have_count(0)


def test_a_longer_run_moves_the_end_of_the_slider(page):
    page.get_by_role("button", name="longer").click()
    expect(title(page)).to_contain_text("token 45:")
    slider(page).focus()
    page.keyboard.press("End")
    expect(title(page)).to_contain_text("token 48:")


def test_the_slider_stands_clear_of_the_button_that_moves_the_inspector(page):
    box = page.locator("#inspector .at").bounding_box()
    button = page.locator("#inspector .dock .aside").bounding_box()
    assert box["x"] + box["width"] <= button["x"]


def test_a_number_that_no_token_has_is_said(page):
    typed, said = page.locator("#inspector .at .typed"), page.locator("#inspector .at .refusal")
    typed.fill("99")
    expect(said).to_have_text("No token 99: they count from 1 to 32.")
    expect(title(page)).to_contain_text(f"token {hostile_step() + 1}:")
    expect(typed).to_have_value("99")
    typed.fill("7")
    expect(title(page)).to_contain_text("token 7:")
    expect(said).to_be_hidden()
    expect(slider(page)).to_have_value("7")
    typed.press("ArrowUp")
    expect(title(page)).to_contain_text("token 8:")


def test_a_run_that_is_gone_says_what_to_do(page):
    page.get_by_role("button", name="lost").click()
    expect(title(page)).to_have_text("No run to look into")
    expect(page.locator("#inspector .facts")).to_contain_text("Press Run")
    expect(page.locator("#inspector .chart:visible")).to_have_count(0)


@both_themes
def test_axe_finds_nothing_serious(page):
    for tab in TABS:
        view(page, tab)
        found = Axe().run(page, context="#inspector").response["violations"]
        serious = [
            (tab, v["id"], node["html"][:200])
            for v in found
            if v["impact"] in ("serious", "critical")
            for node in v["nodes"]
        ]
        assert serious == []


def test_a_phone_scrolls_in_one_direction_only(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for tab in TABS:
        view(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
