"""The form of an experiment: what is typed becomes its fields, and faults stand where they are."""

from __future__ import annotations

import pytest

from playground.experiment.experiment import Experiment, ExperimentError
from playground.ui.asking import Form, fields, options, place


def form(**typed):
    return Form.model_validate(
        {"prompts": "One\nTwo", "columns": ["greedy"], "metrics": ["length"]} | typed
    )


def asked(**typed):
    given, faults = fields(form(**typed))
    assert faults == {}
    return Experiment.of(given)


def test_prompts_are_typed_pasted_and_of_our_own():
    assert [one.text for one in asked().prompts] == ["One", "Two"]
    csv = asked(prompts='text,expected\n"a, b",c\n').prompts
    assert [(one.text, one.expected) for one in csv] == [("a, b", "c")]
    lines = asked(prompts='{"prompt": "x\\ny", "answer": 4}\n"z"\n').prompts
    assert [(one.text, one.expected) for one in lines] == [("x\ny", "4"), ("z", None)]
    assert len(asked(prompts="One, two\nThree, four").prompts) == 2  # no header of ours
    parts = asked(prompts="a\nb\n\n\nc\n", form="paragraphs").prompts
    assert [one.text for one in parts] == ["a\nb", "c"]
    sets = asked(prompts="", sets=["story", "fact"], first="2").prompts
    assert [one.name for one in sets] == ["story 1", "story 2", "fact 1", "fact 2"]


def test_recipes_are_the_columns_those_typed_and_a_sweep_of_one():
    found = asked(
        columns=["greedy", "sample"], names=["mine", ""], recipes="sample\n\ntop_k(5) | sample",
        swept="temperature(1) | top_p(0.9) | sample",
        settings=[
            {"name": "temperature.temperature", "values": "0.5 to 1 by 0.25"},
            {"name": "top_p.top_p", "values": "0.8, 0.9"},
            {"name": "", "values": ""},
        ],
    )  # fmt: skip
    assert len(found.recipes) == 3 + 6 and found.name(0) == "mine"
    assert str(found.recipes[3]) == "temperature(0.5) | top_p(0.8) | sample"
    listed = asked(
        columns=[], swept="top_k(5) | sample", kind="list",
        settings=[{"name": "top_k", "values": "[3, 7]"}],
    )  # fmt: skip
    assert [str(one) for one in listed.recipes] == ["top_k(3) | sample", "top_k(7) | sample"]
    spread = asked(
        swept="top_p(0.9) | sample", settings=[{"name": "top_p", "values": "0.5 to 0.9 in 3"}]
    )
    assert [str(one) for one in spread.recipes[1:]] == [
        f"top_p({value}) | sample" for value in (0.5, 0.7, 0.9)
    ]


@pytest.mark.parametrize(
    "typed, where, told",
    [
        ({"prompts": ""}, "prompts", "Type a prompt"),
        ({"prompts": '{"x": 1}'}, "prompts", "line 1: text is missing"),
        ({"columns": [], "recipes": ""}, "recipes", "Take the columns"),
        ({"recipes": "topp(0.9) | sample"}, "recipes", "no strategy 'topp'"),
        ({"seeds": "many"}, "seeds", "'many' was given"),
        ({"tokens": "-3"}, "tokens", "whole number"),
        ({"metrics": []}, "metrics", "at least one"),
        ({"settings": [{"name": "top_p", "values": "1"}]}, "sweep", "Say which recipe"),
        ({"swept": "sample", "settings": [{"name": "n", "values": "1"}] * 2}, "sweep", "twice"),
        ({"swept": "sample", "settings": [{"name": "n", "values": "[1]]"}]}, "sweep", "no JSON"),
    ],
)  # fmt: skip
def test_a_fault_stands_beside_what_was_typed(typed, where, told):
    _, faults = fields(form(**typed))
    assert list(faults) == [where] and told in faults[where]


@pytest.mark.parametrize(
    "typed, where",
    [
        ({"more": "distinct_n(0)"}, "metrics"),
        ({"prompts": "One\nOne"}, "prompts"),
        ({"seeds": "1, 1"}, "seeds"),
        ({"swept": "sample", "settings": [{"name": "top_p", "values": "0.4"}]}, "sweep"),
    ],
)
def test_what_an_experiment_refuses_stands_there_too(typed, where):
    given, faults = fields(form(**typed))
    assert faults == {}
    with pytest.raises(ExperimentError) as refused:
        Experiment.of(given)
    assert place(refused.value.field) == where


def test_the_form_offers_every_metric_and_set():
    offered = options()
    assert {"self_bleu", "tokens_per_second"} < {one["id"] for one in offered["metrics"]}
    assert any(one["usual"] for one in offered["metrics"]) and "dialogue" in offered["sets"]
