"""A recipe as the sampling fields of a program.

What was written is read again, by the same code that reads what people bring: where the two recipes
differ, the program does not do what the recipe says, and the difference is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...base import Context
from ...notation import quote
from ...recipe import Recipe, RecipeStep
from ...registry import registry
from ..dialects import PENALTIES
from .differences import differences, order_of, strategies
from .format import Bounds, Loss
from .reading import from_fields
from .vocabulary import Vocabulary, settled, takes_likeliest

Fields = dict[str, Any]
NO_MODEL = "its token ids depend on a model; none is loaded."


@dataclass
class Written:
    """Fields that were written, what the program does with them, and what it cannot do."""

    fields: Fields
    there: Recipe
    losses: list[Loss]


def to_fields(
    recipe: Recipe, words: Vocabulary, bounds: Bounds, context: Context | None = None
) -> Written:
    """The fields of a recipe, with the program's own defaults undone where the recipe has none."""
    draft = _Draft(words, context)
    draft.search(recipe)
    for at, step in settled(recipe):
        draft.say(at, step)
    draft.windows(recipe)
    draft.limit(bounds)
    draft.neutral()
    there = from_fields("", draft.fields, words).recipe
    if words.order and strategies(there) != order_of(recipe, there):
        draft.order(recipe)
        there = from_fields("", draft.fields, words).recipe
    return Written(
        draft.fields,
        there,
        [*draft.losses, *differences(recipe, there, words.program, draft.losses)],
    )


class _Draft:
    """Fields in the making."""

    def __init__(self, words: Vocabulary, context: Context | None) -> None:
        self.words, self.context = words, context
        self.fields: Fields = {}
        self.losses: list[Loss] = []
        self.said: set[str] = set()

    def lose(self, at: int, step: RecipeStep, reason: str, setting: str = "") -> None:
        self.losses.append(Loss(reason, at, step.strategy, setting))

    def search(self, recipe: Recipe) -> None:
        words, at, step = self.words, len(recipe.steps) - 1, recipe.search
        params = step.params.model_dump()
        if takes_likeliest(recipe):
            self.fields |= words.greedy
        if step.strategy == "greedy":
            return
        if step.strategy == "contrastive" and words.has("contrastive"):
            self.fields |= {"penalty_alpha": params["penalty_alpha"], "top_k": params["top_k"]}
            self.said.add("contrastive")
            return
        texts = params.get("n", 1)
        if texts > 1 and words.texts and not takes_likeliest(recipe):
            self.fields[words.texts] = texts
        if step.strategy == "sample":
            if texts > 1 and not words.texts:
                reason = f"{words.program} writes one text for each request; ask {texts} times."
                self.lose(at, step, reason, "n")
            return
        if step.strategy == "speculative":
            reason = f"it drafts where {words.program} is started so; the choice is the same."
            self.lose(at, step, reason)
            return
        title = step.plugin.info.title
        chooses = getattr(step.plugin, "chooses", None)
        if chooses in ("draw", "drawn text"):
            drawn = f"{texts} texts are drawn" if texts > 1 and words.texts else "a text is drawn"
            self.lose(at, step, f"{words.program} has no such search ({title}); there {drawn}.")
        else:
            self.fields |= words.greedy
            reason = f"{words.program} has no such search ({title}); there it is greedy."
            self.lose(at, step, reason)

    def say(self, at: int, step: RecipeStep) -> None:
        """The fields of one step."""
        words, strategy = self.words, step.strategy
        if strategy in self.said:
            self.lose(at, step, f"{words.program} can be told of it only once.")
            return
        special = getattr(self, f"_{strategy}", None)
        if special is not None and (words.has(strategy) or strategy in ("mirostat_v2",)):
            self.said.add(strategy)
            special(at, step)
            return
        if not words.has(strategy):
            absent = f"{words.program} has nothing like it."
            self.lose(at, step, words.elsewhere.get(strategy, absent))
            return
        self.said.add(strategy)
        for setting, value in step.params.model_dump().items():
            name = words.names.get((strategy, setting))
            if name is not None:
                self._put(name, value)

    def _put(self, name: str, value: Any) -> None:
        low, high = self.words.within.get(name, (None, None))
        if low is not None and high is not None:
            value = type(value)(min(max(value, low), high))
        self.fields[name] = self.words.spelled.get(name, lambda given: given)(value)

    def _dynamic_temperature(self, at: int, step: RecipeStep) -> None:
        params, names = step.params.model_dump(), self.words.names
        if "temperature" in self.said:
            self.lose(at, step, f"in {self.words.program} it takes the place of the temperature.")
            return
        if names["dynamic_temperature", "low"] == "dynatemp_range":
            low, high = params["low"], params["high"]
            self.fields["temperature"] = round((low + high) / 2, 12)
            self.fields["dynatemp_range"] = round((high - low) / 2, 12)
        else:
            self.fields["dynamic_temperature"] = True
            self.fields |= {"dynatemp_low": params["low"], "dynatemp_high": params["high"]}
        self.fields["dynatemp_exponent"] = params["exponent"]

    def _mirostat_v2(self, at: int, step: RecipeStep) -> None:
        if not self.words.has("mirostat_v2"):
            self.lose(at, step, f"{self.words.program} has nothing like it.")
            return
        mode = self.words.names["mirostat_v2", "mode"]
        params = step.params.model_dump()
        self.fields |= {mode: 2, "mirostat_tau": params["tau"], "mirostat_eta": params["eta"]}

    def _constrained(self, at: int, step: RecipeStep) -> None:
        for setting, value in step.params.model_dump().items():
            name = self.words.names.get(("constrained", setting))
            if not value or setting == "whitespace":
                continue
            if name is None:
                reason = f"{self.words.program} takes no {setting}."
                self.lose(at, step, reason, setting)
            elif setting == "json_schema":
                self._put(name, json.loads(value))
            else:
                self._put(name, list(value) if isinstance(value, tuple) else value)

    def _logit_bias(self, at: int, step: RecipeStep) -> None:
        bias = step.params.model_dump()["bias"]
        if all(name.isascii() and name.isdigit() for name in bias):
            self._put("logit_bias", dict(bias))
            return
        if self.context is None:
            self.lose(at, step, NO_MODEL)
            return
        sums: dict[str, float] = {}
        processor: Any = step.plugin(step.params, self.context)
        for sequence, amount in processor.biases:
            if len(sequence) > 1:
                told = quote(self.context.decode(list(sequence)))
                self.lose(
                    at, step, f"{told} is several tokens, and {self.words.program} biases one."
                )
            else:
                sums[str(sequence[0])] = sums.get(str(sequence[0]), 0.0) + amount
        if sums:
            self._put("logit_bias", sums)

    def windows(self, recipe: Recipe) -> None:
        """How far back the penalties look: a program has one window for all of them."""
        words = self.words
        which = (*PENALTIES, "dry") if words.dialect.window_for_dry else PENALTIES
        windows = {
            step.strategy: step.params.model_dump()["window"]
            for _, step in reversed(settled(recipe))
            if step.strategy in which and step.strategy in self.said
        }
        found = [windows[strategy] for strategy in which if strategy in windows]
        if words.window and found and found[0] != words.dialect.window:
            self.fields[words.window] = found[0] or words.everything

    def limit(self, bounds: Bounds) -> None:
        """What the run has beside its recipe, as far as the program has a field for it."""
        for limit, value in bounds.told.items():
            name = self.words.limits.get(limit)
            if name is not None:
                least = self.fields.get(name, 0) if limit == "min_new_tokens" else 0
                self.fields[name] = max(value, least) if least else value

    def neutral(self) -> None:
        """Switch off what the program would do by itself."""
        words = self.words
        for strategy, settings in words.dialect.defaults.items():
            if strategy in self.said:
                continue
            for setting in settings:
                name = words.names.get((strategy, setting))
                neutral = _neutral(strategy)
                if name is not None and setting in neutral:
                    self.fields.setdefault(name, neutral[setting])
        for name, value in words.stated.items():
            self.fields.setdefault(name, value)

    def order(self, recipe: Recipe) -> None:
        """The steps in the recipe's order; those that it does not have stay where they are."""
        words = self.words
        wanted = [step.strategy for _, step in settled(recipe) if step.strategy in self.said]
        if self.fields.get("temperature") == 0:
            wanted.append("temperature")
        named = list(dict.fromkeys(words.step_names[s] for s in wanted if s in words.step_names))
        if words.dialect.unlisted == "drop":
            self.fields[words.order] = words.order_text(named)
            for name in [n for n in self.fields if self._only_neutral(n, named)]:
                del self.fields[name]
            return
        usual = list(dict.fromkeys(words.step_names.values()))
        left = iter(named)
        whole = [next(left) if name in named else name for name in usual]
        self.fields[words.order] = words.order_text(whole)

    def _only_neutral(self, name: str, listed: Sequence[str]) -> bool:
        """Whether a field only switches off a step that the order leaves out in any case."""
        for (strategy, setting), known in self.words.names.items():
            if known == name and strategy not in self.said and strategy in self.words.step_names:
                neutral = _neutral(strategy).get(setting)
                return self.words.step_names[strategy] not in listed and (
                    self.fields[name] == neutral
                )
        return False


def _neutral(strategy: str) -> Mapping[str, Any]:
    return registry().get(strategy).neutral
