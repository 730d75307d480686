"""Replicas on a GPU, tested without one: Ray lends a card that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray import serve

from playground.backends.cluster.backends import ClusterBackends
from playground.backends.cluster.serve_compat import seen
from playground.backends.cluster.serving import app, application, check_card, name_of
from playground.engine import Observers
from playground.errors import ModelError
from playground.process import Process
from playground.settings import Settings
from tests.backends.contract import SETTINGS, asked
from tests.cluster.test_head import head
from tests.cluster.waiting import WAIT_S, free_port, until

REFUSED = r"reserved a GPU, and torch .* sees none"


def options(built: Any) -> dict[str, Any]:
    found: dict[str, Any] = built._bound_deployment.ray_actor_options
    return found


def test_a_deployment_reserves_the_gpus_that_are_set() -> None:
    built = application("gpt2", Settings().model_dump(), (1, 1), 2.0, 1.0)
    assert (options(built)["num_cpus"], options(built)["num_gpus"]) == (2.0, 1.0)
    shared = app({"model": "gpt2", "cpus": 1, "gpus": 0.5})
    assert options(shared)["num_gpus"] == 0.5
    assert not options(app({"model": "gpt2"})).get("num_gpus")


@pytest.mark.parametrize(
    ("device", "reserved", "there", "refused"),
    [
        ("auto", 1, False, True),
        ("auto", 1, True, False),
        ("auto", 0, False, False),
        ("cpu", 1, False, False),
    ],
)
def test_a_card_that_is_reserved_is_used_or_missed(
    monkeypatch: pytest.MonkeyPatch, device: str, reserved: int, there: bool, refused: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    if refused:
        with pytest.raises(ModelError, match=REFUSED):
            check_card(device, reserved)
    else:
        check_card(device, reserved)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of this machine that has one card, as it believes."""
    port = free_port()
    with head(port, "--num-gpus=1"):
        yield f"127.0.0.1:{port}"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_is_lent_to_as_many_replicas_as_share_it(folder: Path, address: str) -> None:
    made = Settings(
        **{**SETTINGS, "model": str(folder), "device": "auto"},
        cluster=address,
        cluster_replicas="3",
        cluster_cpus=0.1,
        cluster_gpus=0.5,
        cluster_start_s=WAIT_S,
    )
    refusing = ClusterBackends(made, Process(), Observers())
    with pytest.raises(ModelError, match=REFUSED):
        until(lambda: _joined(refusing))
        refusing.open()
    serve.delete(name_of("tiny"))
    refusing.close()
    backends = ClusterBackends(made.changed(device="cpu"), Process(), Observers())
    try:
        backend = backends.open()
        until(lambda: len(seen(name_of("tiny")).running) == 2)
        assert ray.available_resources().get("GPU", 0.0) == 0.0  # the third one waits for it
        (run,) = backend.submit_all([asked("greedy")])
        assert run.join(WAIT_S) and run.outcome == "done"
        assert len(seen(name_of("tiny")).running) == 2
        assert backend.facts.device == "cpu"
    finally:
        backends.close()


def _joined(backends: ClusterBackends) -> bool:
    """Whether the head node, which was just begun, is up."""
    try:
        backends._connected()
    except ModelError as error:
        assert "cannot be reached" in str(error)
        return False
    return True
