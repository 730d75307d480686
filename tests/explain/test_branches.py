"""Forks, the tree of all texts, and how far apart columns are."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from playground import Playground
from playground.engine import FieldError
from playground.trace import Comparison
from playground.trace.branches import TextTree
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Playground:
    folder = saved(tiny_llama(vocab=VOCAB), tmp_path_factory.mktemp("model"))
    return Playground(folder, dtype="float32", device="cpu")


def ids(comparison: Comparison, lane: int = 0, sample: int = 0) -> list[int]:
    return [step.token for step in comparison.lanes[lane].trace.path(sample)]


@pytest.mark.parametrize("recipe", ["greedy", "temperature(0.8) | top_k(40) | sample", "beam(3)"])
def test_a_fork_is_a_run_from_the_forked_prefix(playground: Playground, recipe: str) -> None:
    first = playground.compare("Once", ["sample"], max_new_tokens=12, seed=3)
    other = first.lanes[0].trace.path()[4].candidates.ids[2]
    forked = playground.fork(first, 0, 4, other, recipe=recipe)
    assert forked.prefix == [*ids(first)[:4], other]
    assert [t.id for t in forked.prompt_tokens][-5:] == forked.prefix
    # By hand: each token of greedy is the likeliest after all those before it.
    fed = [t.id for t in forked.prompt_tokens]
    if recipe == "greedy":
        for token in ids(forked):
            with torch.inference_mode():
                best = int(playground.model(torch.tensor([fed])).logits[0, -1].argmax())
            assert token == best
            fed.append(token)
    again = playground.fork(first, 0, 4, other, recipe=recipe)
    assert ids(again) == ids(forked) and len(ids(forked)) <= 7


@pytest.mark.parametrize("step", [0, 1, 7])
def test_from_the_token_that_was_chosen_the_text_goes_on_as_it_did(
    playground: Playground, step: int
) -> None:
    recipe = "temperature(0.9) | min_p(0.02) | sample"
    first = playground.compare("Once", recipe, max_new_tokens=12, seed=5)
    own = ids(first)
    forked = playground.fork(first, 0, step, own[step])
    assert ids(forked) == own[step + 1 :]
    assert ids(playground.fork(first, 0, step)) == own[step:]
    deeper = playground.fork(forked, 0, 1, ids(forked)[1])
    assert ids(deeper) == own[step + 3 :]
    assert forked.what_if(0, recipe + " ").index is None
    told = forked.what_if(0, "temperature(1.7) | sample")
    run = playground.fork(first, 0, step, own[step], recipe="temperature(1.7) | sample")
    where = next(
        (i for i, (a, b) in enumerate(zip(ids(forked), ids(run), strict=False)) if a != b), None
    )
    assert told.unknown is not None or told.index == where


def test_what_cannot_be_forked_is_named(playground: Playground) -> None:
    first = playground.compare("Once", "greedy", max_new_tokens=3)
    for step, token, field in ((9, 5, "step"), (1, VOCAB + 7, "prefix")):
        with pytest.raises(FieldError) as error:
            playground.fork(first, 0, step, token)
        assert error.value.field == field


def test_all_texts_are_one_tree(playground: Playground) -> None:
    run = playground.compare(
        "Once", ["greedy", "sample(3)", "temperature(0.3) | sample"], max_new_tokens=6, seed=2
    )
    tree = run.tree()
    texts = {(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)}
    assert tree.count == 5
    paths: list[list[int]] = []
    found: dict[tuple[int, int], list[int]] = {}
    for branch in tree.branches:
        parent = None if branch.parent is None else tree.branches[branch.parent]
        assert set(branch.texts) <= (texts if parent is None else set(parent.texts))
        assert branch.count == len(set(branch.texts)) == len(branch.probabilities)
        paths.append([*([] if branch.parent is None else paths[branch.parent]), branch.token])
        found.update((text, paths[-1]) for text in branch.ends)
    assert found == {(lane, sample): ids(run, lane, sample) for lane, sample in texts}
    for parent in {branch.parent for branch in tree.branches}:
        shared = [branch.count for branch in tree.branches if branch.parent == parent]
        assert shared == sorted(shared, reverse=True)


def test_the_tree_of_a_long_text_can_be_saved(playground: Playground) -> None:
    """No deeper than JSON may be nested, nor than calls may."""
    run = playground.compare("Once", "greedy", max_new_tokens=2)
    trace = run.lanes[0].trace
    steps = [
        trace.steps[0].model_copy(update={"index": i, "parent": i - 1 if i else None})
        for i in range(2_000)
    ]
    output = trace.outputs[0].model_copy(update={"nodes": [*range(2_000)]})
    long = trace.model_copy(update={"steps": steps, "outputs": [output]})
    lane = run.lanes[0].model_copy(update={"trace": long})
    tree = run.model_copy(update={"lanes": [lane]}).tree()
    assert len(tree.branches) == 2_000
    assert TextTree.model_validate_json(tree.model_dump_json()) == tree


def test_distance_bounds_the_true_one(playground: Playground) -> None:
    recipes = ["sample", "temperature(0.5) | sample", "sample", "top_k(3) | sample"]
    few = playground.compare("Once", recipes, max_new_tokens=8, seed=1, top_n=10)
    fed = [token.id for token in few.prompt_tokens]
    with torch.inference_mode():
        rows = playground.model(torch.tensor([fed + ids(few)])).logits[0, len(fed) - 1 : -1]
    third = rows.topk(3).values[:, -1:]
    scores = {1: rows / 0.5, 2: rows, 3: torch.where(rows >= third, rows, -torch.inf)}
    for right, other in scores.items():
        bounds = few.distance(0, right)
        assert bounds.steps
        for step, found in enumerate(bounds.steps):
            true = jensenshannon(*(z[step].softmax(-1).numpy() for z in (rows, other)), base=2)
            assert found.low - 1e-3 <= (0.0 if math.isnan(true) else true) <= found.high + 1e-3
        assert bounds.low is not None and bounds.high is not None
        assert 0 <= bounds.low <= bounds.high <= 1
    same = few.distance(0, 2)
    assert same.low == pytest.approx(0, abs=1e-3) and len(same.steps) == len(ids(few))
