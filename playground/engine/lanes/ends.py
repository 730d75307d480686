"""What ends a text: an end-of-sequence token, a stop string, or a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.engine.lanes.detokenizer import Detokenizer, Text
from playground.engine.lanes.rows import LaneRow
from playground.trace import FinishReason


@dataclass(frozen=True)
class Ends:
    """What ends the texts of a lane. ``limit`` counts new tokens, ``limited`` is its reason."""

    eos: frozenset[int]
    stop: tuple[str, ...]
    least: int  # new tokens before a stop string counts
    limit: int
    limited: FinishReason

    def met(
        self, detokenizer: Detokenizer, held: LaneRow, token: int
    ) -> tuple[FinishReason | None, Text]:
        """Why a row ends with ``token``, None where it goes on; and its text with that token."""
        tokens = (*held.row.tokens, token)
        count = len(tokens) - held.row.prompt_length
        text = detokenizer.extend(held.text, tokens)
        if token in self.eos:
            return "eos", text
        if count >= self.least:
            added = len(text.value) - len(held.text.value)
            if find_stop(text.value, added, self.stop) is not None:
                return "stop", text
        return (self.limited if count >= self.limit else None), text


def find_stop(text: str, added: int, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins that the last ``added`` characters completed."""
    found = [
        start
        for string in stop
        if (start := text.find(string, max(0, len(text) - added - len(string) + 1))) >= 0
    ]
    return min(found, default=None)


def unsettled(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of a text begin a stop string, which may still follow."""
    return max(
        (
            count
            for string in stop
            for count in range(min(len(string) - 1, len(text)), 0, -1)
            if text.endswith(string[:count])
        ),
        default=0,
    )
