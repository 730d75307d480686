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
from playground.trace import Comparison, StageSummary, column_name
from playground.trace.lane import SAVED
from playground.trace.levels import pack, unpack
from playground.trace.migration import VERSION
from playground.trace.steps import rounded
from tests.traces import COLUMNS, NO_REPEAT, comparison, several_texts

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run():
    return comparison((*COLUMNS, NO_REPEAT))


@pytest.fixture(scope="module")
def searched():
    """A run of a real model, the last of whose columns is a beam search."""
    found = Comparison.from_json((ROOT / "playground" / "ui" / "recorded.json").read_bytes())
    found = Comparison.from_json(found.model_dump_json())  # with the digits that JSON has
    assert [lane.trace.beams is not None for lane in found.lanes] == [False, False, True]
    return found


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


@pytest.mark.parametrize("stages", [1, 4])
def test_six_columns_of_512_tokens_stay_under_8_mb(searched, stages):
    """Five of them with four stages, and a beam search, whose records are of four rows a step."""
    _, sampled, beams = searched.lanes
    assert len(sampled.trace.stages) == 2 and len(beams.trace.stages) == 0
    assert len(beams.trace.steps) == 4 * len(beams.trace.path())
    sampled, beams = (lane.model_copy(deep=True) for lane in (sampled, beams))
    sampled.trace.chain.steps[:-1] *= 2
    for step in sampled.trace.steps:  # both stages twice
        step.stages *= 2
        step.candidates.stages *= 2
    beams.trace.chain.steps[:-1] = [sampled.trace.chain.steps[0]] * stages
    for step in beams.trace.steps:
        step.candidates.stages = _four_stages(step.candidates.raw)[:stages]
        step.stages = [StageSummary(survivors=49152, entropy=step.raw_entropy)] * stages

    def per_token(lane):
        written = json.loads(lane.trace.model_dump_json(context=SAVED))
        parts = (written["steps"], written["beams"], written["outputs"])
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return len(text.encode()) / len(lane.token_ids)

    assert 512 * (5 * per_token(sampled) + per_token(beams)) < 8_000_000


def _four_stages(raw):
    """What a temperature, a truncation by rank, one by mass and a penalty make of candidates."""
    warm = [p ** (1 / 0.9) for p in raw]
    found = [[p / sum(warm) * 0.999 for p in warm], [p / sum(warm) for p in warm]]
    kept = [p if sum(warm[:at]) < 0.95 * sum(warm) else 0.0 for at, p in enumerate(warm)]
    penalised = [p * 0.9 if at % 5 == 1 else p for at, p in enumerate(kept)]
    found += [[p / sum(stage) for p in stage] for stage in (kept, penalised)]
    return [[rounded(p) for p in stage] for stage in found]


def test_a_search_over_several_rows_is_saved_in_fewer_bytes(searched):
    saved, whole = json.loads(searched.to_json()), json.loads(searched.model_dump_json())
    for lane, kept, alike in zip(searched.lanes, saved["lanes"], whole["lanes"], strict=True):
        as_it_is = kept["trace"]["steps"] == alike["trace"]["steps"]
        assert as_it_is == (lane.trace.beams is None)
        assert all("raw" in step["candidates"] for step in alike["trace"]["steps"])
    steps = saved["lanes"][2]["trace"]["steps"]
    assert all("raw" not in step["candidates"] for step in steps)
    assert sum("times" in step for step in steps) < len(steps) / 2
    read = [Comparison.from_json(json.dumps(written)) for written in (saved, whole)]
    assert read == [searched] * 2 and read[0].to_json() == searched.to_json()


def test_a_record_that_cannot_be_saved_so_is_saved_as_it_is(searched):
    odd = searched.model_copy(deep=True)
    steps = odd.lanes[2].trace.steps
    steps[2].candidates.raw[0] = 1e-300
    steps[4].candidates.texts[-1] += "?"
    saved = json.loads(odd.to_json())["lanes"][2]["trace"]["steps"]
    assert next(at for at, step in enumerate(saved) if "raw" in step["candidates"]) == 2
    assert Comparison.from_json(odd.to_json()) == odd


@pytest.mark.parametrize(
    "levels",
    [
        [[0.5, 0.25, 0.0], [0.5, 0.25, 0.0], [1.0, 0.0, 0.0]],
        [[1e-40, 1.401298e-45, 1e-7], [0.0, 0.0, 0.0], [0.0, 1.000001, 0.0]],
        [[0.1234567, 9.765625e-04, 9.999999e-23]],
        [[]],
    ],
)
def test_packed_probabilities_are_the_same_again(levels):
    packed = pack(levels)
    assert isinstance(packed, str) and unpack(packed, len(levels[0])) == levels


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 11.0, 1e-300, 0.12345678])
def test_what_would_not_be_the_same_again_is_not_packed(value):
    assert pack([[0.5, value]]) is None


@pytest.mark.parametrize(
    "fault",
    [
        lambda known: known.update(levels=known["levels"][:-4]),
        lambda known: known.update(levels="?"),
        lambda known: known.update(levels=""),
        lambda known: known.update(levels=7),
        lambda known: known["ids"].pop(),
        lambda known: known["texts"].append("more"),
        lambda known: known["texts"].pop(),
        lambda known: known.pop("texts"),
    ],
)
def test_broken_saved_records_are_refused(searched, fault):
    saved = json.loads(searched.to_json())
    fault(saved["lanes"][2]["trace"]["steps"][0]["candidates"])
    with pytest.raises(ValidationError, match=r"steps\.0\.candidates: they cannot be read"):
        Comparison.from_json(json.dumps(saved))


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
