"""The likelihood of a given text under the model and under recipes, from one forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.engine.forward import Forward
from playground.engine.lanes.lane import Lane
from playground.engine.request import Cancelled, ScoreRequest
from playground.engine.scoring import TextLogits, text_logits
from playground.explain.replay.curves import TemperatureCurve, TopPCurve
from playground.explain.replay.likelihood import RecipeLikelihood
from playground.metrics import perplexity
from playground.trace import PromptToken
from playground.trace.scores import ScoredToken, TextScore
from strategies import EarlyLayers, SecondPrompt
from strategies.ops.reduce import logsumexp

_ROWS = 16  # tokens whose scores go through the recipes at once
_DEEP = -1e4  # below the best logit: in place of -inf, for a token that the model rules out


@dataclass(frozen=True)
class TextToScore:
    """A checked request: its tokens, and a lane for each recipe, which no loop steps.

    ``pieces`` are what each of ``text_ids`` adds to ``text``, special tokens by name.
    The first ``hidden_steps`` of every lane's recipe were added to those of the request.
    """

    request: ScoreRequest
    model: str
    prompt: list[PromptToken]
    text: str
    text_ids: list[int]
    pieces: list[str]
    lanes: list[Lane]
    hidden_steps: int

    @property
    def prompt_ids(self) -> list[int]:
        return [token.id for token in self.prompt]


@torch.inference_mode()
def score_text(
    forward: Forward, given: TextToScore, cancelled: Callable[[], bool] = lambda: False
) -> TextScore:
    """The likelihood of the text under the model and under each recipe. Raises ``Cancelled``.

    One forward over prompt and text serves all recipes. One that follows a second prompt has a
    forward of its own over that, and one that reads early layers their logits.
    """
    request, text = given.request, given.text_ids
    likelihoods = [
        RecipeLikelihood(
            recipe,
            lane.processors,
            lane.search,
            tuple(given.prompt_ids),
            tuple(text),
            given.pieces,
            lane.ends.eos,
            request.seed,
            given.hidden_steps,
            torch.finfo(forward.dtype).eps,
        )
        for recipe, lane in zip(request.recipes, given.lanes, strict=True)
    ]
    temperature, top_p = TemperatureCurve(), TopPCurve()
    raw: list[float] = []
    ranks: list[int] = []
    wanted = [prompt for lane in given.lanes for prompt in lane.second_prompts]
    seconds = dict.fromkeys(prompt.tokens for prompt in wanted)
    states = any(isinstance(need, EarlyLayers) for lane in given.lanes for need in lane.needs)
    streams = [
        text_logits(forward, prompt, text, cancelled, states=states and number == 0)
        for number, prompt in enumerate([given.prompt_ids, *seconds])
    ]
    for chunks in zip(*streams, strict=False):
        for first in range(0, len(chunks[0].logits), _ROWS):
            part = slice(first, first + _ROWS)
            logits = chunks[0].logits[part]
            beside = dict(zip(seconds, (chunk.logits[part] for chunk in chunks[1:]), strict=True))
            own = torch.tensor(text[len(raw) :][: len(logits)], device=logits.device)
            chosen = logits.gather(1, own[:, None])
            raw += (chosen[:, 0] - logsumexp(logits)).tolist()
            ranks += ((logits > chosen).sum(-1) + 1).tolist()
            for likelihood, lane in zip(likelihoods, given.lanes, strict=True):
                likelihood.take(logits, _read_beside(forward, lane, chunks[0], part, beside))
            below = (logits - logits.amax(-1, keepdim=True)).clamp_(min=_DEEP)
            temperature.take(below, own)
            top_p.take(below, own)
    if len(raw) < len(text):
        raise Cancelled("nobody waits for this text's score")
    return TextScore(
        model=given.model,
        prompt=request.prompt,
        prompt_tokens=len(given.prompt),
        text=given.text,
        tokens=[
            ScoredToken(id=id, text=piece, logprob=logprob, rank=rank)
            for id, piece, logprob, rank in zip(text, given.pieces, raw, ranks, strict=True)
        ],
        logprob=sum(raw),
        perplexity=perplexity(raw) or 0.0,
        seed=request.seed,
        recipes=[likelihood.result() for likelihood in likelihoods],
        temperature=temperature.result(),
        top_p=top_p.result(),
    )


def _read_beside(
    forward: Forward,
    lane: Lane,
    read: TextLogits,
    part: slice,
    seconds: dict[tuple[int, ...], Tensor],
) -> dict[int, Tensor]:
    """What each of a lane's processors reads beside the logits, ``[n, …]`` by its depth."""
    found: dict[int, Tensor] = {}
    for depth, need in enumerate(lane.needs):
        if isinstance(need, SecondPrompt):
            found[depth] = seconds[need.tokens]
        elif isinstance(need, EarlyLayers):
            assert read.states is not None
            found[depth] = _early(forward, read.states[:, part], need.layers)
    return found


def _early(forward: Forward, states: Tensor, layers: Sequence[int]) -> Tensor:
    """The vocabulary head on early layers: ``[n, len(layers), vocab]``."""
    early = states[list(layers)].transpose(0, 1)
    logits = forward.head(early.flatten(0, 1))
    return logits.view(*early.shape[:2], -1)
