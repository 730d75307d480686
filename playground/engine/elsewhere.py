"""A run of this process whose lanes are written elsewhere: its views, and how they are updated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from playground.engine.lanes.chain import chain
from playground.engine.lanes.view import View
from playground.engine.news import NOTHING, LaneNews, News
from playground.engine.run import Run
from playground.trace import FinishReason, Output, StepRecord, Trace
from strategies import Recipe


@dataclass(frozen=True)
class RemoteText:
    """One text of a lane that is written elsewhere."""

    output: Output
    settled: int = 0
    final: int = 0

    @property
    def reason(self) -> FinishReason | None:
        return self.output.finish_reason


@dataclass(frozen=True)
class LaneSnapshot:
    """The latest state of a lane: its records, and the texts that they lead to."""

    records: list[StepRecord]
    texts: list[RemoteText]
    news: LaneNews | None = None


class RemoteView(View[Any]):
    """The view of a lane that another process writes: its latest snapshot.

    The records of one view keep their numbers. A lane that another writer continues, or begins
    again, has another view; see ``RemoteRun``. ``ahead`` are the records that a writer continues.
    """

    def __init__(self, recipe: Recipe, ahead: Sequence[StepRecord] = ()) -> None:
        self.recipe, self.chain = recipe, chain(recipe)
        self._ahead = [
            step.model_copy(update={"index": at, "parent": at - 1 if at else None})
            for at, step in enumerate(ahead)
        ]
        first = RemoteText(self._joined(NOTHING), len(ahead), len(ahead))
        # Replaced as a whole, since other threads read it meanwhile.
        self._latest = LaneSnapshot(list(self._ahead), [first])
        self._own: list[Output] = []  # the texts of this writer alone

    def take(self, news: LaneNews, later: float = 0.0) -> None:
        """Take over the news; ``later`` seconds are added to the times of records."""
        ahead = len(self._ahead)
        new = [_moved(step, ahead, later) for step in news.steps]
        old = [*self._own, *([NOTHING] * len(news.texts))]
        self._own = [text.whole(known) for known, text in zip(old, news.texts, strict=False)]
        texts = [
            RemoteText(self._joined(output), ahead + text.settled, ahead + text.final)
            for output, text in zip(self._own, news.texts, strict=True)
        ]
        first = RemoteText(self._joined(NOTHING), ahead, ahead)
        self._latest = LaneSnapshot(
            [*self._latest.records[: ahead + news.first], *new], texts or [first], news
        )
        self.offer, self.error, self.done = news.offer, news.error, news.done

    def _joined(self, output: Output) -> Output:
        """A text after that of the writer before."""
        ahead = len(self._ahead)
        if not ahead:
            return output
        return output.model_copy(
            update={
                "text": "".join(step.text for step in self._ahead) + output.text,
                "token_ids": [step.token for step in self._ahead] + output.token_ids,
                "nodes": [*range(ahead), *(node + ahead for node in output.nodes)],
            }
        )

    @property
    def steps(self) -> list[StepRecord]:
        return self._latest.records

    def measured(self, held: RemoteText) -> dict[str, float]:
        return dict(held.output.found)

    @property
    def text(self) -> str:
        return self._latest.texts[0].output.text

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._latest.texts[0].reason or self.ended

    def ordered(self) -> list[Any]:
        return list(self._latest.texts)

    def nodes(self, held: Any, known: Sequence[int] = ()) -> list[int]:
        nodes: list[int] = held.output.nodes
        pairs = enumerate(zip(known, nodes, strict=False))
        same = min(len(known), len(nodes))
        return nodes[next((at for at, (old, new) in pairs if old != new), same) :]

    def written(self, held: Any) -> list[int]:
        return list(held.output.token_ids)

    def settled(self, held: Any) -> int:
        return len(held.output.nodes) if self.done else held.settled

    def final(self, held: Any) -> int:
        return len(held.output.nodes) if self.done else held.final

    def path(self) -> list[StepRecord]:
        latest = self._latest
        shown = latest.texts[0]
        return [latest.records[node] for node in shown.output.nodes[: self.settled(shown)]]

    def trace(
        self,
        vocab_size: int,
        found: Sequence[dict[str, float]] | None = None,
        texts: Sequence[Any] | None = None,
        known: Sequence[Sequence[int]] = (),
    ) -> Trace:
        latest = self._latest
        outputs = [text.output for text in texts or latest.texts]
        if self.ended is not None:  # here, and not where it was written
            outputs = [
                one.model_copy(update={"finish_reason": one.finish_reason or self.ended})
                for one in outputs
            ]
        news, ahead = latest.news, len(self._ahead)
        beams = news.beams if news else None
        return Trace.model_construct(
            chain=self.chain,
            vocab_size=vocab_size,
            steps=list(latest.records),
            outputs=outputs,
            copies=news.copies if news else 1,
            second_prompts=news.second_prompts if news else [],
            beams=beams.after(ahead) if beams and ahead else beams,
            offer=self.offer,
        )

    def forget(self) -> None:
        """Does nothing: the last snapshot is all that is kept."""


def _moved(step: StepRecord, ahead: int, later: float) -> StepRecord:
    """A record of another process, moved by ``ahead`` tokens and ``later`` seconds."""
    update: dict[str, Any] = {"at": step.at + later}
    if ahead:
        parent = ahead - 1 if step.parent is None else step.parent + ahead
        update |= {"index": step.index + ahead, "parent": parent}
    return StepRecord.of(**{**vars(step), **update})


class RemoteRun:
    """A run of this process that other processes write, each some of its lanes; see ``take``.

    ``views`` are those of the lanes that are read now.
    """

    def __init__(self, run: Run, views: Sequence[RemoteView]) -> None:
        self.run, self.views = run, list(views)
        self._later: dict[int, float] = {}  # by lane: when its writer began, after its submission
        self._coming: dict[int, RemoteView] = {}  # by lane: of a writer that began it again
        run.elsewhere = [*views]

    def take(self, news: News, lanes: Sequence[int] | None = None) -> None:
        """Take over the news of some lanes, or of all, and notify subscribers."""
        run = self.run
        wanted = range(len(self.views)) if lanes is None else lanes
        now = max(0.0, perf_counter() - run.submitted - news.elapsed)
        later = [self._later.setdefault(lane, now) for lane in wanted]
        if lanes is None or not run.prefills:  # the facts of a run's start are the first writer's
            run.facts, run.queued = news.facts or run.facts, later[0] + news.queued
            run.prefills, run.prompt_known = news.prefills, news.prompt_known
            run.reused_tokens = news.reused_tokens
            run.put = run.put if news.put is None else news.put
        if run.state == "queued":
            run.queue_position = news.queue_position
            run.state = "queued" if news.state == "queued" else "running"
        run.paused |= news.paused
        run.yielded |= news.yielded
        run.error = run.error or news.error
        run.memory = news.memory or run.memory
        for number, lane_news, began in zip(wanted, news.lanes, later, strict=True):
            if not self.views[number].done:
                self._take(number, lane_news, began)
        run.changed()

    def _take(self, lane: int, news: LaneNews, later: float) -> None:
        coming = self._coming.get(lane)
        (coming or self.views[lane]).take(news, later)
        if coming and (news.done or len(coming.path()) >= len(self.views[lane].path())):
            self._read(lane, coming)

    def _read(self, lane: int, view: RemoteView) -> None:
        """Replace the view of a lane."""
        self._coming.pop(lane, None)
        self.views[lane] = view
        assert self.run.elsewhere is not None
        self.run.elsewhere[lane] = view

    def go_on(self, lane: int, count: int) -> None:
        """Append the news from now on to the first ``count`` tokens of a lane's text."""
        old = self.views[lane]
        self._read(lane, RemoteView(old.recipe, old.path()[:count]))

    def begin_anew(self, lane: int) -> None:
        """Take the news from now on for the whole text; the old one stays until it is as long."""
        self._coming[lane] = RemoteView(self.views[lane].recipe)

    def lost(self, lanes: Sequence[int]) -> None:
        """Forget the writers of these lanes, which others will continue."""
        for lane in lanes:
            self._later.pop(lane, None)

    def end(
        self,
        reason: FinishReason,
        error: str | None = None,
        lanes: Sequence[int] | None = None,
    ) -> None:
        """End all unfinished lanes, or those of ``lanes``; what is written stays."""
        for lane in range(len(self.views)) if lanes is None else lanes:
            if not self.views[lane].done:
                self.views[lane].end(reason, error)
        self.run.changed()
