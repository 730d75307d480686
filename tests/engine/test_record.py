"""What is recorded of a step equals a plain recomputation in float64."""

from __future__ import annotations

import math

import pytest
import torch

from playground.engine import Request
from tests.engine.models import engine, finished

RECIPE = "repetition_penalty(1.5) | temperature(0.7) | top_k(30) | top_p(0.8) | sample"


def test_records_equal_a_recomputation() -> None:
    served = engine()
    lane = finished(
        served, Request(prompt="abc", recipes=[RECIPE], max_new_tokens=12, top_n=5, seed=2)
    ).lanes[0]
    prompt = served.model.tokenizer.encode("abc")
    for step in lane.trace.path():
        ids = [*prompt, *lane.token_ids[: step.index]]
        with torch.no_grad():
            logits = served.model.model(torch.tensor([ids])).logits[0, -1].double()
        raw = logits.log_softmax(-1)
        assert step.raw_logprob == pytest.approx(float(raw[step.token]), abs=1e-4)
        assert step.raw_entropy == pytest.approx(float(-(raw.exp() * raw).sum()), abs=1e-4)
        assert step.raw_rank == int((raw > raw[step.token]).sum()) + 1
        chances = step.candidates
        assert step.token in chances.ids and len(set(chances.ids)) == len(chances.ids)
        assert chances.raw == sorted(chances.raw, reverse=True)
        assert chances.raw == pytest.approx([math.exp(raw[i]) for i in chances.ids], abs=1e-5)
        assert set(raw.topk(5).indices.tolist()) <= set(chances.ids)
        survivors = [summary.survivors for summary in step.stages]
        assert len(step.stages) == len(lane.trace.stages) == 4
        assert survivors[0] == survivors[1] == len(logits) and survivors[2] == 30
        assert survivors[3] <= 30
        kept = [p for p in chances.final if p > 0]
        if survivors[3] <= 5:
            assert sum(kept) == pytest.approx(1, abs=1e-5)
            entropy = -sum(p * math.log(p) for p in kept)
            assert step.entropy == pytest.approx(entropy, abs=1e-4)
        chosen = chances.ids.index(step.token)
        assert step.probability == pytest.approx(chances.final[chosen], rel=1e-5)


def test_beams_record_a_tree_whose_best_path_is_the_text() -> None:
    served = engine()
    lane = finished(served, Request(prompt="abc", recipes=["beam(4)"], max_new_tokens=10)).lanes[0]
    steps = lane.trace.steps
    for number, step in enumerate(steps):
        assert (step.parent is None) == (step.index == 0)
        if step.parent is not None:
            assert step.parent < number and steps[step.parent].index == step.index - 1
    path = lane.trace.path()
    assert [s.token for s in path] == lane.token_ids
    assert path[-1].score == pytest.approx(sum(s.raw_logprob for s in path), abs=1e-3)
    scores = [output.score for output in lane.trace.outputs if output.finish_reason]
    assert len(lane.trace.outputs) >= 4 and scores[0] == max(scores)


def test_samples_share_a_prompt_and_part() -> None:
    lane = finished(
        engine(), Request(prompt="abc", recipes=["sample(5)"], max_new_tokens=10)
    ).lanes[0]
    texts = {tuple(output.token_ids) for output in lane.trace.outputs}
    assert len(lane.trace.outputs) == 5 and len(texts) > 1


def test_clocks_run_forward() -> None:
    lane = finished(engine(), Request(prompt="abc", recipes=["greedy"], max_new_tokens=9)).lanes[0]
    at = [step.at for step in lane.trace.path()]
    assert at == sorted(at) and at[0] > 0
    assert all(min(s.times.forward, s.times.search, s.times.record) > 0 for s in lane.trace.steps)
