"""Drafts with a smaller model, whose tokens the larger one then verifies in one forward."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from playground.engine.forward import Forward
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.rows import Fault
from playground.models import LoadedModel, device
from playground.process import Process
from strategies import Refusal, Rewind, Step
from strategies.ops.noise import Noise

_MEMORY_SHARE = 8  # of an accelerator's free memory, keys and values take one byte in so many
_TEXTS = 16  # whose keys and values are kept; of more, those used longest ago are read again


class Drafter:
    """Drafts with the lane's own recipe and noise, so that only the two models may differ."""

    def __init__(
        self,
        model: LoadedModel,
        vocab: int,
        *,
        pack_weights: bool = True,
        process: Process | None = None,
        trace: bool = False,
    ) -> None:
        """``vocab`` is the larger model's. Raises ``UnsupportedModel`` as its engine would."""
        self.id, self.title, self.vocab = model.facts.id, model.facts.title, vocab
        where = next(model.model.parameters()).device
        self.forward = Forward(
            model.model,
            rows=_TEXTS,
            length=model.context_length,
            budget=None if where.type == "cpu" else device.free_bytes(where) // _MEMORY_SHARE,
            pack_weights=pack_weights,
            process=process,
        )
        if trace:
            self.forward.trace()
        self._texts: OrderedDict[int, tuple[int, ...]] = OrderedDict(
            (slot, ()) for slot in range(self.forward.slots.count)
        )  # the tokens read into each slot, the one used longest ago first
        self._scored: dict[int, int] = {}  # slots read as ``scores`` reads, and the prompt's length

    def guess(self, lane: Lane, count: int) -> list[int]:
        """The next tokens that the lane would write on this model, ``count`` at most."""
        held = lane.running[0]
        row, states = held.row, list(held.states)
        found: list[int] = []
        for _ in range(min(count, self.forward.slots.length - len(row.tokens))):
            scores = self.logits(row.tokens)
            if lane.search.reads_logprobs:
                scores = scores.log_softmax(-1)
            given: list[Tensor] = []
            for p, (processor, need) in enumerate(zip(lane.processors, lane.needs, strict=True)):
                given.append(scores)
                if need is None:  # what else a processor reads is not read here
                    scores = processor(scores, [replace(row, state=states[p])])
            noise = Noise(row.seed, len(row.generated), self.vocab, self.forward.device)
            step = Step(len(row.generated), [row], scores, noise, _never)
            moves = lane.search.advance(step)
            if isinstance(moves, Generator):
                raise Fault("a search that looks ahead cannot have its tokens drafted")
            if isinstance(moves[0], Rewind):
                break
            token = moves[0].token
            for p, processor in enumerate(lane.processors):
                if processor.stateful:
                    known = step.scores[0] if processor.observes == "final" else given[p][0]
                    logprob = float(known.log_softmax(-1)[token])
                    states[p] = processor.observe(states[p], token, logprob)
            found.append(token)
            row = replace(row, tokens=(*row.tokens, token))
        return found

    def scores(self, prompt: Sequence[int], generated: Sequence[int]) -> Tensor:
        """The logits after a prompt and what follows it, float32 ``[vocab]``.

        A recipe reads them, so their bits may not depend on what else was read here: a prompt is
        read at once, and what follows it token by token.
        """
        tokens, count = (*prompt, *generated), len(prompt)
        if len(tokens) > self.forward.slots.length:
            raise Refusal(f"the draft model reads at most {self.forward.slots.length:,} tokens.")
        alike = [slot for slot, length in self._scored.items() if length == count]
        slot, known = max(
            ((slot, _common_prefix(self._texts[slot], tokens)) for slot in alike),
            key=lambda pair: pair[1],
            default=(-1, 0),
        )
        oldest = next(iter(self._texts))
        if known < count:
            slot, known = oldest, 0
        elif len(self._texts[slot]) > known and slot != oldest:  # another text goes on there
            self.forward.slots.copy([slot], [oldest], 0, known)
            slot = oldest
        start = min(known, len(tokens) - 1)
        self._texts[slot], self._scored[slot] = tokens[:start], count
        if start < count:
            output, start = self.forward.prefill(slot, prompt), count
        for at in range(start, len(tokens)):
            output = self.forward.decode([slot], [tokens[at]], [at])
        self._texts[slot] = tokens
        self._texts.move_to_end(slot)
        return self._padded(output.logits)[0]

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """The logits after ``tokens``, float32 ``[1, vocab]``; only new tokens are read."""
        tokens = tuple(tokens)
        slot, known = max(
            ((slot, _common_prefix(text, tokens)) for slot, text in self._texts.items()),
            key=lambda pair: pair[1],
        )
        if len(self._texts[slot]) > known + _TEXTS:  # another text goes on differently there
            other = next(iter(self._texts))
            if other != slot:
                self.forward.slots.copy([slot], [other], 0, known)
                slot = other
        start = min(known, len(tokens) - 1)
        self._texts[slot] = tokens[:start]  # all it surely holds, should the forward fail
        self._scored.pop(slot, None)
        if len(tokens) - start == 1:
            output = self.forward.decode([slot], tokens[-1:], [start])
        else:
            output = self.forward.prefill(slot, tokens[start:], start)
        self._texts[slot] = tokens
        self._texts.move_to_end(slot)
        return self._padded(output.logits)

    def _padded(self, logits: Tensor) -> Tensor:
        """As many columns as the larger model has: a family's models round them differently."""
        missing = self.vocab - logits.shape[-1]
        return pad(logits, (0, missing), value=-torch.inf) if missing else logits


def _never(row: int, token: int) -> bool:
    return False


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count
