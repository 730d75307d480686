"""What a person set up, as the page's address and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from playground.settings import Settings

MOST_SEED = 2**53  # what a browser counts to exactly


class Setup(BaseModel):
    """Everything a link restores. ``recipes`` are in their written form, valid or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    recipes: tuple[str, ...]
    tokens: int = Field(64, ge=1)
    least: int = Field(0, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    stop: tuple[str, ...] = ()
    chat: bool = False
    alone: bool = False
    model: str | None = None


def restored(query: Iterable[tuple[str, str]], start: Setup, settings: Settings) -> Setup | None:
    """The set-up a query asks for, ``start`` filling its gaps; None where it asks for nothing.

    A link may be old or mistyped: what cannot be meant is left at ``start``'s value.
    """
    asked: dict[str, list[str]] = {}
    for name, value in query:
        asked.setdefault(name, []).append(value)
    if not {"prompt", "recipe", "model", "seed", "tokens"} & asked.keys():
        return None
    found: dict[str, Any] = {
        "prompt": _last(asked, "prompt", start.prompt)[: settings.max_prompt_chars],
        "recipes": tuple(asked.get("recipe", start.recipes))[: settings.max_columns],
        "tokens": _whole(asked, "tokens", start.tokens, 1, settings.max_new_tokens),
        "least": _whole(asked, "least", start.least, 0, settings.max_new_tokens),
        "seed": _whole(asked, "seed", start.seed, 0, MOST_SEED),
        "stop": tuple(asked.get("stop", start.stop))[: settings.max_stop_strings],
        "chat": _last(asked, "chat", "") in ("1", "typed"),
        "alone": _last(asked, "alone", "") == "1",
        "model": _last(asked, "model", "") or None,
    }
    return Setup(**found)


def base(settings: Settings) -> str:
    """Where a link leads: on a Space its page at the hub, which frames this one; else here."""
    return f"{settings.hub}/spaces/{settings.space_id}" if settings.space_id else ""


def _last(asked: Mapping[str, list[str]], name: str, default: str) -> str:
    return asked.get(name, [default])[-1]


def _whole(asked: Mapping[str, list[str]], name: str, default: int, low: int, high: int) -> int:
    try:
        return min(max(int(_last(asked, name, str(default))), low), high)
    except ValueError:
        return default
