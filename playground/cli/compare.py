"""``decoding-playground compare``: one comparison, printed or written to a file."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from playground.cli.command import failed
from playground.colours import LETTERS
from playground.errors import ModelError
from playground.trace import Comparison, LaneResult
from playground.trace.frame import column_name

if TYPE_CHECKING:
    from playground.playground import Playground
    from strategies.recipe import Recipe

FORMS = ("json", "html", "csv")
_FIELDS = (
    "max_new_tokens", "min_new_tokens", "seed", "stop", "top_n", "chat", "alone",
    "split_special_tokens",
)  # fmt: skip


def compare(options: Namespace) -> int:
    """Write what the options ask for; the exit status is 130 where Ctrl+C ended it early."""
    from playground.engine import FieldError

    ending = Path(options.output or "").suffix.removeprefix(".").lower()
    form = options.form or (ending if ending in FORMS else "text")
    try:
        recipes = _recipes(options.recipes)  # before a model is loaded
        if form == "html" and len(recipes) > len(LETTERS):
            raise FieldError("recipes", f"A page shows at most {len(LETTERS)} recipes.")
        prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
        playground = _playground(options)
        with _stopping(playground) as stopped:
            comparison = playground.compare(
                prompt, recipes, **{name: getattr(options, name) for name in _FIELDS}
            )
    except ModelError as error:
        return failed(" ".join([str(error), *getattr(error, "__notes__", ())]))
    except FieldError as error:
        field, _, number = error.field.partition(".")
        of = f"Recipe {int(number) + 1}: " if field == "recipes" and number.isdecimal() else ""
        return failed(f"{of}{error.message}")
    try:
        _write(_formed(comparison, form), options.output)
    except OSError as error:
        if options.output is None:
            raise
        return failed(f"{options.output} cannot be written: {error.strerror}.")
    errors = [lane.error for lane in comparison.lanes if lane.error]
    return 130 if stopped else failed(" ".join(errors)) if errors else 0


def _recipes(written: Sequence[str]) -> list[Recipe]:
    from playground.engine import FieldError
    from strategies.notation import RecipeError
    from strategies.recipe import Recipe

    found = []
    for number, text in enumerate(written):
        try:
            found.append(Recipe.parse(text))
        except RecipeError as error:
            raise FieldError(f"recipes.{number}", str(error)) from error
    return found


def _playground(options: Namespace) -> Playground:
    from playground.playground import Playground

    return Playground(options.model, dtype=options.dtype, device=options.device)


@contextmanager
def _stopping(playground: Playground) -> Iterator[list[int]]:
    """Have Ctrl+C end the texts where they are, so that what is written is not lost.

    A second one ends the program. The signals that came are in the list.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        playground.engine.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _formed(comparison: Comparison, form: str) -> str:
    if form == "json":
        return comparison.to_json() + "\n"
    if form == "html":
        return comparison.to_html()
    if form == "csv":
        return comparison.to_csv("all")
    return "\n".join(_told(comparison))


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        Path(output).write_text(text, encoding="utf-8")


def _told(comparison: Comparison) -> Iterator[str]:
    """Each recipe with its text and its figures, for a person."""
    if comparison.prompt_perplexity is not None:
        count = len(comparison.prompt_tokens)
        yield f"The prompt: {count} tokens, perplexity {comparison.prompt_perplexity:.2f}\n"
    for number, lane in enumerate(comparison.lanes):
        yield f"{column_name(number)}  {lane.recipe}"
        for text in _texts(lane):
            yield "\n".join(f"   {line}" for line in printable(text).split("\n"))
        yield f"   [{_figures(lane)}]\n"


def _texts(lane: LaneResult) -> list[str]:
    """The texts that a search of several chose, or the one that stands for the lane."""
    if lane.trace.chain.chooses in ("draw", "drawn text"):
        return [output.text for output in lane.trace.outputs]
    return [lane.text]


def _figures(lane: LaneResult) -> str:
    count = len(lane.token_ids)
    told = [f"{count} {'token' if count == 1 else 'tokens'}"]
    if lane.metrics.perplexity is not None:
        told.append(f"perplexity {lane.metrics.perplexity:.2f}")
    told.append(lane.error or f"ended by {lane.finish_reason}")
    return ", ".join(told)


def printable(text: str) -> str:
    """A text for a terminal: a model may write control characters, which would steer it."""
    return "".join(
        one if one in "\n\t" or one.isprintable() else one.encode("unicode_escape").decode()
        for one in text
    )
