"""Chat completions: the template, their shape, and log-probabilities in the newer form."""

from __future__ import annotations

import pytest

from playground.api.openai.shapes import ChatAnswer
from tests.api.openai.test_completions import chunks

ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 6, "temperature": 0}


def chat(client, **changes):
    return client.post("/v1/chat/completions", json={**ASKED, **changes})


def test_the_answer_has_openais_shape(client):
    body = chat(client).json()
    assert body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-")
    (choice,) = body["choices"]
    assert choice["message"]["role"] == "assistant" and choice["logprobs"] is None
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}


@pytest.mark.parametrize(
    "fields", [{}, {"logprobs": True, "top_logprobs": 2, "stages": True}, {"n": 2, "seed": 1}]
)
def test_answers_are_as_they_are_described(client, fields):
    ChatAnswer.model_validate(chat(client, **fields).json(), strict=True)


def test_one_message_is_written_to_as_elsewhere_in_the_chat_template(client):
    fields = {"temperature": 0.9, "seed": 5, "max_tokens": 20}
    there = client.post(
        "/api/generate",
        json={
            "prompt": "Hello",
            "recipe": "temperature(0.9) | sample",
            "chat": True,
            "seed": 5,
            "max_new_tokens": 20,
        },
    ).json()
    assert chat(client, **fields).json()["choices"][0]["message"]["content"] == there["text"]


def test_messages_are_read_in_order_with_their_text_parts(client):
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None},
    ]
    body = chat(client, messages=messages).json()
    assert body["usage"]["prompt_tokens"] == (9 + 2) + (5 + 2) + 2


def test_every_token_comes_with_its_bytes_and_the_likeliest_in_its_place(client):
    (choice,) = chat(client, logprobs=True, top_logprobs=3).json()["choices"]
    content = choice["logprobs"]["content"]
    assert len(content) == 6
    whole = b"".join(bytes(token["bytes"]) for token in content)
    assert whole.decode(errors="replace") == choice["message"]["content"]
    for token in content:
        first, *others = token["top_logprobs"]
        assert len(others) == 2 and first["logprob"] == token["logprob"]  # it was greedy
        assert all(first["logprob"] >= other["logprob"] for other in others)


def test_the_numbers_are_those_of_completions(client):
    ids = client.post("/tokenize", json={"messages": ASKED["messages"]}).json()["tokens"]
    fields = {"prompt": ids, "max_tokens": 6, "temperature": 0, "logprobs": 2}
    old = client.post("/v1/completions", json=fields).json()["choices"][0]
    new = chat(client, logprobs=True).json()["choices"][0]
    assert new["message"]["content"] == old["text"]
    told = [token["logprob"] for token in new["logprobs"]["content"]]
    assert told == old["logprobs"]["token_logprobs"]


@pytest.mark.parametrize("fields", [{}, {"n": 2, "temperature": 1, "seed": 2}])
def test_a_stream_adds_up_to_the_answer(client, fields):
    fields = {**fields, "logprobs": True, "top_logprobs": 1}
    plain = chat(client, **fields).json()
    parts = chunks(chat(client, **fields, stream=True))
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    for choice in plain["choices"]:
        own = [c for part in parts for c in part["choices"] if c["index"] == choice["index"]]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        text = "".join(part["delta"].get("content", "") for part in own)
        assert text == choice["message"]["content"]
        told = [token for part in own for token in (part["logprobs"] or {"content": []})["content"]]
        assert told == choice["logprobs"]["content"]
        assert own[-1]["delta"] == {} and own[-1]["finish_reason"] == choice["finish_reason"]


def test_json_is_written_where_it_is_asked_for(client):
    schema = {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}
    asked = {"type": "json_schema", "json_schema": {"name": "flags", "schema": schema}}
    body = chat(client, response_format=asked, max_tokens=60).json()
    assert body["choices"][0]["message"]["content"].startswith("[")
    assert body["recipe"].startswith("constrained(json_schema=")


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"image_url": "x"}]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 700}]}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_a_fault_names_its_field(client, fields, param):
    answer = chat(client, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_every_stage_is_told_beside_a_tokens_log_probability(client):
    fields = {"recipe": "top_k(3) | sample", "stages": True, "seed": 1}
    (choice,) = chat(client, **fields).json()["choices"]
    for token in choice["logprobs"]["content"]:
        assert [stage["step"] for stage in token["stages"]] == [None, "top_k(3)"]
        assert token["stages"][1]["survivors"] == 3
