"""The routes of experiments: begun, followed, stopped, resumed, and reported as files."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from playground.api import events, requests, runs
from playground.api.body import bounded
from playground.api.errors import NoModel, NoSuch, Problem
from playground.api.experiment_events import JobEvents
from playground.engine import FieldError
from playground.errors import ModelError
from playground.experiment.experiment import DEFAULT_METRICS, ExperimentError
from playground.experiment.job import Job
from playground.experiment.result import Result
from playground.experiment.state import State
from playground.service import Service

WORKERS = 16  # threads that check experiments; further clients take turns
REPORTERS = 2  # threads that build reports, each of which reads every text
BODY_BYTES = 4 << 20
BODY_VALUES = 100_000
PACE_S = 0.5  # between two events of a stream, at least
TAG = "Experiments"
UNKNOWN = "This server knows no such experiment, or keeps it no longer."

EXAMPLES: dict[str, Any] = {
    "question": {
        "summary": "Three settings of top-p against greedy, on prompts of our own",
        "value": {
            "question": "Does top-p repeat less than greedy?",
            "prompts": [{"set": "story", "first": 8}, "The capital of France is"],
            "recipes": ["greedy"],
            "sweep": {
                "recipe": "top_p(0.9) | sample",
                "values": {"top_p": [0.8, 0.9, 0.95]},
                "as": "grid",
            },
            "seeds": 4,
            "metrics": ["repeated_ngrams", "distinct_n(3)", "perplexity"],
            "max_new_tokens": 48,
        },
    }
}
NO_SUCH: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such experiment."}
}
FILES: dict[str, tuple[str, Callable[[Result], str]]] = {
    "report.html": ("text/html; charset=utf-8", lambda result: result.to_html()),
    "report.md": ("text/markdown; charset=utf-8", lambda result: result.to_markdown()),
    "texts.csv": ("text/csv; charset=utf-8", lambda result: result.to_csv()),
    "means.csv": ("text/csv; charset=utf-8", lambda result: result.table().to_csv(index=False)),
    "pairs.csv": ("text/csv; charset=utf-8", lambda result: result.pairs().to_csv(index=False)),
    "experiment.toml": ("application/toml; charset=utf-8", lambda result: result.to_toml()),
}
FileName = Literal[
    "report.html", "report.md", "texts.csv", "means.csv", "pairs.csv", "experiment.toml"
]
_NO_SCRIPTS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


class PromptRow(BaseModel):
    """A prompt, and what a good text contains, for the metrics that check it."""

    model_config = ConfigDict(extra="forbid")

    text: str
    expected: str | None = None
    name: str = ""


class PromptSet(BaseModel):
    """A built-in set of prompts for one task, or the first of them."""

    model_config = ConfigDict(extra="forbid")

    set: str
    first: int | None = Field(None, ge=1)


class ExperimentRequest(requests.DeferredBody):
    """A question and what would answer it; the fields are those of the command's TOML file."""

    question: str = Field("", max_length=500, description="For the report.")
    prompts: list[str | PromptRow | PromptSet] = Field(
        min_length=1, description="Texts to continue: each a text, an object, or a set of ours."
    )
    recipes: list[str | dict[str, Any]] = Field(
        default_factory=list, description="Each as in `compare`: one line, or steps."
    )
    sweep: dict[str, Any] | list[dict[str, Any]] = Field(
        default_factory=list,
        description="Recipes made of one: `recipe`, `values` by setting (a list, or `from`, `to` "
        "and `step` or `many`), and `as`: `grid` or `list`.",
    )
    names: dict[str, str] = Field(
        default_factory=dict, description="What recipes are called, by their written form."
    )
    seeds: int | list[int] = Field(4, description="So many, from 0, or these.")
    metrics: list[str] = Field(
        default_factory=lambda: list(DEFAULT_METRICS), description="GET /api/metrics lists them."
    )
    max_new_tokens: int = Field(64, ge=1, description="Most tokens of one text.")
    min_new_tokens: int = Field(0, ge=0, description="End tokens are held back until then.")
    stop: list[str] = Field(default_factory=list, description="Texts that end what is written.")
    chat: bool = Field(False, description="Put prompts into the model's chat template.")
    split_special_tokens: bool = Field(
        False, description="Read names of control tokens as the plain text they are."
    )
    model: str | None = Field(
        None, min_length=1, max_length=500, description="The host's default where null."
    )
    stream: bool = Field(
        False, description="Answer with server-sent events until the experiment has ended."
    )


def add(router: APIRouter, service: Service) -> None:
    """Add the routes to ``router``."""
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    def stream(job: Job) -> Response:
        return events.EventStream(JobEvents(job), in_thread, runs.PING_S, frame_s=PACE_S)

    async def known(id: str) -> Job:
        job: Job | None = await in_thread(lambda: service.jobs.get(id))
        return _there(job)

    report_in_thread = functools.partial(run_sync, limiter=CapacityLimiter(REPORTERS))

    async def begin(
        request: Request,
        sent: Annotated[ExperimentRequest, Body(openapi_examples=EXAMPLES)],
    ) -> Response:
        """Begins an experiment: every recipe writes a text after every prompt with every seed.

        It is run behind everybody's runs and goes on whether or not somebody follows it, also when
        the server was restarted. Its `id` is known to nobody else; whoever has it may read, stop
        and delete it. With `"stream": true` the answer is a stream of `state` events, at most two
        a second, and ends with `done`; each has the whole answer as data.
        """
        who = runs.client(request, service.settings)
        body, job = await in_thread(lambda: _begun(service, sent, who))
        if body.stream:
            return stream(job)
        return _answer(job.state)

    router.add_api_route(
        "/api/experiments",
        begin,
        methods=["POST"],
        tags=[TAG],
        summary="Which setting is better?",
        response_model=State,
        response_description="It has begun, or waits for its turn.",
        responses=runs.FAILED,
        route_class_override=bounded(BODY_BYTES, BODY_VALUES),
    )

    @router.get(
        "/api/experiments/{id}",
        tags=[TAG],
        summary="How far it is, and what it tells",
        response_model=State,
        responses=NO_SUCH,
    )
    async def state(id: str) -> Response:
        """Means with their intervals as texts come; pairs and the verdict once it has ended."""
        return _answer((await known(id)).state)

    @router.get(
        "/api/experiments/{id}/events",
        tags=[TAG],
        summary="The same as a stream",
        response_model=State,
        response_description="`state` events, and `done` at the end.",
        responses=NO_SUCH,
    )
    async def follow(id: str) -> Response:
        """To stop listening ends nothing."""
        return stream(await known(id))

    @router.post(
        "/api/experiments/{id}/stop",
        tags=[TAG],
        summary="End it where it is",
        response_model=State,
        responses=NO_SUCH,
    )
    async def stop(id: str) -> Response:
        """What is written stays, and is reported."""
        job = await known(id)
        job.stop()
        return _answer(job.state)

    @router.post(
        "/api/experiments/{id}/resume",
        tags=[TAG],
        summary="Go on where it was stopped",
        response_model=State,
        responses=NO_SUCH,
    )
    async def resume(request: Request, id: str) -> Response:
        """What is written already is not written again."""
        who = runs.client(request, service.settings)
        return _answer(_there(await in_thread(lambda: service.jobs.go_on(id, who))).state)

    @router.delete(
        "/api/experiments/{id}",
        tags=[TAG],
        summary="Delete it",
        status_code=204,
        response_class=Response,
        response_description="It is deleted.",
        responses=NO_SUCH,
    )
    async def delete(id: str) -> Response:
        """With its votes, and its texts where no other experiment has the same. It ends first."""
        if not await in_thread(lambda: service.delete_experiment(id)):
            raise NoSuch("id", UNKNOWN)
        return Response(status_code=204)

    @router.get(
        "/api/experiments/{id}/{file}",
        tags=[TAG],
        summary="The report, or its numbers, as a file",
        response_class=Response,
        response_description="The file.",
        responses=NO_SUCH,
    )
    async def report(id: str, file: FileName) -> Response:
        """Of what is written so far. `experiment.toml` repeats it by the command."""
        job = await known(id)
        media, made = FILES[file]
        text = await report_in_thread(lambda: made(job.result()))
        headers = {
            "Content-Disposition": f'attachment; filename="{_name(job.id, file)}"',
            "Content-Security-Policy": _NO_SCRIPTS,
            "Cache-Control": "no-store",
        }
        return Response(text, media_type=media, headers=headers)


def _begun(service: Service, sent: Any, client: str) -> tuple[Any, Job]:
    """The checked body and its experiment; errors name fields as the body has them."""
    body: Any = requests.validated(ExperimentRequest, sent)
    given = body.model_dump(exclude={"stream"}, exclude_none=True, exclude_unset=True)
    try:
        return body, service.jobs.submit(given, client)
    except ExperimentError as error:
        raise FieldError(error.field, str(error)) from error
    except ModelError as error:
        raise NoModel(error, offered=runs.is_offered(service, body.model)) from error


def _answer(state: State) -> Response:
    return Response(state.model_dump_json(), media_type="application/json")


def _there(job: Job | None) -> Job:
    if job is None:
        raise NoSuch("id", UNKNOWN)
    return job


def _name(id: str, file: str) -> str:
    """The file's name, with the experiment's id in it."""
    stem, _, ending = file.rpartition(".")
    kept = "".join(letter for letter in id if letter.isalnum() or letter in "-_")
    return f"{stem}-{kept}.{ending}"
