"""What a column's strip is told of a text: its tokens, its drafted places, its figures."""

from __future__ import annotations

import json

from playground.engine import Request
from playground.ui import strip
from tests.engine.models import engine, finished

MARKED = 'logit_bias({"a": 90, "b": 80}) | temperature(4) | watermark(bias=3) | speculative(6)'


def read(shown):
    """A strip's tokens."""
    return [json.loads(line) for line in shown["tokens"].splitlines()]


def test_drafts_and_what_processors_measure_are_shown():
    run = finished(engine(), Request(prompt="abab", recipes=["greedy", MARKED], max_new_tokens=40))
    plain, marked = (strip.shown(run, lane) for lane in (0, 1))
    assert {token[7] for token in read(plain)} == {False}
    drafted = [token[7] for token in read(marked)]
    assert True in drafted and {"a", "b"} & {d for d in drafted if isinstance(d, str)}
    for token in read(marked):
        assert not isinstance(token[7], str) or token[7] != token[0]
    names = [figure["name"] for figure in marked["figures"]]
    assert names[8:] == ["accepted", "green tokens", "watermark z"]
    assert len(plain["figures"]) == 8
    metrics = run.lanes[1].metrics
    judged = [d for d in drafted if d is not False]
    assert metrics.acceptance == judged.count(True) / len(judged)
    assert marked["figures"][8]["value"] == f"{100 * metrics.acceptance:.0f}"
    assert marked["figures"][10]["value"] == f"{metrics.found['watermark z']:.2f}"
    assert all(figure["meaning"] for figure in marked["figures"])
