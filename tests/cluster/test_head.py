"""The loss of the head node: what is said of it, and that runs go on once there is one again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from fastapi.testclient import TestClient

from playground.api import application
from playground.backends.cluster import backends as cluster
from playground.backends.local import LocalBackends
from playground.engine import Observers
from playground.errors import ModelError
from playground.process import Process
from playground.service import Service
from playground.settings import Settings
from playground.ui.status import progress
from tests.backends.contract import SETTINGS, asked, written
from tests.cluster.waiting import WAIT_S, free_port, until


@contextmanager
def head(port: int, *more: str) -> Iterator[str]:
    """A head node of this machine, all of whose processes are killed at the end; its folder.

    ``more`` are further arguments of ``ray start``.
    """
    with TemporaryDirectory(prefix="ray-") as folder:  # whose sockets have short names
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
            f"--port={port}", "--num-cpus=2", "--disable-usage-stats",
            "--include-dashboard=false", "--object-store-memory=200000000",
            "--min-worker-port=0", "--max-worker-port=0", *more,
        ]  # fmt: skip
        started = psutil.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"RAY_TMPDIR": folder},
        )
        try:
            yield folder
        finally:
            for process in [started, *started.children(recursive=True)]:
                process.kill()
            started.wait()


def test_where_the_head_node_is_lost_that_is_said_and_with_another_all_goes_on(
    folder: Path,
) -> None:
    port = free_port()
    lost = f":{port} does not answer."
    own = SETTINGS | {"model": str(folder), "deadline_s": 600}
    service = Service(Settings(**own, cluster=f"127.0.0.1:{port}", cluster_start_s=WAIT_S))
    http = TestClient(application(service))
    long = asked("greedy", "sample", max_new_tokens=380, min_new_tokens=380, prompt="lost")
    try:
        with head(port):
            until(lambda: _reached(service))
            run = service.submit(long)
            until(lambda: len(run.views[0].path()) >= 20)
            assert http.get("/healthz").json()["status"] == "ok"
        until(lambda: lost in run.notice)
        shown = len(run.views[0].path())
        assert not run.done and run.error is None
        assert lost in str(progress(run, shown)["text"])
        told = http.get("/healthz")
        assert told.status_code == 503 and "head node" in told.json()["error"]
        assert lost in told.json()["unwell"]["tiny"]
        short = service.submit(asked("greedy"))
        until(lambda: lost in str(progress(short, 0)["text"]))
        with head(port):
            assert run.join(WAIT_S) and short.join(WAIT_S)
            assert http.get("/healthz").json() == {"status": "ok", "models": ["tiny"]}
            service.close()
    finally:
        service.close()
    backends = LocalBackends(Settings(**own), Process(), Observers())
    for one in (run, short):
        assert one.outcome == "done" and not one.notice
        (wanted,) = backends.open().submit_all([one.request])
        assert wanted.join(WAIT_S) and written(one.comparison()) == written(wanted.comparison())
    backends.close()


def test_auto_is_the_cluster_that_this_machine_is_part_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once another head node has taken the place of the one that was lost."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    own = SETTINGS | {"model": str(folder), "deadline_s": 600}
    service = Service(Settings(**own, cluster="auto", cluster_start_s=WAIT_S))

    def writes_at(port: int, place: str) -> None:
        monkeypatch.setenv("RAY_TMPDIR", place)  # where Ray keeps the last one's address
        until(lambda: _reached(service))
        own = service.backends._connection
        until(lambda: own._head.endswith(f":{port}") and not own.fault)
        run = service.submit(asked("greedy", prompt=f"auto {port}"))
        assert run.join(WAIT_S) and run.outcome == "done"

    first, second = free_port(), free_port()
    try:
        with head(first) as place:
            writes_at(first, place)
        with head(second) as place:
            writes_at(second, place)
            service.close()
    finally:
        service.close()


class Lost:
    """A connection whose head node is lost, and to which connecting again takes a while."""

    fault = ""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def join(self) -> None:
        pass

    def holds(self, doubted: bool) -> bool:
        return False

    def rejoin(self) -> None:
        self.calls.append("rejoin")
        time.sleep(0.3)
        self.calls.append("rejoined")

    def leave(self) -> None:
        self.calls.append("left")


def test_nothing_connects_again_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WATCH_S", 0.01)
    backends = cluster.ClusterBackends(Settings(cluster="127.0.0.1:1"), Process(), Observers())
    lost = Lost()
    monkeypatch.setattr(backends, "_connection", lost)
    backends._connected()
    until(lambda: "rejoin" in lost.calls)
    backends.close()
    assert lost.calls[-2:] == ["rejoined", "left"]
    assert backends._watching is not None and not backends._watching.is_alive()


def _reached(service: Service) -> bool:
    """Whether the head node, which was just begun, is up; the model is then served."""
    try:
        service.backend()
    except ModelError as error:
        assert "cannot be reached" in str(error)
        return False
    return True
