"""Strengths are the likeliest ones, their intervals cover the truth, and a lean is found."""

from __future__ import annotations

import choix
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import optimize

from playground.experiment.votes import Vote, agreement, strengths

TRUTH = np.array([0.8, 0.0, -0.3, -0.5])


def cast(count, seed=0, lean=0.0, tie=0.5):
    """Votes as Davidson's model has them, with an advantage for the first text."""
    random, votes = np.random.default_rng(seed), []
    for number in range(count):
        i, j = (int(one) for one in random.choice(len(TRUTH), 2, replace=False))
        first, second = np.exp(TRUTH[i] + lean), np.exp(TRUTH[j])
        chances = np.array([first, second, tie * np.sqrt(first * second)])
        outcome = ("first", "second", "tie")[random.choice(3, p=chances / chances.sum())]
        votes.append(Vote(prompt=number, seed=0, first=i, second=j, outcome=outcome))
    return votes


@pytest.mark.parametrize("prior", [None, 3.0, 0.5])
def test_strengths_are_those_that_choix_finds(prior):
    """choix has no ties and no lean: each text is shown first equally often, and none tie."""
    votes = cast(300, tie=0.0)
    other = {"first": "second", "second": "first"}
    votes += [
        vote.model_copy(
            update={"first": vote.second, "second": vote.first, "outcome": other[vote.outcome]}
        )
        for vote in votes
    ]
    won = [(v.first, v.second) if v.outcome == "first" else (v.second, v.first) for v in votes]
    alpha = 0.0 if prior is None else 1 / (2 * prior**2)
    theirs = choix.opt_pairwise(len(TRUTH), won, alpha=alpha, tol=1e-10)
    found = strengths(votes, prior)
    values = [one.value for one in found.strengths]
    assert values == pytest.approx(list(theirs - theirs.mean()), abs=1e-4)
    assert found.position.value == pytest.approx(0, abs=1e-6) and found.ties == 0.0
    chance = choix.probabilities([0, 1], theirs)[0]
    assert found.wins(0, 1) == pytest.approx(chance, abs=1e-4)


def test_strengths_are_those_of_plain_optimisation():
    votes = cast(300, lean=0.3)

    def loss(values):
        total = 0.0
        own = [*values[:3], -sum(values[:3])]
        for vote in votes:
            first = np.exp(own[vote.first] + values[3])
            second = np.exp(own[vote.second])
            tied = np.exp(values[4]) * np.sqrt(first * second)
            chance = {"first": first, "second": second, "tie": tied}[vote.outcome]
            total -= np.log(chance / (first + second + tied))
        return total

    plain = optimize.minimize(loss, np.zeros(5), method="BFGS").x
    found = strengths(votes, prior=None)
    expected = [*plain[:3], -sum(plain[:3])]
    assert [one.value for one in found.strengths] == pytest.approx(expected, abs=1e-3)
    assert found.position.value == pytest.approx(plain[3], abs=1e-3)
    assert found.ties == pytest.approx(np.exp(plain[4]) / (2 + np.exp(plain[4])), abs=1e-3)


def test_intervals_hold_the_truth_and_so_does_that_of_the_lean():
    inside = leans = 0
    for seed in range(80):
        found = strengths(cast(150, seed, lean=0.4))
        inside += sum(
            one.low <= TRUTH[one.recipe] - TRUTH.mean() <= one.high for one in found.strengths
        )
        leans += found.position.low <= 0.4 <= found.position.high
    assert inside / 320 == pytest.approx(0.95, abs=0.03)
    assert leans / 80 > 0.88


def test_a_lean_to_one_side_is_found_and_none_is_not():
    assert strengths(cast(400, lean=0.6)).position.excludes_zero
    assert not strengths(cast(400, lean=0.0)).position.excludes_zero


def test_a_recipe_that_won_every_vote_stays_finite():
    votes = [
        Vote(prompt=n, seed=0, first=n % 2, second=1 - n % 2, outcome=("first", "second")[n % 2])
        for n in range(10)
    ]
    found = strengths(votes)
    best, worst = found.strengths
    assert 0 < best.value < 10 and best.low > worst.high and best.votes == 10
    assert found.wins(0, 1) > 0.9 and found.ties == 0.0
    with pytest.raises(ValueError, match="votes: there is none"):
        strengths([])
    with pytest.raises(ValidationError, match="both recipe 1"):
        Vote(prompt=0, seed=0, first=1, second=1, outcome="tie")


def test_agreement_is_krippendorffs():
    def vote(unit, voter, first, outcome):
        return Vote(
            prompt=unit, seed=0, first=first, second=1 - first, outcome=outcome, voter=voter
        )

    alike = [
        vote(u, v, int(v == "b"), ("first", "second")[int(v == "b")])
        for u in range(4)
        for v in "ab"
    ]
    assert agreement(alike) == 1.0  # the same recipe, in either order
    # Two voters on four pairs: low low, high high, low high, tie tie. Of 8 values 3, 3 and 2.
    said = [("first", "first"), ("second", "second"), ("first", "second"), ("tie", "both bad")]
    votes = [
        vote(u, v, 0, one) for u, pair in enumerate(said) for v, one in zip("ab", pair, strict=True)
    ]
    assert agreement(votes) == pytest.approx(1 - 7 * 2 / (64 - 9 - 9 - 4))
    assert agreement(votes[:1]) is None
