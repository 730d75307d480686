"""Grammars that a text keeps to: read, tried out within bounds, and followed token by token."""

from .choices import of_choices
from .context_free import of_grammar
from .grammar import Grammar, begins, exactly
from .grammars import Grammars
from .matching import Matching, Unfit
from .regex import of_regex
from .schema import of_schema
from .settings import Constraint
from .vocabulary import Vocabulary

__all__ = [
    "Constraint",
    "Grammar",
    "Grammars",
    "Matching",
    "Unfit",
    "Vocabulary",
    "begins",
    "exactly",
    "of_choices",
    "of_grammar",
    "of_regex",
    "of_schema",
]
