"""A link restores what it can mean, and what it cannot mean stays as the page would open."""

from __future__ import annotations

import pytest

from playground.settings import Settings
from playground.ui.links import MOST_SEED, Setup, base, restored

START = Setup(prompt="Once", recipes=("greedy", "sample"), tokens=48, seed=7)
SETTINGS = Settings(max_new_tokens=100, max_columns=3, max_stop_strings=2, max_prompt_chars=10)


@pytest.mark.parametrize("query", [[], [("theme", "dark")], [("__theme", "dark"), ("chat", "1")]])
def test_an_address_that_asks_for_nothing_leaves_the_page_as_it_opens(query):
    assert restored(query, START, SETTINGS) is None


def test_everything_in_a_link_comes_back():
    query = [
        ("prompt", "a & b"), ("recipe", "sample(3)"), ("recipe", "top_p(0.9) | sample"),
        ("tokens", "9"), ("least", "2"), ("seed", "1234"), ("stop", "\\n"), ("stop", "End"),
        ("chat", "1"), ("alone", "1"), ("model", "gpt2"),
    ]  # fmt: skip
    assert restored(query, START, SETTINGS) == Setup(
        prompt="a & b",
        recipes=("sample(3)", "top_p(0.9) | sample"),
        tokens=9,
        least=2,
        seed=1234,
        stop=("\\n", "End"),
        chat=True,
        alone=True,
        model="gpt2",
    )


@pytest.mark.parametrize(
    "query, field, value",
    [
        (("seed", "3"), "recipes", START.recipes),
        (("seed", "seven"), "seed", 7),
        (("seed", "-4"), "seed", 0),
        (("seed", "9" * 30), "seed", MOST_SEED),
        (("tokens", "0"), "tokens", 1),
        (("tokens", "1000"), "tokens", 100),
        (("tokens", ""), "tokens", 48),
        (("prompt", "x" * 50), "prompt", "x" * 10),
        (("recipe", "no such thing("), "recipes", ("no such thing(",)),
    ],
)
def test_what_a_link_cannot_mean_is_left_or_bounded(query, field, value):
    found = restored([query], START, SETTINGS)
    assert found is not None
    assert getattr(found, field) == value


@pytest.mark.parametrize("told, on", [("1", True), ("typed", True), ("0", False), ("x", False)])
def test_a_link_holds_the_chat_template_chosen_or_not(told, on):
    found = restored([("prompt", "a"), ("chat", told)], START, SETTINGS)
    assert found is not None and found.chat is on


def test_what_is_too_many_is_cut():
    query = [("recipe", "greedy")] * 5 + [("stop", "x")] * 5
    found = restored(query, START, SETTINGS)
    assert found is not None
    assert (len(found.recipes), len(found.stop)) == (3, 2)


def test_a_space_is_linked_by_its_page_at_the_hub():
    assert base(Settings()) == ""
    assert base(Settings(space_id="me/it", hub="https://hub.example")) == (
        "https://hub.example/spaces/me/it"
    )
