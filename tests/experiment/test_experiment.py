"""Which experiments are valid, and the field that is named where one is not."""

from __future__ import annotations

import re
import tomllib

import pytest

from playground.experiment.experiment import Experiment, ExperimentError
from playground.experiment.prompts import SETS, PromptsError, from_csv, from_jsonl, prompt_set, read
from playground.experiment.registry import metrics
from tests.test_imports import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
ASKED = {"prompts": ["a", "b"], "recipes": ["greedy"]}
NUCLEUS = "temperature(0.8) | top_p(0.9) | sample"


@pytest.mark.parametrize(
    "change, field, words",
    [
        ({"prompts": []}, "prompts", "at least 1 item"),
        ({"prompts": ["a", "a"]}, "prompts", "the prompt 'a' is given twice"),
        ({"prompts": [{"text": ""}]}, "prompts.0.text", "at least 1 character"),
        ({"prompts": [{"set": "poem"}]}, "prompts", "there are story, fact, list"),
        ({"prompts": [{"set": "story", "last": 1}]}, "prompts", '"first": 4'),
        ({"prompts": [{"file": "p.csv"}]}, "prompts", "no files of prompts are read here"),
        ({"recipes": ["topp(1) | sample"]}, "recipes.0", "Did you mean top_p"),
        ({"recipes": ["greedy", " greedy"]}, "recipes", "greedy is given twice"),
        ({"recipes": ["manual"]}, "recipes", "manual has a person choose each token"),
        ({"recipes": []}, "recipes", "at least 1 item"),
        ({"seeds": 0}, "seeds", "from 1 to 1,000 seeds, but 0 was given"),
        ({"seeds": [3, 3]}, "seeds", "a seed is given twice"),
        ({"seeds": [-1]}, "seeds", "from 0 to"),
        ({"metrics": ["distinct"]}, "metrics", "Did you mean distinct_n"),
        ({"max_new_tokens": "many"}, "max_new_tokens", "'many' was given"),
        ({"min_new_tokens": 70}, "", "min_new_tokens is more than max_new_tokens"),
        ({"names": {"sample": "S"}}, "", "names has sample, which is none of the recipes"),
        ({"promts": []}, "promts", "an experiment has question, model, prompts"),
        ({"sweep": {"recipe": NUCLEUS}}, "recipes", "sweep.values is missing"),
        ({"sweep": {"recipe": NUCLEUS, "values": {"top_k": [1]}}}, "sweep", "names no step"),
        ({"sweep": {"recipe": NUCLEUS, "values": {"top_p.k": [1]}}}, "sweep", "top_p has top_p"),
        (
            {"sweep": {"recipe": NUCLEUS, "values": {"top_p": [2]}}},
            "sweep",
            "top_p must be a number",
        ),
        (
            {"sweep": {"recipe": NUCLEUS, "values": {"top_p": []}}},
            "sweep.values",
            "top_p has no value",
        ),
        ({"seeds": 1000, "prompts": [str(i) for i in range(300)]}, "", "300,000 texts"),
    ],
)
def test_a_fault_names_its_field(change, field, words):
    with pytest.raises(ExperimentError) as error:
        Experiment.of(ASKED | change)
    assert words in str(error.value) and str(error.value).endswith((".", "?"))
    if field != "recipes" or "sweep" not in change:
        assert error.value.field == field


def made(kind, values):
    asked = ASKED | {"sweep": {"recipe": NUCLEUS, "values": values, "as": kind}}
    return [str(recipe) for recipe in Experiment.of(asked).recipes]


def test_a_sweep_is_a_grid_or_a_list():
    values = {"temperature": [0.5, 0.7], "top_p.top_p": {"from": 0.8, "to": 0.9, "step": 0.1}}
    assert made("grid", values) == [
        "greedy",
        "temperature(0.5) | top_p(0.8) | sample",
        "temperature(0.5) | top_p(0.9) | sample",
        "temperature(0.7) | top_p(0.8) | sample",
        "temperature(0.7) | top_p(0.9) | sample",
    ]
    assert made("list", values)[1:] == [
        "temperature(0.5) | top_p(0.8) | sample",
        "temperature(0.7) | top_p(0.9) | sample",
    ]
    many = made("grid", {"top_p": {"from": 0.1, "to": 0.9, "many": 5}})[1:]
    assert [one.split("top_p(")[1][:3] for one in many] == ["0.1", "0.3", "0.5", "0.7", "0.9"]


def test_every_set_is_there_and_what_can_be_checked_is():
    for task in SETS:
        prompts = prompt_set(task)
        assert len(prompts) >= 12 and len({prompt.text for prompt in prompts}) == len(prompts)
        assert prompts[0].name == f"{task} 1"
        checked = task in ("fact", "code", "json")
        assert all((prompt.expected is not None) == checked for prompt in prompts)


def test_prompts_from_csv_and_json_lines():
    found = from_csv('Prompt,answer\n"The capital, of",Paris\n"two\nlines",\n')
    assert [(one.text, one.expected) for one in found] == [
        ("The capital, of", "Paris"),
        ("two\nlines", None),
    ]
    lines = '"a"\n\n{"text": "b", "expected": {"type": "object"}, "id": 7}\n'
    a, b = from_jsonl(lines)
    assert (a.text, b.expected, b.name) == ("a", '{"type": "object"}', "7")


@pytest.mark.parametrize(
    "reader, text, words",
    [
        (from_csv, "a,b\n1,2\n", "names no column text or prompt"),
        (from_csv, "text\n", "there is no prompt in it"),
        (from_csv, 'text\n"a\n', "after line 1: unexpected end"),
        (from_csv, "text,name\n,x\n", "line 2: text is missing or empty"),
        (from_jsonl, '"a"\n{"text"\n', "line 2 is no JSON"),
        (from_jsonl, "3\n", "line 1 is neither"),
        (from_jsonl, '{"expected": "x"}\n', "line 1: text is missing"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(reader, text, words):
    with pytest.raises(PromptsError) as error:
        reader(text)
    assert words in str(error.value)


def test_an_experiment_from_a_file_reads_prompts_beside_it(tmp_path):
    (tmp_path / "p.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    file = tmp_path / "e.toml"
    file.write_text(
        'prompts = [{file = "p.txt"}, "three"]\nseeds = 2\n'
        f'[sweep]\nrecipe = "{NUCLEUS}"\nvalues = {{top_p = [0.5, 0.9]}}\n',
        encoding="utf-8",
    )
    asked = Experiment.from_file(file)
    assert [one.text for one in asked.prompts] == ["one", "two", "three"] and asked.cells == 12
    again = Experiment.of(asked.model_dump())
    assert again == asked
    for name, text, words in (
        ("absent.toml", None, "No such file"),
        ("bad.toml", "prompts = [", "is no TOML"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(ExperimentError, match=words):
            Experiment.from_file(tmp_path / name)
    with pytest.raises(PromptsError, match=r"ends in none of \.csv"):
        (tmp_path / "p.doc").write_text("x", encoding="utf-8")
        read(tmp_path / "p.doc")


def test_recipes_are_called_by_what_sets_them_apart():
    recipes = [
        "greedy", "sample", "temperature | top_p(0.9) | sample", 'beam(4, early_stopping="never")',
        "top_k(5) | sample(2)", 'bad_words(["a"]) | greedy',
        "temperature(0.8) | top_p(0.9) | sample",
    ]  # fmt: skip
    asked = Experiment.of(ASKED | {"recipes": recipes, "names": {"greedy": "plain"}})
    assert [asked.name(i) for i in range(7)] == [
        "plain", "sample", "top_p 0.9", 'beam(early_stopping="never")', "top_k 5, sample(2)",
        'bad_words(["a"]), greedy', "temperature 0.8, top_p 0.9",
    ]  # fmt: skip
    alike = Experiment.of(
        ASKED | {"recipes": ["top_p(0.9) | sample", "temperature | top_p(0.9) | sample"]}
    )
    assert alike.name(0) == "top_p(0.9) | sample" != alike.name(1)


def test_the_readmes_file_is_an_experiment():
    (asked,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    made = Experiment.of(tomllib.loads(asked))
    assert made.cells == 16 * 4 * 8 and made.name(1) == "temperature 0.8, top_p 0.8"
    named = set(re.findall(r"`(\w+)`", README))
    assert set(metrics().metrics) <= named  # all are told
