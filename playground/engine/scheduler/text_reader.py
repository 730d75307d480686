"""Reads the text that a run continues, with the bits that its tokens had when they were generated.

A lane's tokens are read one at a time, and so are these, only that many of them share a forward:
each is a row of its own at its own position, in the slot of the same text. In every layer the keys
and values of all rows are written before attention reads any, so a row finds those of the rows
before it; and a row's bits do not depend on how many are beside it.
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
        """Write what the cache has of a text to ``slot``, after the prompt that it holds.

        The last token is never restored: it is read for the logits after it. With ``states`` only
        texts whose hidden states are kept are restored.
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

        Returns the logits after each of them, and with ``states`` the hidden states of all.
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
        """Read a prompt into a slot and then a text after it; the output after the last token."""
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
        """Cache the texts of a lane that ended, while its slots still hold them.

        Drafted tokens were not read one at a time, and rows of beams that ended earlier may have
        lost their slots to others: their texts are not cached.
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
