"""Shows an exception in an event as a sentence beside its cause, and the page as idle.

Gradio by itself shows a message that disappears, and leaves on the page what the event began.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from playground.engine import Busy, FieldError
from playground.errors import ModelError
from playground.ui import gradio_compat
from strategies.recipe import RecipeError

log = logging.getLogger(__name__)

Updates = dict[Any, Any]
Tell = Callable[[str], Updates]  # from a sentence to the updates that show it
PLAIN = (FieldError, ModelError, Busy, RecipeError, gr.Error)  # written for the page


def sentence(error: Exception) -> str:
    """An error in words for the page; an unforeseen one is logged, without texts of visitors."""
    if isinstance(error, PLAIN):
        return str(getattr(error, "message", error))
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    log.error("an event of the page failed: %s at %s", type(error).__name__, where)
    return (
        "This failed, through a fault of the program and not of yours; the rest of the page is as "
        f"it was. The server's log has where: {type(error).__name__}."
    )


def guarded(act: Callable[..., Any], tell: Tell, spare: int | None = None) -> Callable[..., Any]:
    """The event's function, made to return the updates of ``tell`` where it would raise.

    ``spare`` is the number of the event's own outputs, where one was added for the sentence alone.
    The function that is called is the attribute ``act`` of the one returned.
    """

    def widened(value: Any) -> Any:
        if spare is None or gradio_compat.by_component(value):
            return value
        if spare == 0:
            return gr.skip()
        return (value, gr.skip()) if spare == 1 else (*value, gr.skip())

    def once(*values: Any) -> Any:
        try:
            return widened(once.act(*values))  # type: ignore[attr-defined]
        except Exception as error:
            return tell(sentence(error))

    def each(*values: Any) -> Iterator[Any]:
        try:
            for value in each.act(*values):  # type: ignore[attr-defined]
                yield widened(value)
        except Exception as error:
            yield tell(sentence(error))

    made: Any = each if inspect.isgeneratorfunction(getattr(act, "func", act)) else once
    made = wraps(act)(made)
    # By these Gradio decides whether to pass the request and the event's data.
    made.__annotations__ = getattr(act, "__annotations__", {})
    made.act = act
    return made  # type: ignore[no-any-return]


def guard(
    page: gr.Blocks, find: Callable[[Sequence[Any]], Tell | None], place: Any, tell: Tell
) -> None:
    """Guard every event: ``find`` gives the ``Tell`` for an event with these outputs.

    Where it gives None, ``place`` is added to the outputs, and ``tell`` shows the sentence there.
    """
    for event in gradio_compat.events(page):
        if event.fn is None:
            continue
        outputs, spare = list(event.outputs), None
        found = find(outputs)
        if found is None:
            found, spare = tell, len(outputs)
            event.outputs = [*outputs, place]
        event.fn = guarded(event.fn, _only(found, event.outputs), spare)


def _only(tell: Tell, outputs: Sequence[Any]) -> Tell:
    """The same, without updates to components that are no outputs of the event."""

    def told(words: str) -> Updates:
        return {part: value for part, value in tell(words).items() if part in outputs}

    return told
