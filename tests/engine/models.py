"""Tiny models as the engine is given them, with a byte tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from playground.engine import Engine, Limits, Run
from playground.models import LoadedModel
from playground.process import Process
from playground.remembered import Remembered
from playground.trace import Comparison, ModelFacts
from tests.folders import VOCAB, tokenizer
from tests.tiny import tiny_gpt2, tiny_llama, tiny_qwen2

CONTEXT = 128
DEVICE = os.environ.get("PLAYGROUND_TEST_DEVICE", "cpu")  # tests/gpu.sh sets it


class InMemory(Remembered):
    """Keeps the self-check's result of a model for its next engine in this test run."""

    shortest = 0.0

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def load(self, circumstances: Mapping[str, str]) -> Any | None:
        return self.known.get(json.dumps(circumstances, sort_keys=True))

    def save(self, circumstances: Mapping[str, str], result: Any) -> None:
        self.known[json.dumps(circumstances, sort_keys=True)] = result


# Shared, so that the tests measure each kernel and check each model once.
PROCESS = Process(InMemory())


def three_to_one(vocab: int, context: int) -> Any:
    """Llama with three query heads to a key-value head, as SmolLM2 has."""
    return tiny_llama(
        vocab,
        context=context,
        hidden_size=48,
        intermediate_size=40,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )


def deep(vocab: int, context: int) -> Any:
    """Llama of 8 layers, for strategies that contrast early ones with the last."""
    return tiny_llama(vocab, context=context, layers=8)


MAKERS = {
    "llama": tiny_llama,
    "gpt2": tiny_gpt2,
    "qwen2": tiny_qwen2,
    "threes": three_to_one,
    "deep": deep,
}


def loaded(
    kind: str = "llama",
    eos: tuple[int, ...] = (),
    chat: bool = False,
    context: int = CONTEXT,
    dtype: torch.dtype = torch.float32,
    reads: Any = None,
    kept: torch.dtype | None = None,
) -> LoadedModel:
    """``reads`` is its tokenizer, if not the one with a token per byte; ``kept`` the format its
    weights are rounded to, as if published in it.
    """
    model: Any = MAKERS[kind](vocab=VOCAB, context=context).to(kept).to(dtype).to(DEVICE)
    facts = ModelFacts(
        id=kind,
        title=kind,
        architecture=type(model).__name__,
        parameters=1,
        vocab_size=VOCAB,
        context_length=context,
        device=DEVICE,
        dtype=str(dtype).removeprefix("torch."),
        memory=1,
        has_chat_template=chat,
    )
    return LoadedModel(kind, model, reads or tokenizer(chat), facts, eos, context)


def engine(
    kind: str = "llama",
    eos: tuple[int, ...] = (),
    limits: Limits | None = None,
    rows: int = 32,
    pack_weights: bool = True,
    draft: LoadedModel | None = None,
    trace: bool = False,
    **model: Any,
) -> Engine:
    return Engine(
        loaded(kind, eos, **model),
        limits=limits or Limits(new_tokens=256),
        rows=rows,
        pack_weights=pack_weights,
        draft=draft,
        trace=trace,
        process=PROCESS,
    )


def driven(engine: Engine, request: Any) -> Run:
    """The run of one request, stepped on this thread until it is done."""
    run = engine.submit(request)
    engine.drive(run)
    return run


def finished(engine: Engine, request: Any) -> Comparison:
    return driven(engine, request).comparison()
