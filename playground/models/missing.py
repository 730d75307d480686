"""What a folder lacks to be a model in transformers' format."""

from __future__ import annotations

import json
from pathlib import Path

from playground.models.checkpoint import is_installed


def lacks(folder: Path) -> str | None:
    """What a folder lacks to be a model in transformers' format; None where it has everything."""
    if not (folder / "config.json").is_file():
        if not (folder / "adapter_config.json").is_file():
            return "config.json"
        whole = (folder / "adapter_model.safetensors").is_file()
        return None if whole else "adapter_model.safetensors"
    index = folder / "model.safetensors.index.json"
    weights = {"model.safetensors"}
    if index.is_file():
        try:
            weights = indexed(index)
        except ValueError as error:
            return f"usable {index.name} ({error})"
    absent = sorted(name for name in weights if not (folder / name).is_file())
    if absent:
        return f"{absent[0]} (weights are read as safetensors only)"
    return None if has_tokenizer(folder) else "tokenizer"


def has_tokenizer(folder: Path) -> bool:
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    return any((folder / name).is_file() for name in names)


def unread_words(folder: Path) -> str | None:
    """The packages to install for a tokenizer that is a ``tokenizer.model`` alone, if any."""
    others = ("tokenizer.json", "vocab.json", "vocab.txt")
    if not (folder / "tokenizer.model").is_file() or any((folder / n).is_file() for n in others):
        return None
    whole = is_installed("sentencepiece") and is_installed("google.protobuf")
    return None if whole else "sentencepiece protobuf"


def indexed(index: Path) -> set[str]:
    """The files that an index of weights names. Raises ``ValueError`` with its fault."""
    try:
        known = json.loads(index.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError(f"its {index.stat().st_size:,} bytes are not JSON") from None
    files = known.get("weight_map") if isinstance(known, dict) else None
    if not isinstance(files, dict):
        raise ValueError("it has no weight_map")
    if not files:
        raise ValueError("its weight_map is empty")
    wrong = [
        name for name in files.values() if not isinstance(name, str) or Path(name).name != name
    ]
    if wrong:
        raise ValueError(f"its weight_map names {str(wrong[0])[:60]!r}, which is no file there")
    return set(files.values())
