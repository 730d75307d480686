"""What ends a text, and what goes wrong in one lane or in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from playground.engine import Engine, FieldError, Limits, Request, encoder
from playground.engine.attention import sdpa
from playground.engine.lanes.ends import find_stop, unsettled
from strategies import Info, Params, Processor
from strategies.registry import registry
from tests.engine.models import CONTEXT, driven, engine, finished, loaded


def lane(served: Engine, **request: Any) -> Any:
    settings = {"prompt": "abc", "recipes": ["greedy"], "max_new_tokens": 20} | request
    return finished(served, Request(**settings)).lanes[0]


def test_length_and_context() -> None:
    served = engine()
    assert lane(served).finish_reason == "length"
    full = lane(served, prompt="x" * (CONTEXT - 5), max_new_tokens=200)
    assert (full.finish_reason, len(full.token_ids)) == ("context", 5)


def test_every_end_of_sequence_id_ends() -> None:
    ids = lane(engine()).token_ids
    for place in (3, 9):
        ended = lane(engine(eos=(ids[place], 999)))
        first = ids.index(ids[place])
        assert (ended.finish_reason, ended.token_ids) == ("eos", ids[: first + 1])


def test_a_stop_string_across_tokens_is_cut_off() -> None:
    served = engine(eos=(0,))
    recipes = ['constrained("[ -~]{60}") | top_k(5) | sample']  # a character of one byte each
    whole = lane(served, max_new_tokens=40, recipes=recipes, seed=1).text
    for start in (4, 11):
        string = whole[start : start + 3]
        stopped = lane(
            served,
            max_new_tokens=40,
            recipes=recipes,
            seed=1,
            stop=["never!", string],
        )
        assert stopped.finish_reason == "stop"
        assert stopped.text == whole[: whole.index(string)]
        joined = "".join(step.text for step in stopped.trace.path())
        assert joined == stopped.text
        assert stopped.token_ids[-1] == stopped.trace.path()[-1].token


def test_minimum_holds_back_ends_and_stops() -> None:
    ids = lane(engine()).token_ids
    served = engine(eos=(ids[2],))
    ended = lane(served, min_new_tokens=10)
    assert len(ended.token_ids) >= 10 and ids[2] not in ended.token_ids[:10]
    readable = {"recipes": ['constrained("[ -~]{60}") | greedy'], "max_new_tokens": 30}
    served = engine(eos=(0,))
    text = lane(served, **readable).text
    assert len(lane(served, **readable, stop=[text[3]]).token_ids) <= 4
    stopped = lane(served, **readable, min_new_tokens=15, stop=[text[3]])
    assert len(stopped.token_ids) >= 15


def test_split_characters_come_out_whole() -> None:
    """One byte a token: the text of a record appears once its character is complete."""
    served = engine()
    detokenizer = served.builder.detokenizer
    tokens = served.model.tokenizer.encode("né 🎲!")
    text, pieces = detokenizer.begin([]), []
    for count in range(1, len(tokens) + 1):
        longer = detokenizer.extend(text, tokens[:count])
        pieces.append(longer.value[len(text.value) :])
        text = longer
    assert text.value == "né 🎲!"
    assert [piece for piece in pieces if piece] == ["n", "é", " ", "🎲", "!"]
    cut = tokens[:-2]
    half = detokenizer.begin([])
    for count in range(1, len(cut) + 1):
        half = detokenizer.extend(half, cut[:count])
    assert half.value == "né " and detokenizer.finish(half, cut).value == "né \ufffd"
    assert detokenizer.piece(tokens[1]) == "⟨C3⟩"


def test_cancel_keeps_what_was_written() -> None:
    served = engine()
    run = served.submit(Request(prompt="a", recipes=["greedy"], max_new_tokens=50))
    queued = served.submit(Request(prompt="b", recipes=["greedy"]))
    queued.cancel()
    for _ in range(6):
        served.step()
    run.cancel()
    served.step()
    assert run.done and served.rows_in_use == 0
    written = run.comparison().lanes[0]
    assert written.finish_reason == "cancelled" and len(written.token_ids) >= 5
    assert queued.comparison().lanes[0].finish_reason == "cancelled"


def test_deadline() -> None:
    ended = lane(engine(), deadline=1e-6)
    assert ended.finish_reason == "deadline" and len(ended.token_ids) <= 1


@pytest.fixture
def faulty(plugin: Callable[[type[Processor]], None]) -> Callable[[Callable[..., Any]], None]:
    """Registers a processor ``faulty`` that does what the test says."""

    def register(work: Callable[..., Any]) -> None:
        class Faulty(Processor):
            info = Info("faulty", "Faulty", "Fails.", "x", "this test")
            Params = Params

            def __call__(self, scores: Any, rows: Any) -> Any:
                return work(scores)

        plugin(Faulty)

    return register


def _raise(scores: Any) -> Any:
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (_raise, "lost"),
        (lambda s: torch.full_like(s, float("nan")), "faulty (step 1): the scores grew beyond"),
        (lambda s: torch.full_like(s, -torch.inf), "faulty: it removed every token."),
        (lambda s: s[:, :5], "shape"),
    ],
    ids=["raises", "nan", "nothing left", "shape"],
)
def test_a_faulty_strategy_ends_its_lane_alone(faulty: Any, work: Any, message: str) -> None:
    faulty(work)
    served = engine()
    run = served.submit(
        Request(prompt="abc", recipes=["faulty | greedy", "greedy"], max_new_tokens=8)
    )
    served.drive(run)
    bad, good = run.comparison().lanes
    assert bad.finish_reason == "error" and bad.error
    assert message in bad.error
    assert good.finish_reason == "length" and len(good.token_ids) == 8


def test_scores_that_grow_too_large_end_their_lane_with_the_step_that_made_them() -> None:
    recipe = f"{'temperature(0.00001) | ' * 9}top_p(0.9) | sample"
    (lane,) = finished(engine(), Request(prompt="abc", recipes=[recipe], max_new_tokens=4)).lanes
    assert lane.error == (
        "temperature (step 8): the scores grew beyond the largest number; "
        "make its settings less extreme, or those before it."
    )


def test_what_fails_after_a_dead_end_ends_its_lane_alone(faulty: Any) -> None:
    """The processor that fails has no scores of its own, and the one before it left no token."""
    faulty(_raise)
    recipes = ['constrained("n") | bad_words(["n"]) | faulty | greedy', "greedy"]
    request = Request(prompt="abc", recipes=recipes, max_new_tokens=4)
    bad, good = finished(engine(eos=(0,)), request).lanes
    assert bad.error == (
        "bad_words: every token that is left here would complete one of its words; "
        "constrained had left 1."
    )
    assert good.error is None


def test_a_dead_end_that_cannot_be_explained_ends_its_lane_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: Processor, row: Any) -> str:
        raise KeyError("lost")

    monkeypatch.setattr(registry().get("bad_words"), "dead_end", fail)
    recipes = ['constrained("n") | bad_words(["n"]) | greedy', "greedy"]
    request = Request(prompt="abc", recipes=recipes, max_new_tokens=4)
    bad, good = finished(engine(eos=(0,)), request).lanes
    assert (bad.error, good.error) == ("KeyError: 'lost'", None)


def test_a_failing_model_ends_its_runs_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = engine()
    served.start()
    try:
        wanted = served.submit(Request(prompt="abc", recipes=["greedy"]))
        assert wanted.join(30)

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no memory left")

        with monkeypatch.context() as patch:
            patch.setattr(served.forward, "decode", fail)
            broken = served.submit(Request(prompt="abc", recipes=["greedy"]))
            assert broken.join(30)
        assert broken.error and "no memory left" in broken.error
        again = served.submit(Request(prompt="abc", recipes=["greedy"]))
        assert again.join(30)
        assert again.comparison().lanes[0].token_ids == wanted.comparison().lanes[0].token_ids
    finally:
        served.close()
    assert not served.alive


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"prompt": "x" * CONTEXT}, "prompt"),
        ({"recipes": []}, "recipes"),
        ({"recipes": ["greedy"] * 7}, "recipes"),
        ({"recipes": ["greedy", 'guidance(1.5, negative_prompt="no") | beam(16)']}, "recipes.1"),
        ({"max_new_tokens": -1}, "max_new_tokens"),
        ({"max_new_tokens": 257}, "max_new_tokens"),
        ({"min_new_tokens": 21}, "min_new_tokens"),
        ({"seed": -1}, "seed"),
        ({"stop": ["a" * 10_000]}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 9}, "stop"),
        ({"top_n": 0}, "top_n"),
        ({"deadline": 0.0}, "deadline"),
        ({"chat": True}, "chat"),
    ],
)
def test_what_cannot_be_run_names_its_field(change: dict[str, Any], field: str) -> None:
    settings: dict[str, Any] = {"prompt": "abc", "recipes": ["greedy"], "max_new_tokens": 20}
    with pytest.raises(FieldError) as raised:
        engine(limits=Limits(new_tokens=256)).submit(Request(**(settings | change)))
    assert raised.value.field == field and str(raised.value).endswith(".")


def test_a_model_whose_scores_differ_over_slots_has_its_rows_read_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = sdpa.attend
    monkeypatch.setattr(
        sdpa,
        "attend",
        lambda q, k, v, *rest: right(q, k, v.roll(1, dims=2), *rest),
    )
    wrong = Engine(loaded())
    assert wrong.forward.plain and "differ from its own" in wrong.forward.plain.reason
    asked = Request(prompt="Once", recipes=["greedy", "beam(3)"], max_new_tokens=8)
    found = [lane.token_ids for lane in finished(wrong, asked).lanes]
    monkeypatch.undo()
    assert found == [lane.token_ids for lane in finished(Engine(loaded()), asked).lanes]


def test_a_dead_end_is_named_and_ends_its_lane_alone() -> None:
    """Another text that matches is long enough, but not the one that the recipe prefers."""
    served = engine(eos=(0,))
    short = 'min_new_tokens(9) | constrained("none|x{12}") | logit_bias({"n": 100}) | greedy'
    recipes = [short, 'constrained("none") | greedy', short.replace("greedy", "beam(1)")]
    request = Request(prompt="p", recipes=recipes, max_new_tokens=12)
    dead, whole, beams = finished(served, request).lanes
    assert (dead.text, dead.finish_reason) == ("none", "error")
    assert dead.error == (
        "constrained: the text matches and cannot go on, but it may not end before it has 9 tokens "
        "(min_new_tokens)."
    )
    assert beams.error == dead.error
    plain = Request(prompt="p", recipes=['constrained("none") | greedy'], min_new_tokens=9)
    with pytest.raises(
        FieldError, match=r"^Step 1 \(constrained\): no text that matches has the 9"
    ):
        served.submit(plain)
    assert (whole.text, whole.finish_reason, whole.error) == ("none", "eos", None)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            'constrained("none") | bad_words(["n"]) | {}',
            "bad_words: every token that is left here would complete one of its words; "
            "constrained had left 1.",
        ),
        (
            'constrained("n") | no_repeat_ngram(1) | {}',
            "no_repeat_ngram: every token that is left here would complete an n-gram that is there "
            "already; constrained had left 1.",
        ),
        (
            'logit_bias({{"0": 100}}) | top_k(1) | min_new_tokens(2) | {}',
            "min_new_tokens: the text may not end before it has 2 tokens, and nothing but its end "
            "is left here; top_k had left 1.",
        ),
    ],
)
@pytest.mark.parametrize(
    "search", ["greedy", "sample(3)", "beam(2)", "stochastic_beam", "contrastive", "manual"]
)
def test_a_ban_of_the_only_way_on_ends_its_lane(recipe: str, says: str, search: str) -> None:
    served = engine(eos=(0,))
    recipes = [recipe.format(search), "greedy"]
    dead, whole = finished(served, Request(prompt="none", recipes=recipes, max_new_tokens=4)).lanes
    assert (dead.finish_reason, dead.error) == ("error", says)
    assert whole.error is None


def test_a_prompt_that_is_too_long_is_refused_before_its_tokens_are_read_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = engine()
    monkeypatch.setattr(encoder, "token_texts", lambda *what: pytest.fail("read back"))
    with pytest.raises(FieldError, match="with room for one more the context holds"):
        served.submit(Request(prompt="x" * (CONTEXT + 1), recipes=["greedy"], max_new_tokens=1))


def test_a_run_that_ended_lets_go_of_what_its_processors_kept() -> None:
    """Two hundred of them are kept; what is measured of a text is still known."""
    recipes = ['constrained("none") | greedy', "watermark | sample"]
    run = driven(engine(eos=(0,)), Request(prompt="p", recipes=recipes, max_new_tokens=8))
    assert [state for held in run.lanes[0].view.rows for state in held.states] == [None]
    assert run.comparison().lanes[1].metrics.found


@pytest.mark.parametrize(
    ("text", "added", "stop", "place"),
    [
        ("one two", 3, ["two"], 4),
        ("one two", 1, ["two"], 4),
        ("one two", 1, ["one"], None),  # was there before and has been passed over
        ("one two", 1, ["e two", "two"], 2),
        ("one two", 1, ["two", "e two"], 2),
        ("one two", 7, ["o", "n"], 0),
        ("one two", 0, ["two"], None),
        ("one two", 7, ["three"], None),
        ("one two", 7, [], None),
        ("aaa", 1, ["aa"], 1),
    ],
)
def test_where_a_stop_string_begins(text: str, added: int, stop: list[str], place: Any) -> None:
    assert find_stop(text, added, stop) == place


@pytest.mark.parametrize(
    ("text", "stop", "count"),
    [
        ("one", ["two"], 0),
        ("one t", ["two"], 1),
        ("one tw", ["two"], 2),
        ("one two", ["two"], 0),  # whole, and no beginning of another
        ("aa", ["aaa"], 2),
        ("ab", ["bc", "abx"], 2),
        ("", ["a"], 0),
        ("t", ["two"], 1),
        ("one", [], 0),
    ],
)
def test_how_much_of_a_text_may_begin_a_stop_string(text: str, stop: list[str], count: int) -> None:
    assert unsettled(text, stop) == count
