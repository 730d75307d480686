"""Products of weights in 16 bits: exact, the same in every batch, and none where a bit is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from playground.engine.forward import fp16_linear as fp16
from playground.engine.forward.fp16_linear import COUNTED, Fp16Linear, fp16_linear
from playground.engine.forward.packed_linear import pack
from playground.models import device
from playground.process import Measurements
from tests.engine.models import MAKERS, PROCESS, VOCAB

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16

# Without the kernel (on ARM or an old CPU) float32 weights go to oneDNN, as tested elsewhere.
pytestmark = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="torch has no FBGEMM here"
)


def drawn(*shape: int, dtype: torch.dtype = FP32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).mul(0.05).to(dtype)


def made(weight: Tensor, bias: Tensor | None = None) -> Fp16Linear:
    found = fp16_linear(weight, bias, PROCESS.kernels)
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", [FP16, BF16])
@pytest.mark.parametrize("with_bias", [False, True])
def test_a_weight_published_in_16_bits_loses_none(dtype: torch.dtype, with_bias: bool) -> None:
    """Among bfloat16's are some too small for float16 as they are: they are scaled."""
    weight = drawn(40, 96, dtype=dtype).float()
    weight[0, :3] = torch.tensor([2.0**-22, 3 * 2.0**-23, 0])
    bias = drawn(40, seed=1) if with_bias else None
    x = drawn(7, 1, 96, seed=2)
    product = made(weight, bias)
    wanted = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    torch.testing.assert_close(product(x).double(), wanted, rtol=1e-6, atol=1e-6)
    alone = torch.eye(96)[:3] @ weight[0]  # the small ones, one by one
    each = product(torch.eye(96)[:3])[:, 0] - (0 if bias is None else bias[0])
    torch.testing.assert_close(each, alone, rtol=0, atol=0 if bias is None else 1e-8)
    assert product.nbytes == weight.nbytes // 2


def test_a_row_has_its_bits_in_every_number_of_rows() -> None:
    product = made(drawn(72, 48, dtype=FP16).float())
    x = drawn(COUNTED, 48, seed=1)
    wanted = product(x)
    for n in range(1, COUNTED):
        assert torch.equal(product(x[:n]), wanted[:n]), n
    assert product(x[:0]).shape == (0, 72)


@pytest.mark.parametrize("dtype", [FP16, BF16])
def test_sums_are_float32_and_what_comes_out_is_of_the_dtype_put_in(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "bfloat16_is_fast", lambda: False)
    weight, x = drawn(24, 64, dtype=dtype), drawn(5, 64, dtype=dtype, seed=1)
    out = made(weight)(x)
    assert out.dtype == dtype
    exact = (x.double() @ weight.double().T).to(dtype)
    assert (out == exact).float().mean() > 0.95  # but for a tie that float32 sums turn


@pytest.mark.parametrize(
    "weight",
    [
        drawn(8, 16),  # float32's own bits
        torch.tensor([[1.0, 2.0**-40]]),  # too far apart for any one power
        torch.tensor([[1.0, torch.inf]]),
        torch.tensor([[1.0, torch.nan]]),
    ],
)
def test_a_weight_that_would_lose_a_bit_is_left(weight: Tensor) -> None:
    assert fp16_linear(weight, None, PROCESS.kernels) is None


def test_a_weight_beyond_float16_is_scaled_down() -> None:
    weight = torch.tensor([[2.0**30, -(2.0**20)]])
    assert torch.equal(made(weight)(torch.eye(2)), weight.T)


def test_a_cpu_that_multiplies_bfloat16_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bfloat16_is_fast", lambda: True)
    assert fp16_linear(drawn(8, 16, dtype=BF16), None, PROCESS.kernels) is None
    assert fp16_linear(drawn(8, 16, dtype=FP16).float(), None, PROCESS.kernels) is not None


@pytest.mark.parametrize("broken", [RuntimeError("no such kernel"), lambda x, *rest: x + len(x)])
def test_a_kernel_that_cannot_or_that_changes_bits_is_not_used(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product(x: Tensor, *rest: Any) -> Tensor:
        if isinstance(broken, Exception):
            raise broken
        return broken(x, *rest)

    monkeypatch.setattr(fp16, "_product", product)
    assert fp16_linear(drawn(8, 16, dtype=FP16), None, Measurements()) is None


@pytest.mark.parametrize(("dtype", "each"), [(FP16, 2), (FP32, 4)])
def test_a_model_is_packed_in_half_the_bytes_where_nothing_is_lost(
    dtype: torch.dtype, each: int
) -> None:
    model = MAKERS["llama"](vocab=VOCAB, context=64).to(dtype).float()
    layers = [module for module in model.modules() if type(module) is torch.nn.Linear]
    assert pack(model) == each * sum(layer.weight.numel() for layer in layers)


def test_layers_that_share_a_weight_share_what_is_packed() -> None:
    layers = torch.nn.ModuleList(torch.nn.Linear(64, 48) for _ in range(3))
    layers[0].weight.data = layers[0].weight.half().float()
    layers[1].weight, layers[1].bias = layers[0].weight, layers[0].bias
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bytes_added = pack(layers)
    finally:
        torch.set_num_threads(threads)
    products = [layer.forward.shared.product for layer in layers]
    assert products[0] is products[1] is not products[2]
    assert bytes_added == products[0].nbytes + products[2].nbytes
    assert pack(layers) == 0
