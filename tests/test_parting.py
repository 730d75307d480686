"""Where two columns part and why: small steps written by hand, and whole computed runs."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import get_args

import pytest
import torch

from playground.parting import Side, parting
from playground.trace import Candidates, StageSummary, StepRecord, Times
from strategies.base import Choosing, Search
from strategies.registry import registry
from tests import traces
from tests.strategies.driver import run, transitions

NAMES = {1: " cat", 2: " dog", 3: "\n"}
TIMES = Times(forward=0, processors=0, search=0, record=0, forward_rows=1)


def step(token: int, raw: dict[int, float], *stages: dict[int, float]) -> StepRecord:
    """A step that chose ``token``; each distribution by token, 0 where a stage removed it."""
    final = stages[-1] if stages else raw
    return StepRecord(
        index=0,
        parent=None,
        token=token,
        text=NAMES[token],
        raw_logprob=math.log(raw[token]),
        logprob=math.log(final[token]),
        raw_rank=1 + sum(p > raw[token] for p in raw.values()),
        rank=1 + sum(p > final[token] for p in final.values()),
        raw_entropy=0.0,
        stages=[StageSummary(survivors=sum(p > 0 for p in s.values()), entropy=0) for s in stages],
        candidates=Candidates(
            ids=list(raw),
            texts=[NAMES[id] for id in raw],
            raw=list(raw.values()),
            stages=[[stage[id] for id in raw] for stage in stages],
        ),
        times=TIMES,
        at=0.0,
    )


RAW = {1: 0.6, 2: 0.3, 3: 0.1}
CUT = {1: 1.0, 2: 0.0, 3: 0.0}
FLIPPED = {1: 0.3, 2: 0.6, 3: 0.1}
FLAT = {1: 0.4, 2: 0.35, 3: 0.25}


def side(letter: str, recipe: str, record: StepRecord) -> Side:
    *stages, search = recipe.split(" | ")
    return Side(letter, stages, search, [record])


@pytest.mark.parametrize(
    "left, right, why, says",
    [
        (
            ("sample", step(2, RAW)),
            ("top_k(1) | sample", step(1, RAW, CUT)),
            "removed",
            "same luck; top_k 1 removed “ dog” (30 % before it)",
        ),
        (
            ("top_k(1) | greedy", step(1, RAW, CUT)),
            ("sample", step(2, RAW)),
            "allowed",
            "A’s top_k 1 had removed “ dog”, which stays here (30 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("repetition_penalty(2) | greedy", step(2, RAW, FLIPPED)),
            "reshaped",
            "repetition_penalty 2 lowered “ cat” from 60 % to 30 %, below “ dog”",
        ),
        (
            ("sample", step(3, RAW)),
            ("greedy", step(1, RAW)),
            "likeliest",
            "greedy takes the likeliest, “ cat” (60 %); A’s draw had preferred “⏎” (10 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("sample", step(2, RAW)),
            "draw",
            "the draw preferred “ dog” (30 %) to “ cat” (60 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("temperature(3) | sample", step(3, RAW, FLAT)),
            "draw",
            "which temperature 3 had raised from 10 % to 25 %",
        ),
        (
            ("sample", step(1, RAW)),
            ("temperature(3) | sample", step(3, RAW, FLAT)),
            "reshaped",
            "temperature 3 moved the odds of “⏎” against “ cat” from 1 : 6 to 1 : 1.6",
        ),
        (
            ("temperature(3) | sample", step(3, RAW, FLAT)),
            ("sample", step(1, RAW)),
            "reshaped",
            "the lack of A’s temperature 3 moved the odds",
        ),
        (
            ("sample", step(1, RAW)),
            ("sample(seed=4)", step(2, RAW)),
            "luck",
            "its own luck preferred “ dog” (30 %) to “ cat” (60 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("beam(4)", step(2, RAW)),
            "text",
            "beam gave up the likelier “ cat” (60 %) for “ dog” (30 %), for the score of the text",
        ),
        (
            ("diverse_beam", step(1, RAW)),
            ("beam(4)", step(2, RAW)),
            "text",
            "beam chose “ dog” (30 %) for the score of the text it begins; A’s diverse_beam had "
            "chosen “ cat” (60 %) for the score of the text it begins",
        ),
        (
            ("beam", step(2, RAW)),
            ("greedy", step(1, RAW)),
            "text",
            "greedy takes the likeliest, “ cat” (60 %); A’s beam had chosen “ dog” (30 %) for",
        ),
        (
            ("greedy", step(1, RAW)),
            ("stochastic_beam(3)", step(2, RAW)),
            "drawn text",
            "stochastic_beam drew “ dog” (30 %) among the texts it keeps; A’s greedy had chosen",
        ),
        (
            ("beam_sample", step(2, RAW)),
            ("sample", step(1, RAW)),
            "drawn text",
            "the draw took “ cat” (60 %); A’s beam_sample had drawn “ dog” (30 %) among the texts",
        ),
        (
            ("sample", step(1, RAW)),
            ("temperature(3) | speculative(2)", step(3, RAW, FLAT)),
            "reshaped",
            "same luck; temperature 3 moved the odds",
        ),
        (
            ("speculative", step(2, RAW)),
            ("top_k(1) | sample", step(1, RAW, CUT)),
            "removed",
            "same luck; top_k 1 removed “ dog”",
        ),
        (
            ("speculative", step(2, RAW)),
            ("greedy", step(1, RAW)),
            "likeliest",
            "greedy takes the likeliest, “ cat” (60 %); A’s draw had preferred “ dog” (30 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("contrastive", step(2, RAW)),
            "likeness",
            "contrastive took “ dog” (30 %), which is less like what came before than the likelier "
            "“ cat” (60 %)",
        ),
        (
            ("contrastive(0.9)", step(2, RAW)),
            ("sample", step(1, RAW)),
            "likeness",
            "the draw took “ cat” (60 %); A’s contrastive had chosen “ dog” (30 %), less like what",
        ),
        (
            ("sample", step(3, RAW)),
            ("contrastive", step(1, RAW)),
            "likeness",
            "contrastive chose “ cat” (60 %); A’s draw had preferred “⏎” (10 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("not_installed(2)", step(2, RAW)),
            "chosen",
            "not_installed preferred “ dog” (30 %) to “ cat” (60 %)",
        ),
        (
            ("not_installed", step(2, RAW)),
            ("greedy", step(1, RAW)),
            "likeliest",
            "greedy takes the likeliest, “ cat” (60 %); A’s not_installed had chosen “ dog”",
        ),
    ],
)
def test_the_reason_is_what_the_records_bear(left, right, why, says):
    found = parting(side("A", *left), side("B", *right))
    assert found is not None
    assert (found.index, found.why) == (0, why)
    assert found.text.startswith("parts from A at token 1: ")
    assert says in found.text.replace("\N{NO-BREAK SPACE}", " ")


def test_every_search_says_by_what_it_chooses():
    searches = [s for s in registry().strategies.values() if s.kind == "search"]
    chooses = {s.chooses for s in searches if not s.asks}
    assert chooses == set(get_args(Choosing))


def test_what_a_person_chose_is_told_as_that(monkeypatch):
    asking = type("Asking", (Search,), {"asks": True})
    monkeypatch.setitem(registry().strategies, "asking", asking)
    a = Side("A", [], "greedy", [step(1, RAW)])
    b = Side("B", ["temperature(3)"], "asking([2])", [step(2, RAW, FLIPPED)])
    there, back = parting(a, b), parting(b, a)
    assert there and back and there.why == "person"
    assert "a person chose “ dog”" in there.text and "A’s greedy had chosen" in there.text
    assert "B’s person had chosen “ dog”" in back.text


def test_who_says_draw_draws_what_sample_draws():
    """Their luck is compared, so it must be the same."""
    for id, plugin in registry().strategies.items():
        if plugin.kind == "search" and plugin.chooses == "draw":
            forward = transitions(torch.rand(9, 9, generator=torch.Generator().manual_seed(1)))
            mine, sample = (run(forward, s, (3,), seed=5, max_new_tokens=9) for s in (id, "sample"))
            assert mine[0].tokens == sample[0].tokens, id


def test_nothing_is_said_before_the_columns_are_over():
    a = Side("A", [], "greedy", [step(1, RAW)])
    b = Side("B", [], "sample", [step(1, RAW)], over=False)
    assert parting(a, b) is None
    assert parting(Side("A", [], "greedy", []), a) is None


def test_equal_texts_and_one_that_ended_sooner_are_told_apart():
    a = Side("A", [], "greedy", [step(1, RAW)])
    same = parting(a, Side("B", [], "sample", [step(1, RAW)]))
    longer = parting(a, Side("B", [], "sample", [step(1, RAW), step(2, RAW)]))
    shorter = parting(Side("A", [], "sample", [step(1, RAW), step(2, RAW)]), a)
    assert same and longer and shorter
    assert [found.why for found in (same, longer, shorter)] == ["same", "ended", "ended"]
    assert [found.index for found in (same, longer, shorter)] == [None, 1, None]
    assert "A ended and B went on" in longer.text


@pytest.mark.parametrize("seed", range(6))
def test_in_whole_runs_the_place_is_the_first_token_that_differs(seed):
    columns = (*traces.COLUMNS, traces.NO_REPEAT, traces.Column({}, "sample"))
    run = traces.comparison(columns, seed=seed)
    sides = [Side.of(letter, lane.trace) for letter, lane in zip("ABCDE", run.lanes, strict=True)]
    for left, right in combinations(sides, 2):
        found = parting(left, right)
        pairs = zip(left.path, right.path, strict=True)
        differs = [i for i, (a, b) in enumerate(pairs) if a.token != b.token]
        assert found is not None
        assert found.index == (differs[0] if differs else None)
        if found.why == "removed":
            was, now = left.path[found.index], right.path[found.index]
            place = now.candidates.ids.index(was.token)
            assert now.candidates.removed_by(place) is not None
    assert {parting(a, b).why for a, b in pairwise(sides)} - {"same"}
