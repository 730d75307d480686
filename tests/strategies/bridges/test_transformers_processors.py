"""A recipe works inside ``generate``, and a transformers processor works as a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import EpsilonLogitsWarper, NoBadWordsLogitsProcessor

from strategies import Info, Params, Recipe, RecipeError, Row, setting
from strategies.bridges.transformers_processors import AsLogitsProcessor, FromLogitsProcessor
from strategies.contract import check
from strategies.processors.top_k import TopK
from tests.plugins import installed
from tests.strategies.driver import context, forward, run
from tests.tiny import EOS, VOCAB, tiny_llama

PROMPT, NEW = (1, 50, 60, 70, 60), 16


def generated(recipe: str, **settings: Any) -> list[int]:
    model = tiny_llama(seed=4)
    about = context(VOCAB, (EOS,), NEW)
    (tokens,) = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
        logits_processor=[AsLogitsProcessor(recipe, about, len(PROMPT))],
        **{"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 1, **settings},
    ).tolist()
    return list(tokens)


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("presence_penalty(2, prompt=True) | frequency_penalty(1) | greedy", {}),
        ("repetition_penalty(1.4) | no_repeat_ngram(2) | min_new_tokens(9) | greedy", {}),
        ("frequency_penalty(0.5) | beam(3)", {"num_beams": 3}),
        ('constrained("[0-9]{3,9}[.]") | greedy', {}),
        ("dry(2.0, allowed_length=1, breakers=[]) | mirostat_v2(0.5) | greedy", {}),
        ("temperature(0) | sample", {"do_sample": True, "top_k": 0}),
    ],
)
def test_generate_with_a_recipes_processors(recipe: str, settings: dict[str, Any]) -> None:
    logits = forward(tiny_llama(seed=4))
    mine = run(logits, recipe, PROMPT, eos=(EOS,), max_new_tokens=NEW)[0]
    assert generated(recipe, **settings) == list(mine.tokens)


class Countdown(TopK):
    """A stateful stand-in: keeps k tokens, k falling by one a token, and notes what it was told."""

    stateful = True

    def initial_state(self) -> Any:
        return (6,)

    def observe(self, state: Any, token: int, logprob: float) -> Any:
        return (max(state[0] - 1, 1), *state[1:], token, round(logprob, 3))

    def __call__(self, scores: torch.Tensor, rows: Any) -> torch.Tensor:
        least = torch.stack(
            [score.topk(row.state[0]).values[-1] for score, row in zip(scores, rows, strict=True)]
        )
        return torch.where(scores >= least[:, None], scores, -torch.inf)


@pytest.fixture
def countdown() -> Iterator[None]:
    with installed(Countdown):
        yield


@pytest.mark.usefixtures("countdown")
@pytest.mark.parametrize("beams", [1, 3])
def test_state_follows_its_row_through_generate(
    beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beams fork and drop rows between calls; the states seen are those of the reference loop."""
    told: list[Any] = []
    observe = Countdown.observe

    def listen(self: Any, *args: Any) -> Any:
        state = observe(self, *args)
        told.append(state)
        return state

    monkeypatch.setattr(Countdown, "observe", listen)
    recipe = f"top_k(6) | beam({beams}, early_stopping=True)"
    mine = run(forward(tiny_llama(seed=4)), recipe, PROMPT, max_new_tokens=NEW)
    here, told[:] = set(told), []
    assert generated(recipe, num_beams=beams, early_stopping=True, eos_token_id=None) == list(
        mine[0].tokens
    )
    deep = [state for state in told if len(state) > 5]
    assert deep and set(deep) <= here


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            "~dry(2) | top_k(3) | guidance(2) | greedy",
            "Step 3 (guidance): it reads the scores",
        ),
        ('dola("high") | sample', "Step 1 (dola): it reads the model’s earlier layers, and gener"),
    ],
)
def test_what_reads_more_than_scores_is_refused(recipe: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        AsLogitsProcessor(recipe, context(VOCAB), 3)
    assert says.replace("’", "'") in str(caught.value)
    AsLogitsProcessor("guidance | dola | greedy", context(VOCAB), 3)  # neutral: they read nothing


class Epsilon(FromLogitsProcessor):
    info = Info("epsilon_again", "Epsilon", "Cuts.", "p_i > e", "transformers")

    class Params(Params):
        epsilon: float = setting(0.0, "Least probability.", ge=0, lt=1)

    neutral = {"epsilon": 0.0}  # noqa: RUF012

    def wrapped(self) -> Any:
        return EpsilonLogitsWarper(self.params.epsilon) if self.params.epsilon else None


class Banned(FromLogitsProcessor):
    """Bans tokens 0 to n, which may be all there are; writes into the scores it is given."""

    info = Info("banned_again", "Banned", "Bans.", "-", "transformers")

    class Params(Params):
        upto: int = setting(0, "The last banned.", ge=0, le=99)

    def wrapped(self) -> Any:
        inner = NoBadWordsLogitsProcessor([[i] for i in range(self.params.upto + 1)])

        def call(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            scores += 1
            return inner(ids, scores)

        return call


def test_a_transformers_processor_is_a_plugin() -> None:
    check(Epsilon)
    check(Banned)
    scores = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)) * 2
    rows = [Row((1, 2), 1), Row((3,), 1), Row((4, 5, 6), 2)]
    out = Epsilon(Epsilon.Params(epsilon=0.05), context(20))(scores, rows)
    assert torch.equal(out, EpsilonLogitsWarper(0.05)(torch.zeros(3, 1).long(), scores))
    assert torch.equal(Epsilon(Epsilon.Params(), context(20))(scores, rows), scores)


def test_a_wrapped_processor_keeps_the_contract() -> None:
    scores = torch.zeros(2, 5)
    rows = [Row((1, 2), 1), Row((3,), 1)]
    out = Banned(Banned.Params(upto=2), context(5))(scores, rows)
    assert out.tolist() == [[-torch.inf] * 3 + [1, 1]] * 2
    every = Banned(Banned.Params(upto=4), context(5))
    assert (every(scores, rows) == -torch.inf).all(), "a ban of all is told, not taken back"
    assert every.dead_end(rows[0]) == "it removed every token."
    assert torch.equal(scores, torch.zeros(2, 5))


def test_the_callable_keeps_the_dtype_it_is_given() -> None:
    process = AsLogitsProcessor(Recipe.parse("top_k(2) | greedy"), context(4), 1)
    out = process(torch.tensor([[0]]), torch.tensor([[1.0, 2.0, 3.0, 0.0]], dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16
    assert out.tolist() == [[-torch.inf, 2.0, 3.0, -torch.inf]]
