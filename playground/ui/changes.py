"""What other settings would have made of a finished text, answered from its trace alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.colours import LETTERS
from playground.explain.replay import RecordedText, text_slack, token_slack, what_if
from playground.trace import Comparison
from playground.trace.changes import SettingSlack
from playground.ui import event_errors, knobs
from playground.ui.inspector_view import NO_RUN_ADVICE, InspectorView
from playground.ui.views import LONGEST
from strategies import Context
from strategies.recipe import Recipe, RecipeError

AGAIN = "Press Run, and of the text that is written then it can be told."
UNFINISHED = "This column is still being written; look again when it is done."
KEPT = 8  # texts looked into last
TOKENS = 64  # of each, that were inspected last
AT_ONCE_S = 0.03  # of finding ranges, before the knobs are shown
A_WHILE_S = 0.05  # of finding ranges, before those that were found are sent

Setting = Annotated[str, Field(max_length=LONGEST)]
Slacks = dict[str, SettingSlack]  # by setting


class ChangesRequest(BaseModel):
    """A text of a lane; and under which ``recipe`` it is asked for, with some ``values`` changed.

    Those are by setting, as ``knobs.settings`` names them. ``token`` and ``text`` are the settings
    whose ranges are asked for: those that leave the token at ``step``, and the whole text.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    output: int = Field(0, ge=0)
    step: int = Field(0, ge=0)
    recipe: str = ""
    values: dict[str, float] = Field(default_factory=dict, max_length=64)
    token: list[Setting] = Field(default_factory=list, max_length=64)
    text: list[Setting] = Field(default_factory=list, max_length=64)


@dataclass(frozen=True)
class _Known:
    """A text that was looked into, and the ranges of its settings that were found so far.

    ``tokens`` has those of the tokens that were inspected last, by step.
    """

    text: RecordedText
    slacks: Slacks = field(default_factory=dict)
    tokens: OrderedDict[int, Slacks] = field(default_factory=OrderedDict)

    def found(self, asked: ChangesRequest, seconds: float) -> dict[str, Any]:
        """The answer of ``Changes.ranges``, with what is found in about so many seconds."""
        token = self.tokens.get(asked.step, {})
        if asked.token:
            token = dict(token)
            _put(self.tokens, asked.step, token, TOKENS)
        until = time.monotonic() + seconds
        for _ in self._search(asked, token):
            if time.monotonic() >= until:
                break
        # Others who look into the same text add to both meanwhile.
        whole, one_token = dict(self.slacks), dict(token)
        reasons = {one.unknown if one.text is None else None for one in whole.values()}
        if len(reasons) == 1 and None not in reasons:
            if len(whole) == len(knobs.settings(str(self.text.recipe))):
                return _fault(f"{reasons.pop()} {AGAIN}")  # the same of all: said once
        return {
            "ranges": {name: knobs.range_told(one) for name, one in whole.items()},
            "token": {
                name: knobs.range_told(one, "token") if one.text else {"told": ""}
                for name, one in one_token.items()
            },
        }

    def _search(self, asked: ChangesRequest, token: Slacks) -> Iterator[None]:
        """Find one range after the other: of the ``token``, and then of the text."""
        for name in asked.token if asked.step < len(self.text.path) else ():
            if name not in token:
                token |= token_slack(self.text, asked.step, name)
                yield
        for name in asked.text:
            if name not in self.slacks:
                self.slacks.update(text_slack(self.text, name))
                yield


class Changes:
    """Answers the element's questions over what is shown; texts that were read are kept a while."""

    def __init__(
        self,
        resolve: Callable[[str], Comparison | None],
        context: Callable[[Comparison], Context | None],
    ) -> None:
        """``context`` is of the model that wrote a comparison, where it is loaded."""
        self._resolve, self._context = resolve, context
        self._texts: OrderedDict[tuple[str, int, int, bool], _Known] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def functions(self) -> list[Callable[[Any], dict[str, Any]]]:
        """All as the page's code may call them; Gradio marks them, which a method cannot be."""

        def what_if(sent: Any) -> dict[str, Any]:
            return self.what_if(sent)

        def ranges(sent: Any) -> dict[str, Any]:
            return self.ranges(sent)

        return [what_if, ranges]

    def view(self, shown: InspectorView) -> dict[str, Any]:
        """The element's value: the knobs, with what ``ranges`` answers of them at once."""
        value = knobs.view(shown)
        names = [one["name"] for one in value["settings"]]
        if not names:
            return value
        place = {key: value[key] for key in ("run", "lane", "output", "step")}
        try:
            known = self._known(ChangesRequest(**place))
            # A text is read as its first range is asked for, which takes longer than to draw this;
            # with a memory of probabilities a token takes as long to follow as the whole text.
            at_once = bool(known.tokens or known.slacks) and not known.text.remembers
            asked = ChangesRequest(**place, token=names if at_once else [])
            return value | known.found(asked, AT_ONCE_S)
        except Exception as error:
            return value | _fault(event_errors.sentence(error))

    def what_if(self, sent: Any) -> dict[str, Any]:
        """``told``, a sentence, the ``recipe``, and ``index``: where the text would first change.

        Where that is not told, it is the first token that may; the model tells when it goes on.
        """
        try:
            asked = ChangesRequest.model_validate(sent)
            text = self._known(asked).text
            recipe = knobs.changed(Recipe.of(asked.recipe), asked.values)
            found = what_if(text, recipe)
            stays = found.unknown is None and found.index is None
            told = {"told": knobs.told(found, text), "kind": knobs.kind(found)}
            return told | {"recipe": str(recipe)} | ({} if stays else {"index": found.stays})
        except Exception as error:
            return {"told": event_errors.sentence(error), "kind": "unknown"}

    def ranges(self, sent: Any) -> dict[str, Any]:
        """``ranges`` and ``token``, how far each setting may go, by setting, before the text, and
        the token, changes. ``fault`` among the former says why none is known.

        Each takes its time. The answer has the first that is asked for, and the next that are
        found within a while: who shows them asks again for the others.
        """
        try:
            asked = ChangesRequest.model_validate(sent)
            return self._known(asked).found(asked, A_WHILE_S)
        except Exception as error:
            return _fault(event_errors.sentence(error))

    def _known(self, asked: ChangesRequest) -> _Known:
        comparison = self._resolve(asked.run)
        if comparison is None or asked.lane >= len(comparison.lanes):
            raise RecipeError(NO_RUN_ADVICE)
        if comparison.lanes[asked.lane].finish_reason is None:
            raise RecipeError(UNFINISHED)
        context = self._context(comparison)
        key = (asked.run, asked.lane, asked.output, context is None)
        with self._lock:
            known = self._texts.get(key)
            if known is not None:
                self._texts.move_to_end(key)
                return known
        known = _Known(RecordedText(comparison, asked.lane, asked.output, context))
        with self._lock:
            _put(self._texts, key, known, KEPT)
        return known


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept.pop(key, None)  # so that it comes last again
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


def _fault(why: str) -> dict[str, Any]:
    return {"ranges": {"fault": why}, "token": {}}
