"""The page: its regions put together, and the events that cross from one to another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from playground.service import Service
from playground.trace import Comparison
from playground.ui import (
    event_errors,
    gradio_compat,
    likelihood,
    page_faults,
    preview,
    recorded,
    uncached,
)
from playground.ui.archive import Archive, kept
from playground.ui.archive_opener import ArchiveOpener
from playground.ui.branches import Branches
from playground.ui.columns import Columns
from playground.ui.decide import decide
from playground.ui.element import QUICK, element
from playground.ui.exchange import Exchange
from playground.ui.follow import Follower
from playground.ui.fork import Forker
from playground.ui.frame_rate import FrameRate
from playground.ui.header import header
from playground.ui.inspector import Inspector
from playground.ui.inspector_view import opening
from playground.ui.limits import limits
from playground.ui.manual import Picker
from playground.ui.model_choice import ModelChoice
from playground.ui.opened import FileOpener
from playground.ui.own_settings import OwnSettings
from playground.ui.page_events import PageEvents
from playground.ui.prompt import prompt
from playground.ui.recipe import ColumnState
from playground.ui.restore import Restorer
from playground.ui.run import Runner
from playground.ui.state import PageParts
from playground.ui.status import status
from playground.ui.views import look_up
from playground.ui.visitor import visitor
from strategies.recipe import Recipe

# Seconds between looks for files of Gradio's, and how old they get; the page itself makes none.
CACHE = (3600, 86_400)
TINTS = [("surprise", "surprise"), ("rank", "rank"), ("entropy", "entropy"), ("off", "off")]


def build(service: Service) -> gr.Blocks:
    """The whole page over this service; launch it with ``launch_options()``."""
    sample, resolve = recorded.recorded(), resolver(service)
    start, frame_rate = recorded.setup(sample), FrameRate()
    with gr.Blocks(
        title="Decoding playground", analytics_enabled=False, fill_width=True, delete_cache=CACHE
    ) as page:
        page.queue(default_concurrency_limit=None, max_size=service.settings.max_queue)
        with gr.Column(elem_id="page"):
            head = header(service, service.models.default, Archive(service, resolve))
            with gr.Row(elem_classes="card", elem_id="setup"):
                box = prompt(start.prompt, sample.prompt_tokens, service)
                knobs = limits(
                    start,
                    chat=sample.model.has_chat_template,
                    lends=service.gpu is not None,
                    not_alone=service.backends.lacks.reasons.get("alone"),
                )
            with gr.Row(elem_id="bar"):
                line = element(
                    "status", status("recorded", recorded.label(sample)), elem_id="line",
                    server_functions=[frame_rate.asked()],
                )  # fmt: skip
                tint = gr.Radio(
                    TINTS,
                    value="surprise",
                    label="Colour by",
                    elem_id="tint",
                    elem_classes="segments",
                )
                gr.HTML('<p class="scale"><span></span></p>', apply_default_css=False, min_width=0)
                reference = element("reference")
                gr.Checkbox(label="scroll together", elem_id="together", interactive=True)
                past = element("past", elem_id="past")
                add = gr.Button("Add a column", size="sm", elem_id="add", min_width=0)
            element("baseline", elem_id="baseline")
            steps = [ColumnState(Recipe.parse(text).to_steps()) for text in start.recipes]
            own = OwnSettings(service, gr.State(service.models.default))
            columns = Columns(
                steps, service.settings.max_columns, resolve, sample, add, own,
                Exchange(service, resolve),
            )  # fmt: skip
            inspector = Inspector(
                resolve,
                opening(sample),
                partial(uncached.measure, service),
                partial(likelihood.score, service),
                service.context,
            )
            if service.settings.max_experiment_texts:
                decide(service)
        first = gr.State(None)  # the token that the inspector opens on after a run
        previews = _previews(service, sample)
        parts = PageParts(head, box, knobs, columns)
        models = ModelChoice(service, parts, own.model, sample.model.has_chat_template)
        follower = Follower(service, columns.strips, line, first, frame_rate)
        runner = Runner(service, parts, follower, previews)
        picker = Picker(service, columns, line, first)
        restorer = Restorer(parts, runner, models, start, past, inspector.parts.selection)
        forker = Forker(service, columns, knobs, follower, inspector.parts.not_continued)
        branches = Branches(columns, inspector.parts.not_continued, service.rename)
        opener = FileOpener(restorer, service.settings.max_columns)
        archive = ArchiveOpener(restorer, service.settings.max_columns)
        events = PageEvents(
            page,
            runner,
            picker,
            forker,
            branches,
            models,
            restorer,
            inspector,
            opener,
            archive,
        )
        events.wire(reference)
        tint.change(
            None, tint, None, js="(t) => { document.querySelector('#page').dataset.tint = t; }",
            **QUICK,
        )  # fmt: skip
        page_faults.guard(page, restorer, inspector)
    gradio_compat.quieten(page)
    gradio_compat.spare_skipped(page)
    return page


def resolver(service: Service) -> Callable[[str], Comparison | None]:
    """What a page shows under a written view, the recorded run among it."""
    sample = recorded.recorded()

    def find(run: str) -> Comparison | None:
        return sample if run == recorded.ID else service.comparison(run) or kept(service, run)

    return lambda view: look_up(view, find)


def _previews(service: Service, sample: Comparison) -> gr.HTML:
    """The element that asks, for all columns, what their recipes would do before any Run."""

    def ask(asked: Any, request: gr.Request) -> dict[str, Any]:
        try:
            return preview.answer(service, asked, visitor(request, service.settings))
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    ask.__name__ = "preview"  # what the page's code calls it
    shown = preview.setup(sample, recorded=True)
    return element("previews", shown, server_functions=[ask])
