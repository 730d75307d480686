"""Equal constants of a traced program are one, and it computes the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from playground.engine.forward.constant_pooling import share_constants


def scaled(values: Tensor) -> Tensor:
    for _ in range(5):
        values = torch.sub(values, values.new_ones(()), alpha=3).mul(2.5)
    return values


def constants(program: torch.jit.ScriptFunction) -> int:
    return sum(node.kind() == "prim::Constant" for node in program.graph.nodes())


def test_equal_constants_become_one_and_the_values_stay() -> None:
    given = torch.arange(4.0)
    program = torch.jit.trace(scaled, given, check_trace=False)
    before, expected = constants(program), program(given)
    share_constants(program)
    assert constants(program) < before / 3
    assert torch.equal(program(given), expected)


def test_a_torch_without_that_pass_leaves_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_jit_pass_constant_pooling")
    program = torch.jit.trace(scaled, torch.ones(2), check_trace=False)
    before = constants(program)
    share_constants(program)
    assert constants(program) == before
