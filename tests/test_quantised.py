"""Weights that are stored quantised: read where they can be, else refused with what to install.

Those that a library reads are read in ``tests/checkpoints``.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig

from playground.bench.tiny import tiny_config, tiny_model
from playground.models import ModelError, skeleton
from playground.models.checkpoint import Quantised
from playground.models.loading import LoadedModel, load_folder
from playground.models.skeleton import weight_bytes
from playground.process import Process
from playground.settings import Settings
from playground.transformers_compat import quantisations
from playground.ui.model_facts import facts_line
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

CPU = Settings(device="cpu", dtype="float32")

# The module that reads a form, and the words by which a person without it is told what to install.
LIBRARIES = {
    "awq": ("gptqmodel", "pip install gptqmodel"),
    "bitsandbytes_4bit": ("bitsandbytes", "pip install -U bitsandbytes"),
    "bitsandbytes_8bit": ("bitsandbytes", "pip install -U bitsandbytes"),
    "compressed-tensors": ("compressed_tensors", "pip install compressed-tensors"),
    "gptq": ("gptqmodel", "pip install optimum gptqmodel"),
    "quanto": ("optimum", "pip install optimum-quanto"),
    "torchao": ("torchao", "pip install torchao"),
}


def tell(folder: Path, settings: dict[str, Any]) -> Path:
    """The folder, whose configuration now says that its weights are stored by these settings."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return folder


def settings_of(method: str) -> dict[str, Any]:
    if method.startswith("bitsandbytes"):
        return {"quant_method": "bitsandbytes", f"load_in_{method[-4:]}": True}
    return {"quant_method": method, "bits": 4}


def test_every_form_that_transformers_knows_is_read_or_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    assert {*LIBRARIES, "fp8", "mxfp4", "hqq"} < {*quantisations()}
    for method in quantisations():
        tell(folder, settings_of(method))
        try:
            named = load_folder(folder, CPU).facts.quantised
        except ModelError as error:
            assert re.fullmatch(r"tiny cannot be (loaded|served): .+\.", str(error)), method
            assert str(tmp_path) not in str(error)
        else:
            assert named in (method, f"{method}, expanded")


@pytest.mark.parametrize("method", LIBRARIES)
def test_what_to_install_is_said(method: str) -> None:
    module, words = LIBRARIES[method]
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    config = LlamaConfig(quantization_config=settings_of(method))
    with pytest.raises(ValueError, match=re.escape(words)):
        Quantised.of(config, torch.device("cpu"))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"quant_method": "other"}, r"quantised \(other\), in a form that is not read here"),
        ({"quant_method": "hqq"}, r"quantised \(hqq\), which is read on a GPU alone"),
        ({"load_in_4bit": True}, r"quantised \(bitsandbytes\)"),
        ({"bits": 4}, r"quantised \(None\), and cannot be read here: .+"),
        ({"quant_method": "fp8", "weight_block_size": 3}, "cannot be read here"),
    ],
)
def test_settings_of_no_known_form_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Quantised.of(LlamaConfig(quantization_config=settings), torch.device("cpu"))


def in_blocks(weight: Tensor) -> dict[str, Tensor]:
    """A matrix as FP8 checkpoints have it, with one scale for its single block."""
    scale = weight.abs().amax() / 448
    return {
        "weight": (weight / scale).to(torch.float8_e4m3fn),
        "weight_scale_inv": scale.reshape(1, 1),
    }


def test_fp8_is_expanded_as_it_is_read(tmp_path: Path) -> None:
    made = tiny_llama(VOCAB)
    folder = tell(
        saved(made, tmp_path / "tiny"),
        {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
    )
    stored: dict[str, Tensor] = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        path, _, kind = name.rpartition(".")
        parts = in_blocks(weight) if path.endswith("_proj") else {kind: weight}
        stored |= {f"{path}.{part}": tensor for part, tensor in parts.items()}
        if path.endswith("_proj"):
            whole = parts["weight"].float() * parts["weight_scale_inv"]
            made.get_parameter(name).data.copy_(whole)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_folder(folder, CPU)
    same(loaded, made)
    assert "quantised (fp8, expanded)" in facts_line(loaded.facts)
    plain = load_folder(saved(made, tmp_path / "plain"), CPU).facts
    assert (loaded.facts.parameters, loaded.facts.memory) == (plain.parameters, plain.memory)


FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])  # of the low three bits; the fourth is the sign


def test_mxfp4_is_expanded_as_it_is_read(tmp_path: Path) -> None:
    made = tiny_model(tiny_config("gpt_oss", vocab_size=VOCAB, intermediate_size=32))
    folder = tell(saved(made, tmp_path / "tiny"), {"quant_method": "mxfp4"})
    generator = torch.Generator().manual_seed(0)
    stored: dict[str, Tensor] = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            stored[name] = weight
            continue
        experts, inner, outer = weight.shape  # two numbers a byte, 32 with one power of two
        shape = (experts, outer, inner // 32, 16)
        blocks = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        stored[f"{name}_blocks"] = blocks
        stored[f"{name}_scales"] = torch.full(shape[:3], 124, dtype=torch.uint8)
        nibbles = torch.stack([blocks & 15, blocks >> 4], -1).int()
        numbers = FP4[nibbles & 7] * (1 - 2 * (nibbles >> 3)) * 2.0 ** (124 - 127)
        whole = numbers.reshape(experts, outer, inner).transpose(1, 2)
        made.get_parameter(name).data.copy_(whole)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_folder(folder, CPU)
    same(loaded, made)
    assert loaded.facts.quantised == "mxfp4, expanded"


def same(loaded: LoadedModel, made: Any) -> None:
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, made(ids).logits)


def test_four_bits_are_estimated_as_four_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny_llama(VOCAB)
    folder = saved(made, tmp_path)
    plain = weight_bytes(folder, CPU, "tiny", Process())
    inner = sum(p.numel() for name, p in made.named_parameters() if name.endswith("_proj.weight"))
    settings = LlamaConfig(bits=4)
    monkeypatch.setattr(skeleton.Quantised, "of", lambda *_: Quantised("gptq", settings, False))
    assert weight_bytes(folder, CPU, "tiny", Process()) == plain - int(3.5 * inner)
