"""The bodies of OpenAI's requests, with the bounds of this host.

Fields that only other programs know are accepted: the sampling fields among them become a recipe,
and the rest are named in a header of the response.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from playground.api.requests import DeferredBody
from playground.engine import FieldError
from playground.settings import Settings
from strategies.bridges.dialects import DIALECTS, OTHERS, SETTINGS, STRUCTURES, DialectName
from strategies.bridges.field_kinds import SettingError
from strategies.bridges.sampling_fields import recipe
from strategies.recipe import Recipe
from strategies.registry import registry
from strategies.searches.sample import MOST

LogprobsMode = Literal["raw_logprobs", "processed_logprobs"]

MOST_LIKELIEST = 20  # tokens returned with their log-probabilities for each position
DEFAULT_TOKENS = 16  # of a completion without max_tokens, as OpenAI has it

# OpenAI's fields that change nothing here, whatever their value; clients send them by themselves.
_HARMLESS = {"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"}


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _count(value: Any) -> Any:
    """Chat's true and false where completions have a number."""
    return {True: 1, False: None}[value] if isinstance(value, bool) else value


# Some clients send an empty name before a person has chosen a model.
Model = Annotated[
    Annotated[str, Field(max_length=500)] | None,
    BeforeValidator(lambda name: None if name == "" else name),
]
_MODEL = "An id from GET /v1/models; the host's default where there is none."


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool = Field(False, description="End with a chunk that has the usage.")
    continuous_usage_stats: bool = Field(False, description="Read, and not acted upon.")


def _with_sampling_fields(schema: dict[str, Any]) -> None:
    """Add the fields that become a recipe, as the strategies' own settings describe them."""
    properties = schema["properties"]
    for name, setting in SETTINGS.items():
        strategy = registry().get(setting.strategy)
        own = strategy.Params.model_json_schema()["properties"][setting.name]
        properties[name] = {"description": f"`{setting.strategy}`: {own['description']}"}
        if "type" in own:
            properties[name]["type"] = own["type"]
    for name in sorted(OTHERS):
        properties[name] = {"description": "As the programs that know it have it."}
    schema["additionalProperties"] = True


class _Body(DeferredBody):
    """What completions and chat have in common."""

    model_config = ConfigDict(extra="allow", strict=True, json_schema_extra=_with_sampling_fields)

    model: Model = Field(None, description=_MODEL)
    max_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Most new tokens; 0 writes nothing. More than the host allows is lowered."
    )
    min_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The end of the text is held back until then."
    )
    ignore_eos: bool | None = Field(None, description="Never end by the end of the text.")
    ban_eos_token: bool | None = Field(None, description="The same.")
    n: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        None, description="Texts for each prompt."
    )
    seed: int | None = Field(
        None, description="Luck. Where it is null or -1 one is drawn, which the answer has."
    )
    stop: Annotated[list[str], BeforeValidator(_several)] | None = Field(
        None, description="A text, or several, that end what is written."
    )
    stream: bool | None = Field(None, description="Answer with server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Of a stream.")
    recipe: Recipe | None = Field(
        None, description="How tokens are chosen, in place of all sampling fields."
    )
    dialect: DialectName | None = Field(
        None, description="Whose meaning the sampling fields have; the host's where it is null."
    )
    logprobs_mode: LogprobsMode = Field(
        "raw_logprobs", description="Log-probabilities of the model, or after the recipe."
    )
    stages: bool | None = Field(
        None, description="Return each token's probability after every step of the recipe."
    )
    return_tokens_as_token_ids: bool | None = Field(
        None, description="Name tokens `token_id:5` and not by their text."
    )

    @property
    def ignored(self) -> list[str]:
        """Fields that were sent and change nothing."""
        extra = {name for name, value in (self.model_extra or {}).items() if value is not None}
        known = SETTINGS.keys() | OTHERS | _HARMLESS
        read = SETTINGS.keys() | OTHERS if self.recipe is not None else set()
        inside = (self.model_extra or {}).get("structured_outputs")
        if isinstance(inside, Mapping) and self.recipe is None:
            unread = inside.keys() - STRUCTURES.keys()
            extra |= {f"structured_outputs.{name}" for name in unread if inside[name] is not None}
        return sorted(extra - known | extra & read)

    def chosen_recipe(self, dialect: DialectName, own: Callable[[], Mapping[str, Any]]) -> Recipe:
        """The recipe that was sent, or that of the sampling fields, with ``n`` texts.

        ``dialect`` is the host's, for a body that names none; ``own`` returns the settings of the
        model's ``generation_config``.
        """
        made = self.recipe or self._recipe_of_fields(self.dialect or dialect, own)
        if self.n is None or self.n == 1 or made.search.strategy == "greedy":
            return made
        if made.search.strategy == "sample" and made.search.params == type(made.search.params)():
            steps = made.to_steps()
            steps[-1]["params"]["n"] = self.n
            return Recipe.from_steps(steps)
        texts = getattr(made.search.params, "n", getattr(made.search.params, "num_beams", 1))
        if texts < self.n:
            raise FieldError("n", f"n is {self.n}, but {made.search} writes {texts} at most.")
        return made

    def _recipe_of_fields(
        self, dialect: DialectName, own: Callable[[], Mapping[str, Any]]
    ) -> Recipe:
        settings = own() if DIALECTS[dialect].of_the_model else {}
        try:
            return recipe(self.model_extra or {}, dialect, settings)
        except SettingError as error:
            raise FieldError(error.field, str(error)) from error

    def texts(self, made: Recipe) -> int:
        """How many texts are returned for each prompt."""
        return self.n or int(getattr(made.search.params, "n", 1))

    def chosen_seed(self) -> int:
        """The seed, or a random one where none, or -1, was sent."""
        if self.seed is None or self.seed == -1:
            return secrets.randbits(53)  # which a double holds exactly, as JavaScript's numbers
        return self.seed % 2**63

    @property
    def stops(self) -> list[str]:
        return [stop for stop in self.stop or [] if stop]  # some clients send an empty one

    def fewest_tokens(self, most: int) -> int:
        """New tokens before which no text may end."""
        return most if self.ignore_eos or self.ban_eos_token else min(self.min_tokens or 0, most)

    @property
    def usage_in_stream(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionBody(_Body):
    """A body of ``/v1/completions``."""

    prompt: Any = Field(description="A text, token ids, or a list of either.")
    echo: bool | None = Field(None, description="Begin the text with the prompt.")
    suffix: str | None = Field(None, description="Read, and not acted upon.")
    logprobs: Annotated[
        Annotated[int, Field(ge=0, le=MOST_LIKELIEST)] | None, BeforeValidator(_count)
    ] = Field(None, description="Likeliest tokens to return with their log-probabilities.")

    @property
    def likeliest(self) -> int | None:
        """Tokens returned for each position; None where no log-probabilities are requested."""
        return 0 if self.logprobs is None and self.stages else self.logprobs


class ChatBody(_Body):
    """A body of ``/v1/chat/completions``."""

    messages: list[dict[str, Any]] = Field(
        min_length=1,
        description="Each has a `role` and a `content`: a text, or parts of type text.",
    )
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The newer name of `max_tokens`."
    )
    logprobs: bool | None = Field(None, description="Return each token's log-probability.")
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LIKELIEST)] | None = Field(
        None, description="Likeliest tokens to return for each position."
    )
    add_generation_prompt: bool = Field(
        True, description="End the prompt where the assistant begins to speak."
    )
    continue_final_message: bool = Field(False, description="Go on with the last message.")

    @property
    def likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs or self.stages else None

    def read_messages(self) -> list[dict[str, str]]:
        """Each message's role and text. Raises ``FieldError`` where one has no text."""
        return [_message(number, message) for number, message in enumerate(self.messages)]


@dataclass(frozen=True)
class Prompt:
    """One prompt: a text, or tokens."""

    text: str = ""
    ids: tuple[int, ...] = ()


def prompts(sent: Any, most: int) -> list[Prompt]:
    """A completion's prompts: a text, token ids, or a list of either. Raises ``FieldError``."""
    if isinstance(sent, str):
        return [Prompt(sent)]
    if isinstance(sent, list) and sent and all(type(one) is int for one in sent):
        return [Prompt(ids=tuple(sent))]
    if not isinstance(sent, list) or not sent:
        raise FieldError("prompt", "prompt must be a text, token ids, or a list of either.")
    if len(sent) > most:
        raise FieldError(
            "prompt", f"prompt may have at most {most} prompts, but {len(sent):,} were given."
        )
    found = []
    for number, one in enumerate(sent):
        if isinstance(one, str):
            found.append(Prompt(one))
        elif isinstance(one, list) and one and all(type(id) is int for id in one):
            found.append(Prompt(ids=tuple(one)))
        else:
            raise FieldError(f"prompt.{number}", "Each prompt must be a text, or token ids.")
    return found


def _message(number: int, message: Mapping[str, Any]) -> dict[str, str]:
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise FieldError(f"messages.{number}.role", "role must be a text, such as user.")
    if isinstance(content, list):  # parts, of which a language model reads the texts
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            raise FieldError(
                f"messages.{number}.content", "Only parts of the type text can be read here."
            )
        content = "".join(texts)
    if content is None:
        content = ""
    if not isinstance(content, str):
        raise FieldError(f"messages.{number}.content", "content must be a text, or text parts.")
    return {"role": "system" if role == "developer" else role, "content": content}


def most_tokens(requested: int | None, settings: Settings, default: int) -> int:
    """The most new tokens of a text: as many as requested, within the limit of this host."""
    return min(default if requested is None else requested, settings.max_new_tokens)
