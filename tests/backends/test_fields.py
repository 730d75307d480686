"""Recipes as other programs' fields: what is sent means the recipe, as fields are read here."""

from __future__ import annotations

import pytest

from playground.backends.openai.fields import PROGRAMS, fields, refused
from playground.engine import FieldError
from strategies import Recipe
from strategies.bridges.sampling_fields import recipe as read

DIALECTS = {"vllm": "vllm", "llamacpp": "llama.cpp", "me": "llama.cpp", "": "openai"}


@pytest.mark.parametrize(
    "owner, written",
    [
        ("vllm", "greedy"),
        ("vllm", "sample"),
        ("vllm", "temperature(0.7) | min_p(0.1) | top_k(40) | top_p(0.9) | sample"),
        ("vllm", "repetition_penalty(1.2) | presence_penalty(0.5) | sample"),
        ("vllm", "frequency_penalty(0.5) | greedy"),
        ("llamacpp", "sample"),
        ("llamacpp", "greedy"),
        ("llamacpp", "temperature(0.7) | top_k(40) | sample"),
        ("llamacpp", "min_p(0.1) | temperature(0.7) | top_p(0.9) | sample"),
        ("llamacpp", "repetition_penalty(1.2) | xtc(0.2, probability=0.5) | sample"),
        ("llamacpp", "top_n_sigma(1.5) | typical_p(0.9) | sample"),
        ("llamacpp", "dry(0.8) | temperature(0.7) | sample"),
        ("llamacpp", "temperature(0.9) | mirostat_v2(3.0) | sample"),
        ("vllm", 'constrained(regex="a+") | temperature(0.7) | sample'),
        ("vllm", 'bad_words(["no"]) | sample'),
        ("me", "top_k(5) | min_p(0.1) | temperature(0.7) | sample"),
        ("", "temperature(0.7) | top_p(0.9) | sample"),
        ("", "presence_penalty(0.5) | greedy"),
        ("", "~top_k(5) | min_p(0.0) | sample"),
    ],
)
def test_what_is_sent_is_read_as_the_recipe(owner, written):
    recipe = Recipe.parse(written)
    sent = fields(PROGRAMS[owner], recipe, 0)
    steps = [step for step in recipe.steps[:-1] if step.enabled and not step.neutral]
    assert read(sent, DIALECTS[owner]).steps == (*steps, recipe.steps[-1])


def test_a_playground_reads_the_recipe_itself():
    written = "dry(0.8) | temperature(0.7) | beam(2)"
    assert fields(PROGRAMS["decoding-playground"], Recipe.parse(written), 0) == {"recipe": written}


@pytest.mark.parametrize(
    "owner, written, reason",
    [
        ("vllm", "beam(2)", "Step 1 (beam): vLLM tells beams at their end alone"),
        ("vllm", "contrastive", "Step 1 (contrastive): vLLM has no such search"),
        ("vllm", "dry(0.8) | sample", "Step 1 (dry): vLLM has no such step"),
        ("vllm", "top_p(0.9) | temperature(0.7) | sample", "in this order: temperature, top_p."),
        (
            "vllm",
            "presence_penalty(1.0, prompt=True) | sample",
            "prompt is False in vLLM",
        ),
        ("llamacpp", "top_k(5) | top_k(3) | sample", "llama.cpp can be told of it only once"),
        ("llamacpp", 'logit_bias({"a": 2.0}) | sample', "known to the server alone"),
        ("me", "temperature(0.7) | top_k(5) | sample", "in this order: top_k, temperature."),
        ("me", "repetition_penalty(1.2) | sample", "is set as llama-cpp-python is started"),
        ("me", "sample(2)", "writes one text for each request"),
        ("", "temperature(0.7) | top_k(5) | sample", "This server has no such step"),
        ("decoding-playground", "manual", "cannot ask you for each token"),
    ],
)
def test_what_cannot_be_sent_is_refused_where_it_stands(owner, written, reason):
    with pytest.raises(FieldError) as error:
        fields(PROGRAMS[owner], Recipe.parse(written), 2)
    assert error.value.field == "recipes.2" and reason in error.value.message


def test_every_program_tells_what_it_has_not():
    assert "beam" in refused(PROGRAMS["vllm"]) and "top_k" not in refused(PROGRAMS["vllm"])
    assert set(refused(PROGRAMS["decoding-playground"])) == {"manual"}


def test_what_decides_nothing_is_not_asked_for():
    sent = fields(PROGRAMS[""], Recipe.parse("temperature(0.7) | top_k(5) | greedy"), 0)
    assert sent == {
        "temperature": 0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0,
    }  # fmt: skip


def test_a_bias_is_sent_as_each_reads_it():
    recipe = Recipe.parse('logit_bias({"7": 2.0}) | sample')
    assert fields(PROGRAMS["llamacpp"], recipe, 0)["logit_bias"] == [[7, 2.0]]
    assert fields(PROGRAMS["vllm"], recipe, 0)["logit_bias"] == {"7": 2.0}
