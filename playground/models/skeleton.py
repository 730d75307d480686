"""A model without its weights: whether it can be served, and how much memory it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from playground.errors import ModelError, first_line
from playground.models import architecture, device
from playground.models.checkpoint import Checkpoint, Quantised
from playground.process import Process
from playground.settings import Settings


@dataclass(frozen=True)
class Skeleton:
    """A model on the meta device, with shapes alone, and the quantisation of its weights."""

    model: Any
    quantised: Quantised | None

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes of memory for its weights; plain ones are of this ``dtype``."""
        each = self.quantised.bytes_of_weight if self.quantised else None
        if each is None:
            return self.parameters * dtype.itemsize
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
        head = self.model.get_output_embeddings()  # which is stored plain
        inner = sum(layer.weight.numel() for layer in linear if layer is not head)
        return int((self.parameters - inner) * dtype.itemsize + inner * each)


def weight_bytes(folder: Path, settings: Settings, id: str, process: Process) -> int:
    """Bytes of memory for the weights, computed from the configuration alone.

    Raises ``ModelError`` where the architecture cannot be served.
    """
    where, dtype = device.resolve_device(settings)
    with process.loading:
        return skeleton_of(Checkpoint(folder), id, where).nbytes(dtype)


def skeleton_of(checkpoint: Checkpoint, id: str, where: torch.device) -> Skeleton:
    """The model without its weights. Raises ``ModelError`` where this device cannot serve it."""
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    folder = checkpoint.folder
    config: Any = None
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **checkpoint.named)
        reason = architecture.unsupported_config(config)
        if reason is None:
            try:
                quantised = Quantised.of(config, where)
            except ValueError as error:
                reason = f"{architecture.name_of(config)} {error}"
        if reason is None:
            with torch.device("meta"):
                model = auto.from_config(config, trust_remote_code=False)
            reason = architecture.unsupported(model)
    except Exception as error:
        own = folder / "config.json"
        if own.is_file() and "auto_map" in own.read_text():
            reason = "it needs code of its own, which is never run here"
        elif "Unrecognized configuration class" in str(error):
            reason = (
                f"{architecture.name_of(config)} (type {config.model_type}) has no class for text "
                "alone in transformers"
            )
        else:
            reason = reason_of(error, folder)
        raise ModelError(f"{id} cannot be served: {reason}.") from error
    if reason is not None:
        raise ModelError(f"{id} cannot be served: {reason}.")
    return Skeleton(model, quantised)


def reason_of(error: Exception, folder: Path) -> str:
    """The first line of an error of transformers, without the path of the host's folder."""
    return first_line(error).replace(str(folder), "its folder")
