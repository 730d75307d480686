"""MAUVE: the score of two histograms, what a text makes of it, and the texts that it is of."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.findings import Findings
from playground.experiment.metric import Features
from playground.experiment.reading import Group, groups, kept_by
from playground.experiment.registry import metrics
from playground.experiment.result import Result
from playground.experiment.runner import Runner
from playground.experiment.state import blank, concluded
from playground.experiment.statistics.divergence import clustered, mauve, shares
from playground.experiment.store import Store
from tests.engine.models import engine

RANDOM = np.random.default_rng(5)


def share(counts):
    return np.array(counts) / sum(counts)


# Of mauve-text 0.4.0 (Pillutla): get_divergence_curve_for_multinomials with 25 mixtures and c = 5,
# and the area that compute_mauve takes of it.
@pytest.mark.parametrize(
    "p, q, expected",
    [
        ([5, 3, 2, 0], [2, 2, 3, 3], 0.4744598995651196),
        ([8, 0, 1, 1, 0], [1, 4, 1, 0, 4], 0.032931066176800125),
        ([10, 0], [0, 10], 0.0040720962619612555),
    ],
)
def test_the_score_is_that_of_its_authors_package(p, q, expected):
    assert mauve(share(p), share(q)) == pytest.approx(expected, rel=1e-12)
    assert mauve(share(q), share(p)) == pytest.approx(expected, rel=1e-12)
    assert mauve(share(p), share(p)) == pytest.approx(1, abs=1e-12)


def plain(p, q):
    """The same score by loops, from the paper's words."""
    points = [(1.0, 0.0)]
    for step in range(25):
        weight = 1e-6 + (1 - 2e-6) * step / 24
        lacks = []
        for own in (q, p):
            lack = 0.0
            for a, b, x in zip(p, q, own, strict=True):
                if x:
                    lack += x * math.log(x / (weight * a + (1 - weight) * b))
            lacks.append(math.exp(-5 * lack))
        points.append((lacks[0], lacks[1]))
    points.append((0.0, 1.0))
    return sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def test_a_text_has_the_score_and_what_more_of_its_kind_would_move_it_by():
    places, reference = RANDOM.integers(0, 5, (12, 4)), RANDOM.integers(0, 4, (12, 3))
    places[0, 1:] = -1  # texts that failed
    found = shares(places, reference, 5)
    p, q = np.zeros(5), np.zeros(5)
    for side, own in ((p, places), (q, reference)):
        for prompt in own:
            texts = [one for one in prompt if one >= 0]
            for one in texts:
                side[one] += 1 / len(texts) / 12
    assert np.isnan(found[0, 1:]).all()
    assert np.nanmean(found, axis=1).mean() == pytest.approx(plain(p, q), abs=1e-8)
    one, moved = 1e-4, []
    for prompt in (3, 7):  # what a prompt makes of it: its own weight is raised on both sides
        both = [(1 - one) * side for side in (p, q)]
        for side, own in zip(both, (places, reference), strict=True):
            for text in own[prompt]:
                side[text] += one / len(own[prompt])
        moved.append((plain(*both) - plain(p, q)) / one)
    told = found.mean(axis=1)[[3, 7]] - np.nanmean(found, axis=1).mean()
    assert told == pytest.approx(moved, abs=5e-3)


def test_texts_that_differ_are_in_other_clusters_and_again_in_the_same():
    middles = RANDOM.normal(size=(3, 24))
    which = RANDOM.integers(0, 3, 300)
    points = (middles[which] + 0.05 * RANDOM.normal(size=(300, 24))).astype(np.float32)
    found = clustered(points * RANDOM.uniform(1, 9, (300, 1)), 3)  # lengths count for nothing
    assert len({(int(a), int(b)) for a, b in zip(which, found, strict=True)}) == 3
    assert (clustered(points, 9) == clustered(points, 9)).all()
    assert not clustered(np.ones((5, 3)), 4).any()


ASKED = {
    "prompts": [f"prompt {number}" for number in range(13)],
    "recipes": ["greedy", "temperature(1.5) | sample", "top_k(3) | sample"],
    "seeds": 4,
    "max_new_tokens": 4,
    "metrics": ["mauve", "length"],
}


@pytest.fixture
def store():
    with Store(None) as opened:
        yield opened


def test_an_experiment_that_asks_for_it_has_its_texts_read_once(store, monkeypatch):
    served, asked = engine(rows=12), Experiment.of(ASKED)
    calls = []
    read = served.features
    monkeypatch.setattr(served, "features", lambda *given: calls.append(given[0]) or read(*given))
    list(Runner(Experiment.of(ASKED | {"metrics": ["length"]}), served, store).run())
    assert not calls and len(store) == asked.cells
    runner, told = Runner(asked, served, store), []
    assert list(runner.run(reading=lambda *how_far: told.append(how_far))) == []
    assert told == [(number, 39) for number in range(1, 40)] and len(calls) == 39
    assert len(calls[0]) == 1 and any(len(texts) > 1 for texts in calls)  # greedy writes one text
    list(runner.run())
    assert len(calls) == 39
    result = Result.kept(asked, runner.facts, store)
    summaries = result.summary("mauve")
    assert np.isnan(result.values("mauve")[0]).all() and len(summaries) == 2
    assert all(0 <= one.low < one.mean < one.high <= 1 for one in summaries)
    assert "the reference is the texts of greedy, 52 texts; 5 clusters" in result.notes["mauve"]
    (pair,) = [one for one in result.compared if one.metric == "mauve"]
    assert pair.difference.cells == 52
    said = concluded(blank("x", asked, "m"), result)
    assert said.metrics[0].note == result.notes["mauve"] and not said.metrics[1].note
    report = result.to_markdown()
    assert "52 texts; 5 clusters" in report and "Pillutla et al. 2021" in report
    assert "intervals are somewhat narrow" in report
    assert result.frame()["mauve"].notna().sum() == 2 * 52
    other = Runner(asked, engine(rows=4), opened := Store(None))
    list(other.run())
    again = Result.kept(asked, other.facts, opened)
    assert (again.values("mauve")[1:] == result.values("mauve")[1:]).all()
    opened.forget(kept_by(asked, other.facts))
    assert not len(opened) and opened.nbytes == 0
    opened.close()


def test_only_the_numbers_of_whole_recipes_have_bounds():
    asked = Experiment.of(ASKED | {"metrics": ["mauve"]})
    values = np.full((3, 13, 4), np.nan)
    values[1] = np.linspace(0.1, 1.7, 13)[:, None] + 0.01 * np.arange(4)
    found = Findings(asked, {"mauve": values}, asked.cells)
    (whole,) = found.summary("mauve")
    assert whole.low < whole.mean < whole.high == 1
    by_prompt = found.by_prompt("mauve")
    assert len(by_prompt) == 13 and by_prompt[12, 1].mean > 1.7
    assert all(one.low < one.mean < one.high for one in by_prompt.values())


def test_what_prompts_expect_is_the_reference_where_they_do(store):
    served = engine(rows=12)
    prompts = [{"text": f"{number}", "expected": f"{number} and more"} for number in range(55)] + [
        "nothing is expected here"
    ]
    asked = Experiment.of(ASKED | {"prompts": prompts, "recipes": ["greedy"], "seeds": 1})
    runner = Runner(asked, served, store)
    list(runner.run())
    result = Result.kept(asked, runner.facts, store)
    assert result.notes["mauve"].startswith("MAUVE: the reference is what the prompts expect, 55")
    assert np.isfinite(result.values("mauve")[0, :55]).all()
    assert np.isnan(result.values("mauve")[0, 55, 0])
    known = served.tokens("7")
    wanted = served.features(
        [[*(token.id for token in known), *served.builder.encoder.text(" 7 a")]]
    )
    (name,) = [
        name for group, name in groups(asked, runner.facts).items() if group == Group(7, None)
    ]
    assert store.vectors([name])[name] == pytest.approx(wanted, abs=1e-5)  # cut as texts are


def test_few_texts_tell_nothing_and_say_so(store):
    asked = Experiment.of(ASKED | {"seeds": 3})
    runner = Runner(asked, engine(rows=12), store)
    next(runner.run())
    unread = Result.kept(asked, runner.facts, store)
    assert "the model reads the texts once all are written" in unread.notes["mauve"]
    list(runner.run())
    result = Result.kept(asked, runner.facts, store)
    assert result.notes["mauve"].startswith("MAUVE is not told: the reference is the texts of gre")
    assert "of 39 texts no distribution is known" in result.notes["mauve"]
    assert result.summary("mauve") == []


def test_what_cannot_be_compared_is_refused(store, monkeypatch):
    for change, words in (
        ({"recipes": ["greedy"]}, "needs a second recipe, or prompts that expect a text"),
        ({"metrics": ['mauve("sample")']}, "sample, which is none of the recipes"),
        ({"metrics": ['mauve("smaple")']}, "smaple"),
    ):
        with pytest.raises(ExperimentError, match=words) as refused:
            Experiment.of(ASKED | change)
        assert refused.value.field == "metrics"
    served = engine(rows=12)
    monkeypatch.setattr(served.builder, "_layers", None)
    with pytest.raises(ExperimentError, match="metrics: mauve reads hidden states, which llama"):
        Runner(Experiment.of(ASKED), served, store)


def test_a_named_recipe_is_the_reference_and_clusters_may_be_given():
    near, far = RANDOM.normal(size=(2, 40, 3, 8)).astype(np.float32)
    written = np.stack([near, far + 4, near + 0.1 * far])
    features = Features(["a", "b", "sample"], written, np.full((40, 8), np.nan, np.float32))
    found = metrics().parse('mauve("sample", clusters=6)').over_all(features)
    means = found.numbers.mean(axis=(1, 2))
    assert means[0] > 0.9 > means[1] and np.isnan(means[2]) and "6 clusters" in found.note
