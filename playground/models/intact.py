"""Whether the files of a model are complete: a download may have been interrupted."""

from __future__ import annotations

import json
import struct
from pathlib import Path

_POINTER = b"version https://git-lfs"


def damage(folder: Path) -> str | None:
    """What is wrong with a file of a model's folder, as the rest of a sentence; None if nothing.

    Sizes are compared with those in the files' headers, and small files are parsed; weights are not
    read.
    """
    for file in sorted(folder.glob("*.safetensors")):
        expected, size = _length(file), file.stat().st_size
        if expected is None:
            return f"{file.name} is damaged: it has {size:,} bytes and no readable beginning"
        if size != expected:
            return f"{file.name} is damaged: it has {size:,} bytes where {expected:,} were written"
    for file in sorted(folder.glob("*.json")):
        try:
            json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            return f"{file.name} is damaged: its {file.stat().st_size:,} bytes are not JSON"
    return None


def pointer(folder: Path) -> str | None:
    """What is missing of a folder whose files Git LFS has not fetched; None if nothing is."""
    for file in sorted(folder.iterdir()):
        if file.suffix not in (".safetensors", ".json", ".model", ".gguf") or not file.is_file():
            continue
        with file.open("rb") as opened:
            if opened.read(len(_POINTER)) == _POINTER:
                return f"{file.name}, only a pointer to it (run `git lfs pull` there)"
    return None


def _length(file: Path) -> int | None:
    """Bytes of a safetensors file as its header has them: a length, JSON, and the tensors."""
    with file.open("rb") as opened:
        try:
            (header,) = struct.unpack("<Q", opened.read(8))
            if header > file.stat().st_size:
                return None
            tensors = json.loads(opened.read(header))
            ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
        except (struct.error, ValueError, LookupError, TypeError, AttributeError):
            return None
    return int(8 + header + max(ends, default=0))
