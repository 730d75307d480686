"""A cluster of this machine, with two replicas of a tiny model, for all tests of the group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.backends.cluster.backends import ClusterBackends
from playground.engine import Observers
from playground.process import Process
from playground.settings import Settings
from tests.backends.contract import SETTINGS, tiny_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("cluster") / "tiny")


@pytest.fixture(scope="session")
def backends(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterBackends]:
    broken = tmp_path_factory.mktemp("broken") / "broken"
    broken.mkdir()
    settings = Settings(
        **{
            **SETTINGS,
            "model": str(folder),
            "models": [str(broken)],
            "cluster": "local:2",
            "cluster_start_s": 300,
        }
    )
    made = ClusterBackends(settings, Process(), Observers())
    yield made
    made.close()
