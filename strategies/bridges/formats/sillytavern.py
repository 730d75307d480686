"""SillyTavern: a preset of its text completion settings, which is a file of JSON.

What its settings mean is decided by the server they are sent to. They are read and written here as
for text-generation-webui, which has an order of steps in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ...base import Context
from ...recipe import Recipe
from . import textgen
from .format import Bounds, Brought, Format, Taken
from .reading import from_fields
from .texts import is_json_object, json_object
from .writing import to_fields

# A preset at rest, in its own order. A setting that a preset does not name stays as it is there.
NEUTRAL: dict[str, Any] = {
    "temp": 1, "temperature_last": False, "top_p": 1, "top_k": 0, "top_a": 0, "tfs": 1,
    "epsilon_cutoff": 0, "eta_cutoff": 0, "typical_p": 1, "min_p": 0, "rep_pen": 1,
    "rep_pen_range": 0, "rep_pen_decay": 0, "rep_pen_slope": 1, "no_repeat_ngram_size": 0,
    "penalty_alpha": 0, "num_beams": 1, "length_penalty": 1, "min_length": 0,
    "encoder_rep_pen": 1, "freq_pen": 0, "presence_pen": 0, "skew": 0, "do_sample": True,
    "early_stopping": False, "dynatemp": False, "min_temp": 0, "max_temp": 2,
    "dynatemp_exponent": 1, "smoothing_factor": 0, "smoothing_curve": 1,
    "dry_allowed_length": 2, "dry_multiplier": 0, "dry_base": 1.75,
    "dry_sequence_breakers": '["\\n", ":", "\\"", "*"]', "dry_penalty_last_n": 0,
    "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "guidance_scale": 1,
    "negative_prompt": "", "grammar_string": "", "json_schema": {}, "banned_tokens": "",
    "logit_bias": [], "xtc_threshold": 0.1, "xtc_probability": 0, "nsigma": 0,
    "adaptive_target": -0.01, "adaptive_decay": 0.9,
}  # fmt: skip
# Its names of what it sends under others.
SENT_AS = {
    "temp": "temperature",
    "rep_pen": "repetition_penalty",
    "rep_pen_range": "repetition_penalty_range",
    "freq_pen": "frequency_penalty",
    "presence_pen": "presence_penalty",
    "encoder_rep_pen": "encoder_repetition_penalty",
    "nsigma": "top_n_sigma",
    "dynatemp": "dynamic_temperature",
    "min_temp": "dynatemp_low",
    "max_temp": "dynatemp_high",
}
_CALLED = {field: name for name, field in SENT_AS.items()}
WORDS = replace(
    textgen.WORDS,
    program="SillyTavern",
    names={
        **textgen.NAMES,
        ("guidance", "negative_prompt"): "negative_prompt",
        ("constrained", "grammar"): "grammar_string",
        ("constrained", "json_schema"): "json_schema",
        ("ban_phrases", "phrases"): "banned_strings",
    },
    order_text=list,
    elsewhere={},
    spelled={**textgen.WORDS.spelled, "dry_sequence_breakers": json.dumps, "banned_strings": list},
    # What it says of the server, the text and the page, and what other servers alone know.
    inert=frozenset(
        {
            "add_bos_token", "ban_eos_token", "skip_special_tokens", "streaming", "legacy_api",
            "ignore_eos_token", "spaces_between_special_tokens", "speculative_ngram",
            "sampler_order", "samplers_priorities", "genamt", "max_length", "truncation_length",
            "custom_model", "bypass_status_check", "openrouter_allow_fallbacks", "min_keep",
            "rep_pen_size", "max_tokens_second", "extensions", "send_banned_tokens",
            "openrouter_providers", "include_reasoning", "streaming_url", "preset", "type",
        }
    ),
)  # fmt: skip


class Preset(Format):
    id: ClassVar = "sillytavern"
    title: ClassVar = "SillyTavern, preset"
    program: ClassVar = "SillyTavern"
    suffix: ClassVar = ".json"
    url: ClassVar = (
        "https://github.com/SillyTavern/SillyTavern/tree/release/default/content/presets/textgen"
    )
    read_in: ClassVar = (
        "SillyTavern, 2024 (public/scripts/textgen-settings.js), and its requests of 2026"
    )

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        written = to_fields(recipe, WORDS, Bounds(), context)
        preset = dict(NEUTRAL)
        for field, value in written.fields.items():
            if field == "banned_strings":
                preset["banned_tokens"] = "\n".join(json.dumps(phrase) for phrase in value)
            else:
                preset[_CALLED.get(field, field)] = value
        text = json.dumps(preset, ensure_ascii=False, indent=4)
        return Taken(self.id, text, written.there, tuple(written.losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        preset = NEUTRAL | json_object(text)
        left_out: list[str] = []
        for name in ("rep_pen_decay", "rep_pen_slope", "num_beams", "length_penalty", "skew"):
            value = preset.pop(name)
            if value != NEUTRAL[name] and (name != "length_penalty" or preset.get("num_beams")):
                left_out.append(f"{name} is left out: there is no such setting here.")
        preset.pop("early_stopping")
        preset.pop("samplers", None)  # an order for llama.cpp
        given = {SENT_AS.get(name, name): value for name, value in preset.items()}
        for name, at_rest in (("json_schema", {}), ("grammar_string", ""), ("seed", -1)):
            if given.get(name) == at_rest:
                del given[name]
        if not given.get("dynamic_temperature"):
            given = {k: v for k, v in given.items() if not k.startswith("dynatemp_")}
        given |= _bans(given.pop("banned_tokens"))
        bias = given.pop("logit_bias")
        if isinstance(bias, list):
            pairs = [(one.get("text"), one.get("value")) for one in bias if isinstance(one, dict)]
            given["logit_bias"] = {text: value for text, value in pairs if text}
        return from_fields(self.id, given, WORDS, own, left_out)

    def looks_like(self, text: str) -> int:
        if not is_json_object(text):
            return 0
        return 9 if json_object(text).keys() & {"temp", "rep_pen", "rep_pen_range"} else 0


def _bans(listed: Any) -> dict[str, Any]:
    """Lines of what is banned: ``[5, 6]`` are tokens, a quoted text a phrase, any other words."""
    lines = [line for line in str(listed or "").split("\n") if line]
    ids, phrases, words = [], [], []
    for line in lines:
        try:
            value = json.loads(line) if line[0] in '["' else line
        except ValueError:
            value = line
        if isinstance(value, list) and all(isinstance(one, int) for one in value):
            ids += value
        elif line[0] == '"' and isinstance(value, str):
            phrases.append(value)
        else:
            words.append(line)
    found = {"banned_strings": phrases, "custom_token_bans": ids, "banned_tokens": words}
    return {name: value for name, value in found.items() if value}


formats = (Preset(),)
