"""What is sent to walk a text, and to draw the figures of all columns' tokens."""

from __future__ import annotations

import math

import pytest

from playground.ui import ribbon, walk
from playground.ui.walk import AT_ONCE
from tests.traces import COLUMNS, comparison

RUN = comparison(COLUMNS, length=40)


def test_choices_come_some_at_a_time() -> None:
    first = walk.answer(RUN, walk.ChoicesRequest(run="x", lane=1))
    rest = walk.answer(RUN, walk.ChoicesRequest(run="x", lane=1, first=AT_ONCE))
    assert len(first["choices"]) == AT_ONCE and len(rest["choices"]) == 40 - AT_ONCE
    assert "".join(first["texts"]) == RUN.lanes[1].text
    path = RUN.lanes[1].trace.path()
    for step, told in zip(path, first["choices"] + rest["choices"], strict=True):
        assert [one["label"] for one in told["moments"]] == [
            "model",
            "temperature 1.3",
            "top_p 0.8",
        ]
        (chosen,) = [row for row in told["rows"] if row["chosen"]]
        assert chosen["id"] == step.token
        assert chosen["levels"][0] == pytest.approx(step.raw_probability, rel=1e-4)
        assert chosen["levels"][-1] == pytest.approx(step.probability, rel=1e-4)
        for row in told["rows"]:
            gone = row["removed"]
            assert gone is None or row["levels"][gone + 1] == 0
    assert walk.answer(RUN, walk.ChoicesRequest(run="x", lane=1, first=99))["choices"] == []
    assert "fault" in walk.answer(None, walk.ChoicesRequest(run="x", lane=0))


def test_figures_are_those_of_the_records() -> None:
    told = ribbon.answer(RUN, ribbon.FiguresRequest(run="x", texts=[0, 7]))["lanes"]
    assert [len(lane) for lane in told] == [len(lane.token_ids) for lane in RUN.lanes]
    for lane, figures in zip(RUN.lanes, told, strict=True):
        for step, (_, raw, raw_rank, raw_entropy, logprob, rank, entropy) in zip(
            lane.trace.path(), figures, strict=True
        ):
            assert (raw_rank, rank) == (step.raw_rank, step.rank)
            assert math.exp(raw) == pytest.approx(step.raw_probability, rel=1e-3)
            assert math.exp(logprob) == pytest.approx(step.probability, rel=1e-3)
            assert (raw_entropy, entropy) == pytest.approx(
                (step.raw_entropy, step.entropy), rel=1e-3
            )
    assert "fault" in ribbon.answer(None, ribbon.FiguresRequest(run="x"))
