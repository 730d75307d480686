"""The components of the inspector, and how they stand on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from playground.ui import inspector_view, lookups, walk
from playground.ui.element import element, message
from playground.ui.inspector_view import SIDES, TEXTS, InspectorView
from playground.ui.plot import plot
from playground.ui.views import Resolve

TABS = (
    "distribution", "why", "draw", "beams", "texts", "changes", "likelihood", "timings", "steps",
    "tree", "data",
)  # fmt: skip


class InspectorParts:
    """Built where it is called: the head, and a tab for each of ``TABS``.

    ``charts`` are empty where there is no token to draw, ``outputs`` are what a drawing sets.
    """

    def __init__(
        self,
        view: InspectorView | None,
        functions: Sequence[Callable[..., Any]],
        forest: Callable[..., Any],
        apart: Callable[..., Any],
        resolve: Resolve,
        *,
        measures: bool,
        scores: bool,
    ) -> None:
        """``view`` is what it opens on. The changes' element calls ``functions``, the tree's calls
        ``forest``, and that of the distances ``apart``; from ``resolve`` others look up what they
        draw.

        A column is measured again, and a text scored, only where the page can do it.
        """
        drawn = [lookups.chart(resolve)]
        first = (
            {} if view is None or view.step is None else inspector_view.distribution(view, "final")
        )
        with gr.Column(elem_id="inspector", elem_classes=["card"]):
            element("dock")
            self.selection = gr.State(view.selection.model_dump() if view else None)
            self.tab = gr.State("distribution")
            with gr.Row(elem_id="inspector-head"):
                self.caption = element("caption", inspector_view.caption(view))
                with gr.Row(elem_id="inspector-place"):
                    self.column = gr.Radio(
                        **inspector_view.columns(view), label="Column", elem_classes=["segments"]
                    )
                    self.token = element("token", inspector_view.tokens(view))
                    self.walk = element(
                        "walk",
                        None if view is None else walk.view(view),
                        server_functions=[lookups.choices(resolve)],
                    )
            self.onward = element("onward")
            self.not_continued = message("fork-fault")
            with gr.Tabs():
                with gr.Tab("Distribution") as distribution, gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        self.bars = element("rows", first.get("bars"))
                    with gr.Column(scale=2, min_width=320):
                        self.stage = gr.Radio(
                            **inspector_view.stages(view, "final"),
                            label="Bars after",
                            elem_classes=["segments"],
                        )
                        self.stages = element("rows", first.get("stages"))
                with gr.Tab("Why") as why:
                    self.panels = element("panels")
                    self.why = element("listing")
                with gr.Tab("Draw") as draw, gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        self.tickets = element("listing")
                    with gr.Column(scale=2, min_width=320):
                        self.neighbours = element("listing")
                with gr.Tab("Beams") as beams:
                    self.beams = element("beams", server_functions=[lookups.tree(resolve)])
                with gr.Tab("Texts") as texts:
                    self.all_texts = element(
                        "all_texts", server_functions=[lookups.samples(resolve)]
                    )
                with gr.Tab("What if") as changed:
                    self.changes = element("changes", server_functions=functions)
                with gr.Tab("Likelihood") as likely, gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        with gr.Row(elem_classes=["asked"], visible=scores):
                            self.text = gr.Textbox(
                                label="Could these settings have written this?",
                                placeholder="Paste a text that goes on from the prompt",
                                lines=1, max_lines=3, interactive=True,
                            )  # fmt: skip
                            self.own = gr.Button("This column’s text", size="sm", min_width=0)
                            self.scoring = gr.Button("Ask", size="sm", min_width=0)
                        self.not_scored = message("score-fault")
                        self.scores = element("listing")
                    with gr.Column(scale=2, min_width=320):
                        self.distances = element("listing")
                with gr.Tab("Timings") as timings, gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        self.per_step = plot(server_functions=drawn)
                        with gr.Row(elem_classes=["measure"], visible=measures):
                            self.again = gr.Button("Measure without the cache", size="sm")
                        self.fault = message("measure-fault")
                        self.uncached = plot()
                    with gr.Column(scale=2, min_width=320):
                        self.timeline = plot(server_functions=drawn)
                        self.memory = plot(server_functions=drawn)
                with gr.Tab("Steps") as steps:
                    self.side = gr.Radio(
                        SIDES, value="model", label="Values", elem_classes=["segments", "side"]
                    )
                    self.ribbon = element("ribbon", server_functions=[lookups.figures(resolve)])
                    self.steps = plot(server_functions=drawn)
                with gr.Tab("Tree") as branching, gr.Row():
                    with gr.Column(scale=3, min_width=320):
                        self.tree = element("tree", server_functions=[forest])
                    with gr.Column(scale=1, min_width=320):
                        self.apart = element("apart", server_functions=[apart])
                with gr.Tab("Data") as data:
                    self.texts = gr.Radio(
                        TEXTS,
                        label="Texts",
                        elem_classes=["segments"],
                        **inspector_view.texts(view, "shown"),
                    )
                    self.files = element("downloads")
                    self.table = element("data_table", server_functions=[lookups.rows(resolve)])
        shown = (
            distribution, why, draw, beams, texts, changed, likely, timings, steps, branching,
            data,
        )  # fmt: skip
        self.tabs = dict(zip(TABS, shown, strict=True))
        self.charts = [
            self.bars,
            self.stages,
            self.why,
            self.panels,
            self.tickets,
            self.neighbours,
            self.onward,
            self.beams,
            self.all_texts,
            self.changes,
            self.distances,
            self.per_step,
            self.timeline,
            self.memory,
            self.uncached,
            self.ribbon,
            self.steps,
            self.tree,
            self.apart,
            self.table,
        ]
        self.outputs = [
            self.selection,
            self.caption,
            self.column,
            self.token,
            self.walk,
            self.stage,
            self.texts,
            *self.charts,
            self.files,
        ]
