"""A program that tries grammars out, each in a process of its own with bounds on time and memory.

Run by its path, so that it imports llguidance and nothing else of this project. Standard input has
a JSON object in each line, standard output one for each grammar tried, in the order they end:

- ``{"path": […]}``, once and first: where Python's modules are found.
- ``{"vocabulary": key, "tokenizer": "…", "size": n, "ends": […]}``: what a later line may name.
- ``{"id": n, "vocabulary": key, "grammar": "…", "limits": {…}, "steps": n, "seconds": s,
  "bytes": b}``: a grammar. The answer is ``{"id": n, "fault": …}`` with the library's own message
  (empty where it holds), or ``{"id": n, "killed": …}`` with the number of the signal.

It ends with its input. Each grammar is tried by a fork, which knows the vocabulary already; where
there are none (Windows) they are tried here in turn, and whoever asked ends this program in time.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

AT_ONCE = 8  # forks; they share the processor fairly, so a small grammar does not wait for large
STACK = 512 << 10  # bytes: a thread of any server has as many
READ = 1 << 16
LONGEST = 20  # seconds for a fork that waits rather than computes


def fault(llguidance: Any, vocabulary: Any, asked: dict[str, Any]) -> str:
    """What goes wrong while a grammar is compiled and the start of a text is followed."""
    limits = llguidance.LLParserLimits(**asked["limits"])
    matcher = llguidance.LLMatcher(vocabulary, asked["grammar"], log_level=0, limits=limits)
    ends, drawn = set(vocabulary.eos_tokens), random.Random(0)
    for step in range(asked["steps"]):
        if matcher.is_error() or matcher.is_stopped():
            break
        mask = matcher.compute_logit_bias()
        if matcher.is_error():  # of the mask nothing can be said then
            if step and matcher.get_error().startswith("NoExtension"):
                return ""  # no token goes on with this text, but another may be written
            break
        token = _some(mask, drawn.randrange(len(mask)))
        if token in ends:
            break
        matcher.consume_token(token)
    return str(matcher.get_error()) if matcher.is_error() else ""


def _some(mask: bytes, start: int) -> int:
    """The first token that a mask allows from ``start`` on, else from 0 on."""
    rest = mask[start:].lstrip(b"\0") or mask.lstrip(b"\0")
    return len(mask) - len(rest)


class Forks:
    """Grammars at trial, each in a fork, and those that wait for one."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.selector = selector
        self.waiting: deque[tuple[Any, Any, dict[str, Any]]] = deque()
        self.running: dict[int, tuple[int, int, bytearray]] = {}  # pipe: process, id, output

    def start(self) -> None:
        while self.waiting and len(self.running) < AT_ONCE:
            llguidance, vocabulary, asked = self.waiting.popleft()
            ours, theirs = os.pipe()
            process = os.fork()
            if process == 0:
                try:
                    _alone(llguidance, vocabulary, asked, theirs)
                finally:
                    os._exit(1)
            os.close(theirs)
            self.running[ours] = process, asked["id"], bytearray()
            self.selector.register(ours, selectors.EVENT_READ)

    def read(self, pipe: int) -> None:
        """Read a fork's output; at its end, answer."""
        process, number, output = self.running[pipe]
        more = os.read(pipe, READ)
        output += more
        if more:
            return
        self.selector.unregister(pipe)
        os.close(pipe)
        del self.running[pipe]
        status = os.waitpid(process, 0)[1]
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            _answer({"id": number, "fault": output.decode(errors="replace")})
        else:
            killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGABRT
            _answer({"id": number, "killed": int(killed)})

    def end(self) -> None:
        for process, _, _ in self.running.values():
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _alone(llguidance: Any, vocabulary: Any, asked: dict[str, Any], pipe: int) -> None:
    """In a fork: bound it, try the grammar, say what was wrong. Whatever else happens ends it."""
    import resource

    os.nice(10)  # whoever decodes goes first
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    if os.path.exists("/proc/self/statm"):  # elsewhere the bound on time has to do
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        most = taken + STACK + asked["bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.setitimer(signal.ITIMER_PROF, asked["seconds"])  # of the processor's time
    signal.alarm(LONGEST)
    message = fault(llguidance, vocabulary, asked)
    os.write(pipe, message[:2_000].encode())
    os._exit(0)


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Reader:
    """What is asked, line by line."""

    def __init__(self, forks: Forks | None) -> None:
        self.forks = forks
        self.library: Any = None
        self.vocabularies: dict[str, Any] = {}
        self.held = bytearray()

    def lines(self, more: bytes) -> Iterator[bytes]:
        """The lines that ``more`` completes."""
        first, *others = more.split(b"\n")
        self.held += first
        for rest in others:
            yield bytes(self.held)
            self.held[:] = rest

    def take(self, line: bytes) -> None:
        asked = json.loads(line)
        if "path" in asked:
            sys.path[:] = asked["path"]
            import llguidance

            self.library = llguidance
        elif "tokenizer" in asked:
            self.vocabularies[asked["vocabulary"]] = self.library.LLTokenizer(
                asked["tokenizer"], n_vocab=asked["size"], eos_token=asked["ends"]
            )
        elif self.forks is not None:
            vocabulary = self.vocabularies[asked["vocabulary"]]
            self.forks.waiting.append((self.library, vocabulary, asked))
        else:
            vocabulary = self.vocabularies[asked["vocabulary"]]
            _answer({"id": asked["id"], "fault": fault(self.library, vocabulary, asked)})


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with whoever started it
    source = sys.stdin.fileno()
    if not hasattr(os, "fork"):
        reader = Reader(None)
        while more := os.read(source, READ):
            for line in reader.lines(more):
                reader.take(line)
        return
    selector = selectors.DefaultSelector()
    selector.register(source, selectors.EVENT_READ)
    forks = Forks(selector)
    reader = Reader(forks)
    while True:
        for key, _ in selector.select():
            if key.fd != source:
                forks.read(key.fd)
                continue
            more = os.read(source, READ)
            if not more:
                forks.end()
                return
            for line in reader.lines(more):
                reader.take(line)
        forks.start()


if __name__ == "__main__":
    main()
