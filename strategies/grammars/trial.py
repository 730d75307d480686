"""Whether a grammar can be followed within bounds, found out by a process that may be killed.

llguidance compiles most grammars in milliseconds; a few of under a thousand characters take
minutes and gigabytes, some of it with Python's lock held, and nothing in the library stops them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from .vocabulary import Vocabulary

# Of one step, in llguidance's own measures, some 15 ms; and of what one lane's steps may add up to,
# about 10 MB.
LIMITS: dict[str, Any] = {
    "max_lexer_states": 20_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_items_in_row": 2_000,
    "verbose_errors": False,  # they quote the text and the grammar
}
SECONDS = 0.1  # of the processor's time: twenty times what most need, and six are in one request
BYTES = 8 << 20
STEPS = 16  # tokens of a text that are followed
WAIT = 30.0  # seconds for an answer when all processors are busy
REMEMBERED = 4096  # answers

SLOW = f"it takes more than {SECONDS:g} s to compile; make it simpler."
LARGE = f"it takes more than {BYTES >> 20} MB to compile; make it simpler."
DEEP = "it is nested too deeply."
UNKNOWN = "it could not be tried out in time; try again."
_TIMES = {getattr(signal, name, None) for name in ("SIGPROF", "SIGXCPU", "SIGALRM")} - {None}
_PROGRAM = Path(__file__).with_name("process.py")


class Trials:
    """Any thread may ask. The process starts when first asked, and again when it was lost."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # ``close`` may be called by the garbage collector, anywhere
        self._process: subprocess.Popen[bytes] | None = None
        self._told: set[str] = set()  # vocabularies
        self._number = 0
        self._waiting: dict[int, tuple[str, Future[str]]] = {}
        self._asked: dict[str, Future[str]] = {}  # by what is asked
        self._known: OrderedDict[str, str] = OrderedDict()

    def fault(self, vocabulary: Vocabulary, grammar: str) -> str:
        """What is wrong with a grammar, in the library's words or a sentence; empty if nothing."""
        key = hashlib.sha256(f"{vocabulary.key}\n{grammar}".encode()).hexdigest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            future = self._asked.get(key)
            if future is None:
                future = self._ask(key, vocabulary, grammar)
        try:
            return future.result(WAIT)
        except TimeoutError:
            self.close()  # a process without forks is still at it
            return UNKNOWN

    def close(self) -> None:
        """End the process; every call that waits for it returns."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _ask(self, key: str, vocabulary: Vocabulary, grammar: str) -> Future[str]:
        """Send a grammar. The lock is held."""
        future: Future[str] = Future()
        try:
            process = self._running()
            self._number += 1
            number, lines = self._number, []
            if vocabulary.key not in self._told:
                self._told.add(vocabulary.key)
                lines.append(
                    {
                        "vocabulary": vocabulary.key,
                        "tokenizer": vocabulary.text(),
                        "size": vocabulary.size,
                        "ends": vocabulary.ends,
                    }
                )
            lines.append(
                {
                    "id": number,
                    "vocabulary": vocabulary.key,
                    "grammar": grammar,
                    "limits": LIMITS,
                    "steps": STEPS,
                    "seconds": SECONDS,
                    "bytes": BYTES,
                }
            )
            self._waiting[number] = key, future
            self._asked[key] = future
            _send(process, lines)
        except OSError as error:
            future.set_result(f"the process that tries it out could not be reached: {error}.")
        return future

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._told.clear()
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a killed one may quote what it was given
                start_new_session=True,  # a person's interrupt is for the server, which ends it
            )
            _send(self._process, [{"path": sys.path}])
            threading.Thread(
                target=self._listen, args=[self._process], name="grammar-trials", daemon=True
            ).start()
        return self._process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Hand out answers until the process is gone."""
        assert process.stdout is not None
        with process.stdout as answers:
            for line in answers:
                answer = json.loads(line)
                self._settle(answer["id"], *_words(answer))
        _end(process)
        with self._lock:
            lost = list(self._waiting) if self._process in (process, None) else []
        for number in lost:
            self._settle(number, UNKNOWN, certain=False)

    def _settle(self, number: int, fault: str, certain: bool) -> None:
        with self._lock:
            key, future = self._waiting.pop(number, ("", Future()))
            self._asked.pop(key, None)
            if certain:
                self._known[key] = fault
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        future.set_result(fault)


def _words(answer: dict[str, Any]) -> tuple[str, bool]:
    """What an answer says, and whether it would be the same another time."""
    if "fault" in answer:
        return str(answer["fault"]), True
    if answer["killed"] == getattr(signal, "SIGALRM", None):
        return UNKNOWN, False
    if answer["killed"] == signal.SIGSEGV:
        return DEEP, True
    return (SLOW if answer["killed"] in _TIMES else LARGE), True


def _send(process: subprocess.Popen[bytes], lines: list[dict[str, Any]]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends with its input, at the latest when killed."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
