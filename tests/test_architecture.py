"""The description of the architecture names only what exists, and every part of the tree."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "playground" / "README.md").read_text(encoding="utf-8")
NAMED = sorted({word for word in re.findall(r"`([^`\s]+)`", TEXT) if "/" in word or ".py" in word})


def missing(named: str) -> str | None:
    """The part of ``path`` or ``path:name`` that does not exist; empty where all of it does."""
    path, _, name = named.partition(":")
    if not (ROOT / path).exists():
        return path
    if name:
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        try:
            reduce(getattr, name.split("."), module)
        except AttributeError:
            return name
    return None


@pytest.mark.parametrize("named", NAMED)
def test_what_is_named_exists(named: str) -> None:
    assert missing(named) is None


def test_the_test_sees_what_is_gone() -> None:
    assert len(NAMED) > 50
    assert missing("playground/gone.py") == "playground/gone.py"
    assert missing("playground/service.py:Service.gone") == "Service.gone"
    assert missing("playground/service.py:Service.submit") is None


def test_every_part_is_described() -> None:
    folders = {f"playground/{f.name}/" for f in (ROOT / "playground").iterdir() if f.is_dir()}
    folders -= {"playground/__pycache__/", "playground/settings/"}
    assert folders <= set(NAMED)
