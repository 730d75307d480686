"""How a comparison shows itself in a notebook: its file in a frame, and its texts as a table."""

from __future__ import annotations

import re
from html import escape

from playground.colours import COLOURS, LETTERS
from playground.html.file import to_html
from playground.trace import Comparison, column_name

MOST_BYTES = 12_000_000  # of a file in a notebook, which keeps it with each cell that shows it
HEIGHT = 780  # pixels
QUIET = "font:13px/1.5 system-ui,sans-serif"


def framed(comparison: Comparison) -> str:
    """The file in a frame of its own, which can ask for nothing, and the texts below it.

    The texts are what is left where a viewer of notebooks runs no scripts. They stand alone where
    there are more columns than a file shows, or where it would be very long.
    """
    table = texts(comparison)
    if not 0 < len(comparison.lanes) <= len(LETTERS):
        return table
    page = to_html(comparison)
    if len(page) > MOST_BYTES:
        return table
    return (
        f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts allow-downloads" '
        f'title="A comparison of {len(comparison.lanes)} recipes" '
        f'style="width:100%;height:{HEIGHT}px;border:0;border-radius:8px"></iframe>'
        f'<details style="{QUIET}"><summary>The texts alone</summary>{table}</details>'
    )


def texts(comparison: Comparison) -> str:
    """A table of the columns, their recipes and their texts; static, and every text escaped."""
    rows = []
    for number, lane in enumerate(comparison.lanes):
        colour = COLOURS[number % len(COLOURS)]
        text = escape(lane.text if lane.error is None else lane.error)
        named = f"<br>{escape(lane.name)}" if lane.name else ""
        rows.append(
            f'<tr style="vertical-align:top"><th style="color:{colour}">{column_name(number)}</th>'
            f'<td style="text-align:left"><code>{escape(lane.recipe)}</code>{named}</td>'
            f'<td style="text-align:left;white-space:pre-wrap">{text}</td></tr>'
        )
    return f'<table style="{QUIET}">{"".join(rows)}</table>'


def markdown(comparison: Comparison) -> str:
    """The columns as Markdown, for what shows no HTML: texts in fences that none of them closes."""
    parts = []
    for number, lane in enumerate(comparison.lanes):
        text = lane.text if lane.error is None else lane.error
        fence = "`" * max(3, _longest_run(text) + 1)
        tick = "`" * (_longest_run(lane.recipe) + 1)
        parts.append(
            f"**{column_name(number)}** {tick} {lane.recipe} {tick}\n\n{fence}\n{text}\n{fence}"
        )
    return "\n\n".join(parts)


def _longest_run(text: str) -> int:
    """The length of the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
