"""The self-check at load finds kernels whose bits depend on neighbouring rows, however rarely."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from playground.engine import Engine, Request
from playground.engine.forward import FIXED_ROWS, MOST_ROWS, Forward, RowCounts
from playground.engine.forward import preparation as module
from playground.process import Process
from strategies import Recipe
from tests.engine.models import MAKERS, VOCAB, driven, loaded

PROCESS = Process()  # which remembers no model: those here differ by their hooks alone
ONE_IN = 50
MINE = Recipe.of("top_p(0.9) | sample")


def rarely_other(n_rows: int, one_in: int = ONE_IN) -> Callable[[Any, Any, Tensor], Tensor]:
    """A hook: among ``n_rows`` a module gives one input in so many other bits, as a kernel that
    sums in another order does where most inputs round to the same.
    """

    def other(module: Any, given: Any, out: Tensor) -> Tensor:
        if out.shape[0] != n_rows or out.shape[1] != 1:
            return out
        drawn = (given[0].flatten(1).double() * 1e4).sum(1).long() % one_in == 0
        return torch.where(drawn[:, None, None], out * (1 + 2**-7), out)

    return other


def served(
    change: Callable[[Any], Any] = lambda model: None,
    kind: str = "deep",
    dtype: Any = torch.float32,
) -> Forward:
    model = MAKERS[kind](vocab=VOCAB, context=160).to(dtype)
    change(model)
    return Forward(model, rows=40, length=160, process=PROCESS)


def layer(model: Any, index: int) -> Any:
    return model.model.layers[index]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "where",
    [
        lambda model: [block.mlp.down_proj for block in model.model.layers],
        lambda model: [layer(model, 5).self_attn.q_proj],
        lambda model: [layer(model, 3).input_layernorm],
        lambda model: [model.lm_head],
    ],
    ids=["all down", "one q", "one norm", "head"],
)
def test_a_lone_row_that_rarely_differs_is_found_and_padded(where: Any, dtype: Any) -> None:
    def change(model: Any) -> None:
        for changed in where(model):
            changed.register_forward_hook(rarely_other(1))

    forward = served(change, dtype=dtype)
    assert forward.row_counts.lone > 1 and forward.batch_invariant
    plain = served(dtype=dtype)
    several = range(forward.row_counts.lone, MOST_ROWS + 1)
    assert [forward.row_counts.computed[n] for n in several] == [
        plain.row_counts.computed[n] for n in several
    ], "only a lone row pays"


def test_a_larger_number_that_differs_is_rounded_up() -> None:
    forward = served(lambda m: layer(m, 2).mlp.up_proj.register_forward_hook(rarely_other(24, 4)))
    assert forward.row_counts.computed[24] > 24 and forward.row_counts.computed[25] == 25


def test_a_model_that_no_number_of_rows_makes_independent_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def of_the_batch(module: Any, given: Any, out: Tensor) -> Tensor:
        return out + 1e-6 * out.mean(0, keepdim=True) if out.shape[1] == 1 else out

    forward = served(lambda m: layer(m, 1).mlp.register_forward_hook(of_the_batch))
    assert not forward.batch_invariant
    assert "depend on the batch" in caplog.text


def test_texts_are_the_same_alone_and_together_on_such_a_machine() -> None:
    asked = Request(prompt="one prompt", recipes=[MINE], max_new_tokens=60, seed=9)
    both = asked.model_copy(update={"recipes": [MINE, Recipe.of("top_k(20) | sample")]})

    def alone_and_together(checked: bool) -> list[list[float]]:
        model = loaded("deep")
        for block in model.model.model.layers:
            block.mlp.down_proj.register_forward_hook(rarely_other(1, 5))
        made = Engine(model, rows=8)
        if not checked:
            made.forward.row_counts = RowCounts.every()
        lanes = [driven(made, request).comparison().lanes[0] for request in (asked, both)]
        return [[step.logprob for step in lane.trace.steps] for lane in lanes]

    alone, together = alone_and_together(checked=True)
    assert alone == together
    alone, together = alone_and_together(checked=False)
    assert alone != together, "the stand-in must show what the check prevents"


@pytest.mark.parametrize("name", ["Mixtral", "Qwen3Moe", "Qwen2Moe"])
def test_a_mixture_s_rows_do_not_depend_on_the_batch(name: str) -> None:
    config = getattr(transformers, f"{name}Config")(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, moe_intermediate_size=24, head_dim=8,
        num_local_experts=4, num_experts=4, num_experts_per_tok=2, sliding_window=None,
        shared_expert_intermediate_size=24, max_position_embeddings=160,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    forward = Forward(model, rows=40, length=160)
    assert forward.batch_invariant
    for slot in range(40):
        forward.prefill(slot, [(7 * slot + i) % VOCAB for i in range(5 + slot % 3)])
    at = [5 + slot % 3 for slot in range(40)]
    wanted = forward.decode(range(40), [9] * 40, at).logits
    for n in (1, 2, 5, 16, 33):
        found = forward.decode(range(n), [9] * n, at[:n]).logits
        assert torch.equal(found, wanted[:n]), n


def test_numbers_of_rows_are_rounded_up_to_those_that_are_right() -> None:
    counts = RowCounts.among({2, 3, 5, 16})
    assert counts.computed[:7] == (0, 2, 2, 3, 5, 5, 16) and counts.most == 16 and counts.lone == 2
    assert RowCounts.every().computed == tuple(range(MOST_ROWS + 1))
    assert {*RowCounts.among([FIXED_ROWS]).computed[1:]} == {FIXED_ROWS}


def test_a_kernel_that_is_wrong_or_gone_leaves_the_layers_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wrong in the first of two: the second is used; wrong in both: the model's own layers."""

    class Wrong:
        shape, nbytes, packed = (0, 0, False), 1, None

        def __init__(self, weight: Tensor, bias: Any, kernels: Any) -> None:
            self.weight = weight

        def __call__(self, x: Tensor) -> Tensor:
            return 2 * nn.functional.linear(x, self.weight)

    right = module.MAKERS[1]
    for makers, name in (((Wrong, right), "PackedLinears"), ((Wrong, Wrong), "Eager")):
        monkeypatch.setattr(module, "MAKERS", makers)
        forward = served()
        assert type(forward.eager).__name__ == name
    assert "differ from its own" in caplog.text
    monkeypatch.setattr(module, "MAKERS", (lambda *given: None,) * 2)
    caplog.clear()
    caplog.set_level(logging.WARNING)
    assert type(served().eager).__name__ == "Eager" and "no kernel" in caplog.text
