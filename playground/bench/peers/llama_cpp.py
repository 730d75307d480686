"""llama.cpp's servers: that of llama-cpp-python, which generates one text at a time, and its own.

Both read the built-in model's GGUF file as it was published, 4 to 8 bits a weight: a third of the
bytes that the others read. The Python server returns the candidates of a token only where it keeps
all logits, so another server is started for those.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playground.bench.peers.environments import Environments
from playground.bench.peers.server import Server, served
from playground.bench.peers.task import MANY, Absent, Task, Way
from playground.bench.six import PROMPT

_CONTEXT = 2048  # tokens of all slots
# The fields of a request for each recipe; llama.cpp has beams no more. Both servers have defaults
# that a recipe has not, so each is set to its neutral value. Temperature 0 is greedy.
_NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
_RECIPES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "temperature(0.8) | sample": {"temperature": 0.8},
    "top_k(50) | sample": {"top_k": 50},
    "top_p(0.9) | sample": {"top_p": 0.9},
    "repetition_penalty(1.2) | greedy": {"temperature": 0.0, "repeat_penalty": 1.2},
}


class _PythonServer:
    """One text after the other. Every token that would end a text is forbidden.

    ``all_logits`` is the server that keeps them, and returns candidates.
    """

    def __init__(
        self, version: str, plain: Server, all_logits: Server, ends: Sequence[int]
    ) -> None:
        self.name = f"llama-cpp-python {version}, its server, one by one"
        self._plain, self._all_logits = plain, all_logits
        self._bias = {str(end): -100.0 for end in ends}

    def part(self, task: Task) -> Task | None:
        return None if task.alike else _part(task)

    def write(self, task: Task, tokens: int) -> int:
        bodies: list[dict[str, Any]] = [
            {
                **_NEUTRAL,
                **_RECIPES[recipe],
                "prompt": PROMPT,
                "max_tokens": tokens,
                "seed": number,
                "logit_bias": self._bias,
                **({"logprobs": task.candidates} if task.candidates else {}),
            }
            for number, recipe in enumerate(task.recipes)
        ]
        server = self._all_logits if task.candidates else self._plain
        responses = server.post("/v1/completions", bodies, 1)
        return sum(int(response["usage"]["completion_tokens"]) for response in responses)


class _OwnServer:
    """llama-server, with as many texts at once as ``slots``."""

    def __init__(self, version: str, server: Server, slots: int) -> None:
        how = "one by one" if slots == 1 else "in parallel slots"
        self.name = f"llama-server {version}, {how}"
        self._server, self._slots = server, slots

    def part(self, task: Task) -> Task | None:
        own = _part(task)
        return None if own is None or (self._slots > 1 and len(own.recipes) == 1) else own

    def write(self, task: Task, tokens: int) -> int:
        bodies = [
            {
                **_NEUTRAL,
                **_RECIPES[recipe],
                "prompt": PROMPT,
                "n_predict": tokens,
                "seed": number,
                "ignore_eos": True,
                "cache_prompt": False,
                "repeat_last_n": _CONTEXT,  # all of a text
                "n_probs": task.candidates,
            }
            for number, recipe in enumerate(task.recipes)
        ]
        responses = self._server.post("/completion", bodies, self._slots)
        return sum(int(response["tokens_predicted"]) for response in responses)


def _part(task: Task) -> Task | None:
    own = task.of(list(_RECIPES))
    return own if own.recipes else None


@contextmanager
def python_ways(
    installed: Environments, file: Path, ends: Sequence[int], threads: int
) -> Iterator[list[Way]]:
    """llama-cpp-python's server on ``file``. Raises ``Absent``."""
    python, version = installed.python_with("llama-cpp-python")
    with ExitStack() as opened:
        servers = [
            opened.enter_context(
                served(
                    [
                        python, "-m", "llama_cpp.server", "--model", str(file),
                        "--n_ctx", str(_CONTEXT), "--logits_all", keeps_all,
                        "--n_threads", str(threads), "--n_threads_batch", str(threads), "--port",
                    ],
                    "/v1/models",
                )
            )
            for keeps_all in ("False", "True")
        ]  # fmt: skip
        plain, all_logits = servers
        yield [_PythonServer(version, plain, all_logits, ends)]


@contextmanager
def own_ways(installed: Environments, file: Path, threads: int) -> Iterator[list[Way]]:
    """llama-server on ``file``, one text at a time and many. Raises ``Absent``."""
    program = installed.command("llama-server")
    printed = subprocess.run([program, "--version"], capture_output=True, text=True)
    words = (printed.stdout + printed.stderr).partition("version:")[2].split()
    if printed.returncode:
        raise Absent("it does not start")
    command = [
        program, "--model", str(file), "--ctx-size", str(_CONTEXT * 2), "--parallel", str(MANY),
        "--threads", str(threads), "--no-webui", "--port",
    ]  # fmt: skip
    with served(command, "/health") as server:
        version = words[0] if words else ""
        yield [_OwnServer(version, server, 1), _OwnServer(version, server, MANY)]
