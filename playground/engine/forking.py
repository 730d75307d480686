"""The request of a run that continues a recorded text from one of its tokens.

Penalties, the states of processors and the noise of each position treat the text before the fork as
generated, so that from the token that was chosen, a lane's own recipe writes its own text again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from playground.engine.request import FieldError, Request, check_text
from playground.trace import Comparison, Fork, StepRecord
from strategies.recipe import Recipe

_WORD = 16  # tokens to look back for the beginning of a word that was edited


def fork(
    comparison: Comparison,
    lane: int,
    step: int,
    tokens: Sequence[int] = (),
    *,
    recipe: str | Recipe | None = None,
    sample: int = 0,
    max_new_tokens: int | None = None,
) -> Request:
    """A request to continue a lane's text after its first ``step`` tokens and then ``tokens``.

    ``recipe`` is the lane's own unless another is given. Without ``max_new_tokens`` the text may
    grow to the length that its run allowed. Raises ``FieldError`` or ``RecipeError``.
    """
    if not 0 <= lane < len(comparison.lanes):
        raise FieldError("lane", f"lane is {lane}; the run has {len(comparison.lanes)}.")
    result = comparison.lanes[lane]
    if not 0 <= sample < max(1, len(result.trace.outputs)):
        raise FieldError(
            "sample", f"sample is {sample}; the recipe wrote {len(result.trace.outputs)}."
        )
    path = result.trace.path(sample)
    if not 0 <= step <= len(path):
        raise FieldError("step", f"step is {step}; it must be from 0 to {len(path)}.")
    made = Recipe.of(result.recipe if recipe is None else recipe)
    own = [one.token for one in path[:step]] + list(tokens)
    count = len(result.trace.chain.processors) if str(made) == result.recipe else 0
    logprobs = [known_logprobs(one, one.token, count) for one in path[:step]]
    if step < len(path) and tokens:
        logprobs.append(known_logprobs(path[step], tokens[0], count))
    left = max(1, comparison.max_new_tokens - len(own))
    most = left if max_new_tokens is None else max_new_tokens
    prompt = [token.id for token in comparison.prompt_tokens]
    return Request(
        prompt=comparison.prompt,
        prompt_ids=[] if comparison.prompt else prompt[: len(prompt) - len(comparison.prefix)],
        recipes=[_with_picks(made, [*comparison.prefix, *own])],
        names=[result.name] if result.name and recipe is None else [],
        prefix=[*comparison.prefix, *own],
        prefix_logprobs=[*([] for _ in comparison.prefix), *logprobs],
        forked=Fork(run=comparison.id, lane=lane, sample=sample, step=step, tokens=list(tokens)),
        max_new_tokens=most,
        min_new_tokens=min(most, max(0, comparison.min_new_tokens - len(own))),
        seed=comparison.seed,
        stop=comparison.stop,
        chat=comparison.chat,
        split_special_tokens=comparison.split_special_tokens,
    )


def edited(
    path: Sequence[StepRecord], text: str, encode: Callable[[str], list[int]]
) -> tuple[int, list[int]]:
    """How many tokens of a recorded text a person's edit, ``text``, keeps, and the tokens that
    follow them in the edit.

    Tokens before the edited word stay as they were generated, even where a tokenizer would encode
    that text differently. ``encode`` makes the tokens of the rest, as text within another.
    """
    check_text("text", text)
    own = "".join(one.text for one in path)
    most = min(len(own), len(text))
    same = next((at for at in range(most) if own[at] != text[at]), most)
    ends = [0]
    for one in path:
        ends.append(ends[-1] + len(one.text))
    kept = max(at for at, end in enumerate(ends) if end <= same)
    while kept and (path[kept - 1].special or not path[kept - 1].text):
        kept -= 1  # the end of a text, or a part of a character
    if ends[kept] == len(text):
        return kept, []
    whole = [at for at in range(kept + 1) if at == 0 or path[at - 1].text]
    start = next((at for at in whole[-_WORD:][::-1] if _begins(text, ends[at])), kept)
    tokens = encode(text[ends[start] :])
    while tokens and start < kept and tokens[0] == path[start].token:
        start, tokens = start + 1, tokens[1:]
    return start, tokens


def _begins(text: str, at: int) -> bool:
    """Whether a word, or what stands between words, begins there."""
    if at == 0 or at == len(text) or text[at].isspace():
        return True
    return not text[at - 1].isspace() and text[at - 1].isalnum() != text[at].isalnum()


def known_logprobs(step: StepRecord, token: int, processors: int) -> list[float]:
    """The recorded log-probabilities of a token of a step: the model's, then after each processor.

    Without ``processors``, or where only that is known, the model's alone; empty where the token is
    not among the recorded candidates.
    """
    if token == step.token and not processors:
        return [step.raw_logprob]
    if token not in step.candidates.ids:
        return []
    at = step.candidates.ids.index(token)
    levels = [step.candidates.raw, *(step.candidates.stages if processors else ())]
    found = [_log(level[at]) for level in levels]
    if token == step.token:
        found[0], found[-1] = step.raw_logprob, step.logprob
    return found if all(map(math.isfinite, found)) else found[:1]


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


def _with_picks(recipe: Recipe, tokens: Sequence[int]) -> Recipe:
    """The recipe; if a person picks its tokens, with ``tokens`` as the picks so far."""
    steps = recipe.to_steps()
    if "picks" not in steps[-1]["params"]:
        return recipe
    steps[-1]["params"] = {**steps[-1]["params"], "picks": list(tokens)}
    return Recipe.from_steps(steps)
