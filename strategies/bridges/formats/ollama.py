"""Ollama: the parameters of a Modelfile, or the options of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ...base import Context
from ...notation import shorten
from ...recipe import Recipe
from ..dialects import DIALECTS
from .format import Bounds, Brought, Format, FormatError, Taken
from .llama_cpp import NAMES
from .reading import from_fields
from .texts import is_json_object, json_object
from .vocabulary import Vocabulary
from .writing import to_fields

KNOWN = frozenset(
    {
        "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty",
        "presence_penalty", "frequency_penalty",
    }
)  # fmt: skip
WORDS = Vocabulary(
    "Ollama",
    replace(
        DIALECTS["llama.cpp"],
        read="Ollama, 2026-08 (api/types.go, llm/llama_server.go)",
        defaults={
            "temperature": {"temperature": 0.8},
            "top_k": {"top_k": 40},
            "top_p": {"top_p": 0.9},
        },
    ),
    names={key: name for key, name in NAMES.items() if name in KNOWN},
    window="repeat_last_n",
    everything=-1,
    limits={"max_new_tokens": "num_predict", "seed": "seed", "stop": "stop"},
    inert=frozenset(
        {
            "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa",
            "use_mmap", "use_mlock", "low_vram", "f16_kv", "draft_num_predict",
        }
    ),
    gone={"tfs_z": 1, "mirostat": 0, "mirostat_tau": 5, "mirostat_eta": 0.1,
          "penalize_newline": True},
)  # fmt: skip
# Of one line each, so that a text of many blank lines is read once.
_LINE = re.compile(r"\s*PARAMETER\s+(\w+)\s+(.*)", re.IGNORECASE)
_BEGINS = re.compile(r"\s*(PARAMETER\s+\w+\s|(?-i:FROM)\s+\S)", re.IGNORECASE)


class Modelfile(Format):
    id: ClassVar = "ollama"
    title: ClassVar = "Ollama, Modelfile"
    program: ClassVar = "Ollama"
    suffix: ClassVar = ".Modelfile"
    url: ClassVar = "https://docs.ollama.com/modelfile"
    read_in: ClassVar = WORDS.dialect.read
    keeps_ties: ClassVar = False

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, WORDS, bounds, context)
        given = dict(written.fields)
        lines = [
            f"PARAMETER {name} {json.dumps(value)}"
            for name, value in given.items()
            if name != "stop"
        ]
        lines += [f"PARAMETER stop {_quoted(text)}" for text in given.get("stop", ())]
        text = "\n".join(["# Below the line that begins with FROM.", *lines])
        return Taken(self.id, text, written.there, tuple(written.losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        if is_json_object(text):
            sent = json_object(text)
            options = sent.get("options", sent)
            if not isinstance(options, dict):
                raise FormatError("options must be an object, with a name for each setting.")
            given = dict(options)
        else:
            given = _parameters(text)
        if given.get("seed") == 0:  # any seed, by itself
            del given["seed"]
        return from_fields(self.id, given, WORDS, own)

    def looks_like(self, text: str) -> int:
        if any(map(_BEGINS.match, text.splitlines())):
            return 9
        if not is_json_object(text):
            return 0
        sent = json_object(text)
        return 7 if "options" in sent or sent.keys() & {"num_predict", "num_ctx"} else 0


def _parameters(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    lines = iter(text.splitlines())
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        name, value = found[1].lower(), _value(found[2].strip(), lines)
        if name == "stop":
            given.setdefault("stop", []).append(value)
            continue
        try:
            given[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except ValueError:
            given[name] = value
    return given


def _value(begun: str, lines: Iterator[str]) -> str:
    """A value without its quotes, which may end on a later one of the ``lines``."""
    mark = next((mark for mark in ('"""', '"') if begun.startswith(mark)), "")
    if not mark:
        return begun
    parts = [begun.removeprefix(mark)]
    while not parts[-1].rstrip().endswith(mark):
        line = next(lines, None)
        if line is None:
            raise FormatError(f"{shorten(begun, 40)} has no {mark} at its end.")
        parts.append(line)
    return "\n".join(parts).rstrip().removesuffix(mark)


def _quoted(text: str) -> str:
    mark = '"""' if '"' in text or "\n" in text else '"'
    return f"{mark}{text}{mark}"


formats = (Modelfile(),)
