"""An exception in an event of the page ends in a sentence at its cause, and the page is idle.

Gradio would show a message that goes away by itself, and leave what the event had begun to show.
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
Tell = Callable[[str], Updates]  # what a page shows of a sentence
PLAIN = (FieldError, ModelError, Busy, RecipeError, gr.Error)  # written for the page


def sentence(error: Exception) -> str:
    """What went wrong, in words for the page; what nobody foresaw is in the log, without texts."""
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
    """The event's function, which tells of an exception in place of raising it.

    With ``spare``, the number of outputs it had, the last output is there for the telling alone.
    What is called stands in ``act`` of the function returned.
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
    # Gradio looks at these for what else to hand over: who asks, and what an element told.
    made.__annotations__ = getattr(act, "__annotations__", {})
    made.act = act
    return made  # type: ignore[no-any-return]


def guard(
    page: gr.Blocks, find: Callable[[Sequence[Any]], Tell | None], place: Any, tell: Tell
) -> None:
    """Guard every event: ``find`` knows how one with these outputs tells.

    Where it finds nothing, the event is given ``place``, where ``tell`` puts the sentence.
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
    """Of what is told, that which the event may change."""

    def told(words: str) -> Updates:
        return {part: value for part, value in tell(words).items() if part in outputs}

    return told
