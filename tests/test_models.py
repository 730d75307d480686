"""The catalogue, and the cache of loaded models."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from playground.engine import FieldError, Request
from playground.engine.decode.drafters import Drafters
from playground.models import BUILT_IN, ModelError, Models, catalogue, hub
from playground.models.preloaded import PRELOADED, preloaded
from playground.service import Service
from playground.settings import Settings
from strategies import Recipe
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folders(tmp_path):
    """Three tiny models on this host, the bytes of each a little above 100,000."""
    return [str(saved(tiny_llama(VOCAB, seed=i), tmp_path / name)) for i, name in enumerate("abc")]


def host(folders, **more):
    return Settings(device="cpu", dtype="float32", model=folders[0], models=folders[1:], **more)


def test_the_catalogue_of_a_new_host():
    entries = Models(Settings()).catalogue()
    assert entries[0].id == BUILT_IN and entries[0].source == "built-in"
    assert {"gpt2", "distilgpt2"} <= {entry.id for entry in entries if entry.source == "hub"}
    assert not any(entry.loaded for entry in entries)
    assert all(entry.summary.endswith(".") for entry in entries)


def test_folders_are_offered_by_name_and_loaded_on_demand(folders, tmp_path):
    models = Models(host(folders))
    assert [(e.id, e.source) for e in models.catalogue()] == [(n, "folder") for n in "abc"]
    assert models.default == "a"
    assert models.load() is models.load("a") is models.load(folders[0])
    assert [entry.id for entry in models.catalogue() if entry.loaded] == ["a"]
    assert str(tmp_path) not in repr(models.catalogue())


def test_folders_of_one_name_stay_apart(tmp_path):
    one = saved(tiny_llama(VOCAB, seed=1), tmp_path / "one" / "x")
    two = saved(tiny_llama(VOCAB, seed=2), tmp_path / "two" / "x")
    models = Models(host([str(one), str(two)]))
    assert [entry.id for entry in models.catalogue()] == ["x", str(two)]
    first, second = (models.load(entry.id).model for entry in models.catalogue())
    assert not first.lm_head.weight.equal(second.lm_head.weight)


@pytest.mark.parametrize("any_model", [False, True])
def test_visitors_open_no_folder_that_the_host_did_not_name(folders, any_model):
    models = Models(host(folders[:2], allow_any_model=any_model))
    for id in [folders[2], folders[1], "../c", "./c", "~", "/"]:
        with pytest.raises(ModelError, match="is not offered here; offered are a, b"):
            models.load(id)


def test_visitors_open_any_folder_where_the_host_lets_them(folders, tmp_path):
    models = Models(host(folders[:2], allow_any_folder=True))
    assert models.load(folders[2]).id == folders[2]
    entry = models.catalogue()[-1]
    assert (entry.id, entry.title, entry.source) == (folders[2], "c", "folder")
    assert models.load(f"{tmp_path}/b/../c") is models.load(folders[2])
    with pytest.raises(ModelError, match="no such folder"):
        models.load(f"{tmp_path}/nothing")
    with pytest.raises(ModelError, match="not offered"):
        models.load("c")


def test_hub_ids_beyond_the_list_need_the_host_s_word(folders):
    with pytest.raises(ModelError, match="'gpt2' is not offered"):
        Models(host(folders)).load("gpt2")


def counted(monkeypatch, outcome=None):
    """Count calls of ``load_folder``, each made slow; raise ``outcome`` instead where given."""
    calls = []
    real = catalogue.load_folder

    def slow(*args, **kwargs):
        calls.append(kwargs["id"])
        time.sleep(0.2)
        if outcome is not None:
            raise outcome
        return real(*args, **kwargs)

    monkeypatch.setattr(catalogue, "load_folder", slow)
    return calls


def test_a_model_is_loaded_once_however_many_ask_at_once(folders, monkeypatch):
    calls = counted(monkeypatch)
    models = Models(host(folders))
    with ThreadPoolExecutor(16) as pool:
        loaded = list(pool.map(models.load, ["a", "b"] * 8))
    assert sorted(calls) == ["a", "b"]
    assert len({id(each) for each in loaded}) == 2


def test_a_failure_is_shared_by_those_who_waited_and_tried_again_later(folders, monkeypatch):
    calls = counted(monkeypatch, ModelError("the disk is full."))
    models = Models(host(folders))
    start = threading.Barrier(6)

    def ask(_):
        start.wait()
        with pytest.raises(ModelError, match="the disk is full"):
            models.load("a")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    assert calls == ["a"]
    monkeypatch.undo()
    assert models.load("a").id == "a"


def loaded(models):
    return [entry.id for entry in models.catalogue() if entry.loaded]


def test_the_least_recently_used_model_makes_room(folders):
    size = Models(host(folders)).load().facts.memory
    released = []

    def release(id):
        released.append(id)
        return True

    models = Models(host(folders, models_bytes=int(2.5 * size)), release)
    for id in "aba":
        models.load(id)
    models.load("c")
    assert released == ["b"]
    assert loaded(models) == ["a", "c"]


def test_a_dropped_model_s_memory_is_free_though_a_host_froze_it(folders):
    size = Models(host(folders)).load().facts.memory
    models = Models(host(folders, models_bytes=int(1.5 * size)))
    model = models.load("a").model
    model.__dict__["itself"] = model  # as a packed layer knows the layer it was
    gone = weakref.ref(model)
    del model
    gc.freeze()
    try:
        models.load("b")
        assert gone() is None and gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # as the tests began


def test_a_model_in_use_is_never_dropped(folders):
    size = Models(host(folders)).load().facts.memory
    models = Models(host(folders, models_bytes=int(2.5 * size)), lambda id: id != "a")
    for id in "abc":
        models.load(id)
    assert loaded(models) == ["a", "c"]
    models.memory.release = lambda id: False
    with pytest.raises(ModelError, match=r"models in use leave none: a, c\. Try again"):
        models.load("b")
    assert loaded(models) == ["a", "c"]


def test_a_model_beyond_the_host_s_memory_drops_no_other(folders):
    size = Models(host(folders)).load().facts.memory
    models = Models(host(folders, models_bytes=int(1.5 * size)))
    models.load("a")
    models.memory.settings = host(folders, models_bytes=size // 2)
    with pytest.raises(ModelError, match="PLAYGROUND_MODELS_BYTES"):
        models.load("b")
    assert loaded(models) == ["a"]


FAST, SLOW = 'temperature(0.7) | speculative(draft="model")', "temperature(0.7) | sample"


@pytest.mark.parametrize("drafting", ["another", "itself", "of other tokens", "lost", "none"])
def test_a_draft_model_guesses_where_it_can(folders, tmp_path, drafting):
    where = {"another": folders[1], "itself": folders[0], "lost": str(tmp_path / "nothing")}
    if drafting == "of other tokens":
        other = saved(tiny_llama(VOCAB), tmp_path / "other")
        text = (other / "tokenizer.json").read_text()
        (other / "tokenizer.json").write_text(text.replace("<|im_end|>", "<|over|>"))
        where[drafting] = str(other)
    service = Service(host(folders[:1], draft_model=where.get(drafting)))
    request = Request(prompt="one two one", recipes=[SLOW, FAST], max_new_tokens=20)
    if drafting == "another":
        run = service.submit(request)
        assert run.join(60)
        slow, fast = run.comparison().lanes
        assert slow.token_ids == fast.token_ids and fast.metrics.acceptance is not None
    else:
        with pytest.raises(FieldError, match="there is no draft model here; name one as model"):
            service.submit(request)
    assert [entry.id for entry in service.models.catalogue()] == ["a"]
    service.close()


def test_a_recipe_names_the_model_that_drafts(folders, tmp_path):
    other = saved(tiny_llama(VOCAB), tmp_path / "other")
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace("<|im_end|>", "<|over|>"))
    service = Service(host([*folders, str(other)]))
    by_b = 'temperature(0.7) | speculative(draft="model", model="b")'
    weaker = 'contrastive_decoding(1.0, amateur="draft", model="c") | sample'
    asked = Request(prompt="one two one", recipes=[SLOW, by_b, weaker], max_new_tokens=20)
    assert service.preview(asked) is None, "which loads nothing"
    run = service.submit(asked)
    assert run.join(60)
    slow, fast, weak = run.comparison().lanes
    assert slow.token_ids == fast.token_ids != weak.token_ids and weak.error is None
    assert fast.metrics.acceptance is not None
    assert [entry.id for entry in service.models.catalogue() if entry.loaded] == ["a"]
    for named, why in {
        "a": "a writes this text, so that another has to draft for it",
        "other": "other cannot draft for a: it has another vocabulary",
        "lost": "The model 'lost' is not offered here; offered are a, b, c, other",
    }.items():
        recipe = f'speculative(draft="model", model="{named}")'
        with pytest.raises(FieldError, match=why) as refused:
            service.submit(asked.model_copy(update={"recipes": [*map(Recipe.of, (SLOW, recipe))]}))
        assert refused.value.field == "recipes.1"
    rooms: list[str] = []
    with pytest.raises(ModelError, match="another vocabulary"):
        service.models.draft_named(
            service.models.load("a"), "other", lambda: rooms.append("others had to go")
        )
    assert not rooms
    service.close()


def test_a_run_whose_draft_is_loaded_waits_for_no_other_s():
    loaded = threading.Event()

    def find(name, make_room):
        assert name == "known" or loaded.wait(60)
        make_room()
        return name

    class Asking:
        def __init__(self, name):
            self.lanes, self.done = [SimpleNamespace(drafts_by=[name])], False

    first, slow, second, third = map(Asking, ("known", "slow", "known", "third"))
    drafters = Drafters(None, find, lambda model: model)
    drafters.prepare(first)
    waiting = threading.Thread(target=drafters.prepare, args=[slow])
    waiting.start()
    drafters.prepare(second)
    assert waiting.is_alive() and list(drafters) == ["known"]
    loaded.set()
    waiting.join(60)
    assert list(drafters) == ["known", "slow"]
    with pytest.raises(FieldError, match="known and slow draft for runs that go on"):
        drafters.prepare(third)


def test_the_memory_of_models_that_draft_is_counted_and_the_reader_stays(folders):
    models = Models(host(folders, models_bytes=300_000))
    reader = models.load()
    drafting = models.draft_named(reader, "b")
    with pytest.raises(ModelError, match=r"c needs .* and the models in use leave none: a"):
        models.draft_named(reader, "c")
    assert models.loaded() is reader
    del drafting
    gc.collect()
    assert models.draft_named(reader, "c").id == "c"


def test_a_loop_that_stopped_by_itself_is_told_of_and_not_asked_for_ever(folders):
    service = Service(host(folders[:1]))
    service.engine().close()
    with pytest.raises(ModelError, match="a is served no more: its decode loop has stopped"):
        service.submit(Request(prompt="one two", recipes=["greedy"]))
    service.close()


def test_a_space_opens_with_the_model_that_its_build_fetched(monkeypatch, tmp_path):
    front = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert f"preload_from_hub:\n  - {PRELOADED} config.json," in front
    assert f"models:\n  - {PRELOADED}\n" in front
    space = Settings(system="spaces")
    monkeypatch.setattr(hub, "cached", lambda id, settings: None)
    assert preloaded(space) == space
    monkeypatch.setattr(hub, "cached", lambda id, settings: tmp_path)
    assert preloaded(space).model == PRELOADED
    own = Settings(system="spaces", model="gpt2")
    assert preloaded(own) == own
    assert preloaded(Settings()) == Settings()
