"""The settings of all columns: limits, seed, stop strings; and the buttons that run and stop."""

from __future__ import annotations

import html
import random
import re
from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import ValidationError

from playground.engine import FieldError
from playground.ui.element import message
from playground.ui.links import LABELS, Setup
from strategies.notation import shorten

SEEDS = 10_000  # a rolled seed stays short enough to be read out in a classroom


@dataclass(frozen=True)
class Limits:
    """The region's components; ``faults`` are those for error sentences, by the request's field."""

    run: gr.Button
    stop: gr.Button
    clear: gr.Button
    tokens: gr.Textbox
    least: gr.Textbox
    seed: gr.Textbox
    lock: gr.Checkbox
    ends: gr.Textbox
    chat: gr.Checkbox
    alone: gr.Checkbox
    gpu: gr.Checkbox  # whether a run asks for a GPU that is lent to it
    faults: dict[str, gr.HTML]

    @property
    def idle(self) -> dict[Any, Any]:
        """The updates of the buttons while nothing runs."""
        return {self.run: gr.update(interactive=True), self.stop: gr.update(interactive=False)}

    @property
    def busy(self) -> dict[Any, Any]:
        return {self.run: gr.update(interactive=False), self.stop: gr.update(interactive=True)}


def limits(
    start: Setup, *, chat: bool, lends: bool = False, not_alone: str | None = None
) -> Limits:
    """Draw the region; ``chat`` tells whether the model has a chat template.

    ``lends`` tells whether the host lends a GPU to a run, and ``not_alone`` why no column can be
    measured alone here, where none can.
    """
    with gr.Column(elem_classes="limits", min_width=0):
        with gr.Row(elem_classes="buttons"):
            run = gr.Button("Run", variant="primary", elem_id="run", min_width=0)
            stop = gr.Button("Stop", elem_id="stop", interactive=False, min_width=0)
            clear = gr.Button("Clear", elem_id="clear", min_width=0)
        with gr.Row(elem_classes="numbers"):
            tokens = _number(start.tokens, "new tokens", "tokens")
            least = _number(start.least, "at least", "least")
            seed = _number(start.seed, "seed", "seed")
            dice = gr.Button("Roll the seed", elem_id="dice", min_width=0)
            lock = gr.Checkbox(True, label="lock", elem_id="lock", min_width=0)
        numbers_fault, seed_fault = message("limits-fault"), message("seed-fault")
        with gr.Row(elem_classes="ends"):
            ends = gr.Textbox(
                start.stop, label="stop strings, one per line", lines=1, max_lines=4,
                elem_id="ends", placeholder=r"\n is a new line", min_width=0,
            )  # fmt: skip
            chat_box = gr.Checkbox(
                start.chat, label="chat template", elem_id="chat", visible=chat, min_width=0
            )
            alone = gr.Checkbox(
                start.alone and not_alone is None, label="measure alone", elem_id="alone",
                min_width=0, interactive=not_alone is None,
            )  # fmt: skip
            gpu = gr.Checkbox(
                False, label="on a GPU", elem_id="gpu", visible=lends, min_width=0,
            )  # fmt: skip
        if not_alone is not None:
            told = f'<p class="not-here">{html.escape(not_alone)}</p>'
            gr.HTML(told, apply_default_css=False, min_width=0)
        ends_fault = message("ends-fault")
        dice.click(
            lambda: str(random.randrange(SEEDS)), None, seed, queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
    faults = {
        "max_new_tokens": numbers_fault,
        "min_new_tokens": numbers_fault,
        "seed": seed_fault,
        "stop": ends_fault,
    }
    return Limits(run, stop, clear, tokens, least, seed, lock, ends, chat_box, alone, gpu, faults)


def _number(value: str, label: str, name: str) -> gr.Textbox:
    """A text box for a whole number, which keeps every digit; ``gr.Number`` rounds."""
    return gr.Textbox(
        value, label=label, elem_id=name, elem_classes="number", max_lines=1, min_width=0,
        html_attributes=gr.InputHTMLAttributes(autocorrect="off", spellcheck=False),
    )  # fmt: skip


def whole(field: str, typed: Any) -> int:
    """The whole number in a box; ``FieldError``, with the page's label, where it is none."""
    text = str("" if typed is None else typed).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    given = repr(shorten(text)) if text else "empty"
    raise FieldError(field, f"“{LABELS[field]}” is {given}; it must be a whole number.")


def on_page(problem: FieldError) -> FieldError:
    """The same error with the page's label in place of the request's field."""
    name, label = problem.field, LABELS.get(problem.field)
    if label is None or not problem.message.startswith(f"{name} "):
        return problem
    return FieldError(name, f"“{label}”{problem.message.removeprefix(name)}")


def fault(problem: ValidationError) -> FieldError:
    """The error of a request that was written by hand and holds values of wrong types."""
    first = problem.errors()[0]
    name = ".".join(map(str, first["loc"]))
    given = "nothing" if first["input"] is None else f"{first['input']!r:.60}"
    whole = first["type"].startswith("int_")
    must = "must be a whole number" if whole else first["msg"].removeprefix("Input ")
    return FieldError(name, f"{name} is {given}; it {must}.")


def stop_strings(typed: str) -> list[str]:
    r"""One stop string per line; ``\n``, ``\t`` and ``\\`` stand for what a line cannot hold."""
    marks = {"\\\\": "\\", "\\n": "\n", "\\t": "\t"}
    found = []
    for line in typed.replace("\r\n", "\n").split("\n"):  # no other character ends a line here
        text, at = "", 0
        while at < len(line):
            pair = line[at : at + 2]
            text += marks.get(pair, line[at])
            at += 2 if pair in marks else 1
        if text:
            found.append(text)
    return found
