"""The named endpoints, by Gradio's own client: their types, responses, limits and errors."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from playground.engine import Busy
from playground.rate_limits import RateLimits
from playground.settings import SettingsError
from playground.tools import add
from playground.ui import build, serve
from strategies.registry import registry
from tests.browser.conftest import free_port

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def client(service):
    service.engine()

    async def launched():  # without a running loop, Gradio makes loops that nothing closes
        page = build(service)
        add(page, service)
        return serve(page, service, port=free_port())

    served = asyncio.run(launched())
    client = Client(served.address, verbose=False, analytics_enabled=False)
    yield client
    client.close()
    served.close()


def test_programs_see_four_functions_with_names_and_types(client):
    found = client.view_api(return_format="dict", print_info=False)
    assert found["unnamed_endpoints"] == {}
    named = found["named_endpoints"]
    assert list(named) == ["/compare", "/explain", "/score", "/strategies"]
    types = {p["parameter_name"]: p["type"] for p in named["/compare"]["parameters"]}
    assert types["recipes"] == {"type": "array", "items": {"type": "string"}}
    assert types["max_new_tokens"] == {"type": "integer"} and types["chat"] == {"type": "boolean"}
    assert all(each["description"] for each in named.values())


def test_a_comparison_is_that_of_http_and_its_choices_can_be_explained(client, service):
    recipes = ["greedy", "top_k(3) | sample(2)"]
    found = client.predict("Hello", recipes, max_new_tokens=4, seed=5, api_name="/compare")
    kept = service.comparison(found["run"])
    assert [lane["recipe"] for lane in found["lanes"]] == recipes and found["seed"] == 5
    for told, lane in zip(found["lanes"], kept.lanes, strict=True):
        assert told["text"] == lane.text == "".join(token["text"] for token in told["tokens"])
        assert told["perplexity"] == pytest.approx(lane.metrics.perplexity)
    assert len(found["lanes"][1]["other_texts"]) == 1
    why = client.predict(found["run"], lane=1, step=2, slack=True, api_name="/explain")
    step = kept.lanes[1].trace.path()[2]
    assert why["step"]["token"] == step.token and why["drawn"][0]["token"] == step.token
    assert len(why["removed"]) > 5 and {one["stage"] for one in why["removed"]} == {0}
    assert [one["setting"] for one in why["slack"]] == ["top_k.top_k"]


def test_the_readmes_example_runs(client):
    examples = re.findall(r"```py\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (example for example in examples if "gradio_client" in example)
    names = {}
    exec(example.replace("http://127.0.0.1:7860", client.src), names)
    assert names["why"]["id"] == names["run"]["run"]
    names["client"].close()


def test_a_text_is_scored_and_a_prompt_without_new_tokens(client):
    found = client.predict("Hello", "abc", ["greedy", "sample"], api_name="/score")
    assert [recipe["possible"] for recipe in found["recipes"]] == [False, True]
    assert found["recipes"][1]["logprob"] == pytest.approx(found["logprob"])
    assert len(found["tokens"]) == 3
    scored = client.predict("Hello", ["greedy"], max_new_tokens=0, api_name="/compare")
    assert scored["prompt_perplexity"] > 1


def test_strategies_are_named_in_brief_or_one_in_full(client):
    found = client.predict(api_name="/strategies")["strategies"]
    assert {each["name"] for each in found} == registry().strategies.keys()
    one = client.predict("top_p", api_name="/strategies")
    assert one["params"]["properties"]["top_p"]["maximum"] == 1.0


@pytest.mark.parametrize(
    "name, values, words",
    [
        ("/compare", {"prompt": "", "recipes": ["greedy"]}, "prompt must have at least 1"),
        ("/compare", {"prompt": "a", "recipes": ["greedy", "topp"]}, "recipes.1: Step 1: There is"),
        ("/compare", {"prompt": "a", "recipes": ["greedy"] * 7}, "recipes may have at most 6"),
        ("/compare", {"prompt": "a", "recipes": ["greedy"], "max_new_tokens": 501}, "at most 500"),
        ("/compare", {"prompt": "a", "recipes": ["greedy"], "model": "gpt"}, "model: The model"),
        ("/compare", {"prompt": "a" * 700, "recipes": ["greedy"]}, "700 tokens"),
        ("/explain", {"run": "gone"}, "run: The run is not kept here any more"),
        ("/score", {"prompt": "a", "text": "", "recipes": ["greedy"]}, "text"),
        ("/strategies", {"name": "topp"}, "Did you mean top_p"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence_that_names_the_field(client, name, values, words):
    with pytest.raises(AppError) as caught:
        client.predict(**values, api_name=name)
    assert words in str(caught.value) and "Traceback" not in str(caught.value)


def test_the_rate_limit_counts_them_as_requests(client, service, monkeypatch):
    monkeypatch.setattr(service, "rate_limits", RateLimits("2/minute"))
    monkeypatch.setattr("playground.api.runs.client", lambda request, settings: "192.0.2.1")
    for _ in range(2):
        client.predict(api_name="/strategies")
    with pytest.raises(AppError, match="One client may make 2 requests per minute"):
        client.predict(api_name="/strategies")


def test_a_full_line_is_told_with_the_time_to_come_back(client, service, monkeypatch):
    def full(*given):
        raise Busy("The line is full; try again in 5 s.", 5)

    monkeypatch.setattr(service, "submit_all", full)
    with pytest.raises(AppError, match="The line is full; try again in 5 s"):
        client.predict("Hello", ["greedy"], api_name="/compare")


def test_what_is_not_foreseen_is_logged_and_not_told(client, monkeypatch, caplog):
    def fails(*given):
        raise RuntimeError("a secret")

    monkeypatch.setattr("playground.tools.endpoints.brief", fails)
    with pytest.raises(AppError, match="its log has it as") as caught:
        client.predict(api_name="/strategies")
    assert "secret" not in str(caught.value) and "a secret" in caplog.text


def test_a_setting_without_its_package_is_told(service, monkeypatch):
    monkeypatch.setattr(service, "settings", service.settings.changed(mcp=True))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    async def launched():
        serve(build(service), service)

    with pytest.raises(SettingsError, match="PLAYGROUND_MCP needs the package mcp"):
        asyncio.run(launched())
