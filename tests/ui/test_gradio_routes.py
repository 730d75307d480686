"""Which of Gradio's routes are served, and which request bodies are let through to them."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from gradio.routes import App
from starlette.testclient import TestClient

from playground.guard import Gate
from playground.service import Service
from playground.settings import Settings
from playground.ui import build, gradio_compat
from playground.ui.gradio_routes import PageRoutes


@pytest.fixture(scope="module")
def page():
    settings = Settings(model="gpt2", models=["gpt2"], hub="http://127.0.0.1:9")

    async def built():
        """In a running loop: without one, Gradio makes loops that nothing closes."""
        found = build(Service(settings))
        found.app = App.create_app(found)
        return found

    return asyncio.run(built())


@pytest.fixture(scope="module")
def client(page):
    return behind(page, Settings())


def behind(page, settings):
    """A client of the page, whose addresses are those that a proxy tells where there is one."""
    gate = Gate(page.app, settings, PageRoutes(page, Service(settings)))
    return TestClient(gate, base_url="http://127.0.0.1:7860", raise_server_exceptions=False)


def test_an_address_may_load_the_page_so_often_and_no_more(page):
    client = behind(page, Settings(proxies=1, page_rate="3/minute"))

    def loaded(path, address="192.0.2.9"):
        return client.get(path, headers={"x-forwarded-for": address})

    assert [loaded(path).status_code for path in ("/config", "/config/", "/config")] == [200] * 3
    refused = loaded("/")
    assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 60
    (told,) = refused.json()["detail"]
    assert told["loc"] == ["client"] and "3 requests per minute" in told["msg"]
    assert loaded("/config", "192.0.2.8").status_code == 200  # another address
    assert loaded("/config", "127.0.0.1").status_code == 200  # this machine
    assert loaded("/gradio_api/app_id").status_code == 200  # what belongs to a page that is loaded


def test_a_class_behind_one_address_loads_it_as_often_as_it_likes(page):
    door = PageRoutes(page, Service(Settings()))
    loads = ["/", "/config"] * 5 * 30  # thirty people, who reload it five times in a minute
    assert {door.visit(path, "192.0.2.9") for path in loads} == {None}
    refusal = door.visit("/", "192.0.2.9")
    assert refusal is not None and refusal.status == 429


@pytest.mark.parametrize(
    "path",
    [
        "upload", "upload/", "upload_progress?upload_id=1", "process_recording", "vibe-edit",
        "vibe-code/", "vibe-starter-queries", "undo-vibe-edit", "call/predict", "call/v2/predict",
        "api/predict", "run/other", "proxy=https://a.hf.space/", "file=/etc/hostname",
        "file=README.md", "file/README.md", "stream/1", "stream/a/b/1/playlist.m3u8",
        "custom_component/1/a/b/c", "run-history/connect", "run-history/records", "deep_link",
        "call/predict/1", "mcp", "openapi.json", "token", "../login",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD"])
def test_what_the_page_does_not_use_is_not_there(client, method, path):
    answer = client.request(method, f"/gradio_api/{path}", content=b'{"data": []}')
    assert answer.status_code == 404


def test_what_the_page_uses_is_there_in_its_own_method_alone(client):
    for path in ("/config", "/gradio_api/app_id"):
        assert client.get(path).status_code == 200
        assert client.post(path).status_code == 405
    assert client.get("/gradio_api/queue/join").status_code == 405
    assert client.get("/monitoring").status_code == client.post("/login").status_code == 404


def test_a_file_is_nowhere_taken(client, tmp_path):
    files = {"files": ("a.bin", b"x" * 100_000)}
    for path in ("upload", "component_server", "queue/join", "run/predict"):
        answer = client.post(f"/gradio_api/{path}", files=files)
        assert answer.status_code in (404, 422)


@pytest.mark.parametrize("path", ["queue/join", "run/predict", "component_server", "cancel"])
def test_what_is_longer_than_any_event_of_the_page_is_not_read(client, path):
    body = json.dumps({"data": ["x" * 5_000_000], "fn_index": 0, "session_hash": "a"})
    assert client.post(f"/gradio_api/{path}", content=body).status_code == 413


EVENT = {"fn_index": 0, "session_hash": "abc", "data": []}
FUNCTION = {"component_id": 0, "fn_name": "preview", "session_hash": "abc", "data": {}}


@pytest.mark.parametrize(
    "path, body, status, field",
    [
        *(
            (path, EVENT | change, status, field)
            for path in ("queue/join", "run/predict")
            for change, status, field in [
                ({"fn_index": 9999}, 404, "fn_index"),
                ({"fn_index": "0"}, 404, "fn_index"),
                ({"fn_index": None}, 404, "fn_index"),
                ({"data": [1] * 400}, 422, "data"),
                ({"data": {}}, 422, "data"),
                ({"session_hash": None}, 422, "session_hash"),
                ({"session_hash": "x" * 65}, 422, "session_hash"),
                ({"session_hash": ["a"]}, 422, "session_hash"),
            ]
        ),
        ("component_server", FUNCTION | {"component_id": 10**9}, 404, "component_id"),
        ("component_server", FUNCTION | {"component_id": "1"}, 404, "component_id"),
        ("component_server", FUNCTION | {"fn_name": "__init__"}, 404, "component_id"),
        ("component_server", FUNCTION | {"fn_name": 1}, 404, "component_id"),
        ("queue/join", [], 422, "body"),
    ],
)
def test_an_id_that_the_page_does_not_have_is_told_so(client, path, body, status, field, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.post(f"/gradio_api/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"][0]["loc"] == [field]
    assert caplog.records == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5000 + b"1"])
def test_a_body_that_is_no_json_is_told_so(client, body):
    assert client.post("/gradio_api/queue/join", content=body).status_code == 422


def test_a_function_of_an_element_is_known_by_its_number(page, client):
    found = [part for part in page.blocks.values() if gradio_compat.answers(part, "preview")]
    assert len(found) == 1, (
        "Gradio marks the functions that an element's code may call otherwise than before: "
        "the page's previews would be refused"
    )
    body = FUNCTION | {"component_id": found[0]._id, "data": {"prompt": 1}}
    answer = client.post("/gradio_api/component_server", json=body)
    assert answer.status_code == 200 and "fault" in answer.json()


@pytest.mark.parametrize("half", ["a\\ud83d b", "\\uDE00"])
def test_half_a_character_reaches_the_field_that_says_so(page, client, half):
    (found,) = [part for part in page.blocks.values() if gradio_compat.answers(part, "preview")]
    body = json.dumps(FUNCTION | {"component_id": found._id, "data": {"prompt": "HALF"}})
    body = body.replace("HALF", half)
    answer = client.post("/gradio_api/component_server", content=body.encode())
    assert answer.status_code == 200 and "fault" in answer.json(), answer.text
    deep = b'{"a":"\\ud83d","b":' + b"[" * 100_000
    assert client.post("/gradio_api/queue/join", content=deep).status_code == 422


def test_a_session_may_have_events_of_its_own(page):
    page.app.state_holder["mine"].blocks_config.fns[77_777] = next(iter(page.fns.values()))
    assert 77_777 in gradio_compat.functions(page, "mine"), (
        "Gradio keeps what gr.render adds to a session elsewhere than before: recipes that were "
        "edited would be refused"
    )
    assert 77_777 not in gradio_compat.functions(page, "other")
    assert "other" not in page.app.state_holder.session_data
