"""The routes that export a recipe to another program's settings, and import one from them."""

import functools
from typing import Annotated, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from playground import exchange
from playground.api import requests, runs
from playground.api.body import bounded
from playground.api.requests import DeferredBody
from playground.engine import FieldError
from playground.guard.sizes import request_bytes
from playground.service import Service
from playground.settings import Settings
from strategies.bridges.formats import Bounds, bring, formats
from strategies.bridges.formats.format import LONGEST
from strategies.notation import RecipeError, quote, shorten
from strategies.recipe import Recipe

WORKERS = 4
TAG = "Settings of other programs"
TAKE_EXAMPLES: dict[str, Any] = {
    "ollama": {
        "summary": "For a Modelfile",
        "value": {
            "recipe": "temperature(0.7) | top_p(0.9) | presence_penalty(0.5) | sample",
            "format": "ollama",
            "max_new_tokens": 128,
        },
    }
}
BRING_EXAMPLES: dict[str, Any] = {
    "arguments": {
        "summary": "A command line of llama.cpp",
        "value": {"text": "llama-server --temp 0.6 --top-k 20 --repeat-penalty 1.1"},
    }
}


class SettingsFormat(BaseModel):
    """A format in which a program has its settings."""

    id: str
    title: str
    program: str
    suffix: str = Field(description="How a file of it ends.")
    url: str = Field(description="Where the program describes it.")
    read_in: str = Field(description="The version whose settings were read.")


class Formats(BaseModel):
    formats: list[SettingsFormat]


class Difference(BaseModel):
    """A part of the recipe that the program cannot do, or does otherwise."""

    reason: str
    step: int | None = Field(description="Index of the recipe's step; null concerns them all.")
    strategy: str
    setting: str


class TakenRecipe(BaseModel):
    """A recipe as the settings of a program."""

    format: str
    text: str = Field(description="What to paste there.")
    there: Recipe = Field(description="What the program does with it, as a recipe.")
    differences: list[Difference] = Field(description="Empty where it is the recipe that was sent.")


class BroughtRecipe(BaseModel):
    """A recipe that was read from a program's settings."""

    format: str
    recipe: Recipe
    left_out: list[str] = Field(description="The settings that the recipe does not have.")
    bounds: dict[str, Any] = Field(
        description="The settings of a run among them: max_new_tokens, seed, stop."
    )


def add(router: APIRouter, service: Service) -> None:
    """Add the routes to ``router``."""
    take_body, bring_body = _bodies(service.settings)
    size = bounded(request_bytes(service.settings))
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    @router.get("/api/formats", summary="The programs that settings are written for", tags=[TAG])
    def listed() -> Formats:
        """Every form that a recipe can be taken to and brought from."""
        return Formats(
            formats=[
                SettingsFormat(
                    id=one.id,
                    title=one.title,
                    program=one.program,
                    suffix=one.suffix,
                    url=one.url,
                    read_in=one.read_in,
                )
                for one in formats().values()
            ]
        )

    async def take(
        sent: Annotated[take_body, Body(openapi_examples=TAKE_EXAMPLES)],  # type: ignore[valid-type]
    ) -> TakenRecipe:
        """The settings to paste into another program, and in what they are another recipe there.

        Where the model is loaded, texts in the recipe become its tokens.
        """
        return await in_thread(_take, service, take_body, sent)

    async def brought(
        sent: Annotated[bring_body, Body(openapi_examples=BRING_EXAMPLES)],  # type: ignore[valid-type]
    ) -> BroughtRecipe:
        """The recipe of another program's settings, whose form is found out where it is not named.

        Settings that no recipe can express are listed in `left_out`.
        """
        return await in_thread(_bring, bring_body, sent)

    for path, endpoint, summary, answer in (
        ("/api/take", take, "A recipe as another program has it", TakenRecipe),
        ("/api/bring", brought, "Another program's settings as a recipe", BroughtRecipe),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            tags=[TAG],
            summary=summary,
            response_model=answer,
            responses=runs.FAILED,
            route_class_override=size,
        )


def _bodies(settings: Settings) -> tuple[type[BaseModel], type[BaseModel]]:
    class TakeRequest(DeferredBody):
        """A recipe, and the program it is taken to."""

        recipe: Recipe = Field(description="The recipe.")
        format: str = Field(max_length=100, description="An id from GET /api/formats.")
        max_new_tokens: int | None = Field(None, ge=0, le=1_000_000, description="Written along.")
        min_new_tokens: int | None = Field(None, ge=0, le=1_000_000, description="Written along.")
        seed: int | None = Field(None, ge=0, lt=2**63, description="Written along.")
        stop: list[Annotated[str, Field(min_length=1, max_length=settings.max_stop_chars)]] = Field(
            default_factory=list,
            max_length=settings.max_stop_strings,
            description="Written along, where the program has a place for them.",
        )
        model: str | None = Field(
            None, min_length=1, max_length=500, description="Whose tokens a recipe's texts are."
        )

    class BringRequest(DeferredBody):
        """Another program's settings."""

        text: str = Field(max_length=LONGEST, description="As they were copied there.")
        format: str | None = Field(
            None, max_length=100, description="An id from GET /api/formats; null finds it out."
        )

    return TakeRequest, BringRequest


def _check(format: str) -> None:
    if format not in formats():
        known = ", ".join(formats())
        sentence = f"format must be one of {known}, but {shorten(quote(format))} was given."
        raise FieldError("format", sentence)


def _take(service: Service, model: type[BaseModel], sent: Any) -> TakenRecipe:
    body: Any = requests.validated(model, sent)
    bounds = Bounds(body.max_new_tokens, body.min_new_tokens, body.seed, tuple(body.stop))
    _check(body.format)
    try:
        found = exchange.taken(service, body.recipe, body.format, bounds, body.model)
    except RecipeError as error:
        raise FieldError("recipe", str(error)) from error
    differences = [
        Difference(reason=loss.reason, step=loss.step, strategy=loss.strategy, setting=loss.setting)
        for loss in found.losses
    ]
    return TakenRecipe(
        format=found.format, text=found.text, there=found.there, differences=differences
    )


def _bring(model: type[BaseModel], sent: Any) -> BroughtRecipe:
    body: Any = requests.validated(model, sent)
    if body.format is not None:
        _check(body.format)
    try:
        found = bring(body.text, body.format)
    except RecipeError as error:
        raise FieldError("text", str(error)) from error
    return BroughtRecipe(
        format=found.format,
        recipe=found.recipe,
        left_out=list(found.left_out),
        bounds=found.bounds.told,
    )
