"""Blind votes on an experiment, as its page begins and shows them; people vote on another page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.experiment.ballot import MOST_RECIPES, MOST_VOTES
from playground.experiment.ballots import VoteError
from playground.experiment.experiment import ExperimentError
from playground.service import Service
from playground.ui import event_errors
from playground.ui.visitor import counted

SHOWN = 5  # votes of an experiment

Answer = dict[str, Any]


class Begun(BaseModel):
    """A vote as it was asked for; ``most`` as it was typed."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=64)
    recipes: list[int] = Field(default_factory=list, max_length=200)
    most: str = Field("", max_length=40)
    early: bool = True


@dataclass(frozen=True)
class Voting:
    """Answers the element ``voting``."""

    service: Service

    @property
    def functions(self) -> list[Callable[..., Any]]:
        def begin_vote(sent: Any, request: gr.Request) -> Answer:
            try:
                counted(request, self.service)
                return self.begin(Begun.model_validate(sent))
            except (VoteError, ExperimentError) as error:
                return {"fault": str(error)}
            except ValidationError:
                return {"fault": "This vote cannot be begun; load the page again."}
            except Exception as error:
                return {"fault": event_errors.sentence(error)}

        def votes(sent: Any) -> Answer:
            id = sent.get("id") if isinstance(sent, dict) else None
            return self.standings(id) if isinstance(id, str) else {"standings": []}

        return [begin_vote, votes]

    def begin(self, asked: Begun) -> Answer:
        job = self.service.jobs.get(asked.id)
        if job is None:
            return {"fault": "This server knows no such experiment."}
        if len(asked.recipes) > MOST_RECIPES:
            return {"fault": f"Choose from 2 to {MOST_RECIPES} recipes."}
        typed = asked.most.strip()
        if not typed.isdecimal() or not 1 <= int(typed) <= MOST_VOTES:
            return {"fault": f"Most votes is a whole number from 1 to {MOST_VOTES:,}."}
        self.service.jobs.ballots.begin(job, asked.recipes, int(typed), asked.early)
        return {}

    def standings(self, job: str) -> Answer:
        """What the votes on an experiment tell, the latest first."""
        ballots = self.service.jobs.ballots
        found = [ballots.standing(id) for id in ballots.of(job)[:SHOWN]]
        return {"standings": [one.model_dump() for one in found if one is not None]}
