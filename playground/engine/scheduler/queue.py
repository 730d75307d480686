"""Who is next: a fair line across clients, bounded, in which nobody starves.

Start-time fair queueing (Goyal, Vin & Cheng 1996): a run is tagged on arrival with the virtual time
at which its client's earlier runs are served, and the least tag goes first. A client who sends
many runs waits behind its own, not before everybody else's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from playground.engine.request import Busy, Limits
from playground.engine.run import Run


class RequestQueue:
    """Runs that wait for free rows. Not thread-safe: the loop holds its lock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: list[Run] = []  # in the order they are served
        self._tags: dict[str, float] = {}  # by run
        self._asking: Counter[str] = Counter()  # by client: what is being checked
        self._served: dict[str, float] = {}  # by client: when its runs so far are served
        self._now = 0.0  # virtual time, in rows times tokens

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._waiting))

    @property
    def first(self) -> Run | None:
        return self._waiting[0] if self._waiting else None

    def ask(self, client: str, at_work: Sequence[Run], pace: float) -> None:
        """Count what a client is asking for, until ``asked``; ``Busy`` where its share is full.

        So many can be checked at once as may be in line, however long that takes.
        """
        if client:
            self._share(client, at_work, pace, self._asking[client])
        self._asking[client] += 1

    def asked(self, client: str) -> None:
        """It is in line by now, or refused."""
        self._asking -= Counter([client])

    def add(self, runs: Sequence[Run], at_work: Sequence[Run], pace: float) -> None:
        """Put runs of one batch in their places; ``Busy`` where line or client's share is full.

        ``at_work`` are running already; ``pace`` is the seconds after which a place comes free.
        """
        client = runs[0].request.client
        if client:
            self._share(client, at_work, pace)
        if len(self) + len(runs) > self.limits.waiting:
            raise Busy(
                f"{len(self)} {'run' if len(self) == 1 else 'runs'} {_are(len(self))} waiting "
                f"already, and no more are taken. Try again in {math.ceil(pace)} s.",
                math.ceil(pace),
            )
        for run in runs:
            key = client or run.batch
            tag = max(self._now, self._served.get(key, 0.0))
            self._tags[run.id] = tag
            self._served[key] = tag + run.width * run.request.max_new_tokens
            self._waiting.append(run)
        self._waiting.sort(key=lambda waiting: self._tags[waiting.id])  # stable: else by arrival
        self._tell()

    def _share(self, client: str, at_work: Sequence[Run], pace: float, asking: int = 0) -> None:
        others = [run for run in [*at_work, *self._waiting] if run.request.client == client]
        own = asking + len({run.batch for run in others})
        if own >= self.limits.client_runs:
            raise Busy(
                f"{own} of your runs {_are(own)} still in line or at work; at most "
                f"{self.limits.client_runs} {_are(self.limits.client_runs)} taken at once. "
                "Wait for one to end.",
                math.ceil(pace),
            )

    def remove(self, run: Run) -> None:
        """Take a run out: it is served, or it was given up."""
        self._waiting.remove(run)
        self._now = max(self._now, self._tags.pop(run.id))
        # Whoever is served by now starts anew: only clients ahead of the clock are remembered.
        self._served = {key: at for key, at in self._served.items() if at > self._now}
        self._tell()

    def _tell(self) -> None:
        for place, run in enumerate(self._waiting, start=1):
            if run.queue_position != place:
                run.queue_position = place
                run.changed()


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
