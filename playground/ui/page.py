"""The page: its regions put together, and the events that cross from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from playground.engine import Busy
from playground.models import ModelError
from playground.service import Service
from playground.trace import Comparison
from playground.ui import links, preview, recorded, strip, uncached
from playground.ui.bridge import Bridge
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.element import QUICK, element
from playground.ui.header import Header, facts_line, header
from playground.ui.inspector import Inspector
from playground.ui.limits import Limits, limits
from playground.ui.links import Setup
from playground.ui.names import chosen
from playground.ui.pace import Pace
from playground.ui.pick import Picker
from playground.ui.prompt import Prompt, prompt, tokens
from playground.ui.run import Runner, first, status
from playground.ui.visitor import counted, visitor
from strategies.recipe import Recipe, RecipeError

TINTS = [("surprise", "surprise"), ("rank", "rank"), ("entropy", "entropy"), ("off", "off")]


def build(service: Service) -> gr.Blocks:
    """The whole page over this service; launch it with ``look()``."""
    sample, resolve = recorded.recorded(), resolver(service)
    start, pace = recorded.setup(sample), Pace()
    with gr.Blocks(title="Decoding playground", analytics_enabled=False, fill_width=True) as page:
        page.queue(default_concurrency_limit=None, max_size=service.settings.max_queue)
        with gr.Column(elem_id="page"):
            head = header(service, service.models.default)
            with gr.Row(elem_classes="card", elem_id="setup"):
                box = prompt(start.prompt, sample.prompt_tokens, service)
                knobs = limits(start, chat=sample.model.has_chat_template)
            with gr.Row(elem_id="bar"):
                line = element(
                    "status", status("recorded", recorded.label(sample)), elem_id="line",
                    server_functions=[pace.asked()],
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
                add = gr.Button("Add a column", size="sm", elem_id="add", min_width=0)
            steps = [Recipe.parse(text).to_steps() for text in start.recipes]
            bridge = Bridge(service, gr.State(service.models.default), knobs.tokens)
            columns = Columns(steps, service.settings.max_columns, resolve, sample, add, bridge)
            inspector = Inspector(resolve, first(sample), partial(uncached.measure, service))
        opening = gr.State(None)
        previews = _previews(service, sample)
        runner = Runner(service, head, box, knobs, columns, line, opening, previews, pace)
        picker = Picker(service, columns, line, opening)
        parts = Page(
            service, head, box, knobs, line, columns, runner, picker, inspector.selection, start
        )
        parts.wire(page, tint)
        look = [*inspector.view], inspector.outputs
        for column in columns.columns:
            inspector.listen(column.strip.pick)
            inspector.hear(column.strip.turn, inspector.turned)
        inspector.hear(reference.refer, inspector.referred)
        for event in (parts.opened, parts.cleared):
            event.then(inspector.draw, [inspector.selection, *look[0]], look[1], **QUICK)
        for event in parts.rearranged:
            event.then(
                inspector.follow, [columns.run, inspector.selection, *look[0]], look[1], **QUICK
            )  # fmt: skip
        for event in (parts.ran, parts.picked):
            event.then(
                inspector.open, [opening, inspector.selection, *look[0]], look[1], **QUICK
            )  # fmt: skip
    for event in page.fns.values():
        # At every frame of every event, Gradio's page goes through all components that any event
        # so far has named here, by default its outputs: on a slow laptop that was half a second.
        event.show_progress_on = []
        event.api_visibility = "private"  # gr.render has no such option of its own
    return page


def resolver(service: Service) -> Callable[[str], Comparison | None]:
    """What a page shows under a name, the recorded run among it."""
    sample = recorded.recorded()

    def resolve(run: str) -> Comparison | None:
        return chosen(
            run, lambda known: sample if known == recorded.ID else service.comparison(known)
        )

    return resolve


def _previews(service: Service, sample: Comparison) -> gr.HTML:
    """The element that asks, for all columns, what their recipes would do before any Run."""

    def ask(asked: Any, request: gr.Request) -> dict[str, Any]:
        return preview.answer(service, asked, visitor(request, service.settings))

    ask.__name__ = "preview"  # what the page's code calls it
    shown = preview.setup(sample, recorded=True)
    return element("previews", shown, server_functions=[ask])


class Page:
    """The events that concern more than one region."""

    def __init__(
        self,
        service: Service,
        head: Header,
        box: Prompt,
        knobs: Limits,
        line: gr.HTML,
        columns: Columns,
        runner: Runner,
        picker: Picker,
        selection: gr.State,
        start: Setup,
    ) -> None:
        """``selection`` is what the inspector shows."""
        self.service, self.start = service, start
        self.head, self.box, self.knobs = head, box, knobs
        self.line, self.columns, self.runner, self.picker = line, columns, runner, picker
        self.selection = selection
        self.model = columns.bridge.model  # the one that is loaded

    def wire(self, page: gr.Blocks, tint: gr.Radio) -> None:
        knobs, columns, runner, picker = self.knobs, self.columns, self.runner, self.picker
        # One event for all columns: while a choice is on its way, the page takes no other.
        self.picked = gr.on(
            columns.choices, picker.stream, picker.inputs, picker.outputs, show_progress="hidden",
            trigger_mode="once", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        for ended in (self.picked.then, self.picked.failure):
            ended(None, None, None, js="() => playground.answered()", **QUICK)
        submitted = knobs.run.click(
            runner.submit, runner.inputs, runner.outputs, show_progress="hidden",
            cancels=self.picked, concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        self.ran = submitted.then(
            runner.follow, columns.run, runner.followed, postprocess=False,
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        self.ran.then(runner.scored, columns.run, self.box.chips, **QUICK)
        for ended in (self.ran.then, self.ran.failure, submitted.failure):
            ended(lambda: runner.idle, None, [*runner.idle], **QUICK)
        writing = [submitted, self.ran, self.picked]
        knobs.stop.click(runner.stop, columns.run, None, **QUICK)
        self.cleared = knobs.clear.click(
            self.clear, [columns.run, columns.count, *columns.recipes],
            [*columns.outputs, self.box.text, self.line, self.selection, *runner.idle,
             *runner.faults],
            cancels=writing, **QUICK,
        )  # fmt: skip
        self.rearranged = columns.wire(stop_first=writing, leave=runner.leave, idle=runner.idle)
        tint.change(
            None, tint, None, js="(t) => { document.querySelector('#page').dataset.tint = t; }",
            **QUICK,
        )  # fmt: skip
        self._wire_model(page)
        self._wire_address()

    def clear(self, run: str, count: int, *values: Any) -> Updates:
        """An empty prompt and no results; recipes, limits and seed stay."""
        self.runner.leave(run)
        updates: Updates = {
            self.columns.run: "",
            self.box.text: "",
            self.line: status("", ""),
            self.selection: None,
        }
        for column in self.columns.columns[:count]:
            updates[column.strip] = strip.empty(column.index)
        return updates | self.runner.idle | self.runner.faults

    # Model

    def _wire_model(self, page: gr.Blocks) -> None:
        head, box, knobs = self.head, self.box, self.knobs
        shown = [head.model, head.facts, head.fault, knobs.chat, self.model, box.chips]
        asked = [head.model, self.model, box.text, knobs.chat, box.split]
        head.model.input(
            self.choose, asked, shown, concurrency_limit=None, show_progress="hidden",
            api_visibility="private",
        ).then(None, None, None, js="() => playground.chat.follow()", **QUICK)  # fmt: skip
        restored = [
            *shown, box.text, knobs.tokens, knobs.least, knobs.seed, knobs.ends, knobs.alone,
            self.line, self.selection, *self.columns.outputs,
        ]  # fmt: skip
        read = self.opened = page.load(self.open, None, restored, **QUICK)
        read.then(None, None, None, js="() => playground.opened()", **QUICK)
        read.then(
            self.choose, asked, shown, concurrency_limit=None, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        gr.on(
            [box.text.change, knobs.chat.change, box.split.change],
            self.read,
            [box.text, knobs.chat, box.split, self.model],
            box.chips,
            trigger_mode="always_last",
            **QUICK,
        )

    def choose(
        self, request: gr.Request, asked: Any, loaded: str, *prompt: Any
    ) -> Iterator[Updates]:
        """Load a model and tell its facts; where it will not load, the earlier one stays."""
        head = self.head
        yield {head.fault: None, head.facts: status("", f"loading {asked} …")}
        try:
            if self.service.models.loaded(asked) is None:
                counted(request, self.service)
            facts = self.service.engine(asked).model.facts
        except (ModelError, Busy) as problem:
            yield {head.fault: str(problem), head.model: loaded} | self._facts(loaded, *prompt)
            return
        yield {self.model: facts.id} | self._facts(facts.id, *prompt)

    def _facts(self, model: str, text: Any, chat: Any, split: Any) -> Updates:
        try:
            facts = self.service.engine(model).model.facts
        except ModelError:
            return {self.head.facts: status("bad", "not loaded")}
        return {
            self.head.facts: status("", facts_line(facts)),
            self.knobs.chat: (
                gr.update(visible=True)
                if facts.has_chat_template
                else gr.update(visible=False, value=False)
            ),
            self.box.chips: tokens(self.service, text, chat, split, model),
        }

    def read(self, text: Any, chat: Any, split: Any, model: str) -> dict[str, Any]:
        """The prompt's tokens while it is typed."""
        return tokens(self.service, text, chat, split, model)

    # Address

    def open(self, request: gr.Request) -> Updates:
        """What the address asks for, if it asks for anything."""
        setup = links.restored(_query(request), self.start, self.service.settings)
        if setup is None or setup == self.start:
            return {self.line: gr.skip()}
        knobs, columns = self.knobs, self.columns
        recipes, faults = [], {}
        for column, text in zip(columns.columns, setup.recipes, strict=False):
            try:
                recipes.append(Recipe.parse(text).to_steps())
            except RecipeError as problem:
                recipes.append([])
                faults |= {column.written: text, column.fault: str(problem)}
        return {
            self.head.model: setup.model or self.service.models.default,
            self.box.text: setup.prompt,
            knobs.tokens: setup.tokens,
            knobs.least: setup.least,
            knobs.seed: setup.seed,
            knobs.ends: "\n".join(setup.stop),
            knobs.chat: setup.chat,
            knobs.alone: setup.alone,
            self.line: status("", "Set up from the link. Press Run."),
            self.selection: None,
            **columns.draw(recipes, ""),
            **faults,
        }

    def _wire_address(self) -> None:
        knobs = self.knobs
        names = {
            "model": self.head.model, "prompt": self.box.text, "tokens": knobs.tokens,
            "least": knobs.least, "seed": knobs.seed, "stop": knobs.ends, "chat": knobs.chat,
            "alone": knobs.alone, "split": self.box.split,
        }  # fmt: skip
        inputs = [*names.values(), *self.columns.recipes]
        js = (
            f"({', '.join(names)}, ...recipes) => playground.address({{{', '.join(names)}, "
            "recipes: recipes.filter(Boolean).map((r) => r.written)})"
        )
        gr.on([part.change for part in inputs], None, inputs, None, js=js, **QUICK)


def _query(request: gr.Request) -> list[tuple[str, str]]:
    return list(request.query_params.multi_items())
