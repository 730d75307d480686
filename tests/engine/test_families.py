"""One type of each kind of model is served as its own ``generate`` writes, or said to be slower.

All types are compared by ``python -m playground.bench models``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from playground.bench.models import verdict
from playground.bench.tiny import VOCAB, WINDOW, tiny_config, tiny_model
from playground.engine.attention.placement import DecodePlacement, PrefillPlacement
from playground.engine.forward import Forward
from playground.errors import UnsupportedModel
from tests.engine.models import PROCESS

KINDS = {
    "mistral": "equal",  # every layer has a window
    "gemma2": "equal",  # windows and full layers mixed, soft-caps
    "gemma3n_text": "equal",  # layers that read what others keep
    "gemma4_text": "equal",  # layers of different shapes; some compute the last tokens only
    "gpt_oss": "equal",  # sinks, and experts
    "llama4_text": "equal",  # chunks
    "deepseek_v3": "equal",  # latent attention, groups of experts
    "falcon": "slower",  # attention code of its own
    "bloom": "slower",  # ALiBi
    "qwen3_5_text": "slower",  # linear attention
    "mamba": "slower",  # a state alone
    "deepseek_v32": "slower",  # an index of keys
    "deepseek_v4": "slower",  # keys that are summed up in parts
    "moshi": "refused",  # other scores with its own cache than without
    "openai-gpt": "slower",  # no cache at all
}


@pytest.mark.parametrize("model_type", KINDS)
def test_a_kind_of_model_writes_what_generate_does(model_type: str, tmp_path: Path) -> None:
    outcome, why = verdict(model_type, tmp_path, "float32", PROCESS)
    assert outcome == KINDS[model_type], why


def test_windows_in_some_layers_of_a_mixture(tmp_path: Path) -> None:
    """Its attention has no argument for the window, which is in the mask alone."""
    mixed = {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"] * 2}
    assert verdict("qwen2_moe", tmp_path, "float32", PROCESS, **mixed) == ("equal", "")


def test_small_experts_keep_a_row_s_bits_in_16_bits_too(tmp_path: Path) -> None:
    """Torch multiplies so few numbers by another kernel, which differs for few inputs."""
    assert verdict("qwen3_moe", tmp_path, "bfloat16", PROCESS) == ("equal", "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("window", [WINDOW, 90])
def test_the_self_check_reads_past_the_window(
    window: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> Any:
        return tiny_model(tiny_config("gemma2", sliding_window=window), dtype)

    assert Forward(model(), rows=8, length=160, process=PROCESS).plain is None
    for placement in (PrefillPlacement, DecodePlacement):
        monkeypatch.setattr(placement, "bounded", lambda self, allowed: None)
    plain = Forward(model(), rows=8, length=160, process=PROCESS).plain
    assert plain is not None and "differ from its own" in plain.reason


@pytest.mark.parametrize("model_type", ["gemma2", "gpt_oss"])
def test_a_traced_forward_has_the_bits_of_the_model(model_type: str) -> None:
    model = tiny_model(tiny_config(model_type, sliding_window=30))
    forward = Forward(model, rows=8, length=160, process=PROCESS)
    lengths = (5, 29, 40, 100)
    prompts = [[(3 + 7 * i + n) % VOCAB for i in range(n)] for n in lengths]

    def read() -> tuple[list[Any], Any]:
        chunks = [forward.prefill(slot, ids).logits for slot, ids in enumerate(prompts)]
        return chunks, forward.decode(range(4), [9] * 4, lengths).logits

    wanted = read()
    forward.trace()
    forward.join_tracing()
    assert forward.torchscript is not None
    assert forward.torchscript.step.is_made and forward.torchscript.chunk.is_made
    found = read()
    assert all(map(torch.equal, found[0], wanted[0])) and torch.equal(found[1], wanted[1])
    forward.close()


def test_a_model_that_looks_ahead_is_refused_by_what_it_computes() -> None:
    model = tiny_model(tiny_config("llama"))
    for layer in model.model.layers:
        layer.self_attn.is_causal = False
    model.set_attn_implementation("eager")
    attention = model.model.layers[0].self_attn
    attention.register_forward_hook(lambda module, given, out: (out[0] + out[0].mean(1), out[1]))
    with pytest.raises(UnsupportedModel, match="attends to later tokens"):
        Forward(model, rows=8, length=160, process=PROCESS)
