"""The engine on a GPU: whether it is batch-invariant, and how near a step is to its limit.

The models have random weights, in the shapes of ones that people run, so that nothing is fetched.
Each is served in every number format: its recipes are run alone and in a batch, and must give the
same tokens and log-probabilities to the last bit; captured and plain steps must give the same
tokens. Then a step of 9 rows and one of 16 are timed against reading the weights once at the
measured bandwidth, and against ``generate``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from playground.bench.conditions import machine
from playground.bench.random_models import random_model
from playground.bench.six import NEUTRAL, SIX, read_bandwidth

DTYPES = ("float32", "bfloat16", "float16")
FULL_SIZE = 4e9  # parameters, from which a model is served in 16 bits alone
PROMPTS = ("Once upon a time", "0123456789 " * 20, "def main():")
MANY = ["top_p(0.9) | sample"] * 16


@dataclass(frozen=True)
class Measured:
    """One model in one number format. Times of steps are medians, in milliseconds."""

    model: str
    dtype: str
    load_s: float  # with all checks and captures
    graphs: bool  # whether steps are captured
    alone_is_equal: bool  # a recipe's records alone and in a batch, bit for bit
    eager_is_equal: bool  # captured and plain steps: the same tokens
    nine_rows_ms: float
    nine_rows_forward_ms: float
    sixteen_rows_ms: float
    limit_ms: float  # reading the weights once at the bandwidth measured
    comparison_s: float  # of the six recipes
    generate_s: float  # six calls, one after the other

    @property
    def holds(self) -> bool:
        return self.alone_is_equal and self.eager_is_equal

    def __str__(self) -> str:
        return (
            f"| {self.model} | {self.dtype} | {_yes(self.alone_is_equal)} | "
            f"{_yes(self.eager_is_equal) if self.graphs else 'not captured'} | "
            f"{self.limit_ms:.2f} | {self.nine_rows_ms:.2f} ({self.nine_rows_forward_ms:.2f}) | "
            f"{self.sixteen_rows_ms:.2f} | {self.generate_s / self.comparison_s:.1f} | "
            f"{self.load_s:.0f} |"
        )


@dataclass
class Report:
    """The models in the order in which they were measured, and what could not be."""

    device: str
    torch: str
    transformers: str
    date: str
    bandwidth: float  # bytes a second, read
    models: list[Measured] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.faults and all(model.holds for model in self.models)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.device}, torch {self.torch}, transformers {self.transformers}, "
                f"{self.date}; memory is read at {self.bandwidth / 1e9:,.0f} GB/s:",
                "",
                "| model | format | alone = in a batch | captured = plain | weights once, ms | "
                "9 rows, ms a step (forward) | 16 rows | times faster than `generate` | "
                "loaded and checked, s |",
                "|---|---|---|---|---:|---:|---:|---:|---:|",
                *map(str, self.models),
                *(["", *(f"Failed: {fault}" for fault in self.faults)] if self.faults else []),
            )
        )


def measure(device: str, shapes: Sequence[str], tokens: int, seconds: float) -> Report:
    """Measure these shapes on ``device``, in order, until so many ``seconds`` are over."""
    import datetime

    import torch
    import transformers

    begun = perf_counter()
    where = torch.device(device)
    report = Report(
        device=machine(where),
        torch=torch.__version__,
        transformers=transformers.__version__,
        date=datetime.date.today().isoformat(),
        bandwidth=read_bandwidth(where),
    )
    for shape in shapes:
        for dtype in DTYPES:
            if perf_counter() - begun > seconds:
                report.faults.append(f"{shape} in {dtype} was not reached in {seconds:.0f} s")
                continue
            try:
                found = _measured(shape, dtype, where, tokens, report.bandwidth)
            except Exception as error:
                report.faults.append(f"{shape} in {dtype}: {type(error).__name__}: {error}")
            else:
                report.models += [found] if found else []
    return report


def _measured(
    shape: str, dtype: str, device: Any, tokens: int, bandwidth: float
) -> Measured | None:
    """Measure one model; None where it is too large to be served in float32."""
    import torch

    from playground.engine import Engine

    model = random_model(shape, dtype, device)
    try:
        parameters = sum(weight.numel() for weight in model.model.parameters())
        if parameters > FULL_SIZE and dtype == "float32":
            return None
        generate = min(_generated(model, tokens) for _ in range(2))
        clock = perf_counter()
        engine = Engine(model, rows=32)
        try:
            load = perf_counter() - clock
            _records(engine, PROMPTS[0], list(SIX), 4)  # what is done once only
            graphs = bool(engine.forward.paths)
            alone = _each_alone_is_equal(engine, tokens)
            captured = _records(engine, PROMPTS[0], list(SIX), tokens)
            times = [_timed(engine, list(SIX), tokens) for _ in range(3)]
            many = [_timed(engine, MANY, tokens) for _ in range(3)]
            paths, engine.forward.paths = engine.forward.paths, []
            plain = _records(engine, PROMPTS[0], list(SIX), tokens)
            engine.forward.paths = paths
        finally:
            engine.close()
        return Measured(
            model=shape,
            dtype=dtype,
            load_s=load,
            graphs=graphs,
            alone_is_equal=alone,
            eager_is_equal=[one.tokens for one in captured] == [one.tokens for one in plain],
            nine_rows_ms=statistics.median(step.whole for step in times) * 1e3,
            nine_rows_forward_ms=statistics.median(step.forward for step in times) * 1e3,
            sixteen_rows_ms=statistics.median(step.whole for step in many) * 1e3,
            limit_ms=_bytes_read(model.model) / bandwidth * 1e3,
            comparison_s=statistics.median(step.run for step in times),
            generate_s=generate,
        )
    finally:
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class _Text:
    """What a recipe generated, all of which must be the same to the last bit."""

    tokens: list[int]
    logprobs: list[float]


def _records(engine: Any, prompt: str, recipes: Sequence[str], tokens: int) -> list[_Text]:
    return _read(_run(engine, [(prompt, recipes)], tokens)[0])


def _read(comparison: Any) -> list[_Text]:
    found = []
    for lane in comparison.lanes:
        if lane.error:
            raise RuntimeError(f"{lane.recipe}: {lane.error}")
        path = lane.trace.path(0)
        found.append(_Text([s.token for s in path], [s.raw_logprob for s in path]))
    return found


def _run(engine: Any, lanes: Sequence[tuple[str, Sequence[str]]], tokens: int) -> list[Any]:
    """Comparisons of these prompts and recipes, all at once."""
    from playground.engine import Request
    from strategies import Recipe

    runs = [
        engine.submit(
            Request(
                prompt=prompt,
                recipes=[Recipe.parse(recipe) for recipe in recipes],
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                seed=5,
            )
        )
        for prompt, recipes in lanes
    ]
    for run in runs:
        engine.drive(run)
    return [run.comparison() for run in runs]


def _each_alone_is_equal(engine: Any, tokens: int) -> bool:
    """Whether each recipe's records after each prompt are the same alone and among all."""
    together = _run(engine, [(prompt, list(SIX)[:4]) for prompt in PROMPTS], tokens)
    for prompt, comparison in zip(PROMPTS, together, strict=True):
        for recipe, text in zip(list(SIX)[:4], _read(comparison), strict=True):
            engine.prompts.clear()
            if _records(engine, prompt, [recipe], tokens) != [text]:
                return False
    return True


@dataclass(frozen=True)
class _Step:
    """Seconds of a run, and medians of its steps."""

    run: float
    whole: float
    forward: float


def _timed(engine: Any, recipes: Sequence[str], tokens: int) -> _Step:
    engine.prompts.clear()
    clock = perf_counter()
    lanes = []
    for start in range(0, len(recipes), 6):  # as many as a request may have
        lanes.append((PROMPTS[0], recipes[start : start + 6]))
    comparisons = _run(engine, lanes, tokens)
    seconds = perf_counter() - clock
    traces = [lane.trace for comparison in comparisons for lane in comparison.lanes]
    whole, forward = [], []
    for index in range(1, tokens):
        steps = [step for trace in traces for step in trace.path(0)[index : index + 1]]
        forward.append(max(step.times.forward for step in steps))
        rest = (s.times.processors + s.times.search + s.times.record for s in steps)
        whole.append(forward[-1] + sum(rest))
    return _Step(seconds, statistics.median(whole), statistics.median(forward))


def _generated(model: Any, tokens: int) -> float:
    """Seconds of ``generate`` for the six, one after the other."""
    import torch

    ids = model.tokenizer(PROMPTS[0], return_tensors="pt").input_ids.to(model.model.device)
    clock = perf_counter()
    for arguments in SIX.values():
        model.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            pad_token_id=0,
            **{**NEUTRAL, **arguments},
        )
    if ids.device.type == "cuda":
        torch.cuda.synchronize(ids.device)
    return perf_counter() - clock


def _bytes_read(model: Any) -> int:
    """Bytes of weights that a step reads: of the embeddings only where they are the head, too."""
    unread = 0 if model.config.tie_word_embeddings else model.get_input_embeddings().weight.nbytes
    return sum(weight.nbytes for weight in model.parameters()) - unread


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"
