"""The models of one OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Mapping

from playground.backends.backend import Lacks
from playground.backends.backends import Backends
from playground.backends.local import limits
from playground.backends.openai import fields
from playground.backends.openai.backend import OpenAIBackend, lacks
from playground.backends.openai.server import Server
from playground.backends.opened import Opened
from playground.engine import Observer
from playground.errors import ModelError
from playground.models import Entry
from playground.models.arrival import Waiting
from playground.settings import Settings

_NONE = "none"  # the id of a model in place of the server's own, while it cannot be reached


class ServerModels:
    """The models that the server offers; requested again where it could not be reached."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cards: dict[str, dict[str, object]] = {}
        self.open: Mapping[str, object] = {}
        try:
            self.refresh()
        except ModelError:
            pass  # raised again when a model is opened

    @property
    def default(self) -> str:
        return next(iter(self.cards), _NONE)

    def refresh(self) -> None:
        """Request the server's list of models. Raises ``ModelError``."""
        self.cards = {str(card["id"]): card for card in self.server.models()}

    def catalogue(self) -> list[Entry]:
        return [
            Entry(
                id=id,
                title=id.rsplit("/", 1)[-1],
                summary=f"Served at {self.server.host}.",
                source="server",
                loaded=id in self.open,
            )
            for id in self.cards or [_NONE]
        ]


class OpenAIBackends(Backends):
    """Opens the models of the server that the settings name, each after probing its abilities."""

    models: ServerModels

    def __init__(self, settings: Settings, observer: Observer) -> None:
        assert settings.engine_url is not None
        key = None if settings.engine_key is None else settings.engine_key.get_secret_value()
        self.server = Server(settings.engine_url, key)
        self.settings, self.observer = settings, observer
        self.models = ServerModels(self.server)
        self._open: Opened[OpenAIBackend] = Opened()
        self.models.open = self._open

    @property
    def lacks(self) -> Lacks:
        return lacks(self.server.host, self._program.title)

    @property
    def _program(self) -> fields.Program:
        card = next(iter(self.models.cards.values()), {})
        return fields.PROGRAMS.get(str(card.get("owned_by") or ""), fields.PROGRAMS[""])

    @property
    def refused(self) -> Mapping[str, str]:
        return fields.refused(self._program)

    def prepare(self) -> None:
        """Nothing is loaded here."""

    def running(self, model: str | None = None) -> OpenAIBackend | None:
        id = self._id(model)
        return self._open.get(id)

    def open(self, model: str | None = None, waiting: Waiting | None = None) -> OpenAIBackend:
        if not self.models.cards:
            self.models.refresh()
        id = self._id(model)
        return self._open.open(id, lambda: self._opened(id))

    def _opened(self, id: str) -> OpenAIBackend:
        served = self.server.served(self.models.cards[id])
        return OpenAIBackend(self.server, served, limits(self.settings), self.observer)

    def _id(self, model: str | None) -> str:
        if model in (None, _NONE, self.settings.model):
            return self.models.default
        if model not in self.models.cards and self.models.cards:
            offered = ", ".join(self.models.cards)
            raise ModelError(
                f"The model {model[:100]!r} is not offered here; offered are {offered}."
            )
        return model

    @property
    def all(self) -> dict[str, OpenAIBackend]:
        return dict(self._open)

    def close(self) -> None:
        self._open.close()
        self.server.close()
