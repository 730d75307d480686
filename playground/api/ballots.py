"""The routes of blind votes: begun with the experiment's id, cast with the vote's link."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, Field

from playground.api import requests, runs
from playground.api.errors import NoSuch, Problem
from playground.api.responses import Closed
from playground.engine import FieldError
from playground.experiment.ballot import MOST_RECIPES, MOST_VOTES, Answer
from playground.experiment.ballots import Ballots, Turn, VoteError
from playground.experiment.experiment import ExperimentError
from playground.experiment.standing import Standing
from playground.service import Service

WORKERS = 32  # threads; further voters take turns
TAG = "Votes"
UNKNOWN = "This server knows no such vote, or keeps it no longer."
VOTER = r"^[\w-]{8,64}$"
T = TypeVar("T")

NO_SUCH: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such vote."}
}
BEGIN_EXAMPLES: dict[str, Any] = {
    "two": {"summary": "The first two recipes", "value": {"recipes": [0, 1], "most": 60}}
}
VOTE_EXAMPLES: dict[str, Any] = {
    "left": {
        "summary": "The left text of the first pair is better",
        "value": {"voter": "a-name-of-8-letters", "unit": 0, "answer": "left"},
    }
}

Voter = Annotated[
    str,
    Query(pattern=VOTER, description="A random name that the voter's browser keeps."),
]


class BallotRequest(requests.DeferredBody):
    """What is voted on, and when the vote ends; it cannot be changed afterwards."""

    recipes: list[int] = Field(
        min_length=2, max_length=MOST_RECIPES, description="Numbers of the experiment's recipes."
    )
    most: int = Field(60, ge=1, le=MOST_VOTES, description="Votes after which it ends.")
    early: bool = Field(
        True, description="End it before that once it is known of every pair which is preferred."
    )


class VoteRequest(requests.DeferredBody):
    """One voter's vote on two texts."""

    voter: str = Field(pattern=VOTER, description="As it was given for the question.")
    unit: int = Field(ge=0, description="The question's number.")
    answer: Answer = Field(description="Which text is better.")


class Question(Closed):
    """Two texts; the recipes that wrote them are named after the vote."""

    unit: int = Field(description="The number of this pair of texts.")
    prompt: str
    left: str
    right: str


class Next(Closed):
    """A voter's next question, and how far the vote is."""

    question: Question | None = Field(
        description="Null where none is left for this voter, or the vote is over."
    )
    own: int = Field(description="Votes of this voter.")
    votes: int = Field(description="Votes of all.")
    most: int
    over: str = Field(description="Why the vote has ended; empty while it goes on.")

    @classmethod
    def of(cls, turn: Turn) -> "Next":
        question = turn.question
        return cls(
            question=None if question is None else Question(**vars(question)),
            own=turn.own, votes=turn.votes, most=turn.most, over=turn.over,
        )  # fmt: skip


class Cast(Closed):
    """A vote that was counted, and the next question."""

    left: str = Field(description="The recipe of the left text.")
    right: str
    next: Next


def add(router: APIRouter, service: Service) -> None:
    """Add the routes to ``router``."""
    in_thread = functools.partial(
        run_sync, abandon_on_cancel=True, limiter=CapacityLimiter(WORKERS)
    )

    def ballots() -> Ballots:
        return service.jobs.ballots

    async def found(make: Callable[[], T | None]) -> T:
        """The result of ``make`` on a thread. Raises ``NoSuch`` for None."""
        try:
            made = await in_thread(make)
        except (VoteError, ExperimentError) as error:
            raise FieldError(error.field, str(error)) from error
        if made is None:
            raise NoSuch("id", UNKNOWN)
        return made

    async def answered(make: Callable[[], BaseModel | None]) -> Response:
        return Response((await found(make)).model_dump_json(), media_type="application/json")

    @router.post(
        "/api/experiments/{id}/ballots",
        tags=[TAG],
        summary="Begin a blind vote on its texts",
        response_model=Standing,
        responses={**runs.FAILED, **NO_SUCH},
    )
    async def begin(
        id: str, sent: Annotated[BallotRequest, Body(openapi_examples=BEGIN_EXAMPLES)]
    ) -> Response:
        """Voters see two texts of one prompt and seed, in an order that is drawn, without names.

        The vote's `id` leads to the page for voters, `/vote/ID`. When it ends is settled here.
        """

        def begun() -> Standing | None:
            body: Any = requests.validated(BallotRequest, sent)
            job = service.jobs.get(id)
            if job is None:
                return None
            made = ballots()
            return made.standing(made.begin(job, body.recipes, body.most, body.early))

        return await answered(begun)

    @router.get(
        "/api/experiments/{id}/ballots/{ballot}",
        tags=[TAG],
        summary="What the votes tell so far",
        response_model=Standing,
        responses=NO_SUCH,
    )
    async def standing(id: str, ballot: str) -> Response:
        """Strengths with intervals, pairs, the pull of the position, and agreement.

        The link for voters alone does not lead here, so that nobody votes as the others do.
        """
        return await answered(
            lambda: ballots().standing(ballot) if ballot in ballots().of(id) else None
        )

    @router.get(
        "/api/experiments/{id}/ballots/{ballot}/votes.csv",
        tags=[TAG],
        summary="Every vote",
        response_class=Response,
        response_description="CSV, a row each in the order in which they were cast.",
        responses=NO_SUCH,
    )
    async def votes(id: str, ballot: str) -> Response:
        """With its prompt, seed, texts, recipes, the side each stood on, voter and time."""
        text = await found(lambda: ballots().to_csv(ballot) if ballot in ballots().of(id) else None)
        headers = {"Content-Disposition": 'attachment; filename="votes.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    @router.get(
        "/api/ballots/{id}/next",
        tags=[TAG],
        summary="The next question for a voter",
        response_model=Next,
        responses=NO_SUCH,
    )
    async def next_question(id: str, voter: Voter) -> Response:
        """The same question until it is answered."""

        def following() -> Next | None:
            turn = ballots().turn(id, voter)
            return None if turn is None else Next.of(turn)

        return await answered(following)

    @router.post(
        "/api/ballots/{id}/votes",
        tags=[TAG],
        summary="Vote",
        response_model=Cast,
        responses={**runs.FAILED, **NO_SUCH},
    )
    async def cast(
        id: str, sent: Annotated[VoteRequest, Body(openapi_examples=VOTE_EXAMPLES)]
    ) -> Response:
        """Counts a vote, once for each voter and pair; names the recipes, and asks what is next."""

        def counted() -> Cast | None:
            body: Any = requests.validated(VoteRequest, sent)
            made = ballots()
            names = made.cast(id, body.voter, body.unit, body.answer)
            turn = made.turn(id, body.voter)
            if names is None or turn is None:
                return None
            return Cast(left=names.left, right=names.right, next=Next.of(turn))

        return await answered(counted)
