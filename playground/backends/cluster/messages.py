"""The messages between front ends and replicas."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from playground.backends.backend import Load
from playground.engine.news import News
from playground.trace import ModelFacts

POLL_S = 1.0  # after which a poll is answered though there is no news
LEASE_S = 10.0  # without a poll, after which a front end is considered gone and its runs end


class ReplicaLost(RuntimeError):
    """The replica that was called has died, or cannot be reached any more."""


class NoReplica(RuntimeError):
    """There is no replica to call; the message says why, as far as that is known."""


@dataclass(frozen=True)
class Kind:
    """What determines the last bits of a replica's numbers: one kind gives the same texts."""

    dtype: str
    processor: str
    torch: str


@dataclass(frozen=True)
class Description:
    """A replica's model, as far as a front end needs it to check requests and make runs."""

    facts: ModelFacts
    tokenizer: Any
    config: Any
    generation_config: Any
    eos_token_ids: tuple[int, ...]
    context_length: int
    rows: int
    state_layers: int | None
    draft_model: str | None
    kind: Kind


@dataclass(frozen=True)
class Begun:
    """A replica has queued a part of a run."""

    replica: str
    kind: Kind


@dataclass(frozen=True)
class NotBegun:
    """A replica did not take a part: its queue is full, it is leaving, or it is of another kind.

    ``final`` is whether no other replica would take it either.
    """

    replica: str
    why: str
    of_another_kind: Kind | None = None
    final: bool = False


@dataclass(frozen=True)
class PollAnswer:
    """The response to a poll: the news of each part that has some, and when it last ``changed``.

    ``failed`` are parts whose news could not be made, with the reason of each; they have ended.
    ``gone`` are parts that the replica does not know. ``leaving`` is whether it is about to stop
    and has ended its parts, which other replicas are to continue.
    """

    replica: str
    news: dict[str, News] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)  # by the replica's clock
    failed: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    leaving: bool = False


@dataclass(frozen=True)
class Wants:
    """What a replica is chosen by for a call: the rows it needs, and the prompt that it reads.

    ``reading`` is what it costs to read the prompt, in rows of each step of the run. ``again`` is
    how many replicas did not answer the same call: the next best one is chosen.
    """

    rows: int = 0
    prompt: str = ""
    again: int = 0
    reading: int = 0

    def ranked(self, free: Mapping[str, float], read: Collection[str]) -> list[str]:
        """Replicas by their names, the best one first: that with most ``free`` rows.

        One that has ``read`` the prompt comes before it, unless it has so much more to do that
        reading the prompt there costs less: else all runs of one prompt would share one replica
        while the others have nothing to do. What takes no rows always goes there.
        """
        most = max(free.values(), default=0.0)
        behind = self.rows + self.reading

        def knows(name: str) -> bool:
            own = free[name]
            even = not self.rows or most - own <= behind
            return name in read and own >= self.rows and even

        return sorted(free, key=lambda name: (not knows(name), -free[name]))


def digest(prompt: Sequence[int]) -> str:
    """A hash of a prompt's token ids, by which replicas know it."""
    packed = struct.pack(f"<{len(prompt)}I", *prompt)
    return hashlib.blake2b(packed, digest_size=8).hexdigest()


class Replicas(Protocol):
    """The replicas of one model, as a front end calls them.

    ``call`` calls a method of ``Replica`` on one of them: on that of the name ``at``, or on the
    best one for what the call ``wants``. Raises ``ReplicaLost``, or ``NoReplica`` where it is known
    that there is none.
    """

    async def call(
        self, method: str, *given: Any, at: str | None = None, wants: Wants | None = None
    ) -> Any:
        """What the method returns."""

    def loads(self) -> list[Load]:
        """The load of each replica, as far as it is known. Never waits."""

    def fault(self) -> str:
        """Why there is no replica, in a sentence; empty where there is. Never waits for long."""
