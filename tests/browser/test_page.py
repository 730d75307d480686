"""What a person does on the page: change a recipe, share it, be told what is wrong."""

from __future__ import annotations

import math
import random
import re
import time
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.ui import follow, recorded
from tests.browser.conftest import SLOW_MS, Site
from tests.traces import COLUMNS, HOSTILE, comparison

expect.set_options(timeout=SLOW_MS)


def lane(page: Page, letter: str) -> Locator:
    return page.locator(".lane:visible").filter(
        has=page.locator(".letter", has_text=re.compile(f"^{letter}$"))
    )


def steps(page: Page, letter: str) -> Locator:
    return lane(page, letter).locator(".step .name")


def written(page: Page, letter: str) -> Locator:
    return lane(page, letter).locator(".written textarea")


def title(page: Page) -> Locator:
    return page.locator("#inspector .title")


def run(page: Page, tokens: int = 12) -> None:
    """Press Run and wait for the end, however soon it comes."""
    strip = lane(page, "A").locator(".strip")
    before = strip.get_attribute("data-run") or ""
    page.locator("#tokens input").fill(str(tokens))
    page.locator("#prompt textarea").press("Control+Enter")
    expect(strip).not_to_have_attribute("data-run", before)
    expect(page.locator("#run")).to_be_enabled()


def write(page: Page, letter: str, text: str) -> None:
    """Give a column a recipe in its written form."""
    if not written(page, letter).is_visible():
        lane(page, letter).locator(".write").click()
    written(page, letter).fill(text)
    written(page, letter).press("Enter")


def test_a_step_is_moved_switched_off_and_removed(page):
    steps(page, "B").nth(0).click()
    panel = lane(page, "B").locator(".controls")
    panel.get_by_role("button", name="Move right").click()
    expect(steps(page, "B")).to_have_text(["top_p 0.95", "temperature 0.8", "sample"])
    expect(written(page, "B")).to_have_value("top_p(0.95) | temperature(0.8) | sample")
    panel.get_by_role("button", name="Switch off").click()
    expect(written(page, "B")).to_have_value("top_p(0.95) | ~temperature(0.8) | sample")
    expect(lane(page, "B").locator(".step.off")).to_have_text(["temperature 0.8"])
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    steps(page, "B").nth(1).press("Alt+ArrowLeft")
    expect(steps(page, "B")).to_have_text(["temperature 0.8", "top_p 0.95", "sample"])
    steps(page, "B").nth(0).press("Delete")
    expect(steps(page, "B")).to_have_text(["top_p 0.95", "sample"])
    expect(lane(page, "B")).to_have_class(re.compile("edited"))
    run(page)
    expect(lane(page, "B")).to_have_attribute("data-ran", "top_p(0.95) | sample")
    expect(lane(page, "B")).not_to_have_class(re.compile("edited"))


def test_controls_are_made_of_the_parameters(page):
    steps(page, "B").nth(0).click()
    panel = lane(page, "B").locator(".controls")
    slider = panel.locator("input[type=range]")
    expect(slider).to_have_attribute("max", "2")
    slider.focus()
    slider.press("ArrowRight")
    expect(steps(page, "B").nth(0)).to_have_text("temperature 0.85")
    panel.get_by_role("button", name="Formula").click()
    expect(panel.locator(".katex").first).to_be_visible()
    expect(panel.get_by_role("link")).to_have_attribute("href", re.compile("^https://"))
    page.locator("#line").click()
    lane(page, "C").locator(".add button").click()
    lane(page, "C").get_by_role("option", name="repetition_penalty").click()
    expect(steps(page, "C")).to_have_text(["repetition_penalty 1", "beam"])
    expect(lane(page, "C").locator(".step.off")).to_have_count(1)  # it changes nothing yet
    lane(page, "A").locator(".preset").select_option("pure")
    expect(written(page, "A")).to_have_value("sample")


def test_columns_are_added_duplicated_and_removed(page):
    lane(page, "A").locator(".copy").click()
    expect(page.locator(".lane:visible")).to_have_count(4)
    expect(lane(page, "B").locator(".parting")).to_contain_text("The same text as A")
    expect(lane(page, "C").locator(".parting")).to_contain_text("Parts from B")
    page.locator("#add").click()
    expect(lane(page, "E").locator(".blank")).to_contain_text("Press Run")
    page.locator("#add").click()
    expect(page.locator(".lane:visible")).to_have_count(6)
    expect(page.locator("#add")).to_be_disabled()
    for left in (5, 4):
        lane(page, "A").locator(".close").click()
        expect(page.locator(".lane:visible")).to_have_count(left)
    expect(steps(page, "A")).to_have_text(["temperature 0.8", "top_p 0.95", "sample"])
    lane(page, "A").locator(".token").nth(7).click()
    expect(title(page)).to_contain_text("token 8:")


def test_a_tokens_background_says_what_was_asked(page):
    """Each token's opacity in every mode, from the record it was drawn from."""
    path = recorded.recorded().lanes[1].trace.path()
    heats = {
        "surprise": [-math.log(max(step.raw_probability, 1e-9)) / 6 for step in path],
        "rank": [math.log2(step.raw_rank) / 7 for step in path],
        "entropy": [step.raw_entropy / 6 for step in path],
        "off": [0.0 for _ in path],
    }
    read = """spans => spans.map((span) => {
        const told = getComputedStyle(span).backgroundColor;
        return Number(told.match(/[,/] *([0-9.e-]+)\\)$/)?.[1] ?? 1); })"""
    for mode in ("rank", "entropy", "off", "surprise"):
        page.locator("#tint label", has_text=mode).click()
        expect(page.locator("#page")).to_have_attribute("data-tint", mode)
        found = lane(page, "B").locator(".token").evaluate_all(read)
        wanted = [0.92 * min(1.0, max(0.0, heat)) for heat in heats[mode]]
        assert found == pytest.approx(wanted, abs=0.01), mode


def test_the_inspector_goes_with_its_column(page):
    head = page.locator("#inspector .letter")
    lane(page, "B").locator(".token").nth(5).click()
    expect(title(page)).to_contain_text("token 6:")
    told = title(page).inner_text()
    lane(page, "A").locator(".copy").click()
    expect(head).to_have_text("C")
    expect(title(page)).to_have_text(told)
    for left in (3, 2):
        lane(page, "A").locator(".close").click()
        expect(page.locator(".lane:visible")).to_have_count(left)
    expect(head).to_have_text("A")
    expect(title(page)).to_have_text(told)
    lane(page, "A").locator(".token").nth(2).click()  # of a column under its new name
    expect(title(page)).to_contain_text("token 3:")
    lane(page, "A").locator(".close").click()  # the shown one: the next takes its place
    expect(head).to_have_text("A")
    expect(title(page)).to_contain_text("token 1:")
    expect(lane(page, "A").locator(".token").first).to_have_attribute("aria-selected", "true")


def test_hostile_text_is_shown_as_it_is(visit, hostile_site):
    page = visit(hostile_site.address)
    sample = comparison(COLUMNS, length=48, run=recorded.ID)
    for letter, result in zip("ABC", sample.lanes, strict=True):
        spans = lane(page, letter).locator(".token")
        texts = spans.evaluate_all("spans => spans.map(span => span.textContent)")
        assert texts == [step.text for step in result.trace.path()]
    shown = {step.text for result in sample.lanes for step in result.trace.path()}
    assert len(shown & set(HOSTILE)) > 5
    assert page.locator(".tokens :not(.token)").count() == 0
    write(page, "A", "${alert(1)}<img src=x onerror=alert(1)>")
    expect(page.locator("#column-fault-0")).to_contain_text("<img src=x")
    assert page.evaluate("document.querySelectorAll('#page img[src=x]').length") == 0


def test_a_column_of_several_texts_shows_each(page):
    write(page, "B", "sample(3)")
    run(page)
    outputs = lane(page, "B").locator(".outputs")
    expect(outputs).to_contain_text("1/3")
    first = lane(page, "B").locator(".tokens").inner_text()
    figures = lane(page, "B").locator(".figures").inner_text()
    outputs.get_by_role("button", name="Next text").click()
    expect(outputs).to_contain_text("2/3")
    assert lane(page, "B").locator(".tokens").inner_text() != first
    assert lane(page, "B").locator(".figures").inner_text() != figures
    expect(page.locator("#inspector .facts")).to_contain_text("text 2 of 3")
    token = lane(page, "B").locator(".token").nth(1)
    token.focus()
    token.press("Enter")
    expect(token).to_have_attribute("aria-selected", "true")


FAULTS = {
    "an empty prompt": ("#prompt textarea", "", "#prompt-fault", "empty"),
    "a prompt past the context": ("#prompt textarea", "x" * 600, "#prompt-fault", "511"),
    "a long stop string": ("#ends textarea", "x" * 10_000, "#ends-fault", "10,000"),
    "less than no tokens": ("#tokens input", "-1", "#limits-fault", "“new tokens” is -1"),
    "no number": ("#tokens input", "", "#limits-fault", "“new tokens” is empty"),
    "half a token": ("#tokens input", "63.7", "#limits-fault", "'63.7'; it must be a whole number"),
    "more least than most": ("#least input", "99", "#limits-fault", "“at least” is 99"),
    "a seed below zero": ("#seed input", "-1", "#seed-fault", "“seed” is -1"),
}


def test_a_fault_stands_beside_its_cause_and_the_result_stays(page):
    texts = page.locator(".lane:visible .tokens")
    shown = texts.all_inner_texts()
    for what, (field, value, place, says) in FAULTS.items():
        box = page.locator(field)
        before = box.input_value()
        box.fill(value)
        page.locator("#run").click()
        expect(page.locator(place), what).to_contain_text(says)
        expect(page.locator("#run")).to_be_enabled()
        assert texts.all_inner_texts() == shown, what
        box.fill(before)
    for recipe, says in {"temperature(-1) | sample": "-1", "greedy | sample": "search"}.items():
        write(page, "B", recipe)
        page.locator("#run").click()
        expect(page.locator("#column-fault-1"), recipe).to_contain_text(says)
        expect(page.locator("#run")).to_be_enabled()
        assert texts.all_inner_texts() == shown, recipe
    write(page, "B", "sample")
    run(page)
    expect(page.locator(".message:visible")).to_have_count(0)


def test_a_model_that_will_not_load_leaves_the_one_that_did(page):
    page.locator("#model input").click()
    page.get_by_role("option", name="gpt2").click()
    expect(page.locator("#model-fault")).to_contain_text("gpt2")
    expect(page.locator("#model input")).to_have_value("tiny")
    expect(page.locator("#facts")).to_contain_text("parameters")


def test_a_link_restores_the_set_up(page, visit):
    page.locator("#prompt textarea").fill("Zwei & drei = 5?\n#1")
    page.locator("#tokens input").fill("9")
    page.locator("#seed input").fill(str(2**63 - 2))
    page.locator("#ends textarea").fill("\\n\nEnd")
    recipe = 'repetition_penalty(1.3) | beam(early_stopping="never")'
    write(page, "B", recipe)
    expect(steps(page, "B").first).to_have_text("repetition_penalty 1.3")
    lane(page, "C").locator(".close").click()
    expect(page.locator(".lane:visible")).to_have_count(2)
    page.wait_for_function(
        "() => new URLSearchParams(location.hash.slice(1)).getAll('recipe').length === 2"
    )
    link = parse_qsl(urlsplit(page.url).fragment)
    assert ("stop", "\\n") in link and ("stop", "End") in link
    opened = visit(page.url)
    expect(opened.locator("#prompt textarea")).to_have_value("Zwei & drei = 5?\n#1")
    expect(opened.locator("#tokens input")).to_have_value("9")
    expect(opened.locator("#seed input")).to_have_value(str(2**63 - 2))
    opened.locator("#seed input").press("ArrowUp")
    expect(opened.locator("#seed input")).to_have_value(str(2**63 - 1))
    expect(opened.locator("#ends textarea")).to_have_value("\\n\nEnd")
    expect(opened.locator(".lane:visible")).to_have_count(2)
    expect(written(opened, "A")).to_have_value("greedy")
    expect(written(opened, "B")).to_have_value(recipe)
    expect(title(opened)).to_have_text("No run to look into")
    expect(opened.locator("#inspector input[type=range]")).to_be_hidden()
    write(opened, "A", "mirostat_v2 | top_k(4) | sample")
    expect(lane(opened, "A").locator(".preview.refused")).to_contain_text("it comes last")
    opened.locator("#run").click()
    expect(opened.locator("#column-fault-0")).to_contain_text("it comes last")
    expect(opened.locator("#run")).to_be_enabled()
    expect(title(opened)).to_have_text("No run to look into")
    write(opened, "A", "greedy")
    run(opened, 9)
    expect(title(opened)).to_contain_text(re.compile(r"token \d+:"))
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.locator("#share").click()
    expect(opened.locator("#share")).to_have_text("Link copied")
    assert opened.evaluate("navigator.clipboard.readText()") == opened.url


def test_any_column_may_be_what_the_others_are_compared_with(page, visit):
    parting = {letter: lane(page, letter).locator(".parting") for letter in "ABC"}
    expect(parting["C"]).to_contain_text("Parts from B at token 4")
    page.get_by_role("tab", name="Steps").click()
    sentence = page.locator("#inspector .sentence:visible")
    expect(sentence).to_contain_text("C parts from B at token 4")
    page.locator(".reference select").select_option(label="column C")
    expect(parting["A"]).to_contain_text("Parts from C at token 4")
    expect(parting["B"]).to_contain_text("Parts from C at token 4")
    expect(parting["C"]).to_be_empty()
    expect(page.locator(".lane:visible .token.parted")).to_have_count(2)
    expect(lane(page, "A").locator(".token.parted")).to_have_text(" form")
    expect(sentence).to_contain_text("A parts from C at token 4, B parts from C at token 4")
    lane(page, "A").locator(".close").click()  # the reference goes with its text
    expect(page.locator(".reference select")).to_have_value("1")
    expect(parting["A"]).to_contain_text("Parts from B at token 4")
    lane(page, "A").locator(".copy").click()
    expect(page.locator(".reference select")).to_have_value("2")
    page.locator("#seed input").fill("8")  # the address tells what differs from what was opened
    page.wait_for_function("() => new URLSearchParams(location.hash.slice(1)).get('from') === 'C'")
    opened = visit(page.url)
    expect(opened.locator(".reference select")).to_have_value("2")


def test_the_chat_template_follows_what_is_typed_until_it_is_set(page, visit):
    box, switch, prompt = (
        page.locator("#chat"), page.locator("#chat input"), page.locator("#prompt textarea")
    )  # fmt: skip
    prompt.press("End")
    page.keyboard.type(" life")
    expect(box).to_have_attribute("data-why", "off for examples")
    expect(switch).not_to_be_checked()
    prompt.fill("Write a haiku.")
    expect(switch).to_be_checked()
    expect(box).to_have_attribute("data-why", "on for a typed prompt")
    page.wait_for_function("() => location.hash.includes('chat=typed')")
    page.get_by_role("button", name="Story").click()
    expect(switch).not_to_be_checked()
    prompt.fill("Write a haiku.")
    expect(switch).to_be_checked()
    page.wait_for_function("() => location.hash.includes('chat=typed')")  # Gradio knows it, too
    switch.click()
    expect(box).to_have_attribute("data-why", "as you set it")
    prompt.fill("Tell me a story.")
    expect(switch).not_to_be_checked()
    page.wait_for_function("() => location.hash.includes('chat=0')")
    opened = visit(page.url)
    expect(opened.locator("#chat")).to_have_attribute("data-why", "as in the link")
    opened.locator("#prompt textarea").fill("Tell me another.")
    expect(opened.locator("#chat input")).not_to_be_checked()


def test_a_text_that_ended_at_once_shows_its_end_and_offers_the_template(page):
    write(page, "A", 'logit_bias({"0": 100}) | greedy')
    run(page)
    token = lane(page, "A").locator(".token")
    expect(token).to_have_count(1)
    expect(token).to_have_attribute("data-special", "<|endoftext|>")
    assert token.bounding_box()["width"] > 60  # the name is drawn, and is no part of the text
    assert lane(page, "A").locator(".tokens").evaluate("e => e.textContent") == ""
    expect(lane(page, "A").locator(".blank .why")).to_contain_text("Ended at once: <|endoftext|>")
    expect(lane(page, "B").locator(".blank")).to_be_hidden()
    before = lane(page, "A").locator(".strip").get_attribute("data-run")
    lane(page, "A").locator(".blank .help").click()
    expect(lane(page, "A").locator(".strip")).not_to_have_attribute("data-run", before)
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#chat input")).to_be_checked()
    expect(page.locator("#prompt-tokens .chip").first).to_contain_text("<|im_start|>")
    expect(lane(page, "A").locator(".blank .help")).to_be_hidden()


@pytest.fixture
def unhurried(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps so slow that a long run outlasts the slowest browser."""
    forward = site.service.engine().forward
    decode = forward.decode

    def slowly(*what: Any, **how: Any) -> Any:
        time.sleep(0.1)
        return decode(*what, **how)

    monkeypatch.setattr(forward, "decode", slowly)


def start_long(page: Page) -> None:
    write(page, "A", "temperature(5) | min_new_tokens(400) | sample")
    page.locator("#tokens input").fill("400")
    page.locator("#run").click()
    expect(lane(page, "A").locator(".strip")).to_have_attribute("data-state", "running")


def test_stop_keeps_what_was_written(page, unhurried):
    start_long(page)
    expect(lane(page, "A").locator(".token").nth(3)).to_be_attached()
    page.locator("#stop").click()
    expect(lane(page, "A").locator(".figures")).to_contain_text("stopped")
    assert 3 < lane(page, "A").locator(".token").count() < 400


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
        expect(tokens.nth(tokens.count() + 60)).to_be_attached()

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
    before = set(site.service._runs)
    with page.expect_response(lambda r: '"slower"' in (r.request.post_data or "")) as asked:
        start_long(page)
    assert asked.value.ok and {asked.value.request.post_data_json["data"]} | before == set(
        site.service._runs
    )
    page.locator("#stop").click()
    expect(page.locator("#run")).to_be_enabled()


def test_leaving_the_page_ends_its_run(page, site: Site, unhurried, monkeypatch):
    monkeypatch.setattr(follow, "COME_S", 0.5)
    before = set(site.service._runs)
    start_long(page)
    (run_id,) = set(site.service._runs) - before
    page.close()
    until = time.monotonic() + SLOW_MS / 1000
    while not site.service._runs[run_id].done and time.monotonic() < until:
        time.sleep(0.1)
    assert site.service.comparison(run_id).lanes[0].finish_reason == "cancelled"


def test_clear_leaves_the_recipes(page):
    page.locator("#clear").click()
    expect(page.locator("#prompt textarea")).to_have_value("")
    expect(page.locator(".lane:visible .token")).to_have_count(0)
    expect(title(page)).to_have_text("No run to look into")
    expect(written(page, "C")).to_have_value("beam")


def test_a_step_is_found_by_typing_and_stands_where_it_belongs(page):
    lane(page, "B").locator(".add button").press("Enter")
    find = lane(page, "B").locator(".find")
    expect(find).to_be_focused()
    page.keyboard.type("rep")
    expect(lane(page, "B").get_by_role("option", name="no_repeat_ngram")).to_be_visible()
    expect(lane(page, "B").get_by_role("option", name="top_k")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(steps(page, "B")).to_have_text(
        ["repetition_penalty 1", "temperature 0.8", "top_p 0.95", "sample"]
    )
    page.keyboard.press("Escape")
    plus = lane(page, "B").locator(".add button")
    plus.click()
    page.keyboard.type("no such step")
    expect(lane(page, "B").locator(".menu .none")).to_be_visible()
    page.keyboard.press("Escape")
    expect(find).to_be_hidden()
    expect(plus).to_be_focused()


def test_the_inspector_is_seen_and_covers_no_text_it_explains(page):
    frame, inspector = page.locator("#page"), page.locator("#inspector")
    expect(frame).to_have_attribute("data-dock", "fits")
    page.set_viewport_size({"width": 720, "height": 450})  # a laptop's screen at 200 %
    expect(frame).to_have_attribute("data-dock", "rest")
    token = lane(page, "B").locator(".token").nth(4)
    token.click()
    expect(frame).to_have_attribute("data-dock", "raised")
    expect(title(page)).to_contain_text("token 5:")
    expect(inspector).to_be_in_viewport(ratio=0.99)
    page.wait_for_function(
        "token => token.getBoundingClientRect().bottom "
        "< document.querySelector('#inspector').getBoundingClientRect().top",
        arg=token.element_handle(),
    )
    sizer = page.get_by_role("separator", name="Size of the inspector")
    before = inspector.bounding_box()["height"]
    sizer.press("ArrowUp")
    page.wait_for_function(
        "before => document.querySelector('#inspector').offsetHeight > before", arg=before
    )
    page.keyboard.press("Escape")
    expect(frame).to_have_attribute("data-dock", "rest")
    page.set_viewport_size({"width": 1920, "height": 1080})
    expect(frame).to_have_attribute("data-dock", "side")
    columns = page.locator("#columns").bounding_box()
    assert inspector.bounding_box()["x"] >= columns["x"] + columns["width"]
    assert columns["width"] + inspector.bounding_box()["width"] > 1800
    size = "e => parseFloat(getComputedStyle(e).fontSize)"
    assert page.locator("#inspector .facts").evaluate(size) > 14
    page.get_by_role("button", name="Put the inspector below the columns").click()
    expect(frame).to_have_attribute("data-dock", re.compile("fits|raised"))


def test_controls_of_a_step_cover_neither_its_text_nor_its_preview(page):
    steps(page, "B").nth(0).click()
    expect(lane(page, "B").locator(".controls")).to_be_visible()
    tops = [
        lane(page, "B").locator(part).bounding_box()
        for part in (".controls", ".preview", ".strip .text", ".figures")
    ]
    for above, below in pairwise(tops):
        assert above["y"] + above["height"] <= below["y"] + 1
    assert tops[2]["height"] > 60


def test_columns_scroll_together_where_one_asks_for_it(page):
    a, b = (lane(page, letter).locator(".strip .text") for letter in "AB")
    for text in (a, b):
        text.evaluate("e => Object.assign(e.style, {flex: '0 0 40px', minHeight: '0'})")
        assert text.evaluate("e => e.scrollHeight > e.clientHeight + 20")
    b.evaluate("e => { e.scrollTop = 8; }")
    page.wait_for_timeout(100)
    assert a.evaluate("e => e.scrollTop") == 0
    page.get_by_label("scroll together").check()
    b.evaluate("e => { e.scrollTop = 15; }")
    page.wait_for_function("e => e.scrollTop === 15", arg=a.element_handle())


def test_a_candidate_is_pointed_at_over_its_whole_row(page):
    label = page.locator("#inspector .candidates .label").nth(1)  # beside the bars, not on them
    label.hover()
    life = page.locator("#inspector .life").first
    expect(life).to_contain_text("after temperature 0.8")
    expect(life).to_contain_text(label.text_content().removeprefix("▸ "))
    page.locator("#line").hover()
    expect(life).to_be_hidden()


def test_what_a_link_cannot_mean_is_said_at_its_cause(visit, site: Site):
    link = "model=nosuch&tokens=9999&least=x&prompt=Hi&recipe=greedy&recipe=top_k(-1)|sample"
    page = visit(f"{site.address}?{link}")
    expect(page.locator("#line")).to_contain_text("see what is said in red")
    expect(page.locator("#model-fault")).to_contain_text("'nosuch' is not offered here")
    expect(page.locator("#model input")).to_have_value("tiny")
    expect(page.locator("#limits-fault")).to_contain_text("'9999', but from 0 to 512")
    expect(page.locator("#limits-fault")).to_contain_text("at least 'x', which is no whole number")
    expect(lane(page, "B").locator(".step.fault")).to_have_text("top_k -1")
    assert "?" not in page.url  # what stands there goes with every event
    write(page, "B", "sample")
    run(page)
    expect(page.locator(".message:visible")).to_have_count(0)


def test_a_prompt_of_any_length_is_run_and_linked(page, visit):
    text = "".join(random.Random(7).choices("абвгдежзиклмнопрстуфхцчшщыюя", k=20_000))
    page.locator("#prompt textarea").fill(text)
    page.wait_for_function("() => location.hash.length > 10000")
    page.locator("#run").click()
    expect(page.locator("#prompt-fault")).to_contain_text("the context holds 511")
    expect(page.locator("#run")).to_be_enabled()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#share").click()
    expect(page.locator("#share")).to_have_text(re.compile(r"Link copied, [\d,]+ characters"))
    opened = visit(page.evaluate("navigator.clipboard.readText()"))
    expect(opened.locator("#prompt textarea")).to_have_value(text)


def test_what_was_cleared_or_changed_comes_back(page):
    page.locator("#prompt textarea").fill("Abc")
    write(page, "B", "top_k(3) | sample")
    run(page, 6)
    texts = page.locator(".lane:visible .tokens")
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    shown = texts.all_text_contents()
    page.locator("#clear").click()
    expect(page.locator("#prompt textarea")).to_have_value("")
    expect(redo).to_be_disabled()
    undo.click()
    expect(page.locator("#prompt textarea")).to_have_value("Abc")
    expect(texts).to_have_text(shown)
    expect(title(page)).to_contain_text("token ")
    redo.click()
    expect(page.locator(".lane:visible .token")).to_have_count(0)
    undo.click()
    expect(texts).to_have_text(shown)

    lane(page, "B").locator(".write").click()  # the steps instead of the line
    steps(page, "B").nth(0).click()
    slider = lane(page, "B").locator(".controls input[type=range]")
    slider.press("ArrowRight")
    expect(steps(page, "B").first).to_have_text("top_k 4")
    expect(undo).to_be_enabled()
    page.wait_for_function(  # the change is taken down
        "() => JSON.parse(sessionStorage.getItem('playground-past')).entries.at(-1)"
        ".setup.recipes[1].startsWith('top_k(4)')"
    )
    page.keyboard.press("Control+z")
    expect(steps(page, "B").first).to_have_text("top_k 3")
    expect(slider).to_have_value("3")
    expect(texts).to_have_text(shown)
    page.keyboard.press("Control+Shift+z")
    expect(steps(page, "B").first).to_have_text("top_k 4")
    page.keyboard.press("Escape")
    lane(page, "A").locator(".close").click()
    expect(page.locator(".lane:visible")).to_have_count(2)
    page.keyboard.press("Control+z")
    expect(texts).to_have_text(shown)


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


def test_a_reload_brings_back_run_and_theme(browser, site: Site):
    # Not `visit`, since a reload breaks off what Gradio is about, which it writes to the console.
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    page.goto(site.address)
    expect(page.locator("#facts")).to_contain_text("parameters")
    run(page, 6)
    texts = page.locator(".lane:visible .tokens")
    shown = texts.all_text_contents()
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("#line")).to_contain_text("As it was before the reload. ")
    expect(texts).to_have_text(shown)
    expect(page.locator("body")).to_have_class(re.compile("dark"))
    assert page.evaluate("document.documentElement.style.colorScheme") == "dark"
    run(page, 7)
    name = lane(page, "A").locator(".strip").get_attribute("data-run")
    with site.service._lock:
        del site.service._runs[name]
    page.reload()
    expect(page.locator("#line")).to_contain_text("no longer kept on the server")
    expect(page.locator("#tokens input")).to_have_value("7")
    page.evaluate("location.hash = '#prompt=Pasted&seed=5'")  # a link into the tab that is open
    expect(page.locator("#prompt textarea")).to_have_value("Pasted")
    expect(page.locator("#line")).to_contain_text("Set up from the link")
    context.close()
