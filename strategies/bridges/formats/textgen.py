"""text-generation-webui: a preset, which is a file of YAML in ``user_data/presets``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import yaml

from ...base import Context
from ...notation import shorten
from ...recipe import Recipe
from ..dialects import DIALECTS
from .format import Bounds, Brought, Format, FormatError, Taken
from .reading import from_fields
from .vocabulary import Vocabulary
from .writing import to_fields


def breakers(texts: Sequence[str]) -> str:
    """DRY's breakers as its box has them: quoted, with commas between."""
    return ", ".join(json.dumps(text, ensure_ascii=False) for text in texts)


NAMES = {
    ("temperature", "temperature"): "temperature",
    ("dynamic_temperature", "low"): "dynatemp_low",
    ("dynamic_temperature", "high"): "dynatemp_high",
    ("dynamic_temperature", "exponent"): "dynatemp_exponent",
    ("quadratic", "factor"): "smoothing_factor",
    ("quadratic", "curve"): "smoothing_curve",
    ("top_p", "top_p"): "top_p",
    ("top_k", "top_k"): "top_k",
    ("min_p", "min_p"): "min_p",
    ("top_n_sigma", "n"): "top_n_sigma",
    ("typical_p", "typical_p"): "typical_p",
    ("xtc", "threshold"): "xtc_threshold",
    ("xtc", "probability"): "xtc_probability",
    ("epsilon_cutoff", "epsilon"): "epsilon_cutoff",
    ("eta_cutoff", "epsilon"): "eta_cutoff",
    ("tail_free", "z"): "tfs",
    ("top_a", "a"): "top_a",
    ("adaptive_p", "target"): "adaptive_target",
    ("adaptive_p", "decay"): "adaptive_decay",
    ("dry", "multiplier"): "dry_multiplier",
    ("dry", "allowed_length"): "dry_allowed_length",
    ("dry", "base"): "dry_base",
    ("dry", "breakers"): "dry_sequence_breakers",
    ("repetition_penalty", "penalty"): "repetition_penalty",
    ("frequency_penalty", "penalty"): "frequency_penalty",
    ("presence_penalty", "penalty"): "presence_penalty",
    ("encoder_repetition", "penalty"): "encoder_repetition_penalty",
    ("no_repeat_ngram", "size"): "no_repeat_ngram_size",
    ("guidance", "scale"): "guidance_scale",
    ("contrastive", "penalty_alpha"): "penalty_alpha",
    ("mirostat_v2", "mode"): "mirostat_mode",
}
STEP_NAMES = {
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "dry": "dry",
    "top_n_sigma": "top_n_sigma",
    "temperature": "temperature",
    "dynamic_temperature": "dynamic_temperature",
    "quadratic": "quadratic_sampling",
    "top_k": "top_k",
    "top_p": "top_p",
    "typical_p": "typical_p",
    "epsilon_cutoff": "epsilon_cutoff",
    "eta_cutoff": "eta_cutoff",
    "tail_free": "tfs",
    "top_a": "top_a",
    "min_p": "min_p",
    "adaptive_p": "adaptive_p",
    "mirostat_v2": "mirostat",
    "xtc": "xtc",
    "encoder_repetition": "encoder_repetition_penalty",
    "no_repeat_ngram": "no_repeat_ngram",
}


def _ten_thousandths(epsilon: Any) -> Any:
    return round(epsilon * 1e4, 8)


WORDS = Vocabulary(
    "text-generation-webui",
    replace(DIALECTS["textgen"], defaults={}),
    names=NAMES,
    window="repetition_penalty_range",
    order="sampler_priority",
    step_names=STEP_NAMES,
    order_text="\n".join,
    greedy={"do_sample": False},
    elsewhere={
        "logit_bias": "a preset has none; send logit_bias with a request.",
        "bad_words": "a preset has none; send custom_token_bans with a request.",
        "ban_phrases": "a preset has none; send banned_strings with a request.",
        "constrained": "a preset has none; send grammar_string with a request.",
    },
    spelled={
        "dry_sequence_breakers": breakers,
        "epsilon_cutoff": _ten_thousandths,
        "eta_cutoff": _ten_thousandths,
    },
)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Without aliases, by which a few lines would stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise FormatError("It may refer to no other part of itself, as *this does.")
        return super().compose_node(parent, index)


class Preset(Format):
    id: ClassVar = "textgen"
    title: ClassVar = "text-generation-webui, preset"
    program: ClassVar = "text-generation-webui"
    suffix: ClassVar = ".yaml"
    url: ClassVar = (
        "https://github.com/oobabooga/text-generation-webui/blob/main/modules/presets.py"
    )
    read_in: ClassVar = DIALECTS["textgen"].read

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, WORDS, Bounds(), context)
        text = yaml.safe_dump(written.fields, sort_keys=False, allow_unicode=True)
        return Taken(self.id, text.strip(), written.there, tuple(written.losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        try:
            given = yaml.load(text, _Loader)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else "it cannot be read"
            raise FormatError(f"It is no YAML: {shorten(first, 80)}.") from error
        if given is None:
            given = {}
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            raise FormatError("It must have a line for each setting, such as top_p: 0.9.")
        return from_fields(self.id, given, WORDS, own)

    def looks_like(self, text: str) -> int:
        if text.lstrip()[:1] in ("{", "["):
            return 0
        named = {line.partition(":")[0].strip() for line in text.splitlines() if ":" in line}
        return 6 if named & set(_SETTINGS) else 0


_SETTINGS = (*NAMES.values(), "do_sample", "sampler_priority", "temperature_last")
formats = (Preset(),)
