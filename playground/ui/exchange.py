"""A column's recipe taken to other programs, and theirs brought to the column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field

from playground import exchange
from playground.charts import percent, quoted, visible
from playground.engine import Request
from playground.exchange import Difference
from playground.service import Service
from playground.trace import Comparison
from playground.trace.changes import WhatIf
from playground.ui import event_errors
from playground.ui.element import element
from playground.ui.limits import stop_strings, whole
from playground.ui.views import Resolve
from playground.ui.visitor import visitor
from strategies.bridges.formats import Bounds, bring, formats
from strategies.bridges.formats.format import LONGEST
from strategies.recipe import Recipe

SHOWN = 6  # tokens of a difference
LONGEST_TOKEN = 24  # characters
FIRST = "transformers"  # the format that is shown at first


class ExchangeRequest(BaseModel):
    """A recipe in its written form, the program it goes to, and the page's set-up.

    ``run`` and ``lane`` are the text that the column shows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    recipe: str
    format: str
    model: str | None = Field(None, max_length=300)
    prompt: str = ""
    chat: bool = False
    split: bool = False
    seed: int | str = 0
    least: int | str = 0
    tokens: int | str = 64
    stop: str | list[str] = ""
    run: str = ""
    lane: int = Field(0, ge=0, lt=64)


class Exchange:
    """The parts of all columns that take and bring recipes."""

    def __init__(self, service: Service, resolve: Resolve) -> None:
        self.service, self.resolve = service, resolve

    def draw(self, lane: int, colour: str) -> gr.HTML:
        """The part of one column."""
        listed = [
            {"id": one.id, "title": one.title, "program": one.program, "suffix": one.suffix,
             "url": one.url, "read": one.read_in}
            for one in formats().values()
        ]  # fmt: skip
        constants = {"lane": lane, "colour": colour, "formats": listed, "first": FIRST}
        return element("exchange", constants=constants, server_functions=self.functions)

    @property
    def functions(self) -> list[Callable[..., dict[str, Any]]]:
        """What the page's code may call."""

        def take(sent: Any, request: gr.Request) -> dict[str, Any]:
            try:
                return self.take(sent, visitor(request, self.service.settings))
            except Exception as error:
                return {"fault": event_errors.sentence(error)}

        def read(sent: Any) -> dict[str, Any]:
            try:
                return self.read(sent)
            except Exception as error:
                return {"fault": event_errors.sentence(error)}

        return [take, read]

    def take(self, sent: Any, client: str = "") -> dict[str, Any]:
        """The program's ``text``, what it does otherwise, and what that makes of the next token."""
        asked = ExchangeRequest.model_validate(sent)
        recipe = Recipe.parse(asked.recipe)
        stop = asked.stop if isinstance(asked.stop, list) else stop_strings(asked.stop)
        bounds = Bounds(
            max_new_tokens=whole("max_new_tokens", asked.tokens),
            min_new_tokens=whole("min_new_tokens", asked.least) or None,
            seed=whole("seed", asked.seed),
            stop=tuple(stop),
        )
        found = exchange.taken(
            self.service, recipe, asked.format, bounds, asked.model, asked.chat, asked.split
        )
        program = exchange.known(asked.format).program
        answer: dict[str, Any] = {
            "text": found.text,
            "losses": [{"step": loss.step, "told": str(loss)} for loss in found.losses],
            "there": str(found.there),
            "another": exchange.another(recipe, found.there),
        }
        if answer["another"] or not exchange.known(asked.format).keeps_ties:
            answer |= self._difference(asked, recipe, found.there, bounds, client, program)
        return answer

    def _difference(
        self,
        asked: ExchangeRequest,
        recipe: Recipe,
        there: Recipe,
        bounds: Bounds,
        client: str,
        program: str,
    ) -> dict[str, Any]:
        shown = self.resolve(asked.run) if asked.run else None
        another = exchange.another(recipe, there)
        would = exchange.changed(self.service, shown, asked.lane, recipe, there)
        told = {"changed": _changed(would, shown, asked.lane, program)} if would and another else {}
        if not asked.prompt:
            return told
        request = Request(
            prompt=asked.prompt,
            recipes=[recipe, there],
            max_new_tokens=max(1, bounds.max_new_tokens or 1),
            min_new_tokens=bounds.min_new_tokens or 0,
            seed=bounds.seed or 0,
            chat=asked.chat,
            split_special_tokens=asked.split,
            top_n=200,
            client=client,
        )
        found = exchange.difference(self.service, request, asked.model)
        if found is None:
            return told | {"wait": True}
        if isinstance(found, str):
            return told | ({"note": found} if another else {})
        tie = exchange.ties(recipe, found.here, exchange.known(asked.format))
        told |= {"tie": tie} if tie else {}
        if not another:
            return told
        return told | {"sentence": _sentence(found, program), "rows": _rows(found)}

    def read(self, sent: Any) -> dict[str, Any]:
        """The recipe of a text that was pasted or dropped, with what it does not say."""
        text = sent.get("text") if isinstance(sent, dict) else None
        if not isinstance(text, str) or len(text) > LONGEST:
            return {"fault": f"It may have {LONGEST:,} characters at most."}
        found = bring(text)
        known = formats().get(found.format)
        left_out = list(found.left_out)
        beside = ", ".join(found.bounds.told)
        if beside:
            left_out.append(f"{beside}: of the whole page, and not set by one column.")
        told = f"Read as settings of {known.program}." if known else "Read as a recipe."
        return {"recipe": str(found.recipe), "told": told, "left_out": left_out}


def _sentence(found: Difference, program: str) -> str:
    low, high = found.moved
    if high < 0.0005:
        return f"After this prompt {program} draws the next token as here."
    share = percent(high) if high - low < 0.0005 else f"{percent(low)} to {percent(high)}"
    return f"After this prompt {share} % of the draws would be another token in {program}."


def _rows(found: Difference) -> list[dict[str, Any]]:
    """The tokens that differ most, the likeliest first; probabilities here and there."""
    one, other = (
        dict(zip(step.candidates.ids, step.candidates.final, strict=True))
        for step in (found.here, found.there)
    )
    texts = {
        id: text
        for step in (found.here, found.there)
        for id, text in zip(step.candidates.ids, step.candidates.texts, strict=True)
    }
    both = {id: (one.get(id, 0.0), other.get(id, 0.0)) for id in texts}
    apart = sorted(both, key=lambda id: -abs(both[id][0] - both[id][1]))[:SHOWN]
    return [
        {
            "text": visible(texts[id], LONGEST_TOKEN),
            "here": both[id][0],
            "there": both[id][1],
            "told": f"{percent(both[id][0])} → {percent(both[id][1])}",
        }
        for id in sorted(apart, key=lambda id: -max(both[id]))
        if max(both[id]) > 0
    ]


def _changed(would: WhatIf, shown: Comparison | None, lane: int, program: str) -> str:
    if would.index is not None and shown is not None:
        step = shown.lanes[lane].trace.path()[would.index]
        instead = f", which would be {quoted(would.text)}" if would.text is not None else ""
        return (
            f"With the same luck the text below would first change at token {would.index + 1}, "
            f"{quoted(step.text)}{instead}."
        )
    if would.unknown is not None:
        return f"Whether the text below would change is not told: {would.unknown}"
    return f"With the same luck the text below would be the same in {program}."
