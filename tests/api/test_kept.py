"""Runs that the server still keeps, over HTTP."""

from __future__ import annotations

from playground.trace import Comparison
from tests.api.asking import ask, faults


def test_a_run_that_was_answered_is_read_again_in_every_form(client):
    told = ask(client, recipes=["greedy", "sample"], max_new_tokens=4).json()
    kept = client.get(f"/api/runs/{told['id']}")
    assert kept.headers["cache-control"] == "no-store"
    run = Comparison.from_json(kept.text)
    assert [lane.token_ids for lane in run.lanes] == [lane["token_ids"] for lane in told["lanes"]]
    table = client.get(f"/api/runs/{told['id']}?form=csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) > 1
    page = client.get(f"/api/runs/{told['id']}?form=html")
    assert page.headers["content-type"].startswith("text/html")
    assert Comparison.from_html(page.text).id == told["id"]


def test_what_is_not_kept_or_not_known_is_said_to_be_so(client):
    assert ("path", "run") in faults(client.get("/api/runs/0123456789abcdef"), 404)
    assert ("query", "form") in faults(client.get("/api/runs/x?form=pdf"), 422)
