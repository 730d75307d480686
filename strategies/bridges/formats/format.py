"""The contract of a settings format: a recipe as another program has it, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...base import Context
from ...notation import RecipeError
from ...recipe import Recipe

LONGEST = 100_000  # characters of a text that is read


@dataclass(frozen=True)
class Loss:
    """What a program cannot do of a recipe, or does otherwise: a sentence, and where it is at home.

    ``step`` counts the recipe's steps from 0; None concerns them all. ``setting`` is a parameter.
    """

    reason: str
    step: int | None = None
    strategy: str = ""
    setting: str = ""

    def __str__(self) -> str:
        return f"{self.strategy}: {self.reason}" if self.strategy else self.reason


@dataclass(frozen=True)
class Bounds:
    """What a run has beside its recipe, as far as a text says it; None where it does not."""

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """Those that are said, by name."""
        named = {
            "max_new_tokens": self.max_new_tokens,
            "min_new_tokens": self.min_new_tokens,
            "seed": self.seed,
            "stop": list(self.stop) or None,
        }
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Taken:
    """A recipe as a program has it: the ``text`` to paste there.

    ``there`` is what the program does with that text, as a recipe of this project, and ``losses``
    say in what it is another than the one that was taken.
    """

    format: str
    text: str
    there: Recipe
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Brought:
    """A recipe that was read from a program's text.

    ``left_out`` are sentences about what of the text it does not have.
    """

    format: str
    recipe: Recipe
    left_out: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)


class Format(ABC):
    """One form in which one program has its settings. A file of this folder has one or two.

    ``suffix`` is how a file of it is called, ``read_in`` the version whose settings were read.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    suffix: ClassVar[str]
    url: ClassVar[str]
    read_in: ClassVar[str]
    keeps_ties: ClassVar[bool] = True  # whether top-k keeps all tokens of its last place

    @abstractmethod
    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        """The recipe in this form. ``context`` and ``own`` are of a loaded model.

        ``context`` tells the token ids of texts, and ``own`` is its ``generation_config``.
        """

    @abstractmethod
    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        """The recipe of such a text; ``FormatError`` or ``RecipeError`` where it has none."""

    @abstractmethod
    def looks_like(self, text: str) -> int:
        """How surely a text is of this form; 0 is not at all."""


class FormatError(RecipeError):
    """Why a text cannot be read, in a sentence."""
