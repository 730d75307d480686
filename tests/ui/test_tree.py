"""The tree of all texts as the page draws it, and what a person does with its branches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from playground.engine import Request
from playground.engine.forking import fork
from playground.explain.graft import graft
from playground.trace import Comparison
from playground.ui import apart, branches, tree
from playground.ui.recipe import ColumnState
from playground.ui.views import look_up
from tests.engine.models import engine, finished

RECIPES = ["greedy", "temperature(1.3) | sample(2)", "temperature(1.3) | sample"]


@pytest.fixture(scope="module")
def kept() -> dict[str, Comparison]:
    """A run, and a text that continues its first one from one of its tokens."""
    served = engine()
    run = finished(served, Request(prompt="abab", recipes=RECIPES, max_new_tokens=6, seed=3))
    went = finished(served, fork(run, 0, 2, [run.lanes[0].trace.path()[2].candidates.ids[3]]))
    whole = went.model_copy(update={"id": "forked", "lanes": [graft(run, 0, 0, 2, went)]})
    run = run.model_copy(update={"id": "run"})
    return {"run": run, "forked": whole}


def resolver(kept):
    return lambda view: look_up(view, kept.get)


def ask(kept, run, known=()):
    return branches.forest(resolver(kept))({"run": run, "known": list(known)})


def test_columns_come_first_and_then_the_texts_kept_beside_them(kept):
    told = ask(kept, "run:0.2", ["forked/0", "run/1", "gone/0", "run/0"])
    texts = [(one["source"], one["output"], one["column"]) for one in told["texts"]]
    assert texts == [
        ("run/0", 0, 0), ("run/2", 0, 1), ("forked/0", 0, None), ("run/1", 0, None),
        ("run/1", 1, None),
    ]  # fmt: skip
    assert told["texts"][2]["forked"] == f"{kept['forked'].lanes[0].forked.run}/0"
    assert [one["letter"] for one in told["texts"]] == ["A", "B", "", "", ""]
    forked = [n for n, one in enumerate(told["stretches"]) if 2 in one["texts"]]
    words = [told["stretches"][n]["words"] for n in forked]
    assert len([word for part in words for word in part]) == 6
    assert told["stretches"][forked[0]]["texts"][:1] == [0], "it begins as the text it goes on with"
    assert not told["running"] and "5 texts" in told["sentence"]


def test_what_cannot_be_drawn_is_said(kept):
    assert "no longer kept" in ask(kept, "nothing")["fault"]
    assert "fault" in ask(kept, "run", ["../../etc/passwd"])
    empty = kept["run"].model_copy(update={"lanes": []})
    assert tree.drawn([]) | {"texts": []} == tree.drawn([])
    assert ask({"run": empty}, "run")["sentence"] == tree.NOTHING


def test_every_pair_has_a_number_and_one_a_chart(kept):
    asked = apart.Apart(resolver(kept)).function
    told = asked({"run": "run", "texts": [0, 1, 0], "left": 1, "right": 2})
    assert [pair[:2] for pair in told["pairs"]] == [[0, 1], [0, 2], [1, 2]]
    chart = told["chart"]
    assert (chart["left"], chart["right"]) == (1, 2)
    assert len(chart["low"]) == len(chart["high"]) == len(chart["words"]) == len(chart["others"])
    assert all(low <= high for low, high in zip(chart["low"], chart["high"], strict=True))
    mean = sum(chart["low"]) / len(chart["low"])
    assert told["pairs"][2][2] == pytest.approx(mean, abs=1e-3)
    again = asked({"run": "run", "texts": [0, 0, 0], "left": 1, "right": 2})
    assert again["chart"]["told"].endswith("the same text."), "both draw with the same luck"
    alone = asked({"run": "run:0"})
    assert alone["columns"] == [] and alone["sentence"] == apart.ALONE
    assert "no longer kept" in asked({"run": "gone"})["fault"]


class Shown:
    """Columns that keep what they were last told to draw."""

    most, run = 3, "run"

    def __init__(self, kept):
        self.resolve = resolver(kept)
        self.count = 2
        self.outputs: list[object] = []

    def state(self, values):
        return [ColumnState([]) for _ in range(values["count"])]

    def draw(self, columns, view):
        return {"run": view, "names": [one.name for one in columns]}


def act(kept, view, count, **what):
    named: list[tuple[str, int, str]] = []
    left: list[str] = []
    acts = branches.Branches(Shown(kept), "fault", lambda *told: named.append(told))  # type: ignore[arg-type]
    event = SimpleNamespace(_data=what)
    return acts.act({"run": view, "count": count}, event, left.append), named, left


def test_a_text_is_shown_hidden_and_named(kept):
    told, _, left = act(kept, "run:0.1", 2, act="show", source="forked/0")
    assert told["run"] == "run:0.1.0@forked" and left == ["run:0.1"] and told["fault"] is None
    told, _, _ = act(kept, "run:0.1.0@forked", 3, act="show", source="run/2")
    assert "room for 3 columns" in told["fault"]
    told, _, _ = act(kept, "run:0.1.0@forked", 3, act="hide", source="run/1")
    assert told["run"] == "run:0.0@forked"
    told, _, _ = act(kept, "run:0", 1, act="hide", source="run/0")
    assert "only column" in told["fault"]
    told, named, left = act(kept, "run:0.0@forked", 2, act="name", source="forked/0", name="mine")
    assert named == [("forked", 0, "mine")] and not left
    assert told["names"] == ["", "mine"] and told["run"] == "run:0.0@forked"
    told, _, _ = act(kept, "run:0", 1, act="show", source="gone/0")
    assert "no longer kept" in told["fault"]
