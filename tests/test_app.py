"""The started program: what it prints, its port, its failures, and the addresses it connects to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from playground.settings import Settings, variables
from tests.api.asking import events
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

ROOT = Path(__file__).parent.parent

# Runs app.py and reports every address it looks up or connects to.
WATCHED = """
import faulthandler, runpy, sys
faulthandler.enable()  # where every thread is, should it have to be aborted
def watch(event, details):
    if event == "socket.getaddrinfo":
        print("ADDRESS", details[0], file=sys.stderr, flush=True)
    elif event == "socket.connect" and isinstance(details[1], tuple):
        print("ADDRESS", details[1][0], file=sys.stderr, flush=True)
sys.addaudithook(watch)
runpy.run_path("app.py", run_name="__main__")
"""


def environment(**settings):
    """This machine's environment, without variables the program reads, and with these settings."""
    clean = {name for field in Settings.model_fields for name in variables(field, Settings)}
    kept = {name: value for name, value in os.environ.items() if name not in clean}
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        kept.pop(name, None)
    return kept | settings


@contextmanager
def started(*command, stderr=-1, **settings):
    """The running program, its address, and the model that it printed."""
    process = subprocess.Popen(
        [sys.executable, *(command or ["app.py"])],
        cwd=ROOT, env=environment(**settings), stdout=-1, stderr=stderr, text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        found = re.match(r"Decoding playground at (http://\S+?)/? with (.+)\n", line)
        assert found, line + process.stderr.read()
        yield process, found[1], found[2]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(saved(tiny_llama(VOCAB, context=20_000), tmp_path_factory.mktemp("models") / "tiny"))


def test_one_line_then_page_and_routes_on_one_port_and_no_other_host(tiny):
    with started("-c", WATCHED, PLAYGROUND_MODEL=tiny, PLAYGROUND_MODELS=tiny) as running:
        process, address, model = running
        assert model == "tiny"
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        page = httpx.get(address)
        assert page.status_code == 200 and "Decoding playground" in page.text
        body = {"prompt": "abc", "recipes": ["greedy"], "max_new_tokens": 3}
        answer = httpx.post(f"{address}/api/compare", json=body, timeout=60).json()
        assert answer["lanes"][0]["recipe"] == "greedy" and answer["model"]["id"] == "tiny"
        assert httpx.get(f"{address}/healthz").json()["status"] == "ok"
        models = httpx.get(f"{address}/api/models").json()["models"]
        assert [(each["id"], each["source"]) for each in models] == [("tiny", "folder")]
        assert "paths" in httpx.get(f"{address}/api/openapi.json").json()
        assert "swagger-ui" in httpx.get(f"{address}/api/docs").text
        monitoring = httpx.get(f"{address}/monitoring/summary")
        assert monitoring.status_code == 404  # figures on visitors are for the host alone
        assert "frame-ancestors" in page.headers["content-security-policy"]
        evil = {"host": "play.example", "origin": "http://evil.example"}
        for path in ("/", "/api/compare", "/gradio_api/queue/join", "/healthz"):
            answer = httpx.post(f"{address}{path}", headers=evil, json=body)
            assert answer.status_code == 421
            assert "access-control-allow-origin" not in answer.headers
        files = {"files": ("a.bin", b"x" * 1000)}
        assert httpx.post(f"{address}/gradio_api/upload", files=files).status_code == 404
        process.send_signal(signal.SIGINT)
        try:
            out, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            pytest.fail(f"It goes on after an interrupt:\n{process.communicate()[1]}")
    assert process.returncode == 0 and "Traceback" not in out + errors
    addresses = set(re.findall(r"ADDRESS (\S+)", errors))
    assert addresses <= {"127.0.0.1", "localhost", "::1"}


def test_without_its_model_the_page_is_up_where_the_host_wants_it_and_says_so(tmp_path):
    (tmp_path / "broken").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = "broken cannot be loaded: its folder holds no config.json."
    host = f"{told} The folder is {tmp_path / 'broken'}."  # the log is for the host, who knows it
    place = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port)}
    with started(PLAYGROUND_MODEL=str(tmp_path / "broken"), **place) as (process, address, _):
        assert address == f"http://localhost:{port}"
        assert process.stderr.readline() == f"The page is up without a model: {host}\n"
        listening = Path("/proc/net/tcp")
        if listening.exists():
            assert f" 00000000:{port:04X} " in listening.read_text()
        address = f"http://127.0.0.1:{port}"
        assert httpx.get(address).status_code == 200
        answer = httpx.post(f"{address}/api/compare", json={"prompt": "a", "recipes": ["greedy"]})
        assert answer.status_code in {422, 503} and told in answer.text
        health = httpx.get(f"{address}/healthz")
        assert health.status_code == 503 and str(tmp_path) not in answer.text + health.text
        assert health.json() == {"status": "failing", "models": [], "error": told}


def test_a_stopped_server_says_so_in_every_stream_and_leaves_nothing(tiny, tmp_path):
    limits = {"PLAYGROUND_MAX_NEW_TOKENS": "100000", "PLAYGROUND_MAX_CONTEXT": "100000"}
    where = {"TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    body = {"prompt": "abc", "recipes": ["sample"], "max_new_tokens": 9000}
    with started(PLAYGROUND_MODEL=tiny, PLAYGROUND_MODELS=tiny, **limits, **where) as running:
        process, address, _ = running
        with ThreadPoolExecutor(2) as others:
            whole = others.submit(httpx.post, f"{address}/api/compare", json=body, timeout=60)
            with httpx.stream("POST", f"{address}/api/compare", json=body | {"stream": True},
                              timeout=60) as stream:  # fmt: skip
                pieces = stream.iter_text()
                while "event: token" not in next(pieces):
                    pass
                process.send_signal(signal.SIGTERM)
                rest = "".join(pieces)
            partial = whole.result().json()
        out, errors = process.communicate(timeout=60)
    told = list(events(rest[rest.index("event: lane") :]))
    assert [name for name, _ in told] == ["lane", "done"]
    (lane,) = partial["lanes"]
    for ending in (told[0][1], told[1][1]["lanes"][0], lane):
        assert ending["finish_reason"] == "cancelled" and "server was stopped" in ending["error"]
    assert told[1][1]["lanes"][0]["token_ids"]  # what was written is not lost
    assert process.returncode == 0 and "Traceback" not in out + errors
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def ended(**settings):
    """The standard error of a program that ends by itself."""
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    return done.stderr


def test_a_setting_without_meaning_ends_it_with_a_sentence():
    assert ended(PLAYGROUND_MAX_ROWS="lots") == (
        "PLAYGROUND_MAX_ROWS is 'lots', but it should be a whole number.\n"
    )


def test_a_port_that_is_taken_ends_it_with_a_sentence(tiny):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = ended(PLAYGROUND_PORT=str(port), PLAYGROUND_MODEL=tiny)
    assert str(port) in told and "Traceback" not in told
