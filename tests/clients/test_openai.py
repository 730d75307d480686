"""OpenAI's own package: sync, async, streamed, with log-probabilities, in both forms."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import openai
import pytest

from tests.clients.conftest import MODEL

MESSAGES = [{"role": "user", "content": "Name a colour."}]
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models_are_listed(client):
    first, *_ = client.models.list()
    assert first.id == MODEL and client.models.retrieve(MODEL).id == MODEL


def test_a_completion_is_what_the_page_writes(client, service):
    answer = client.completions.create(
        model=MODEL, prompt="The capital of France is", max_tokens=8, temperature=0, logprobs=2
    )
    (choice,) = answer.choices
    assert "Paris" in choice.text and choice.finish_reason == "length"
    assert "".join(choice.logprobs.tokens) == choice.text
    for logprob, likeliest in zip(
        choice.logprobs.token_logprobs, choice.logprobs.top_logprobs, strict=True
    ):
        assert len(likeliest) == 2 and logprob == max(likeliest.values())
    assert answer.usage.completion_tokens == 8


def test_a_stream_of_completions_adds_up(client):
    asked = {"model": MODEL, "prompt": ["Once", "Twice"], "n": 2, "seed": 3, "max_tokens": 12}
    whole = client.completions.create(**asked)
    texts = {choice.index: "" for choice in whole.choices}
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {choice.index: choice.text for choice in whole.choices} and len(texts) == 4


def test_chat_with_log_probabilities(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=8, temperature=0, logprobs=True, top_logprobs=3
    )
    (choice,) = answer.choices
    content = choice.logprobs.content
    assert choice.message.role == "assistant" and choice.message.content
    whole = b"".join(bytes(token.bytes) for token in content if token.token != "<|im_end|>")
    assert whole.decode() == choice.message.content
    assert all(len(token.top_logprobs) == 3 for token in content)
    assert content[0].top_logprobs[0].logprob == content[0].logprob


def test_chat_is_streamed_to_an_async_client(client, address):
    asked = {"model": MODEL, "messages": MESSAGES, "seed": 5, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)

    async def streamed():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            stream = await client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
            return [chunk async for chunk in stream]

    *parts, last = asyncio.run(streamed())
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage


def test_a_recipe_and_other_programs_fields_go_in_the_extra_body(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=4, seed=1, extra_body={"recipe": "beam(3)"}
    )
    assert answer.recipe == "beam(3)"
    answer = client.completions.with_raw_response.create(
        model=MODEL, prompt="A", max_tokens=2, extra_body={"min_p": 0.1, "mystery": 1}
    )
    assert answer.headers["x-ignored-fields"] == "mystery"
    assert answer.parse().recipe == "min_p(0.1) | sample"


def test_a_schema_of_its_own_is_kept_to(client):
    from pydantic import BaseModel

    class Flag(BaseModel):
        on: bool

    answer = client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, max_tokens=40, temperature=0, response_format=Flag
    )
    assert isinstance(answer.choices[0].message.parsed, Flag)


def test_errors_are_of_the_classes_that_programs_catch(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=MODEL, prompt="A", temperature=-1)
    assert caught.value.param == "temperature" and "from 0 to 5" in caught.value.message
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="gpt-4", prompt="A")
    assert caught.value.code == "model_not_found"


def test_the_readmes_example_runs(address, capsys):
    examples = re.findall(r"```py\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (example for example in examples if "OpenAI" in example)
    exec(example.replace("http://127.0.0.1:7860", address), {})
    assert capsys.readouterr().out.strip()
