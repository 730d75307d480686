"""vLLM: ``SamplingParams`` in Python, and the body of a request to its server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ...base import Context
from ...recipe import Recipe
from ..dialects import DIALECTS
from .format import Bounds, Brought, Format, FormatError, Loss, Taken
from .reading import from_fields
from .texts import calls, is_json_object, json_object, with_extra_body
from .vocabulary import Vocabulary, settled
from .writing import to_fields

WORDS = Vocabulary(
    "vLLM",
    DIALECTS["vllm"],
    names={
        ("temperature", "temperature"): "temperature",
        ("top_k", "top_k"): "top_k",
        ("top_p", "top_p"): "top_p",
        ("min_p", "min_p"): "min_p",
        ("repetition_penalty", "penalty"): "repetition_penalty",
        ("presence_penalty", "penalty"): "presence_penalty",
        ("frequency_penalty", "penalty"): "frequency_penalty",
        ("logit_bias", "bias"): "logit_bias",
        ("bad_words", "words"): "bad_words",
        ("min_new_tokens", "count"): "min_tokens",
        ("thinking_budget", "tokens"): "thinking_token_budget",
        ("constrained", "regex"): "guided_regex",
        ("constrained", "json_schema"): "guided_json",
        ("constrained", "grammar"): "guided_grammar",
        ("constrained", "choices"): "guided_choice",
    },
    texts="n",
    limits={
        "max_new_tokens": "max_tokens",
        "min_new_tokens": "min_tokens",
        "seed": "seed",
        "stop": "stop",
    },
    within={
        "top_p": (1e-6, 1.0),
        "presence_penalty": (-2.0, 2.0),
        "frequency_penalty": (-2.0, 2.0),
    },
    spelled={"bad_words": list, "guided_choice": list},
    # Its server takes them from the model's own generation_config where they are not sent.
    stated={"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0},
    inert=frozenset(
        {
            "model", "prompt", "messages", "stream", "stream_options", "logprobs", "top_logprobs",
            "prompt_logprobs", "skip_special_tokens", "spaces_between_special_tokens", "echo",
            "detokenize", "include_stop_str_in_output", "ignore_eos", "user",
        }
    ),
)  # fmt: skip
STRUCTURED = {
    "guided_regex": "regex",
    "guided_json": "json",
    "guided_grammar": "grammar",
    "guided_choice": "choice",
}


class Vllm(Format):
    id: ClassVar = "vllm"
    title: ClassVar = "vLLM"
    program: ClassVar = "vLLM"
    suffix: ClassVar = ".py"
    url: ClassVar = "https://docs.vllm.ai/en/latest/api/vllm/sampling_params.html"
    read_in: ClassVar = DIALECTS["vllm"].read

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        if recipe.search.strategy == "beam":
            return self._beams(recipe, bounds)
        written = to_fields(recipe, WORDS, bounds, context)
        given = dict(written.fields)
        structured = {
            name: given.pop(field) for field, name in STRUCTURED.items() if field in given
        }
        if "logit_bias" in given:
            given["logit_bias"] = {int(id): bias for id, bias in given["logit_bias"].items()}
        typed = [f"{name}={value!r}" for name, value in given.items()]
        imported = ["SamplingParams"]
        if structured:
            told = ", ".join(f"{name}={value!r}" for name, value in structured.items())
            typed.append(f"structured_outputs=StructuredOutputsParams({told})")
            imported.append("StructuredOutputsParams")
        module = "vllm.sampling_params" if structured else "vllm"
        head = f"from {module} import {', '.join(imported)}"
        text = f"{head}\n\nSamplingParams({', '.join(typed)})"
        return Taken(self.id, text, written.there, tuple(written.losses))

    def _beams(self, recipe: Recipe, bounds: Bounds) -> Taken:
        """Its beam search, which applies no processors and knows no ``early_stopping``."""
        at, params = len(recipe.steps) - 1, recipe.search.params.model_dump()
        losses = [
            Loss("vLLM's beam search applies none.", place, step.strategy)
            for place, step in settled(recipe)
        ]
        width, penalty = params["num_beams"], params["length_penalty"]
        if params["early_stopping"] != "never":
            reason = "early_stopping is not known to vLLM, which goes on to max_tokens."
            losses.append(Loss(reason, at, "beam", "early_stopping"))
        most = "" if bounds.max_new_tokens is None else f", max_tokens={bounds.max_new_tokens}"
        text = (
            "from vllm.sampling_params import BeamSearchParams\n\n"
            f"BeamSearchParams(beam_width={width}{most}, length_penalty={penalty})"
        )
        params["early_stopping"] = "never"
        there = Recipe.from_steps([{"strategy": "beam", "params": params}])
        return Taken(self.id, text, there, tuple(losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        left_out: list[str] = []
        if is_json_object(text):
            given: dict[str, Any] = json_object(text)
        else:
            found = [c for c in calls(text) if c.name.endswith(("SamplingParams", "create"))]
            beams = [c for c in calls(text) if c.name == "BeamSearchParams"]
            if beams:
                return self._read_beams(dict(beams[0].arguments))
            if not found:
                raise FormatError("There is no SamplingParams(…) in it, and no object in JSON.")
            given, left_out = dict(found[0].arguments), found[0].left_out(WORDS.inert)
        return from_fields(self.id, with_extra_body(given), WORDS, own, left_out)

    def _read_beams(self, given: Mapping[str, Any]) -> Brought:
        known = {"beam_width": "num_beams", "length_penalty": "length_penalty"}
        params: dict[str, Any] = {
            known[name]: value for name, value in given.items() if name in known
        }
        left_out = tuple(
            f"{name} is left out: beam search has no such setting here."
            for name in given
            if name not in {*known, "max_tokens", "ignore_eos"}
        )
        params["early_stopping"] = "never"
        recipe = Recipe.from_steps([{"strategy": "beam", "params": params}])
        most = given.get("max_tokens")
        bounds = Bounds(max_new_tokens=most if isinstance(most, int) else None)
        return Brought(self.id, recipe, left_out, bounds)

    def looks_like(self, text: str) -> int:
        if "SamplingParams(" in text or "BeamSearchParams(" in text:
            return 9
        if not is_json_object(text):
            return 0
        own = {"structured_outputs", "bad_words", "min_tokens", "thinking_token_budget"}
        return 4 if own & json_object(text).keys() else 2


formats = (Vllm(),)
