"""A run whose lanes are requests to an OpenAI-compatible server, each read by a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import httpx

from playground.backends.openai.server import Served, Server
from playground.backends.openai.step_records import Names, record, tokens
from playground.engine.elsewhere import RemoteView
from playground.engine.news import LaneNews, TextNews
from playground.engine.request import STOPPED
from playground.engine.run import Run
from playground.trace import FinishReason, Output, StepRecord

log = logging.getLogger(__name__)


class ServerRun:
    """One run; ``bodies`` are the sampling fields of each lane's request."""

    def __init__(
        self,
        server: Server,
        served: Served,
        names: Names,
        run: Run,
        bodies: Sequence[Mapping[str, Any]],
        deadline: float,
    ) -> None:
        self.server, self.served, self.names, self.run = server, served, names, run
        self.bodies, self.deadline = bodies, deadline
        least = run.request.min_new_tokens if served.program.words is None else 0
        self.views = [RemoteView(recipe.at_least(least)) for recipe in run.request.recipes]
        for view in () if served.program.words is None else self.views:
            # The server returns the model's own candidates alone, so the trace has no stages.
            steps = [step.model_copy(update={"enabled": False}) for step in view.chain.steps[:-1]]
            search = view.chain.steps[-1]
            view.chain = view.chain.model_copy(update={"steps": [*steps, search]})
        run.elsewhere = [*self.views]
        self._responses: list[httpx.Response] = []
        self._lock = threading.Lock()  # held while a lane is changed
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Request every lane, each on a thread of its own."""
        run = self.run
        if not run.request.max_new_tokens:
            self._end_all("length")
            return
        self._timer = threading.Timer(self.deadline, self._end_all, ["deadline"])
        self._timer.daemon = True
        self._timer.start()
        run.state = "running"
        for number in range(len(self.views)):
            threading.Thread(
                target=self._read, args=(number,), name="openai-lane", daemon=True
            ).start()

    def cancel(self) -> None:
        """End the run now; what is written stays."""
        self._end_all("cancelled")

    def stop(self) -> None:
        """End the run since this program ends."""
        self._end_all("cancelled", STOPPED)

    def _end_all(self, reason: FinishReason, error: str | None = None) -> None:
        with self._lock:
            for view in self.views:
                if not view.done:
                    view.end(reason, error)
            responses, self._responses = self._responses, []
        if self._timer is not None:
            self._timer.cancel()
        self.run.changed()
        for response in responses:  # so that the server notices, and writes no more
            with suppress(Exception):
                response.close()

    def _read(self, number: int) -> None:
        """Read the response of one lane to its end."""
        view = self.views[number]
        lane = _Lane(self)
        try:
            with self.server.turn_of(self.served.program):
                if view.done:  # ended while it waited for its turn
                    return
                path, body = self._request(number)
                for chunk in self.server.stream(path, body, self._opened):
                    if not self._take(view, lane.news(chunk.get("choices") or [])):
                        return
            lane.over()
            self._take(view, lane.latest(done=True))
        except Exception as error:  # of the connection, or of what it carried
            sentence = f"The server at {self.server.host} failed: {error or type(error).__name__}"
            with self._lock:
                if view.done:  # it was ended here, and the connection with it
                    return
                view.end("error", sentence.rstrip(".") + ".")
            log.warning("a lane at %s failed: %s", self.server.host, type(error).__name__)
            self.run.changed()
        finally:
            if self._timer is not None and all(view.done for view in self.views):
                self._timer.cancel()

    def _opened(self, response: httpx.Response) -> None:
        with self._lock:
            self._responses.append(response)

    def _take(self, view: RemoteView, news: LaneNews) -> bool:
        """Take over the news of a lane; False where it was ended here meanwhile."""
        with self._lock:
            if view.done:
                return False
            view.take(news)
        if not self.run.prefills and news.steps:
            self.run.prefills = [news.steps[0].at]
        self.run.changed()
        return True

    def _request(self, number: int) -> tuple[str, dict[str, Any]]:
        """The path and the body of a lane's request."""
        request, served = self.run.request, self.served
        llama = served.program.title in ("llama.cpp", "llama-cpp-python")
        body: dict[str, Any] = {
            "model": served.id,
            **self.bodies[number],
            "seed": request.seed % 2**32 if llama else request.seed,
            "max_tokens": request.max_new_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.min_new_tokens:
            body["min_tokens"] = max(request.min_new_tokens, body.get("min_tokens", 0))
        if served.program.words is None:
            body["stages"] = True
        likeliest = min(served.likeliest, request.top_n)
        if request.chat:
            body["messages"] = [{"role": "user", "content": request.prompt}]
            return "/v1/chat/completions", body | {"logprobs": True, "top_logprobs": likeliest}
        return "/v1/completions", body | {"prompt": request.prompt, "logprobs": likeliest}


class _Lane:
    """The texts of one lane, as their chunks come."""

    def __init__(self, of: ServerRun) -> None:
        self.run, self.names = of.run, of.names
        self.steps: list[StepRecord] = []
        self.outputs: dict[int, Output] = {}
        self._sent_steps = 0
        self.error: str | None = None
        self._last = perf_counter()

    def news(self, choices: Sequence[Mapping[str, Any]]) -> LaneNews:
        """Add a chunk, and return the news since the last time."""
        for choice in choices:
            self._add(choice)
        return self.latest()

    def over(self) -> None:
        """End every text that has no reason yet, since the stream is over."""
        for index, output in (self.outputs or {0: _empty(0)}).items():
            reason = output.finish_reason or "error"
            self.outputs[index] = output.model_copy(update={"finish_reason": reason})
            if output.finish_reason is None:
                self.error = self.error or "The server ended the text without a reason."

    def latest(self, done: bool = False) -> LaneNews:
        """The news since the last time."""
        outputs = [self.outputs[index] for index in sorted(self.outputs)] or [_empty(0)]
        first, self._sent_steps = self._sent_steps, len(self.steps)
        counts = [len(output.nodes) for output in outputs]
        texts = [TextNews(output, n, n) for output, n in zip(outputs, counts, strict=True)]
        return LaneNews(first, self.steps[first:], texts, done, self.error)

    def _add(self, choice: Mapping[str, Any]) -> None:
        index = int(choice.get("index") or 0)
        output = self.outputs.get(index, _empty(index))
        nodes, ids, text = list(output.nodes), list(output.token_ids), output.text
        for token in tokens(choice):
            now = perf_counter()
            parent = nodes[-1] if nodes else None
            at = now - self.run.submitted
            step = record(token, self.names, len(nodes), parent, at, now - self._last)
            self._last = now
            nodes.append(len(self.steps))
            self.steps.append(step)
            ids.append(step.token)
            text += step.text
        self.error = choice.get("error") or self.error
        self.outputs[index] = output.model_copy(
            update={
                "text": text,
                "nodes": nodes,
                "token_ids": ids,
                "finish_reason": self._reason(choice, nodes) or output.finish_reason,
            }
        )

    def _reason(self, choice: Mapping[str, Any], nodes: Sequence[int]) -> FinishReason | None:
        given = choice.get("finish_reason")
        request = self.run.request
        if given is None:
            return None
        if given == "length":
            return "length" if len(nodes) >= request.max_new_tokens else "context"
        if given == "stop":
            if "stop_reason" in choice:  # which vLLM adds
                return "stop" if isinstance(choice["stop_reason"], str) else "eos"
            written = "".join(self.steps[node].piece for node in nodes)
            if any(stop in written for stop in request.stop):
                return "stop"
            last = self.steps[nodes[-1]] if nodes else None
            ended = last is not None and last.piece not in last.text and last.piece[:1] != "⟨"
            return "stop" if request.stop and not ended else "eos"
        return "error"


def _empty(sample: int) -> Output:
    return Output(text="", token_ids=[], nodes=[], sample=sample)
