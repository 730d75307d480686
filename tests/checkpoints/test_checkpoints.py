"""Models stored in forms that other libraries make and read write what their ``generate`` writes.

What needs none of them is in ``tests/test_quantised.py``, ``test_loading.py``, ``test_adapter.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import sentencepiece
import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    apply_quantization_config,
)
from torchao.quantization import Int8WeightOnlyConfig
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TorchAoConfig

from playground.bench.models import differences
from playground.engine import Engine
from playground.models.loading import load_folder
from playground.settings import Settings
from tests.engine.models import PROCESS
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

CPU = Settings(device="cpu", dtype="float32")


def small() -> Any:
    """Wide enough for blocks of weights that have a scale of their own."""
    return tiny_llama(VOCAB, hidden_size=64, intermediate_size=64)


def quantised(settings: Any) -> Callable[[Path], Path]:
    """Saves a model that transformers quantises by these settings."""

    def save(folder: Path) -> Path:
        plain = saved(small(), folder / "plain")
        named = {"quantization_config": settings, "device_map": {"": "cpu"}}
        return saved(AutoModelForCausalLM.from_pretrained(plain, **named), folder / "tiny")

    return save


def compressed(folder: Path) -> Path:
    """Integers of 8 bits with a scale for each output, packed, as llm-compressor saves them."""
    model = small()
    args = QuantizationArgs(num_bits=8, type="int", symmetric=True, strategy="channel")
    form = "pack-quantized"
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=form)
    settings = QuantizationConfig(
        config_groups={"all": scheme}, ignore=["lm_head"], quantization_status="frozen", format=form
    )
    apply_quantization_config(model, settings)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = module.weight.abs().amax(1, keepdim=True) / 127
    compressor = ModelCompressor(quantization_config=settings)
    compressor.compress_model(model)
    saved(model, folder / "tiny")
    compressor.update_config(folder / "tiny")
    return folder / "tiny"


FORMS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "bitsandbytes, 4 bits": (
        quantised(BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
        "bitsandbytes",
    ),
    "bitsandbytes, 8 bits": (quantised(BitsAndBytesConfig(load_in_8bit=True)), "bitsandbytes"),
    "torchao": (quantised(TorchAoConfig(Int8WeightOnlyConfig())), "torchao"),
    "compressed-tensors": (compressed, "compressed-tensors, expanded"),
}


@pytest.mark.parametrize("form", FORMS)
def test_quantised_weights_write_what_generate_does(form: str, tmp_path: Path) -> None:
    save, named = FORMS[form]
    folder = save(tmp_path)
    own, loaded = load_folder(folder, CPU), load_folder(folder, CPU)
    plain = sum(weight.numel() for weight in small().parameters())
    assert (loaded.facts.quantised, loaded.facts.parameters) == (named, plain)
    engine = Engine(loaded, rows=24, process=PROCESS)
    assert differences(own, engine, 2e-2) == ""
    apart = engine.forward.plain
    assert (apart is not None) is form.endswith("8 bits"), apart
    assert len(loaded.provenance().fingerprint) == 16
    engine.close()


def test_a_tokenizer_of_sentencepiece_alone_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    tiny_llama(64).save_pretrained(folder)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over the lazy dog"] * 9),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    own = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    tokenizer = load_folder(folder, CPU).tokenizer
    ids = tokenizer("the lazy fox", add_special_tokens=False).input_ids
    assert ids == own.encode("the lazy fox")
    assert tokenizer.decode(ids) == "the lazy fox"


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}], ids=str)
def test_an_adapter_of_peft_is_merged_as_peft_merges_it(more: Any, tmp_path: Path) -> None:
    base = saved(small(), tmp_path / "base")
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "down_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
        **more,
    )
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(tmp_path / "adapter")
    loaded = load_folder(tmp_path / "adapter", CPU)
    wanted = model.merge_and_unload().eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, wanted(ids).logits)
    assert loaded.facts.adapter == "LoRA of rank 4 on base"
