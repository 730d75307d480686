"""The prompt: its box, examples, and chips of its tokens under the chosen model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.engine import FieldError
from playground.errors import ModelError
from playground.service import Service
from playground.trace import PromptToken
from playground.ui.chips import chips_of, control_note
from playground.ui.element import element, message

EXAMPLES = (
    ("Discovery", "In a groundbreaking scientific discovery, researchers have found evidence of"),
    ("Story", "The old lighthouse keeper had one rule: never open the"),
    ("Fact", "The capital of France is"),
    ("List", "Five things to pack for a week in the mountains:\n1."),
    ("Loop", "I said it once, I said it twice, I said it again and again and"),
    ("Code", "def fibonacci(n):\n    "),
)


@dataclass(frozen=True)
class Prompt:
    """The region's components; ``fault`` is for a sentence about the prompt."""

    text: gr.Textbox
    chips: gr.HTML
    split: gr.Checkbox  # names of control tokens in the text are plain text
    fault: gr.HTML


def prompt(text: str, read: Sequence[PromptToken], service: Service, split: bool = False) -> Prompt:
    """Draw the region around a text with these tokens.

    The switch for control tokens is visible only where the text holds the name of one.
    """
    with gr.Column(elem_classes="prompt", min_width=0):
        box = gr.Textbox(
            text,
            label="Prompt",
            lines=2,
            max_lines=6,
            max_length=service.settings.max_prompt_chars,
            placeholder="Type a question, an instruction, or the beginning of a text.",
            elem_id="prompt",
            container=False,
        )
        fault = message("prompt-fault")
        chips = element("chips", chips_of(read), elem_id="prompt-tokens")
        plain = gr.Checkbox(
            split, label="control tokens as plain text", elem_id="split", min_width=0
        )
        with gr.Row(elem_classes="examples"):
            for title, example in EXAMPLES:
                button = gr.Button(title, size="sm", min_width=20, elem_classes="quiet")
                button.click(
                    None, None, box, js=f"() => {json.dumps(example)}", show_progress="hidden",
                    api_visibility="private",
                )  # fmt: skip
    return Prompt(box, chips, plain, fault)


def tokens(service: Service, text: Any, chat: Any, split: Any, model: Any) -> dict[str, Any]:
    """The chips of a prompt's tokens; none where it is no text, or too long."""
    if not isinstance(text, str) or len(text) > service.settings.max_prompt_chars:
        return chips_of([])
    model = model if isinstance(model, str) else None
    try:
        found = service.tokens(text, bool(chat), model, bool(split))
        backend = service.backend(model)
        controls = backend.control_tokens(text)
        return chips_of(found, backend.context_length, control_note(controls, bool(split)))
    except FieldError as problem:
        return chips_of([]) | {"fault": str(problem) if text else ""}
    except ModelError:  # its sentence stands at the choice of model
        return chips_of([])
