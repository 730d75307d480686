"""What a person set up, as a link holds it and back.

A link keeps it behind the ``#``, as a form encodes it (``prompt=…&recipe=…``), or where that is
long as ``z=``: the same pairs as JSON, deflated, in base64url. ``assets/address.js`` writes both.
A query, as older links have, is read as well.
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

from pydantic import AfterValidator, BaseModel, ConfigDict

from playground.engine.request import SEEDS
from playground.settings import Settings
from strategies.notation import shorten

PAIRS = 400  # of a link; what has more was written by no page
UNPACKED = 1 << 20  # bytes of a packed link, beside those of its prompt
ASKS = frozenset({"prompt", "recipe", "model", "seed", "tokens", "least", "stop", "name"})
LABELS = {"max_new_tokens": "new tokens", "min_new_tokens": "at least", "seed": "seed"}


def _proper(text: str) -> str:
    """The text with halves of characters, which no answer to the page can hold, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(_proper)]


class Setup(BaseModel):
    """Everything a link restores, as it was typed: what of it can run is found out by Run.

    ``recipes`` are in their written form, ``names`` are those of the columns, empty for none, and
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
    """What stood on a page before: its set-up, and the name of the run it showed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setup: Setup
    run: Text = ""


class Address(BaseModel):
    """What a page was opened with, and what this tab keeps of it, if it was open there before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    search: str = ""
    hash: str = ""
    kept: Kept | None = None


@dataclass(frozen=True)
class Link:
    """The set-up of a link, and what in it could not be used, by the field of a request."""

    setup: Setup
    faults: dict[str, str] = field(default_factory=dict)


def restored(
    address: Address, start: Setup, settings: Settings, refusal: Callable[[str], str | None]
) -> Link | None:
    """The set-up an address asks for, ``start`` filling its gaps; None where it asks for nothing.

    A link may be old, mistyped or another host's: what cannot be meant here is changed to what can,
    and said. ``refusal`` tells why a model is not offered here, and None of one that is.
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
    """Where a link leads: on a Space its page at the hub, which frames this one; else here."""
    return f"{settings.hub}/spaces/{settings.space_id}" if settings.space_id else ""


def _asked(address: Address, longest: int) -> dict[str, list[str]]:
    """What the address has under each name. Raises ``ValueError`` for one that is damaged."""
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
    """A number of the link in all its digits; the nearest one allowed where it is too far off."""
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
