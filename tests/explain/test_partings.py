"""Where two columns part and why: small steps written by hand, and whole computed runs."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest
import torch

from playground.explain.partings import Side, parting
from playground.trace import Candidates, StageSummary, StepRecord, Times
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


def shown(token: int) -> str:
    return f"“{traces.VOCABULARY[token]}”".replace("\n", "⏎").replace("\t", "⇥")


RAW = {1: 0.6, 2: 0.3, 3: 0.1}
CUT = {1: 1.0, 2: 0.0, 3: 0.0}
FLIPPED = {1: 0.3, 2: 0.6, 3: 0.1}
SHARP = {1: 0.77, 2: 0.2, 3: 0.03}
FLAT = {1: 0.4, 2: 0.35, 3: 0.25}


def side(letter: str, recipe: str, record: StepRecord) -> Side:
    return Side(letter, traces.chain(recipe), [record])


@pytest.mark.parametrize(
    "left, right, why, says",
    [
        (
            ("sample", step(2, RAW)),
            ("top_k(1) | sample", step(1, RAW, CUT)),
            "removed",
            "same luck; top_k 1 removed “ dog” (30 % before it); “ cat” 60 % in A, 100 % here",
        ),
        (
            ("top_k(1) | sample", step(1, RAW, CUT)),
            ("sample", step(2, RAW)),
            "allowed",
            "same luck; A’s top_k 1 had removed “ dog”, which stays here (30 %); “ cat” 100 % in "
            "A, 60 % here",
        ),
        (  # what greedy would not have chosen anyway is no matter of what removed it
            ("top_k(1) | greedy", step(1, RAW, CUT)),
            ("sample", step(2, RAW)),
            "draw",
            "the draw preferred “ dog” (30 %) to “ cat” (60 %)",
        ),
        (
            ("sample", step(2, RAW)),
            ("top_k(1) | greedy", step(1, RAW, CUT)),
            "likeliest",
            "greedy takes the likeliest, “ cat” (100 %); A’s draw had preferred “ dog” (30 %)",
        ),
        (
            ("top_k(2) | sample", step(2, RAW, {1: 0.66, 2: 0.34, 3: 0.0})),
            ("top_k(1) | sample", step(1, RAW, CUT)),
            "removed",
            "top_k 1 instead of A’s 2 removed “ dog” (30 % before it); “ cat” 66 % in A, 100 %",
        ),
        (
            ("top_k(1) | sample", step(1, RAW, CUT)),
            ("top_k(2) | sample", step(2, RAW, {1: 0.66, 2: 0.34, 3: 0.0})),
            "allowed",
            "top_k 2 instead of A’s 1 keeps “ dog” (34 %), which is removed in A; “ cat” 100 %",
        ),
        (  # the step that removes it is the same in both: what differs is before it
            ("temperature(3) | top_p(0.7) | sample", step(3, RAW, FLAT, FLAT)),
            ("temperature(0.6) | top_p(0.7) | sample", step(1, RAW, SHARP, CUT)),
            "removed",
            "temperature 0.6 instead of A’s 3: top_p 0.7 removed “⏎” (3 % before it); “ cat” 40 % "
            "in A, 100 % here",
        ),
        (
            ("temperature(0.6) | top_p(0.7) | sample", step(1, RAW, SHARP, CUT)),
            ("temperature(3) | top_p(0.7) | sample", step(3, RAW, FLAT, FLAT)),
            "allowed",
            "temperature 3 instead of A’s 0.6: “⏎” (25 %) stays, which A’s top_p 0.7 had removed; "
            "“ cat” 100 % in A, 40 % here",
        ),
        (
            ("temperature(0.6) | sample", step(1, RAW, SHARP)),
            ("temperature(1.2) | sample", step(2, RAW, FLAT)),
            "reshaped",
            "same luck; temperature 1.2 instead of A’s 0.6: “ dog” 20 % in A, 35 % here; “ cat” "
            "77 % in A, 40 % here",
        ),
        (  # all that survive are recorded, so that the other must have been removed
            ("sample", step(2, {2: 0.3})),
            ("top_k(1) | sample", step(1, {1: 0.6}, {1: 1.0})),
            "removed",
            "top_k 1 removed “ dog” (the model’s number 1); “ cat” 60 % of the model, 100 % here",
        ),
        (
            ("temperature(0.5) | min_p(0.01) | sample", step(1, RAW, SHARP, SHARP)),
            ("top_k(9) | temperature(3) | top_a(0.1) | sample", step(2, RAW, RAW, FLAT, FLAT)),
            "reshaped",
            "temperature 3 instead of A’s 0.5 and 3 more differences: “ dog” 20 % in A, 35 % here",
        ),
        (
            ("min_p(0.01) | temperature(3) | sample", step(1, RAW, RAW, FLIPPED)),
            ("temperature(3) | min_p(0.01) | sample", step(2, RAW, FLAT, FLAT)),
            "reshaped",
            " in another place than in A: “ dog” 60 % in A, 35 % here",
        ),
        (  # both columns have the step that flips them, so the search is why
            ("repetition_penalty(2) | sample", step(1, RAW, FLIPPED)),
            ("repetition_penalty(2) | greedy", step(2, RAW, FLIPPED)),
            "likeliest",
            "greedy takes the likeliest, “ dog” (60 %); A’s draw had preferred “ cat” (30 %)",
        ),
        (
            ("greedy", step(1, RAW)),
            ("repetition_penalty(2) | greedy", step(2, RAW, FLIPPED)),
            "reshaped",
            "repetition_penalty 2 lowered “ cat” from 60 % to 30 %, below “ dog”, which it raised "
            "from 30 % to 60 %",
        ),
        (
            ("repetition_penalty(1.1) | greedy", step(1, RAW, RAW)),
            ("repetition_penalty(2) | greedy", step(2, RAW, FLIPPED)),
            "reshaped",
            "repetition_penalty 2 instead of A’s 1.1 lowered “ cat” from 60 % to 30 %, below",
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
            "same luck; temperature 3, which A lacks: “⏎” 10 % in A, 25 % here; “ cat” 60 % in A",
        ),
        (
            ("temperature(3) | sample", step(3, RAW, FLAT)),
            ("sample", step(1, RAW)),
            "reshaped",
            "no temperature 3, which A has: “ cat” 40 % in A, 60 % here; “⏎” 25 % in A, 10 % here",
        ),
        (
            ("sample", step(1, RAW)),
            ("sample(seed=4)", step(2, RAW)),
            "noise",
            "its own luck (seed 4) preferred “ dog” (30 %) to “ cat” (60 %)",
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
            "same luck; temperature 3, which A lacks: “⏎” 10 % in A, 25 % here",
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


def test_what_a_person_chose_is_told_as_that():
    asked = traces.chain("temperature(3) | asking([2])").model_copy(update={"chooses": "person"})
    a = Side("A", traces.chain("greedy"), [step(1, RAW)])
    b = Side("B", asked, [step(2, RAW, FLIPPED)])
    there, back = parting(a, b), parting(b, a)
    assert there and back and there.why == "person"
    assert "a person chose “ dog”" in there.text and "A’s greedy had chosen" in there.text
    assert "B’s person had chosen “ dog”" in back.text


def test_who_says_draw_draws_what_sample_draws():
    """Their noise is compared, so it must be the same."""
    for id, plugin in registry().strategies.items():
        if plugin.kind == "search" and plugin.chooses == "draw":
            forward = transitions(torch.rand(9, 9, generator=torch.Generator().manual_seed(1)))
            mine, sample = (run(forward, s, (3,), seed=5, max_new_tokens=9) for s in (id, "sample"))
            assert mine[0].tokens == sample[0].tokens, id


def test_nothing_is_said_before_the_columns_are_over():
    a = Side("A", traces.chain("greedy"), [step(1, RAW)])
    b = Side("B", traces.chain("sample"), [step(1, RAW)], over=False)
    assert parting(a, b) is None
    assert parting(Side("A", traces.chain("greedy"), []), a) is None


def test_equal_texts_and_one_that_ended_sooner_are_told_apart():
    a = Side("A", traces.chain("greedy"), [step(1, RAW)])
    same = parting(a, Side("B", traces.chain("sample"), [step(1, RAW)]))
    longer = parting(a, Side("B", traces.chain("sample"), [step(1, RAW), step(2, RAW)]))
    shorter = parting(Side("A", traces.chain("sample"), [step(1, RAW), step(2, RAW)]), a)
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


@pytest.mark.parametrize("seed", range(6))
def test_of_two_temperatures_the_one_that_differs_is_always_named(seed):
    """With both tokens' probabilities in both columns, also where top_p removes one of them."""
    cool, warm = (
        traces.Column({f"temperature({t})": traces.temperature(t), "top_p(0.9)": traces.top_p(0.9)})
        for t in (0.6, 1.2)
    )
    run = traces.comparison((cool, warm), seed=seed)
    a, b = (Side.of(letter, lane.trace) for letter, lane in zip("AB", run.lanes, strict=True))
    for left, right, named in (
        (a, b, "temperature 1.2 instead of A’s 0.6"),
        (b, a, "temperature 0.6 instead of B’s 1.2"),
    ):
        found = parting(left, right)
        assert found and found.index is not None and f": same luck; {named}: " in found.text
        was, now = left.path[found.index], right.path[found.index]
        for token in (was.token, now.token):
            assert shown(token) in found.text


def test_the_setting_is_named_where_a_token_was_not_recorded_in_the_other_column():
    cool, warm = step(1, {1: 0.6}, {1: 0.8}), step(2, {2: 0.3}, {2: 0.35})
    for record in (cool, warm):
        record.stages[0].survivors = 9
    a = Side("A", traces.chain("temperature(0.6) | sample"), [cool], vocab_size=9)
    found = parting(a, Side("B", traces.chain("temperature(1.2) | sample"), [warm], vocab_size=9))
    assert found and found.why == "reshaped"
    assert found.text.replace("\N{NO-BREAK SPACE}", " ").endswith(
        "same luck; temperature 1.2 instead of A’s 0.6: “ dog” 30 % of the model, 35 % here; "
        "“ cat” 60 % of the model, 80 % in A"
    )


def test_what_underflows_was_not_removed():
    cold = {1: 1.0, 2: 0.0, 3: 0.0}
    frozen = step(1, RAW, cold)
    frozen.stages[0].survivors = 3
    left = Side("A", traces.chain("sample"), [step(2, RAW)], vocab_size=3)
    found = parting(
        left, Side("B", traces.chain("temperature(0.001) | sample"), [frozen], vocab_size=3)
    )
    assert found and found.why == "reshaped" and "removed" not in found.text
    assert "“ dog” 30\N{NO-BREAK SPACE}% in A, 0\N{NO-BREAK SPACE}% here" in found.text
