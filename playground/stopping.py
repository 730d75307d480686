"""The end of the program: requested by a signal, and reached within seconds."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

WITHIN_S = 4.5  # the README promises five; container hosts send SIGKILL after ten or more


class Stopping:
    """Waits for SIGINT or SIGTERM. Make it on the main thread.

    The handlers raise no exception: one that is raised inside a destructor or a library's clean-up
    is swallowed there, and the program would go on.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self) -> None:
        """Return when the program is to end, which it does ``WITHIN_S`` later at the latest."""
        while not self._asked.wait(0.5):  # except on Linux, a signal does not interrupt a wait
            pass

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            late = threading.Timer(WITHIN_S, os._exit, [0])
            late.daemon = True
            late.start()
        self._asked.set()
