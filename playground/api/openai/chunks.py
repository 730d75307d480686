"""A response in chunks, as OpenAI streams it: server-sent events without a name, then ``[DONE]``.

Nothing that was sent can be taken back in this format. Texts that a search may still replace, such
as beams, are therefore sent when they are finished, and a token that a step of the recipe may take
back only once it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from playground.api.errors import Fault
from playground.api.events import event
from playground.api.openai.errors import failed
from playground.api.openai.logprobs import Scored, chat_shape, completion_shape
from playground.api.openai.responses import usage
from playground.api.openai.submitted import Submitted, finish_reason, scored_prompt
from playground.engine import Run
from playground.service import Service

_DONE = b"data: [DONE]\n\n"
_REVISED = ("text", "drawn text")  # how searches choose that may replace their texts


class Chunks:
    """The chunks of a request's texts: those since the last call of ``next``."""

    def __init__(self, service: Service, submitted: Submitted) -> None:
        self.service, self.submitted = service, submitted
        self.over = False
        self._versions = [-1 for _ in submitted.runs]
        self._sent: list[list[int]] = [[] for _ in range(len(submitted.runs) * submitted.texts)]
        self._read = [run.views[0] for run in submitted.runs for _ in range(submitted.texts)]
        self._length = [0 for _ in self._sent]  # characters of each choice's text so far
        self._ended: set[int] = set()

    @property
    def run(self) -> Run:
        """The first run that is not over."""
        runs = self.submitted.runs
        return next((run for run in runs if not run.done), runs[-1])

    def stale(self) -> bool:
        runs = zip(self.submitted.runs, self._versions, strict=True)
        return self.run.done or any(run.version != version for run, version in runs)

    def start(self) -> bytes:
        """The role of each message, or with ``echo`` the prompt, which may take a forward."""
        if self.submitted.chat:
            role = {"role": "assistant", "content": ""}
            return b"".join(self._chunk(i, {"delta": role}) for i in range(len(self._sent)))
        if not self.submitted.echo:
            return b""
        found = []
        for number, run in enumerate(self.submitted.runs):
            logprobs = self.submitted.body.likeliest is not None
            scored = scored_prompt(self.service, self.submitted, run) if logprobs else []
            for choice in range(number * self.submitted.texts, (number + 1) * self.submitted.texts):
                found.append(self._more(choice, run.prompt_text, scored))
        return b"".join(found)

    def next(self) -> bytes:
        self._versions = [run.version for run in self.submitted.runs]
        self.over = all(run.done for run in self.submitted.runs)  # read before their texts are
        return b"".join(chunk for i in range(len(self._sent)) for chunk in self._news(i))

    def end(self) -> bytes:
        error = next((run.error for run in self.submitted.runs if run.error is not None), None)
        if error is not None:
            return self.failure(Fault(loc=["run"], msg=error))
        last = self._usage_chunk() if self.submitted.body.usage_in_stream else b""
        return last + _DONE

    def failure(self, fault: Fault) -> bytes:
        return event("", failed(500, fault)) + _DONE

    def cancel(self) -> None:
        for run in self.submitted.runs:
            run.cancel()

    def _news(self, choice: int) -> Iterator[bytes]:
        if choice in self._ended:
            return
        run, number = (
            self.submitted.runs[choice // self.submitted.texts],
            choice % self.submitted.texts,
        )
        view, sent = run.views[0], self._sent[choice]
        done = view.done  # read before its rows: a lane that is done does not change any more
        if view.chain.chooses in _REVISED and not done:
            return
        rows = view.ordered()
        number = 0 if view.chain.chooses == "likeliest" else number
        if number >= len(rows):
            if done:  # there are no more texts than these
                return
            number = 0  # samples begin as one row
        held = rows[number]
        if view is not self._read[choice]:  # written elsewhere now, with other record numbers
            self._read[choice] = view
            sent[:] = view.nodes(held)[: len(sent)]
        news = view.nodes(held, sent)[: max(0, view.final(held) - len(sent))]
        if news:
            sent += news
            steps = [view.steps[node] for node in news]
            if self.submitted.body.likeliest is None:
                yield self._more(choice, "".join(step.text for step in steps), [])
            else:  # clients look at the first token of a chunk, and at no other
                for step, scored in zip(steps, self.submitted.scored(steps), strict=True):
                    yield self._more(choice, step.text, [scored])
        reason = held.reason or (view.ended if done else None)
        if reason is not None:
            self._ended.add(choice)
            error = {"error": view.error} if view.error else {}
            yield self._chunk(choice, {**self._empty(), **error}, finish_reason(reason))

    def _empty(self) -> dict[str, Any]:
        return {"delta": {}} if self.submitted.chat else {"text": ""}

    def _more(self, choice: int, text: str, scored: list[Scored]) -> bytes:
        """A chunk with the next part of a text."""
        start, as_ids = self._length[choice], self.submitted.as_ids
        self._length[choice] += len(text)
        logprobs = None
        if self.submitted.body.likeliest is not None:
            chat = self.submitted.chat
            logprobs = chat_shape(scored, as_ids) if chat else None
            logprobs = logprobs or completion_shape(scored, start, as_ids)
        content = {"delta": {"content": text}} if self.submitted.chat else {"text": text}
        return self._chunk(choice, content, logprobs=logprobs)

    def _chunk(
        self,
        choice: int,
        content: dict[str, Any],
        reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        whole = {"index": choice, **content, "logprobs": logprobs, "finish_reason": reason}
        return event("", {**self._head(), "choices": [whole], **self._no_usage()})

    def _usage_chunk(self) -> bytes:
        return event("", {**self._head(), "choices": [], "usage": usage(self.submitted)})

    def _no_usage(self) -> dict[str, Any]:
        """With ``include_usage`` every chunk but the last has it as null."""
        return {"usage": None} if self.submitted.body.usage_in_stream else {}

    def _head(self) -> dict[str, Any]:
        submitted = self.submitted
        return {
            "id": ("chatcmpl-" if submitted.chat else "cmpl-") + submitted.id,
            "object": "chat.completion.chunk" if submitted.chat else "text_completion",
            "created": submitted.created,
            "model": submitted.model,
        }
