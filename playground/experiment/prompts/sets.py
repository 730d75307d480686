"""A small set of prompts for each task, written for this program, in files beside this one."""

from __future__ import annotations

from pathlib import Path

from playground.experiment.prompts.files import PromptsError, read
from playground.experiment.sample import Prompt

SETS = ("story", "fact", "list", "code", "json", "dialogue")


def prompt_set(task: str) -> list[Prompt]:
    """The prompts of a task, with what is expected where a text can be checked against it.

    Raises ``PromptsError`` for an unknown task.
    """
    if task not in SETS:
        raise PromptsError(f"There is no set {task!r}; there are {', '.join(SETS)}.")
    prompts = read(Path(__file__).parent / f"{task}.jsonl")
    return [
        prompt.model_copy(update={"name": prompt.name or f"{task} {number}"})
        for number, prompt in enumerate(prompts, start=1)
    ]
