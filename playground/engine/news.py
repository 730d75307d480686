"""The news of a run that this process writes, for another process that follows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from time import perf_counter
from typing import Any

from playground.engine.lanes.view import View
from playground.engine.run import Run, State
from playground.trace import BeamRecord, Memory, ModelFacts, Output, StepRecord

FOUND_SHARE = 0.1  # of the time, for what strategies measure in the texts


@dataclass(frozen=True)
class TextNews:
    """The news of one text: ``rest`` follows the part of the last state that still holds.

    That part has so many ``characters``, ``nodes`` and ``token_ids``. Of all tokens ``settled`` are
    shown, and ``final`` can no longer be taken back.
    """

    rest: Output
    settled: int
    final: int
    characters: int = 0
    nodes: int = 0
    token_ids: int = 0

    @classmethod
    def after(cls, old: Output, new: Output, settled: int, final: int) -> TextNews:
        """The news of a text that was ``old`` in the last news."""
        characters = _alike(old.text, new.text)
        nodes, ids = _alike(old.nodes, new.nodes), _alike(old.token_ids, new.token_ids)
        rest = _changed(
            new,
            text=new.text[characters:],
            nodes=new.nodes[nodes:],
            token_ids=new.token_ids[ids:],
        )
        return cls(rest, settled, final, characters, nodes, ids)

    def whole(self, old: Output) -> Output:
        """The text as it is now, from its ``old`` state."""
        return _changed(
            self.rest,
            text=old.text[: self.characters] + self.rest.text,
            nodes=old.nodes[: self.nodes] + self.rest.nodes,
            token_ids=old.token_ids[: self.token_ids] + self.rest.token_ids,
        )


def _alike(old: str | list[Any], new: str | list[Any]) -> int:
    """The length of the common prefix."""
    most = min(len(old), len(new))
    if old[:most] == new[:most]:
        return most
    return next(at for at in range(most) if old[at] != new[at])


def _changed(output: Output, **fields: Any) -> Output:
    """A copy with other fields, in a fraction of the time of ``model_copy``."""
    return Output.of(**{**vars(output), **fields})


@dataclass(frozen=True)
class LaneNews:
    """The news of a lane: its records from number ``first`` on, and its texts."""

    first: int
    steps: list[StepRecord]
    texts: list[TextNews]
    done: bool
    error: str | None = None
    copies: int = 1
    second_prompts: list[int] = field(default_factory=list)
    beams: BeamRecord | None = None
    offer: StepRecord | None = None


@dataclass(frozen=True)
class News:
    """The news of a run, ``elapsed`` seconds after it was submitted to the process that writes it.

    ``facts`` and ``put`` are None where they have not changed since the last news.
    """

    elapsed: float
    facts: ModelFacts | None
    queued: float
    prefills: list[float]
    lanes: list[LaneNews]
    error: str | None = None
    state: State = "running"
    queue_position: int = 0
    prompt_known: bool = False
    reused_tokens: int = 0
    put: list[StepRecord] | None = None
    paused: bool = False
    yielded: bool = False
    memory: Memory | None = None


class NewsFeed:
    """The news of a run of this process, each time since the last."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.version = -1
        self._facts: ModelFacts | None = None
        self._put: list[StepRecord] | None = None
        self._sent: list[list[StepRecord]] = [[] for _ in run.views]
        self._texts: list[list[Output]] = [[] for _ in run.views]
        self._found: list[list[dict[str, float]]] = [[] for _ in run.views]
        self._due = [0.0 for _ in run.views]  # when each lane is to be measured again

    @property
    def stale(self) -> bool:
        """Whether there may be news."""
        return self.run.version != self.version

    def news(self) -> News:
        """The news since the last call; once the run is done, all that is left."""
        run = self.run
        self.version = run.version  # read before its lanes are
        lanes = [self._lane(number, view) for number, view in enumerate(run.views)]
        facts, put = run.facts, run.put  # each replaced as a whole
        news = News(
            elapsed=perf_counter() - run.submitted,
            facts=None if facts is self._facts else facts,
            queued=run.queued,
            prefills=list(run.prefills),
            lanes=lanes,
            error=run.error,
            state=run.state,
            queue_position=run.queue_position,
            prompt_known=run.prompt_known,
            reused_tokens=run.reused_tokens,
            put=None if put is self._put else put,
            paused=run.paused,
            yielded=run.yielded,
            memory=run.memory,
        )
        self._facts, self._put = facts, put
        return news

    def _lane(self, number: int, view: View[Any]) -> LaneNews:
        done = view.done  # read before its texts: a lane that is done does not change any more
        known, began = self._sent[number], perf_counter()
        due = done or began >= self._due[number]
        shown = view.ordered()  # once, since the lane may go on
        found = None if due else self._found[number]
        paths = [output.nodes for output in self._texts[number]]
        trace = view.trace(self.run.facts.vocab_size, found, shown, paths)
        if due:  # measuring takes longer with every token, so it gets a share of the time
            self._found[number] = [output.found for output in trace.outputs]
            ended = perf_counter()
            self._due[number] = ended + (ended - began) * (1 / FOUND_SHARE - 1)
        # A record is replaced where its text was cut or taken back; all from there on is sent.
        first = _alike(known, trace.steps)
        known[:] = trace.steps
        before, self._texts[number] = self._texts[number], trace.outputs
        texts = [
            TextNews.after(old or NOTHING, new, view.settled(held), view.final(held))
            for old, new, held in zip_longest(before, trace.outputs, shown[: len(trace.outputs)])
            if new is not None
        ]
        return LaneNews(
            first=first,
            steps=trace.steps[first:],
            texts=texts,
            done=done,
            error=view.error,
            copies=trace.copies,
            second_prompts=trace.second_prompts,
            beams=trace.beams,
            offer=trace.offer,
        )


NOTHING = Output(text="", token_ids=[], nodes=[])
