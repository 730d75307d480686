"""The wheel in an empty environment: the command starts, serves and compares, from any folder."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.trace import Comparison
from playground.ui import recorded
from tests.folders import VOCAB, saved
from tests.test_app import environment
from tests.tiny import tiny_llama

ROOT = Path(__file__).parents[2]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT]
    subprocess.run(build, check=True)
    (built,) = folder.glob("decoding_playground-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Path]:
    """The folder of the environment's programs, which is removed afterwards: it takes 2 GB."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    install = ["install", "--constraint", ROOT / "requirements.txt", wheel]
    subprocess.run([folder / "bin" / "python", *PIP, *install], check=True)
    yield folder / "bin"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved(tiny_llama(VOCAB, context=600), tmp_path_factory.mktemp("models") / "tiny"))


def run(installed: Path, folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [installed / "decoding-playground", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_installed_and_not_found_in_this_folder(installed: Path, tmp_path: Path) -> None:
    code = "import playground, strategies; print(playground.__file__, strategies.__file__)"
    done = subprocess.run(
        [installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert all(str(installed.parent) in file for file in done.stdout.split())
    assert re.fullmatch(
        r"decoding-playground \d+\.\d+\.\d+\n", run(installed, tmp_path, "--version")
    )
    assert "  top_n_sigma " in run(installed, tmp_path, "strategies")


def test_it_compares_with_the_built_in_model(installed: Path, tmp_path: Path) -> None:
    prompt = "The capital of France is"
    out = run(installed, tmp_path, "compare", prompt, "greedy", "-n", "4", "--json")
    assert "Paris" in Comparison.from_json(out).lanes[0].text
    run(installed, tmp_path, "compare", prompt, "greedy", "-n", "4", "-o", "run.html")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert Comparison.from_html(page).prompt == prompt


def test_it_serves_the_page_with_all_that_belongs_to_it(
    installed: Path, tmp_path: Path, tiny: str
) -> None:
    command = [installed / "decoding-playground", "run", "--model", tiny, "--models", tiny]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=-1, stderr=-1, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"Decoding playground at (http://\S+?)/? with tiny\n", line)
        assert found, line
        with httpx.Client(base_url=found[1], timeout=60) as client:
            page = client.get("/")
            assert page.status_code == 200 and "Decoding playground" in page.text
            assert "playground.address" in client.get("/config").text  # code from ui/assets
            kept = client.get(f"/runs/{recorded.ID}.json")
            assert kept.status_code == 200 and Comparison.from_json(kept.text).lanes
            assert "swagger-ui" in client.get("/api/docs").text
            assert client.get("/api/docs/docs.js").status_code == 200
            recipes = ["greedy", 'constrained(json_schema={"type": "boolean"}) | sample']
            body = {"prompt": "abc", "recipes": recipes, "max_new_tokens": 8}
            lanes = client.post("/api/compare", json=body).json()["lanes"]
            assert [lane["error"] for lane in lanes] == [None, None]
            assert lanes[1]["text"].strip() in ("true", "false")
            assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors
