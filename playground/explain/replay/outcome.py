"""The tokens that a recipe would choose along a recorded text, as far as its trace allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.explain.replay.known import known_scores, noise_of
from playground.trace import Comparison, StepRecord
from strategies import Context, Processor, Recipe, RecipeStep, Row, Search
from strategies.ops.bounded import NEAR, Bounded, Floats, Unknown

SAME, OTHER, OPEN = 0, 1, 2  # the same token, another, or the trace does not determine it


@dataclass(frozen=True)
class Outcomes:
    """What becomes of the token of each step; all arrays are ``[steps]``.

    ``fates`` are ``SAME``, ``OTHER`` or ``OPEN``; ``tokens`` are the ids chosen instead, −1 where
    unknown; ``margins`` are the least lead of the best token over all others, of score plus noise.
    """

    fates: NDArray[np.int64]
    tokens: NDArray[np.int64]
    margins: Floats


class RecordedText:
    """The text at ``output`` of a lane's trace, to which recipes can be applied again.

    ``context`` is that of the model, where it is loaded; without it no text can be encoded. Raises
    ``NotRecorded`` where the trace does not hold the logits.
    """

    def __init__(
        self, comparison: Comparison, lane: int, output: int = 0, context: Context | None = None
    ) -> None:
        result = comparison.lanes[lane]
        if result.model is not None:  # ``context`` is of the comparison's
            comparison, context = comparison.of_lane(lane), None
        outputs = result.trace.outputs
        self.comparison = comparison
        self.sample = outputs[output].sample if output < len(outputs) else 0
        self.path: list[StepRecord] = result.trace.path(output)
        self.recipe = Recipe.of(result.recipe)
        self.context = context or bare_context(comparison, result.trace.vocab_size)
        self._known: dict[tuple[int, int], Bounded] = {}
        self._left: dict[int, Bounded] = {}
        self._noise: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        self._prompt = tuple(token.id for token in comparison.prompt_tokens)
        self._prompt_length = len(self._prompt) - len(comparison.prefix)

    def known(self, first: int = 0, last: int | None = None) -> Bounded:
        """The model's logits of these steps."""
        last = len(self.path) if last is None else min(last, len(self.path))
        if (first, last) not in self._known:
            path = self.path[first:last]
            self._known[first, last] = known_scores(
                path, self.comparison.seed, self.sample, len(self.comparison.prefix)
            )
        return self._known[first, last]

    def only(self, which: Sequence[int]) -> RecordedText:
        """The same text with these tokens alone, each still after all that came before it."""
        part = copy(self)
        part.path = [self.path[at] for at in which]
        part._known, part._left, part._noise = {}, {}, None
        part.__dict__["rows"] = [self.rows[at] for at in which]
        return part

    @cached_property
    def rows(self) -> list[Row]:
        """The row before each step, as a processor sees it."""
        tokens = [step.token for step in self.path]
        return [
            Row(
                (*self._prompt, *tokens[:at]),
                self._prompt_length,
                sample=self.sample,
                seed=self.comparison.seed,
            )
            for at in range(len(tokens))
        ]

    @cached_property
    def _least(self) -> tuple[RecipeStep, ...]:
        """The step that keeps a text from ending before its least number of tokens, if any."""
        least = self.comparison.min_new_tokens
        whole = self.recipe.at_least(least + len(self.comparison.prefix) if least else 0)
        return whole.steps[: len(whole.steps) - len(self.recipe.steps)]

    @cached_property
    def remembers(self) -> bool:
        """Whether a step of its recipe is known to remember how likely the tokens before were."""
        try:
            processors, _, _ = self.built(self.recipe.steps)
        except Unknown:
            return False
        return any(processor.remembers_probabilities for processor in processors)

    def built(
        self, own: Sequence[RecipeStep]
    ) -> tuple[list[Processor], tuple[RecipeStep, ...], Search]:
        """The processors of the steps that have an effect, those steps, and the search.

        Raises ``Unknown`` where a step needs what the trace does not hold, ``RecipeError`` where
        its parameters are refused.
        """
        steps = tuple(s for s in (*self._least, *own[:-1]) if s.enabled and not s.neutral)
        processors, search = Recipe((*steps, own[-1])).build(self.context)
        if search.chooses not in ("draw", "likeliest") or search.asks:
            raise Unknown(
                f"{own[-1]} does not choose by the next token alone, which is all that the "
                "trace tells of."
            )
        return processors, steps, search

    def applied(
        self,
        scores: Bounded,
        processors: Sequence[Processor],
        steps: Sequence[RecipeStep],
        rows: Sequence[Row],
    ) -> Bounded:
        """``scores`` of ``rows`` after the processors, which belong to ``steps``.

        Where a processor remembers probabilities, the rows must be all rows of the text. Raises
        ``Unknown``.
        """
        for processor, step in zip(processors, steps, strict=True):
            try:
                own = rows
                if processor.stateful and not processor.remembers_probabilities:
                    own = list(_with_states(processor, rows))
                scores = processor.bound(scores, own)
            except Unknown as error:
                raise Unknown(f"The step {step} cannot be followed: {error}") from None
        return scores

    def left(self, count: int) -> Bounded:
        """The logits of all steps after the first ``count`` processors of the text's own recipe."""
        if count not in self._left:
            before = self.left(count - 1) if count else self.known()
            processors, steps, _ = self.built(self.recipe.steps)
            own = slice(count - 1, count) if count else slice(0)
            self._left[count] = self.applied(before, processors[own], steps[own], self.rows)
        return self._left[count]

    def outcomes(self, scores: Bounded, search: Search, first: int = 0) -> Outcomes:
        """What ``search`` chooses from ``scores`` of the steps from ``first`` on."""
        path = self.path[first : first + len(scores.ids)]
        draws = search.chooses == "draw"
        noise = self._noise_of(scores, path) if draws else 0.0
        low = np.where(scores.must, scores.low + noise, -np.inf)
        high = np.where(scores.may, scores.high + noise, -np.inf)
        return _decided(scores, low, high, np.array([step.token for step in path]))

    def _noise_of(self, scores: Bounded, path: Sequence[StepRecord]) -> NDArray[np.float64]:
        """The noise of the tokens in ``scores``, cached while the tokens stay the same."""
        last = self._noise
        if last is None or not np.array_equal(last[0], scores.ids):
            before, comparison = len(self.comparison.prefix), self.comparison
            noise = noise_of(scores, path, comparison.seed, self.sample, before)
            last = self._noise = scores.ids, noise
        return last[1]


def _with_states(processor: Processor, rows: Sequence[Row]) -> Iterator[Row]:
    """Rows of one text, in order, with the state of a processor that observes the tokens alone."""
    state, count = processor.initial_state(), 0
    for row in rows:
        for token in row.generated[count:]:
            state, count = processor.observe(state, token, math.nan), count + 1
        yield replace(row, state=state)


def _decided(scores: Bounded, low: Floats, high: Floats, tokens: NDArray[np.int64]) -> Outcomes:
    """Which of values between ``low`` and ``high`` is surely the highest, and whether it is the
    token's.
    """
    rows = np.arange(len(low))
    best = low.max(-1, keepdims=True)
    # A tie goes to the lowest id.
    ids = np.where((low == best) & (scores.ids >= 0), scores.ids, np.iinfo(np.int64).max)
    winner = ids.argmin(-1)
    chosen = scores.ids[rows, winner]
    later = (low == high) & (low == best) & (scores.ids > chosen[:, None])
    # The bound for unknown tokens is below, in logit and in noise, the token it is made from.
    beaten = (scores.ids == -2 - chosen[:, None]) & (high <= best)
    rivals = np.where(later | beaten, -np.inf, high)
    rivals[rows, winner] = -np.inf
    rival = rivals.max(-1, keepdims=True)
    near = 4 * NEAR * (1 + np.abs(np.where(np.isfinite(best), best, 0)))
    sure = (best > rival + near)[:, 0]
    own = np.where(scores.ids == tokens[:, None], high, -np.inf).max(-1)
    lost = own < (best - near)[:, 0]
    sure, lost = sure & ~scores.lost, lost & ~scores.lost
    fates = np.where(sure & (chosen == tokens), SAME, np.where(sure | lost, OTHER, OPEN))
    with np.errstate(invalid="ignore"):
        margins = (best - rival)[:, 0]
    return Outcomes(fates, np.where(sure, chosen, -1), margins)


def bare_context(comparison: Comparison, vocab: int) -> Context:
    """The context of strategies where no model is loaded, which has no tokenizer."""

    def unable(_: Any) -> Any:
        raise Unknown("it reads texts with the model's tokenizer, which a trace does not hold.")

    return Context(
        vocab_size=vocab,
        eos_token_ids=tuple(comparison.model.eos_token_ids),
        max_new_tokens=len(comparison.prefix) + comparison.max_new_tokens,
        encode=unable,
        decode=unable,
    )


def sentence(error: Exception) -> str:
    """The message of an error, as a sentence."""
    text = str(error).strip()
    return text[:1].upper() + text[1:]
