"""The package of the Model Context Protocol: the tools, as a language model's program uses them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from playground.tools import add
from playground.ui import build, serve
from tests.browser.conftest import free_port


@pytest.fixture(scope="module")
def server(service):
    """The address of the page with its tools."""
    service.engine()
    before = service.settings
    service.settings = before.changed(mcp=True)

    async def launched():
        page = build(service)
        add(page, service)
        return serve(page, service, port=free_port())

    served = asyncio.run(launched())
    yield served.address
    served.close()
    service.settings = before


def asked(server, work):
    """What ``work`` makes of a session."""

    async def session():
        async with (
            streamable_http_client(f"{server}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            return await work(client)

    return asyncio.run(session())


def called(server, name, **arguments):
    """The text that a tool answers, and whether it is an error."""

    async def call(client):
        return await client.call_tool(name, arguments)

    found = asked(server, call)
    return found.content[0].text, found.isError


def test_the_tools_are_told_with_what_they_take(server):
    async def listed(client):
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asked(server, listed)}
    assert list(tools) == ["compare", "explain", "score", "strategies"]
    schema = tools["compare"].inputSchema
    assert schema["required"] == ["prompt", "recipes"]
    assert all(field["description"] for field in schema["properties"].values())
    assert "decoding recipes" in tools["compare"].description


def test_a_model_compares_and_looks_into_a_choice(server, service):
    text, failed = called(
        server,
        "compare",
        prompt="The capital of France is",
        recipes=["greedy", "top_k(5) | sample"],
        max_new_tokens=6,
        seed=7,
    )
    found = json.loads(text)
    assert not failed and "Paris" in found["lanes"][0]["text"]
    text, failed = called(server, "explain", run=found["run"], lane=1, step=0)
    why = json.loads(text)
    assert not failed and why["recipe"] == "top_k(5) | sample" and len(why["removed"]) == 15
    text, failed = called(
        server, "score", prompt="The capital of France is", text=" Paris", recipes=["greedy"]
    )
    assert not failed and json.loads(text)["recipes"][0]["possible"]
    assert "top_p" in called(server, "strategies")[0]


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("compare", {"prompt": "a", "recipes": ["topp"]}, "Did you mean top_p"),
        ("compare", {"prompt": "a"}, "recipes"),
        ("compare", {"prompt": "a", "recipes": ["greedy"], "max_new_tokens": "many"}, "integer"),
        ("explain", {"run": "gone"}, "not kept here any more"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_sentence(server, name, arguments, words):
    text, failed = called(server, name, **arguments)
    assert failed and words in text and "Traceback" not in text


def test_leaving_ends_the_run(server, service):
    async def left(client):
        arguments = {"prompt": "Once", "recipes": ["sample"], "max_new_tokens": 500}
        waiting = asyncio.create_task(client.call_tool("compare", arguments))
        while not service.engine().people:
            await asyncio.sleep(0.05)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting

    asked(server, left)
    until = time.monotonic() + 10
    while service.engine().people and time.monotonic() < until:
        time.sleep(0.05)
    assert service.engine().people == 0
