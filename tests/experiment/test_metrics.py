"""Every metric keeps the contract; each gives the hand-computed number."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter

import numpy as np
import pytest

from playground.experiment.metric import Features, Metric, MetricInfo
from playground.experiment.registry import MetricError, Metrics, check, metrics
from playground.experiment.sample import Prompt, Sample
from strategies.registry import registry

PROMPT = Prompt(text="p")


def sample(text="", ids=(), logprobs=(), entropies=(), finish="length", speed=None):
    return Sample(
        text=text,
        token_ids=list(ids),
        logprobs=list(logprobs),
        entropies=list(entropies),
        finish_reason=finish,
        tokens_per_second=speed,
    )


def value(written, one, expected=None):
    return metrics().parse(written).values([one], Prompt(text="p", expected=expected))[0]


@pytest.mark.parametrize("id", metrics().metrics)
def test_the_contract(id):
    plugin = metrics().metrics[id]
    check(plugin)
    info = plugin.info
    assert info.summary.endswith(".") and info.more != info.less
    assert info.url.startswith("https://") or info.source.startswith(("A count", "A clock"))
    assert str(metrics().parse(str(plugin()))) == str(plugin()) == id
    if info.reads_features:
        written = np.random.default_rng(0).normal(size=(3, 20, 4, 5)).astype(np.float32)
        written[1, 2, 3] = np.nan
        features = Features(["a", "b", "c"], written, written[0, :, 0])
        one, again = (plugin().over_all(features) for _ in range(2))
        assert one.numbers.shape == (3, 20, 4) and one.note.endswith(".")
        assert np.array_equal(one.numbers, again.numbers, equal_nan=True)
        assert np.isnan(one.numbers[1, 2, 3]) and plugin().fault(["a"], True) == ""
        return
    texts = [sample("one two", [1, 2], [-1.0, -2.0], [0.5, 1.0], speed=4.0)] * 3
    prompt = Prompt(text="p", expected="{}")
    for given in ([], texts[:1], texts, [sample()] * 2):
        found = plugin().values(given, prompt)
        assert len(found) == len(given)
        assert all(one is None or isinstance(one, float) for one in found)
        assert plugin().values(given, prompt) == found
    if info.expects and id != "json_schema":
        assert plugin().values(texts, PROMPT) == [None] * 3


def test_none_is_broken():
    assert not metrics().broken and len(metrics().metrics) >= 14


def test_a_setting_is_written_and_read_back():
    for written in ("distinct_n(3)", 'contains("a b", ignore_case=False)', "self_bleu(2)"):
        assert str(metrics().parse(written)) == written
    assert str(metrics().parse("repeated_ngrams(n=4)")) == "repeated_ngrams"


@pytest.mark.parametrize(
    "written, words",
    [
        ("distinct", "Did you mean distinct_n"),
        ("distinct_n(0)", "n must be a whole number from 1 to 10, but 0 was given"),
        ("distinct_n(m=2)", "there is no setting m; it has n"),
        ("length(1)", "it takes no values"),
        ("regex('(')", '"(" is no regular expression: missing )'),
        ("regex('((a{999}){999}){999}')", "repeats too much; let it repeat less"),
        ("length | ended", "One metric is written like"),
        ("distinct_n(", "distinct_n("),
    ],
)
def test_what_is_wrong_is_said(written, words):
    with pytest.raises(MetricError) as error:
        metrics().parse(written)
    assert words in str(error.value)


class _Point:
    def __init__(self, name, load):
        self.name, self.load = name, load


def test_a_metric_may_come_from_another_package_and_a_broken_one_stops_nothing():
    class Vowels(Metric):
        info = MetricInfo(
            "vowels", "Vowels", "Counts vowels.", "v", "A count", "", "has more", "has fewer"
        )

        def value(self, sample, prompt):
            return float(sum(letter in "aeiou" for letter in sample.text))

    class Nothing(Metric):
        info = Vowels.info

    def fail():
        raise ImportError("no such module")

    found = Metrics.discover(
        [
            _Point("vowels", lambda: Vowels),
            _Point("absent", fail),
            _Point("empty", lambda: Nothing),
            _Point("other", lambda: registry().get("top_p")),
        ]
    )
    assert found.parse("vowels").values([sample("audio")], PROMPT) == [4.0]
    assert set(found.broken) == {"absent", "empty", "other"}
    assert "neither value nor values" in found.broken["empty"]
    with pytest.raises(MetricError, match="cannot be used: ImportError: no such module"):
        found.parse("absent")


@pytest.mark.parametrize(
    "written, one, expected",
    [
        ("perplexity", sample(ids=[1, 2], logprobs=[math.log(1 / 2), math.log(1 / 8)]), 4.0),
        ("entropy", sample(ids=[1, 2], entropies=[1.0, 2.5]), 1.75),
        ("distinct_n(2)", sample(ids=[1, 2, 1, 2, 1]), 0.5),
        ("repeated_ngrams(4)", sample(ids=[1, 2, 3, 4, 1, 2, 3, 4]), 0.2),
        ("length", sample(ids=[1, 2, 3]), 3.0),
        ("ended", sample(finish="eos"), 1.0),
        ("ended", sample(finish="stop"), 1.0),
        ("ended", sample(finish="context"), 0.0),
        ("tokens_per_second", sample(speed=12.5), 12.5),
        ("tokens_per_second", sample(), None),
        ("json_valid", sample(' {"a": [1, null]}\n'), 1.0),
        ("json_valid", sample('{"a": NaN}'), 0.0),
        ("json_valid", sample("{'a': 1}"), 0.0),
        ("json_valid", sample("[" * 100_000), 0.0),
        ("regex('[0-9]+')", sample("in 1815."), 1.0),
        ("regex('[0-9]+', whole=True)", sample("in 1815."), 0.0),
        ("regex('[0-9]+', whole=True)", sample(" 1815\n"), 1.0),
        ("contains('PARIS')", sample(" Paris."), 1.0),
        ("contains('PARIS', ignore_case=False)", sample(" Paris."), 0.0),
    ],
)
def test_values(written, one, expected):
    assert value(written, one) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "written, text, expected, found",
    [
        ("exact", " Paris\n", "Paris", 1.0),
        ("exact", "paris", "Paris", 0.0),
        ("exact(True)", "paris", "Paris", 1.0),
        ("contains", "It is paris.", "Paris", 1.0),
        ("contains", "London", "Paris", 0.0),
        ("regex", "abc", "b.$", 1.0),
        ("regex", "abc", "(", None),  # what a prompt expects is no expression
        ("regex", "a" * 5000 + "b", "(a+)+$", None),  # would take for ever
    ],
)
def test_checks_against_what_a_prompt_expects(written, text, expected, found):
    assert value(written, sample(text), expected) == found


def test_compression_is_that_of_deflate_alone():
    text = "again and " * 50
    packed = len(zlib.compress(text.encode(), 9)) - 6  # header and checksum
    assert value("compression_ratio", sample(text)) == pytest.approx(500 / packed)
    assert value("compression_ratio", sample("\ud800")) == pytest.approx(3 / 5)
    over = metrics().parse('compression_ratio("seeds")')
    alike, unlike = (
        over.values([sample(a), sample(b)], PROMPT)
        for a, b in (("the same words here", "the same words here"), ("one thing", "2 or 3?"))
    )
    assert alike[0] == alike[1] > unlike[0]


TEXTS = [[5, 6, 7, 8, 9, 5, 6, 7], [5, 6, 7, 8, 1, 2, 3], [9, 9, 9, 5, 6, 7, 8, 9, 4, 4],
         [1, 2, 3, 4, 5, 6, 7, 8]]  # fmt: skip


# Of nltk 3.10.4: sentence_bleu(others, text, [1 / n] * n, SmoothingFunction().method1).
@pytest.mark.parametrize(
    "n, expected",
    [
        (2, [0.668153105, 0.791347634, 0.577350269, 0.845154255]),
        (4, [0.650059326, 0.515448683, 0.516973154, 0.516973154]),
    ],
)
def test_self_bleu_is_that_of_nltk(n, expected):
    found = metrics().parse(f"self_bleu({n})").values([sample(ids=ids) for ids in TEXTS], PROMPT)
    assert found == [pytest.approx(one) for one in expected]


def test_self_bleu_against_plain_loops():
    texts = [[1, 2, 3, 1, 2], [2, 3, 1, 2, 5, 6], [7, 1, 2, 3]]
    found = metrics().parse("self_bleu(2)").values([sample(ids=ids) for ids in texts], PROMPT)
    for at, text in enumerate(texts):
        others = texts[:at] + texts[at + 1 :]
        product = 1.0
        for n in (1, 2):
            own = Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))
            hits = 0
            for gram, count in own.items():
                most = 0
                for other in others:
                    there = sum(tuple(other[i : i + n]) == gram for i in range(len(other) - n + 1))
                    most = max(most, there)
                hits += min(count, most)
            product *= hits / sum(own.values())
        nearest = min((abs(len(o) - len(text)), len(o)) for o in others)[1]
        penalty = 1 if len(text) > nearest else math.exp(1 - nearest / len(text))
        assert found[at] == pytest.approx(penalty * product**0.5)


def test_one_text_resembles_no_other_and_nothing_has_no_bleu():
    assert value("self_bleu", sample(ids=[1, 2])) is None
    found = (
        metrics().parse("self_bleu").values([sample(), sample(ids=[1]), sample(ids=[2])], PROMPT)
    )
    assert found == [None, 0.0, 0.0]


def test_a_text_keeps_to_a_schema():
    pytest.importorskip("jsonschema")
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
    for text, found in (('{"b": 1, "a": 2}', 1.0), ('{"a": "2"}', 0.0), ("{", 0.0)):
        assert value("json_schema", sample(text), schema) == found
        assert value(f"json_schema({schema!r})", sample(text)) == found
    assert value("json_schema", sample("{}")) is None
    assert value("json_schema", sample("{}"), "no schema") is None
    with pytest.raises(MetricError, match="the schema cannot be read"):
        metrics().parse("json_schema('{\"type\": 3}')")


def test_a_schema_of_whoever_asks_fetches_nothing_and_takes_no_longer_than_others(monkeypatch):
    pytest.importorskip("jsonschema")
    monkeypatch.setattr("playground.experiment.metrics.json_schema._SECONDS", 0.05)
    doubled = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(40)
    } | {"d40": False}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    forked = {f"d{n}": {part: {"$ref": f"#/$defs/d{n + 1}"} for part in ("if", "then")}
              | {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)}  # fmt: skip
    for schema in (
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#"},
        {"$ref": "#/$defs/d0", "$defs": doubled, "$schema": dialect},
        {"allOf": [{"$ref": "#/$defs/d0", "$schema": dialect}], "$defs": doubled},
        {"allOf": [{"type": "string", "pattern": "(a+)+$", "$schema": dialect}]},
        {"$ref": "#/$defs/d0", "$defs": forked | {"d40": True}},
        {"$schema": [], "type": "string"},
        {"$ref": "#/enum/0", "enum": [{"type": 3, "$schema": []}]},  # no schema, and unchecked
        {"type": "string", "pattern": "("},
        {"type": "string", "pattern": "(a+)+$"},
        {"$ref": "#/$defs/d0", "$defs": doubled},
    ):
        written = json.dumps(schema)
        assert value("json_schema", sample(json.dumps("a" * 5000 + "b")), written) is None
    dated = json.dumps({"type": "string", "pattern": "^[0-9]{4}$"})
    assert value("json_schema", sample('"1815"'), dated) == 1.0
    assert value("json_schema", sample('"181"'), dated) == 0.0
    slow = metrics().parse("json_schema")
    prompt = Prompt(text="p", expected=json.dumps({"type": "string", "pattern": "(a+)+$"}))
    assert slow.values([sample(json.dumps("a" * 5000 + "b"))] * 100, prompt) == [None] * 100
    patterned = json.dumps({"patternProperties": {"(a+)+$": {}}})
    assert value("json_schema", sample("{}"), patterned) is None
