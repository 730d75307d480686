"""The runs that wait, in the order in which they are served: fair across clients, and bounded.

Start-time fair queueing (Goyal, Vin & Cheng 1996): a run is tagged on arrival with the virtual time
at which its client's earlier runs are served, and the least tag goes first. A client who sends
many runs waits behind its own, not before everybody else's. Runs in the background come after all
others, in the order in which they came.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from playground.engine.request import Busy, Limits
from playground.engine.run import Run


class RequestQueue:
    """Runs that wait for free rows. Not thread-safe: the loop holds its lock.

    ``running`` are always the runs at work already, and ``pace`` the seconds after which room is
    expected. ``Busy`` is raised where no more are taken, and says to try again after that time.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: list[Run] = []  # in the order they are served
        self._background: list[Run] = []  # served after all of them, in the order of arrival
        self._tags: dict[str, float] = {}  # by run
        self._reserved: Counter[str] = Counter()  # by client: requests that are being checked
        self._served: dict[str, float] = {}  # by client: when its runs so far are served
        self._now = 0.0  # virtual time, in rows times tokens

    def __len__(self) -> int:
        return len(self._waiting) + len(self._background)

    def __iter__(self) -> Iterator[Run]:
        return iter([*self._waiting, *self._background])

    @property
    def first(self) -> Run | None:
        """The next that is not in the background."""
        return self._waiting[0] if self._waiting else None

    @property
    def first_background(self) -> Run | None:
        """The first of those in the background."""
        return self._background[0] if self._background else None

    def reserve(self, client: str, running: Sequence[Run], pace: float) -> None:
        """Count a request against its client's share until ``release``.

        So many may be checked at once as may wait, however long a check takes.
        """
        if client:
            self._check_share(client, running, pace, self._reserved[client])
        self._reserved[client] += 1

    def release(self, client: str) -> None:
        """The request is checked: its runs wait by now, or it was refused."""
        self._reserved -= Counter([client])

    def add(self, runs: Sequence[Run], running: Sequence[Run], pace: float) -> None:
        """Queue runs that were submitted together: all of them or, where ``Busy``, none.

        Those in the background count to no share, and are bounded by themselves.
        """
        if runs[0].request.background:
            self._check_room(len(self._background), len(runs), pace)
            self._background.extend(runs)
            return
        client = runs[0].request.client
        if client:
            self._check_share(client, running, pace)
        self._check_room(len(self._waiting), len(runs), pace)
        for run in runs:
            key = client or run.batch
            tag = max(self._now, self._served.get(key, 0.0))
            self._tags[run.id] = tag
            self._served[key] = tag + run.width * run.request.max_new_tokens
            self._waiting.append(run)
        self._waiting.sort(key=lambda waiting: self._tags[waiting.id])  # stable: else by arrival
        self._renumber()

    def remove(self, run: Run) -> None:
        """Take out a run that is admitted, or was given up."""
        if run.request.background:
            self._background.remove(run)
            return
        self._waiting.remove(run)
        self._now = max(self._now, self._tags.pop(run.id))
        # A client served by now starts anew: only those ahead of the clock are remembered.
        self._served = {key: at for key, at in self._served.items() if at > self._now}
        self._renumber()

    def _check_room(self, waiting: int, more: int, pace: float) -> None:
        if waiting + more > self.limits.waiting:
            raise Busy(
                f"{waiting} {'run' if waiting == 1 else 'runs'} {_are(waiting)} waiting "
                f"already, and no more are taken. Try again in {math.ceil(pace)} s.",
                math.ceil(pace),
            )

    def _check_share(
        self, client: str, running: Sequence[Run], pace: float, reserved: int = 0
    ) -> None:
        others = [run for run in [*running, *self._waiting] if run.request.client == client]
        own = reserved + len({run.batch for run in others})
        if own >= self.limits.client_runs:
            raise Busy(
                f"{own} of your runs {_are(own)} still in line or at work; at most "
                f"{self.limits.client_runs} {_are(self.limits.client_runs)} taken at once. "
                "Wait for one to end.",
                math.ceil(pace),
            )

    def _renumber(self) -> None:
        for position, run in enumerate(self._waiting, start=1):
            if run.queue_position != position:
                run.queue_position = position
                run.changed()


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
