"""The README's tables of measurements, each between two comments that name its bench."""

from __future__ import annotations

from pathlib import Path


def write(report: object, readme: Path, bench: str) -> None:
    """Put the report of a bench into the README, in place of the one before it."""
    begin, end = f"<!-- {bench}-bench -->", f"<!-- /{bench}-bench -->"
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    readme.write_text(f"{before}{begin}\n{report}\n{end}{after}", encoding="utf-8")
