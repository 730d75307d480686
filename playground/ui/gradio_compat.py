"""Private names of Gradio that the page needs, each behind a function of this file."""

from __future__ import annotations

import copy
import inspect
import logging
from types import MethodType
from typing import Any

import gradio as gr
from gradio import queueing, route_utils, routes
from gradio.blocks import Block, convert_component_dict_to_list

log = logging.getLogger(__name__)


def log_failures() -> None:
    """Log exceptions of events, where Gradio would print them with a visitor's words in them."""
    for module in (queueing, routes, route_utils):
        vars(module)["traceback"] = _Log


class _Log:
    """The part of the module ``traceback`` that Gradio calls where an event fails."""

    @staticmethod
    def print_exc(*given: Any, **named: Any) -> None:
        log.error("an event of the page failed", exc_info=True)


def told_by(event: gr.EventData) -> dict[str, Any]:
    """The data that an element sent with its event; empty where it sent no object."""
    told = event._data
    return told if isinstance(told, dict) else {}


def bound(event: Any) -> Any:
    """An element's own event as ``gr.on`` expects a trigger."""
    return MethodType(event.func, *event.args)


def events(page: gr.Blocks) -> list[Any]:
    """The page's events, each with its ``fn``, ``inputs`` and ``outputs``.

    Those that draw a ``gr.render`` are left out, as they guard themselves.
    """
    return [event for event in page.fns.values() if event.renderable is None]


def by_component(value: Any) -> bool:
    """Whether an event answered by component, and not by the order of its outputs."""
    return isinstance(value, dict) and any(isinstance(key, Block) for key in value)


def quieten(page: gr.Blocks) -> None:
    """Show no progress of any event, and make none a part of the page's API.

    At every frame of an event, Gradio's script visits all components that any event so far names
    for its progress, by default its outputs: half a second on a slow laptop.
    """
    for event in page.fns.values():
        event.show_progress_on = []
        event.api_visibility = "private"  # gr.render has no such option of its own


def spare_skipped(page: gr.Blocks) -> None:
    """Have the answer of an event leave a component alone that it skips with ``gr.skip()``.

    Gradio makes each of them anew, with its whole configuration: 1.5 ms for a ``gr.HTML``, and the
    browser draws it again. A click in the inspector skips some twenty.
    """
    whole, skip = page.postprocess_data, gr.skip()

    def skips(value: Any) -> bool:
        return isinstance(value, dict) and value == skip

    async def postprocess_data(event: Any, predictions: Any, state: Any) -> list[Any]:
        outputs, listed = list(event.outputs), predictions
        if by_component(listed):
            listed = convert_component_dict_to_list(outputs, listed)
        if skips(listed):
            listed = [skip] * len(outputs)
        elif len(outputs) == 1:
            listed = [listed]
        if event.batch or not isinstance(listed, list | tuple) or len(listed) != len(outputs):
            return await whole(event, predictions, state)
        both = list(zip(outputs, listed, strict=True))
        told = [(part, value) for part, value in both if part.stateful or not skips(value)]
        if len(told) == len(both):
            return await whole(event, predictions, state)
        asked = copy.copy(event)
        asked.outputs = [part for part, _ in told]
        values = [value for _, value in told]
        answer = iter(await whole(asked, values[0] if len(values) == 1 else values, state))
        return [
            next(answer) if part.stateful or not skips(value) else dict(skip)
            for part, value in both
        ]

    page.postprocess_data = postprocess_data  # type: ignore[method-assign]


def functions(page: gr.Blocks, session: str | None) -> dict[int, Any]:
    """The events that a visitor may trigger, by number; ``gr.render`` adds some to a session."""
    known = _session(page, session)
    found: dict[int, Any] = page.fns if known is None else known.blocks_config.fns
    return found


def component(page: gr.Blocks, session: str | None, number: int) -> Any:
    """A component by its number, or None; those that ``gr.render`` drew belong to a session."""
    known = _session(page, session)
    if known is not None and number in known:
        return known[number]
    return page.blocks.get(number)


def answers(part: Any, function: str) -> bool:
    """Whether this is one of the ``server_functions`` of a component."""
    found = inspect.getattr_static(part, function, None)
    return bool(getattr(found, "_is_server_fn", False))


def replaces_inputs(event: Any) -> bool:
    """Whether Gradio replaces the inputs of an event, as it does where the event cancels others."""
    return bool(event.cancels)


def close(page: gr.Blocks, within: float) -> None:
    """Close the server. Gradio waits for open pages, here for at most ``within`` seconds."""
    server: Any = page.server
    if server is not None:
        server.config.timeout_graceful_shutdown = within
    page.close(verbose=False)


def _session(page: gr.Blocks, session: str | None) -> Any:
    """The state of a session, where there is one; Gradio's own look-up would create it."""
    holder = page.app.state_holder if hasattr(page, "app") else None
    return holder.session_data.get(session) if holder is not None else None
