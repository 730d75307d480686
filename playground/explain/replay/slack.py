"""How far each setting of a finished text may be moved before a token of it changes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.explain.replay.known import NotRecorded
from playground.explain.replay.outcome import OTHER, SAME, UNTOLD, RecordedText, sentence
from playground.trace.changes import SettingRange, SettingSlack
from strategies import Recipe, RecipeError, RecipeStep
from strategies.ops.bounded import Bounded, Unknown

_TRIED = 16  # values of a setting over its usual range, and half as many beyond
_HALVINGS = 14  # of the gap in which a text first changes
_SUSPECTS = 12  # tokens that are looked at before all others
_KEPT = 8  # of such groups

Fates = NDArray[np.int64]


def slack(text: RecordedText) -> dict[str, SettingSlack]:
    """By ``strategy.parameter`` of the text's recipe; empty for a recipe that sets no number."""
    return {setting.name: _slack(text, setting, each=True) for setting in _settings(text)}


def text_slack(text: RecordedText) -> dict[str, SettingSlack]:
    """The same of the whole text alone, several times as fast: no token has a range of its own."""
    return {setting.name: _slack(text, setting, each=False) for setting in _settings(text)}


def token_slack(text: RecordedText, index: int) -> dict[str, SettingSlack]:
    """How far each setting may be moved before this one token changes, given those before it."""
    return {
        setting.name: _slack(text, setting, each=False, watched=[index])
        for setting in _settings(text)
    }


@dataclass(frozen=True)
class _Setting:
    """A number that a recipe sets: its step, its field, and the values it may have."""

    name: str
    step: int
    field: str
    value: float
    whole: bool
    low: float
    high: float
    usual: tuple[float, float]


def _settings(text: RecordedText) -> Iterator[_Setting]:
    met: Counter[str] = Counter()
    for at, step in enumerate(text.recipe.steps[:-1]):
        met[step.strategy] += 1
        again = f"#{met[step.strategy]}" if met[step.strategy] > 1 else ""
        for field, schema in step.plugin.Params.model_json_schema()["properties"].items():
            value = getattr(step.params, field)
            if not step.enabled or schema.get("type") not in ("number", "integer"):
                continue
            whole = schema["type"] == "integer"
            low = float(schema.get("minimum", schema.get("exclusiveMinimum", 0.0)))
            high = float(schema.get("maximum", schema.get("exclusiveMaximum", 0.0)))
            if "exclusiveMinimum" in schema:
                low += 1 if whole else (high - low) * 1e-3
            if whole and low == 0 and schema.get("default") == 0:
                # 0 switches such a step off, which is far from 1 and next to the largest.
                low, high = (1.0, min(high, float(text.context.vocab_size))) if value else (0, 0)
            usual = [*schema.get("usual", (low, high))]
            yield _Setting(
                f"{step.strategy}{again}.{field}",
                at,
                field,
                float(value),
                whole,
                low,
                high,
                (min(max(usual[0], low), high), min(max(usual[1], low), high)),
            )


def _slack(
    text: RecordedText, setting: _Setting, each: bool, watched: Sequence[int] | None = None
) -> SettingSlack:
    """Of all tokens, or of the ``watched`` ones alone."""
    try:
        return _Tried(text, setting, watched).slack(each)
    except (Unknown, NotRecorded) as error:
        return SettingSlack(
            setting=setting.name,
            step=setting.step,
            value=setting.value,
            text=None,
            unknown=sentence(error),
        )


class _Tried:
    """What became of the tokens at each value of one setting that was tried, in rising order.

    A token at which the text changes is enough to know that it does: the ones that changed at
    other values are looked at first.
    """

    def __init__(
        self, text: RecordedText, setting: _Setting, watched: Sequence[int] | None = None
    ) -> None:
        self.text, self.setting = text, setting
        self._watched = watched
        self.values: list[float] = []
        self.fates: list[Fates] = []
        self._first = 0
        self._parts: dict[tuple[int, ...], tuple[RecordedText, Bounded]] = {}
        self._suspects: list[int] = []
        self._remembers = False

    def slack(self, each: bool) -> SettingSlack:
        setting = self.setting
        if not self.text.path:
            raise Unknown("the text has no token.")
        processors, names, _ = self.text.built(self.text.recipe)
        # What a step remembers follows from all tokens before: then no part is looked at alone.
        self._remembers = any(processor.remembers_probabilities for processor in processors)
        if self._watched is not None and not self._remembers:
            self.text, self._watched = self.text.only(self._watched), None
        steps = self.text.recipe.steps
        later = sum(s.enabled and not s.neutral for s in steps[setting.step : -1])
        self._first = len(names) - later
        self._fates(setting.value, None)  # raises where the recipe itself cannot be followed
        self.values = [setting.value]
        self.fates = [np.full(len(self._watched or self.text.path), SAME)]
        if each:
            for value in _grid(setting):
                self.at(value)
        edges = [self._edge(-1, setting.low), self._edge(1, setting.high)]
        return SettingSlack(
            setting=setting.name,
            step=setting.step,
            value=setting.value,
            text=SettingRange(
                low=edges[0][0], high=edges[1][0], below=edges[0][1], above=edges[1][1]
            ),
            tokens=self._tokens() if each else [],
        )

    def at(self, value: float) -> Fates:
        """What becomes of every token with the setting at this value."""
        at = bisect_left(self.values, value)
        if at < len(self.values) and self.values[at] == value:
            return self.fates[at]
        fates = self._fates(value, None)
        self.values.insert(at, value)
        self.fates.insert(at, fates)
        self._suspect(fates != SAME)
        return fates

    def stays(self, value: float) -> bool:
        """Whether every token surely stays as it is."""
        at = bisect_left(self.values, value)
        if at < len(self.values) and self.values[at] == value:
            return not bool((self.fates[at] != SAME).any())
        if self._suspects and (self._fates(value, tuple(self._suspects)) != SAME).any():
            return False
        return not bool((self.at(value) != SAME).any())

    def may_stay(self, value: float) -> bool:
        """Whether no token surely changes, of those that did at other values where some did."""
        if not self._suspects:
            return not bool((self.at(value) == OTHER).any())
        return not bool((self._fates(value, tuple(self._suspects)) == OTHER).any())

    def _suspect(self, changed: NDArray[np.bool_]) -> None:
        self._suspects = list(map(int, changed.nonzero()[0][:_SUSPECTS])) or self._suspects

    def _fates(self, value: float, which: tuple[int, ...] | None) -> Fates:
        """What becomes of the tokens with these numbers, or of all that are watched."""
        if not self._remembers:
            return self._applied(value, which)
        fates = self._applied(value, None)
        fates = fates if self._watched is None else fates[list(self._watched)]
        return fates if which is None else fates[list(which)]

    def _applied(self, value: float, which: tuple[int, ...] | None) -> Fates:
        recipe = self._recipe(value)
        text, left = self._left(which)
        try:
            processors, names, search = text.built(recipe)
        except RecipeError:  # what the setting's bounds allow is refused all the same
            return np.full(len(text.path), OTHER)
        # The steps before this one leave what they left at every other of its values.
        first = self._first
        try:
            scores = text.applied(left, processors[first:], names[first:], text.rows)
        except Unknown:
            if value == self.setting.value:
                raise
            return np.full(len(text.path), UNTOLD)
        return text.outcomes(scores, search).fates

    def _left(self, which: tuple[int, ...] | None) -> tuple[RecordedText, Bounded]:
        """The tokens of these numbers, or all, and what the steps before this one leave them."""
        key = which or ()
        if key not in self._parts:
            if len(self._parts) > _KEPT:
                self._parts = {k: v for k, v in self._parts.items() if not k}
            text = self.text if which is None else self.text.only(which)
            processors, names, _ = text.built(text.recipe)
            first = self._first
            left = text.applied(text.known(), processors[:first], names[:first], text.rows)
            self._parts[key] = text, left
        return self._parts[key]

    def _recipe(self, value: float) -> Recipe:
        steps = list(self.text.recipe.steps)
        step = steps[self.setting.step]
        told = int(value) if self.setting.whole else value
        params = step.params.model_copy(update={self.setting.field: told})
        steps[self.setting.step] = RecipeStep(step.strategy, params)
        return Recipe(tuple(steps))

    def _edge(self, side: int, limit: float) -> tuple[float, float | None]:
        """To one side, the last value known to leave the text, and the first known to change it."""
        inner = own = self.setting.value
        tried = [v for v in _grid(self.setting) if (v - own) * side > 0][::side]
        outer = None
        for value in tried:
            if not self.stays(value):
                outer = value
                break
            inner = value
        if outer is None:
            return inner, None
        beyond = [v for v in tried if (v - outer) * side >= 0]
        inner, outer = self._halved(inner, outer, self.stays)
        changed = next((v for v in [outer, *beyond] if not self.may_stay(v)), None)
        if changed is not None:
            _, changed = self._halved(inner, changed, self.may_stay)
        return inner, changed

    def _halved(
        self, inner: float, outer: float, holds: Callable[[float], bool]
    ) -> tuple[float, float]:
        """The gap between two values, of which ``holds`` at the first alone, made small."""
        for _ in range(_HALVINGS):
            middle = (inner + outer) / 2
            if self.setting.whole:
                middle = float(math.floor(middle))
            if middle in (inner, outer) or abs(outer - inner) < 1e-6 * max(1.0, abs(inner)):
                break
            inner, outer = (middle, outer) if holds(middle) else (inner, middle)
        return inner, outer

    def _tokens(self) -> list[SettingRange]:
        fates = np.stack(self.fates)
        own = self.values.index(self.setting.value)
        return [_range(self.values, fates[:, at], own) for at in range(fates.shape[1])]


def _range(values: Sequence[float], fates: Fates, own: int) -> SettingRange:
    """The values around the one at ``own`` that leave a token, and the next that change it."""
    low = high = own
    while low > 0 and fates[low - 1] == SAME:
        low -= 1
    while high < len(values) - 1 and fates[high + 1] == SAME:
        high += 1
    below = next((values[at] for at in range(low, -1, -1) if fates[at] == OTHER), None)
    above = next((values[at] for at in range(high, len(values)) if fates[at] == OTHER), None)
    return SettingRange(low=values[low], high=values[high], below=below, above=above)


def _grid(setting: _Setting) -> list[float]:
    """Values over the usual range, then to both limits, further apart the farther."""
    low, high = setting.usual
    within = np.linspace(low, high, _TRIED)
    under = low - (low - setting.low) * np.linspace(0, 1, _TRIED // 2) ** 2
    over = high + (setting.high - high) * np.linspace(0, 1, _TRIED // 2) ** 2
    near = setting.value + (high - low) * np.array([-0.02, -0.005, 0.005, 0.02])
    values = np.clip(np.concatenate([within, under, over, near]), setting.low, setting.high)
    return sorted({float(round(v)) if setting.whole else float(v) for v in values})
