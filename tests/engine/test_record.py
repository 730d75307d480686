"""What is recorded of a step equals a plain recomputation in float64."""

from __future__ import annotations

import math

import pytest
import torch

from playground.engine import Request
from playground.engine.lanes.detokenizer import Detokenizer
from playground.engine.lanes.record import Choice, Entry, choices
from playground.engine.lanes.stages import ScoreBatch, Stage, take_rows
from strategies import Move, Recipe, Row
from tests.engine.models import driven, engine, finished
from tests.folders import tokenizer
from tests.strategies.driver import context

RECIPE = "repetition_penalty(1.5) | temperature(0.7) | top_k(30) | top_p(0.8) | sample"


def test_records_equal_a_recomputation() -> None:
    served = engine()
    lane = finished(
        served, Request(prompt="abc", recipes=[RECIPE], max_new_tokens=12, top_n=5, seed=2)
    ).lanes[0]
    prompt = served.model.tokenizer.encode("abc")
    for step in lane.trace.path():
        ids = [*prompt, *lane.token_ids[: step.index]]
        with torch.no_grad():
            logits = served.model.model(torch.tensor([ids])).logits[0, -1].double()
        raw = logits.log_softmax(-1)
        assert step.raw_logprob == pytest.approx(float(raw[step.token]), abs=1e-4)
        assert step.raw_entropy == pytest.approx(float(-(raw.exp() * raw).sum()), abs=1e-4)
        assert step.raw_rank == int((raw > raw[step.token]).sum()) + 1
        chances = step.candidates
        assert step.token in chances.ids and len(set(chances.ids)) == len(chances.ids)
        assert chances.raw == sorted(chances.raw, reverse=True)
        assert chances.raw == pytest.approx([math.exp(raw[i]) for i in chances.ids], abs=1e-5)
        assert set(raw.topk(5).indices.tolist()) <= set(chances.ids)
        survivors = [summary.survivors for summary in step.stages]
        assert len(step.stages) == len(lane.trace.stages) == 4
        assert survivors[0] == survivors[1] == len(logits) and survivors[2] == 30
        assert survivors[3] <= 30
        assert [summary.threshold for summary in step.stages] == [None, None, 30, 0.8]
        kept = [p for p in chances.final if p > 0]
        if survivors[3] <= 5:
            assert sum(kept) == pytest.approx(1, abs=1e-5)
            entropy = -sum(p * math.log(p) for p in kept)
            assert step.entropy == pytest.approx(entropy, abs=1e-4)
        chosen = chances.ids.index(step.token)
        assert step.probability == pytest.approx(chances.final[chosen], rel=1e-5)


def test_records_have_every_field_as_if_they_had_been_checked() -> None:
    recipes = [RECIPE, "beam(2)", "ban_phrases(phrases=['a']) | sample", "manual"]
    done = finished(engine(), Request(prompt="abc", recipes=recipes, max_new_tokens=8, seed=2))
    for lane in done.lanes:
        for step in lane.trace.steps:
            for record in (step, step.candidates, step.times, *step.stages):
                again = type(record).model_validate(record.model_dump())
                assert again == record and repr(again) == repr(record)
                assert again.model_fields_set == record.model_fields_set
                assert set(vars(record)) == set(type(record).model_fields)


def test_beams_record_a_tree_whose_best_path_is_the_text() -> None:
    served = engine()
    lane = finished(served, Request(prompt="abc", recipes=["beam(4)"], max_new_tokens=10)).lanes[0]
    steps = lane.trace.steps
    for number, step in enumerate(steps):
        assert (step.parent is None) == (step.index == 0)
        if step.parent is not None:
            assert step.parent < number and steps[step.parent].index == step.index - 1
    path = lane.trace.path()
    assert [s.token for s in path] == lane.token_ids
    assert path[-1].score == pytest.approx(sum(s.raw_logprob for s in path), abs=1e-3)
    scores = [output.score for output in lane.trace.outputs if output.finish_reason]
    assert len(lane.trace.outputs) >= 4 and scores[0] == max(scores)


def test_a_beam_shows_as_many_texts_as_it_has_beams_the_best_ones() -> None:
    """However many ended: the search keeps every finished text that was good enough at its end."""
    ids = finished(engine(), Request(prompt="abc", recipes=["greedy"], max_new_tokens=9))
    served = engine(eos=tuple(set(ids.lanes[0].token_ids)))
    asked = Request(prompt="abc", recipes=['beam(3, early_stopping="never")'], max_new_tokens=40)
    run = driven(served, asked)
    assert len(run.lanes[0].view.rows) > 3
    outputs = run.comparison().lanes[0].trace.outputs
    assert len(outputs) == 3
    means = [output.score / len(output.token_ids) for output in outputs]
    assert means == sorted(means, reverse=True)
    held = run.lanes[0].view.ordered()
    assert [output.token_ids for output in outputs] == [list(h.row.generated) for h in held[:3]]


def test_samples_share_a_prompt_and_part() -> None:
    lane = finished(
        engine(), Request(prompt="abc", recipes=["sample(5)"], max_new_tokens=10)
    ).lanes[0]
    texts = {tuple(output.token_ids) for output in lane.trace.outputs}
    assert len(lane.trace.outputs) == 5 and len(texts) > 1


def test_clocks_run_forward() -> None:
    lane = finished(engine(), Request(prompt="abc", recipes=["greedy"], max_new_tokens=9)).lanes[0]
    at = [step.at for step in lane.trace.path()]
    assert at == sorted(at) and at[0] > 0
    assert all(min(s.times.forward, s.times.search, s.times.record) > 0 for s in lane.trace.steps)


def entries(vocab: int, count: int) -> list[Entry]:
    """Lanes whose rows lie between those of others, through three stages; the second stays."""
    chance = torch.Generator().manual_seed(vocab)
    logits = torch.randn(3 * count, vocab, generator=chance) * 4
    banned = logits.index_fill(1, torch.tensor([3, vocab - 1]), -torch.inf)
    few = torch.where(banned >= banned.topk(9).values[:, -1:], banned, -torch.inf)
    model, second_batch = ScoreBatch(logits), ScoreBatch(banned)
    found = []
    for i in range(count):
        first = Stage(model, [i, 2 * count + i])
        second = Stage(second_batch, [i, 2 * count + i])
        own = Stage(ScoreBatch(few[[i, 2 * count + i]] / 2), range(2))
        moves = [
            Move(row, int(stage.scores[row].topk(rank).indices[-1]))
            for row, stage, rank in ((1, own, 2), (0, own, 7), (1, own, 1))
        ]
        found.append(Entry(first, [second, second, own], moves, top_n=4 + i % 3))
        found.append(Entry(Stage(model, [count + i]), [], [Move(0, int(vocab - 1 - i))], top_n=3))
    return found


def plain(choice: Choice) -> list[object]:
    return [choice.raw_logprob, choice.logprob, choice.raw_rank, choice.rank, choice.raw_entropy]


@pytest.mark.parametrize("vocab", [50, 4099])
def test_every_stage_equals_a_direct_computation(vocab: int) -> None:
    made = entries(vocab, 9)
    detokenizer = Detokenizer(tokenizer())
    for entry, own in zip(made, choices(detokenizer, made), strict=True):
        for move, choice in zip(entry.moves, own, strict=True):
            rows = [s.scores[move.parent].double() for s in (entry.model, *entry.stages)]
            logprobs = [row.log_softmax(-1) for row in rows]
            entropies = [torch.distributions.Categorical(logits=row).entropy() for row in rows]
            ranks = [int((row > row[move.token]).sum()) + 1 for row in rows]
            chosen = [float(values[move.token]) for values in logprobs]
            assert plain(choice) == pytest.approx(
                [chosen[0], chosen[-1], ranks[0], ranks[-1], float(entropies[0])], abs=2e-5
            )
            assert [s.survivors for s in choice.stages] == [int((r > -1e9).sum()) for r in rows[1:]]
            assert [s.entropy for s in choice.stages] == pytest.approx(
                [float(entropy) for entropy in entropies[1:]], abs=2e-5
            )
            seen = choice.candidates
            assert {*rows[0].topk(entry.top_n).indices.tolist(), move.token} <= {*seen.ids}
            assert len(seen.ids) <= entry.top_n + 5
            for values, listed in zip(logprobs, [seen.raw, *seen.stages], strict=True):
                assert listed == pytest.approx(values[seen.ids].exp().tolist(), rel=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_lane_is_recorded_in_a_batch_as_it_is_alone(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    made = [*entries(4099, 9), *entries(4099, 2)]
    detokenizer = Detokenizer(tokenizer())
    together = choices(detokenizer, made)
    alone = [choices(detokenizer, [entry])[0] for entry in made]
    torch.set_num_threads(before)
    assert together == alone


@pytest.mark.parametrize(
    ("places", "copied"),
    [([4], False), ([2, 3, 4], False), ([1, 4, 7], False), ([7, 4, 1], True), ([0, 1, 3], True)],
)
def test_rows_at_equal_distances_are_not_copied(places: list[int], copied: bool) -> None:
    scores = torch.randn(9, 7)
    rows = take_rows(scores, places)
    assert torch.equal(rows, torch.stack([scores[place] for place in places]))
    shared = rows.untyped_storage().data_ptr() == scores.untyped_storage().data_ptr()
    assert shared != copied


def test_every_stage_has_the_line_that_its_processor_tells_of_what_it_was_given():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(5))
    recipe = Recipe.parse("top_p(1.0) | temperature(0.5) | min_p(0.1) | p_less | sample")
    processors, _ = recipe.build(context(50))
    stages, scores = [], logits
    for processor in processors:
        scores = processor(scores, [Row((0,), 1)] * 3)
        stages.append(Stage(ScoreBatch(scores), range(3)))
    moves = [Move(row, int(scores[row].argmax())) for row in (2, 0)]
    found = choices(
        Detokenizer(tokenizer()),
        [Entry(Stage(ScoreBatch(logits), range(3)), stages, moves, 3, processors)],
    )
    for move, choice in zip(moves, found[0], strict=True):
        neutral, warm, least, agree = [stage.threshold for stage in choice.stages]
        sharp = (logits[move.parent] / 0.5).softmax(-1)
        kept = stages[2].batch.scores[move.parent].softmax(-1)
        assert neutral is None and warm is None
        assert least == pytest.approx(0.1 * float(sharp.max()), rel=1e-5)
        assert agree == pytest.approx(float(kept.square().sum()), rel=1e-5)


def test_a_plugin_that_cannot_tell_its_line_ends_no_text(monkeypatch):
    logits = torch.randn(1, 9, generator=torch.Generator().manual_seed(5))
    processors, _ = Recipe.parse("min_p(0.1) | sample").build(context(9))
    stages = [Stage(ScoreBatch(processors[0](logits, [Row((0,), 1)])), [0])]
    entry = Entry(
        Stage(ScoreBatch(logits), [0]), stages, [Move(0, int(logits.argmax()))], 3, processors
    )
    for line in (lambda *_: 1 / 0, lambda *_: math.nan):
        monkeypatch.setattr(type(processors[0]), "threshold", line)
        assert choices(Detokenizer(tokenizer()), [entry])[0][0].stages[0].threshold is None
