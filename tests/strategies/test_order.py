"""Where a step that is added stands: right where transformers would apply it, and never idle."""

from __future__ import annotations

import pytest

from strategies.order import insert, order
from strategies.recipe import Recipe
from strategies.registry import registry


def added(recipe: str, id: str) -> str:
    steps, at = insert(Recipe.parse(recipe).to_steps(), id)
    assert steps[at]["strategy"] == id
    return " ".join(step["strategy"] for step in steps)


@pytest.mark.parametrize(
    ("recipe", "id", "expected"),
    [
        ("sample", "top_p", "top_p sample"),
        ("temperature(0.8) | top_p(0.9) | sample", "top_k", "temperature top_k top_p sample"),
        ("top_p(0.9) | sample", "temperature", "temperature top_p sample"),
        ("temperature | sample", "dry", "dry temperature sample"),
        ("temperature(0) | sample", "top_p", "top_p temperature sample"),
        ("~temperature(0) | sample", "top_p", "temperature top_p sample"),
        ("top_k(1) | sample", "min_p", "min_p top_k sample"),
        ("mirostat_v2 | sample", "watermark", "watermark mirostat_v2 sample"),
        ("top_k(5) | sample", "mirostat_v2", "top_k mirostat_v2 sample"),
        ("top_p(0.9) | sample", "beam", "top_p beam"),
        ("greedy", "constrained", "constrained greedy"),
        ('bad_words("a") | top_k | greedy', "constrained", "constrained bad_words top_k greedy"),
        ("constrained | greedy", "min_new_tokens", "constrained min_new_tokens greedy"),
    ],
)  # fmt: skip
def test_a_new_step_stands_where_it_acts(recipe, id, expected):
    assert added(recipe, id) == expected


def test_the_orders_of_the_presets_are_kept():
    places = order()
    penalties = places.index("presence_penalty"), places.index("dry")
    cuts = [places.index(id) for id in ("top_n_sigma", "top_k", "min_p", "xtc", "tail_free")]
    assert max(penalties) < places.index("temperature") < min(cuts)
    assert len(set(places)) == len(places)


def test_every_processor_but_those_that_come_last_has_a_place():
    processors = {id: s for id, s in registry().strategies.items() if s.kind == "processor"}
    last = processors.keys() - set(order())
    assert last >= {"mirostat_v2", "adaptive_p"}
    assert not any(processors[id].beside or processors[id].leads for id in last)


def test_what_cannot_be_read_is_left_where_it_is():
    steps = [{"strategy": "gone", "params": {}}, {"strategy": "top_k", "params": {"top_k": "x"}}]
    made, at = insert(steps, "temperature")
    assert [step["strategy"] for step in made] == ["temperature", "gone", "top_k"] and at == 0
