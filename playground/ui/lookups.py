"""What elements of the inspector ask for by themselves: it is sent once, and not at every click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from playground.trace import Comparison
from playground.ui import all_texts, beams, data_table, drawing, event_errors, ribbon, walk
from playground.ui.views import Resolve

Answer = dict[str, Any]
Query = TypeVar("Query", bound=BaseModel)


def tree(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``tree`` of the element ``beams``."""
    return _named("tree", resolve, beams.BeamsRequest, beams.answer)


def choices(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``choices`` of the element ``walk``."""
    return _named("choices", resolve, walk.ChoicesRequest, walk.answer)


def figures(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``figures`` of the element ``ribbon``."""
    return _named("figures", resolve, ribbon.FiguresRequest, ribbon.answer)


def samples(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``samples`` of the element ``all_texts``."""
    return _named("samples", resolve, all_texts.SamplesRequest, all_texts.answer)


def rows(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``rows`` of the element ``data_table``."""
    return _named("rows", resolve, data_table.RowsRequest, data_table.answer)


def chart(resolve: Resolve) -> Callable[[Any], Answer]:
    """The function ``chart`` of the element ``plot``."""
    return _named("chart", resolve, drawing.ChartRequest, drawing.answer)


def _named(
    name: str,
    resolve: Resolve,
    model: type[Query],
    answer: Callable[[Comparison | None, Query], Answer],
) -> Callable[[Any], Answer]:
    """A function that an element calls by this name, with what ``model`` reads of a ``run``."""

    def function(sent: Any) -> Answer:
        try:
            asked = model.model_validate(sent)
            return answer(resolve(asked.run), asked)  # type: ignore[attr-defined]
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    function.__name__ = name
    return function
