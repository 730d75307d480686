"""The checks that every request and every answer pass, whether of the page or of the API."""

from playground.guard.gate import Door, Gate, Refusal
from playground.guard.hosts import HostCheck
from playground.guard.open_files import allow_open_files
from playground.guard.slow_senders import drop_slow_heads

__all__ = ["Door", "Gate", "HostCheck", "Refusal", "allow_open_files", "drop_slow_heads"]
