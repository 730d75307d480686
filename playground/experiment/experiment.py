"""An experiment: prompts × recipes × seeds, the limits of a text, and its metrics."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from playground.experiment.metric import Metric
from playground.experiment.prompts import prompt_set, read
from playground.experiment.registry import metrics
from playground.experiment.sample import Prompt
from playground.experiment.sweep import MOST_RECIPES, Sweep
from strategies import Recipe

MOST_CELLS = 200_000
MOST_PROMPTS = 10_000
MOST_SEEDS = 1_000
DEFAULT_METRICS = (
    "perplexity",
    "repeated_ngrams",
    "distinct_n",
    "self_bleu",
    "length",
    "ended",
)


class ExperimentError(ValueError):
    """Why an experiment is invalid; ``field`` names the field at fault, as in its file."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Experiment(BaseModel):
    """The definition of an experiment. ``Experiment.of`` and ``from_file`` validate one.

    Every recipe writes a text after every prompt with every seed: a cell. Recipes share prompts and
    seeds, and with them noise, so that their differences are paired.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    question: str = Field("", max_length=500)
    model: str | None = None  # a folder, a hub id, or the built-in model
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=MOST_PROMPTS)
    recipes: tuple[Recipe, ...] = Field(min_length=1, max_length=MOST_RECIPES)
    names: dict[str, str] = Field(default_factory=dict)  # of recipes, by their written form
    seeds: tuple[int, ...] = Field((0, 1, 2, 3), min_length=1, max_length=MOST_SEEDS)
    metrics: tuple[str, ...] = DEFAULT_METRICS
    max_new_tokens: int = Field(64, ge=1, le=1_000_000)
    min_new_tokens: int = Field(0, ge=0)
    stop: tuple[str, ...] = ()
    chat: bool = False
    split_special_tokens: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any], folder: Path | None = None) -> Experiment:
        """An experiment from the fields of its file.

        ``folder`` has the files of prompts; without it, naming a file is an error.
        Raises ``ExperimentError``, which names the first field at fault, and what is allowed.
        """
        try:
            return cls.model_validate(dict(given), context={"folder": folder})
        except ValidationError as error:
            raise _error(error, given) from None

    @classmethod
    def from_file(cls, file: Path | str) -> Experiment:
        """An experiment from a TOML file."""
        file = Path(file)
        try:
            given = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ExperimentError("file", f"{file} cannot be read: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ExperimentError("file", f"{file} is no TOML: {error}.") from None
        return cls.of(given, file.parent)

    @model_validator(mode="before")
    @classmethod
    def _with_sweep(cls, given: Any) -> Any:
        """``recipes`` may be a single one, and ``sweep`` (one or several) adds its recipes."""
        if not isinstance(given, Mapping):
            return given
        values = dict(given)
        recipes = values.get("recipes", [])
        several = [recipes] if isinstance(recipes, str | Recipe | Mapping) else list(recipes)
        sweeps = values.pop("sweep", [])
        for sweep in [sweeps] if isinstance(sweeps, Mapping | Sweep) else sweeps:
            try:
                several += Sweep.model_validate(sweep).recipes()
            except ValidationError as error:
                raise _error(error, {}, "sweep") from None
        values["recipes"] = several
        return values

    @field_validator("prompts", mode="before")
    @classmethod
    def _from_sets_and_files(cls, given: Any, info: ValidationInfo) -> Any:
        """Prompts as texts, objects, ``{"set": "story"}`` or ``{"file": "prompts.csv"}``."""
        folder = (info.context or {}).get("folder")
        several = [given] if isinstance(given, str | Mapping | Prompt) else given
        if not isinstance(several, Sequence):
            return given
        found: list[Any] = []
        for prompt in several:
            if isinstance(prompt, Mapping) and {"set", "file"} & set(prompt):
                found += _several(prompt, folder)
            else:
                found.append(Prompt.of(prompt))
        return found

    @field_validator("seeds", mode="before")
    @classmethod
    def _so_many(cls, given: Any) -> Any:
        """A number stands for that many seeds, from 0."""
        if isinstance(given, int) and not isinstance(given, bool):
            if not 1 <= given <= MOST_SEEDS:
                raise ValueError(f"must be from 1 to {MOST_SEEDS:,} seeds, but {given} was given")
            return list(range(given))
        return given

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        if not all(0 <= seed < 2**63 for seed in seeds):
            raise ValueError("seeds are from 0 to 2^63 − 1")
        return seeds

    @field_validator("recipes")
    @classmethod
    def _no_recipe_twice(cls, recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        written = [str(recipe) for recipe in recipes]
        twice = next((one for one in written if written.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is given twice")
        asks = next(
            (recipe for recipe in recipes if getattr(recipe.search.plugin, "asks", False)), None
        )
        if asks is not None:
            raise ValueError(f"{asks} has a person choose each token; an experiment runs alone")
        return recipes

    @field_validator("prompts")
    @classmethod
    def _no_prompt_twice(cls, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """A prompt that is given twice would count as two independent ones."""
        seen: set[str] = set()
        for prompt in prompts:
            if prompt.text in seen:
                raise ValueError(f"the prompt {prompt.text[:60]!r} is given twice")
            seen.add(prompt.text)
        return prompts

    @field_validator("metrics")
    @classmethod
    def _known(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        """As they are written in full form, each once."""
        return tuple(dict.fromkeys(str(metrics().parse(one)) for one in written))

    @field_validator("names", mode="before")
    @classmethod
    def _by_written_form(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {str(Recipe.of(recipe)): name for recipe, name in given.items()}

    @model_validator(mode="after")
    def _bounded(self) -> Experiment:
        if self.cells > MOST_CELLS:
            raise ValueError(f"{self.cells:,} texts; at most {MOST_CELLS:,} are allowed")
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError("min_new_tokens is more than max_new_tokens")
        unknown = set(self.names) - {str(recipe) for recipe in self.recipes}
        if unknown:
            raise ValueError(f"names has {sorted(unknown)[0]}, which is none of the recipes")
        recipes = [str(recipe) for recipe in self.recipes]
        expects = any(prompt.expected is not None for prompt in self.prompts)
        for metric in self.measured:
            if fault := metric.fault(recipes, expects):
                raise ExperimentError("metrics", f"metrics: {fault}")
        return self

    @property
    def cells(self) -> int:
        """The number of texts."""
        return len(self.prompts) * len(self.recipes) * len(self.seeds)

    @property
    def measured(self) -> list[Metric]:
        return [metrics().parse(written) for written in self.metrics]

    @property
    def reads_features(self) -> bool:
        """Whether a metric of it asks what the model makes of its texts."""
        return any(metric.info.reads_features for metric in self.measured)

    def name(self, recipe: int) -> str:
        """The name of a recipe in tables and sentences: "temperature 0.8, top_p 0.9"."""
        written = str(self.recipes[recipe])
        if written in self.names:
            return self.names[written]
        name = short_name(self.recipes[recipe])
        alike = sum(short_name(other) == name for other in self.recipes)
        return name if alike == 1 else written


def short_name(recipe: Recipe) -> str:
    """What sets a recipe apart, without what changes nothing and the search where it samples."""
    words = []
    for step in recipe.processors:
        if step.neutral:
            continue
        written = str(step)
        _, _, inside = written.partition("(")
        value = inside.removesuffix(")")
        plain = value and not any(mark in value for mark in "=,\"'[{")
        words.append(f"{step.strategy} {value}" if plain else written)
    search = str(recipe.search)
    if search != "sample" or not words:
        words.append(search)
    return ", ".join(words)


def _several(given: Mapping[str, Any], folder: Path | None) -> list[Prompt]:
    """The prompts of a set or a file, or so many of its ``first``."""
    unknown = set(given) - {"set", "file", "first"}
    first = given.get("first")
    if unknown or {"set", "file"} <= set(given) or not (first is None or isinstance(first, int)):
        raise ValueError(
            'a set or a file of prompts is {"set": "story", "first": 4} or {"file": "prompts.csv"}'
        )
    if "set" in given:
        return prompt_set(str(given["set"]))[:first]
    if folder is None:
        raise ValueError("no files of prompts are read here; give the prompts")
    return read(folder / str(given["file"]))[:first]


def _error(error: ValidationError, given: Mapping[str, Any], inside: str = "") -> ExperimentError:
    """The first fault as a sentence that names its field, ``inside`` another or not."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    field = ".".join([inside, *location] if inside else location)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ExperimentError):
        return cause
    if first["type"] == "extra_forbidden":
        top = len(location) == 1 and not inside
        fields = ", ".join([*Experiment.model_fields, "sweep"]) if top else ""
        has = f"; an experiment has {fields}" if fields else ""
        return ExperimentError(field, f"There is no field {field}{has}.")
    if first["type"] == "missing":
        return ExperimentError(field, f"{field} is missing.")
    message = str(cause) if cause is not None else f"{first['msg'][0].lower()}{first['msg'][1:]}"
    value = given.get(location[0]) if len(location) == 1 and cause is None else None
    shown = f", but {str(value)[:60]!r} was given" if value is not None else ""
    sentence = f"{message}{shown}"
    end = "" if sentence.endswith((".", "?")) else "."
    return ExperimentError(field, f"{field}: {sentence}{end}" if field else f"{sentence}{end}")
