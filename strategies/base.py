"""The contract of a strategy: a processor reshapes scores, a search turns them into rows.

Everything a host needs (controls, validation, documentation, schema) derives from a strategy's
``info`` and ``Params``, so adding a strategy touches one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from .distribution import Distribution, Measure
from .ops.bounded import Bounded, Unknown
from .step import EarlyLayers, LookAhead, LookingAhead, Move, Row, SecondPrompt, Step

# The values of a step are part of the contract, and are imported from here too.
__all__ = [
    "Choosing",
    "Context",
    "EarlyLayers",
    "Info",
    "LookAhead",
    "LookingAhead",
    "Move",
    "Observed",
    "Params",
    "Processor",
    "Refusal",
    "Row",
    "Search",
    "SecondPrompt",
    "Step",
    "Strategy",
    "setting",
]


@dataclass(frozen=True)
class Info:
    """A strategy's name, description and source, as people read them.

    ``formula`` is LaTeX without delimiters; ``source`` names the paper or library the definition
    is from and ``url`` leads to it; ``advice`` says in two sentences when to use it and when not.
    """

    id: str
    title: str
    summary: str
    formula: str
    source: str
    url: str = ""
    advice: str = ""


class Params(BaseModel):
    """The settings of one strategy: frozen, closed, every field bounded and described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any,
    description: str,
    *,
    usual: tuple[float, float] | None = None,
    step: float | None = None,
    **bounds: Any,
) -> Any:
    """A field of ``Params``: its default, one sentence about it, its bounds (``ge``, ``le``, …).

    ``usual`` is the range a slider offers (the bounds may allow more) and ``step`` its increment.
    """
    hints: dict[str, Any] = {}
    if usual is not None:
        hints["usual"] = list(usual)
    if step is not None:
        hints["step"] = step
    return Field(default, description=description, json_schema_extra=hints or None, **bounds)


@dataclass(frozen=True)
class Context:
    """What a strategy may know of the model and the run it works in. Fixed for a lane's life."""

    vocab_size: int
    eos_token_ids: tuple[int, ...]
    max_new_tokens: int
    encode: Callable[[str], list[int]]  # text -> token ids, no special tokens added
    decode: Callable[[Sequence[int]], str]
    tokenizer: Callable[[], str] | None = None  # as the JSON of the tokenizers library, where known
    layers: int | None = None  # of the model, where there is one
    tied: bool | None = None  # whether its vocabulary head is its embeddings' own weights
    draft_model: str | None = None  # the title of the smaller one that guesses, where there is one
    encode_prompt: Callable[[str], list[int]] | None = None  # as the prompt is fed; else ``encode``


# By what a search prefers one token to another: it takes the likeliest, draws, seeks a whole text
# of high score, draws among the texts it keeps, or weighs likeness to what came before.
Choosing = Literal["likeliest", "draw", "text", "drawn text", "likeness"]


class Refusal(ValueError):
    """A strategy cannot do what was asked of it; the message is the sentence a person reads.

    Raised at a step, it ends that lane alone.
    """


class Strategy:
    """What every plugin is: ``info``, ``Params``, and an instance per lane.

    ``neutral`` names the parameter values at which the strategy changes nothing; empty where no
    such values exist. ``refuse`` is asked before a lane starts.
    """

    info: ClassVar[Info]
    kind: ClassVar[Literal["processor", "search"]]
    Params: ClassVar[type[Params]] = Params
    neutral: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, params: Any, context: Context) -> None:
        self.params = params
        self.context = context

    def refuse(self, chain: Sequence[Strategy]) -> None:
        """Raise ``ValueError`` with the reason where this has no meaning in its context or chain.

        ``chain`` holds the recipe's strategies in order, this one and the search included.
        """

    @classmethod
    def is_neutral(cls, params: BaseModel) -> bool:
        """Whether these settings leave every score as it was."""
        return bool(cls.neutral) and all(getattr(params, k) == v for k, v in cls.neutral.items())


# Which log-probability of a chosen token ``observe`` is given: the one it was chosen with, or the
# one it had in the scores that this processor was given.
Observed = Literal["final", "given"]


class Processor(Strategy):
    """Reshapes next-token scores; the field's logits processor or sampler.

    ``observes`` says which log-probability ``observe`` is given.
    """

    kind = "processor"
    stateful: ClassVar[bool] = False
    observes: ClassVar[Observed] = "final"
    keeps_by: ClassVar[Measure | None] = None  # what ``threshold`` is a value of
    each_alone: ClassVar[bool] = False  # a token's new score follows from its old one and the row
    beside: ClassVar[str] = ""  # the processor after which a new step stands, where no preset tells
    leads: ClassVar[bool] = False  # whether a new step stands before all others

    @classmethod
    def leaves_one(cls, params: Any) -> bool:
        """Whether these settings leave one token, behind which no step changes anything."""
        return False

    def __call__(self, scores: Tensor, rows: Sequence[Row]) -> Tensor:
        """New scores, float32 ``[len(rows), vocab]``; removed tokens are −inf.

        One stays at least, except where a ban leaves none: see ``dead_end``. Pure: the input is
        never written, and a row's result depends on that row alone. Its prompt may hold ids of
        ``vocab`` and more.
        """
        raise NotImplementedError

    def bound(self, scores: Bounded, rows: Sequence[Row]) -> Bounded:
        """What ``__call__`` makes of scores of which only some are known, as bounds that hold.

        Not asked where the settings are neutral. Raises ``Unknown`` where nothing can be said, as
        here, but for a processor that changes ``each_alone`` and keeps the order of scores.
        """
        if not self.each_alone:
            raise Unknown("what it does to a token depends on scores that were not recorded.")

        def change(both: NDArray[np.float32], row: int) -> Tensor:
            return self(torch.from_numpy(both), [rows[row]] * 2)

        return scores.each(change, self.context.vocab_size)

    def initial_state(self) -> Any:
        """The state of a row before its first token, for a ``stateful`` processor."""
        return None

    def observe(self, state: Any, token: int, logprob: float) -> Any:
        """The state after ``token`` was chosen, with this log-probability (nats; ``observes``)."""
        return state

    def needs(self, prompt: Sequence[int]) -> SecondPrompt | EarlyLayers | None:
        """What this reads beside the scores, given the prompt's tokens; in ``row.given``."""
        return None

    def dead_end(self, row: Row) -> str:
        """Why this leaves ``row`` no token to go on with, in a sentence; its lane ends with it."""
        return "it removed every token."

    def threshold(self, given: Distribution) -> float | None:
        """The line between what this keeps and what it removes of ``given``, in ``keeps_by``.

        None where it is not known at little cost: it is asked at every step, unless the settings
        are neutral, for a person who wants to know how far a removed token was from staying.
        """
        return None

    def measure(self, row: Row) -> Mapping[str, float]:
        """What this finds in the text ``row`` holds so far, by name, for a person to read."""
        return {}


class Search(Strategy):
    """Maps a lane's current rows to its next rows.

    ``chooses`` says by what it prefers one token to another; None where by something else. A "draw"
    is made from the scores with the noise of the row's ``sample`` alone. What the searches of
    "likeliest" and "draw" ask of their step is found for all lanes at once beforehand.
    """

    kind = "search"
    chooses: ClassVar[Choosing | None] = None
    reads_logprobs: ClassVar[bool] = False  # processors are fed log-softmax values, as for beams
    needs_hidden: ClassVar[bool] = False  # see Step.hidden and LookAhead
    asks: ClassVar[bool] = False  # a person chooses: where it has no move, it waits for one

    def width(self) -> int:
        """How many rows the lane may own at once. Every lane starts from one."""
        return 1

    def advance(self, step: Step) -> list[Move] | LookingAhead:
        """The next rows, finished ones included. No unfinished move ends the lane.

        A search that ``needs_hidden`` and keeps one row may be a generator instead. It yields a
        ``LookAhead`` at distinct tokens, at most ``width()`` of them, and is sent their states once
        they are read, in everybody's next forward. Then it may look again, or return its moves; the
        next token must be one of those it looked at last.
        """
        raise NotImplementedError

    def draft(self, row: Row) -> Sequence[int]:
        """Tokens that may well follow ``row``, for a search of one row.

        The model reads them all in one forward. ``advance`` is then asked token by token as ever,
        and as long as it chooses what was drafted the next scores are there already.
        """
        return ()

    def guesses(self) -> int:
        """How many tokens the draft model shall guess, by this very recipe; 0 asks for none."""
        return 0

    def order(self, rows: Sequence[Row]) -> list[Row]:
        """Finished and running rows, the one a person is shown first."""
        return sorted(rows, key=lambda row: row.sample)

    def best(self, rows: Sequence[Row]) -> Row:
        """The row that a person is shown."""
        return self.order(rows)[0]
