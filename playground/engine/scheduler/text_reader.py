"""Reads a text that a run goes on with, with the bits that its tokens had when they were written.

A lane's tokens are read one at a time, and so are these, only that many of them share a forward:
each is a row of its own at its own position, in the slot of the same text. In every layer all rows
are written before one is attended to, so a row finds the keys and values of those before it; and a
row's bits do not depend on how many are beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from playground.engine.attention.kv_slots import KeptTokens, KVSlots
from playground.engine.forward import Forward, ForwardOutput
from playground.engine.forward.output import HiddenStates
from playground.engine.lanes.lane import Lane
from playground.engine.scheduler.prompt_cache import CachedText, PromptCache

_SHARE = 8  # of the cache, the texts of one lane take one byte in so many


class TextReader:
    """Fills slots with texts, from the cache as far as it goes. Only the loop calls it."""

    def __init__(self, forward: Forward, prompts: PromptCache) -> None:
        self.forward, self.prompts = forward, prompts

    @property
    def most(self) -> int:
        """Tokens of one forward, for which the rows at work wait."""
        return self.forward.row_counts.most

    def restore(
        self, slot: int, prompt: Sequence[int], text: Sequence[int], *, states: bool = False
    ) -> CachedText | None:
        """Write what is kept of a text into ``slot``, after the prompt that it holds.

        Never all of it: the last token is read for what follows it. With ``states`` only where
        those are kept too.
        """
        kept = self.prompts.longest(prompt, text[:-1], states=states)
        if kept is not None:
            self.forward.slots.write(slot, KeptTokens(kept.keys, kept.values), len(prompt))
        return kept

    @torch.inference_mode()
    def read(
        self, slot: int, tokens: Sequence[int], start: int, *, states: bool = False
    ) -> ForwardOutput:
        """Read ``tokens`` into a slot that holds ``start`` tokens already.

        The logits after each of them, and with ``states`` those of all of them.
        """
        count = len(tokens)
        output = self.forward.decode(
            [slot] * count, tokens, range(start, start + count), states=states
        )
        if output.states is None:
            return ForwardOutput(output.logits.clone())
        layers, top = output.states.layers[:, -1:].clone(), output.states.top.clone()
        return ForwardOutput(output.logits.clone(), HiddenStates(layers, top))

    @torch.inference_mode()
    def read_after(self, slot: int, prompt: Sequence[int], text: Sequence[int]) -> ForwardOutput:
        """Read a prompt into a slot, and then a text after it."""
        output = self.forward.prefill(slot, prompt)
        done = 0
        if text:
            kept = self.restore(slot, prompt, text)
            done = 0 if kept is None else len(kept)
        while done < len(text):
            tokens = text[done : done + self.most]
            output = last(self.read(slot, tokens, len(prompt) + done))
            done += len(tokens)
        return output

    def keep(self, lane: Lane) -> None:
        """Have the texts of a lane that ended be gone on with, while its slots still hold them.

        Tokens that were drafted were not read one at a time, and rows of beams that ended earlier
        may have lost their slots to others: their texts are not kept, and will be read.
        """
        if not isinstance(self.forward.slots, KVSlots):  # a state cannot be cut
            return
        most = self.prompts.budget // _SHARE
        for role in lane.slots.roles if not lane.drafted else ():
            for held in lane.view.rows:
                prompt = held.row.prompt if role is None else role.tokens
                text = held.row.generated[:-1]  # of the last one nothing was read
                if held.slot < 0 or not text:
                    continue
                size = self.forward.slots.bytes_per_token * len(text)
                most -= size
                if most < 0:
                    return
                slot = lane.slots.beside(held.slot, role)
                kept = self.forward.slots.read(slot, len(text), len(prompt))
                states = None
                if lane.states_read and role is None:
                    states = torch.cat(lane.states_read)[len(prompt) :][: len(text)]
                self.prompts.put_text(prompt, text, CachedText(kept.keys, kept.values, states))


def last(output: ForwardOutput) -> ForwardOutput:
    """The output after the last of several tokens."""
    return replace(output, logits=output.logits[-1:])
