"""transformers: a call of ``generate``, and a model's ``generation_config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from ...base import Context
from ...notation import RecipeError
from ...recipe import Recipe, RecipeStep
from ..generate import arguments, python
from ..generate_arguments import ARGUMENTS, FOREIGN, POSITIONS, SEARCH
from ..generation_config import own_recipe
from .format import Bounds, Brought, Format, FormatError, Loss, Taken
from .texts import calls, is_json_object, json_object
from .vocabulary import settled

# Of a generation_config or a call, what says nothing of how tokens are chosen.
_INERT = frozenset(
    {
        "_from_model_config", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache",
        "transformers_version", "max_length", "return_dict_in_generate", "output_scores",
        "output_attentions", "output_hidden_states", "output_logits", "streamer", "tokenizer",
        "cache_implementation", "num_assistant_tokens", "assistant_model", "decoder_start_token_id",
        "trust_remote_code",
    }
)  # fmt: skip
_LIMITS = ("max_new_tokens", "min_new_tokens", "seed", "stop_strings")


class Generate(Format):
    id: ClassVar = "transformers"
    title: ClassVar = "transformers"
    program: ClassVar = "transformers"
    suffix: ClassVar = ".py"
    url: ClassVar = "https://huggingface.co/docs/transformers/main_classes/text_generation"
    read_in: ClassVar = "transformers 5.24 (_get_logits_processor)"

    def write(
        self,
        recipe: Recipe,
        bounds: Bounds,
        context: Context | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> Taken:
        there, losses = _sayable(recipe, context)
        limits: dict[str, Any] = {}
        if bounds.max_new_tokens is not None:
            limits["max_new_tokens"] = bounds.max_new_tokens
        if bounds.stop:
            limits["stop_strings"] = list(bounds.stop)
        least = {"min_new_tokens": bounds.min_new_tokens} if bounds.min_new_tokens else {}
        given = arguments(there, context, None if own is None else SimpleNamespace(**own))
        head, call, rest = python(limits | least | given).partition("model.generate(")
        if bounds.stop:
            rest = f"{rest[:-1]}, tokenizer=tokenizer)"
        if bounds.seed is not None and there.search.strategy in ("sample", "beam_sample"):
            head = head if "import torch\n" in head else "import torch\n" + (head or "\n")
            head += f"torch.manual_seed({bounds.seed})  # whose luck is another than here\n"
        text = head + call + rest
        return Taken(self.id, text, there, tuple(losses))

    def read(self, text: str, own: Mapping[str, Any] | None = None) -> Brought:
        left_out: list[str] = []
        if is_json_object(text):
            given: dict[str, Any] = json_object(text)
        else:
            found = [
                c for c in calls(text) if c.name in ("generate", "GenerationConfig", "pipeline")
            ] or [c for c in calls(text) if "do_sample" in c.arguments]
            if not found:
                raise FormatError("There is no call of generate(…) in it, and no object in JSON.")
            given, left_out = dict(found[0].arguments), found[0].left_out(_INERT)
        given = {**(own or {}), **given}
        if given.get("min_new_tokens") == 0:
            del given["min_new_tokens"]
        made = own_recipe(SimpleNamespace(**given))
        known = {a.name for a in ARGUMENTS} | SEARCH.keys() | FOREIGN.keys() | _INERT
        unknown = (name for name in given if name not in known and name not in _LIMITS)
        left_out += [f"{name} is left out: there is no such setting here." for name in unknown]
        stop, most = given.get("stop_strings"), given.get("max_new_tokens")
        texts = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
        bounds = Bounds(
            max_new_tokens=most if isinstance(most, int) else None,
            stop=tuple(text for text in texts if isinstance(text, str)),
        )
        return Brought(self.id, made.recipe, (*made.left_out, *left_out), bounds)

    def looks_like(self, text: str) -> int:
        if ".generate(" in text or "GenerationConfig(" in text:
            return 8
        if not is_json_object(text):
            return 0
        own = {"do_sample", "transformers_version", "eos_token_id", "num_beams"}
        return 7 if own & json_object(text).keys() else 2


def _sayable(recipe: Recipe, context: Context | None) -> tuple[Recipe, list[Loss]]:
    """The nearest recipe that ``generate`` can be told, and what it does not do of the given one.

    A step is left out where it has none such, and put where it applies it.
    """
    losses: list[Loss] = []
    steps: list[tuple[int, RecipeStep]] = []
    at, search = len(recipe.steps) - 1, recipe.search
    for place, step in settled(recipe):
        said = _as_said(place, step, losses)
        if said is None:
            continue
        if any(other.strategy == step.strategy for _, other in steps):
            losses.append(Loss("generate applies it only once.", place, step.strategy))
        else:
            steps.append((place, said))
    ordered = sorted(steps, key=lambda one: POSITIONS[one[1].strategy])
    if [place for place, _ in ordered] != [place for place, _ in steps]:
        names = ", ".join(step.strategy for _, step in ordered)
        losses.append(Loss(f"generate applies them in this order: {names}."))
    greedy = any(
        step.strategy == "temperature" and step.params.model_dump()["temperature"] == 0
        for step in recipe.processors
    )
    ordered = [one for one in ordered if not (greedy and one[1].strategy == "temperature")]
    if greedy and search.strategy == "sample":
        search = Recipe.parse("greedy").search
    while True:
        there = Recipe((*(step for _, step in ordered), search))
        try:
            arguments(there, context)
            return there, losses
        except RecipeError as error:
            reason = str(error).partition(": ")[2] or str(error)
            broken = error.step if error.step is not None else len(there.steps) - 1
            if broken < len(ordered):
                place, step = ordered.pop(broken)
                losses.append(Loss(reason, place, step.strategy))
                continue
            if search.strategy in ("greedy", "sample"):
                raise
            chooses = getattr(search.plugin, "chooses", None)
            name = "sample" if chooses in ("draw", "drawn text") else "greedy"
            losses.append(Loss(f"{reason} There it is {name}.", at, search.strategy))
            search = Recipe.parse(name).search


def _as_said(at: int, step: RecipeStep, losses: list[Loss]) -> RecipeStep | None:
    """The step as ``generate`` has it; None where it has nothing like it."""
    if step.strategy not in POSITIONS:
        losses.append(Loss("generate has nothing like it.", at, step.strategy))
        return None
    params = step.params.model_dump()
    if step.strategy == "repetition_penalty" and (not params["prompt"] or params["window"]):
        if not params["prompt"]:
            reason = "generate always counts the prompt."
            losses.append(Loss(reason, at, step.strategy, "prompt"))
        if params["window"]:
            reason = "generate always looks at the whole text."
            losses.append(Loss(reason, at, step.strategy, "window"))
        params |= {"prompt": True, "window": 0}
        return Recipe.from_steps(
            [{"strategy": step.strategy, "params": params}, {"strategy": "greedy"}]
        ).steps[0]
    return step


formats = (Generate(),)
