"""The tree of a search's beams as the page gets it, and the score beside the number of a text."""

from __future__ import annotations

from functools import cache

import pytest

from playground.engine import Request
from playground.trace import Comparison
from playground.ui import strip
from playground.ui.beams import FATES, BeamsRequest, answer, sentence
from tests.engine.models import engine, finished


@cache
def run() -> Comparison:
    recipes = ["beam(4)", "greedy", "stochastic_beam(3)"]
    return finished(engine(), Request(prompt="abc", recipes=recipes, max_new_tokens=9))


def test_a_tree_comes_at_once_or_what_is_new_of_it() -> None:
    whole = answer(run(), BeamsRequest(run="x", lane=0))
    tree = run().beams(0)
    assert len(whole["beams"]) == len(tree.beams) and len(whole["passed"]) == len(tree.passed)
    assert whole["fates"] == "".join(FATES[one.fate] for one in tree.beams)
    assert [row[:3] for row in whole["beams"]] == [[b.parent, b.index, b.token] for b in tree.beams]
    later = answer(run(), BeamsRequest(run="x", lane=0, beams=10, passed=4))
    assert (later["first"], later["first_passed"]) == (10, 4)
    assert whole["beams"][10:] == later["beams"] and whole["passed"][4:] == later["passed"]
    assert later["fates"] == whole["fates"] and not later["going"]
    other = answer(run(), BeamsRequest(run="x", lane=0, beams=10_000))  # of a longer run, before
    assert other["first"] == 0 and other["beams"] == whole["beams"]
    assert "fault" in answer(None, BeamsRequest(run="x", lane=0))
    assert "fault" in answer(run(), BeamsRequest(run="x", lane=5))


def test_the_sentence_is_of_this_tree() -> None:
    tree = run().beams(0)
    told = sentence(tree)
    assert "the 4 beginnings with the highest scores" in told
    lowest = max((b for b in tree.beams if b.best), key=lambda b: b.place)
    if lowest.place == 1:
        assert "highest score at every token" in told
    else:
        assert f"at token {lowest.index + 1}: number {lowest.place} of" in told
    assert "one text at a time" in sentence(run().beams(1))


@pytest.mark.parametrize("lane, by", [(0, "score / length"), (2, "score + luck")])
def test_the_pager_tells_what_a_text_is_weighed_by(lane: int, by: str) -> None:
    told = [strip.shown(run(), lane, output)["score"] for output in (0, 1)]
    weights = [text.weight for text in run().beams(lane).texts]
    for (short, words), weight in zip(told, weights, strict=False):
        assert short == f"{weight:.2f}".replace("-", "\N{MINUS SIGN}")
        assert words.startswith(by)
    assert strip.shown(run(), 1)["score"] == ["", ""]
