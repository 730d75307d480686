"""The backend over another server, on a real socket: a playground's /v1, as several programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from playground.api import mount
from playground.api.events import RunEvents
from playground.backends.openai.backends import OpenAIBackends
from playground.backends.openai.server import Server
from playground.engine import Busy, EngineClosed, FieldError, Observers
from playground.errors import ModelError
from playground.service import Service
from playground.settings import Settings
from playground.trace import Comparison
from tests.api.asking import events, freed, serving
from tests.backends.contract import SETTINGS, WAIT_S, asked, tiny_model


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The playground at the other end."""
    folder = tiny_model(tmp_path_factory.mktemp("far") / "tiny")
    service = Service(Settings(**{**SETTINGS, "model": str(folder), "max_client_runs": 8}))
    service.engine()
    yield service
    service.close()


@pytest.fixture(scope="module")
def address(far: Service) -> Iterator[str]:
    app = FastAPI()
    mount(app, far)
    with serving(app) as found:
        yield found


@pytest.fixture
def near(address: str) -> Iterator[OpenAIBackends]:
    made = OpenAIBackends(Settings(**SETTINGS, engine_url=f"{address}/v1"), Observers())
    yield made
    made.close()


def as_program(monkeypatch: pytest.MonkeyPatch, owner: str) -> None:
    """Have the server be recognised as another program's."""
    own = Server.models
    monkeypatch.setattr(
        Server, "models", lambda self: [card | {"owned_by": owner} for card in own(self)]
    )


def texts(comparison: Comparison) -> list[list[str]]:
    return [[output.text for output in lane.trace.outputs] for lane in comparison.lanes]


def test_it_writes_what_the_server_writes_with_every_stage(
    near: OpenAIBackends, far: Service
) -> None:
    recipes = ("greedy", "temperature(0.9) | top_k(5) | sample(2)", "dry(0.8) | beam(2)")
    request = asked(*recipes, stop=["zq"], min_new_tokens=4)
    (run,) = near.open().submit_all([request])
    assert run.join(WAIT_S) and run.outcome == "done"
    own = far.submit(request)
    assert own.join(WAIT_S)
    got, wanted = run.comparison(), own.comparison()
    best = [lane[:1] for lane in texts(wanted)[2:]]  # of beams it tells the best alone
    assert texts(got) == texts(wanted)[:2] + best
    assert Comparison.from_json(got.to_json()).model.served_by == got.model.served_by
    for lane, other in zip(got.lanes, wanted.lanes, strict=True):
        assert [lane.trace.stages, lane.finish_reason] == [other.trace.stages, other.finish_reason]
        for step, true in zip(lane.trace.path(), other.trace.path(), strict=True):
            assert step.text == true.text
            assert step.raw_logprob == pytest.approx(true.raw_logprob, rel=1e-5)
            assert step.raw_entropy == pytest.approx(true.raw_entropy, rel=1e-5)
            assert [s.survivors for s in step.stages] == [s.survivors for s in true.stages]
            assert (step.raw_rank, step.rank) == (true.raw_rank, true.rank)
            for level, same in zip(step.candidates.stages, true.candidates.stages, strict=True):
                assert level == pytest.approx(same[: len(level)], rel=1e-5, abs=1e-9)
    assert str(got.model.served_by).endswith("· 20 likeliest tokens")


def test_llama_cpp_tells_its_likeliest_tokens_in_the_form_of_chats(
    near: OpenAIBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    json = Server._json

    def told(self: Server, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = json(self, method, path, body)
        for choice in answer.get("choices") or []:
            likeliest = choice["logprobs"]["top_logprobs"][0] or {}
            top = [{"token": name, "logprob": told} for name, told in likeliest.items()]
            one = {"token": choice["text"], "logprob": -1.0, "top_logprobs": top}
            choice["logprobs"] = {"content": [one]}
        return answer

    monkeypatch.setattr(Server, "_json", told)
    meta = {"n_ctx": 96, "n_ctx_train": 512, "n_vocab": 200}
    card = near.models.cards["tiny"] | {"owned_by": "llamacpp", "meta": meta}
    card.pop("max_model_len", None)
    served = near.server.served(card)
    assert (served.likeliest, served.context_length, served.vocab_size) == (20, 96, 200)


def test_a_server_that_writes_one_text_at_a_time_is_asked_so(
    near: OpenAIBackends, far: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_program(monkeypatch, "me")
    monkeypatch.setattr(far, "settings", far.settings.changed(dialect="llama.cpp"))
    near.models.refresh()
    at_work, stream = threading.Semaphore(1), Server.stream

    def alone(self: Server, *given: Any) -> Iterator[dict[str, Any]]:
        assert at_work.acquire(blocking=False)
        try:
            yield from stream(self, *given)
        finally:
            at_work.release()

    monkeypatch.setattr(Server, "stream", alone)
    runs = near.open().submit_all(
        [asked("greedy", "top_k(5) | temperature(0.8) | sample", seed=seed) for seed in range(2)]
    )
    assert all(run.join(WAIT_S) and run.outcome == "done" and not run.error for run in runs)
    assert all(lane.error is None for run in runs for lane in run.comparison().lanes)


@pytest.mark.parametrize(
    "owner, dialect, recipe",
    [
        ("vllm", "vllm", "temperature(0.8) | top_k(40) | sample(2)"),
        ("llamacpp", "llama.cpp", "top_k(40) | temperature(0.8) | sample"),
        ("somebody", "openai", "temperature(0.8) | top_p(0.9) | sample"),
    ],
)
def test_other_programs_are_asked_by_their_own_fields(
    near: OpenAIBackends,
    far: Service,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    dialect: str,
    recipe: str,
) -> None:
    as_program(monkeypatch, owner)
    monkeypatch.setattr(far, "settings", far.settings.changed(dialect=dialect))
    near.models.refresh()
    (run,) = near.open().submit_all([asked("greedy", recipe)])
    assert run.join(WAIT_S) and run.error is None
    own = far.submit(asked("greedy", recipe))
    assert own.join(WAIT_S)
    got = run.comparison()
    assert texts(got) == texts(own.comparison())
    trace = got.lanes[1].trace
    assert trace.recipe == recipe and trace.stages == []  # what its steps left is not told
    step, true = trace.path()[3], own.comparison().lanes[1].trace.path()[3]
    assert step.raw_logprob == pytest.approx(true.raw_logprob, rel=1e-5)
    assert 0 < step.raw_entropy <= true.raw_entropy + 1e-6  # the least it can be
    assert near.refused["beam"].endswith("it serves the models here.")


def test_its_records_come_while_it_writes_and_it_can_be_ended(
    near: OpenAIBackends, far: Service
) -> None:
    backend = near.open()
    (run,) = backend.submit_all([asked("greedy", max_new_tokens=400, min_new_tokens=400)])
    feed, shown = RunEvents(run, run.comparison), ""
    while len(shown) < 5:
        run.wait(feed.version, WAIT_S)
        shown += "".join(d["text"] for n, d in events(feed.next().decode()) if n == "token")
    run.cancel()
    assert run.join(WAIT_S) and run.outcome == "cancelled"
    assert run.comparison().lanes[0].text.startswith(shown)
    assert freed(far.engine())  # it ended there, too
    assert backend.people == 0


def test_a_conversation_takes_the_server_s_template(near: OpenAIBackends, far: Service) -> None:
    request = asked("greedy", chat=True)
    (run,) = near.open().submit_all([request])
    own = far.submit(request)
    assert run.join(WAIT_S) and own.join(WAIT_S)
    assert texts(run.comparison()) == texts(own.comparison())


def test_a_prompt_is_told_and_scored(near: OpenAIBackends, far: Service) -> None:
    backend = near.open()
    assert [token.text for token in backend.tokens("abc")] == ["a", "b", "c"]
    (run,) = backend.submit_all([asked("greedy", max_new_tokens=0)])
    assert run.join(WAIT_S)
    backend.score(run)
    told = far.engine().prompt_logprobs(far.encode("abab"))
    assert [token.logprob for token in run.prompt_tokens] == pytest.approx(told)


@pytest.mark.parametrize(
    "field, more",
    [
        ("prefix", {"prefix": [3]}),
        ("alone", {"alone": True}),
        ("cache", {"cache": False}),
        ("prompt", {"prompt_ids": [3]}),
        ("prompt", {"prompt": ""}),
        ("recipes.0", {"recipes": ["manual"]}),
        ("recipes.0", {"recipes": ["sample(17)"]}),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(
    near: OpenAIBackends, field: str, more: dict[str, Any]
) -> None:
    backend, recipes = near.open(), more.pop("recipes", ["greedy"])
    with pytest.raises(FieldError) as error:
        backend.submit_all([asked(*recipes, **more)])
    assert error.value.field == field and len(error.value.message) > 20


def test_a_client_has_its_share(near: OpenAIBackends) -> None:
    backend = near.open()
    long = asked("greedy", client="me", max_new_tokens=400, min_new_tokens=400)
    runs = backend.submit_all([long]) + backend.submit_all([long])
    with pytest.raises(Busy):
        backend.submit_all([long])
    backend.close()
    assert all(run.join(WAIT_S) and run.outcome == "cancelled" for run in runs)
    assert "stopped" in str(runs[0].comparison().lanes[0].error)
    with pytest.raises(EngineClosed):
        backend.submit_all([asked("greedy")])


def test_a_server_that_fails_meanwhile_says_so_and_keeps_the_text(
    near: OpenAIBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, own = threading.Event(), Server.stream

    def stream(self: Server, *given: Any) -> Any:
        for count, chunk in enumerate(own(self, *given)):
            if count == 8:
                broken.set()
                raise ValueError("the line broke")
            yield chunk

    monkeypatch.setattr(Server, "stream", stream)
    (run,) = near.open().submit_all([asked("greedy", min_new_tokens=24)])
    assert run.join(WAIT_S) and broken.is_set() and run.outcome == "error"
    (lane,) = run.comparison().lanes
    assert lane.text and str(lane.error).endswith("failed: the line broke.")


def test_a_host_says_where_its_server_is_not() -> None:
    settings = Settings(**SETTINGS, engine_url="http://127.0.0.1:9")
    service = Service(settings)
    assert service.models.catalogue()[0].source == "server"  # the page is up
    with pytest.raises(ModelError) as error:
        service.backend()
    assert "cannot be reached" in str(error.value) and service.failure == str(error.value)
    service.close()


def test_the_page_s_service_knows_only_the_server_s_models(address: str) -> None:
    service = Service(Settings(**SETTINGS, engine_url=address))
    assert [entry.id for entry in service.models.catalogue()] == ["tiny"]
    assert service.running() is None
    backend = service.backend()
    assert service.running("tiny") is backend and service.engines == {}
    assert service.models.catalogue()[0].loaded
    with pytest.raises(ModelError, match="not offered here"):
        service.backend("gpt2")
    run = service.submit(asked("greedy"))
    assert run.join(WAIT_S)
    comparison = service.comparison(run.id)
    assert comparison is not None and service.context(comparison) is None
    with pytest.raises(ModelError, match="not served in this process"):
        service.engine()
    service.close()
