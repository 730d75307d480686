"""Adapters (LoRA) become part of a model's weights, or are refused; never left out in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from playground.models import ModelError, Models
from playground.models.loading import load_folder
from playground.settings import Settings
from playground.ui.model_facts import facts_line
from tests.folders import VOCAB, saved
from tests.hub import Hub, serve
from tests.tiny import tiny_gpt2, tiny_llama

CPU = Settings(device="cpu", dtype="float32")
Q = "model.layers.0.self_attn.q_proj"
TOLD = {
    "peft_type": "LORA", "base_model_name_or_path": "../base", "r": 2, "lora_alpha": 8,
    "target_modules": ["q_proj"], "bias": "none",
}  # fmt: skip


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def adapter(folder: Path, weights: dict[str, Tensor], **told: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(TOLD | told))
    save_file(
        {f"base_model.model.{name}": tensor for name, tensor in weights.items()},
        folder / "adapter_model.safetensors",
    )
    return folder


def lora(module: str, out: int, width: int, rank: int = 2) -> dict[str, Tensor]:
    down, up = drawn(rank, width, seed=1), drawn(out, rank, seed=2)
    return {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}


@pytest.fixture
def base(tmp_path: Path) -> Any:
    model = tiny_llama(VOCAB)
    saved(model, tmp_path / "base")
    return model


def weight(model: Any, module: str = Q) -> Tensor:
    found: Tensor = model.get_submodule(module).weight
    return found


def test_a_lora_is_added_to_the_weights_of_the_model_it_names(base: Any, tmp_path: Path) -> None:
    before = weight(base)
    parts = lora(Q, *before.shape)
    change = parts[f"{Q}.lora_B.weight"] @ parts[f"{Q}.lora_A.weight"]
    loaded = load_folder(adapter(tmp_path / "own", parts), CPU)
    assert (
        loaded.id == "own" and facts_line(loaded.facts).split(" · ")[3] == "LoRA of rank 2 on base"
    )
    torch.testing.assert_close(weight(loaded.model), before + 4 * change)
    other = "model.layers.1.self_attn.q_proj"
    assert torch.equal(weight(loaded.model, other), weight(base, other))
    for told, scale in (
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"alpha_pattern": {"q_proj": 2}}, 1),
        ({"rank_pattern": {"layers.0.self_attn.q_proj": 2}, "r": 16}, 4),
    ):
        found = load_folder(adapter(tmp_path / "own", parts, **told), CPU)
        torch.testing.assert_close(weight(found.model), before + scale * change)


def test_an_adapter_that_lies_beside_a_model_is_part_of_it(base: Any, tmp_path: Path) -> None:
    parts = lora(Q, *weight(base).shape)
    loaded = load_folder(adapter(tmp_path / "base", parts), CPU)
    assert loaded.facts.adapter is not None
    assert not torch.equal(weight(loaded.model), weight(base))


def test_lengths_whole_weights_embeddings_and_transposed_layers(tmp_path: Path) -> None:
    model = tiny_gpt2(VOCAB)
    saved(model, tmp_path / "base")
    c, e = "transformer.h.0.attn.c_attn", "transformer.wte"
    (width, out), (words, size) = weight(model, c).shape, weight(model, e).shape
    norm = drawn(size, seed=5)
    parts = {
        **lora(c, out, width),
        f"{e}.lora_embedding_A": drawn(2, words, seed=3),
        f"{e}.lora_embedding_B": drawn(size, 2, seed=4),
        "transformer.ln_f.weight": norm,
    }
    loaded = load_folder(adapter(tmp_path / "own", parts, fan_in_fan_out=True), CPU).model
    change = parts[f"{c}.lora_B.weight"] @ parts[f"{c}.lora_A.weight"]
    torch.testing.assert_close(weight(loaded, c), weight(model, c) + 4 * change.T)
    change = parts[f"{e}.lora_embedding_B"] @ parts[f"{e}.lora_embedding_A"]
    torch.testing.assert_close(weight(loaded, e), weight(model, e) + 4 * change.T)
    assert torch.equal(weight(loaded, "transformer.ln_f"), norm)

    llama = tiny_llama(VOCAB)
    saved(llama, tmp_path / "base")
    parts = lora(Q, *weight(llama).shape)
    lengths = drawn(len(weight(llama)), seed=6).abs()
    parts[f"{Q}.lora_magnitude_vector"] = lengths
    found = weight(load_folder(adapter(tmp_path / "own", parts, use_dora=True), CPU).model)
    torch.testing.assert_close(found.norm(dim=1), lengths)


@pytest.mark.parametrize(
    "told, extra, words",
    [
        ({"peft_type": "IA3"}, {}, "its adapter is IA3, and only LoRA is read here"),
        ({"bias": "all"}, {}, "its adapter changes biases"),
        ({"r": None}, {}, "adapter_config.json is damaged"),
        ({}, {"model.nothing.weight": drawn(2)}, "model.nothing.weight, which the model has"),
        ({}, lora("model.layers.9.q", 2, 2), "changes model.layers.9.q, which the model has not"),
        ({}, {f"{Q}.lora_C": drawn(2)}, f"has {Q}.lora_C, which the model has not"),
        ({}, lora("model.layers.1.self_attn.q_proj", 3, 3), "in another shape"),
        ({"base_model_name_or_path": "someone/base"}, {}, "someone/base, which is no folder"),
        ({"base_model_name_or_path": None}, {}, "does not say which model it is for"),
    ],
)  # fmt: skip
def test_an_adapter_of_which_something_would_be_left_out_is_refused(
    base: Any, tmp_path: Path, told: dict[str, Any], extra: dict[str, Tensor], words: str
) -> None:
    parts = lora(Q, *weight(base).shape) | extra
    with pytest.raises(ModelError, match=words):
        load_folder(adapter(tmp_path / "own", parts, **told), CPU)


def test_an_adapter_of_the_hub_is_fetched_with_its_model(base: Any, tmp_path: Path) -> None:
    parts = lora(Q, *weight(base).shape)
    good = adapter(tmp_path / "own", parts, base_model_name_or_path="someone/base")
    bad = adapter(tmp_path / "bad", parts, base_model_name_or_path=str(tmp_path / "base"))
    repos = {"someone/base": tmp_path / "base", "someone/own": good, "someone/bad": bad}
    with serve(Hub(repos)) as hub:
        models = Models(
            Settings(
                device="cpu", dtype="float32", hub=hub.url, hub_cache=tmp_path / "cache",
                allow_any_model=True,
            )
        )  # fmt: skip
        estimate = models.estimate("someone/own")
        sizes = [f.stat().st_size for each in (good, tmp_path / "base") for f in each.iterdir()]
        assert 0.9 * sum(sizes) < estimate.download < sum(sizes)
        loaded = models.load("someone/own")
        assert loaded.facts.adapter == "LoRA of rank 2 on base"
        assert not models.needs_fetching("someone/own")
        shutil.rmtree(tmp_path / "cache" / "models--someone--base")
        other = Models(models.settings)
        assert other.needs_fetching("someone/own")  # of which only the adapter is here
        assert 0 < other.estimate("someone/own").download < estimate.download
        with pytest.raises(ModelError, match="which is neither a hub id nor a folder here"):
            models.load("someone/bad")
