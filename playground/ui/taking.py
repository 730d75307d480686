"""What a model would take before it is taken, and how far it is: the card below the page's header.

A value of the element is ``{kind, id, words}``: an ``offer`` has the ``bytes`` that its button
names, and a model that is ``coming`` the ``share`` that is here, where that is known. The page's
event adds its ``ticket``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from playground.models.arrival import Arrival, Estimate
from playground.models.memory import size

_SPAN_S = 10.0  # over which the speed is taken
_SOON_S = 3.0  # a speed is told once bytes have come for so long
_STAGES = {
    "asking": "asking the hub what it has",
    "fetching": "fetching",
    "reading": "reading its weights",
    "checking": "comparing its scores with its own forward pass",
}


def offer(estimate: Estimate) -> dict[str, Any]:
    """What a model would take of this host, with the choice to take it."""
    memory = "is known once it is read"
    if estimate.memory is not None:
        memory = f"{size(estimate.memory)} of {size(estimate.room)} that this host has for models"
    words = [
        f"{estimate.title} is not on this machine. {estimate.summary}",
        f"Download: {size(estimate.download)}, where {size(estimate.disk)} are free. "
        f"Memory: {memory}.",
    ]
    if estimate.memory is not None and estimate.memory + estimate.held > estimate.room:
        words.append("A model that nobody uses is dropped for it.")
    return {
        "kind": "offer",
        "id": estimate.id,
        "words": " ".join(words),
        "bytes": size(estimate.download),
    }


def asking(id: str) -> dict[str, Any]:
    """The card while the hub is asked what a model would take."""
    return {"kind": "coming", "id": id, "words": f"{_title(id)}: {_STAGES['asking']} …"}


@dataclass
class Pace:
    """How fast an arrival's bytes come, from what was seen of it."""

    arrival: Arrival
    _seen: list[tuple[float, int]] = field(default_factory=list)

    def coming(self, now: float | None = None) -> dict[str, Any]:
        """The card of a model on its way; ``now`` is in seconds of any steady clock."""
        words, share = self.words(now)
        return {"kind": "coming", "id": self.arrival.id, "words": words, "share": share}

    def words(self, now: float | None = None) -> tuple[str, float | None]:
        """How far it is in a sentence, and the share of its bytes that are here."""
        arrival, now = self.arrival, time.monotonic() if now is None else now
        if arrival.stage != "fetching" or not arrival.total:
            return f"{_title(arrival.id)}: {_STAGES[arrival.stage]} …", None
        done = min(arrival.done, arrival.total)
        self._seen = [(at, n) for at, n in self._seen if now - at <= _SPAN_S] + [(now, done)]
        told = f"{_title(arrival.id)}: {size(done)} of {size(arrival.total)} fetched"
        (first, begun) = self._seen[0]
        speed = (done - begun) / (now - first) if now - first >= _SOON_S else 0.0
        if speed > 0:
            told += f", {size(int(speed))} a second, {_left((arrival.total - done) / speed)}"
        return f"{told} …", done / arrival.total


def _title(id: str) -> str:
    return id.rsplit("/", 1)[-1]


def _left(seconds: float) -> str:
    if seconds < 60:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"
