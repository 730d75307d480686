"""The written form round-trips, is never evaluated, and every fault has its own sentence."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from strategies import Recipe, RecipeError, RecipeStep
from strategies.notation import literal, read, write
from strategies.params import make
from strategies.presets import GROUPS, OWN, PRESETS
from strategies.registry import registry
from tests.strategies.cases import PROCESSORS, SEARCHES, values
from tests.strategies.driver import context


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("greedy", "greedy"),
        ("greedy()", "greedy"),
        (" top_k ( 50 )|greedy ", "top_k(50) | greedy"),
        ("top_k(top_k=50) | greedy", "top_k(50) | greedy"),
        ("top_k(50.0) | greedy", "top_k(50) | greedy"),
        ("temperature(1) | greedy", "temperature | greedy"),  # a default is not written
        ("temperature | greedy", "temperature | greedy"),
        ("~top_k(50) | sample", "~top_k(50) | sample"),
        (" ~ top_k(50) | sample", "~top_k(50) | sample"),
        ("top_k(9) | top_k(3) | sample(2)", "top_k(9) | top_k(3) | sample(2)"),
        ("presence_penalty(-1.5) | greedy", "presence_penalty(-1.5) | greedy"),
        ("presence_penalty(-1) | greedy", "presence_penalty(-1.0) | greedy"),
        (
            "repetition_penalty(prompt=False, penalty=1.2) | greedy",
            "repetition_penalty(1.2, prompt=False) | greedy",
        ),
        ("repetition_penalty(prompt=False) | greedy", "repetition_penalty(prompt=False) | greedy"),
        (
            "beam(num_beams=8, early_stopping='never')",
            'beam(8, early_stopping="never")',
        ),
        ("beam(early_stopping=True, length_penalty=-1)", None),
        ("repetition_penalty(1.2) | temperature(0.8) | top_p(0.95) | sample", None),
    ],
)
def test_reading_and_writing(given: str, written: str | None) -> None:
    recipe = Recipe.parse(given)
    if written is not None:
        assert str(recipe) == written
    assert Recipe.parse(str(recipe)) == recipe
    assert Recipe.from_steps(recipe.to_steps()) == recipe


def test_values_arrive_as_their_types() -> None:
    *_, beam = Recipe.parse("beam(2, length_penalty=-1, early_stopping=True)").steps
    assert beam.params.model_dump() == {
        "num_beams": 2,
        "length_penalty": -1.0,
        "early_stopping": True,
    }


@pytest.mark.parametrize(
    ("text", "step", "field", "says"),
    [
        ("", None, None, "The recipe is empty; end it with one of arithmetic, beam, "),
        ("   ", None, None, "The recipe is empty"),
        ("top_k(5)", None, None, "has no search; end it with one of arithmetic, beam, "),
        ("greedy | sample", 1, None, "Step 2 (sample): the search is already step 1"),
        ("greedy | top_k(2)", 0, None, "Step 1 (greedy): the search comes last"),
        ("~greedy", 0, None, "Step 1 (greedy): the search cannot be switched off"),
        ("| greedy", 0, None, "Step 1: it is empty"),
        ("top_k(5) | | greedy", 1, None, "Step 2: it is empty"),
        ("~ | greedy", 0, None, "Step 1: it is empty"),
        ("topk(5) | greedy", 0, None, "There is no strategy 'topk'. Did you mean top_k or top_p?"),
        ("zzz | greedy", 0, None, "There is no strategy 'zzz'. There are: adaptive_p, bad_words, "),
        ("top_k(-1) | greedy", 0, "top_k", "from 0 to 1,000,000, but -1 was given"),
        ("top_k(1.5) | greedy", 0, "top_k", "top_k must be a whole number from"),
        ('top_k("5") | greedy', 0, "top_k", 'but "5" was given'),
        ("top_k(True) | greedy", 0, "top_k", "but True was given"),
        ("top_k(None) | greedy", 0, "top_k", "but None was given"),
        ("top_p(1.5) | greedy", 0, "top_p", "must be a number from 0 to 1, but 1.5 was given"),
        ("sample | temperature(-1)", 1, "temperature", "must be a number from 0 to 5, but -1"),
        ("temperature(1e999) | sample", 0, "temperature", "but inf was given"),
        ("repetition_penalty(0) | greedy", 0, "penalty", "a number from 0.01 to 10, but 0 was"),
        ("repetition_penalty(prompt=1) | greedy", 0, "prompt", "must be True or False, but 1"),
        ("sample(257)", 0, "n", "n must be a whole number from 1 to 256, but 257 was given"),
        ("beam(17)", 0, "num_beams", "from 1 to 16"),
        (
            "beam(early_stopping='no')",
            0,
            "early_stopping",
            'must be False, True or "never", but "no" was given',
        ),
        ("top_p(p=0.9) | greedy", 0, "p", "there is no setting p; it has top_p"),
        ("top_p(topp=0.9) | greedy", 0, "topp", "no setting topp, did you mean top_p?"),
        ("greedy(1)", 0, None, "Step 1 (greedy): it takes no values"),
        ("greedy(n=1)", 0, "n", "there is no setting n; it has none"),
        ("top_k(1, 2) | greedy", 0, None, "only top_k may stand without its name"),
        ("top_k(1, top_k=2) | greedy", 0, "top_k", "top_k is given twice"),
        ("beam(num_beams=2, num_beams=3)", 0, "num_beams", "num_beams is given twice"),
        ("top_k(1 + 1) | greedy", 0, None, "must be a number, True, False, None or a quoted"),
        ("top_k(--1) | greedy", 0, None, "must be a number, True, False"),
        ("top_k(-True) | greedy", 0, None, "must be a number, True, False"),
        ("top_k([[1]]) | greedy", 0, "top_k", "a whole number from 0 to 1,000,000, but [[1]] was"),
        ("top_k([x]) | greedy", 0, None, "must be a number, True, False"),
        ("top_k({1: [x]}) | greedy", 0, None, "must be a number, True, False"),
        ('bad_words("a\\ud83d") | greedy', 0, "words", "half a character in it (\\ud83d)"),
        ('bad_words(["b", "\\udc00"]) | greedy', 0, "words", "half a character in it (\\udc00)"),
        ('logit_bias({"\\ud83d": 1}) | greedy', 0, "bias", "half a character in it (\\ud83d)"),
        ('guidance(negative_prompt="\\ud83d") | greedy', 0, "negative_prompt", "half a character"),
        ('top_k({"\\ud83d": 1}) | greedy', 0, "top_k", "half a character in it (\\ud83d)"),
        ("top_k(1j) | greedy", 0, None, "must be a number, True, False"),
        ("top_k(b'1') | greedy", 0, None, "must be a number, True, False"),
        ("top_k(f'1') | greedy", 0, None, "must be a number, True, False"),
        ("top_k(top_k=x) | greedy", 0, "top_k", "top_k must be a number, True, False"),
        ("top_k(*[1]) | greedy", 0, None, "must be a number, True, False"),
        ("top_k(**{}) | greedy", 0, None, "** has no meaning"),
        ("__import__('os').system('true') | greedy", 0, None, "cannot be read"),
        ("top_k(__import__('os')) | greedy", 0, None, "must be a number"),
        ("top_k(5 | greedy", 0, None, 'Step 1: "top_k(5" cannot be read'),
        ("top_k 5 | greedy", 0, None, "cannot be read"),
        ("top_k(5); greedy", 0, None, "cannot be read"),
        ("~~top_k(5) | greedy", 0, None, "cannot be read"),
        ("top_k(5) # | greedy", 0, None, "# has no meaning"),
        ('top_k("5 | greedy', 0, None, 'not closed with "'),
        (r'top_k("\d") | greedy', 0, None, r"write a backslash in quotes as \\"),
        ("greedy | " * 40 + "greedy", None, None, "at most 32 steps, but has 41"),
        ("x" * 30_000, None, None, "at most 20,000 characters, but 30,000 were given"),
    ],
)
def test_each_fault_has_its_sentence(
    text: str, step: int | None, field: str | None, says: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse(text)
    assert says in str(caught.value)
    assert (caught.value.step, caught.value.field) == (step, field)
    assert len(str(caught.value)) < 200 + len(", ".join(registry().strategies))


def test_a_bar_inside_quotes_does_not_split() -> None:
    calls = read("""a("x|y", b='|"|', c="\\"|\\\\") | d""")
    assert [call.strategy for call in calls] == ["a", "d"]
    assert calls[0].values == ("x|y",)
    assert calls[0].named == {"b": '|"|', "c": '"|\\'}


literals = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.text(alphabet=st.characters()),  # lone surrogates too
)


@given(value=literals, enabled=st.booleans())
@example(value="\\\"|'~#\n\x00\u2028\ud800", enabled=True)
def test_any_value_survives_being_written(value: Any, enabled: bool) -> None:
    written = write("a", (value,), {"b": value}, enabled)
    (call,) = read(written)
    assert (call.strategy, call.values, call.named) == ("a", (value,), {"b": value})
    assert call.enabled == enabled
    assert [type(v) for v in (*call.values, *call.named.values())] == [type(value)] * 2


def steps_of(kind: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Random settings of any strategy of a kind, made from its schema."""

    def of(strategy: Any) -> st.SearchStrategy[dict[str, Any]]:
        fields = strategy.Params.model_json_schema().get("properties", {})
        return st.fixed_dictionaries(
            {
                "strategy": st.just(strategy.info.id),
                "params": st.fixed_dictionaries(
                    {}, optional={name: some(schema) for name, schema in fields.items()}
                ),
                "enabled": st.just(True) if strategy.kind == "search" else st.booleans(),
            }
        ).filter(lambda step: fits(strategy, step["params"]))

    return st.one_of([of(strategy) for strategy in kind])


def fits(strategy: Any, params: dict[str, Any]) -> bool:
    """Whether these settings, each within its bounds, may stand beside each other."""
    try:
        make(strategy, params, 0)
    except RecipeError:
        return False
    return True


def some(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if schema.get("type") == "number":
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        return st.floats(
            low, schema["maximum"], exclude_min="exclusiveMinimum" in schema, allow_nan=False
        )
    if schema.get("type") == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    return st.sampled_from(values(schema))


recipes = st.builds(
    lambda processors, search: Recipe.from_steps([*processors, search]),
    st.lists(steps_of(PROCESSORS), max_size=6),
    steps_of(SEARCHES),
)


class Holder(BaseModel):
    recipe: Recipe


@given(recipes)
def test_any_recipe_round_trips(recipe: Recipe) -> None:
    assert Recipe.parse(str(recipe)) == recipe
    assert str(Recipe.parse(str(recipe))) == str(recipe)
    assert Recipe.from_steps(json.loads(json.dumps(recipe.to_steps()))) == recipe
    held = Holder(recipe=recipe)
    assert Holder.model_validate_json(held.model_dump_json()) == held
    assert recipe.processors == tuple(step for step in recipe.steps[:-1] if step.enabled)
    assert recipe.search == recipe.steps[-1]


fragments = st.lists(
    st.one_of(
        st.sampled_from(
            [*"()|~=,-+.'\"\\#*[]{}:;\n\0 ", "top_k", "sample", "beam", "1", "50", "1e9", "None"]
        ),
        st.sampled_from(["if", "else", "lambda", "for x in", "await", "0x", "1_0", "\\N{", "\\x1"]),
        st.text(max_size=3),
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(max_size=60), fragments, fragments.map(lambda t: f"top_k({t}) | greedy")))
@example("(" * 9000)
@example("-" * 9000 + "1")
@example("top_k(" + "-" * 9000 + "1) | greedy")
@example("[" * 9000 + "]" * 9000)
@example("top_k(" * 2000 + ")" * 2000)
@example("top_k(" + "9" * 9000 + ") | greedy")
@example("top_k(1if 1else 2) | greedy")
@example("a.b." * 4000)
@example("'\\N{nothing}'")
@example("top_k('\\ud800') | greedy")
@example("\ud800")
def test_reading_raises_nothing_but_recipe_errors(text: str) -> None:
    try:
        recipe = Recipe.parse(text)
    except RecipeError as error:
        assert str(error)
    else:
        assert Recipe.parse(str(recipe)) == recipe


@pytest.mark.parametrize("text", ["top_k(1or 2) | greedy", "top_k(0x1for x in [1])"])
def test_what_python_reads_with_a_warning_is_no_recipe(text: str) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.parse(text)


def test_a_text_that_python_reads_with_a_warning_stays_itself() -> None:
    assert literal(r'"\d"') == r'"\d"'
    assert literal(r'"\\d"') == r"\d"


json_values = st.recursive(
    st.one_of(literals, st.sampled_from(["top_k", "greedy", "strategy", "params", "enabled"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["strategy", "params", "enabled", "steps", "top_k", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(json_values)
@example([{"strategy": "greedy", "params": {"\ud800": 1}}])
@example([{"strategy": "top_k", "params": {1: 1}}])
def test_steps_raise_nothing_but_recipe_errors(value: Any) -> None:
    for read_from in (Recipe.of, Recipe.from_steps):
        try:
            assert isinstance(read_from(value), Recipe)
        except RecipeError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("greedy", "steps must be a list"),
        ({}, "steps must be a list"),
        (None, "steps must be a list"),
        (["greedy"], 'Step 1: it must look like {"strategy"'),
        ([{"params": {}}], "Step 1: it must look like"),
        ([{"strategy": "greedy", "on": True}], "Step 1: it must look like"),
        ([{"strategy": 5}], "strategy must be a text, but 5 was given"),
        ([{"strategy": "greedy", "params": []}], "params must be an object, but [] was given"),
        ([{"strategy": "greedy", "enabled": 1}], "enabled must be True or False, but 1"),
        ([{"strategy": "top_k", "params": {"top_k": -3}}], "but -3 was given"),
    ],
)
def test_steps_of_the_wrong_shape(steps: Any, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_steps(steps)
    assert says in str(caught.value)


def test_a_recipe_is_a_pydantic_field() -> None:
    steps = {"steps": [{"strategy": "top_p", "params": {"top_p": 0.9}}, {"strategy": "greedy"}]}
    assert Holder(recipe="top_p(0.9) | greedy") == Holder.model_validate({"recipe": steps})  # type: ignore[arg-type]
    assert Holder(recipe="greedy").model_dump(mode="json") == {"recipe": "greedy"}  # type: ignore[arg-type]
    assert "anyOf" in json.dumps(Holder.model_json_schema())
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"recipe": "top_p(2) | greedy"})
    (error,) = caught.value.errors()
    assert error["loc"] == ("recipe",)
    assert "Step 1 (top_p): top_p must be a number from 0 to 1" in error["msg"]
    cause = error["ctx"]["error"]
    assert isinstance(cause, RecipeError) and (cause.step, cause.field) == (0, "top_p")


def test_building_leaves_out_what_is_switched_off() -> None:
    recipe = Recipe.parse("top_k(5) | ~top_p(0.5) | temperature(0.5) | sample(3)")
    processors, search = recipe.build(context(10))
    assert [type(processor).info.id for processor in processors] == ["top_k", "temperature"]
    assert search.width() == 3
    assert [str(step) for step in recipe.processors] == ["top_k(5)", "temperature(0.5)"]


def test_a_refusal_names_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised on construction, or once the other steps are known."""
    top_k = RecipeStep("top_k", PROCESSORS[0].Params()).plugin

    def last(self: Any, chain: Any) -> None:
        if chain.index(self) != len(chain) - 2:
            raise ValueError("it must come last.")

    recipe = Recipe.parse("~top_p | temperature | top_k(3) | temperature | greedy")
    with monkeypatch.context() as patch:
        patch.setattr(top_k, "refuse", last)
        Recipe.parse("temperature | top_k(3) | greedy").build(context(9))
        with pytest.raises(RecipeError, match=r"Step 3 \(top_k\): it must come last\.") as caught:
            recipe.build(context(9))
        assert caught.value.step == 2

    def never(self: Any, params: Any, context: Any) -> None:
        raise ValueError("not with this model.")

    monkeypatch.setattr(top_k, "__init__", never)
    with pytest.raises(RecipeError, match=r"Step 3 \(top_k\): not with this model\."):
        recipe.build(context(9))


def test_presets_are_recipes_in_their_shortest_form() -> None:
    assert len({preset.id for preset in PRESETS}) == len(PRESETS)
    assert len({preset.text for preset in PRESETS}) == len(PRESETS), "a recipe names its preset"
    for preset in PRESETS:
        assert str(preset.recipe) == preset.text
        assert preset.title and preset.source
        assert preset.summary.endswith(".") and ". " not in preset.summary
        assert bool(preset.version) == bool(preset.date)
        papers = re.search(r"\b(19|20)\d\d\b|pull request \d+", preset.source)
        assert papers or re.search(r"(20\d\d)$", preset.origin), "which version, and of when"
    groups = [preset.group for preset in PRESETS]
    assert list(dict.fromkeys(groups)) == [group for group in GROUPS if group != OWN]
    assert groups == sorted(groups, key=list(GROUPS).index)


def test_the_defaults_of_programs_are_theirs() -> None:
    """As their sources have them: llama.cpp b10470, and Ollama of August 2026."""
    steps = {
        preset.id: {step.strategy: step.params.model_dump() for step in preset.recipe.steps}
        for preset in PRESETS
    }
    for id, top_p, min_p in (("llama_cpp_defaults", 0.95, 0.05), ("ollama", 0.9, 0.0)):
        found = steps[id]
        assert list(found)[-2:] == ["temperature", "sample"], "temperature comes last"
        assert found["temperature"]["temperature"] == 0.8 and found["top_k"]["top_k"] == 40
        assert (found["top_p"]["top_p"], found["min_p"]["min_p"]) == (top_p, min_p)
        penalties = {name: value for name, value in found.items() if "penalty" in name}
        assert [value["window"] for value in penalties.values()] == [64] * 3
        assert all(value["prompt"] for value in penalties.values())
        assert [value["penalty"] for value in penalties.values()] == [1.0, 0.0, 0.0]
    dry = steps["llama_cpp_defaults"]["dry"]
    assert (dry["multiplier"], dry["base"], dry["allowed_length"], dry["window"]) == (
        0,
        1.75,
        2,
        64,
    )


def test_the_two_orders_differ_in_their_order_only() -> None:
    """Every step is there, most of them at settings that change nothing."""
    orders = [preset.recipe for preset in PRESETS if preset.group == "orders"]
    acting = [{str(step) for step in r.processors if not step.neutral} for r in orders]
    assert acting[0] == acting[1] and len(acting[0]) == 5
    assert [len(recipe.steps) for recipe in orders] == [18, 12]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ('bad_words("row") | greedy', 'bad_words(["row"]) | greedy'),
        ('dry(breakers="ab") | greedy', 'dry(breakers=["ab"]) | greedy'),
        (
            'constrained(json_schema={"enum": [1, null, true, {"a": []}]}) | greedy',
            'constrained(json_schema="{\\"enum\\": [1, null, true, {\\"a\\": []}]}") | greedy',
        ),
    ],
)
def test_one_text_does_for_a_list_and_a_schema_for_its_text(given: str, written: str) -> None:
    assert str(Recipe.parse(given)) == written
    assert Recipe.parse(written) == Recipe.parse(given)
