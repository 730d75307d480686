"""Grammars that a text keeps to: read, tried out within bounds, and followed token by token."""

from .choices import of_choices
from .context_free import of_grammar
from .grammar import Grammar, begins, exactly
from .matching import Matching, Unfit, reaches, vocabulary
from .regex import of_regex
from .schema import of_schema
from .settings import Constraint

__all__ = [
    "Constraint",
    "Grammar",
    "Matching",
    "Unfit",
    "begins",
    "exactly",
    "of_choices",
    "of_grammar",
    "of_regex",
    "of_schema",
    "reaches",
    "vocabulary",
]
