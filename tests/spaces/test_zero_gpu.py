"""Runs on a lent GPU, with the real package of ZeroGPU Spaces against a stand-in of its service."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.folders import VOCAB, saved
from tests.spaces.api import Lender, lender
from tests.tiny import tiny_llama

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("spaces") is None or torch.version.cuda is None,
    reason="no package spaces, or no torch with CUDA: see tests/spaces/requirements.txt",
)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Lender]:
    """What the program printed, and the stand-in that it called."""
    folder = tmp_path_factory.mktemp("space")
    model = saved(tiny_llama(VOCAB, context=512), folder / "tiny", chat=True)
    with lender() as server:
        environment = os.environ | {
            "SPACES_ZERO_GPU": "true",
            "SPACES_ZERO_DEVICE_API_URL": server.address,
            "SYSTEM": "spaces",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.spaces.space", str(model)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        line = next(one for one in done.stdout.splitlines() if one.startswith("TOLD"))
        return json.loads(line.removeprefix("TOLD")), server


def test_a_lent_run_writes_what_the_shared_loop_writes_in_the_same_dtype(space):
    told, _ = space
    for kind in ("lent", "again"):
        assert told[kind]["texts"] == told["cpu"]["texts"]
        assert told[kind]["notice"] == "Written on the GPU, in float32."
        assert all(count >= 24 for count in told[kind]["records"])
    assert told["lent"]["first"] >= told["lent"]["queued"] > 0
    assert told["again"]["queued"] < told["lent"]["queued"]  # its process has the model by then


def test_it_asks_for_as_long_as_the_run_is_and_gives_back(space):
    _, server = space
    asked = [query for path, query in server.asked if path == "/schedule"]
    assert [int(one["durationSeconds"][0]) for one in asked[:1]] == [10]
    paths = [path for path, _ in server.asked]
    assert paths.count("/allow") >= 2 and paths.count("/release") >= 3


@pytest.mark.parametrize(
    "kind, why",
    [
        ("quota", "Your GPU quota is used up"),
        ("none", "No GPU came free"),
        ("waits", "No GPU came free in time"),
    ],
)
def test_without_a_gpu_the_run_goes_on_on_the_cpu_and_says_so(space, kind, why):
    told, _ = space
    assert told[kind]["notice"] == f"{why}; the run goes on on the CPU."
    assert told[kind]["texts"] == told["cpu"]["texts"]
    assert told[kind]["device"] == "cpu"


def test_where_the_gpu_is_taken_away_the_text_goes_on_the_same(space):
    told, _ = space
    assert told["lost"]["texts"] == told["long"]["texts"]
    assert told["lost"]["reasons"] == told["long"]["reasons"]
    assert told["lost"]["notice"] == (
        "The GPU was taken away; the run goes on on the CPU, with the same text."
    )


def test_stop_ends_a_lent_run_and_keeps_what_it_wrote(space):
    told, _ = space
    assert told["stopped"]["reasons"] == ["cancelled"]
    text = told["stopped"]["texts"][0][0]
    assert text and told["long"]["texts"][0][0].startswith(text)


def test_what_a_person_chooses_by_hand_takes_no_gpu(space):
    told, _ = space
    assert told["manual"]["reasons"] == ["waiting"]
    assert told["manual"]["notice"] == ""
