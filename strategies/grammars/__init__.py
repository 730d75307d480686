"""Grammars that a text keeps to: written, tried out within bounds, and followed token by token."""

from .matching import Matching, Unfit, exists, vocabulary
from .written import longer, of_regex, of_schema

__all__ = ["Matching", "Unfit", "exists", "longer", "of_regex", "of_schema", "vocabulary"]
