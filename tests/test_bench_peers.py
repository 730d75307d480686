"""Other programs are measured by turns on the same texts, and what is absent is named."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from playground.bench.peers import comparing, llama_cpp, vllm
from playground.bench.peers.comparing import Measured
from playground.bench.peers.environments import NOT_INSTALLED, Environments
from playground.bench.peers.server import served
from playground.bench.peers.task import TASKS, Absent, Failed, Task
from playground.bench.six import SIX
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

# Answers every request with what it was asked for, as the servers of llama.cpp and vLLM do.
SERVER = """
import http.server, json, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.answer(200, {})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tokens = body.get("max_tokens") or body["n_predict"]
        if tokens == 13: self.answer(400, {"error": "not thirteen"})
        else: self.answer(200, {"usage": {"completion_tokens": tokens}, "tokens_predicted": tokens})
    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *args): pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Answers).serve_forever()
"""


def test_what_is_in_this_process_is_measured_and_the_rest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYGROUND_TRACE_STEPS", "0")
    folder = saved(tiny_llama(vocab=VOCAB, context=2048), tmp_path)
    report = comparing.compare(str(folder), tokens=5, repeats=1)
    found = {(line.peer, line.task): line for line in report.measured}
    assert report.absent.keys() == {"llama-cpp-python", "llama-server", "vLLM"}
    one, continuous, batched = dict.fromkeys(line.peer for line in report.measured)
    assert "one by one" in one and "continuous" in continuous
    assert found[one, "the six recipes"].texts == 6
    assert (found[continuous, "the six recipes"].texts, len(report.measured)) == (4, 6)
    assert found[batched, "16 samples"].texts == found[continuous, "16 samples"].texts == 16
    assert all(line.seconds > 0 and line.here_s > 0 for line in report.measured)
    assert "vLLM (not installed here)" in str(report)
    assert "the six recipes, 4 of 6" in str(report)


def test_a_server_is_started_asked_and_ended() -> None:
    with served([sys.executable, "-c", SERVER], "/health") as server:
        ways = [
            llama_cpp._PythonServer("1", server, server, [0, 2]),
            llama_cpp._OwnServer("1", server, 16),
            vllm._Vllm("1", server),
        ]
        for way in ways:
            for task in TASKS:
                part = way.part(task)
                if part is not None:
                    assert way.write(part, 7) == 7 * len(part.recipes)
            with pytest.raises(Failed, match="not thirteen"):
                way.write(Task("", ("greedy",)), 13)
    assert [way.name.split()[0] for way in ways] == ["llama-cpp-python", "llama-server", "vLLM"]


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(Absent, match="no such weights"):
        with served([sys.executable, "-c", "raise SystemExit('no such weights')"], "/health"):
            pass


def test_a_program_is_looked_for_in_the_environments_that_are_named(tmp_path: Path) -> None:
    programs = tmp_path / ("Scripts" if sys.platform == "win32" else "bin")
    programs.mkdir()
    program = programs / "a-server-of-nobody"
    with pytest.raises(Absent, match=NOT_INSTALLED):
        Environments((tmp_path,)).command(program.name)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert Environments((tmp_path,)).command(program.name) == str(program)
    assert Environments().python_with("pytest") == (sys.executable, pytest.__version__)


def test_the_table_says_who_was_faster_losses_included() -> None:
    line = Measured("a peer", "one text", 1, 1, seconds=2.0, here_s=1.0)
    assert str(line).endswith("| here, 2.0 times |")
    assert str(replace(line, seconds=0.5)).endswith("| **the peer**, 2.0 times |")
    assert str(replace(line, seconds=1.02)).endswith("| neither |")
    assert "5 of 6" in str(replace(line, texts=5, of_texts=6))


def test_every_recipe_is_one_of_the_six() -> None:
    for known in (llama_cpp._RECIPES, vllm._RECIPES, dict.fromkeys(TASKS[1].recipes)):
        assert set(known) <= set(SIX)
    assert TASKS[1].of(["greedy"]).recipes == ("greedy",)
    assert [task.alike for task in TASKS] == [False, False, True, False]
