"""The model's own logits, with which those over slots are compared before anything is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from playground.engine.attention.kv_slots import KVShape
from playground.engine.forward.eager import Eager
from playground.engine.forward.path import Rows
from playground.errors import UnsupportedModel
from playground.transformers_compat import cache_keyword

if TYPE_CHECKING:
    from playground.engine.forward.forward import Forward

# Shares of the largest logit. A model that rounding moves further is allowed what its own would be.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 2e-2}
_ROUNDING = 2 / 3  # of what it is moved when everything is moved first and rounded again
_DECODED = 3  # last tokens of each prompt, which are read one by one


class Reference:
    """Two short prompts, the same for a vocabulary always, and the model's logits after each token.

    Made before the model's attention is replaced. ``shapes`` are those of its layers' keys and
    values.
    """

    def __init__(self, model: Any, vocab: int, device: torch.device, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)
        draw = torch.randint(0, vocab, (2, 12), generator=generator)
        self.prompts: list[list[int]] = [draw[0].tolist(), draw[1, :9].tolist()]
        self.logits: list[Tensor] = []
        self.shapes: list[KVShape] = []
        self._tolerance = _TOLERANCE.get(dtype, 1e-3)
        for ids in self.prompts:
            cache: Any = DynamicCache(config=model.config)
            self.logits.append(_logits(model, ids, device, cache))
            self.shapes = [
                KVShape(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3])
                for layer in cache.layers
            ]
        with _rounded_otherwise(model):
            moved = [
                _difference(_logits(model, ids, device), logits)
                for ids, logits in zip(self.prompts, self.logits, strict=True)
            ]
        self._tolerance = max(self._tolerance, _ROUNDING * max(moved))

    def check(self, forward: Forward) -> None:
        """Read both prompts as two rows of different lengths, and compare their logits.

        Raises ``UnsupportedModel`` where they differ by more than rounding.
        """
        starts = [len(ids) - _DECODED for ids in self.prompts]
        for slot, (ids, start) in enumerate(zip(self.prompts, starts, strict=True)):
            found = forward.prefill(slot, ids[:start]).logits[0]
            self.compare(found, self.logits[slot][start - 1])
        for step in range(_DECODED):
            positions = [start + step for start in starts]
            ids = [prompt[at] for prompt, at in zip(self.prompts, positions, strict=True)]
            for slot, found in enumerate(forward.decode([0, 1], ids, positions).logits):
                self.compare(found, self.logits[slot][positions[slot]])

    def compare(self, found: Tensor, wanted: Tensor) -> None:
        """Raise ``UnsupportedModel`` where logits differ by more than rounding."""
        difference = _difference(found, wanted)
        if not difference <= self._tolerance:
            raise UnsupportedModel(
                f"its scores over shared slots differ from its own by {difference:.1%}"
            )

    def head_is_apart(self, eager: Eager) -> bool:
        """Whether the logits are the vocabulary head of the top states and nothing more."""
        rows = Rows(
            [0, 1], [ids[-1] for ids in self.prompts], [len(ids) - 1 for ids in self.prompts]
        )
        for slot, ids in enumerate(self.prompts):
            eager.prefill(slot, ids, 0)
        logits = eager.decode(rows, False).logits
        eager.head_is_apart = True
        try:
            layers = eager.decode(rows, True).layers
            apart = layers is not None and eager.head(layers[-1])
        except (AttributeError, TypeError, RuntimeError):
            return False
        finally:
            eager.head_is_apart = False
        return isinstance(apart, Tensor) and logits is not None and torch.equal(apart, logits)


def _logits(
    model: Any, ids: list[int], device: torch.device, cache: DynamicCache | None = None
) -> Tensor:
    """The model's own logits after each token, float32 ``[tokens, vocab]``."""
    tokens = torch.tensor([ids], device=device)
    kept = {} if cache is None else {cache_keyword(model): cache}
    out = model(tokens, attention_mask=torch.ones_like(tokens), use_cache=cache is not None, **kept)
    logits: Tensor = out.logits[0].float()
    return logits


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a share of the largest logit."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))


@contextmanager
def _rounded_otherwise(model: Any) -> Iterator[None]:
    """Move what every layer of weights returns by up to half a unit in the last place, and round.

    How far that moves the logits is how far correct kernels may lie apart: a model of many layers
    carries a rounding of its first a long way in 16 bits.
    """
    generator = torch.Generator().manual_seed(1)

    def move(module: Any, given: Any, out: Any) -> Any:
        if not isinstance(out, Tensor) or not out.is_floating_point():
            return out
        unit = torch.finfo(out.dtype).eps / 2
        share = torch.rand(out.shape, generator=generator) * 2 - 1
        return (out.float() * (1 + unit * share.to(out.device))).to(out.dtype)

    leaves = [m for m in model.modules() if next(m.parameters(recurse=False), None) is not None]
    hooks = [leaf.register_forward_hook(move) for leaf in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
