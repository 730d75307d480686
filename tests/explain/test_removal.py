"""Which step removed a candidate and by how much, against the whole distribution recomputed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.explain.removal import removal, removals
from tests.explain.recorded import logits, recorded

STEPS = [
    "temperature(0.7)",
    "temperature(1.6)",
    "top_k(6)",
    "top_p(0.6)",
    "min_p(0.15)",
    "typical_p(0.6)",
    "epsilon_cutoff(0.03)",
    "eta_cutoff(0.05)",
    "top_n_sigma(1.2)",
    "tail_free(0.6)",
    "top_a(0.5)",
    "top_h(0.5)",
    "p_less",
    "p_less_norm",
]


@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.floats(0.5, 3.5),
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4),
    top_n=st.integers(1, 30),
)
@settings(max_examples=150, deadline=None)
def test_every_removal_is_what_the_whole_distribution_says(seed, spread, steps, top_n):
    found = recorded(" | ".join([*steps, "sample"]), logits(seed, spread=spread), top_n=top_n)
    known = found.step.candidates
    for number, token in enumerate(known.ids):
        one = removal(found.trace, found.step, number)
        gone = [n for n, scores in enumerate(found.scores[1:]) if scores[token] == -torch.inf]
        assert (one is None) == (not gone)
        if one is None:
            continue
        before, after = (found.scores[gone[0] + n].softmax(-1) for n in (0, 1))
        p = float(before[token])
        likelier, kept = before[before > p], before[after > 0]
        assert (one.stage, one.token, one.label.split()[0]) == (
            gone[0],
            token,
            steps[gone[0]].partition("(")[0],
        )
        assert one.probability == pytest.approx(p, rel=1e-4)
        assert one.rank in (None, len(likelier) + 1)
        entropy = -math.fsum(q * math.log(q) for q in before.tolist() if q > 0)
        if one.threshold is None:
            assert not one.recorded and len(kept) > sum(q > 0 for q in known.stages[gone[0]])
        elif one.keeps_by == "probability":
            assert p < one.threshold * (1 + 1e-4)
            assert one.recorded or one.threshold == pytest.approx(float(kept.min()), rel=1e-4)
        elif one.keeps_by == "rank":
            assert one.threshold == 6 and len(likelier) + 1 > 6
            assert one.value in (None, len(likelier) + 1)
        elif one.keeps_by == "mass":
            assert one.threshold == 0.6
            if one.value is not None:
                assert one.value == pytest.approx(float(likelier.sum()), abs=1e-5)
                assert one.value >= 0.6 - 1e-5
        else:
            far = (before[after > 0].log() + entropy).abs().max()
            assert one.threshold == pytest.approx(float(far), abs=1e-4)
            assert one.value == pytest.approx(abs(math.log(p) + entropy), abs=1e-4)
            assert one.value >= one.threshold - 1e-4
        assert one.margin is None or one.margin >= 0


HALF = torch.tensor([0.5, 0.25, 0.15, 0.06, 0.04]).log()


@pytest.mark.parametrize(
    "recipe, said",
    [
        ("min_p(0.2)", "“ 3”, rank 4, 6 % → removed by min_p 0.2: needed 10 %"),
        ("min_p(0.122)", "“ 3”, rank 4, 6 % → removed by min_p 0.122: needed 6.1 %"),
        ("top_k(3)", "“ 3”, rank 4, 6 % → removed by top_k 3: needed rank 3"),
        (
            "top_p(0.85)",
            "“ 3”, rank 4, 6 % → removed by top_p 0.85: the likelier ones hold 90 %, of which "
            "85 % are enough",
        ),
        (
            "tail_free(0.5)",
            "“ 3”, rank 4, 6 % → removed by tail_free 0.5: the last that stays has 50 %",
        ),
        (
            "typical_p(0.5)",
            "“ 3”, rank 4, 6 % → removed by typical_p 0.5: its surprise is 1.54 nats from the "
            "entropy, the farthest that stays 0.58",
        ),
        ("no_repeat_ngram(1)", "“ 3”, rank 4, 6 % → removed by no_repeat_ngram 1"),
    ],
)
def test_the_sentence_says_by_how_much_it_missed(recipe, said):
    found = recorded(f"{recipe} | sample", HALF)
    one = next(one for one in removals(found.trace, found.step) if one.token == 3)
    assert one.sentence.replace("\N{NO-BREAK SPACE}", " ") == said


def test_of_the_top_choices_xtc_names_what_they_have_too_much():
    found = recorded("xtc(0.2, probability=1.0) | sample", HALF)
    [one] = removals(found.trace, found.step)
    assert (one.token, one.keeps_by, one.threshold) == (0, "ceiling", 0.2)
    assert one.sentence.replace("\N{NO-BREAK SPACE}", " ").endswith(
        "removed by xtc 0.2, probability=1.0: of those that have 20 % only the least likely stays"
    )


def test_a_rank_that_others_may_have_is_not_told():
    """Where a token far from the top was chosen, many unrecorded tokens may be likelier."""
    flat = logits(3, size=400, spread=0.3)
    chosen = int(flat.argsort(descending=True)[200])
    found = recorded("temperature(0.9) | sample", flat, chosen, top_n=5)
    low = found.step.candidates.ids.index(chosen)
    cut = found.step.model_copy(deep=True)
    cut.candidates.stages[0][low] = 0.0  # as if temperature had removed it
    cut.stages[0].survivors -= 1
    one = removal(found.trace, cut, low)
    assert one is not None and one.rank is None and "rank" not in one.sentence
