"""Packages of others, written from the README of strategies: installed, found, and run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.engine import Request
from playground.trace import Comparison
from strategies import Processor, Recipe, RecipeError, Strategy
from strategies.registry import Registry
from tests.engine.models import engine, finished
from tests.plugins import installed
from tests.strategies import test_contract as contract

PACKAGES = Path(__file__).parents[1] / "plugins"
IDS = ("lipogram", "regret", "daring")


def test_without_the_package_the_recipe_says_what_is_missing() -> None:
    with pytest.raises(RecipeError, match="There is no strategy 'lipogram'"):
        Recipe.parse("lipogram | greedy")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed both, without an index."""
    folder = tmp_path_factory.mktemp("site")
    sources = [str(PACKAGES / name) for name in ("lipogram", "second-thoughts")]
    quiet = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile"]
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(folder), *sources]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def theirs(site: Path) -> Iterator[dict[str, type[Strategy]]]:
    """Their strategies by id, usable in recipes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        found = Registry.discover()
        assert found.broken == ()
        own = {id: found.strategies[id] for id in IDS}
        with installed(*own.values()):
            yield own


def written(recipe: str) -> Comparison:
    request = Request(prompt="one two three", recipes=[recipe], max_new_tokens=24, seed=2)
    return finished(engine(eos=(3,)), request)


def test_they_are_found_by_their_entry_points(theirs: dict[str, type[Strategy]]) -> None:
    kinds = [theirs[id].kind for id in IDS]
    assert kinds == ["processor", "processor", "search"]


@pytest.mark.parametrize("id", IDS)
def test_they_keep_the_contract(theirs: dict[str, type[Strategy]], id: str) -> None:
    strategy = theirs[id]
    contract.test_info_and_settings_are_whole(strategy)
    contract.test_every_setting_is_written_and_read_back(strategy)
    if issubclass(strategy, Processor):
        contract.test_neutral_changes_nothing(strategy)
        contract.test_scores_are_pure_and_never_empty(strategy, 300)
        contract.test_a_row_is_alone_in_company(strategy, 300, None)
        contract.test_state_is_a_value(strategy)
    else:
        contract.test_a_search_starts_from_one_row_and_keeps_its_width(strategy)
        contract.test_a_search_ends_and_orders_its_texts(strategy)


def test_a_recipe_holds_them_beside_those_that_are_here(
    theirs: dict[str, type[Strategy]],
) -> None:
    recipe = 'lipogram("aeiou") | temperature(0.9) | daring(0.3)'
    assert str(Recipe.parse(recipe)) == recipe
    (lane,) = written(recipe).lanes
    assert lane.error is None and len(lane.token_ids) > 3
    assert not set("aeiou") & set(lane.text.lower())
    assert lane.trace.chain.steps[0].params == {"letters": "aeiou"}


def test_a_text_goes_back_by_what_they_ask(theirs: dict[str, type[Strategy]]) -> None:
    (plain,) = written("sample").lanes
    (lane,) = written("regret(6) | sample").lanes
    assert max(-step.raw_logprob for step in plain.trace.path()) > 6
    regrets = sum(len(step.taken_back) for step in lane.trace.path())
    assert lane.metrics.found["regrets"] == regrets > 0
    assert {one.by for step in lane.trace.path() for one in step.taken_back} == {"regret"}
    with pytest.raises(RecipeError, match="it takes tokens back, which only a search"):
        Recipe.parse("regret(6) | daring").build(engine().builder.context(4))
