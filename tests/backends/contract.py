"""What the service may expect of a backend, whatever serves the model: one class of tests for all.

A subclass has a fixture ``backend``, which serves the tiny model of ``tests.backends.tiny_model``.
``reference`` is an engine of this process with the same weights: both write the same texts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.api.events import RunEvents
from playground.backends import Backend
from playground.engine import Busy, Engine, FieldError, Limits, Request
from playground.engine.request import Cancelled, ScoreRequest
from playground.models import load_folder
from playground.settings import Settings
from playground.trace import Comparison
from strategies import Recipe
from tests.api.asking import events
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama

WAIT_S = 60.0
RECIPES = (
    "greedy",
    "temperature(0.9) | top_p(0.95) | sample(3)",
    "mirostat_v2(3.0) | sample",
    "beam(3)",
)
SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "dtype": "float32",
    "threads": 1,
    "models": (),
    "max_rows": 24,
    "max_new_tokens": 400,
    "max_prompt_chars": 600,
    "max_client_runs": 2,
    "trace_steps": False,
}


def tiny_model(folder: Path) -> Path:
    """A random model of bytes, saved there, whose name is that of the folder."""
    return saved(tiny_llama(VOCAB, context=512), folder, chat=True)


def asked(*recipes: str, **more: Any) -> Request:
    given = {"prompt": "abab", "max_new_tokens": 24, "seed": 7, **more}
    return Request(recipes=[Recipe.parse(recipe) for recipe in recipes or RECIPES], **given)


def written(comparison: Comparison) -> list[Any]:
    """The results of a run that must not depend on where it was written."""
    return [
        [(o.text, o.token_ids, o.finish_reason, o.sample) for o in lane.trace.outputs]
        + [(s.token, s.parent, s.raw_logprob, s.candidates.ids) for s in lane.trace.path()]
        for lane in comparison.lanes
    ]


class BackendContract:
    """The tests; ``backend`` and ``folder``, that of the model, are fixtures of a subclass."""

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, folder: Path) -> Iterator[Engine]:
        limits = Limits(new_tokens=400, columns=8)
        engine = Engine(load_folder(folder, Settings(**SETTINGS)), limits=limits, rows=24)
        yield engine
        engine.close()

    @pytest.fixture
    def expected(self, reference: Engine) -> Any:
        def write(request: Request) -> list[Any]:
            run = reference.submit(request)
            reference.drive(run)
            return written(run.comparison())

        return write

    def test_a_run_is_followed_while_it_is_written(self, backend: Backend, expected: Any) -> None:
        request = asked()
        (run,) = backend.submit_all([request])
        woken = threading.Event()
        with run.subscribe(woken.set):
            assert run.join(WAIT_S)
        assert woken.is_set() and run.outcome == "done" and run.error is None
        comparison = run.comparison()
        assert Comparison.from_json(comparison.to_json()).id == run.id
        assert written(comparison) == expected(request)
        assert comparison.model.id == backend.facts.id
        assert [lane.recipe for lane in comparison.lanes] == list(RECIPES)
        assert run.first_token is not None and comparison.timings.prefill > 0

    def test_records_come_before_the_end(self, backend: Backend) -> None:
        (run,) = backend.submit_all([asked("greedy", max_new_tokens=200, min_new_tokens=200)])
        version, seen = -1, set()
        while not run.done:
            version = run.wait(version, WAIT_S)
            seen.add(len(run.views[0].path()))
        assert len(seen) > 2 and max(seen) == 200

    def test_its_events_add_up_to_its_texts(self, backend: Backend) -> None:
        (run,) = backend.submit_all([asked("greedy", "beam(2)", stop=["zz"])])
        feed, texts = RunEvents(run, run.comparison), ["", ""]
        ids: list[list[str]] = [[], []]
        while not feed.over:
            run.wait(feed.version, WAIT_S)
            for name, data in events(feed.next().decode()):
                if name == "rewind":
                    del ids[data["lane"]][data["length"] :]
                elif name == "token":
                    ids[data["lane"]].append(data["text"])
                else:
                    texts[data["lane"]] = data["text"]
        assert ["".join(one) for one in ids] == texts
        assert texts == [lane.text for lane in run.comparison().lanes]

    def test_a_cancelled_run_keeps_what_it_has(self, backend: Backend) -> None:
        (run,) = backend.submit_all([asked("greedy", max_new_tokens=400, min_new_tokens=400)])
        version = -1
        while not run.views[0].path():
            version = run.wait(version, WAIT_S)
        run.cancel()
        assert run.join(WAIT_S) and run.outcome == "cancelled"
        (lane,) = run.comparison().lanes
        assert lane.finish_reason == "cancelled"
        assert 0 < len(lane.token_ids) < 400
        (after,) = backend.submit_all([asked("greedy")])
        assert after.join(WAIT_S) and after.outcome == "done"

    def test_what_cannot_be_run_names_its_field(self, backend: Backend) -> None:
        for field, request in [
            ("prompt", asked(prompt="a" * 601)),
            ("prompt", asked(prompt="é" * 300)),
            ("max_new_tokens", asked(max_new_tokens=401)),
            ("recipes.1", asked("greedy", 'json("{}") | sample'.replace("json", "constrained"))),
        ]:
            with pytest.raises(FieldError) as refused:
                backend.submit_all([asked("greedy"), request])
            assert refused.value.field.startswith(field) and refused.value.number == 1
        assert backend.people == 0

    def test_a_client_has_its_share_and_no_more(self, backend: Backend) -> None:
        long = asked("greedy", client="me", max_new_tokens=400, min_new_tokens=400)
        first = backend.submit_all([long]) + backend.submit_all([long])
        with pytest.raises(Busy) as refused:
            backend.submit_all([long])
        assert "2 of your runs" in refused.value.message and refused.value.retry_after_s >= 1
        for run in first:
            run.cancel()
        assert all(run.join(WAIT_S) for run in first)

    def test_nothing_is_written_where_no_token_is_asked(
        self, backend: Backend, reference: Engine
    ) -> None:
        (run,) = backend.submit_all([asked("greedy", max_new_tokens=0)])
        assert run.join(WAIT_S)
        backend.score(run)
        told = reference.prompt_logprobs(run.prompt_ids)
        assert [token.logprob for token in run.prompt_tokens] == pytest.approx(told)
        scores = backend.prompt_scores(run, 2)
        assert scores[0] is None and [len(s.likeliest) for s in scores if s] == [2, 2, 2]

    def test_a_text_is_scored(self, backend: Backend, reference: Engine) -> None:
        given = ScoreRequest(
            prompt="ab", text="cd", recipes=[Recipe.parse("greedy"), Recipe.parse("sample")]
        )
        found = backend.score_text(given, lambda: False)
        assert found == reference.score_text(given)
        with pytest.raises(Cancelled):
            backend.score_text(given, lambda: True)
        with pytest.raises(FieldError) as refused:
            backend.score_text(given.model_copy(update={"text": ""}), lambda: False)
        assert refused.value.field == "text"

    def test_a_preview_waits_for_the_prompt(self, backend: Backend, expected: Any) -> None:
        request = asked("greedy", "mirostat_v2 | sample", prompt="preview", max_new_tokens=1)
        told = backend.preview(request)
        for _ in range(300):
            if told is not None:
                break
            backend.prefetch("preview")
            threading.Event().wait(0.1)
            told = backend.preview(request)
        assert told is not None
        first = [lane[-1] for lane in expected(request)]
        assert [one.token for one in told if not isinstance(one, str)] == [one[0] for one in first]

    def test_texts_and_tokens(self, backend: Backend, reference: Engine) -> None:
        assert backend.tokens("ab<|im_end|>", split=True) == reference.tokens(
            "ab<|im_end|>", False, True
        )
        assert backend.tokens("ab", chat=True) == reference.tokens("ab", True)
        assert backend.control_tokens("a<|im_end|>") == ["<|im_end|>"]
        ids = backend.encode("abc")
        assert ids == reference.builder.encoder.text("abc") and len(ids) == 3
        assert [token.text for token in backend.decode(ids)] == ["a", "b", "c"]
        assert backend.pieces(ids) == reference.pieces(ids)
        with pytest.raises(FieldError):
            backend.decode([10_000])
        talk = [{"role": "user", "content": "hi"}]
        assert backend.conversation(talk) == reference.builder.encoder.conversation(talk)
        assert backend.context(9).vocab_size == VOCAB
        assert backend.tokenizer.eos_token == "<|endoftext|>"
        assert backend.generation_config.to_diff_dict()["eos_token_id"]
        (run,) = backend.submit_all([asked("greedy", max_new_tokens=4)])
        assert run.join(WAIT_S)
        path = run.views[0].path()
        assert backend.edited(path, "") == (0, [])

    def test_it_tells_what_it_is_and_how_it_fares(
        self, backend: Backend, reference: Engine
    ) -> None:
        same = {"id", "title", "architecture", "parameters", "vocab_size", "dtype", "device"}
        assert backend.facts.model_dump(include=same) == reference.model.facts.model_dump(
            include=same
        )
        assert backend.context_length == reference.context_length
        health = backend.health()
        assert health.alive and not health.why
        assert sum(load.rows for load in health.loads) >= 24
        assert all(load.model_bytes > 0 for load in health.loads)


class ClosingContract:
    """The test that leaves a backend closed; its fixture ``backend`` is for this alone."""

    def test_closed_it_ends_every_run_and_says_why(self, backend: Backend) -> None:
        (run,) = backend.submit_all([asked("greedy", max_new_tokens=400, min_new_tokens=400)])
        version = -1
        while not run.views[0].path():
            version = run.wait(version, WAIT_S)
        backend.close()
        assert run.join(WAIT_S) and run.outcome == "cancelled"
        assert "stopped" in str(run.comparison().lanes[0].error)
        with pytest.raises(RuntimeError):
            backend.submit_all([asked("greedy")])
