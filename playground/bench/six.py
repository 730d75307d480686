"""Six strategies against ``generate``.

One comparison of six strategies, everything recorded, and six calls of transformers' ``generate``
one after the other, measured by turns in one process with the same weights and dtype.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from playground.bench.conditions import Conditions

PROMPT = "In a groundbreaking scientific discovery, researchers have found evidence of"

# Each recipe, and the arguments of ``generate`` that do the same.
SIX: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "temperature(0.8) | sample": {"do_sample": True, "temperature": 0.8},
    "top_k(50) | sample": {"do_sample": True, "top_k": 50},
    "top_p(0.9) | sample": {"do_sample": True, "top_p": 0.9},
    "beam(4)": {"do_sample": False, "num_beams": 4},
    "repetition_penalty(1.2) | greedy": {"do_sample": False, "repetition_penalty": 1.2},
}
# Unset arguments would come from the model's own defaults, and ``top_k`` from 50.
NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0, "num_beams": 1}
MANY = 16  # lanes whose step is compared with the step of one lane


@dataclass(frozen=True)
class Report(Conditions):
    """Seconds are medians over the repeats; a step is one token of every lane."""

    tokens: int
    repeats: int
    generate_s: float  # six calls, one after the other
    comparison_s: float  # one comparison of the six
    ratio: float  # of each repeat, then the median
    ratio_least: float
    ratio_most: float
    rows: int
    step_ms: float
    forward_ms: float
    recording_share: float  # of a step
    processors_share: float
    search_share: float
    weights_bytes: int  # as a step reads them
    bandwidth: float  # bytes a second, read, measured here
    bandwidth_share: float  # of it that the weights alone, read once a step, use
    one_lane_ms: float  # a step of one lane
    many_lanes_ms: float  # of as many as MANY
    lone_rows: int  # computed for one row, so that its bits equal those in any batch
    lone_ms: float  # a forward of these rows
    bare_ms: float  # a forward of the row alone
    static_s: float | None  # generate with a static cache, which it compiles; only on a GPU

    def __str__(self) -> str:
        return "\n".join(
            (
                self.conditions,
                f"six strategies, {self.tokens} tokens each, {self.repeats} repeats, medians",
                f"  six calls of generate     {self.generate_s:8.2f} s",
                *self._static(),
                f"  one comparison, recorded  {self.comparison_s:8.2f} s",
                f"  ratio                     {self.ratio:8.1f}   "
                f"({self.ratio_least:.1f} to {self.ratio_most:.1f})",
                f"  a step of {self.rows} rows          {self.step_ms:8.1f} ms, "
                f"the forward {self.forward_ms:.1f} ms of it",
                f"  recording                 {self.recording_share:8.1%} of a step",
                f"  processors                {self.processors_share:8.1%} of a step",
                f"  search                    {self.search_share:8.1%} of a step",
                f"  memory bandwidth          {self.bandwidth / 1e9:8.1f} GB/s read here; the "
                f"weights are read as {self.weights_bytes / 1e9:.2f} GB",
                f"  fraction of it reached    {self.bandwidth_share:8.1%}",
                f"  a step of {MANY} lanes        {self.many_lanes_ms:8.1f} ms, "
                f"{self.many_lanes_ms / self.one_lane_ms:.1f} times one of one lane",
                f"  a forward of one row      {self.lone_ms:8.1f} ms, computed as "
                f"{self.lone_rows}; {self.bare_ms:.1f} ms by itself",
            )
        )

    def _static(self) -> tuple[str, ...]:
        if self.static_s is None:
            return ()
        return (f"  the same, static cache    {self.static_s:8.2f} s, beams with their own",)


def compare(model: str | None, tokens: int, repeats: int) -> Report:
    """Measure the six strategies both ways on one model."""
    from playground import Playground
    from playground.cycles import look_less
    from playground.engine.forward.packed_linear import unpack

    import torch  # isort: skip  # after it: the settings say how torch's threads wait

    plain = Playground(model)  # its weights serve generate, its engine is not used
    plain.engine.close()
    unpack(plain.model)
    own = Playground(model)
    own.engine.join_tracing()
    look_less()  # as the program does
    ids = plain.tokenizer(PROMPT, return_tensors="pt").input_ids.to(plain.model.device)
    plain.model.set_attn_implementation("sdpa")

    def generate(**more: Any) -> None:
        for arguments in SIX.values():
            plain.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                pad_token_id=0,
                **{**NEUTRAL, **arguments},
                **(more if "num_beams" not in arguments else {}),
            )

    def static() -> None:
        generate(cache_implementation="static")

    def comparison(recipes: Sequence[str] = tuple(SIX)) -> Any:
        own.engine.prompts.clear()  # generate prefills its prompt each time
        return own.compare(PROMPT, recipes, max_new_tokens=tokens, min_new_tokens=tokens, seed=7)

    for warm_up in (generate, comparison):
        warm_up()
    slow, fast, last = [], [], None
    for _ in range(repeats):
        slow.append(_seconds(generate))
        begun = perf_counter()
        last = comparison()
        fast.append(perf_counter() - begun)
    assert last is not None
    step = _step(last)
    lanes = {
        count: sum(_step(comparison(["temperature(0.8) | sample"] * count)).values())
        for count in (1, MANY)
    }
    static_s = None
    if own.model.device.type == "cuda":
        static()  # compiles
        static_s = statistics.median(_seconds(static) for _ in range(repeats))
    forward = own.engine.forward
    weights = forward.packed_bytes or sum(p.nbytes for p in own.model.parameters())
    bandwidth = read_bandwidth(own.model.device)
    lone_ms, bare_ms = _lone_row(forward, len(ids[0]), repeats)
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    total = sum(step.values())
    return Report(
        **Conditions.of(own),
        tokens=tokens,
        repeats=repeats,
        generate_s=statistics.median(slow),
        comparison_s=statistics.median(fast),
        ratio=statistics.median(ratios),
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        rows=max(s.times.forward_rows for lane in last.lanes for s in lane.trace.steps),
        step_ms=total * 1e3,
        forward_ms=step["forward"] * 1e3,
        recording_share=step["record"] / total,
        processors_share=step["processors"] / total,
        search_share=step["search"] / total,
        weights_bytes=weights,
        bandwidth=bandwidth,
        bandwidth_share=weights / bandwidth / total,
        one_lane_ms=lanes[1] * 1e3,
        many_lanes_ms=lanes[MANY] * 1e3,
        lone_rows=forward.row_counts.lone,
        lone_ms=lone_ms,
        bare_ms=bare_ms,
        static_s=static_s,
    )


def _lone_row(forward: Any, position: int, repeats: int) -> tuple[float, float]:
    """Milliseconds of a forward of one row: with the idle rows computed beside it, and without."""
    from playground.engine.forward import RowCounts

    chosen = forward.row_counts
    seconds: tuple[list[float], list[float]] = [], []
    forward.prefill(0, [0] * position)
    for _ in range(10 * repeats):
        for counts, times in zip((chosen, RowCounts.every()), seconds, strict=True):
            forward.row_counts = counts
            at = position  # each the token after the last: a state does not go back
            times.append(_seconds(lambda: forward.decode([0], [0], [at])))  # noqa: B023
            position += 1
    forward.row_counts = chosen
    return statistics.median(seconds[0]) * 1e3, statistics.median(seconds[1]) * 1e3


def _step(comparison: Any) -> dict[str, float]:
    """Median seconds of the decode steps, by phase; the lanes' own phases summed."""
    phases: dict[str, list[float]] = {"forward": [], "processors": [], "search": [], "record": []}
    by_lane = [{s.index: s.times for s in lane.trace.steps} for lane in comparison.lanes]
    for index in range(1, max(map(len, by_lane))):  # the first step is the prefill
        times = [lane[index] for lane in by_lane if index in lane]
        phases["forward"].append(max(t.forward for t in times))
        for phase in ("processors", "search", "record"):
            phases[phase].append(sum(getattr(t, phase) for t in times))
    return {phase: statistics.median(values) for phase, values in phases.items()}


def read_bandwidth(device: Any, size: int = 512 * 2**20) -> float:
    """Memory bandwidth in bytes a second: a large tensor read once, the best of several tries."""
    import torch

    block = torch.ones(size // 4, device=device)

    def read() -> None:
        float(block.sum())

    read()
    return float(block.nbytes / min(_seconds(read) for _ in range(8)))


def _seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun
