"""One run as it is saved: its prompt, its limits, its model, and the result of every lane."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from playground.trace.beams import BeamTree
from playground.trace.branches import ColumnDistance, TextTree
from playground.trace.changes import SettingSlack, WhatIf
from playground.trace.frame import Samples, frame
from playground.trace.lane import SAVED, LaneResult
from playground.trace.migration import VERSION, migrate
from playground.trace.model_facts import ModelFacts
from playground.trace.prompt_token import PromptToken
from playground.trace.steps import Record

if TYPE_CHECKING:
    import pandas as pd

    from strategies import Context, Recipe


class Memory(Record):
    """Bytes in use by the whole process; None where the system does not report them."""

    process: int | None = None
    gpu: int | None = Field(None, description="Allocated on the model's GPU.")
    gpu_peak: int | None = Field(None, description="The most that ever was allocated on it.")


class Timings(Record):
    """Seconds spent on the run as a whole."""

    queued: float
    tokenize: float
    prefill: float
    prefill_tokens: int
    prompt_known: bool = Field(
        False, description="Whether the prompt cache had the prompt, so that none of it was read."
    )
    reused_tokens: int = Field(
        0,
        description="Of `prefill_tokens`, those of the prompt and the prefix whose keys and values "
        "were copied; only the others were read.",
    )
    total: float
    alone: bool = Field(
        False, description="Lanes ran one after the other, each with a prefill of its own."
    )
    memory: Memory | None = Field(None, description="When the run ended; None until then.")


class Comparison(Record):
    """One run: a prompt, its limits, and what every lane wrote."""

    version: int = Field(VERSION, description="The version of this format.")
    id: str
    created: str = Field(description="ISO 8601, UTC.")
    model: ModelFacts
    prompt: str = Field(description="As typed.")
    prefix: list[int] = Field(
        default_factory=list,
        description="Tokens of another text that this one continues; the last of the prompt's.",
    )
    prompt_tokens: list[PromptToken] = Field(description="As read, chat template included.")
    prompt_perplexity: float | None = Field(
        None, description="Under the raw model, where the prompt was scored."
    )
    chat: bool = Field(False, description="Whether the chat template was put around the prompt.")
    split_special_tokens: bool = Field(
        False, description="Whether names of control tokens in the prompt were read as plain text."
    )
    seed: int
    max_new_tokens: int
    min_new_tokens: int
    stop: list[str]
    timings: Timings
    lanes: list[LaneResult]

    @model_validator(mode="before")
    @classmethod
    def _migrated(cls, saved: Any) -> Any:
        return migrate(saved)

    def model_of(self, lane: int) -> ModelFacts:
        """The model that wrote a lane."""
        return self.lanes[lane].model or self.model

    def of_lane(self, lane: int) -> Comparison:
        """This comparison with the model and prompt tokens of a lane that another model wrote."""
        own = self.lanes[lane].prompt_tokens
        prompt = self.prompt_tokens if own is None else own
        return self.model_copy(update={"model": self.model_of(lane), "prompt_tokens": prompt})

    def to_json(self, **kwargs: Any) -> str:
        """As it is saved: the records of a search over several rows take half the bytes.

        ``playground.trace.compact`` says how; ``model_dump_json`` writes all records alike.
        """
        return self.model_dump_json(context=SAVED, **kwargs)

    @classmethod
    def from_json(cls, text: str | bytes) -> Comparison:
        return cls.model_validate_json(text)

    def to_html(self) -> str:
        """One HTML file with all texts, and every token as the page's inspector shows it.

        It opens from a disk or a mail without a server, makes no request, and ``from_html`` reads
        the comparison from it again. Raises ``ValueError`` for more than six lanes.
        """
        from playground.html import to_html

        page: str = to_html(self)
        return page

    @classmethod
    def from_html(cls, text: str) -> Comparison:
        """The comparison in a file of ``to_html``. Raises ``ValueError`` where there is none."""
        from playground.html import read

        comparison: Comparison = read(text)
        return comparison

    def __repr__(self) -> str:
        """A summary without any of its text, since a log or a traceback may quote it."""
        written = " + ".join(str(len(lane.token_ids)) for lane in self.lanes)
        return f"<Comparison {self.id}: {self.model.title}, {written or 'no'} tokens>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """In a notebook: the whole inspector in a frame, and the texts where no script runs."""
        from playground.html import framed

        shown: str = framed(self)
        return shown

    def _repr_markdown_(self) -> str:
        """Where Markdown alone is shown: each recipe and its text."""
        from playground.html import markdown

        shown: str = markdown(self)
        return shown

    def what_if(
        self, lane: int, recipe: str | Recipe, *, sample: int = 0, context: Context | None = None
    ) -> WhatIf:
        """The first token of a lane's text that ``recipe`` would have chosen otherwise.

        From the trace alone, without a model; what the trace does not determine is reported as
        unknown. ``sample`` is one of the lane's texts; ``context`` is that of a loaded model, for
        recipes that encode text. Raises ``RecipeError``.
        """
        from playground.explain.replay import RecordedText, what_if
        from strategies import Recipe as AnyRecipe

        return what_if(RecordedText(self, lane, sample, context), AnyRecipe.of(recipe))

    def slack(
        self, lane: int, *, sample: int = 0, context: Context | None = None
    ) -> dict[str, SettingSlack]:
        """For each number that a lane's recipe sets, the range at which its text stays.

        By ``strategy.parameter``, with the range of every token as well; as certain as ``what_if``.
        """
        from playground.explain.replay import RecordedText, slack

        return slack(RecordedText(self, lane, sample, context))

    def tree(self) -> TextTree:
        """All texts of all columns as one tree: what they share, and where they branch."""
        from playground.explain.tree import tree

        return tree(self)

    def beams(self, lane: int) -> BeamTree:
        """All rows of a lane, token by token: those that were continued, were pruned, and ended."""
        from playground.explain.beams import beams

        return beams(self, lane)

    def distance(self, left: int, right: int) -> ColumnDistance:
        """How far apart two columns' distributions are, over the steps that they share.

        The Jensen-Shannon distance, from 0 to 1, of the distributions after all steps of the
        recipes; as bounds, since only the candidates were recorded.
        """
        from playground.explain.distance import distance

        return distance(self, left, right)

    def frame(self, samples: Samples = "shown") -> pd.DataFrame:
        """A row per token of every lane's first text, of ``all`` its texts, or of these by number.

        ``playground.trace.frame`` says what its columns hold.
        """
        return frame(self.lanes, samples)

    def to_csv(self, samples: Samples = "shown") -> str:
        """``frame`` as comma-separated values, all texts quoted: a token may be a line break."""
        written: str = self.frame(samples).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
        return written
