"""How many runs are accepted: from one client, and to wait in the queue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from playground.engine.request import Busy, Limits
from playground.engine.run import Run


class ClientShares:
    """The runs of each client in the queue or at work, and the requests that are being checked.

    Runs that were submitted together count as one. Not thread-safe: its owner holds a lock.
    ``pace`` is always in how many seconds room is expected, which is what ``Busy`` says.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._checked: Counter[str] = Counter()  # by client: requests that are being checked

    def reserve(self, client: str, runs: Iterable[Run], pace: float) -> None:
        """Count a request against its client's share until ``release``. Raises ``Busy``.

        ``runs`` are those of all clients. A client may have as many requests checked at once as it
        may have runs, however long a check takes.
        """
        self.check(client, runs, pace, self._checked[client])
        self._checked[client] += 1

    def release(self, client: str) -> None:
        """Stop counting a request that was checked: it was refused, or its runs are queued."""
        self._checked -= Counter([client])

    def check(self, client: str, runs: Iterable[Run], pace: float, checked: int = 0) -> None:
        """Raise ``Busy`` where a client has its share of runs; without a name there is no limit."""
        most = self.limits.client_runs
        own = checked + len({run.batch for run in runs if run.request.client == client})
        if client and own >= most:
            raise Busy(
                f"{own} of your runs {_are(own)} still in line or at work; at most {most} "
                f"{_are(most)} taken at once. Wait for one to end.",
                math.ceil(pace),
            )

    def check_room(self, waiting: int, more: int, pace: float) -> None:
        """Raise ``Busy`` where no ``more`` runs may wait."""
        if waiting + more > self.limits.waiting:
            raise Busy(
                f"{waiting} {'run' if waiting == 1 else 'runs'} {_are(waiting)} waiting "
                f"already, and no more are taken. Try again in {math.ceil(pace)} s.",
                math.ceil(pace),
            )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
