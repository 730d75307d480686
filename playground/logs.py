"""What the server writes down of its runs: a line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from playground.engine import Busy, FieldError, Observer, Request, Run
from playground.redaction import redact, trace
from playground.service import Service
from strategies.recipe import Recipe, RecipeStep

log = logging.getLogger(__name__)


class Lines(logging.Formatter):
    """A record as one line of JSON: what ``extra`` names ``told``, else its message.

    Exceptions quote visitors: their messages are written only where ``prompts`` may be.
    """

    def __init__(self, prompts: bool = False) -> None:
        super().__init__()
        self.prompts = prompts

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            told = self.formatException(record.exc_info) if self.prompts else trace(error)
            line["trace"] = told
        elif record.exc_text:
            line["trace"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)


class Journal(Observer):
    """Writes down what becomes of runs; their prompts only where ``prompts`` says so."""

    def __init__(self, prompts: bool = False) -> None:
        self.prompts = prompts

    def submitted(self, run: Run) -> None:
        asked = run.request
        more = {"batch": run.batch} if run.batch != run.id else {}
        _write(
            "submitted",
            run=run.id,
            **more,
            model=run.facts.id,
            recipes=[self._recipe(recipe) for recipe in asked.recipes],
            prompt_tokens=len(run.prompt_tokens),
            max_new_tokens=asked.max_new_tokens,
            **self._prompt(asked),
        )

    def refused(self, request: Request, error: FieldError | Busy) -> None:
        _write(
            "refused",
            why="busy" if isinstance(error, Busy) else error.field,
            recipes=[self._recipe(recipe) for recipe in request.recipes],
            prompt_characters=len(request.prompt),
            **self._prompt(request),
            **self._said("message", error.message),
        )

    def started(self, run: Run) -> None:
        _write("started", run=run.id, model=run.facts.id, queued_s=round(run.queued, 4))

    def ended(self, run: Run) -> None:
        first = run.first_token
        _write(
            "ended",
            run=run.id,
            model=run.facts.id,
            outcome=run.outcome,
            lanes=[
                {
                    "recipe": self._recipe(lane.recipe),
                    "finish_reason": lane.finish_reason,
                    "tokens": len(lane.steps),
                    **self._said("error", lane.error),
                }
                for lane in run.views
            ],
            first_token_s=None if first is None else round(first, 4),
            total_s=round(perf_counter() - run.submitted, 4),
        )

    def _prompt(self, request: Request) -> dict[str, str]:
        return {"prompt": request.prompt} if self.prompts else {}

    def _said(self, name: str, sentence: str | None) -> dict[str, str]:
        """What a visitor was told may quote the visitor."""
        return {name: sentence} if self.prompts and sentence is not None else {}

    def _recipe(self, recipe: Recipe) -> str:
        """Its written form, without the words, schemas and picks in it, as they are a visitor's."""
        if self.prompts:
            return str(recipe)
        return " | ".join(str(_silent(step)) for step in recipe.steps)


def keep(service: Service) -> None:
    """Write down this service's runs, and whatever else is logged, from now on."""
    prompts = service.settings.log_prompts
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(prompts))
    whole = logging.getLogger("playground")
    whole.handlers, whole.propagate = [handler], False
    whole.setLevel(logging.INFO)
    if not logging.getLogger().handlers:  # else whoever set them up reads them
        logging.getLogger().addHandler(handler)
    if not prompts:
        redact()
    service.observers.all.append(Journal(prompts))


def _silent(step: RecipeStep) -> RecipeStep:
    hidden = {
        name: "…"
        for name, field in type(step.params).model_fields.items()
        if field.annotation is str or isinstance(getattr(step.params, name), tuple | list | Mapping)
        if getattr(step.params, name) != field.get_default(call_default_factory=True)
    }
    return replace(step, params=step.params.model_copy(update=hidden))


def _write(event: str, **told: Any) -> None:
    log.info(event, extra={"told": told})
