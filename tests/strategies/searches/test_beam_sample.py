"""Beam sampling equals transformers' ``generate`` for the same draws, and draws by its law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count, permutations, product

import pytest
import torch
import transformers
from packaging.version import Version
from scipy.stats import chisquare
from torch import Tensor

from strategies import Recipe, Row, Step
from strategies.ops.noise import gumbel
from tests.strategies.driver import context, run, transitions
from tests.strategies.searches.test_beam import NEW, PAD, PROMPTS, endings, generate, loaded
from tests.tiny import VOCAB

SEED = 11


def multinomial(vocab: int) -> Callable[[Tensor, int], Tensor]:
    """What ``torch.multinomial`` may draw without replacement: here, what our noise draws."""
    steps = count()

    def drawn(probs: Tensor, num_samples: int) -> Tensor:
        step = next(steps)
        noise = [gumbel(SEED, row, step, vocab) for row in range(probs.shape[-1] // vocab)]
        return (probs.log() + torch.cat(noise)).topk(num_samples).indices

    return drawn


GRID = list(product((2, 3, 5), (0.0, 1.0, -1.0), (False, True, "never")))
MANY = tuple(range(0, VOCAB, 3))  # so that many of what is drawn would end
SORTS = Version(transformers.__version__) >= Version("5.24")


@pytest.mark.skipif(not SORTS, reason="what was drawn is sorted since transformers 5.24")
@pytest.mark.parametrize("turn", range(4), ids=["no end", "one end", "three ends", "many ends"])
def test_texts_equal_transformers(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hypothesis and score; the three models and prompts take turns."""
    texts = set()
    for number, (beams, penalty, stopping) in enumerate(GRID):
        name = ("llama", "gpt2", "qwen2")[(number + turn) % 3]
        model, logits = loaded(name)
        prompt = PROMPTS[(number // 3 + turn) % 3]
        eos = [*endings(name, prompt)[:3], MANY][turn]
        with monkeypatch.context() as patch:
            patch.setattr(torch, "multinomial", multinomial(VOCAB))
            theirs = generate(
                model,
                prompt,
                do_sample=True,
                top_k=0,
                num_beams=beams,
                num_return_sequences=beams,
                length_penalty=penalty,
                early_stopping=stopping,
                eos_token_id=list(eos) or None,
            )
        early = f'"{stopping}"' if stopping == "never" else stopping
        recipe = f"beam_sample({beams}, length_penalty={penalty}, early_stopping={early})"
        mine = run(logits, recipe, prompt, eos=eos, max_new_tokens=NEW, seed=SEED)[:beams]
        assert len(mine) == beams
        for row, sequence, score in zip(
            mine, theirs.sequences.tolist(), theirs.sequences_scores.tolist(), strict=True
        ):
            assert list(row.tokens) == sequence[: len(row.tokens)], (recipe, prompt, eos)
            assert set(sequence[len(row.tokens) :]) <= {PAD}, (recipe, prompt, eos)
            assert row.score / len(row.generated) ** penalty == pytest.approx(
                score, abs=2e-5, rel=2e-6
            )
            texts.add((row.tokens, recipe))
    assert {len(tokens) < NEW for tokens, _ in texts} >= {bool(turn)}


def test_the_likeliest_of_what_is_drawn_may_end() -> None:
    """Drawn 2 3 1 0, where two beams may end: tokens 0 and 1, as in transformers 5.24."""
    order = [2, 3, 1, 0, 4, 5]
    scores = torch.tensor([[0.4, 0.3, 0.1, 0.1, 0.06, 0.04]]).log()
    noise = torch.zeros(6)
    noise[order] = 100.0 - torch.arange(6.0)
    noise -= scores[0]
    _, search = Recipe.parse("beam_sample(2)").build(context(6))
    step = Step(
        index=0,
        rows=[Row((0,), 1)],
        scores=scores,
        noise=lambda sample: noise,
        ends=lambda row, token: True,
    )
    moves = search.advance(step)
    assert [move.token for move in moves] == [0, 1] and all(move.done for move in moves)


def drawn_sets(totals: list[float], draws: int, kept: int) -> dict[frozenset[int], float]:
    """The chance of each set of the ``kept`` best among ``draws`` made without replacement."""
    weights = torch.tensor(totals, dtype=torch.float64).softmax(-1).tolist()
    law: dict[frozenset[int], float] = {}
    for order in permutations(range(len(totals)), draws):
        chance, left = 1.0, 1.0
        for place in order:
            chance *= weights[place] / left
            left -= weights[place]
        best = frozenset(sorted(order, key=lambda place: -totals[place])[:kept])
        law[best] = law.get(best, 0.0) + chance
    return law


def test_one_step_is_a_draw_without_replacement_from_both_beams() -> None:
    """Two beams of unequal score over five tokens: four are drawn and the best two run on."""
    held = (-1.0, -1.7)
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.3, 0.1], [0.55, 0.05, 0.2, 0.15, 0.05]]).log()
    rows = [Row((0, i), 1, score=score) for i, score in enumerate(held)]
    _, search = Recipe.parse("beam_sample(2)").build(context(5))
    found: Counter[frozenset[int]] = Counter()
    for seed in range(4000):
        step = Step(
            index=1,
            rows=rows,
            scores=scores,
            noise=lambda sample, seed=seed: gumbel(seed, sample, 1, 5),
            ends=lambda row, token: False,
        )
        moves = search.advance(step)
        assert [move.score for move in moves] == sorted((m.score for m in moves), reverse=True)
        found[frozenset(move.parent * 5 + move.token for move in moves)] += 1
    law = drawn_sets((scores + torch.tensor(held)[:, None]).flatten().tolist(), draws=4, kept=2)
    assert set(found) <= set(law)
    common = [best for best, chance in law.items() if chance * 4000 >= 5]
    counts = [found[best] for best in common]
    wanted = [law[best] * 4000 for best in common]
    counts.append(4000 - sum(counts))
    wanted.append(4000 - sum(wanted))
    assert chisquare(counts, wanted).pvalue > 1e-3
    plain = [1 / len(common)] * len(common)
    assert chisquare(counts[:-1], [p * sum(counts[:-1]) for p in plain]).pvalue < 1e-9


@pytest.mark.parametrize("chain", ["", "temperature(0.7) | top_p(0.9) | "])
def test_one_beam_is_sampling(chain: str) -> None:
    table = torch.randn(6, 6, generator=torch.Generator().manual_seed(8)).softmax(-1)
    for seed in range(60):
        texts = [
            run(transitions(table), chain + search, (1,), eos=(2,), seed=seed)[0].tokens
            for search in ("sample", "beam_sample(1)")
        ]
        assert texts[0] == texts[1]
