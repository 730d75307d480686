"""Quality against diversity as a Plotly figure: a point and an ellipse for each setting."""

from __future__ import annotations

import math
from typing import Any

from playground.charts.base import figure, tint
from playground.charts.text import literal, visible
from playground.colours import COLOURS, MODEL_GREY
from playground.experiment.findings import Findings
from playground.experiment.frontier import Point
from playground.experiment.metric import Metric
from playground.experiment.report.content import title
from playground.experiment.statistics.words import number
from playground.ui.drawing import drawing

_HEIGHT = 420
_LONGEST = 34  # characters of a name beside its point
_MOST_NAMES = 24  # points that are labelled; beyond, they tell their names where pointed at


def view(findings: Findings, id: str, quality: str = "", diversity: str = "") -> dict[str, Any]:
    """The value of the element ``plot``; a click on a point tells ``[recipe, id]``."""
    try:
        across, up, points = findings.frontier(quality or None, diversity or None)
    except ValueError as error:
        return drawing(None, str(error))
    if len(points) < 2:
        return drawing(None, "Two recipes with numbers are needed to draw one against another.")
    x, y = findings.metric(across), findings.metric(up)
    names = [findings.experiment.name(point.recipe) for point in points]
    data: list[dict[str, Any]] = []
    order = sorted(range(len(points)), key=lambda at: not _grey(points[at]))
    for at in order:
        data += _traces(
            points[at], names[at], id, x, y, labelled=len(points) <= _MOST_NAMES, below=bool(at % 2)
        )
    drawn = figure(
        data,
        height=_HEIGHT,
        margin={"l": 64, "r": 16, "t": 10, "b": 48},
        xaxis=_axis(x),
        yaxis=_axis(y),
        hovermode="closest",
    )
    return drawing(drawn, sentence(points, names, x, y), f"frontier-{id}-{across}-{up}")


def sentence(points: list[Point], names: list[str], x: Metric, y: Metric) -> str:
    """What the figure shows for this very experiment."""
    best = [name for name, point in zip(names, points, strict=True) if not _grey(point)]
    beaten = sum(point.dominated for point in points)
    unfair = sum(not point.fair and not point.dominated for point in points)
    told = f"{y.info.title} against {x.info.title}; each ellipse holds a setting's true "
    told += "means with 95 %. "
    if len(best) == len(points):
        told += "No setting is beaten on both by another. "
    elif len(best) == 1:
        told += f"{best[0]} is beaten by none. "
    else:
        told += f"{len(best)} of {len(points)} settings are beaten by none on both. "
    if beaten:
        told += "Grey are those that another one beats on both. "
    if unfair:
        told += (
            f"{unfair} more {'is' if unfair == 1 else 'are'} grey so that every sampler has as "
            "many tried settings as the others. "
        )
    return f"{told}A click on a point opens its texts."


def _traces(
    point: Point, name: str, id: str, x: Metric, y: Metric, *, labelled: bool, below: bool
) -> list[dict[str, Any]]:
    colour = MODEL_GREY if _grey(point) else COLOURS[point.recipe % len(COLOURS)]
    found: list[dict[str, Any]] = []
    if point.ellipse is not None:
        outline = point.ellipse.outline(point.x, point.y)
        outline.append(outline[0])
        found.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [_shown(one, x) for one, _ in outline],
                "y": [_shown(one, y) for _, one in outline],
                "line": {"color": colour, "width": 1},
                "fill": "toself",
                "fillcolor": tint(colour, 0.07 if _grey(point) else 0.16),
                "hoverinfo": "skip",
                "name": f"{literal(visible(name, space=' '))}, ellipse",
            }
        )
    shown = literal(visible(name, _LONGEST, space=" "))
    whole = literal(visible(name, space=" ")).replace("%{", "%&#123;")
    why = "<br>another is better in both" if point.dominated else ""
    if not point.fair and not point.dominated:
        why = "<br>left out, so that every sampler has as many tries"
    found.append(
        {
            "type": "scatter",
            "mode": "markers+text" if labelled else "markers",
            "x": [_shown(point.x, x)],
            "y": [_shown(point.y, y)],
            "text": [shown],
            "textposition": "bottom center" if below else "top center",
            "textfont": {"size": 11},
            "marker": {"color": colour, "size": 11},
            "customdata": [[point.recipe, id]],
            "name": shown,
            "cliponaxis": False,
            "hovertemplate": f"<b>{whole}</b><br>{literal(title(x))} {_told(point.x, x)}<br>"
            f"{literal(title(y))} {_told(point.y, y)}{why}<extra></extra>",
        }
    )
    return found


def _grey(point: Point) -> bool:
    return point.dominated or not point.fair


def _shown(value: float, metric: Metric) -> float:
    return math.exp(value) if metric.info.ratio else value * metric.info.factor


def _told(value: float, metric: Metric) -> str:
    return number(_shown(value, metric))


def _axis(metric: Metric) -> dict[str, Any]:
    better = {"more": "more is better", "less": "less is better", None: ""}[metric.info.better]
    text = f"{title(metric)}{better and f' ({better})'}"
    kind = {"type": "log", "dtick": "D2"} if metric.info.ratio else {"type": "linear"}
    return {"title": {"text": literal(text)}, "zeroline": False, **kind}
