"""The loaded models within the host's memory, the least recently used of which make room."""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from playground.errors import ModelError
from playground.models import device
from playground.models.loading import LoadedModel
from playground.process import Process
from playground.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """Bytes of each loaded model by its id, of those that draft, and of the limit for all."""

    models: dict[str, int]
    drafts: int
    room: int

    def fits(self, needed: int) -> bool:
        return sum(self.models.values()) + self.drafts + needed <= self.room


class LoadedModels:
    """Models by id, the least recently used first. Any thread may call it.

    ``release(id)`` is called before a model is dropped. It closes the engine of the model and
    returns True, or returns False where the model is in use.
    """

    def __init__(
        self, settings: Settings, release: Callable[[str], bool], process: Process
    ) -> None:
        self.settings, self.release, self.process = settings, release, process
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._drafts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # bytes of each that drafts
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._models))

    def get(self, id: str) -> LoadedModel | None:
        return self._models.get(id)

    def use(self, id: str) -> LoadedModel | None:
        """The model of this id, which is the most recently used from now on."""
        with self._lock:
            if id in self._models:
                self._models.move_to_end(id)
            return self._models.get(id)

    def add(self, model: LoadedModel) -> None:
        with self._lock:
            self._models[model.id] = model

    def add_draft(self, model: LoadedModel) -> None:
        """Count the memory of a model that drafts, as long as it is referenced elsewhere."""
        with self._lock:
            self._drafts[model.model] = model.facts.memory

    def held(self) -> Held:
        """What the loaded models take, and what they may: the rest is for keys and values, and for
        the activations of a step.
        """
        where, _ = device.resolve_device(self.settings)
        with self._lock:
            models = {id: model.facts.memory for id, model in self._models.items()}
            drafts = sum(self._drafts.values())
        free = device.free_bytes(where) + sum(models.values()) + drafts
        return Held(models, drafts, self.settings.models_bytes or int(0.7 * free))

    def make_room(self, id: str, needed: int, try_only: bool = False, keep: str = "") -> None:
        """Drop the least recently used models until ``needed`` bytes fit for the model ``id``.

        ``keep`` is not dropped. With ``try_only`` nothing is. Raises ``ModelError`` where they
        cannot fit, or not now.
        """
        collected = False
        while True:
            held = self.held()
            if held.fits(needed):
                return
            if held.drafts and not collected:  # one that drafts no more may not be freed yet
                self._collect()
                collected = True
                continue
            if needed > held.room:
                raise ModelError(
                    f"{id} needs {size(needed)} of memory, and this host has {size(held.room)} "
                    "for models (PLAYGROUND_MODELS_BYTES)."
                )
            if try_only:
                return
            unused = (one for one in held.models if one != keep and self.release(one))
            dropped = next(unused, None)
            if dropped is None:
                raise ModelError(
                    f"{id} needs {size(needed)} of memory, and the models in use leave none: "
                    f"{', '.join(held.models)}. Try again when their runs have ended."
                )
            with self._lock:
                self._models.pop(dropped, None)
            log.info("dropped %s to make room for %s", dropped, id)
            self._collect()

    def _collect(self) -> None:
        """Free objects in reference cycles, such as packed models, frozen ones (``gc``) too."""
        frozen = gc.get_freeze_count()
        gc.unfreeze()
        gc.collect()
        if frozen:
            gc.freeze()
        where, _ = device.resolve_device(self.settings)
        device.empty_cache(where, self.process)


def size(count: int) -> str:
    """Bytes in words: ``6.2 GB``."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return (
                f"{count / unit:.2g} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
            )
    return f"{count / 1000:.0f} kB"
