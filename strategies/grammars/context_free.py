"""A context-free grammar as a grammar of llguidance: in its variant of Lark's notation, or GBNF."""

from __future__ import annotations

import re

from .gbnf import to_lark
from .grammar import Grammar, check_text, of_lark

_GBNF = re.compile(r"^[ \t]*[a-zA-Z0-9_-]+[ \t]*::=", re.MULTILINE)
_REFUSED = {
    "%llguidance": "%llguidance has no meaning here.",
    "%json": "%json is not read here; give a schema as json_schema.",
    "temperature": "a grammar sets no temperature; that is a step of its own.",
}
_OPTIONS = re.compile(r"%llguidance|%json|(?P<name>temperature)\s*=")


def of_grammar(grammar: str) -> Grammar:
    """Texts that a grammar derives as a whole; ``ValueError`` for what is known to be none.

    GBNF defines its rules by ``::=`` and begins with ``root``; Lark by ``:``, with ``start``.
    """
    check_text(grammar)
    if _GBNF.search(grammar):
        return Grammar(of_lark(to_lark(grammar)))
    option = _OPTIONS.search(grammar)
    if option is not None:
        raise ValueError(_REFUSED[option["name"] or option[0]])
    return Grammar(of_lark(grammar))
