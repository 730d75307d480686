"""From a request to a run that can be stepped: checks, tokens, lanes."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from playground.engine.encoder import AsPrompt, Encoder
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.ends import Ends
from playground.engine.lanes.lane import Lane
from playground.engine.request import FieldError, Limits, Request, ScoreRequest, named_model
from playground.engine.run import Run
from playground.engine.text_scoring import TextToScore
from playground.models import LoadedModel
from playground.trace import FinishReason, PromptToken
from strategies import Context, RecipeError
from strategies.grammars import Grammars


class RequestBuilder:
    """Makes runs for one model. Any thread may call it."""

    def __init__(
        self,
        model: LoadedModel,
        limits: Limits,
        rows: int,
        context_length: int,
        layers: int | None,
        grammars: Grammars,
        draft_model: str | None = None,
        finds_drafts: bool = False,
    ) -> None:
        """``rows`` and ``context_length`` (tokens) are what the engine's slots hold.

        ``layers`` are those whose hidden states are read; None where they cannot be.
        """
        # Not the model itself: runs are kept for longer than it, and their lanes hold this builder.
        self.facts, self.tokenizer, self.limits = model.facts, model.tokenizer, limits
        self.eos_token_ids = model.eos_token_ids
        self.rows, self.context_length = rows, context_length
        self.detokenizer = Detokenizer(model.tokenizer)
        self.encoder = Encoder(
            model.tokenizer, self.detokenizer, model.facts.title, model.facts.vocab_size
        )
        self._grammars = grammars
        self._draft_model, self._finds_drafts = draft_model, finds_drafts
        config = model.model.config.get_text_config()
        self._layers, self._tied = layers, bool(getattr(config, "tie_word_embeddings", False))
        self._backend = getattr(model.tokenizer, "backend_tokenizer", None)

    @property
    def no_states(self) -> str:
        """Why nothing can read hidden states, as the sentence on it goes on; "" where it can."""
        if self._layers is not None:
            return ""
        return (
            f"reads hidden states, which {self.facts.title} does not give: they differ in width "
            "from layer to layer, or its forward does not return them."
        )

    def run(self, request: Request) -> Run:
        """The run of a request; ``FieldError`` names what cannot be run."""
        self.limits.check(request)
        clock = perf_counter()
        most = self.context_length - min(1, request.max_new_tokens)

        def check(count: int) -> None:
            if count > most:
                more = "with room for one more " if most < self.context_length else ""
                raise FieldError(
                    "prompt",
                    f"The prompt has {count:,} tokens; {more}the context holds {most:,}.",
                )

        if request.prompt_ids:
            check(len(request.prompt_ids))
            tokens = self.tokens("prompt", request.prompt_ids)
        else:
            tokens = self.encoder.prompt(
                request.prompt, request.chat, request.split_special_tokens, check
            )
        prompt = [token.id for token in tokens]
        tokens += self.tokens("prefix", request.prefix)
        check(len(tokens))
        tokenize = perf_counter() - clock
        room = self.context_length - len(tokens)
        lanes = [self._lane(i, request, prompt, room) for i in range(len(request.recipes))]
        run = Run(request, self.facts, tokens, lanes, tokenize)
        if run.width > self.rows:
            raise FieldError(
                "recipes",
                f"The recipes need {run.width} rows; this server has {self.rows}.",
            )
        return run

    def tokens(self, field: str, ids: Sequence[int]) -> list[PromptToken]:
        """Tokens that ``field`` gave by their ids, each with what it adds to the text."""
        unknown = next((id for id in ids if not 0 <= id < self.facts.vocab_size), None)
        if unknown is not None:
            raise FieldError(
                field,
                f"The {field} has the token {unknown}, but this model's last is "
                f"{self.facts.vocab_size - 1:,}.",
            )
        special = self.detokenizer.special
        return [
            PromptToken(
                id=id,
                text=piece,
                name=None if (own := self.detokenizer.piece(id)) == piece else own,
                control=id in special,
            )
            for id, piece in zip(ids, self.detokenizer.pieces(ids), strict=True)
        ]

    def text_to_score(self, request: ScoreRequest) -> TextToScore:
        """A checked text with its tokens; ``FieldError`` names what cannot be scored."""
        self.limits.check_score(request)
        ids = request.text
        prompt = self.encoder.prompt(request.prompt, request.chat, request.split_special_tokens)
        if isinstance(ids, str):
            ids = self.encoder.continuation(
                request.prompt,
                [token.id for token in prompt],
                ids,
                request.chat,
                request.split_special_tokens,
            )
        unknown = next((id for id in ids if not 0 <= id < self.facts.vocab_size), None)
        if unknown is not None:
            raise FieldError(
                "text",
                f"The text has the token {unknown}, but this model's last is "
                f"{self.facts.vocab_size - 1:,}.",
            )
        if not ids:
            raise FieldError("text", "The text has no token for this model.")
        most = min(self.limits.new_tokens, self.context_length - len(prompt))
        if len(ids) > most:
            raise FieldError(
                "text",
                f"The text has {len(ids):,} tokens; after this prompt at most {max(0, most):,} "
                "are allowed.",
            )
        run = Request(
            prompt=request.prompt,
            recipes=request.recipes,
            max_new_tokens=len(ids),
            min_new_tokens=min(request.min_new_tokens, len(ids)),
            seed=request.seed,
            chat=request.chat,
            split_special_tokens=request.split_special_tokens,
        )
        self.limits.check(run)
        prompt_ids, room = [token.id for token in prompt], self.context_length - len(prompt)
        pieces, special = self.detokenizer.pieces(ids), self.detokenizer.special
        readable = (p for id, p in zip(ids, pieces, strict=True) if id not in special)
        return TextToScore(
            request,
            self.facts.id,
            prompt,
            request.text if isinstance(request.text, str) else "".join(readable),
            ids,
            pieces,
            [self._lane(i, run, prompt_ids, room) for i in range(len(run.recipes))],
            hidden_steps=min(1, run.min_new_tokens),
        )

    def context(self, max_new_tokens: int, chat: bool = False, split: bool = False) -> Context:
        """What strategies may know of this model, in a run of ``max_new_tokens``.

        ``chat`` and ``split`` say how the prompt is encoded, as of ``Encoder.prompt``.
        """
        template = getattr(self.tokenizer, "chat_template", None)  # several are a dictionary
        return Context(
            vocab_size=self.facts.vocab_size,
            eos_token_ids=self.eos_token_ids,
            max_new_tokens=max_new_tokens,
            encode=self.encoder.text,
            encode_prompt=AsPrompt(self.encoder, chat, split),
            decode=self._decode,
            tokenizer=self._backend and self._backend.to_str,
            layers=self._layers,
            tied=self._tied,
            draft_model=self._draft_model,
            finds_drafts=self._finds_drafts,
            chat_template=template if isinstance(template, str) else None,
            grammars=self._grammars,
        )

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
        return text

    def _lane(self, number: int, request: Request, prompt: list[int], room: int) -> Lane:
        """``room`` is the number of new tokens for which the context has room.

        To a strategy the tokens of ``prefix`` are new ones as well, so both limits include them.
        """
        before = len(request.prefix)
        limit = before + min(request.max_new_tokens, room)
        least = before + request.min_new_tokens if request.min_new_tokens else 0
        limited: FinishReason = "length" if request.max_new_tokens <= room else "context"
        context = self.context(limit, request.chat, request.split_special_tokens)
        recipe = request.recipes[number]
        other = named_model(recipe)
        if other is not None and other not in (self.facts.id, self.facts.title):
            raise FieldError(
                f"recipes.{number}",
                f"model names {other}, and what is asked here is answered by {self.facts.title} "
                "alone: press Run to have both write.",
            )
        added = 0  # steps put before the first of the request's recipe
        try:
            if request.min_new_tokens:
                recipe.build(context)  # as it was written, whose errors name its own steps
                added = 1
            lane = Lane(
                recipe.at_least(least),
                context,
                prompt=prompt,
                prefix=request.prefix,
                prefix_logprobs=request.prefix_logprobs,
                seed=request.seed,
                ends=Ends(
                    frozenset(self.eos_token_ids),
                    tuple(request.stop),
                    least,
                    limit,
                    limited,
                ),
                detokenizer=self.detokenizer,
                top_n=request.top_n,
                most_rows=self.limits.width,
            )
        except RecipeError as error:
            sentence = str(error)
            if added and error.step:
                at = error.step - added
                reason = sentence.partition(": ")[2]
                sentence = str(RecipeError.at(at, recipe.steps[at].strategy, reason))
            raise FieldError(f"recipes.{number}", sentence) from error
        if lane.width > self.limits.width:
            raise FieldError(
                f"recipes.{number}",
                f"{recipe.search} needs {lane.width} rows; at most {self.limits.width} are allowed "
                "to one recipe.",
            )
        longest = max((len(prompt.tokens) for prompt in lane.second_prompts), default=0)
        if longest + limit > self.context_length:
            raise FieldError(
                f"recipes.{number}",
                f"The second prompt has {longest:,} tokens; with {limit:,} new ones the context "
                f"holds {max(0, self.context_length - limit):,}.",
            )
        if lane.needs_hidden and self.no_states:
            raise FieldError(f"recipes.{number}", f"{recipe} {self.no_states}")
        if lane.search.needs_hidden and not request.cache:
            raise FieldError(
                "cache", f"{recipe.search} looks ahead in the cache and cannot go without it."
            )
        if request.max_new_tokens == 0:
            lane.end("length")
        return lane
