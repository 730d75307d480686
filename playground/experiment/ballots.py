"""The blind votes of a server: begun from an experiment, cast by whoever has the link, counted."""

from __future__ import annotations

import csv
import io
import secrets
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from playground.experiment.ballot import OUTCOMES, Answer, Ballot
from playground.experiment.job import Job
from playground.experiment.standing import Standing, standing
from playground.experiment.store import VOTE_BYTES, Store
from playground.experiment.votes import Outcome, Vote

MOST_BALLOTS = 20  # of one experiment
_PARSED, _STANDINGS = 8, 64  # in memory; a ballot holds megabytes of texts
_USED = "UPDATE jobs SET used = ? WHERE id = ? AND used IS NOT NULL"


class VoteError(ValueError):
    """Why a vote cannot be begun or cast; ``field`` names the field of the request at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Question:
    """Two texts of one prompt to choose between, without the recipes that wrote them."""

    unit: int
    prompt: str
    left: str
    right: str


@dataclass(frozen=True)
class Revealed:
    """The names of the recipes that wrote the two texts, shown once the voter has chosen."""

    left: str
    right: str


@dataclass(frozen=True)
class Turn:
    """The state of a vote for one voter. ``question`` is None where no pair of texts is left."""

    question: Question | None
    own: int  # votes of this voter
    votes: int  # of all
    most: int
    over: str  # why the vote has ended; empty else


class Ballots:
    """The votes of a store. Any thread may call it; several browsers may vote at once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        # A ballot does not change, nor does the standing after a given number of votes.
        self._ballot = lru_cache(_PARSED)(self._read)
        self._standing_after = lru_cache(_STANDINGS)(self._computed_standing)
        self._computing = threading.Lock()

    def begin(self, job: Job, recipes: Sequence[int], most: int, early: bool) -> str:
        """Start a vote on recipes of an experiment, and return its id, the link for voters.

        ``most`` is how many votes it takes; ``early`` lets it end once every pair is decided.
        Raises ``VoteError`` where the experiment has too many votes or is no longer kept.
        """
        known = self.store.rows("SELECT id FROM ballots WHERE job = ?", job.id)
        if len(known) >= MOST_BALLOTS:
            raise VoteError("id", f"An experiment may have {MOST_BALLOTS} votes.")
        samples = {
            cell: sample
            for recipe in sorted(set(recipes))
            for cell, sample in job.texts(recipe).items()
        }
        ballot = Ballot.of(job.experiment, samples, recipes, most, early, secrets.token_urlsafe(12))
        id = secrets.token_urlsafe(12)
        written, now = ballot.model_dump_json(), time.time()
        row = (id, job.id, now, written, len(written.encode()))
        try:
            with self.store.transaction() as database:
                database.execute(
                    "INSERT INTO ballots (id, job, created, ballot, bytes) VALUES (?, ?, ?, ?, ?)",
                    row,
                )
                database.execute(_USED, (now, job.id))
                self.store.make_room()
        except sqlite3.IntegrityError as error:  # it was dropped meanwhile, to make room
            raise VoteError("id", "This experiment is kept no longer.") from error
        return id

    def of(self, job: str) -> list[str]:
        """The ids of the votes on an experiment, the latest first."""
        rows = self.store.rows("SELECT id FROM ballots WHERE job = ? ORDER BY created DESC", job)
        return [str(id) for (id,) in rows]

    def get(self, id: str) -> Ballot | None:
        known = self.store.rows("SELECT 1 FROM ballots WHERE id = ?", id)
        return self._ballot(id) if known else None

    def turn(self, id: str, voter: str) -> Turn | None:
        """The next question for this voter; None where there is no such vote."""
        ballot = self.get(id)
        if ballot is None:
            return None
        votes, cast = self._votes(id, ballot, self._count(id))
        over, unit = ballot.over(votes), ballot.next(voter, cast)
        question = None
        if not over and unit is not None:
            pair = ballot.units[unit]
            left, right = pair.texts[::-1] if ballot.swapped(voter, unit) else pair.texts
            question = Question(unit, ballot.prompts[pair.prompt], left, right)
        own = sum(who == voter for who, _ in cast)
        return Turn(question, own, len(votes), ballot.most, over)

    def cast(self, id: str, voter: str, unit: int, answer: Answer) -> Revealed | None:
        """Count a voter's answer on a unit once, and return who wrote the texts.

        A second answer on the same unit changes nothing. None for an unknown vote; raises
        ``VoteError`` for a unit that does not exist or a vote that is over.
        """
        ballot = self.get(id)
        if ballot is None:
            return None
        if not 0 <= unit < len(ballot.units):
            raise VoteError("unit", f"unit is {unit}; there is no such pair of texts.")
        pair, swapped = ballot.units[unit], ballot.swapped(voter, unit)
        while True:  # again where another vote was counted between reading and adding
            votes, cast = self._votes(id, ballot, self._count(id))
            if (voter, unit) in cast:
                break
            if over := ballot.over(votes):
                raise VoteError("unit", over)
            if self._add(id, len(votes), voter, unit, swapped, OUTCOMES[answer]):
                break
        names = [ballot.names[recipe] for recipe in pair.pair]
        left, right = names[::-1] if swapped else names
        return Revealed(left, right)

    def standing(self, id: str) -> Standing | None:
        """The strengths and intervals after the votes so far; None for an unknown vote."""
        if self.get(id) is None:
            return None
        with self._computing:  # once, however many request it
            return self._standing_after(id, self._count(id))

    def to_csv(self, id: str) -> str | None:
        """Every vote as a row of CSV, in the order in which they were cast; None if unknown."""
        ballot = self.get(id)
        if ballot is None:
            return None
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
        header = (
            "number voter prompt seed left right outcome preferred left_text right_text cast_at"
        )
        writer.writerow(header.split())
        rows = self.store.rows(
            "SELECT number, voter, unit, swapped, outcome, cast_at FROM votes WHERE ballot = ? "
            "ORDER BY number",
            id,
        )
        for number, voter, unit, swapped, outcome, cast_at in rows:
            pair = ballot.units[unit]
            names, texts = [ballot.names[recipe] for recipe in pair.pair], [*pair.texts]
            if swapped:
                names, texts = names[::-1], texts[::-1]
            word = {"first": "left", "second": "right"}.get(outcome, outcome)
            preferred = {"first": names[0], "second": names[1]}.get(outcome, "")
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(cast_at))
            prompt = ballot.prompts[pair.prompt]
            writer.writerow(
                [number + 1, voter, prompt, pair.seed, *names, word, preferred, *texts, moment]
            )
        return out.getvalue()

    def _read(self, id: str) -> Ballot | None:
        rows = self.store.rows("SELECT ballot FROM ballots WHERE id = ?", id)
        return Ballot.model_validate_json(rows[0][0]) if rows else None

    def _computed_standing(self, id: str, count: int) -> Standing | None:
        ballot = self.get(id)
        return None if ballot is None else standing(id, ballot, self._votes(id, ballot, count)[0])

    def _count(self, id: str) -> int:
        return int(self.store.rows("SELECT count(*) FROM votes WHERE ballot = ?", id)[0][0])

    def _votes(
        self, id: str, ballot: Ballot, count: int
    ) -> tuple[list[Vote], list[tuple[str, int]]]:
        """The first ``count`` votes, and the voter and unit of each."""
        rows = self.store.rows(
            "SELECT voter, unit, swapped, outcome FROM votes WHERE ballot = ? AND number < ? "
            "ORDER BY number",
            id, count,
        )  # fmt: skip
        return _read(ballot, rows)

    def _add(
        self, id: str, number: int, voter: str, unit: int, swapped: bool, outcome: Outcome
    ) -> bool:
        """Store a vote under this number; False where another vote has taken the number."""
        now = time.time()
        try:
            with self.store.transaction() as database:
                count = "SELECT count(*) FROM votes WHERE ballot = ?"
                if database.execute(count, (id,)).fetchone() != (number,):
                    return False
                row = (id, number, voter, unit, swapped, outcome, now)
                database.execute("INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                (job,) = database.execute(
                    "UPDATE ballots SET bytes = bytes + ? WHERE id = ? RETURNING job",
                    (VOTE_BYTES, id),
                ).fetchone()
                database.execute(_USED, (now, job))
        except sqlite3.IntegrityError as error:  # the vote was deleted meanwhile
            raise VoteError("id", "This vote is kept no longer.") from error
        return True


def _read(
    ballot: Ballot, rows: Sequence[tuple[str, int, int, str]]
) -> tuple[list[Vote], list[tuple[str, int]]]:
    """The votes, and the voter and unit of each."""
    votes = []
    for voter, unit, swapped, outcome in rows:
        pair = ballot.units[unit]
        first, second = pair.pair[::-1] if swapped else pair.pair
        votes.append(
            Vote.model_validate(
                {
                    "prompt": pair.prompt, "seed": pair.seed, "first": first, "second": second,
                    "outcome": outcome, "voter": voter,
                }
            )
        )  # fmt: skip
    return votes, [(voter, unit) for voter, unit, _, _ in rows]
