"""The page's state by name, read from the values that Gradio passes to an event by component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.ui.columns import Columns
from playground.ui.header import Header
from playground.ui.limits import Limits
from playground.ui.links import Setup
from playground.ui.prompt import Prompt

Values = dict[Any, Any]


@dataclass(frozen=True)
class PageState:
    """The set-up as it was typed; it is validated when a person presses Run.

    ``written`` are the recipes of the columns, and ``names`` the columns' names.
    """

    model: Any
    prompt: Any
    max_new_tokens: Any
    min_new_tokens: Any
    seed: Any
    keep_seed: bool
    stop: Any
    chat: bool
    split: bool
    alone: bool
    written: tuple[Any, ...]
    names: tuple[str, ...]
    gpu: bool = False  # whether it asks for a GPU that the host lends

    @classmethod
    def of(cls, setup: Setup) -> PageState:
        """A set-up that a page kept."""
        return cls(
            model=setup.model,
            prompt=setup.prompt,
            max_new_tokens=setup.tokens,
            min_new_tokens=setup.least,
            seed=setup.seed,
            keep_seed=True,
            stop=setup.stop,
            chat=setup.chat,
            split=setup.split,
            alone=setup.alone,
            written=setup.recipes,
            names=setup.names,
        )

    def setup(self, seed: int) -> Setup:
        """The same for a page to keep, with the seed that was drawn."""
        return Setup(
            prompt=self.prompt,
            recipes=self.written,
            names=self.names,
            tokens=str(self.max_new_tokens),
            least=str(self.min_new_tokens),
            seed=str(seed),
            stop=self.stop,
            chat=self.chat,
            alone=self.alone,
            split=self.split,
            model=self.model,
        )


@dataclass(frozen=True)
class PageParts:
    """The components that hold the values of a ``PageState``."""

    header: Header
    prompt: Prompt
    limits: Limits
    columns: Columns

    @property
    def set_up(self) -> list[Any]:
        """The components of the set-up, without the columns."""
        at = self.limits
        return [
            self.header.model, self.prompt.text, at.tokens, at.least, at.seed, at.ends, at.chat,
            at.alone, self.prompt.split,
        ]  # fmt: skip

    @property
    def inputs(self) -> set[Any]:
        at, columns = self.limits, self.columns
        return {*self.set_up, at.lock, at.gpu, *columns.inputs, *columns.written}

    def state(self, values: Values) -> PageState:
        at, shown = self.limits, self.columns.columns[: values[self.columns.count]]
        return PageState(
            model=values[self.header.model],
            prompt=values[self.prompt.text],
            max_new_tokens=values[at.tokens],
            min_new_tokens=values[at.least],
            seed=values[at.seed],
            keep_seed=bool(values[at.lock]),
            stop=values[at.ends],
            chat=bool(values[at.chat]),
            split=bool(values[self.prompt.split]),
            alone=bool(values[at.alone]),
            gpu=bool(values[at.gpu]),
            written=tuple(values[column.written] for column in shown),
            names=self.columns.names(values),
        )
