"""``decoding-playground experiment``: run a file, tell the verdict, write the report."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from playground.cli.command import failed
from playground.errors import ModelError

if TYPE_CHECKING:
    from playground.experiment.result import Result
    from playground.experiment.runner import Done, Runner

REPORTS = (".html", ".md", ".csv", ".toml")


def add(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("file", help="the experiment, in TOML")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help=f"write the report there, as its ending says ({', '.join(REPORTS)}); may be repeated",
    )
    parser.add_argument("--model", help="a folder or a hub id, in place of the file's")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:1")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--store", metavar="FILE", help="where texts are kept (experiments.sqlite, cache folder)"
    )
    parser.add_argument("--fresh", action="store_true", help="write again what is kept already")
    parser.add_argument("--quiet", action="store_true", help="tell no progress")


def experiment(options: Namespace) -> int:
    """Run it; the exit status is 130 where Ctrl+C ended it early. What is written is kept."""
    from playground.database import DatabaseError
    from playground.experiment.experiment import Experiment, ExperimentError
    from playground.experiment.result import Result
    from playground.experiment.runner import ExperimentFailed, Runner
    from playground.experiment.store import Store
    from playground.playground import Playground
    from playground.settings import Settings

    for output in map(Path, options.output):
        if output.suffix.lower() not in REPORTS:
            return failed(f"{output} ends in none of {', '.join(REPORTS)}.")
        if not output.absolute().parent.is_dir():
            return failed(f"{output} cannot be written: there is no such folder.")
    failure = None
    try:
        asked = Experiment.from_file(options.file)  # before a model is loaded
        store = Store(options.store or Settings.read().cache_dir / "experiments.sqlite")
        with store:
            model = options.model or asked.model
            playground = Playground(model, dtype=options.dtype, device=options.device)
            runner = Runner(asked, playground.engine, store)
            with _stopping(runner) as stopped:
                try:
                    _run(runner, options)
                except ExperimentFailed as error:
                    failure = str(error)
            result = Result.kept(asked, runner.facts, store)
    except (ExperimentError, ModelError, DatabaseError) as error:
        return failed(" ".join([str(error), *getattr(error, "__notes__", ())]))
    _tell(result)
    for output in map(Path, options.output):
        try:
            output.write_text(_report(result, output.suffix.lower()), encoding="utf-8")
        except OSError as error:
            return failed(f"{output} cannot be written: {error.strerror}.")
    return 130 if stopped else failed(failure) if failure else 0


def _run(runner: Runner, options: Namespace) -> None:
    shown = not options.quiet and sys.stderr.isatty()

    def tell(how_far: str) -> None:
        if shown:
            print(f"\r\x1b[K{how_far}", end="", file=sys.stderr, flush=True)

    def reading(done: int, total: int) -> None:
        tell(f"The model reads them: {done:,} of {total:,}")

    for done in runner.run(fresh=options.fresh, reading=reading):
        tell(progress(done))
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def progress(done: Done) -> str:
    """How far it is: "120 of 640 texts, 3 min left"."""
    told = f"{done.done:,} of {done.total:,} texts"
    left = done.seconds_left
    if left is None:
        return told
    if left < 90:
        return f"{told}, {left:.0f} s left"
    return (
        f"{told}, {left / 60:.0f} min left" if left < 5400 else f"{told}, {left / 3600:.1f} h left"
    )


def _tell(result: Result) -> None:
    """The means and the verdict, for a person."""
    from playground.cli.compare import printable
    from playground.experiment.report.content import between, title, verdict

    asked = result.experiment
    if asked.question:
        print(f"{printable(asked.question)}\n")
    for metric in asked.measured:
        print(title(metric))
        if note := result.notes.get(str(metric)):
            print(f"  {printable(note)}")
        for one in result.summary(str(metric)):
            print(f"  {between(one, metric):28}  {printable(asked.name(one.recipe))}")
    if not result.complete:
        print(f"\n{len(result.samples):,} of {asked.cells:,} texts are written.")
    print()
    for said in verdict(result):
        print(printable(said))


def _report(result: Result, ending: str) -> str:
    if ending == ".html":
        return result.to_html()
    if ending == ".md":
        return result.to_markdown()
    if ending == ".csv":
        return result.to_csv()
    from playground.experiment.report import to_toml

    return to_toml(result.experiment)


@contextmanager
def _stopping(runner: Runner) -> Iterator[list[int]]:
    """Have Ctrl+C end the experiment where it is; a second one ends the program."""
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        runner.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
