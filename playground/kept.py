"""Finished runs, compressed: six columns of 512 tokens take 1 MB here, and 15 MB as objects."""

from __future__ import annotations

import pickle
import threading
import zlib
from collections import OrderedDict

from playground.trace import Comparison

_OPEN = 8  # runs that stay unpacked once read, since a page reads a run again at every click


class KeptRuns:
    """The most recently used ``most`` runs in at most ``budget`` bytes. Any thread may call it."""

    def __init__(self, most: int, budget: int) -> None:
        self.most, self.budget, self.nbytes = most, budget, 0
        self._packed: OrderedDict[str, bytes] = OrderedDict()
        self._open: OrderedDict[str, Comparison] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._packed)

    def put(self, run: Comparison) -> None:
        packed = zlib.compress(pickle.dumps(run, protocol=pickle.HIGHEST_PROTOCOL), 1)
        with self._lock:
            self.nbytes += len(packed) - len(self._packed.pop(run.id, b""))
            self._open.pop(run.id, None)
            self._packed[run.id] = packed
            while len(self._packed) > self.most or self.nbytes > self.budget:
                oldest, dropped = self._packed.popitem(last=False)
                self._open.pop(oldest, None)
                self.nbytes -= len(dropped)

    def get(self, id: str) -> Comparison | None:
        with self._lock:
            packed, found = self._packed.get(id), self._open.get(id)
            if packed is None:
                return None
            self._packed.move_to_end(id)
            if found is None:
                # Only what ``put`` has packed is unpickled, nothing from outside.
                found = self._open[id] = pickle.loads(zlib.decompress(packed))
            self._open.move_to_end(id)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return found
