"""The models of a cluster: one application of Ray Serve for each, shared by all front ends."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.schema import LoggingConfig

from playground.backends.backends import Backends
from playground.backends.cluster.backend import ClusterBackend, EventLoop
from playground.backends.cluster.messages import Description
from playground.backends.cluster.serve_compat import seen
from playground.backends.cluster.serving import ServeReplicas, application, between, name_of
from playground.backends.local import limits
from playground.backends.opened import Opened
from playground.engine import Observer
from playground.errors import ModelError
from playground.models import Entry, Models
from playground.models.arrival import Waiting
from playground.process import Process
from playground.settings import Settings

log = logging.getLogger(__name__)

STORE_BYTES = 200 << 20  # of shared memory, for a cluster of this machine alone; messages are small
DESCRIBED_S = 60.0
REACH_S = 5.0


def _reach(address: str) -> None:
    """Raise ``OSError`` where nothing listens there: Ray itself tries for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port:
        socket.create_connection((host, int(port)), REACH_S).close()


class ClusterModels:
    """What the settings offer; a front end reads no weights."""

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
        """The id of a model that is offered; ``ModelError`` for any other."""
        return self._known.entry(model or self.default).id


class ClusterBackends(Backends):
    """Deploys a model on first use, where no other front end has, and talks to its replicas."""

    models: ClusterModels

    def __init__(self, settings: Settings, process: Process, observer: Observer) -> None:
        assert settings.cluster is not None
        self.settings, self.process, self.observer = settings, process, observer
        self.models = ClusterModels(settings)
        self._open: Opened[ClusterBackend] = Opened()
        self.models.open = self._open
        self._connecting = threading.Lock()
        self._loop: EventLoop | None = None
        self._fault = ""
        self._own = settings.cluster.startswith("local")

    def prepare(self) -> None:
        """Import what checks requests."""
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
        try:
            if app not in serve.status().applications:
                target = application(
                    id,
                    self._of_replicas(),
                    between(self.settings.cluster_replicas) if not self._own else self._count(),
                    self.settings.cluster_cpus,
                    self.settings.cluster_gpus,
                )
                serve.run_many(
                    [serve.RunTarget(target, name=app, route_prefix=None)],
                    wait_for_applications_running=False,
                )
            self._wait(id, app)
            replicas = ServeReplicas(app, serve.get_app_handle(app))
            described: Description = loop.run(replicas.call("describe"), DESCRIBED_S)
            loop.run(replicas.look(), DESCRIBED_S)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"{id} cannot be served by the cluster: {str(error).splitlines()[0]}"
            ) from error
        loop.start(replicas.watch())
        return ClusterBackend(
            replicas,
            described,
            limits(self.settings),
            self.observer,
            loop,
            self.process.grammars,
        )

    def _count(self) -> tuple[int, int]:
        """Replicas of a cluster of this machine alone."""
        assert self.settings.cluster is not None
        count = int(self.settings.cluster.partition(":")[2] or 1)
        return count, count

    def _of_replicas(self) -> dict[str, Any]:
        """The settings as a replica has them: it is no front end itself."""
        own = self.settings.changed(cluster=None, port=None, host=None, password=None)
        return own.model_dump()

    def _wait(self, id: str, app: str) -> None:
        """Until a replica is up; ``ModelError`` says why none comes up."""
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
            time.sleep(0.2)

    def _connected(self) -> EventLoop:
        """Connect to the cluster, or begin one of this machine; ``ModelError`` where it is not."""
        if self._loop is not None:
            return self._loop
        assert self.settings.cluster is not None
        quiet: dict[str, Any] = {
            "namespace": "decoding-playground",
            "logging_level": logging.WARNING,
            "log_to_driver": False,
        }
        try:
            if self._own:
                count, _ = self._count()
                cpus = count * max(1.0, self.settings.cluster_cpus) + 1
                ray.init(
                    num_cpus=int(cpus),
                    include_dashboard=False,
                    object_store_memory=STORE_BYTES,
                    **quiet,
                )
            else:
                _reach(self.settings.cluster)
                ray.init(address=self.settings.cluster, **quiet)
            serve.start(
                proxy_location="Disabled", logging_config=LoggingConfig(log_level="WARNING")
            )
        except Exception as error:
            ray.shutdown()
            self._fault = (
                f"The cluster at {self.settings.cluster} cannot be reached: "
                f"{str(error).splitlines()[0][:300]}"
            )
            raise ModelError(self._fault) from error
        self._fault, self._loop = "", EventLoop()
        return self._loop

    @property
    def all(self) -> dict[str, ClusterBackend]:
        return dict(self._open)

    @property
    def fault(self) -> str:
        return self._fault

    def close(self) -> None:
        self._open.close()
        if self._loop is None:
            return
        self._loop.close()
        if self._own:
            serve.shutdown()
        ray.shutdown()
