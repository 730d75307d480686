"""Loads a folder in transformers' format as a model that is ready to decode."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from playground.errors import ModelError, first_line
from playground.models import architecture, device
from playground.models.adapter import Adapter, AdapterError
from playground.models.checkpoint import Checkpoint
from playground.models.intact import damage, pointer
from playground.models.missing import has_tokenizer, lacks, unread_words
from playground.models.provenance import Facts
from playground.models.skeleton import reason_of, skeleton_of
from playground.process import Process
from playground.settings import Settings
from playground.trace import ModelFacts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to decode, its tokenizer, and facts about it. Lengths are in tokens."""

    id: str
    model: Any
    tokenizer: Any
    facts: ModelFacts
    eos_token_ids: tuple[int, ...]
    context_length: int

    def provenance(self) -> Facts:
        """The provenance of its texts, with which they can be reproduced."""
        return Facts.of(self)


def load_folder(
    folder: Path | str,
    settings: Settings | None = None,
    *,
    id: str | None = None,
    make_room: Callable[[str, int], None] | None = None,
    find_base: Callable[[str], Path] | None = None,
    accept: Callable[[Any], None] | None = None,
    process: Process | None = None,
) -> LoadedModel:
    """Load a model and its tokenizer from a folder in transformers' format with safetensors, from a
    GGUF file, or from a folder that holds one. An adapter (LoRA) in it is merged into the weights.

    ``accept(tokenizer)``, which may raise ``ModelError``, and ``make_room(id, bytes)`` are called
    before the weights are read. Where the folder holds an adapter alone, ``find_base`` maps the
    name of its base model to a folder; without it the name is a path, relative to the adapter.
    Raises ``ModelError`` where the folder cannot be read or its architecture cannot be served.
    """
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    settings = settings or Settings()
    folder = Path(folder).expanduser().absolute()
    id = id or folder.name
    if not folder.exists():
        raise ModelError(f"{id} cannot be loaded: there is no such folder.", folder)
    adapter, words = None, folder
    if folder.is_dir():
        try:
            adapter = Adapter.at(folder)
        except AdapterError as error:
            raise ModelError(f"{id} cannot be loaded: {error}.", folder) from error
    if adapter is not None and not (folder / "config.json").is_file():
        folder = _base(adapter, id, find_base)
    checkpoint = Checkpoint.at(folder)
    folder = checkpoint.folder
    missing = pointer(folder) or (None if checkpoint.gguf else lacks(folder))
    if missing:
        raise ModelError(f"{id} cannot be loaded: its folder holds no {missing}.", folder)
    where, dtype = device.resolve_device(settings)
    if where.type == "cpu":
        device.keep_freed_memory()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    with (process or Process()).loading, _no_bars():
        skeleton = skeleton_of(checkpoint, id, where)
        needed, quantised = skeleton.nbytes(dtype), skeleton.quantised
        kept = quantised is not None and not quantised.expanded  # as they are stored
        if quantised is not None and kept:
            needed = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
            if adapter is not None:
                raise ModelError(
                    f"{id} cannot be loaded: an adapter is merged into plain weights alone, and "
                    f"those of its base are quantised ({quantised.method})."
                )
        fault = None if checkpoint.gguf else damage(folder)
        if fault:
            log.error("%s in %s is damaged", id, folder)
            raise ModelError(
                f"{id} cannot be loaded: {fault}. Whoever hosts this can delete its folder and "
                "fetch it again.",
                folder,
            )
        try:
            own_words = words != folder and has_tokenizer(words)
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                words if own_words else folder, **({} if own_words else checkpoint.named)
            )
        except Exception as error:
            packages = unread_words(words if own_words else folder)
            if packages:
                raise ModelError(
                    f"{id} cannot be loaded: its tokenizer is a tokenizer.model alone, which is "
                    f"read with libraries that are not all installed: pip install {packages}."
                ) from error
            raise _unreadable(id, folder, error) from error
        if accept is not None:
            accept(tokenizer)
        if make_room is not None:
            make_room(id, needed)
        try:
            model, report = auto.from_pretrained(
                folder,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below
                **checkpoint.weights(quantised),
                **({"device_map": {"": str(where)}} if kept else {}),
            )
            if not kept:  # quantised weights are loaded onto the device
                model.to(where)
            model.eval().requires_grad_(False)
            if adapter is not None:
                adapter.merge(model)
        except AdapterError as error:
            raise ModelError(f"{id} cannot be loaded: {error}.", folder) from error
        except Exception as error:
            raise _unreadable(id, folder, error) from error
    if report["missing_keys"]:  # transformers fills them with random numbers and goes on
        names = ", ".join(sorted(report["missing_keys"])[:3])
        raise ModelError(f"{id} cannot be loaded: its weights lack {names}.")
    if report["mismatched_keys"]:
        name, found, wanted = sorted(report["mismatched_keys"])[0]
        raise ModelError(
            f"{id} cannot be loaded: its weight {name} has the shape {tuple(found)}, where its "
            f"config.json says {tuple(wanted)}."
        )
    wrong = _not_numbers(model)
    if wrong:
        raise ModelError(
            f"{id} cannot be loaded: its weight {wrong} holds what is no number (NaN or infinite).",
            folder,
        )
    ends = end_ids(model, tokenizer)
    if ends:  # so that the model's own generate ends where the playground does
        model.generation_config.eos_token_id = list(ends)
    own = architecture.context_length(model.config)
    length = min(own or settings.max_context, settings.max_context)
    tensors = [*model.parameters(), *model.buffers()]
    facts = ModelFacts(
        id=id,
        title=id.rsplit("/", 1)[-1],
        architecture=type(model).__name__,
        parameters=skeleton.parameters,
        vocab_size=model.config.get_text_config(decoder=True).vocab_size,
        context_length=length,
        device=str(where),
        dtype=str(dtype).removeprefix("torch."),
        memory=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        quantised=quantised and str(quantised),
        adapter=_called(adapter) if adapter is not None else None,
        eos_token_ids=list(ends),
        has_chat_template=_reads_chats(tokenizer, id),
    )
    return LoadedModel(id, model, tokenizer, facts, ends, length)


def _not_numbers(model: Any) -> str | None:
    """The name of a plain weight that is not finite throughout; None where all are."""
    for name, weight in model.named_parameters():
        if type(weight) is nn.Parameter and weight.is_floating_point() and weight.itemsize > 1:
            # The sum is one pass; another dtype would be a temporary of the weight's size on a CPU.
            if not weight.sum().isfinite() and not weight.isfinite().all():
                return str(name)
    return None


def _unreadable(id: str, folder: Path, error: Exception) -> ModelError:
    log.warning("loading %s failed", id, exc_info=error)
    return ModelError(f"{id} cannot be loaded: {reason_of(error, folder)}.")


def end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The ids of the tokens that end a text: those of ``generate``, and the end of a chat turn.

    The generation config of some chat models lacks the token that ends a turn, so the tokenizer's
    is added for models with a chat template. For others it is not, or a text would end where that
    of ``generate`` continues. Ids outside the vocabulary, which small models inherit from a
    default, are dropped.
    """
    sources = [model.generation_config.eos_token_id]
    if sources[0] is None:
        sources.append(getattr(model.config, "eos_token_id", None))
    if tokenizer.chat_template:
        sources.append(tokenizer.eos_token_id)
    ids = [i for source in sources for i in (source if isinstance(source, list) else [source])]
    words = range(model.config.get_text_config(decoder=True).vocab_size)
    return tuple(dict.fromkeys(int(i) for i in ids if i in words))


def _base(adapter: Adapter, id: str, find_base: Callable[[str], Path] | None) -> Path:
    """The folder of the model that an adapter was trained on."""
    if not adapter.base:
        raise ModelError(f"{id} is an adapter (LoRA) that does not say which model it is for.")
    if find_base is not None:
        return find_base(adapter.base)
    local = adapter.folder / Path(adapter.base).expanduser()
    if not (local / "config.json").is_file():
        raise ModelError(
            f"{id} is an adapter (LoRA) for {adapter.base[:100]}, which is no folder here.",
            adapter.folder,
        )
    return local


def _called(adapter: Adapter) -> str:
    base = adapter.base.rstrip("/").rsplit("/", 1)[-1]
    return f"LoRA of rank {adapter.rank}" + (f" on {base[:60]}" if base else "")


def _reads_chats(tokenizer: Any, id: str) -> bool:
    """Whether the tokenizer has a chat template that works; where one fails, the log says why."""
    if not tokenizer.chat_template:
        return False
    try:
        tokenizer.apply_chat_template(
            [{"role": "user", "content": "a"}], tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template is a program, and may fail as one
        log.warning("the chat template of %s fails: %s", id, first_line(error))
        return False
    return True


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Switch transformers' progress bars off, which make a server's log hard to read."""
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
