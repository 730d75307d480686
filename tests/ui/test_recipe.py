"""A column's recipe as the value of its element, and values from the page, which are validated."""

from __future__ import annotations

import pytest

from playground.ui import recipe, step_controls
from playground.ui.columns import another
from strategies.recipe import MOST_STEPS, Recipe, RecipeError
from strategies.registry import registry


def steps(text: str) -> recipe.Steps:
    return recipe.read({"steps": Recipe.of(text).to_steps()})


def column(text: str, **more: str) -> recipe.ColumnState:
    return recipe.ColumnState(steps(text), **more)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"steps": "greedy"},
        {"steps": ["greedy"]},
        {"steps": [{"strategy": "greedy"}]},
        {"steps": [{"strategy": 3, "params": {}}]},
        {"steps": [{"strategy": "greedy", "params": []}]},
        {"steps": [{"strategy": "greedy", "params": {}}] * (MOST_STEPS + 1)},
    ],
)
def test_what_is_no_list_of_steps_is_refused(value):
    with pytest.raises(RecipeError):
        recipe.read(value)


def test_what_the_page_adds_is_dropped():
    sent = {"strategy": "greedy", "params": {}, "enabled": True, "summary": "<b>", "fault": True}
    assert recipe.read({"steps": [sent]}) == [{"strategy": "greedy", "params": {}, "enabled": True}]


@pytest.mark.parametrize(
    "text", ["greedy", "temperature(0.8) | ~top_k(5) | sample(n=3)", 'beam(early_stopping="never")']
)
def test_a_recipe_is_shown_in_its_written_form(text):
    shown = recipe.view(0, column(text), 2, 6)
    assert shown["written"] == str(Recipe.of(text))
    assert shown["error"] is None
    assert [step["fault"] for step in shown["steps"]] == [False] * len(shown["steps"])


def test_a_step_shows_its_settings_and_whether_it_does_anything():
    shown = recipe.view(0, column("temperature(1) | top_p(0.9) | beam(length_penalty=0)"), 2, 6)
    assert [step["value"] for step in shown["steps"]] == ["1", "0.9", "length_penalty 0"]
    assert [step["neutral"] for step in shown["steps"]] == [True, False, False]


@pytest.mark.parametrize(
    "made, fault, says",
    [
        ([("temperature", {"temperature": -1}), ("sample", {})], 0, "-1"),
        ([("greedy", {}), ("sample", {})], 1, "search"),
        ([("nonesuch", {}), ("sample", {})], 0, "nonesuch"),
        ([("top_p", {"p": 0.5}), ("sample", {})], 0, "p"),
        ([("top_p", {})], None, "search"),
    ],
)
def test_what_cannot_run_is_shown_with_its_fault_at_the_step(made, fault, says):
    sent = [{"strategy": id, "params": params, "enabled": True} for id, params in made]
    shown = recipe.view(1, recipe.ColumnState(sent), 2, 6)
    assert says in shown["error"]
    assert shown["written"]
    if fault is not None:
        assert shown["steps"][fault]["fault"]


def test_the_preset_is_known_by_what_it_runs():
    assert recipe.view(0, column("greedy"), 1, 6)["preset"] == "greedy"
    assert recipe.view(0, column("temperature(0.123) | sample"), 1, 6)["preset"] is None


@pytest.mark.parametrize(
    "columns, only, full", [(1, True, False), (2, False, False), (6, False, True)]
)
def test_the_last_column_stays_and_no_seventh_comes(columns, only, full):
    shown = recipe.view(0, column("greedy"), columns, 6)
    assert (shown["only"], shown["full"]) == (only, full)


@pytest.mark.parametrize(
    "at, found", [(0, 0), (1, 1), (2, None), (-1, None), ("0", None), (None, None)]
)
def test_the_open_step_is_one_there_is(at, found):
    sent = {"steps": steps("top_k(3) | sample"), "open": at}
    assert recipe.ColumnState.read(sent).opened == found


def test_a_column_keeps_its_key_wherever_it_stands():
    sent = recipe.view(0, column("greedy"), 2, 6)
    assert recipe.ColumnState.read(sent).key == sent["key"]
    keys = {recipe.key_of(told) for told in (None, {}, {"key": 3}, {"key": "x" * 99}, {"key": ""})}
    assert len(keys) == 5 and all(0 < len(key) <= recipe.LONGEST_KEY for key in keys)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("top_k(-1) | sample", [("top_k", {"top_k": -1}), ("sample", {})]),
        ("~top_p(2, 3) | sample", None),
        ("temperature(T=1) | greedy", [("temperature", {"T": 1}), ("greedy", {})]),
        ("nonesuch | sample", None),
        ("top_k(", None),
    ],
)
def test_a_recipe_that_cannot_run_is_shown_as_far_as_it_can_be_read(text, shown):
    if shown is None:
        with pytest.raises(RecipeError):
            recipe.steps_of(text)
    else:
        read = recipe.steps_of(text)
        assert [(step["strategy"], step["params"]) for step in read] == shown
        assert recipe.view(0, recipe.ColumnState(read), 2, 6)["error"]


def test_a_name_is_one_line_of_bounded_length():
    assert recipe.name_of({"name": " two\n lines "}) == "two lines"
    assert len(recipe.name_of({"name": "x" * 99})) == recipe.LONGEST_NAME
    assert recipe.name_of({"name": 3}) == recipe.name_of(None) == ""
    assert recipe.view(0, column("greedy", name="Bold"), 2, 6)["name"] == "Bold"


def test_a_duplicate_has_a_name_of_its_own():
    assert another("", ["", ""]) == ""
    assert another("Bold", ["Bold"]) == "Bold 2"
    assert another("Bold 2", ["Bold", "Bold 2"]) == "Bold 3"


@pytest.mark.parametrize(
    "name, text, meant",
    [
        ("temperature", "0.1", 0.1),
        ("temperature", "9", 9),
        ("temperature", "1e-3", 0.001),
        ("temperature", "", ""),
        ("temperature", "nan", "nan"),
        ("temperature", "0,5", "0,5"),
        ("top_k", "12345678901234567890", 12345678901234567890),
        ("top_k", "2.7", 2.7),
        ("top_k", "1_0", "1_0"),
    ],
)
def test_a_number_is_what_was_typed_or_refused_as_it_was_typed(name, text, meant):
    field = registry().strategies[name].Params.model_fields[name]
    typed = step_controls.typed(field, {"text": text})
    assert typed == meant and type(typed) is type(meant)
    made = [{"strategy": name, "params": {name: typed}}, {"strategy": "sample", "params": {}}]
    if type(meant) is str or not 0 <= meant <= 1e6 or meant in (2.7, 9):
        with pytest.raises(RecipeError, match=f"{name} must be"):
            Recipe.from_steps(made)
    else:
        assert Recipe.from_steps(made)
