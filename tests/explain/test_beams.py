"""The tree of a lane's rows equals that of a plain beam search over the model's raw logits."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from playground.engine import Request
from playground.explain.moments import choice
from playground.trace import Comparison
from playground.trace.beams import BeamTree
from playground.ui.beams import sentence
from tests.engine.models import engine, finished
from tests.folders import VOCAB

Tokens = tuple[int, ...]
served = cache(engine)
NEAR = 1e-4  # nats: two scores that are nearer may change places by rounding


@dataclass
class Plain:
    """What a plain beam search took, by the tokens so far: scores; which ended; what it left."""

    taken: dict[Tokens, float] = field(default_factory=dict)
    ended: set[Tokens] = field(default_factory=set)
    left: dict[Tokens, float] = field(default_factory=dict)
    gap: float = math.inf  # the smallest difference of two scores that decided anything


@cache
def logprobs(eos: Tokens, ids: Tokens) -> torch.Tensor:
    model = served(eos=eos).model.model
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)


def plain(
    eos: Tokens, prompt: Tokens, beams: int, power: float, new: int, groups: int, penalty: float
) -> Plain:
    """Groups of beams, each with the rules of one beam search."""
    found, size = Plain(), beams // groups
    running: list[list[tuple[Tokens, float]]] = [[((), 0.0)] for _ in range(groups)]
    finished: list[list[tuple[Tokens, float]]] = [[] for _ in range(groups)]
    for index in range(new):
        met = torch.zeros(VOCAB, dtype=torch.float64)
        for group in range(groups):
            rows = running[group]
            if not rows:
                continue
            every = torch.cat(
                [score + logprobs(eos, prompt + ids) - penalty * met for ids, score in rows]
            )
            looked = max(2, 1 + len(eos)) * size
            order = every.argsort(descending=True, stable=True)[: looked + 1].tolist()
            drops = [float(every[a] - every[b]) for a, b in pairwise(order)]
            found.gap = min([found.gap, *drops])
            goes_on: list[tuple[Tokens, float]] = []
            ends: list[tuple[Tokens, float]] = []
            looked_at = []
            for place, at in enumerate(order[:looked]):
                text = ((*rows[at // VOCAB][0], at % VOCAB), float(every[at]))
                looked_at.append(text)
                if at % VOCAB in eos or index + 1 == new:
                    if place < size:
                        ends.append(text)
                elif len(goes_on) < size:
                    goes_on.append(text)
            full = sorted((worth(text, power) for text in finished[group] + ends), reverse=True)
            if len(full) >= size:
                ends = [text for text in ends if worth(text, power) >= full[size - 1]]
                if not goes_on or worth(goes_on[0], power) <= full[size - 1]:
                    goes_on = []
            finished[group] += ends
            found.ended |= {ids for ids, _ in ends}
            found.taken |= dict(ends + goes_on)
            found.left |= {k: v for k, v in looked_at if k not in dict(ends + goes_on)}
            for ids, _ in ends + goes_on:
                met[ids[-1]] += ids[-1] not in eos
            running[group] = goes_on
    return found


def worth(text: tuple[Tokens, float], power: float) -> float:
    return text[1] / max(1, len(text[0])) ** power


def ids(tree: BeamTree, beam: int | None) -> Tokens:
    return tuple(tree.beams[one].token for one in tree.path(beam))


@settings(max_examples=12, deadline=None)
@given(
    prompt=st.text("abcdefgh ", min_size=1, max_size=6),
    beams=st.sampled_from([2, 4, 6]),
    groups=st.sampled_from([1, 1, 2]),
    power=st.sampled_from([0.0, 1.0, -1.0]),
    ends=st.booleans(),
)
def test_the_tree_is_that_of_a_plain_search_over_raw_logits(
    prompt: str, beams: int, groups: int, power: float, ends: bool
) -> None:
    search = f"beam({beams}, length_penalty={power})"
    if groups > 1:
        search = (
            f"diverse_beam({beams}, length_penalty={power}, num_beam_groups={groups}, "
            "diversity_penalty=0.7)"
        )
    eos: Tokens = ()
    if ends:  # one that beams of this prompt meet
        first = finished(served(eos=()), Request(prompt=prompt, recipes=[search], max_new_tokens=4))
        eos = (first.lanes[0].token_ids[2],)
    run = finished(served(eos=eos), Request(prompt=prompt, recipes=[search], max_new_tokens=7))
    tree = run.beams(0)
    start = tuple(token.id for token in run.prompt_tokens)
    expected = plain(eos, start, beams, power, 7, groups, 0.7)
    assume(expected.gap >= NEAR)
    if groups > 1:  # two of which may hold the same text, with other scores
        assert {ids(tree, number) for number in range(len(tree.beams))} == set(expected.taken)
        return
    took = {ids(tree, number): one for number, one in enumerate(tree.beams)}
    assert took.keys() == expected.taken.keys()
    for tokens, one in took.items():
        assert one.score == pytest.approx(expected.taken[tokens], abs=1e-3)
        assert one.weight == pytest.approx(worth((tokens, one.score), power), abs=1e-4)
        goes_on = any(other[:-1] == tokens for other in took)
        ended = tokens in expected.ended
        assert one.fate == ("continued" if goes_on else "ended" if ended else "pruned")
    passed = {(*ids(tree, one.parent), one.token): one.score for one in tree.passed}
    assert passed == {k: pytest.approx(v, abs=1e-3) for k, v in expected.left.items()}
    best = max(expected.ended, key=lambda tokens: worth((tokens, expected.taken[tokens]), power))
    assert tuple(one.token for one in tree.beams if one.best) == best
    assert ids(tree, tree.texts[0].node) == best


def test_drawn_texts_keep_their_noisy_score_and_what_was_left_had_less() -> None:
    run = finished(
        served(eos=()), Request(prompt="ab", recipes=["stochastic_beam(4)"], max_new_tokens=6)
    )
    tree = run.beams(0)
    start = tuple(token.id for token in run.prompt_tokens)
    for number, one in enumerate(tree.beams):
        path = ids(tree, number)
        total = sum(float(logprobs((), start + path[:at])[token]) for at, token in enumerate(path))
        assert one.score == pytest.approx(total, abs=1e-3)
        after = [tree.beams[n].weight for n in tree.following(number)]
        if len(after) > 0:  # a beginning is worth what its best continuation is
            assert max(after) == pytest.approx(one.weight, abs=1e-6)
    assert [text.weight for text in tree.texts] == sorted(
        (text.weight for text in tree.texts), reverse=True
    )
    assert tree.weighs_by == "score + luck"
    assert all((*ids(tree, p.parent), p.token) not in {ids(tree, n) for n in range(len(tree.beams))}
               for p in tree.passed) and tree.passed  # fmt: skip


def test_places_and_other_searches_and_what_was_saved_before() -> None:
    request = Request(prompt="ab", recipes=["beam(3)", "sample(3)", "greedy"], max_new_tokens=5)
    run = finished(served(eos=()), request)
    for lane in range(3):
        tree = run.beams(lane)
        for position in range(tree.positions):
            here = sorted((b for b in tree.beams if b.index == position), key=lambda b: b.place)
            assert [b.place for b in here] == list(range(1, len(here) + 1))
            assert [b.score for b in here] == sorted((b.score for b in here), reverse=True)
    assert not run.beams(1).recorded and run.beams(1).rows == 3
    assert {b.fate for b in run.beams(1).beams} == {"continued", "ended"}
    assert run.beams(2).rows == 1
    assert run.lanes[1].trace.beams is None and run.lanes[2].trace.beams is None
    again = Comparison.from_json(run.to_json())
    assert [b.fate for b in again.beams(0).beams] == [b.fate for b in run.beams(0).beams]
    saved = json.loads(run.to_json()) | {"version": 2}
    for result in saved["lanes"]:
        del result["trace"]["beams"]
    old = Comparison.model_validate(saved).beams(0)
    assert not old.recorded and old.passed == []
    known = {text.node for text in old.texts}
    assert {n for n, b in enumerate(old.beams) if b.fate == "ended"} == known
    assert [b.score for b in old.beams] == pytest.approx([b.score for b in again.beams(0).beams])


def test_texts_that_are_compared_once_they_are_whole_or_by_no_score() -> None:
    recipes = ["mbr(3)", "arithmetic(3)"]
    run = finished(served(eos=()), Request(prompt="ab", recipes=recipes, max_new_tokens=5))
    outputs = run.lanes[0].trace.outputs
    assert [one.weight for one in run.beams(0).texts] == [o.found["likeness"] for o in outputs]
    tree = run.beams(1)
    assert tree.weighs_by == "" and {one.weight for one in tree.texts} == {None}
    for number, one in enumerate(tree.beams):
        total = math.fsum(tree.beams[at].logprob for at in tree.path(number))
        assert one.score == pytest.approx(total)


def test_tokens_that_were_taken_back_stand_in_the_tree() -> None:
    said = finished(served(eos=()), Request(prompt="ab", recipes=["greedy"], max_new_tokens=6))
    phrase = said.lanes[0].text[1:3]
    recipes = [f"ban_phrases([{json.dumps(phrase)}]) | greedy"]
    run = finished(served(eos=()), Request(prompt="ab", recipes=recipes, max_new_tokens=8))
    tree, path = run.beams(0), run.lanes[0].trace.path()
    (back,) = [step for step in path if step.taken_back]
    gone = [one for one in tree.beams if not one.best]
    assert [one.token for one in gone] == back.taken_back[0].token_ids
    assert [one.fate for one in gone] == ["continued"] * (len(gone) - 1) + ["pruned"]
    assert tree.rows == 1 and "took tokens back 1 time" in sentence(tree)
    told = choice(run, 0, 0, back.index).moments[0].sentence
    assert "was taken back by ban_phrases" in told and phrase in told


def test_rows_of_a_search_in_groups_are_told_apart() -> None:
    recipe = "diverse_beam(6, num_beam_groups=3, diversity_penalty=1.0)"
    request = Request(prompt="ab", recipes=[recipe, "beam(3)"], max_new_tokens=5)
    run = Comparison.from_json(finished(served(eos=()), request).to_json())
    tree = run.beams(0)
    for position in range(tree.positions):
        groups = [beam.group for beam in tree.beams if beam.index == position]
        assert sorted(group for group in groups if group is not None) == [0, 0, 1, 1, 2, 2]
    for beam in tree.beams:  # a row stays in its group
        assert beam.parent is None or tree.beams[beam.parent].group == beam.group
    assert "3 groups of beams" in sentence(tree)
    assert {beam.group for beam in run.beams(1).beams} == {None}
    assert "groups" not in sentence(run.beams(1))
