"""The models a host offers, and the loaded ones: each once for all visitors."""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from playground.errors import ModelError
from playground.models import builtin, device, hub
from playground.models.loading import LoadedModel, load_folder, weight_bytes
from playground.process import Process
from playground.settings import BUILT_IN, Settings

log = logging.getLogger(__name__)

SUMMARIES = {
    BUILT_IN: "135 million parameters, English, answers in a chat; comes with the playground.",
    "HuggingFaceTB/SmolLM2-360M-Instruct": "362 million parameters, English, answers in a chat.",
    "HuggingFaceTB/SmolLM3-3B": "3 billion parameters, six languages, answers in a chat.",
    "Qwen/Qwen3-0.6B": "0.6 billion parameters, many languages, answers in a chat.",
    "Qwen/Qwen3-1.7B": "1.7 billion parameters, many languages, answers in a chat.",
    "Qwen/Qwen3.5-0.8B": "0.8 billion parameters, many languages, answers in a chat; slower, since "
    "its rows share no forward.",
    "google/gemma-3-270m-it": "270 million parameters, answers in a chat; its owner asks visitors "
    "to accept terms.",
    "google/gemma-3-1b-it": "1 billion parameters, answers in a chat; its owner asks visitors to "
    "accept terms.",
    "meta-llama/Llama-3.2-1B-Instruct": "1.2 billion parameters, eight languages, answers in a "
    "chat; its owner asks visitors to accept terms.",
    "gpt2": "124 million parameters, English, continues text.",
    "distilgpt2": "82 million parameters, a smaller gpt2, continues text.",
}


class Entry(BaseModel):
    """A model that a visitor may choose."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    summary: str
    source: Literal["built-in", "hub", "folder"]
    loaded: bool = False


class Models:
    """The catalogue, and a cache of loaded models bounded by memory.

    ``release(id)`` is called before a model is dropped, the least recently used one first. It
    closes the engine of the model and returns True, or returns False where the model is in use.
    """

    def __init__(
        self,
        settings: Settings,
        release: Callable[[str], bool] = lambda id: True,
        process: Process | None = None,
    ) -> None:
        self.settings = settings
        self.release = release
        self.process = process or Process()
        self._folders: dict[str, Path] = {}
        self._entries: dict[str, Entry] = {}
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading: dict[str, Future[LoadedModel]] = {}
        self._lock = threading.Lock()
        self.default = self._offer(settings.model)
        for text in settings.models:
            self._offer(text)

    def catalogue(self) -> list[Entry]:
        """The models that a visitor may choose, the host's default first."""
        with self._lock:
            known = dict(self._entries)
            for id in self._loaded:
                known.setdefault(id, _hub_entry(id))
            return [
                entry.model_copy(update={"loaded": id in self._loaded})
                for id, entry in known.items()
            ]

    def loaded(self, id: str | None = None) -> LoadedModel | None:
        """The model if it is loaded, else None; ``ModelError`` where it is not offered."""
        entry = self._entry(id or self.default)
        with self._lock:
            return self._loaded.get(entry.id)

    def load(self, id: str | None = None) -> LoadedModel:
        """The model, loaded once even for several callers at once; None is the host's default.

        Raises ``ModelError`` where it is not offered, or cannot be found, loaded or served.
        """
        entry = self._entry(id or self.default)
        with self._lock:
            found = self._loaded.get(entry.id)
            if found is not None:
                self._loaded.move_to_end(entry.id)
                return found
            waiting = self._loading.get(entry.id)
            if waiting is None:
                mine = self._loading[entry.id] = Future()
        if waiting is not None:
            return _outcome(waiting)
        try:
            loaded = self._load(entry)
        except BaseException as error:
            with self._lock:
                del self._loading[entry.id]
            mine.set_exception(error)
            raise
        with self._lock:
            self._loaded[entry.id] = loaded
            del self._loading[entry.id]
        mine.set_result(loaded)
        return loaded

    def draft(self, reader: LoadedModel) -> LoadedModel | None:
        """The host's draft model, loaded for the model ``reader`` alone; None where there is none.

        No model drafts for itself, nor for one of another vocabulary. Raises ``ModelError`` where
        it cannot be loaded.
        """
        if self.settings.draft_model is None:
            return None
        entry = self._named(self.settings.draft_model)
        if entry.id == reader.id:
            return None
        drafting = self._load(entry)
        if drafting.tokenizer.get_vocab() != reader.tokenizer.get_vocab():
            log.warning("%s does not draft for %s: their vocabularies differ", entry.id, reader.id)
            return None
        return drafting

    def _offer(self, text: str) -> str:
        """Add a model named in the settings to the catalogue; returns its id there."""
        entry = self._named(text)
        self._entries.setdefault(entry.id, entry)
        return entry.id

    def _named(self, text: str) -> Entry:
        """The entry of a model that the settings name: built-in, a folder, or a hub id."""
        if text == BUILT_IN:
            entry = Entry(id=text, title=text, summary=SUMMARIES[text], source="built-in")
        elif _is_path(text):
            path = Path(text).expanduser().resolve()
            taken = self._folders.get(path.name, path) != path or path.name in self.settings.models
            id = str(path) if taken else path.name  # the page does not show the host's folders
            self._folders[id] = path
            entry = Entry(
                id=id, title=path.name, summary="A model in a folder of this host.", source="folder"
            )
        else:
            entry = _hub_entry(text)
        return entry

    def _entry(self, id: str) -> Entry:
        # The page may send the default as the settings name it, a folder's path included.
        entry = self._entries.get(self.default if id == self.settings.model else id)
        if entry is not None:
            return entry
        if self.settings.allow_any_model and hub.is_id(id):
            return _hub_entry(id)
        offered = ", ".join(self._entries)
        raise ModelError(f"The model {id[:100]!r} is not offered here; offered are {offered}.")

    def _load(self, entry: Entry) -> LoadedModel:
        settings = self.settings
        if entry.source == "built-in":
            folder = builtin.folder(settings.cache_dir)
        elif entry.source == "folder":
            folder = self._folders[entry.id]
        else:
            if not hub.is_id(entry.id):
                raise ModelError(f"{entry.id!r} is neither a hub id nor a folder of this host.")
            known = entry.id in self._entries  # else a visitor typed it, and it is not logged
            name = entry.id if known else "A model that a visitor asked for"
            builtin.say(f"{name}: looking for it here, then at {settings.hub} ...")
            folder = hub.fetch(entry.id, settings, lambda folder: self._fits(folder, entry.id))
        return load_folder(
            folder, settings, id=entry.id, make_room=self._make_room, process=self.process
        )

    def _fits(self, folder: Path, id: str) -> None:
        """Raise ``ModelError`` where a configuration alone shows a model to be unusable here.

        Its architecture cannot be served, or its weights are larger than this host's memory.
        """
        needed = weight_bytes(folder, self.settings, id, self.process)
        self._make_room(id, needed, try_only=True)

    def _make_room(self, id: str, needed: int, try_only: bool = False) -> None:
        """Drop the least recently used models until ``needed`` bytes fit, or raise."""
        where, _ = device.resolve_device(self.settings)
        while True:
            with self._lock:
                held = {key: model.facts.memory for key, model in self._loaded.items()}
            total = sum(held.values())
            # The rest is for keys and values, and for the activations of a step.
            room = self.settings.models_bytes or int(0.7 * (device.free_bytes(where) + total))
            if total + needed <= room:
                return
            if needed > room:
                raise ModelError(
                    f"{id} needs {_size(needed)} of memory, and this host has {_size(room)} "
                    "for models (PLAYGROUND_MODELS_BYTES)."
                )
            if try_only:
                return
            dropped = next((key for key in held if self.release(key)), None)
            if dropped is None:
                raise ModelError(
                    f"{id} needs {_size(needed)} of memory, and the models in use leave none: "
                    f"{', '.join(held)}. Try again when their runs have ended."
                )
            with self._lock:
                self._loaded.pop(dropped, None)
            log.info("dropped %s to make room for %s", dropped, id)
            _collect()
            device.empty_cache(where, self.process)


def _collect() -> None:
    """Free objects in reference cycles, such as packed models, frozen ones (``gc``) included."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()


def _hub_entry(id: str) -> Entry:
    summary = SUMMARIES.get(id, "A model from the hub.")
    return Entry(id=id, title=id.rsplit("/", 1)[-1], summary=summary, source="hub")


def _is_path(text: str) -> bool:
    """Whether a setting is written as a path to a folder, which a bare name never is."""
    return text.startswith(("/", "./", "../", "~")) or "\\" in text or Path(text).is_absolute()


def _outcome(future: Future[LoadedModel]) -> LoadedModel:
    """The model that another caller loads; its error, raised as an exception of this caller."""
    try:
        return future.result()
    except ModelError as error:
        raise ModelError(str(error), error.folder) from error


def _size(count: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return (
                f"{count / unit:.2g} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
            )
    return f"{count / 1000:.0f} kB"
