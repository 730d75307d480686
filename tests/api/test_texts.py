"""In every output the texts of the tokens make up the text: streamed or not, echoed or not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.api import responses
from playground.api.events import RunEvents
from playground.engine import Engine, FieldError, Request, Run
from playground.trace import Comparison, column_name
from playground.ui import strip
from strategies import Info, Move, Params, Search, Step, setting
from tests.api.asking import events
from tests.engine.models import loaded
from tests.plugins import installed
from tests.tiny import tiny_llama
from tests.vocabularies import byte_level, bytes_named

# Tokens that begin and end inside characters and words, so that stop strings cross them all.
PIECES = [
    b"\xe8\x88",
    b"\x88\xe8",
    b"\x88\xe8\x88",
    b"ab",
    b"ba",
    b"a\xe8",
    b"\x88b",
    b"aba",
    b" a",
]
LETTERS = [b"a", b"b", b" ", "興".encode(), b"\xe8", b"\x88", *PIECES]


class Dictated(Search):
    """A search that chooses given tokens, one a step."""

    info: ClassVar[Info] = Info("dictated", "Dictated", "Writes tokens.", "x", "this test")

    class Params(Params):
        tokens: tuple[int, ...] = setting((), "What is written.", max_length=64)

    def advance(self, step: Step) -> list[Move]:
        return [step.move(0, self.params.tokens[step.index])]


@cache
def served() -> Engine:
    tokenizer = byte_level(words=(), pieces=PIECES)
    model = loaded(reads=tokenizer)
    vocab = len(tokenizer)
    facts = model.facts.model_copy(update={"vocab_size": vocab})
    made = replace(model, model=tiny_llama(vocab=vocab), facts=facts)
    return Engine(made, rows=16, pack_weights=False)


@pytest.fixture(autouse=True)
def dictated():
    with installed(Dictated):
        yield


def streamed(run: Run) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Each lane's tokens and end as a stream sent them, read after every step."""
    feed = RunEvents(run, dict)
    told: list[list[str]] = [[] for _ in run.lanes]
    ends: list[dict[str, Any]] = []
    while not feed.over:
        if not run.done:
            served().step()
        for name, data in events(feed.next().decode()):
            if name == "token":
                assert data["index"] == len(told[data["lane"]])
                told[data["lane"]].append(data["text"])
            elif name == "rewind":
                assert data["length"] < len(told[data["lane"]])
                del told[data["lane"]][data["length"] :]
            else:
                ends.append(data)
        yielded = ["".join(texts) for texts in told]
        for lane, text in zip(run.views, yielded, strict=True):
            whole = lane.text
            assert whole.startswith(text), "what was told is in the text for good"
            if run.request.min_new_tokens == 0:  # else one that came too early stays
                assert not any(stop in text for stop in run.request.stop)
            assert "".join(step.text for step in lane.path()) == text
    return told, ends


def agrees(run: Run) -> None:
    """Check every output of a run against its tokens."""
    comparison = run.comparison()
    told = responses.Compared.of(comparison)
    for lane, sent in zip(comparison.lanes, told.lanes, strict=True):
        assert "".join(token.text for token in sent.tokens) == sent.text == lane.text
        assert [token.id for token in sent.tokens] == lane.token_ids
        for number, output in enumerate(lane.trace.outputs):
            assert "".join(step.text for step in lane.trace.path(number)) == output.text
            assert [step.token for step in lane.trace.path(number)] == output.token_ids
    loaded_back = Comparison.from_json(comparison.to_json())
    rows = loaded_back.frame()
    for number, lane in enumerate(loaded_back.lanes):
        assert "".join(rows[rows.column == column_name(number)].text) == lane.text
        drawn = strip.shown(comparison, number)["tokens"]
        assert "".join(shown[0] for shown in map(json.loads, drawn.split("\n"))) == lane.text
    if len(comparison.lanes) == 1:
        for echo in (False, True):
            answer = responses.Generated.of(run, logprobs=False, echo=echo)
            assert "".join(piece.text for piece in answer.tokens) == answer.text
            assert answer.text == (run.request.prompt if echo else "") + comparison.lanes[0].text


def ids(parts: list[bytes]) -> list[int]:
    """The tokens of these bytes, a character that has none by those of its bytes."""
    vocab = served().model.tokenizer.get_vocab()
    names = [bytes_named(part) for part in parts]
    found = [[name] if name in vocab else [*name] for name in names]
    return [vocab[name] for several in found for name in several]


written = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=20)
stops = st.lists(st.text("ab 興\ufffd", min_size=1, max_size=4), max_size=3)


@settings(max_examples=150, deadline=None)
@given(parts=written, stop=stops, least=st.integers(0, 5))
def test_any_tokens_and_any_stop_strings(parts, stop, least):
    tokens = ids(parts)
    request = Request(
        prompt="ab 興",
        recipes=[f"dictated({tokens})"],
        max_new_tokens=len(tokens),
        min_new_tokens=min(least, len(tokens)),
        stop=stop,
    )
    if "\ufffd" in "".join(stop):
        with pytest.raises(FieldError, match=r"^A stop string has � .* looked for") as caught:
            served().submit(request)
        assert caught.value.field == "stop"
        return
    run = served().submit(request)
    (texts,), (end,) = streamed(run)
    assert "".join(texts) == end["text"] == run.comparison().lanes[0].text
    whole = b"".join(parts).decode("utf-8", "replace")
    if end["finish_reason"] == "stop":
        cut = whole[len(end["text"]) :]
        assert whole.startswith(end["text"]) and any(cut.startswith(string) for string in stop)
    elif end["finish_reason"] == "length":
        assert end["text"] == whole
    agrees(run)


@settings(max_examples=25, deadline=None)
@given(
    recipe=st.sampled_from(["beam(3)", "sample(3)", "stochastic_beam(3)", "beam_sample(2)"]),
    stop=st.lists(st.text("abc 123.,", min_size=1, max_size=2), min_size=1, max_size=8),
    seed=st.integers(0, 9),
)
def test_rows_that_share_their_beginning(recipe, stop, seed):
    """A stop string is cut off one row's text, and stays in that of a row that diverged."""
    likely = {letter: 40.0 for letter in "abc 123.,"}
    recipe = f"logit_bias({likely}) | {recipe}"
    run = served().submit(
        Request(prompt="ab", recipes=[recipe, "greedy"], max_new_tokens=12, stop=stop, seed=seed)
    )
    told, ends = streamed(run)
    for end in ends:
        assert "".join(told[end["lane"]]) == end["text"]
    agrees(run)


def test_a_stopped_text_does_not_take_from_anothers():
    """Two rows share a token in which the stop string of the first begins."""

    class Two(Dictated):
        info = Info("dictated", "Two", "Writes two texts.", "x", "this test")

        def width(self) -> int:
            return 2

        def advance(self, step: Step) -> list[Move]:
            if step.index == 0:
                return [step.move(0, ids([b"ab"])[0])]
            return [step.move(0, ids([b"a"])[0], sample=0), step.move(0, ids([b" "])[0], sample=1)]

    request = Request(prompt="ab", recipes=["dictated"], max_new_tokens=2, stop=["ba"])
    with installed(Two):
        run = served().submit(request)
        served().drive(run)
    agrees(run)
    outputs = run.comparison().lanes[0].trace.outputs
    assert [(output.text, output.finish_reason) for output in outputs] == [
        ("a", "stop"),
        ("ab ", "length"),
    ]


def test_a_prompt_is_echoed_token_by_token():
    prompt = "a興ab <|im_end|>é"
    run = served().submit(Request(prompt=prompt, recipes=["greedy"], max_new_tokens=2))
    served().drive(run)
    agrees(run)
    texts = [token.text for token in run.prompt_tokens]
    assert "".join(texts) == prompt
    assert texts == ["a", "", "", "興", "a", "b", " ", "<|im_end|>", "", "é"]
    names = [token.name for token in run.prompt_tokens]
    assert names == [None, "⟨E8⟩", "⟨88⟩", "⟨88⟩", *[None] * 4, "⟨C3⟩", "⟨A9⟩"]
    assert [token.text for token in run.prompt_tokens if token.control] == ["<|im_end|>"]


def test_what_is_cancelled_has_told_all_it_wrote():
    run = served().submit(
        Request(prompt="a", recipes=[f"dictated({ids([b'a', b'b', b'a'])})"], max_new_tokens=9,
                stop=["abax"])
    )  # fmt: skip
    feed = RunEvents(run, dict)
    served().step()
    served().step()
    assert not [name for name, _ in events(feed.next().decode()) if name == "token"]
    run.cancel()
    served().step()
    told = [data["text"] for name, data in events(feed.next().decode()) if name == "token"]
    assert told and "".join(told) == run.comparison().lanes[0].text
