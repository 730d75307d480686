"""Our style sheets against what Gradio makes of them.

Gradio writes every rule twice, as it is and below ``.contain``, which outranks the first. Of rules
in ``@media`` it writes the second copy alone, it splits selectors at every comma, and it drops
every other block. A rule of which only the first copy can match is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from playground.ui.element import ASSETS

SHEETS = sorted(ASSETS.glob("*.css"))
OUTSIDE = re.compile(r"(?<![\w.#-])(?:body|html|:root|\.gradio-container|\.dark)(?![\w-])")
ABOVE = {  # these style what lies outside of ``.contain``, and nothing inside sets the same
    ":root", ".gradio-container", ".dark", ".dark .gradio-container", ".gradio-container > .main",
    ".gradio-container main.contain", ".gradio-container .main > .wrap", "body.away .toast-wrap",
}  # fmt: skip


def rules(css: str) -> Iterator[tuple[str, bool]]:
    """Every rule's selector, and whether it stands in an ``@media``."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"url\(\"[^\"]*\"\)", "url()", css)
    css = re.sub(r"@keyframes[^{]*\{(?:[^{}]*\{[^{}]*\})*\s*\}", "", css)
    depth, start = 0, 0
    media = False
    for at, letter in enumerate(css):
        if letter == "{":
            head = css[start:at].strip()
            if head.startswith("@"):
                assert head.startswith("@media"), f"Gradio drops {head}"
                media = True
            else:
                yield head, media
                depth += 1
            start = at + 1
        elif letter == "}":
            if depth:
                depth -= 1
            else:
                media = False
            start = at + 1


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_rule_is_lost_to_its_copy_below_contain(sheet):
    found = list(rules(sheet.read_text(encoding="utf-8")))
    assert len(found) > 5
    for selectors, media in found:
        assert not re.search(r"\([^()]*,", selectors), f"Gradio splits {selectors} at each comma"
        for selector in map(str.strip, selectors.split(",")):
            assert not selector.startswith("["), f"{selector} may stand outside of .contain"
            if OUTSIDE.search(selector):
                assert not media and selector in ABOVE, f"{selector} stands outside of .contain"
