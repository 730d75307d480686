"""Private names of Gradio that the page needs; a failure says in words what no longer works."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio import queueing, route_utils, routes
from gradio.state_holder import SessionState, StateHolder

from playground.ui import gradio_compat
from playground.ui.element import element


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    async def built() -> gr.Blocks:  # in a loop, without which Gradio makes one that nobody closes
        with gr.Blocks() as made:
            status = element("status", server_functions=[slower])
            button = gr.Button()
            stopped = button.click(lambda: None, None, status)
            button.click(lambda: None, None, status, cancels=stopped)

            @gr.render(status)
            def draw(value: Any) -> None:
                gr.Markdown("drawn")

            made.trigger = gradio_compat.bound(status.resume)
        made.status = status
        return made

    return asyncio.run(built())


def slower(run: Any) -> None:
    """A function that an element's code calls."""


def test_what_an_element_tells_is_in_the_event():
    told = gradio_compat.told_by(gr.EventData(None, {"lane": 1}))
    assert told == {"lane": 1}, "gr.EventData keeps what an element told elsewhere than in _data"
    assert gradio_compat.told_by(gr.EventData(None, ["lane"])) == {}


def test_an_elements_own_event_can_be_one_of_several_triggers(page):
    trigger = page.trigger
    assert getattr(trigger, "__self__", None) is page.status and trigger.event_name == "resume", (
        "an event of gr.HTML is no partial of a listener with its element any more, so gr.on "
        "cannot be told of it"
    )


def test_events_can_be_gone_through_and_changed(page):
    found = gradio_compat.events(page)
    assert len(found) >= 2, "Blocks.fns holds no events, or gr.render's cannot be told from them"
    for event in found:
        for name in ("fn", "inputs", "outputs", "show_progress_on", "api_visibility", "cancels"):
            assert hasattr(event, name), f"an event of Gradio has no {name} any more"
    assert len(page.fns) > len(found), "what gr.render draws is among the events"
    gradio_compat.quieten(page)
    assert {event.api_visibility for event in page.fns.values()} == {"private"}


def test_an_event_that_cancels_others_is_known(page):
    replaced = [gradio_compat.replaces_inputs(event) for event in gradio_compat.events(page)]
    assert True in replaced and False in replaced, "which events an event cancels is not in cancels"


def test_functions_that_elements_call_are_marked(page):
    assert gradio_compat.answers(page.status, "slower"), (
        "the server_functions of gr.HTML are no attributes marked _is_server_fn any more"
    )
    assert not gradio_compat.answers(page.status, "postprocess")


def test_answers_by_component_are_told_from_others(page):
    assert gradio_compat.by_component({page.status: 1}), "components are no gradio.blocks.Block"
    assert not gradio_compat.by_component({"tokens": []})


@pytest.mark.parametrize("answered", ["by component", "in order", "none", "all"])
def test_what_an_event_skips_is_left_alone(answered):
    async def answer() -> None:
        with gr.Blocks() as made:
            parts = [gr.State(), element("status"), gr.Radio(), element("status"), gr.Textbox()]
            gr.Button().click(lambda: None, None, parts)
        held, first, radio, last, box = parts

        def told() -> Any:
            chosen = gr.update(choices=["a"], value="a")  # Gradio takes the value out of it
            return {
                "by component": {held: 5, radio: chosen, last: {"run": "r"}},
                "in order": [5, gr.skip(), chosen, {"run": "r"}, gr.skip()],
                "none": gr.skip(),
                "all": [5, {"run": "q"}, chosen, {"run": "r"}, "text"],
            }[answered]

        (event,) = made.fns.values()
        plain, spared = SessionState(made), SessionState(made)
        expected = await made.postprocess_data(event, told(), plain)
        gradio_compat.spare_skipped(made)
        found = await made.postprocess_data(event, told(), spared)
        assert event.outputs == parts, "the event itself was changed"
        for part in parts:
            assert plain.config_values[part._id]["props"] == spared.config_values[part._id]["props"]
        assert spared[held._id] == plain[held._id] == (None if answered == "none" else 5)
        left = {"none": parts[1:], "all": []}.get(answered, [first, box])
        for part, was, is_now in zip(parts, expected, found, strict=True):
            assert is_now == ({"__type__": "update"} if part in left else was)
            assert (spared[part._id] is part) == (part in left or part in (first, last, box))

    asyncio.run(answer())


@pytest.mark.parametrize("told", [gr.skip(), {"run": "r"}, None])
def test_an_event_with_one_output_may_skip_it(told):
    async def answer() -> None:
        with gr.Blocks() as made:
            status = element("status")
            gr.Button().click(lambda: None, None, status)
        gradio_compat.spare_skipped(made)
        (event,) = made.fns.values()
        found = [
            await made.postprocess_data(event, value, SessionState(made))
            for value in (told, {status: told})
        ]
        assert found == [[told]] * 2

    asyncio.run(answer())


def test_failures_are_logged_by_us():
    for module in (queueing, routes, route_utils):
        assert "traceback" in vars(module), (
            f"{module.__name__} prints a failed event otherwise than by traceback.print_exc, with "
            "the visitor's words in it"
        )


def test_a_visitors_own_events_are_found():
    holder = StateHolder()
    assert holder.session_data is not None, "StateHolder keeps no session_data any more"
