"""What a strategy says of itself, the settings it has, and the model and run it works in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from .grammars import Grammars
    from .grammars.vocabulary import Vocabulary


@dataclass(frozen=True)
class Info:
    """A strategy's name, description and source, as people read them.

    ``formula`` is LaTeX without delimiters; ``source`` names the paper or library the definition
    is from and ``url`` leads to it; ``advice`` says in two sentences when to use it and when not.
    """

    id: str
    title: str
    summary: str
    formula: str
    source: str
    url: str = ""
    advice: str = ""


class Params(BaseModel):
    """The settings of one strategy: frozen, closed, every field bounded and described."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(
    default: Any,
    description: str,
    *,
    usual: tuple[float, float] | None = None,
    step: float | None = None,
    names: Literal["model"] | None = None,
    **bounds: Any,
) -> Any:
    """A field of ``Params``: its default, one sentence about it, its bounds (``ge``, ``le``, …).

    ``usual`` is the range a slider offers (the bounds may allow more) and ``step`` its increment.
    A text that ``names`` a model is chosen from a menu of those that are offered.
    """
    hints: dict[str, Any] = {}
    if usual is not None:
        hints["usual"] = list(usual)
    if step is not None:
        hints["step"] = step
    if names is not None:
        hints["names"] = names
    return Field(default, description=description, json_schema_extra=hints or None, **bounds)


def _own_grammars() -> Grammars:
    from .grammars import Grammars  # which needs ``Params``

    return Grammars()


@dataclass(frozen=True)
class Context:
    """The model and the run that a strategy works in; the same for the whole life of a lane.

    A program that makes several passes the same ``grammars`` to all of them.
    """

    vocab_size: int
    eos_token_ids: tuple[int, ...]
    max_new_tokens: int
    encode: Callable[[str], list[int]]  # text -> token ids, no special tokens added
    decode: Callable[[Sequence[int]], str]
    tokenizer: Callable[[], str] | None = None  # as the JSON of the tokenizers library, where known
    layers: int | None = None  # of the model, where there is one
    tied: bool | None = None  # whether vocabulary head and embeddings share their weights
    draft_model: str | None = None  # the title of the host's draft model, where there is one
    finds_drafts: bool = False  # whether a recipe may name another
    encode_prompt: Callable[[str], list[int]] | None = None  # as the prompt is fed; else ``encode``
    chat_template: str | None = None  # of the tokenizer, where it has one
    grammars: Grammars = field(default_factory=_own_grammars, compare=False)

    @property
    def vocabulary(self) -> Vocabulary:
        """What grammars read of the model's tokens; ``ValueError`` where they are not known."""
        return self.grammars.vocabulary(self.tokenizer, self.vocab_size, self.eos_token_ids)
