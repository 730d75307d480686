"""A continued text: no token is read twice, and it is as if it had never been interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from playground.bench.tiny import tiny_config, tiny_model
from playground.engine import Engine, FieldError, Request
from playground.engine.forking import edited, fork
from playground.engine.scheduler.prompt_cache import CachedText, PromptCache
from playground.trace import Comparison
from tests.engine.models import PROCESS, driven, engine, finished, loaded
from tests.folders import VOCAB, tokenizer

PROMPT = "a prompt, abab"
DRAWN = [  # each writes on from what was written before it, in its own way
    "temperature(0.9) | sample",
    "presence_penalty(0.8) | frequency_penalty(0.6) | top_k(40) | sample",
    "repetition_penalty(1.4, prompt=False) | no_repeat_ngram(2) | greedy",
    "dry(0.8, allowed_length=1, breakers=[]) | xtc(0.05, probability=0.5) | sample",
    "mirostat_v2(3, eta=0.4) | sample",
    "adaptive_p(0.3) | sample",
    'guidance(1.6, negative_prompt="no") | temperature(1.3) | sample',
    'constrained(regex="[a-z ]{20}") | temperature(2) | sample',
    "watermark | exponential_length(1.1, start=4) | sample",
    "contrastive(0.6, top_k=3)",
    'constrained(regex="[a-f ]{20}") | ban_phrases(["a", "bd"]) | sample',
    'thinking_budget(4, opening="ab", closing="zz") | contrastive_decoding(alpha=0.001) | sample',
    'prefix_forced("ab cd. ef") | stop_at_sentence(2) | sample',
    "encoder_repetition(1.3) | synthid | sample",
    "p_less_norm | gumbel_watermark(ngram=2) | sample",
    "p_less | sample",
    "temperature(1.5) | min_k | sample",
]
# Of these each text is drawn with what was written of it, beside others that it is compared with.
SEVERAL = [
    "beam(3)",
    "diverse_beam(4)",
    "sample(3)",
    "best_of(3)",
    "mbr(3)",
    "self_consistency(3)",
    "smc(4)",
    "arithmetic(3)",
    "power_sample(block=4, steps=2)",
]


@pytest.fixture(scope="module")
def served() -> Engine:
    return served_anew()


def served_anew() -> Engine:
    return engine("threes", eos=(2,))


def bits(comparison: Comparison, first: int = 0) -> list[Any]:
    """All that the model gave each token from one on, in full."""
    return [
        (step.token, step.raw_logprob, step.raw_entropy, step.candidates.raw)
        for step in comparison.lanes[0].trace.path()[first:]
    ]


def written(served: Engine, recipe: str, tokens: int = 12) -> Comparison:
    request = Request(prompt=PROMPT, recipes=[recipe], max_new_tokens=tokens, seed=5)
    return finished(served, request)


class Read(list[int]):
    """How many tokens each forward read."""

    def __init__(self, served: Engine, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        forward = served.forward
        prefill, decode = forward.prefill, forward.decode

        def counted(slot: int, ids: Any, *rest: Any, **kwargs: Any) -> Any:
            self.append(len(ids))
            return prefill(slot, ids, *rest, **kwargs)

        def stepped(slots: Any, ids: Any, *rest: Any, **kwargs: Any) -> Any:
            self.append(len(ids))
            return decode(slots, ids, *rest, **kwargs)

        patch.setattr(forward, "prefill", counted)
        patch.setattr(forward, "decode", stepped)


@pytest.mark.parametrize("recipe", DRAWN)
def test_it_goes_on_as_if_it_had_not_been_interrupted(served: Engine, recipe: str) -> None:
    run = written(served, recipe)
    assert run.lanes[0].error is None
    warm = finished(served, fork(run, 0, 5, [run.lanes[0].token_ids[5]]))
    assert bits(warm) == bits(run, 6)
    assert finished(served, fork(run, 0, 5)).lanes[0].token_ids == run.lanes[0].token_ids[5:]


@pytest.mark.parametrize("recipe", [*DRAWN, *SEVERAL])
@pytest.mark.parametrize("other", [None, "presence_penalty(1) | temperature(0.7) | sample"])
def test_it_is_a_run_from_the_forked_prefix(served: Engine, recipe: str, other: str | None) -> None:
    """The cached keys and values change nothing but how many tokens are read."""
    run = written(served, recipe)
    known = run.lanes[0].trace.path()[4].candidates
    put = next(t for t in known.ids[::-1] if t != run.lanes[0].token_ids[4])
    asked = fork(run, 0, 4, [put], recipe=other)
    warm = driven(served, asked)
    cold = driven(served_anew(), asked)
    length = len(run.prompt_tokens) + 5
    assert bits(warm.comparison()) == bits(cold.comparison())
    assert cold.comparison().timings.reused_tokens == 0
    assert warm.comparison().timings.reused_tokens == length - 1
    assert warm.comparison().timings.prefill_tokens == length


@pytest.mark.parametrize(
    "recipe", ["greedy", "beam(3)", 'guidance(2, negative_prompt="no") | greedy']
)
def test_only_what_is_new_is_read(
    served: Engine, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate is one token; before several, the token that precedes them is read again."""
    run = written(served, recipe)
    known = run.lanes[0].trace.path()[7].candidates.ids
    second = [len("no")] if "guidance" in recipe else []
    for put, count in ([known[3:4], 1], [[], 1], [[9, 8, 7], 4]):
        asked = fork(run, 0, 7, put, max_new_tokens=1)
        read = Read(served, monkeypatch)
        finished(served, asked)
        assert read == [count, *second, *([len(put) or 1] if second else [])]
        monkeypatch.undo()


def test_what_the_model_makes_of_it_is_what_it_makes_of_the_whole_text(served: Engine) -> None:
    """Computed by the model's own forward, without this engine."""
    run = written(served, "temperature(0.9) | sample")
    forked = finished(served, fork(run, 0, 6, [11], recipe="greedy"))
    fed = [token.id for token in forked.prompt_tokens]
    for step in forked.lanes[0].trace.path():
        with torch.inference_mode():
            logits = served.model.model(torch.tensor([fed])).logits[0, -1]
        assert int(logits.argmax()) == step.token
        assert step.raw_logprob == pytest.approx(
            float(logits.log_softmax(-1)[step.token]), abs=1e-4
        )
        fed.append(step.token)


def test_a_fork_of_a_fork_reads_what_is_new_alone(served: Engine) -> None:
    run = written(served, "sample")
    one = run.lanes[0].trace.path()[3].candidates.ids[5]
    once = finished(served, fork(run, 0, 3, [one]))
    two = once.lanes[0].trace.path()[2].candidates.ids[6]
    twice = finished(served, fork(once, 0, 2, [two]))
    assert twice.timings.reused_tokens == len(run.prompt_tokens) + 6
    assert twice.prefix == [*run.lanes[0].token_ids[:3], one, *once.lanes[0].token_ids[:2], two]
    again = finished(served_anew(), fork(once, 0, 2, [two]))
    assert bits(twice) == bits(again)


def test_texts_of_beams_that_lost_their_slots_are_not_taken_for_others(served: Engine) -> None:
    """An early finish leaves its slot to other beams, which overwrite it."""
    ended = engine("threes", eos=tuple(range(3, 80)))
    asked = Request(prompt=PROMPT, recipes=["beam(4)"], max_new_tokens=14, seed=1)
    run = finished(ended, asked)
    for sample, output in enumerate(run.lanes[0].trace.outputs):
        count = len(output.token_ids)
        request = fork(run, 0, max(0, count - 2), [100, 101], sample=sample, recipe="greedy")
        fresh = engine("threes", eos=tuple(range(3, 80)))
        assert bits(finished(ended, request)) == bits(finished(fresh, request))


def test_tokens_that_were_drafted_are_read_again() -> None:
    served = served_anew()
    run = written(served, "speculative")
    asked = fork(run, 0, 6, [20], recipe="greedy")
    warm = finished(served, asked)
    assert bits(warm) == bits(finished(served_anew(), asked))


@pytest.mark.parametrize(
    "given, field",
    [
        ({"lane": 1}, "lane"),
        ({"sample": 1}, "sample"),
        ({"step": 13}, "step"),
        ({"step": -1}, "step"),
        ({"tokens": [VOCAB]}, "prefix"),
        ({"max_new_tokens": 10_000}, "max_new_tokens"),
    ],
)
def test_what_cannot_be_forked_is_named(served: Engine, given: Any, field: str) -> None:
    run = written(served, "greedy")
    with pytest.raises(FieldError) as error:
        finished(served, fork(run, **{"lane": 0, "step": 2, **given}))
    assert error.value.field == field


class Step:
    """A token of a text."""

    def __init__(self, token: int, text: str, special: bool = False) -> None:
        self.token, self.text, self.special = token, text, special


def test_words_that_a_person_changed_are_cut_anew_and_the_others_stay() -> None:
    path = [Step(1, " The"), Step(2, " ca"), Step(3, "t"), Step(4, " sat"), Step(0, "", True)]
    words: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        return words.setdefault(text, [ord(letter) for letter in text])

    found = {
        " The cat sat": (4, []),  # gone on with behind its end
        " The cat": (3, []),  # rewound
        " The": (1, []),
        "": (0, []),
        " The cats sat": (1, [*map(ord, " cats sat")]),  # the word is cut anew, from its beginning
        " The cat ran": (3, [*map(ord, " ran")]),
        " The cat, sat": (3, [*map(ord, ", sat")]),
        "A cat": (0, [*map(ord, "A cat")]),
        " The cat sat down": (4, [*map(ord, " down")]),
    }
    for text, wanted in found.items():
        assert edited(path, text, encode) == wanted, text  # type: ignore[arg-type]


@given(text=st.text("ab é\n", max_size=12), seed=st.integers(0, 5))
def test_an_edited_text_reads_as_it_was_edited(text: str, seed: int) -> None:
    bytes_of = tokenizer()
    own = "ab é b"[seed:] + "a b"
    ids = bytes_of.encode(own)
    pieces = ["", *(bytes_of.decode(ids[:at]).rstrip("\ufffd") for at in range(1, len(ids) + 1))]
    path = [
        Step(id, after[len(before) :])
        for id, before, after in zip(ids, pieces, pieces[1:], strict=False)
    ]
    start, tokens = edited(path, text, lambda rest: bytes_of.encode(rest))  # type: ignore[arg-type]
    assert bytes_of.decode([*ids[:start], *tokens]) == text
    if text.startswith(own):
        assert start == len(ids)


def test_the_texts_used_longest_ago_make_room_and_prompts_stay() -> None:
    def kept(n: int) -> CachedText:
        part = torch.arange(float(n))[None, None, :, None]
        return CachedText(part, part)

    cache = PromptCache(budget=2 * 2 * kept(4).nbytes)
    for first in range(4):
        cache.put_text([1], [first, 8, 8, 8], kept(4))
        found = cache.longest([1], [1, 8, 5])
    assert found is not None and len(found) == 2 and found.keys.flatten().tolist() == [0.0, 1.0]
    assert cache.longest([1], [0, 8]) is None and cache.longest([2], [1, 8]) is None
    cache.put_text([1], [1, 8, 8, 8, 9], kept(5))  # takes the place of the text it goes on with
    longest = cache.longest([1], [1, 8, 8, 8, 9, 9])
    assert longest is not None and len(longest) == 5
    cache.put_text([1], [1, 8], kept(2))
    assert cache.longest([1], [1, 8], states=True) is None
    assert cache.nbytes <= cache.budget // 2
    cache.clear()
    assert cache.nbytes == 0


@pytest.mark.parametrize("model_type", ["gemma2", "qwen3_5_text"])
def test_windows_and_states_are_gone_on_with(model_type: str) -> None:
    """A recurrent state cannot be cut, so its text is read again, token by token."""

    def made() -> Engine:
        model = tiny_model(tiny_config(model_type))
        facts = loaded().facts.model_copy(update={"vocab_size": model.config.vocab_size})
        return Engine(replace(loaded(), model=model, facts=facts), rows=8, process=PROCESS)

    served = made()
    ids, recipe = [5, 9, 11, 30], "presence_penalty(0.6) | temperature(0.9) | sample"
    asked = Request(prompt="", prompt_ids=ids, recipes=[recipe], max_new_tokens=40, seed=2)
    run = finished(served, asked)
    goes_on = fork(run, 0, 33, [run.lanes[0].token_ids[33]])
    assert bits(finished(served, goes_on)) == bits(run, 34)
    assert bits(finished(made(), goes_on)) == bits(run, 34)
