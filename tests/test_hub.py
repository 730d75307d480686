"""From a hub id to a folder, against a stand-in hub on loopback and against no hub at all."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time

import pytest
import torch
import transformers

from playground.models import ModelError, Models, hub
from playground.settings import Settings
from tests.folders import VOCAB, saved, tokenizer
from tests.hub import Hub, serve
from tests.tiny import tiny_llama

ID = "someone/tiny-llama"


@pytest.fixture
def there(tmp_path):
    """A hub with one good model, and some that are not."""
    good = saved(tiny_llama(VOCAB), tmp_path / "good")
    (good / "pytorch_model.bin").write_bytes(b"never fetched")
    (good / "onnx").mkdir()
    (good / "onnx" / "model.safetensors").write_bytes(b"never fetched")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"never fetched")
    translating = tmp_path / "translating"
    transformers.T5Config().save_pretrained(translating)
    tokenizer().save_pretrained(translating)
    (translating / "model.safetensors").write_bytes(b"never fetched")
    repos = {ID: good, "a/pickled": pickled, "a/t5": translating, "a/gated": good, "top": good}
    with serve(Hub(repos, gated={"a/gated"})) as running:
        yield running


def host(url, tmp_path, **more):
    return Settings(
        device="cpu", dtype="float32", hub=url, hub_cache=tmp_path / "cache", hub_timeout_s=2,
        allow_any_model=True, **more,
    )  # fmt: skip


def test_a_model_is_fetched_once_and_then_needs_no_hub(there, tmp_path, capsys):
    settings = host(there.url, tmp_path)
    loaded = Models(settings).load(ID)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(loaded.model(ids).logits, tiny_llama(VOCAB)(ids).logits)
    assert (loaded.id, loaded.facts.title) == (ID, "tiny-llama")
    assert there.fetched("model.safetensors") == there.fetched("tokenizer.json") == 1
    assert there.fetched("pytorch_model.bin") == there.fetched("onnx/model.safetensors") == 0
    assert "%|" not in capsys.readouterr().err  # no progress bars in a server's log

    there.asked.clear()
    assert Models(settings).load(ID).facts == loaded.facts
    assert there.asked == []
    away = host("http://127.0.0.1:9", tmp_path)
    assert Models(away).load(ID).facts == loaded.facts


def test_a_download_that_was_cut_off_is_told_with_its_folder(there, tmp_path):
    settings = host(there.url, tmp_path)
    Models(settings).load(ID)
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    weights.resolve().write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged: ") as caught:
        Models(settings).load(ID)
    assert caught.value.folder == weights.parent


def bytes_of(folder, *unwanted):
    return sum(f.stat().st_size for f in folder.iterdir() if f.is_file() and f.name not in unwanted)


def test_what_a_model_takes_is_known_before_its_weights_are_fetched(there, tmp_path):
    models = Models(host(there.url, tmp_path))
    assert models.needs_fetching(ID)
    estimate = models.estimate(ID)
    config = (there.repos[ID] / "config.json").stat().st_size
    assert estimate.download == bytes_of(there.repos[ID], "pytorch_model.bin") - config
    assert estimate.disk > estimate.download and estimate.room > 0 == estimate.held
    assert there.fetched("model.safetensors") == there.fetched("tokenizer.json") == 0
    assert estimate.memory == pytest.approx(models.load(ID).facts.memory, rel=0.01)  # and buffers
    assert not models.needs_fetching(ID)
    with pytest.raises(ModelError, match="encoder-decoder"):
        models.estimate("a/t5")


def come(models, id, until):
    """Load a model on a thread, and wait for ``until`` of its arrival."""
    arrived = threading.Thread(target=lambda: suppressed(models, id))
    arrived.start()
    while not ((arrival := models.arrivals.find(id)) and until(arrival)):
        assert arrived.is_alive()
        time.sleep(0.01)
    return arrived, arrival


def suppressed(models, id):
    with contextlib.suppress(ModelError):
        models.load(id)


def test_a_model_on_its_way_tells_its_bytes_and_is_given_up_with_the_last_who_waits(
    there, tmp_path
):
    models = Models(host(there.url, tmp_path))
    there.flowing.clear()
    with models.expecting(ID) as one, models.expecting(ID) as other:
        assert one is other and one.waiting == 2
        loading, _ = come(models, ID, lambda arrival: arrival.done)
        assert one.stage == "fetching"
        assert one.total == bytes_of(there.repos[ID], "pytorch_model.bin", "config.json")
        assert 0 < one.done < one.total
        with pytest.raises(TimeoutError), models.expecting(ID):
            raise TimeoutError  # one who leaves changes nothing for others
        assert not one.given_up
    assert one.given_up and models.arrivals.find(ID) is None
    there.flowing.set()
    loading.join()
    assert not any(entry.loaded for entry in models.catalogue())
    assert hub.cached(ID, models.settings) is None
    with models.expecting(ID) as again:  # it begins where it was
        assert again is not one
        assert models.load(ID).id == ID


def test_a_model_that_all_gave_up_is_loaded_for_nobody(there, tmp_path):
    models = Models(host(there.url, tmp_path))
    there.flowing.clear()
    with models.expecting(ID), models.expecting(ID):
        loading, _ = come(models, ID, lambda arrival: arrival.done)
        other = threading.Thread(target=suppressed, args=[models, ID])
        other.start()
        while not models._loading[ID]._condition._waiters:  # until it waits for the first
            time.sleep(0.01)
    there.flowing.set()
    for thread in (loading, other):
        thread.join()
    assert not any(entry.loaded for entry in models.catalogue())


def test_one_who_comes_while_a_model_is_given_up_gets_it(there, tmp_path):
    models = Models(host(there.url, tmp_path))
    there.flowing.clear()
    with models.expecting(ID):
        loading, _ = come(models, ID, lambda arrival: arrival.done)
    with models.expecting(ID):
        late = threading.Thread(target=lambda: suppressed(models, ID))
        late.start()
        there.flowing.set()
        late.join()
        loading.join()
    assert [entry.id for entry in models.catalogue() if entry.loaded] == [models.default, ID][1:]


def test_a_gguf_file_of_the_hub_is_named_with_its_repository(there, tmp_path):
    folder = tmp_path / "gguf"
    folder.mkdir()
    there.repos["a/gguf"] = folder
    for name in ("m.Q4_K_M.gguf", "m.Q8_0.gguf", "mmproj-m.gguf", "b-00001-of-00002.gguf"):
        (folder / name).write_bytes(name.encode() * 40)
    models = Models(host(there.url, tmp_path))
    for id in ("a/gguf", "a/gguf:Q5", "a/gguf:m"):
        with pytest.raises(
            ModelError, match=r"has .*m\.Q4_K_M\.gguf, m\.Q8_0\.gguf\. Write a/gguf:"
        ):
            models.estimate(id)
    with pytest.raises(ModelError, match="split into several"):
        models.estimate("a/gguf:b-0")
    estimate = models.estimate("a/gguf:q8_0")
    assert (estimate.download, estimate.memory) == (40 * len("m.Q8_0.gguf"), None)
    assert models.needs_fetching("a/gguf:Q8_0")
    file = hub.fetch("a/gguf:Q8_0", models.settings, lambda folder: None)
    assert file.name == "m.Q8_0.gguf" and file.read_bytes() == (folder / file.name).read_bytes()
    assert not models.needs_fetching("a/gguf:m.Q8_0.gguf")
    with pytest.raises(ModelError, match="cannot be served"):  # which is no GGUF file
        models.load("a/gguf:Q8_0")


def test_a_repository_of_one_gguf_file_needs_no_name_of_it_nor_a_hub_twice(there, tmp_path):
    folder = tmp_path / "gguf"
    folder.mkdir()
    there.repos["a/gguf"] = folder
    for name in ("m.Q8_0.gguf", "mmproj-m.gguf", "README.md"):
        (folder / name).write_bytes(name.encode() * 40)
    models = Models(host(there.url, tmp_path))
    assert models.needs_fetching("a/gguf")
    file = hub.fetch("a/gguf", models.settings, lambda folder: None)
    asked = len(there.asked)
    assert not models.needs_fetching("a/gguf")
    assert hub.fetch("a/gguf", models.settings, lambda folder: None) == file
    assert len(there.asked) == asked


def test_a_full_disk_is_called_so(there, tmp_path, monkeypatch):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(ModelError, match="the disk of this host is full"):
        Models(host(there.url, tmp_path)).load(ID)


def test_an_id_without_an_owner_is_a_hub_id(there, tmp_path):
    assert Models(host(there.url, tmp_path, models=("top",))).load("top").id == "top"


def test_a_folder_beside_the_program_does_not_stand_in_for_a_hub_id(there, tmp_path, monkeypatch):
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no public model gpt2"):
        Models(host(there.url, tmp_path)).load("gpt2")


@pytest.mark.parametrize(
    "id, words",
    [
        ("someone/nothing", "has no public model someone/nothing"),
        ("a/gated", "a/gated is gated"),
        ("a/pickled", "a/pickled has no safetensors weights"),
        ("a/t5", "a/t5 cannot be served: .*t5.* encoder-decoder"),
    ],
)
def test_what_the_hub_cannot_give_is_told(there, tmp_path, id, words):
    with pytest.raises(ModelError, match=words):
        Models(host(there.url, tmp_path)).load(id)
    assert there.fetched("model.safetensors") == there.fetched("pytorch_model.bin") == 0


def test_a_model_too_big_is_refused_before_its_weights_are_fetched(there, tmp_path):
    with pytest.raises(ModelError, match=r"needs \d+ kB of memory, and this host has 10 kB"):
        Models(host(there.url, tmp_path, models_bytes=10_000)).load(ID)
    assert there.fetched("model.safetensors") == 0


def test_a_half_filled_cache_is_completed(there, tmp_path):
    settings = host(there.url, tmp_path)
    Models(settings).load(ID)
    folder = hub.cached(ID, settings)
    (folder / "model.safetensors").unlink()
    assert hub.cached(ID, settings) is None
    assert Models(settings).load(ID).id == ID


@pytest.mark.parametrize("silence", ["refused", "no name", "no answer"])
def test_without_a_route_it_is_said_quickly_and_what_is_loaded_stays(there, tmp_path, silence):
    models = Models(host(there.url, tmp_path))
    before = models.load(ID)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = {
            "refused": "http://127.0.0.1:9",
            "no name": "http://hub.invalid",
            "no answer": f"http://127.0.0.1:{deaf.getsockname()[1]}",
        }[silence]
        models.settings = models.settings.model_copy(update={"hub": url})
        start = time.perf_counter()
        with pytest.raises(ModelError, match=r"cannot be reached .* keep working"):
            models.load("someone/else")
        assert time.perf_counter() - start < models.settings.hub_timeout_s + 1
    assert models.load(ID) is before


@pytest.mark.parametrize(
    "text, yes",
    [
        ("gpt2", True),
        ("Qwen/Qwen2.5-0.5B-Instruct", True),
        ("/etc", False),
        ("../x", False),
        ("a/../b", False),
        ("./gpt2", False),
        ("~/x", False),
        ("owner/name:file.Q4_K_M.gguf", True),
        ("a:/b", False),
        ("a/b/c", False),
        ("a\\b", False),
        ("a b", False),
        ("ä/b", False),
        ("gpt2\n", False),
        ("", False),
        ("a" * 193, False),
    ],
)
def test_an_id_is_never_a_path(text, yes):
    assert hub.is_id(text) is yes
