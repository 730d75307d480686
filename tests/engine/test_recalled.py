"""The result of an earlier start's self-check is used again where nothing it depends on changed."""

from __future__ import annotations

import json

import pytest
import torch

from playground.engine.forward import Forward, recalled
from playground.engine.forward.row_counts import RowCounts
from playground.engine.forward.step_check import Steps
from playground.process import Process
from playground.remembered import Remembered
from tests.folders import VOCAB
from tests.tiny import tiny_llama

FOUND = RowCounts.among({2, 4, 8, 16, 32, 96})


@pytest.fixture
def checks(monkeypatch):
    """How often the check was made; it finds ``FOUND``, and takes long enough to be kept."""
    made = []

    def check(eager, kernels):
        made.append(eager)
        return FOUND

    monkeypatch.setattr(recalled, "row_counts", check)
    monkeypatch.setattr(Remembered, "shortest", 0.0)
    monkeypatch.setattr(Steps, "differing", lambda *given, **named: set())
    return made


def load(folder, seed=0, model=None, **everywhere):
    process = Process(Remembered(folder, everywhere))
    return Forward(model or tiny_llama(VOCAB, seed=seed), rows=4, length=256, process=process)


def test_a_second_start_does_not_check_again(checks, tmp_path):
    assert load(tmp_path).row_counts == load(tmp_path).row_counts == FOUND
    assert len(checks) == 1
    assert load(tmp_path).batch_invariant


def test_other_weights_or_another_configuration_are_checked(checks, tmp_path):
    load(tmp_path)
    load(tmp_path, seed=1)
    changed = tiny_llama(VOCAB)
    with torch.no_grad():
        next(changed.parameters())[0, 0] += 1e-3
    load(tmp_path, model=changed)
    other = tiny_llama(VOCAB)
    other.config.rope_parameters["rope_theta"] = 5.0
    load(tmp_path, model=other)
    assert len(checks) == 4


def test_other_threads_kernels_or_versions_are_checked(checks, tmp_path, monkeypatch):
    load(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        load(tmp_path)
    finally:
        torch.set_num_threads(threads)
    load(tmp_path, ONEDNN_MAX_CPU_ISA="AVX2")
    monkeypatch.setattr(recalled, "_processor", lambda: "model name: another")
    load(tmp_path)
    monkeypatch.setattr(recalled, "_code", lambda: "changed")
    load(tmp_path)
    monkeypatch.setattr(recalled.transformers, "__version__", "6.0")
    load(tmp_path)
    monkeypatch.setattr(recalled.torch, "__version__", "3.0")
    load(tmp_path)
    assert len(checks) == 7


@pytest.mark.parametrize(
    "result",
    [
        None,
        "every",
        {"computed": [0, 1]},
        [0],
        [0, 2.0, *range(2, 97)],
        [0, True, *range(2, 97)],
        [0, 0, *range(2, 97)],  # fewer than are asked for
        [0, 97, *range(2, 97)],  # more than there are
        [1, 1, *range(2, 97)],
        [*range(200)],
        [0, 8, 4, *range(3, 97)],  # falls
    ],
)
def test_what_has_not_the_form_of_a_result_is_not_believed(checks, tmp_path, result):
    load(tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "result": result}))
    assert load(tmp_path).row_counts == FOUND
    assert len(checks) == 2
    assert json.loads(file.read_text())["result"] == list(FOUND.computed)


def test_a_result_that_a_step_contradicts_is_found_anew(checks, tmp_path, monkeypatch, caplog):
    load(tmp_path)
    monkeypatch.setattr(Steps, "differing", lambda *given, **named: {3})
    assert load(tmp_path).row_counts == FOUND
    assert len(checks) == 2 and "does not hold any more" in caplog.text


def test_short_checks_and_failed_ones_are_not_kept(checks, tmp_path, monkeypatch):
    monkeypatch.setattr(Remembered, "shortest", 60.0)
    load(tmp_path)
    monkeypatch.setattr(Remembered, "shortest", 0.0)
    monkeypatch.setattr(recalled, "row_counts", lambda eager, kernels: None)
    assert not load(tmp_path).batch_invariant
    assert list(tmp_path.iterdir()) == []


def test_a_real_result_is_believed_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(Remembered, "shortest", 0.0)
    first = load(tmp_path)
    monkeypatch.setattr(recalled, "row_counts", lambda *given: pytest.fail("checked again"))
    assert load(tmp_path).row_counts == first.row_counts
