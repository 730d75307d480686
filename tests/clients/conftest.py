"""A real server with the built-in model, for clients that know nothing of it but its address."""

from __future__ import annotations

import pytest
import torch
from fastapi import FastAPI

from playground.api import mount
from playground.service import Service
from playground.settings import Settings
from tests.api.asking import serving

torch.set_num_threads(1)

MODEL = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="session")
def service():
    made = Service(Settings(device="cpu", dtype="float32", max_rows=24, top_n=20))
    yield made
    made.close()


@pytest.fixture(scope="session")
def address(service):
    app = FastAPI()
    mount(app, service)
    service.engine()  # loaded, so that no client waits for longer than it is used to
    with serving(app) as address:
        yield address
