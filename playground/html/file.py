"""One HTML file with a whole comparison in it: opened from a disk or a mail, it asks nobody.

The file holds the comparison's JSON and the values of all elements, both compressed and written in
base64: no text of a model or a person is ever part of its markup. Its policy forbids all requests
and every script but its own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from playground.colours import LETTERS
from playground.html.content import content
from playground.trace import Comparison
from playground.trace.steps import DIGITS

OURS = Path(__file__).parent / "assets"
SHARED = Path(__file__).parent.parent / "ui" / "assets"
ELEMENTS = {  # the page's, each with the constants that its code uses by name
    "chips": (), "strip": ("colour",), "caption": (), "token": (), "rows": (), "listing": (),
    "panels": (), "changes": (), "plot": ("source",), "reference": (), "downloads": (), "dock": (),
    "walk": (), "beams": (), "tree": (), "apart": (), "ribbon": (),
}  # fmt: skip
SCRIPTS = (
    "part", "scrolling", "shape", "refer", "picks", "picture", "save", "tree_drawing",
    "beam_tree", "beam_drawing",
)  # fmt: skip
OWN = ("figure", "controls", "columns", "token_table", "recorded", "file")  # in their order
SHEETS = (
    "page", "setup", "columns", "text", "widths", "inspector", "rows", "save", "listing",
    "panels", "changes", "tree", "apart", "beams", "walk", "ribbon", "dock",
)  # fmt: skip
MOST_BYTES = 256 << 20  # of a comparison's JSON
_RUN = re.compile(r'<script type="application/gzip" id="run">([A-Za-z0-9+/=\s]*)</script>')


def to_html(comparison: Comparison) -> str:
    """The file. Raises ``ValueError`` where there are more columns than have a colour."""
    if len(comparison.lanes) > len(LETTERS):
        raise ValueError(
            f"lanes: a file shows up to {len(LETTERS)} columns, and this comparison has "
            f"{len(comparison.lanes)}; take some of them."
        )
    script, style = _script(), _style()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _asset(OURS / "file.html").replace("{{digest}}", digest)
    page = page.replace("{{style}}", style).replace("{{script}}", script)
    shown = _rounded(content(comparison))
    written = json.dumps(shown, separators=(",", ":"), allow_nan=False)
    return page.replace("{{content}}", _packed(written)).replace(
        "{{run}}", _packed(comparison.to_json())
    )


def read(text: str) -> Comparison:
    """The comparison in such a file, or in its JSON; ``ValueError`` where there is none."""
    if text.lstrip()[:1] == "{":
        return Comparison.from_json(text)
    found = _RUN.search(text)
    if found is None:
        raise ValueError("the file holds no comparison that this playground wrote.")
    return Comparison.from_json(unpacked(found[1]))


def unpacked(data: str, most: int = MOST_BYTES) -> bytes:
    """What ``data`` was before it was compressed; ``ValueError`` beyond ``most`` bytes."""
    try:
        stream = zlib.decompressobj(wbits=31)  # gzip's header and checksum
        found = stream.decompress(base64.b64decode(data, validate=False), most)
    except (ValueError, zlib.error) as error:
        raise ValueError("the data of the file is damaged.") from error
    if stream.unconsumed_tail:
        raise ValueError(f"the data of the file is longer than {most:,} bytes.")
    if not stream.eof:
        raise ValueError("the data of the file is cut off.")
    return found


def _rounded(value: Any) -> Any:
    """The same with floats in as many digits as a trace's JSON has of them."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@cache
def _asset(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@cache
def _style() -> str:
    sheets = [SHARED / f"{name}.css" for name in SHEETS]
    return "\n".join(_asset(file) for file in [*sheets, OURS / "file.css"])


@cache
def _script() -> str:
    """The elements' code, each in a function of its own, and then the file's."""
    parts = [_asset(OURS / "elements.js")]
    parts += [_asset(SHARED / f"{name}.js") for name in SCRIPTS]
    for name, constants in ELEMENTS.items():
        template = _quoted(_asset(SHARED / f"{name}.html"))
        known = f", {{ {', '.join(constants)} }}" if constants else ""
        parts.append(
            f"elements.{name} = {{ template: {template}, "
            f"run(element, props, trigger, watch, server{known}) {{\n"
            f"{_asset(SHARED / f'{name}.js')}\n}} }};"
        )
    parts += [_asset(OURS / f"{name}.js") for name in OWN]
    script = "\n".join(parts)
    assert "</script" not in script.lower() and "<!--" not in script, "it would end the element"
    return f'"use strict";\n{script}'


def _quoted(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
