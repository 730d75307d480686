"""Tiny models loaded as the engine wants them, with a byte tokenizer."""

from __future__ import annotations

from typing import Any

from playground.engine import Engine, Limits
from playground.loading import LoadedModel
from playground.trace import Comparison, ModelFacts
from tests.folders import VOCAB, tokenizer
from tests.tiny import tiny_gpt2, tiny_llama, tiny_qwen2

MAKERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen2": tiny_qwen2}
CONTEXT = 128


def loaded(kind: str = "llama", eos: tuple[int, ...] = (), chat: bool = False) -> LoadedModel:
    model: Any = MAKERS[kind](vocab=VOCAB, context=CONTEXT)
    facts = ModelFacts(
        id=kind,
        title=kind,
        architecture=type(model).__name__,
        parameters=1,
        vocab_size=VOCAB,
        context_length=CONTEXT,
        device="cpu",
        dtype="float32",
        memory=1,
        has_chat_template=chat,
    )
    return LoadedModel(kind, model, tokenizer(chat), facts, eos, CONTEXT)


def engine(kind: str = "llama", eos: tuple[int, ...] = (), **options: Any) -> Engine:
    limits = options.pop("limits", Limits(new_tokens=256))
    return Engine(loaded(kind, eos), limits=limits, **options)


def finished(engine: Engine, request: Any) -> Comparison:
    """The comparison of one request, stepped on this thread."""
    run = engine.submit(request)
    engine.drive(run)
    return run.comparison()
