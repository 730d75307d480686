"""Text to tokens and back, and which models there are."""

from __future__ import annotations

import pytest

LONG = "x" * 20_001


def post(client, path, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_text_goes_to_tokens_and_back(client):
    told = post(client, "/tokenize", prompt="Héllo", return_token_strs=True)
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"]) == 6
    assert told["max_model_len"] == 600
    back = post(client, "/detokenize", tokens=told["tokens"])
    assert back == {"prompt": "Héllo", "content": "Héllo"}


def test_llama_cpps_form_and_text_generation_webuis_have_the_same_tokens(client):
    ids = post(client, "/tokenize", prompt="He")["tokens"]
    assert post(client, "/tokenize", content="He") == {"tokens": ids}
    pieces = post(client, "/tokenize", content="He", with_pieces=True)["tokens"]
    assert pieces == [{"id": id, "piece": piece} for id, piece in zip(ids, "He", strict=True)]
    assert post(client, "/v1/internal/encode", text="He") == {"tokens": ids, "length": 2}


def test_messages_are_in_the_chat_template(client):
    told = post(client, "/tokenize", messages=[{"role": "user", "content": "He"}])
    assert told["tokens"][0] == 1 and told["tokens"][-1] == 2 and told["count"] == 4


def test_the_tokenizer_is_described(client):
    told = client.get("/tokenizer_info").json()
    assert told["eos_token"] == "<|endoftext|>" and "<|im_start|>" in told["chat_template"]


@pytest.mark.parametrize(
    "path, body, param",
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": LONG}, "prompt"),
        ("/detokenize", {"tokens": [259]}, "tokens"),
        ("/v1/internal/encode", {"text": 3}, "text"),
    ],
)
def test_a_fault_names_its_field(client, path, body, param):
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_models_are_listed_and_found_by_name(client):
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list" and listed["data"][0]["id"] == "tiny"
    for card in listed["data"]:  # some of their names have a slash
        assert client.get(f"/v1/models/{card['id']}").json()["id"] == card["id"]
    missing = client.get("/v1/models/none")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


def test_what_is_not_served_is_said_in_the_same_form(client):
    assert client.get("/v1/embeddings").json()["error"]["type"] == "not_found_error"
    assert client.get("/v1/completions").status_code == 405
