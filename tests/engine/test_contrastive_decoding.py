"""Contrastive decoding with the draft model and with an earlier layer, against plain forwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from playground.engine import Request
from playground.engine.decode.preview import UNSEEN
from playground.engine.request import ScoreRequest
from strategies import Recipe
from tests.engine.models import driven, engine, finished, loaded
from tests.engine.test_batch_invariance import figures

DRAFT = 'contrastive_decoding(0.7, amateur="draft")'


def asked(*recipes: str, tokens: int = 16, **more: Any) -> Request:
    return Request(prompt="one two one", recipes=list(recipes), max_new_tokens=tokens, **more)


@torch.inference_mode()
def scores(model: Any, tokens: Sequence[int], layer: int = -1) -> Tensor:
    out = model(torch.tensor([list(tokens)]), output_hidden_states=True, use_cache=False)
    if layer < 0:
        read: Tensor = out.logits[0, -1].float()
        return read
    head: Tensor = model.lm_head(out.hidden_states[layer][0, -1]).float()
    return head


@pytest.mark.parametrize("recipe", [DRAFT, "contrastive_decoding(0.7, layer=3)"])
def test_it_is_that_of_plain_forwards(recipe: str) -> None:
    served = engine("deep", draft=loaded("gpt2"))
    expert, amateur = served.model.model, loaded("gpt2").model
    (lane,) = finished(served, asked(f"{recipe} | greedy")).lanes
    text = [token.id for token in served.tokens("one two one")]
    for step in lane.trace.path():
        strong = scores(expert, text).log_softmax(-1)
        weak = scores(amateur, text) if recipe == DRAFT else scores(expert, text, 3)
        z = 1.7 * strong - 0.7 * weak.log_softmax(-1)
        z[strong < strong.max() + torch.tensor(0.1).log()] = -torch.inf
        assert step.token == int(z.argmax()) or z[step.token] > z.max() - 1e-3
        wanted = float(z.log_softmax(-1)[step.token])
        assert step.logprob == pytest.approx(wanted, abs=2e-3)
        text.append(step.token)
    assert lane.token_ids != finished(served, asked("greedy")).lanes[0].token_ids


def test_what_else_the_draft_model_read_changes_nothing() -> None:
    """Other texts, its own drafts, and so many that this text is no longer in its cache."""
    recipe = f"{DRAFT} | sample(2)"
    alone = figures(finished(engine(draft=loaded("gpt2")), asked(recipe, seed=3)))
    served = engine(draft=loaded("gpt2"), rows=64)
    finished(served, asked('speculative(3, draft="model")', seed=3))
    others = served.submit(asked(*[f"{DRAFT} | sample(9)"] * 2, seed=8))
    mine = served.submit(asked(recipe, seed=3))
    served.drive(mine)
    assert figures(mine.comparison()) == alone
    served.drive(others)


def test_where_the_draft_model_is_not_read_that_is_said() -> None:
    served = engine(draft=loaded("gpt2"))
    with pytest.raises(Exception, match="there is no draft model here"):
        driven(engine(), asked(f"{DRAFT} | greedy"))
    request = asked(f"{DRAFT} | greedy", tokens=2)
    finished(served, request)
    assert served.preview(request) == [UNSEEN]
    given = ScoreRequest(prompt="one", text="two", recipes=[Recipe.parse(f"{DRAFT} | greedy")])
    (one,) = served.score_text(given).recipes
    assert one.possible is None and one.error is not None and "not read here" in one.error
