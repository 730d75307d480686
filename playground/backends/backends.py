"""The interface of what opens the backends of the models that are offered."""

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
        """The id of the host's default model."""

    def catalogue(self) -> list[Entry]:
        """All models, the default first."""


class Backends(ABC):
    """Opens the backend of a model on first use. Any thread may call it."""

    models: Catalogue

    @abstractmethod
    def prepare(self) -> None:
        """Import modules that take seconds, for which the page need not wait."""

    @abstractmethod
    def running(self, model: str | None = None) -> Backend | None:
        """The backend of a model if it is open; None is the host's default. Never waits.

        Raises ``ModelError`` where the model is not offered.
        """

    @abstractmethod
    def open(self, model: str | None = None, waiting: Waiting | None = None) -> Backend:
        """The backend of a model, opened once however many threads call this.

        Raises ``ModelError`` where the model is not offered, or cannot be served. ``waiting`` is
        that of a caller that may leave, from ``wait_for``: once the last one has left, this raises
        ``GivenUp``.
        """

    def estimate(self, model: str) -> Estimate | None:
        """What a model takes that must be fetched first; None where it need not be.

        Raises ``ModelError`` where it is not offered, or cannot be served.
        """
        return None

    def wait_for(self, model: str) -> Waiting | None:
        """Wait for a model to be loaded here; None where models are served elsewhere."""
        return None

    def is_coming(self, model: str) -> bool:
        """Whether a caller waits for a model already."""
        return False

    @property
    @abstractmethod
    def all(self) -> Mapping[str, Backend]:
        """The open backends, by the model's id. Never waits."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The strategies that no model here can run, by id, each with its reason."""
        return {}

    @property
    def lacks(self) -> Lacks:
        """What no backend can do, as far as that is known before one is open."""
        return Lacks()

    @property
    def fault(self) -> str:
        """Why no backend can be reached now, in a sentence; empty where they can."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """End every run where it is; nothing can be submitted afterwards."""
