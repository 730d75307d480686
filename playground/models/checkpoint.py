"""The formats in which weights are stored, and the libraries that read them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from playground.errors import first_line

# The modules that read a format, and their packages, where transformers does not name them.
_LIBRARIES: dict[str, tuple[tuple[str, ...], str]] = {
    "gptq": (("optimum", "gptqmodel"), "optimum gptqmodel"),
    "hqq": (("hqq",), "hqq"),
    "sinq": (("sinq",), "sinq"),
    "torchao": (("torchao",), "torchao"),
}
_ON_GPU = ("eetq", "hqq", "metal", "vptq")  # transformers reports it late, or not clearly
# Formats that transformers can dequantise as it loads them. With all but the first it can also
# compute as they are, on a GPU and with kernels that another package fetches.
_EXPANDED = ("compressed-tensors", "fp8", "mxfp4", "mxfp8")


@dataclass(frozen=True)
class Checkpoint:
    """A folder in transformers' format; with ``gguf``, the GGUF file of that name in it."""

    folder: Path
    gguf: str | None = None

    @classmethod
    def at(cls, path: Path) -> Checkpoint:
        """The checkpoint at a path: a folder, a GGUF file, or a folder with one GGUF file alone."""
        if path.is_file():
            return cls(path.parent, path.name)
        files = sorted(path.glob("*.gguf")) if not (path / "config.json").is_file() else []
        return cls(path, files[0].name if len(files) == 1 else None)

    @property
    def named(self) -> dict[str, Any]:
        """The arguments with which transformers finds the configuration and the tokenizer."""
        return {"trust_remote_code": False} | ({"gguf_file": self.gguf} if self.gguf else {})

    def weights(self, quantised: Quantised | None) -> dict[str, Any]:
        """The arguments with which it loads the weights, dequantised where ``expanded``."""
        if self.gguf is not None:
            from transformers import GgufConfig

            return self.named | {"quantization_config": GgufConfig(dequantize=True)}
        given = self.named | {"use_safetensors": True}
        if quantised is not None and quantised.expanded:
            given["quantization_config"] = type(quantised.settings)(dequantize=True)
        return given


@dataclass(frozen=True)
class Quantised:
    """How weights are quantised: the name of the method, and transformers' configuration of it.

    ``expanded`` is whether they are dequantised as they are loaded.
    """

    method: str
    settings: Any
    expanded: bool

    @classmethod
    def of(cls, config: Any, device: torch.device) -> Quantised | None:
        """The quantisation that a model's configuration names; None where its weights are plain.

        Raises ``ValueError`` where they cannot be loaded on this device with the packages that are
        installed. Its message continues a sentence that begins with the model's name, and says what
        to install.
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
        except Exception as error:  # a library is missing, or the configuration is invalid
            reason = first_line(error)
            if reason.startswith(name):
                raise
            raise ValueError(f"{name}, and cannot be read here: {reason}") from error
        return cls(method, reader.quantization_config, expanded)

    def __str__(self) -> str:
        return f"{self.method}, expanded" if self.expanded else self.method

    @property
    def bytes_of_weight(self) -> float | None:
        """The bytes of one number of a linear layer's weight; None where that is not known."""
        known = vars(self.settings)
        bits = next((known[name] for name in ("bits", "nbits", "w_bit") if known.get(name)), None)
        if bits is None and self.method.startswith("bitsandbytes"):
            bits = 4 if self.settings.load_in_4bit else 8
        return bits / 8 if isinstance(bits, int) and not self.expanded else None


def _stored(config: Any) -> dict[str, Any] | None:
    """The quantisation in a model's configuration, or in that of its text model."""
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
    except ImportError:  # its parent package is missing
        return False
