"""The rate of frames to each page, by what the server and the page's browser can keep up with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FRAME_S = 0.1  # slow laptops fall behind above ten updates a second
FRAMES = 50  # a second for all pages together, to leave time for the decode loop
SLOWEST_S = 1.6


@dataclass(frozen=True)
class FrameRate:
    """Seconds between two frames of each run that a page follows.

    In a page that cannot draw them in time, frames queue up, and the answer to Stop behind them.
    Such a page asks for fewer frames, by the function that ``asked`` makes.
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
        """The function that a page calls, with the name of a run whose frames are too many."""

        def slower(run: Any) -> None:
            with self._change:
                if isinstance(run, str) and run in self.runs:
                    self.runs[run] = min(SLOWEST_S, 2 * self.interval(run))

        return slower
