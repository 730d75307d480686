"""The server's log of its runs: a line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, get_args

from playground.engine import Busy, FieldError, Observer, Request, Run
from playground.engine.request import ScoreRequest
from playground.redaction import redact, trace
from playground.service import Service
from strategies.recipe import Recipe, RecipeStep

log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: its message, and the fields that ``extra`` has for it.

    Messages of exceptions, which quote visitors, are written only where ``prompts`` says so.
    """

    def __init__(self, prompts: bool = False) -> None:
        super().__init__()
        self.prompts = prompts

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = self.formatException(record.exc_info) if self.prompts else trace(error)
            line["trace"] = text
        elif record.exc_text:
            line["trace"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)


class RunLog(Observer):
    """Logs the life of each run; texts of visitors only where ``prompts`` says so."""

    def __init__(self, prompts: bool = False) -> None:
        self.prompts = prompts

    def submitted(self, run: Run) -> None:
        request = run.request
        more = {"batch": run.batch} if run.batch != run.id else {}
        _write(
            "submitted",
            run=run.id,
            **more,
            model=run.facts.id,
            recipes=[self._recipe(recipe) for recipe in request.recipes],
            prompt_tokens=len(run.prompt_tokens),
            max_new_tokens=request.max_new_tokens,
            **self._prompt(request),
        )

    def refused(self, request: Request | ScoreRequest, error: FieldError | Busy) -> None:
        _write(
            "refused",
            why="busy" if isinstance(error, Busy) else error.field,
            recipes=[self._recipe(recipe) for recipe in request.recipes],
            prompt_characters=len(request.prompt),
            **self._prompt(request),
            **self._message("message", error.message),
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
                    **self._message("error", lane.error),
                }
                for lane in run.views
            ],
            first_token_s=None if first is None else round(first, 4),
            total_s=round(perf_counter() - run.submitted, 4),
        )

    def _prompt(self, request: Request | ScoreRequest) -> dict[str, str]:
        return {"prompt": request.prompt} if self.prompts else {}

    def _message(self, name: str, sentence: str | None) -> dict[str, str]:
        """An error sentence, which may quote the visitor."""
        return {name: sentence} if self.prompts and sentence is not None else {}

    def _recipe(self, recipe: Recipe) -> str:
        """The recipe's written form, with ``…`` for texts, lists and schemas: a visitor's words."""
        if self.prompts:
            return str(recipe)
        return " | ".join(str(_without_texts(step)) for step in recipe.steps)


def keep(service: Service) -> None:
    """Log this service's runs, and the records of libraries, on standard error from now on."""
    prompts = service.settings.log_prompts
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(prompts))
    ours = logging.getLogger("playground")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    if not logging.getLogger().handlers:  # else another program has set up its own
        logging.getLogger().addHandler(handler)
    if not prompts:
        redact()
    service.observers.all.append(RunLog(prompts))


def _without_texts(step: RecipeStep) -> RecipeStep:
    """The step with ``…`` for each value that a visitor may have written in words."""
    hidden = {
        name: "…"
        for name, field in type(step.params).model_fields.items()
        if _may_hold_text(getattr(step.params, name), field.annotation)
        if getattr(step.params, name) != field.get_default(call_default_factory=True)
    }
    return replace(step, params=step.params.model_copy(update=hidden))


def _may_hold_text(value: Any, annotation: Any) -> bool:
    """Whether a value may be a visitor's text: it is neither a number nor of a fixed choice."""
    if isinstance(value, str):
        return annotation is str or any(_may_hold_text(value, a) for a in get_args(annotation))
    return not isinstance(value, int | float | None)


def _write(event: str, **fields: Any) -> None:
    log.info(event, extra={"fields": fields})
