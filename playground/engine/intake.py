"""From what a person asks to a run that can be stepped: checks, tokens, lanes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import perf_counter

from playground.engine.lane import Lane
from playground.engine.request import FieldError, Limits, Request, check_text
from playground.engine.rows import Ends
from playground.engine.run import Run
from playground.engine.text import Reader
from playground.loading import LoadedModel
from playground.trace import FinishReason, PromptToken
from strategies import Context, RecipeError


class Intake:
    """Makes runs for one model. Any thread may call it."""

    def __init__(
        self,
        model: LoadedModel,
        limits: Limits,
        rows: int,
        context_length: int,
        draft_model: str | None = None,
    ) -> None:
        """``rows`` and ``context_length`` (tokens) are what the engine's slots hold."""
        # Not the model itself: a run is kept for long after it is gone, and knows its intake.
        self.facts, self.tokenizer, self.limits = model.facts, model.tokenizer, limits
        self.eos_token_ids = model.eos_token_ids
        self.rows, self.context_length = rows, context_length
        self.reader = Reader(model.tokenizer)
        self._draft_model = draft_model
        config = model.model.config.get_text_config()
        self._layers, self._tied = int(config.num_hidden_layers), bool(config.tie_word_embeddings)
        self._backend = getattr(model.tokenizer, "backend_tokenizer", None)
        self._lock = threading.Lock()  # a fast tokenizer may not encode twice at once

    def run(self, request: Request) -> Run:
        """A checked run; ``FieldError`` names what cannot be run."""
        self.limits.check(request)
        clock = perf_counter()
        tokens = self.tokens(request.prompt, request.chat)
        tokenize = perf_counter() - clock
        room = self.context_length - len(tokens)
        if room < 1:
            raise FieldError(
                "prompt",
                f"The prompt has {len(tokens):,} tokens; with room for one more the context "
                f"holds {self.context_length - 1:,}.",
            )
        lanes = [
            self._lane(i, request, [token.id for token in tokens], room)
            for i in range(len(request.recipes))
        ]
        run = Run(request, self.facts, tokens, lanes, tokenize)
        if run.width > self.rows:
            raise FieldError(
                "recipes",
                f"The recipes need {run.width} rows; this server has {self.rows}.",
            )
        return run

    def tokens(self, prompt: str, chat: bool = False) -> list[PromptToken]:
        """The ids the model is fed for a prompt, each with its text."""
        check_text("prompt", prompt)  # typed, it is read before anything is asked for
        tokenizer = self.tokenizer
        with self._lock:
            if chat and tokenizer.chat_template:
                text = tokenizer.apply_chat_template(
                    [{"role": "user", "content": prompt}],
                    tokenize=False,
                    add_generation_prompt=True,
                )
                ids = tokenizer.encode(text, add_special_tokens=False)
            elif chat:
                raise FieldError("chat", f"{self.facts.title} has no chat template.")
            else:
                ids = tokenizer.encode(prompt)
            if not ids:
                raise FieldError("prompt", "The prompt has no token for this model.")
            return [PromptToken(id=i, text=self.reader.piece(i)) for i in ids]

    def context(self, max_new_tokens: int) -> Context:
        """What strategies may know of this model, in a run of this length."""
        return Context(
            vocab_size=self.facts.vocab_size,
            eos_token_ids=self.eos_token_ids,
            max_new_tokens=max_new_tokens,
            encode=self._encode,
            decode=self._decode,
            tokenizer=self._backend and self._backend.to_str,
            layers=self._layers,
            tied=self._tied,
            draft_model=self._draft_model,
        )

    def _encode(self, text: str) -> list[int]:
        with self._lock:
            ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
            return ids

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids))
        return text

    def _lane(self, number: int, request: Request, prompt: list[int], room: int) -> Lane:
        limit = min(request.max_new_tokens, room)
        limited: FinishReason = "length" if request.max_new_tokens <= room else "context"
        context = self.context(limit)
        recipe = request.recipes[number]
        try:
            recipe.build(context)  # first as it was written, so that a refusal counts its steps
            lane = Lane(
                recipe.at_least(request.min_new_tokens),
                context,
                prompt=prompt,
                seed=request.seed,
                ends=Ends(
                    frozenset(self.eos_token_ids),
                    tuple(request.stop),
                    request.min_new_tokens,
                    limit,
                    limited,
                ),
                reader=self.reader,
                top_n=request.top_n,
            )
        except RecipeError as error:
            raise FieldError(f"recipes.{number}", str(error)) from error
        if lane.width > self.limits.width:
            raise FieldError(
                f"recipes.{number}",
                f"{recipe.search} needs {lane.width} rows; at most {self.limits.width} are allowed "
                "to one recipe.",
            )
        longest = max((len(second) for second in lane.seconds), default=0)
        if longest + limit > self.context_length:
            raise FieldError(
                f"recipes.{number}",
                f"The second prompt has {longest:,} tokens; with {limit:,} new ones the context "
                f"holds {max(0, self.context_length - limit):,}.",
            )
        if lane.search.needs_hidden and not request.cache:
            raise FieldError(
                "cache", f"{recipe.search} looks ahead in the cache and cannot go without it."
            )
        return lane
