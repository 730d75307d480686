"""The columns' texts: shown, compared, and inspected."""

from __future__ import annotations

import math
import re

import pytest
from playwright.sync_api import expect

from playground.ui import recorded
from tests.browser.acts import lane, run, title, write
from tests.traces import COLUMNS, HOSTILE, comparison


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
    head = page.locator("#inspector .caption .letter")
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
    before = inspector.bounding_box()["y"]
    page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
    # What a person is about to press stays there; the page's height, rounded, is half a pixel off.
    assert inspector.bounding_box()["y"] == pytest.approx(before, abs=0.5)
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


def test_any_column_may_be_what_the_others_are_compared_with(page, visit):
    parting = {letter: lane(page, letter).locator(".parting") for letter in "ABC"}
    expect(parting["C"]).to_contain_text("Parts from B at token 4")
    page.get_by_role("tab", name="Steps").click()
    sentence = page.locator("#inspector .sentence:visible", has_text="Uncertainty")
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


def test_what_was_taken_back_is_struck_out_before_its_token_and_counted(page):
    """It is no part of the text: neither of what is read, nor of what is copied."""
    write(page, "A", 'ban_phrases(expressions=["[ -~]"]) | min_new_tokens(30) | sample')
    run(page, 30)
    strip = lane(page, "A").locator(".strip")
    drafts = strip.locator(".token[data-taken]")
    expect(drafts.first).to_be_visible()
    first = drafts.first
    expect(first).to_have_attribute("title", re.compile("taken back: .*matches"))
    before = first.evaluate(
        "node => { const { content, textDecorationLine } = getComputedStyle(node, '::before');"
        " return { content, line: textDecorationLine, taken: node.dataset.taken }; }"
    )
    assert before["line"] == "line-through" and before["taken"]
    assert before["taken"].replace('"', '\\"').replace("\\", "\\\\")[:1] in before["content"]
    tokens = strip.locator(".token").all_text_contents()
    assert strip.locator(".tokens").text_content() == "".join(tokens)
    pair = lane(page, "A").locator(".figures > *", has_text="taken back")
    counted = int(re.search(r"\d+", pair.inner_text()).group())
    assert counted >= drafts.count() > 0


def test_of_two_quick_picks_the_last_is_shown_whichever_is_answered_first(page):
    """The first one's answer is held until the second one's is on the page."""
    held = []
    page.route(
        "**/gradio_api/run/predict",
        lambda route: route.continue_() if held else held.append(route),
    )
    page.evaluate(
        "window.marks = []; document.addEventListener('playground:mark', e => marks.push(e.detail))"
    )
    lane(page, "A").locator(".token").nth(2).click()
    lane(page, "B").locator(".token").nth(4).click()
    expect(title(page)).to_contain_text("token 5:")
    held[0].continue_()
    page.wait_for_function("marks.some(({lane, step}) => lane === 0 && step === 2)")
    expect(title(page)).to_contain_text("token 5:")
    expect(page.locator("#inspector .caption .letter")).to_have_text("B")
    selected = page.locator(".token[aria-selected=true]")
    expect(selected).to_have_count(1)
    assert selected.text_content() == lane(page, "B").locator(".token").nth(4).text_content()
