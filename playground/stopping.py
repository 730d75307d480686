"""The end of the program: asked for by a signal, gone about in order, and over in time."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

WITHIN_S = 4.5  # who sends SIGTERM kills after ten seconds at the soonest; five are promised


class Stopping:
    """Waits for SIGINT or SIGTERM. Made on the main thread.

    No exception is raised where the signal finds the program: one that comes up in a destructor
    or a library's own clean-up is swallowed there, and the program goes on.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self) -> None:
        """Return once the program is to end; whatever then hangs ends with it in time."""
        while not self._asked.wait(0.5):  # in turns: elsewhere than on Linux a wait is not woken
            pass

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            late = threading.Timer(WITHIN_S, os._exit, [0])
            late.daemon = True
            late.start()
        self._asked.set()
