"""A text that continues another from one of its tokens, as one whole text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from playground.metrics import measure
from playground.trace import (
    Candidates,
    Chain,
    Comparison,
    LaneResult,
    Output,
    StageSummary,
    StepRecord,
    Trace,
)

NEVER = -1000.0  # the log-probability of a token that a recipe had removed, which JSON can hold


def graft(
    comparison: Comparison,
    lane: int,
    sample: int,
    step: int,
    fork: Comparison,
    put: Sequence[StepRecord] = (),
) -> LaneResult:
    """The text of ``fork`` after that which it continues: a lane's up to ``step``, and the tokens
    that a person put there.

    The fork is a run of one recipe whose ``prefix`` is that text. ``put`` are the records of the
    tokens put there, where the lane has none of them.
    """
    source, written = comparison.lanes[lane].trace, fork.lanes[0]
    return joined(before(source, sample, step, written, put), written)


def before(
    source: Trace, sample: int, step: int, fork: LaneResult, put: Sequence[StepRecord] = ()
) -> list[StepRecord]:
    """The records of the text that ``fork`` continues.

    Under another recipe than the source's they have the model's distribution alone, since that
    recipe did not choose them.
    """
    path = source.path(sample)
    kept = list(path[:step])
    own = source.chain.written == fork.trace.chain.written
    tokens = fork.forked.tokens if fork.forked is not None else []
    if tokens and not put:
        kept.append(path[step] if path[step].token == tokens[0] else _put(path[step], tokens[0]))
    shown = [one if own else _given(one, fork.trace.chain, source.vocab_size) for one in kept]
    shown += [_given(one, fork.trace.chain, source.vocab_size) for one in put]
    return [
        one.model_copy(update={"index": at, "parent": at - 1 if at else None})
        for at, one in enumerate(shown)
    ]


def joined(given: Sequence[StepRecord], written: LaneResult) -> LaneResult:
    """A lane with these records before its own."""
    ahead = len(given)
    later = [
        one.model_copy(
            update={
                "index": one.index + ahead,
                "parent": (ahead - 1 if ahead else None)
                if one.parent is None
                else one.parent + ahead,
            }
        )
        for one in written.trace.steps
    ]
    text, ids = "".join(one.text for one in given), [one.token for one in given]
    outputs = [
        output.model_copy(
            update={
                "text": text + output.text,
                "token_ids": ids + output.token_ids,
                "nodes": [*range(ahead), *(node + ahead for node in output.nodes)],
            }
        )
        for output in written.trace.outputs or [Output(text="", token_ids=[], nodes=[])]
    ]
    trace: Trace = written.trace.model_copy(
        update={
            "steps": [*given, *later],
            "outputs": outputs,
            "beams": written.trace.beams and written.trace.beams.after(ahead),
        }
    )
    return written.model_copy(
        update={
            "text": outputs[0].text,
            "token_ids": outputs[0].token_ids,
            "trace": trace,
            "metrics": measure(trace),
        }
    )


def _put(step: StepRecord, token: int) -> StepRecord:
    """The record of a step with another of its candidates as the token. Raises ``ValueError``."""
    known = step.candidates
    if token not in known.ids:
        raise ValueError(f"token {token} was not recorded at step {step.index}.")
    at = known.ids.index(token)
    return step.model_copy(
        update={
            "token": token,
            "text": known.texts[at],
            "special": False,
            "raw_logprob": _log(known.raw[at]),
            "logprob": _log(known.final[at]),
            "raw_rank": 1 + sum(p > known.raw[at] for p in known.raw),
            "rank": 1 + sum(p > known.final[at] for p in known.final),
            "logits": "",
            "draft": None,
            "draft_text": "",
        }
    )


def _given(step: StepRecord, chain: Chain, vocab: int) -> StepRecord:
    """The record of a token that no recipe chose: the model's distribution after every stage."""
    known, stages = step.candidates, len(chain.processors)
    raw = Candidates(ids=known.ids, texts=known.texts, raw=known.raw, stages=[known.raw] * stages)
    summary = StageSummary(survivors=vocab, entropy=step.raw_entropy)
    return step.model_copy(
        update={
            "candidates": raw,
            "stages": [summary] * stages,
            "logprob": step.raw_logprob,
            "rank": step.raw_rank,
            "logits": "",
        }
    )


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else NEVER
