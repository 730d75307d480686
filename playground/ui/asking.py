"""The form of an experiment: what was typed becomes its fields, or sentences beside the fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.engine import Busy
from playground.errors import ModelError
from playground.experiment.experiment import DEFAULT_METRICS, ExperimentError
from playground.experiment.prompts import SETS, PromptsError, from_text, prompt_set
from playground.experiment.registry import metrics
from playground.service import Service
from playground.ui import event_errors
from playground.ui.limits import fault
from playground.ui.visitor import counted
from strategies import Recipe
from strategies.notation import RecipeError

Answer = dict[str, Any]
LONGEST = 4_000_000  # characters of prompts; what the page sends is bounded besides
_SPAN = re.compile(
    r"\s*(?P<start>-?[\d.]+)\s*(?:\.\.\.?|…|\u2013|to)\s*(?P<stop>-?[\d.]+)"
    r"\s*(?:(?:by|step)\s*(?P<step>[\d.]+)|in\s*(?P<many>\d+))\s*"
)


class SweptSetting(BaseModel):
    """A setting of the swept recipe and the values it takes, as they were typed."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field("", max_length=200)
    values: str = Field("", max_length=4000)


class Form(BaseModel):
    """The form as it was typed; recipes are in their written form."""

    model_config = ConfigDict(extra="ignore")

    question: str = Field("", max_length=500)
    prompts: str = Field("", max_length=LONGEST)
    form: str = "auto"
    sets: list[str] = Field(default_factory=list, max_length=len(SETS))
    first: str = ""  # of each set; all where empty
    columns: list[str] = Field(default_factory=list, max_length=64)
    names: list[str] = Field(default_factory=list, max_length=64)
    recipes: str = Field("", max_length=100_000)
    swept: str = Field("", max_length=10_000)
    settings: list[SweptSetting] = Field(default_factory=list, max_length=12)
    kind: str = "grid"
    seeds: str = "4"
    tokens: str = "64"
    chat: bool = False
    metrics: list[Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=list, max_length=60
    )
    more: str = Field("", max_length=20_000)
    model: str | None = Field(None, max_length=300)


@dataclass(frozen=True)
class Asking:
    """Answers the form's element: ``check`` while it is typed, ``begin`` where Run is pressed."""

    service: Service

    @property
    def functions(self) -> list[Callable[..., Any]]:
        def check(sent: Any) -> Answer:
            return self._answered(sent, self.check)

        def begin(sent: Any, request: gr.Request) -> Answer:
            return self._answered(sent, lambda form: self.begin(form, request))

        return [check, begin]

    def check(self, form: Form) -> Answer:
        """How many texts it would be, what is wrong, and what may be swept."""
        known: Answer = {"settings": _settings(form.swept)}
        given, faults = fields(form)
        if faults:
            return known | {"faults": faults}
        asked = self.service.jobs.checked(given)
        return known | {
            "counts": {
                "prompts": len(asked.prompts),
                "recipes": len(asked.recipes),
                "seeds": len(asked.seeds),
                "texts": asked.cells,
            },
            "checked": sum(prompt.expected is not None for prompt in asked.prompts),
        }

    def begin(self, form: Form, request: gr.Request) -> Answer:
        given, faults = fields(form)
        if faults:
            return {"faults": faults}
        return {"id": self.service.jobs.submit(given, counted(request, self.service)).id}

    def _answered(self, sent: Any, act: Callable[[Form], Answer]) -> Answer:
        try:
            form = Form.model_validate(sent)
        except ValidationError as error:
            return {"faults": {"": str(fault(error))}}
        try:
            return act(form)
        except ExperimentError as error:
            return {"faults": {place(error.field): str(error)}, "settings": _settings(form.swept)}
        except ModelError as error:
            return {"faults": {"": str(error)}}
        except Busy as error:
            return {"faults": {"": error.message}}
        except Exception as error:
            return {"faults": {"": event_errors.sentence(error)}}


def options() -> dict[str, Any]:
    """What the form offers, for its element."""
    found = []
    for id, metric in metrics().metrics.items():
        info = metric.info
        found.append(
            {
                "id": id,
                "title": info.title,
                "summary": info.summary,
                "expects": info.expects,
                "usual": id in DEFAULT_METRICS,
                "settings": ", ".join(metric.Params.model_fields),
            }
        )
    return {"metrics": found, "sets": list(SETS)}


def place(field: str) -> str:
    """The part of the form beside which a fault of this field stands."""
    name = field.partition(".")[0]
    names = {"prompts", "recipes", "sweep", "seeds", "metrics", "question"}
    return {"max_new_tokens": "tokens", "names": "recipes"}.get(name, name if name in names else "")


def fields(form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of an experiment's file, and a sentence for each part of the form at fault."""
    faults: dict[str, str] = {}

    def read(name: str, reader: Callable[[], Any]) -> Any:
        try:
            return reader()
        except (PromptsError, RecipeError, ValueError) as error:
            faults[name] = str(error)
            return None

    given = {
        "question": form.question.strip(),
        "prompts": read("prompts", lambda: _prompts(form)),
        "recipes": read("recipes", lambda: _recipes(form)),
        "seeds": read("seeds", lambda: _seeds(form.seeds)),
        "max_new_tokens": read("tokens", lambda: _whole("Longest text", form.tokens)),
        "metrics": [*form.metrics, *(one for one in form.more.splitlines() if one.strip())],
        "chat": form.chat,
        "model": form.model or None,
    }
    swept = [one for one in form.settings if one.name and one.values.strip()]
    if swept:
        given["sweep"] = read("sweep", lambda: _sweep(form, swept))
    elif not given["recipes"] and "recipes" not in faults:
        faults["recipes"] = "Take the columns, write a recipe, or sweep one."
    if not given["metrics"]:
        faults["metrics"] = "Choose at least one."
    if given["recipes"] and not faults:
        known = {str(Recipe.of(one)) for one in given["recipes"]}
        pairs = zip(form.columns, form.names, strict=False)
        named = {str(Recipe.of(recipe)): name for recipe, name in pairs if name}
        given["names"] = {recipe: name for recipe, name in named.items() if recipe in known}
    return given, faults


def _prompts(form: Form) -> list[dict[str, Any]]:
    found = from_text(form.prompts, form.form) if form.prompts.strip() else []
    first = _whole("So many of each set", form.first) if form.first.strip() else None
    for name in form.sets:
        found += prompt_set(name)[:first]
    if not found:
        raise ValueError("Type a prompt, open a file, or choose a set.")
    return [prompt.model_dump() for prompt in found]


def _recipes(form: Form) -> list[str]:
    """The columns and those that were typed, each once."""
    typed = [line.strip() for line in form.recipes.splitlines() if line.strip()]
    return list(dict.fromkeys(str(Recipe.of(one)) for one in [*form.columns, *typed]))


def _seeds(typed: str) -> int | list[int]:
    """So many, or these where there are commas: "8", or "1, 5, 7"."""
    if "," in typed:
        return [_whole("A seed", one) for one in typed.split(",") if one.strip()]
    return _whole("Seeds", typed)


def _sweep(form: Form, swept: list[SweptSetting]) -> dict[str, Any]:
    if not form.swept.strip():
        raise ValueError("Say which recipe's settings are swept.")
    names = [one.name for one in swept]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is swept twice.")
    return {
        "recipe": form.swept,
        "values": {one.name: _values(one.values) for one in swept},
        "as": form.kind,
    }


def _values(typed: str) -> Any:
    """Values as they are typed: "0.7, 0.9", "0.5 to 1.5 by 0.25", "0.5 to 1.5 in 5", or JSON."""
    span = _SPAN.fullmatch(typed)
    if span is not None:
        named = span.groupdict()
        found: dict[str, Any] = {"from": float(named["start"]), "to": float(named["stop"])}
        if named["step"]:
            return found | {"step": float(named["step"])}
        return found | {"many": int(named["many"])}
    text = typed.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            found_list = json.loads(text)
        except ValueError:
            raise ValueError(f"{text[:60]} is no JSON list.") from None
        return found_list
    return [_value(one.strip()) for one in text.split(",") if one.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _whole(name: str, typed: str) -> int:
    text = typed.strip()
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValueError(f"{name} is a whole number, but {text[:40]!r} was given.")
    return int(text)


def _settings(written: str) -> list[Answer]:
    """The settings of a recipe that may be swept, each with its value and what is allowed."""
    try:
        recipe = Recipe.of(written)
    except RecipeError:
        return []
    found = []
    for step in recipe.steps:
        schemas = type(step.params).model_json_schema().get("properties", {})
        for name in type(step.params).model_fields:
            found.append(
                {
                    "name": f"{step.strategy}.{name}",
                    "value": json.dumps(getattr(step.params, name), default=str),
                    "about": str(schemas.get(name, {}).get("description", "")),
                }
            )
    return found
