"""Where each step of a recipe cuts, against the whole distribution, for every processor."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.explain.passage import passages
from strategies import Processor
from strategies.registry import registry
from tests.explain.recorded import logits, recorded

ACTIVE = {  # settings at which a step with a line acts on most distributions
    "dola": None,  # reads earlier layers, of which a test without a model has none
    "epsilon_cutoff": "epsilon_cutoff(0.02)",
    "eta_cutoff": "eta_cutoff(0.05)",
    "min_k": "min_k(3.0)",
    "min_p": "min_p(0.1)",
    "mirostat_v2": "mirostat_v2(3.0)",
    "p_less": "p_less",
    "p_less_norm": "p_less_norm",
    "tail_free": "tail_free(0.7)",
    "top_a": "top_a(0.3)",
    "top_h": "top_h(0.6)",
    "top_k": "top_k(7)",
    "top_n_sigma": "top_n_sigma(1.2)",
    "top_p": "top_p(0.7)",
    "typical_p": "typical_p(0.7)",
    "xtc": "xtc(0.05, probability=1.0)",
}
DRAWN = sorted(step for step in ACTIVE.values() if step)


def test_every_processor_that_keeps_by_something_is_looked_at() -> None:
    known = registry().strategies.values()
    lines = {p.info.id for p in known if issubclass(p, Processor) and p.keeps_by}
    assert lines == set(ACTIVE)


@pytest.mark.parametrize("cut", DRAWN)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.floats(0.7, 3.0),
    before=st.sampled_from(["temperature(0.8)", "top_k(30)", "presence_penalty(1.0, prompt=True)"]),
)
def test_a_line_parts_what_stays_from_what_goes(cut, seed, spread, before):
    found = recorded(f"{before} | {cut} | sample", logits(seed, spread=spread))
    one = passages(found.trace, found.step)[1]
    given_, left = (found.scores[at].softmax(-1) for at in (1, 2))
    for at, token in enumerate(found.step.candidates.ids):
        assert one.given[at] == pytest.approx(float(given_[token]), abs=1e-6)
        assert one.left[at] == pytest.approx(float(left[token]), abs=1e-6)
    gone = (left == 0) & (given_ > 0)
    assert one.effect.removed == int(gone.sum())
    if not gone.any():
        return
    if one.cut is None:  # it tells no line of its own, and more stayed than were recorded
        assert int((left > 0).sum()) > sum(p > 0 for p in one.left)
        return
    line = one.cut.threshold
    for p, stays in zip(given_.tolist(), (left > 0).tolist(), strict=True):
        if p == 0:
            continue
        above = float(given_[given_ > p].sum())
        if one.cut.keeps_by == "rank":
            assert stays == (int((given_ > p).sum()) < line)
        elif one.cut.keeps_by == "mass":
            assert (above < line - 1e-6) <= stays <= (above < line + 1e-6)
        elif one.cut.keeps_by == "ceiling":
            good = given_[given_ >= line]
            assert stays == (p <= float(good.min()) if len(good) else True)
        else:
            assert one.cut.least is not None
            most = one.cut.most or math.inf
            inside = one.cut.least * (1 + 1e-4) < p < most * (1 - 1e-4)
            around = one.cut.least * (1 - 1e-4) <= p <= most * (1 + 1e-4)
            assert inside <= stays <= around


def test_the_sentences_name_the_line_and_what_went() -> None:
    scores = torch.tensor([0.5, 0.25, 0.15, 0.06, 0.04]).log()
    told = {
        "min_p(0.2)": "keeps what has at least 10 %; removes 2 tokens, 10 % of the probability",
        "top_k(2)": "keeps up to rank 2; removes 3 tokens, 25 % of the probability",
        "top_p(0.8)": "keeps until the likelier ones hold 80 %; removes 2 tokens, 10 % of the "
        "probability",
        "top_h(0.6)": "the last that it keeps has",
    }
    for step, said in told.items():
        found = recorded(f"{step} | sample", scores)
        [one] = passages(found.trace, found.step)
        assert one.sentence.replace("\N{NO-BREAK SPACE}", " ").startswith(said), one.sentence
    assert passages(recorded("greedy", scores).trace, recorded("greedy", scores).step) == []
