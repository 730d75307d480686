"""A visitor's history on the page: runs that ended, and experiments; listed, opened, compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.charts import quoted
from playground.charts.text import count
from playground.colours import COLOURS, LETTERS
from playground.engine import Busy
from playground.explain.baseline import AgainstBaseline, against
from playground.history import Entry, History, of_run, run_of, same_texts, searched
from playground.service import Service
from playground.trace import Comparison
from playground.ui import event_errors
from playground.ui.element import element
from playground.ui.views import Resolve, View
from playground.ui.visitor import counted

if TYPE_CHECKING:
    from playground.experiment.job import Job

ID = "kept"  # how the ids of opened runs begin
OTHERS = (ID, "file", "recorded")  # of runs that are not kept again
LISTED = 40  # entries at a time
OFF = "This host keeps no history; PLAYGROUND_HISTORY=1 has it keep one."

Key = Field(pattern=r"^[0-9a-f]{32}$")  # that a browser made for itself


class Sent(BaseModel):
    """What the page's code asks: ``key`` is the visitor's, ``view`` what the columns show."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str = Key
    view: str = Field("", max_length=2000)
    experiment: str = Field("", max_length=64)
    id: str = Field("", max_length=64)
    act: str = Field("", max_length=20)
    search: str = Field("", max_length=200)
    before: float | None = None


class Archive:
    """The functions that the page's code calls."""

    def __init__(self, service: Service, resolve: Resolve) -> None:
        self.service, self.resolve = service, resolve

    def draw(self) -> gr.HTML:
        """The button of the header, with the list that it opens."""
        settings = self.service.settings
        constants = {
            "on": settings.keeps_history,
            "days": f"{settings.history_days:g}",
            "colours": COLOURS,
            "letters": LETTERS,
            "others": OTHERS,
            "decides": bool(settings.max_experiment_texts),
        }
        return element("archive", constants=constants, server_functions=self.functions, min_width=0)

    @property
    def functions(self) -> list[Callable[..., dict[str, Any]]]:
        """What the page's code may call."""

        def listed(sent: Any) -> dict[str, Any]:
            return self._answer(self.listed, sent)

        def keep(sent: Any, request: gr.Request) -> dict[str, Any]:
            try:
                counted(request, self.service)
            except Busy as problem:
                return {"fault": str(problem)}
            return self._answer(self.keep, sent)

        def act(sent: Any) -> dict[str, Any]:
            return self._answer(self.act, sent)

        return [listed, keep, act]

    def _answer(self, work: Callable[[History, Sent], dict[str, Any]], sent: Any) -> dict[str, Any]:
        try:
            history = self.service.history
            if history is None:
                return {"fault": OFF}
            return work(history, Sent.model_validate(sent))
        except ValidationError:
            return {"fault": "The page is of another version than the server; load it again."}
        except Exception as error:
            return {"fault": event_errors.sentence(error)}

    def listed(self, history: History, sent: Sent) -> dict[str, Any]:
        """``rows`` of the list, and whether there are ``more``."""
        found = history.list(sent.key, sent.search, sent.before, LISTED + 1)
        rows = [_row(entry) for entry in found[:LISTED]]
        return {"rows": rows, "more": len(found) > LISTED}

    def keep(self, history: History, sent: Sent) -> dict[str, Any]:
        """Keep what the columns show, once it has ended, and hold it against the baseline.

        Or keep the experiment that is named. To arrange columns anew, or to take some away, makes
        no other entry and writes nothing; to name one writes its name.
        """
        if sent.experiment:
            return self._keep_experiment(history, sent)
        shown = self.resolve(sent.view)
        if shown is None:
            if not sent.view or sent.view.startswith(OTHERS):
                return self._baseline(history, sent, None)
            return {"lost": "The server has this run no more; press Run to have it kept."}
        if shown.id.startswith(OTHERS) or not ended(shown):
            return self._baseline(history, sent, shown)
        view = View.parse(sent.view).whole
        whole = self.resolve(str(view))
        if whole is None or not ended(whole):
            whole = shown
        entry = of_run(whole).model_copy(update={"source": view.source})
        known = history.known(sent.key, entry.source)
        if known is None or not same_texts(known, entry):
            id = history.keep(sent.key, entry, whole.to_json())
        else:
            id = known.id
            if known.told != entry.told:
                history.rename(sent.key, entry)
        return {"id": id} | self._baseline(history, sent, shown)

    def _keep_experiment(self, history: History, sent: Sent) -> dict[str, Any]:
        job = self.service.jobs.get(sent.experiment)
        if job is None:
            return {"lost": "The server has this experiment no more."}
        return {"id": history.keep(sent.key, of_experiment(job), job.state.model_dump_json())}

    def act(self, history: History, sent: Sent) -> dict[str, Any]:
        """Pin, unpin, delete one, or delete all."""
        if sent.act == "pin":
            history.pin(sent.key, sent.id)
        elif sent.act == "unpin":
            history.pin(sent.key, None)
        elif (sent.act == "delete" and sent.id) or sent.act == "clear":
            one = None if sent.act == "clear" else sent.id
            for experiment in history.experiments(sent.key, one):
                self.service.delete_experiment(experiment)
            history.delete(sent.key, one)
        return self._baseline(history, sent, self.resolve(sent.view))

    def _baseline(self, history: History, sent: Sent, shown: Comparison | None) -> dict[str, Any]:
        """What the page shows of the baseline: nothing where none is pinned, or it is shown."""
        pinned = history.pinned(sent.key)
        if pinned is None:
            return {"baseline": None}
        known = {"id": pinned.id, "title": _title(pinned), "when": pinned.created}
        found = history.get(pinned.id)
        if shown is None or found is None or not ended(shown):
            return {"baseline": known | {"columns": [], "told": ""}}
        run = run_of(*found)
        if View.parse(shown.id).whole.source in (pinned.source, f"{ID}-{pinned.id}"):
            return {"baseline": known | {"columns": [], "told": "These columns are it."}}
        told = "" if run.prompt == shown.prompt else "It has another prompt."
        if run.model.id != shown.model.id:
            told = f"{told} {run.model.title} wrote it.".strip()
        columns = [
            {
                "letter": LETTERS[one.lane],
                "colour": COLOURS[one.lane],
                "told": _told(one, shown, run),
            }
            for one in against(shown, run)
        ]
        return {"baseline": known | {"columns": columns, "told": told}}


def kept(service: Service, run: str) -> Comparison | None:
    """A run that this process no longer keeps, from the history; kept in memory from then on."""
    if not service.settings.history_at.exists():  # none is made only to look into it
        return None
    history = service.history
    if history is None:
        return None
    of_entry = run.startswith(f"{ID}-")
    found = history.get(run.removeprefix(f"{ID}-")) if of_entry else history.of_source(run)
    if found is None:
        return None
    try:
        comparison = run_of(*found).model_copy(update={"id": run})
    except ValueError:  # of a form that is no longer read
        return None
    service.keep(comparison)
    return comparison


def of_experiment(job: Job) -> Entry:
    """The entry of an experiment: what it asks and, once it has ended, what it tells."""
    state, experiment = job.state, job.experiment
    asked = state.question or " × ".join(
        (
            count(state.prompts, "prompt"),
            count(len(state.recipes), "recipe"),
            count(state.seeds, "seed"),
        )
    )
    columns = [
        {
            "name": recipe.name,
            "recipe": recipe.written,
            "text": "; ".join(
                f"{metric.title} {mean.shown}"
                for metric, mean in zip(state.metrics, means, strict=True)
                if mean is not None
            ),
        }
        for recipe, means in zip(state.recipes, state.means, strict=True)
    ]
    verdict = state.verdict[0] if state.verdict else ""
    parts = [asked, state.model, *state.verdict[:20]]
    parts += [part for one in state.recipes for part in (one.name, one.written)]
    parts += [prompt.text for prompt in experiment.prompts]
    return Entry(
        kind="experiment", source=job.id, model=state.model, prompt=asked, columns=columns,
        words=searched(parts), verdict=verdict,
    )  # fmt: skip


def ended(run: Comparison) -> bool:
    """Whether all its texts are finished and there is something in them."""
    return all(lane.finish_reason not in (None, "waiting") for lane in run.lanes) and any(
        lane.token_ids for lane in run.lanes
    )


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "source": entry.source,
        "verdict": entry.verdict,
        "created": entry.created,
        "pinned": entry.pinned,
        "title": _title(entry),
        "model": entry.model,
        "columns": [
            {"name": str(one.get("name") or one.get("recipe", "")), "text": one.get("text", "")}
            for one in entry.columns[: len(LETTERS)]
        ],
    }


def _title(entry: Entry) -> str:
    return " ".join(entry.prompt.split())[:160] or "(no prompt)"


def _told(one: AgainstBaseline, run: Comparison, baseline: Comparison) -> str:
    """How a column's text differs from the baseline's, in a sentence with figures."""
    other = f"{LETTERS[one.other]}’s" if one.other != one.lane else "the"
    told = "" if one.same_recipe else f"was {baseline.lanes[one.other].recipe}; "
    if one.index is None:
        return f"{told}the same text"
    path = run.lanes[one.lane].trace.path()
    if one.index == one.before.tokens:
        told += f"goes on where {other} text there ended"
    elif one.index == one.now.tokens:
        told += f"ends earlier than {other} text there"
    else:
        token = quoted(path[one.index].text)
        told += f"parts from {other} text there at token {one.index + 1}, {token}"
    pairs = [
        ("perplexity", one.before.perplexity, one.now.perplexity, 1),
        ("4-gram repeats, %", _percent(one.before.repeated_4), _percent(one.now.repeated_4), 0),
        ("distinct-2", one.before.distinct_2, one.now.distinct_2, 2),
    ]
    for name, before, now, digits in pairs:
        if before is not None and now is not None and f"{before:.{digits}f}" != f"{now:.{digits}f}":
            told += f"; {name} {before:.{digits}f} → {now:.{digits}f}"
    if one.before.tokens != one.now.tokens:
        told += f"; {one.before.tokens} → {count(one.now.tokens, 'token')}"
    return told


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
