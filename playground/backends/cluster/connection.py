"""A front end's connection to its cluster, which is renewed after the loss of the head node."""

from __future__ import annotations

import logging
import socket
from typing import Any

import ray
from ray import serve
from ray.serve.schema import LoggingConfig

from playground.backends.cluster.serve_compat import address_of, cluster_id, keep_apart, show_token
from playground.errors import ModelError, first_line
from playground.settings import outlive_head_node

log = logging.getLogger(__name__)

STORE_BYTES = 200 << 20  # of shared memory, for a cluster of this machine alone; messages are small
REACH_S = 5.0


class Connection:
    """The one connection of a process, since Ray allows no more. ``fault`` is why there is none.

    ``cluster`` is "local:N" for a cluster of this machine that lives as long as this process,
    "auto" for the one that this machine is part of, or an address.
    """

    def __init__(self, cluster: str, cpus: float) -> None:
        self.cluster, self.cpus = cluster, cpus
        self.own = cluster.startswith("local")
        self.replicas = int(cluster.partition(":")[2] or 1) if self.own else 0
        self.fault = ""
        self._head = ""  # the address of the head node
        self._id: Any = None  # of the cluster; after a restart of its head it has another id

    def join(self) -> None:
        """Connect, or start a cluster on this machine. Raises ``ModelError`` where that fails."""
        outlive_head_node()
        keep_apart()
        given: dict[str, Any] = {
            "namespace": "decoding-playground",
            "logging_level": logging.WARNING,
            "log_to_driver": False,
        }
        try:
            if self.own:
                given |= {
                    "num_cpus": int(self.replicas * max(1.0, self.cpus) + 1),
                    "include_dashboard": False,
                    "object_store_memory": STORE_BYTES,
                    # Replicas get the priority that an engine in this process would have.
                    "_system_config": {"worker_niceness": 0},
                }
            else:
                show_token()
                given["address"] = address_of(self.cluster)
                _reach(given["address"])
            ray.init(**given)
            serve.start(
                proxy_location="Disabled", logging_config=LoggingConfig(log_level="WARNING")
            )
            self._head = ray.get_runtime_context().gcs_address
            self._id = cluster_id(self._head)
        except Exception as error:
            ray.shutdown()
            self.fault = (
                f"The cluster at {self.cluster} cannot be reached: {first_line(error)[:300]}."
            )
            raise ModelError(self.fault) from error
        self.fault = ""

    def holds(self, doubted: bool) -> bool:
        """Whether the head node answers, and, where ``doubted``, is still the one that was joined.

        May take seconds.
        """
        try:
            _reach(self._head)
            same = not (doubted or self.fault) or cluster_id(self._head) == self._id
        except Exception:  # of any kind: it did not answer
            same = False
        if same:
            self.fault = ""
        elif not self.fault:
            self.fault = (
                f"The head node of the cluster at {self._head} does not answer. What replicas "
                "write goes on as long as they live; all else waits until it is back."
            )
            log.error(self.fault)
        return same

    def rejoin(self) -> None:
        """Connect to the present head node. Raises ``ModelError`` where there is none.

        Until one can be reached, the connection stays as it is, and replicas can still answer.
        """
        if not self.own:
            try:
                _reach(address_of(self.cluster))
            except OSError as error:
                raise ModelError(self.fault) from error
        ray.shutdown()
        self.join()

    def leave(self) -> None:
        """Disconnect; a cluster of this machine alone is shut down."""
        if self.own and not self.fault:
            serve.shutdown()
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise ``OSError`` where nothing listens at an address; Ray itself tries for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port:
        socket.create_connection((host, int(port)), REACH_S).close()
