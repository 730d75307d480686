"""Bridges to transformers: a recipe inside ``generate``, and a ``LogitsProcessor`` as a plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..base import Context, DraftScores, EarlyLayers, Processor, Row, SecondPrompt
from ..dead_ends import dead_end
from ..recipe import Recipe, RecipeError

LogitsProcessor = Callable[[Tensor, Tensor], Tensor]  # (input_ids, scores) -> scores


_WHAT: dict[type, str] = {
    SecondPrompt: "the scores after a second prompt (generate has guidance_scale for that)",
    EarlyLayers: "the model's earlier layers",
    DraftScores: "the scores of a draft model",
}


class AsLogitsProcessor:
    """A recipe's processors as one callable for ``model.generate(logits_processor=[…])``.

    For a single ``generate`` call, whose prompt has ``prompt_length`` tokens (padding included).
    The search stays ``generate``'s own, as do its ``temperature``, ``top_k`` … : leave those
    neutral. A stateful processor's rows are recognised by their tokens from step to step.

    Raises ``RecipeError`` where a processor reads more than scores and tokens, and, called by
    ``generate``, where one leaves a text nothing to go on with.
    """

    def __init__(self, recipe: Recipe | str, context: Context, prompt_length: int) -> None:
        recipe = Recipe.of(recipe)
        self._processors = recipe.build(context)[0]
        self._numbers = [i for i, step in enumerate(recipe.steps[:-1]) if step.enabled]
        for i, processor in zip(self._numbers, self._processors, strict=True):
            need = processor.needs((0,) * prompt_length)  # what it asks for, whatever the prompt
            if need is not None:
                what = _WHAT.get(type(need), "more than scores and tokens")
                raise RecipeError.at(
                    i,
                    processor.info.id,
                    f"it reads {what}, and generate gives a logits processor only scores and "
                    "tokens; remove it.",
                )
        self._prompt_length = prompt_length
        # By text: each processor's state, and every token's log-probability as it observes it.
        self._last: dict[tuple[int, ...], tuple[list[Any], list[Tensor]]] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        texts = [tuple(ids) for ids in input_ids.tolist()]
        states = [self._states(text) for text in texts]
        out = scores.float()
        given: list[Tensor] = []
        seen: list[list[Row]] = []
        for p, processor in enumerate(self._processors):
            rows = [
                Row(text, self._prompt_length, state=state[p])
                for text, state in zip(texts, states, strict=True)
            ]
            given.append(out)
            out = processor(out, rows)
            seen.append(rows)
        for i in (out == -torch.inf).all(-1).nonzero().flatten().tolist():
            left = [int((each[i] != -torch.inf).sum()) for each in (*given, out)]
            end = dead_end(self._processors, [rows[i] for rows in seen], left)
            if end is not None:  # else generate would write any token
                name = self._processors[end.depth].info.id
                raise RecipeError.at(self._numbers[end.depth], name, end.why)
        if any(processor.stateful for processor in self._processors):
            final = out.log_softmax(-1)
            told = [
                given[p].log_softmax(-1) if processor.observes == "given" else final
                for p, processor in enumerate(self._processors)
            ]
            self._last = {
                text: (states[i], [logprobs[i] for logprobs in told])
                for i, text in enumerate(texts)
            }
        return out.to(scores.dtype)

    def _states(self, text: tuple[int, ...]) -> list[Any]:
        """Each processor's state after this text, from its state one token earlier."""
        if text[:-1] not in self._last:
            return [processor.initial_state() for processor in self._processors]
        states, told = self._last[text[:-1]]
        return [
            processor.observe(state, text[-1], float(logprobs[text[-1]]))
            for processor, state, logprobs in zip(self._processors, states, told, strict=True)
        ]


class FromLogitsProcessor(Processor, ABC):
    """Base of a plugin that wraps a transformers ``LogitsProcessor``, which ``wrapped`` makes.

    Only for processors that keep nothing between calls; each row is passed on its own.
    """

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self._wrapped = self.wrapped()

    @abstractmethod
    def wrapped(self) -> LogitsProcessor:
        """The transformers processor for ``self.params`` and ``self.context``."""

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        if self.is_neutral(self.params):
            return scores
        out = []
        for i, row in enumerate(rows):
            ids = torch.tensor([row.tokens], dtype=torch.int64, device=scores.device)
            out.append(self._wrapped(ids, scores[i : i + 1].clone()))
        return torch.cat(out)
