"""The range of each parameter in which a finished text, or a token of it, stays the same."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.explain.replay.known import NotRecorded
from playground.explain.replay.outcome import OPEN, OTHER, SAME, RecordedText, sentence
from playground.trace.changes import SettingRange, SettingSlack
from strategies import RecipeError, RecipeStep
from strategies.ops.bounded import Bounded, Unknown
from strategies.params import schemas_of

_TRIED = 16  # values of a setting over its usual range, and half as many beyond
_HALVINGS = 14  # of the gap in which a text first changes
_SUSPECTS = 12  # tokens that are tried before all others
_KEPT = 8  # groups of such tokens whose scores are kept

Fates = NDArray[np.int64]


def slack(text: RecordedText) -> dict[str, SettingSlack]:
    """The ranges of the text and of each token, by ``strategy.parameter`` of its recipe.

    Empty for a recipe without a numeric parameter.
    """
    return {setting.name: _slack(text, setting, each=True) for setting in _settings(text)}


def text_slack(text: RecordedText, only: str = "") -> dict[str, SettingSlack]:
    """The ranges of the whole text alone, which are many times as fast to find.

    ``only`` names one parameter; all of them without it.
    """
    return {
        setting.name: _slack(text, setting, each=False)
        for setting in _settings(text)
        if only in ("", setting.name)
    }


def token_slack(text: RecordedText, index: int, only: str = "") -> dict[str, SettingSlack]:
    """The range of each parameter, or of ``only`` one, in which this one token stays.

    The tokens before it are given.
    """
    return {
        setting.name: _slack(text, setting, each=False, watched=[index])
        for setting in _settings(text)
        if only in ("", setting.name)
    }


@dataclass(frozen=True)
class _Setting:
    """A numeric parameter of a recipe: its step, its field, and the values it may have."""

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
        for field, schema in schemas_of(step.plugin.Params).items():
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
    """The range of one setting in which all tokens stay, or the ``watched`` ones alone."""
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
    """The fates of the tokens at each value of one parameter that was tried, in rising order.

    One token that changes is enough to know that the text does. So the suspects are tried first:
    the tokens that changed at other values, and before any did those whose choice was
    the closest.
    """

    def __init__(
        self, text: RecordedText, setting: _Setting, watched: Sequence[int] | None = None
    ) -> None:
        self.text, self.setting = text, setting
        self._grid = _grid(setting)
        self._watched = watched
        self.values: list[float] = []
        self.fates: list[Fates] = []
        self._first = 0
        self._parts: dict[tuple[int, ...], tuple[RecordedText, Bounded]] = {}
        self._suspects: list[int] = []

    def slack(self, each: bool) -> SettingSlack:
        setting = self.setting
        if not self.text.path:
            raise Unknown("the text has no token.")
        _, running, search = self.text.built(self.text.recipe.steps)
        # What a step remembers follows from all tokens before, so no part can be tried alone.
        remembers = self.text.remembers
        if self._watched is not None and not remembers:
            self.text, self._watched = self.text.only(self._watched), None
        steps = self.text.recipe.steps
        later = sum(s.enabled and not s.neutral for s in steps[setting.step : -1])
        self._first = len(running) - later
        # Raises ``Unknown`` where the trace does not determine the recipe's own text.
        left = self.text.left(len(running))
        self.values = [setting.value]
        self.fates = [np.full(len(self._watched or self.text.path), SAME)]
        if not remembers and len(self.text.path) > _SUSPECTS:
            margins = self.text.outcomes(left, search).margins
            self._suspects = margins.argsort(kind="stable")[:_SUSPECTS].tolist()
        if each:
            for value in self._grid:
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
        """The fate of every token with the setting at this value."""
        at = bisect_left(self.values, value)
        if at < len(self.values) and self.values[at] == value:
            return self.fates[at]
        fates = self._fates(value, None)
        self.values.insert(at, value)
        self.fates.insert(at, fates)
        return fates

    def stays(self, value: float) -> bool:
        """Whether every token surely stays the same; tokens that do not become suspects."""
        if not self._suspects_stay(value):
            return False
        changed = (self.at(value) != SAME).nonzero()[0].tolist()
        if self._suspects:
            self._suspects = list(dict.fromkeys([*changed[:_SUSPECTS], *self._suspects]))
        return not changed

    def _suspects_stay(self, value: float) -> bool:
        return not bool((self._suspect_fates(value) != SAME).any())

    def may_stay(self, value: float) -> bool:
        """Whether no suspect surely changes."""
        return not bool((self._suspect_fates(value) == OTHER).any())

    def _suspect_fates(self, value: float) -> Fates:
        """The fates of the suspects, or of all tokens where there is no suspect."""
        if value in self.values or not self._suspects:
            return self.at(value)
        return self._fates(value, tuple(self._suspects))

    def _fates(self, value: float, which: tuple[int, ...] | None) -> Fates:
        """The fates of the tokens with these numbers, or of all that are watched."""
        fates = self._applied(value, which)
        return fates if self._watched is None else fates[list(self._watched)]

    def _applied(self, value: float, which: tuple[int, ...] | None) -> Fates:
        text, left = self._left(which)
        try:
            processors, steps, search = text.built(self._steps(value))
        except RecipeError:  # refused although the parameter's own bounds allow it
            return np.full(len(text.path), OTHER)
        # The scores before this step are the same at every value of its parameter.
        first = self._first
        try:
            scores = text.applied(left, processors[first:], steps[first:], text.rows)
        except Unknown:
            if value == self.setting.value:
                raise
            return np.full(len(text.path), OPEN)
        return text.outcomes(scores, search).fates

    def _left(self, which: tuple[int, ...] | None) -> tuple[RecordedText, Bounded]:
        """The tokens of these numbers, or all, and their scores before this setting's step."""
        if which is None:
            return self.text, self.text.left(self._first)
        if which not in self._parts:
            if len(self._parts) > _KEPT:
                self._parts.clear()
            text = self.text.only(which)
            self._parts[which] = text, text.left(self._first)
        return self._parts[which]

    def _steps(self, value: float) -> Sequence[RecipeStep]:
        """The recipe's steps with the setting at this value."""
        steps = list(self.text.recipe.steps)
        step = steps[self.setting.step]
        typed = int(value) if self.setting.whole else value
        params = step.params.model_copy(update={self.setting.field: typed})
        steps[self.setting.step] = RecipeStep(step.strategy, params)
        return steps

    def _edge(self, side: int, limit: float) -> tuple[float, float | None]:
        """To one side, the last value at which the text surely stays, and the first at which it
        surely changes.
        """
        inner = own = self.setting.value
        tried = [v for v in self._grid if (v - own) * side > 0][::side]
        outer = None
        for value in tried:
            if not self.stays(value):
                outer = value
                break
            inner = value
        if outer is None:
            return inner, None
        beyond = [v for v in tried if (v - outer) * side >= 0]
        last, after = self._halved(inner, outer, self._suspects_stay)
        while last != inner and not self.stays(last):  # there are more suspects now
            last, after = self._halved(inner, outer, self._suspects_stay)
        changed = next((v for v in [after, *beyond] if not self.may_stay(v)), None)
        if changed is not None:
            _, changed = self._halved(last, changed, self.may_stay)
        return last, changed

    def _halved(
        self, inner: float, outer: float, holds: Callable[[float], bool]
    ) -> tuple[float, float]:
        """The gap between two values, narrowed by bisection; ``holds`` at the first alone."""
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
    """The values around the one at ``own`` at which a token stays, and the next that change it."""
    low = high = own
    while low > 0 and fates[low - 1] == SAME:
        low -= 1
    while high < len(values) - 1 and fates[high + 1] == SAME:
        high += 1
    below = next((values[at] for at in range(low, -1, -1) if fates[at] == OTHER), None)
    above = next((values[at] for at in range(high, len(values)) if fates[at] == OTHER), None)
    return SettingRange(low=values[low], high=values[high], below=below, above=above)


def _grid(setting: _Setting) -> list[float]:
    """Values over the usual range, then to both limits, at growing distances."""
    low, high = setting.usual
    within = np.linspace(low, high, _TRIED)
    under = low - (low - setting.low) * np.linspace(0, 1, _TRIED // 2) ** 2
    over = high + (setting.high - high) * np.linspace(0, 1, _TRIED // 2) ** 2
    near = setting.value + (high - low) * np.array([-0.02, -0.005, 0.005, 0.02])
    values = np.clip(np.concatenate([within, under, over, near]), setting.low, setting.high)
    return sorted({float(round(v)) if setting.whole else float(v) for v in values})
