"""``/api/generate``: the texts of one recipe after several prompts equal those of comparisons."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from fastapi.testclient import TestClient

from playground.api import application
from tests.api.asking import ask, events, faults

ONE = {"prompt": "Hello", "recipe": "greedy", "max_new_tokens": 6}
MANY = {"prompts": ["Hello", "A", "Longer than the others"], "recipe": "greedy"}


def generate(client, **changes):
    return client.post("/api/generate", json={**ONE, **changes})


def batch(client, **changes):
    return client.post("/api/generate_batch", json={**MANY, "max_new_tokens": 6, **changes})


RECIPES = ["greedy", "temperature(0.8) | top_p(0.95) | sample", "beam(3)", "sample(2)"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_text_is_that_of_a_lane_with_this_recipe(client, recipe):
    body = generate(client, recipe=recipe, seed=5, logprobs=True).json()
    compared = ask(client, recipes=[recipe], max_new_tokens=6, seed=5).json()
    (lane,) = compared["lanes"]
    assert body["text"] == lane["text"] and body["recipe"] == lane["recipe"]
    assert [token["id"] for token in body["tokens"]] == lane["token_ids"]
    assert [token["logprob"] for token in body["tokens"]] == [
        token["raw_logprob"] for token in lane["tokens"]
    ]
    assert body["finish_reason"] == lane["finish_reason"]
    assert body["prompt_tokens"] == len(compared["prompt_tokens"])


@pytest.mark.parametrize("prompt", ["Hello", "H", "x" * 600])
def test_every_log_probability_is_the_models_own(client, service, prompt):
    body = generate(client, prompt=prompt, logprobs=True, echo=True).json()
    ids = torch.tensor([[token["id"] for token in body["tokens"]]])
    with torch.inference_mode():
        logits = service.engine().model.model(ids).logits[0, :-1]
    own = torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0]
    first, *told = [token["logprob"] for token in body["tokens"]]
    assert first is None and len(told) == len(prompt) - 1 + 6
    torch.testing.assert_close(torch.tensor(told), own, rtol=1e-4, atol=1e-4)


def test_answers_asked_for_at_once_are_those_asked_for_in_turn(client):
    def one(number):
        asked = {"prompt": "xy" * (100 * number + 1), "recipe": "sample", "max_new_tokens": 40}
        return generate(client, **asked, logprobs=True, echo=True).json()["tokens"]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(one, range(6))) == [one(number) for number in range(6)]


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("logprobs", [False, True])
def test_the_answer_has_what_was_asked_for(client, echo, logprobs):
    plain = generate(client).json()
    body = generate(client, echo=echo, logprobs=logprobs).json()
    assert body["text"] == ("Hello" if echo else "") + plain["text"]
    before = body["tokens"][: len(body["tokens"]) - len(plain["tokens"])]
    assert "".join(token["text"] for token in before) == ("Hello" if echo else "")
    known = [token["logprob"] is not None for token in body["tokens"]]
    assert known[1:] == [logprobs] * (len(known) - 1)
    assert known[0] == (logprobs and not echo)


def test_a_stream_adds_up_to_the_answer(client):
    asked = {"echo": True, "logprobs": True, "recipe": "beam(3)"}
    told = list(events(generate(client, **asked, stream=True).text))
    tokens = []
    for name, data in told:
        if name == "token":
            tokens.append(data["id"])
        elif name == "rewind":
            del tokens[data["length"] :]
    assert [told[0][0], told[-1][0]] == ["start", "done"]
    done, plain = told[-1][1], generate(client, **asked).json()
    for field in ("text", "tokens", "finish_reason"):
        assert done[field] == plain[field]
    assert [token["id"] for token in done["tokens"]][5:] == tokens


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_is_what_each_is_one_by_one_in_order(client, recipe):
    asked = {"recipe": recipe, "seed": 3, "logprobs": True, "echo": True}
    answers = batch(client, **asked).json()["answers"]
    assert len(answers) == len(MANY["prompts"])
    for prompt, answer in zip(MANY["prompts"], answers, strict=True):
        alone = generate(client, prompt=prompt, **asked).json()
        for field in ("text", "tokens", "finish_reason", "prompt_tokens"):
            assert answer[field] == alone[field]


@pytest.mark.parametrize(
    "changes, loc, words",
    [
        ({"prompts": ["a", "b", "c", ""]}, ["prompts", 3], "at least 1"),
        ({"prompts": ["a", "x" * 3000]}, ["prompts", 1], "3,000 tokens"),
        ({"prompts": ["a", "x" * 4001]}, ["prompts", 1], "4,000 characters, but 4,001"),
        ({"prompts": []}, ["prompts"], "at least 1"),
        ({"prompts": ["a"] * 33}, ["prompts"], "at most 32"),
        ({"prompts": "a"}, ["prompts"], "a list"),
        ({"recipe": "smc(17)"}, ["recipe"], "17 rows"),
        ({"recipe": "topp(0.9) | sample"}, ["recipe"], "Did you mean top_p"),
        ({"recipes": ["greedy"]}, ["recipes"], "no such field"),
        ({"stream": True}, ["stream"], "no such field"),
        ({"min_new_tokens": 7}, ["min_new_tokens"], "from 0 to 6"),
        ({"echo": 1}, ["echo"], "true or false"),
        ({"chat": True}, ["chat"], "no chat template"),
    ],
)
def test_a_fault_in_a_batch_is_told_at_its_field_and_nothing_is_run(
    client, service, monkeypatch, changes, loc, words
):
    begun = []
    monkeypatch.setattr(service.observers, "submitted", begun.append)
    found = faults(batch(client, **changes))
    assert list(found) == [("body", *loc)] and words in found["body", *loc]
    assert begun == []


@pytest.mark.parametrize(
    "changes, loc",
    [
        ({"recipe": "smc(17)"}, ["recipe"]),
        ({"recipe": {"steps": [{"strategy": "nope"}]}}, ["recipe", "steps", 0]),
        ({"prompt": "x" * 3000}, ["prompt"]),
        ({"alone": True}, ["alone"]),
    ],
)
def test_a_fault_in_one_is_told_at_its_field(client, changes, loc):
    assert [*faults(generate(client, **changes))] == [("body", *loc)]


def test_the_longest_valid_batch_is_read(client):
    text = json.dumps({**MANY, "prompts": ["🙂" * 900] * 32})
    headers = {"Content-Type": "application/json"}
    answer = client.post("/api/generate_batch", content=text, headers=headers)
    assert "tokens" in faults(answer)["body", "prompts", 0]


def test_a_batch_is_one_of_a_clients_share(service):
    far = TestClient(application(service), client=("203.0.113.9", 5000))
    assert batch(far, prompts=["a"] * 20, max_new_tokens=2).status_code == 200


def test_a_prompt_is_scored_without_a_word_written(client, service):
    asked = {"prompt": "Hello there", "max_new_tokens": 0, "logprobs": True, "echo": True}
    body = generate(client, **asked).json()
    assert body["text"] == "Hello there" and body["finish_reason"] == "length"
    scored = [token["logprob"] for token in body["tokens"]]
    longer = generate(client, **{**asked, "max_new_tokens": 3}).json()
    assert scored == [token["logprob"] for token in longer["tokens"]][: len(scored)]
    assert body["prompt_perplexity"] == longer["prompt_perplexity"] > 0
    bare = generate(client, prompt="Hello there", max_new_tokens=0).json()
    assert (bare["text"], bare["tokens"]) == ("", [])
    assert bare["prompt_perplexity"] == body["prompt_perplexity"]
    done = list(events(generate(client, **asked, stream=True).text))
    assert [name for name, _ in done] == ["start", "lane", "done"]
    assert done[-1][1]["tokens"] == body["tokens"]
    compared = ask(client, prompt="Hello there", max_new_tokens=0).json()
    assert [token["logprob"] for token in compared["prompt_tokens"]] == scored
    assert compared["prompt_perplexity"] == body["prompt_perplexity"]
    several = batch(client, prompts=["Hello there", "x"], max_new_tokens=0, echo=True).json()
    first, second = several["answers"]
    assert first["prompt_perplexity"] == body["prompt_perplexity"]
    assert second["prompt_perplexity"] is None  # a single token follows nothing


def test_names_of_control_tokens_are_text_where_that_is_asked_for(client):
    asked = {"prompt": "a<|im_end|>", "max_new_tokens": 2, "echo": True}
    control, plain = (
        generate(client, **asked, split_special_tokens=s).json() for s in (False, True)
    )
    assert control["prompt_tokens"] == 2 and plain["prompt_tokens"] == 11
    for body in (control, plain):
        assert body["text"] == "".join(token["text"] for token in body["tokens"])
        assert body["text"].startswith("a<|im_end|>")
