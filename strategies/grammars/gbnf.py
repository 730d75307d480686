"""llama.cpp's notation of grammars, GBNF, in the variant of Lark's that llguidance reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .grammar import exactly

_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r\n]|\#[^\r\n]*)+)
    |(?P<head>[a-zA-Z0-9_-]+)[ \t]*::=
    |(?P<name>[a-zA-Z0-9_-]+)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<any>\.)
    |(?P<set>\[(?:[^\]\\]|\\.)*\])
    |(?P<times>[*+?]|\{[ ]*[0-9]+[ ]*(?:,[ ]*[0-9]*[ ]*)?\})
    |(?P<mark>[()|])""",
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = re.compile(
    r'\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[nrt"\\\[\]]|[^\\]'
)
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


def to_lark(gbnf: str) -> str:
    """The same language, each character of it a lexeme; ``ValueError`` where it is no GBNF.

    A longer lexeme would take as much of a text as it can, and leave what follows without.
    """
    rules: dict[str, list[str]] = {}
    depth = 0
    body: list[str] = []
    before = ""
    for kind, token in _tokens(gbnf):
        if kind == "head":
            if depth:
                raise ValueError("a bracket is not closed.")
            if token in rules:
                raise ValueError(f"the rule {token} is given twice.")
            body = rules[token] = []
        elif not rules:
            raise ValueError('a grammar begins with a rule, such as root ::= "a".')
        elif kind == "times" and (not body or body[-1] in ("(", "|") or before == "times"):
            raise ValueError(f"{token} stands behind nothing that it could repeat.")
        else:
            depth += (token == "(") - (token == ")")
            if depth < 0:
                raise ValueError("a bracket is closed that is not open.")
            if token in ("|", ")") and (not body or body[-1] in ("(", "|")):
                body.append('""')
            body.append(_written(kind, token))
        before = kind
    if depth:
        raise ValueError("a bracket is not closed.")
    if "root" not in rules:
        raise ValueError("there is no rule root.")
    names = {name: "start" if name == "root" else f"r{i}" for i, name in enumerate(rules)}
    return "\n".join(
        f"{names[name]}: {' '.join(_named(part, names) for part in _ended(body))}"
        for name, body in rules.items()
    )


def _tokens(gbnf: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(gbnf):
        found = _TOKEN.match(gbnf, at)
        if found is None or found.lastgroup is None:
            raise ValueError(f"it cannot be read from {json.dumps(gbnf[at : at + 20])} on.")
        at = found.end()
        if found.lastgroup != "blank":
            yield found.lastgroup, found[found.lastgroup]


def _written(kind: str, token: str) -> str:
    match kind:
        case "text":
            characters = " ".join(f"/{exactly(c)}/" for c in _characters(token[1:-1]))
            return f"({characters})" if characters else '""'
        case "set":
            return _set(token[1:-1])
        case "any":
            return "/(?s:.)/"
        case "times":
            return token.replace(" ", "")
    return token if kind == "mark" else f"={token}"  # a name, given its own later


def _named(part: str, names: dict[str, str]) -> str:
    if not part.startswith("="):
        return part
    if part[1:] not in names:
        raise ValueError(f"there is no rule {part[1:]}.")
    return names[part[1:]]


def _ended(body: list[str]) -> list[str]:
    return [*body, '""'] if not body or body[-1] == "|" else body


def _characters(written: str) -> list[str]:
    """Each character of a text or a set, escapes read."""
    found, at = [], 0
    while at < len(written):
        match = _CHARACTER.match(written, at)
        if match is None:
            raise ValueError(f"{json.dumps(written[at : at + 10])} is no character.")
        at, one = match.end(), match[0]
        if len(one) > 2:
            code = int(one[2:], 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise ValueError(f"{one} is no character.")
            one = chr(code)
        elif len(one) == 2:
            one = _NAMED.get(one[1], one[1])
        found.append(one)
    return found


def _set(written: str) -> str:
    """The expression of a set of characters; ``^`` leads one that is left out, ``-`` a range."""
    but = "^" if written.startswith("^") else ""
    rest = _CHARACTER.findall(written[len(but) :])
    members = _characters(written[len(but) :])
    parts, at = [], 0
    while at < len(members):
        last = at
        if rest[at + 1 : at + 2] == ["-"] and at + 2 < len(members):
            last = at + 2
        if members[at] > members[last]:
            raise ValueError(f"the range {members[at]}-{members[last]} is empty.")
        ends = dict.fromkeys([members[at], members[last]])
        parts.append("-".join(map(exactly, ends)))
        at = last + 1
    if not parts:
        raise ValueError("a set of characters is empty.")
    return f"/[{but}{''.join(parts)}]/"
