"""Replicas over Ray Serve: the contract of a backend, and what happens when things die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, RayError

from playground.backends import Backend
from playground.backends.cluster import connection, serving
from playground.backends.cluster.backends import ClusterBackends
from playground.backends.cluster.messages import ReplicaLost
from playground.backends.cluster.serve_compat import seen
from playground.backends.cluster.serving import ServeReplicas, application, name_of
from playground.backends.opened import Opened
from playground.engine import Engine, Limits, Run
from playground.errors import ModelError
from playground.models import load_folder
from playground.settings import QUIET, Settings
from tests.backends.contract import SETTINGS, BackendContract, asked, written
from tests.cluster.waiting import WAIT_S, free_port, until

ROOT = Path(__file__).parent.parent.parent
RECIPES = (
    "greedy",
    "temperature(0.9) | top_p(0.95) | sample",
    "mirostat_v2(3.0) | sample",
    "beam(2)",
)


@pytest.fixture(scope="class")
def backend(backends: ClusterBackends) -> Backend:
    return backends.open()


class TestServe(BackendContract):
    pass


@pytest.fixture(scope="module")
def reference(folder: Path) -> Iterator[Engine]:
    limits = Limits(new_tokens=400, columns=8)
    engine = Engine(load_folder(folder, Settings(**SETTINGS)), limits=limits, rows=24)
    yield engine
    engine.close()


def expected(reference: Engine, request: Any) -> list[Any]:
    run = reference.submit(request)
    reference.drive(run)
    return written(run.comparison())


def writing(backend: Backend) -> str:
    """The name of a replica that writes for this front end."""
    return next(iter(backend.following._parts))  # type: ignore[attr-defined]


def test_a_run_survives_kill_9_of_its_replica_with_the_same_text(
    backends: ClusterBackends, reference: Engine
) -> None:
    backend = backends.open()
    app = name_of(backend.facts.id)
    until(lambda: len(seen(app).running) == 2)
    request = asked(*RECIPES, max_new_tokens=380, min_new_tokens=380, prompt="killed", stop=["zq"])
    (run,) = backend.submit_all([request])
    until(lambda: len(run.views[0].path()) >= 20)
    shown = [len(view.path()) for view in run.views]
    killed = writing(backend)
    os.kill(seen(app).running[killed], signal.SIGKILL)
    until(lambda: killed not in backend.following._parts or run.done)  # its death is known
    until(lambda: run.done or len(run.views[0].path()) > shown[0])
    assert run.error is None and not run.notice
    assert run.join(WAIT_S) and run.outcome == "done"
    assert written(run.comparison()) == expected(reference, request)
    until(lambda: len(seen(app).running) == 2)  # Serve has put another in its place


def test_a_rolling_restart_under_load_loses_nothing(
    backends: ClusterBackends, reference: Engine
) -> None:
    backend = backends.open()
    app = name_of(backend.facts.id)
    until(lambda: len(seen(app).running) == 2)
    before = set(seen(app).running)
    changed = backends._of_replicas() | {"keep_runs": 7}
    target = application(backend.facts.id, changed, (2, 2), 1.0, 0.0)
    serve.run_many(
        [serve.RunTarget(target, name=app, route_prefix=None)],
        wait_for_applications_running=False,
    )
    done: list[tuple[Any, Run]] = []
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        request = asked("greedy", "sample", seed=len(done), max_new_tokens=200)
        (run,) = backend.submit_all([request])
        assert run.join(WAIT_S)
        done.append((request, run))
        now = set(seen(app).running)
        if len(now) == 2 and not now & before:
            break
    assert not set(seen(app).running) & before
    assert all(run.outcome == "done" and run.error is None for _, run in done)
    for request, run in [done[0], done[-1], done[len(done) // 2]]:
        assert written(run.comparison()) == expected(reference, request)


def test_a_replica_that_never_comes_up_is_said_why(
    backends: ClusterBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "RETRIES", 1)
    with pytest.raises(ModelError) as error:
        backends.open("broken")
    assert "broken cannot be served by the cluster" in str(error.value)
    assert "its folder holds no config.json" in str(error.value)
    serve.delete(name_of("broken"))


def test_where_there_is_no_gpu_that_is_said(
    backends: ClusterBackends, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = backends.settings.changed(cluster_gpus=1.0, cluster_start_s=3.0)
    monkeypatch.setattr(backends, "settings", own)
    monkeypatch.setattr(backends, "_open", Opened())
    monkeypatch.setattr("playground.backends.cluster.backends.name_of", lambda id: "gpu")
    with pytest.raises(ModelError) as error:
        backends.open()
    assert "came up within 3 s" in str(error.value) and "1 GPUs free?" in str(error.value)
    serve.delete("gpu")


def test_a_run_that_a_replica_begins_too_late_ends_there(backends: ClusterBackends) -> None:
    """Ray tells the replica that nobody waits for its answer any more."""

    class Slow(serving.Served):
        """A replica that takes two seconds to queue a run, and tells how its runs ended."""

        def __init__(self, model: str, settings: dict[str, Any]) -> None:
            super().__init__(model, settings)
            backend, begun = self.replica.backend, []
            submit_all = backend.submit_all

            def slowly(requests: Any) -> Any:
                time.sleep(2)
                runs = submit_all(requests)
                begun.extend(runs)
                return runs

            async def ends() -> list[str]:
                return [run.outcome for run in begun if run.done]

            self.replica.__dict__["ends"] = ends
            backend.__dict__["submit_all"] = slowly

    model = backends.open().facts.id
    deployment = serve.deployment(
        name="Model",
        ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": QUIET}},
        max_ongoing_requests=100,
    )(Slow)
    serve.run(deployment.bind(model, backends._of_replicas()), name="slow", route_prefix=None)
    replicas, loop = ServeReplicas("slow", serve.get_app_handle("slow")), backends._connected()
    loop.run(replicas.look(), WAIT_S)
    request = asked("greedy", max_new_tokens=400, min_new_tokens=400)

    async def impatient() -> None:
        await asyncio.wait_for(replicas.call("begin", "front", "late", request), 0.5)

    with pytest.raises(TimeoutError):
        loop.run(impatient())
    until(lambda: bool(loop.run(replicas.call("ends"), WAIT_S)))
    assert loop.run(replicas.call("ends"), WAIT_S) == ["cancelled"]
    serve.delete("slow")


def test_replicas_come_and_go_with_the_rows_that_are_wanted(
    backends: ClusterBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends.open()
    own = backends.settings.changed(cluster_replicas="1-2", cluster_cpus=0.3)
    monkeypatch.setattr(backends, "settings", own)
    monkeypatch.setattr(backends._connection, "replicas", 0)
    monkeypatch.setattr(backends, "_open", Opened())
    monkeypatch.setattr("playground.backends.cluster.backends.name_of", lambda id: "scaled")
    monkeypatch.setattr(serving, "UP_S", 1.0)
    monkeypatch.setattr(serving, "DOWN_S", 3.0)
    backend = backends.open()
    assert len(seen("scaled").running) == 1
    end = time.monotonic() + WAIT_S
    while len(seen("scaled").running) < 2 and time.monotonic() < end:
        wide = asked("sample(8)", "sample(7)", max_new_tokens=400, min_new_tokens=400)
        (run,) = backend.submit_all([wide])  # more than half of the 24 rows
        assert run.join(WAIT_S) and run.outcome == "done"
    assert len(seen("scaled").running) == 2
    until(lambda: len(seen("scaled").running) == 1)
    backend.close()
    serve.delete("scaled")


class Dying:
    """A handle of Serve to a replica that does not answer any more."""

    def __init__(self, error: RayError) -> None:
        self.call, self.error = self, error

    async def remote(self, *given: Any, **named: Any) -> Any:
        raise self.error


async def lost(error: RayError) -> None:
    handle: Any = Dying(error)
    with pytest.raises(ReplicaLost, match=type(error).__name__):
        await ServeReplicas("tiny", handle).call("fares", at="a")


def test_a_replica_that_was_killed_for_its_memory_is_lost_as_any_other() -> None:
    for error in (OutOfMemoryError("killed"), ActorDiedError(), ActorUnavailableError("", None)):
        asyncio.run(lost(error))


def test_what_is_not_there_cannot_be_reached() -> None:
    code = (
        "import sys\n"
        "from playground.service import Service\n"
        "from playground.settings import Settings\n"
        "service = Service(Settings(cluster='127.0.0.1:1'))\n"
        "try:\n    service.backend()\n"
        "except Exception as error:\n    print('SAID', error)\n"
        "print('HEALTH', service.backends.fault)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert "SAID The cluster at 127.0.0.1:1 cannot be reached" in done.stdout, done.stderr[-2000:]
    assert "HEALTH The cluster at 127.0.0.1:1" in done.stdout


def test_an_error_of_ray_without_words_is_said_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(address: str) -> None:
        raise AssertionError

    monkeypatch.setattr(connection, "_reach", unreachable)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    cluster = connection.Connection("127.0.0.1:1", 1.0)
    with pytest.raises(ModelError, match=r"at 127.0.0.1:1 cannot be reached: AssertionError\."):
        cluster.join()
    assert "AssertionError" in cluster.fault


def health(base: str) -> dict[str, Any]:
    """The health of a front end; empty where it is not up."""
    try:
        found: dict[str, Any] = httpx.get(f"{base}/healthz").json()
    except (httpx.HTTPError, ValueError):
        return {}
    return found


def front_end(address: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Another program that serves the same cluster's model."""
    environment = os.environ | {
        "PLAYGROUND_CLUSTER": address,
        "PLAYGROUND_MODEL": str(folder),
        "PLAYGROUND_MODELS": str(folder),
        "PLAYGROUND_PORT": str(port),
        "PLAYGROUND_MAX_NEW_TOKENS": "400",
    }
    command = [sys.executable, "-m", "playground.cli", "run"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def test_a_second_front_end_is_killed_and_started_again(
    backends: ClusterBackends, folder: Path, reference: Engine
) -> None:
    backend = backends.open()
    address, port = ray.get_runtime_context().gcs_address, free_port()
    base = f"http://127.0.0.1:{port}"
    body = {"prompt": "abab", "recipes": ["greedy"], "max_new_tokens": 24, "seed": 7}
    wanted = expected(reference, asked("greedy"))[0][0][0]

    def answers() -> bool:
        return health(base).get("status") == "ok"

    first = front_end(address, folder, port)
    try:
        until(answers)
        told = httpx.post(f"{base}/api/compare", json=body, timeout=WAIT_S).json()
        assert told["lanes"][0]["text"] == wanted
        assert 'playground_rows{model="tiny",replica="' in httpx.get(f"{base}/metrics").text
        long = body | {"max_new_tokens": 400, "min_new_tokens": 400, "stream": True}
        with httpx.stream("POST", f"{base}/api/compare", json=long, timeout=WAIT_S) as stream:
            next(stream.iter_lines())
            first.kill()  # -9
    finally:
        first.kill()
        first.wait()
    until(lambda: not any(load.running for load in backend.health().loads))
    base = f"http://127.0.0.1:{port + 1}"  # the system holds the first one for a while
    again = front_end(address, folder, port + 1)
    try:
        until(answers)
        told = httpx.post(f"{base}/api/compare", json=body, timeout=WAIT_S).json()
        assert told["lanes"][0]["text"] == wanted
        assert health(base)["models"] == ["tiny"]
    finally:
        again.kill()
        again.wait()
