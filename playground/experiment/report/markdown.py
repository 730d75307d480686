"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from playground.experiment.report.content import Section, Table, heading, sections
from playground.experiment.result import Result


def to_markdown(result: Result) -> str:
    lines = [f"# {_text(heading(result))}", ""]
    for section in sections(result):
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield ""
    for paragraph in section.paragraphs:
        yield _text(paragraph)
        yield ""
    if section.points:
        yield from (f"- {_text(point)}" for point in section.points)
        yield ""
    if section.table is not None and section.table.rows:
        yield from _table(section.table)
        yield ""
    if section.code is not None:
        longest = max((len(run) for run in re.findall("`+", section.code)), default=0)
        fence = "`" * max(3, longest + 1)
        yield f"{fence}toml"
        yield section.code.rstrip()
        yield fence
        yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, table.header))} |"
    marks = ["---:" if i in table.numbers else "---" for i in range(len(table.header))]
    yield f"|{'|'.join(marks)}|"
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|").replace("\n", "<br>")


def _text(text: str) -> str:
    """``text`` with the characters escaped that Markdown reads as markup."""
    return re.sub(r"([\\`*_<>\[\]#~$])", r"\\\1", text)
