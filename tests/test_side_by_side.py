"""Columns of one run written by several models: with the same noise, each as by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from playground.engine import FieldError, Request
from playground.explain.partings import Side, parting
from playground.explain.replay import RecordedText, what_if
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison
from playground.ui import preview, strip
from playground.ui.views import View
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

RECIPES = ["temperature(1.5) | sample", 'model("other") | temperature(1.5) | sample', "greedy"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two models of one vocabulary, the first with a chat template, and one of another."""
    home = tmp_path_factory.mktemp("models")
    own = saved(tiny_llama(VOCAB, context=256), home / "own", chat=True)
    other = saved(tiny_llama(VOCAB, seed=7, context=256), home / "other")
    words = saved(tiny_llama(VOCAB, seed=8), home / "words")
    text = (words / "tokenizer.json").read_text(encoding="utf-8")
    (words / "tokenizer.json").write_text(text.replace('"<|im_end|>"', '"<|end|>"'))
    made = Service(
        Settings(
            model=str(own), models=(str(other), str(words), "a/far"), device="cpu", threads=1,
            dtype="float32", hub="http://127.0.0.1:9", hub_timeout_s=1, trace_steps=False,
        )
    )  # fmt: skip
    yield made
    made.close()


def ran(service: Service, recipes: list[str], model: str | None = None, **more: Any) -> Comparison:
    request = Request(prompt="Once upon", recipes=recipes, max_new_tokens=12, seed=3, **more)
    run = service.submit(request, model)
    assert run.join(60)
    return run.comparison()


def test_each_model_writes_its_columns_as_it_does_alone(service: Service) -> None:
    both = ran(service, RECIPES, names=["a", "b", ""])
    assert [lane.error for lane in both.lanes] == [None] * 3
    assert [lane.recipe for lane in both.lanes] == RECIPES
    assert [lane.name for lane in both.lanes] == ["a", "b", ""]
    assert [both.model_of(n).title for n in range(3)] == ["own", "other", "own"]
    alone = ran(service, [RECIPES[0], RECIPES[2]])
    assert [both.lanes[n].token_ids for n in (0, 2)] == [lane.token_ids for lane in alone.lanes]
    other = ran(service, [RECIPES[0]], "other")
    assert both.lanes[1].token_ids == other.lanes[0].token_ids != both.lanes[0].token_ids
    assert other.model.title == "other" and other.lanes[0].model is None
    kept = service.comparison(both.id)
    assert kept is not None and kept.lanes == both.lanes
    saved_again = Comparison.from_json(both.to_json())
    assert saved_again.model_of(1) == both.model_of(1)
    rearranged = View.parse(f"{both.id}:1.0").comparison(service.comparison)
    assert rearranged is not None and rearranged.model_of(0).title == "other"


def test_columns_part_by_what_their_models_gave(service: Service) -> None:
    both = ran(service, RECIPES)
    sides = [
        Side.of(letter, lane.trace, model=both.model_of(n).title)
        for n, (letter, lane) in enumerate(zip("ABC", both.lanes, strict=True))
    ]
    apart = parting(sides[0], sides[1])
    assert apart is not None and apart.why == "model"
    assert apart.text.startswith("parts from A at token 1: other gave ") and "own " in apart.text
    same = parting(sides[0], sides[2])
    assert same is not None and same.why != "model"
    assert "other gave" in strip.shown(both, 1)["partings"]


def test_a_text_is_replayed_as_its_own_model_read_it(service: Service) -> None:
    both = ran(service, ["greedy", 'model("other") | repetition_penalty(1.3) | greedy'], chat=True)
    own, other = both.prompt_tokens, both.lanes[1].prompt_tokens
    assert other is not None and len(other) < len(own)  # without the template, which it lacks
    recorded = RecordedText(both, 1)
    assert recorded.rows[0].tokens == tuple(token.id for token in other)
    found = what_if(recorded, recorded.recipe)
    assert found.index is None


def test_a_notice_says_which_model_has_no_chat_template(service: Service) -> None:
    request = Request(prompt="a", recipes=RECIPES, max_new_tokens=1, chat=True)
    run = service.submit(request)
    assert run.notice == "other has no chat template, and read the prompt as it is."
    assert run.join(60)


def test_a_run_of_one_named_model_is_that_model_s_own(service: Service) -> None:
    found = ran(service, ['model("other") | greedy'])
    assert found.model.title == "other" and found.lanes[0].model is None
    assert ran(service, ['model("own") | greedy']).lanes[0].model is None


@pytest.mark.parametrize(
    "recipe, more, field, words",
    [
        ('model("nothing") | greedy', {}, "recipes.1", "'nothing' is not offered here"),
        ('model("words") | greedy', {}, "recipes.1", "words has another vocabulary than own"),
        ('model("a/far") | greedy', {}, "recipes.1", "cannot be reached"),
        ('model("other") | greedy', {"alone": True}, "alone", "of one model"),
        ('model("other") | greedy', {"prompt_ids": [5]}, "recipes", "Tokens were given"),
        ('model("other") | logit_bias({"9999": 1}) | greedy', {}, "recipes.1", "9999"),
    ],
)
def test_what_cannot_be_is_said_at_the_column(
    service: Service, recipe: str, more: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(FieldError, match=words) as caught:
        service.submit(Request(prompt="a", recipes=["greedy", recipe], **more))
    assert caught.value.field == field


def test_a_preview_is_of_the_model_that_a_column_names(service: Service) -> None:
    recipes = {0: "greedy", 1: 'model("other") | greedy', 2: 'model("nothing") | greedy'}
    sent = {
        "prompt": "Once", "chat": False, "seed": 3, "least": 0, "tokens": 4, "model": None,
        "recipes": recipes,
    }  # fmt: skip
    service.engine(), service.backend(service.models.catalogue()[1].id)
    until = time.monotonic() + 60
    while "wait" in (told := preview.answer(service, sent)) and time.monotonic() < until:
        time.sleep(0.02)
    run = service.submit(Request(prompt="Once", recipes=[*recipes.values()][:2], max_new_tokens=4))
    assert run.join(60)
    for place, lane in enumerate(run.comparison().lanes):
        step = lane.trace.path()[0]
        [chosen] = [bar for bar in told["columns"][str(place)]["bars"] if bar[4]]
        assert chosen[1] == pytest.approx(step.raw_probability, rel=0.01)
    assert "'nothing' is not offered here" in told["columns"]["2"]["note"]


def test_an_engine_by_itself_refuses_a_column_of_another_model(service: Service) -> None:
    with pytest.raises(FieldError, match=r"model names other, .* by own alone"):
        service.engine().submit(Request(prompt="a", recipes=['model("other") | greedy']))


def test_stop_ends_what_both_models_write(service: Service) -> None:
    run = service.submit(Request(prompt="a", recipes=RECIPES, max_new_tokens=200))
    run.wait(run.version)
    run.cancel()
    assert run.join(60) and run.outcome == "cancelled"
    assert all(view.done for view in run.views)
