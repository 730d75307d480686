"""What visitors ran, kept in a file and found again: private to a visitor's key, or by a link."""

from playground.history.entry import Entry, of_run, run_of, same_texts, searched
from playground.history.store import History

__all__ = ["Entry", "History", "of_run", "run_of", "same_texts", "searched"]
