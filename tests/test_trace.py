"""Traces survive a round trip through JSON, and charts can be drawn of what is read back."""

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from playground import charts
from playground.explain.texts import showing
from playground.trace import Comparison, column_name
from playground.trace.migration import VERSION
from tests.traces import COLUMNS, NO_REPEAT, comparison, several_texts

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run():
    return comparison((*COLUMNS, NO_REPEAT))


def test_json_round_trip(run):
    back = Comparison.from_json(run.to_json())
    assert Comparison.from_json(back.to_json()) == back
    for step, was in zip(back.lanes[1].trace.steps, run.lanes[1].trace.steps, strict=True):
        for told, exact in zip(
            [step.candidates.raw, *step.candidates.stages],
            [was.candidates.raw, *was.candidates.stages],
            strict=True,
        ):
            assert told == pytest.approx(exact, rel=1e-6, abs=0)
        for name in ("raw_logprob", "logprob", "raw_entropy"):
            assert getattr(step, name) == pytest.approx(getattr(was, name), rel=1e-6)
        assert step.times.forward == pytest.approx(was.times.forward, rel=1e-4)
        assert step.model_dump_json() == was.model_dump_json()


def test_json_is_plain(run):
    """Parse standard JSON: NaN and Infinity, which other parsers refuse, raise."""

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(run.to_json(), parse_constant=refuse)


OLD = ROOT / "tests" / "saved" / "comparison-1.json"


def test_what_was_saved_in_the_first_form_is_read_whole():
    saved = json.loads(OLD.read_text("utf-8"))
    assert "version" not in saved
    loaded = Comparison.from_json(OLD.read_bytes())
    for lane, was in zip(loaded.lanes, saved["lanes"], strict=True):
        trace = lane.trace.model_dump()
        del trace["chain"]
        weighed = trace.pop("beams")
        assert (weighed is not None) == (lane.trace.chain.chooses == "text")
        assert not weighed or [one["node"] for one in weighed["ended"]] == [
            output.nodes[-1] for output in lane.trace.outputs
        ]
        for step in [*trace["steps"], *([trace["offer"]] if trace["offer"] else [])]:
            assert all(stage.pop("threshold") is None for stage in step["stages"])
            assert step.pop("logits") == "" and step.pop("taken_back") == []
        samples = [output.pop("sample") for output in trace["outputs"]]
        assert samples == list(range(len(samples)))
        assert trace == was["trace"]
    assert [lane.trace.chain.chooses for lane in loaded.lanes] == ["draw", "text", "person"]
    off, *_ = loaded.lanes[0].trace.chain.steps
    assert (off.strategy, off.label, off.enabled) == ("top_k", "top_k 5", False)
    assert [one.label for one in loaded.lanes[0].trace.chain.processors] == [
        "repetition_penalty 1.2",
        'bad_words [" the | a"]',
        "top_p 0.5",
    ]
    again = Comparison.from_json(loaded.to_json())
    assert again.to_json() == loaded.to_json()


def test_json_names_its_form_and_a_later_one_is_refused(run):
    saved = json.loads(run.to_json())
    assert saved["version"] == VERSION
    with pytest.raises(ValidationError, match="saved in form 99 by a later version"):
        Comparison.from_json(json.dumps(saved | {"version": 99}))
    Comparison.model_validate(saved)
    assert saved["version"] == VERSION


def test_six_columns_of_512_tokens_stay_under_8_mb():
    """Five of them with four stages, and a beam search, whose records are of four rows a step."""
    run = Comparison.from_json((ROOT / "playground" / "ui" / "recorded.json").read_bytes())
    staged, beams = run.lanes[1].trace.model_copy(deep=True), run.lanes[2].trace
    for step in staged.steps:  # both stages twice
        step.stages *= 2
        step.candidates.stages *= 2
    assert len(staged.chain.processors) == 2 and len(beams.steps) == 4 * len(beams.path())
    five, one = (len(trace.model_dump_json()) / len(trace.path()) for trace in (staged, beams))
    assert 512 * (5 * five + one) < 8_000_000


def test_json_leaves_out_what_most_steps_have_alike(run):
    step = run.lanes[1].trace.steps[3].model_copy(deep=True)
    unusual = {"draft": 7, "draft_text": "a", "special": True, "score": -1.25, "logits": "AA=="}
    assert not unusual.keys() & step.model_dump(mode="json").keys()
    assert step.model_dump()["draft"] is None
    every = step.model_copy(update=unusual)
    every.stages[0].threshold = 0.5
    told = every.model_dump(mode="json")
    assert unusual.items() <= told.items() and told["stages"][0]["threshold"] == 0.5
    for one in (step, every):
        read = type(step).model_validate_json(one.model_dump_json())
        assert read.model_dump_json() == one.model_dump_json()
        assert read.model_dump().keys() == step.model_dump().keys()


def test_what_is_excluded_of_a_step_is_left_out(run):
    step = run.lanes[0].trace.steps[0]
    for mode in ("python", "json"):
        assert step.model_dump(mode=mode).keys() - step.model_dump(
            mode=mode, exclude={"times", "at", "stages"}
        ).keys() == {"times", "at", "stages"}


def test_unknown_fields_are_refused(run):
    raw = json.loads(run.to_json())
    raw["lanes"][0]["trace"]["steps"][0]["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Comparison.from_json(json.dumps(raw))


def test_frame_has_a_row_per_token(run):
    frame = run.frame()
    assert len(frame) == sum(len(lane.token_ids) for lane in run.lanes)
    for number, lane in enumerate(run.lanes):
        rows = frame[frame["column"] == "ABCD"[number]]
        assert rows["token_id"].tolist() == lane.token_ids
        assert rows["position"].tolist() == list(range(1, len(lane.token_ids) + 1))
        assert rows["token"].tolist() == [step.piece for step in lane.trace.path()]
        assert set(rows["sample"]) == {1}
        assert "".join(rows["text"]) == lane.text
        assert rows["recipe"].unique().tolist() == [lane.recipe]


def test_a_tokens_line_ends_do_not_end_a_row_of_the_table(run):
    odd = run.model_copy(deep=True)
    step = odd.lanes[0].trace.path(0)[0]
    at = step.candidates.ids.index(step.token)
    for text in ("\r", "\n", '"', ",", "\r\n", "a\rb", " "):
        step.candidates.texts[at] = step.text = text
        rows = list(csv.DictReader(io.StringIO(odd.to_csv("all"), newline="")))
        assert len(rows) == len(odd.frame("all"))
        assert rows[0]["token"] == rows[0]["text"] == text


def test_frame_says_what_a_person_called_a_column(run):
    named = run.lanes[1].model_copy(update={"name": "warm"})
    lanes = [run.lanes[0], named, *run.lanes[2:]]
    frame = run.model_copy(update={"lanes": lanes}).frame()
    assert list(frame.columns[:2]) == ["column", "name"]
    assert dict(zip(frame.column, frame["name"], strict=True)) == {
        "A": "", "B": "warm", "C": "", "D": "",
    }  # fmt: skip


@pytest.fixture(scope="module")
def several():
    return several_texts()


def test_frame_holds_the_first_texts_or_all_or_those_asked_for(several):
    first, every, asked = several.frame(), several.frame("all"), several.frame([0, 2])
    counts = every.groupby(["column", "sample"]).size().to_dict()
    assert counts == {("A", 1): 24, ("B", 1): 24, ("B", 2): 24, ("B", 3): 5, ("C", 1): 24}
    assert len(first) == 72 and set(first["sample"]) == {1}
    assert asked[asked.column == "B"].position.tolist() == [1, 2, 3, 4, 5]
    assert set(asked[asked.column == "B"]["sample"]) == {3}
    for output in range(3):
        rows = every[(every.column == "B") & (every["sample"] == output + 1)]
        assert rows.token_id.tolist() == several.lanes[1].trace.outputs[output].token_ids
    with pytest.raises(ValueError, match="samples is 'both'; it must be 'shown', 'all'"):
        several.frame("both")


def test_what_a_column_shows_of_several_texts_is_what_its_figures_are_of(several):
    shown = showing(several, [0, 2])
    lane, was = shown.lanes[1], several.lanes[1].trace
    assert [step.token for step in lane.trace.path()] == was.outputs[2].token_ids
    assert (lane.text, lane.finish_reason) == (was.outputs[2].text, "stop")
    assert lane.metrics.tokens == 5 and lane.metrics.found == {"green tokens": 3.0}
    assert lane.metrics.perplexity == pytest.approx(
        math.exp(-sum(step.raw_logprob for step in was.path(2)) / 5)
    )
    assert shown.lanes[0] == several.lanes[0]
    assert showing(several, [0, 9]).lanes[1] == several.lanes[1]
    assert several.lanes[1].trace.outputs[0].nodes[0] == 0  # the run itself stays as it was


@pytest.mark.parametrize("lane, name", [(0, "A"), (5, "F"), (25, "Z"), (26, "AA"), (63, "BL")])
def test_columns_have_letters_however_many_there_are(lane, name):
    assert column_name(lane) == name


def test_frame_agrees_with_the_records(run):
    row = run.frame().query("column == 'B'").iloc[5]
    step = run.lanes[1].trace.path()[5]
    assert row["raw_probability"] == pytest.approx(math.exp(step.raw_logprob))
    assert row["probability"] == pytest.approx(math.exp(step.logprob))
    assert row["entropy"] == step.stages[-1].entropy
    assert row["survivors"] == step.stages[-1].survivors
    assert row["forward_ms"] == pytest.approx(1000 * step.times.forward)


def test_without_stages_the_whole_vocabulary_survives(run):
    frame = run.frame().query("column == 'A'")
    assert set(frame["survivors"]) == {run.lanes[0].trace.vocab_size}
    assert (frame["entropy"] == frame["raw_entropy"]).all()


def test_frame_of_a_run_that_wrote_nothing_keeps_its_columns(run):
    empty = comparison(length=0)
    assert len(empty.frame()) == 0
    assert list(empty.frame().columns) == list(run.frame().columns)


def test_path_follows_the_nodes_of_the_asked_text(run):
    trace = run.lanes[0].trace
    assert [step.index for step in trace.path()] == trace.outputs[0].nodes
    assert trace.path(len(trace.outputs)) == []


def test_removed_by_names_the_first_stage_that_left_nothing(run):
    trace = run.lanes[1].trace  # temperature, then top_p
    for step in trace.path():
        for c in range(len(step.candidates.ids)):
            after_temperature, after_top_p = (s[c] for s in step.candidates.stages)
            assert after_temperature > 0
            assert step.candidates.removed_by(c) == (None if after_top_p > 0 else 1)


def test_loaded_back_it_draws_the_same(run):
    run = Comparison.from_json(run.to_json())
    back = Comparison.from_json(run.to_json())
    trace, again = run.lanes[1].trace, back.lanes[1].trace
    for draw in (charts.distribution, charts.stages):
        drawn = draw(trace.path()[3], trace, "#0072B2")
        assert drawn.to_json() == draw(again.path()[3], again, "#0072B2").to_json()
    for draw in (charts.per_step, charts.timeline, charts.steps):
        assert draw(run).to_json() == draw(back).to_json()


def test_drawing_needs_no_model(run, tmp_path):
    """In a fresh process, from the file alone, without a strategy or what a model needs."""
    file = tmp_path / "run.json"
    file.write_text(run.to_json(), encoding="utf-8")
    code = (
        "import sys; from playground import charts; from playground.trace import Comparison\n"
        f"run = Comparison.from_json(open({str(file)!r}, encoding='utf-8').read())\n"
        "trace = run.lanes[1].trace\n"
        "charts.distribution(trace.path()[3], trace, '#0072B2')\n"
        "charts.steps(run); charts.per_step(run); charts.timeline(run); run.frame()\n"
        "from playground.explain.partings import Side, parting\n"
        "parting(Side.of('A', run.lanes[0].trace), Side.of('B', trace))\n"
        "unwanted = ('torch', 'transformers', 'gradio', 'strategies')\n"
        "print([name for name in unwanted if name in sys.modules])\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
