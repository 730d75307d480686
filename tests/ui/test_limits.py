"""Stop strings as a person types them: one per line, with marks for what a line cannot hold."""

from __future__ import annotations

import pytest

from playground.ui.limits import stop_strings


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("", []),
        ("\n\n", []),
        ("End", ["End"]),
        ("one\ntwo", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        *((f"a{mark}b", [f"a{mark}b"]) for mark in "\x0b\x0c\x1c\x85\u2028\u2029"),
        (r"\n", ["\n"]),
        (r"\n\n", ["\n\n"]),
        (r"a\tb", ["a\tb"]),
        (r"\\n", [r"\n"]),
        ("\\\\", ["\\"]),
        ("\\", ["\\"]),
        (r"\x", [r"\x"]),
        (" ", [" "]),
    ],
)
def test_stop_strings(typed, meant):
    assert stop_strings(typed) == meant
