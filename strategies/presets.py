"""Named recipes to start from: ideas, programs' defaults, and the order of programs' steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .recipe import Recipe

# Group ids with their titles, in the order of a menu.
GROUPS = {
    "ideas": "Ideas",
    "defaults": "Defaults of programs",
    "orders": "Orders of steps",
    "model": "This model",
}
OWN = "model"  # the preset that follows from the loaded model's own generation_config

# The version of each program whose settings were read, and its month.
_HF = {"version": "5.24", "date": "November 2026"}
_OPENAI = {"version": "as its Python client 3.57 has it", "date": "November 2026"}
_GGML = {"version": "b10470", "date": "August 2026"}
_OLLAMA = {"version": "commit fb30760", "date": "August 2026"}

# The settings are the same in both presets about order, so that only the order differs.
_TRANSFORMERS = (
    "guidance | logit_bias | encoder_repetition | repetition_penalty(1.1) | no_repeat_ngram"
    " | bad_words | min_new_tokens | exponential_length | temperature(0.8) | top_h | top_k(40)"
    " | top_p(0.95) | min_p(0.05) | typical_p | epsilon_cutoff | eta_cutoff | ~watermark | sample"
)
_LLAMA_CPP = (
    "repetition_penalty(1.1) | frequency_penalty(prompt=True) | presence_penalty(prompt=True)"
    " | dry | top_n_sigma | top_k(40) | typical_p | top_p(0.95) | min_p(0.05) | xtc"
    " | temperature(0.8) | sample"
)
# One step in llama.cpp: the penalties share a window, and tokens of the prompt count.
_PENALTIES = (
    "repetition_penalty(window=64) | frequency_penalty(prompt=True, window=64)"
    " | presence_penalty(prompt=True, window=64)"
)


@dataclass(frozen=True)
class Preset:
    """A recipe with a name: ``text`` is its written form, ``group`` a key of ``GROUPS``.

    ``source`` is where its settings are from. Where that is a program, whose settings change from
    release to release, ``version`` is the one that was read and ``date`` its month.
    """

    id: str
    title: str
    summary: str
    text: str
    source: str
    group: str = "ideas"
    version: str = ""
    date: str = ""

    @property
    def origin(self) -> str:
        """The source, with the version and the month of a program."""
        return ", ".join(filter(None, (self.source, self.version, self.date)))

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.parse(self.text)


PRESETS: tuple[Preset, ...] = (
    Preset(
        "greedy",
        "Greedy",
        "Always the likeliest token.",
        "greedy",
        "transformers (generate without do_sample)",
        **_HF,
    ),
    Preset(
        "pure",
        "Pure sampling",
        "Drawn from the model as it is, long tail included.",
        "sample",
        "Holtzman et al. 2019 (pure sampling)",
    ),
    Preset(
        "temperature",
        "Temperature 0.8",
        "A little surer than the model.",
        "temperature(0.8) | sample",
        "Ackley, Hinton & Sejnowski 1985",
    ),
    Preset(
        "top_k",
        "Top-k 50",
        "Drawn from the 50 likeliest tokens.",
        "top_k(50) | sample",
        "transformers (generate with do_sample)",
        **_HF,
    ),
    Preset(
        "nucleus",
        "Nucleus",
        "A little surer, then drawn from the likeliest 95 %.",
        "temperature(0.8) | top_p(0.95) | sample",
        "Holtzman et al. 2019",
    ),
    Preset(
        "min_p",
        "Min-p 0.1, hot",
        "A high temperature whose tail min-p cuts off.",
        "min_p(0.1) | temperature(1.5) | sample",
        "Nguyen et al. 2024",
    ),
    Preset(
        "creative",
        "Creative",
        "Half the time the most obvious words are taken away, and min-p keeps nonsense out.",
        "min_p(0.05) | xtc(probability=0.5) | sample",
        "text-generation-webui, pull request 6335 (XTC)",
    ),
    Preset(
        "precise",
        "Precise",
        "A low temperature, for facts and code.",
        "temperature(0.2) | sample",
        "OpenAI API reference (0.2 for focused text)",
        **_OPENAI,
    ),
    Preset(
        "anti_repetition",
        "Anti-repetition",
        "Nucleus sampling in which a passage is the harder to repeat the longer it already is.",
        "dry(0.8) | temperature(0.8) | top_p(0.95) | sample",
        "text-generation-webui, pull request 5677 (DRY)",
    ),
    Preset(
        "context_aware",
        "Context-aware",
        "Away from what the model would say without the context; negative_prompt takes the "
        "question alone.",
        "guidance(1.5) | sample",
        "Shi et al. 2023 (context-aware decoding, alpha 0.5)",
    ),
    Preset(
        "repetition",
        "Repetition penalty 1.2",
        "Greedy, with what was said before made less likely.",
        "repetition_penalty(1.2) | greedy",
        "Keskar et al. 2019 (CTRL)",
    ),
    Preset(
        "beam",
        "Beam 4",
        "The likeliest whole text four beams find.",
        "beam",
        "transformers (num_beams)",
        **_HF,
    ),
    Preset(
        "beam_no_repeat",
        "Beam 4, no repeats",
        "Beam search that may write no three tokens twice.",
        "no_repeat_ngram(3) | beam(early_stopping=True)",
        "Paulus, Xiong & Socher 2017",
    ),
    Preset(
        "openai",
        "OpenAI",
        "No penalties, temperature 1 and top_p 1: the distribution as the model has it.",
        "presence_penalty | frequency_penalty | temperature | top_p | sample",
        "OpenAI API reference (chat completions)",
        "defaults",
        **_OPENAI,
    ),
    Preset(
        "llama_cpp_defaults",
        "llama.cpp",
        "Three truncations, then temperature 0.8; its penalties, which look at the last 64 tokens, "
        "are there and off.",
        f"{_PENALTIES} | dry(window=64) | top_k(40) | top_p(0.95) | min_p(0.05)"
        " | temperature(0.8) | sample",
        "llama.cpp (common_params_sampling)",
        "defaults",
        **_GGML,
    ),
    Preset(
        "ollama",
        "Ollama",
        "Top-k 40 and top-p 0.9, then temperature 0.8, as llama.cpp, which it runs, orders them; "
        "the repeat penalty of 1.1 went in August 2026.",
        f"{_PENALTIES} | top_k(40) | top_p(0.9) | min_p | temperature(0.8) | sample",
        "Ollama (api/types.go, llm/llama_server.go)",
        "defaults",
        **_OLLAMA,
    ),
    Preset(
        "transformers",
        "transformers' order",
        "Penalties and bans, then temperature, then truncation, then the watermark.",
        _TRANSFORMERS,
        "transformers (_get_logits_processor)",
        "orders",
        **_HF,
    ),
    Preset(
        "llama_cpp",
        "llama.cpp's order",
        "The same settings with truncation first and temperature last.",
        _LLAMA_CPP,
        "llama.cpp (common_params_sampling, samplers)",
        "orders",
        **_GGML,
    ),
)
