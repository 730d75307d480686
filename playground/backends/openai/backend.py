"""A model of an OpenAI-compatible server as a backend, and the abilities that it lacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from playground.backends.backend import Backend, Health, Lacks, Load
from playground.backends.openai import fields
from playground.backends.openai.run import ServerRun
from playground.backends.openai.server import Served, Server
from playground.backends.openai.step_records import Names, shown
from playground.engine import Busy, EngineClosed, FieldError, Limits, Observer, Request, Run
from playground.engine.scheduler.client_shares import ClientShares
from playground.trace import ModelFacts, PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine.encoder import Conversation
    from playground.engine.request import ScoreRequest
    from playground.engine.scoring import TokenScore
    from playground.trace.scores import TextScore
    from strategies import Context

UNKNOWN_CONTEXT = 4096  # tokens, where a server does not report its context length
PACE_S = 5.0  # after which a client who was refused may find room
_CHECK_S = 10.0  # between two checks whether the server responds


def lacks(host: str, program: str, scores: bool = True) -> Lacks:
    """The abilities that such a server lacks, with the reasons."""
    by = f"{program} at {host}"
    reasons = {
        "preview": f"{by} tells nothing of the next token before a run.",
        "score_text": f"{by} tells the likeliest tokens alone, by which no text can be scored.",
        "fork": f"{by} cannot go on with a text with the luck it was drawn with.",
        "alone": f"No column is measured alone: {by} serves others beside it.",
        "uncached": f"{by} does not read without its cache.",
    }
    if not scores:
        reasons["score_prompt"] = f"{by} does not tell the log-probabilities of a prompt."
    return Lacks(reasons)  # type: ignore[arg-type]  # the keys are abilities


class OpenAIBackend(Backend):
    """One model of a ``Server``; every lane of a run is a request of its own."""

    def __init__(self, server: Server, served: Served, limits: Limits, observer: Observer) -> None:
        self.server, self.served, self.limits, self.observer = server, served, limits, observer
        self.lacks = lacks(server.host, served.program.title, served.scores)
        self.names = Names()
        self._runs: dict[str, ServerRun] = {}
        self._shares = ClientShares(limits)
        self._closed = False
        self._lock = threading.Lock()
        self._checked, self._fault = perf_counter(), ""
        self._facts = ModelFacts(
            id=served.id,
            title=served.id.rsplit("/", 1)[-1],
            architecture=served.program.title,
            parameters=0,
            vocab_size=served.vocab_size or served.likeliest,
            context_length=served.context_length or UNKNOWN_CONTEXT,
            device=server.host,
            dtype="unknown",
            memory=0,
            has_chat_template=True,
            batch_invariant=False,
            served_by=f"{server.host} · {served.likeliest} likeliest tokens",
        )

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    @property
    def context_length(self) -> int:
        return self._facts.context_length

    @property
    def tokenizer(self) -> Any:
        return None

    @property
    def generation_config(self) -> Any:
        return None

    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        made: list[ServerRun] = []
        try:
            with self._reserving(requests[0].client):
                for request in requests:
                    made.append(self._built(request))
            with self._lock:
                if self._closed:
                    raise EngineClosed("the backend is closed")
                self._runs.update((one.run.id, one) for one in made)
        except (FieldError, Busy) as error:
            if isinstance(error, FieldError):
                error.number = len(made)
            self.observer.refused(requests[min(len(made), len(requests) - 1)], error)
            raise
        for one in made:
            one.run.batch = made[0].run.batch
            one.run.attach(on_cancel=one.cancel, on_done=self._ended)
            self.observer.submitted(one.run)
            one.start()
        return [one.run for one in made]

    def _built(self, request: Request) -> ServerRun:
        self.limits.check(request)
        self._check(request)
        bodies = [
            fields.fields(self.served.program, recipe, number)
            for number, recipe in enumerate(request.recipes)
        ]
        for number, recipe in enumerate(request.recipes):
            if fields.texts(recipe) > self.limits.width:
                raise FieldError(
                    f"recipes.{number}",
                    f"{recipe.search} writes {fields.texts(recipe)} texts; at most "
                    f"{self.limits.width} are allowed to one recipe.",
                )
        clock = perf_counter()
        prompt = self.tokens(request.prompt)
        run = Run(request, self._facts, prompt, [], perf_counter() - clock)
        return ServerRun(self.server, self.served, self.names, run, bodies, self._deadline(request))

    def _check(self, request: Request) -> None:
        """Raise ``FieldError`` for what the server cannot do."""
        if request.prefix or request.forked is not None:
            self.lacks.refuse("fork", "prefix")
        if request.prompt_ids:
            raise FieldError("prompt", "This server takes a prompt as a text, not as token ids.")
        if request.alone:
            self.lacks.refuse("alone", "alone")
        if not request.cache:
            self.lacks.refuse("uncached", "cache")
        if not request.max_new_tokens:
            self.lacks.refuse("score_prompt", "max_new_tokens")
        program = self.served.program
        if request.min_new_tokens and program.title not in ("vLLM", "A decoding playground"):
            raise FieldError(
                "min_new_tokens", f"{program.title} has no least number of new tokens."
            )

    def _deadline(self, request: Request) -> float:
        return self.limits.deadline if request.deadline is None else request.deadline

    @contextmanager
    def _reserving(self, client: str) -> Iterator[None]:
        """Count a request against its client's share. Raises ``Busy`` where it or all is full."""
        with self._lock:
            running = [one.run for one in self._runs.values()]
            self._shares.reserve(client, running, PACE_S)
        try:
            if len(running) >= self.limits.waiting:
                raise Busy(f"{len(running)} runs are at work already, and no more are taken.", 5)
            yield
        finally:
            with self._lock:
                self._shares.release(client)

    def _ended(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.id, None)
        self.observer.ended(run)

    def preview(self, request: Request) -> list[StepRecord | str] | None:
        return [self.lacks.reasons["preview"]] * len(request.recipes)

    def prefetch(self, prompt: str, chat: bool = False, split: bool = False) -> None:
        """Nothing is read ahead there."""

    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        from playground.engine.scoring import TokenScore

        self.lacks.refuse("score_prompt", "prompt")
        found: list[TokenScore | None] = []
        with self.server.turn_of(self.served.program):
            scored = self.server.scored(self.served.id, run.request.prompt, count)
        for number, token in enumerate(scored):
            likeliest = sorted(token.likeliest.items(), key=lambda one: -one[1])[:count]
            top = {self.names.id(shown(name)): logprob for name, logprob in likeliest}
            found.append(TokenScore(token.logprob, top) if number else None)
        run.prompt_tokens = [
            PromptToken(id=self.names.id(shown(token.name)), text=token.adds) for token in scored
        ]
        run.score([None if score is None else score.logprob for score in found])
        return found

    def score_text(self, request: ScoreRequest, cancelled: Callable[[], bool]) -> TextScore:
        raise FieldError("text", self.lacks.reasons["score_text"])

    def tokens(self, prompt: str, chat: bool = False, split: bool = False) -> list[PromptToken]:
        """The tokens of the prompt alone, since the chat template is known to the server alone."""
        if not prompt:
            raise FieldError("prompt", "The prompt is empty; type at least one character.")
        pieces = self.server.pieces(self.served.id, prompt) if self.served.tokenizes else None
        return [
            PromptToken(id=self.names.id(piece), text=piece)
            for piece in ([] if pieces is None else pieces)
        ]

    def conversation(
        self, messages: Sequence[Mapping[str, str]], *, answer: bool = True, go_on: bool = False
    ) -> Conversation:
        raise FieldError(
            "messages", f"The chat template of {self._facts.title} is known to its server alone."
        )

    def encode(self, text: str) -> list[int]:
        raise FieldError("text", f"The tokenizer of {self._facts.title} is not at hand.")

    def decode(self, ids: Sequence[int]) -> list[PromptToken]:
        named = [(id, self.names.text(id)) for id in ids]
        unknown = next((id for id, text in named if text is None), None)
        if unknown is not None:
            raise FieldError("text", f"The text has the token {unknown}, which no text had so far.")
        return [PromptToken(id=id, text=text or "") for id, text in named]

    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        return {id: self.names.text(id) or "" for id in ids}

    def edited(self, path: Sequence[StepRecord], text: str) -> tuple[int, list[int]]:
        raise FieldError("text", self.lacks.reasons["fork"])

    def control_tokens(self, prompt: str) -> list[str]:
        return []

    def context(
        self, max_new_tokens: int, chat: bool = False, split: bool = False
    ) -> Context | None:
        return None

    def health(self) -> Health:
        # To such a program any request would end the text that it writes, also of another model.
        busy = self.served.program.one_by_one and self.server.has_turn
        if not busy and perf_counter() - self._checked > _CHECK_S:
            self._checked = perf_counter()  # one check at a time, beside the calling thread
            threading.Thread(target=self._check_server, name="check-server", daemon=True).start()
        with self._lock:
            running = len(self._runs)
        load = Load(alive=not self._fault, running=running)
        return Health(not self._fault, self._fault, (load,))

    def _check_server(self) -> None:
        self._fault = self.server.alive()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        for one in runs:
            one.stop()
