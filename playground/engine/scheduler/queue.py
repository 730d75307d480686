"""The runs that wait, in the order in which they are served: fair across clients, and bounded.

Start-time fair queueing (Goyal, Vin & Cheng 1996): a run is tagged on arrival with the virtual time
at which its client's earlier runs are served, and the least tag goes first. A client that sends
many runs waits behind its own, not ahead of everybody else's. Runs in the background come after all
others, in the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from playground.engine.request import Limits
from playground.engine.run import Run
from playground.engine.scheduler.client_shares import ClientShares


class RequestQueue:
    """Runs that wait for free rows. Not thread-safe: the loop holds its lock.

    ``running`` are always the runs at work already, and ``pace`` the seconds after which room is
    expected. ``Busy`` is raised where no more are accepted, and names that time.
    """

    def __init__(self, limits: Limits) -> None:
        self.shares = ClientShares(limits)
        self._waiting: list[Run] = []  # in the order they are served
        self._background: list[Run] = []  # served after all of them, in the order of arrival
        self._tags: dict[str, float] = {}  # by run
        self._served: dict[str, float] = {}  # by client: when its runs so far are served
        self._now = 0.0  # virtual time, in rows times tokens

    def __len__(self) -> int:
        return len(self._waiting) + len(self._background)

    def __iter__(self) -> Iterator[Run]:
        return iter([*self._waiting, *self._background])

    @property
    def first(self) -> Run | None:
        """The next run that is not in the background."""
        return self._waiting[0] if self._waiting else None

    @property
    def first_background(self) -> Run | None:
        """The next run of those in the background."""
        return self._background[0] if self._background else None

    def reserve(self, client: str, running: Sequence[Run], pace: float) -> None:
        """Count a request against its client's share until ``release``."""
        self.shares.reserve(client, [*running, *self._waiting], pace)

    def release(self, client: str) -> None:
        """Stop counting a request that was checked: it was refused, or its runs are queued."""
        self.shares.release(client)

    def add(self, runs: Sequence[Run], running: Sequence[Run], pace: float) -> None:
        """Queue runs that were submitted together. Raises ``Busy``, and then queues none of them.

        Those in the background count against no client's share, and have a bound of their own.
        """
        if runs[0].request.background:
            self.shares.check_room(len(self._background), len(runs), pace)
            self._background.extend(runs)
            return
        client = runs[0].request.client
        self.shares.check(client, [*running, *self._waiting], pace)
        self.shares.check_room(len(self._waiting), len(runs), pace)
        for run in runs:
            key = client or run.batch
            tag = max(self._now, self._served.get(key, 0.0))
            self._tags[run.id] = tag
            self._served[key] = tag + run.width * run.longest
            self._waiting.append(run)
        self._waiting.sort(key=lambda waiting: self._tags[waiting.id])  # stable: else by arrival
        self._renumber()

    def remove(self, run: Run) -> None:
        """Remove a run that is admitted, or that ended while it waited."""
        if run.request.background:
            self._background.remove(run)
            return
        self._waiting.remove(run)
        self._now = max(self._now, self._tags.pop(run.id))
        # A client served by now starts anew: only those ahead of the clock are remembered.
        self._served = {key: at for key, at in self._served.items() if at > self._now}
        self._renumber()

    def _renumber(self) -> None:
        for position, run in enumerate(self._waiting, start=1):
            if run.queue_position != position:
                run.queue_position = position
                run.changed()
