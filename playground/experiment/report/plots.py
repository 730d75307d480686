"""The plots of a report as SVG elements: means with their intervals, and the frontier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element, SubElement

from playground.colours import COLOURS, MODEL_GREY
from playground.experiment.metric import Metric
from playground.experiment.report.content import between, shown, title
from playground.experiment.result import Result
from playground.experiment.statistics.words import number

_WIDE, _ROW, _LEFT, _MARGIN = 720, 26, 250, 24
_TICKS = 5
_LONGEST = 38  # characters of a name beside a plot


def means(result: Result, metric: Metric) -> Element | None:
    """A row for each recipe: its mean as a point on the line of its interval; None without any."""
    summaries = result.summary(str(metric))
    if not summaries:
        return None
    ratio = metric.info.ratio
    ends = [end for one in summaries for end in (one.low, one.mean, one.high) if end is not None]
    scale = _scale(min(ends), max(ends), _LEFT, _WIDE - _MARGIN, ratio)
    tall = _ROW * len(summaries) + 44
    svg = _svg(tall, f"{title(metric)}: " + "; ".join(
        f"{result.experiment.name(one.recipe)} {between(one, metric)}" for one in summaries
    ))  # fmt: skip
    for value in _ticks(min(ends), max(ends), ratio):
        x = scale(value)
        _line(svg, x, 6, x, tall - 34, "grid")
        _label(svg, x, tall - 18, shown(value, metric), "middle")
    for row, one in enumerate(summaries):
        y, colour = 18 + _ROW * row, _colour(one.recipe)
        _label(svg, _LEFT - 12, y + 4, _short(result.experiment.name(one.recipe)), "end")
        if one.low is not None and one.high is not None:
            _line(svg, scale(one.low), y, scale(one.high), y, "interval", colour)
        dot = SubElement(svg, "circle", cx=_n(scale(one.mean)), cy=_n(y), r="5", fill=colour)
        SubElement(
            dot, "title"
        ).text = f"{result.experiment.name(one.recipe)}: {between(one, metric)}"
    return svg


def frontier(result: Result) -> Element | None:
    """Quality against diversity, an ellipse for each setting; dominated settings are grey."""
    try:
        across, up, points = result.frontier()
    except ValueError:
        return None
    if len(points) < 2:
        return None
    by_id = {str(metric): metric for metric in result.experiment.measured}
    ax, ay = by_id[across], by_id[up]
    outlines = [p.ellipse.outline(p.x, p.y) if p.ellipse else [(p.x, p.y)] for p in points]
    xs = [x for outline in outlines for x, _ in outline]
    ys = [y for outline in outlines for _, y in outline]
    tall = 420
    px = _scale(min(xs), max(xs), 76, _WIDE - _MARGIN)
    py = _scale(min(ys), max(ys), tall - 62, 16)
    svg = _svg(tall, f"{title(ay)} against {title(ax)}")
    for value in _ticks(min(xs), max(xs)):
        _line(svg, px(value), 16, px(value), tall - 62, "grid")
        _label(svg, px(value), tall - 44, _axis(value, ax), "middle")
    for value in _ticks(min(ys), max(ys)):
        _line(svg, 76, py(value), _WIDE - _MARGIN, py(value), "grid")
        _label(svg, 68, py(value) + 4, _axis(value, ay), "end")
    _label(svg, (76 + _WIDE - _MARGIN) / 2, tall - 20, f"{title(ax)} ({_better(ax)})", "middle")
    turned = _label(svg, 16, (tall - 46) / 2, f"{title(ay)} ({_better(ay)})", "middle")
    turned.set("transform", f"rotate(-90 16 {_n((tall - 46) / 2)})")
    for point, outline in sorted(
        zip(points, outlines, strict=True), key=lambda p: not p[0].dominated
    ):
        colour = MODEL_GREY if point.dominated or not point.fair else _colour(point.recipe)
        name = result.experiment.name(point.recipe)
        if point.ellipse is not None:
            path = " ".join(f"{_n(px(x))},{_n(py(y))}" for x, y in outline)
            SubElement(
                svg, "polygon",
                {"points": path, "fill": colour, "fill-opacity": "0.14", "stroke": colour},
            )  # fmt: skip
        dot = SubElement(svg, "circle", cx=_n(px(point.x)), cy=_n(py(point.y)), r="5", fill=colour)
        SubElement(dot, "title").text = name + (
            " (another is better in both)" if point.dominated else ""
        )
        right = px(point.x) < _WIDE * 0.62
        _label(
            svg, px(point.x) + (9 if right else -9), py(point.y) - 8, _short(name),
            "start" if right else "end",
        )  # fmt: skip
    return svg


def _better(metric: Metric) -> str:
    better = metric.info.better
    return {"more": "more is better", "less": "less is better", None: "either may be better"}[
        better
    ]


def _axis(value: float, metric: Metric) -> str:
    """The label of a tick; the axis of a ratio has its logarithm."""
    return number(math.exp(value)) if metric.info.ratio else shown(value, metric)


def _colour(recipe: int) -> str:
    return COLOURS[recipe % len(COLOURS)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _scale(
    low: float, high: float, first: float, last: float, ratio: bool = False
) -> Callable[[float], float]:
    """The map from values to coordinates, with a margin; logarithmic where ``ratio``."""
    change: Callable[[float], float] = math.log if ratio else float
    low, high = change(low), change(high)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    return lambda value: first + (change(value) - low) / (high - low) * (last - first)


def _ticks(low: float, high: float, ratio: bool = False) -> Sequence[float]:
    """Round numbers between two."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / _TICKS))
    step *= next(many for many in (1, 2, 5, 10) if (high - low) / (step * many) <= _TICKS)
    found = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [one for one in found if one > 0] if ratio else found


def _svg(tall: float, words: str) -> Element:
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {_WIDE} {_n(tall)}", "role": "img", "aria-label": words, "class": "plot"},
    )
    return svg


def _line(
    svg: Element, x1: float, y1: float, x2: float, y2: float, kind: str, colour: str = ""
) -> None:
    given = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2), "class": kind}
    SubElement(svg, "line", given | ({"stroke": colour} if colour else {}))


def _label(svg: Element, x: float, y: float, text: str, anchor: str) -> Element:
    label = SubElement(svg, "text", {"x": _n(x), "y": _n(y), "text-anchor": anchor})
    label.text = text
    return label


def _n(value: float) -> str:
    return f"{value:.1f}"
