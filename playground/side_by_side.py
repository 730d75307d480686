"""One run whose columns are written by several models, each by its own engine, with the same luck.

The models have one vocabulary, so that a token is the same to both, and so is its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playground.engine import FieldError, Request, Run
from playground.engine.request import named_model
from playground.errors import ModelError
from playground.trace import LaneResult, ModelFacts

if TYPE_CHECKING:
    from playground.backends import Backend
    from playground.engine.lanes.view import View
    from playground.service import Service
    from strategies import Recipe


@dataclass(frozen=True)
class Part:
    """What one model writes: ``columns`` are the numbers of its lanes in the whole run."""

    run: Run
    columns: list[int]


class JointRun(Run):
    """The runs of several models as one. It ends when all of them have."""

    def __init__(self, request: Request, parts: Sequence[Part], notice: str = "") -> None:
        first = parts[0].run
        super().__init__(request, first.facts, first.prompt_tokens, [], first.tokenize)
        written = {at: (p.run, n) for p in parts for n, at in enumerate(p.columns)}
        self._written = [written[at] for at in range(len(request.recipes))]
        self._runs = [part.run for part in parts]
        self.notice = notice
        self.attach(on_cancel=self._cancel, on_done=lambda run: self._heard.close())
        self._heard = ExitStack()
        for run in self._runs:
            self._heard.enter_context(run.subscribe(self._moved))
        self._moved()

    def facts_of(self, lane: int) -> ModelFacts:
        return self._written[lane][0].facts

    @property
    def first_token(self) -> float | None:
        return min((t for run in self._runs if (t := run.first_token) is not None), default=None)

    def _cancel(self) -> None:
        for run in self._runs:
            run.cancel()

    def _moved(self) -> None:
        """Take over what the runs have told; on the threads of their loops."""
        runs = self._runs
        self.elsewhere = [run.views[lane] for run, lane in self._written]
        if self.state == "queued" and any(run.state != "queued" for run in runs):
            self.state = "running"
        self.queue_position = max(run.queue_position for run in runs)
        self.queued = max(run.queued for run in runs)
        self.prefills = [seconds for run in runs for seconds in run.prefills]
        self.prompt_known = all(run.prompt_known for run in runs)
        self.reused_tokens = min(run.reused_tokens for run in runs)
        self.error = next((run.error for run in runs if run.error), None)
        self.changed()

    def _result(self, view: View[Any], number: int) -> LaneResult:
        result = super()._result(view, number)
        run = self._written[number][0]
        if run.prompt_ids == self.prompt_ids:
            return result
        return result.model_copy(update={"prompt_tokens": run.prompt_tokens})


def names_models(request: Request) -> bool:
    """Whether a column of a request is to be written by a model that its recipe names."""
    return any(named_model(recipe) is not None for recipe in request.recipes)


def side_by_side(service: Service, request: Request, model: str | None) -> Run:
    """Queue a request whose recipes name models; ``model`` writes the columns that name none.

    Raises ``FieldError`` at a recipe whose model is not offered, not on this machine, has another
    vocabulary, or leaves the others no memory; and as ``Service.submit`` does.
    """
    columns = _columns(service, request, model)
    if len(columns) == 1:
        return service.submit_part(request, next(iter(columns)))
    if request.alone:
        raise FieldError("alone", "“measure alone” is for the columns of one model.")
    if request.prompt_ids or request.prefix:
        raise FieldError("recipes", "Tokens were given, which one model alone can go on with.")
    _check_vocabularies(service, columns)
    parts: list[Part] = []
    notices = []
    try:
        for id, numbers in columns.items():
            facts = _opened(service, id, numbers).facts
            chat = request.chat and facts.has_chat_template
            if chat != request.chat:
                notices.append(f"{facts.title} has no chat template, and read the prompt as it is.")
            names = [request.names[n] if n < len(request.names) else "" for n in numbers]
            part = {"recipes": [request.recipes[n] for n in numbers], "names": names, "chat": chat}
            parts.append(Part(_submitted(service, request, part, id, numbers), numbers))
    except BaseException:
        for part_so_far in parts:
            part_so_far.run.cancel()
        raise
    return JointRun(request, parts, " ".join(notices))


def _columns(service: Service, request: Request, model: str | None) -> dict[str, list[int]]:
    """The numbers of the columns that each model writes, by its id."""
    found: dict[str, list[int]] = {}
    for number, recipe in enumerate(request.recipes):
        try:
            id = written_by(service, recipe, model)
        except ModelError as error:
            raise FieldError(f"recipes.{number}", str(error)) from error
        found.setdefault(id, []).append(number)
    return found


def written_by(service: Service, recipe: Recipe, model: str | None) -> str:
    """The id of the model that writes a recipe's column, ``model`` where the recipe names none.

    Raises ``ModelError`` where it is not offered, or is named and not on this machine.
    """
    usual, named = model or service.models.default, named_model(recipe)
    entries = service.models.catalogue() if named is not None else []
    titled = [entry.id for entry in entries if named in (entry.id, entry.title)]
    id = usual if named is None else titled[0] if titled else named
    service.running(id)  # ModelError where it is not offered
    if id != usual and service.backends.estimate(id) is not None:
        raise ModelError(
            f"{named} is not on this machine yet: choose it once at the top, where what it takes "
            "is shown."
        )
    return id


def _opened(service: Service, id: str, columns: list[int]) -> Backend:
    try:
        return service.backend(id)
    except ModelError as error:
        raise FieldError(f"recipes.{columns[0]}", str(error)) from error


def _check_vocabularies(service: Service, columns: dict[str, list[int]]) -> None:
    (first, _), *others = columns.items()
    usual = _opened(service, first, columns[first])
    for id, numbers in others:
        other = _opened(service, id, numbers)
        known = usual.tokenizer is not None and other.tokenizer is not None
        if not known or usual.tokenizer.get_vocab() != other.tokenizer.get_vocab():
            raise FieldError(
                f"recipes.{numbers[0]}",
                f"{other.facts.title} has another vocabulary than {usual.facts.title}, so that "
                "their tokens cannot be compared.",
            )


def _submitted(
    service: Service, request: Request, part: dict[str, object], id: str, columns: list[int]
) -> Run:
    try:
        return service.submit_part(request.model_copy(update=part), id)
    except FieldError as error:
        name, _, place = error.field.partition(".")
        at, _, step = place.partition(".")
        if name == "recipes" and at.isdigit():
            error.field = ".".join(filter(None, ["recipes", str(columns[int(at)]), step]))
        raise
