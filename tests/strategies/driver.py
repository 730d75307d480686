"""A reference decode loop, slow and plain: no cache, no batch of strangers, no records.

It obeys the contract of ``strategies.base`` and nothing else, so a strategy that passes here owes
nothing to the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from strategies import (
    Context,
    DraftScores,
    EarlyLayers,
    Move,
    Processor,
    Recipe,
    Rewind,
    Row,
    Search,
    SecondPrompt,
    Step,
)
from strategies.grammars import Grammars
from strategies.ops.noise import gumbel

Logits = Callable[[list[tuple[int, ...]]], Tensor]  # token rows of one length -> [rows, vocab]

GRAMMARS = Grammars()  # of all tests, as a program has one


def context(
    vocab: int, eos: Sequence[int] = (), max_new_tokens: int = 16, **others: Any
) -> Context:
    """A context whose text is its token ids with spaces between; other words are tokens too."""
    others.setdefault("tokenizer", byte_tokenizer(vocab))
    others.setdefault("grammars", GRAMMARS)
    others.setdefault("layers", 12)
    others.setdefault("draft_model", "a smaller one")
    others.setdefault("finds_drafts", True)
    return Context(
        vocab_size=vocab,
        eos_token_ids=tuple(eos),
        max_new_tokens=max_new_tokens,
        encode=lambda text: [int(w) if w.isdigit() else ord(w[0]) % vocab for w in text.split()],
        decode=lambda tokens: " ".join(map(str, tokens)),
        **others,
    )


@cache
def byte_tokenizer(vocab: int) -> Callable[[], str]:
    """A tokenizer of this many tokens in the form a context offers: bytes first, then ``tok256``…

    Digits and what JSON is made of come before other bytes, so that a small one can write some.
    """
    first = dict.fromkeys('0123456789[]{}:,"aeflnorstu-.')
    letters = [*first, *sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(first))]
    names = [*letters, *(f"tok{i}" for i in range(256, vocab))][:vocab]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made.to_str


def begun(processor: Processor, rows: Sequence[Row]) -> list[Row]:
    """The rows with the states this processor has after what they generated."""
    out = []
    for row in rows:
        state = processor.initial_state()
        for token in row.generated:
            state = processor.observe(state, token, -1.0)
        need = processor.needs(row.prompt)
        given = said(need, row, processor.context.vocab_size) if need else None
        out.append(replace(row, state=state, given=given))
    return out


def said(need: SecondPrompt | EarlyLayers | DraftScores, row: Row, vocab: int) -> Tensor:
    """Scores that depend on the row's last token and on what is asked for."""
    if isinstance(need, SecondPrompt):
        return noise(sum(need.tokens) + row.tokens[-1], vocab)
    if isinstance(need, DraftScores):
        return noise(1 + row.tokens[-1], vocab)
    return torch.stack([noise(layer + row.tokens[-1], vocab) for layer in need.layers])


def noise(seed: int, size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def hidden(tokens: Sequence[int]) -> Tensor:
    """A hidden state for each token, ``[tokens, 8]``: equal tokens have equal ones."""
    return torch.stack([noise(token, 8) for token in tokens])


def advance(search: Search, step: Step) -> Sequence[Move | Rewind]:
    """A search's moves, after all that it looks ahead at."""
    moves = search.advance(step)
    if not isinstance(moves, Generator):
        return moves
    try:
        look = next(moves)
        while True:
            assert 0 < len(set(look.tokens)) == len(look.tokens) <= search.width()
            look = moves.send(hidden(look.tokens))
    except StopIteration as returned:
        chosen: list[Move] = returned.value
        assert all(move.token in look.tokens for move in chosen)
        return chosen


def forward(model: Any) -> Logits:
    """The last position's logits of a transformers model, remembered per row."""
    known: dict[tuple[int, ...], Tensor] = {}

    def logits(rows: list[tuple[int, ...]]) -> Tensor:
        for row in rows:
            missing = [other for other in rows if other not in known and len(other) == len(row)]
            if missing:
                with torch.inference_mode():
                    last = model(torch.tensor(missing)).logits[:, -1].float()
                known.update(zip(missing, last, strict=True))
        return torch.stack([known[row] for row in rows])

    return logits


def transitions(table: Tensor) -> Logits:
    """A model whose next token depends on the last one only: ``table[last]`` are probabilities."""
    return lambda rows: table.log().float()[[row[-1] for row in rows]]


@dataclass(frozen=True)
class Held:
    """A row, and what each of its processors keeps of it."""

    row: Row
    states: tuple[Any, ...]
    before: Held | None = None  # without its last token

    def back(self, count: int) -> Held:
        """What it was before its last ``count`` tokens."""
        held = self
        for _ in range(count):
            assert held.before is not None
            held = held.before
        return held


def run(
    logits: Logits,
    recipe: Recipe | str,
    prompt: Sequence[int],
    *,
    max_new_tokens: int = 16,
    eos: Sequence[int] = (),
    seed: int = 0,
    stop: Callable[[tuple[int, ...]], bool] = lambda generated: False,
) -> list[Row]:
    """A recipe's texts, the shown one first. ``stop`` is told what a row has generated."""
    vocab = logits([tuple(prompt)]).shape[-1]
    about = context(vocab, eos, max_new_tokens)
    processors, search = Recipe.of(recipe).build(about)
    start = Row(tuple(prompt), len(prompt), seed=seed)
    running = [Held(start, tuple(processor.initial_state() for processor in processors))]
    finished: list[Row] = []
    for index in count():
        rows = [held.row for held in running]
        scores = logits([row.tokens for row in rows])
        raw = scores
        scores = scores.log_softmax(-1) if search.reads_logprobs else scores
        found = []  # what each processor was given
        for p, processor in enumerate(processors):
            found.append(scores.log_softmax(-1))
            seen = []
            for held in running:
                need = processor.needs(prompt)
                given = said(need, held.row, vocab) if need else None
                seen.append(replace(held.row, state=held.states[p], given=given))
            scores = processor(scores, seen)

        def ends(row: int, token: int, rows: list[Row] = rows) -> bool:
            written = (*rows[row].generated, token)
            return token in eos or len(written) == max_new_tokens or stop(written)

        def noise_of(row: Row) -> Callable[[int], Tensor]:
            return partial(_noise, seed, len(row.generated), vocab)

        step = Step(
            index=index,
            rows=rows,
            scores=scores,
            noise=noise_of(rows[0]),
            noises=[noise_of(row) for row in rows],
            logits=raw,
            ends=ends,
            finished=tuple(finished),
            hidden=[hidden(row.tokens if index == 0 else row.tokens[-1:]) for row in rows],
        )
        moves = advance(search, step)
        if search.asks and not moves:
            break
        assert sum(isinstance(m, Rewind) or not m.done for m in moves) <= search.width()
        following = []
        for move in moves:
            parent = running[move.parent]
            if isinstance(move, Rewind):
                was = parent.back(move.count)
                sample = parent.row.sample if move.sample is None else move.sample
                again = {"score": move.score, "state": move.state, "sample": sample}
                following.append(replace(was, row=replace(was.row, **again)))
                continue
            row = replace(
                parent.row,
                tokens=(*parent.row.tokens, move.token),
                score=move.score,
                state=move.state,
                done=move.done,
                sample=parent.row.sample if move.sample is None else move.sample,
            )
            states = tuple(
                processor.observe(
                    state,
                    move.token,
                    float(told[move.parent, move.token]),
                )
                for processor, state, told in zip(
                    processors,
                    parent.states,
                    [
                        before if processor.observes == "given" else step.logprobs
                        for processor, before in zip(processors, found, strict=True)
                    ],
                    strict=True,
                )
            )
            held = _gone_back(Held(row, states, parent), processors)
            if held.row.done:
                finished.append(held.row)
            else:
                following.append(held)
        running = following
        if not running:
            break
    return search.order([*finished, *(held.row for held in running)])


def _noise(seed: int, position: int, vocab: int, sample: int) -> Tensor:
    return gumbel(seed, sample, position, vocab)


def _gone_back(held: Held, processors: Sequence[Processor]) -> Held:
    """A row without the tokens that one of its processors takes back."""
    for depth, processor in enumerate(processors):
        rewind = processor.rewind(replace(held.row, state=held.states[depth]))
        if rewind is not None:
            was = held.back(rewind.count)
            pairs = zip(processors, was.states, held.states, strict=True)
            states = [one.after_rewind(earlier, now) for one, earlier, now in pairs]
            states[depth] = rewind.state
            row = was.row if not rewind.count else replace(was.row, sample=held.row.sample)
            held = replace(was, row=row, states=tuple(states))
            if rewind.count:
                break
    return held


def written(rows: Sequence[Row]) -> list[list[int]]:
    """What each row generated."""
    return [list(row.generated) for row in rows]
