"""A prompt on its way into a slot, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from playground.engine.forward import ForwardOutput
from playground.engine.run import Run
from playground.engine.scheduler.prompt_cache import CachedPrompt


@dataclass
class PrefillTask:
    """A prompt that is being read, one chunk at a time; without a run it is only cached.

    After it comes the ``text`` that the run continues, whose tokens are read with the bits that
    they had when they were generated: see ``TextReader``.
    """

    ids: Sequence[int]
    slots: list[int]
    run: Run | None
    text: Sequence[int] = ()
    cached: CachedPrompt | None = None  # nothing is left to read of the prompt
    done: int = 0  # tokens of the prompt that are in the slot
    written: int = 0  # and of the text
    reused: int = 0  # of both, copied from the cache and not read
    seconds: float = 0.0
    error: Exception | None = None
    finite: bool = True  # no logits were NaN
    output: ForwardOutput | None = None  # after the last token, once all is read
    chunk_states: list[Tensor] = field(default_factory=list)  # top states, where they are needed
    logits: list[Tensor] = field(default_factory=list)  # before each of the tokens put by hand

    @property
    def cacheable(self) -> bool:
        """Whether the cache may serve it: a lane measured alone is measured with its prefill."""
        return self.run is None or not self.run.request.alone

    @property
    def needs_states(self) -> bool:
        """Whether any of its lanes reads hidden states."""
        return self.run is not None and any(lane.needs_hidden for lane in self.run.lanes)

    @property
    def needs_all_states(self) -> bool:
        """Whether it reads those of every token, and not of the last one alone."""
        return self.run is not None and any(lane.search.needs_hidden for lane in self.run.lanes)

    @property
    def length(self) -> int:
        return len(self.ids) + len(self.text)

    @property
    def by_hand(self) -> int:
        """How many tokens at the end of the text a person put there, so that no run recorded them.

        The run records the model's own distribution at each of them; see ``put_records``.
        """
        request = self.run.request if self.run is not None else None
        put = len(request.forked.tokens) if request is not None and request.forked else 0
        known = request.prefix_logprobs[len(self.text) - put :] if request is not None else []
        return put if (put and not all(known)) or len(known) < put else 0
