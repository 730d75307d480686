"""The models of a cluster: one application of Ray Serve for each, shared by all front ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from ray import serve

from playground.backends.backends import Backends
from playground.backends.cluster.backend import ClusterBackend, EventLoop
from playground.backends.cluster.connection import Connection
from playground.backends.cluster.messages import Description
from playground.backends.cluster.serve_compat import seen
from playground.backends.cluster.serving import ServeReplicas, application, between, name_of
from playground.backends.local import limits
from playground.backends.opened import Opened
from playground.engine import Observer
from playground.errors import ModelError, first_line
from playground.models import Entry, Models
from playground.models.arrival import Waiting
from playground.process import Process
from playground.settings import Settings

log = logging.getLogger(__name__)

DESCRIBED_S = 60.0
WATCH_S = 1.0  # between two checks of the head node
LEAVE_S = 5.0  # for which the end waits until a check of the head node is over


class ClusterModels:
    """The models that the settings offer; a front end loads no weights."""

    def __init__(self, settings: Settings) -> None:
        self._known = Models(settings)
        self.open: Mapping[str, object] = {}

    @property
    def default(self) -> str:
        return self._known.default

    def catalogue(self) -> list[Entry]:
        entries = self._known.catalogue()
        return [one.model_copy(update={"loaded": one.id in self.open}) for one in entries]

    def id(self, model: str | None) -> str:
        """The id of a model that is offered. Raises ``ModelError`` for any other."""
        return self._known.entry(model or self.default).id


class ClusterBackends(Backends):
    """Deploys a model on first use, unless another front end has, and calls its replicas."""

    models: ClusterModels

    def __init__(self, settings: Settings, process: Process, observer: Observer) -> None:
        assert settings.cluster is not None
        self.settings, self.process, self.observer = settings, process, observer
        self.models = ClusterModels(settings)
        self._open: Opened[ClusterBackend] = Opened()
        self._served: dict[str, ServeReplicas] = {}  # by the model's id
        self.models.open = self._open
        self._connecting = threading.Lock()
        self._loop: EventLoop | None = None
        self._connection = Connection(settings.cluster, settings.cluster_cpus)
        self._closing = threading.Event()
        self._watching: threading.Thread | None = None

    def prepare(self) -> None:
        """Import the modules that check requests."""
        import playground.engine.request_builder  # noqa: F401

    def running(self, model: str | None = None) -> ClusterBackend | None:
        return self._open.get(self.models.id(model))

    def open(self, model: str | None = None, waiting: Waiting | None = None) -> ClusterBackend:
        id = self.models.id(model)
        return self._open.open(id, lambda: self._opened(id))

    def _opened(self, id: str) -> ClusterBackend:
        with self._connecting:
            loop = self._connected()
        app = name_of(id)
        if self._connection.fault:
            raise ModelError(self._connection.fault)
        try:
            self._deploy(id, app)
            replicas = ServeReplicas(app, serve.get_app_handle(app))
            described: Description = loop.run(replicas.call("describe"), DESCRIBED_S)
            loop.run(replicas.look(), DESCRIBED_S)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"{id} cannot be served by the cluster: {first_line(error)}."
            ) from error
        loop.start(replicas.watch())
        self._served[id] = replicas
        return ClusterBackend(
            replicas,
            described,
            limits(self.settings),
            self.observer,
            loop,
            self.process.grammars,
        )

    def _deploy(self, id: str, app: str) -> None:
        """Deploy a model, unless it is deployed, and wait for the first replica."""
        if app not in serve.status().applications:
            own, settings = self._connection.replicas, self.settings
            target = application(
                id,
                self._of_replicas(),
                (own, own) if own else between(settings.cluster_replicas),
                settings.cluster_cpus,
                settings.cluster_gpus,
            )
            serve.run_many(
                [serve.RunTarget(target, name=app, route_prefix=None)],
                wait_for_applications_running=False,
            )
        self._wait(id, app)

    def _of_replicas(self) -> dict[str, Any]:
        """The settings for a replica, without those of a front end."""
        own = self.settings.changed(cluster=None, port=None, host=None, password=None)
        return own.model_dump()

    def _wait(self, id: str, app: str) -> None:
        """Wait until a replica is up. Raises ``ModelError`` with the reason where none comes up."""
        end = time.monotonic() + self.settings.cluster_start_s
        while True:
            found = seen(app)
            if found.ready:
                return
            if found.failed:
                raise ModelError(f"{id} cannot be served by the cluster. {found.fault}")
            if time.monotonic() > end:
                raise ModelError(
                    f"No replica of {id} came up within {self.settings.cluster_start_s:.0f} s. "
                    f"{found.fault} Does the cluster have {self.settings.cluster_cpus:g} CPUs and "
                    f"{self.settings.cluster_gpus:g} GPUs free?"
                )
            if self._closing.wait(0.2):
                raise ModelError("The playground is shutting down.")

    def _connected(self) -> EventLoop:
        """The event loop of all calls. Raises ``ModelError`` where the cluster is unreachable."""
        if self._loop is None:
            self._connection.join()
            self._watching = threading.Thread(target=self._watch, name="cluster-head", daemon=True)
            self._watching.start()
            self._loop = EventLoop()
        return self._loop

    def _watch(self) -> None:
        """Reconnect after the loss of the head node, as soon as there is one again."""
        while not self._closing.wait(WATCH_S):
            served = dict(self._served)
            if not self._connection.holds(any(one.unanswered for one in served.values())):
                if self._closing.is_set():
                    return
                for replicas in served.values():
                    replicas.wait(self._connection.fault)
                try:
                    self._connection.rejoin()
                except ModelError:
                    continue
            for id, replicas in served.items():
                if replicas.waits and not self._closing.is_set():
                    self._serve_again(id, replicas)

    def _serve_again(self, id: str, replicas: ServeReplicas) -> None:
        """Deploy a model again, and continue its runs on the new replicas."""
        try:
            self._deploy(id, replicas.app)
            handle = serve.get_app_handle(replicas.app)
            if self._loop is not None:
                self._loop.run(replicas.go_on(handle), DESCRIBED_S)
        except Exception as error:  # it is tried again
            log.exception("a model is not served again")
            replicas.wait(f"{id} cannot be served again: {first_line(error)}.")

    @property
    def all(self) -> dict[str, ClusterBackend]:
        return dict(self._open)

    @property
    def fault(self) -> str:
        return self._connection.fault

    def close(self) -> None:
        self._closing.set()
        self._open.close()
        if self._watching is not None:
            self._watching.join(LEAVE_S)  # else it may connect again after the end
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()
            self._connection.leave()
