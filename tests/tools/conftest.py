"""The page with its tools, served over a tiny model."""

from __future__ import annotations

import pytest
import torch

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
        Settings(device="cpu", dtype="float32", model=str(tiny), models=[], max_new_tokens=500)
    )
    yield made
    made.close()
