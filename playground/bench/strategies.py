"""What each strategy adds to a step of six lanes.

Six lanes with the strategy in one of them, and six without it, are stepped by turns on two engines,
which are exchanged as well. A strategy's cost lies outside the forward, which is the same for both,
so the forward is left out; where a strategy needs more rows or tokens in it, the whole step counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from playground.bench.conditions import Conditions
from playground.bench.six import PROMPT

OTHER_LANES = ("greedy", "sample", "greedy", "sample", "greedy")
# Used where the settings made from the schema would end the text after a few tokens.
SETTINGS: dict[str, dict[str, Any]] = {
    "constrained": {"regex": "[a-z ]+"},
    "thinking_budget": {"tokens": 100, "opening": "<think>", "closing": "</think>"},
}
BAR = 0.1  # of a step


@dataclass(frozen=True)
class Measured:
    """One strategy's result. ``share`` is ``added_ms`` over a step without it, of as many rows."""

    strategy: str
    recipe: str
    against: str
    rows: int  # that the lane owns
    reads_more: str  # what the forward computes for it beside its rows; empty for nothing
    added_ms: float
    step_ms: float
    steps: int  # measured
    refused: str = ""  # why this model does not run it

    @property
    def share(self) -> float:
        return self.added_ms / self.step_ms if self.steps else 0.0

    def __str__(self) -> str:
        with_, without = (text.replace("|", "\\|") for text in (self.recipe, self.against))
        if self.refused:
            return f"| `{with_}` | | | | {self.refused} |"
        figures = f"{self.added_ms:.1f} | {self.share:.1%}"
        rows = f"{self.rows} rows either way" if self.rows > 1 else ""
        return f"| `{with_}` | `{without}` | {figures} | {self.reads_more or rows} |"


@dataclass(frozen=True)
class Report(Conditions):
    """Milliseconds are medians over all steps, each against the same step without the strategy."""

    tokens: int
    repeats: int
    prompt_tokens: int
    step_ms: float  # of six rows
    measured: list[Measured]

    @property
    def over(self) -> list[Measured]:
        """The strategies whose share is above ``BAR``."""
        return [one for one in self.measured if one.share > BAR]

    def __str__(self) -> str:
        head = ("| one lane | in place of | ms added | of a step | |", "|---|---|---:|---:|---|")
        apart = [one for one in self.measured if one.reads_more]
        return "\n".join(
            (
                self.conditions,
                f"a prompt of {self.prompt_tokens} tokens and {self.tokens} new ones, "
                f"{self.repeats} repeats; a step of six rows takes {self.step_ms:.0f} ms",
                "",
                *head,
                *(str(one) for one in self.measured if not one.reads_more),
                "",
                "With more read for them than their rows:",
                "",
                *head,
                *map(str, apart),
                "",
                f"above {BAR:.0%}: {', '.join(one.strategy for one in self.over) or 'none'}",
            )
        )


def measure(
    model: str | None,
    tokens: int,
    repeats: int,
    names: Sequence[str] = (),
    prompt_tokens: int = 0,
) -> Report:
    """Measure the strategies of these names, or all, after a prompt of at least so many tokens."""
    from playground import Playground
    from strategies.registry import registry

    own, other = Playground(model), Playground(model)
    for each in (own, other):
        each.engine.join_tracing()
    prompt = PROMPT
    while len(own.engine.tokens(prompt)) < prompt_tokens:
        prompt += f" many things. {PROMPT}"
    bench = _Bench([own.engine, other.engine], prompt, tokens, repeats)
    bench.pairs("sample", "sample")  # what is done once only
    chosen = [registry().get(name) for name in names] or list(registry().strategies.values())
    measured = [bench.measured(strategy) for strategy in chosen]
    plain = bench.plain or [step.whole for step, _ in bench.pairs("sample", "sample")]
    return Report(
        **Conditions.of(own),
        tokens=tokens,
        repeats=repeats,
        prompt_tokens=len(own.engine.tokens(prompt)),
        step_ms=statistics.median(plain) * 1e3,
        measured=measured,
    )


@dataclass(frozen=True)
class _Seconds:
    """The seconds of a step of all lanes, and of the forward that they shared."""

    whole: float
    forward: float


class _Bench:
    """Two engines, stepped by hand; ``plain`` gathers the steps of six rows."""

    def __init__(self, engines: list[Any], prompt: str, tokens: int, repeats: int) -> None:
        self.engines, self.prompt, self.tokens, self.repeats = engines, prompt, tokens, repeats
        self.plain: list[float] = []

    def measured(self, strategy: Any) -> Measured:
        """Measure the strategy in one lane against the same lane without it."""
        from playground.engine import FieldError
        from strategies import Recipe

        step = {"strategy": strategy.info.id, "params": usual(strategy)}
        search = strategy.kind == "search"
        recipe = str(Recipe.from_steps([step] if search else [step, {"strategy": "sample"}]))
        if strategy.info.id == "model":
            why = "another model's engine writes the column"
            return Measured(strategy.info.id, recipe, "", 0, "", 0.0, 0.0, 0, why)
        try:
            lane = self.engines[0].builder.run(self.request(recipe)).lanes[-1]
        except FieldError as refusal:
            return Measured(strategy.info.id, recipe, "", 0, "", 0.0, 0.0, 0, str(refusal))
        if lane.search.asks:
            why = "a person chooses"
            return Measured(strategy.info.id, recipe, "", 0, "", 0.0, 0.0, 0, why)
        apart = _reads_more(lane)
        against = "sample"
        if not apart and (search or lane.width > 1):
            against = "greedy" if lane.width == 1 else f"sample({lane.width})"
        added, steps = [], []
        for _ in range(self.repeats):
            self.engines.reverse()
            for a, b in self.pairs(against, recipe):
                steps.append(a.whole)
                added.append(
                    b.whole - a.whole if apart else (b.whole - b.forward) - (a.whole - a.forward)
                )
        self.plain += steps if "(" not in against else []
        return Measured(
            strategy=strategy.info.id,
            recipe=recipe,
            against=against,
            rows=lane.width,
            reads_more=apart,
            added_ms=statistics.median(added) * 1e3,
            step_ms=statistics.median(steps) * 1e3,
            steps=len(added),
        )

    def pairs(self, *recipes: str) -> list[tuple[_Seconds, _Seconds]]:
        """Each step of the other lanes with one lane of either recipe, but the first and last."""
        runs = [
            engine.submit(self.request(recipe))
            for engine, recipe in zip(self.engines, recipes, strict=True)
        ]
        sides = list(zip(self.engines, runs, strict=True))
        found: list[tuple[_Seconds, _Seconds]] = []
        while True:
            order = sides if len(found) % 2 else sides[::-1]
            taken = {run.id: _step(engine, run) for engine, run in order}
            if any(run.lanes[-1].done for run in runs):
                break
            found.append((taken[runs[0].id], taken[runs[1].id]))
        for engine, run in sides:
            run.cancel()
            engine.drive(run)
        return found[1:]  # the first reads the prompt

    def request(self, recipe: str) -> Any:
        from playground.engine import Request
        from strategies import Recipe

        return Request(
            prompt=self.prompt,
            recipes=[Recipe.parse(text) for text in (*OTHER_LANES, recipe)],
            max_new_tokens=self.tokens,
            min_new_tokens=self.tokens,
            seed=7,
        )


def _step(engine: Any, run: Any) -> _Seconds:
    begun = perf_counter()
    engine.step()
    seconds = perf_counter() - begun
    for lane in run.views:
        if lane.error:
            raise RuntimeError(f"{lane.recipe}: {lane.error}")
    return _Seconds(seconds, run.views[0].steps[-1].times.forward)


def usual(strategy: Any) -> dict[str, Any]:
    """Settings at which the strategy has an effect: in the middle of the usual range.

    Only settings that have a neutral value are changed; the others keep their defaults.
    """
    if strategy.info.id in SETTINGS:
        return SETTINGS[strategy.info.id]
    schemas = strategy.Params.model_json_schema().get("properties", {})
    return {name: _middle(schemas[name], none) for name, none in strategy.neutral.items()}


def _middle(schema: Mapping[str, Any], neutral: Any) -> Any:
    """A value of one setting other than ``neutral``."""
    choices = schema.get("enum") or schema.get("examples")
    if choices:
        return next(value for value in reversed(choices) if value != neutral)
    if schema["type"] == "array":
        return [" the", " of"]
    if schema["type"] == "object":
        return {" the": _middle(schema["additionalProperties"], 0), " of": -1.0}
    if schema["type"] == "boolean":
        return not neutral
    if schema["type"] == "string":
        return " the"
    low, high = schema.get("usual") or (schema["minimum"], schema["maximum"])
    picks = [low + (high - low) * part for part in (0.5, 0.75)]
    whole = schema["type"] == "integer"
    return next(value for value in map(round if whole else float, picks) if value != neutral)


def _reads_more(lane: Any) -> str:
    """What the forward computes for this lane's strategies beside its rows, in words."""
    from strategies import EarlyLayers, Search

    if any(isinstance(need, EarlyLayers) for need in lane.needs):
        return "reads the vocabulary head on earlier layers"
    if type(lane.search).draft is not Search.draft:
        return "reads what it drafts; then writes several tokens a step"
    return ""
