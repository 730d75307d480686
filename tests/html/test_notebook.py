"""A comparison in a notebook: a frame that can ask for nothing, texts that are no markup, a bar."""

from __future__ import annotations

import html
import io
import re

import pytest

from playground.engine import Request
from playground.html.notebook import texts
from playground.progress import progress
from playground.trace import Comparison
from tests import traces
from tests.engine.models import engine


@pytest.fixture(scope="module")
def hostile() -> Comparison:
    made = traces.comparison(traces.COLUMNS, length=24)
    made.lanes[0].text = 'a"></iframe><img src=x onerror=alert(1)>\n````'
    made.lanes[1].name = "<b>bold</b>"
    return made


def test_it_shows_its_file_in_a_frame_of_its_own(hostile):
    shown = hostile._repr_html_()
    frame = re.match(r'<iframe srcdoc="([^"]*)" sandbox="([^"]*)"', shown)
    assert frame is not None
    assert html.unescape(frame[1]) == hostile.to_html()
    assert "allow-same-origin" not in frame[2]
    assert shown.count("<iframe") == shown.count("</iframe>") == 1
    assert "<img" not in shown and "<b>" not in shown


def test_where_no_file_can_be_its_texts_stand_alone(hostile, monkeypatch):
    many = hostile.model_copy(update={"lanes": hostile.lanes * 3})
    for run in (many, hostile.model_copy(update={"lanes": []})):
        shown = run._repr_html_()
        assert shown.startswith("<table") and shown.count("<tr") == len(run.lanes)
    monkeypatch.setattr("playground.html.notebook.MOST_BYTES", 1000)
    assert hostile._repr_html_() == texts(hostile)


def test_as_markdown_no_text_ends_its_fence(hostile):
    told = hostile._repr_markdown_()
    assert "`````\n" + hostile.lanes[0].text + "\n`````" in told
    assert all(lane.recipe in told for lane in hostile.lanes)


def test_its_repr_quotes_nobody(hostile):
    told = repr(hostile)
    assert told == f"<Comparison {hostile.id}: Random logits, 24 + 24 + 24 tokens>"
    assert str(hostile) == told


def test_a_bar_counts_to_the_tokens_that_were_written(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    served = engine()
    recipes = ["greedy", "top_k(40) | sample"]
    run = served.submit(Request(prompt="abab", recipes=recipes, max_new_tokens=6, stop=["zzz"]))
    told = []
    with progress(run, True) as tell:
        served.drive(run, lambda: told.append(tell()))
    written = sum(len(lane.token_ids) for lane in run.comparison().lanes)
    assert f"{written}/{written}" in shown.getvalue()
    assert "2 columns" in shown.getvalue()
    assert len(told) >= 5


def test_no_bar_is_shown_where_nobody_watches(monkeypatch):
    shown = io.StringIO()  # not a terminal
    monkeypatch.setattr("sys.stderr", shown)
    served = engine()
    run = served.submit(Request(prompt="abab", recipes=["greedy"], max_new_tokens=3))
    with progress(run) as tell:
        served.drive(run, tell)
    assert run.done and shown.getvalue() == ""
