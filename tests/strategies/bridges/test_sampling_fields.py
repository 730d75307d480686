"""What the sampling fields of other programs become."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from playground.settings import Settings
from strategies.bridges.dialect_table import table, within
from strategies.bridges.dialects import DIALECTS, FIRST, OTHERS, SETTINGS, STEP_NAMES
from strategies.bridges.field_kinds import SettingError
from strategies.bridges.sampling_fields import recipe
from strategies.recipe import Recipe
from strategies.registry import registry

CASES = [
    ("openai", {}, "sample"),
    ("openai", {"temperature": 0.7, "top_p": 0.9}, "temperature(0.7) | top_p(0.9) | sample"),
    ("openai", {"temperature": 0, "top_p": 0.9}, "top_p(0.9) | greedy"),
    ("openai", {"temperature": 1, "top_k": -1, "min_p": 0}, "sample"),
    ("openai", {"temperature": None, "unknown": 3}, "sample"),
    (
        "openai",
        {"presence_penalty": 0.5, "frequency_penalty": 0.2, "logit_bias": {"5": -100}},
        'logit_bias({"5": -100.0}) | frequency_penalty(0.2) | presence_penalty(0.5) | sample',
    ),
    (
        "vllm",
        {"top_k": 5, "min_p": 0.1, "top_p": 0.9},
        "min_p(0.1) | top_k(5) | top_p(0.9) | sample",
    ),
    ("vllm", {"repetition_penalty": 1.1}, "repetition_penalty(1.1) | sample"),
    ("vllm", {"guided_choice": ["a", "b"]}, 'constrained(choices=["a", "b"]) | sample'),
    ("vllm", {"structured_outputs": {"regex": "a+"}}, 'constrained("a+") | sample'),
    ("vllm", {"temperature": 0.000001, "top_p": 0.9}, "top_p(0.9) | greedy"),
    ("vllm", {"temperature": 0.001}, "temperature(0.01) | sample"),
    ("vllm", {"temperature": 0.001, "top_k": 0}, "temperature(0.01) | sample"),
    (
        "vllm",
        {"presence_penalty": 0.3, "repetition_penalty": 1.1, "min_p": 0.2, "temperature": 2},
        "repetition_penalty(1.1) | presence_penalty(0.3) | temperature(2.0) | min_p(0.2) | sample",
    ),
    ("openai", {"temperature": 0.001}, "temperature(0.001) | sample"),
    (
        "openai",
        {"sampler_priority": ["top_p"], "top_p": 0.9, "top_k": 5},
        "top_p(0.9) | top_k(5) | sample",
    ),
    ("llama.cpp", {"temperature": -1, "samplers": ["temperature"]}, "greedy"),
    ("llama.cpp", {"temperature": 0, "samplers": ["top_k"]}, "top_k(40) | sample"),
    ("llama.cpp", {"top_k": 0, "top_p": 1, "min_p": 0, "temperature": 1}, "sample"),
    ("llama.cpp", {"top_k": -1, "samplers": ["top_k"]}, "sample"),
    ("llama.cpp", {"samplers": "tpk"}, "temperature(0.8) | top_p(0.95) | top_k(40) | sample"),
    ("llama.cpp", {"samplers": "min_p;top_k"}, "min_p(0.05) | top_k(40) | sample"),
    ("llama.cpp", {"samplers": "temperature"}, "temperature(0.8) | sample"),
    (
        "llama.cpp",
        {"dry_multiplier": 1, "dry_penalty_last_n": 0, "samplers": ["dry"]},
        "sample",
    ),
    (
        "llama.cpp",
        {
            "xtc_probability": 0.5,
            "top_n_sigma": 1,
            "typical_p": 0.9,
            "dry_multiplier": 1,
            "frequency_penalty": 0.1,
        },
        "frequency_penalty(0.1, prompt=True, window=64) | dry(1.0, window=64) | top_n_sigma(1.0) "
        "| top_k(40) | typical_p(0.9) | top_p(0.95) | min_p(0.05) | xtc(probability=0.5) "
        "| temperature(0.8) | sample",
    ),
    ("llama.cpp", {}, "top_k(40) | top_p(0.95) | min_p(0.05) | temperature(0.8) | sample"),
    ("llama.cpp", {"samplers": ["temperature", "top_k"]}, "temperature(0.8) | top_k(40) | sample"),
    (
        "llama.cpp",
        {"repeat_penalty": 1.1, "presence_penalty": 0.3, "samplers": ["penalties"]},
        "repetition_penalty(1.1, window=64) | presence_penalty(0.3, prompt=True, window=64) "
        "| sample",
    ),
    ("llama.cpp", {"repeat_penalty": 1.1, "repeat_last_n": 0, "samplers": ["penalties"]}, "sample"),
    (
        "llama.cpp",
        {"repeat_penalty": 1.1, "repeat_last_n": -1, "samplers": ["penalties"]},
        "repetition_penalty(1.1) | sample",
    ),
    (
        "llama.cpp",
        {"repeat_penalty": 1.1, "repeat_last_n": 131_072, "samplers": ["penalties"]},
        "repetition_penalty(1.1) | sample",
    ),
    (
        "llama.cpp",
        {"dynatemp_range": 0.5, "samplers": ["temperature"]},
        "dynamic_temperature(0.3, high=1.3) | sample",
    ),
    (
        "llama.cpp",
        {"mirostat": 2, "mirostat_tau": 3},
        "temperature(0.8) | mirostat_v2(3.0) | sample",
    ),
    (
        "llama.cpp",
        {"logit_bias": [[5, False], ["cat", 1.5]], "samplers": []},
        'logit_bias({"5": -100.0, "cat": 1.5}) | sample',
    ),
    ("llama.cpp", {"grammar": 'root ::= "a"', "samplers": []}, "constrained(grammar="),
    (
        "textgen",
        {"repetition_penalty": 1.2, "dry_multiplier": 0.8, "dry_sequence_breakers": '["\\n"]'},
        'repetition_penalty(1.2, window=1024) | dry(0.8, breakers=["\\n"], window=1024) '
        "| top_p(0.95) | sample",
    ),
    ("textgen", {}, "top_p(0.95) | sample"),
    ("textgen", {"epsilon_cutoff": 3, "top_p": 1}, "epsilon_cutoff(0.0003) | sample"),
    ("textgen", {"top_p": 1, "eta_cutoff": 4}, "eta_cutoff(0.0004) | sample"),
    ("textgen", {"dry_multiplier": 1, "dry_sequence_breakers": '"a", "b"'}, "dry(1.0, breakers="),
    (
        "textgen",
        {"temperature": 1.5, "min_p": 0.1, "temperature_last": True},
        "top_p(0.95) | min_p(0.1) | temperature(1.5) | sample",
    ),
    (
        "textgen",
        {"temperature": 1.5, "min_p": 0.1, "tfs": 0.9, "sampler_priority": "min_p\ntemperature"},
        "top_p(0.95) | tail_free(0.9) | min_p(0.1) | temperature(1.5) | sample",
    ),
    (
        "textgen",
        {"dynamic_temperature": True, "dynatemp_low": 0.5, "dynatemp_high": 2, "temperature": 1.3},
        "dynamic_temperature(0.5, high=2.0) | top_p(0.95) | sample",
    ),
    (
        "textgen",
        {"custom_token_bans": "5, 6"},
        'logit_bias({"5": -100.0, "6": -100.0}) | top_p(0.95) | sample',
    ),
    ("textgen", {"banned_tokens": [" cat"]}, 'bad_words([" cat"]) | top_p(0.95) | sample'),
    ("textgen", {"banned_strings": ["a cat"], "top_p": 1}, 'ban_phrases(["a cat"]) | sample'),
    ("textgen", {"penalty_alpha": 0.5, "top_k": 6}, "top_p(0.95) | contrastive(0.5, top_k=6)"),
    ("textgen", {"do_sample": False, "top_p": 1}, "greedy"),
    ("textgen", {"temperature": 0, "top_p": 1}, "greedy"),
    (
        "textgen",
        {"repetition_penalty": 1.2, "repetition_penalty_range": 0, "top_p": 1},
        "repetition_penalty(1.2) | sample",
    ),
    (
        "textgen",
        {"xtc_probability": 0.5, "xtc_threshold": 0.2, "smoothing_factor": 0.3, "top_p": 1},
        "quadratic(0.3) | xtc(0.2, probability=0.5) | sample",
    ),
]


# What SillyTavern sends to text-generation-webui, all of its samplers at their neutral values.
SILLY_TAVERN = {
    "max_new_tokens": 20, "max_tokens": 20, "logprobs": 10, "temperature": 1, "top_p": 1,
    "typical_p": 1, "typical": 1, "sampler_seed": -1, "min_p": 0, "repetition_penalty": 1,
    "frequency_penalty": 0, "presence_penalty": 0, "top_k": 0, "skew": 0, "min_length": 0,
    "min_tokens": 0, "num_beams": 1, "length_penalty": 1, "early_stopping": False,
    "add_bos_token": True, "smoothing_factor": 0, "smoothing_curve": 1, "dry_allowed_length": 2,
    "dry_multiplier": 0, "dry_base": 1.75, "dry_penalty_last_n": 0,
    "dry_sequence_breakers": '["\\n", ":", "\\"", "*"]', "max_tokens_second": 0,
    "sampler_priority": ["repetition_penalty", "dry", "temperature", "top_k", "xtc"],
    "stopping_strings": ["\nUser:"], "stop": ["\nUser:"], "truncation_length": 4096,
    "ban_eos_token": False, "skip_special_tokens": True, "top_a": 0, "tfs": 1, "epsilon_cutoff": 0,
    "eta_cutoff": 0, "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1,
    "custom_token_bans": "", "banned_strings": [], "xtc_threshold": 0.1, "xtc_probability": 0,
    "nsigma": 0, "top_n_sigma": 0, "adaptive_target": -0.01, "adaptive_decay": 0.9,
    "guidance_scale": 1, "negative_prompt": "", "grammar_string": "", "penalty_alpha": 0,
    "do_sample": True, "temperature_last": False, "no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1, "repetition_penalty_range": 0, "include_reasoning": True,
}  # fmt: skip


def test_sampler_fields_at_rest_ask_for_nothing_but_sampling():
    assert str(recipe(SILLY_TAVERN, "textgen")) == "sample"
    moved = {"dry_multiplier": 0.8, "xtc_probability": 0.5, "temperature": 0.9, "top_p": 0.9}
    assert str(recipe({**SILLY_TAVERN, **moved}, "textgen")) == (
        "top_p(0.9) | dry(0.8) | temperature(0.9) | xtc(probability=0.5) | sample"
    )


@pytest.mark.parametrize("dialect, fields, written", CASES, ids=lambda value: str(value)[:60])
def test_fields_become_the_recipe_that_the_program_runs(dialect, fields, written):
    made = str(recipe(fields, dialect))
    assert made.startswith(written) if written.endswith("=") else made == written
    assert str(Recipe.parse(made)) == made


def test_vllm_takes_from_the_models_own_settings_what_is_not_sent():
    own = {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1, "eos": 3}
    assert str(recipe({"top_k": None, "top_p": 0.5}, "vllm", own)) == (
        "repetition_penalty(1.1) | temperature(0.7) | top_k(20) | top_p(0.5) | sample"
    )
    for name in DIALECTS.keys() - {"vllm"}:
        assert recipe({}, name, own) == recipe({}, name)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"xtc_probability": 7}, "xtc_probability"),
        ({"dry_multiplier": 1, "dry_sequence_breakers": 5}, "dry_sequence_breakers"),
        ({"logit_bias": 5}, "logit_bias"),
        ({"logit_bias": {"5": 1000}}, "logit_bias"),
        ({"banned_tokens": 5}, "banned_tokens"),
        ({"samplers": 5}, "samplers"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"mirostat_mode": 1}, "mirostat_mode"),
        (
            {"repetition_penalty": 1.1, "repetition_penalty_range": "far"},
            "repetition_penalty_range",
        ),
        ({"dynamic_temperature": True, "dynatemp_low": "cold"}, "dynatemp_low"),
        ({"guided_json": "{"}, "guided_json"),
        ({"penalty_alpha": 5}, "penalty_alpha"),
        ({"penalty_alpha": "much"}, "penalty_alpha"),
        ({"custom_token_bans": ["", 5]}, "custom_token_bans"),
        ({"do_sample": "no"}, "do_sample"),
        ({"mirostat_tau": "low"}, "mirostat_tau"),
        ({"adaptive_target": []}, "adaptive_target"),
        ({"top_k": -1.5}, "top_k"),
        ({"eta_cutoff": True}, "eta_cutoff"),
        ({"structured_outputs": 5}, "structured_outputs"),
        ({"response_format": {}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_fields_name(fields, field):
    with pytest.raises(SettingError) as caught:
        recipe(fields, "openai")
    assert caught.value.field == field and field in str(caught.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "null"}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"type": "null"}}},
        {"response_format": {"type": "json_schema", "schema": {"type": "null"}}},
        {"response_format": {"type": "json_object", "schema": {"type": "null"}}},
        {"structured_outputs": {"json": {"type": "null"}}},
    ],
    ids=str,
)
def test_every_way_to_ask_for_a_schema_is_the_same(asked):
    assert recipe(asked) == recipe({"json_schema": {"type": "null"}})


def test_any_json_may_be_asked_for():
    for asked in ({"response_format": "json_object"}, {"structured_outputs": {"json_object": 1}}):
        assert recipe(asked) == recipe({"json_schema": {"type": "object"}})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_steers_by_the_probability_drawn_comes_last(dialect):
    fields = {"mirostat": 2, "xtc_probability": 0.5, "no_repeat_ngram_size": 3}
    for order in ({}, {"sampler_priority": ["mirostat", "xtc"]}, {"temperature_last": True}):
        assert "| mirostat_v2 | sample" in f"| {recipe({**fields, **order}, dialect)}"


def test_contrastive_search_takes_only_a_width_that_was_sent():
    assert str(recipe({"penalty_alpha": 0.6}, "llama.cpp")).endswith("| contrastive")


def test_the_table_names_strategies_and_their_settings():
    known = registry().strategies
    for setting in SETTINGS.values():
        assert setting.name in known[setting.strategy].Params.model_fields
    placed = {setting.strategy for setting in SETTINGS.values()} | {"logit_bias"}
    for dialect in DIALECTS.values():
        order = [*FIRST, *dialect.order]
        assert len(order) == len(set(order)) and placed <= set(order)
        assert set(order) <= set(known)
    assert all(set(steps) <= set(known) for steps in STEP_NAMES.values())
    assert not OTHERS & SETTINGS.keys()


def test_the_readmes_table_is_made_of_the_dialects():
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    current = within(readme) == readme and table() in readme
    assert current, "run: python -m strategies.bridges.dialect_table --write"
    for name in DIALECTS:
        assert f"`{recipe({}, name)}`".replace("|", "\\|") in table()


def test_settings_name_the_dialects_there_are():
    assert get_args(Settings.model_fields["dialect"].annotation) == tuple(DIALECTS)
