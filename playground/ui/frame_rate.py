"""How often the pages are sent a frame: as often as all of them, and each of them, can take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FRAME_S = 0.1  # a slower laptop falls behind above ten updates a second
FRAMES = 50  # a second for all pages together: the decode loop needs the time, too
SLOWEST_S = 1.6


@dataclass(frozen=True)
class FrameRate:
    """Seconds between two frames of each run that a page follows.

    What is sent waits in a page that cannot draw it in time, Stop behind it, until long after the
    run's end. Such a page asks for fewer frames, by the function that ``asked`` makes.
    """

    runs: dict[str, float] = field(default_factory=dict)
    _change: threading.Lock = field(default_factory=threading.Lock)

    def start(self, run: str) -> None:
        with self._change:
            self.runs[run] = FRAME_S

    def end(self, run: str) -> None:
        with self._change:
            self.runs.pop(run, None)

    def interval(self, run: str) -> float:
        """Seconds from one frame of this run to the next."""
        return max(self.runs.get(run, FRAME_S), len(self.runs) / FRAMES)

    def asked(self) -> Callable[[Any], None]:
        """What a page calls with the name of the run that it cannot follow as fast as it goes."""

        def slower(run: Any) -> None:
            with self._change:
                if isinstance(run, str) and run in self.runs:
                    self.runs[run] = min(SLOWEST_S, 2 * self.interval(run))

        return slower
