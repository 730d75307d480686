"""The ways that share this process: the playground itself, and three of transformers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playground.bench.peers.task import Failed, Task, Way
from playground.bench.six import NEUTRAL, PROMPT, SIX

PAGES: dict[str, Any] = {
    "num_blocks": 64,
    "max_batch_tokens": 256,
    "max_requests_per_batch": 32,
}  # of continuous
_WAIT_S = 120.0


class Here:
    """One comparison of all recipes, everything recorded, with 20 candidates a token."""

    name = "this playground, recorded"

    def __init__(self, playground: Any) -> None:
        self.playground = playground

    def part(self, task: Task) -> Task | None:
        return task

    def write(self, task: Task, tokens: int) -> int:
        self.playground.engine.prompts.clear()  # the others read their prompt each time
        recipes: Sequence[str] = task.recipes
        if task.alike:
            recipes = [f"{task.recipes[0]}({len(task.recipes)})"]
        found = self.playground.compare(
            PROMPT, recipes, max_new_tokens=tokens, min_new_tokens=tokens, seed=7
        )
        errors = [lane.error for lane in found.lanes if lane.error]
        if errors:
            raise Failed(errors[0])
        return tokens * len(task.recipes)


class Generate:
    """A call of ``generate`` for each text, one after the other."""

    name = "transformers `generate`, one by one"

    def __init__(self, model: Any, ids: Any) -> None:
        self.model, self.ids = model, ids

    def part(self, task: Task) -> Task | None:
        return None if task.alike or task.candidates else task

    def write(self, task: Task, tokens: int) -> int:
        return sum(self._called(tokens, SIX[recipe]) for recipe in task.recipes)

    def _called(self, tokens: int, arguments: dict[str, Any], copies: int = 1) -> int:
        import torch

        out = self.model.generate(
            self.ids,
            attention_mask=torch.ones_like(self.ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            pad_token_id=0,
            **{**NEUTRAL, **arguments},
            num_return_sequences=copies,
        )
        return int(out[:, self.ids.shape[1] :].numel())


class Batched(Generate):
    """One call of ``generate`` for several texts of one recipe."""

    name = "transformers `generate`, `num_return_sequences`"

    def part(self, task: Task) -> Task | None:
        return task if task.alike and not task.candidates else None

    def write(self, task: Task, tokens: int) -> int:
        return self._called(tokens, SIX[task.recipes[0]], len(task.recipes))


class Continuous:
    """transformers' continuous batching, with each text's own settings, as far as it has them.

    ``generate_batch`` gives all texts the same settings; the manager under it does not. Greedy is
    ``top_k`` 1, since ``do_sample`` is one setting for all.
    """

    name = "transformers, continuous batching"
    settings: dict[str, dict[str, Any]] = {  # noqa: RUF012
        "greedy": {"top_k": 1},
        "temperature(0.8) | sample": {"temperature": 0.8},
        "top_k(50) | sample": {"top_k": 50},
        "top_p(0.9) | sample": {"top_p": 0.9},
    }

    def __init__(self, manager: Any, ids: list[int], vocab: int) -> None:
        self.manager, self.ids = manager, ids
        self.neutral = {"temperature": 1.0, "top_k": vocab, "top_p": 1.0}

    def part(self, task: Task) -> Task | None:
        own = task.of(list(self.settings))
        return own if own.recipes and not task.candidates else None

    def write(self, task: Task, tokens: int) -> int:
        for recipe in task.recipes:
            self.manager.add_request(
                self.ids,
                max_new_tokens=tokens,
                eos_token_id=-1,
                **{**self.neutral, **self.settings[recipe]},
            )
        written = 0
        for _ in task.recipes:
            result = self.manager.get_result(timeout=_WAIT_S)
            if result is None or result.error:
                raise Failed(str(result.error if result else "it gave no answer"))
            written += len(result.generated_tokens)
        return written


@contextmanager
def transformers_ways(model: Any, ids: Any) -> Iterator[list[Way]]:
    """``generate`` and continuous batching on ``model``, whose attention is ``sdpa``."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    # It changes the attention of the model that it is given.
    own = copy.deepcopy(model)
    config: Any = GenerationConfig
    drawn = config(
        do_sample=True, temperature=0.8, top_k=50, top_p=0.9, eos_token_id=-1, pad_token_id=0
    )
    pages = ContinuousBatchingConfig(per_request_processors=True, **PAGES)
    with own.continuous_batching_context_manager(
        generation_config=drawn, continuous_batching_config=pages, timeout=5
    ) as manager:
        vocab = int(own.get_input_embeddings().weight.shape[0])
        yield [
            Generate(model, ids),
            Batched(model, ids),
            Continuous(manager, ids[0].tolist(), vocab),
        ]
