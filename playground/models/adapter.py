"""Adapters (LoRA): their folders, and how they are merged into a model's weights.

A merged adapter takes no memory and no time, and is a model of its own beside its base. An adapter
of which anything is not understood is refused: none of it is silently left out.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from strategies.ops import expressions

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PATTERN_S = 1.0  # for one pattern of an adapter, which may come from anybody
_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|"
    r"lora_magnitude_vector)(\.weight)?"
)


class AdapterError(ValueError):
    """An adapter cannot be read or merged; the message is the rest of a sentence."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder and its configuration.

    ``base`` names the model that it was trained on: a hub id, or a folder. ``rank`` and ``alpha``
    hold for modules that ``ranks`` and ``alphas`` do not name by the end of their path.
    """

    folder: Path
    base: str
    rank: int
    alpha: float
    ranks: dict[str, int]
    alphas: dict[str, float]
    stabilised: bool  # the scale is alpha / sqrt(rank), Kalajdzievski 2023 (rsLoRA)
    transposed: bool  # of layers whose weights are stored with inputs first, as those of GPT-2

    @classmethod
    def at(cls, folder: Path) -> Adapter | None:
        """The adapter in a folder, None without one. Raises ``AdapterError`` for other kinds."""
        if not (folder / _CONFIG).is_file():
            return None
        try:
            config = json.loads((folder / _CONFIG).read_bytes())
            kind = config["peft_type"]
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise AdapterError(f"{_CONFIG} is damaged: it says no peft_type") from error
        if kind != "LORA":
            raise AdapterError(f"its adapter is {str(kind)[:40]}, and only LoRA is read here")
        if config.get("bias", "none") != "none":
            raise AdapterError(f"its adapter changes biases ({str(config['bias'])[:40]})")
        if not (folder / _WEIGHTS).is_file():
            raise AdapterError(f"its adapter has no {_WEIGHTS} (safetensors only)")
        try:
            return cls(
                folder,
                str(config.get("base_model_name_or_path") or ""),
                int(config["r"]),
                float(config["lora_alpha"]),
                {str(k): int(v) for k, v in (config.get("rank_pattern") or {}).items()},
                {str(k): float(v) for k, v in (config.get("alpha_pattern") or {}).items()},
                bool(config.get("use_rslora")),
                bool(config.get("fan_in_fan_out")),
            )
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise AdapterError(f"{_CONFIG} is damaged: {error!r:.80}") from error

    def scale(self, module: str) -> float:
        """The factor of the product of a module's two matrices."""
        rank: int = _named(self.ranks, module, self.rank)
        alpha: float = _named(self.alphas, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.stabilised else rank)

    def merge(self, model: Any) -> None:
        """Add the adapter to a model's weights. Raises ``AdapterError`` where it does not fit."""
        from safetensors.torch import load_file

        modules: dict[str, dict[str, Tensor]] = {}
        whole: dict[str, Tensor] = {}  # weights that are replaced
        for name, tensor in load_file(self.folder / _WEIGHTS).items():
            path = name.removeprefix(_PREFIX)
            found = _PART.fullmatch(path)
            if found is None:
                whole[path] = tensor
            else:
                modules.setdefault(found["module"], {})[found["part"]] = tensor
        own = dict(model.named_parameters())
        for path, tensor in whole.items():
            if path not in own or own[path].shape != tensor.shape:
                raise AdapterError(f"its adapter has {path[:80]}, which the model has not")
            own[path].data.copy_(tensor)
        for path, parts in modules.items():
            weight = own.get(f"{path}.weight")
            if weight is None:
                raise AdapterError(f"its adapter changes {path[:80]}, which the model has not")
            self._add(path, weight, model.get_submodule(path), parts)

    def _add(self, path: str, weight: nn.Parameter, module: Any, parts: dict[str, Tensor]) -> None:
        embedding = isinstance(module, nn.Embedding)
        names = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
        if not {*names} <= parts.keys() or parts.keys() - {*names, "lora_magnitude_vector"}:
            raise AdapterError(
                f"its adapter has {', '.join(parts)} of {path[:80]}, in no known form"
            )
        down, up = (parts[name].to(weight.device, torch.float32) for name in names)
        change = (up @ down) * self.scale(path)
        stored_transposed = embedding or (self.transposed and not isinstance(module, nn.Linear))
        change = change.T if stored_transposed else change
        if change.shape != weight.shape:
            raise AdapterError(f"its adapter changes {path[:80]} in another shape than it has")
        changed = weight.data.float() + change
        size = parts.get("lora_magnitude_vector")
        if size is not None:  # DoRA, Liu et al. 2024: each output's weights are set to a length
            if stored_transposed:
                raise AdapterError(f"its adapter sets lengths (DoRA) of {path[:80]}")
            lengths = torch.linalg.vector_norm(changed, dim=1, keepdim=True)
            changed *= size.to(changed).reshape(-1, 1) / lengths
        weight.data.copy_(changed)


def _named(patterns: dict[str, Any], module: str, default: Any) -> Any:
    """The value whose name, which may be a pattern, is the end of a module's path."""
    for name, value in patterns.items():
        try:
            pattern = expressions.read(rf"(.*\.)?({name})")
            if pattern.fullmatch(module, timeout=_PATTERN_S):
                return value
        except (TimeoutError, ValueError) as error:
            raise AdapterError(f"its adapter names modules by {name[:80]!r}") from error
    return default
