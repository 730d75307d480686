"""A person's questions about a run, each answered within two clicks of the run on the page."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.acts import lane, run, write

NOISY = "temperature(1.5) | top_p(0.95) | min_p(0.4) | sample"


def test_nine_questions_are_answered_in_two_clicks_each(page: Page) -> None:
    write(page, "A", "greedy")
    write(page, "B", NOISY)
    write(page, "C", "beam(3)")
    run(page, 12)
    inspector = page.locator("#inspector")

    def tab(name: str) -> Locator:
        return page.get_by_role("tab", name=name, exact=True)

    def token(letter: str, number: int) -> Locator:
        return lane(page, letter).locator(".token").nth(number - 1)

    def answered(by: list[Locator], where: Locator, told: str) -> None:
        """Two clicks at most, and then the answer is seen without scrolling the page further."""
        assert len(by) <= 2
        for one in by:
            one.click()
        expect(where.first).to_contain_text(re.compile(told))
        expect(where.first).to_be_visible()
        tab("Distribution").click()

    views = inspector.locator(".tabitem:visible")
    facts, sentence = inspector.locator(".caption .facts"), views.locator(".sentence")
    # Why this token?
    answered([token("B", 5)], facts, "the model gave it .* %, the recipe .* % · entropy .* sample")
    # Which stage removed X, and by how much?
    removed = views.locator(".note", has_text="removed by")
    answered([token("B", 5), tab("Why")], removed, r"removed by .*\d")
    # Where and why did B part from A?
    answered([], lane(page, "B").locator(".parting"), r"Parts from A at token \d+: .{20,}")
    # What was the draw?
    answered([token("B", 5), tab("Draw")], sentence, "won the draw")
    # What did the beams look like at step 10?
    answered([token("C", 10), tab("Beams")], views.locator(".beams .facts"), "token 10 ")
    # How different are A and B?
    token("B", 5).click()
    pair = views.locator(".line", has_text="B and A")
    answered([tab("Likelihood")], pair, r"\d\.\d\d")
    # Could B's settings have written this sentence?
    tab("Likelihood").click()
    page.get_by_label("Could these settings have written this?").fill("a sentence")
    tab("Distribution").click()
    ask = page.get_by_role("button", name="Ask", exact=True)
    verdict = views.locator(".line", has_text="B temperature")
    answered([tab("Likelihood"), ask], verdict, "could|only a run tells|a close call")
    # What would top_p 0.8 have changed? The slider is moved by one more press.
    tab("What if").click()
    knob = views.locator(".knob", has=page.locator("b", has_text="top_p"))
    knob.locator("input").fill("0.8")
    expect(views.locator(".outcome").first).to_contain_text(re.compile("at token|would not"))
    tab("Distribution").click()
    # Continue from the second-best at step 5.
    second = views.locator(".candidates .line").nth(1).get_by_role("button")
    answered([token("B", 5), second], page.locator("#line"), "goes on from token 5 of column B")
