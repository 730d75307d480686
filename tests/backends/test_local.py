"""The contract of a backend, held by one of this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.backends import Backend
from playground.backends.local import LocalBackends
from playground.engine import Observers
from playground.process import Process
from playground.settings import Settings
from tests.backends.contract import SETTINGS, BackendContract, ClosingContract, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("backends") / "tiny")


@pytest.fixture(scope="class")
def backend(folder: Path) -> Iterator[Backend]:
    settings = Settings(**{**SETTINGS, "model": str(folder)})
    backends = LocalBackends(settings, Process(), Observers())
    yield backends.open()
    backends.close()


class TestLocal(BackendContract):
    pass


class TestClosing(ClosingContract):
    pass
