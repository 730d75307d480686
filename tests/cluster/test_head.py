"""The loss of the head node: what is said of it, and that runs go on once there is one again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from fastapi.testclient import TestClient

from playground.api import application
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
def head(port: int) -> Iterator[None]:
    """A head node of this machine, all of whose processes are killed at the end."""
    with TemporaryDirectory(prefix="ray-") as folder:  # whose sockets have short names
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
            f"--port={port}", f"--temp-dir={folder}", "--num-cpus=2", "--disable-usage-stats",
            "--include-dashboard=false", "--object-store-memory=200000000",
            "--min-worker-port=0", "--max-worker-port=0",
        ]  # fmt: skip
        started = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
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


def _reached(service: Service) -> bool:
    """Whether the head node, which was just begun, is up; the model is then served."""
    try:
        service.backend()
    except ModelError as error:
        assert "cannot be reached" in str(error)
        return False
    return True
