"""Choosing by hand, without a browser: the choices, the run of one, and its view's name."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from playground.engine import Request
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison
from playground.ui import chooser, manual, strip, views
from playground.ui.views import View
from playground.ui.visitor import visitor
from strategies.recipe import RecipeError
from tests.engine.models import engine, finished
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama


def run(*recipes: str, **more: object) -> Comparison:
    given = {"prompt": "pick", "recipes": list(recipes), "max_new_tokens": 3, "seed": 3} | more
    return finished(engine(), Request.model_validate(given))


def test_what_survives_is_offered_likeliest_first() -> None:
    lane = run('logit_bias({"q": 30}) | top_k(4) | manual').lanes[0]
    offered = chooser.view(lane)
    assert offered is not None and offered["rest"] == "" and offered["undo"] is False
    probabilities = [choice[2] for choice in offered["choices"]]
    assert len(probabilities) == 4 and probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-3)
    assert offered["choices"][0][1] == "q"


def test_a_search_that_chooses_by_itself_offers_nothing() -> None:
    lane = run("sample").lanes[0]
    assert chooser.view(lane) is None
    with pytest.raises(RecipeError, match="sample chooses by itself"):
        manual.changed(lane, 7)


@pytest.mark.parametrize("token, picks", [(9, "manual([7, 8, 9])"), (None, "manual([7])")])
def test_a_choice_changes_the_picks_alone(token: int | None, picks: str) -> None:
    lane = run("temperature(2.5) | ~top_k(3) | manual([7, 8])").lanes[0]
    changed = manual.changed(lane, token)
    assert str(changed) == f"temperature(2.5) | ~top_k(3) | {picks}"


def test_undo_drops_what_the_text_does_not_hold() -> None:
    lane = run("manual([7, 8, 9, 10, 11])").lanes[0]
    assert lane.finish_reason == "length" and len(lane.token_ids) == 3
    assert str(manual.changed(lane, None)) == "manual([7, 8, 9])"


@pytest.mark.parametrize("token", ["7", -1, 1.5, [7], {}])
def test_no_other_thing_is_picked(token: object) -> None:
    lane = run("manual").lanes[0]
    with pytest.raises(RecipeError, match="picks"):
        manual.changed(lane, token)


def test_a_text_that_waits_has_neither_ended_nor_a_speed() -> None:
    shown = run("manual([7])", "manual([7, 8])")
    ahead = strip.shown(shown, 1)
    assert ahead["partings"] == "{}"
    assert [f["value"] for f in ahead["figures"][:4]] == ["2", "—", "—", "—"]
    assert {json.loads(line)[7] for line in ahead["tokens"].splitlines()} == {False}


def test_lanes_of_several_runs_stand_side_by_side() -> None:
    first, second = run("greedy", "manual", "sample"), run("manual([7])")
    runs = {first.id: first, second.id: second}
    view = View(first.id).replaced(1, 3, second.id)
    assert view.replaced(1, 3, second.id) == view == View.parse(str(view))
    shown = view.comparison(runs.get)
    assert shown is not None and shown.id == str(view)
    assert shown.lanes == [first.lanes[0], second.lanes[0], first.lanes[2]]
    again = view.rearranged([1, 1, 0]).comparison(runs.get)
    assert again is not None
    assert again.lanes == [second.lanes[0], second.lanes[0], first.lanes[0]]
    alone = View(first.id), View(second.id)
    assert [view.at(n) for n in range(3)] == [alone[0].at(0), alone[1].at(0), alone[0].at(2)]
    full = View("x" * 16)
    for at in range(6):
        full = full.replaced(at, 6, "y" * 16)
    assert len(str(full)) <= views.LONGEST


@pytest.mark.parametrize(
    "written", ["gone", "{0}:0.9", "{0}:0@gone", "{0}:a", "{0}:-1", "{0}:0@{0}.@{0}"]
)
def test_what_is_not_known_is_not_shown(written: str) -> None:
    known = run("greedy")
    assert views.look_up(written.format(known.id), {known.id: known}.get) is None


@pytest.mark.parametrize(
    "peer, page, counted",
    [
        ("203.0.113.5", "page", "203.0.113.5"),
        ("127.0.0.1", "page", "page"),
        (None, "page", "page"),
        ("127.0.0.1", None, ""),
    ],
)
def test_a_visitor_is_an_address_or_a_page(
    peer: str | None, page: str | None, counted: str
) -> None:
    headers = SimpleNamespace(getlist=lambda name: ["198.51.100.1"])
    client = peer and SimpleNamespace(host=peer)
    request = SimpleNamespace(client=client, headers=headers, session_hash=page)
    assert visitor(request, Settings()) == counted


def test_what_is_looked_at_outlives_the_runs_of_many_choices(tmp_path: Path) -> None:
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    service = Service(Settings(model=str(folder), models=(), dtype="float32", keep_runs=3))
    try:
        first, *others = [
            service.submit(Request(prompt="p", recipes=["manual"], max_new_tokens=2)).id
            for _ in range(2)
        ]
        for _ in range(5):
            assert service.comparison(first) is not None
            run = service.submit(Request(prompt="p", recipes=["manual([7])"], max_new_tokens=2))
            assert run.join(60)
        assert service.comparison(others[0]) is None
    finally:
        service.close()


@pytest.mark.parametrize(
    "name, lane, to, lanes, stands",
    [
        ("r", 1, "r:0.2", 2, None),
        ("r", 2, "r:0.2", 2, 1),
        ("r:0.2", 1, "r:0.2.2", 3, 1),  # the nearer of two
        ("r:0.1@s.2", 1, "r:1@s.2", 2, 0),
        ("r", 1, "s", 3, None),
    ],
)
def test_a_lane_is_found_where_it_stands_now(name, lane, to, lanes, stands):
    assert View.parse(name).found_in(lane, View.parse(to), lanes) == stands
