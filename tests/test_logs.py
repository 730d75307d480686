"""What is logged about a run, and what is not."""

from __future__ import annotations

import json
import logging
from typing import Literal

import pytest

from playground import logs
from playground.engine import Busy, FieldError, Limits, Observers, Request
from playground.service import Service
from playground.settings import Settings
from strategies.recipe import Recipe
from tests.engine.models import engine

SECRET = "My diary, "


@pytest.fixture
def kept(capsys, monkeypatch):
    """The observers of a logged service, and a function for the lines since its last call."""
    root = logging.getLogger("playground")
    before = root.handlers, root.propagate, root.level
    monkeypatch.setattr(logs, "redact", lambda: None)  # it cannot be undone

    def begun(**settings):
        service = Service(Settings(**settings))
        logs.keep(service)
        return service.observers, lambda: [*map(json.loads, capsys.readouterr().err.splitlines())]

    yield begun
    root.handlers, root.propagate = before[:2]
    root.setLevel(before[2])


def asked(prompt: str, *recipes: str) -> Request:
    return Request(prompt=prompt, recipes=list(recipes), max_new_tokens=3, client="203.0.113.5")


def run(observers: Observers) -> str:
    """Submit one run, and a refused one of each kind; returns the run's id."""
    served = engine(rows=3, limits=Limits(waiting=1, prompt_chars=40))
    served.loop.observer = observers
    made = served.submit(asked(SECRET, "greedy", "beam(2)"))
    for prompt, error in ((SECRET, Busy), (SECRET * 9, FieldError)):
        with pytest.raises(error):
            served.submit(asked(prompt, "sample"))
    served.drive(made)
    return made.id


def test_each_event_is_a_line_of_json_with_the_runs_id(kept):
    observers, lines = kept()
    id = run(observers)
    submitted, busy, invalid, started, ended = lines()
    assert [line["event"] for line in (submitted, busy, invalid, started, ended)] == [
        "submitted", "refused", "refused", "started", "ended",
    ]  # fmt: skip
    assert {line.get("run") for line in (submitted, started, ended)} == {id}
    assert submitted["recipes"] == ["greedy", "beam(2)"] and submitted["prompt_tokens"] == 10
    assert (busy["why"], invalid["why"]) == ("busy", "prompt")
    assert ended["outcome"] == "done" and ended["model"] == submitted["model"] == "llama"
    assert [lane["finish_reason"] for lane in ended["lanes"]] == ["length", "length"]
    assert ended["lanes"][0]["tokens"] == 3 and ended["total_s"] >= ended["first_token_s"] > 0
    assert started["queued_s"] >= 0 and submitted["time"].endswith("+00:00")


@pytest.mark.parametrize("wanted", [False, True])
def test_prompts_are_written_only_where_the_host_asked_for_it(kept, wanted):
    observers, lines = kept(log_prompts=wanted)
    run(observers)
    told = lines()
    assert [line["prompt"] for line in told if "prompt" in line] == (
        [SECRET, SECRET, SECRET * 9] if wanted else []
    )
    assert len(told) == 5 and (SECRET in json.dumps(told)) == wanted
    assert "203.0.113.5" not in json.dumps(told)


@pytest.mark.parametrize(
    "written, kept",
    [
        ("temperature(0.7) | dola('low') | sample(3)", None),
        (
            "guidance(2, negative_prompt='My diary') | greedy",
            'guidance(2.0, negative_prompt="…") | greedy',
        ),
        ("constrained('My .*') | greedy", 'constrained("…") | greedy'),
        ("~bad_words(['My', 'diary']) | manual([7, 8])", '~bad_words("…") | manual("…")'),
        ("no_repeat_ngram(2) | manual", None),
    ],
)
def test_a_recipe_is_written_without_what_a_visitor_wrote_in_it(written, kept):
    recipe = Recipe.parse(written)
    assert logs.RunLog()._recipe(recipe) == (kept or str(recipe))
    assert logs.RunLog(prompts=True)._recipe(recipe) == str(recipe)


@pytest.mark.parametrize("annotation", [str, str | None, str | int, Literal["low"] | str])
def test_whatever_may_hold_a_text_is_left_out(annotation):
    assert logs._may_hold_text(SECRET, annotation)
    assert not logs._may_hold_text("low", Literal["low", "high"])


@pytest.mark.parametrize("wanted", [False, True])
def test_other_messages_and_their_traces_are_lines_too(kept, wanted):
    _, lines = kept(log_prompts=wanted)
    try:
        raise ValueError("two\nwords".replace("w", SECRET))
    except ValueError:
        logging.getLogger("playground.api.errors").exception("unforeseen error %s", "0f3a")
    (line,) = lines()
    assert (line["level"], line["event"]) == ("error", "unforeseen error 0f3a")
    assert "ValueError" in line["trace"] and (SECRET in line["trace"]) == wanted
