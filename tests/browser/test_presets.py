"""Presets, a recipe as Python code, and formulas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from playwright.sync_api import Browser, Page, expect

from playground.ui.step_controls import LATEX
from strategies.presets import GROUPS, PRESETS
from strategies.registry import registry
from tests.browser.acts import lane, steps, write, written
from tests.browser.conftest import Site, free_port

FORMULAS = {id: strategy.info.formula for id, strategy in registry().strategies.items()}
WRONG = r"\frac{1}{"


def test_presets_stand_in_groups(page: Page) -> None:
    menu = lane(page, "A").locator(".preset")
    groups = menu.locator("optgroup")
    labels = groups.evaluate_all("groups => groups.map(group => group.label)")
    assert labels == list(GROUPS.values())
    assert menu.locator("optgroup option").count() == len(PRESETS) + 1
    menu.select_option("llama_cpp")
    expect(steps(page, "A")).to_have_count(12)
    expect(lane(page, "A").locator(".step.off")).to_have_count(6)  # there, and changing nothing
    expect(menu).to_have_value("llama_cpp")


def test_a_models_own_settings_are_a_preset(page: Page, site: Site) -> None:
    config = site.service.engine().model.model.generation_config
    config.update(do_sample=True, top_k=7, temperature=0.5, suppress_tokens=[4])
    try:
        menu = lane(page, "B").locator(".preset")
        menu.select_option("model")
        expect(written(page, "B")).to_have_value("temperature(0.5) | top_k(7) | sample")
        expect(page.locator("#column-fault-1")).to_contain_text("suppress_tokens=[4] is left out")
        expect(menu).to_have_value("model")
        steps(page, "B").nth(1).press("Delete")
        expect(menu).not_to_have_value("model")
    finally:
        config.update(do_sample=None, top_k=None, temperature=None, suppress_tokens=None)


def test_a_recipe_as_text_stands_with_other_programs_settings(page: Page) -> None:
    part = lane(page, "B").locator(".exchange")
    out = part.locator(".out")
    expect(out).to_be_hidden()
    write(page, "B", "top_p(0.9) | sample")
    page.locator("#tokens input").fill("9")
    line = "model.generate(**inputs, max_new_tokens=9, do_sample=True, top_k=0, top_p=0.9)"
    expect(out).to_contain_text(line)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    part.get_by_role("button", name="Copy").click()
    page.wait_for_function(
        "line => navigator.clipboard.readText().then(t => t.endsWith(line))", arg=line
    )
    write(page, "B", "dry(0.8) | sample")
    expect(part.locator(".losses")).to_have_text("dry: generate has nothing like it.")
    write(page, "B", "temperature(2) | top_p(0.5) | sample")
    part.get_by_label("As in").select_option("ollama")
    expect(out).to_contain_text("PARAMETER top_p 0.5")
    expect(part.locator(".losses")).to_contain_text("in this order: top_p, temperature")
    expect(part.locator(".sentence")).to_contain_text("% of the draws would be another token")
    expect(part.locator("tbody tr").first).to_be_visible()


def test_settings_are_brought_by_pasting_and_by_dropping(page: Page) -> None:
    lane(page, "B").locator(".write").click()
    part = lane(page, "B").locator(".exchange")
    part.get_by_label("Bring settings here").fill("--temp 0.5 --top-k 9 --mirostat 1 -n 5")
    part.get_by_label("Bring settings here").press("Enter")
    chain = "top_k(9) | top_p(0.95) | min_p(0.05) | temperature(0.5) | sample"
    expect(written(page, "B")).to_have_value(chain)
    expect(part.locator(".told")).to_contain_text("settings of llama.cpp. mirostat is left out")
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File(["top_p: 0.25"], "Mine.yaml"));
          const box = document.querySelectorAll("#columns .exchange .in")[1];
          const sent = { bubbles: true, cancelable: true, dataTransfer: files };
          box.dispatchEvent(new DragEvent("drop", sent));
        }"""
    )
    expect(written(page, "B")).to_have_value("top_p(0.25) | sample")
    part.get_by_label("Bring settings here").fill("nothing of the kind")
    part.get_by_label("Bring settings here").press("Enter")
    expect(part.locator(".told")).to_contain_text("in no form that is read here")
    expect(written(page, "B")).to_have_value("top_p(0.25) | sample")


def test_the_controls_of_a_step_open_below_it(page: Page) -> None:
    steps(page, "B").nth(0).click()
    panel = lane(page, "B").locator(".controls")
    expect(panel).to_be_visible()
    chip, box = steps(page, "B").last.bounding_box(), panel.bounding_box()
    assert chip is not None and box is not None
    assert box["y"] >= chip["y"] + chip["height"]


@pytest.fixture
def formulas() -> Iterator[str]:
    """A page of every formula, each in a component as the panel has it, and of a wrong one."""
    with gr.Blocks() as blocks:
        for id, formula in [*FORMULAS.items(), ("wrong", WRONG)]:
            gr.Markdown(f"$$ {formula} $$", latex_delimiters=LATEX, elem_id=f"formula-{id}")

    async def launched() -> str:
        _, address, _ = blocks.launch(
            server_port=free_port(), prevent_thread_lock=True, quiet=True, ssr_mode=False
        )
        return address

    with ThreadPoolExecutor(1) as apart:
        address = apart.submit(lambda: asyncio.run(launched())).result()
    yield address
    blocks.close()


def test_every_formula_is_drawn(browser: Browser, formulas: str) -> None:
    page = browser.new_page()
    page.goto(formulas)
    for id in FORMULAS:
        place = page.locator(f"#formula-{id}")
        expect(place.locator(".katex-display .katex-html"), id).to_have_count(1)
        expect(place.locator(".katex-error, [mathcolor='#cc0000']"), id).to_have_count(0)
    wrong = page.locator("#formula-wrong")
    expect(wrong).to_contain_text("frac")
    expect(wrong.locator(".katex-display .katex-html")).to_have_count(0)
    page.close()
