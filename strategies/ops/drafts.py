"""A draft model as a recipe names it: the host's own, or another of those that are offered."""

from __future__ import annotations

from typing import Any

from ..base import Context, setting

MODEL: Any = setting(
    "",
    "The draft model, of the same vocabulary, by its id or title; empty is the host's own.",
    names="model",
    max_length=200,
)


def check_draft(context: Context, model: str, instead: str) -> None:
    """Raise ``ValueError`` where no such model can draft; ``instead`` says what else there is."""
    if model in ("", context.draft_model) and context.draft_model is not None:
        return
    if model and context.finds_drafts:
        return
    if model:
        raise ValueError(f"no draft model can be named here; leave model empty, or {instead}.")
    name = "name one as model, or " if context.finds_drafts else ""
    raise ValueError(f"there is no draft model here; {name}{instead}.")
