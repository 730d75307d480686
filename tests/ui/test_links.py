"""A link restores all that is allowed here, with a sentence about what is not."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from urllib.parse import urlencode

import pytest

from playground.settings import Settings
from playground.ui.links import Address, Link, Setup, base, restored

START = Setup(prompt="Once", recipes=("greedy", "sample"), tokens="48", seed="7")
SETTINGS = Settings(max_new_tokens=100, max_columns=3, max_stop_strings=2, max_prompt_chars=10)


def refusal(model: str) -> str | None:
    return None if model == "gpt2" else f"{model} is not offered here."


def opened(*pairs: tuple[str, str]) -> Link | None:
    """From behind the #, as the page writes it; from a query, as older links have it, the same."""
    text = urlencode(pairs)
    new = restored(Address(hash=f"#{text}" if text else ""), START, SETTINGS, refusal)
    old = restored(Address(search=f"?{text}" if text else ""), START, SETTINGS, refusal)
    assert new == old == packed(pairs)
    return new


def packed(pairs: object, end: int | None = None) -> Link | None:
    deflate = zlib.compressobj(wbits=-15)
    bare = deflate.compress(json.dumps(pairs).encode()) + deflate.flush()
    code = urlsafe_b64encode(bare).decode().rstrip("=")[:end]
    return restored(Address(hash=f"#z={code}"), START, SETTINGS, refusal)


@pytest.mark.parametrize("pairs", [[], [("theme", "dark")], [("__theme", "dark"), ("chat", "1")]])
def test_an_address_that_asks_for_nothing_leaves_the_page_as_it_opens(pairs):
    assert opened(*pairs) is None


def test_everything_in_a_link_comes_back():
    link = opened(
        ("prompt", "a & b"), ("recipe", "sample(3)"), ("name", "Bold"),
        ("recipe", "top_p(0.9) | sample"), ("name", ""), ("tokens", "9"), ("least", "2"),
        ("seed", "9223372036854775807"), ("stop", "\\n"), ("stop", "End"), ("chat", "1"),
        ("alone", "1"), ("split", "1"), ("model", "gpt2"),
    )  # fmt: skip
    assert link == Link(
        Setup(
            prompt="a & b",
            recipes=("sample(3)", "top_p(0.9) | sample"),
            names=("Bold", ""),
            tokens="9",
            least="2",
            seed="9223372036854775807",
            stop="\\n\nEnd",
            chat=True,
            alone=True,
            split=True,
            model="gpt2",
        )
    )


@pytest.mark.parametrize(
    "pair, field, value, place, says",
    [
        (("seed", "seven"), "seed", "7", "seed", "The link says seed 'seven', which is no whole"),
        (("seed", "-4"), "seed", "0", "seed", "seed '-4', but from 0 to 9,223,372,036,854,775,807"),
        (("seed", "9" * 30), "seed", str(2**63 - 1), "seed", "it is now 9223372036854775807"),
        (("seed", "9" * 9000), "seed", str(2**63 - 1), "seed", "it is now 9223372036854775807"),
        (("tokens", "-1"), "tokens", "0", "max_new_tokens", "new tokens '-1', but from 0 to 100"),
        (("tokens", "1000"), "tokens", "100", "max_new_tokens", "it is now 100"),
        (("tokens", "63.7"), "tokens", "48", "max_new_tokens", "'63.7', which is no whole number"),
        (("tokens", ""), "tokens", "48", "max_new_tokens", "it is now 48"),
        (("least", "101"), "least", "100", "min_new_tokens", "at least '101'"),
        (("prompt", "x" * 50), "prompt", "x" * 10, "prompt", "has 50 characters; at most 10"),
        (("model", "nosuch"), "model", None, "model", "nosuch is not offered here."),
    ],
)
def test_what_a_link_cannot_mean_is_changed_and_said(pair, field, value, place, says):
    link = opened(pair)
    assert link is not None
    assert getattr(link.setup, field) == value
    assert list(link.faults) == [place] and says in link.faults[place]
    assert link.setup.model_copy(update={field: getattr(START, field)}) == START


@pytest.mark.parametrize("told, on", [("1", True), ("typed", True), ("0", False), ("x", False)])
def test_a_link_holds_the_chat_template_chosen_or_not(told, on):
    link = opened(("prompt", "a"), ("chat", told))
    assert link is not None and link.setup.chat is on


def test_a_recipe_that_cannot_be_read_stands_as_it_is():
    link = opened(("recipe", "no such thing("))
    assert link == Link(START.model_copy(update={"recipes": ("no such thing(",)}))


def test_what_is_too_many_is_cut_and_said():
    link = opened(*[("recipe", "greedy")] * 5, *[("stop", "x")] * 5)
    assert link is not None
    assert (len(link.setup.recipes), link.setup.stop) == (3, "x\nx")
    assert "5 columns; at most 3" in link.faults["recipes"]
    assert "5 stop strings; at most 2" in link.faults["stop"]


@pytest.mark.parametrize(
    "link",
    [
        packed([["prompt", "x" * 400]], 12),
        packed({"prompt": "x"}),
        packed([["prompt", 1]]),
        packed([["prompt", "x"]] * 500),
        packed([["prompt", "x" * (2 << 20)]]),
        restored(Address(hash="#z=%%%"), START, SETTINGS, refusal),
        restored(Address(hash="#z="), START, SETTINGS, refusal),
        restored(Address(search="?a" + "&a" * 500), START, SETTINGS, refusal),
    ],
)
def test_a_damaged_link_opens_the_page_as_it_opens_and_says_so(link):
    assert link is not None and link.setup == START
    assert "damaged or was cut short" in link.faults["link"]


def test_half_a_character_becomes_a_mark():
    assert packed([["prompt", "a\ud83d"]]) == opened(("prompt", "a\ufffd"))


def test_a_space_is_linked_by_its_page_at_the_hub():
    assert base(Settings()) == ""
    assert base(Settings(space_id="me/it", hub="https://hub.example")) == (
        "https://hub.example/spaces/me/it"
    )
