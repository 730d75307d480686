"""The server-sent events of an experiment."""

from playground.api.errors import Fault, Problem
from playground.api.events import event
from playground.experiment.job import Job


class JobEvents:
    """The events of an experiment, which goes on when nobody listens any more."""

    def __init__(self, job: Job) -> None:
        self.run, self.over = job, False
        self._version = -1

    def stale(self) -> bool:
        """Whether there may be new events."""
        return self.run.done or self.run.version != self._version

    def start(self) -> bytes:
        return self._event("state")

    def next(self) -> bytes:
        """The state, if it has changed; sets ``over`` at the end."""
        self.over = self.run.done
        return b"" if self.over or self.run.version == self._version else self._event("state")

    def end(self) -> bytes:
        return self._event("done")

    def failure(self, fault: Fault) -> bytes:
        return event("error", Problem(detail=[fault]))

    def cancel(self) -> None:
        """Does nothing: the experiment goes on."""

    def _event(self, name: str) -> bytes:
        self._version = self.run.version
        return event(name, self.run.state)
