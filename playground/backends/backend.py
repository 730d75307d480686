"""The interface of what serves one model, in this process or elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from playground.engine import FieldError, Request, Run
from playground.trace import ModelFacts, PromptToken, StepRecord

if TYPE_CHECKING:
    from playground.engine.encoder import Conversation
    from playground.engine.request import ScoreRequest
    from playground.engine.scoring import TokenScore
    from playground.trace.scores import TextScore
    from strategies import Context

# What a backend may be unable to do. The page and the routes say so where it is requested.
Ability = Literal["preview", "score_prompt", "score_text", "fork", "alone", "uncached", "chat"]


@dataclass(frozen=True)
class Load:
    """How busy one replica of a model is. ``replica`` is "" where there is only one."""

    replica: str = ""
    alive: bool = True
    waiting: int = 0  # runs in the queue
    running: int = 0  # runs whose rows are in the batch
    rows_in_use: int = 0
    rows: int = 0
    key_value_bytes: int = 0
    prompt_bytes: int = 0
    model_bytes: int = 0
    device_bytes: int = 0  # taken on a GPU by the process that serves it


@dataclass(frozen=True)
class Health:
    """Whether a model is served, and ``why`` not, in a sentence; with the load of each replica."""

    alive: bool
    why: str = ""
    loads: tuple[Load, ...] = ()


@dataclass(frozen=True)
class Lacks:
    """The abilities that a backend lacks, each with its reason, a sentence."""

    reasons: Mapping[Ability, str] = field(default_factory=dict)

    def refuse(self, ability: Ability, field: str) -> None:
        """Raise ``FieldError`` at a field of the request where the backend lacks an ability."""
        if ability in self.reasons:
            raise FieldError(field, self.reasons[ability])


class Backend(ABC):
    """One model, served. Any thread may call it.

    A submitted run is followed by its ``Run``, wherever it is written: its records come as they are
    made (``Run.subscribe``), and ``Run.cancel`` ends it.
    """

    lacks = Lacks()

    @property
    @abstractmethod
    def facts(self) -> ModelFacts:
        """The facts about the model."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """How many tokens a prompt and its text may have together."""

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """The model's tokenizer, of transformers; None where it is not known."""

    @property
    @abstractmethod
    def generation_config(self) -> Any:
        """The model's own settings, of transformers; None where they are not known."""

    # Runs

    @abstractmethod
    def submit_all(self, requests: Sequence[Request]) -> list[Run]:
        """Queue several runs of one client, which count as one: all of them, or none.

        ``FieldError`` names what cannot be run, ``Busy`` says when there may be room, and
        ``EngineClosed`` that this backend takes no more.
        """

    @abstractmethod
    def preview(self, request: Request) -> list[StepRecord | str] | None:
        """Each recipe's first step, or the sentence of its error, without a forward.

        None where the prompt has not been read: ``prefetch`` has it read.
        """

    @abstractmethod
    def prefetch(self, prompt: str, chat: bool = False, split: bool = False) -> None:
        """Have a prompt read when no run waits, so that ``preview`` finds its logits."""

    @abstractmethod
    def prompt_scores(self, run: Run, count: int) -> list[TokenScore | None]:
        """Score the prompt of a run, each token with the ``count`` likeliest at its position.

        The run's ``prompt_tokens`` have their log-probabilities then. Fewer where it is cancelled.
        """

    @abstractmethod
    def score_text(self, request: ScoreRequest, cancelled: Callable[[], bool]) -> TextScore:
        """The likelihood of a given text under the model and each recipe.

        Raises ``FieldError`` and ``Busy`` as ``submit_all`` does, and ``Cancelled``.
        """

    def score(self, run: Run) -> None:
        """Score the prompt of a run, unless it is: its tokens then have log-probabilities."""
        if run.prompt_perplexity is None:
            self.prompt_scores(run, 0)

    # Texts and tokens

    @abstractmethod
    def tokens(self, prompt: str, chat: bool = False, split: bool = False) -> list[PromptToken]:
        """The tokens that the model reads for a prompt, each with its text."""

    @abstractmethod
    def conversation(
        self, messages: Sequence[Mapping[str, str]], *, answer: bool = True, go_on: bool = False
    ) -> Conversation:
        """Messages in the model's chat template; see ``Encoder.conversation``."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text by itself, nothing added."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> list[PromptToken]:
        """The tokens of these ids with their texts. Raises ``FieldError`` for an unknown id."""

    @abstractmethod
    def pieces(self, ids: Sequence[int]) -> dict[int, str]:
        """The text of each token by itself, as a candidate is shown."""

    @abstractmethod
    def edited(self, path: Sequence[StepRecord], text: str) -> tuple[int, list[int]]:
        """How many tokens of a recorded text an edit keeps, and those that follow them; see
        ``forking.edited``.
        """

    @abstractmethod
    def control_tokens(self, prompt: str) -> list[str]:
        """The names of control tokens in a prompt, each once."""

    @abstractmethod
    def context(
        self, max_new_tokens: int, chat: bool = False, split: bool = False
    ) -> Context | None:
        """The context of strategies for a run of this length; None where it is not known here."""

    # The server

    @abstractmethod
    def health(self) -> Health:
        """Its health and load. Never waits for long: a remote one's are those last known."""

    @property
    def people(self) -> int:
        """Runs in the queue or at work."""
        return sum(load.waiting + load.running for load in self.health().loads)

    @abstractmethod
    def close(self) -> None:
        """End every run of this process where it is; no run can be submitted afterwards."""
