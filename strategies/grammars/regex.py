"""A regular expression as a grammar of llguidance."""

from __future__ import annotations

import math
import re
from functools import partial

from llguidance import regex_to_lark

from .grammar import Grammar, check_text, of_lark

_BACKSLASHES = re.compile(r"\\*\Z")


def of_regex(regex: str) -> Grammar:
    """Texts that a regular expression matches as a whole; ``ValueError`` for what is none."""
    check_text(regex)
    if len(_BACKSLASHES.findall(regex)[0]) % 2:
        raise ValueError("it ends in a backslash that stands before nothing.")
    written = regex_to_lark(regex)
    return Grammar(of_lark(f"start: /{written}/"), at_least=partial(_at_least, written))


def _at_least(regex: str, bytes: int) -> str:
    """Those of at least so many characters, or with one outside ASCII and a quarter as many."""
    quarter = math.ceil(bytes / 4)
    wide = rf"/(?s:.*[^\x00-\x7f].*)/ & /(?s:.{{{quarter},}})/"
    return of_lark(f"start: LONG\nLONG: /{regex}/ & (/(?s:.{{{bytes},}})/ | ({wide}))")
