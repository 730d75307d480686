"""An exception in any event of the page ends in a sentence, and the page is idle."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import gradio as gr
import pytest

from playground.service import Service
from playground.settings import Settings
from playground.ui import build, event_errors, strip

SECRET = "what a visitor typed"


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    async def built() -> (
        gr.Blocks
    ):  # in a loop, without which Gradio makes some that nothing closes
        return build(Service(Settings()))

    return asyncio.run(built())


def boom(*values: Any) -> Any:
    raise RuntimeError(SECRET)


def boom_later(*values: Any) -> Any:
    yield gr.skip()
    raise RuntimeError(SECRET)


def answers(event: Any) -> list[Any]:
    """The sentence that an event's function shows, whatever its inputs are."""
    made = event.fn(*event.inputs)
    return list(made) if event.types_generator else [made]


def events(page: gr.Blocks) -> list[Any]:
    return [e for e in page.fns.values() if e.fn is not None and e.renderable is None]


def test_every_event_tells_of_an_exception_where_it_may(page, monkeypatch, caplog):
    assert len(events(page)) > 60
    run, stop = (next(b for b in page.blocks.values() if b.elem_id == id) for id in ("run", "stop"))
    for event in events(page):
        what = getattr(event.fn.act, "__qualname__", str(event.fn.act))
        for fails in [boom_later, boom] if event.types_generator else [boom]:
            monkeypatch.setattr(event.fn, "act", fails)
            told = answers(event)[-1]
            assert told and set(told) <= set(event.outputs), what
            words = " ".join(map(str, told.values()))
            assert "This failed, through a fault of the program" in words, what
            assert SECRET not in words
            assert told.get(run, gr.update(interactive=True)) == gr.update(interactive=True), what
            assert (run in told) == (run in event.outputs and stop in event.outputs), what
    assert "boom" in caplog.text and SECRET not in caplog.text


def test_an_event_that_may_tell_nowhere_is_given_a_place(page):
    for event in events(page):
        assert any(isinstance(part, gr.HTML) for part in event.outputs), event.fn.act


@pytest.mark.parametrize(
    "value, outputs, answer",
    [
        (None, 0, gr.skip()),
        ("7", 1, ("7", gr.skip())),
        ({"tokens": []}, 1, ({"tokens": []}, gr.skip())),
        (["a", "b"], 2, ("a", "b", gr.skip())),
    ],
)
def test_what_an_event_says_is_as_it_was_beside_the_place(value, outputs, answer):
    made = event_errors.guarded(lambda: value, lambda words: {}, outputs)
    assert made() == answer


def test_a_sentence_for_the_page_is_told_as_it_is(caplog):
    caplog.set_level(logging.ERROR)
    made = event_errors.guarded(lambda: strip.missing, lambda words: {"place": words})
    assert "AttributeError" in made()["place"]

    def refuse(event: gr.EventData) -> None:
        raise event_errors.FieldError("seed", "seed is -1.")

    caplog.clear()
    made = event_errors.guarded(refuse, lambda words: {"place": words})
    assert made(None) == {"place": "seed is -1."} and not caplog.records
    _, _, at, _ = gr.helpers.special_args(made)
    assert at == 0  # Gradio still hands over what an element told


def test_gradio_takes_what_is_told(page, monkeypatch):
    """One event of each kind, processed by Gradio itself."""
    kinds = {getattr(e.fn.act, "__qualname__", ""): e for e in events(page)}
    for name in (
        "Follower.stop",
        "ModelChoice.read",
        "ModelChoice.choose",
        "Follower.follow",
        "PageEvents.clear",
    ):
        event = kinds[name]
        monkeypatch.setattr(event.fn, "act", boom)
        said = asyncio.run(page.postprocess_data(event, answers(event)[-1], None))
        assert len(said) == len(event.outputs)
        assert "This failed" in str(said), name
