"""The model's two forwards over slots: a prompt at once, and one token of many rows.

A row's scores must not depend on its company. Whether this machine's kernels give a row the same
bits in every batch size is measured when a model is loaded; where they do not, every decode runs
at one fixed number of rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from playground.engine.attention import ATTENTION, Grouping, Part, find_grouping, place, placed
from playground.engine.captured import Capture, Captured, captures
from playground.engine.heard import Early, Heard, States, early_rows
from playground.engine.packed import pack, unpack, watched
from playground.engine.probe import own_scores, prompts
from playground.engine.slots import Slots, fitting
from playground.engine.traced import Traces
from playground.engine.transformers_compat import cache_argument
from playground.errors import UnsupportedModel

log = logging.getLogger(__name__)

FIXED_ROWS = 16  # of a padded decode
MOST_ROWS = 96  # of one decode; more are run in turns
PIECE = {"cpu": 256, "mps": 512, "cuda": 2048}  # prompt tokens of one forward; others wait for it
_PROBED = (1, 2, 3, 5, 7, 8, 9, 12, 14, 16, 24, 32, 33, 48, 64, MOST_ROWS)  # batch sizes compared
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 2e-2}


class Forward:
    """A causal language model reading and writing rows of a ``Slots``.

    Raises ``UnsupportedModel`` where its scores over slots differ from the model's own.
    """

    def __init__(
        self,
        model: Any,
        *,
        rows: int,
        length: int,
        budget: int | None = None,
        pack_weights: bool = True,
        capture: Capture | None = None,
    ) -> None:
        """``rows`` slots of ``length`` tokens, two at least, or what ``budget`` bytes hold.

        ``capture`` is how decode steps are captured, if not as is usual for the device.
        """
        self.model = model
        weight = model.get_input_embeddings().weight
        self.device: torch.device = weight.device
        self.dtype: torch.dtype = weight.dtype
        self.vocab_size = int(weight.shape[0])
        self.piece = PIECE[self.device.type]
        own = model.config._attn_implementation
        try:
            with torch.inference_mode():
                capture = capture or captures(self.device)
                self._prepare(rows, length, budget, pack_weights, capture)
        except Exception as error:
            unpack(model)
            model.set_attn_implementation(own)
            if isinstance(error, UnsupportedModel | MemoryError | torch.OutOfMemoryError):
                raise
            raise UnsupportedModel(f"it does not run over shared slots: {error}") from error

    def _prepare(
        self,
        rows: int,
        length: int,
        budget: int | None,
        pack_weights: bool,
        capture: Capture | None,
    ) -> None:
        """Storage, and proof that the model over it is the model itself."""
        model, probe = self.model, prompts(self.vocab_size)
        with watched(model) as groups:
            wanted, shapes = own_scores(model, probe, self.device)
        self.packed_bytes = pack(model, groups) if pack_weights else 0
        model.set_attn_implementation(ATTENTION)
        spare = 1 if capture else 0
        rows, length = fitting(shapes, self.dtype, rows, length, budget, spare)
        self.slots = Slots(shapes, rows, length, self.dtype, self.device, spare)
        heads = model.config.get_text_config().num_attention_heads
        self.grouping: Grouping = find_grouping(heads, shapes[0], self.dtype, self.device)
        self.padded_to: int | None = None
        self._reads_head_apart = False
        self.captured: Captured | None = None  # what decode runs instead, where there is one
        self.traced: Traces | None = None  # likewise
        self._check(probe, wanted)
        self.padded_to = None if self._rows_are_independent(probe) else FIXED_ROWS
        self._reads_head_apart = self.padded_to is None and self._head_is_apart(probe)
        if capture is not None:
            try:
                self.captured = self._capture(capture)
                self._check(probe, wanted)
            except Exception as error:
                self._do_without_captures(error)

    @torch.inference_mode()
    def prefill(
        self, slot: int, ids: Sequence[int], start: int = 0, *, states: bool = False
    ) -> Heard:
        """Write a prompt's keys and values to ``slot``; what is said after its last token.

        ``ids`` may be a later piece of it, after ``start`` tokens that the slot holds already. At
        most ``piece`` tokens are read in one forward, whoever asks, so that a prompt's bits do not
        depend on how it was cut.
        """
        paths = []
        for first in range(0, len(ids), self.piece):
            part = ids[first : first + self.piece]
            heard = self._read(slot, part, start + first, keep=1, states=states)
            if heard.states is not None:
                paths.append(heard.states.path)
        if len(paths) > 1 and heard.states is not None:
            heard = replace(heard, states=replace(heard.states, path=torch.cat(paths)))
        return heard

    @torch.inference_mode()
    def verify(self, slot: int, ids: Sequence[int], start: int, *, states: bool = False) -> Heard:
        """What is said after each of ``ids``, as many rows; ``slot`` holds ``start`` tokens."""
        return self._read(slot, ids, start, keep=len(ids), states=states)

    @torch.inference_mode()
    def decode(
        self,
        slots: Sequence[int],
        ids: Sequence[int],
        positions: Sequence[int],
        *,
        states: bool = False,
        early: Sequence[Early] = (),
    ) -> Heard:
        """One token of each row. ``slots`` rise; ``positions`` are where each token stands.

        ``early``, of which states are needed, is answered here only where that saves time.
        """
        if self.captured is not None:
            try:
                scores, layers = self.captured.read(slots, ids, positions, states)
                return Heard(scores, None if layers is None else States(layers, layers[-1]))
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._do_without_captures(error)
        most = self.padded_to or MOST_ROWS
        if states and self._reads_head_apart and len(slots) + early_rows(early) <= most:
            return self._decode_with_early(slots, ids, positions, early)
        parts = [
            self._decode(slots[i : i + most], ids[i : i + most], positions[i : i + most], states)
            for i in range(0, len(slots), most)
        ]
        if len(parts) == 1:
            return parts[0]
        found = [part.states for part in parts if part.states is not None]
        return Heard(
            torch.cat([part.scores for part in parts]),
            States(
                torch.cat([part.last for part in found], 1),
                torch.cat([part.path for part in found]),
            )
            if found
            else None,
        )

    @torch.inference_mode()
    def head(self, states: Tensor) -> Tensor:
        """What the model would say at these states ``[n, width]``, float32 ``[n, vocab]``."""
        n, most = len(states), self.padded_to
        if most is not None and n % most:
            states = torch.cat([states, states.new_zeros(-n % most, states.shape[-1])])
        head = self.model.get_output_embeddings()
        with placed(Part.of(0, 0, 1, self.device)):  # else the weights are not packed
            parts = [head(part) for part in (torch.split(states, most) if most else [states])]
        scores: Tensor = torch.cat(parts)[:n].float()
        return scores

    def trace(self) -> None:
        """Have the forwards traced meanwhile, where rows are independent, on a CPU."""
        if self.device.type == "cpu" and self.padded_to is None and self.captured is None:
            layers = self._layers_of if self._reads_head_apart else None
            self.traced = Traces(self.model, self.slots, self.grouping, self._scores_of, layers)

    def settle(self) -> None:
        """Wait until that is done."""
        if self.traced is not None:
            self.traced.wait()

    def close(self) -> None:
        """Trace no more."""
        if self.traced is not None:
            self.traced.leave()

    def _read(self, slot: int, ids: Sequence[int], start: int, keep: int, states: bool) -> Heard:
        """Tokens of one row, of which the last ``keep`` are answered."""
        if self.traced is not None and keep == 1 and not states:
            scores = self.traced.piece.read(slot, ids, start)
            if scores is not None:
                return Heard(scores)
        tokens = torch.tensor([list(ids)], device=self.device)
        positions = torch.arange(start, start + len(ids), device=self.device)[None]
        with placed(Part.of(slot, start, len(ids), self.device)):
            out = self._run(tokens, positions, keep, states)
        found = None
        if states:
            layers = torch.stack([layer[0] for layer in out.hidden_states])  # [., tokens, width]
            found = States(layers[:, -keep:].clone(), layers[-1].clone())
        return Heard(out.logits[0, -keep:].float(), found)

    def _do_without_captures(self, error: Exception) -> None:
        self.captured = None
        name = type(self.model).__name__
        log.warning("%s: decode steps are not captured and take longer: %s", name, error)

    def _decode(
        self, slots: Sequence[int], ids: Sequence[int], positions: Sequence[int], states: bool
    ) -> Heard:
        if self.traced is not None and not states:
            scores = self.traced.scores.read(slots, ids, positions)
            if scores is not None:
                return Heard(scores)
        n = len(slots)
        idle = max(0, (self.padded_to or 0) - n)
        tokens = torch.tensor([*ids, *[0] * idle], device=self.device)[:, None]
        places = torch.tensor([*positions, *[0] * idle], device=self.device)[:, None]
        with placed(place(slots, positions, self.grouping, self.slots.keys[0], idle)):
            out = self._run(tokens, places, 1, states)
        found = None
        if states:
            layers = torch.stack([layer[:n, 0] for layer in out.hidden_states])
            found = States(layers, layers[-1])
        return Heard(out.logits[:n, -1].float(), found)

    def _decode_with_early(
        self,
        slots: Sequence[int],
        ids: Sequence[int],
        positions: Sequence[int],
        early: Sequence[Early],
    ) -> Heard:
        """The same with ``early``, in one product of the vocabulary head."""
        n = len(slots)
        placement = place(slots, positions, self.grouping, self.slots.keys[0])
        with placed(placement):
            layers = None
            if self.traced is not None:
                layers = self.traced.layers.read(slots, ids, positions)
            if layers is None:
                tokens = torch.tensor(list(ids), device=self.device)[:, None]
                layers = self._layers_of(tokens, placement.positions[:, None])
            asked = [layers[list(wanted), row] for row, wanted in early]
            states = torch.cat([layers[-1], *asked])
            scores = self.model.get_output_embeddings()(states[:, None])[:, 0].float()
        answers = torch.split(scores[n:], [len(wanted) for _, wanted in early])
        found = dict(zip(early, answers, strict=True))
        return Heard(scores[:n], States(layers, layers[-1]), found)

    def _run(self, tokens: Tensor, positions: Tensor, keep: int, states: bool) -> Any:
        return self.model(
            input_ids=tokens,
            position_ids=positions,
            **cache_argument(self.model, self.slots.cache),
            use_cache=True,
            logits_to_keep=keep,
            output_hidden_states=states,
        )

    def _scores_of(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Float32 ``[rows, vocab]`` after the last token of each row."""
        scores: Tensor = self._run(tokens, positions, 1, False).logits[:, -1].float()
        return scores

    def _layers_of(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Hidden states of one token of each row, ``[layers + 1, rows, width]``."""
        out = self.model.base_model(
            input_ids=tokens,
            position_ids=positions,
            **cache_argument(self.model.base_model, self.slots.cache),
            use_cache=True,
            output_hidden_states=True,
        )
        return torch.stack([layer[:, 0] for layer in out.hidden_states])

    def _check(self, probe: list[list[int]], wanted: list[Tensor]) -> None:
        """Two rows of different lengths over slots against the model's own scores."""
        start = [len(ids) - 3 for ids in probe]
        for slot, (ids, first) in enumerate(zip(probe, start, strict=True)):
            self._compare(self.prefill(slot, ids[:first]).scores[0], wanted[slot][first - 1])
        for step in range(3):
            places = [first + step for first in start]
            fed = [ids[place] for ids, place in zip(probe, places, strict=True)]
            for slot, scores in enumerate(self.decode([0, 1], fed, places).scores):
                self._compare(scores, wanted[slot][places[slot]])

    def _capture(self, capture: Capture) -> Captured:
        """Captured steps, which say in every length of text what the plain ones do."""
        known = min(self.piece, self.slots.length)
        generator = torch.Generator().manual_seed(1)
        self.prefill(0, torch.randint(self.vocab_size, (known,), generator=generator).tolist())
        captured = Captured(
            self.model, self.slots, self.grouping, capture, FIXED_ROWS, MOST_ROWS, known
        )
        for position in captured.places:
            row = [0], [0], [position]
            self._compare(captured.read(*row, states=False)[0], self._decode(*row, False).scores)
        return captured

    def _compare(self, scores: Tensor, wanted: Tensor) -> None:
        difference = float((scores - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))
        if not difference <= _TOLERANCE.get(self.dtype, 1e-3):
            raise UnsupportedModel(
                f"its scores over shared slots differ from its own by {difference:.1%}"
            )

    def _rows_are_independent(self, probe: list[list[int]]) -> bool:
        """Whether equal rows get equal bits in every place of every batch size, without padding."""
        ids, place_at = probe[0], len(probe[0])
        self.prefill(0, ids)
        self.slots.spread(0, range(self.slots.count), place_at)

        def scores(n: int) -> Tensor:
            return self.decode(range(n), ids[:1] * n, [place_at] * n).scores

        alone = scores(1)
        return all(
            torch.equal(scores(n), alone.expand(n, -1)) for n in _PROBED if n <= self.slots.count
        )

    def _head_is_apart(self, probe: list[list[int]]) -> bool:
        """Whether the head on the top states is all that makes the scores of them."""
        what = [0, 1], [ids[-1] for ids in probe], [len(ids) - 1 for ids in probe]
        for slot, ids in enumerate(probe):
            self.prefill(slot, ids)
        try:
            apart = self._decode_with_early(*what, early=[(1, (1,))])
        except (AttributeError, TypeError, RuntimeError):
            return False
        return torch.equal(apart.scores, self._decode(*what, states=False).scores)
