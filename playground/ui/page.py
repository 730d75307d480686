"""The page: its regions put together, and the events that cross from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.engine import Busy
from playground.models import ModelError
from playground.service import Service
from playground.trace import Comparison
from playground.ui import event_errors, links, preview, recorded, strip, uncached
from playground.ui.column import Updates
from playground.ui.columns import Columns
from playground.ui.element import QUICK, element, in_turn
from playground.ui.frame_rate import FrameRate
from playground.ui.header import Header, facts_line, header
from playground.ui.inspector import Inspector
from playground.ui.limits import Limits, limits
from playground.ui.links import Address, Kept, Setup
from playground.ui.manual import Picker
from playground.ui.prompt import Prompt, prompt, tokens
from playground.ui.recipe import ColumnState
from playground.ui.run import Runner, first, outcome, status
from playground.ui.transformers_export import TransformersExport
from playground.ui.views import look_up
from playground.ui.visitor import counted, visitor
from strategies.recipe import Recipe

GONE = "Its run is no longer kept on the server; press Run to write it again."
TINTS = [("surprise", "surprise"), ("rank", "rank"), ("entropy", "entropy"), ("off", "off")]


def build(service: Service) -> gr.Blocks:
    """The whole page over this service; launch it with ``launch_options()``."""
    sample, resolve = recorded.recorded(), resolver(service)
    start, frame_rate = recorded.setup(sample), FrameRate()
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
            steps = [ColumnState(Recipe.parse(text).to_steps()) for text in start.recipes]
            export = TransformersExport(service, gr.State(service.models.default), knobs.tokens)
            columns = Columns(steps, service.settings.max_columns, resolve, sample, add, export)
            inspector = Inspector(resolve, first(sample), partial(uncached.measure, service))
        opening = gr.State(None)
        previews = _previews(service, sample)
        runner = Runner(service, head, box, knobs, columns, line, opening, previews, frame_rate)
        picker = Picker(service, columns, line, opening)
        parts = Page(
            service,
            head,
            box,
            knobs,
            line,
            columns,
            runner,
            picker,
            inspector.selection,
            past,
            start,
            sample.model.has_chat_template,
        )
        parts.wire(page, tint)
        for column in columns.columns:
            inspector.listen(column.strip.pick)
            inspector.hear(column.strip.turn, inspector.turned)
        inspector.hear(reference.refer, inspector.referred)

        def followed(values: dict[Any, Any]) -> Updates:
            return inspector.follow(values[columns.run], inspector.state(values))

        def opened(values: dict[Any, Any]) -> Updates:
            return inspector.open(values[opening], inspector.state(values))

        asked, drawn = inspector.inputs, inspector.outputs
        for event in (parts.opened, parts.restored, parts.cleared):
            event.then(inspector.redraw, asked, drawn, **QUICK)
        for event in parts.rearranged:
            event.then(followed, {*asked, columns.run}, drawn, **QUICK)
        for event in (parts.ran, parts.resumed, parts.picked):
            event.then(opened, {*asked, opening}, drawn, **QUICK)
        _guard(page, parts, inspector)
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
        return look_up(
            run, lambda known: sample if known == recorded.ID else service.comparison(known)
        )

    return resolve


def _guard(page: gr.Blocks, parts: Page, inspector: Inspector) -> None:
    """Say where each event's cause is; what is in none of these places stands above the columns."""
    runner, head = parts.runner, parts.head

    def at_line(words: str) -> Updates:
        return {
            parts.line: status("bad", words),
            parts.past: {"well": False, "ticket": monotonic()},
            **runner.idle,
        }

    def at_model(words: str) -> Updates:
        return {head.fault: words, head.facts: status("bad", "not loaded")}

    def at_chart(words: str) -> Updates:
        return {inspector.fault: words, inspector.again: gr.update(interactive=True)}

    def at_inspector(words: str) -> Updates:
        return {inspector.caption: {"title": "Not shown", "facts": words, "letter": ""}}

    def find(outputs: Sequence[Any]) -> event_errors.Tell | None:
        for part, tell in (
            (parts.line, at_line),
            (inspector.again, at_chart),
            (head.facts, at_model),
            (inspector.caption, at_inspector),
        ):
            if part in outputs:
                return tell
        own = [c.fault for c in parts.columns.columns if c.fault in outputs]
        return (lambda words: {own[0]: words}) if len(own) == 1 else None

    event_errors.guard(page, find, parts.line, at_line)


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
        past: gr.HTML,
        start: Setup,
        templated: bool,
    ) -> None:
        """``selection`` is what the inspector shows; ``past`` is Undo and Redo; ``templated`` says
        whether the page opens with the chat template's switch.
        """
        self.templated = templated
        self.service, self.start = service, start
        self.head, self.box, self.knobs = head, box, knobs
        self.line, self.columns, self.runner, self.picker = line, columns, runner, picker
        self.selection, self.past = selection, past
        self.model = columns.export.model  # the one that is loaded

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
        in_turn(submitted)
        self.ran = submitted.then(
            runner.follow, columns.run, runner.followed, postprocess=False,
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        self.resumed = self.line.resume(
            runner.resume, columns.run, runner.followed, postprocess=False,
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        for followed in (self.ran, self.resumed):
            followed.then(runner.scored, columns.run, self.box.chips, **QUICK)
            for ended in (followed.then, followed.failure):
                ended(lambda: runner.idle, None, [*runner.idle], **QUICK)
        submitted.failure(lambda: runner.idle, None, [*runner.idle], **QUICK)
        writing = [submitted, self.ran, self.resumed, self.picked]
        knobs.stop.click(runner.stop, columns.run, None, **QUICK)
        self.cleared = knobs.clear.click(
            self.clear, [columns.run, columns.count, *columns.recipes],
            [*columns.outputs, self.box.text, self.line, self.selection, *runner.idle,
             *runner.faults],
            cancels=writing, **QUICK,
        )  # fmt: skip
        in_turn(self.cleared)
        self.rearranged = columns.wire(stop_first=writing, leave=runner.leave, idle=runner.idle)
        tint.change(
            None, tint, None, js="(t) => { document.querySelector('#page').dataset.tint = t; }",
            **QUICK,
        )  # fmt: skip
        self._wire_model(page, writing)
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

    def _wire_model(self, page: gr.Blocks, writing: list[Any]) -> None:
        """``writing`` are the events that write into the columns, which a restored run ends."""
        head, box, knobs = self.head, self.box, self.knobs
        shown = [head.model, head.facts, head.fault, knobs.chat, self.model, box.chips]
        asked = [head.model, self.model, box.text, knobs.chat, box.split]
        head.model.input(
            self.choose, asked, shown, concurrency_limit=None, show_progress="hidden",
            api_visibility="private",
        ).then(None, None, None, js="() => playground.chat.follow()", **QUICK)  # fmt: skip
        columns, runner, past = self.columns, self.runner, self.past
        set_up = [
            head.model, box.text, knobs.tokens, knobs.least, knobs.seed, knobs.ends, knobs.chat,
            knobs.alone, box.split,
        ]  # fmt: skip
        drawn = [*set_up, self.line, self.selection, runner.previews, *columns.outputs]
        drawn = list(dict.fromkeys([*drawn, *runner.faults, *runner.idle]))
        self.opened = page.load(self.open, past, drawn, js="() => [playground.opening()]", **QUICK)
        self.restored = past.restore(
            self.restore, columns.run, [*drawn, past], cancels=writing, **QUICK
        )
        revised = past.revise(
            self.revise, [columns.count, columns.run, *columns.recipes],
            [*set_up, past, *columns.outputs], **QUICK,
        )  # fmt: skip
        for event in (self.restored, revised):
            event.failure(None, None, None, js="() => playground.past.failed()", **QUICK)
            in_turn(event)
        for event in (self.opened, self.restored, revised):
            event.then(
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
        if asked != loaded:
            yield {head.fault: None, head.facts: status("", f"loading {asked} …")}
        try:
            if self.service.models.loaded(asked) is None:
                counted(request, self.service)
            facts = self.service.engine(asked).model.facts
        except (ModelError, Busy) as problem:
            yield {head.fault: str(problem), head.model: loaded} | self._facts(loaded, *prompt)
            return
        told = self._facts(facts.id, *prompt)
        if asked == loaded and facts.has_chat_template == self.templated:
            told.pop(self.knobs.chat, None)  # shown as it should be, and perhaps just being set
        yield {self.model: facts.id} | told

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

    # What a link, a reload, Undo and Redo bring back

    def open(self, sent: Any) -> Updates:
        """What this tab showed before it was loaded anew, or else what the address asks for."""
        try:
            asked = Address.model_validate(sent)
        except ValidationError:  # another version of the page kept it
            asked = Address.model_validate({**(sent or {}), "kept": None})
        if asked.kept is not None:
            kept = asked.kept
            shown = self.shown(kept.setup, kept.run, "As it was before the reload.")
            return shown | self.runner.resumed(kept.run)
        link = links.restored(asked, self.start, self.service.settings, self._refusal)
        if link is None or (link.setup == self.start and not link.faults):
            return {self.line: gr.skip()}
        updates = self.shown(link.setup, "", "Set up from the link. Press Run.")
        told = []
        for name, sentence in link.faults.items():
            place = self.runner.places.get(name)
            if place is None:
                told.append(sentence)
            else:  # two numbers share one
                updates[place] = " ".join(filter(None, [updates.get(place), sentence]))
        if len(told) < len(link.faults):
            told.append("Not all of the link can be used here: see what is said in red.")
        if told:
            updates[self.line] = status("bad", " ".join(told))
        return updates

    def restore(self, event: gr.EventData, run: str) -> Updates:
        """What stood on the page before, its run included."""
        asked = Kept.model_validate(event._data)
        self.runner.leave(run)
        done = "Undone." if event._data.get("why") == "undo" else "Done again."
        return (
            self.shown(asked.setup, asked.run, done)
            | self.runner.idle
            | {self.past: {"well": True, "ticket": event._data.get("ticket")}}
        )

    def revise(self, event: gr.EventData, count: int, run: str, *drawn: Any) -> Updates:
        """What was set up before, while the run on the page stays, or is still being written."""
        asked, ticket = Kept.model_validate(event._data), event._data.get("ticket")
        updates = self._set_up(asked.setup)
        updates |= self.columns.revise(asked.setup, drawn[:count], run, ticket)
        return updates | {self.past: {"well": True, "ticket": ticket}}

    def shown(self, setup: Setup, name: str, told: str) -> Updates:
        """All of the page for this set-up and this run; a run that is kept no more is said."""
        shown = self.columns.resolve(name) if name else None
        if shown is None:
            line = status("", told)
            if name:
                line = status("bad", f"{told} {GONE}")
        elif name.startswith(recorded.ID):
            line = status("recorded", recorded.label(shown))
        else:
            line = status("done", f"{told} {outcome(shown)}")
        return {
            **self._set_up(setup),
            **self.runner.faults,
            **self.columns.restore(setup, name if shown else ""),
            self.line: line,
            self.selection: first(shown) if shown else None,
            self.runner.previews: preview.setup(shown, recorded=name.startswith(recorded.ID)),
        }

    def _set_up(self, setup: Setup) -> Updates:
        """All that is set up but the columns."""
        knobs, models = self.knobs, self.service.models
        model = setup.model or models.default
        if model == self.service.settings.model or self._refusal(model):
            model = models.default
        return {
            self.head.model: model,
            self.box.text: setup.prompt,
            self.box.split: setup.split,
            knobs.tokens: setup.tokens,
            knobs.least: setup.least,
            knobs.seed: setup.seed,
            knobs.ends: setup.stop,
            knobs.chat: setup.chat,
            knobs.alone: setup.alone,
        }

    def _refusal(self, model: str) -> str | None:
        try:
            self.service.models.loaded(model)
        except ModelError as problem:
            return str(problem)
        return None

    def _wire_address(self) -> None:
        knobs = self.knobs
        parts = {
            "model": self.head.model, "prompt": self.box.text, "tokens": knobs.tokens,
            "least": knobs.least, "seed": knobs.seed, "stop": knobs.ends, "chat": knobs.chat,
            "alone": knobs.alone, "split": self.box.split,
        }  # fmt: skip
        inputs, names = [*parts.values()], ", ".join(parts)
        told = f"({names}) => {{ playground.address({{{names}}}); "
        self.opened.then(None, inputs, None, js=f"{told} playground.opened(); }}", **QUICK)
        gr.on([part.change for part in inputs], None, inputs, None, js=f"{told} }}", **QUICK)
