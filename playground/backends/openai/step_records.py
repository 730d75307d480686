"""The tokens in the responses of such a server, as step records.

It returns tokens by their texts, so their ids here are numbers of this program's own: one for each
text. It returns the likeliest tokens of each position and not the distribution: an entropy is then
a lower bound, that of the known probabilities with the rest as one more token.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playground.trace import Candidates, StepRecord
from playground.trace.steps import StageSummary, Times

_LEAST = -100.0  # the log-probability below which servers mean −inf


class Names:
    """Numbers for the texts of tokens. Any thread may call it."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def id(self, text: str) -> int:
        with self._lock:
            if text not in self._ids:
                self._ids[text] = len(self._texts)
                self._texts.append(text)
            return self._ids[text]

    def text(self, id: int) -> str | None:
        """The text of a number that ``id`` returned; None for any other."""
        return self._texts[id] if 0 <= id < len(self._texts) else None


@dataclass(frozen=True)
class Token:
    """A chosen token with the likeliest at its position, each by its text."""

    name: str
    adds: str
    logprob: float
    likeliest: Mapping[str, float]
    stages: Sequence[Mapping[str, Any]] = ()  # in the form that a decoding playground returns


def tokens(choice: Mapping[str, Any]) -> list[Token]:
    """The tokens of one chunk of a text. Raises ``ValueError`` where they have no logprobs."""
    logprobs = choice.get("logprobs") or {}
    text = choice.get("text")
    if text is None:
        text = (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    if logprobs.get("content") is not None:
        found = [
            Token(
                one["token"],
                _spelt(one.get("bytes"), one["token"]),
                one["logprob"],
                {other["token"]: other["logprob"] for other in one.get("top_logprobs") or []},
                one.get("stages") or (),
            )
            for one in logprobs["content"]
        ]
    else:
        names = logprobs.get("tokens") or []
        tops = logprobs.get("top_logprobs") or [{}] * len(names)
        stages = logprobs.get("stages") or [()] * len(names)
        chosen = logprobs.get("token_logprobs") or []
        found = [
            Token(name, _spelt(None, name), logprob or 0.0, top or {}, stage or ())
            for name, logprob, top, stage in zip(names, chosen, tops, stages, strict=True)
        ]
    if text and not found:
        raise ValueError("it told no log-probabilities of a token")
    return _adding(found, text)


def _adding(found: list[Token], text: str) -> list[Token]:
    """The tokens with what each adds to the text that they add together."""
    if "".join(token.adds for token in found) == text:
        return found
    made, rest = [], text
    for at, token in enumerate(found):
        whole = at == len(found) - 1  # an end of the text adds nothing, a part of a character later
        adds = rest if whole else token.adds if rest.startswith(token.adds) else ""
        rest = rest[len(adds) :]
        made.append(Token(token.name, adds, token.logprob, token.likeliest, token.stages))
    return made


def _spelt(given: Sequence[int] | None, name: str) -> str:
    """The text of a token; empty where it is part of a character."""
    try:
        if given is not None:
            return bytes(given).decode()
    except ValueError:
        return ""
    return "" if name.startswith("bytes:") else name


def shown(name: str) -> str:
    """How a token is shown by itself: bytes that are no character in angle brackets."""
    if not name.startswith("bytes:"):
        return name
    digits = re.findall(r"\\x([0-9a-fA-F]{2})", name)
    return f"⟨{' '.join(digits).upper()}⟩"


def record(
    token: Token, names: Names, index: int, parent: int | None, at: float, took: float
) -> StepRecord:
    """The step record of a token, ``at`` seconds into the run and ``took`` after the last one."""
    likeliest = {shown(name): logprob for name, logprob in token.likeliest.items()}
    name = shown(token.name)
    likeliest.setdefault(name, token.logprob)
    order = sorted(likeliest, key=lambda one: -likeliest[one])
    raw = [math.exp(min(0.0, likeliest[one])) if likeliest[one] > _LEAST else 0.0 for one in order]
    own, after = order.index(name), token.stages[1:]
    stages = [
        [float(stage["likeliest"].get(_name_of(one, token), 0.0)) for one in order]
        for stage in after
    ]
    for stage, all in zip(after, stages, strict=True):
        all[own] = float(stage["probability"])
    final = stages[-1] if stages else raw
    return StepRecord(
        index=index,
        parent=parent,
        token=names.id(name),
        text=token.adds,
        special=False,
        raw_logprob=token.logprob,
        logprob=math.log(final[own]) if stages and final[own] > 0 else token.logprob,
        raw_rank=1 + sum(p > raw[own] for p in raw),
        rank=1 + sum(p > final[own] for p in final),
        raw_entropy=float(token.stages[0]["entropy"]) if token.stages else _entropy(raw),
        stages=[StageSummary(survivors=s["survivors"], entropy=s["entropy"]) for s in after],
        candidates=Candidates(
            ids=[names.id(one) for one in order], texts=order, raw=raw, stages=stages
        ),
        times=Times(forward=took, processors=0.0, search=0.0, record=0.0, forward_rows=1),
        at=at,
    )


def _name_of(text: str, token: Token) -> str:
    """The name that a stage has for a token of this text."""
    return next((name for name in token.likeliest if shown(name) == text), text)


def _entropy(known: Sequence[float]) -> float:
    """The least entropy, in nats, of a distribution with these probabilities."""
    rest = max(0.0, 1.0 - sum(known))
    return -sum(p * math.log(p) for p in [*known, rest] if p > 0)
