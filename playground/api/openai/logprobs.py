"""Tokens with their log-probabilities, in the shape of completions and in that of chat."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playground.trace import PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine.scoring import TokenScore

LEAST = -9999.0  # JSON has no infinity; this is what OpenAI and vLLM write for it

_BYTES = re.compile(r"⟨([0-9A-F]{2}(?: [0-9A-F]{2})*)⟩")


@dataclass(frozen=True)
class Name:
    """A token as a response names it: by its text, by its bytes without one, or by its id."""

    id: int
    text: str

    @property
    def bytes(self) -> bytes:
        found = _BYTES.fullmatch(self.text)
        return bytes.fromhex(found[1]) if found else self.text.encode()

    def written(self, as_id: bool) -> str:
        if as_id:
            return f"token_id:{self.id}"
        if _BYTES.fullmatch(self.text):
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes)
        return self.text


@dataclass(frozen=True)
class Stage:
    """The distribution after one step of the recipe, or of the model before all of them."""

    step: str | None  # as written in the recipe; None for the model itself
    probability: float  # of the token
    survivors: int | None
    entropy: float  # in nats
    likeliest: tuple[tuple[Name, float], ...]  # the tokens returned, with their probabilities

    def shape(self, as_ids: bool) -> dict[str, Any]:
        return {
            "step": self.step,
            "probability": self.probability,
            "survivors": self.survivors,
            "entropy": self.entropy,
            "likeliest": {name.written(as_ids): p for name, p in self.likeliest},
        }


@dataclass(frozen=True)
class Scored:
    """A token, its log-probability (None for a prompt's first), and the likeliest at its position.

    ``adds`` is what it adds to the text; ``stages`` is None where they are not requested, and for a
    token of the prompt.
    """

    name: Name
    adds: str
    logprob: float | None
    likeliest: tuple[tuple[Name, float], ...]
    stages: tuple[Stage, ...] | None = None


def of_step(
    step: StepRecord, count: int, processed: bool, stages: Sequence[str] | None = None
) -> Scored:
    """A generated token; its log-probabilities are ``processed`` by the recipe, or the model's own.

    The likeliest after the recipe are those among the recorded candidates, which are the model's
    likeliest. ``stages`` are the names of the recipe's steps, where the stages are requested.
    """
    candidates = step.candidates
    shown = candidates.final if processed else candidates.raw
    logprob = _finite(step.logprob if processed else step.raw_logprob)
    order = sorted(range(len(shown)), key=lambda at: -shown[at])[:count]
    return Scored(
        Name(step.token, step.piece),
        step.text,
        logprob,
        tuple(
            (
                Name(candidates.ids[at], candidates.texts[at]),
                logprob if candidates.ids[at] == step.token else _finite(_log(shown[at])),
            )
            for at in order
            if shown[at] > 0
        ),
        None if stages is None else _stages(step, stages, order),
    )


def _stages(step: StepRecord, names: Sequence[str], order: Sequence[int]) -> tuple[Stage, ...]:
    """The model's own probabilities, then those after each step, of the candidates in ``order``."""
    candidates = step.candidates
    own = candidates.ids.index(step.token)

    def stage(name: str | None, all: Sequence[float], left: int | None, entropy: float) -> Stage:
        likeliest = tuple((Name(candidates.ids[at], candidates.texts[at]), all[at]) for at in order)
        return Stage(name, all[own], left, entropy, likeliest)

    after = zip(names, candidates.stages, step.stages, strict=True)
    return (
        stage(None, candidates.raw, None, step.raw_entropy),
        *(stage(name, all, left.survivors, left.entropy) for name, all, left in after),
    )


def of_prompt(
    tokens: Sequence[PromptToken],
    scores: Sequence[TokenScore | None],
    name: dict[int, str],
) -> list[Scored]:
    """A prompt's tokens; ``name`` has the text of each of the likeliest by its id."""
    return [
        Scored(
            Name(token.id, token.alone),
            token.text,
            None if score is None else _finite(score.logprob),
            ()
            if score is None
            else tuple((Name(id, name[id]), _finite(p)) for id, p in score.likeliest.items()),
        )
        for token, score in zip(tokens, scores, strict=False)
    ]


def completion_shape(
    tokens: Iterable[Scored], start: int = 0, as_ids: bool = False
) -> dict[str, Any]:
    """Four parallel lists; ``start`` is where in the choice's text the first token is."""
    shape: dict[str, Any] = {
        "text_offset": [],
        "token_logprobs": [],
        "tokens": [],
        "top_logprobs": [],
    }
    stages: list[Any] = []
    for token in tokens:
        shape["text_offset"].append(start)
        shape["token_logprobs"].append(token.logprob)
        shape["tokens"].append(token.name.written(as_ids))
        likeliest = {name.written(as_ids): logprob for name, logprob in token.likeliest}
        if token.logprob is not None:  # the token itself, likeliest or not
            likeliest.setdefault(token.name.written(as_ids), token.logprob)
        shape["top_logprobs"].append(None if token.logprob is None else likeliest)
        stages.append(token.stages and [stage.shape(as_ids) for stage in token.stages])
        start += len(token.adds)
    return {**shape, "stages": stages} if any(stages) else shape


def chat_shape(tokens: Iterable[Scored], as_ids: bool = False) -> dict[str, Any]:
    """One object for each token."""
    return {
        "content": [
            {
                **_chat_token(token.name, token.logprob, as_ids),
                "top_logprobs": [
                    _chat_token(name, logprob, as_ids) for name, logprob in token.likeliest
                ],
                **_chat_stages(token, as_ids),
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _chat_token(name: Name, logprob: float | None, as_ids: bool) -> dict[str, Any]:
    return {"token": name.written(as_ids), "logprob": logprob, "bytes": list(name.bytes)}


def _chat_stages(token: Scored, as_ids: bool) -> dict[str, Any]:
    if token.stages is None:
        return {}
    return {"stages": [stage.shape(as_ids) for stage in token.stages]}


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else LEAST


def _finite(logprob: float) -> float:
    return max(logprob, LEAST)
