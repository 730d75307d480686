"""``python -m playground.bench``: measures one of twelve things and prints a report.

``six`` (the default): six strategies against six calls of ``generate``. ``peers``: other programs
that generate text, as far as they are installed, by turns. ``bars``: the playground's own goals,
with the limits of this machine beside them. ``growth``: how a step's time grows with rows, prompts,
texts, columns, candidates and clients. ``load``: many clients at once. ``cluster``: replicas over
Ray Serve against the engine of this process, and an estimate for more machines. ``experiment``: one
of 640 texts against as many calls of ``generate``; its exit status is 1 where it takes more than a
fifth of their time. ``strategies``: what each strategy adds to a step of six
lanes. ``soak``: whether memory levels off over many runs, and whether clients that stop reading are
dropped; its exit status is 1 where either is not so. ``models``: which types of models are served,
and whether as ``generate`` does; its exit status is 1 where one is not. ``gpu``: whether a row's
bits hold on a GPU in every number format, and how near its steps are to what its memory allows,
with random models; its exit status is 1 where a bit does not. ``clicks``: how soon the page answers
one, with six columns of 512 tokens on it, in a headless Chromium.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playground.bench import (
    bars,
    clicks,
    cluster,
    experiment,
    gpu,
    growth,
    load,
    models,
    six,
    soak,
    strategies,
)
from playground.bench.peers import comparing
from playground.bench.random_models import SHAPES
from playground.bench.readme import write
from playground.experiment.runner import Done

_PROGRESS_EVERY = 64  # texts of an experiment, or calls
WHAT = (
    "six", "peers", "bars", "growth", "load", "cluster", "experiment", "strategies", "soak",
    "models", "gpu", "clicks",
)  # fmt: skip


def main(arguments: list[str] | None = None, prog: str = "python -m playground.bench") -> None:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=WHAT,
        default="six",
    )
    parser.add_argument("--model", help="a folder or a hub id; the built-in model by default")
    parser.add_argument(
        "--tokens", type=int, help="of each text; 64, 32 of cluster, and 512 of clicks"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        help="of six, peers, bars, strategies and clicks, 5 by default, and 3 of cluster",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        default=[],
        help="of peers, the folders of other environments that have some of them",
    )
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        help="of load and cluster, at once; 1, 8, 30 and 100, and 30 of cluster",
    )
    parser.add_argument(
        "--replicas", type=int, nargs="+", default=[1, 2, 4], help="of cluster, one after the other"
    )
    parser.add_argument("--prompts", type=int, default=20, help="of experiment")
    parser.add_argument("--seeds", type=int, default=8, help="of experiment")
    parser.add_argument(
        "--sample", type=int, default=24, help="of experiment, calls of generate that are timed"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], help="of strategies, bars and growth, these alone"
    )
    parser.add_argument(
        "--prompt", type=int, default=0, help="of strategies, its least length in tokens"
    )
    parser.add_argument("--runs", type=int, default=1500, help="of soak, short ones")
    parser.add_argument("--stalled", type=int, default=200, help="of soak, clients that never read")
    parser.add_argument("--types", nargs="+", default=[], help="of models, these alone")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of models"
    )
    parser.add_argument("--device", default="cuda", help="of gpu")
    parser.add_argument(
        "--shapes", nargs="+", choices=list(SHAPES), default=["135M", "1B", "8B"], help="of gpu"
    )
    parser.add_argument("--seconds", type=float, default=420, help="of gpu, after which it ends")
    parser.add_argument(
        "--write",
        type=Path,
        help="the README in which it replaces the table of what is measured",
    )
    parser.add_argument("--plot", type=Path, help="of growth, the HTML file that it draws")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    options.tokens = options.tokens or {"clicks": 512, "cluster": 32}.get(options.what, 64)
    options.repeats = options.repeats or (3 if options.what == "cluster" else 5)
    known = {"bars": bars.PARTS, "growth": tuple(growth.CURVES)}.get(options.what)
    if known and not set(options.only) <= set(known):
        parser.error(f"--only of {options.what} may name {', '.join(known)}.")
    reports: list[Any]
    if options.what == "six":
        reports = [six.compare(options.model, options.tokens, options.repeats)]
    elif options.what == "peers":
        reports = [
            comparing.compare(options.model, options.tokens, options.repeats, options.beside)
        ]
    elif options.what == "bars":
        parts = options.only or bars.PARTS
        reports = [bars.measure(options.model, options.tokens, options.repeats, parts)]
    elif options.what == "growth":
        reports = [growth.measure(options.model, options.only)]
    elif options.what == "experiment":
        size = (options.prompts, options.seeds, options.sample)
        reports = [experiment.compare(options.model, options.tokens, *size, _written, _called)]
    elif options.what == "strategies":
        reports = [
            strategies.measure(
                options.model, options.tokens, options.repeats, options.only, options.prompt
            )
        ]
    elif options.what == "cluster":
        crowds = options.clients or [30]
        reports = [
            cluster.measure(
                options.model, options.tokens, crowds, options.replicas, repeats=options.repeats
            )
        ]
    elif options.what == "models":
        reports = [models.cover(options.types, options.dtype, _progress)]
    elif options.what == "clicks":
        reports = [clicks.measure(options.tokens, options.repeats)]
    elif options.what == "soak":
        reports = [soak.measure(options.model, options.runs, options.stalled)]
    elif options.what == "gpu":
        reports = [gpu.measure(options.device, options.shapes, options.tokens, options.seconds)]
    else:
        crowds = options.clients or [1, 8, 30, 100]
        reports = load.measure(options.model, options.tokens, crowds)
    for report in reports:
        print(json.dumps(asdict(report), indent=2) if options.json else report, flush=True)
    if options.plot is not None and options.what == "growth":
        reports[0].plot(options.plot)
    if options.write is not None:
        write(reports[0], options.write, options.what)
    if options.what in ("experiment", "soak", "models", "gpu") and not reports[0].passed:
        sys.exit(1)


def _progress(verdict: models.Verdict) -> None:
    print(verdict, file=sys.stderr, flush=True)


def _written(done: Done) -> None:
    if done.done % _PROGRESS_EVERY == 0:
        left = f"about {done.seconds_left:.0f} s left" if done.seconds_left else "all written"
        print(f"{done.done} of {done.total} texts, {left}", file=sys.stderr, flush=True)


def _called(done: int, total: int) -> None:
    if done % _PROGRESS_EVERY == 0:
        print(f"{done} of {total} calls of generate", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
