"""From samples to a verdict and a report, without a model."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from playground.experiment.cells import Cell
from playground.experiment.experiment import Experiment
from playground.experiment.frontier import ellipse, fair, frontier, sampler
from playground.experiment.report import to_toml
from playground.experiment.result import Result
from playground.experiment.sample import Sample
from playground.models.provenance import Facts
from strategies import Recipe

HOSTILE = "</style><script>alert(1)</script> | `x` <b> \x1b[2J \x00 & _a_ $x$"
FACTS = Facts(
    model="tiny",
    title="Tiny",
    fingerprint="0123456789abcdef",
    parameters=1234,
    device="cpu",
    dtype="float32",
    batch_invariant=True,
    machine="a machine",
    versions={"python": "3", "torch": "2"},
)
NUCLEUS = "top_p(0.9) | sample"


def made(prompts=8, seeds=3, leave=(), **more):
    """Greedy repeats itself; nucleus sampling writes fewer repeated tokens and other texts."""
    asked = Experiment.of(
        {
            "question": f"Which? {HOSTILE}",
            "prompts": [{"text": f"{HOSTILE} {p}", "expected": "x"} for p in range(prompts)],
            "recipes": ["greedy", NUCLEUS, 'bad_words(["<b>|"]) | greedy'],
            "names": {NUCLEUS: "nucleus <i>"},
            "seeds": seeds,
            "metrics": [
                "repeated_ngrams(1)", "perplexity", "self_bleu", "contains", "tokens_per_second",
            ],
        }
        | more
    )  # fmt: skip
    random = np.random.default_rng(0)
    samples = {}
    for p in range(prompts):
        for r in range(3):
            for s in range(seeds):
                words = 4 if r == 0 else 40
                ids = [int(token) for token in random.integers(0, words, 20)]
                if r == 2:
                    ids = list(range(p, p + 20))
                samples[Cell(p, r, s)] = Sample(
                    text=f"{HOSTILE} {ids}",
                    token_ids=ids,
                    logprobs=[-float(x) for x in random.uniform(0.5 + r, 1 + r, 20)],
                    entropies=[1.0] * 20,
                    finish_reason="length",
                    tokens_per_second=None,
                )
    return Result(asked, FACTS, {c: one for c, one in samples.items() if c not in leave})


@pytest.fixture(scope="module")
def result():
    return made()


def test_a_row_for_each_text_with_the_number_of_each_metric(result):
    frame = result.frame()
    assert len(frame) == 72 and result.complete
    row = frame.iloc[0]
    sample = result.samples[Cell(0, 0, 0)]
    assert (row["prompt"], row["recipe"], row["seed"]) == (1, "greedy", 0)
    assert row["repeated_ngrams(1)"] == pytest.approx(1 - len(set(sample.token_ids)) / 20)
    assert row["contains"] == 1.0 and frame["tokens_per_second"].isna().all()
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert len(rows) == 72 and rows[0]["prompt_text"] == f"{HOSTILE} 0"


def test_means_are_over_prompts_and_those_of_ratios_geometric(result):
    table = result.table().set_index(["recipe", "metric"])
    values = result.frame().groupby(["recipe", "prompt"])["perplexity"]
    expected = np.exp(values.apply(lambda v: np.log(v).mean()).groupby("recipe").mean())
    for recipe in ("greedy", NUCLEUS):
        row = table.loc[(recipe, "perplexity")]
        assert row["mean"] == pytest.approx(expected[recipe])
        assert row["low"] < row["mean"] < row["high"]
        assert (row["prompts"], row["texts"]) == (8, 24)
    assert "tokens_per_second" not in table.index.get_level_values("metric")
    by_prompt = result.by_prompt("repeated_ngrams(1)")
    assert len(by_prompt) == 24 and by_prompt[0, 0].cells == 3
    some = result.by_prompt("repeated_ngrams(1)", 2, 99)
    assert {place: one.mean for place, one in some.items()} == {
        place: one.mean for place, one in by_prompt.items() if place[0] < 2
    }
    assert result.by_prompt("repeated_ngrams(1)", 2, 99) is some


def test_the_verdict_says_first_what_can_be_told(result):
    verdict = result.verdict()
    assert re.match(
        r"greedy repeats more than nucleus <i> by [\d.]+ ± [\d.]+ points \(8 prompts × 3 seeds\)\.",
        verdict[0],
    )
    assert "Contains: no difference at all between greedy and nucleus" in " ".join(verdict)
    pairs = result.pairs().set_index(["metric", "first", "second"])
    row = pairs.loc[("perplexity", "greedy", "nucleus <i>")]
    assert row["compared_by"] == "factor" and row["difference"] < 1 and row["settled"]
    told = [one.difference.settled for one in result.compared]
    assert verdict[: sum(told)] == [
        f"{one.sentence}." for one in result.compared if one.difference.settled
    ]


def test_what_is_missing_is_left_out_and_said():
    some = made(leave={Cell(0, 1, 0), *(Cell(3, 0, s) for s in range(3))})
    assert not some.complete and len(some.samples) == 68
    (first, *_) = some.compared
    assert first.difference.interval.prompts == 7 and first.difference.cells == 20
    assert "Of 72 texts, 68 are written" in some.to_markdown()
    whole = made()
    failed = whole.samples[Cell(0, 0, 0)].model_copy(update={"error": "It broke.", "text": ""})
    broken = Result(whole.experiment, FACTS, whole.samples | {Cell(0, 0, 0): failed})
    assert np.isnan(broken.values("perplexity")[0, 0, 0])
    assert "greedy: It broke. (1 text)" in broken.to_markdown().replace("\\", "")


class Reader(HTMLParser):
    """The elements of a page, its attributes, and the text of all of it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.attributes = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [value or "" for _, value in attrs]

    def handle_data(self, data):
        self.text += data


def test_the_page_holds_everything_and_runs_nothing(result):
    page = result.to_html()
    read = Reader(page)
    assert "script" not in read.tags and "b" not in read.tags and "i" not in read.tags
    assert "default-src 'none'" in page and "http-equiv" in page
    assert not any(value.startswith(("http", "//")) for value in read.attributes)
    assert "\x00" not in page and "\x1b" not in page
    for words in (
        *(one for one in result.verdict() if "perplexity" in one),
        "0123456789abcdef", "a machine", "torch 2", "seq-rep-n", "Texygen", "--fresh",
    ):  # fmt: skip
        assert words in read.text
    assert read.tags.count("svg") == 5  # a plot a metric that has a number, and the frontier
    assert read.tags.count("details") == 8
    assert page == made().to_html()  # the same experiment, the same report


def test_markdown_says_the_same_and_keeps_its_tables(result):
    text = result.to_markdown()
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    for line in rows:
        assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5, 7, 9)
    assert "<script>" not in text.split("```")[0]
    assert lines[0].startswith("# Which? ")


def test_its_file_asks_the_same_experiment_again(result, tmp_path):
    file = tmp_path / "experiment.toml"
    asked = result.experiment.model_copy(update={"stop": ("\x7f\n", '"')})
    file.write_text(to_toml(asked), encoding="utf-8")
    assert Experiment.from_file(file) == asked


def test_fair_keeps_as_many_settings_of_each_sampler():
    assert fair(["a", "a", "a", "a", "a", "b", "b"]) == {0, 4, 5, 6}
    assert fair(["a", "a", "a", "b"]) == {1, 3} and fair([]) == set()
    assert fair(["a", "a", "greedy"], [True, True, False]) == {0, 1, 2}  # nothing of it can be set
    recipes = [Recipe.parse(r) for r in ("top_p(0.9) | sample", "~top_k(3) | top_p(0.5) | sample")]
    assert {sampler(recipe) for recipe in recipes} == {"top_p | sample"}


def test_a_setting_is_dominated_where_another_is_better_on_both_axes():
    recipes = [Recipe.parse(f"top_p({p}) | sample") for p in (0.2, 0.4, 0.6)]
    x = np.array([[1.0] * 6, [2.0] * 6, [3.0] * 6])
    y = np.array([[2.0] * 6, [1.0] * 6, [1.5] * 6])
    assert [one.dominated for one in frontier(x, y, recipes)] == [False, True, False]
    assert [one.dominated for one in frontier(x, y, recipes, "less", "more")] == [
        False, True, True,
    ]  # fmt: skip
    x[1] = np.nan
    assert [one.recipe for one in frontier(x, y, recipes)] == [0, 2]
    two = [*recipes[:2], Recipe.parse("top_k(5) | sample")]
    crowded = frontier(np.array([[1.0], [9.0], [2.0]]), np.array([[1.0], [9.0], [2.0]]), two)
    assert [(one.fair, one.dominated) for one in crowded] == [
        (False, True), (True, False), (True, True),
    ]  # fmt: skip


def test_an_ellipse_holds_the_true_means_in_95_of_100_experiments():
    random, inside, truth = np.random.default_rng(1), 0, np.array([3.0, 1.0])
    turn = np.array([[2.0, 0.0], [1.5, 0.5]])
    for _ in range(1000):
        means = turn @ random.normal(size=(2, 12)) + truth[:, None]
        found = ellipse(means)
        x, y = truth - means.mean(axis=1)
        along = x * np.cos(found.angle) + y * np.sin(found.angle)
        across = y * np.cos(found.angle) - x * np.sin(found.angle)
        inside += (along / found.major) ** 2 + (across / found.minor) ** 2 <= 1
    assert inside / 1000 == pytest.approx(0.95, abs=0.02)
    assert ellipse(np.ones((2, 3))) is None
