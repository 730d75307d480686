"""On what texts are written: the model to its weights, versions, and the machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

if TYPE_CHECKING:
    from playground.models.loading import LoadedModel

_VERSIONS = ("decoding-playground", "torch", "transformers", "tokenizers", "numpy", "scipy")
_PIECE = 1 << 14  # numbers of each end and of the middle of a tensor


class Facts(BaseModel):
    """What a report says of where its numbers come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    title: str
    fingerprint: str  # of the weights and the tokenizer
    parameters: int
    device: str
    dtype: str
    batch_invariant: bool
    machine: str
    versions: dict[str, str]

    @classmethod
    def of(cls, loaded: LoadedModel) -> Facts:
        facts = loaded.facts
        return cls(
            model=facts.id,
            title=facts.title,
            fingerprint=fingerprint(loaded.model, loaded.tokenizer),
            parameters=facts.parameters,
            device=facts.device,
            dtype=facts.dtype,
            batch_invariant=facts.batch_invariant,
            machine=_machine(facts.device),
            versions=_versions(),
        )


def fingerprint(model: Any, tokenizer: Any) -> str:
    """A hash (SHA-256, 16 hex digits) that tells models with other weights or tokens apart.

    Of the configuration, the tokenizer's vocabulary, and each tensor's name, form and numbers: all
    of a short one's, and of a long one those at its ends and in its middle.
    """
    digest = hashlib.sha256()
    config = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_")}
    config.pop("transformers_version", None)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    vocabulary = sorted(tokenizer.get_vocab().items())
    digest.update(json.dumps(vocabulary).encode())
    digest.update(str(getattr(tokenizer, "chat_template", None)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        for part in plain_parts(tensor):
            flat = part.reshape(-1)
            middle = len(flat) // 2
            pieces = [flat]
            if len(flat) > 3 * _PIECE:
                pieces = [flat[:_PIECE], flat[middle : middle + _PIECE], flat[-_PIECE:]]
            for piece in pieces:
                digest.update(piece.contiguous().cpu().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def plain_parts(tensor: Any) -> Iterator[Tensor]:
    """The tensors that one is made of: itself, or those that a quantised one holds."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield tensor.detach()
        return
    names, _ = flatten()
    for name in names:
        yield from plain_parts(getattr(tensor, name))


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    kernels = torch.backends.cpu.get_cpu_capability()
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {kernels}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from its folder
            continue
    return found
