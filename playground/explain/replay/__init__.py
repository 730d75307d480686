"""Recipes applied again, to a given text or to what a trace records of one."""

from playground.explain.replay.outcome import RecordedText
from playground.explain.replay.slack import slack, text_slack, token_slack
from playground.explain.replay.what_if import what_if

__all__ = ["RecordedText", "slack", "text_slack", "token_slack", "what_if"]
