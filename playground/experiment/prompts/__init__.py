"""Prompts: a small set for each task, and files of prompts in CSV, JSONL and plain text."""

from playground.experiment.prompts.files import (
    FORMS,
    PromptsError,
    from_csv,
    from_jsonl,
    from_text,
    read,
)
from playground.experiment.prompts.sets import SETS, prompt_set

__all__ = [
    "FORMS",
    "SETS",
    "PromptsError",
    "from_csv",
    "from_jsonl",
    "from_text",
    "prompt_set",
    "read",
]
