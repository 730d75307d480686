"""Replicas in Ray Serve: the deployment, the choice among replicas, and the calls to them.

Nothing else imports Ray, and nothing imports this where no cluster is set.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import ray
import torch
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from ray.serve.schema import LoggingConfig

from playground.backends.backend import Load
from playground.backends.cluster.messages import NoReplica, ReplicaLost, Wants
from playground.backends.cluster.replica import Replica, of_replica
from playground.backends.cluster.serve_compat import Seen, seen
from playground.backends.local import LocalBackends
from playground.cycles import look_less
from playground.engine import Observers
from playground.errors import ModelError
from playground.process import Process
from playground.remembered import Remembered
from playground.settings import QUIET, Settings

log = logging.getLogger(__name__)

STATS_S = 0.5  # between two reports of a replica's free rows and prompts to the routers
LOOK_S = 2.0  # between two checks of the cluster
MOST_CALLS = 10_000  # at one replica at once; most of them wait and cost nothing
HERE = "decoding-playground"  # the prefix of the names of applications
UP_S, DOWN_S = 5.0, 120.0  # for how long more rows, or fewer, must be needed before scaling
RETRIES = 3  # of a replica that cannot be built
_WRONG = b"another replica"  # the response of one that is not the replica in ``at``


class Served:
    """The object in a replica of Serve, with one engine; ``call`` reaches all its methods."""

    def __init__(self, model: str | None, settings: Mapping[str, Any]) -> None:
        own = of_replica(Settings(**dict(settings)))
        check_card(own.device, len(ray.get_gpu_ids()))
        self.name = str(serve.get_replica_context().replica_id.unique_id)
        backends = LocalBackends(own, Process(Remembered.of(own)), Observers())
        self.replica = Replica(backends.open(model), self.name)
        look_less()

    async def call(
        self,
        method: str,
        given: Sequence[Any],
        at: str | None,
        rows: int = 0,
        prompt: str = "",
        again: int = 0,
        reading: int = 0,
    ) -> bytes:
        """The pickled result of a method of ``Replica``: Ray itself pickles several times slower.

        What follows ``at`` is for the router: the fields of ``Wants``.
        """
        if at is not None and at != self.name:
            return _WRONG
        answer = await getattr(self.replica, method)(*given)
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)

    async def record_routing_stats(self) -> dict[str, Any]:
        return await self.replica.load()

    def record_autoscaling_stats(self) -> dict[str, float]:
        engine = self.replica.backend.engine
        waiting = sum(run.width for run in list(engine.loop.queue))
        return {"wanted": float(engine.rows_in_use + waiting), "rows": float(engine.rows)}

    def check_health(self) -> None:
        """Serve replaces a replica whose decode loop has stopped."""
        health = self.replica.backend.health()
        if not health.alive:
            raise RuntimeError(health.why)

    def __del__(self) -> None:
        if hasattr(self, "replica"):
            self.replica.close()


def check_card(device: str, reserved: int) -> None:
    """Raise ``ModelError`` where a replica reserved a GPU, of which torch sees none.

    Otherwise ``auto`` would have it write on the CPU, while nobody else may use the GPU. A host may
    want that, and says so by another device.
    """
    if reserved and device == "auto" and not torch.cuda.is_available():
        raise ModelError(
            f"This replica reserved a GPU, and torch {torch.__version__} sees none. Set "
            "PLAYGROUND_CLUSTER_GPUS to 0, PLAYGROUND_DEVICE to cpu, or install a torch for the GPU"
        )


class ModelRouter(RequestRouter):  # type: ignore[misc,unused-ignore]  # Ray may be missing
    """Chooses the replica that a call names, else the best one for what it ``Wants``."""

    def initialize_state(self) -> None:
        self._sent: dict[str, list[tuple[float, int]]] = {}  # rows not yet in a replica's own count
        self._prompts: dict[str, dict[str, None]] = {}  # by replica: the last ones sent there

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        if pending_request is None:
            return [candidate_replicas]
        # Serve calls this again, without a pause otherwise, until a replica takes the call.
        pending_request.routing_context.should_backoff = True
        given = pending_request.kwargs
        at = given.get("at")
        by_name = {_name(one): one for one in candidate_replicas}
        if at is not None:
            named = by_name.get(str(at))
            return [[named]] if named is not None else [candidate_replicas[:1]]
        wants = Wants(
            int(given.get("rows") or 0),
            str(given.get("prompt") or ""),
            int(given.get("again") or 0),
            int(given.get("reading") or 0),
        )
        free = {name: self._free(name, one) for name, one in by_name.items()}
        read = [name for name, one in by_name.items() if self._has_read(name, one, wants.prompt)]
        order = wants.ranked(free, read)
        if order:
            first = wants.again % len(order)
            order = order[first:] + order[:first]
            self._remember(order[0], wants.rows, wants.prompt)
        return [[by_name[name]] for name in order]

    def _free(self, name: str, replica: RunningReplica) -> float:
        stats = replica.routing_stats or {}
        if stats.get("leaving"):
            return float("-inf")
        now = monotonic()
        recent = [one for one in self._sent.get(name, ()) if now - one[0] < 2 * STATS_S]
        self._sent[name] = recent
        return float(stats.get("free", 0)) - sum(rows for _, rows in recent)

    def _has_read(self, name: str, replica: RunningReplica, prompt: str) -> bool:
        stats = replica.routing_stats or {}
        return prompt in self._prompts.get(name, ()) or prompt in stats.get("prompts", ())

    def _remember(self, name: str, rows: int, prompt: str) -> None:
        self._sent.setdefault(name, []).append((monotonic(), rows))
        if prompt:
            prompts = self._prompts.setdefault(name, {})
            prompts.pop(prompt, None)
            prompts[prompt] = None
            while len(prompts) > 64:
                del prompts[next(iter(prompts))]


def _name(replica: RunningReplica) -> str:
    return str(replica.replica_id.unique_id)


def by_rows(context: Any) -> tuple[int, dict[str, Any]]:
    """The number of replicas at which the rows needed are half of all rows; a policy of Serve."""
    found = context.aggregated_metrics or {}
    wanted = sum(found.get("wanted", {}).values())
    rows = max(found.get("rows", {}).values(), default=0.0)
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    if not rows:
        return max(least, min(most, context.target_num_replicas)), {}
    return max(least, min(most, -(-int(2 * wanted) // int(rows)))), {}


def application(
    model: str | None,
    settings: Mapping[str, Any],
    replicas: tuple[int, int],
    cpus: float,
    gpus: float,
) -> serve.Application:
    """The application of one model, with at least and at most these ``replicas``."""
    least, most = replicas
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scaling = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=least,
                max_replicas=most,
                policy={"policy_function": by_rows},
                upscale_delay_s=UP_S,
                downscale_delay_s=DOWN_S,
            )
        }
    deployment = serve.deployment(
        name="Model",
        ray_actor_options={
            "num_cpus": cpus,
            "num_gpus": gpus,
            "runtime_env": {"env_vars": QUIET},  # before torch is imported there
        },
        max_ongoing_requests=MOST_CALLS,
        max_constructor_retry_count=RETRIES,
        health_check_period_s=2,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=5,
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
        request_router_config=RequestRouterConfig(
            request_router_class=ModelRouter,
            request_routing_stats_period_s=STATS_S,
        ),
        **scaling,
    )(Served)
    return deployment.bind(model, dict(settings))


def app(arguments: Mapping[str, Any]) -> serve.Application:
    """For a config file of Serve: ``import_path: playground.backends.cluster.serving:app``.

    ``arguments`` are ``model``, ``replicas`` ("2" or "1-4"), ``cpus``, ``gpus``, and ``settings``
    by their names without PLAYGROUND_. Raises ``ValueError`` for any other.
    """
    known = {"model", "replicas", "cpus", "gpus", "settings"}
    unknown = set(arguments) - known
    if unknown:
        raise ValueError(f"unknown arguments: {', '.join(sorted(unknown))}")
    settings = Settings(**dict(arguments.get("settings") or {}))
    return application(
        arguments.get("model"),
        settings.model_dump(),
        between(str(arguments.get("replicas", "1"))),
        float(arguments.get("cpus", 1)),
        float(arguments.get("gpus", 0)),
    )


def between(written: str) -> tuple[int, int]:
    """The least and the most replicas of "2" or "1-4"."""
    low, _, high = written.partition("-")
    return int(low), int(high or low)


def name_of(model: str) -> str:
    """The name of a model's application."""
    return f"{HERE}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', model)}"


class ServeReplicas:
    """The replicas of one application of Serve."""

    def __init__(self, app: str, handle: DeploymentHandle) -> None:
        self.app, self.handle = app, handle
        self.waits = ""  # why calls wait for the cluster, in a sentence; empty where they do not
        self.unanswered = False  # whether the last check of the cluster got no response
        self._seen = Seen()
        self._loads: dict[str, Load] = {}

    async def call(
        self, method: str, *given: Any, at: str | None = None, wants: Wants | None = None
    ) -> Any:
        wants = wants or Wants()
        if at is None and self.fault():  # Serve would wait for one
            raise NoReplica(self.fault())
        if self.waits and not ray.is_initialized():
            raise ReplicaLost(f"{at} cannot be reached")
        try:
            response = self.handle.call.remote(
                method, given, at=at, rows=wants.rows, prompt=wants.prompt, again=wants.again,
                reading=wants.reading,
            )  # fmt: skip
            answer = await response
        except asyncio.CancelledError:  # Serve itself would not tell the replica
            response.cancel()
            raise
        except RayTaskError:  # the method failed there
            raise
        except (RayActorError, RayServeException, RayError) as error:
            raise ReplicaLost(f"{at or 'a replica'}: {type(error).__name__}") from error
        if answer == _WRONG:
            raise ReplicaLost(f"{at} is gone")
        return pickle.loads(answer)

    async def watch(self) -> None:
        """Check the replicas every ``LOOK_S`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Update which replicas there are, and the load of each."""
        if not self.waits:
            try:
                self._seen = await asyncio.wait_for(asyncio.to_thread(seen, self.app), 5 * LOOK_S)
                self.unanswered = False
            except Exception as error:
                self._seen = Seen(fault=f"The cluster does not answer ({type(error).__name__}).")
                self.unanswered = True
        names = list(self._seen.running)
        self._loads = dict(zip(names, await asyncio.gather(*map(self._load, names)), strict=True))

    def wait(self, why: str) -> None:
        """Call no replicas but those that already write, until ``go_on``."""
        self.waits = why

    async def go_on(self, handle: DeploymentHandle) -> None:
        """Use ``handle`` from now on: this cluster, or another one, serves the model again."""
        self.handle, self.waits, self._seen = handle, "", Seen()
        await self.look()

    async def _load(self, name: str) -> Load:
        try:
            load: Load = await asyncio.wait_for(self.call("fares", at=name), LOOK_S)
        except Exception:  # of any kind: the other replicas are checked all the same
            return Load(replica=name, alive=False)
        return load

    def loads(self) -> list[Load]:
        return list(self._loads.values())

    def fault(self) -> str:
        return self.waits or self._seen.fault
