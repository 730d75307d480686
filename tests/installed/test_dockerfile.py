"""The Dockerfile: a linter finds nothing, its steps run, and what they leave serves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.settings import Settings
from tests.installed.dockerfile import build, instructions
from tests.test_app import environment

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Dockerfile"


def test_a_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_only_what_is_copied_is_sent_to_the_daemon() -> None:
    sent = {
        line[1:]
        for line in FILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for name, rest in instructions(FILE)
        if name == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert copied == sent and all((ROOT / name).exists() for name in sent)


def test_it_keeps_to_the_settings_there_are() -> None:
    named = set(re.findall(r"PLAYGROUND_\w+", FILE.read_text(encoding="utf-8")))
    assert {name.removeprefix("PLAYGROUND_").lower() for name in named} <= set(
        Settings.model_fields
    )


@pytest.mark.parametrize(
    "device, told",
    [("cpu", "--extra-index-url here"), ("cuda", ""), ("tpu", "it should be cpu or cuda")],
)
def test_its_argument_chooses_the_torch(tmp_path: Path, device: str, told: str) -> None:
    steps = [rest for name, rest in instructions(FILE) if name == "RUN"]
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("python", "pip"):
        (tools / tool).write_text('#!/bin/sh\necho "$(basename "$0") $*"\n')
        (tools / tool).chmod(0o755)
    done = subprocess.run(
        ["sh", "-euc", steps[0]],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "DEVICE": device,
            "EXTRAS": "mcp,cluster",
            "CPU_INDEX": "here",
            "PREFIX": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == (2 if device == "tpu" else 0)
    assert told in done.stdout + done.stderr
    assert ("--extra-index-url" in done.stdout) == (device == "cpu")
    assert (".[mcp,cluster]" in done.stdout) == (device != "tpu")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A folder for what the steps write, which is removed afterwards: it takes 2 GB."""
    folder = tmp_path / "image"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_its_steps_leave_a_program_that_serves_and_is_healthy(image: Path) -> None:
    cache = Settings.read().cache_dir  # holds the built-in model, where it was fetched before
    arguments = {
        "PREFIX": str(image / "opt"),
        "CACHE": str(image / "cache"),
        "DEVICE": "cpu",
        "CPU_INDEX": "https://pypi.org/simple",  # as pip has it anyway: the tests know no other
    }
    if cache.is_dir():
        (image / "cache").mkdir()
        for kept in cache.iterdir():
            if kept.is_dir():
                (image / "cache" / kept.name).symlink_to(kept)
    built = build(FILE, ROOT, image / "src", arguments)
    assert built.user == "1000:1000"
    settings = {**built.environment, "PLAYGROUND_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        [*built.entrypoint, *built.command],
        cwd=image, env=environment() | settings, stdout=-1, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.match(r"Decoding playground at http://127\.0\.0\.1:7860/? with SmolLM2", line)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            asked = subprocess.run(built.healthcheck, env=settings, capture_output=True)
            if asked.returncode == 0:
                break
            time.sleep(1)
        assert asked.returncode == 0
    finally:
        process.terminate()
        assert process.wait(30) == 0
    asked = subprocess.run(built.healthcheck, env=settings, capture_output=True)
    assert asked.returncode != 0  # of what has stopped
