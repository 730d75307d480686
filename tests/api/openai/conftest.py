"""OpenAI's API over a tiny model that has a chat template."""

from __future__ import annotations

import pytest
import torch
from fastapi.testclient import TestClient

from playground.api import application
from playground.service import Service
from playground.settings import Settings
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tiny = saved(tiny_llama(VOCAB, context=600), folder / "tiny", chat=True)
    made = Service(
        Settings(device="cpu", dtype="float32", model=str(tiny), max_rows=24, max_new_tokens=64)
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service):
    with TestClient(application(service), raise_server_exceptions=False) as client:
        yield client
