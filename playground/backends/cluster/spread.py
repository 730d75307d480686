"""A cluster as an experiment uses an engine: its runs go to all replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from playground.backends.cluster.messages import Wants
from playground.engine import Limits, Request, Run
from playground.engine.request import Cancelled
from playground.trace import ModelFacts

if TYPE_CHECKING:
    from playground.backends.cluster.backend import ClusterBackend
    from playground.engine.request_builder import RequestBuilder
    from playground.models.provenance import Facts

_TEXTS_AT_ONCE = 8  # of one call to a replica


@dataclass(frozen=True)
class Model:
    """What an experiment uses of a model that replicas serve."""

    backend: ClusterBackend

    @property
    def facts(self) -> ModelFacts:
        return self.backend.facts

    def provenance(self) -> Facts:
        """The provenance as a replica has it, since the weights are there."""
        found: Facts = self.backend.call("provenance", wants=Wants())
        return found


class Spread:
    """The replicas of one model as a single engine, which steps by itself."""

    alive = True

    def __init__(self, backend: ClusterBackend) -> None:
        self.backend = backend
        self.model = Model(backend)

    @property
    def builder(self) -> RequestBuilder:
        return self.backend.builder

    @property
    def limits(self) -> Limits:
        return self.backend.limits

    @property
    def rows(self) -> int:
        """The rows of all replicas that are up."""
        up = sum(load.alive for load in self.backend.replicas.loads())
        return self.backend.described.rows * max(1, up)

    def submit(self, request: Request) -> Run:
        return self.backend.submit_all([request])[0]

    def features(
        self, texts: Sequence[Sequence[int]], cancelled: Callable[[], bool] = lambda: False
    ) -> NDArray[np.float32]:
        """As ``Engine.features``, a few texts at a time, each time by the least busy replica."""
        found = []
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            if cancelled():
                raise Cancelled("nobody waits for these texts")
            some = texts[first : first + _TEXTS_AT_ONCE]
            found.append(self.backend.call("features", some, wants=Wants(), forwards=len(some)))
        return np.concatenate(found)

    def step(self) -> None:
        """Does nothing: the replicas step by themselves (``alive``)."""
