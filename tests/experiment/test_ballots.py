"""A blind vote: its questions, that no vote counts twice, when it ends, and its standing."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from playground.experiment.ballots import Ballots, VoteError
from playground.experiment.cells import Cell
from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.kept_jobs import KeptJob, KeptJobs
from playground.experiment.sample import Sample
from playground.experiment.statistics.anytime import share
from playground.experiment.store import Store
from playground.experiment.votes import Vote, strengths
from playground.models.provenance import Facts

ASKED = Experiment.of(
    {
        "question": "Which?",
        "prompts": [f"Prompt {p}" for p in range(6)],
        "recipes": ["greedy", "sample", "top_k(5) | sample"],
        "names": {"sample": "plain"},
        "seeds": [7, 9],
    }
)
FACTS = Facts(
    model="m", title="m", fingerprint="0", parameters=1, device="cpu", dtype="float32",
    batch_invariant=True, machine="", versions={},
)  # fmt: skip


def text(cell):
    same = "the same" if cell.prompt == 0 else f"{cell.prompt} {cell.recipe} {cell.seed}"
    return Sample(text=same, token_ids=[1], logprobs=[], entropies=[], finish_reason="length")


@pytest.fixture
def ballots(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        KeptJobs(store).add(KeptJob.new("job", "m", ASKED, FACTS))
        yield Ballots(store)


def begun(ballots, recipes=(0, 1), most=60, early=True):
    job = SimpleNamespace(
        id="job",
        experiment=ASKED,
        texts=lambda recipe: {
            Cell(p, recipe, s): text(Cell(p, recipe, s)) for p in range(6) for s in range(2)
        },
    )
    return ballots.begin(job, recipes, most, early)


def prefers(ballots, id, voter, unit, recipe):
    """Vote for the text of a recipe, wherever it stands."""
    ballot = ballots.get(id)
    asked, swapped = ballot.units[unit], ballot.swapped(voter, unit)
    shown = asked.pair[::-1] if swapped else asked.pair
    return ballots.cast(id, voter, unit, "left" if shown[0] == recipe else "right")


def test_texts_are_shown_without_names_and_in_an_order_that_is_drawn(ballots):
    id = begun(ballots)
    ballot = ballots.get(id)
    assert len(ballot.units) == 10 and ballot.alike == 2  # those of the first prompt are the same
    lefts = []
    for voter in range(40):
        turn = ballots.turn(id, f"voter-{voter:04}")
        again = ballots.turn(id, f"voter-{voter:04}")
        assert turn == again and turn.votes == 0 and turn.over == ""
        unit = ballot.units[turn.question.unit]
        assert {turn.question.left, turn.question.right} == set(unit.texts)
        lefts.append(turn.question.left == unit.texts[0])
    assert 8 < sum(lefts) < 32  # 20 of 40, and outside of this in 1 of 10,000
    told = prefers(ballots, id, "voter-0000", ballots.turn(id, "voter-0000").question.unit, 1)
    assert {told.left, told.right} == {"greedy", "plain"}


def test_a_voter_is_asked_everything_once_and_all_see_some_of_the_same(ballots):
    id = begun(ballots, recipes=(0, 1, 2), most=500, early=False)
    seen = {}
    for voter in ("alice-000", "bobby-000"):
        seen[voter] = []
        while (turn := ballots.turn(id, voter)).question is not None:
            seen[voter].append(turn.question.unit)
            prefers(ballots, id, voter, turn.question.unit, 1 if len(seen[voter]) % 3 else 0)
            if voter == "alice-000" and len(seen[voter]) == 8:
                break
    assert len(seen["bobby-000"]) == len(set(seen["bobby-000"])) == 30
    shared = ballots.get(id).shared
    assert sum(unit < shared for unit in seen["alice-000"]) == 2  # one of four
    fresh = [unit for unit in seen["bobby-000"][:8] if unit >= shared]
    assert not set(fresh) & set(seen["alice-000"])  # those with the fewest votes come first
    assert "Krippendorff" in ballots.standing(id).agreement


def test_a_vote_is_counted_once_and_many_may_vote_at_once(ballots):
    id = begun(ballots, most=500, early=False)
    units = range(10)

    def votes(voter):
        for unit in units:
            for _ in range(2):
                prefers(ballots, id, voter, unit, 1)
        return voter

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(votes, [f"voter-{n:04}" for n in range(8)]))
    standing = ballots.standing(id)
    assert (standing.votes, standing.voters) == (80, 8)
    assert standing.pairs[0].for_other == 80 and standing.pairs[0].decided
    rows = list(csv.DictReader(io.StringIO(ballots.to_csv(id))))
    assert len(rows) == 80 and {row["preferred"] for row in rows} == {"plain"}
    assert sorted(int(row["number"]) for row in rows) == list(range(1, 81))
    assert {row["seed"] for row in rows} == {"7", "9"}
    sides = [(row["outcome"] == "left") == (row["left"] == "plain") for row in rows]
    assert all(sides)


def test_what_many_look_at_is_read_and_told_once(ballots, monkeypatch):
    id = begun(ballots)
    first = ballots.standing(id)
    assert ballots.standing(id) is first and ballots.get(id) is ballots.get(id)
    prefers(ballots, id, "voter-0000", 0, 1)
    assert ballots.standing(id).votes == 1 and first.votes == 0
    KeptJobs(ballots.store).delete("job")
    assert ballots.get(id) is None and ballots.standing(id) is None and ballots.of("job") == []
    assert ballots.turn(id, "voter-0000") is None and ballots.cast(id, "v", 0, "tie") is None


def test_it_ends_by_the_rule_that_was_stated_before(ballots):
    sure = begun(ballots, most=60)
    assert "before that once it is known" in ballots.standing(sure).rule
    for number in range(60):
        turn = ballots.turn(sure, f"voter-{number:04}")
        if turn.over:
            break
        prefers(ballots, sure, f"voter-{number:04}", turn.question.unit, 1)
    assert 6 <= turn.votes <= 12 and "which one is preferred" in turn.over
    with pytest.raises(VoteError, match="which one is preferred"):
        ballots.cast(sure, "voter-9999", 0, "left")
    told = ballots.standing(sure)
    assert told.pairs[0].sentence.startswith("plain is preferred to greedy, in ")
    assert told.strengths[0].name == "plain" and told.strengths[0].value > 0
    fixed = begun(ballots, most=3, early=False)
    for number in range(3):
        ballots.cast(fixed, f"voter-{number:04}", number, "tie")
    assert ballots.turn(fixed, "voter-0009").over == "All 3 votes are cast."
    assert "called a tie" in ballots.standing(fixed).ties


def test_what_cannot_be_voted_on_is_said(ballots):
    for recipes in ((0,), (0, 5)):
        with pytest.raises(ExperimentError):
            begun(ballots, recipes=recipes)
    assert ballots.turn("unknown", "voter-0000") is None and ballots.to_csv("unknown") is None
    id = begun(ballots)
    with pytest.raises(VoteError, match="no such pair"):
        ballots.cast(id, "voter-0000", 999, "tie")


def test_an_interval_that_is_looked_at_after_every_vote_holds_the_truth():
    """Of 400 votes of 300 cast each, it excludes the truth at any time in 5 of 100 at most."""
    random = np.random.default_rng(11)
    looked = (*range(1, 40, 3), *range(40, 301, 20))
    for truth in (0.5, 0.8):
        missed = 0
        for votes in random.random((400, 300)) < truth:
            wins = np.cumsum(votes)
            bounds = [share(int(wins[n - 1]), int(n - wins[n - 1]), 0.05) for n in looked]
            missed += any(not low <= truth <= high for low, high in bounds)
        assert missed / 400 <= 0.05
    low, high = share(40, 10, 0.05)
    assert 0.5 < low < 0.8 < high < 1 and share(0, 0, 0.05) == (0.0, 1.0)
    assert share(10, 40, 0.05) == pytest.approx((1 - high, 1 - low))


def test_strengths_are_those_of_the_package_bradleyterry2():
    """Citations between four journals (Stigler 1994), as R's BradleyTerry2 estimates them."""
    names = ["Biometrika", "Comm Statist", "JASA", "JRSS-B"]
    counts = {
        (0, 1): (730, 33), (0, 2): (498, 320), (0, 3): (221, 284),
        (1, 2): (68, 813), (1, 3): (17, 276), (2, 3): (142, 325),
    }  # fmt: skip
    votes = []
    for (one, other), (wins, losses) in counts.items():
        for winner, loser, times in ((one, other, wins), (other, one, losses)):
            for _ in range(times):  # once on each side, so that the side tells nothing
                for first, second, outcome in ((winner, loser, "first"), (loser, winner, "second")):
                    votes.append(
                        Vote(prompt=0, seed=0, first=first, second=second, outcome=outcome)
                    )
    found = strengths(votes, prior=None)
    values = [one.value - found.strengths[0].value for one in found.strengths]
    assert len(names) == len(values) and found.position.value == pytest.approx(0, abs=1e-6)
    assert values == pytest.approx([0.0, -2.94907, -0.47957, 0.26895], abs=1e-4)
