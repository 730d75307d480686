"""llama.cpp: the arguments of its programs, and the body of a request to its server."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ...base import Context
from ...recipe import Recipe
from ..dialects import DIALECTS
from .format import Bounds, Brought, Format, FormatError, Loss, Taken
from .reading import from_fields
from .texts import is_json_object, json_object
from .vocabulary import Vocabulary
from .writing import to_fields

# Tokens to look back over for all of them. 0 switches a penalty off, and since July 2026 -1 does so
# too, or is refused (ggml-org/llama.cpp#25388). Room for so many tokens is made at once.
EVERYTHING = 1 << 17


def _of_window(tokens: Any) -> Any:
    return tokens or EVERYTHING


NAMES = {
    ("temperature", "temperature"): "temperature",
    ("dynamic_temperature", "low"): "dynatemp_range",
    ("dynamic_temperature", "exponent"): "dynatemp_exponent",
    ("top_k", "top_k"): "top_k",
    ("top_p", "top_p"): "top_p",
    ("min_p", "min_p"): "min_p",
    ("typical_p", "typical_p"): "typical_p",
    ("top_n_sigma", "n"): "top_n_sigma",
    ("xtc", "threshold"): "xtc_threshold",
    ("xtc", "probability"): "xtc_probability",
    ("repetition_penalty", "penalty"): "repeat_penalty",
    ("presence_penalty", "penalty"): "presence_penalty",
    ("frequency_penalty", "penalty"): "frequency_penalty",
    ("dry", "multiplier"): "dry_multiplier",
    ("dry", "base"): "dry_base",
    ("dry", "allowed_length"): "dry_allowed_length",
    ("dry", "breakers"): "dry_sequence_breakers",
    ("dry", "window"): "dry_penalty_last_n",
    ("adaptive_p", "target"): "adaptive_target",
    ("adaptive_p", "decay"): "adaptive_decay",
    ("mirostat_v2", "mode"): "mirostat",
    ("logit_bias", "bias"): "logit_bias",
    ("constrained", "grammar"): "grammar",
    ("constrained", "json_schema"): "json_schema",
}
# In its own order, of which a step that an order does not name is left out.
STEP_NAMES = {
    "repetition_penalty": "penalties",
    "frequency_penalty": "penalties",
    "presence_penalty": "penalties",
    "dry": "dry",
    "top_n_sigma": "top_n_sigma",
    "top_k": "top_k",
    "typical_p": "typ_p",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc": "xtc",
    "temperature": "temperature",
    "dynamic_temperature": "temperature",
    "adaptive_p": "adaptive_p",
}
WORDS = Vocabulary(
    "llama.cpp",
    DIALECTS["llama.cpp"],
    names=NAMES,
    window="repeat_last_n",
    everything=EVERYTHING,
    order="samplers",
    step_names=STEP_NAMES,
    limits={"max_new_tokens": "n_predict", "seed": "seed", "stop": "stop"},
    spelled={"dry_sequence_breakers": list, "dry_penalty_last_n": _of_window},
    inert=frozenset(
        {
            "prompt", "messages", "model", "stream", "cache_prompt", "n_probs", "n_keep", "id_slot",
            "t_max_predict_ms", "return_tokens", "timings_per_token", "post_sampling_probs",
            "ignore_eos", "n_indent", "lora",
        }
    ),
)  # fmt: skip

_Read = Callable[[str], Any]
# Arguments by the field that each is, the one to write first.
ARGUMENTS: dict[str, tuple[str, _Read]] = {
    "--temp": ("temperature", float),
    "--temperature": ("temperature", float),
    "--dynatemp-range": ("dynatemp_range", float),
    "--dynatemp-exp": ("dynatemp_exponent", float),
    "--top-k": ("top_k", int),
    "--top-p": ("top_p", float),
    "--min-p": ("min_p", float),
    "--typical": ("typical_p", float),
    "--typical-p": ("typical_p", float),
    "--top-nsigma": ("top_n_sigma", float),
    "--top-n-sigma": ("top_n_sigma", float),
    "--xtc-threshold": ("xtc_threshold", float),
    "--xtc-probability": ("xtc_probability", float),
    "--repeat-penalty": ("repeat_penalty", float),
    "--repeat-last-n": ("repeat_last_n", int),
    "--presence-penalty": ("presence_penalty", float),
    "--frequency-penalty": ("frequency_penalty", float),
    "--dry-multiplier": ("dry_multiplier", float),
    "--dry-base": ("dry_base", float),
    "--dry-allowed-length": ("dry_allowed_length", int),
    "--dry-penalty-last-n": ("dry_penalty_last_n", int),
    "--adaptive-target": ("adaptive_target", float),
    "--adaptive-decay": ("adaptive_decay", float),
    "--mirostat": ("mirostat", int),
    "--mirostat-ent": ("mirostat_tau", float),
    "--mirostat-lr": ("mirostat_eta", float),
    "--samplers": ("samplers", str),
    "--sampling-seq": ("samplers", str),
    "--sampler-seq": ("samplers", str),
    "--grammar": ("grammar", str),
    "--json-schema": ("json_schema", str),
    "-j": ("json_schema", str),
    "--predict": ("n_predict", int),
    "--n-predict": ("n_predict", int),
    "-n": ("n_predict", int),
    "--seed": ("seed", int),
    "-s": ("seed", int),
}
_BREAKER, _BIAS, _STOP = "--dry-sequence-breaker", "--logit-bias", ("--reverse-prompt", "-r")
# About how tokens are chosen, but not by a value that a recipe has.
_NAMED = frozenset({"--grammar-file", "--json-schema-file", "-jf", "--ignore-eos"})


class Json(Format):
    id: ClassVar = "llama.cpp-json"
    title: ClassVar = "llama.cpp, JSON"
    program: ClassVar = "llama.cpp"
    suffix: ClassVar = ".json"
    url: ClassVar = "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"
    read_in: ClassVar = DIALECTS["llama.cpp"].read
    keeps_ties: ClassVar = False

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, WORDS, bounds, context)
        given = dict(written.fields)
        if "logit_bias" in given:
            given["logit_bias"] = [[int(id), amount] for id, amount in given["logit_bias"].items()]
        text = json.dumps(given, ensure_ascii=False, indent=2)
        return Taken(self.id, text, written.there, tuple(written.losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        given = json_object(text)
        if given.get("stop") == []:
            del given["stop"]
        return from_fields(self.id, given, WORDS, own)

    def looks_like(self, text: str) -> int:
        if not is_json_object(text):
            return 0
        own = {
            "n_predict", "repeat_penalty", "repeat_last_n", "samplers", "dynatemp_range",
            "dry_penalty_last_n", "cache_prompt", "mirostat",
        }  # fmt: skip
        return 6 if own & json_object(text).keys() else 1


class Arguments(Format):
    id: ClassVar = "llama.cpp"
    title: ClassVar = "llama.cpp, arguments"
    program: ClassVar = "llama.cpp"
    suffix: ClassVar = ".txt"
    url: ClassVar = "https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp"
    read_in: ClassVar = DIALECTS["llama.cpp"].read
    keeps_ties: ClassVar = False

    words: ClassVar = replace(WORDS, order_text=";".join)

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, self.words, replace(bounds, stop=()), context)
        losses = list(written.losses)
        if bounds.stop:
            reason = "stop strings are no arguments of llama-server; send them with a request."
            losses.append(Loss(reason))
        parts: list[str] = []
        spelled = {field: name for name, (field, _) in reversed(ARGUMENTS.items())}
        for field, value in written.fields.items():
            if field == "dry_sequence_breakers":
                for breaker in value or ["none"]:
                    parts += [_BREAKER, breaker]
            elif field == "logit_bias":
                for id, amount in value.items():
                    parts += [_BIAS, f"{id}{amount:+g}"]
            else:
                told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                parts += [spelled[field], told]
        return Taken(self.id, _line(parts), written.there, tuple(losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        try:
            parts = shlex.split(re.sub(r"\\\r?\n", " ", text), comments=True)
        except ValueError as error:
            raise FormatError(f"It is no command line: {str(error).lower()}.") from error
        given, left_out = _arguments(parts)
        return from_fields(self.id, given, self.words, own, left_out)

    def looks_like(self, text: str) -> int:
        known = (*ARGUMENTS, _BREAKER, _BIAS)
        parts = text.split()
        if parts and re.search(r"(^|/)llama-[a-z]+(\.exe)?$", parts[0]):
            return 9
        return 8 if any(part.partition("=")[0] in known for part in parts) else 0


def _arguments(parts: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The fields of a command line, and sentences about arguments that have none."""
    given: dict[str, Any] = {}
    left_out: list[str] = []
    at = 0
    while at < len(parts):
        name, at = parts[at], at + 1
        name, equals, beside = name.partition("=") if name.startswith("--") else (name, "", "")
        listed = name in (_BREAKER, _BIAS, *_STOP)
        if name not in ARGUMENTS and not listed:
            if name in _NAMED:
                left_out.append(f"{name} is left out: there is no such setting here.")
            continue
        if not equals:
            if at >= len(parts):
                raise FormatError(f"{name} has no value behind it.")
            beside, at = parts[at], at + 1
        if name == _BREAKER:
            known = given.setdefault("dry_sequence_breakers", [])
            known += [] if beside == "none" else [beside]
        elif name in _STOP:
            given.setdefault("stop", []).append(beside)
        elif name == _BIAS:
            sign = max(beside.rfind("+"), beside.rfind("-"))
            try:
                amount = float(beside[sign:]) if sign > 0 else None
            except ValueError:
                amount = None
            if amount is None:
                raise FormatError(f"{_BIAS} must look like 15043+1, but {beside!r} was given.")
            given.setdefault("logit_bias", {})[beside[:sign]] = amount
        else:
            field, kind = ARGUMENTS[name]
            try:
                given[field] = kind(beside)
            except ValueError as error:
                raise FormatError(f"{name} must be a number, but {beside!r} was given.") from error
    return given, left_out


def _line(parts: Sequence[str]) -> str:
    """Arguments as they are typed, each on a line of its own where they are many."""
    pairs = [f"{parts[i]} {shlex.quote(parts[i + 1])}" for i in range(0, len(parts), 2)]
    return " ".join(pairs) if len(" ".join(pairs)) <= 72 else " \\\n".join(pairs)


formats = (Arguments(), Json())
