"""Prompts: a small set of our own for each task, and files of prompts in CSV and JSONL."""

from playground.experiment.prompts.files import PromptsError, from_csv, from_jsonl, read
from playground.experiment.prompts.sets import SETS, prompt_set

__all__ = ["SETS", "PromptsError", "from_csv", "from_jsonl", "prompt_set", "read"]
