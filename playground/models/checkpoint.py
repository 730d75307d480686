"""The forms in which weights are stored, and what reads each of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What transformers reads a quantised model with: the module, and the package to install.
LIBRARIES: dict[str, tuple[str, str] | None] = {
    "awq": ("gptqmodel", "gptqmodel"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "bitsandbytes_4bit": ("bitsandbytes", "bitsandbytes"),
    "bitsandbytes_8bit": ("bitsandbytes", "bitsandbytes"),
    "compressed-tensors": ("compressed_tensors", "compressed-tensors"),
    "gptq": ("gptqmodel", "gptqmodel"),
    "hqq": ("hqq", "hqq"),
    "quanto": ("optimum.quanto", "optimum-quanto"),
    "torchao": ("torchao", "torchao"),
    "fp8": None,
    "mxfp4": None,
}


@dataclass(frozen=True)
class Checkpoint:
    """A folder in transformers' form; with ``gguf``, a file of that name in it."""

    folder: Path
    gguf: str | None = None

    @classmethod
    def at(cls, path: Path) -> Checkpoint:
        """What a path names: a folder, a GGUF file, or a folder that holds one such file alone."""
        if path.is_file():
            return cls(path.parent, path.name)
        files = sorted(path.glob("*.gguf")) if not (path / "config.json").is_file() else []
        return cls(path, files[0].name if len(files) == 1 else None)

    @property
    def named(self) -> dict[str, Any]:
        """The arguments by which transformers finds configuration and tokenizer."""
        return {"trust_remote_code": False} | ({"gguf_file": self.gguf} if self.gguf else {})

    @property
    def weights(self) -> dict[str, Any]:
        """Those by which it finds the weights, a GGUF file's expanded to plain ones."""
        if self.gguf is None:
            return self.named | {"use_safetensors": True}
        from transformers import GgufConfig

        return self.named | {"quantization_config": GgufConfig(dequantize=True)}


def quantisation(config: Any) -> str | None:
    """The method by which a model is stored quantised, as its configuration names it."""
    stored = getattr(config, "quantization_config", None)
    if not stored:
        return None
    known = stored if isinstance(stored, dict) else stored.to_dict()
    method = known.get("quant_method")
    if method is None and (known.get("load_in_4bit") or known.get("load_in_8bit")):
        method = "bitsandbytes"
    return str(getattr(method, "value", method))


def cannot_expand(method: str) -> str | None:
    """Why a quantised model cannot be read here, with what to install; None where it may be."""
    if method not in LIBRARIES:
        return f"is stored quantised ({method}), in a form that is not read here"
    library = LIBRARIES[method]
    if library is not None and not _is_installed(library[0]):
        return (
            f"is stored quantised ({method}), which is read with a library that is not installed: "
            f"pip install {library[1]}"
        )
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of a package that holds it
        return False
