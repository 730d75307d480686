"""What other settings would have made of a finished text, answered from its trace alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.colours import LETTERS
from playground.explain.replay import RecordedText, text_slack, token_slack, what_if
from playground.trace import Comparison
from playground.ui import event_errors
from playground.ui.inspector_view import NO_RUN_ADVICE
from playground.ui.knobs import changed, kind, range_told, told
from playground.ui.views import LONGEST
from strategies import Context
from strategies.recipe import Recipe, RecipeError

AGAIN = "Press Run, and of the text that is written then it can be told."
KEPT = 8  # texts looked into last
SETTINGS = 8  # of each, about


class ChangesRequest(BaseModel):
    """A text of a lane; and under which ``recipe`` it is asked for, with some ``values`` changed.

    Those are by setting, as ``settings`` names them; one ``setting`` is asked for by itself.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)]
    lane: int = Field(ge=0, lt=len(LETTERS))
    output: int = Field(0, ge=0)
    step: int = Field(0, ge=0)
    recipe: str = ""
    values: dict[str, float] = Field(default_factory=dict, max_length=64)
    setting: Annotated[str, Field(max_length=LONGEST)] = ""


class Changes:
    """Answers the element's questions over what is shown; texts that were read are kept a while."""

    def __init__(
        self,
        resolve: Callable[[str], Comparison | None],
        context: Callable[[Comparison], Context | None],
    ) -> None:
        """``context`` is of the model that wrote a comparison, where it is loaded."""
        self._resolve, self._context = resolve, context
        self._texts: OrderedDict[tuple[str, int, int, bool], RecordedText] = OrderedDict()
        self._slacks: OrderedDict[tuple[str, int, int, str], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def functions(self) -> list[Callable[[Any], dict[str, Any]]]:
        """All as the page's code may call them; Gradio marks them, which a method cannot be."""

        def what_if(sent: Any) -> dict[str, Any]:
            return self.what_if(sent)

        def slack(sent: Any) -> dict[str, Any]:
            return self.slack(sent)

        def token_slack(sent: Any) -> dict[str, Any]:
            return self.token_slack(sent)

        return [what_if, slack, token_slack]

    def what_if(self, sent: Any) -> dict[str, Any]:
        """``told``, a sentence, the ``recipe``, and ``index``: where the text would first change.

        Where that is not told, it is the first token that may; the model tells when it goes on.
        """
        try:
            asked = ChangesRequest.model_validate(sent)
            text = self._text(asked)
            recipe = changed(Recipe.of(asked.recipe), asked.values)
            found = what_if(text, recipe)
            stays = found.unknown is None and found.index is None
            return {"told": told(found, text), "kind": kind(found), "recipe": str(recipe)} | (
                {} if stays else {"index": found.stays}
            )
        except Exception as error:
            return {"told": event_errors.sentence(error), "kind": "unknown"}

    def slack(self, sent: Any) -> dict[str, Any]:
        """By setting how far it may go, of all or of one; or ``fault``, why that is not known.

        Each takes its time: who shows them asks for one after the other.
        """
        try:
            asked = ChangesRequest.model_validate(sent)
            key = (asked.run, asked.lane, asked.output, asked.setting)
            text = self._text(asked)
            with self._lock:
                known = self._slacks.get(key)
            if known is None:
                found = text_slack(text, asked.setting)
                known = {name: range_told(one) for name, one in found.items()}
                if found and all(one.text is None for one in found.values()):
                    every = text_slack(text).values() if asked.setting else found.values()
                    why = {one.unknown for one in every}
                    if len(why) == 1:  # the same of all: said once
                        known = {"fault": f"{why.pop()} {AGAIN}"}
                with self._lock:
                    _put(self._slacks, key, known, KEPT * SETTINGS)
            return known
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    def token_slack(self, sent: Any) -> dict[str, Any]:
        """By setting how far it may go before the token at ``step`` changes; empty if unknown."""
        try:
            asked = ChangesRequest.model_validate(sent)
            text = self._text(asked)
            if asked.step >= len(text.path):
                return {}
            found = token_slack(text, asked.step)
            return {name: range_told(one, "token") for name, one in found.items() if one.text}
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    def _text(self, asked: ChangesRequest) -> RecordedText:
        comparison = self._resolve(asked.run)
        if comparison is None or asked.lane >= len(comparison.lanes):
            raise RecipeError(NO_RUN_ADVICE)
        lane = comparison.lanes[asked.lane]
        if lane.finish_reason is None:
            raise RecipeError("This column is still being written; look again when it is done.")
        context = self._context(comparison)
        key = (asked.run, asked.lane, asked.output, context is None)
        with self._lock:
            known = self._texts.get(key)
            if known is not None:
                self._texts.move_to_end(key)
                return known
        text = RecordedText(comparison, asked.lane, asked.output, context)
        with self._lock:
            _put(self._texts, key, text, KEPT)
        return text


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
