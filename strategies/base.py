"""The contract of a strategy: a processor changes scores, a search turns them into next rows.

Everything a host needs (controls, validation, documentation, schema) derives from a strategy's
``info`` and ``Params``, so adding a strategy touches one file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from .distribution import Distribution, Measure
from .info import Context, Info, Params, setting
from .ops.bounded import Bounded, Unknown
from .ops.bounded_whole import where_whole
from .step import (
    DraftScores,
    EarlyLayers,
    LookAhead,
    LookingAhead,
    Move,
    Rewind,
    Row,
    SecondPrompt,
    Step,
)

# What a strategy is described and chooses by is part of the contract, and imported from here too.
__all__ = [
    "Choosing",
    "Context",
    "DraftScores",
    "EarlyLayers",
    "Info",
    "LookAhead",
    "LookingAhead",
    "Move",
    "Observed",
    "Params",
    "Processor",
    "Refusal",
    "Rewind",
    "Row",
    "Search",
    "SecondPrompt",
    "Step",
    "Strategy",
    "setting",
]


# How a search chooses a token: it takes the likeliest, draws one, looks for a whole text of high
# score, draws among the texts it keeps, or weighs how much a token resembles those before it.
Choosing = Literal["likeliest", "draw", "text", "drawn text", "likeness"]


class Refusal(ValueError):
    """Raised where a strategy cannot go on; its message is shown to the person who set it up.

    Raised at a step, it ends the lane of that strategy and no other.
    """


class Strategy:
    """The base of every plugin: ``info`` and ``Params`` of the class, one instance a lane.

    ``neutral`` names the parameter values at which the strategy changes nothing; empty where no
    such values exist. ``refuse`` is called before a lane starts.
    """

    info: ClassVar[Info]
    kind: ClassVar[Literal["processor", "search"]]
    Params: ClassVar[type[Params]] = Params
    neutral: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, params: Any, context: Context) -> None:
        self.params = params
        self.context = context

    def refuse(self, chain: Sequence[Strategy]) -> None:
        """Raise ``ValueError``, with the reason, where this strategy cannot run in its recipe.

        ``chain`` holds the recipe's strategies in order, this one and the search included.
        """

    @classmethod
    def is_neutral(cls, params: BaseModel) -> bool:
        """Whether these settings leave every score as it was."""
        return bool(cls.neutral) and all(getattr(params, k) == v for k, v in cls.neutral.items())


# Which log-probability of a chosen token ``observe`` is given: the one after all processors, or
# the one in the scores that this processor was given. With "token" it reads the token alone.
Observed = Literal["final", "given", "token"]


class Processor(Strategy):
    """Changes next-token scores: a logits processor in transformers, a sampler in llama.cpp."""

    kind = "processor"
    stateful: ClassVar[bool] = False
    observes: ClassVar[Observed] = "final"  # which log-probability ``observe`` is given
    keeps_by: ClassVar[Measure | None] = None  # the measure that ``threshold`` is a value of
    each_alone: ClassVar[bool] = False  # a token's new score follows from its old one and the row
    beside: ClassVar[str] = ""  # the processor after which a new step stands, if no preset has it
    leads: ClassVar[bool] = False  # whether a new step stands before all others

    @classmethod
    def leaves_one(cls, params: Any) -> bool:
        """Whether these settings leave one token, so that no later processor has an effect."""
        return False

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        """New scores, float32 ``[len(rows), vocab]``; removed tokens are −inf.

        At least one token stays, except where a ban leaves none: see ``dead_end``. Pure: ``scores``
        is never written to, and a row's result depends on that row alone. The prompt of a row may
        hold ids of ``vocab`` and more.
        """
        raise NotImplementedError

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        """Bounds on what ``__call__`` returns for scores of which only some are known.

        Not called where the settings are neutral. ``rows`` have the state of a processor that
        observes the "token" alone; those of another ``stateful`` one follow each other from the
        text's first token, and it finds its states itself. Raises ``Unknown`` where there are no
        such bounds. This implementation gives them for a processor that is ``each_alone`` and keeps
        the order of scores, and for any other in rows of which all that is left is known.
        """
        if type(self).needs is not Processor.needs:
            raise Unknown("what the model reads for it beside the text was not recorded.")
        if self.goes_back:
            raise Unknown(
                "it takes tokens back, and what would be written instead was not recorded."
            )
        if self.remembers_probabilities:
            raise Unknown("what it remembers of the text so far was not recorded.")

        def each(both: NDArray[np.float32], row: int) -> Tensor:
            return self(torch.from_numpy(both), [rows[row]] * 2)

        def whole(own: NDArray[np.float32], row: int) -> Tensor:
            return self(torch.from_numpy(own)[None], [rows[row]])[0]

        if self.each_alone:
            return scores.each(each, self.context.vocab_size)
        return where_whole(scores, whole, self.context.vocab_size)

    @property
    def remembers_probabilities(self) -> bool:
        """Whether its state follows from how likely the tokens were, and not from them alone."""
        return self.stateful and self.observes != "token"

    def initial_state(self) -> Any:
        """The state of a row before its first token, for a ``stateful`` processor."""
        return None

    def observe(self, state: Any, token: int, logprob: float) -> Any:
        """The state after ``token`` was chosen, with this log-probability (nats; ``observes``)."""
        return state

    def needs(self, prompt: Sequence[int]) -> SecondPrompt | EarlyLayers | DraftScores | None:
        """What to compute for ``row.given``, after a prompt of these tokens; None for nothing."""
        return None

    def dead_end(self, row: Row) -> str:
        """Why this processor left ``row`` no token, in a sentence; the lane ends with it."""
        return "it removed every token."

    def threshold(self, given: Distribution) -> float | None:
        """The value of ``keeps_by`` between the tokens of ``given`` that are kept and removed.

        It tells a person how far a removed token was from staying. Called at every step unless the
        settings are neutral, so None where it would be costly to compute.
        """
        return None

    def measure(self, row: Row) -> Mapping[str, float]:
        """Figures of the text of ``row`` so far, by name, to be shown with its other figures."""
        return {}

    def rewind(self, row: Row) -> Rewind | None:
        """How far ``row`` goes back, once its last token was observed; None where it stays.

        ``row.done`` says that the text ends with that token, unless it is taken back. A rewind of
        0 tokens only gives the processor its new ``state``. Only a text whose search chooses each
        token by itself can go back: ``Recipe.build`` refuses others.
        """
        return None

    def after_rewind(self, earlier: Any, now: Any) -> Any:
        """The state of a row that another strategy took back, where it was ``earlier``.

        By default all that came to be known since is forgotten. A processor that takes tokens back
        itself, and bounds how often, goes on counting from ``now``.
        """
        return earlier

    def settled(self, row: Row) -> int:
        """How many of the row's generated tokens ``rewind`` surely leaves, whatever follows."""
        return len(row.generated)

    @property
    def goes_back(self) -> bool:
        """Whether it may take tokens back."""
        return type(self).rewind is not Processor.rewind and not self.is_neutral(self.params)


class Search(Strategy):
    """Maps a lane's current rows to its next rows.

    ``chooses`` says how it chooses a token; None where ``Choosing`` has no word for it. A "draw"
    depends on the scores and on the noise of the row's ``sample`` alone. For searches of
    "likeliest" and "draw" the engine fills ``Step.batch_draws``, in one operation for all lanes.
    """

    kind = "search"
    chooses: ClassVar[Choosing | None] = None
    reads_logprobs: ClassVar[bool] = False  # processors are fed log-softmax values, as for beams
    needs_hidden: ClassVar[bool] = False  # see Step.hidden and LookAhead
    asks: ClassVar[bool] = False  # a person chooses; without a move the lane waits for one
    weighs_by: ClassVar[str] = "score"  # what ``weigh`` gives, in words
    rewinds: ClassVar[bool] = False  # it may return a ``Rewind``
    independent: ClassVar[bool] = False  # all rows begin at the first step, and none forks later

    def width(self) -> int:
        """How many rows the lane may own at once. Every lane starts from one.

        Where fewer can be had, ``independent`` rows go on one after the other.
        """
        return 1

    def advance(self, step: Step) -> Sequence[Move | Rewind] | LookingAhead:
        """The next rows, finished ones included. Where all of them are finished, the lane ends.

        A search that ``needs_hidden`` and keeps one row may be a generator instead. It yields a
        ``LookAhead`` at distinct tokens, at most ``width()`` of them, and is sent their states,
        computed in the next forward, which all lanes share. Then it may look again, or return its
        moves; the next token must be one of those it looked at last.
        """
        raise NotImplementedError

    def draft(self, row: Row) -> Sequence[int]:
        """Drafted tokens to follow ``row``, for a search of one row: speculative decoding.

        One forward computes the scores after all of them. ``advance`` is still called token by
        token, and needs no further forward as long as it chooses the drafted tokens.
        """
        return ()

    def guesses(self) -> int:
        """How many tokens the draft model shall draft, by the same recipe; 0 for no drafting."""
        return 0

    @property
    def draft_model(self) -> str:
        """The id or title of the model that drafts; empty is the host's own."""
        return ""

    def measure(self, row: Row, rows: Sequence[Row]) -> Mapping[str, float]:
        """What it finds in the text of ``row`` beside the others, by name: why it stands there."""
        return {}

    def order(self, rows: Sequence[Row]) -> list[Row]:
        """Finished and running rows, best first."""
        return sorted(rows, key=lambda row: row.sample)

    def weigh(self, rows: Sequence[Row]) -> list[float]:
        """What whole texts are compared by, of each row, the highest best: it is shown with them.

        Asked only of a search that keeps several texts at once and chooses among them.
        """
        return [row.score for row in rows]

    def group(self, row: Row) -> int | None:
        """The number of the row's group, from 0, where it keeps rows in groups that differ."""
        return None

    def best(self, rows: Sequence[Row]) -> Row:
        """The first row of ``order``, which stands for the lane."""
        return self.order(rows)[0]
