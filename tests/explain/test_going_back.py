"""Explanations of a text with rewinds: what the trace determines, else the reason."""

from __future__ import annotations

import pytest

from playground.engine import Request
from playground.engine.request import ScoreRequest
from playground.trace import Comparison
from strategies import Recipe
from tests.engine.models import engine, finished

LETTERS = 'constrained(regex="[a-f ]*")'
BANS = f'{LETTERS} | ban_phrases(["a", "bd"]) | sample'


@pytest.fixture(scope="module")
def run() -> Comparison:
    recipes = [BANS, f"{LETTERS} | sample"]
    asked = Request(prompt="one two three", recipes=recipes, max_new_tokens=30, seed=1, top_n=10)
    return finished(engine(eos=(3,)), asked)


def test_what_another_step_would_have_taken_back_is_not_known(run: Comparison) -> None:
    for lane, recipe in ((1, 'ban_phrases(["c"]) | sample'), (0, 'ban_phrases(["c"]) | sample')):
        found = run.what_if(lane, recipe)
        assert found.index is None and found.unknown is not None
        assert "it takes tokens back" in found.unknown
    assert run.what_if(0, BANS).unknown is None  # as it was


def test_without_the_step_the_first_change_is_where_it_first_went_back(run: Comparison) -> None:
    """The rows are the same up to there, and so are their draws: the other column shows it."""
    banned, plain = (lane.trace.path() for lane in run.lanes)
    pairs = zip(banned, plain, strict=False)
    parts = next(n for n, (a, b) in enumerate(pairs) if a.token != b.token)
    taken = next(n for n, step in enumerate(banned) if step.taken_back)
    assert parts == taken
    assert banned[taken].taken_back[0].token_ids[0] == plain[taken].token


def test_a_saved_trace_keeps_what_was_taken_back(run: Comparison) -> None:
    again = Comparison.from_json(run.to_json())
    kept, first = (c.lanes[0].trace.path() for c in (again, run))
    assert [step.taken_back for step in kept] == [step.taken_back for step in first]
    assert any(step.taken_back for step in kept)


def test_only_a_run_tells_whether_such_settings_wrote_a_text(run: Comparison) -> None:
    served = engine(eos=(3,))
    text = run.lanes[1].text
    recipes = ['ban_phrases(["a", "bd"]) | sample', "gumbel_watermark | sample", "synthid | sample"]
    asked = ScoreRequest(
        prompt="one two three", text=text, recipes=[Recipe.parse(recipe) for recipe in recipes]
    )
    bans, gumbel, synthid = served.score_text(asked).recipes
    assert bans.possible is None and bans.unknown is not None and bans.found == {}
    at = min(text.find(one) + len(one) for one in ("a", "bd") if one in text)
    assert f"After token {at} it would have gone back" in bans.unknown
    assert bans.logprob is not None  # of what is drawn first
    # The detectors' figures of a text that neither wrote.
    assert gumbel.possible is False and abs(gumbel.found["Gumbel z"]) < 5
    assert synthid.possible is True and abs(synthid.found["SynthID z"]) < 5
