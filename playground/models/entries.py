"""The entries of the catalogue: the models that a visitor may choose."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from playground.settings import BUILT_IN

SUMMARIES = {
    BUILT_IN: "135 million parameters, English, answers in a chat; comes with the playground.",
    "HuggingFaceTB/SmolLM2-360M-Instruct": "362 million parameters, English, answers in a chat.",
    "HuggingFaceTB/SmolLM3-3B": "3 billion parameters, six languages, answers in a chat.",
    "Qwen/Qwen3-0.6B": "0.6 billion parameters, many languages, answers in a chat.",
    "Qwen/Qwen3-1.7B": "1.7 billion parameters, many languages, answers in a chat.",
    "Qwen/Qwen3.5-0.8B": "0.8 billion parameters, many languages, answers in a chat; slower, since "
    "each row has a cache of its own.",
    "google/gemma-3-270m-it": "270 million parameters, answers in a chat; its owner asks visitors "
    "to accept terms.",
    "google/gemma-3-1b-it": "1 billion parameters, answers in a chat; its owner asks visitors to "
    "accept terms.",
    "meta-llama/Llama-3.2-1B-Instruct": "1.2 billion parameters, eight languages, answers in a "
    "chat; its owner asks visitors to accept terms.",
    "gpt2": "124 million parameters, English, continues text.",
    "distilgpt2": "82 million parameters, a smaller gpt2, continues text.",
}


class Entry(BaseModel):
    """A model that a visitor may choose."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    summary: str
    source: Literal["built-in", "hub", "folder", "server"]
    loaded: bool = False


def hub_entry(id: str) -> Entry:
    summary = SUMMARIES.get(id, "A model from the hub.")
    return Entry(id=id, title=id.rsplit("/", 1)[-1], summary=summary, source="hub")


def folder_entry(id: str, title: str | None = None) -> Entry:
    summary = "A model in a folder of this host."
    return Entry(id=id, title=title or Path(id).name, summary=summary, source="folder")


def is_path(text: str) -> bool:
    """Whether a setting is written as a path to a folder, which a bare name never is."""
    return text.startswith(("/", "./", "../", "~")) or "\\" in text or Path(text).is_absolute()
