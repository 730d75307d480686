"""Models of random weights in the shapes of ones that people run, so that nothing is fetched."""

from __future__ import annotations

from typing import Any

CONTEXT = 1024
# Of SmolLM2-135M, Llama 3.2 1B and Llama 3.1 8B; the first is for trying this out anywhere.
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
        "tie_word_embeddings": True,
    },
    "135M": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49_152,
        "tie_word_embeddings": True,
    },
    "1B": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
        "tie_word_embeddings": True,
    },
    "8B": {
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256,
        "tie_word_embeddings": False,
    },
}  # fmt: skip


def random_model(shape: str, dtype: str, device: Any) -> Any:
    """A ``LoadedModel`` of random weights on ``device``, with a token for each byte."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    from playground.models import LoadedModel
    from playground.trace import ModelFacts

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(["<end>", *alphabet])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")
    config = LlamaConfig(
        **SHAPES[shape], max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=None
    )
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
    facts = ModelFacts(
        id=shape,
        title=shape,
        architecture=type(model).__name__,
        parameters=sum(weight.numel() for weight in model.parameters()),
        vocab_size=config.vocab_size,
        context_length=CONTEXT,
        device=str(device),
        dtype=dtype,
        memory=0,
        has_chat_template=False,
    )
    return LoadedModel(shape, model, tokenizer, facts, (), CONTEXT)
