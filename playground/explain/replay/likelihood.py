"""The likelihood of a given text under recipes, token by token.

Teacher forcing: at every token a recipe's steps are applied to the model's logits, with the row as
it would be, and then observe that this token was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from playground.explain.replay.faults import Faults, logprob, rank_of
from playground.metrics import perplexity
from playground.trace.scores import Impossible, RecipeScore
from strategies import Processor, Recipe, Refusal, Row, Search
from strategies.ops.topk import argmax

# What the log-probabilities of a text mean, by how the search chooses.
_MEANINGS = {
    "draw": "The search draws each token with this probability.",
    "likeliest": "The search takes the likeliest token: a text is certain where each of its tokens "
    "is that, and impossible elsewhere; the probabilities are what the steps left.",
    "text": "The search weighs whole texts: which one it ends with is told by no token alone. A "
    "token that a step removed is impossible; the probabilities are what the steps left.",
    "drawn text": "The search draws among whole texts: which it ends with is told by no token "
    "alone. A token that a step removed is impossible; the probabilities are what the steps left.",
    "likeness": "The search also weighs likeness to what came before, which is not read here. A "
    "token that a step removed is impossible; the probabilities are what the steps left.",
    "person": "A person chooses: every token that the steps leave can be written.",
}
_UNKNOWN = (
    "The search does not say how it chooses. A token that a step removed is impossible; the "
    "probabilities are what the steps left."
)
_GOES_BACK = (
    "A step takes back what it finds written and has another token drawn: the probabilities are "
    "those of what is drawn first."
)


@dataclass
class RecipeLikelihood:
    """One recipe on one text, fed with logits in order.

    ``prompt`` and ``text`` are token ids. Tokens in ``eos`` end a text. ``pieces`` are the text's
    tokens as they are shown. The first ``hidden_steps`` processors were added before those that the
    recipe names. ``unit`` is the relative rounding error of the model's dtype (its epsilon):
    reading a text at once rounds otherwise than generating it, so a close call may be decided the
    other way.
    """

    recipe: Recipe
    processors: Sequence[Processor]
    search: Search
    prompt: tuple[int, ...]
    text: tuple[int, ...]
    pieces: Sequence[str]
    eos: frozenset[int]
    seed: int
    hidden_steps: int = 0
    unit: float = 0.0
    logprobs: list[float | None] = field(default_factory=list)
    ranks: list[int | None] = field(default_factory=list)
    impossible: Impossible | None = None
    close_call: Impossible | None = None  # the first token that may be impossible by rounding alone
    error: str | None = None

    def __post_init__(self) -> None:
        self._states = [processor.initial_state() for processor in self.processors]
        stateful = [p.stateful for p in self.processors]
        self._first_stateful = stateful.index(True) if True in stateful else len(stateful)
        self._faults = Faults(
            self.recipe,
            self.processors,
            self.search,
            self.text,
            self.pieces,
            self.eos,
            self.hidden_steps,
        )
        self._over = False  # no token after this one can be judged
        self._went_back = ""  # a sentence on where tokens would first have been taken back

    def take(self, logits: Tensor, given: Mapping[int, Tensor]) -> None:
        """The logits of the next tokens, float32 ``[n, vocab]``.

        ``given`` is what processors read beside the logits, ``[n, …]`` by their depth.
        """
        first, n = len(self.logprobs), len(logits)
        if not self._over:
            try:
                self._take(first, logits, given)
            except Refusal as error:
                self._end(str(error))
            except Exception as error:  # a plugin's: the other recipes go on
                self._end(f"{type(error).__name__}: {error}")
        missing = first + n - len(self.logprobs)
        self.logprobs += [None] * missing
        self.ranks += [None] * missing

    def _end(self, error: str) -> None:
        self.error, self._over = error, True

    def _take(self, first: int, logits: Tensor, given: Mapping[int, Tensor]) -> None:
        scores = logits.log_softmax(-1) if self.search.reads_logprobs else logits
        rows = [self._row(first + i) for i in range(len(logits))]
        levels = [scores]
        for depth in range(self._first_stateful):
            levels.append(self._applied(depth, levels[-1], rows, given))
        if self._first_stateful == len(self.processors):
            for i in range(len(rows)):
                extra = {d: what[i : i + 1] for d, what in given.items()}
                self._judge(first + i, [level[i] for level in levels], extra)
            return
        for i, row in enumerate(rows):
            own = [level[i] for level in levels]
            for depth in range(self._first_stateful, len(self.processors)):
                extra = {d: what[i : i + 1] for d, what in given.items()}
                own.append(self._applied(depth, own[-1][None], [row], extra)[0])
            if not self._judge(first + i, own, extra):
                self._over = True  # states are not defined after a token that is impossible
                return
            self._observe(self.text[first + i], own)

    def _row(self, index: int) -> Row:
        tokens = (*self.prompt, *self.text[:index])
        return Row(tokens, len(self.prompt), seed=self.seed)

    def _applied(
        self, depth: int, scores: Tensor, rows: Sequence[Row], given: Mapping[int, Tensor]
    ) -> Tensor:
        processor = self.processors[depth]
        if processor.stateful:
            rows = [replace(row, state=self._states[depth]) for row in rows]
        if depth in given:
            pairs = zip(rows, given[depth], strict=True)
            rows = [replace(row, given=what) for row, what in pairs]
        return processor(scores, rows)

    def _observe(self, token: int, levels: Sequence[Tensor]) -> None:
        final = logprob(levels[-1], token)
        for depth, processor in enumerate(self.processors):
            if processor.stateful:
                own = logprob(levels[depth], token) if processor.observes == "given" else final
                self._states[depth] = processor.observe(self._states[depth], token, own)
            if processor.goes_back:
                self._would_go_back(depth)

    def _would_go_back(self, depth: int) -> None:
        """Note where tokens would first be taken back. A given text goes on all the same."""
        count = len(self.logprobs)
        row = replace(
            self._row(count), state=self._states[depth], done=self.text[count - 1] in self.eos
        )
        rewind = self.processors[depth].rewind(row)
        if rewind is None:
            return
        if not rewind.count:
            self._states[depth] = rewind.state
        elif not self._went_back:
            self._went_back = f" After token {count} it would have gone back: {rewind.why}"

    def _found(self) -> dict[str, float]:
        """The measures of the processors on the whole text."""
        found: dict[str, float] = {}
        row = self._row(len(self.text))
        for processor, state in zip(self.processors, self._states, strict=True):
            if not processor.goes_back and self.error is None:  # nothing is taken back here
                found.update(processor.measure(replace(row, state=state)))
        return found

    def _judge(self, index: int, levels: Sequence[Tensor], given: Mapping[int, Tensor]) -> bool:
        """Append one token's log-probability and rank, and find a fault; whether the steps left it.

        ``levels`` are the scores ``[vocab]`` at each stage.
        """
        token = self.text[index]
        own = logprob(levels[-1], token)
        left = own > -math.inf
        self.logprobs.append(own if left else None)
        self.ranks.append(rank_of(levels[-1], token) if left else None)
        if self.impossible is None:
            ended = self._faults.ended(index)
            fault = ended or self._faults.fault(index, levels)
            if fault is None or ended is not None or not self._is_close(index, levels[0], given):
                self.impossible = fault
            elif self.close_call is None:
                self.close_call = fault.model_copy(update={"within_rounding": True})
        return left

    def _is_close(self, index: int, scores: Tensor, given: Mapping[int, Tensor]) -> bool:
        """Whether the token would be chosen if its score were higher by what rounding may change.

        That is taken as two units of the largest score.
        """
        token = self.text[index]
        finite = scores[scores > -torch.inf]
        if not self.unit or not len(finite) or not scores[token] > -torch.inf:
            return False
        raised = scores.clone()
        raised[token] += 2 * self.unit * float(finite.abs().max())
        level, row = raised[None], self._row(index)
        for depth in range(len(self.processors)):
            level = self._applied(depth, level, [row], given)
        if self.search.chooses == "likeliest":
            return int(argmax(level)) == token
        return bool(level[0, token] > -torch.inf)

    def result(self) -> RecipeScore:
        known = [p for p in self.logprobs if p is not None]
        whole = len(known) == len(self.logprobs) and self.error is None
        chooses: Any = "person" if self.search.asks else self.search.chooses
        possible: bool | None = chooses in ("draw", "likeliest", "person") or None
        if self.impossible is not None:
            possible = False
        elif self.close_call is not None or not whole:
            possible = None
        unknown = None
        if any(processor.goes_back for processor in self.processors):
            possible, unknown = possible and None, _GOES_BACK + self._went_back
        return RecipeScore(
            recipe=str(self.recipe),
            search=str(self.recipe.search),
            possible=possible,
            meaning=_MEANINGS.get(chooses, _UNKNOWN),
            unknown=unknown,
            logprobs=self.logprobs,
            ranks=self.ranks,
            logprob=math.fsum(known) if whole else None,
            perplexity=perplexity(known) if whole else None,
            impossible=self.impossible or self.close_call,
            error=self.error,
            found=self._found(),
        )
