"""The value of a column's strip: a text's tokens, its drafted positions, its figures."""

from __future__ import annotations

import json

import pytest

from playground.engine import Request
from playground.trace import Comparison
from playground.ui import empty_text, strip
from tests.engine.models import engine, finished

MARKED = 'logit_bias({"a": 90, "b": 80}) | temperature(4) | watermark(bias=3) | speculative(6)'


def read(shown):
    """A strip's tokens."""
    return [json.loads(line) for line in shown["tokens"].splitlines()]


def test_drafts_and_what_processors_measure_are_shown():
    run = finished(engine(), Request(prompt="abab", recipes=["greedy", MARKED], max_new_tokens=40))
    plain, marked = (strip.shown(run, lane) for lane in (0, 1))
    assert {token[7] for token in read(plain)} == {False}
    drafted = [token[7] for token in read(marked)]
    assert True in drafted and {"a", "b"} & {d for d in drafted if isinstance(d, str)}
    for token in read(marked):
        assert not isinstance(token[7], str) or token[7] != token[0]
    names = [figure["name"] for figure in marked["figures"]]
    assert names[8:] == ["accepted", "green tokens", "watermark z"]
    assert len(plain["figures"]) == 8
    metrics = run.lanes[1].metrics
    judged = [d for d in drafted if d is not False]
    assert metrics.acceptance == judged.count(True) / len(judged)
    assert marked["figures"][8]["value"] == f"{100 * metrics.acceptance:.0f}"
    assert marked["figures"][10]["value"] == f"{metrics.found['watermark z']:.2f}"
    assert all(figure["meaning"] for figure in marked["figures"])


ENDS = 'logit_bias({"0": 100}) | greedy'  # the first token is <|endoftext|>
SPEAKS = 'logit_bias({"1": 100}) | greedy'  # <|im_start|>, which ends nothing


@pytest.fixture(scope="module")
def ended() -> Comparison:
    served = engine(eos=(0,), chat=True)
    return finished(
        served, Request(prompt="ab", recipes=[ENDS, SPEAKS, "greedy"], max_new_tokens=3)
    )


def test_special_tokens_are_named_and_others_are_not(ended):
    special = [[token[8:] for token in read(strip.shown(ended, lane))] for lane in range(3)]
    assert special == [[["<|endoftext|>"]], [["<|im_start|>"]] * 3, [[]] * 3]
    assert all(token[0] == "" for token in read(strip.shown(ended, 1)))


def test_the_tokens_of_a_stop_string_are_named_and_no_part_of_the_text():
    served = engine()
    picks = served.builder.encoder.text("xyxy")
    request = Request(prompt="ab", recipes=[f"manual({picks})"], stop=["yx"], max_new_tokens=9)
    shown = read(strip.shown(finished(served, request), 0))
    assert [token[0] for token in shown] == ["x", "", ""]
    assert [token[8:] for token in shown] == [[], ["y"], ["x"]]


def test_the_end_of_a_trace_from_before_special_tokens_were_told_is_named(ended):
    raw = json.loads(ended.to_json())
    for step in raw["lanes"][0]["trace"]["steps"]:
        del step["special"]
    old = Comparison.from_json(json.dumps(raw))
    assert [token[8:] for token in read(strip.shown(old, 0))] == [["<|endoftext|>"]]


def test_an_empty_text_says_why_and_what_may_help(ended):
    shown = strip.shown(ended, 0)
    end = ended.lanes[0].trace.path()[0]
    assert end.special and end.raw_probability < 0.5
    assert (
        shown["note"]
        .replace("\N{NO-BREAK SPACE}", " ")
        .startswith("Ended at once: <|endoftext|> 100 % (of the model")
    )
    assert shown["offer"] == empty_text.CHAT
    for change in (
        {"chat": True},
        {"model": ended.model.model_copy(update={"has_chat_template": False})},
    ):
        assert strip.shown(ended.model_copy(update=change), 0)["offer"] == ""
    readable = strip.shown(ended, 2)
    assert (readable["note"], readable["offer"]) == ("", "")
    silent = strip.shown(ended, 1)
    assert silent["note"] == empty_text.REASONS["length"] and silent["offer"] == ""


def test_nothing_is_said_of_a_text_that_goes_on(ended):
    assert empty_text.sentence([], None) == ""
    assert empty_text.sentence([], "cancelled") == "Stopped before it wrote anything."
    assert empty_text.sentence(ended.lanes[0].trace.path(), None) == ""


def test_what_was_taken_back_stands_struck_out_before_its_token():
    recipe = 'constrained(regex="[a-f ]*") | ban_phrases(["a", "bd"]) | sample'
    asked = Request(prompt="one two three", recipes=[recipe], max_new_tokens=30, seed=1)
    run = finished(engine(eos=(3,)), asked)
    shown = strip.shown(run, 0)
    taken = {n: token[9] for n, token in enumerate(read(shown)) if len(token) > 9}
    path = run.lanes[0].trace.path()
    assert taken == {
        n: [[one.text, one.why] for one in step.taken_back]
        for n, step in enumerate(path)
        if step.taken_back
    }
    assert ["bd", '"bd" is on the list.'] in [one for drafts in taken.values() for one in drafts]
    figures = {figure["name"]: figure for figure in shown["figures"]}
    times = sum(map(len, taken.values()))
    assert (
        int(figures["taken back"]["value"]) >= times
        and "struck out" in figures["taken back"]["meaning"]
    )
