"""The real engine over a tiny model, and the API over that."""

from __future__ import annotations

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from playground.api import application, mount
from playground.service import Service
from playground.settings import Settings
from tests.api.asking import serving
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A host with one model of 2,000 tokens of context, and one that cannot be loaded."""
    folder = tmp_path_factory.mktemp("models")
    tiny = saved(tiny_llama(VOCAB, context=2000), folder / "tiny")
    (folder / "broken").mkdir()
    made = Service(
        Settings(
            device="cpu",
            dtype="float32",
            model=str(tiny),
            models=[str(folder / "broken")],
            max_rows=24,
            max_new_tokens=1500,
            max_prompt_chars=4000,
            experiment_store=folder / "experiments.sqlite",
        )
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service):
    with TestClient(application(service), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def address(service):
    app = FastAPI()
    mount(app, service)
    with serving(app) as address:
        yield address
