"""What Mikupad and SillyTavern send by themselves, as their sources make it, and what they read.

Mikupad: ``openaiConvertOptions`` and the functions beside it in mikupad.html, December 2025.
SillyTavern: ``getTextGenGenerationData`` and ``text-completions.js``, September 2024.
"""

from __future__ import annotations

import math

import pytest
from fastapi.testclient import TestClient

from playground.api import application
from playground.guard import Gate
from tests.api.openai.test_completions import chunks

PROMPT = "Once upon"

MIKUPAD = {  # with every sampler enabled, as a session begins
    "model": "", "prompt": PROMPT, "seed": 7, "temperature": 0.7, "dynatemp_range": 0,
    "dynatemp_exponent": 1, "penalize_nl": False, "presence_penalty": 0, "frequency_penalty": 0,
    "top_p": 0.95, "top_k": 40, "typical_p": 1, "min_p": 0, "xtc_threshold": 0.1,
    "xtc_probability": 0, "dry_multiplier": 0, "dry_base": 1.75, "dry_allowed_length": 2,
    "dry_penalty_last_n": -1, "dry_sequence_breakers": '["\\n", ":", "\\"", "*"]',
    "banned_tokens": [], "signal": {}, "stream": True, "stop": ["\n\n"], "max_tokens": 24,
    "logprobs": 10, "repetition_penalty": 1.1, "repetition_penalty_range": 256, "tfs": 1,
    "ban_eos_token": False,
}  # fmt: skip

# The type "Text Generation WebUI": all its samplers at rest but those set here.
SILLY_TAVERN = {
    "prompt": PROMPT, "model": "tiny", "max_new_tokens": 16, "max_tokens": 16, "logprobs": 10,
    "temperature": 0.9, "top_p": 0.9, "typical_p": 1, "typical": 1, "min_p": 0.05,
    "sampler_seed": 7,
    "repetition_penalty": 1.1, "frequency_penalty": 0, "presence_penalty": 0, "top_k": 0, "skew": 0,
    "min_length": 0, "min_tokens": 0, "num_beams": 1, "length_penalty": 1, "early_stopping": False,
    "add_bos_token": True, "smoothing_factor": 0, "smoothing_curve": 1, "dry_allowed_length": 2,
    "dry_multiplier": 0, "dry_base": 1.75, "dry_sequence_breakers": '["\\n", ":", "\\"", "*"]',
    "dry_penalty_last_n": 0, "max_tokens_second": 0,
    "sampler_priority": [
        "temperature", "dynamic_temperature", "quadratic_sampling", "top_k", "top_p", "typical_p",
        "epsilon_cutoff", "eta_cutoff", "tfs", "top_a", "min_p", "mirostat",
    ],
    "stopping_strings": ["\nUser:"], "stop": ["\nUser:"], "truncation_length": 500,
    "ban_eos_token": False, "skip_special_tokens": True, "top_a": 0, "tfs": 1, "epsilon_cutoff": 0,
    "eta_cutoff": 0, "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1,
    "custom_token_bans": "", "banned_strings": [], "api_type": "ooba",
    "api_server": "http://127.0.0.1:7860/", "legacy_api": False, "xtc_threshold": 0.1,
    "xtc_probability": 0, "rep_pen": 1.1, "rep_pen_range": 0, "repetition_penalty_range": 0,
    "encoder_repetition_penalty": 1, "no_repeat_ngram_size": 0, "penalty_alpha": 0,
    "temperature_last": True, "do_sample": True, "seed": 7, "guidance_scale": 1,
    "negative_prompt": "", "grammar_string": "", "repeat_penalty": 1.1, "tfs_z": 1,
    "repeat_last_n": 0, "n_predict": 16, "num_predict": 16, "num_ctx": 500, "mirostat": 0,
    "ignore_eos": False, "n_probs": 10, "rep_pen_slope": 1, "stream": True,
}  # fmt: skip

# The type "vLLM": only the fields of that program's own list are sent.
SILLY_TAVERN_VLLM = {
    "model": "tiny", "prompt": PROMPT, "best_of": 1, "frequency_penalty": 0, "logprobs": 10,
    "max_tokens": 16, "n": 1, "presence_penalty": 0, "seed": 7, "stop": ["\nUser:"], "stream": True,
    "temperature": 0.9, "top_p": 0.9, "top_k": -1, "min_p": 0, "repetition_penalty": 1,
    "ignore_eos": False, "min_tokens": 0, "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
}  # fmt: skip


def post(client, path, **fields):
    answer = client.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer


def mikupad_tokens(parts):
    """What Mikupad makes of each chunk: its text, and the probability found for it or -1."""
    for part in parts:
        if not part["choices"] or not part["choices"][0]["text"]:
            continue
        choice = part["choices"][0]
        likeliest = ((choice["logprobs"] or {}).get("top_logprobs") or [{}])[0]
        found = likeliest.get(choice["text"])
        yield choice["text"], -1 if found is None else math.exp(found), likeliest


@pytest.mark.parametrize("fields", [MIKUPAD, SILLY_TAVERN, SILLY_TAVERN_VLLM], ids=lambda f: len(f))
def test_every_chunk_is_a_token_with_its_probability(client, fields):
    parts = chunks(post(client, "/v1/completions", **fields))
    told = list(mikupad_tokens(parts))
    whole = post(client, "/v1/completions", **{**fields, "stream": False}).json()["choices"][0]
    assert "".join(text for text, _, _ in told) == whole["text"] and len(told) > 3
    readable = [(p, all) for text, p, all in told if text.isascii()]
    assert readable and all(0 < p <= 1 and len(all) >= 10 for p, all in readable)
    assert len(whole["logprobs"]["tokens"]) == len(whole["logprobs"]["top_logprobs"])


@pytest.mark.parametrize(
    "dialect, fields, recipe, ignored",
    [
        (
            "openai",
            MIKUPAD,
            "repetition_penalty(1.1, window=256) | temperature(0.7) | top_k(40) | top_p(0.95) "
            "| sample",
            {"penalize_nl", "signal"},
        ),
        (
            "textgen",
            SILLY_TAVERN,
            "repetition_penalty(1.1) | top_p(0.9) | min_p(0.05) | temperature(0.9) | sample",
            {"max_new_tokens", "skew", "truncation_length", "num_beams", "sampler_seed"},
        ),
        ("vllm", SILLY_TAVERN_VLLM, "temperature(0.9) | top_p(0.9) | sample", {"best_of"}),
    ],
    ids=["mikupad", "sillytavern", "sillytavern-vllm"],
)
def test_settings_become_the_recipe_that_is_meant(
    client, service, monkeypatch, dialect, fields, recipe, ignored
):
    """None of them can send a dialect: the host says what they mean."""
    monkeypatch.setattr(service, "settings", service.settings.changed(dialect=dialect))
    answer = post(client, "/v1/completions", **{**fields, "stream": False})
    assert answer.json()["recipe"] == recipe
    assert ignored <= set(answer.headers["x-ignored-fields"].split(", "))
    assert answer.json()["usage"]["completion_tokens"] <= fields["max_tokens"]


def test_mikupad_moves_dynamic_temperature_and_greed_into_other_fields(client):
    moved = {"dynatemp_range": 0.3, "dynamic_temperature": True, "dynatemp_low": 0.4,
             "dynatemp_high": 1.0, "stream": False}  # fmt: skip
    answer = post(client, "/v1/completions", **{**MIKUPAD, **moved}).json()
    assert "dynamic_temperature(0.4)" in answer["recipe"]
    greedy = {"temperature": 0, "do_sample": False, "stream": False}
    assert (
        post(client, "/v1/completions", **{**MIKUPAD, **greedy}).json()["recipe"].endswith("greedy")
    )


def test_mikupad_chats_with_probabilities(client):
    sent = {k: v for k, v in MIKUPAD.items() if k not in ("prompt", "logprobs")}
    sent |= {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True,
             "top_logprobs": 10}  # fmt: skip
    parts = chunks(post(client, "/v1/chat/completions", **sent))
    told = [part["choices"][0] for part in parts if part["choices"][0]["delta"].get("content")]
    assert told and all(len(one["logprobs"]["content"]) == 1 for one in told)
    assert all(len(one["logprobs"]["content"][0]["top_logprobs"]) == 10 for one in told)


def test_tokens_are_counted_and_shown_one_by_one(client):
    ids = post(client, "/v1/internal/encode", text=PROMPT).json()["tokens"]
    assert post(client, "/v1/internal/token-count", text=PROMPT).json() == {"length": len(ids)}
    pieces = [post(client, "/v1/internal/decode", tokens=[id]).json()["text"] for id in ids]
    assert "".join(pieces) == PROMPT
    assert post(client, "/tokenize", model="tiny", prompt=PROMPT).json()["tokens"] == ids
    answer = client.post("/v1/internal/decode", json={"tokens": [10**6]})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "tokens"


def test_they_find_the_model(client):
    assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
    assert client.get("/v1/internal/model/info").json()["model_name"] == "tiny"


def test_a_page_from_the_disk_may_ask_where_the_host_allows_it(service):
    settings = service.settings.changed(cors_origins="null")
    page = {"origin": "null", "authorization": "Bearer x", "sec-fetch-site": "cross-site"}
    for allowed in (settings, service.settings):
        gate = Gate(application(service), allowed, api={"/v1"})
        client = TestClient(gate, base_url="http://127.0.0.1")
        asked = {"access-control-request-method": "POST",
                 "access-control-request-headers": "authorization,content-type"}  # fmt: skip
        preflight = client.options("/v1/completions", headers=page | asked)
        fields = {"prompt": "a", "max_tokens": 1}
        answer = client.post("/v1/completions", json=fields, headers=page)
        if allowed is settings:
            assert preflight.status_code == 204 and answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "null"
            assert "Authorization" in preflight.headers["access-control-allow-headers"]
        else:
            assert (preflight.status_code, answer.status_code) == (403, 403)
            assert "access-control-allow-origin" not in answer.headers
