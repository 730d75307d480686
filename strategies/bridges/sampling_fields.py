"""A recipe from the sampling fields of a request, as a dialect means them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..notation import RecipeError, quote, shorten
from ..recipe import Recipe
from .dialects import (
    DIALECTS,
    FIRST,
    LAST,
    LETTERS,
    ORDERS,
    PENALTIES,
    SETTINGS,
    STEP_NAMES,
    STRUCTURES,
    TEMPERATURES,
    WINDOWS,
    Dialect,
    DialectName,
    window_of,
)
from .field_kinds import SettingError, check

Fields = Mapping[str, Any]

# Fields of strategies that are no setting by themselves.
_ALSO = {
    "constrained": ("response_format", "structured_outputs"),
    "logit_bias": ("logit_bias", "banned_tokens", "custom_token_bans"),
    "bad_words": ("banned_tokens", "custom_token_bans"),
    "contrastive": ("penalty_alpha",),
}


def recipe(
    sent: Fields, name: DialectName | Dialect = "openai", own: Fields | None = None
) -> Recipe:
    """The recipe that the fields of a request ask for; ``SettingError`` names one that cannot be.

    Fields that are null or not of ``SETTINGS`` and ``OTHERS`` are left alone. Steps that change
    nothing are left out. ``own`` is what the model's own ``generation_config`` sets.
    """
    dialect = name if isinstance(name, Dialect) else DIALECTS[name]
    given = {name: value for name, value in sent.items() if value is not None}
    check(given)
    fields = {name: own[name] for name in dialect.of_the_model if own and name in own} | given
    steps = _Steps(dialect)
    for field_name, setting in SETTINGS.items():
        if field_name in fields:
            value = setting.read(fields[field_name])
            if setting.name == "json_schema" and not isinstance(value, str):
                value = json.dumps(value)
            steps.set(setting.strategy, setting.name, value, field_name)
    _penalties(steps, fields, dialect)
    _bans(steps, fields)
    _structure(steps, fields)
    _low_temperature(steps, dialect)
    _temperatures(steps, fields)
    _mirostat(steps, fields, dialect)
    for cutoff in ("epsilon_cutoff", "eta_cutoff"):
        if cutoff in fields:
            steps.settings[cutoff]["epsilon"] = round(fields[cutoff] * dialect.cutoff_unit, 12)
    if not steps.settings.get("adaptive_p", {}).get("target"):  # 0 and below are its "off"
        steps.settings.pop("adaptive_p", None)
    order = _order(fields, dialect)
    search = _search(steps, given, order)
    listed = [
        {"strategy": strategy, "params": steps.settings[strategy]}
        for strategy in order
        if strategy in steps.settings
    ]
    try:
        made = Recipe.from_steps([*listed, search])
    except RecipeError as error:
        at = error.step or 0
        strategy = str([*listed, search][at]["strategy"])
        field_name = steps.fields.get((strategy, error.field or ""), strategy)
        sentence = str(error).partition(": ")[2] or str(error)
        named = sentence if sentence.startswith(f"{field_name} ") else f"{field_name}: {sentence}"
        raise SettingError(field_name, named) from error
    return Recipe(tuple(step for step in made.steps[:-1] if not step.neutral) + made.steps[-1:])


class _Steps:
    """Settings by strategy, and which field each is from."""

    def __init__(self, dialect: Dialect) -> None:
        self.settings = {name: dict(given) for name, given in dialect.defaults.items()}
        self.fields: dict[tuple[str, str], str] = {}

    def set(self, strategy: str, setting: str, value: Any, field: str) -> None:
        self.settings.setdefault(strategy, {})[setting] = value
        self.fields[strategy, setting] = field


def field_of(strategy: str, sent: Fields) -> str | None:
    """The field that was sent for a strategy, where a model turns out not to be able to run it."""
    names = [name for name, setting in SETTINGS.items() if setting.strategy == strategy]
    names += _ALSO.get(strategy, ())
    return next((name for name in names if sent.get(name) is not None), None)


def _penalties(steps: _Steps, fields: Fields, dialect: Dialect) -> None:
    """What the penalties look at."""
    sent = next((name for name in WINDOWS if name in fields), None)
    window = dialect.window if sent is None else fields[sent]
    if dialect.zero_is_off and window == 0:  # -1 is the whole context
        for strategy in PENALTIES:
            steps.settings.pop(strategy, None)
    for strategy in PENALTIES:
        if strategy in steps.settings:
            steps.set(strategy, "window", window_of(window), sent or strategy)
            if strategy != "repetition_penalty":
                steps.settings[strategy]["prompt"] = dialect.prompt_counts
    if dialect.window_for_dry and "dry" in steps.settings:
        steps.set("dry", "window", window, sent or "dry_multiplier")
    if dialect.zero_is_off and fields.get("dry_penalty_last_n") == 0:
        steps.settings.pop("dry", None)


def _bans(steps: _Steps, fields: Fields) -> None:
    """Tokens made likelier, less likely, or all but impossible."""
    bias: dict[str, Any] = {}
    given = fields.get("logit_bias", {})
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        for token, amount in pairs:
            bias[str(token)] = -100.0 if amount is False else amount
    except (TypeError, ValueError):
        raise SettingError(
            "logit_bias",
            "logit_bias must be an object of amounts by token, or a list of such pairs, but "
            f"{shorten(quote(given))} was given.",
        ) from None
    words: list[Any] = []
    named = "banned_tokens"
    for name in ("banned_tokens", "custom_token_bans"):
        listed = fields.get(name, [])
        if isinstance(listed, str):
            listed = [part.strip() for part in listed.split(",") if part.strip()]
            listed = [int(part) if part.isdecimal() else part for part in listed]
        if not isinstance(listed, Sequence):
            raise SettingError(
                name, f"{name} must be a list, but {shorten(quote(listed))} was given."
            )
        bias.update({str(token): -100.0 for token in listed if isinstance(token, int)})
        texts = [token for token in listed if not isinstance(token, int)]
        words += texts
        named = name if texts else named
    if bias:
        steps.set("logit_bias", "bias", bias, "logit_bias")
    if words:
        own = steps.settings.get("bad_words", {}).get("words", [])
        if isinstance(own, str | list):
            own = [own] if isinstance(own, str) else own
            steps.set("bad_words", "words", [*own, *words], named)


def _structure(steps: _Steps, fields: Fields) -> None:
    """The forms in which OpenAI and vLLM ask for JSON, or for a text of a certain form."""
    if "response_format" in fields:
        asked = fields["response_format"]
        kind = asked.get("type") if isinstance(asked, Mapping) else asked
        if kind not in ("text", "json_object", "json_schema"):
            raise SettingError(
                "response_format",
                "The type of response_format must be text, json_object or json_schema, but "
                f"{shorten(quote(kind))} was given.",
            )
        if kind != "text":
            schema = _schema(asked, kind)
            steps.set("constrained", "json_schema", json.dumps(schema), "response_format")
    given = fields.get("structured_outputs", {})
    for name, setting in STRUCTURES.items():
        value = given.get(name)
        if name == "json_object":
            value = {"type": "object"} if value else None
        if value is not None:
            if setting == "json_schema" and not isinstance(value, str):
                value = json.dumps(value)
            steps.set("constrained", setting, value, "structured_outputs")


def _schema(asked: Any, kind: str) -> Any:
    """The JSON schema of a ``response_format``, which llama.cpp puts beside its type."""
    given = asked if isinstance(asked, Mapping) else {}
    if kind == "json_object":
        return given.get("schema", {"type": "object"})
    inner = given.get("json_schema")
    return inner.get("schema", inner) if isinstance(inner, Mapping) else given.get("schema", inner)


def _low_temperature(steps: _Steps, dialect: Dialect) -> None:
    """A temperature at which a program takes the likeliest token is 0 here."""
    set_to = steps.settings.get("temperature", {})
    value = set_to.get("temperature")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if 0 <= value <= dialect.greedy_below or (value < 0 and dialect.negative_is_greedy):
        set_to["temperature"] = 0
    elif 0 < value < dialect.least_temperature:
        set_to["temperature"] = dialect.least_temperature


def _temperatures(steps: _Steps, fields: Fields) -> None:
    """A temperature that moves with the entropy takes the place of the fixed one."""
    spread, low, high = (fields.get(f"dynatemp_{name}") for name in ("range", "low", "high"))
    exponent = fields.get("dynatemp_exponent", 1.0)
    if spread is not None and spread > 0:  # llama.cpp
        middle = steps.settings.get("temperature", {}).get("temperature", 1.0)
        if isinstance(middle, bool) or not isinstance(middle, int | float):
            told = f"temperature must be a number, but {shorten(quote(middle))} was given."
            raise SettingError("temperature", told)
        low, high = round(max(0.0, middle - spread), 12), round(middle + spread, 12)
    elif not fields.get("dynamic_temperature"):
        return
    for name, value in (("low", low), ("high", high)):
        sent = "dynatemp_range" if spread else f"dynatemp_{name}"
        steps.set("dynamic_temperature", name, 1.0 if value is None else value, sent)
    steps.set("dynamic_temperature", "exponent", exponent, "dynatemp_exponent")
    steps.settings.pop("temperature", None)


def _mirostat(steps: _Steps, fields: Fields, dialect: Dialect) -> None:
    name = "mirostat" if "mirostat" in fields else "mirostat_mode"
    mode = fields.get(name, 0)
    if mode not in (0, 2):
        raise SettingError(name, f"{name} must be 0 or 2, but {shorten(quote(mode))} was given.")
    if mode == 0:
        steps.settings.pop("mirostat_v2", None)
        return
    steps.settings.setdefault("mirostat_v2", {})
    if dialect.mirostat_alone:
        kept = {*FIRST, *TEMPERATURES, "mirostat_v2"}
        for strategy in steps.settings.keys() - kept:
            del steps.settings[strategy]


def _search(steps: _Steps, fields: Fields, order: Sequence[str]) -> dict[str, Any]:
    """Who chooses: greedily at temperature 0 or without sampling, else at random."""
    alpha = fields.get("penalty_alpha", 0)
    if alpha > 0:
        top_k = steps.settings.pop("top_k", {}).get("top_k", 0) if "top_k" in fields else 0
        steps.fields["contrastive", "penalty_alpha"] = "penalty_alpha"
        steps.fields["contrastive", "top_k"] = "top_k"
        params = {"penalty_alpha": alpha, **({"top_k": top_k} if top_k else {})}
        return {"strategy": "contrastive", "params": params}
    temperature = steps.settings.get("temperature", {}).get("temperature")
    if "temperature" not in order:  # an order that was sent leaves it out, and with it its 0
        temperature = None
    if fields.get("do_sample") is False or (temperature == 0 and temperature is not False):
        for strategy in TEMPERATURES:
            steps.settings.pop(strategy, None)
        return {"strategy": "greedy"}
    return {"strategy": "sample"}


def _order(fields: Fields, dialect: Dialect) -> list[str]:
    """Strategies from the first to the last."""
    usual = list(dialect.order)
    name = next((name for name in ORDERS if name in fields), None)
    if name is not None:
        given = fields[name]
        if isinstance(given, str):
            given = _named(given, dialect)
        if not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
            raise SettingError(
                name, f"{name} must be a list of names, but {shorten(quote(given))} was given."
            )
        listed = [step for one in given for step in STEP_NAMES.get(one, (one,))]
        asked = [step for step in dict.fromkeys(listed) if step in usual]
        rest = [step for step in usual if step not in asked]
        unlisted = "drop" if name == "samplers" else dialect.unlisted
        usual = {
            "follow": [*asked, *rest],
            "lead": [*rest, *asked],
            "drop": asked,
        }[unlisted]
    if fields.get("temperature_last"):
        usual.sort(key=lambda step: step in TEMPERATURES)
    usual.sort(key=lambda step: step in LAST)
    return [*FIRST, *usual]


def _named(order: str, dialect: Dialect) -> list[str]:
    """An order that was sent as one text: names with something between, or a letter for each."""
    names = [part.strip() for part in re.split(r"[,;\n]", order) if part.strip()]
    if dialect.letters and len(names) == 1 and names[0] not in {*LETTERS.values(), *STEP_NAMES}:
        return [LETTERS[letter] for letter in order if letter in LETTERS]
    return names
