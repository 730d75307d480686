"""How far apart the columns' distributions are: one number for each pair, and a chart of one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.charts import piece
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.engine import FieldError
from playground.explain.texts import showing
from playground.trace import Comparison
from playground.trace.branches import ColumnDistance
from playground.ui.inspector_view import NO_RUN_ADVICE
from playground.ui.views import LONGEST

APART = (
    "How far apart what two columns chose from was: the Jensen-Shannon distance, mean over the "
    "tokens up to the first that differs. 0 is alike, 1 has nothing in common. A click on a "
    "number draws it token by token; a band is as much as the recorded candidates leave open."
)
ALONE = "With a second column, how far apart the two are stands here."
KEPT = 16  # views whose distances are kept


class DistancesRequest(BaseModel):
    """A view, the texts that its columns show, and a pair of columns to draw."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=LONGEST)] = ""
    texts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=len(LETTERS))
    left: int = Field(0, ge=0, lt=len(LETTERS))
    right: int = Field(1, ge=0, lt=len(LETTERS))


class Apart:
    """Answers the element ``apart``; the distances of views that were read are kept a while."""

    def __init__(self, resolve: Callable[[str], Comparison | None]) -> None:
        self._resolve = resolve
        self._kept: OrderedDict[str, dict[tuple[int, int], ColumnDistance]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def function(self) -> Callable[[Any], dict[str, Any]]:
        from playground.ui import event_errors  # which loads Gradio; a file does without

        def apart(sent: Any) -> dict[str, Any]:
            try:
                return self.view(DistancesRequest.model_validate(sent))
            except Exception as error:
                return {"fault": event_errors.sentence(error)}

        return apart

    def view(self, asked: DistancesRequest) -> dict[str, Any]:
        """The element's answer; ``FieldError`` where the run is no longer kept."""
        whole = self._resolve(asked.run) if asked.run else None
        if whole is None:
            raise FieldError("run", NO_RUN_ADVICE)
        shown = showing(whole, asked.texts)
        pairs = self._distances(shown, asked)
        if not pairs:
            return {"sentence": ALONE, "columns": [], "pairs": [], "chart": None}
        chosen = pairs.get((asked.left, asked.right)) or next(iter(pairs.values()))
        return {
            "sentence": APART,
            "running": any(lane.finish_reason is None for lane in whole.lanes),
            "columns": [
                {"letter": LETTERS[at], "colour": COLOURS[at], "name": lane.name}
                for at, lane in enumerate(shown.lanes)
            ],
            "pairs": [[one.left, one.right, one.low, one.high] for one in pairs.values()],
            "chart": _chart(shown, chosen),
        }

    def _distances(
        self, shown: Comparison, asked: DistancesRequest
    ) -> dict[tuple[int, int], ColumnDistance]:
        lengths = [len(lane.token_ids) for lane in shown.lanes]
        key = f"{asked.run} {asked.texts} {lengths}"
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            columns = range(len(shown.lanes))
            known = {
                (left, right): shown.distance(left, right)
                for left in columns
                for right in columns
                if left < right
            }
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return known


def _chart(shown: Comparison, one: ColumnDistance) -> dict[str, Any]:
    """The distance at each token that two columns share, and what they put where they part."""
    left, right = (shown.lanes[lane].trace.path() for lane in (one.left, one.right))
    shared = len(one.steps)
    last = left[shared - 1].token == right[shared - 1].token if shared else True
    letters = f"{LETTERS[one.left]} and {LETTERS[one.right]}"
    if not shared:
        told = f"{letters}: one of them wrote nothing."
    else:
        told = f"{letters}: {_number(one.low, one.high)} over {count(shared, 'token')}"
        told += ", the same text." if last else "; at the last they part."
    return {
        "left": one.left,
        "right": one.right,
        "told": told,
        "words": [piece(step) for step in left[:shared]],
        "others": [piece(step) for step in right[:shared]],
        "low": [round(step.low, 4) for step in one.steps],
        "high": [round(step.high, 4) for step in one.steps],
    }


def _number(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "—"
    first, last = f"{low:.2f}", f"{high:.2f}"
    return first if first == last else f"{first} to {last}"
