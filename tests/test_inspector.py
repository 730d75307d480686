"""The inspector's events, without a browser: what is drawn, what is skipped, what is refused."""

import asyncio
import json
import re
from urllib.parse import unquote

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground import charts
from playground.ui import data_table, downloads, lookups
from playground.ui.inspector import Inspector
from playground.ui.inspector_view import InspectorState, InspectorView, Selection, stage_of, stages
from playground.ui.views import look_up
from tests.traces import COLUMNS, comparison, several_texts

RUN = comparison(COLUMNS, length=6)
SEVERAL = several_texts()
HERE = {"run": RUN.id, "lane": 1, "step": 2}


@pytest.fixture(scope="module")
def inspector():
    async def build():
        """In a running loop: without one, Blocks makes a loop that nothing closes."""
        with gr.Blocks() as page:
            made = Inspector({run.id: run for run in (RUN, SEVERAL)}.get, first=HERE)
        made.page = page
        return made

    return asyncio.run(build())


def given(inspector, selection, tab="distribution", **more):
    """The inputs of an event of the region, by component."""
    values = dict.fromkeys(inspector.inputs) | {
        inspector.parts.selection: selection,
        inspector.parts.tab: tab,
        inspector.parts.stage: "final",
        inspector.parts.side: "model",
        inspector.parts.texts: "shown",
    }
    return values | {getattr(inspector.parts, name): value for name, value in more.items()}


def drawn(inspector, updates):
    """Names of the charts that were computed."""
    names = {
        id(getattr(inspector.parts, n)): n
        for n in ("bars", "stages", "per_step", "timeline", "memory")
    }
    names |= {id(inspector.parts.steps): "steps", id(inspector.parts.table): "table"}
    return {names[id(part)] for part in updates if id(part) in names}


@pytest.mark.parametrize(
    "tab, charts",
    [
        ("distribution", {"bars", "stages"}),
        ("timings", {"per_step", "timeline", "memory"}),
        ("steps", {"steps"}),
        ("data", {"table"}),
    ],
)
def test_only_the_visible_tab_is_computed(inspector, tab, charts):
    assert drawn(inspector, inspector.draw(InspectorState(HERE, tab))) == charts


def test_it_opens_drawn(inspector):
    assert inspector.parts.bars.value["rows"] and inspector.parts.stages.value["rows"]
    assert inspector.parts.caption.value["title"].startswith("token 3:")


def test_what_was_chosen_in_a_run_stays_chosen_at_its_end(inspector):
    opening = {"run": RUN.id, "lane": 0, "step": 0, "output": 0}
    part = inspector.parts.selection
    kept = inspector.open(opening, InspectorState(HERE, "distribution"))
    other = InspectorState({**HERE, "run": SEVERAL.id}, "distribution")
    assert (kept[part]["lane"], kept[part]["step"]) == (1, 2)
    assert inspector.open(opening, other)[part]["lane"] == 0


def test_a_step_past_the_end_is_the_last(inspector):
    updates = inspector.draw(InspectorState({**HERE, "step": 99}, "distribution"))
    assert updates[inspector.parts.selection]["step"] == 5
    assert updates[inspector.parts.token] == {"token": 6, "most": 6}


@pytest.mark.parametrize("selection", [None, {**HERE, "run": "gone"}, {**HERE, "lane": 5}])
def test_nothing_to_show_says_so(inspector, selection):
    updates = inspector.draw(InspectorState(selection, "distribution"))
    assert updates[inspector.parts.selection] is None
    assert "Press Run" in updates[inspector.parts.caption]["facts"]
    assert updates[inspector.parts.bars] is None


@pytest.mark.parametrize(
    "change, field",
    [
        ({"lane": -1}, "lane"),
        ({"lane": "1"}, "lane"),
        ({"step": -1}, "step"),
        ({"step": 1.5}, "step"),
        ({"output": -2}, "output"),
        ({"run": "x" * 200}, "run"),
        ({"run": None}, "run"),
    ],
)
def test_a_selection_sent_by_hand_is_checked(inspector, change, field):
    with pytest.raises(gr.Error, match=f"^['\"]?{field}: "):
        inspector.draw(InspectorState({**HERE, **change}, "distribution"))


@pytest.mark.parametrize("told", [None, [], "1", {"data": [1]}, {"data": ["a", 1]}, {"data": {}}])
def test_a_point_sent_by_hand_is_checked(inspector, told):
    event = gr.EventData(None, told)
    with pytest.raises(gr.Error, match="whole numbers"):
        inspector._pointed(given(inspector, HERE, "steps"), event)


def test_a_point_selects_its_token(inspector):
    event = gr.EventData(None, {"data": [2, 4, "text", "9 %"]})
    updates = inspector._pointed(given(inspector, HERE, "steps"), event)
    assert updates[inspector.parts.selection] == {
        "run": RUN.id, "lane": 2, "step": 4, "output": 0, "texts": [0, 0, 0], "reference": None
    }  # fmt: skip


def test_what_a_person_moves_is_not_written_back(inspector):
    moved = inspector._moved(given(inspector, HERE, token={"token": 4}))
    assert inspector.parts.token not in moved and moved[inspector.parts.selection]["step"] == 3
    turned = inspector._turned(given(inspector, HERE, column=2))
    assert inspector.parts.column not in turned and turned[inspector.parts.selection]["lane"] == 2
    assert inspector.parts.stage not in inspector._restaged(given(inspector, HERE))


def view(lane):
    path = RUN.lanes[lane].trace.path()
    return InspectorView(RUN, Selection(run=RUN.id, lane=lane, step=0), path, RUN)


def test_the_stage_control_offers_this_lane_s_stages():
    offered = stages(view(1), "final")
    assert offered["choices"] == [
        ("model alone", "-1"),
        ("temperature 1.3", "0"),
        ("top_p 0.8", "final"),
    ]
    assert stages(view(0), "0")["visible"] is False


@pytest.mark.parametrize(
    "lane, asked, stage",
    [(1, "final", 1), (1, "0", 0), (1, "-1", -1), (1, "7", 1), (2, "final", 0), (0, "final", -1)],
)
def test_a_stage_asked_for_in_another_lane_falls_back_to_the_last(lane, asked, stage):
    assert stage_of(view(lane), asked) == stage


def test_no_event_is_part_of_the_public_interface(inspector):
    assert inspector.page.fns
    assert {fn.api_visibility for fn in inspector.page.fns.values()} == {"private"}


def test_files_are_the_run_and_nothing_is_written_to_a_disk(inspector, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    links = inspector.draw(InspectorState(HERE, "data"))[inspector.parts.files]
    client = TestClient(Starlette(routes=downloads.routes({RUN.id: RUN}.get)))
    whole, table = (client.get(f"/{links[kind]}") for kind in ("json", "csv"))
    assert whole.text == RUN.to_json()
    assert table.text == RUN.to_csv()
    for kind, answer in (("json", whole), ("csv", table)):
        told = answer.headers["content-disposition"]
        assert told == f'attachment; filename="comparison-{RUN.id}.{kind}"'
        assert answer.headers["cache-control"] == "no-store"
    assert list(tmp_path.iterdir()) == []


def test_the_table_and_its_file_are_of_the_shown_texts_or_of_all(inspector):
    client = TestClient(Starlette(routes=downloads.routes({SEVERAL.id: SEVERAL}.get)))
    here = {"run": SEVERAL.id, "lane": 1, "step": 9, "output": 2, "texts": [0, 0, 0]}
    for which, samples in (("shown", [0, 2, 0]), ("all", "all")):
        updates = inspector.draw(InspectorState(here, "data", texts=which))
        table, frame = updates[inspector.parts.table], SEVERAL.frame(samples)
        assert every(table, SEVERAL) == rounded(frame, table["columns"])
        for by, falling in (("column", True), ("raw_entropy", False), ("rank", True)):
            ordered = frame.sort_values(by, ascending=not falling, kind="stable")
            told = every(table, SEVERAL, by=by, falling=falling)
            assert told == rounded(ordered, table["columns"])
        told = client.get(f"/{updates[inspector.parts.files]['csv']}")
        assert told.text == SEVERAL.to_csv(samples)
    assert updates[inspector.parts.caption]["facts"].startswith("text 3 of 3 · id")
    assert updates[inspector.parts.selection]["step"] == 4  # the last of the shorter text
    assert updates[inspector.parts.texts]["visible"]
    assert not inspector.draw(InspectorState(HERE, "data"))[inspector.parts.texts]["visible"]
    odd = client.get(f"/runs/{SEVERAL.id}.csv?samples=1;drop")
    assert odd.text == SEVERAL.to_csv()


def test_turning_to_another_text_turns_the_drawings_too(inspector):
    here = {"run": SEVERAL.id, "lane": 1, "step": 2, "output": 0}

    def told(event):
        updates = inspector.turned(given(inspector, here, "steps"), gr.EventData(None, event))
        return updates[inspector.parts.selection]

    turned = told({"lane": 1, "output": 2, "texts": [0, 2, 0], "reference": 2})
    assert (turned["output"], turned["texts"], turned["reference"]) == (2, [0, 2, 0], 2)
    looked_at_elsewhere = inspector.turned(
        given(inspector, {**here, "lane": 0}, "steps"),
        gr.EventData(None, {"lane": 1, "output": 2, "texts": [0, 2, 0], "reference": None}),
    )
    assert looked_at_elsewhere[inspector.parts.selection]["output"] == 0
    answer = lookups.chart({SEVERAL.id: SEVERAL}.get)(
        looked_at_elsewhere[inspector.parts.steps]["asked"]
    )
    drawn = json.loads(answer["figure"])["data"]
    assert (
        max(
            len(line["x"])
            for line in drawn
            if line.get("customdata") and line["customdata"][0][0] == 1
        )
        == 5
    )
    pointed = inspector._pointed(
        given(inspector, {**here, "lane": 0, "texts": [0, 2, 0]}, "steps"),
        gr.EventData(None, {"data": [1, 3]}),
    )
    assert pointed[inspector.parts.selection]["output"] == 2


@pytest.mark.parametrize(
    "run, lane",
    [("several", 1), ("several:1.2", 0), ("another", 1), ("", 1)],
)
def test_another_reference_is_drawn_where_the_columns_stand_now(inspector, monkeypatch, run, lane):
    monkeypatch.setattr(inspector, "resolve", lambda name: look_up(name, {"several": SEVERAL}.get))
    here = {"run": SEVERAL.id, "lane": 1, "step": 2, "output": 2, "texts": [0, 2, 0]}
    told = gr.EventData(None, {"run": run, "reference": 1, "texts": []})
    updates = inspector.referred(given(inspector, here, "steps"), told)
    at = updates[inspector.parts.selection]
    assert (at["lane"], at["reference"]) == (lane, 1)
    assert at["output"] == (0 if ":" in run else 2)
    answer = lookups.chart(inspector.resolve)(updates[inspector.parts.steps]["asked"])
    assert "parts from B at token" in answer["sentence"]


def every(table, run, **order):
    """All rows of a table, asked for block by block as the element does."""
    ask, rows = lookups.rows({run.id: run}.get), []
    place = {"run": table["run"], "samples": table["samples"]} | order
    while len(rows) < table["total"]:
        rows += ask(place | {"first": len(rows)})["rows"]
    return rows


def rounded(frame, columns):
    shown = frame[columns].copy()
    shown["token"] = [charts.visible(token) for token in shown["token"]]
    return shown.round(3).values.tolist()


def test_the_table_comes_with_the_rows_around_the_selected_token(inspector, monkeypatch):
    monkeypatch.setattr(data_table, "BLOCK", 20)
    selection = {"run": SEVERAL.id, "lane": 1, "step": 4, "output": 2}
    table = inspector.draw(InspectorState(selection, "data"))[inspector.parts.table]
    row = table["rows"][table["selected"] - table["first"]]
    assert [row[table["columns"].index(name)] for name in ("column", "sample", "position")] == [
        "B", 3, 5,
    ] == table["marked"]  # fmt: skip
    assert len(table["rows"]) == 20 < table["total"]
    assert every(table, SEVERAL)[table["first"] :][: len(table["rows"])] == table["rows"]
    moved = inspector.draw(InspectorState(selection | {"step": 1}, "data"))[inspector.parts.table]
    assert moved["key"] == table["key"]  # what was sent stays right
    turned = InspectorState(selection | {"output": 1}, "data")
    for other in (turned, InspectorState(selection, "data", texts="all")):
        assert inspector.draw(other)[inspector.parts.table]["key"] != table["key"]
    gone = lookups.rows({}.get)({"run": "gone", "samples": "all"})
    assert "no longer kept" in gone["fault"]


@pytest.mark.parametrize("path", ["runs/nosuch.csv", "runs/a%2Fb.csv", f"runs/{RUN.id}.txt"])
def test_a_file_that_is_not_there_is_told_so(path):
    client = TestClient(Starlette(routes=downloads.routes({RUN.id: RUN}.get)))
    assert client.get(f"/{path}").status_code == 404


def test_the_name_of_what_is_shown_survives_its_link():
    asked = []
    client = TestClient(Starlette(routes=downloads.routes(asked.append)))
    names = ["0af3", "0af3:0.0.2", "0af3:0.1@77be.2.0@recorded"]
    for name in names:
        link = f"/{downloads.links(name)['csv']}"
        assert re.fullmatch(downloads.PATHS, unquote(link)) and client.get(link).status_code == 404
    assert asked == names
