"""The table of a view as the page saves it; see ``assets/save.js``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playground.colours import LETTERS
from playground.explain.tables import Table


def saved(name: str, marked: tuple[int, int], table: Table) -> dict[str, Any]:
    """The table of a view of one token; ``marked`` is its (lane, step)."""
    lane, step = marked
    whole = f"{name}-{LETTERS[lane]}-token-{step + 1}"
    return {"name": whole, "columns": table.columns, "rows": table.rows}


def as_listed(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows of a listing as they stand there."""
    told = [[row["label"], row["values"], row["note"]] for row in rows]
    return Table(["row", "values", "note"], told)
