"""The forms in which weights are stored, and what reads each of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from playground.errors import first_line

# What reads a form, where transformers does not say what to install: modules, and packages.
_LIBRARIES: dict[str, tuple[tuple[str, ...], str]] = {
    "gptq": (("optimum", "gptqmodel"), "optimum gptqmodel"),
    "hqq": (("hqq",), "hqq"),
    "sinq": (("sinq",), "sinq"),
    "torchao": (("torchao",), "torchao"),
}
_ON_GPU = ("eetq", "hqq", "metal", "vptq")  # which transformers says late, or not clearly
# Forms that transformers can expand as it reads them. All but the first it can also compute with as
# they are, on a GPU and with kernels that another package fetches.
_EXPANDED = ("compressed-tensors", "fp8", "mxfp4", "mxfp8")


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

    def weights(self, quantised: Quantised | None) -> dict[str, Any]:
        """Those by which it finds the weights, expanded to plain ones where they can be."""
        if self.gguf is not None:
            from transformers import GgufConfig

            return self.named | {"quantization_config": GgufConfig(dequantize=True)}
        given = self.named | {"use_safetensors": True}
        if quantised is not None and quantised.expanded:
            given["quantization_config"] = type(quantised.settings)(dequantize=True)
        return given


@dataclass(frozen=True)
class Quantised:
    """How weights are stored: the method by its name, and what transformers reads them by.

    ``expanded`` says that they become plain ones as they are read.
    """

    method: str
    settings: Any
    expanded: bool

    @classmethod
    def of(cls, config: Any, device: torch.device) -> Quantised | None:
        """What a model's configuration says of its weights; None where they are plain.

        Raises ``ValueError`` where they cannot be read on this device with what is installed here;
        the message is the rest of a sentence, with what to install.
        """
        stored = _stored(config)
        if stored is None:
            return None
        method = _method(stored)
        name = f"is stored quantised ({method})"
        if device.type == "cpu" and method in _ON_GPU:
            raise ValueError(f"{name}, which is read on a GPU alone")
        modules, packages = _LIBRARIES.get(method, ((), ""))
        if not all(map(is_installed, modules)):
            raise ValueError(
                f"{name}, which is read with a library that is not installed: "
                f"pip install {packages}"
            )
        from playground.transformers_compat import quantiser

        try:
            reader = quantiser(stored)
            if reader is None:
                raise ValueError(f"{name}, in a form that is not read here")
            expanded = method in _EXPANDED and (
                method == _EXPANDED[0] or device.type == "cpu" or not is_installed("kernels")
            )
            if not expanded:
                reader.validate_environment(device_map={"": str(device)}, weights_only=True)
        except Exception as error:  # of a library that is missing, or of settings that nobody made
            reason = first_line(error)
            if reason.startswith(name):
                raise
            raise ValueError(f"{name}, and cannot be read here: {reason}") from error
        return cls(method, reader.quantization_config, expanded)

    def __str__(self) -> str:
        return f"{self.method}, expanded" if self.expanded else self.method

    @property
    def bytes_of_weight(self) -> float | None:
        """The bytes that one number of a linear layer takes; None where that is not known."""
        known = vars(self.settings)
        bits = next((known[name] for name in ("bits", "nbits", "w_bit") if known.get(name)), None)
        if bits is None and self.method.startswith("bitsandbytes"):
            bits = 4 if self.settings.load_in_4bit else 8
        return bits / 8 if isinstance(bits, int) and not self.expanded else None


def _stored(config: Any) -> dict[str, Any] | None:
    """What a model's configuration, or that of its text, says of a quantisation."""
    text = config.get_text_config(decoder=True)
    for part in (config, text):
        stored = getattr(part, "quantization_config", None)
        if stored:
            return dict(stored if isinstance(stored, dict) else stored.to_dict())
    return None


def _method(stored: dict[str, Any]) -> str:
    method = stored.get("quant_method")
    if method is None and (stored.get("load_in_4bit") or stored.get("load_in_8bit")):
        method = "bitsandbytes"
    return str(getattr(method, "value", method))[:40]


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of a package that holds it
        return False
