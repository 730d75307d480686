"""The set-up is restored by a link, by Undo, and by a reload."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import expect

from playground.recent_runs import RecentRuns
from tests.browser.acts import lane, run, steps, title, write, written
from tests.browser.conftest import SLOW_MS, Site


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
    page.get_by_role("button", name="Story", exact=True).click()
    expect(switch).not_to_be_checked()
    page.wait_for_function("() => !location.hash.includes('chat=')")
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


def test_what_is_done_at_once_is_taken_back_too(page):
    """The page's opening lasts as long as its clock stands still, and ends by the act itself."""
    page.add_init_script("sessionStorage.clear(); Date.now = () => 1e12")
    page.reload()
    page.wait_for_function("sessionStorage.getItem('playground-past')")  # it is noted as it opened
    columns = page.locator(".lane:visible")
    expect(columns).to_have_count(3)
    page.get_by_role("button", name="Add a column").click()
    expect(columns).to_have_count(4)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(columns).to_have_count(3)


def forget(site: Site) -> None:
    """Have the service keep no run, as after a restart."""
    site.service.runs = RecentRuns(16, 1 << 24)


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
    kept = page.locator(f"[data-kept='{name}']")
    expect(kept).to_have_count(1)
    forget(site)
    page.reload()  # the history knows the run
    expect(page.locator("#line")).to_contain_text("As it was before the reload. 21 tokens")
    expect(kept).to_have_count(1)
    site.service.history.delete(page.evaluate("playground.remember('playground-visitor')"))
    forget(site)
    page.reload()
    expect(page.locator("#line")).to_contain_text("no longer kept on the server")
    expect(page.locator("#tokens input")).to_have_value("7")
    page.evaluate("location.hash = '#prompt=Pasted&seed=5'")  # a link into the tab that is open
    expect(page.locator("#prompt textarea")).to_have_value("Pasted")
    expect(page.locator("#line")).to_contain_text("Set up from the link")
    context.close()
