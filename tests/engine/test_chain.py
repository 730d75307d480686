"""The recipe as a trace records it."""

from typing import get_args

import pytest

from playground.engine.lanes.chain import chain
from playground.trace import Choosing
from playground.trace.migration import migrate
from strategies import Recipe, base
from strategies.presets import PRESETS
from strategies.registry import registry

SEARCHES = [id for id, strategy in registry().strategies.items() if strategy.kind == "search"]


def test_a_trace_knows_every_way_of_choosing():
    assert set(get_args(Choosing)) == {*get_args(base.Choosing), "person"}


def test_every_search_says_by_what_it_chooses():
    said = {id: chain(Recipe.parse(id)).chooses for id in SEARCHES}
    assert [id for id, chooses in said.items() if chooses is None] == ["arithmetic"]
    assert set(said.values()) - {None} == set(get_args(Choosing))


def test_steps_hold_every_setting_and_both_their_forms():
    held = chain(Recipe.parse('~top_k(5) | dry(0.8, base=1.5) | bad_words(["a | b"]) | sample'))
    off, dry, words, search = held.steps
    assert (off.strategy, off.enabled, off.label) == ("top_k", False, "top_k 5")
    assert dry.params["multiplier"] == 0.8 and dry.params["allowed_length"] == 2
    assert (dry.written, dry.label) == ("dry(0.8, base=1.5)", "dry 0.8, base=1.5")
    assert words.params == {"words": ["a | b"]}
    assert held.processors == [dry, words] and held.search == search
    assert held.written == '~top_k(5) | dry(0.8, base=1.5) | bad_words(["a | b"]) | sample'


def test_what_a_plugin_says_that_no_trace_knows_is_told_as_nothing(monkeypatch):
    greedy = registry().strategies["greedy"]
    monkeypatch.setattr(greedy, "chooses", "by moonlight")
    assert chain(Recipe.parse("greedy")).chooses is None


THEN = {  # the searches there were
    "beam", "beam_sample", "contrastive", "diverse_beam", "greedy", "manual", "sample",
    "speculative", "stochastic_beam",
}  # fmt: skip


@pytest.mark.parametrize(
    "recipe", [*sorted(THEN), *dict.fromkeys(str(preset.recipe) for preset in PRESETS)]
)
def test_an_older_trace_is_told_the_same_of_its_recipe(recipe):
    """Except for the settings that it does not name, and what traces did not hold then."""
    made = chain(Recipe.parse(recipe)).model_dump()
    saved = migrate({"lanes": [{"trace": {"recipe": recipe}}]})["lanes"][0]["trace"]["chain"]
    for step, was in zip(made["steps"], saved["steps"], strict=True):
        assert was.pop("params").items() <= step.pop("params").items()
        step.pop("keeps_by")
    assert saved == made
