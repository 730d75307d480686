"""Recipes in the formats of other programs: exported, imported, and what each cannot express."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from strategies import Recipe, RecipeError, RecipeStep
from strategies.bridges.formats import Bounds, FormatError, bring, formats, take
from strategies.bridges.formats.vocabulary import settled, takes_likeliest
from tests.strategies.driver import context
from tests.strategies.test_recipe import recipes

KNOWN = list(formats())
WHERE = context(vocab=50)


def meaning(recipe: Recipe) -> tuple[bool, list[str], str]:
    """The part of a recipe that determines which token is chosen."""
    likeliest = takes_likeliest(recipe)
    search = "sample" if recipe.search.strategy == "speculative" else str(recipe.search)
    search = "" if likeliest else search
    return likeliest, [told(step) for _, step in settled(recipe)], search


def close(value: Any) -> Any:
    """A number without the digits that a sum and its half do not keep."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def told(step: RecipeStep) -> str:
    """A step in its written form, with the texts of a bias as tokens."""
    if step.strategy != "logit_bias":
        return f"{step.strategy} {[close(value) for _, value in step.params]}"
    biases: list[tuple[tuple[int, ...], float]] = step.plugin(step.params, WHERE).biases  # type: ignore[attr-defined]
    sums: dict[tuple[int, ...], float] = {}
    for sequence, bias in biases:
        sums[sequence] = sums.get(sequence, 0.0) + bias
    return str({sequence: bias for sequence, bias in sorted(sums.items()) if bias})


def test_every_format_says_what_it_is():
    assert {"llama.cpp", "llama.cpp-json", "ollama", "openai", "sillytavern", "textgen"} < set(
        KNOWN
    )
    for id, one in formats().items():
        assert one.id == id and one.title and one.program and one.suffix.startswith(".")
        assert one.url.startswith("https://") and one.read_in
    titles = [one.title.lower() for one in formats().values()]
    assert titles == sorted(titles)


@settings(max_examples=40, deadline=None)
@given(recipe=recipes)
def test_what_is_taken_away_comes_back_as_what_it_was_said_to_be_there(recipe):
    for format in KNOWN:
        try:
            taken = take(recipe, format, context=WHERE)
        except RecipeError:  # the model at hand cannot run it either
            with pytest.raises(RecipeError):
                recipe.build(WHERE)
            continue
        brought = bring(taken.text, format)
        if any("by hand" in told for told in brought.left_out):  # several token ids are no text
            continue
        assert meaning(brought.recipe) == meaning(taken.there), taken.text
        if not taken.losses:
            assert meaning(taken.there) == meaning(recipe)
        for loss in taken.losses:
            assert str(loss).endswith(".") and (loss.step is None or loss.step < len(recipe.steps))


# What each program has by itself, as its own source has it, and the recipe that this is.
OWN: list[tuple[str, str, str]] = [
    (
        "llama.cpp-json",  # common_params_sampling of common/common.h, and the server's names
        '{"seed": 4294967295, "temperature": 0.8, "dynatemp_range": 0.0, "dynatemp_exponent": 1.0, '
        '"top_k": 40, "top_p": 0.95, "min_p": 0.05, "top_n_sigma": -1.0, "xtc_probability": 0.0, '
        '"xtc_threshold": 0.1, "typical_p": 1.0, "repeat_last_n": 64, "repeat_penalty": 1.0, '
        '"presence_penalty": 0.0, "frequency_penalty": 0.0, "dry_multiplier": 0.0, '
        '"dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": 64, '
        '"dry_sequence_breakers": ["\\n", ":", "\\"", "*"], "mirostat": 0, "mirostat_tau": 5.0, '
        '"mirostat_eta": 0.1, "adaptive_target": -1.0, "adaptive_decay": 0.9, "stop": [], '
        '"n_keep": 0, "ignore_eos": false, "stream": true, "logit_bias": [], "n_probs": 0, '
        '"grammar": "", "samplers": ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", '
        '"min_p", "xtc", "temperature"]}',
        "top_k(40) | top_p(0.95) | min_p(0.05) | temperature(0.8) | sample",
    ),
    (
        "llama.cpp",
        "llama-server -m model.gguf -c 4096",
        "top_k(40) | top_p(0.95) | min_p(0.05) | temperature(0.8) | sample",
    ),
    (
        "llama.cpp",
        "./llama-cli -hf x --temp 0.6 --top-k 20 --top-p 0.95 --min-p 0 \\\n"
        "  --repeat-penalty=1.1 --samplers 'top_k;top_p;temperature' -n 32 -p 'a b'",
        "top_k(20) | top_p(0.95) | temperature(0.6) | sample",
    ),
    (
        "llama.cpp",
        "--sampling-seq edkt --dry-multiplier 0.8 --dry-sequence-breaker none --logit-bias 5-100",
        'logit_bias({"5": -100.0}) | dry(0.8, breakers=[], window=64) | top_k(40) '
        "| temperature(0.8) | sample",
    ),
    ("ollama", "FROM llama3.2", "top_k(40) | top_p(0.9) | temperature(0.8) | sample"),
    (
        "ollama",  # the documentation's, with a line of an older one
        "# sets\nFROM llama3.2\nPARAMETER temperature 1\nPARAMETER num_ctx 4096\n"
        'PARAMETER repeat_penalty 1.1\nPARAMETER min_p 0.05\nparameter stop "AI assistant:"\n'
        "SYSTEM You are Mario from super mario bros, acting as an assistant.",
        "repetition_penalty(1.1, window=64) | top_k(40) | top_p(0.9) | min_p(0.05) | sample",
    ),
    (
        "ollama",
        '{"model": "m", "options": {"top_k": 20, "top_p": 0.9, "repeat_last_n": 33}}',
        "top_k(20) | top_p(0.9) | temperature(0.8) | sample",
    ),
    ("vllm", "params = SamplingParams()", "sample"),
    (
        "vllm",
        "import vllm\nllm.generate(x, vllm.SamplingParams(n=2, top_k=-1, min_p=0.1, min_tokens=3,"
        " structured_outputs=StructuredOutputsParams(regex='a+')))",
        'min_new_tokens(3) | constrained("a+") | min_p(0.1) | sample(2)',
    ),
    ("vllm", "BeamSearchParams(beam_width=3, max_tokens=9)", 'beam(3, early_stopping="never")'),
    ("openai", "{}", "sample"),
    (
        "openai",
        'client.chat.completions.create(model="gpt-4.1", messages=[], temperature=0.2, top_p=0.9, '
        'logit_bias={"5": -100}, extra_body={"top_k": 7})',
        'logit_bias({"5": -100.0}) | temperature(0.2) | top_k(7) | top_p(0.9) | sample',
    ),
    ("textgen", "top_p: 0.95", "top_p(0.95) | sample"),
    ("textgen", "min_p: 0.02\nxtc_probability: 0.5", "min_p(0.02) | xtc(probability=0.5) | sample"),
    ("textgen", "do_sample: false\ntop_k: 1", "top_k(1) | greedy"),
    ("textgen", "", "sample"),
    (
        "sillytavern",  # its Default.json
        '{"temp": 0.7, "temperature_last": true, "top_p": 0.5, "top_k": 40, "top_a": 0, "tfs": 1, '
        '"typical_p": 1, "min_p": 0, "rep_pen": 1.2, "rep_pen_range": 0, "rep_pen_decay": 0, '
        '"rep_pen_slope": 1, "num_beams": 1, "length_penalty": 1, "min_length": 0, "skew": 0, '
        '"do_sample": true, "early_stopping": false, "dynatemp": false, "min_temp": 0, '
        '"max_temp": 2, "add_bos_token": true, "ban_eos_token": false, "mirostat_mode": 0, '
        '"json_schema": {}, "banned_tokens": "", "sampler_priority": ["temperature", '
        '"dynamic_temperature", "quadratic_sampling", "top_k", "top_p", "typical_p", '
        '"epsilon_cutoff", "eta_cutoff", "tfs", "top_a", "min_p", "mirostat"], "samplers": '
        '["top_k", "tfs_z", "typical_p", "top_p", "min_p", "temperature"], "sampler_order": '
        '[6, 0, 1, 3, 4, 2, 5], "logit_bias": [], "rep_pen_size": 0}',
        "repetition_penalty(1.2) | top_k(40) | top_p(0.5) | temperature(0.7) | sample",
    ),
    ("transformers", "model.generate(**inputs)", "greedy"),
    ("transformers", "model.generate(**inputs, do_sample=True)", "top_k(50) | sample"),
    (
        "transformers",  # of Qwen3
        '{"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643], '
        '"temperature": 0.6, "top_k": 20, "top_p": 0.95, "transformers_version": "4.51.0"}',
        "temperature(0.6) | top_k(20) | top_p(0.95) | sample",
    ),
]  # fmt: skip


@pytest.mark.parametrize("format, text, recipe", OWN, ids=lambda value: str(value)[:40])
def test_a_programs_own_settings_are_read_as_it_has_them(format, text, recipe):
    brought = bring(text, format)
    assert (str(brought.recipe), brought.left_out) == (recipe, ())
    if any(mark in text for mark in (": ", "(", "FROM", "-")) and text != "{}":
        found = bring(text)
        assert str(found.recipe) == recipe or found.format == "llama.cpp"


def test_every_default_of_transformers_and_its_file_are_known():
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig()
    assert bring(config.to_json_string(use_diff=False), "transformers").recipe == Recipe.parse(
        "greedy"
    )


LOSSES = [
    ("openai", "top_k(5) | temperature(3) | sample", "temperature(2.0) | sample",
     ["top_k: OpenAI has nothing like it.",
      "temperature: it is 2.0 in OpenAI, and 3.0 here."]),
    ("vllm", "top_k(5) | min_p(0.1) | sample", "min_p(0.1) | top_k(5) | sample",
     ["vLLM applies them in this order: min_p, top_k."]),
    ("vllm", "temperature(0.001) | sample", "temperature(0.01) | sample",
     ["temperature: it is 0.01 in vLLM, and 0.001 here."]),
    ("vllm", "repetition_penalty(1.2, prompt=False) | sample", "repetition_penalty(1.2) | sample",
     ["repetition_penalty: prompt is True in vLLM, and False here."]),
    ("llama.cpp", "presence_penalty(0.5) | sample", "presence_penalty(0.5, prompt=True) | sample",
     ["presence_penalty: prompt is True in llama.cpp, and False here."]),
    ("llama.cpp", "top_k(5) | mirostat_v2 | sample", "mirostat_v2 | sample",
     ["top_k: llama.cpp leaves it out beside the others."]),
    ("ollama", "temperature(0.7) | top_k(5) | sample", "top_k(5) | temperature(0.7) | sample",
     ["Ollama applies them in this order: top_k, temperature."]),
    ("textgen", "dry(1) | repetition_penalty(1.1, window=64) | sample",
     "dry(1.0, window=64) | repetition_penalty(1.1, window=64) | sample",
     ["dry: window is 64 in text-generation-webui, and 0 here."]),
    ("textgen", "logit_bias({\"5\": 1}) | top_k(3) | top_k(2) | sample", "top_k(3) | sample",
     ["logit_bias: a preset has none; send logit_bias with a request.",
      "top_k: text-generation-webui can be told of it only once."]),
    ("transformers", "top_p(0.9) | temperature(0.7) | dry(1) | sample(2)",
     "temperature(0.7) | top_p(0.9) | sample(2)",
     ["dry: generate has nothing like it.",
      "generate applies them in this order: temperature, top_p."]),
    ("transformers", "mbr(4)", "sample",
     ["mbr: no argument of generate is written for it. There it is sample."]),
    ("vllm", "best_of(4)", "sample(4)",
     ["best_of: vLLM has no such search (Best of n); there 4 texts are drawn."]),
    ("llama.cpp", "temperature(0.5) | top_k(3) | greedy", "greedy", []),
]  # fmt: skip


@pytest.mark.parametrize("format, recipe, there, losses", LOSSES, ids=lambda value: str(value)[:40])
def test_what_a_program_does_otherwise_is_said(format, recipe, there, losses):
    taken = take(recipe, format)
    assert (str(taken.there), [str(loss) for loss in taken.losses]) == (there, losses)


def test_llama_cpp_is_told_how_far_all_of_the_text_is() -> None:
    """In its programs a window of -1 is none at all."""
    recipe = "dry(0.8) | repetition_penalty(1.2) | sample"
    for format, said in (("llama.cpp", "--repeat-last-n 131072"), ("llama.cpp-json", ": 131072")):
        text = take(recipe, format).text
        assert said in text and text.count("131072") == 2
        assert "window" not in str(bring(text, format).recipe)


def test_a_run_s_bounds_go_along_and_come_back():
    bounds = Bounds(max_new_tokens=32, seed=7, stop=('say "', "\n\n"))
    for format in ("llama.cpp-json", "ollama", "openai", "vllm"):
        assert bring(take("top_p(0.9) | sample", format, bounds).text, format).bounds == bounds
    code = take("guidance(1.5, negative_prompt=\"a\") | sample", "transformers", bounds,
                context(vocab=50)).text  # fmt: skip
    compile(code, "typed", "exec")
    assert code.index("import torch") < code.index("manual_seed(7)") < code.index("generate(")


def test_texts_are_biased_by_their_tokens_where_a_model_is_loaded():
    recipe = 'logit_bias({"7": 1, "5": 2}) | sample'
    assert json.loads(take(recipe, "openai").text)["logit_bias"] == {"7": 1.0, "5": 2.0}
    text = 'logit_bias({"a text": 2}) | sample'
    (loss,) = take(text, "vllm").losses
    assert str(loss) == "logit_bias: its token ids depend on a model; none is loaded."


@pytest.mark.parametrize(
    "text, format, says",
    [
        ("", None, "nothing in it"),
        ("hello there", None, "in no form that is read here"),
        ("{", "openai", "no call in Python"),
        ("[1]", "llama.cpp-json", "an object in JSON"),
        ("--temp", "llama.cpp", "--temp has no value"),
        ("--temp warm", "llama.cpp", "--temp must be a number, but 'warm'"),
        ("--logit-bias cat", "llama.cpp", "15043+1"),
        ("a: [", "textgen", "no YAML"),
        ("x", "vim", "format must be one of llama.cpp"),
        ("import os; os.system('x')", "vllm", "no SamplingParams"),
        ("x" * 200_000, "vllm", "100,000 characters"),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_reason(text: str, format: Any, says: str):
    with pytest.raises(FormatError) as refused:
        bring(text, format)
    assert says in str(refused.value)


def test_what_no_recipe_has_is_named():
    brought = bring("PARAMETER mirostat 1\nPARAMETER tfs_z 0.5\nPARAMETER top_p 0.5", "ollama")
    assert brought.left_out == (
        "tfs_z is left out: Ollama no longer has it.",
        "mirostat is left out: Ollama no longer has it.",
    )
    brought = bring('{"mirostat": 1, "top_p": 7, "wonder": 2}', "llama.cpp-json")
    assert {told.split(" ")[0] for told in brought.left_out} == {"wonder", "top_p", "mirostat"}
    assert str(bring("top_k(5) | sample").recipe) == "top_k(5) | sample"


BOMB = "\n".join(["a: &a [x, x]", *(f"b{i}: &b{i} [*a, *a]" for i in range(3)), "top_k: *b2"])


@pytest.mark.parametrize(
    ("format", "text", "says"),
    [
        ("textgen", BOMB, "may refer to no other part"),
        (None, BOMB, "may refer to no other part"),
        ("ollama", 'PARAMETER stop """a\n' * 3_000, "has no"),
        (None, "x" * 200_000, "at most, but 200,000 were given"),
    ],
    ids=["aliases", "aliases found out", "a text without an end", "too long"],
)
def test_what_would_take_for_ever_is_refused(format: Any, text: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        bring(text, format)


@pytest.mark.parametrize("before", ["\n" * 90_000, " " * 90_000, "PARAMETER a " * 8_000 + "\n"])
def test_many_blanks_are_read_once(before: str) -> None:
    """A search that began anew at each of them took minutes."""
    assert str(bring(before + "\nPARAMETER top_k 7\n").recipe).startswith("top_k(7)")


def test_a_value_goes_on_to_its_quote() -> None:
    text = 'FROM x\nPARAMETER stop """a\n"b" """\nparameter stop "c\nd"\nPARAMETER top_k 7  \n'
    brought = bring(text)
    assert brought.bounds.stop == ('a\n"b" ', "c\nd")
    assert str(brought.recipe).startswith("top_k(7)")


@pytest.mark.parametrize(
    "sent",
    [
        {"exponential_decay_length_penalty": 5, "top_k": 7, "do_sample": True},
        {"watermarking_config": 3, "top_k": 7, "do_sample": True},
        {"watermarking_config": {"bias": 1.0}, "top_k": 7, "do_sample": True},
        {"sequence_bias": [[5]], "top_k": 7, "do_sample": True},
        {"bad_words_ids": 5, "top_k": 7, "do_sample": True},
    ],
)
def test_a_value_of_another_shape_is_left_out_and_said_to_be(sent: dict[str, Any]) -> None:
    brought = bring(json.dumps(sent), "transformers")
    assert "top_k(7)" in str(brought.recipe) and brought.left_out


@pytest.mark.parametrize("format", ["openai", "vllm", "llama.cpp-json", "textgen"])
def test_fields_of_another_kind_are_no_fault_of_the_program(format: str) -> None:
    sent = {"extra_body": "abc", "top_p": 0.5, "dynatemp_range": 0.5, "temperature": "hot"}
    try:
        assert "top_p(0.5)" in str(bring(json.dumps(sent), format).recipe)
    except ValueError as error:
        assert "temperature" in str(error)
