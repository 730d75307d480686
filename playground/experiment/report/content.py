"""The content of a report, whatever its format: paragraphs and tables under headings."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field

from playground.experiment.findings import Findings, Summary
from playground.experiment.metric import Metric
from playground.experiment.report.toml import to_toml
from playground.experiment.result import Result
from playground.experiment.statistics.interval import Interval
from playground.experiment.statistics.words import even, number

MOST_SENTENCES = 40
MOST_OPEN = 3  # sentences on differences of a metric that are not settled
MOST_PAIRS = 200  # rows of a table
FILE = "experiment.toml"


@dataclass(frozen=True)
class Table:
    """Cells as texts; the columns in ``numbers``, from 0, are aligned right."""

    header: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    title: str
    paragraphs: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    table: Table | None = None
    code: str | None = None


def heading(result: Result) -> str:
    return result.experiment.question or "An experiment"


def sections(result: Result) -> list[Section]:
    """The sections in the order of reading: the answer first, how it was found last."""
    found = [_verdict(result), _means(result), _pairs(result)]
    if result.errors:
        found.append(_errors(result))
    return [*found, _settings(result), _metrics(result), _environment(result), _again(result)]


def shown(value: float, metric: Metric) -> str:
    return number(value * metric.info.factor)


def between(one: Summary, metric: Metric) -> str:
    """A mean with its interval: "21.3 (17.0 to 25.1)"."""
    mean = shown(one.mean, metric)
    if one.low is None or one.high is None:
        return mean
    return f"{mean} ({shown(one.low, metric)} to {shown(one.high, metric)})"


def plus_minus(one: Summary, metric: Metric) -> str:
    """A mean with its interval, as "21.3 ± 4.1" where the interval is about symmetric."""
    if one.low is None or one.high is None or metric.info.ratio:
        return between(one, metric)
    factor = metric.info.factor
    return even(one.mean * factor, one.low * factor, one.high * factor) or between(one, metric)


def size_of(found: Interval, metric: Metric) -> str:
    """A difference with its sign and its interval: "−21 ± 4", or "× 0.71 (0.62 to 0.80)"."""
    ratio, factor = metric.info.ratio, metric.info.factor
    sign = "× " if ratio else ""
    mean = math.exp(found.mean) if ratio else found.mean * factor
    if found.low is None or found.high is None:
        return f"{sign}{number(mean)}".replace("-", "−")
    low, high = (math.exp(end) if ratio else end * factor for end in (found.low, found.high))
    words = None if ratio else even(mean, low, high)
    return (words or f"{sign}{number(mean)} ({number(low)} to {number(high)})").replace("-", "−")


def title(metric: Metric) -> str:
    """A metric's name, settings and unit, as in the header of a column."""
    settings = str(metric).removeprefix(metric.info.id)
    unit = "%" if metric.info.unit == "points" else metric.info.unit
    return f"{metric.info.title}{settings and ' ' + settings}{unit and ', ' + unit}"


def _verdict(result: Findings) -> Section:
    paragraphs = []
    if not result.complete:
        paragraphs.append(
            f"Of {result.experiment.cells:,} texts, {result.written:,} are written: this is "
            "what they tell."
        )
    if len(result.experiment.recipes) < 2:
        paragraphs.append("There is one recipe, and nothing to compare it with.")
    verdicts = [f"{one.sentence}." for one in result.compared if one.difference.settled]
    open_: dict[str, list[str]] = {}
    for one in result.compared:
        if not one.difference.settled:
            open_.setdefault(one.metric, []).append(f"{one.sentence}.")
    for metric in result.experiment.measured:
        sentences = open_.get(str(metric), [])
        if len(sentences) > MOST_OPEN:
            sentences = [
                f"{metric.info.title}: nothing can be told yet of {len(sentences):,} pairs; the "
                "table says how many more prompts would do."
            ]
        verdicts += sentences
    if len(verdicts) > MOST_SENTENCES:
        paragraphs.append(
            f"The first {MOST_SENTENCES} of {len(verdicts):,} sentences; the table has all pairs."
        )
    return Section("Verdict", paragraphs, verdicts[:MOST_SENTENCES])


def verdict(result: Findings) -> list[str]:
    """The verdict of the report, with one sentence for many unsettled pairs of a metric."""
    return _verdict(result).points


def _means(result: Result) -> Section:
    measured = result.experiment.measured
    summaries = {
        str(metric): {one.recipe: one for one in result.summary(str(metric))} for metric in measured
    }
    rows = []
    for recipe in range(len(result.experiment.recipes)):
        row = [result.experiment.name(recipe)]
        for metric in measured:
            one = summaries[str(metric)].get(recipe)
            row.append("n/a" if one is None else between(one, metric))
        rows.append(row)
    return Section(
        "Means",
        [
            "Over prompts, each of which counts as the mean of its texts, with the interval that "
            "holds the true mean with 95 %: BCa bootstrap of whole prompts. Ratios have geometric "
            "means.",
            *result.notes.values(),
        ],
        table=Table(
            ["Recipe", *map(title, measured)], rows, frozenset(range(1, len(measured) + 1))
        ),
    )


def _pairs(result: Result) -> Section:
    frame, by_id = result.pairs(), {str(one): one for one in result.experiment.measured}
    rows = []
    for row in frame.head(MOST_PAIRS).to_dict("records"):
        info = by_id[row["metric"]].info
        factor = 1.0 if info.ratio else info.factor
        words = [number(row[name] * factor) for name in ("difference",)]
        low, high = row["low"], row["high"]
        known = low == low and low is not None  # pandas has NaN for None
        words.append(f"{number(low * factor)} to {number(high * factor)}" if known else "n/a")
        further = row["further_prompts"]
        more = "" if further != further or further is None else f"{int(further):,}"
        rows.append(
            [
                title(by_id[row["metric"]]),
                row["first"],
                row["second"],
                ("× " if info.ratio else "") + words[0],
                words[1],
                f"{row['p_corrected']:.4f}",
                "yes" if row["settled"] else "no",
                more,
            ]
        )
    header = [
        "Metric", "First", "Second", "Difference", "95 % interval", "p, corrected", "Told",
        "Further prompts",
    ]  # fmt: skip
    paragraphs = [
        "Differences of the first to the second, paired within each prompt and seed, which the "
        "recipes share. p is of a sign-flip test over prompts, corrected by Holm over the pairs of "
        "a metric; further prompts would probably (4 of 5) settle a difference of this size."
    ]
    if len(frame) > MOST_PAIRS:
        paragraphs.append(f"The first {MOST_PAIRS} of {len(frame):,} pairs.")
    return Section("Pairs", paragraphs, table=Table(header, rows, frozenset({3, 4, 5, 7})))


def _errors(result: Result) -> Section:
    reasons: dict[str, int] = {}
    for cell, error in result.errors.items():
        words = f"{result.experiment.name(cell.recipe)}: {error}"
        reasons[words] = reasons.get(words, 0) + 1
    return Section(
        "Failures",
        ["Texts that a recipe could not finish have no numbers."],
        [
            f"{words} ({count:,} {'text' if count == 1 else 'texts'})"
            for words, count in reasons.items()
        ],
    )


def _settings(result: Result) -> Section:
    experiment = result.experiment
    rows = [
        ["Recipes", "\n".join(_named(result, recipe) for recipe in range(len(experiment.recipes)))],
        ["Prompts", f"{len(experiment.prompts):,}"],
        ["Seeds", ", ".join(map(str, experiment.seeds))],
        ["Longest text", f"{experiment.max_new_tokens:,} tokens"],
    ]
    if experiment.min_new_tokens:
        rows.append(["Shortest text", f"{experiment.min_new_tokens:,} tokens"])
    if experiment.stop:
        rows.append(["Stop strings", ", ".join(map(repr, experiment.stop))])
    rows.append(["Chat template", "yes" if experiment.chat else "no"])
    return Section("Settings", table=Table(["Setting", "Value"], rows))


def _named(result: Result, recipe: int) -> str:
    written, name = str(result.experiment.recipes[recipe]), result.experiment.name(recipe)
    return written if written == name else f"{name}: {written}"


def _metrics(result: Result) -> Section:
    return Section(
        "Metrics",
        table=Table(
            ["Metric", "What it is", "Formula", "Source"],
            [
                [
                    str(metric),
                    metric.info.summary,
                    metric.info.formula,
                    " ".join(part for part in (metric.info.source, metric.info.url) if part),
                ]
                for metric in result.experiment.measured
            ],
        ),
    )


def _environment(result: Result) -> Section:
    facts = result.facts
    rows = [
        ["Model", f"{facts.title} ({facts.parameters:,} parameters)"],
        ["Fingerprint of its weights", facts.fingerprint],
        ["Device and number format", f"{facts.device}, {facts.dtype}"],
        ["Machine", facts.machine],
        ["Versions", ", ".join(f"{name} {version}" for name, version in facts.versions.items())],
    ]
    return Section("Model and machine", table=Table(["What", "Which"], rows))


def _again(result: Result) -> Section:
    command = f"decoding-playground experiment {FILE} --fresh"
    if result.experiment.model is None and result.facts.title not in ("", None):
        words = f"Save this as {FILE}, and run: {command}"
    else:
        model = shlex.quote(str(result.experiment.model or result.facts.model))
        words = f"Save this as {FILE}, and run: {command} --model {model}"
    clocked = [str(m) for m in result.experiment.measured if not m.info.repeatable]
    same = "With the same fingerprint, device and versions the numbers are the same"
    same += f", but for {', '.join(clocked)}." if clocked else "."
    if not result.facts.batch_invariant:
        same = (
            "This model's kernels depend on the size of a batch here: a text may differ from run "
            "to run."
        )
    return Section("To run it again", [words, same], code=to_toml(result.experiment))
