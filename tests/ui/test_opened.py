"""Saved comparisons that a visitor opens: consistent ones are shown under ids of this server."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from playground.trace import Comparison
from playground.trace.soundness import check
from playground.ui import opened
from tests import traces


def packed(text: str) -> dict[str, str]:
    return {"data": base64.b64encode(gzip.compress(text.encode())).decode()}


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    return json.loads(traces.comparison(traces.COLUMNS, length=4, run="../../etc:1@x").to_json())


def test_what_was_saved_is_shown_under_an_id_of_ours(saved):
    run = opened.read(packed(json.dumps(saved)), 6)
    assert run.id.startswith("file-") and run.id.removeprefix("file-").isalnum()
    assert run.model_dump() | {"id": saved["id"]} == Comparison(**saved).model_dump()
    assert opened.read(packed(json.dumps(saved)), 6).id == run.id
    assert "Opened from a file" in opened.label(run)
    assert "on " not in opened.label(run.model_copy(update={"created": "<b>"}))


def _without_candidate(trace):
    trace["steps"][1]["candidates"]["ids"].pop()


def _of_other_token(trace):
    trace["steps"][2]["token"] = 10**6


def _child_of_its_own(trace):
    trace["steps"][1]["parent"] = 1


def _beyond(trace):
    trace["outputs"][0]["nodes"][0] = 99


def _out_of_order(trace):
    trace["outputs"][0]["nodes"].reverse()


def _other_text(trace):
    trace["outputs"][0]["token_ids"][0] += 1


def _stages_lost(trace):
    trace["steps"][0]["stages"] = []


def _improbable(trace):
    trace["steps"][0]["candidates"]["raw"][0] = 7.0


def _no_rank(trace):
    trace["steps"][0]["rank"] = 0


@pytest.mark.parametrize(
    "spoil, place",
    [
        (_without_candidate, "steps.1.candidates"),
        (_of_other_token, "steps.2.token"),
        (_child_of_its_own, "steps.1.parent"),
        (_beyond, "outputs.0.nodes"),
        (_out_of_order, "outputs.0.nodes"),
        (_other_text, "outputs.0.token_ids"),
        (_stages_lost, "steps.0.stages"),
        (_improbable, "steps.0.candidates"),
        (_no_rank, "steps.0.rank"),
    ],
)
def test_records_that_contradict_each_other_are_refused_by_place(
    saved: dict[str, Any], spoil: Callable[[Any], None], place: str
) -> None:
    changed = json.loads(json.dumps(saved))
    spoil(changed["lanes"][1]["trace"])
    with pytest.raises(ValueError, match=f"^lanes.1.trace.{place}: "):
        opened.read(packed(json.dumps(changed)), 6)


@pytest.mark.parametrize(
    "sent, told",
    [
        ({"fault": "no comparison."}, "no comparison."),
        ({"data": "AAAA"}, "damaged"),
        (packed("{}"), "Field required"),
        (packed("[]"), "file: "),
        ({"data": 7}, "valid string"),
    ],
)
def test_what_is_none_is_refused_in_words(sent, told):
    with pytest.raises(ValueError, match=told):
        opened.read(sent, 6)


def test_more_columns_than_the_page_has_are_refused(saved):
    with pytest.raises(ValueError, match="from 1 to 2 columns, and this has 3"):
        check(Comparison(**saved), 2)
