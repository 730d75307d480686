"""The models that are offered, each with what serves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from playground.backends.backend import Backend, Lacks
from playground.models import Entry
from playground.models.arrival import Estimate, Waiting


class Catalogue(Protocol):
    """The models that a visitor may choose."""

    @property
    def default(self) -> str:
        """The id of the host's own."""

    def catalogue(self) -> list[Entry]:
        """All of them, the default first."""


class Backends(ABC):
    """Opens the backend of a model on first use. Any thread may call it."""

    models: Catalogue

    @abstractmethod
    def prepare(self) -> None:
        """Import what takes seconds that a page need not wait for."""

    @abstractmethod
    def running(self, model: str | None = None) -> Backend | None:
        """The backend of a model if it is open; None is the host's default. Never waits.

        Raises ``ModelError`` where the model is not offered.
        """

    @abstractmethod
    def open(self, model: str | None = None, waiting: Waiting | None = None) -> Backend:
        """The backend of a model, opened once however many threads ask.

        Raises ``ModelError`` where the model is not offered, or cannot be served. ``waiting`` is of
        a caller who may leave, by ``wait_for``: where the last one has, that is ``GivenUp``.
        """

    def estimate(self, model: str) -> Estimate | None:
        """What a model takes that must be fetched first; None where nothing must.

        Raises ``ModelError`` where it is not offered, or cannot be taken.
        """
        return None

    def wait_for(self, model: str) -> Waiting | None:
        """Wait for a model that comes to this machine; None where models are served elsewhere."""
        return None

    def is_coming(self, model: str) -> bool:
        """Whether somebody waits for a model already."""
        return False

    @property
    @abstractmethod
    def all(self) -> Mapping[str, Backend]:
        """Those that are open, by the model's id. Never waits."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The strategies that no model here can be asked for: the reason of each, by its id."""
        return {}

    @property
    def lacks(self) -> Lacks:
        """What none of them can do, as far as it is known before one is open."""
        return Lacks()

    @property
    def fault(self) -> str:
        """Why none of them can be reached now, in a sentence; empty where they can."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """End every run where it is; nothing can be submitted afterwards."""
