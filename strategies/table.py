"""The README's table of strategies: ``python -m strategies.table --write`` brings it up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .notation import quote
from .registry import Registry

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- strategies -->\n", "<!-- /strategies -->"  # what the table stands between


def table(found: Registry) -> str:
    """The strategies in Markdown, one a line."""
    lines = [
        "| strategy | what it does | settings and their defaults | source |",
        "|---|---|---|---|",
    ]
    for id, strategy in found.strategies.items():
        info = strategy.info
        settings = ", ".join(
            f"{name} ({quote(field.default)})"
            for name, field in strategy.Params.model_fields.items()
        )
        source = f"[{info.source}]({info.url})" if info.url else info.source
        lines.append(f"| `{id}` | {info.summary} | {settings or 'none'} | {source} |")
    return "\n".join(lines)


def within(text: str, found: Registry) -> str:
    """``text`` with the table of these strategies in the place of the one it holds."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the text has no {BEGIN.strip()} with an {END} behind it.")
    return f"{before}{begin}{table(found)}\n{end}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m strategies.table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write it into the README")
    write = parser.parse_args().write
    found = Registry.discover(entry_points=())  # not what other packages add on this machine
    for plugin in found.broken:
        print(f"{plugin.name} cannot be used: {plugin.error}", file=sys.stderr)
    if found.broken:
        return 1
    if write:
        README.write_text(within(README.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
