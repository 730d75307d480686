"""A recipe as arguments of ``generate`` does the same there, or is refused with a reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chi2_contingency
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.utils import GENERATION_MODES_MAPPING

from strategies import Recipe, RecipeError, Row
from strategies.bridges.generate import arguments, python
from strategies.bridges.generate_arguments import ARGUMENTS, MOVED
from strategies.bridges.generation_config import own_recipe
from strategies.presets import PRESETS
from strategies.registry import registry
from tests.strategies.driver import context, forward, run
from tests.tiny import EOS, VOCAB, tiny_gpt2, tiny_llama, tiny_qwen2

PROMPT, NEW = (1, 50, 60, 70, 60), 20
MODELS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "qwen2": tiny_qwen2}
CONTEXT = context(VOCAB, (EOS,), NEW)
# What a model may bring along, all of which must be undone.
CHATTY = {
    "do_sample": True, "temperature": 0.3, "top_k": 7, "top_p": 0.5, "repetition_penalty": 1.7,
    "no_repeat_ngram_size": 1, "num_beams": 2, "suppress_tokens": [50, 60],
    "guidance_scale": 3.0,
}  # fmt: skip


def model(name: str, **own: Any) -> Any:
    made = MODELS[name](seed=4)
    made.generation_config.update(**own)
    return made


def generated(model: Any, given: dict[str, Any], texts: int = 0, new: int = NEW) -> Any:
    """The tokens of its text, or of each of its texts."""
    ids = torch.tensor([PROMPT])
    limits = {"max_new_tokens": new, "pad_token_id": 1}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), **limits, **given)
    assert len(out) == max(1, texts)
    return out.tolist() if texts else out[0].tolist()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("own", [{}, CHATTY], ids=["plain", "chatty"])
@pytest.mark.parametrize(
    "recipe",
    [
        "greedy",
        "repetition_penalty(1.3) | no_repeat_ngram(2) | ~dry(2.0) | top_k(0) | greedy",
        'logit_bias({"61": 3.5, "9 9": -9}) | bad_words(["61", "9 9"]) | min_new_tokens(9)'
        " | greedy",
        "watermark(bias=4) | greedy",
        "encoder_repetition(1.4) | repetition_penalty(1.2) | exponential_length(1.5, start=9)"
        " | greedy",
        "beam(3)",
        "repetition_penalty(1.5) | beam(4, length_penalty=2, early_stopping=True)",
        'no_repeat_ngram(2) | min_new_tokens(12) | beam(2, early_stopping="never")',
        "temperature(0) | speculative(3)",
        "repetition_penalty(1.2) | min_new_tokens(15) | temperature(0) | speculative(6, ngram=1)",
    ],
)
def test_generate_writes_what_the_recipe_does(name: str, own: Any, recipe: str) -> None:
    theirs = model(name, **own)
    mine = run(forward(theirs), recipe, PROMPT, eos=(EOS,), max_new_tokens=NEW)[0]
    given = arguments(recipe, CONTEXT, theirs.generation_config)
    assert generated(theirs, given) == list(mine.tokens)
    if "suppress_tokens" not in own:
        assert generated(theirs, arguments(recipe, CONTEXT)) == list(mine.tokens)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("own", [{}, CHATTY], ids=["plain", "chatty"])
@pytest.mark.parametrize(
    ("recipe", "texts"),
    [
        ("guidance(1.8) | greedy", 1),
        ('guidance(0.5, negative_prompt="9 61 4") | repetition_penalty(1.3) | greedy', 1),
        ('guidance(2.5, negative_prompt="9 61") | logit_bias({"61": 2}) | greedy', 1),
        ("guidance(1.8) | top_k(1) | sample(3)", 3),  # drawn from one token: it is known
        ('guidance(1.8, negative_prompt="9 61 4") | top_k(1) | sample(2)', 2),
    ],
)
def test_generate_is_guided_as_the_recipe_is(name: str, own: Any, recipe: str, texts: int) -> None:
    theirs = model(name, **own)
    processors, _ = Recipe.parse(recipe).build(CONTEXT)
    second: Any = processors[0].needs(PROMPT)
    text = PROMPT
    while len(text) < len(PROMPT) + NEW and text[-1] != EOS:
        scores, given = (
            forward(theirs)([(*t, *text[len(PROMPT) :])]) for t in (PROMPT, second.tokens)
        )
        for processor in processors:
            scores = processor(scores, [Row(text, len(PROMPT), given=given[0])])
        text = (*text, int(scores.argmax()))
    given = arguments(recipe, CONTEXT, theirs.generation_config)
    assert generated(theirs, given, texts) == [list(text)] * texts


def test_guesses_leave_the_distribution_of_generate_as_it_is() -> None:
    """Where its guesses come from the text, generate too accepts those that are drawn."""
    theirs = model("llama")
    few = "temperature(1.5) | top_k(2) | "
    given = [
        arguments(few + how, CONTEXT, theirs.generation_config)
        for how in ("sample", "speculative(4, ngram=1)")
    ]
    assert given[1] == {**given[0], "prompt_lookup_num_tokens": 4, "max_matching_ngram_size": 1}
    counts = []
    for arguments_ in given:
        torch.manual_seed(0)
        texts = [generated(theirs, arguments_, new=6)[len(PROMPT) :][:3] for _ in range(120)]
        counts.append(Counter(map(tuple, texts)))
    both = sorted({*counts[0], *counts[1]})
    assert 4 <= len(both) <= 8
    seen = [[count[text] for text in both] for count in counts]
    assert chi2_contingency(seen).pvalue > 1e-3


@pytest.mark.parametrize("own", [{}, CHATTY], ids=["plain", "chatty"])
@pytest.mark.parametrize(
    "recipe",
    [
        "sample",
        "temperature(0.7) | top_k(40) | top_p(0.9) | min_p(0.05) | sample",
        "repetition_penalty(1.2) | temperature(1.4) | top_h(0.6) | typical_p(0.8) | sample(3)",
        "top_p(0.9) | epsilon_cutoff(0.01) | eta_cutoff(0.02) | watermark | sample",
    ],
)
def test_generate_samples_from_what_the_recipe_leaves(own: Any, recipe: str) -> None:
    theirs = model("llama", **own)
    given = arguments(recipe, CONTEXT, theirs.generation_config)
    config, _ = theirs._prepare_generation_config(None, **given)
    theirs._prepare_special_tokens(config, device="cpu")
    processors: Any = theirs._get_logits_processor(config, len(PROMPT), device="cpu")
    assert isinstance(processors, LogitsProcessorList)
    scores = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(0)) * 3
    expected = processors(torch.tensor([PROMPT]), scores.clone())
    mine = scores
    for processor in Recipe.parse(recipe).build(CONTEXT)[0]:
        mine = processor(mine, [Row(PROMPT, len(PROMPT))])
    assert torch.equal(mine == -torch.inf, expected == -torch.inf)
    torch.testing.assert_close(mine, expected)
    assert config.do_sample and config.num_beams == 1
    assert config.num_return_sequences == (3 if "(3)" in recipe else 1)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("dry(0.8) | greedy", "Step 1 (dry): no argument of generate is written for it"),
        ("top_k(9) | temperature(2) | sample", "Step 2 (temperature): generate applies it before "),
        ("top_k(9) | top_k(3) | sample", "Step 2 (top_k): generate applies it only once"),
        ("top_k(9) | greedy", "Step 1 (top_k): generate applies it only where it samples"),
        ("temperature(0) | sample", "wants a temperature above 0"),
        ("repetition_penalty(1.2, prompt=False) | greedy", "always counts the prompt"),
        ("repetition_penalty(1.2, window=64) | greedy", "always looks at the whole text"),
        ("beam(1)", "does not search with one beam"),
        ("top_p(0.5) | beam_sample", "keeps more tokens than this step, where it samples with"),
        ("diverse_beam", 'it left the core of transformers for custom_generate="transformers-comm'),
        ("contrastive", "Step 1 (contrastive): it left the core of transformers for custom_gen"),
        ('dola("low") | greedy', "Step 1 (dola): it left the core of transformers for custom_"),
        ("stochastic_beam", "Step 1 (stochastic_beam): no argument of generate is written for it"),
        ("guidance(2) | beam(3)", "does not let its second prompt follow the beams"),
        ("guidance(2) | speculative", "does not take rejected tokens back from its second prompt"),
        ('guidance(2, negative_prompt="9") | greedy', "its token ids depend on a model"),
        ('speculative(draft="model")', "is given the draft model itself, assistant_model"),
        ("temperature(0) | top_k(3) | speculative", "wants a temperature above 0"),
        ('bad_words(["9"]) | greedy', "its token ids depend on a model"),
    ],
)
def test_what_generate_cannot_do_is_said(recipe: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        arguments(recipe)
    assert says in str(caught.value)


def test_every_argument_is_a_setting_and_one_of_generate() -> None:
    for argument in ARGUMENTS:
        assert hasattr(GenerationConfig(), argument.name)
        fields = registry().get(argument.strategy).Params.model_fields
        assert not argument.setting or argument.setting in fields


def test_what_left_the_core_went_where_transformers_says() -> None:
    assert set(MOVED.values()) < set(GENERATION_MODES_MAPPING.values())
    assert set(MOVED) < set(registry().strategies)


def test_the_preset_of_transformers_order_is_that_order() -> None:
    (preset,) = (preset for preset in PRESETS if preset.id == "transformers")
    order = [step.strategy for step in preset.recipe.steps[:-1]]
    assert order == [argument.strategy for argument in ARGUMENTS]
    assert arguments(preset.recipe)["top_k"] == 40


def test_it_is_python() -> None:
    line = python(arguments("top_p(0.9) | sample", own=GenerationConfig(top_k=20)))
    assert line == "model.generate(**inputs, do_sample=True, top_k=0, top_p=0.9)"
    line = python(arguments('guidance(2, negative_prompt="9 8") | watermark | greedy', CONTEXT))
    assert line.startswith("import torch\nfrom transformers import WatermarkingConfig\n\nmodel.gen")
    assert "guidance_scale=2.0" in line
    assert "negative_prompt_ids=torch.tensor([[9, 8]], device=model.device)" in line
    made: list[Any] = []
    names = {"inputs": {}, "model": type("Model", (), {"generate": lambda **k: made.append(k)})}
    exec(python(arguments("watermark(bias=3) | sample")), names)
    assert made[0]["watermarking_config"].bias == 3 and made[0]["top_k"] == 0


@pytest.mark.parametrize(
    ("config", "recipe", "left_out"),
    [
        ({}, "greedy", []),
        ({"temperature": 0.6, "top_p": 0.9}, "greedy", []),  # not applied without do_sample
        ({"do_sample": True}, "top_k(50) | sample", []),
        (
            {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8,
             "repetition_penalty": 1.1},
            "repetition_penalty(1.1) | temperature(0.7) | top_k(20) | top_p(0.8) | sample", [],
        ),
        (
            {"num_beams": 5, "length_penalty": 2.0, "no_repeat_ngram_size": 3,
             "early_stopping": True},
            "no_repeat_ngram(3) | beam(5, length_penalty=2.0, early_stopping=True)", [],
        ),
        ({"do_sample": True, "num_beams": 3, "top_k": 0}, "beam_sample(3)", []),
        ({"guidance_scale": 1.5}, "guidance(1.5) | greedy", []),
        (
            {"exponential_decay_length_penalty": (15, 1.6), "encoder_repetition_penalty": 1.2},
            "encoder_repetition(1.2) | exponential_length(1.6, start=15) | greedy",
            [],
        ),
        ({"suppress_tokens": [4]}, "greedy", ["suppress_tokens=[4] is left out."]),
        ({"bad_words_ids": [[4]]}, "greedy", ["bad_words_ids is left out; set bad_words by hand."]),
        (
            {"do_sample": True, "temperature": 9.0, "top_k": 0}, "sample",
            ["temperature must be a number from 0 to 5, but 9.0 was given."],
        ),
        (
            {"num_beams": 40}, "greedy",
            ["num_beams must be a whole number from 1 to 16, but 40 was given."],
        ),
    ],
)  # fmt: skip
def test_a_models_own_recipe(config: Any, recipe: str, left_out: list[str]) -> None:
    own = own_recipe(GenerationConfig(**config))
    assert str(own.recipe) == recipe
    assert list(own.left_out) == left_out


@pytest.mark.parametrize("config", [{}, {"num_beams": 3}, {"repetition_penalty": 1.4}])
def test_a_model_left_to_itself_writes_its_own_recipe(config: Any) -> None:
    theirs = model("llama", **config)
    recipe = own_recipe(theirs.generation_config).recipe
    mine = run(forward(theirs), recipe, PROMPT, eos=(EOS,), max_new_tokens=NEW)[0]
    assert generated(theirs, {}) == list(mine.tokens)
    assert set(arguments(recipe, CONTEXT, theirs.generation_config)) == {"do_sample"}
