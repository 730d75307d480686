"""One step of all lanes: what the model must read for them, and each lane's turn on what it said.

Rows of everybody share one forward, and next tokens that a search looks at are rows like others. A
row is read by itself where it goes without the cache, or where its search drafted tokens that are
read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from playground.engine.decode.draft import Drafter
from playground.engine.decode.turn import Turn, resume, take
from playground.engine.forward import EarlyRow, Forward, ForwardOutput
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.lane import Lane
from playground.engine.lanes.rows import NOTHING, Fault, Given, Look
from playground.engine.run import Run
from strategies import EarlyLayers, SecondPrompt


@dataclass(frozen=True)
class _Said:
    """What was said to one sequence: row ``at`` of a forward, ``seconds`` that ``rows`` shared."""

    heard: ForwardOutput
    at: int
    seconds: float
    rows: int
    prompt: bool = False  # whether that forward read its whole prompt

    @property
    def scores(self) -> Tensor:
        return self.heard.logits[self.at]

    @property
    def hidden(self) -> Tensor:
        """Top states of the tokens that were read, ``[tokens, width]``."""
        assert self.heard.states is not None
        return self.heard.states.top if self.prompt else self.heard.states.layers[-1:, self.at]


@dataclass(frozen=True)
class _Feed:
    """A sequence to go on with: its slot holds all of ``tokens`` but the last."""

    slot: int
    tokens: tuple[int, ...]


@dataclass(eq=False)
class _Part:
    """One lane's part of a step; ``said`` stands where ``feeds`` do, None until it is known."""

    run: Run
    lane: Lane
    feeds: list[_Feed]  # its rows, then the same after each second prompt
    draft: list[int]
    said: list[_Said | None]
    looking: Turn | None = None  # whose feeds these are: its row, gone on with each token
    drafting: float = 0.0  # seconds
    fault: Exception | None = None

    def voices(self, index: int) -> list[_Said]:
        """What was said to each feed, after ``index`` of the drafted tokens."""
        return [replace(s, at=s.at + index) if index else s for s in self.said if s is not None]


class Decoder:
    """Steps lanes over a ``Forward``. Only the loop calls it."""

    def __init__(
        self,
        forward: Forward,
        detokenizer: Detokenizer,
        synchronize: Callable[[], None],
        drafter: Drafter | None = None,
    ) -> None:
        self.forward, self.detokenizer, self.drafter = forward, detokenizer, drafter
        self._synchronize = synchronize
        self._looking: dict[Lane, Turn] = {}  # turns that wait for the next forward

    def begin(self, run: Run, lanes: Sequence[Lane], heard: ForwardOutput, seconds: float) -> None:
        """Each lane's first token, after a prompt that its slots hold already."""
        parts = []
        for lane in lanes:
            said = [_Said(heard, 0, seconds, len(lanes), prompt=True)]
            for number, second in enumerate(lane.seconds):
                slots = [lane.second(number, slot) for slot in lane.slots[: lane.rows]]
                said.append(self._timed(self.forward.prefill, slots[0], second))
                self.forward.slots.replicate(slots[0], slots, len(second))
            parts.append(_Part(run, lane, [], [], [*said]))
        self._advance(parts, heard)

    def step(self, runs: Iterable[Run]) -> int:
        """The next token of every live row, and those drafted after it; how many in all."""
        parts = [self._part(run, lane) for run in runs for lane in run.live]
        self._looking = {}  # those that are still wanted are in the parts
        if not parts:
            return 0
        for part in parts:
            self._read_alone(part)
        shared = self._read_shared(parts)
        count = sum(len(part.lane.running) for part in parts)
        parts = self._resume(parts)
        if parts:
            self._advance(parts, shared)
        for index in range(max((len(part.draft) for part in parts), default=0)):
            parts = [part for part in parts if _accepted(part, index)]
            if not parts:
                break
            self._advance(parts, index=index + 1)
            count += len(parts)
        return count

    def _part(self, run: Run, lane: Lane) -> _Part:
        looking = self._looking.get(lane)
        if looking is not None and looking.look is not None:
            (row,) = (held.row for held in looking.rows)
            rows = [
                (slot, (*row.tokens, token), (*row.generated, token))
                for slot, token in zip(lane.slots, looking.look, strict=False)
            ]
        else:
            rows = [(held.slot, held.row.tokens, held.row.generated) for held in lane.running]
        feeds = [_Feed(slot, tokens) for slot, tokens, _ in rows]
        for number, second in enumerate(lane.seconds):
            feeds += [
                _Feed(lane.second(number, slot), (*second, *written)) for slot, _, written in rows
            ]
        part = _Part(run, lane, feeds, [], [None] * len(feeds), looking)
        if run.request.cache and looking is None:
            clock = perf_counter()
            try:
                part.draft = lane.draft(self.drafter.guess if self.drafter else None)
            except Exception as error:
                part.fault = error
            part.drafting = perf_counter() - clock
        return part

    def _read_alone(self, part: _Part) -> None:
        """What the lane does not hear from the shared forward."""
        states = part.lane.reads_states
        for place, feed in enumerate(part.feeds):
            last, held = feed.tokens[-1], len(feed.tokens) - 1
            if not part.run.request.cache:
                part.said[place] = self._timed(
                    self.forward.prefill, feed.slot, feed.tokens, states=states
                )
            elif part.draft:
                part.said[place] = self._timed(
                    self.forward.verify, feed.slot, [last, *part.draft], held, states=states
                )

    def _read_shared(self, parts: Sequence[_Part]) -> ForwardOutput | None:
        """One forward for everybody else."""
        waiting = [
            (part, place, feed)
            for part in parts
            for place, feed in enumerate(part.feeds)
            if part.said[place] is None
        ]
        if not waiting:
            return None
        waiting.sort(key=lambda entry: entry[2].slot)
        feeds = [feed for _, _, feed in waiting]
        states = any(part.lane.reads_states for part, _, _ in waiting)
        said = self._timed(
            self.forward.decode,
            [feed.slot for feed in feeds],
            [feed.tokens[-1] for feed in feeds],
            [len(feed.tokens) - 1 for feed in feeds],
            states=states,
            early=[
                EarlyRow(at, need.layers)
                for at, (part, place, _) in enumerate(waiting)
                for need in part.lane.needs
                if isinstance(need, EarlyLayers)
                and part.looking is None
                and place < len(part.lane.running)
            ],
        )
        for at, (part, place, _) in enumerate(waiting):
            part.said[place] = replace(said, at=at)
        return said.heard

    def _resume(self, parts: list[_Part]) -> list[_Part]:
        """End the turns that waited; the parts whose lanes go on, with what their rows heard."""
        waited = [part for part in parts if part.looking is not None]
        if not waited:
            return parts
        for part in waited:
            assert part.looking is not None and part.looking.look is not None
            part.looking.given = replace(part.looking.given, peek=_shown(part))
        looks = [part.looking.look for part in waited if part.looking is not None]
        resume([p.looking for p in waited if p.looking], self.detokenizer, self.forward.slots)
        for part, look in zip(waited, looks, strict=True):
            if look is not None and part.lane.running:
                self._follow(part, look)
        return [part for part in parts if part.lane.running]

    def _follow(self, part: _Part, look: tuple[int, ...]) -> None:
        """Every slot of the lane takes over the token that was chosen of those looked at."""
        lane, n = part.lane, len(look)
        tokens = lane.running[0].row.tokens
        if tokens[-1] not in look:
            lane.end("error", "The search chose a token that it had not looked at.")
            return
        at = look.index(tokens[-1])
        part.said = part.said[at::n]
        own = lane.slots[: lane.rows]
        ends = [(own, len(tokens))]
        for number, second in enumerate(lane.seconds):
            beside = [lane.second(number, slot) for slot in own]
            ends.append((beside, len(second) + len(lane.running[0].row.generated)))
        for slots, end in ends:
            others = [slot for slot in slots if slot != slots[at]]
            self.forward.slots.copy([slots[at]] * len(others), others, end - 1, end)

    def _timed(self, read: Callable[..., ForwardOutput], *what: Any, **how: Any) -> _Said:
        clock = perf_counter()
        heard = read(*what, **how)
        self._synchronize()
        return _Said(heard, 0, perf_counter() - clock, len(heard.logits))

    def _advance(
        self, parts: Sequence[_Part], shared: ForwardOutput | None = None, index: int = 0
    ) -> None:
        """Each lane's step on what was said to it; most of it lies in ``shared`` already."""
        scores = [shared.logits] if shared is not None else []
        count = len(shared.logits) if shared is not None else 0
        turns = []
        for part in parts:
            voices = part.voices(index)
            rows = voices[: len(part.lane.running)]
            if all(voice.heard is shared for voice in rows):
                places = [voice.at for voice in rows]
            else:
                places = list(range(count, count + len(rows)))
                scores += [voice.scores[None] for voice in rows]
                count += len(rows)
            turns.append(self._turn(part, voices, places, index))
        take(
            turns,
            scores[0] if len(scores) == 1 else torch.cat(scores),
            self.detokenizer,
            self.forward.slots,
        )
        self._looking |= {turn.lane: turn for turn in turns if turn.look is not None}

    def _turn(self, part: _Part, voices: list[_Said], places: list[int], index: int) -> Turn:
        lane = part.lane
        seconds = {id(voice.heard): voice.seconds for voice in voices}
        turn = Turn(
            lane,
            places,
            part.run.noise(lane.index, voices[0].scores.shape[-1], self.forward.device),
            forward=0.0 if index else part.drafting + sum(seconds.values()),
            sharers=voices[0].rows,
            draft=part.draft[index] if index < len(part.draft) else None,
        )
        try:
            turn.given = self._given(turn, voices)
        except Exception as error:  # what it needs, this model has not: no other lane's business
            part.fault = error
        turn.fault = part.fault
        return turn

    def _given(self, turn: Turn, voices: Sequence[_Said]) -> Given:
        lane, n = turn.lane, len(turn.rows)
        if not (lane.seconds or lane.reads_states):
            return NOTHING
        depths: dict[int, Sequence[Tensor]] = {}
        for depth, need in enumerate(lane.needs):
            if isinstance(need, SecondPrompt):
                first = n * (1 + lane.seconds.index(need.tokens))
                depths[depth] = [voice.scores for voice in voices[first : first + n]]
            elif isinstance(need, EarlyLayers):
                depths[depth] = [self._early(voice, need.layers) for voice in voices[:n]]
        if not lane.search.needs_hidden:
            return Given(depths)
        return Given(depths, [voice.hidden for voice in voices[:n]], _look(lane))

    def _early(self, said: _Said, layers: Sequence[int]) -> Tensor:
        assert said.heard.states is not None
        read = said.heard.early.get(EarlyRow(said.at, tuple(layers)))
        if read is not None:
            return read
        return self.forward.head(said.heard.states.layers[list(layers), said.at])


def _look(lane: Lane) -> Callable[[int, Sequence[int]], Tensor]:
    """What a search may look ahead with, before anything was read."""

    def peek(row: int, tokens: Sequence[int]) -> Tensor:
        if not 0 < len(set(tokens)) == len(tokens) <= lane.rows:
            raise Fault(f"the search looked at {len(tokens)} next tokens and owns {lane.rows}")
        raise Look(tokens)

    return peek


def _shown(part: _Part) -> Callable[[int, Sequence[int]], Tensor]:
    """The same, once its tokens were read."""
    assert part.looking is not None and part.looking.look is not None
    look = part.looking.look
    states = torch.cat([said.hidden for said in part.said[: len(look)] if said is not None])

    def peek(row: int, tokens: Sequence[int]) -> Tensor:
        if tuple(tokens) != look:
            raise Fault("the search looked at other tokens when it was asked again")
        return states

    return peek


def _accepted(part: _Part, index: int) -> bool:
    """Whether the lane goes on with the token drafted at ``index``."""
    running = part.lane.running
    return (
        index < len(part.draft)
        and bool(running)
        and (running[0].row.tokens[-1] == part.draft[index])
    )
