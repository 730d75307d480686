"""The command: what each part prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys

import pytest

from playground.cli import compare as comparing
from playground.cli import main
from playground.engine import FieldError
from playground.settings import Settings, options
from playground.trace import Comparison
from strategies.registry import registry
from tests.folders import VOCAB, saved
from tests.test_app import ROOT, environment, started
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(saved(tiny_llama(VOCAB, context=600), tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def command(capsys):
    """Runs the command in this process: its exit status, what it printed, and its complaints."""

    def run(*arguments):
        status = main(list(arguments))
        return status, *capsys.readouterr()

    return run


def compared(tiny, *more):
    return ("compare", "Hello", "greedy", "top_k(5) | sample(2)", "--model", tiny,
            "--device", "cpu", "--dtype", "float32", "-n", "4", *more)  # fmt: skip


def test_without_a_command_it_tells_what_there_is(command):
    status, out, _ = command()
    assert status == 0
    for name in ("run", "compare", "experiment", "bench", "strategies"):
        assert re.search(rf"^    {name}\s", out, re.M)


def test_a_comparison_is_told_to_a_person(command, tiny):
    status, out, err = command(*compared(tiny, "--seed", "3"))
    assert (status, err) == (0, "")
    assert re.search(r"^A  greedy\n   .+\n   \[4 tokens, perplexity [\d.]+, ended by length\]", out)
    second = out[out.index("B  ") :].splitlines()
    assert second[0] == "B  top_k(5) | sample(2)" and len(second) == 4  # both its texts


def test_its_json_loads_back_and_is_the_same_run_as_its_text(command, tiny):
    _, out, _ = command(*compared(tiny, "--json", "--seed", "3", "--top-n", "7"))
    comparison = Comparison.from_json(out)
    assert comparison.seed == 3 and comparison.max_new_tokens == 4
    assert len(comparison.lanes[0].trace.path()[0].candidates.ids) == 7
    _, again, _ = command(*compared(tiny, "--seed", "3"))
    for output in comparison.lanes[1].trace.outputs:
        assert comparing.printable(output.text).splitlines()[0] in again


def test_a_file_is_of_the_form_that_its_ending_names(command, tiny, tmp_path):
    file = tmp_path / "run.csv"
    assert command(*compared(tiny, "-o", str(file))) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [row["column"] for row in rows] == ["A"] * 4 + ["B"] * 8
    page = tmp_path / "run.html"
    assert command(*compared(tiny, "-o", str(page))) == (0, "", "")
    shown = Comparison.from_html(page.read_text(encoding="utf-8"))
    assert [lane.recipe for lane in shown.lanes] == ["greedy", "top_k(5) | sample(2)"]
    named = tmp_path / "run.txt"
    assert command(*compared(tiny, "--json", "-o", str(named)))[0] == 0
    assert json.loads(named.read_text(encoding="utf-8"))["prompt"] == "Hello"


def test_without_new_tokens_the_prompt_is_scored(command, tiny):
    _, out, _ = command("compare", "Hello", "greedy", "--model", tiny, "-n", "0")
    assert re.match(r"The prompt: 5 tokens, perplexity [\d.]+\n", out)


def test_a_prompt_may_come_through_a_pipe(command, tiny, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\n"))
    _, out, _ = command("compare", "-", "greedy", "--model", tiny, "-n", "1", "--json")
    assert Comparison.from_json(out).prompt == "Hello\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["compare", "a", "greedy", "topp(0.9) | sample"], "Recipe 2: Step 1: There is"),
        (["compare", "a", "greedy", "--model", "/nowhere"], "/nowhere"),
        (["compare", "a", "greedy", "--dtype", "int3"], "dtype is 'int3'"),
        (["compare", "a", *["greedy"] * 7, "--html"], "at most 6 recipes"),
        (["strategies", "topp"], "Did you mean top_p"),
        (["run", "--max-rows", "lots"], "--max-rows is 'lots', but it should be a whole number."),
        (["run", "--port", "seventy"], "--port is 'seventy'"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_no_trace(command, arguments, words):
    status, out, err = command(*arguments)
    assert (status, out) == (1, "") and words in err and err.count("\n") == 1


def test_a_prompt_without_a_recipe_is_refused_by_the_command_line(command, capsys):
    with pytest.raises(SystemExit) as ended:
        command("compare", "Hello")
    assert ended.value.code == 2 and "recipe" in capsys.readouterr().err


def test_what_cannot_be_written_says_where(command, tiny, tmp_path):
    status, _, err = command(*compared(tiny, "-o", str(tmp_path / "no" / "run.json")))
    assert status == 1 and "run.json cannot be written: No such file" in err


def test_control_characters_of_a_model_do_not_reach_a_terminal():
    assert comparing.printable("a\x1b[2Jb\u202e\n\tü😀") == "a\\x1b[2Jb\\u202e\n\tü😀"


def test_ctrl_c_ends_the_texts_and_keeps_what_is_written(tiny, tmp_path):
    file = tmp_path / "run.json"
    arguments = [*compared(tiny, "-n", "590", "-o", str(file))]
    code = f"""
import os, signal, sys, threading
from playground.cli import main
from playground.engine.scheduler.loop import Loop
step, count = Loop.step, []
def counted(self):
    count.append(1)
    if len(count) == 20:
        os.kill(os.getpid(), signal.SIGINT)
    return step(self)
Loop.step = counted
sys.exit(main({arguments!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment())
    assert done.returncode == 130
    comparison = Comparison.from_json(file.read_text(encoding="utf-8"))
    assert {lane.finish_reason for lane in comparison.lanes} == {"cancelled"}
    assert all(0 < len(lane.token_ids) < 590 for lane in comparison.lanes)


def test_a_recipe_that_fails_is_told_and_takes_nothing_from_the_others(command, tiny):
    failing = 'constrained("[ab]b+") | bad_words(["b"]) | sample'
    status, out, err = command("compare", "Hello", "greedy", failing, "--model", tiny, "-n", "4")
    assert status == 1 and "bad_words: every token that is left" in err
    assert re.search(r"^A  greedy\n   .+\n   \[4 tokens", out) and "[1 tokens" not in out
    assert re.search(r"^B  constrained.+\n   [ab]\n   \[1 token, .*bad_words", out, re.M)


def test_strategies_are_listed_and_told(command):
    _, out, _ = command("strategies")
    assert all(re.search(rf"^  {id} ", out, re.M) for id in registry().strategies)
    _, one, _ = command("strategies", "min_p")
    assert one.startswith("min_p (processor): ") and "at least 0, at most 1" in one
    _, card, _ = command("strategies", "min_p", "--json")
    assert json.loads(card)["params"]["properties"].keys() == {"min_p"}
    assert len(json.loads(command("strategies", "--json")[1])["strategies"]) > 30


def test_a_reader_who_has_seen_enough_is_no_failure():
    command = f"{sys.executable} -m playground.cli strategies --json | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_bench_has_its_own_options(command, capsys):
    with pytest.raises(SystemExit) as ended:
        command("bench", "--help")
    assert ended.value.code == 0
    assert "usage: decoding-playground bench" in capsys.readouterr().out


def test_every_setting_of_a_host_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    out = capsys.readouterr().out
    for name in Settings.model_fields.keys() - {"system", "zero_gpu", "space_id", "space_host"}:
        assert f"  --{name.replace('_', '-')} " in out
    assert "--space-id" not in out


def test_options_win_over_the_environment_and_switches_need_no_value(monkeypatch):
    import argparse

    monkeypatch.setenv("PLAYGROUND_PORT", "8123")
    monkeypatch.setenv("PLAYGROUND_MAX_ROWS", "40")
    parser = argparse.ArgumentParser()
    options.add(parser)
    given = ["--port", "9000", "--allow-any-model", "--trace-steps", "no", "--models", "a,b"]
    settings = options.read(parser.parse_args(given))
    assert (settings.port, settings.max_rows) == (9000, 40)
    assert (settings.allow_any_model, settings.trace_steps) == (True, False)
    assert settings.models == ("a", "b")


def test_run_serves_what_the_options_say(tiny):
    options = ("run", "--model", tiny, "--models", tiny, "--device", "cpu")
    with started("-m", "playground.cli", *options) as (process, address, model):
        assert model == "tiny" and address.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in out + errors


EXPERIMENT = """
question = "Does it repeat?"
prompts = ["Hello", "Once", "The", "Why"]
recipes = ["greedy", "top_k(5) | sample"]
seeds = 2
max_new_tokens = 4
metrics = ["distinct_n(1)", "length"]
"""


def test_an_experiment_is_told_written_and_kept(command, tiny, tmp_path):
    (tmp_path / "asked.toml").write_text(EXPERIMENT, encoding="utf-8")
    files = [str(tmp_path / f"report{ending}") for ending in (".md", ".html", ".csv", ".toml")]
    given = ["--model", tiny, "--device", "cpu", "--dtype", "float32", "--store"]
    given += [str(tmp_path / "kept.sqlite"), *(part for file in files for part in ("-o", file))]
    status, out, err = command("experiment", str(tmp_path / "asked.toml"), *given)
    assert (status, err) == (0, "")
    assert out.startswith("Does it repeat?\n\nDistinct n-grams (1), %\n  ")
    assert "Length: no difference at all between greedy and top_k 5 (4 prompts × 2 seeds)." in out
    first = [(tmp_path / f"report{ending}").read_text("utf-8") for ending in (".md", ".csv")]
    again = tmp_path / "report.toml"  # the file that a report gives asks for the same
    assert command("experiment", str(again), *given, "--fresh") == (0, out, "")
    assert [
        (tmp_path / f"report{ending}").read_text("utf-8") for ending in (".md", ".csv")
    ] == first
    assert len(list(csv.DictReader(io.StringIO(first[1])))) == 16


@pytest.mark.parametrize(
    "change, more, words",
    [
        ('recipes = ["topp | sample"]', [], "recipes.0: Step 1: There is no strategy 'topp'"),
        ("seed = 3", [], "There is no field seed; an experiment has question, model"),
        ("", ["-o", "report.pdf"], "report.pdf ends in none of .html, .md, .csv, .toml."),
        ("", ["-o", "/nowhere/report.md"], "there is no such folder"),
        ("", ["--model", "/nowhere"], "/nowhere"),
    ],
)
def test_an_experiment_that_cannot_be_says_why(command, tmp_path, change, more, words):
    name = change.partition(" ")[0]
    kept = [line for line in EXPERIMENT.splitlines() if not name or not line.startswith(name + " ")]
    (tmp_path / "asked.toml").write_text("\n".join([*kept, change]), encoding="utf-8")
    store = ["--store", str(tmp_path / "kept.sqlite")]
    status, out, err = command("experiment", str(tmp_path / "asked.toml"), *store, *more)
    assert (status, out) == (1, "") and words in err and err.count("\n") == 1


def test_an_experiment_from_python(tiny, tmp_path):
    from playground import Playground

    told = []
    playground = Playground(tiny, dtype="float32", device="cpu")
    result = playground.experiment(
        prompts=["Hello", {"set": "fact", "first": 2}],
        recipes=["greedy", "sample"],
        seeds=2,
        max_new_tokens=3,
        metrics=["contains", "length"],
        store=tmp_path / "kept.sqlite",
        progress=told.append,
    )
    assert [one.done for one in told] == list(range(1, 13)) and result.complete
    assert list(result.table()["prompts"]) == [2, 2, 3, 3]
    same = playground.experiment(result.experiment, store=tmp_path / "kept.sqlite", progress=told)
    assert same.frame().equals(result.frame())


def test_from_python_the_context_alone_bounds_a_prompt(tiny):
    from playground import Playground

    playground = Playground(tiny, dtype="float32", device="cpu")
    with pytest.raises(FieldError, match=r"The prompt has [\d,]+ tokens; .*the context holds"):
        playground.compare("a long day " * 3_000, ["greedy"])  # 33,000 characters
