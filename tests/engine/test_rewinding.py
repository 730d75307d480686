"""Rows that go back: their text, records, keys and values are as if nothing had been taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from playground.engine import Engine, Request
from strategies import Info, Move, Processor, Rewind, Row, Search, Step, Strategy
from tests.engine.models import engine, finished
from tests.engine.test_batch_invariance import figures
from tests.plugins import installed
from tests.strategies.driver import run, written

PROMPT = "one two one two one"
LETTERS = 'constrained(regex="[a-f ]*")'
LIST = 'ban_phrases(["a", "bd", "e e"], expressions=["[bc][df]"])'


def info(id: str) -> Info:
    return Info(id=id, title=id, summary="For a test.", formula="x", source="a test")


class NoFives(Processor):
    """Takes back what makes the sum of the last three tokens a multiple of five."""

    info = info("no_fives")
    stateful = True

    def initial_state(self) -> tuple[tuple[int, int], ...]:
        return ()

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        out = scores.clone()
        for i, row in enumerate(rows):
            for place, token in row.state:
                if place == len(row.generated):
                    out[i, token] = -torch.inf
        return out

    def rewind(self, row: Row) -> Rewind | None:
        last = row.generated[-3:]
        if len(last) < 3 or sum(last) % 5 or len(row.state) > 12:
            return None
        place = len(row.generated) - 3
        kept = tuple(one for one in row.state if one[0] <= place)
        return Rewind(3, "A multiple of five.", (*kept, (place, last[0])))


class TwoWays(Search):
    """Writes four tokens, takes three of them back, and continues with the runner-up."""

    info = info("two_ways")
    rewinds = True

    def advance(self, step: Step) -> Sequence[Move | Rewind]:
        (row,) = step.rows
        if len(row.generated) % 4 == 3 and row.state != len(row.generated) - 3:
            return [Rewind(3, state=len(row.generated) - 3)]
        rank = 2 if row.state == len(row.generated) else 1
        token = int(step.scores[0].topk(rank).indices[-1])
        return [step.move(0, token, state=row.state)]


@pytest.fixture(autouse=True)
def theirs(plugin: Callable[[type[Strategy]], None]) -> None:
    plugin(NoFives)
    plugin(TwoWays)


def asked(*recipes: str, tokens: int = 24, **more: Any) -> Request:
    return Request(prompt=PROMPT, recipes=list(recipes), max_new_tokens=tokens, **more)


@torch.inference_mode()
def forward_of(served: Engine, tokens: Sequence[int]) -> Tensor:
    model = served.model.model
    logits: Tensor = model(torch.tensor([list(tokens)]), use_cache=False).logits[0, -1].float()
    return logits


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "recipe",
    [
        "no_fives | greedy",
        "temperature(1.4) | no_fives | sample(3)",
        "no_fives | mirostat_v2(3.0) | sample(2)",  # whose state goes back as well
        "no_fives | speculative(tokens=4)",
        "repetition_penalty(1.3) | two_ways",
        "power_sample(2, block=8, steps=2)",
    ],
)
def test_the_text_is_that_of_a_plain_loop(kind: str, recipe: str) -> None:
    served = engine(kind)
    lane = finished(served, asked(recipe, seed=2)).lanes[0]
    assert lane.error is None

    def logits(rows: list[tuple[int, ...]]) -> Tensor:
        return torch.stack([forward_of(served, row) for row in rows])

    prompt = [token.id for token in served.tokens(PROMPT)]
    rows = run(logits, recipe, prompt, max_new_tokens=24, seed=2)
    assert [output.token_ids for output in lane.trace.outputs] == written(rows)
    assert len(lane.trace.steps) > sum(len(output.nodes) for output in lane.trace.outputs)
    for output in lane.trace.outputs:  # what was kept, and what was read of it
        path = [lane.trace.steps[node] for node in output.nodes]
        assert [step.index for step in path] == list(range(24))
        assert [step.token for step in path] == output.token_ids
        # What is written again was not guessed.
        assert "speculative" in recipe or all(step.draft is None for step in path)
        for at in (0, 7, 23):
            wanted = forward_of(served, [*prompt, *output.token_ids[:at]]).log_softmax(-1)
            assert path[at].raw_logprob == pytest.approx(float(wanted[path[at].token]), abs=2e-3), (
                at
            )


def test_with_a_second_prompt_and_without_the_cache() -> None:
    served = engine()
    recipe = 'guidance(1.5, negative_prompt="no no") | no_fives | sample(2)'
    with_it, without = (
        finished(served, asked(recipe, seed=5, cache=cache)).lanes[0] for cache in (True, False)
    )
    assert with_it.token_ids == without.token_ids
    assert with_it.trace.outputs[1].token_ids == without.trace.outputs[1].token_ids


def test_a_row_that_goes_back_is_alone_in_company() -> None:
    """Nor do its neighbours change: bit for bit, with all their records."""
    served = engine(eos=(3,))
    mine = [f"{LETTERS} | {LIST} | sample(2)", "no_fives | greedy", "sample(2)", "two_ways"]
    together = figures(finished(served, asked(*mine, seed=3)))
    for number, recipe in enumerate(mine):
        assert figures(finished(served, asked(recipe, seed=3))) == [together[number]]
    strangers = served.submit(asked("no_fives | sample(4)", tokens=30, seed=9))
    here = served.submit(asked(*mine, seed=3))
    served.drive(here)
    assert figures(here.comparison()) == together
    served.drive(strangers)


def test_what_was_taken_back_is_recorded_where_it_stood() -> None:
    served = engine(eos=(3,))
    lane = finished(served, asked(f"{LETTERS} | {LIST} | sample", seed=4)).lanes[0]
    found = [(step, step.taken_back) for step in lane.trace.path() if step.taken_back]
    times = sum(len(drafts) for _, drafts in found)
    assert times > 1 and lane.metrics.found["taken back"] >= times
    for step, drafts in found:
        at = sum(len(s.text) for s in lane.trace.path()[: step.index])
        for draft in drafts:
            assert draft.by == "ban_phrases" and draft.why.endswith(".")
            assert len(draft.token_ids) == len(draft.text)  # a token per byte
            listed = json.loads(draft.why[: draft.why.index('" ') + 1])
            assert (lane.text[:at] + draft.text).endswith(listed)
            assert draft.text != step.text
    for phrase in ("a", "bd", "e e", "bf", "cd"):
        assert phrase not in lane.text.lower()
    assert "".join(step.text for step in lane.trace.path()) == lane.text


def test_a_limit_is_no_way_out() -> None:
    """The last token completes a phrase: it is taken back, and the text ends without."""
    served = engine(eos=(3,))
    plain = finished(served, asked(f"{LETTERS} | greedy", tokens=6)).lanes[0]
    last = json.dumps(plain.text[-2:])
    lane = finished(served, asked(f"{LETTERS} | ban_phrases([{last}]) | greedy", tokens=6)).lanes[0]
    assert len(lane.token_ids) == 6 and lane.finish_reason == "length"
    assert not lane.text.endswith(plain.text[-2:])


def test_a_search_that_goes_back_says_so() -> None:
    class Sudden(TwoWays):
        info = replace(TwoWays.info, id="two_ways")
        rewinds = False

    with installed(Sudden):
        lane = finished(engine(), asked("two_ways")).lanes[0]
    assert lane.finish_reason == "error"
    assert lane.error == "two_ways goes back, and does not say rewinds = True."


def test_a_text_that_is_gone_on_with_is_never_taken_back() -> None:
    """A phrase that begins in the given text stays; what was written after it may be taken back."""
    served = engine(eos=(3,))
    plain = finished(served, asked(f"{LETTERS} | greedy", tokens=12)).lanes[0]
    over, since = (json.dumps(plain.text[at : at + 2]) for at in (4, 8))
    recipe = f"{LETTERS} | ban_phrases([{over}, {since}]) | greedy"
    lane = finished(served, asked(recipe, tokens=7, prefix=plain.token_ids[:5])).lanes[0]
    assert lane.error is None and len(lane.token_ids) == 7
    assert (plain.text[:5] + lane.text).startswith(plain.text[:6])
    assert json.loads(since) not in lane.text[1:]  # behind what is left standing
    assert lane.metrics.found["left standing"] >= 1 and lane.metrics.found["taken back"] >= 1
    assert [step.index for step in lane.trace.path()] == list(range(7))
