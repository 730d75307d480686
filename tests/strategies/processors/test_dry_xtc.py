"""DRY and XTC beside llama.cpp's tests, their author's examples, and definitions written slowly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import Context, Row
from strategies.ops.breakers import Breakers
from strategies.ops.noise import uniform
from strategies.processors.dry import Dry
from tests.strategies.cases import INF
from tests.strategies.driver import context, run, transitions
from tests.strategies.processors.test_processors import processor


def repeated(settings: str, text: tuple[int, ...], vocab: int, eos: tuple[int, ...] = ()) -> list:
    """What DRY makes of a flat distribution after a text."""
    out = processor(f"dry({settings})", vocab, eos)(torch.zeros(1, vocab), [Row(text, 1)])
    return out[0].tolist()


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [  # llama.cpp, tests/test-sampling.cpp
        ("1.0, base=1.1, breakers=[]", (0, 1), [0.25] * 4),
        ("1.0, base=1.1, breakers=[]", (0, 1, 2, 0, 1), [0.296923, 0.296923, 0.109232, 0.296923]),
        ('1.0, base=1.1, breakers=[" 3"]', (0, 1, 3, 4, 0, 1), [0.2] * 5),
        (
            "2.0, base=1.1, breakers=[]",
            (0, 1, 2, 0, 1),
            [0.241818, 0.241818, 0.032727, 0.241818, 0.241818],
        ),
        ("1.0, base=1.1, allowed_length=4, breakers=[]", (0, 1, 2, 3, 4, 0, 1), [0.2] * 5),
    ],
)
def test_dry_is_llama_cpps(settings: str, text: tuple[int, ...], expected: list[float]) -> None:
    out = torch.tensor(repeated(settings, text, len(expected))).softmax(-1)
    assert out.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "text", "penalty"),
    # What is taken off token 9; the defaults are 1.75 from length 2.
    [
        ("0.8, breakers=[]", (1, 9, 5, 1), 0),
        ("0.8, breakers=[]", (1, 2, 9, 5, 1, 2), 0.8),
        ("0.8, breakers=[]", (1, 2, 3, 9, 5, 1, 2, 3), 0.8 * 1.75),
        ("0.8, breakers=[]", (1, 2, 3, 9, 2, 3, 9, 5, 1, 2, 3), 0.8 * 1.75),  # the longest counts
        ("0.8, allowed_length=1, breakers=[]", (1, 9, 5, 1), 0.8),
        ("0.8, breakers=[], window=4", (1, 2, 9, 5, 1, 2), 0),
        ("0.8, breakers=[], window=6", (7, 1, 2, 9, 5, 1, 2), 0.8),
        ('0.8, breakers=[" 2"]', (1, 2, 3, 4, 9, 5, 1, 2, 3, 4), 0.8),  # 3 4 alone
        ('0.8, breakers=[" 4"]', (1, 2, 3, 4, 9, 5, 1, 2, 3, 4), 0),
        ('0.8, breakers=[" 9"]', (1, 2, 3, 4, 9, 5, 1, 2, 3, 4), 0),
        ("0.8, breakers=[]", (9,) * 99, 0.8 * 1.75**48),
        ("0.8, breakers=[]", (9,), 0),
    ],
)
def test_dry_grows_with_the_match(settings: str, text: tuple[int, ...], penalty: float) -> None:
    out = repeated(settings, text, 12)
    assert out[9] == pytest.approx(-penalty)
    assert set(out[:1] + out[10:]) == {0.0}


def slowly(text: tuple[int, ...], breakers: set[int], allowed: int, token: int) -> float:
    """The penalty (multiplier 1, base 2) by trying every earlier place and every length."""
    longest = 0
    for at in range(1, len(text)):
        for length in range(1, at + 1):
            end = text[-length:]
            if text[at] == token and text[at - length : at] == end and not breakers & {*end, token}:
                longest = max(longest, min(length, 50))
    return 2.0 ** (longest - allowed) if longest >= allowed else 0.0


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.sets(st.integers(0, 4), max_size=2),
    st.integers(1, 4),
)
def test_dry_equals_the_slow_search(text: list[int], breakers: set[int], allowed: int) -> None:
    listed = ", ".join(f'" {token}"' for token in sorted(breakers))
    out = repeated(f"1.0, base=2.0, allowed_length={allowed}, breakers=[{listed}]", tuple(text), 6)
    assert out == [-slowly(tuple(text), breakers, allowed, token) for token in range(6)]


PIECES = ["a", "one", " two", ".\n", "x:y", "\n", ":", "ja", "ck", " black", '"', "ck:"]


def worded(calls: list[int]) -> Context:
    """A context whose tokens are ``PIECES``; ``calls`` grows by one with each text decoded."""

    def decode(tokens: Sequence[int]) -> str:
        calls.append(len(tokens))
        return "".join(PIECES[token] for token in tokens if token < len(PIECES))

    return replace(context(12), encode=lambda text: [0], decode=decode)


@pytest.mark.parametrize(
    ("breakers", "broken"),
    [
        (("\n",), {3, 5}),
        ((":",), {4, 6, 11}),
        (("\n", ":", '"', "*"), {3, 4, 5, 6, 10, 11}),
        (("black",), {9}),
        (("*",), set()),
        ((), set()),
    ],
)
def test_a_token_that_contains_a_breaker_breaks(
    breakers: tuple[str, ...], broken: set[int]
) -> None:
    """As in llama.cpp and vLLM, not the breaker's own token alone."""
    found = Breakers(breakers, worded([]))(range(12))
    assert {token for token in range(12) if found[token]} == broken


@pytest.mark.parametrize(
    ("breaker", "text", "where"),
    [
        ("jack", (1, 7, 8, 2), [2]),
        ("jack black", (7, 8, 9, 7, 8), [2]),
        ("\n\n", (3, 5, 5, 1, 5), [1, 2]),
        ("y\n", (4, 5, 1), [1]),
        ("ck:", (11, 8, 6), [0, 2]),
        ("black", (9, 8), [0]),
    ],
)
def test_a_breaker_over_several_tokens_ends_in_the_last(
    breaker: str, text: tuple[int, ...], where: list[int]
) -> None:
    found = Breakers((breaker,), worded([]))(text)
    assert [at for at, broken in enumerate(found) if broken] == where


def test_breakers_stop_matches_and_are_never_penalised() -> None:
    """After 'one two .\n one two', nothing crosses the line's end, and it is not taken off."""
    text = (1, 2, 9, 3, 1, 2, 9)
    for breakers, penalty in (((), 0.8 * 1.75), (("\n",), 0.0), ((" two",), 0.0), (("one",), 0.8)):
        made = Dry(Dry.Params(multiplier=0.8, breakers=breakers), worded([]))
        out = made(torch.zeros(1, 12), [Row(text, 1)])[0]
        assert float(out[3]) == pytest.approx(-penalty)


def test_each_token_is_decoded_once() -> None:
    calls: list[int] = []
    made = Dry(Dry.Params(multiplier=0.8), worded(calls))
    for end in range(2, 40):
        made(torch.zeros(1, 12), [Row(tuple(i % 7 for i in range(end)), 1)])
    assert len(calls) == 1 + 7


def excluded(
    settings: str, probabilities: list[float], eos: tuple[int, ...] = (), **row: int
) -> list[float]:
    scores = torch.tensor([probabilities]).log()
    made = processor(f"xtc({settings})", len(probabilities), eos)
    return made(scores, [Row((0,), 1, **row)]).exp()[0].tolist()


@pytest.mark.parametrize(
    ("threshold", "given_p", "expected"),
    [  # llama.cpp, tests/test-sampling.cpp; then the examples of the pull request's discussion
        (0.09, [0.4, 0.3, 0.2, 0.1], [0, 0, 0, 0.1]),
        (0.19, [0.4, 0.3, 0.2, 0.1], [0, 0, 0.2, 0.1]),
        (0.29, [0.4, 0.3, 0.2, 0.1], [0, 0.3, 0.2, 0.1]),
        (0.39, [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]),
        (0.1, [0.79, 0.12, 0.09], [0, 0.12, 0.09]),  # shivers down her spine, back
        (0.1, [0.31, 0.21, 0.11, 0.37], [0, 0, 0.11, 0]),
        (0.1, [0.3, 0.2, 0.2, 0.3], [0, 0.2, 0.2, 0]),  # the least likely, tied
        (0, [0.5, 0.3, 0.2, 0], [0, 0, 0.2, 0]),
        (0.6, [0.8, 0.2], [0.8, 0.2]),
        (0.9, [0.8, 0.2], [0.8, 0.2]),
    ],
)
def test_xtc_keeps_the_least_of_the_good(
    threshold: float, given_p: list[float], expected: list[float]
) -> None:
    out = excluded(f"{threshold}, probability=1.0", given_p)
    assert out == pytest.approx(expected, abs=1e-6)


def test_xtc_spares_the_end() -> None:
    given_p = [0.4, 0.3, 0.2, 0.1]
    assert excluded("0.15, probability=1.0", given_p, eos=(2,))[:2] == [0, 0]
    for eos in (0, 1):
        out = excluded("0.15, probability=1.0", given_p, eos=(eos, 99))
        assert out == pytest.approx(given_p)


def test_xtc_tosses_its_own_coin_at_every_token() -> None:
    made = processor("xtc(probability=0.3)", 3)
    acted = {}
    for seed, sample, length in product(range(10), range(5), range(20)):
        row = Row((0,) * (length + 1), 1, seed=seed, sample=sample)
        out = made(torch.zeros(1, 3), [row])
        assert torch.equal(out, torch.zeros(1, 3)), "three tied tokens are all the least likely"
        out = made(torch.tensor([[0.0, 0.1, 0.2]]), [row])
        acted[seed, sample, length] = bool((out == -INF).any())
        assert acted[seed, sample, length] == (uniform(seed, sample, length, "xtc") < 0.3)
    assert 0.25 < sum(acted.values()) / len(acted) < 0.35
    table = torch.tensor([[0.6, 0.4]]).expand(2, 2)
    often = run(transitions(table), "xtc(probability=1.0) | sample", (0,), max_new_tokens=30)[0]
    assert set(often.generated) == {1}
