"""The models that draft for an engine: the host's own, and those that recipes name."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakSet

from playground.engine.decode.draft import Drafter
from playground.engine.request import FieldError
from playground.engine.run import Run
from playground.errors import ModelError, UnsupportedModel
from playground.fresh_thread import run_in_fresh_thread
from playground.models import LoadedModel

log = logging.getLogger(__name__)

_KEPT = 2  # models named by recipes; before another is loaded, the one used longest ago is dropped


class Drafters:
    """The draft models of an engine.

    One that a recipe names is loaded, on the submitting thread, with the first run that needs it.
    """

    def __init__(
        self,
        own: LoadedModel | None,
        find: Callable[[str, Callable[[], None]], LoadedModel] | None,
        made: Callable[[LoadedModel], Drafter],
    ) -> None:
        """``find`` loads a model by its id or title, or raises ``ModelError``; it calls its second
        argument once the model is known to be able to draft, before its weights are read.
        """
        self._find, self._made = find, made
        self.own = self._try_create(own)
        self._named: OrderedDict[str, Drafter] = OrderedDict()
        self._used: dict[str, WeakSet[Run]] = {}
        self._loading = threading.Lock()  # held while one is loaded
        self._lock = threading.Lock()  # of those that are, and never for long

    @property
    def title(self) -> str | None:
        """The title of the host's own draft model."""
        return self.own.title if self.own else None

    @property
    def finds(self) -> bool:
        """Whether a recipe may name one."""
        return self._find is not None

    def __iter__(self) -> Iterator[Drafter]:
        yield from filter(None, [self.own, *list(self._named.values())])

    def get(self, name: str) -> Drafter | None:
        """The draft model of this id or title, "" for the host's own; None where there is none."""
        return self.own if self._is_own(name) else self._named.get(name)

    def prepare(self, run: Run) -> None:
        """Load the draft models that a run's recipes name, and keep them until it ends.

        ``FieldError`` names the recipe whose model cannot draft here.
        """
        for number, lane in enumerate(run.lanes):
            for name in lane.drafts_by:
                try:
                    if not self._is_own(name):
                        self._hold(name, run)
                except (ModelError, UnsupportedModel) as error:
                    raise FieldError(f"recipes.{number}", str(error)) from error

    def _is_own(self, name: str) -> bool:
        return name == "" or (self.own is not None and name in (self.own.id, self.own.title))

    def _hold(self, name: str, run: Run) -> None:
        if self._find is None:  # its recipe was refused
            raise ModelError(f"{name} cannot draft here.")
        if self._is_used(name, run):  # without waiting for another that is loaded
            return
        with self._loading:
            if self._is_used(name, run):
                return
            find, made, room = self._find, self._made, partial(self._make_room, name)
            drafter = run_in_fresh_thread(lambda: made(find(name, room)))
            with self._lock:
                self._named[name], self._used[name] = drafter, WeakSet([run])

    def _is_used(self, name: str, run: Run) -> bool:
        """Keep one for a run, if it is loaded."""
        with self._lock:
            if name not in self._named:
                return False
            self._named.move_to_end(name)
            self._used[name].add(run)
            return True

    def _make_room(self, name: str) -> None:
        """Drop those used longest ago that no run needs any more."""
        with self._lock:
            while len(self._named) >= _KEPT:
                idle = (one for one in self._named if all(run.done for run in self._used[one]))
                oldest = next(idle, None)
                if oldest is None:
                    raise ModelError(
                        f"{name} cannot draft now: {' and '.join(self._named)} draft for runs that "
                        "go on. Try again when they have ended."
                    )
                self._named.pop(oldest).forward.close()
                del self._used[oldest]

    def _try_create(self, model: LoadedModel | None) -> Drafter | None:
        """None where there is no such model, or it cannot be served, which is then logged."""
        try:
            return None if model is None else self._made(model)
        except UnsupportedModel as error:
            log.error("%s cannot draft: %s", model and model.id, error)
            return None
