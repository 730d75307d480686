"""Named recipes to start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A recipe with a name: ``text`` is its written form."""

    id: str
    title: str
    summary: str
    text: str

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.parse(self.text)


PRESETS: tuple[Preset, ...] = (
    Preset("greedy", "Greedy", "Always the likeliest token.", "greedy"),
    Preset("pure", "Pure sampling", "Drawn from the model as it is, long tail included.", "sample"),
    Preset(
        "temperature",
        "Temperature 0.8",
        "A little surer than the model.",
        "temperature(0.8) | sample",
    ),
    Preset("top_k", "Top-k 50", "Drawn from the 50 likeliest tokens.", "top_k(50) | sample"),
    Preset(
        "nucleus",
        "Nucleus",
        "A little surer, then drawn from the likeliest 95 %.",
        "temperature(0.8) | top_p(0.95) | sample",
    ),
    Preset(
        "min_p",
        "Min-p 0.1, hot",
        "A high temperature whose tail min-p cuts off.",
        "min_p(0.1) | temperature(1.5) | sample",
    ),
    Preset(
        "repetition",
        "Repetition penalty 1.2",
        "Greedy, with what was said before made less likely.",
        "repetition_penalty(1.2) | greedy",
    ),
    Preset("beam", "Beam 4", "The likeliest whole text four beams find.", "beam"),
    Preset(
        "beam_no_repeat",
        "Beam 4, no repeats",
        "Beam search that may write no three tokens twice.",
        "no_repeat_ngram(3) | beam(early_stopping=True)",
    ),
    Preset(
        "transformers",
        "transformers' order",
        "Penalties, then temperature, then truncation.",
        "repetition_penalty(1.1) | temperature(0.8) | top_k(40) | top_p(0.95) | min_p(0.05)"
        " | sample",
    ),
    Preset(
        "llama_cpp",
        "llama.cpp's order",
        "The same settings with truncation first and temperature last.",
        "repetition_penalty(1.1) | top_k(40) | top_p(0.95) | min_p(0.05) | temperature(0.8)"
        " | sample",
    ),
)
