"""Which model types are served right: a tiny random model of each, compared with ``generate``."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from playground.bench.tiny import VOCAB, WINDOW, causal_types, tiny_config, tiny_model
from playground.engine import Engine, Request
from playground.errors import ModelError, UnsupportedModel, first_line
from playground.models.loading import LoadedModel, load_folder
from playground.process import Process
from playground.settings import Settings
from playground.transformers_compat import expert_counts
from strategies import Recipe

Outcome = Literal["equal", "slower", "refused", "different", "not built"]

# Tokens of the prompts: within a window, up to its end, beyond it, and beyond a block of keys.
_PROMPTS = (3, WINDOW - 2, 3 * WINDOW, 70)
_TOKENS = 12  # written after each
_TOLERANCE = {"float32": 2e-3, "bfloat16": 0.25}  # of a log-probability, in nats


class OwnGenerateFails(RuntimeError):
    """The model's own ``generate`` fails, so that there is nothing to compare with."""


class RowFails(RuntimeError):
    """The engine failed to generate a text; the message says why."""


@dataclass(frozen=True)
class Verdict:
    """The result of one type. ``slower`` is served right, on the plain path."""

    model_type: str
    architecture: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.model_type:28} {self.outcome:10} {self.why}".rstrip()


@dataclass(frozen=True)
class Coverage:
    """The verdicts on all types that were checked."""

    dtype: str
    verdicts: list[Verdict]

    @property
    def passed(self) -> bool:
        """Whether no type is served with other tokens than ``generate`` gives."""
        return not any(v.outcome == "different" for v in self.verdicts)

    def types(self, outcome: Outcome) -> list[str]:
        return [verdict.model_type for verdict in self.verdicts if verdict.outcome == outcome]

    def __str__(self) -> str:
        order: tuple[Outcome, ...] = ("equal", "slower", "refused", "not built", "different")
        counts = Counter(verdict.outcome for verdict in self.verdicts)
        total = ", ".join(f"{counts[outcome]} {outcome}" for outcome in order)
        lines = [
            "| outcome | types |",
            "|---|---|",
            *(f"| {outcome} | {', '.join(self.types(outcome))} |" for outcome in order[:2]),
            *(
                f"| {v.outcome} | {v.model_type}: {v.why} |"
                for outcome in order[2:]
                for v in self.verdicts
                if v.outcome == outcome
            ),
        ]
        return "\n".join([f"{len(self.verdicts)} types in {self.dtype}: {total}.", "", *lines])


def cover(
    types: Sequence[str] = (),
    dtype: str = "float32",
    progress: Callable[[Verdict], None] = lambda verdict: None,
) -> Coverage:
    """The verdict on each of these types; on all where none is named."""
    found = []
    for each in verdicts(types, dtype):
        progress(each)
        found.append(each)
    return Coverage(dtype, found)


def verdicts(types: Sequence[str], dtype: str, process: Process | None = None) -> Iterator[Verdict]:
    """The verdict on each of these types, one after the other; on all where none is named."""
    process = process or Process()
    known = causal_types()
    for model_type in types or known:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, _quietly():
            outcome, why = verdict(model_type, Path(folder), dtype, process)
        seconds = time.perf_counter() - begun
        yield Verdict(model_type, known.get(model_type, ""), outcome, why, seconds)


def verdict(
    model_type: str, folder: Path, dtype: str, process: Process, **fields: Any
) -> tuple[Outcome, str]:
    """One type's outcome and the reason; ``folder`` is where its model is kept meanwhile."""
    try:
        config = tiny_config(model_type, **fields)
        tiny_model(config).save_pretrained(folder)
        _tokenizer().save_pretrained(folder)
    except Exception as error:
        return "not built", first_line(error)
    settings = Settings(device="cpu", dtype=dtype)
    try:
        own = load_folder(folder, settings, process=process)
        engine = Engine(load_folder(folder, settings, process=process), rows=24, process=process)
    except (ModelError, UnsupportedModel) as error:
        return "refused", first_line(error)
    try:
        found = differences(own, engine, _TOLERANCE[dtype])
    except RowFails as error:
        return "different", first_line(error)
    except OwnGenerateFails as error:
        return "not built", first_line(error)
    finally:
        engine.close()
    if found:
        return "different", found
    plain = engine.forward.plain
    return ("slower", plain.reason) if plain else ("equal", "")


def differences(own: LoadedModel, engine: Engine, tolerance: float) -> str:
    """How the engine's texts differ from those of ``generate``, or with the batch; empty if not.

    In 16 bits two experts of a mixture are often so close that rounding decides between them, and
    two correct forwards then give a token other log-probabilities: there a quarter of all steps may
    differ.
    """
    routed = engine.forward.dtype.itemsize < 4 and bool(expert_counts(own.model.config))
    steps, off, how = 0, 0, ""
    for prompt in prompts():
        wanted, logprobs = generated(own, prompt)
        alone = _driven(engine, prompt, ["greedy"])
        for step, token, scores in zip(alone, wanted, logprobs, strict=False):
            steps += 1
            far = abs(step.raw_logprob - float(scores[step.token]))
            if not far <= tolerance:
                off, how = off + 1, f"log-probabilities off by {far:.2g} after {len(prompt)}"
            if step.token != token:  # as likely, but for rounding: the texts part here
                if far <= tolerance < float(scores[token] - scores[step.token]):
                    off, how = off + 1, f"other tokens after {len(prompt)}"
                break
        batched = _driven(engine, prompt, ["greedy", "temperature(1.2) | sample(3)", "beam(3)"])
        if [s.raw_logprob for s in batched] != [s.raw_logprob for s in alone]:
            return f"other bits in a batch after {len(prompt)}"
    return how if off > (steps / 4 if routed else 0) else ""


def prompts() -> list[list[int]]:
    """Prompts of random ids, always the same ones."""
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(3, VOCAB, (n,), generator=generator).tolist() for n in _PROMPTS]


def generated(model: LoadedModel, prompt: Sequence[int]) -> tuple[list[int], list[Tensor]]:
    """The tokens that the model's own ``generate`` writes, and every log-probability there."""
    ids = torch.tensor([list(prompt)])
    try:
        out = model.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=_TOKENS,
            output_logits=True,
            return_dict_in_generate=True,
        )
    except Exception as error:
        raise OwnGenerateFails(f"its own generate fails: {first_line(error)}") from error
    tokens = out.sequences[0, len(prompt) :].tolist()
    scores = [step[0].float().log_softmax(-1) for step in out.logits]
    return tokens, scores


def _driven(engine: Engine, prompt: Sequence[int], recipes: Sequence[str]) -> list[Any]:
    """The steps of the first recipe."""
    request = Request(
        prompt="",
        prompt_ids=list(prompt),
        recipes=[Recipe.parse(recipe) for recipe in recipes],
        max_new_tokens=_TOKENS,
    )
    run = engine.submit(request)
    engine.drive(run)
    lane = run.comparison().lanes[0]
    if lane.error:
        raise RowFails(lane.error)
    return list(lane.trace.steps)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence transformers' warnings about configurations that no person wrote, and our own."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    own = logging.getLogger("playground")
    level = own.level
    own.setLevel(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        own.setLevel(level)
        transformers_logging.set_verbosity(before)


def _tokenizer() -> Any:
    """One word for each id."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCAB)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2", pad_token="w0")
