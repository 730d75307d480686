"""Strategies that read more than logits, against plain loops without a cache, from their papers."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.nn.functional import kl_div

from playground.engine import Engine, FieldError, Request
from playground.engine.forward import EarlyRow, Forward
from strategies import EarlyLayers, SecondPrompt
from strategies.presets import PRESETS
from tests.engine.models import PROCESS, driven, engine, finished, loaded
from tests.strategies.driver import run, written
from tests.tiny import tiny_llama
from tests.vocabularies import byte_level

PROMPT = "one two one two one"
MORE = [
    'guidance(2, negative_prompt="no") | temperature(1.2) | sample(2)',
    "guidance(1.7) | beam(3)",
    "contrastive(0.6, top_k=4)",
    "repetition_penalty(1.2) | contrastive(0.3, top_k=3)",
    "speculative(tokens=3)",
    "guidance(1.4) | temperature(0.7) | speculative(5)",
    "guidance(3) | contrastive(0.5)",
]


def asked(*recipes: str, tokens: int = 16, **more: Any) -> Request:
    return Request(prompt=PROMPT, recipes=list(recipes), max_new_tokens=tokens, **more)


def ids(served: Engine, *recipes: str, **more: Any) -> list[list[int]]:
    return [lane.token_ids for lane in finished(served, asked(*recipes, **more)).lanes]


@torch.inference_mode()
def forward_of(served: Engine, tokens: list[int]) -> Any:
    return served.model.model(torch.tensor([tokens]), output_hidden_states=True, use_cache=False)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("negative", ["", "no no"])
def test_guidance_is_that_of_transformers(kind: str, negative: str) -> None:
    served = engine(kind)
    (found,) = ids(served, f'guidance(1.8, negative_prompt="{negative}") | greedy')
    tokens = torch.tensor([[token.id for token in served.tokens(PROMPT)]])
    other = torch.tensor([served.builder.encoder.text(negative)]) if negative else None
    model = engine(kind).model.model  # whose attention is still its own
    model.set_attn_implementation("eager")
    wanted = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        do_sample=False,
        max_new_tokens=16,
        eos_token_id=None,
        guidance_scale=1.8,
        negative_prompt_ids=other,
    )
    assert found == wanted[0, tokens.shape[1] :].tolist()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_preset_context_aware_is_the_papers(kind: str) -> None:
    """Shi et al. 2023: (1 + alpha) z(with the context) - alpha z(without it), alpha 0.5."""
    (preset,) = [preset for preset in PRESETS if preset.id == "context_aware"]
    guided, search = preset.recipe.steps
    assert guided.strategy == "guidance" and search.strategy == "sample"
    assert guided.params.scale - 1 == 0.5 and "negative_prompt" in preset.summary
    context, question = "one two one", " two one"
    served = engine(kind)
    recipe = preset.text.replace("1.5", f'1.5, negative_prompt="{question}"')
    run = finished(served, Request(prompt=context + question, recipes=[recipe], max_new_tokens=12))
    with_it, without = ([t.id for t in served.tokens(p)] for p in (context + question, question))
    for step in run.lanes[0].trace.path():
        here, away = (forward_of(served, ids).logits[0, -1].float() for ids in (with_it, without))
        wanted = (1.5 * here - 0.5 * away).log_softmax(-1)[step.token]
        assert step.logprob == pytest.approx(float(wanted), abs=1e-3)
        with_it.append(step.token)
        without.append(step.token)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_a_second_prompt_begins_as_the_first_does(chat: bool, split: bool) -> None:
    """With the token that begins a text, in the template, control tokens read or not."""
    read = byte_level(words=(), begins=True)
    served = Engine(replace(loaded(reads=read), model=tiny_llama(vocab=len(read))), rows=4)
    asked = Request(
        prompt="abc",
        recipes=['guidance(2, negative_prompt="no<|im_end|>") | greedy'],
        max_new_tokens=2,
        chat=chat,
        split_special_tokens=split,
    )
    (lane,) = served.submit(asked).lanes
    wanted = [token.id for token in served.tokens("no<|im_end|>", chat, split)]
    assert lane.second_prompts == [SecondPrompt(tuple(wanted))]
    assert wanted[0] == served.tokens("abc", chat)[0].id
    assert len(wanted) - len(served.tokens("no", chat)) == (len("<|im_end|>") if split else 1)


@pytest.mark.parametrize("search", ["sample(3)", "beam(4)", "diverse_beam(4, num_beam_groups=2)"])
def test_guided_rows_fork_with_both_prompts(search: str) -> None:
    """Every node of the tree against both texts, read anew; ``generate`` cannot fork them."""
    served = engine()
    run = driven(served, asked(f'guidance(1.8, negative_prompt="no no") | {search}', seed=2))
    lane = run.views[0]
    prompts = [[t.id for t in served.tokens(text)] for text in (PROMPT, "no no")]
    for node, step in enumerate(lane.steps):
        written, at = [], lane.steps[node].parent
        while at is not None:
            written.insert(0, lane.steps[at].token)
            at = lane.steps[at].parent
        here, away = (
            forward_of(served, [*prompt, *written]).logits[0, -1].float().log_softmax(-1)
            for prompt in prompts
        )
        wanted = (away + 1.8 * (here - away)).log_softmax(-1)[step.token]
        assert step.logprob == pytest.approx(float(wanted), abs=1e-3), node
    assert len(lane.steps) > 40


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(("alpha", "k"), [(0.6, 4), (0.3, 8), (0.0, 3), (1.0, 2)])
def test_contrastive_search_is_the_papers(kind: str, alpha: float, k: int) -> None:
    served = engine(kind)
    (found,) = ids(served, f"contrastive({alpha}, top_k={k})")
    text = [token.id for token in served.tokens(PROMPT)]
    for _ in range(16):
        out = forward_of(served, text)
        earlier = out.hidden_states[-1][0]
        probs, tried = out.logits[0, -1].float().softmax(-1).topk(k)
        values = []
        for p, token in zip(probs.tolist(), tried.tolist(), strict=True):
            state = forward_of(served, [*text, token]).hidden_states[-1][0, -1]
            likeness = torch.cosine_similarity(earlier, state[None]).max()
            values.append((1 - alpha) * p - alpha * float(likeness))
        text.append(int(tried[max(range(k), key=values.__getitem__)]))
    assert found == text[-16:]
    assert alpha != 0 or found == ids(served, "greedy")[0]


@pytest.mark.parametrize("search", ["greedy", "sample(2)", "beam(3)"])
def test_a_processor_observes_the_scores_that_it_read(search: str) -> None:
    """Not the scores its token was chosen from, which adaptive-p changed; a plain loop agrees."""
    served = engine()
    recipe = f"temperature(1.4) | min_p(0.02) | adaptive_p(0.3, decay=0.6) | {search}"
    lane = finished(served, asked(recipe, seed=2)).lanes[0]
    prompt = [token.id for token in served.tokens(PROMPT)]

    def logits(rows: list[tuple[int, ...]]) -> Tensor:
        return torch.stack([forward_of(served, list(row)).logits[0, -1].float() for row in rows])

    rows = run(logits, recipe, prompt, max_new_tokens=16, seed=2)
    assert [output.token_ids for output in lane.trace.outputs] == written(rows)


def divergence(p: Tensor, q: Tensor) -> float:
    """Of log-probabilities, as the authors' code and transformers 4.49 have it."""
    m = (p.exp() + q.exp()) / 2
    return float(kl_div(p, m, reduction="sum") + kl_div(q, m, reduction="sum"))


@pytest.mark.parametrize(("half", "layers"), [("low", (0, 2)), ("high", (4, 6))])
def test_dola_is_its_authors(half: str, layers: tuple[int, ...]) -> None:
    served = engine("deep")
    (found,) = ids(served, f'dola("{half}") | greedy')
    text = [token.id for token in served.tokens(PROMPT)]
    for _ in range(16):
        out = forward_of(served, text)
        head = served.model.model.get_output_embeddings()
        last = out.logits[0, -1].double().log_softmax(-1)
        early = [head(out.hidden_states[j][0, -1]).double().log_softmax(-1) for j in layers]
        far = max(early, key=lambda q: divergence(last, q))
        values = (last - far).masked_fill(last.exp() < 0.1 * last.exp().max(), -torch.inf)
        text.append(int(values.argmax()))
    assert found == text[-16:] != ids(served, "greedy")[0]


def test_dola_is_refused_where_no_layer_is_early() -> None:
    with pytest.raises(FieldError, match="of this model's 2 none is early enough"):
        engine().submit(asked('dola("high") | greedy'))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("before", ["", "temperature(0) | ", "temperature(0.6) | top_p(0.9) | "])
@pytest.mark.parametrize("how", ["speculative", "speculative(1)", "speculative(9, ngram=1)"])
def test_speculative_text_is_that_of_sample(kind: str, before: str, how: str) -> None:
    served = engine(kind)
    request = asked(before + how, before + "sample", tokens=40, seed=5)
    fast, slow = finished(served, request).lanes
    assert fast.token_ids == slow.token_ids and fast.text == slow.text
    drafted = [step for step in fast.trace.path() if step.draft is not None]
    accepted = [step for step in drafted if step.draft == step.token]
    assert drafted and not any(step.draft is not None for step in slow.trace.path())
    free = [step for step in fast.trace.path()[1:] if step.times.forward == 0.0]
    assert len(free) == sum(
        step.draft == step.token for step in fast.trace.path()[:-1] if step.draft is not None
    )
    assert fast.metrics.acceptance == pytest.approx(len(accepted) / len(drafted))
    assert slow.metrics.acceptance is None


@pytest.mark.parametrize("drafting", ["llama", "gpt2"])
@pytest.mark.parametrize(
    "before",
    [
        "",
        "temperature(0) | ",
        "temperature(0.5) | mirostat_v2(2) | ",
        "min_p(0.02) | adaptive_p(0.3) | ",
        "guidance(1.5) | ",
    ],
)
def test_a_draft_model_changes_no_text(drafting: str, before: str) -> None:
    """A model that drafts for itself is always right; another one only costs time."""
    served = engine(draft=loaded(drafting))
    fast, slow = f'{before}speculative(3, draft="model")', before + "sample"
    many = [
        finished(served, asked(fast, slow, fast, tokens=30, seed=seed)).lanes for seed in (1, 2)
    ]
    for quick, plain, again in many:
        assert quick.token_ids == plain.token_ids == again.token_ids
        rate = quick.metrics.acceptance
        assert rate is not None and (rate > 0.9) == (drafting == "llama" and "guid" not in before)
    assert len({lane.text for lanes in many for lane in lanes}) == 2 or "(0)" in before


def test_without_a_draft_model_it_is_refused() -> None:
    with pytest.raises(FieldError, match="there is no draft model here; draft can be lookup"):
        engine().submit(asked('speculative(draft="model")'))


def test_of_the_models_that_recipes_name_those_in_use_stay() -> None:
    found: list[str] = []

    def find(name: str, make_room: Callable[[], None]) -> Any:
        make_room()
        found.append(name)
        return loaded("llama")

    served = Engine(loaded("llama"), find_draft=find, process=PROCESS, rows=32)

    def by(name: str, tokens: int = 9) -> Request:
        return asked(f'speculative(3, draft="model", model="{name}")', tokens=tokens)

    first, second = served.submit(by("one")), served.submit(by("two"))
    gone = weakref.ref(next(iter(served.drafters)))
    with pytest.raises(FieldError, match=r"one and two draft for runs that go on. Try again"):
        served.submit(by("three"))
    served.drive(first)
    assert first.comparison().lanes[0].metrics.acceptance == 1
    third = served.submit(by("three"))  # in the place of the first
    gc.collect()
    assert found == ["one", "two", "three"] and gone() is None
    served.drive(second)
    served.drive(third)
    for name in ("three", "two", "one"):
        assert finished(served, by(name)).lanes[0].metrics.acceptance == 1
    assert found == ["one", "two", "three", "one"]
    served.close()


def test_a_plugin_that_drafts_badly_ends_its_lane_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    run = served.submit(asked("speculative", "greedy", tokens=9))
    monkeypatch.setattr(run.lanes[0].search, "draft", lambda row: 1 / 0)
    served.drive(run)
    broken, other = run.comparison().lanes
    assert broken.finish_reason == "error" and "ZeroDivisionError" in str(broken.error)
    assert other.finish_reason == "length" and len(other.token_ids) == 9


def test_a_repeating_text_takes_few_forwards() -> None:
    served = engine()
    recipe = 'logit_bias({"a": 90, "b": 80}) | temperature(2) | speculative(8)'
    path = finished(served, asked(recipe, tokens=60)).lanes[0].trace.path()
    assert sum(step.times.forward > 0 for step in path) < 20
    assert max(step.times.forward_rows for step in path) == 9  # a token and those drafted after it


def test_speculative_draws_from_the_models_distribution() -> None:
    """Pairs of tokens over many seeds, of which the first or the second was drafted."""
    served = engine()
    recipe = f"logit_bias({BIAS}) | temperature(5) | top_k(3) | speculative(3, ngram=1)"
    counts: Counter[tuple[int, ...]] = Counter()
    accepted = 0
    for seed in range(300):
        lane = finished(served, asked(recipe, tokens=3, seed=seed)).lanes[0]
        counts[tuple(lane.token_ids[1:])] += 1
        accepted += sum(step.draft == step.token for step in lane.trace.path())
    first = [token.id for token in served.tokens(PROMPT)]
    wanted: Counter[tuple[int, ...]] = Counter()
    for a, p in likeliest(served, first):
        for b, q in likeliest(served, [*first, a]):
            for c, r in likeliest(served, [*first, a, b]):
                wanted[b, c] += p * q * r  # type: ignore[assignment]
    assert set(counts) <= set(wanted) and accepted > 20
    common = [pair for pair, p in wanted.items() if p * 300 >= 5]
    rest = 1 - sum(wanted[pair] for pair in common)
    seen = [counts[pair] for pair in common] + [300 - sum(counts[pair] for pair in common)]
    odds = [300 * wanted[pair] for pair in common] + [300 * rest]
    if rest * 300 < 1:
        seen, odds = seen[:-1], [n * sum(seen[:-1]) / sum(odds[:-1]) for n in odds[:-1]]
    assert chisquare(seen, odds).pvalue > 1e-3


BIAS = '{"o": 40, "n": 40, "e": 40}'


def likeliest(served: Engine, tokens: list[int]) -> list[tuple[int, float]]:
    scores = forward_of(served, tokens).logits[0, -1].float().clone()
    scores[served.builder.encoder.text("one")] += 40
    values, found = (scores / 5).topk(3)
    return list(zip(found.tolist(), values.softmax(-1).tolist(), strict=True))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_batch_and_repetition_change_nothing(kind: str) -> None:
    served = engine(kind, rows=64)
    alone = [ids(served, recipe, seed=4)[0] for recipe in MORE]
    run = served.submit(asked(*MORE[1:], seed=4))
    served.step()
    other = served.submit(asked("greedy", MORE[2], MORE[4], MORE[0], tokens=7))
    served.drive(run)
    served.drive(other)
    assert [lane.token_ids for lane in run.comparison().lanes] == alone[1:]
    assert served.rows_in_use == 0


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_without_the_cache_the_text_is_the_same(kind: str) -> None:
    served = engine(kind)
    recipes = ("greedy", "temperature(0.8) | sample(2)", "beam(3)", MORE[0], MORE[4])
    run = driven(served, asked(*recipes, cache=False, alone=True))
    assert [lane.token_ids for lane in run.comparison().lanes] == ids(served, *recipes)
    assert all(step.draft is None for lane in run.views for step in lane.steps)
    with pytest.raises(FieldError, match="cannot go without it") as refused:
        served.submit(asked("contrastive", cache=False))
    assert refused.value.field == "cache"


def test_a_second_prompt_must_fit() -> None:
    with pytest.raises(FieldError, match="The second prompt has 100 tokens; with 40 new ones"):
        engine().submit(asked(f'guidance(2, negative_prompt="{"x" * 100}") | greedy', tokens=40))


def test_a_layer_that_the_model_lacks_ends_one_lane_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    run = served.submit(asked("temperature(0.5) | greedy", "greedy"))
    monkeypatch.setattr(run.lanes[0], "needs", [EarlyLayers((1, 99))])
    monkeypatch.setattr(run.lanes[0], "needs_hidden", True)
    served.drive(run)
    curious, other = run.comparison().lanes
    assert curious.finish_reason == "error" and "out of bounds" in str(curious.error)
    assert other.finish_reason == "length" and served.rows_in_use == 0


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_earlier_layers_are_read_in_one_product_with_the_logits(kind: str) -> None:
    forward = engine(kind).forward
    for slot, prompt in enumerate(([3, 4, 5], [6, 7])):
        forward.prefill(slot, prompt)
    what = [0, 1], [8, 9], [3, 2]
    plain, asked_for = forward.decode(*what, states=True), (EarlyRow(1, (1, 2)), EarlyRow(0, (1,)))
    output = forward.decode(*what, states=True, early=asked_for)
    assert torch.equal(output.logits, plain.logits)
    assert output.states is not None
    assert set(output.early) == set(asked_for)
    for (row, layers), early in output.early.items():
        apart = forward.head(output.states.layers[list(layers), row])
        assert torch.allclose(early, apart, atol=1e-5)


def test_a_head_that_does_more_than_its_product_is_not_bypassed() -> None:
    model = loaded("llama")
    own = model.model.forward

    def softcapped(*what: Any, **how: Any) -> Any:
        out = own(*what, **how)
        out.logits = torch.tanh(out.logits)
        return out

    model.model.forward = softcapped
    forward = Forward(model.model, rows=16, length=32)
    output = forward.decode([0, 1], [3, 4], [0, 0], states=True, early=[EarlyRow(0, (1,))])
    assert not output.early and float(output.logits.abs().max()) <= 1.0
