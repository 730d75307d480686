"""A page's set-up, read from a link.

A link holds it after the ``#``, in the encoding of a form (``prompt=…&recipe=…``), or, where that
is long, as ``z=``: the same pairs as JSON, deflated, in base64url. ``assets/address.js`` writes
both. The query of older links is read as well.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from playground.engine.request import SEEDS
from playground.settings import Settings
from strategies.notation import shorten

PAIRS = 400  # of a link; the page never writes more
UNPACKED = 1 << 20  # bytes of an unpacked link, beside those of its prompt
ASKS = frozenset({"prompt", "recipe", "model", "seed", "tokens", "least", "stop", "name"})
LABELS = {"max_new_tokens": "new tokens", "min_new_tokens": "at least", "seed": "seed"}


def _proper(text: str) -> str:
    """The text with lone surrogates replaced, which cannot be encoded in an answer."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(_proper)]


class Setup(BaseModel):
    """Everything a link restores, as it was typed; it is validated when a person presses Run.

    ``recipes`` are in their written form, ``names`` those of the columns, empty for none, and
    ``stop`` has a line for each stop string.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: Text
    recipes: tuple[Text, ...]
    names: tuple[Text, ...] = ()
    tokens: Text = "64"
    least: Text = "0"
    seed: Text = "0"
    stop: Text = ""
    chat: bool = False
    alone: bool = False
    split: bool = False  # names of control tokens in the prompt are plain text
    model: Text | None = None

    def name(self, column: int) -> str:
        return self.names[column] if column < len(self.names) else ""


class Kept(BaseModel):
    """An earlier state of a page: its set-up, and the view it showed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setup: Setup
    run: Text = ""


class LostText(BaseModel):
    """What stood in a column of a page that lost its server; the fields are those of ``strip``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Text = ""
    source: Text = ""
    recipe: Text = ""
    output: int = Field(0, ge=0)
    tokens: Text = ""
    figures: tuple[dict[str, Text], ...] = ()


class Lost(BaseModel):
    """What the tab of a page kept that lost its server: the texts of its columns.

    ``again`` is the set-up of the run that was being written, with its seed; None where none was.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    again: Setup | None = None
    texts: tuple[LostText | None, ...] = ()


class Address(BaseModel):
    """The address a page was opened with, and after a reload the state that its tab kept.

    ``lost`` is kept where the reload followed the loss of the server.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    search: str = ""
    hash: str = ""
    kept: Kept | None = None
    lost: Lost | None = None


@dataclass(frozen=True)
class Link:
    """The set-up of a link, and sentences about what in it was changed, by a request's field."""

    setup: Setup
    faults: dict[str, str] = field(default_factory=dict)


def restored(
    address: Address, start: Setup, settings: Settings, refusal: Callable[[str], str | None]
) -> Link | None:
    """The set-up of an address, completed from ``start``; None where the address holds none.

    A link may be old, mistyped or another host's: a value that is not allowed here is replaced by
    the nearest one that is, with a sentence about it. ``refusal(model)`` is the reason why a model
    is not offered here, or None.
    """
    try:
        asked = _asked(address, UNPACKED + 4 * settings.max_prompt_chars)
    except ValueError:
        sentence = "The link is damaged or was cut short: nothing of it could be read."
        return Link(start, {"link": sentence})
    if not asked.keys() & ASKS:
        return None
    faults: dict[str, str] = {}
    prompt = _last(asked, "prompt", start.prompt)
    if len(prompt) > settings.max_prompt_chars:
        faults["prompt"] = (
            f"The link's prompt has {len(prompt):,} characters; at most "
            f"{settings.max_prompt_chars:,} are allowed here, so its end is left out."
        )
    recipes = tuple(asked.get("recipe", start.recipes))
    if len(recipes) > settings.max_columns:
        faults["recipes"] = (
            f"The link has {len(recipes)} columns; at most {settings.max_columns} are allowed here."
        )
    stop = asked["stop"] if "stop" in asked else [*filter(None, start.stop.split("\n"))]
    if len(stop) > settings.max_stop_strings:
        faults["stop"] = (
            f"The link has {len(stop)} stop strings; at most {settings.max_stop_strings} are "
            "allowed here, so the last ones are left out."
        )
    model = _last(asked, "model", "") or None
    refused = None if model is None else refusal(model)
    if refused is not None:
        faults["model"], model = refused, None
    most = settings.max_new_tokens
    setup = Setup(
        prompt=prompt[: settings.max_prompt_chars],
        recipes=recipes[: settings.max_columns],
        names=tuple(asked.get("name", () if "recipe" in asked else start.names)),
        tokens=_whole(asked, "tokens", "max_new_tokens", start.tokens, 0, most, faults),
        least=_whole(asked, "least", "min_new_tokens", start.least, 0, most, faults),
        seed=_whole(asked, "seed", "seed", start.seed, 0, SEEDS - 1, faults),
        stop="\n".join(stop[: settings.max_stop_strings]),
        chat=_last(asked, "chat", "") in ("1", "typed"),
        alone=_last(asked, "alone", "") == "1",
        split=_last(asked, "split", "") == "1",
        model=model,
    )
    return Link(setup, faults)


def base(settings: Settings) -> str:
    """The beginning of links: on a Space the address of its page at the hub, else empty."""
    return f"{settings.hub}/spaces/{settings.space_id}" if settings.space_id else ""


def _asked(address: Address, longest: int) -> dict[str, list[str]]:
    """The values of an address by name. Raises ``ValueError`` where it is damaged."""
    query, fragment = address.search.removeprefix("?"), address.hash.removeprefix("#")
    pairs = [
        pair
        for part in (query, fragment)
        for pair in parse_qsl(part, keep_blank_values=True, max_num_fields=PAIRS)
    ]
    asked: dict[str, list[str]] = {}
    for name, value in pairs:
        for key, one in _unpacked(value, longest) if name == "z" else [(name, value)]:
            asked.setdefault(key, []).append(one)
    return asked


def _unpacked(packed: str, longest: int) -> Iterable[tuple[str, str]]:
    engine = zlib.decompressobj(wbits=-15)
    try:
        bare = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        pairs = json.loads(engine.decompress(bare, longest))
    except (zlib.error, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not engine.eof or not isinstance(pairs, list) or len(pairs) > PAIRS:
        raise ValueError("a packed link is a list of pairs")
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(p) is str for p in pair)):
            raise ValueError("a pair is two texts")
    return [(name, value) for name, value in pairs]


def _last(asked: Mapping[str, list[str]], name: str, default: str) -> str:
    return asked.get(name, [default])[-1]


def _whole(
    asked: Mapping[str, list[str]],
    name: str,
    place: str,
    default: str,
    low: int,
    high: int,
    faults: dict[str, str],
) -> str:
    """A whole number of the link, with all its digits; the nearest allowed one if out of bounds."""
    given = _last(asked, name, default).strip()
    if not re.fullmatch(r"[+-]?[0-9]+", given):
        used, why = default, "which is no whole number"
    elif len(given) > 30 or not low <= int(given) <= high:
        used = str(low if given.startswith("-") or given.strip("+0") == "" else high)
        why = f"but from {low:,} to {high:,} is allowed here"
    else:
        return str(int(given))
    faults[place] = f"The link says {LABELS[place]} {shorten(given)!r}, {why}; it is now {used}."
    return used
