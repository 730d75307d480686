"""Errors are shown beside their causes, and the texts on the page stay."""

from __future__ import annotations

import random
import re

from playwright.sync_api import expect

from tests.browser.acts import lane, run, write
from tests.browser.conftest import Site

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


def test_a_link_is_copied_where_the_browser_has_no_clipboard(visit, site):
    """As in a frame, or over plain HTTP to another machine."""
    page = visit(site.address)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator("#share").click()
    expect(page.locator("#share")).to_have_text("Link copied")
    prompt = page.locator("#prompt textarea")
    prompt.fill("")
    prompt.press("Control+v")
    expect(prompt).to_have_value(re.compile(f"^{site.address}"))
