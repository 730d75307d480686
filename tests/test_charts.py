"""Charts checked as data: a figure holds what the records say, and no model text as markup."""

import html
import json
import math
import re
from itertools import pairwise

import plotly.graph_objects as go
import pytest

from playground import charts
from playground.charts import text
from playground.charts.base import spread
from playground.charts.memory import held
from playground.charts.steps import FLOOR, POINTS, WINDOW, Parted, smooth
from playground.charts.timings import BINS, PARTS, rates
from playground.colours import COLOURS, LETTERS, MODEL_GREY, NAMES
from playground.trace import Memory
from playground.trace.chain import LONGEST, label
from tests.traces import (
    COLUMNS,
    GREEDY,
    HOSTILE,
    NO_REPEAT,
    NUCLEUS,
    PENALTY,
    VOCABULARY,
    Column,
    comparison,
    temperature,
    top_p,
)

SIX = (GREEDY, NUCLEUS, PENALTY, NO_REPEAT, NUCLEUS, GREEDY)
BLUE = COLOURS[0]


@pytest.fixture(scope="module")
def run():
    return comparison((*COLUMNS, NO_REPEAT), length=18)


def parts(figure):
    """The figure as the browser gets it."""
    made = json.loads(figure.to_json())
    go.Figure(made)  # Plotly checks every name and value; the page leaves that out
    return made["data"], made["layout"]


def every_step(run):
    return [(step, lane.trace) for lane in run.lanes for step in lane.trace.path()]


def rows(figure):
    """Label (read as Plotly would) and the bars of each row: model, recipe."""
    data, layout = parts(figure)
    labels = [html.unescape(re.sub("</?b>", "", t)).strip() for t in layout["yaxis"]["ticktext"]]
    return labels, *(trace["x"] for trace in data)


# Distribution


def test_bars_are_the_recorded_probabilities(run):
    for step, trace in every_step(run):
        labels, raw, *final = rows(charts.distribution(step, trace, BLUE))
        known = dict(zip(step.candidates.raw, step.candidates.final, strict=True))
        shown = list(zip(raw, final[0] if final else raw, strict=True))[:-1]  # without "others"
        assert all(known[r] == (f if final else r) for r, f in shown)
        assert [r for r, _ in shown] == sorted((r for r, _ in shown), reverse=True) or (
            step.raw_rank > len(shown) - 1
        )
        assert len(labels) == len(raw)


def test_probabilities_add_up_to_one_with_the_others(run):
    for step, trace in every_step(run):
        for bars in rows(charts.distribution(step, trace, BLUE))[1:]:
            assert math.fsum(bars) == pytest.approx(1.0, abs=1e-9)


def test_nothing_is_left_of_the_others_where_all_survivors_are_shown():
    narrow = Column({"top_p(0.05)": top_p(0.05)})
    trace = comparison([narrow], length=6).lanes[0].trace
    for step in trace.path():
        assert step.stages[0].survivors <= 12
        *_, final = rows(charts.distribution(step, trace, BLUE))
        assert final[-1] == 0.0


def test_the_chosen_token_is_marked_however_unlikely(run):
    ranks = []
    for step, trace in every_step(run):
        labels, *_ = rows(charts.distribution(step, trace, BLUE, limit=12))
        [marked] = [label for label in labels if label.startswith("▸")]
        assert marked.removeprefix("▸ ") == text.visible(VOCABULARY[step.token], 18)
        ranks.append(step.raw_rank)
    assert max(ranks) > 13  # some of them were not among the likeliest


def test_rows_stay_where_they_are_from_stage_to_stage(run):
    trace = run.lanes[1].trace
    for step in trace.path():
        drawn = [charts.distribution(step, trace, BLUE, stage) for stage in (-1, 0, 1)]
        assert len({tuple(rows(figure)[0]) for figure in drawn}) == 1
        assert len({figure.layout.height for figure in drawn}) == 1
    assert [len(figure.data) for figure in drawn] == [1, 2, 2]


def test_the_last_stage_is_the_default(run):
    trace = run.lanes[1].trace
    step = trace.path()[0]
    last = charts.distribution(step, trace, BLUE, len(trace.stages) - 1)
    assert charts.distribution(step, trace, BLUE).to_json() == last.to_json()


def test_a_stage_shows_what_it_left(run):
    trace = run.lanes[1].trace
    for step in trace.path():
        _, _, after_temperature = rows(charts.distribution(step, trace, BLUE, 0))
        assert set(after_temperature[:-1]) <= set(step.candidates.stages[0])


def test_without_stages_there_is_the_model_alone_in_grey(run):
    trace = run.lanes[0].trace
    [bars] = charts.distribution(trace.path()[0], trace, BLUE).data
    assert bars.marker.color[0] == "rgba(138,148,163,1)"
    assert MODEL_GREY == "#8A94A3"


def test_removed_candidates_are_hollow_and_say_by_which_step(run):
    noted = 0
    for lane, stage, name in ((1, 1, "top_p 0.8"), (3, 0, "no_repeat_ngram 1")):
        trace = run.lanes[lane].trace
        for step in trace.path():
            figure = charts.distribution(step, trace, BLUE)
            hollow = figure.data[0].marker.color.count("rgba(0,0,0,0)")
            notes = [a.text for a in figure.layout.annotations if "removed" in a.text]
            assert bool(hollow) == bool(notes)
            assert set(notes) <= {f"removed by {name}"}
            noted += len(notes)
            gone = [c for c in range(len(step.candidates.ids)) if trace.removed_by(step, c)]
            assert all(step.candidates.stages[stage][c] == 0 for c in gone)
            # before that stage nothing is marked as removed by it
            if stage:
                early = charts.distribution(step, trace, BLUE, stage - 1)
                assert not [a for a in early.layout.annotations if "removed" in a.text]
    assert noted > 0


def test_a_probability_too_small_for_a_float_was_not_removed():
    """Temperature removes nothing, however low."""
    cold = Column({"temperature(0.001)": temperature(0.001)})
    trace = comparison([cold], length=3).lanes[0].trace
    step = trace.path()[0]
    assert 0.0 in step.candidates.final
    assert step.candidates.removed_by(step.candidates.final.index(0.0)) == 0
    assert trace.removed_by(step, step.candidates.final.index(0.0)) is None


def test_values_are_written_beside_the_bars(run):
    trace = run.lanes[1].trace
    step = trace.path()[0]
    chosen = step.candidates.ids.index(step.token)
    raw, final = step.candidates.raw[chosen], step.candidates.final[chosen]
    told = [
        html.unescape(a.text) for a in charts.distribution(step, trace, BLUE).layout.annotations
    ]
    value = f"{text.percent(raw).rjust(5, chr(0xA0))} → {text.percent(final)} %"
    assert f"<b>{value}</b>" in told


# Stages


def test_stages_show_entropy_within_what_the_survivors_allow(run):
    trace = run.lanes[1].trace
    for step in trace.path():
        outline, filled = charts.stages(step, trace, BLUE).data
        assert list(filled.x) == [step.raw_entropy, *(s.entropy for s in step.stages)]
        survivors = [trace.vocab_size, *(s.survivors for s in step.stages)]
        assert [round(math.exp(x)) for x in outline.x] == survivors
        assert all(h <= most + 1e-9 for h, most in zip(filled.x, outline.x, strict=True))
        assert [data[0] for data in filled.customdata] == [-1, 0, 1]


# Timings


def test_per_step_has_a_panel_a_lane_and_a_bar_a_decode_step(run):
    data, layout = parts(charts.per_step(run))
    assert [trace["name"] for trace in data] == list(PARTS) * len(run.lanes)
    for number, lane in enumerate(run.lanes):
        path = lane.trace.path()
        for part, trace in zip(PARTS, data[4 * number : 4 * number + 4], strict=True):
            assert trace["y"] == [round(1e3 * getattr(s.times, part), 3) for s in path[1:]]
            assert trace["x"] == [s.index + 1 for s in path[1:]]
            assert [d[:2] for d in trace["customdata"]] == [[number, s.index] for s in path[1:]]
    ranges = {tuple(layout[axis]["range"]) for axis in layout if axis.startswith("yaxis")}
    assert len(ranges) == 1  # one scale, so that lanes can be compared


def test_long_runs_are_drawn_as_means_of_a_bounded_number_of_bars():
    long = comparison([GREEDY], length=3 * BINS)
    forward = charts.per_step(long).data[0]
    assert len(forward.x) == BINS
    first = [1e3 * s.times.forward for s in long.lanes[0].trace.path()[1:4]]
    assert forward.y[0] == pytest.approx(sum(first) / 3, abs=1e-3)
    assert forward.x[0] == 3.0  # tokens 2, 3 and 4
    assert sum(forward.y) * 3 == pytest.approx(
        sum(1e3 * s.times.forward for s in long.lanes[0].trace.path()[1:]), rel=0.02
    )


@pytest.mark.parametrize("length, unit, scale", [(8, "milliseconds", 1e3), (60, "seconds", 1.0)])
def test_the_timeline_reaches_from_the_submission_to_the_last_token(length, unit, scale):
    run = comparison(length=length)
    figure = charts.timeline(run)
    assert figure.layout.xaxis.title.text == f"{unit} since Run"
    cut = run.timings.tokenize
    for number, lane in enumerate(run.lanes):
        cutting, waiting, reading, writing = figure.data[4 * number : 4 * number + 4]
        path = lane.trace.path()
        assert cutting.base[0] == 0
        assert waiting.base[0] == pytest.approx(scale * cut)
        assert reading.base[0] == pytest.approx(scale * (cut + run.timings.queued))
        assert writing.base[0] == pytest.approx(scale * (cut + path[0].at))
        assert writing.base[0] + writing.x[0] == pytest.approx(scale * (cut + path[-1].at))
    told = [html.unescape(re.sub("<[^>]*>", "", a.text)) for a in figure.layout.annotations]
    assert all("tokenise 1.0 ms" in t and "wait 5.0 ms" in t for t in told[1::2])


def test_a_part_too_short_to_be_seen_is_named():
    quick = comparison(length=40)
    assert "Too short to be seen: tokenise." in charts.about_timeline(quick)
    quick.timings.queued = 1e-4
    assert "Too short to be seen: tokenise and wait." in charts.about_timeline(quick)
    assert "Too short" not in charts.about_timeline(comparison(length=1))


def test_a_lane_that_ran_alone_counts_from_its_own_start(run):
    alone = run.model_copy(update={"timings": run.timings.model_copy(update={"alone": True})})
    figure = charts.timeline(alone)
    assert [bar.x[0] for bar in figure.data[::4]] == [0.0] * len(run.lanes)
    assert "its own start" in figure.layout.xaxis.title.text
    assert "one after the other" in charts.about_per_step(alone)


# Memory and speed


def test_keys_and_values_are_counted_for_every_row_and_token(run):
    lanes = charts.memory(run).data
    prompt, per_token = len(run.prompt_tokens), run.model.cache_bytes_per_token
    for number, lane in enumerate(run.lanes):
        kept = [(prompt + i) * per_token / 1e3 for i in range(len(lane.token_ids))]
        assert list(lanes[number].y) == pytest.approx(kept)
    wide = comparison([GREEDY], length=6)
    steps = wide.lanes[0].trace.steps
    steps += [step.model_copy() for step in steps[1:]]  # from its second token on it has two rows
    assert held(wide, 0) == [prompt, *(2 * (prompt + i) for i in range(1, 6))]
    unknown = run.model_copy(
        update={"model": run.model.model_copy(update={"cache_bytes_per_token": None})}
    )
    assert charts.memory(unknown) is None
    assert "not written down" in charts.about_memory(unknown)


def test_the_memory_sentence_tells_what_is_known(run):
    assert "keeps 1.00 kB of keys and values for every token" in charts.about_memory(run)
    assert "all columns together hold 84.0 kB" in charts.about_memory(run)  # 4 × (4 + 17) tokens
    assert "process" not in charts.about_memory(run)
    known = Memory(process=1_200_000_000, gpu=2_500_000_000, gpu_peak=3_000_000_000)
    run = run.model_copy(update={"timings": run.timings.model_copy(update={"memory": known})})
    assert "holds 1.20 GB of memory" in charts.about_memory(run)
    assert "GPU holds 2.50 GB for it, 3.00 GB at most" in charts.about_memory(run)


def test_the_machine_s_speed_counts_the_rows_of_every_forward(run):
    found = rates(run)
    machine = found.machine
    speeds = [lane.metrics.timings.tokens_per_second for lane in run.lanes]
    assert (found.slowest, found.fastest) == (min(speeds), max(speeds))
    assert machine == pytest.approx(len(run.lanes) * speeds[0], rel=0.01)
    assert f"the machine {machine:.0f}, all rows" in charts.about_per_step(run)
    assert rates(comparison(length=1)) is None


@pytest.mark.parametrize(
    "count, told", [(12, "12 B"), (23_040, "23.0 kB"), (1_357_000, "1.36 MB"), (486e6, "486 MB")]
)
def test_sizes(count, told):
    assert text.size(count) == told


# Steps


@pytest.mark.parametrize("after", [False, True])
def test_points_are_the_recorded_values(run, after):
    data, _ = parts(charts.steps(run, after=after))
    points = [trace for trace in data if "customdata" in trace]
    for number, lane in enumerate(run.lanes):
        path = lane.trace.path()
        for trace in (points[number], points[number + len(run.lanes)]):
            assert [d[:2] for d in trace["customdata"]] == [[number, s.index] for s in path]
        entropy = [s.entropy if after else s.raw_entropy for s in path]
        probability = [s.probability if after else s.raw_probability for s in path]
        assert points[number]["y"] == pytest.approx(entropy, rel=1e-3)
        drawn = points[number + len(run.lanes)]["y"]
        assert drawn == pytest.approx([max(FLOOR, p) for p in probability], rel=1e-3)


def test_points_of_a_long_run_are_joined_where_a_browser_would_draw_each_for_too_long():
    modes = [
        {trace["mode"] for trace in parts(charts.steps(comparison([GREEDY], length=length)))[0]}
        for length in (POINTS, POINTS + 1)
    ]
    assert modes == [{"lines", "markers"}, {"lines"}]


def test_the_line_is_a_running_mean_where_the_text_is_long_enough():
    assert smooth([1.0, 5.0, 9.0]) == [1.0, 5.0, 9.0]
    assert smooth([3.0] * (2 * WINDOW)) == pytest.approx([3.0] * (2 * WINDOW))
    ramp = [float(i) for i in range(40)]
    assert smooth(ramp)[20] == pytest.approx(sum(range(16, 24)) / 8)


def test_letters_at_the_line_ends_never_overlap():
    placed = spread({0: 0.5, 1: 0.5, 2: 0.51, 3: 0.99}, 0.0, 1.0, 0.1)
    at = list(placed.values())
    assert all(b - a >= 0.1 - 1e-12 for a, b in pairwise(at))
    assert max(at) <= 1.0
    assert list(placed) == [0, 1, 2, 3]


# Colours, empty runs, text


@pytest.mark.parametrize("draw", [charts.per_step, charts.timeline, charts.memory, charts.steps])
def test_every_lane_has_its_column_colour_and_letter(draw):
    made = draw(comparison(SIX, length=20)).to_json()
    for letter, colour in zip(LETTERS, COLOURS, strict=True):
        assert colour in made
        assert f"b\\u003e{letter}\\u003c" in made


@pytest.mark.parametrize("draw", [charts.per_step, charts.timeline, charts.memory, charts.steps])
def test_a_hover_says_what_a_person_called_the_column(draw):
    """Whatever its name is: Plotly interprets markup in it, and variables in a template."""
    run = comparison([GREEDY, NUCLEUS], length=5)
    run.lanes[1] = run.lanes[1].model_copy(update={"name": "warm <b>%{x}</b>"})
    templates = [t["hovertemplate"] for t in parts(draw(run))[0] if "hovertemplate" in t]
    heads = {re.split(r",", template.removeprefix("<b>"), maxsplit=1)[0] for template in templates}
    assert heads == {"A", "B warm &lt;b&gt;%&#123;x}&lt;/b&gt;"}
    assert html.unescape(max(heads)) == "B warm <b>%{x}</b>"


@pytest.mark.parametrize("draw", [charts.per_step, charts.timeline, charts.steps])
@pytest.mark.parametrize("length", [0, 1, 2])
def test_short_runs_are_drawn_too(draw, length):
    figure = draw(comparison(length=length))
    assert figure.layout.height > 0


def test_figures_are_small_and_leave_the_theme_to_the_page(run):
    trace = run.lanes[1].trace
    figure = charts.distribution(trace.path()[0], trace, BLUE)
    assert len(figure.to_json()) < 12_000
    assert figure.layout.template.to_plotly_json() == {}
    assert figure.layout.font.color is None
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


def strings(node):
    """Every string in a figure that Plotly may draw."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


OURS = re.compile(r'</?b>|<br>|<extra></extra>|<span style="color:[#\w(),.]+">|</span>')


def test_no_text_of_the_model_is_left_as_markup_or_tex(run):
    """Plotly interprets tags, entities and, where a page has MathJax, TeX between dollar signs."""
    chosen = {VOCABULARY[token] for lane in run.lanes for token in lane.token_ids}
    assert len(chosen & set(HOSTILE)) > 5
    figures = [charts.steps(run), charts.per_step(run), charts.timeline(run), charts.memory(run)]
    for step, trace in every_step(run):
        figures += [charts.distribution(step, trace, BLUE), charts.stages(step, trace, BLUE)]
    for figure in figures:
        made = json.loads(figure.to_json())
        made["layout"].pop("meta", None)  # the page puts it beside the chart, as text
        for drawn in strings(made):
            left = OURS.sub("", drawn)
            assert "<" not in left
            assert not re.search(r"\$.*\$", left)
            assert not re.search(r"&(?!(amp|lt|gt|#36);)", left)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_plotly_reads_back_is_the_visible_text(hostile):
    written = text.token(hostile).strip("\u2068\u2069")
    assert html.unescape(written) == text.visible(hostile)


@pytest.mark.parametrize(
    "given, shown",
    [
        (" worm", "·worm"),
        ("a b", "a·b"),
        ("\n", "⏎"),
        ("\t\r", "⇥␍"),
        ("\u200b", "⟨200b⟩"),
        ("\u202e", "⟨202e⟩"),
        ("", "∅"),
        ("·", "·"),
        ("<b>", "<b>"),
    ],
)
def test_spaces_and_invisible_characters_are_shown(given, shown):
    assert text.visible(given) == shown


def test_long_tokens_are_shortened():
    assert text.visible("x" * 30, 10) == "x" * 9 + "…"
    assert text.visible("x" * 10, 10) == "x" * 10


def test_a_sentence_quotes_real_spaces():
    assert text.quoted(" worm") == "“ worm”"
    assert text.quoted("a·b\n") == "“a·b⏎”"


@pytest.mark.parametrize(
    "probability, told",
    [
        (0.165, "16.5"),
        (1.0, "100"),
        (0.9999, "100"),
        (0.0012, "0.1"),
        (0.0004, "0.04"),
        (0.00004, "0.004"),
        (1e-6, "<0.001"),
        (0.0, "0"),
    ],
)
def test_percent(probability, told):
    assert text.percent(probability) == told


@pytest.mark.parametrize(
    "seconds, told", [(0.00042, "0.42 ms"), (0.0042, "4.2 ms"), (0.042, "42 ms"), (4.2, "4.20 s")]
)
def test_milliseconds(seconds, told):
    assert text.milliseconds(seconds) == told


def test_recipes_read_as_words():
    assert label("top_p(0.95)") == "top_p 0.95"
    assert label("greedy") == "greedy"
    assert label('bad_words(["a (b)"])') == 'bad_words ["a (b)"]'
    schema = r'constrained(json_schema="{\"type\":\"object\",\"required\":[]}")'
    assert label(schema) == "constrained json_schema=…"
    assert len(label(f"bad_words({['word'] * 20})")) == LONGEST


# Sentences


def test_the_distribution_sentence_is_of_this_step(run):
    trace = run.lanes[1].trace
    step = trace.path()[2]
    told = charts.about_distribution(step, trace, NAMES[1])
    assert "orange: after temperature 1.3 › top_p 0.8" in told
    assert f"{step.stages[-1].survivors:,} of {trace.vocab_size:,} tokens" in told
    assert f"rank {step.rank:,}, {text.percent(step.probability)} %" in told
    early = charts.about_distribution(step, trace, NAMES[1], 0)
    assert "top_p" not in early
    assert "before any step" in charts.about_distribution(step, trace, NAMES[1], -1)


def test_the_stage_sentence_counts_what_was_removed(run):
    trace = run.lanes[1].trace
    step = trace.path()[2]
    removed = trace.vocab_size - step.stages[1].survivors
    assert f"top_p 0.8 removes {removed} tokens." in charts.about_stages(step, trace)


def test_partings_are_from_the_lane_before_or_from_the_reference():
    run = comparison([GREEDY, NUCLEUS, PENALTY, GREEDY], length=20)
    tokens = [lane.token_ids for lane in run.lanes]

    def first(a, b):
        return next(i for i, (x, y) in enumerate(zip(tokens[a], tokens[b], strict=True)) if x != y)

    assert charts.partings(run) == {n: Parted(n - 1, first(n - 1, n)) for n in (1, 2, 3)}
    assert charts.partings(run, 2) == {n: Parted(2, first(2, n)) for n in (0, 1, 3)}
    assert charts.partings(run, 0) == {n: Parted(0, first(0, n)) for n in (1, 2)}
    drawn = charts.steps(run, reference=2).layout.shapes
    assert {(line.x0 - 1, line.line.color) for line in drawn} == {
        (first(2, n), COLOURS[n]) for n in (0, 1, 3)
    }
    assert "A parts from C at token" in charts.about_steps(run, reference=2)


def test_the_steps_sentence_finds_the_parting_and_the_least_expected_token():
    same = comparison([GREEDY, GREEDY], length=20)
    assert "write the same so far" in charts.about_steps(same)
    parted = comparison([GREEDY, NUCLEUS], length=20)
    told = charts.about_steps(parted)
    (found,) = charts.partings(parted).items()
    assert found == (1, Parted(0, found[1].step))
    assert f"B parts from A at token {found[1].step + 1} (dotted)." in told
    lane, step = min(
        ((i, s) for i, one in enumerate(parted.lanes) for s in one.trace.path()),
        key=lambda pair: pair[1].raw_logprob,
    )
    assert f"{LETTERS[lane]}, token {step.index + 1}" in told


def test_the_timing_sentences_say_what_is_shared(run):
    told = charts.about_per_step(run)
    assert f"{len(run.lanes)} rows share" in told
    assert "4 tokens took 1.0 ms, waiting 5.0 ms; reading them 80 ms" in charts.about_timeline(run)
    assert "No step after the first" in charts.about_per_step(comparison(length=1))


# Without the cache


def test_both_runs_are_drawn_and_compared_over_what_both_have():
    kept, bare = comparison([NUCLEUS], length=20), comparison([NUCLEUS], length=12, seed=8)
    with_cache, without = charts.uncached(1, kept, bare).data
    for line, run in ((with_cache, kept), (without, bare)):
        path = run.lanes[0].trace.path()
        assert list(line.x) == [step.index + 1 for step in path[1:]]
        assert sum(line.y) == pytest.approx(1e3 * (path[-1].at - path[0].at), abs=0.1)
        assert line.line.color == COLOURS[1]
    told = charts.about_uncached(1, kept, bare)
    ratio = sum(without.y) / sum(with_cache.y[:11])
    assert told.startswith("Measured now, on this machine, column B alone: 11 steps took")
    assert f"{ratio:.1f} times as long" in told
    assert f"The cache took {text.size(1000 * (4 + 11))}." in told


def test_a_measurement_that_has_only_begun_is_drawn_too():
    kept = comparison([GREEDY], length=5)
    assert len(charts.uncached(0, kept, None).data) == 1
    assert charts.uncached(0, comparison([GREEDY], length=1), None) is None
    assert "too short" in charts.about_uncached(0, kept, comparison([GREEDY], length=1))
