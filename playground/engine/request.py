"""A request, the bounds it must keep, and the sentences that say what is wrong with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from playground.trace import Fork
from strategies.notation import half_character, unfindable
from strategies.recipe import Recipe

SEEDS = 2**63  # a seed is one of these
STOPPED = "The server was stopped before this text was finished."  # the error of its lane


class FieldError(ValueError):
    """A request that cannot be run as it is: ``field`` names what to change, as in the request.

    ``number`` is its index among requests that were submitted together.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.number = 0
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.message), {"number": self.number}


class Busy(RuntimeError):
    """No more runs are taken now; ``retry_after_s`` is when there may be room again."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = max(1, retry_after_s)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.retry_after_s)


class EngineClosed(RuntimeError):
    """The engine takes no more runs."""


class Cancelled(RuntimeError):
    """The client no longer waits for the response."""


class Request(BaseModel):
    """A prompt, its limits, and a recipe for each lane."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    prompt_ids: list[int] = Field(default_factory=list)  # its tokens, where they are given
    recipes: list[Recipe]
    names: list[str] = Field(default_factory=list)  # of the recipes, in order; empty for none
    max_new_tokens: int = 64  # with 0 nothing is written, and the prompt can be scored
    min_new_tokens: int = 0
    seed: int = 0
    stop: list[str] = Field(default_factory=list)
    # The tokens of a text to continue: penalties, states and noise treat them as generated.
    prefix: list[int] = Field(default_factory=list)
    # The log-probabilities with which each of them was chosen, as far as they are known: the
    # model's, or also those after each processor; see ``lanes/prefix.py``.
    prefix_logprobs: list[list[float]] = Field(default_factory=list)
    forked: Fork | None = None  # where that text was written
    top_n: int = 20  # candidates recorded per token
    chat: bool = False  # put the prompt into the model's chat template, as the user's message
    split_special_tokens: bool = False  # read names of control tokens in the prompt as plain text
    alone: bool = False  # lanes one after the other, for figures that are a lane's own
    cache: bool = True  # False reads the whole text again at every step, to measure what that costs
    deadline: float | None = None  # seconds
    client: str = ""  # whose share of the queue it counts against; none where this is empty
    background: bool = False  # at work only while no other run is; it may be ended to make room

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, stop: Any) -> Any:
        return [stop] if isinstance(stop, str) else stop


class ScoreRequest(BaseModel):
    """A prompt, a text after it, and the recipes under which the text is scored.

    ``text`` is a string, or token ids where its tokens are known. ``seed`` is that of the noise by
    which some processors decide at random, such as XTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    text: str | list[int]
    recipes: list[Recipe]
    min_new_tokens: int = 0
    seed: int = 0
    chat: bool = False
    split_special_tokens: bool = False
    client: str = ""


def named_model(recipe: Recipe) -> str | None:
    """The model that a recipe names to write it; None where it names none."""
    named = [step.params for step in recipe.processors if step.strategy == "model"]
    return next(filter(None, (str(params.id) for params in named)), None)  # type: ignore[attr-defined]


def check_text(field: str, text: str) -> None:
    """Raise ``FieldError`` for a text that no tokenizer reads: one with a lone surrogate."""
    half = half_character(text)
    if half is not None:
        raise FieldError(field, f"{field} has half a character in it ({half}), which is no text.")


@dataclass(frozen=True)
class Limits:
    """The bounds a request must keep, as the host set them."""

    prompt_chars: int = 20_000
    columns: int = 6
    new_tokens: int = 512
    width: int = 16
    stop_strings: int = 8
    stop_chars: int = 100
    top_n: int = 200
    deadline: float = 120.0
    waiting: int = 200  # runs in the queue
    client_runs: int = 8  # of one client, in the queue or at work

    def check(self, request: Request) -> None:
        """Raise ``FieldError`` for the first field out of its bounds."""
        if not request.prompt and not request.prompt_ids:
            raise FieldError("prompt", "The prompt is empty; type at least one character.")
        if len(request.prompt) > self.prompt_chars:
            raise FieldError(
                "prompt",
                f"The prompt has {len(request.prompt):,} characters; at most "
                f"{self.prompt_chars:,} are allowed.",
            )
        check_text("prompt", request.prompt)
        if not request.recipes:
            raise FieldError("recipes", "There is no recipe; give at least one.")
        if len(request.recipes) > self.columns:
            raise FieldError(
                "recipes", f"{len(request.recipes)} recipes; at most {self.columns} are allowed."
            )
        if len(request.names) > len(request.recipes):
            raise FieldError("names", "There are more names than recipes.")
        for name in request.names:
            check_text("names", name)
        self._whole("max_new_tokens", request.max_new_tokens, 0, self.new_tokens)
        self._whole("min_new_tokens", request.min_new_tokens, 0, request.max_new_tokens)
        self._whole("seed", request.seed, 0, SEEDS - 1)
        self._whole("top_n", request.top_n, 1, self.top_n)
        self._stop(request.stop)
        if request.deadline is not None and not 0 < request.deadline <= self.deadline:
            raise FieldError(
                "deadline",
                f"deadline is {request.deadline:g} seconds; it must be more than 0 and at most "
                f"{self.deadline:g}.",
            )

    def check_score(self, request: ScoreRequest) -> None:
        """Raise ``FieldError`` for a text that may not be scored; its tokens are not known yet."""
        if not request.text:
            raise FieldError("text", "The text is empty; give at least one character.")
        most = self.prompt_chars if isinstance(request.text, str) else self.new_tokens
        if len(request.text) > most:
            what = "characters" if isinstance(request.text, str) else "tokens"
            raise FieldError(
                "text", f"The text has {len(request.text):,} {what}; at most {most:,} are allowed."
            )
        if isinstance(request.text, str):
            check_text("text", request.text)

    def _stop(self, stop: Sequence[str]) -> None:
        if len(stop) > self.stop_strings:
            raise FieldError(
                "stop", f"{len(stop)} stop strings; at most {self.stop_strings} are allowed."
            )
        for string in stop:
            if not string:
                raise FieldError("stop", "A stop string is empty; it must have a character.")
            check_text("stop", string)
            if (fault := unfindable(string)) is not None:
                raise FieldError("stop", f"A stop string {fault}")
            if len(string) > self.stop_chars:
                raise FieldError(
                    "stop",
                    f"A stop string has {len(string):,} characters; at most {self.stop_chars} "
                    "are allowed.",
                )

    @staticmethod
    def _whole(field: str, value: Any, least: int, most: int) -> None:
        if not least <= value <= most:
            raise FieldError(field, f"{field} is {value:,}; it must be from {least:,} to {most:,}.")
