"""Texts with a required beginning, in whatever tokens, and texts that end with their sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import Context, Processor, Recipe, Row
from strategies.dead_ends import dead_end
from tests.strategies.driver import context
from tests.strategies.grammars.tokens import ALPHABET, TOKENIZER, VOCAB, as_bytes, text, write
from tests.tiny import EOS


def about() -> Context:
    return replace(
        context(VOCAB, (EOS,)),
        encode=lambda text: TOKENIZER.encode(text).ids,
        decode=lambda ids: TOKENIZER.decode(list(ids), skip_special_tokens=False),
    )


def built(recipe: str) -> Processor:
    return Recipe.parse(f"{recipe} | greedy").build(about())[0][-1]


def ids(written: str) -> list[int]:
    """A text's bytes as tokens."""
    return [ALPHABET.index(letter) + 3 for letter in as_bytes(written)] if written else []


@pytest.mark.parametrize("search", ["sample", "greedy", "beam(3)", "sample(3)"])
@pytest.mark.parametrize("wanted", ["true", " é", "日本\n", '"a.*b', "tr"])
def test_a_text_begins_as_it_is_told(wanted: str, search: str) -> None:
    recipe = Recipe.from_steps(
        [
            {"strategy": "prefix_forced", "params": {"text": wanted}},
            *Recipe.parse(search).to_steps(),
        ]
    )
    for seed in range(3):
        row = write(str(recipe), seed, tokens=30)
        assert text(row).startswith(wanted)


def test_every_way_to_write_a_beginning_is_left_and_what_follows_is_free() -> None:
    forced = built('prefix_forced("tru")')
    assert forced.stateful

    def left(state: Any) -> set[str]:
        out = forced(torch.zeros(1, VOCAB), [Row((1,), 1, state=state)])[0]
        return {TOKENIZER.id_to_token(i) for i in (out > -torch.inf).nonzero().flatten().tolist()}

    start = forced.initial_state()
    assert left(start) == {"t", "tr", "tru", "true"}, "a token may go on past the beginning"
    after = forced.observe(start, TOKENIZER.token_to_id("tr"), -1.0)
    assert left(after) == {"u"} and left(start) == {"t", "tr", "tru", "true"}
    done = forced.observe(after, TOKENIZER.token_to_id("u"), -1.0)
    assert done is None and {"<end>", "a"} <= left(done)
    assert forced.observe(start, TOKENIZER.token_to_id("true"), -1.0) is None
    scores = torch.randn(2, VOCAB)
    out = forced(scores, [Row((1,), 1, state=None), Row((1,), 1, state=after)])
    assert torch.equal(out[0], scores[0]) and (out[1] > -torch.inf).sum() == 1


def test_a_beginning_that_is_banned_is_a_dead_end() -> None:
    processors, _ = Recipe.parse('prefix_forced("x") | bad_words(["120"]) | greedy').build(
        context(VOCAB, (EOS,))
    )
    bans: Any = processors[1]
    bans.sequences = [tuple(ids("x"))]
    row = Row((1,), 1, state=processors[0].initial_state())
    scores = processors[0](torch.zeros(1, VOCAB), [row])
    assert (bans(scores, [row]) == -torch.inf).all()
    end = dead_end(processors, [row, row], [VOCAB, 1, 0])
    assert end is not None and end.why.endswith("; prefix_forced had left 1.")
    assert processors[0].dead_end(row).startswith("no token that goes on with what the text begins")


SPACES = [" ", "\n"]


@pytest.mark.parametrize(
    ("written", "sentences", "ends"),
    [
        ("It is so.", 1, True),
        ("It is so", 1, False),
        ("It is so. ", 1, False),  # the next has begun
        ("It is so.", 2, False),
        ("One. Two!", 2, True),
        ("One. Two! Three", 1, False),
        ("One. Two! Three?", 2, True),
        ("Well... no.", 2, True),
        ("Well...", 1, True),
        ("3.14", 1, False),
        ('He said "no."', 1, True),
        ("(So.) And so!", 2, True),
        ("Really?!", 1, True),
        ("", 1, False),
        (".", 1, True),
    ],
)
def test_a_text_ends_where_the_next_sentence_would_begin(
    written: str, sentences: int, ends: bool
) -> None:
    stops = built(f"stop_at_sentence({sentences})")
    scores = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(0))
    out = stops(scores, [Row((1, *ids(written)), 1)])
    assert ends != torch.equal(out, scores)
    if ends:
        before, after = scores.softmax(-1)[0], out.softmax(-1)[0]
        moved = [i for space in SPACES for i in ids(space)]
        gone = {int(i) for i in (out[0] == -torch.inf).nonzero()}
        assert set(moved) <= gone and ids("a")[0] not in gone and EOS not in gone
        assert after[EOS] == pytest.approx(float(before[EOS] + before[[*gone]].sum()), rel=1e-5)
        kept = [i for i in range(VOCAB) if i not in gone | {EOS}]
        torch.testing.assert_close(after[kept], before[kept], rtol=1e-5, atol=1e-7)


def test_a_wide_mark_needs_no_space_behind_it() -> None:
    stops = built("stop_at_sentence(2)")
    scores = torch.zeros(1, VOCAB)
    assert torch.equal(stops(scores, [Row((1, *ids("日本。")), 1)]), scores)
    out = stops(scores, [Row((1, *ids("日本。日")), 1)])
    assert torch.equal(out, scores)
    out = stops(scores, [Row((1, *ids("日本。日。")), 1)])[0]
    left = {TOKENIZER.id_to_token(i) for i in (out > -torch.inf).nonzero().flatten().tolist()}
    assert "a" not in left and "\u0120" not in left and {'"', ")", "<end>"} <= left


def test_where_a_text_may_not_end_nothing_is_moved() -> None:
    stops = built("stop_at_sentence(1)")
    scores = torch.zeros(1, VOCAB)
    scores[0, EOS] = -torch.inf
    assert torch.equal(stops(scores, [Row((1, *ids("So.")), 1)]), scores)


@given(st.text("ab.! ?\n)", max_size=12), st.integers(1, 3))
def test_sentences_are_counted_as_a_plain_reader_counts_them(written: str, wanted: int) -> None:
    """A sentence is over at a space behind its mark and what closes it."""
    count, marked = 0, False
    for letter in written:
        if letter in ".!?":
            marked = True
        elif letter in " \n":
            count, marked = count + marked, False
        elif letter != ")":
            marked = False
    stops: Any = built(f"stop_at_sentence({wanted})")
    assert bool(stops._mark(Row((1, *ids(written)), 1))) == (marked and count + 1 >= wanted)
