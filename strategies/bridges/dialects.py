"""The sampling fields of other programs as a recipe: what each field is, by the program's dialect.

``SETTINGS`` says which setting of which strategy a field is. Where programs mean different things
by one field, or apply steps in different orders, ``DIALECTS`` says what each does; the README's
table is made from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DialectName = Literal["openai", "vllm", "llama.cpp", "textgen"]


@dataclass(frozen=True)
class Setting:
    """The setting that a field is; ``read`` makes our value of the program's."""

    strategy: str
    name: str
    read: Callable[[Any], Any] = lambda value: value


def none_below_0(value: Any) -> Any:
    """A count or a width of which programs write "off" as -1."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return 0 if whole and value < 0 else value


def window_of(value: Any) -> Any:
    """How far back a penalty looks: beyond the longest context that there is, at everything."""
    value = none_below_0(value)
    return 0 if isinstance(value, int) and value >= 1 << 17 else value


def _texts(value: Any) -> Any:
    """Texts as a list, as JSON in a string, or as quoted texts with commas between."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value if value.lstrip().startswith("[") else f"[{value}]")
    except json.JSONDecodeError:
        return value
    return found


# Fields of every dialect. What is not a setting by itself is in ``OTHERS``.
SETTINGS: dict[str, Setting] = {
    "temperature": Setting("temperature", "temperature"),
    "top_k": Setting("top_k", "top_k", none_below_0),
    "top_p": Setting("top_p", "top_p"),
    "min_p": Setting("min_p", "min_p"),
    "typical_p": Setting("typical_p", "typical_p"),
    "typical": Setting("typical_p", "typical_p"),
    "tfs": Setting("tail_free", "z"),
    "tfs_z": Setting("tail_free", "z"),
    "top_a": Setting("top_a", "a"),
    "top_n_sigma": Setting("top_n_sigma", "n", none_below_0),
    "nsigma": Setting("top_n_sigma", "n", none_below_0),
    "epsilon_cutoff": Setting("epsilon_cutoff", "epsilon"),
    "eta_cutoff": Setting("eta_cutoff", "epsilon"),
    "smoothing_factor": Setting("quadratic", "factor"),
    "smoothing_curve": Setting("quadratic", "curve"),
    "xtc_threshold": Setting("xtc", "threshold"),
    "xtc_probability": Setting("xtc", "probability"),
    "dry_multiplier": Setting("dry", "multiplier"),
    "dry_base": Setting("dry", "base"),
    "dry_allowed_length": Setting("dry", "allowed_length"),
    "dry_sequence_breakers": Setting("dry", "breakers", _texts),
    "dry_penalty_last_n": Setting("dry", "window", window_of),
    "repetition_penalty": Setting("repetition_penalty", "penalty"),
    "repeat_penalty": Setting("repetition_penalty", "penalty"),
    "rep_pen": Setting("repetition_penalty", "penalty"),
    "presence_penalty": Setting("presence_penalty", "penalty"),
    "frequency_penalty": Setting("frequency_penalty", "penalty"),
    "encoder_repetition_penalty": Setting("encoder_repetition", "penalty"),
    "no_repeat_ngram_size": Setting("no_repeat_ngram", "size"),
    "guidance_scale": Setting("guidance", "scale"),
    "negative_prompt": Setting("guidance", "negative_prompt"),
    "adaptive_target": Setting("adaptive_p", "target", none_below_0),
    "adaptive_decay": Setting("adaptive_p", "decay"),
    "mirostat_tau": Setting("mirostat_v2", "tau"),
    "mirostat_eta": Setting("mirostat_v2", "eta"),
    "bad_words": Setting("bad_words", "words"),
    "thinking_token_budget": Setting("thinking_budget", "tokens"),
    "banned_strings": Setting("ban_phrases", "phrases", _texts),
    "grammar": Setting("constrained", "grammar"),
    "grammar_string": Setting("constrained", "grammar"),
    "guided_grammar": Setting("constrained", "grammar"),
    "guided_regex": Setting("constrained", "regex"),
    "guided_choice": Setting("constrained", "choices"),
    "guided_json": Setting("constrained", "json_schema"),
    "json_schema": Setting("constrained", "json_schema"),
}
WINDOWS = ("repetition_penalty_range", "repeat_last_n", "rep_pen_range")
ORDERS = ("samplers", "sampler_priority")
# Fields that are no setting by themselves: a recipe is made of each by a function of its own.
OTHERS = frozenset(
    {
        *WINDOWS,
        *ORDERS,
        "logit_bias",
        "banned_tokens",
        "custom_token_bans",
        "response_format",
        "structured_outputs",
        "mirostat",
        "mirostat_mode",
        "dynamic_temperature",
        "dynatemp_low",
        "dynatemp_high",
        "dynatemp_range",
        "dynatemp_exponent",
        "temperature_last",
        "do_sample",
        "penalty_alpha",
    }
)

# What ``structured_outputs`` may hold, and the setting of ``constrained`` that each is.
STRUCTURES: dict[str, str] = {
    "json": "json_schema",
    "json_object": "json_schema",
    "regex": "regex",
    "choice": "choices",
    "grammar": "grammar",
}

# What llama.cpp's letters stand for, where ``samplers`` is a text.
LETTERS: dict[str, str] = {
    "e": "penalties", "d": "dry", "s": "top_n_sigma", "k": "top_k", "y": "typ_p", "p": "top_p",
    "m": "min_p", "x": "xtc", "t": "temperature", "a": "adaptive_p",
}  # fmt: skip

# Names of steps in ``samplers`` and ``sampler_priority``; any other is a strategy's own.
STEP_NAMES: dict[str, tuple[str, ...]] = {
    "penalties": ("repetition_penalty", "frequency_penalty", "presence_penalty"),
    "temperature": ("temperature", "dynamic_temperature"),
    "dynamic_temperature": ("dynamic_temperature",),
    "typ_p": ("typical_p",),
    "tfs": ("tail_free",),
    "tfs_z": ("tail_free",),
    "quadratic_sampling": ("quadratic",),
    "encoder_repetition_penalty": ("encoder_repetition",),
    "mirostat": ("mirostat_v2",),
}

# What rules out tokens or moves the scores by a wish of its own comes first in every dialect.
FIRST = (
    "thinking_budget", "guidance", "constrained", "logit_bias", "bad_words", "ban_phrases",
)  # fmt: skip
# What steers by the probability that a token is drawn with, and so comes last in every order.
LAST = ("adaptive_p", "mirostat_v2")
TEMPERATURES = ("temperature", "dynamic_temperature", "quadratic")
PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")


@dataclass(frozen=True)
class Dialect:
    """What a program makes of the fields that are named alike, and where that was read.

    ``order`` is of the steps that follow ``FIRST``; ``defaults`` are what the program takes for a
    field that is not sent, by strategy and setting.
    """

    read: str
    order: tuple[str, ...]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # Fields that it takes from the model's own generation_config, where they are not sent.
    of_the_model: tuple[str, ...] = ()
    prompt_counts: bool = False  # for the presence and frequency penalties
    window: int = 0  # tokens that the penalties look back over; 0 is all
    window_for_dry: bool = False  # whether DRY looks back over the same window
    zero_is_off: bool = False  # whether a window of 0 switches off what looks back over it
    cutoff_unit: float = 1.0  # of epsilon_cutoff and eta_cutoff
    unlisted: Literal["follow", "lead", "drop"] = "follow"  # steps that an order does not name
    letters: bool = False  # whether an order may be written in ``LETTERS``
    greedy_below: float = 0.0  # a temperature up to this takes the likeliest token
    least_temperature: float = 0.0  # to which any other below it is raised
    negative_is_greedy: bool = False
    mirostat_alone: bool = False  # whether it takes the place of all but the temperature


DIALECTS: dict[str, Dialect] = {
    # No more than temperature, top_p and three penalties; anything else as transformers orders it.
    "openai": Dialect(
        read="OpenAI's API reference; the rest as transformers 5.24",
        order=(
            "encoder_repetition", *PENALTIES, "dry", "no_repeat_ngram", *TEMPERATURES,
            "top_n_sigma", "top_k", "top_p", "min_p", "top_a", "typical_p", "tail_free",
            "epsilon_cutoff", "eta_cutoff", "xtc", "adaptive_p", "mirostat_v2",
        ),
    ),
    "vllm": Dialect(
        read="vLLM 0.22 (v1/sample/sampler.py, sampling_params.py)",
        order=(
            "encoder_repetition", *PENALTIES, "dry", "no_repeat_ngram", *TEMPERATURES,
            "min_p", "top_n_sigma", "top_k", "top_p", "top_a", "typical_p", "tail_free",
            "epsilon_cutoff", "eta_cutoff", "xtc", "adaptive_p", "mirostat_v2",
        ),
        of_the_model=("temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
        greedy_below=1e-5,
        least_temperature=0.01,
    ),
    "llama.cpp": Dialect(
        read="llama.cpp (common/common.h, common/sampling.cpp, tools/server)",
        order=(
            "encoder_repetition", *PENALTIES, "dry", "no_repeat_ngram", "top_n_sigma", "top_k",
            "typical_p", "tail_free", "top_p", "min_p", "top_a", "epsilon_cutoff", "eta_cutoff",
            "xtc", *TEMPERATURES, "adaptive_p", "mirostat_v2",
        ),
        defaults={
            "temperature": {"temperature": 0.8},
            "top_k": {"top_k": 40},
            "top_p": {"top_p": 0.95},
            "min_p": {"min_p": 0.05},
            "dry": {"window": 64},
        },
        prompt_counts=True,
        window=64,
        zero_is_off=True,
        unlisted="drop",
        letters=True,
        negative_is_greedy=True,
        mirostat_alone=True,
    ),
    "textgen": Dialect(
        read="text-generation-webui, 2026-05 (presets.py, sampler_hijack.py, api/typing.py)",
        order=(
            *PENALTIES, "dry", "top_n_sigma", *TEMPERATURES, "top_k", "top_p", "typical_p",
            "epsilon_cutoff", "eta_cutoff", "tail_free", "top_a", "min_p", "adaptive_p",
            "mirostat_v2", "xtc", "encoder_repetition", "no_repeat_ngram",
        ),
        defaults={"top_p": {"top_p": 0.95}},
        prompt_counts=True,
        window=1024,
        window_for_dry=True,
        cutoff_unit=1e-4,
        unlisted="lead",
    ),
}  # fmt: skip
