"""From a folder to a model: its facts, its end-of-sequence tokens, and models that are refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import gguf
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from playground.bench.tiny import tiny_config, tiny_model
from playground.engine import Engine, FieldError, Request
from playground.models import ModelError, missing
from playground.models.architecture import (
    context_length,
    needs_own_cache,
    unsupported,
    unsupported_config,
)
from playground.models.loading import end_ids, load_folder
from playground.settings import Settings
from tests.engine.models import PROCESS, driven
from tests.engine.models import loaded as loaded_model
from tests.folders import VOCAB, saved, tokenizer
from tests.tiny import tiny_gpt2, tiny_llama, tiny_qwen2

CPU = Settings(device="cpu", dtype="float32")


@pytest.mark.parametrize("tiny", [tiny_llama, tiny_gpt2, tiny_qwen2])
def test_a_folder_gives_the_model_that_was_saved(tmp_path, tiny):
    made = tiny(VOCAB)
    loaded = load_folder(saved(made, tmp_path / "tiny"), CPU)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, made(ids).logits)
    parameters = sum(p.numel() for p in made.parameters())
    facts = loaded.facts
    assert (facts.id, facts.title, loaded.id) == ("tiny", "tiny", "tiny")
    assert facts.architecture == type(made).__name__
    assert (facts.device, facts.dtype, facts.has_chat_template) == ("cpu", "float32", False)
    assert (facts.parameters, facts.vocab_size) == (parameters, VOCAB)
    assert facts.memory >= 4 * parameters
    assert facts.context_length == loaded.context_length == 128
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.tokenizer.decode(loaded.tokenizer("naïve").input_ids) == "naïve"


def test_the_host_may_bound_the_context_and_choose_the_dtype(tmp_path):
    folder = saved(tiny_llama(VOCAB), tmp_path)
    loaded = load_folder(folder, Settings(device="cpu", dtype="bfloat16", max_context=50))
    assert loaded.context_length == loaded.facts.context_length == 50
    assert loaded.facts.dtype == "bfloat16"
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "generation, config, chat, eos, expected",
    [
        (2, 2, False, "<|endoftext|>", (2,)),  # as generate: the tokenizer's is not added
        ([2, 0], 1, False, "<|im_end|>", (2, 0)),
        (None, 1, False, "<|endoftext|>", (1,)),
        (0, 0, True, "<|im_end|>", (0, 2)),  # a chat ends with its turn
        ([2, 0], None, True, "<|im_end|>", (2, 0)),
        (None, None, True, "<|im_end|>", (2,)),
        (None, None, False, "<|endoftext|>", ()),
        ([50256, 2], 50256, False, "<|endoftext|>", (2,)),  # GPT-2's default, beyond this one
    ],
)
def test_the_tokens_that_end_a_text(generation, config, chat, eos, expected):
    model = tiny_llama(VOCAB)
    model.generation_config.eos_token_id = generation
    model.config.eos_token_id = config
    assert end_ids(model, tokenizer(chat, eos)) == expected


def test_the_model_own_generate_ends_where_the_playground_does(tmp_path):
    folder = saved(tiny_llama(VOCAB), tmp_path, chat=True, eos="<|im_start|>")
    loaded = load_folder(folder, CPU)
    assert loaded.facts.has_chat_template
    assert loaded.eos_token_ids == (2, 1)
    assert loaded.model.generation_config.eos_token_id == [2, 1]


@pytest.mark.parametrize(
    "config, words",
    [
        ({"name": "T5Config"}, "encoder-decoder"),
        ({"name": "BartConfig"}, "encoder-decoder"),
    ],
)
def test_a_configuration_is_refused_by_name_and_reason(config, words):
    config = getattr(transformers, config.pop("name"))(**config)
    reason = unsupported_config(config)
    assert reason is not None and words in reason and config.model_type in reason.lower()


SMALL = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32,
}  # fmt: skip


@pytest.mark.parametrize(
    "name, words",
    [
        ("BertConfig", "later tokens"),
        ("RobertaConfig", "later tokens"),
    ],
)
def test_a_model_is_refused_by_name_and_reason(name, words):
    config = getattr(transformers, name)(**SMALL)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    reason = unsupported(model)
    assert reason is not None and words in reason
    assert config.model_type in reason.lower()


@pytest.mark.parametrize(
    "name, more, words",
    [
        ("BloomConfig", {}, "ALiBi"),
        ("FalconConfig", {"alibi": True}, "ALiBi"),
        ("MptConfig", {"d_model": 32, "n_heads": 2, "n_layers": 2}, "ALiBi"),
        ("FalconConfig", {}, "attention code of its own"),
        ("MambaConfig", {}, "linear attention"),
        ("RwkvConfig", {}, "attention code of its own"),
        ("Qwen3NextConfig", {"num_key_value_heads": 2, "head_dim": 16}, "linear attention"),
        ("GPT2Config", {"n_embd": 32, "reorder_and_upcast_attn": True}, "reorder_and_upcast_attn"),
        ("MistralConfig", {"num_key_value_heads": 2}, None),
        ("Gemma3TextConfig", {"num_key_value_heads": 2, "head_dim": 16}, None),
        ("Llama4TextConfig", {"num_key_value_heads": 2, "head_dim": 16}, None),
    ],
)
def test_rows_share_slots_of_what_a_mask_can_leave(name, more, words):
    config = getattr(transformers, name)(**{**SMALL, **more})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert unsupported(model) is None
    reason = needs_own_cache(model)
    assert reason is None if words is None else words in reason


@pytest.mark.parametrize(
    "name, more",
    [
        ("LlamaConfig", {}),
        ("GPT2Config", {"n_embd": 32}),
        ("Qwen2Config", {"sliding_window": 8, "use_sliding_window": False}),
        ("Qwen3Config", {}),
        ("MistralConfig", {"sliding_window": None}),
        ("GPTNeoXConfig", {}),
        ("PhiConfig", {}),
        ("OPTConfig", {"ffn_dim": 32, "word_embed_proj_dim": 32}),
        ("OlmoConfig", {}),
    ],
)
def test_nothing_speaks_against_the_usual_families(name, more):
    config = getattr(transformers, name)(**{**SMALL, "num_key_value_heads": 2, **more})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert unsupported(model) is None and needs_own_cache(model) is None


def test_a_context_ends_where_a_model_would_change_its_positions():
    config = transformers.Phi3Config(
        max_position_embeddings=131072,
        original_max_position_embeddings=4096,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "original_max_position_embeddings": 4096,
            "short_factor": [1.0] * 48,
            "long_factor": [2.0] * 48,
        },
    )
    assert context_length(config) == 4096
    assert context_length(transformers.GPT2Config(n_positions=77)) == 77


def test_an_architecture_is_refused_before_its_weights_are_read(tmp_path):
    transformers.T5Config().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"cannot be served: .*t5.*encoder-decoder"):
        load_folder(tmp_path, CPU)


def test_weights_that_can_run_code_are_not_opened(tmp_path):
    folder = saved(tiny_llama(VOCAB), tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save(tiny_llama(VOCAB).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_folder(folder, CPU)


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder = saved(tiny_llama(VOCAB), tmp_path / "model")
    trace = tmp_path / "it ran"
    code = f"open({str(trace)!r}, 'w')\nfrom transformers import LlamaConfig as C"
    (folder / "configuration_own.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="code of its own, which is never run"):
        load_folder(folder, CPU)
    assert not trace.exists()


def test_a_weight_that_is_no_number_is_named(tmp_path):
    made = tiny_llama(VOCAB)
    made.model.layers[1].mlp.up_proj.weight.data[3, 2] = float("nan")
    folder = saved(made, tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"weight model\.layers\.1\.mlp\.up_proj\.weight holds"):
        load_folder(folder, CPU)


def test_a_tokenizer_of_sentencepiece_alone_says_what_reads_it(tmp_path, monkeypatch):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    for file in folder.glob("token*"):
        file.unlink()
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")
    monkeypatch.setattr(missing, "is_installed", lambda module: False)
    with pytest.raises(ModelError, match=r"libraries .+: pip install sentencepiece protobuf"):
        load_folder(folder, CPU)


DAMAGES = ["nowhere", "empty", "cut", "no tokenizer", "not json", "a layer less", "other shapes"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_cannot_be_read_is_told_in_a_sentence(tmp_path, damage):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    weights = folder / "model.safetensors"
    if damage == "nowhere":
        folder = tmp_path / "gone"
    elif damage == "empty":
        (folder / "config.json").unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no tokenizer":
        for file in folder.glob("token*"):
            file.unlink()
    elif damage == "not json":
        (folder / "config.json").write_text("{")
    elif damage == "a layer less":
        tensors = load_file(weights)
        del tensors["model.layers.1.mlp.up_proj.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(ModelError) as caught:
        load_folder(folder, CPU)
    assert re.fullmatch(r"(tiny|gone) cannot be (loaded|served): .+\.", str(caught.value))
    assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "name, kept, said",
    [
        ("model.safetensors", -1, "where [0-9,]+ were written"),
        ("model.safetensors", 1000, "no readable beginning"),
        ("model.safetensors", 0, "it has 0 bytes"),
        ("tokenizer.json", -5, "are not JSON"),
        ("generation_config.json", 3, "its 3 bytes are not JSON"),
    ],
)
def test_a_file_that_was_cut_off_is_named_and_the_host_is_told_the_folder(
    tmp_path, name, kept, said
):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    (folder / name).write_bytes((folder / name).read_bytes()[:kept])
    with pytest.raises(ModelError, match=f"tiny cannot be loaded: {name} is damaged: ") as caught:
        load_folder(folder, CPU)
    assert re.search(said, str(caught.value)) and str(tmp_path) not in str(caught.value)
    assert caught.value.__notes__ == [f"The folder is {folder}."]


@pytest.mark.parametrize("device", ["cuda:7", "mps"])
def test_a_device_that_is_not_there_is_told(tmp_path, device):
    folder = saved(tiny_llama(VOCAB), tmp_path)
    if device == "mps" and torch.backends.mps.is_available():
        device = "cuda:7"
    with pytest.raises(ModelError, match=f"{device} is asked for"):
        load_folder(folder, Settings(device=device))


INDEXES = {
    "{": "are not JSON",
    "[]": "no weight_map",
    '{"weight_map": {}}': "weight_map is empty",
    '{"weight_map": {"a": 3}}': "names '3'",
    '{"weight_map": {"a": "../b.safetensors"}}': "no file there",
    '{"weight_map": {"a": "b.safetensors"}}': "no b.safetensors",
}


@pytest.mark.parametrize("index", INDEXES)
def test_a_wrong_index_of_weights_is_told(tmp_path, index):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError, match=INDEXES[index]):
        load_folder(folder, CPU)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_told_with_what_to_run(tmp_path, name):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n")
    with pytest.raises(ModelError, match=f"no {name}, only a pointer to it .run `git lfs pull`"):
        load_folder(folder, CPU)


def test_a_type_without_a_class_for_text_is_named(tmp_path):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    transformers.CLIPConfig().save_pretrained(folder)
    with pytest.raises(ModelError, match=r"type clip\) has no class for text alone"):
        load_folder(folder, CPU)


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('no') }}", "{% for %}", {"tools": "{{ messages }}"}, "{{ 1 + messages }}"],
)
def test_a_chat_template_that_fails_is_no_template_but_an_error_of_its_field(tmp_path, template):
    folder = saved(tiny_llama(VOCAB), tmp_path / "tiny")
    made = tokenizer()
    made.chat_template = template
    made.save_pretrained(folder)
    loaded = load_folder(folder, CPU)
    assert not loaded.facts.has_chat_template
    served = Engine(loaded, rows=4, process=PROCESS)
    with pytest.raises(FieldError, match="chat template of tiny fails") as caught:
        served.tokens("a", chat=True)
    assert caught.value.field == "chat"
    with pytest.raises(FieldError, match="does not take them"):
        served.builder.encoder.conversation([{"role": "user", "content": "a"}])


def test_a_token_that_the_model_does_not_know_is_an_error_of_the_prompt(tmp_path):
    folder = saved(tiny_llama(VOCAB - 20), tmp_path / "tiny")
    served = Engine(load_folder(folder, CPU), rows=4, process=PROCESS)
    with pytest.raises(FieldError, match="the last one that tiny knows is 238") as caught:
        served.submit(Request(prompt="a \u2018 b", recipes=["greedy"]))
    assert caught.value.field == "prompt"
    assert driven(served, Request(prompt="A", recipes=["greedy"], max_new_tokens=2)).done


def test_states_of_different_widths_are_refused_and_other_columns_are_not():
    model = tiny_model(tiny_config("opt", word_embed_proj_dim=16))
    facts = loaded_model().facts
    given = replace(loaded_model(), model=model, facts=facts.model_copy(update={"vocab_size": 128}))
    served = Engine(given, rows=8, process=PROCESS)
    asked = Request(prompt="", prompt_ids=[5, 6], recipes=["greedy", "beam(2)"], max_new_tokens=2)
    assert driven(served, asked).done
    with pytest.raises(FieldError, match="reads hidden states, which llama does not give"):
        served.submit(Request(prompt="", prompt_ids=[5, 6], recipes=["contrastive"]))


@pytest.mark.parametrize("context", [2, 8])
def test_a_context_of_a_few_tokens_is_served(context):
    served = Engine(loaded_model(context=context), rows=4, process=PROCESS)
    lane = driven(served, Request(prompt="a", recipes=["greedy"])).comparison().lanes[0]
    assert len(lane.token_ids) == context - 1 and lane.error is None


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "model.layers": "blk",
}


def as_gguf(model, file):
    """A Qwen2 of this host as llama.cpp stores it, in float32."""
    writer, config, words = gguf.GGUFWriter(file, "qwen2"), model.config, tokenizer().get_vocab()
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(words, key=words.__getitem__))
    writer.add_token_scores([0.0] * len(words))
    writer.add_eos_token_id(2)
    for name, tensor in model.state_dict().items():
        for own, stored in GGUF_NAMES.items():
            name = name.replace(own, stored)
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_gguf_file_is_the_model_it_was_made_of(tmp_path, named):
    made = tiny_qwen2(VOCAB)
    (tmp_path / "stored").mkdir()
    file = tmp_path / "stored" / "tiny.gguf"
    as_gguf(made, file)
    loaded = load_folder(file if named == "file" else file.parent, CPU)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, made(ids).logits)
    assert loaded.id == ("tiny.gguf" if named == "file" else "stored")
    assert loaded.eos_token_ids == (2,) and loaded.context_length == 128
    assert loaded.tokenizer.encode("A") == tokenizer().encode("A")
