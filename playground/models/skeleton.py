"""A model without its weights: whether it can be served, and the memory it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from playground.errors import ModelError, first_line
from playground.models import architecture, device
from playground.models.checkpoint import Checkpoint
from playground.process import Process
from playground.settings import Settings


def weight_bytes(folder: Path, settings: Settings, id: str, process: Process) -> int:
    """Bytes of memory the weights will take, from the configuration alone.

    Raises ``ModelError`` where the architecture cannot be served.
    """
    with process.loading:
        return bytes_of(skeleton_of(Checkpoint(folder), id), settings)


def skeleton_of(checkpoint: Checkpoint, id: str) -> Any:
    """The model without its weights; raises ``ModelError`` where it cannot be served."""
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    folder = checkpoint.folder
    config: Any = None
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **checkpoint.named)
        reason = architecture.unsupported_config(config)
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
    return model


def reason_of(error: Exception, folder: Path) -> str:
    """The first line of an error of transformers, without the path of the host's folder."""
    return first_line(error).replace(str(folder), "its folder")


def bytes_of(model: Any, settings: Settings) -> int:
    _, dtype = device.resolve_device(settings)
    count: int = sum(parameter.numel() for parameter in model.parameters())
    return count * dtype.itemsize
