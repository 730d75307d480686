"""``python -m playground.bench``: measures one of four things and prints a report.

``six`` (the default): six strategies against six calls of ``generate``. ``load``: many clients at
once. ``strategies``: what each strategy adds to a step of six lanes. ``soak``: whether memory
levels off over many runs, and whether clients that stop reading are dropped; its exit status is 1
where either is not so.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from playground.bench import load, six, soak, strategies


def main(arguments: list[str] | None = None, prog: str = "python -m playground.bench") -> None:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("six", "load", "strategies", "soak"),
        default="six",
    )
    parser.add_argument("--model", help="a folder or a hub id; the built-in model by default")
    parser.add_argument("--tokens", type=int, default=64, help="of each text")
    parser.add_argument("--repeats", type=int, default=5, help="of six and strategies")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 8, 30, 100], help="of load, at once"
    )
    parser.add_argument("--only", nargs="+", default=[], help="of strategies, these alone")
    parser.add_argument(
        "--prompt", type=int, default=0, help="of strategies, its least length in tokens"
    )
    parser.add_argument("--runs", type=int, default=1500, help="of soak, short ones")
    parser.add_argument("--stalled", type=int, default=200, help="of soak, clients that never read")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    reports: list[Any]
    if options.what == "six":
        reports = [six.compare(options.model, options.tokens, options.repeats)]
    elif options.what == "strategies":
        reports = [
            strategies.measure(
                options.model, options.tokens, options.repeats, options.only, options.prompt
            )
        ]
    elif options.what == "soak":
        reports = [soak.measure(options.model, options.runs, options.stalled)]
    else:
        reports = load.measure(options.model, options.tokens, options.clients)
    for report in reports:
        print(json.dumps(asdict(report), indent=2) if options.json else report, flush=True)
    if options.what == "soak" and not reports[0].passed:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
