"""The area beside the columns: an experiment is asked for, followed, and its findings are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.colours import COLOURS
from playground.experiment.job import Job
from playground.experiment.registry import metrics
from playground.experiment.report.content import plus_minus
from playground.experiment.state import LIVE_RESAMPLES
from playground.experiment.statistics.interval import RESAMPLES
from playground.service import Service
from playground.ui import event_errors, frontier
from playground.ui.asking import Asking, options
from playground.ui.element import QUICK, element
from playground.ui.gradio_compat import told_by
from playground.ui.plot import plot
from playground.ui.step_controls import LATEX
from playground.ui.visitor import visitor
from playground.ui.voting import Voting

MOST_TEXTS = 200  # of a recipe that are shown at once
MOST_PROMPTS = 500  # rows of the table by prompt
GONE = "This server knows no such experiment, or keeps it no longer."

Answer = dict[str, Any]


class ExperimentRequest(BaseModel):
    """What the page asks of an experiment."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=64)
    version: int = -1
    metric: int = Field(0, ge=0)
    recipe: int = Field(0, ge=0)
    prompt: int | None = Field(None, ge=0)
    quality: str = Field("", max_length=1000)
    diversity: str = Field("", max_length=1000)


@dataclass(frozen=True)
class Finding:
    """Answers the element that shows an experiment, and draws what is beside it."""

    service: Service

    @property
    def functions(self) -> list[Callable[..., Any]]:
        def follow(sent: Any) -> Answer:
            return self._answered(sent, self.follow)

        def stop(sent: Any) -> Answer:
            return self._answered(sent, self.stop)

        def go_on(sent: Any, request: gr.Request) -> Answer:
            client = visitor(request, self.service.settings)
            return self._answered(sent, lambda job, asked: self.go_on(job, client))

        def delete(sent: Any) -> Answer:
            return self._answered(sent, self.delete)

        def by_prompt(sent: Any) -> Answer:
            return self._answered(sent, self.by_prompt)

        return [follow, stop, go_on, delete, by_prompt]

    def follow(self, job: Job, asked: ExperimentRequest) -> Answer:
        """Its state, where that is another than the page has."""
        version = job.version
        if version == asked.version:
            return {"version": version}
        return {"version": version, "state": job.state.model_dump()}

    def stop(self, job: Job, asked: ExperimentRequest) -> Answer:
        job.stop()
        return {}

    def go_on(self, job: Job, client: str) -> Answer:
        self.service.jobs.go_on(job.id, client)
        return {}

    def delete(self, job: Job, asked: ExperimentRequest) -> Answer:
        self.service.delete_experiment(job.id)
        return {}

    def by_prompt(self, job: Job, asked: ExperimentRequest) -> Answer:
        """A row a prompt: each recipe's mean over seeds, with its interval over them."""
        experiment, findings = job.experiment, job.findings()
        metric = experiment.measured[min(asked.metric, len(experiment.metrics) - 1)]
        resamples = RESAMPLES if job.over else LIVE_RESAMPLES
        found = findings.by_prompt(str(metric), MOST_PROMPTS, resamples)
        rows = []
        for number, prompt in enumerate(experiment.prompts[:MOST_PROMPTS]):
            cells = [found.get((number, recipe)) for recipe in range(len(experiment.recipes))]
            rows.append(
                {
                    "name": prompt.name or prompt.text[:80],
                    "cells": [cell and plus_minus(cell, metric) for cell in cells],
                }
            )
        return {"rows": rows, "left_out": max(0, len(experiment.prompts) - MOST_PROMPTS)}

    def draw(self, told: dict[str, Any]) -> Answer | None:
        """The frontier, as the value of the element ``plot``; None where there is none."""
        asked = ExperimentRequest.model_validate(told)
        job = self.service.jobs.get(asked.id)
        if job is None:
            return None
        return frontier.view(job.findings(), job.id, asked.quality, asked.diversity)

    def texts(self, told: dict[str, Any]) -> Answer | None:
        """The texts behind a point or a row, as the value of the element ``samples``."""
        point = told.get("data")
        if isinstance(point, list) and len(point) == 2:
            told = {"recipe": point[0], "id": point[1]}
        asked = ExperimentRequest.model_validate(told)
        job = self.service.jobs.get(asked.id)
        if job is None or asked.recipe >= len(job.experiment.recipes):
            return None
        experiment = job.experiment
        found = job.texts(asked.recipe, asked.prompt, most=MOST_TEXTS)
        wanted = len(experiment.seeds) * (len(experiment.prompts) if asked.prompt is None else 1)
        return {
            "id": job.id,
            "recipe": asked.recipe,
            "name": experiment.name(asked.recipe),
            "written": str(experiment.recipes[asked.recipe]),
            "more": wanted > MOST_TEXTS and len(found) == MOST_TEXTS,
            "texts": [
                {
                    "prompt": experiment.prompts[cell.prompt].text,
                    "expected": experiment.prompts[cell.prompt].expected,
                    "seed": experiment.seeds[cell.seed],
                    "text": sample.text,
                    "error": sample.error,
                }
                for cell, sample in found.items()
            ],
        }

    def _answered(self, sent: Any, act: Callable[[Job, ExperimentRequest], Answer]) -> Answer:
        try:
            asked = ExperimentRequest.model_validate(sent)
            job = self.service.jobs.get(asked.id)
            return {"gone": GONE} if job is None else act(job, asked)
        except ValidationError:
            return {"gone": GONE}
        except Exception as error:
            return {"fault": event_errors.sentence(error)}


def measures() -> str:
    """Every metric that can be asked for, with its formula and its source, as Markdown."""
    told = []
    for id, metric in metrics().metrics.items():
        info = metric.info
        source = f"[{info.source}]({info.url})" if info.url else info.source
        told.append(
            f"**{info.title}** `{id}`: {info.summary}\n\n$$ {info.formula} $$\n\nSource: {source}."
        )
    return "\n\n".join(told)


def decide(service: Service) -> None:
    """Draw the area, which is shown in place of the columns, and wire what happens in it."""
    finding = Finding(service)
    with gr.Column(elem_id="decide"):
        element("asking", constants=options(), server_functions=Asking(service).functions)
        with gr.Accordion(
            "What each metric is: formula and source", open=False, elem_id="measures"
        ):
            gr.Markdown(measures(), latex_delimiters=LATEX)
        shown = element(
            "finding", constants={"colours": COLOURS}, server_functions=finding.functions,
            elem_id="finding",
        )  # fmt: skip
        drawn = plot(elem_id="frontier")
        samples = element("samples", elem_id="samples")
        element(
            "voting", constants={"colours": COLOURS}, server_functions=Voting(service).functions
        )

    def draw(event: gr.EventData) -> Any:
        return finding.draw(told_by(event))

    def open_texts(event: gr.EventData) -> Any:
        return finding.texts(told_by(event))

    shown.draw(draw, None, drawn, **QUICK)
    shown.texts(open_texts, None, samples, **QUICK)
    drawn.point(open_texts, None, samples, **QUICK)
