"""Completions: their shapes, and the numbers in them."""

from __future__ import annotations

import json
import math

import pytest
import torch

from playground.api.openai.shapes import CompletionAnswer, OpenAIModel, OpenAIModels
from playground.engine import Busy
from playground.errors import ModelError
from playground.rate_limits import RateLimits
from tests.api.asking import freed

GREEDY = {"prompt": "Hello", "max_tokens": 6, "temperature": 0}


def complete(client, **changes):
    return client.post("/v1/completions", json={**GREEDY, **changes})


def own_logprobs(service, ids):
    """The model's log-probabilities ``[n - 1, vocab]`` after each token but the last."""
    with torch.inference_mode():
        logits = service.engine().model.model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits, -1)


def chunks(response):
    """The data of a stream, which ends as OpenAI's does."""
    *pieces, done, rest = response.text.split("\n\n")
    assert done == "data: [DONE]" and rest == ""
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces if piece[0] != ":"]


def test_the_answer_has_openais_shape(client):
    body = complete(client).json()
    assert body["object"] == "text_completion" and body["id"].startswith("cmpl-")
    assert body["model"] == "tiny" and body["recipe"] == "greedy"
    (choice,) = body["choices"]
    assert choice["index"] == 0 and choice["logprobs"] is None
    assert choice["finish_reason"] == "length"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


@pytest.mark.parametrize(
    "fields",
    [{}, {"logprobs": 2, "stages": True, "echo": True, "n": 2}, {"recipe": "beam(2)", "n": 2}],
    ids=str,
)
def test_answers_are_as_they_are_described(client, fields):
    CompletionAnswer.model_validate(complete(client, **fields).json(), strict=True)
    OpenAIModels.model_validate(client.get("/v1/models").json(), strict=True)
    OpenAIModel.model_validate(client.get("/v1/models/tiny").json(), strict=True)


@pytest.mark.parametrize("recipe", ["greedy", "top_p(0.9) | sample", "beam(3)"])
def test_a_recipe_writes_what_it_writes_elsewhere(client, recipe):
    fields = {"prompt": "Hello", "recipe": recipe, "seed": 5}
    here = complete(client, **fields, temperature=1.7, top_k=3)
    there = client.post("/api/generate", json={**fields, "max_new_tokens": 6}).json()
    assert here.json()["choices"][0]["text"] == there["text"]
    assert here.headers["x-ignored-fields"] == "temperature, top_k"  # the recipe overrides them


def test_tokens_as_a_prompt_are_the_text_they_write(client):
    fields = {"temperature": 1, "seed": 4, "max_tokens": 20}
    ids = client.post("/tokenize", json={"prompt": "Hello"}).json()["tokens"]
    texts = {
        complete(client, prompt=prompt, **fields).json()["choices"][0]["text"]
        for prompt in ("Hello", ["Hello"], ids, [ids])
    }
    assert len(texts) == 1


def test_several_prompts_with_several_texts_each_are_in_order(client):
    body = complete(client, prompt=["Hello", [70, 71]], n=2, seed=3, temperature=1).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    alone = complete(client, prompt=[70, 71], n=2, seed=3, temperature=1).json()
    texts = [choice["text"] for choice in body["choices"]]
    assert texts[2:] == [choice["text"] for choice in alone["choices"]]
    assert texts[0] != texts[1]
    assert body["usage"]["completion_tokens"] == 24


def test_the_prompts_own_log_probabilities_are_the_models(client, service):
    ids = [40, 71, 78, 78, 81, 3, 200]
    body = complete(client, prompt=ids, max_tokens=0, echo=True, logprobs=3).json()
    (choice,) = body["choices"]
    told, own = choice["logprobs"], own_logprobs(service, ids)
    assert told["token_logprobs"][0] is None and told["top_logprobs"][0] is None
    assert choice["finish_reason"] == "length" and body["usage"]["completion_tokens"] == 0
    for at, token in enumerate(ids[1:]):
        assert told["token_logprobs"][at + 1] == pytest.approx(float(own[at, token]), abs=1e-5)
        likeliest = sorted(told["top_logprobs"][at + 1].values(), reverse=True)[:3]
        assert likeliest == pytest.approx(own[at].topk(3).values.tolist(), abs=1e-5)
        # What compares the two to tell whether a token is the likeliest finds the same number.
        assert told["token_logprobs"][at + 1] in told["top_logprobs"][at + 1].values()


def test_echo_goes_on_from_the_prompt_into_the_text(client, service):
    body = complete(client, echo=True, logprobs=2, return_tokens_as_token_ids=True).json()
    (choice,) = body["choices"]
    told = choice["logprobs"]
    assert choice["text"].startswith("Hello")
    ids = [int(token.removeprefix("token_id:")) for token in told["tokens"]]
    assert len(ids) == 11 and told["text_offset"][:6] == [0, 1, 2, 3, 4, 5]
    own = own_logprobs(service, ids).gather(1, torch.tensor(ids)[1:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(told["token_logprobs"][1:]), own, rtol=1e-4, atol=1e-4)


def test_log_probabilities_are_the_models_or_the_recipes(client, service):
    fields = {"prompt": [40, 71], "logprobs": 4, "max_tokens": 1, "temperature": 0.5, "seed": 1}
    raw = complete(client, **fields).json()["choices"][0]["logprobs"]
    after = complete(client, **fields, logprobs_mode="processed_logprobs").json()
    after = after["choices"][0]["logprobs"]
    assert raw["tokens"] == after["tokens"]
    with torch.inference_mode():
        logits = service.engine().model.model(torch.tensor([[40, 71]])).logits[0, -1]
    for told, own in ((raw, logits.log_softmax(-1)), (after, (logits / 0.5).log_softmax(-1))):
        highest = sorted(told["top_logprobs"][0].values(), reverse=True)[:4]
        assert highest == pytest.approx(own.topk(4).values.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "temperature": 1, "seed": 2},
        {"n": 2},
        {"recipe": "beam(3)"},
        {"recipe": "beam(3)", "n": 2},
        {"prompt": ["Hello", "He"], "echo": True, "logprobs": 1},
        {"max_tokens": 40, "temperature": 1, "seed": 8, "logprobs": 2, "stop": ["a", "o"]},
        {"max_tokens": 0, "echo": True, "logprobs": 1},
    ],
    ids=str,
)
def test_a_stream_adds_up_to_the_answer(client, fields):
    plain = complete(client, **fields).json()
    streamed = complete(client, **fields, stream=True, stream_options={"include_usage": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *parts, last = chunks(streamed)
    assert last["choices"] == [] and last["usage"] == plain["usage"]
    assert all(part["usage"] is None and part["object"] == "text_completion" for part in parts)
    for choice in plain["choices"]:
        own = [c for part in parts for c in part["choices"] if c["index"] == choice["index"]]
        assert "".join(part["text"] for part in own) == choice["text"]
        assert [part["finish_reason"] for part in own if part["finish_reason"]] == [
            choice["finish_reason"]
        ]
        for name in choice["logprobs"] or ():
            told = [one for part in own for one in (part["logprobs"] or {name: []})[name]]
            assert told == choice["logprobs"][name]


def test_a_stop_string_ends_the_text_and_is_no_part_of_it(client):
    text = complete(client, max_tokens=30).json()["choices"][0]["text"]
    stop = next(letter for letter in text[3:] if letter.isascii() and letter.isalnum())
    (choice,) = complete(client, max_tokens=30, stop=stop).json()["choices"]
    assert choice["text"] == text[: text.index(stop)] and choice["finish_reason"] == "stop"


def test_without_a_seed_texts_differ_and_the_seed_is_told(client):
    fields = {"temperature": 1, "max_tokens": 30}
    first, second = (complete(client, **fields).json() for _ in range(2))
    assert first["choices"][0]["text"] != second["choices"][0]["text"]
    again = complete(client, **fields, seed=first["seed"]).json()
    assert again["choices"] == first["choices"]


def test_more_tokens_than_the_host_allows_are_lowered_and_told(client):
    answer = complete(client, max_tokens=100_000)
    assert answer.headers["x-max-tokens"] == "64"
    assert answer.json()["usage"]["completion_tokens"] <= 64


def test_unknown_fields_are_named_and_change_nothing(client):
    answer = complete(client, tools=[], frobnicate=3, user="me", best=None)
    assert answer.headers["x-ignored-fields"] == "frobnicate, tools"
    inside = complete(client, structured_outputs={"json_object": False, "structural_tag": "x"})
    assert inside.headers["x-ignored-fields"] == "structured_outputs.structural_tag"
    assert answer.json()["choices"] == complete(client).json()["choices"]


@pytest.mark.parametrize(
    "fields, param, words",
    [
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": []}, "prompt", "token ids"),
        ({"prompt": ["a", ""]}, "prompt.1", "empty"),
        ({"prompt": [5, "a"]}, "prompt.0", "text, or token ids"),
        ({"prompt": [5, 100_000]}, "prompt", "token 100000"),
        ({"prompt": [[5], [-1]]}, "prompt", "token -1"),
        ({"prompt": "x" * 700}, "prompt", "700 tokens"),
        ({"prompt": ["a"] * 33}, "prompt", "at most 32"),
        ({"temperature": -1}, "temperature", "from 0 to 5"),
        ({"top_p": "much"}, "top_p", '"much"'),
        ({"recipe": "topp(0.9) | sample"}, "recipe", "Did you mean top_p"),
        ({"n": 300, "temperature": 1}, "n", "at most 256"),
        ({"n": 3, "recipe": "beam(2)"}, "n", "writes 2"),
        ({"n": 0}, "n", "at least 1"),
        ({"logprobs": 21}, "logprobs", "at most 20"),
        ({"stop": ["a"] * 9}, "stop", "at most 8"),
        ({"max_tokens": -1}, "max_tokens", "at least 0"),
        ({"dialect": "ollama"}, "dialect", "dialect must be 'openai', 'vllm', 'llama.cpp'"),
        ({"stream_options": True}, "stream_options", "must be an object, but True"),
        ({"model": 0}, "model", "must be a text"),
        ({"epsilon_cutoff": 10**400}, "epsilon_cutoff", "a finite number"),
        ({"temperature": None, "dynatemp_range": 10**400}, "dynatemp_range", "a finite number"),
        ({"bad_words": 5, "banned_tokens": ["a"]}, "bad_words", "a list"),
        ({"mirostat": 1}, "mirostat", "0 or 2"),
        ({"json_schema": {"type": "strange"}}, "json_schema", "strange"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"type": "strange"}}},
            "response_format",
            "strange",
        ),
        ({"logit_bias": {"999": 1}, "min_tokens": 2}, "logit_bias", "token 999"),
        ({"recipe": 'logit_bias({"999": 1}) | greedy'}, "recipe", "token 999"),
    ],
)
def test_a_fault_names_its_field_in_openais_form(client, service, fields, param, words):
    answer = complete(client, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and list(answer.json()) == ["error"]
    assert error["param"] == param and words in error["message"]
    assert freed(service.engine())


def test_a_model_that_is_not_offered_is_not_found(client):
    answer = complete(client, model="gpt-4")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "tiny" in answer.json()["error"]["message"]


def test_a_body_that_is_no_json_is_refused_in_the_same_form(client):
    answer = client.post("/v1/completions", content=b"{", headers={"content-type": "text/json"})
    assert answer.status_code == 400 and "error" in answer.json()


@pytest.mark.parametrize(
    "error, status, kind, words",
    [
        (Busy("The line is full; try again in 5 s.", 5), 429, "rate_limit_error", "line is full"),
        (ModelError("tiny cannot be loaded."), 503, "server_error", "cannot be loaded"),
        (RuntimeError("a secret"), 500, "server_error", "its log has it as"),
    ],
    ids=["busy", "model", "unforeseen"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_failure_has_openais_form(client, service, monkeypatch, error, status, kind, words,
                                        stream):  # fmt: skip
    def fails(*given):
        raise error

    monkeypatch.setattr(service, "submit_all", fails)
    answer = complete(client, stream=stream)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    told = answer.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["type"] == kind and words in told["message"] and "secret" not in told["message"]
    assert answer.headers.get("retry-after") == ("5" if status == 429 else None)


def test_what_is_not_there_or_too_long_has_it_too(client):
    for answer, status in (
        (client.get("/v1/nothing"), 404),
        (client.get("/v1/completions"), 405),
        (client.post("/v1/completions", content=b"x" * 20_000_000), 413),
    ):
        assert answer.status_code == status and answer.json()["error"]["message"], answer.text


def test_a_client_that_asks_too_often_is_told_when_to_come_back(client, service, monkeypatch):
    monkeypatch.setattr(service, "rate_limits", RateLimits("1/minute"))
    monkeypatch.setattr("playground.api.runs.client", lambda request, settings: "192.0.2.1")
    assert complete(client).status_code == 200
    answer = complete(client)
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


def test_a_lane_that_fails_while_it_writes_says_so_in_its_choice(client):
    fields = {"recipe": 'constrained("a+") | bad_words(["a"]) | sample', "max_tokens": 3}
    (choice,) = complete(client, **fields).json()["choices"]
    assert choice["finish_reason"] == "error" and choice["error"]
    parts = chunks(complete(client, **fields, stream=True))
    last = parts[-1]["choices"][0]
    assert last["finish_reason"] == "error" and last["error"] == choice["error"]


def test_every_request_is_measured_with_those_of_the_page(client):
    def runs():
        text = client.get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("playground_runs")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    before = runs()
    complete(client)
    assert runs() > before


def test_every_stage_is_told_where_it_is_asked_for(client):
    fields = {"recipe": "top_k(5) | temperature(0.5) | sample", "seed": 3, "max_tokens": 4}
    (choice,) = complete(client, **fields, stages=True, logprobs=5, echo=True).json()["choices"]
    told = choice["logprobs"]
    assert told["stages"][:5] == [None] * 5 and len(told["stages"]) == 9  # the prompt has none
    for token, logprob, stages in zip(
        told["tokens"][5:], told["token_logprobs"][5:], told["stages"][5:], strict=True
    ):
        raw, cut, cooled = stages
        assert [stage["step"] for stage in stages] == [None, "top_k(5)", "temperature(0.5)"]
        assert raw["probability"] == pytest.approx(math.exp(logprob))
        assert (raw["survivors"], cut["survivors"], cooled["survivors"]) == (None, 5, 5)
        assert raw["entropy"] > cut["entropy"] > cooled["entropy"]
        assert (
            cut["likeliest"][token]
            == cut["probability"]
            == pytest.approx(raw["probability"] / sum(raw["likeliest"].values()))
        )
        squares = {name: p * p for name, p in cut["likeliest"].items()}
        assert cooled["probability"] == pytest.approx(squares[token] / sum(squares.values()), 1e-4)


def test_stages_need_no_log_probabilities_beside_them_and_are_streamed(client):
    fields = {"recipe": "top_k(5) | sample", "seed": 3, "max_tokens": 4, "stages": True}
    (choice,) = complete(client, **fields).json()["choices"]
    assert [len(stages) for stages in choice["logprobs"]["stages"]] == [2] * 4
    parts = chunks(complete(client, **fields, stream=True))
    own = [part["choices"][0]["logprobs"] for part in parts]
    streamed = [stages for logprobs in own if logprobs for stages in logprobs["stages"]]
    assert streamed == choice["logprobs"]["stages"]
    assert "stages" not in complete(client, logprobs=1).json()["choices"][0]["logprobs"]


def test_a_models_own_settings_are_those_of_vllm(client, service, monkeypatch):
    config = service.engine().model.model.generation_config
    monkeypatch.setattr(config, "temperature", 0.6)
    monkeypatch.setattr(config, "top_k", 7)
    asked = {"prompt": "Hello", "max_tokens": 1}
    own = client.post("/v1/completions", json=asked | {"dialect": "vllm"}).json()
    assert own["recipe"] == "temperature(0.6) | top_k(7) | sample"
    assert client.post("/v1/completions", json=asked).json()["recipe"] == "sample"
