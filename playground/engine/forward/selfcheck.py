"""What is found out about a model when it is loaded, before anything is promised of it.

First that its scores over slots are its own. Then in which numbers of rows a row keeps its bits.
A kernel may sum a lone row in another order than several, and in 16 bits most inputs round to the
same all the same: one number of rows may differ for one input in dozens. So each number is tried
with many different inputs, in two ways:

- Each product and norm by itself, on states of the model's own forward: ``INPUTS`` of each kind of
  operation as a lone row, and ``BATCHES`` of every number of rows up to ``FIXED_ROWS`` (fewer of a
  large one), each with another input as its last row, which a kernel may treat apart. What differs
  for a share s of n inputs is missed with a chance of (1 - s) ** n: as a lone row for one input in
  fifty 3e-5, for one in two hundred 8 %; in the last of n rows for one in fifty 52 % for a single
  number of rows, and 1 % for a kernel that treats every other number so. A kind of one module, as
  the vocabulary head, shows as many inputs as the text has tokens: one in fifty, 0.6 %.
- Whole decode steps, ``STATES`` of rows for the smallest numbers and one step for some larger ones,
  at positions before and beyond a block of keys, in which every layer's keys and values are
  compared beside the scores. What differs in one operation of each layer for one input in fifty
  differs in about every other step of a model of 30 layers: missed with a chance of 1e-7.

Kernels work by blocks of rows. Where some number from two on differs, however rarely, all are
rounded up to multiples of 2, 4, 8 or 16, whichever is the first that showed no difference. What was
chosen is tried again, on ``AGAIN`` other states.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from playground.engine.attention.kv_slots import KVShape
from playground.engine.attention.placement import BLOCK
from playground.engine.forward.eager import Eager
from playground.engine.forward.packed_linear import Product, is_packed, product_of
from playground.engine.forward.path import Rows
from playground.engine.forward.row_counts import FIXED_ROWS, MOST_ROWS, RowCounts
from playground.engine.transformers_compat import cache_keyword

INPUTS, BATCHES, STATES, AGAIN = 512, 32, 24, 12
_BATCHES_OF_LARGE = 8
_LARGE_WEIGHT = 8_000_000  # numbers
_SMALL = 4  # rows, of which that many states are tried in whole steps
_STEPS = (5, 8, 9, 13, 16, 17, 33)  # rows of one step each
_CHOSEN = (1, 2, 3, 7, 13, FIXED_ROWS)  # asked for of what was chosen
_TOKENS = 256  # of the text whose states are tried
_LARGE = 1_000_000_000  # parameters of a model that reads a quarter of them


def prompts(vocab: int) -> list[list[int]]:
    """Two short prompts and the tokens that follow them, the same for a vocabulary always."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randint(0, vocab, (2, 12), generator=generator)
    return [draw[0].tolist(), draw[1, :9].tolist()]


def own_scores(
    model: Any, probe: Sequence[Sequence[int]], device: torch.device
) -> tuple[list[Tensor], list[KVShape]]:
    """The model's own scores after every position, and its layers' key-value shapes."""
    wanted, shapes = [], []
    for ids in probe:
        cache: Any = DynamicCache(config=model.config)
        tokens = torch.tensor([list(ids)], device=device)
        out = model(
            tokens,
            attention_mask=torch.ones_like(tokens),
            **{cache_keyword(model): cache},
            use_cache=True,
        )
        wanted.append(out.logits[0].float())
        shapes = [
            KVShape(layer.keys.shape[1], layer.keys.shape[3], layer.values.shape[3])
            for layer in cache.layers
        ]
    return wanted, shapes


def row_counts(eager: Eager) -> RowCounts | None:
    """The numbers of rows in which a row keeps its bits, those between rounded up to them.

    None where no choice of them was right on other states.
    """
    tried, every = operations(eager)
    with eager.products():
        bad = set().union(*(differing(kind, modules) for kind, modules in tried))
    steps = Steps(eager)
    bad |= steps.differing(_STEPS if every else range(_SMALL + 1, MOST_ROWS + 1))
    bad |= steps.differing(range(1, _SMALL + 1), STATES)
    for good in (_without(bad), {FIXED_ROWS}):
        if max(good, default=0) >= FIXED_ROWS:
            found = RowCounts.among(good)
            if not steps.with_other_tokens().differing(_CHOSEN, AGAIN, found):
                return found
    return None


def _without(bad: set[int]) -> set[int]:
    """Numbers of rows to round up to where these give some row other bits."""
    blocks = (1, 2, 4, 8, FIXED_ROWS)
    few = {n for n in bad if 1 < n <= FIXED_ROWS}
    block = next((b for b in blocks if not any(n % b == 0 for n in few)), FIXED_ROWS)
    return {*range(block, MOST_ROWS + 1, block)} - bad


Operation = nn.Module | Product  # of ``[rows, 1, width]``: a tensor, or several
Modules = list[tuple[Operation, Tensor]]  # each with what it was given, ``[inputs, 1, width]``


def operations(eager: Eager) -> tuple[list[tuple[Any, Modules]], bool]:
    """The modules of each kind of product and norm, and whether these are all that has weights.

    A mixture's experts, for one, are not.
    """
    model, kinds = eager.model, dict[Any, list[nn.Module]]()
    leaves = _leaves(model)
    for module in leaves:
        if product_of(module) or not is_packed(module) or _is_changed(module):
            kinds.setdefault(_kind(module) or module, []).append(module)
    share = {m: -(-INPUTS // len(modules)) for modules in kinds.values() for m in modules}
    count = sum(p.numel() for p in model.parameters())
    length = min(eager.slots.length, _TOKENS // (4 if count > _LARGE else 1))
    vocab = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, vocab, (1, length), generator=generator)
    with _recorded(share) as given:
        model(input_ids=ids.to(eager.device), use_cache=False)
    tried = [
        (kind, [(_call(m), given[m]) for m in modules if m in given])
        for kind, modules in kinds.items()
    ]
    seen = {id(p) for m in leaves if m in given or is_packed(m) for p in m.parameters()}
    seen |= {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return [each for each in tried if each[1]], all(id(p) in seen for p in model.parameters())


def differing(kind: Any, modules: Modules) -> frozenset[int]:
    """The numbers of rows in which a kind of operation gives some row other bits."""
    with _known_lock:
        known = _known.get(kind)
    if known is not None:
        return known
    usual = [_usual(call, given) for call, given in modules]

    def differs(n: int) -> bool:
        for turn in range(_batches(n, modules)):
            which, first = turn % len(modules), turn // len(modules)
            call, given = modules[which]
            rows = (torch.arange(n, device=given.device) + first) % len(given)
            if not torch.equal(_flat(call(given[rows]), n), usual[which][rows]):
                return True
        return False

    found = frozenset(n for n in range(1, MOST_ROWS + 1) if differs(n))
    if isinstance(kind, tuple):
        with _known_lock:
            _known[kind] = found
    return found


# Of kinds of operations of this process's torch and threads: models of one shape are checked once.
_known: dict[Any, frozenset[int]] = {}
_known_lock = threading.Lock()


def _usual(call: Operation, given: Tensor) -> Tensor:
    """What each input gives among ``FIXED_ROWS``, ``[inputs, ...]``."""
    order = torch.arange(-(-len(given) // FIXED_ROWS) * FIXED_ROWS, device=given.device)
    parts = torch.split(order % len(given), FIXED_ROWS)
    return torch.cat([_flat(call(given[rows]), FIXED_ROWS) for rows in parts])[: len(given)]


def _batches(n: int, modules: Modules) -> int:
    """How many batches of ``n`` rows are tried."""
    inputs = sum(len(given) for _, given in modules)
    if n == 1:
        return min(INPUTS, inputs)
    if n > FIXED_ROWS:
        return 1
    call = modules[0][0]
    weight = (
        sum(p.numel() for p in call.parameters())
        if isinstance(call, nn.Module)
        else math.prod(call.shape[:2])
    )
    large = weight > _LARGE_WEIGHT
    return min(_BATCHES_OF_LARGE if large else BATCHES, inputs)


def _flat(out: Any, rows: int) -> Tensor:
    """``[rows, ...]`` of a tensor, or of several, as a router gives."""
    parts = [out] if isinstance(out, Tensor) else [p for p in out if isinstance(p, Tensor)]
    return torch.cat([part.reshape(rows, -1) for part in parts], 1)


def _call(module: nn.Module) -> Operation:
    product = None if _is_changed(module) else product_of(module)
    return product or module


def _kind(module: nn.Module) -> Any:
    """What decides which kernel computes a module; None where that cannot be told."""
    if _is_changed(module):
        return None
    weights = [(tuple(p.shape), p.dtype, p.device.type) for p in module.parameters()]
    product = product_of(module)
    packed = product and (type(product), product.shape)
    return type(module), type(module).forward, packed, *weights, torch.get_num_threads()


def _is_changed(module: nn.Module) -> bool:
    """Whether something stands before or behind a module that its class does not have."""
    own = module.__dict__.get("forward")
    return bool(module._forward_hooks or module._forward_pre_hooks) or (
        own is not None and not is_packed(module)
    )


def _leaves(model: nn.Module) -> list[nn.Module]:
    """Modules with weights of their own and no parts, but those that look rows up."""
    return [
        module
        for module in model.modules()
        if not isinstance(module, nn.Embedding)
        and next(module.children(), None) is None
        and next(module.parameters(recurse=False), None) is not None
    ]


@contextmanager
def _recorded(share: dict[nn.Module, int]) -> Iterator[dict[nn.Module, Tensor]]:
    """Some of what each module is given in the forwards inside, ``[inputs, 1, width]``."""
    given: dict[nn.Module, Tensor] = {}
    generator = torch.Generator().manual_seed(4)

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            flat = inputs[0].reshape(-1, inputs[0].shape[-1])
            some = torch.randperm(len(flat), generator=generator)[: share[module]]
            given[module] = flat[some.to(flat.device)][:, None].clone()

    hooks = [module.register_forward_pre_hook(keep) for module in share]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


class Steps:
    """Decode steps of rows with different states, compared with the same in ``FIXED_ROWS``."""

    def __init__(self, eager: Eager) -> None:
        self._eager, self._count = eager, min(eager.slots.count, MOST_ROWS)
        self._generator = torch.Generator().manual_seed(1)
        places = [3, BLOCK - 2, 17, BLOCK - 1, BLOCK, 40, BLOCK + 9, 2 * BLOCK + 5, 30, 2 * BLOCK]
        longest = min(max(places), eager.slots.length - 1)
        self._places = [min(places[slot % len(places)], longest) for slot in range(self._count)]
        eager.prefill(0, self._tokens(longest).tolist(), 0)
        eager.slots.replicate(0, range(self._count), longest)
        self.with_other_tokens()

    def with_other_tokens(self) -> Steps:
        """The same rows, of other tokens: nothing of what they were compared with is known."""
        self._ids = self._tokens(max(STATES, MOST_ROWS), self._count)
        self._wanted: dict[tuple[int, int], list[Tensor]] = {}
        return self

    def differing(
        self, sizes: Iterable[int], states: int = 1, counts: RowCounts | None = None
    ) -> set[int]:
        """Those of ``sizes`` in which one of ``states`` rows differs, or of one whole step.

        ``counts`` says how many rows are computed for so many; just these without it.
        """
        computed = (counts or RowCounts.every()).computed
        most = min(self._count, len(computed) - 1)
        return {n for n in sizes if n <= most and self._differs(n, computed[n], states)}

    def _differs(self, n: int, computed: int, states: int) -> bool:
        in_a_turn = max(1, self._count // n)
        for step in range(-(-states // n)):
            turn, first = step // in_a_turn, step % in_a_turn * n
            rows = range(first, first + n)
            wanted = [self._usual(turn, slot) for slot in rows]
            found = self._run(turn, rows, computed)
            for part, usual in zip(found, zip(*wanted, strict=True), strict=True):
                if not torch.equal(part, torch.stack(usual)):
                    return True
        return False

    def _usual(self, turn: int, slot: int) -> list[Tensor]:
        """What the row of a slot gets among ``FIXED_ROWS``."""
        if (turn, slot) not in self._wanted:
            first = min(slot, max(0, self._count - FIXED_ROWS))
            rows = range(first, min(first + FIXED_ROWS, self._count))
            found = self._run(turn, rows, FIXED_ROWS)
            for row, parts in zip(rows, zip(*found, strict=True), strict=True):
                self._wanted.setdefault((turn, row), [part.clone() for part in parts])
        return self._wanted[turn, slot]

    def _run(self, turn: int, slots: range, computed: int) -> list[Tensor]:
        """Scores, keys and values, each ``[rows, ...]``, of one step."""
        places = [self._places[slot] for slot in slots]
        ids = self._ids[turn, slots.start : slots.stop].tolist()
        step = Rows(slots, ids, places, idle=computed - len(slots))
        scores = self._eager.decode(step, layers=False).logits
        assert scores is not None
        store, at = self._eager.slots, torch.tensor(places)
        where = torch.tensor([*slots])
        return [scores, store.keys[:, where, :, at], store.values[:, where, :, at]]

    def _tokens(self, *shape: int) -> Tensor:
        vocab = self._eager.model.get_input_embeddings().weight.shape[0]
        return torch.randint(0, vocab, shape, generator=self._generator)
