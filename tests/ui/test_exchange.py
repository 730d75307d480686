"""A recipe in the form of another program on the page, and settings imported from one."""

from __future__ import annotations

import time

import pytest

from playground.engine import Request
from playground.exchange import moved
from playground.service import Service
from playground.settings import Settings
from playground.ui.exchange import Exchange
from strategies import Recipe
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

ORDER = "temperature(2) | top_p(0.5) | sample"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = saved(tiny_llama(VOCAB), tmp_path_factory.mktemp("models") / "tiny")
    made = Service(Settings(model=str(folder), models=(), max_width=4, dtype="float32"))
    yield made
    made.close()


def asked(**changes):
    return {
        "recipe": ORDER,
        "format": "ollama",
        "prompt": "Hello",
        "seed": 3,
        "tokens": 8,
    } | changes


def answered(exchange, **changes):
    until = time.monotonic() + 60
    while "wait" in (told := exchange.take(asked(**changes))) and time.monotonic() < until:
        time.sleep(0.02)
    return told


def test_the_next_token_is_told_under_both_definitions(service):
    exchange = Exchange(service, service.comparison)
    unloaded = exchange.take(asked())
    assert unloaded["note"] == "The model is not loaded yet." and "PARAMETER" in unloaded["text"]
    service.engine()
    told = answered(exchange)
    there = Recipe.parse(told["there"])
    assert str(there) == "top_p(0.5) | temperature(2.0) | sample" and told["another"]
    request = Request(prompt="Hello", recipes=[Recipe.parse(ORDER), there], seed=3, top_n=200)
    here, other = service.preview(request)
    finals = [dict(zip(s.candidates.ids, s.candidates.final, strict=True)) for s in (here, other)]
    exact = sum(abs(finals[0].get(i, 0) - finals[1].get(i, 0)) for i in finals[0] | finals[1]) / 2
    low, high = moved(here, other)
    assert low - 1e-6 <= exact <= high + 1e-6 and high > 0
    shown = {(row["here"], row["there"]) for row in told["rows"]}
    both = {(finals[0].get(i, 0.0), finals[1].get(i, 0.0)) for i in finals[0] | finals[1]}
    assert shown <= both and "of the draws" in told["sentence"]


def test_the_text_of_the_column_is_followed_as_the_program_would_write_it(service):
    run = service.submit(Request(prompt="Hello", recipes=[Recipe.parse(ORDER)], max_new_tokens=8))
    assert run.join(60)
    exchange = Exchange(service, service.comparison)
    told = answered(exchange, run=run.id)
    found = service.comparison(run.id).what_if(0, told["there"])
    where = f"at token {found.index + 1}," if found.index is not None else "would be the same"
    assert found.unknown or where in told["changed"]
    assert "changed" not in answered(exchange, run=run.id, recipe="top_p(0.4) | sample")


def test_a_recipe_that_is_the_same_there_has_no_difference(service):
    told = answered(Exchange(service, service.comparison), recipe="top_p(0.9) | sample")
    assert not told["another"] and "rows" not in told and told["losses"] == []


def test_what_is_brought_is_told_with_what_it_lacks(service):
    read = Exchange(service, service.comparison).read
    told = read({"text": "--temp 0.5 --mirostat 1 -n 5 --samplers temperature"})
    assert told["recipe"] == "temperature(0.5) | sample"
    assert told["told"] == "Read as settings of llama.cpp." and len(told["left_out"]) == 2
    assert read({"text": "greedy"})["told"] == "Read as a recipe."
    assert "fault" in read({"text": 5}) and "fault" in read(None)
    faulty = Exchange(service, service.comparison).functions[1]({"text": "hello there"})
    assert "in no form" in faulty["fault"]
