"""An experiment against as many calls of ``generate``, one after the other.

The experiment is run whole, as the command runs it, its texts stored and measured. All calls would
take half an hour, so a sample of them is timed, spread evenly over recipes and prompts; their total
is extrapolated from the mean of each recipe, and the report says so. A sample as large as the
experiment times every call.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import fill
from time import perf_counter
from typing import Any

from playground.bench.conditions import Conditions
from playground.bench.six import NEUTRAL
from playground.experiment.experiment import Experiment
from playground.experiment.prompts import SETS, prompt_set
from playground.experiment.runner import Done

# Each recipe, and the arguments of ``generate`` that do the same.
RECIPES: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "temperature(0.8) | sample": {"do_sample": True, "temperature": 0.8},
    "top_k(50) | sample": {"do_sample": True, "top_k": 50},
    "top_p(0.9) | sample": {"do_sample": True, "top_p": 0.9},
}
GOAL = 5.0  # times as fast as the calls


@dataclass(frozen=True)
class Report(Conditions):
    """Seconds; those of all calls follow from the ``sampled`` ones."""

    prompts: int
    recipes: int
    seeds: int
    tokens: int
    texts: int
    experiment_s: float  # writing, storing and measuring
    findings_s: float  # of them, intervals, pairs and the verdict
    sampled: int
    call_s: float  # the mean of a call
    call_least_s: float
    call_most_s: float
    generate_s: float  # all calls; estimated where not all are timed

    @property
    def ratio(self) -> float:
        return self.generate_s / self.experiment_s

    @property
    def passed(self) -> bool:
        return self.ratio >= GOAL

    def __str__(self) -> str:
        """As the README has it."""
        measured = self.sampled == self.texts
        how = "all of them timed" if measured else f"estimated from {self.sampled} of them"
        return fill(
            f"{self.conditions}: {self.prompts} prompts × {self.recipes} recipes × {self.seeds} "
            f"seeds × {self.tokens} tokens, {self.texts} texts in all. The experiment took "
            f"{self.experiment_s:.1f} s, {self.findings_s:.1f} s of it for what its numbers tell; "
            f"{self.texts} calls of `generate` took {self.generate_s:,.1f} s, {how}: "
            f"{self.call_s:.2f} s a call ({self.call_least_s:.2f} to {self.call_most_s:.2f}). "
            f"**{self.ratio:.1f} times** as fast (the goal is {GOAL:.0f}).",
            width=110,
            break_long_words=False,
            break_on_hyphens=False,
        )


def compare(
    model: str | None,
    tokens: int,
    prompts: int = 20,
    seeds: int = 8,
    sample: int = 24,
    progress: Callable[[Done], None] | None = None,
    called: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Measure both on one model; the same weights serve the calls, unpacked.

    ``progress`` is called after each text of the experiment, ``called`` after each timed call.
    """
    from playground import Playground
    from playground.engine.forward.packed_linear import unpack

    definition = question(prompts, seeds, tokens)
    plain = Playground(model)  # its weights serve generate, its engine is not used
    plain.engine.close()
    unpack(plain.model)
    own = Playground(model)
    own.engine.join_tracing()
    plain.model.set_attn_implementation("sdpa")
    own.experiment(question(1, 2, min(tokens, 8)))  # to warm up
    _call(plain, definition, 0, 0, min(tokens, 8))
    begun = perf_counter()
    result = own.experiment(definition, progress=progress)
    written = perf_counter()
    result.verdict()
    for metric in definition.metrics:
        result.summary(metric)
    ended = perf_counter()
    each = sample_of(definition, sample)
    times: dict[int, list[float]] = {}
    for number, (recipe, prompt) in enumerate(each, 1):
        times.setdefault(recipe, []).append(_call(plain, definition, recipe, prompt, tokens))
        called(number, len(each))
    means = [statistics.mean(times[recipe]) for recipe in sorted(times)]
    every = [one for some in times.values() for one in some]
    return Report(
        **Conditions.of(own),
        prompts=len(definition.prompts),
        recipes=len(definition.recipes),
        seeds=len(definition.seeds),
        tokens=tokens,
        texts=definition.cells,
        experiment_s=ended - begun,
        findings_s=ended - written,
        sampled=len(every),
        call_s=statistics.mean(every),
        call_least_s=min(every),
        call_most_s=max(every),
        generate_s=statistics.mean(means) * definition.cells,
    )


def question(prompts: int, seeds: int, tokens: int) -> Experiment:
    """The experiment: so many prompts of the built-in sets, taken from each set in turn."""
    sets = [prompt_set(name) for name in SETS]
    rounds = [found[at] for at in range(max(map(len, sets))) for found in sets if at < len(found)]
    if not 1 <= prompts <= len(rounds):
        raise ValueError(f"prompts must be from 1 to {len(rounds)}, but {prompts} was given.")
    return Experiment.of(
        {
            "prompts": rounds[:prompts],
            "recipes": list(RECIPES),
            "seeds": seeds,
            "max_new_tokens": tokens,
            "min_new_tokens": tokens,
        }
    )


def sample_of(definition: Experiment, sample: int) -> Sequence[tuple[int, int]]:
    """Recipe and prompt of each call that is timed: as many of every recipe, evenly spread."""
    recipes, prompts = len(definition.recipes), len(definition.prompts)
    of_each = min(max(1, ceil(sample / recipes)), prompts * len(definition.seeds))
    if of_each > prompts:
        return [(recipe, at % prompts) for at in range(of_each) for recipe in range(recipes)]
    chosen = [at * prompts // of_each for at in range(of_each)]
    return [(recipe, prompt) for prompt in chosen for recipe in range(recipes)]


def _call(plain: Any, definition: Experiment, recipe: int, prompt: int, tokens: int) -> float:
    """Seconds of one call of ``generate``."""
    import torch

    ids = plain.tokenizer(definition.prompts[prompt].text, return_tensors="pt").input_ids
    ids = ids.to(plain.model.device)
    arguments = RECIPES[str(definition.recipes[recipe])]
    begun = perf_counter()
    plain.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        pad_token_id=0,
        **{**NEUTRAL, **arguments},
    )
    if plain.model.device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - begun
