"""What another process is told of a run that this one writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from time import perf_counter
from typing import Any

from playground.engine.lanes.view import View
from playground.engine.run import Run, State
from playground.trace import BeamRecord, Memory, ModelFacts, Output, StepRecord

FOUND_SHARE = 0.1  # of the time, for what strategies find in the texts that are told


@dataclass(frozen=True)
class TextNews:
    """What is new of one text: ``rest`` is what follows as much of it as was told and still holds.

    That are so many ``characters``, ``nodes`` and ``token_ids``. ``settled`` of all its tokens are
    shown, and ``final`` of them stay.
    """

    rest: Output
    settled: int
    final: int
    characters: int = 0
    nodes: int = 0
    token_ids: int = 0

    @classmethod
    def after(cls, old: Output, new: Output, settled: int, final: int) -> TextNews:
        """The news of a text that was ``old`` when it was told last."""
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
        """The text as it is now, of what it was."""
        return _changed(
            self.rest,
            text=old.text[: self.characters] + self.rest.text,
            nodes=old.nodes[: self.nodes] + self.rest.nodes,
            token_ids=old.token_ids[: self.token_ids] + self.rest.token_ids,
        )


def _alike(old: str | list[Any], new: str | list[Any]) -> int:
    """How long the beginning is that both have."""
    most = min(len(old), len(new))
    if old[:most] == new[:most]:
        return most
    return next(at for at in range(most) if old[at] != new[at])


def _changed(output: Output, **fields: Any) -> Output:
    """The same as ``model_copy``, in a fraction of its time."""
    return Output.of(**{**vars(output), **fields})


@dataclass(frozen=True)
class LaneNews:
    """What is new of a lane: its records from number ``first`` on, and its texts."""

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
    """What is new of a run, ``elapsed`` seconds after it was submitted where it is written.

    ``facts`` and ``put`` are None where they are as they were told.
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
    """Tells of a run of this process what is new since the last time."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.version = -1
        self._facts: ModelFacts | None = None
        self._put: list[StepRecord] | None = None
        self._sent: list[list[StepRecord]] = [[] for _ in run.views]
        self._texts: list[list[Output]] = [[] for _ in run.views]
        self._found: list[list[dict[str, float]]] = [[] for _ in run.views]
        self._due = [0.0 for _ in run.views]  # when that is to be found anew

    @property
    def stale(self) -> bool:
        """Whether there may be news."""
        return self.run.version != self.version

    def news(self) -> News:
        """What is new; of a run that is done, all that was left to tell."""
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
        if due:  # what strategies find takes longer with every token, so it has a share of the time
            self._found[number] = [output.found for output in trace.outputs]
            ended = perf_counter()
            self._due[number] = ended + (ended - began) * (1 / FOUND_SHARE - 1)
        # A record is replaced where its text was cut or taken back; all from there on is sent.
        first = _alike(known, trace.steps)
        known[:] = trace.steps
        told, self._texts[number] = self._texts[number], trace.outputs
        texts = [
            TextNews.after(old or NOTHING, new, view.settled(held), view.final(held))
            for old, new, held in zip_longest(told, trace.outputs, shown[: len(trace.outputs)])
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
