"""A comparison as one file: what is in it, what is not, and that it can be read again."""

from __future__ import annotations

import base64
import gzip
import re

import pytest

from playground.engine import Request
from playground.html import content as contents
from playground.html.file import unpacked
from playground.trace import Comparison
from tests import traces
from tests.engine.models import engine, finished

DRAWN = "temperature(0.8) | top_k(40) | sample(2)"


@pytest.fixture(scope="module")
def hostile() -> Comparison:
    made = traces.comparison(traces.COLUMNS, length=64, run="<b>:1")
    made.prompt = "</script><script>alert(1)</script><!-- {{run}} {{content}}"
    made.lanes[0].name = "<img src=x onerror=alert(1)>"
    return made


@pytest.fixture(scope="module")
def drawn() -> Comparison:
    request = Request(prompt="abab", recipes=[DRAWN, "greedy"], max_new_tokens=10)
    return finished(engine(), request)


def test_a_file_of_three_columns_and_64_tokens_can_be_mailed(hostile):
    assert len(hostile.to_html()) < 2_000_000


def test_no_text_of_a_model_or_a_person_is_markup(hostile):
    page = hostile.to_html()
    assert page.count("<script") == page.count("</script>") == 3
    assert "alert(" not in page and "<img" not in page
    assert re.search(r"https?://(?!www\.w3\.org/)", page) is None  # names of SVG's, not addresses


def test_its_policy_names_its_script_and_no_source_of_anything_else(hostile):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', hostile.to_html())
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy[1] and "*" not in policy[1] and "unsafe-eval" not in policy[1]


def test_what_it_holds_is_read_again(hostile, drawn):
    for run in (hostile, drawn):
        assert Comparison.from_html(run.to_html()).to_json() == run.to_json()
        assert Comparison.from_html(run.to_json()).to_json() == run.to_json()


@pytest.mark.parametrize(
    "text, told",
    [
        ("<p>hello", "holds no comparison"),
        ('<script type="application/gzip" id="run">AAAA</script>', "damaged"),
        ('{"version": 99}', "later version"),
    ],
)
def test_what_is_none_is_refused_in_words(text, told):
    with pytest.raises(ValueError, match=told):
        Comparison.from_html(text)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused():
    bomb = base64.b64encode(gzip.compress(bytes(100_000))).decode()
    with pytest.raises(ValueError, match="longer than 5,000 bytes"):
        unpacked(bomb, 5_000)
    whole = base64.b64encode(gzip.compress(b"all")).decode()
    assert unpacked(whole) == b"all"
    with pytest.raises(ValueError, match="cut off"):
        unpacked(base64.b64encode(gzip.compress(bytes(1000))[:-8]).decode())


def test_more_columns_than_colours_are_refused(drawn):
    many = drawn.model_copy(update={"lanes": drawn.lanes * 4})
    with pytest.raises(ValueError, match="up to 6 columns, and this comparison has 8"):
        many.to_html()


def test_every_token_of_every_text_has_its_charts(drawn):
    told = contents.content(drawn)
    assert len(told["texts"]) == 2
    for number, text in enumerate(told["texts"]):
        for lane, path in enumerate(text["paths"]):
            outputs = drawn.lanes[lane].trace.outputs
            own = outputs[min(number, len(outputs) - 1)]
            assert [place["record"] for place in path] == own.nodes
            for place in path:
                record = told["lanes"][lane]["records"][str(place["record"])]
                stages = len(drawn.lanes[lane].trace.stages)
                assert len(record["bars"]) == len(record["stages"]) == stages + 1
    second = told["texts"][1]["paths"][0][0]
    assert second["caption"]["mark"]["output"] == 1
    assert "won the draw" in second["tickets"]["sentence"]


def test_how_far_a_setting_may_go_is_told_for_every_token(drawn):
    known = contents.content(drawn)["texts"][0]["changes"]
    ranges = known[0]["ranges"]["temperature.temperature"]
    assert len(ranges["tokens"]) == 10
    assert all(low <= 0.8 <= high for low, high, _, _ in ranges["tokens"])
    assert known[1]["settings"] == []


def test_of_a_long_comparison_it_is_said_that_it_is_not(drawn, monkeypatch):
    monkeypatch.setattr(contents, "MOST_ASKED", 15)
    first, second = contents.content(drawn)["texts"]
    assert "temperature.temperature" in first["changes"][0]["ranges"]
    assert second["changes"][0]["ranges"] == {"fault": contents.LONG}


@pytest.mark.parametrize("recipe", ["manual", "beam", "not_installed(3) | sample"])
def test_a_file_is_made_of_any_column(drawn, recipe):
    if recipe.startswith("not"):  # of a plugin that is not installed here
        lane = drawn.lanes[0].model_copy(update={"recipe": recipe})
        run = drawn.model_copy(update={"lanes": [lane]})
    else:
        run = finished(engine(), Request(prompt="ab", recipes=[recipe], max_new_tokens=3))
    assert Comparison.from_html(run.to_html()).lanes[0].recipe == recipe
