"""The models of a host: offered, estimated, and loaded once for all visitors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playground.errors import ModelError
from playground.models import builtin, hub
from playground.models.arrival import Arrival, Arrivals, Estimate, GivenUp, Waiting
from playground.models.entries import Entry, folder_entry, hub_entry, is_path
from playground.models.loading import LoadedModel, load_folder
from playground.models.memory import LoadedModels
from playground.models.offers import Offers
from playground.models.skeleton import weight_bytes
from playground.process import Process
from playground.settings import BUILT_IN, Settings

log = logging.getLogger(__name__)


class _OtherVocabulary(ModelError):
    """A model cannot draft for another whose tokens are not its own."""


class Models:
    """The catalogue, and a cache of loaded models bounded by memory.

    ``release(id)`` is called before a model is dropped; see ``LoadedModels``.
    """

    def __init__(
        self,
        settings: Settings,
        release: Callable[[str], bool] = lambda id: True,
        process: Process | None = None,
    ) -> None:
        self.settings = settings
        self.process = process or Process()
        self._offers = Offers(settings)
        self.default = self._offers.default
        self.memory = LoadedModels(settings, release, self.process)
        self._loading: dict[str, Future[LoadedModel]] = {}
        self.arrivals = Arrivals()
        self._lock = threading.Lock()

    def catalogue(self) -> list[Entry]:
        """The models that a visitor may choose, the host's default first."""
        known, loaded = self._offers.entries(), list(self.memory)
        for id in loaded:
            known.setdefault(id, folder_entry(id) if is_path(id) else hub_entry(id))
        return [entry.model_copy(update={"loaded": id in loaded}) for id, entry in known.items()]

    def loaded(self, id: str | None = None) -> LoadedModel | None:
        """The model if it is loaded, else None; ``ModelError`` where it is not offered."""
        return self.memory.get(self.entry(id or self.default).id)

    def load(self, id: str | None = None) -> LoadedModel:
        """The model, loaded once even for several callers at once; None is the host's default.

        Raises ``ModelError`` where it is not offered, or cannot be found, loaded or served, and
        ``GivenUp`` where another loads it and nobody waits for it any more.
        """
        entry = self.entry(id or self.default)
        while True:
            with self._lock:
                found = self.memory.use(entry.id)
                if found is not None:
                    return found
                waiting = self._loading.get(entry.id)
                if waiting is None:
                    mine = self._loading[entry.id] = Future()
            if waiting is None:
                break
            try:
                return _outcome(waiting)
            except GivenUp:  # by all who waited then; somebody may have come since
                coming = self.arrivals.find(entry.id)
                if coming is None or coming.given_up:
                    raise
        try:
            with self.arrivals.loading(entry.id) as arrival:
                loaded = self._load(entry, arrival)
        except BaseException as error:
            with self._lock:
                del self._loading[entry.id]
            mine.set_exception(error)
            raise
        with self._lock:
            self.memory.add(loaded)
            del self._loading[entry.id]
        mine.set_result(loaded)
        return loaded

    @contextmanager
    def expecting(self, id: str | None) -> Iterator[Arrival]:
        """Wait for a model, together with others who do; ``ModelError`` where it is not offered."""
        with self.arrivals.expecting(self.entry(id or self.default).id) as arrival:
            yield arrival

    def wait_for(self, id: str) -> Waiting:
        """Wait for a model until the caller leaves, which it may at any time."""
        return self.arrivals.wait_for(self.entry(id).id)

    def needs_fetching(self, id: str) -> bool:
        """Whether a model is on the hub and not on this machine. Raises ``ModelError``."""
        entry = self.entry(id)
        if self.memory.get(entry.id) is not None or entry.source != "hub":
            return False
        folder = hub.cached(entry.id, self.settings)
        if folder is None:
            return True
        base = "" if (folder / "config.json").is_file() else hub.base_of_adapter(folder)
        return bool(base) and hub.cached(base, self.settings) is None

    def estimate(self, id: str) -> Estimate:
        """What a model that is not on this machine would take; only its configuration is fetched.

        Raises ``ModelError`` where that alone shows that it cannot be served.
        """
        entry = self.entry(id)
        offer = hub.look_up(entry.id, self.settings)
        memory, id, below = None, entry.id, 0
        if offer.is_adapter:  # its base is fetched as well
            configured = hub.configuration(entry.id, self.settings, "adapter_config.json")
            id = hub.base_of_adapter(configured)
            if id and hub.cached(id, self.settings) is None:
                below = hub.look_up(id, self.settings).missing(self.settings)
        if offer.gguf is None and id:
            folder = hub.configuration(id, self.settings)
            memory = weight_bytes(folder, self.settings, entry.id, self.process)
            self.memory.make_room(entry.id, memory, try_only=True)
        held = self.memory.held()
        return Estimate(
            id=entry.id,
            title=entry.title,
            summary=entry.summary,
            download=offer.missing(self.settings) + below,
            memory=memory,
            disk=hub.free_disk(self.settings),
            room=held.room,
            held=sum(held.models.values()),
        )

    def draft(self, reader: LoadedModel) -> LoadedModel | None:
        """The host's draft model, loaded for the model ``reader`` alone; None where there is none.

        No model drafts for itself, nor for one of another vocabulary. Raises ``ModelError`` where
        it cannot be loaded.
        """
        if self.settings.draft_model is None:
            return None
        entry = self._offers.named(self.settings.draft_model)
        if entry.id == reader.id:
            return None
        try:
            return self._drafting(entry, reader)
        except _OtherVocabulary as error:
            log.warning("%s", error)
            return None

    def draft_named(
        self, reader: LoadedModel, named: str, make_room: Callable[[], None] = lambda: None
    ) -> LoadedModel:
        """The model of this id or title that is offered, loaded to draft for ``reader`` alone.

        ``make_room`` is called once it is known that the model can draft, before its weights are
        read. Raises ``ModelError`` where it cannot, or is not on this machine yet.
        """
        titled = [one.id for one in self.catalogue() if named in (one.id, one.title)]
        entry = self.entry(titled[0] if titled else named)
        if entry.id == reader.id:
            raise ModelError(
                f"{entry.title} writes this text, so that another has to draft for it."
            )
        if self.needs_fetching(entry.id):
            raise ModelError(
                f"{entry.title} is not on this machine yet: choose it as the model once, which "
                "shows what it takes and fetches it."
            )
        return self._drafting(entry, reader, make_room)

    def _drafting(
        self, entry: Entry, reader: LoadedModel, make_room: Callable[[], None] = lambda: None
    ) -> LoadedModel:
        """A model loaded to draft, whose memory is counted as long as it is referenced."""

        def accept(tokenizer: Any) -> None:
            if tokenizer.get_vocab() != reader.tokenizer.get_vocab():
                raise _OtherVocabulary(
                    f"{entry.title} cannot draft for {reader.facts.title}: it has another "
                    "vocabulary."
                )
            make_room()

        with self.arrivals.loading(entry.id) as arrival:
            drafting = self._load(entry, arrival, keep=reader.id, accept=accept)
        self.memory.add_draft(drafting)
        return drafting

    def entry(self, id: str) -> Entry:
        """The entry of this id. Raises ``ModelError`` where it is not offered."""
        return self._offers.entry(id)

    def _load(
        self,
        entry: Entry,
        arrival: Arrival,
        keep: str = "",
        accept: Callable[[Any], None] | None = None,
    ) -> LoadedModel:
        """Fetch and load a model. ``keep`` is a loaded one that is not dropped to make room.

        ``accept``, called with the tokenizer, may raise ``ModelError``.
        """
        settings = self.settings
        if entry.source == "built-in":
            folder = builtin.folder(settings.cache_dir)
        elif entry.source == "folder":
            folder = self._offers.folder(entry)
        else:
            if not hub.is_id(entry.id):
                raise ModelError(f"{entry.id!r} is neither a hub id nor a folder of this host.")
            known = self._offers.holds(entry)  # else a visitor typed it, and it is not logged
            name = entry.id if known else "A model that a visitor chose"
            builtin.say(f"{name}: looking for it here, then at {settings.hub} ...")
            folder = hub.fetch(
                entry.id, settings, lambda folder: self._fits(folder, entry.id), arrival
            )
        arrival.reach("reading")
        return load_folder(
            folder,
            settings,
            id=entry.id,
            make_room=partial(self.memory.make_room, keep=keep),
            find_base=lambda base: self._base(entry, base, arrival),
            accept=accept,
            process=self.process,
        )

    def _base(self, entry: Entry, base: str, arrival: Arrival) -> Path:
        """The folder of the model that an adapter is for: at the hub, or the built-in one.

        An adapter in a folder may name another folder; one from the hub names none of this host.
        """
        if base == BUILT_IN:
            return builtin.folder(self.settings.cache_dir)
        if entry.source == "folder":
            local = self._offers.folder(entry) / Path(base).expanduser()
            if (local / "config.json").is_file():
                return local
        if not hub.is_id(base):
            raise ModelError(
                f"{entry.id} is an adapter (LoRA) for {base[:100]!r}, which is neither a hub id "
                "nor a folder here. Its files may also lie beside those of its model."
            )
        arrival.stage = "asking"
        folder = hub.fetch(
            base, self.settings, lambda folder: self._fits(folder, entry.id), arrival
        )
        arrival.reach("reading")
        return folder

    def _fits(self, folder: Path, id: str) -> None:
        """Raise ``ModelError`` where a configuration alone shows a model to be unusable here.

        Its architecture cannot be served, or its weights are larger than this host's memory.
        """
        needed = weight_bytes(folder, self.settings, id, self.process)
        self.memory.make_room(id, needed, try_only=True)


def _outcome(future: Future[LoadedModel]) -> LoadedModel:
    """The model that another caller loads; its error, raised as an exception of this caller."""
    try:
        return future.result()
    except ModelError as error:
        raise type(error)(str(error), error.folder) from error
