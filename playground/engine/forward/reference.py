"""The model's own logits, with which those over slots are compared before anything is served."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from playground.engine.attention.kv_slots import KVShape
from playground.engine.attention.row_caches import RowCache
from playground.engine.forward.eager import Eager
from playground.engine.forward.path import Rows
from playground.engine.forward.plain import Plain, PlainText
from playground.engine.forward.routing import ForcedRouting, RecordedRouting, Routing
from playground.errors import UnsupportedModel
from playground.models.architecture import horizons
from playground.transformers_compat import cache_keyword, expert_counts

if TYPE_CHECKING:
    from playground.engine.forward.forward import Forward

# Shares of the largest logit. A model whose logits rounding alone moves further is allowed more.
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 2e-2}
_ROUNDING = 2 / 3  # of how far its logits move when every output is perturbed and rounded again
_DECODED = 3  # last tokens of each prompt, which are read one by one
_BEYOND = 12  # tokens after a horizon, at least; a quarter of it where that is more


@dataclass(frozen=True)
class Prompt:
    """Tokens, the model's own logits after the last ``len(logits)`` of them, and its experts."""

    ids: list[int]
    logits: Tensor
    routing: Routing | None

    def logits_after(self, index: int) -> Tensor:
        """The logits after the token at this index, ``[vocab]``."""
        return self.logits[index - len(self.ids)]


class Reference:
    """Two short prompts, always the same for a vocabulary, and the model's logits after each token.

    A model that computes something else from some length on, such as within a window, has a third
    that is longer. Made before the model's attention is replaced.
    """

    def __init__(
        self, model: Any, vocab: int, length: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """``length`` is the longest text that is to be served."""
        generator = torch.Generator().manual_seed(0)
        draw = torch.randint(0, vocab, (2, 12), generator=generator)
        self._device, self._experts = device, expert_counts(model.config)
        if getattr(model.config, "quantization_config", None):  # its layers compute in 16 bits
            dtype = torch.bfloat16
        self._tolerance = _TOLERANCE.get(dtype, 1e-3)
        size = _length_beyond(model, length)
        ids = [draw[0].tolist(), draw[1, :9].tolist()]
        ids = [each[: max(_DECODED + 1, length - 1)] for each in ids]
        if size:
            ids.append(torch.randint(0, vocab, (size,), generator=generator).tolist())
        self.prompts = [self._prompt(model, each) for each in ids]
        # In 16 bits a long text is moved further than a short one.
        measured = self.prompts if dtype.itemsize < 4 else self.prompts[:2]
        with _rounded_otherwise(model):
            moved = [_difference(self._logits(model, each), each.logits) for each in measured]
        if not all(bool(each.logits.isfinite().all()) for each in self.prompts):
            raise UnsupportedModel("its own scores are not numbers (NaN or infinite)")
        self._tolerance = max(self._tolerance, _ROUNDING * max(moved))

    def check(self, forward: Forward, one_length: bool = False) -> None:
        """Read two prompts at a time as rows of different lengths, and compare their logits.

        With ``one_length`` the first is cut to the length of the second. A long one is read in two
        chunks. Raises ``UnsupportedModel`` where they differ by more than rounding explains.
        """
        first, second = self.prompts[:2]
        if one_length:
            n = len(second.ids)
            first = Prompt(first.ids[:n], first.logits[:n], first.routing)
        for pair in ([first, second], [*self.prompts[2:], second]):
            if len(pair) < 2 or max(len(prompt.ids) for prompt in pair) > forward.slots.length:
                continue
            starts = [len(prompt.ids) - _DECODED for prompt in pair]
            for slot, (prompt, start) in enumerate(zip(pair, starts, strict=True)):
                cut = start // 2 if start > 2 * _BEYOND else 0
                if cut:
                    with self._routed((prompt, 0, cut)):
                        forward.prefill(slot, prompt.ids[:cut])
                with self._routed((prompt, cut, start)):
                    found = forward.prefill(slot, prompt.ids[cut:start], cut).logits[0]
                self.compare(found, prompt.logits_after(start - 1))
            for step in range(_DECODED):
                at = [start + step for start in starts]
                ids = [prompt.ids[i] for prompt, i in zip(pair, at, strict=True)]
                with self._routed(*((p, i, i + 1) for p, i in zip(pair, at, strict=True))):
                    logits = forward.decode([0, 1], ids, at).logits
                for prompt, index, found in zip(pair, at, logits, strict=True):
                    self.compare(found, prompt.logits_after(index))

    def check_own_cache(self, text: PlainText) -> None:
        """Read the last tokens of the long prompt, if any, one by one with the model's own cache.

        Raises ``UnsupportedModel`` where its logits differ from those without a cache: ``generate``
        has the cache, and would write another text than the one served here.
        """
        if len(self.prompts) < 3:  # nothing that a cache could leave out
            return
        prompt, row = self.prompts[-1], RowCache()
        start = len(prompt.ids) - _DECODED
        for first, last in ((0, start), *((at, at + 1) for at in range(start, len(prompt.ids)))):
            with self._routed((prompt, first, last)):
                out = text.read(row, prompt.ids[first:last], logits_to_keep=1)
            self.compare(out.logits[0, -1].float(), prompt.logits_after(last - 1))

    def looks_ahead(self, model: Any) -> bool:
        """Whether the model's logits after a token depend on those that follow it."""
        prompt = self.prompts[0]
        cut = len(prompt.ids) - _DECODED
        with self._routed((prompt, 0, cut)):
            (logits,) = own_logits(model, prompt.ids[:cut], self._device, 1)
        return not _difference(logits, prompt.logits_after(cut - 1)) <= self._tolerance

    def compare(self, found: Tensor, wanted: Tensor) -> None:
        """Raise ``UnsupportedModel`` where logits differ by more than rounding explains."""
        difference = _difference(found, wanted)
        if not difference <= self._tolerance:
            raise UnsupportedModel(f"its scores there differ from its own by {difference:.1%}")

    def head_is_apart(self, eager: Eager | Plain) -> bool:
        """Whether the logits are the vocabulary head of the top states and nothing more."""
        pair = [prompt.ids for prompt in self.prompts[:2]]
        rows = Rows([0, 1], [ids[-1] for ids in pair], [len(ids) - 1 for ids in pair])
        for slot, ids in enumerate(pair):
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

    def _prompt(self, model: Any, ids: list[int]) -> Prompt:
        with RecordedRouting(self._experts) if self._experts else nullcontext() as mode:
            logits = own_logits(model, ids, self._device, _kept(model, ids))
        return Prompt(ids, logits, mode.routing if mode else None)

    def _logits(self, model: Any, prompt: Prompt) -> Tensor:
        with self._routed((prompt, 0, len(prompt.ids))):
            return own_logits(model, prompt.ids, self._device, len(prompt.logits))

    def _routed(self, *parts: tuple[Prompt, int, int]) -> AbstractContextManager[Any]:
        """Inside, the experts that the model itself chose for these tokens compute them."""
        if any(prompt.routing is None for prompt, *_ in parts):
            return nullcontext()
        chosen = [prompt.routing.of(*part) for prompt, *part in parts if prompt.routing]
        return ForcedRouting(self._experts, Routing.joined(chosen))


def key_value_shapes(model: Any, ids: list[int], device: torch.device) -> list[KVShape | None]:
    """The shapes of what each layer keeps, None for one that reads what another keeps.

    Raises ``UnsupportedModel`` where a layer keeps something else than keys and values.
    """
    cache: Any = DynamicCache(config=model.config)
    tokens = torch.tensor([ids], device=device)
    model(tokens, use_cache=True, **{cache_keyword(model): cache})
    shapes: list[KVShape | None] = []
    for layer in cache.layers:
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if getattr(layer, "conv_states", None) is not None or hasattr(layer, "indexer_keys"):
            raise UnsupportedModel("its layers keep more than keys and values")
        if keys is None or values is None or keys.numel() == 0:
            shapes.append(None)
        else:
            shapes.append(KVShape(keys.shape[1], keys.shape[3], values.shape[3]))
    if not any(shapes):
        raise UnsupportedModel("its layers keep no keys and values")
    return shapes


def own_logits(model: Any, ids: list[int], device: torch.device, keep: int) -> Tensor:
    """The model's own logits after the last ``keep`` tokens, float32 ``[keep, vocab]``."""
    tokens = torch.tensor([ids], device=device)
    known = inspect.signature(type(model).forward).parameters
    named: dict[str, Any] = {"attention_mask": torch.ones_like(tokens), "use_cache": False}
    if keep < len(ids):
        named["logits_to_keep"] = keep
    out = model(tokens, **{name: value for name, value in named.items() if name in known})
    logits: Tensor = out.logits[0, -keep:].float()
    return logits


def _kept(model: Any, ids: list[int]) -> int:
    """After how many tokens of a prompt logits are kept: a long one's are large."""
    return len(ids) if len(ids) <= _BEYOND else _DECODED + 1


def _length_beyond(model: Any, length: int) -> int:
    """The length of a prompt past all horizons of the model, such as windows; 0 without any."""
    reached = [n for n in horizons(model.config) if n < length - 1]
    if not reached:
        return 0
    return min(length - 1, reached[-1] + max(_BEYOND, reached[-1] // 4))


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a share of the largest logit."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))


@contextmanager
def _rounded_otherwise(model: Any) -> Iterator[None]:
    """Perturb the output of every module with weights by up to half a unit in the last place.

    How far that moves the logits is how far correct kernels may lie apart: in 16 bits, rounding in
    the first of many layers moves the last far.
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
