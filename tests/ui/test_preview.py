"""The preview equals the first token of a run, or says why there is none."""

import time

import pytest

from playground.engine import Request
from playground.service import Service
from playground.settings import Settings
from playground.ui import preview
from strategies import Recipe
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

RECIPES = {0: "greedy", 1: "temperature(1.5) | top_k(3) | sample", 3: "beam(2)"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = saved(tiny_llama(VOCAB), tmp_path_factory.mktemp("models") / "tiny")
    made = Service(Settings(model=str(folder), models=(), max_width=4, dtype="float32"))
    yield made
    made.close()


def asked(**changes):
    limits = {"chat": False, "seed": 3, "least": 0, "tokens": 4, "model": None}
    return {**limits, "prompt": "Hello", "recipes": RECIPES, **changes}


def answered(service, sent):
    """The answer, once the prompt has been read."""
    until = time.monotonic() + 60
    while "wait" in (answer := preview.answer(service, sent)) and time.monotonic() < until:
        time.sleep(0.02)
    return answer


def test_it_waits_for_the_model_and_never_loads_one(service):
    assert not service.engines
    assert "model" in preview.answer(service, asked())["wait"]
    assert not service.engines
    service.engine()
    assert "prompt" in preview.answer(service, asked())["wait"]


@pytest.mark.parametrize("least", [0, 2])
def test_the_marked_token_is_the_one_that_run_chooses(service, least):
    sent = asked(prompt="What now?", least=least)
    columns = answered(service, sent)["columns"]
    recipes = [Recipe.parse(text) for text in RECIPES.values()]
    limits = {"max_new_tokens": 4, "min_new_tokens": least, "seed": 3}
    run = service.submit(Request(prompt=sent["prompt"], recipes=recipes, **limits))
    assert run.join(60)
    for (place, view), lane in zip(columns.items(), run.comparison().lanes, strict=True):
        step = lane.trace.steps[0]
        marks = [bar for bar in view["bars"] if bar[4]]
        if lane.trace.search.startswith("beam"):  # it chooses among whole texts
            assert not marks and "goes on with several" in view["told"]
            continue
        [marked] = marks
        at = step.candidates.ids.index(step.token)
        assert marked[1:3] == pytest.approx(
            [step.candidates.raw[at], step.candidates.final[at]], rel=0.01
        )
        assert view["told"].startswith(f"Column {'ABCD'[int(place)]} would choose")


def test_candidates_keep_the_model_s_order_and_removed_ones_say_by_what(service):
    view = answered(service, asked(recipes={"1": "top_k(2) | greedy"}))["columns"]["1"]
    raw = [bar[1] for bar in view["bars"]]
    assert raw == sorted(raw, reverse=True) and len(raw) == preview.SHOWN
    assert [bar[3] for bar in view["bars"]] == [False, False, True, True, True]
    assert view["told"].count("removed by top_k 2") == 3


@pytest.mark.parametrize("recipe", ["guidance(2) | greedy", "contrastive"])
def test_what_reads_more_than_the_prompt_is_drawn_once_a_run_read_it(service, recipe):
    sent = asked(prompt="And now?", recipes={"0": "greedy", "1": recipe})
    note = answered(service, sent)["columns"]["1"]
    assert note == {"note": preview.UNSEEN}
    limits = {"max_new_tokens": 4, "seed": 3}
    run = service.submit(Request(prompt="And now?", recipes=[Recipe.parse(recipe)], **limits))
    assert run.join(60)
    step = run.comparison().lanes[0].trace.path()[0]
    first = answered(service, sent)["columns"]["1"]["cards"]["0"]
    assert first["given"][0] == pytest.approx(max(step.candidates.raw), rel=1e-3)
    assert first["given"] != first["left"]
    other = answered(service, {**sent, "seed": 4})["columns"]["1"]
    assert other == note, "of another run nothing is told"


@pytest.mark.parametrize(
    "recipe, says",
    [("beam(5)", "needs 5 rows"), ("temperature(-1) | greedy", "cannot run"), ("", "cannot")],
)
def test_a_recipe_that_cannot_run_leaves_the_others_theirs(service, recipe, says):
    columns = answered(service, asked(recipes={"0": recipe, "1": "greedy"}))["columns"]
    assert says in columns["0"]["note"] and columns["0"]["refused"]
    assert columns["1"]["bars"]


@pytest.mark.parametrize(
    "change, says",
    [
        ({"seed": None}, "seed"),
        ({"seed": -1}, "“seed” is -1"),
        ({"tokens": -1}, "“new tokens” is -1"),
        ({"tokens": "63.7"}, "“new tokens” is '63.7'; it must be a whole number"),
        ({"prompt": ["x"]}, "prompt"),
        ({"prompt": "x" * 200}, "prompt"),
        ({"model": "nobody/offers"}, "not offered"),
        ({"recipes": {"0": 1}}, "recipes"),
        ({"recipes": dict.fromkeys(range(50), "greedy")}, "recipes"),
    ],
)
def test_what_cannot_be_asked_is_told(service, change, says):
    assert says in preview.answer(service, asked(**change))["fault"]


@pytest.mark.parametrize(
    "probability, told",
    [(1.0, "100"), (0.0995, "10"), (0.012, "1.2"), (4e-4, "<0.1"), (0.0, "0")],
)
def test_percent_in_four_characters(probability, told):
    assert preview._short(probability) == told
