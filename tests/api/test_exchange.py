"""Recipes to and from other programs over HTTP."""

from __future__ import annotations

from strategies.bridges.formats import formats
from strategies.recipe import Recipe
from tests.api.asking import faults


def test_a_recipe_goes_there_and_comes_back(client):
    ids = [one["id"] for one in client.get("/api/formats").json()["formats"]]
    assert ids == list(formats())
    recipe = "temperature(0.7) | top_p(0.9) | presence_penalty(0.5) | sample"
    asked = {"recipe": recipe, "format": "ollama", "max_new_tokens": 32, "seed": 3, "stop": ["."]}
    told = client.post("/api/take", json=asked).json()
    assert "PARAMETER num_predict 32" in told["text"]
    there = "presence_penalty(0.5, prompt=True) | top_p(0.9) | temperature(0.7) | sample"
    assert told["there"] == there
    assert [one["step"] for one in told["differences"]] == [2, None]
    back = client.post("/api/bring", json={"text": told["text"]}).json()
    assert Recipe.of(back["recipe"]) == Recipe.of(there)
    assert back["bounds"] == {"max_new_tokens": 32, "seed": 3, "stop": ["."]}


def test_a_text_of_a_recipe_has_the_tokens_of_a_loaded_model(client, service):
    service.engine()
    asked = {"recipe": 'logit_bias({"a": 2}) | sample', "format": "openai"}
    told = client.post("/api/take", json=asked).json()
    assert '"logit_bias": {' in told["text"] and told["differences"] == []


def test_what_cannot_be_read_is_refused_by_its_field(client):
    for path, body, field in (
        ("take", {"recipe": "greedy", "format": "vim"}, "format"),
        ("take", {"recipe": "greedy | ", "format": "vllm"}, "recipe"),
        ("bring", {"text": "hello there"}, "text"),
        ("bring", {"text": "--temp 1", "format": "vim"}, "format"),
        ("bring", {"text": "--temp hot", "format": "llama.cpp"}, "text"),
    ):
        assert ("body", field) in faults(client.post(f"/api/{path}", json=body), 422)
