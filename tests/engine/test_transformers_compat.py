"""Nothing uses what a coming release of transformers removes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

from playground.engine import Request
from playground.transformers_compat import cache_keyword
from tests.engine.models import engine, finished, loaded

# Together these use every forward there is: of chunks, of many rows, with early layers, ahead of
# the text, and of a second prompt.
RECIPES = [
    "greedy",
    "top_p(0.9) | sample(2)",
    "beam(2)",
    'dola("high") | greedy',
    "guidance(2.0) | sample",
    "contrastive",
]


class Removed(TypeError):
    """As Python would say of an argument that is gone."""


def without(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def call(*given: Any, **named: Any) -> Any:
        if name in named:
            raise Removed(f"forward() got an unexpected keyword argument {name!r}")
        return forward(*given, **named)

    return call


@pytest.mark.parametrize("kind", ["deep", "gpt2", "qwen2"])
def test_nothing_gives_a_forward_the_name_that_is_to_be_removed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers 5.40 takes ``cache`` alone, as those before 5.24 take ``past_key_values``."""
    model = loaded(kind).model
    known = cache_keyword(model)
    (other,) = {"cache", "past_key_values"} - {known}
    for each in {type(module) for module in model.modules()}:
        monkeypatch.setattr(each, "forward", without(other, each.forward))
    with pytest.raises(Removed, match=other):
        model(**{other: None})
    recipes = RECIPES if kind == "deep" else [text for text in RECIPES if "dola" not in text]
    for trace in (False, True):
        served = engine(kind, draft=loaded(kind), trace=trace)
        served.forward.chunk_size = 4
        done = finished(
            served,
            Request(prompt="A prompt of some length", recipes=recipes, max_new_tokens=4),
        )
        assert [len(lane.token_ids) for lane in done.lanes] == [4] * len(recipes)
        spoken = finished(
            served, Request(prompt="A prompt", recipes=["speculative"], max_new_tokens=8)
        )
        assert len(spoken.lanes[0].token_ids) == 8
        assert len(served.prompt_logprobs(list(range(3, 12)))) == 9
