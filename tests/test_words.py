"""A visitor's words are never in what the server prints or stores, whatever goes wrong."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings

import httpx
import pytest

from playground import redaction
from tests.folders import VOCAB, saved
from tests.test_app import started
from tests.tiny import tiny_llama

WORD = "Zwetschgenmus"

# The program, changed so that every function that is given the word raises an error that quotes it.
FAILING = f"""
import logging, runpy, threading, warnings
import strategies.processors.min_p, playground.service

WORD = {WORD[::-1]!r}[::-1]  # a traceback shows the lines of this program, and they quote nobody

def fails(self, scores, rows):
    raise ValueError(WORD)

strategies.processors.min_p.MinP.__call__ = fails

def quotes(method):
    def failing(self, *given, **named):
        if "unforeseen" in repr(given):
            warnings.warn(WORD)
            logging.getLogger("some.library").warning(WORD)
            logging.getLogger("some.library").error("it is %s", WORD)
            threading.Thread(target=fails, args=(1, 2, 3)).start()
            try:
                raise KeyError(WORD)
            except KeyError as error:
                raise ExceptionGroup(WORD, [RuntimeError(repr(given))]) from error
        return method(self, *given, **named)
    return failing

for name in ("submit_all", "preview", "tokens", "comparison"):
    setattr(playground.service.Service, name, quotes(getattr(playground.service.Service, name)))
runpy.run_path("app.py", run_name="__main__")
"""


def asked(client, prompt=f"I like {WORD}"):
    """Send requests over HTTP with the word in every field that may hold it."""
    body = {"prompt": prompt, "recipes": ["greedy"], "max_new_tokens": 2}
    recipes = [
        f"bad_words(['{WORD}']) | greedy", f"guidance(2, negative_prompt='{WORD}') | greedy",
        f"constrained('{WORD}') | greedy", f"constrained('({WORD}') | greedy",
        f"constrained(json_schema='{{\"const\": \"{WORD}\"}}') | greedy",
        f"constrained(json_schema='{{{WORD}') | greedy", f"logit_bias({{'{WORD}': 3}}) | greedy",
        "min_p(0.1) | sample", f"{WORD}(3) | greedy", f"top_k({WORD}=3) | greedy", f"{WORD}",
    ]  # fmt: skip
    changes = [{}, *({"recipes": [recipe]} for recipe in recipes)]
    changes += [{"stop": [WORD]}, {"stop": [WORD * 100]}, {"model": WORD}, {WORD: 1}]
    changes += [{"prompt": f"unforeseen {WORD}"}, {"prompt": WORD * 9000}, {"seed": WORD}]
    changes += [{"recipes": [{"steps": [{"strategy": WORD, "params": {WORD: WORD}}]}]}]
    for change in changes:
        for stream in (False, True):
            client.post("/api/compare", json={**body, "stream": stream, **change})
    client.post(f"/api/generate?q={WORD}", content=f'{{"{WORD}')
    client.get(f"/api/{WORD}", headers={"host": f"{WORD}.example"})
    client.get(f"/{WORD}?prompt={WORD}&model={WORD}")


def clicked(client, text):
    """Call every event of the page, and every function of its elements, with ``text`` as input."""
    config = client.get("/config").json()
    for event in config["dependencies"]:
        body = {"fn_index": event["id"], "data": [text] * len(event["inputs"])}
        body |= {"session_hash": f"s{event['id']}", "event_data": {"lane": 0, "data": [text]}}
        if not event["backend_fn"]:
            continue
        if event["queue"] is False:
            client.post("/gradio_api/run/predict", json=body)
        elif client.post("/gradio_api/queue/join", json=body).status_code == 200:
            session = {"session_hash": body["session_hash"]}
            client.get("/gradio_api/queue/data", params=session)
    for part in config["components"]:
        for name in part["props"].get("server_fns") or ():
            body = {"component_id": part["id"], "fn_name": name, "session_hash": "s"}
            for data in (text, {"prompt": text, "model": None, "chat": False, "seed": 0,
                                "least": 0, "tokens": 3, "recipes": {"0": text}}):  # fmt: skip
                client.post("/gradio_api/component_server/", json={**body, "data": data})


def test_no_word_of_a_visitor_is_printed_or_kept(tmp_path):
    folder = str(saved(tiny_llama(VOCAB, context=512), tmp_path / "tiny"))
    kept = tmp_path / "tmp"
    kept.mkdir()
    where = {"TMPDIR": str(kept), "GRADIO_TEMP_DIR": str(kept / "gradio")}
    where |= {"PLAYGROUND_ALLOW_ANY_MODEL": "1", "PLAYGROUND_HUB": "http://127.0.0.1:9"}
    where |= {"PLAYGROUND_HUB_TIMEOUT_S": "1", "PLAYGROUND_HUB_CACHE": str(tmp_path / "hub")}
    where |= {"PLAYGROUND_MODEL": folder, "PLAYGROUND_MODELS": folder}
    log = tmp_path / "log"  # a pipe that nobody reads would halt the server
    with log.open("w") as file, started("-c", FAILING, stderr=file, **where) as running:
        process, address, _ = running
        with httpx.Client(base_url=address, timeout=60) as client:
            asked(client)
            clicked(client, WORD)
            clicked(client, f"unforeseen {WORD}")
            assert client.get("/healthz").json()["status"] == "ok"
        process.terminate()
        out, _ = process.communicate(timeout=60)
    errors = log.read_text()
    events = [json.loads(line)["event"] for line in errors.splitlines() if line.startswith("{")]
    # The test can fail: each of these quotes the word where it is raised.
    assert "min_p | sample failed" in events and "an event of the page failed" in events
    assert any(event.startswith("unforeseen error") for event in events)
    assert any("(some.library, " in event for event in events)
    assert any(event.startswith("UserWarning at ") for event in events)
    assert any(event.startswith("a thread (Thread) ended") for event in events)
    assert [line for line in (out + errors).splitlines() if WORD.lower() in line.lower()] == []
    for file in kept.rglob("*"):
        assert WORD not in file.name
        assert not file.is_file() or WORD.encode() not in file.read_bytes()


@pytest.fixture
def redacted(caplog):
    made, unraisable = logging.getLogRecordFactory(), sys.unraisablehook
    hook, shown = threading.excepthook, warnings.showwarning
    redaction.redact()
    yield caplog
    logging.setLogRecordFactory(made)
    sys.unraisablehook, threading.excepthook, warnings.showwarning = unraisable, hook, shown


def test_of_another_librarys_message_the_place_is_told(redacted):
    other = logging.getLogger("some.library")
    other.warning(f"not found: {WORD}")
    other.warning("not found: %s", WORD)
    try:
        raise ValueError(WORD)
    except ValueError:
        other.exception("failed")
    assert WORD not in redacted.text
    first, second, third = redacted.messages
    assert first.startswith("a message (some.library, test_words.py:")
    assert second.startswith("not found: %s (some.library, test_words.py:")
    assert third.startswith("a message (some") and "ValueError" in redacted.text
    logging.getLogger("playground.models").warning("our own %s", "stays")
    assert redacted.messages[-1] == "our own stays"


def test_a_trace_names_kinds_and_places_of_all_that_led_to_it():
    try:
        try:
            raise KeyError(WORD)
        except KeyError as error:
            raise ExceptionGroup(WORD, [ValueError(WORD)]) from error
    except ExceptionGroup as error:
        told = redaction.trace(error)
    assert WORD not in told and told.count("test_words.py") == 2
    kinds = [line for line in told.splitlines() if not line.startswith(" ")]
    assert kinds == ["KeyError", "ExceptionGroup", "ValueError"]
