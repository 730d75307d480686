"""The contract of every registered strategy, checked over settings made from its own ``Params``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from strategies import (
    Processor,
    Recipe,
    RecipeError,
    RecipeStep,
    Refusal,
    Row,
    Search,
    Step,
    Strategy,
)
from strategies.contract import check
from strategies.ops.noise import gumbel
from strategies.params import make
from strategies.registry import registry
from tests.strategies.cases import (
    PROCESSORS,
    SEARCHES,
    beyond,
    edges,
    rows,
    scores,
    settings,
    values,
)
from tests.strategies.driver import advance, begun, context, hidden, run, transitions

EVERY = [*PROCESSORS, *SEARCHES]
EOS = (2, 9)


def named(strategy: type[Strategy]) -> str:
    return strategy.info.id


each = pytest.mark.parametrize("strategy", EVERY, ids=named)
each_processor = pytest.mark.parametrize("strategy", PROCESSORS, ids=named)
each_search = pytest.mark.parametrize("strategy", SEARCHES, ids=named)


def made(strategy: type[Strategy], vocab: int) -> Iterator[Processor]:
    """The processor at each of its settings that it does not refuse."""
    for params in settings(strategy):
        try:
            processor = strategy(params, context(vocab, EOS))
        except ValueError as refusal:
            assert str(refusal).endswith(".")
            continue
        assert isinstance(processor, Processor)
        yield processor


def test_nothing_installed_here_is_broken() -> None:
    assert registry().broken == ()
    assert len(PROCESSORS) >= 9 and len(SEARCHES) >= 3


@each
def test_info_and_settings_are_whole(strategy: type[Strategy]) -> None:
    check(strategy)
    info = strategy.info
    assert info.summary.endswith(".") and info.summary.count(".") == 1 + info.summary.count("0.")
    assert info.formula.count("{") == info.formula.count("}")
    assert not info.formula.startswith("$")
    assert info.url.startswith("https://")
    assert info.advice.count(". ") == 1 and info.advice.endswith("."), "two sentences"
    schema = strategy.Params.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    for name, field in schema.get("properties", {}).items():
        assert field["description"].endswith("."), name
        if "usual" in field:
            low, high = field["usual"]
            assert field.get("minimum", field.get("exclusiveMinimum")) <= low < high
            assert high <= field["maximum"]
            assert low <= field["default"] <= high
            assert 0 < field["step"] <= high - low


@each
def test_beyond_its_bounds_a_setting_is_refused_by_name(strategy: type[Strategy]) -> None:
    for name, schema in strategy.Params.model_json_schema().get("properties", {}).items():
        for value in beyond(schema):
            with pytest.raises(RecipeError) as refused:
                make(strategy, {name: value}, 0)
            assert refused.value.field == name
            sentence = str(refused.value)
            assert f"({strategy.info.id}): {name}" in sentence and sentence.endswith("."), sentence
            if schema.get("type") in ("number", "integer"):
                assert "must be a" in sentence and "was given" in sentence


@each
def test_every_setting_is_written_and_read_back(strategy: type[Strategy]) -> None:
    for params in settings(strategy):
        step = RecipeStep(strategy.info.id, params)
        steps = (step,) if strategy.kind == "search" else (step, *Recipe.parse("greedy").steps)
        recipe = Recipe(steps)
        assert Recipe.parse(str(recipe)) == recipe
        assert Recipe.from_steps(json.loads(json.dumps(recipe.to_steps()))) == recipe


@each_processor
def test_neutral_changes_nothing(strategy: type[Strategy]) -> None:
    if not strategy.neutral:
        return
    params = strategy.Params(**strategy.neutral)
    assert strategy.is_neutral(params)
    assert not all(strategy.is_neutral(other) for other in settings(strategy))
    given = scores(300)
    processor = strategy(params, context(300, EOS))
    assert isinstance(processor, Processor)
    assert torch.equal(processor(given, begun(processor, rows(300))), given)


@each_processor
@pytest.mark.parametrize("vocab", [11, 300])
def test_scores_are_pure_and_never_empty(strategy: type[Strategy], vocab: int) -> None:
    for processor in made(strategy, vocab):
        given = scores(vocab)
        kept = given.clone()
        texts = begun(processor, rows(vocab))
        out = processor(given, texts)
        assert torch.equal(given, kept), f"{processor.params} wrote into its input"
        assert out.shape == given.shape and out.dtype == torch.float32
        assert not out.isnan().any() and not (out == torch.inf).any(), processor.params
        assert (out[given == -torch.inf] == -torch.inf).all(), f"{processor.params} raised the dead"
        whole: Any = slice(None)
        if strategy.dead_end is not Processor.dead_end:  # it may leave none, and then says why
            assert all(processor.dead_end(row).endswith(".") for row in texts)
            begins = torch.tensor([not row.generated for row in texts])
            whole = begins & (given > -torch.inf).all(-1)
        assert (out[whole] > -torch.inf).any(-1).all(), f"{processor.params} left nothing"
        assert torch.equal(processor(given, texts), out)


@each_processor
def test_at_the_edges_of_a_float_there_are_scores_or_a_refusal(strategy: type[Strategy]) -> None:
    exact = scores(11)
    fields = strategy.Params.model_json_schema().get("properties", {})
    middle = {name: values(schema)[len(values(schema)) // 2] for name, schema in fields.items()}
    for name, schema in fields.items():
        for value in edges(schema):
            try:
                params = make(strategy, {**middle, name: value}, 0)
            except RecipeError as refusal:
                assert refusal.field == name and "must be a" in str(refusal)
                continue
            processor = strategy(params, context(11, EOS))
            assert isinstance(processor, Processor)
            for given in (exact, exact.bfloat16().float()):
                out = processor(given, begun(processor, rows(11)))
                assert not out.isnan().any() and not (out == torch.inf).any(), params


@pytest.fixture
def two_threads() -> Iterator[None]:
    """With more than one, torch may split a reduction differently for one row and for several."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@each_processor
@pytest.mark.parametrize("vocab", [11, 300, 40_000])
def test_a_row_is_alone_in_company(strategy: type[Strategy], vocab: int, two_threads: None) -> None:
    """Bitwise: alone, among others, in another order, twice."""
    given = scores(vocab)
    for number, processor in enumerate(made(strategy, vocab)):
        if vocab > 1000 and number > 3:
            break
        texts = begun(processor, rows(vocab))
        together = processor(given, texts)
        for i, row in enumerate(texts):
            assert torch.equal(processor(given[i : i + 1], [row])[0], together[i])
        order = [5, 2, 2, 0, 4, 1, 3]
        shuffled = processor(given[order], [texts[i] for i in order])
        assert torch.equal(shuffled, together[order])


@each_processor
def test_state_is_a_value(strategy: type[Strategy]) -> None:
    """Observing returns the new state and leaves the old one, so rows may fork and rewind."""
    for processor in made(strategy, 300):
        start = processor.initial_state()
        hash(start)
        once = processor.observe(start, 3, -1.0)
        other = processor.observe(start, 4, -6.0)
        assert processor.observe(start, 3, -1.0) == once
        assert processor.observe(start, 4, -6.0) == other
        assert processor.initial_state() == start
        assert strategy.stateful or once == start


def searching(strategy: type[Strategy], vocab: int) -> Iterator[Search]:
    for params in settings(strategy):
        search = strategy(params, context(vocab, EOS, max_new_tokens=4))
        assert isinstance(search, Search)
        yield search


def first_step(search: Search, given: torch.Tensor) -> Step:
    start = [Row((1, 3), 2, seed=5)]
    return Step(
        index=0,
        rows=start,
        scores=given,
        noise=lambda sample: gumbel(5, sample, 0, given.shape[-1]),
        ends=lambda row, token: token in EOS,
        hidden=[hidden(start[0].tokens)],
    )


@each_search
def test_a_search_starts_from_one_row_and_keeps_its_width(strategy: type[Strategy]) -> None:
    for search in searching(strategy, 50):
        for given in scores(50).log_softmax(-1).split(1):
            before = given.clone()
            step = first_step(search, given)
            try:
                moves = advance(search, step)
            except Refusal as refusal:
                assert search.asks and "was removed by the recipe" in str(refusal)
                continue
            assert torch.equal(given, before)
            assert (moves or search.asks) and sum(not move.done for move in moves) <= search.width()
            for move in moves:
                assert move.parent == 0
                assert given[0, move.token] > -torch.inf, "a removed token was chosen"
                assert move.done == (move.token in EOS)
            assert advance(search, first_step(search, given)) == moves


@each_search
def test_a_search_ends_and_orders_its_texts(strategy: type[Strategy]) -> None:
    table = torch.rand(6, 6, generator=torch.Generator().manual_seed(1)).softmax(-1)
    for params in settings(strategy):
        recipe = Recipe((RecipeStep(strategy.info.id, params),))
        found = run(transitions(table), recipe, (0, 3), eos=(2,), max_new_tokens=5)
        assert found, "a lane must leave a text"
        for row in found:
            assert row.prompt == (0, 3) and len(row.generated) <= 5
            assert 2 not in row.generated[:-1]
            if not strategy.asks:
                assert row.done and (row.generated[-1] == 2 or len(row.generated) == 5)
        search = strategy(params, context(6, (2,), 5))
        assert isinstance(search, Search)
        assert search.order(found[::-1])[0].generated == search.best(found).generated
        assert sorted(map(id, search.order(found))) == sorted(map(id, found))
