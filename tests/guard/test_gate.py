"""Which hosts and origins are allowed, and the headers for browsers in every response."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from playground.guard import Gate, HostCheck, Refusal
from playground.settings import Settings


async def echo(request):
    body = await request.body()
    return JSONResponse({"read": len(body), "origin": request.headers.get("origin")})


async def broken(request):
    raise ValueError("the visitor's own words")


class Door:
    bytes_allowed = 1000

    def path(self, method, path):
        return None if path == "/page" else Refusal(404, "path", "Nothing here.")

    def visit(self, path, client):
        if client != "192.0.2.9":
            return None
        return Refusal(429, "client", "Come back later.", 7)

    def body(self, path, body):
        return Refusal(422, "body", "Not meant for the page.") if body == b"odd" else None


def client(**settings):
    paths = ("/page", "/api", "/api/run")
    app = Starlette(routes=[Route(path, echo, methods=["GET", "POST"]) for path in paths])
    app.router.routes.append(Route("/api/broken", broken))
    gate = Gate(app, Settings(**settings), Door(), {"/api"})
    return TestClient(gate, base_url="http://127.0.0.1:7860", raise_server_exceptions=False)


def test_a_rebound_name_is_refused_whatever_it_asks():
    asked = {"host": "play.example", "origin": "http://play.example"}
    for method, path in (("GET", "/page"), ("POST", "/page"), ("GET", "/api"), ("POST", "/api")):
        answer = client().request(method, path, headers=asked)
        assert answer.status_code == 421
        (told,) = answer.json()["detail"]
        assert told["loc"] == ["host"] and "play.example" in told["msg"]
        assert "PLAYGROUND_ALLOWED_HOSTS" in told["msg"]


def test_openais_clients_are_refused_in_their_own_form():
    answer = client().post("/v1/completions", headers={"host": "play.example"})
    assert answer.status_code == 421 and list(answer.json()) == ["error"]
    told = answer.json()["error"]
    assert "play.example" in told["message"] and told["code"] == "host"
    other = client().post("/v1x", headers={"host": "play.example"})
    assert list(other.json()) == ["detail"]


def test_a_client_is_turned_away_from_the_page_alone_and_told_for_how_long():
    away = {"x-forwarded-for": "192.0.2.9"}
    answer = client(proxies=1).get("/page", headers=away)
    assert answer.status_code == 429 and answer.headers["retry-after"] == "7"
    assert answer.json() == {"detail": [{"loc": ["client"], "msg": "Come back later."}]}
    for method, path, headers in (
        ("GET", "/api", away),
        ("POST", "/page", away),
        ("GET", "/page", {"x-forwarded-for": "192.0.2.8"}),
    ):
        assert client(proxies=1).request(method, path, headers=headers).status_code == 200
    assert client().get("/page", headers=away).status_code == 200  # its own word is not taken


@pytest.mark.parametrize(
    "host, settings, served",
    [
        ("127.0.0.1:7860", {}, True),
        ("LocalHost:7860", {}, True),
        ("playground.localhost", {}, True),
        ("[::1]:7860", {}, True),
        ("192.168.1.20:7860", {}, True),
        ("evil.example", {}, False),
        ("127.0.0.1.evil.example", {}, False),
        ("localhost.evil.example", {}, False),
        ("evil.example.", {}, False),
        ("lab3", {}, False),  # who listens on this machine alone is called by nobody else
        ("lab3:7860", {"host": "0.0.0.0"}, True),
        ("evil.example", {"host": "0.0.0.0"}, False),
        ("play.example:443", {"allowed_hosts": "play.example, *.lab.example"}, True),
        ("PLAY.example.", {"allowed_hosts": "play.example"}, True),
        ("gpu.lab.example", {"allowed_hosts": "*.lab.example"}, True),
        ("lab.example", {"allowed_hosts": "*.lab.example"}, False),
        ("evil-lab.example", {"allowed_hosts": "*.lab.example"}, False),
        ("evil.example", {"allowed_hosts": "*"}, True),
        ("me-play.hf.space", {"SYSTEM": "spaces", "SPACE_HOST": "me-play.hf.space"}, True),
        ("you-play.hf.space", {"SYSTEM": "spaces", "SPACE_HOST": "me-play.hf.space"}, False),
    ],
)
def test_the_names_a_server_answers_to(host, settings, served):
    answer = client(**settings).post("/page", headers={"host": host})
    assert answer.status_code == (200 if served else 421)


def test_the_machine_is_known_by_its_own_name(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Gpu3.cs.example")
    hosts = HostCheck(Settings())
    assert hosts.is_own_host("POST", {"host": "gpu3.cs.example:7860"})
    assert not hosts.is_own_host("POST", {"host": "gpu4.cs.example:7860"})


def test_on_a_space_a_probe_may_call_it_anything():
    space = client(SYSTEM="spaces", SPACE_HOST="me-play.hf.space")
    assert space.get("/page", headers={"host": "probe.internal"}).status_code == 200


@pytest.mark.parametrize(
    "headers, settings, allowed",
    [
        ({}, {}, True),  # no browser
        ({"origin": "http://127.0.0.1:7860"}, {}, True),
        ({"origin": "http://127.0.0.1:7861"}, {}, False),
        ({"origin": "http://localhost:7860"}, {}, False),
        ({"origin": "http://evil.example"}, {}, False),
        ({"origin": "null"}, {}, False),
        ({"sec-fetch-site": "cross-site"}, {}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://play.example"}, {}, True),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, {}, False),
        # A proxy that hides the name it was reached by: the host tells it, or the proxy.
        ({"origin": "https://play.example"}, {"allowed_hosts": "play.example"}, True),
        ({"origin": "https://evil.example"}, {"allowed_hosts": "play.example"}, False),
        ({"origin": "https://evil.example"}, {"allowed_hosts": "*"}, False),
        (
            {"origin": "https://play.example", "x-forwarded-host": "play.example"},
            {"proxies": 1},
            True,
        ),
        ({"origin": "https://evil.example", "x-forwarded-host": "evil.example"}, {}, False),
        (
            {"origin": "https://me-play.hf.space"},
            {"SYSTEM": "spaces", "SPACE_HOST": "me-play.hf.space"},
            True,
        ),
        ({"host": "play.example", "origin": "http://play.example:80"},
         {"allowed_hosts": "play.example"}, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/page", "/api/run"])
def test_the_pages_that_may_do_something(path, headers, settings, allowed):
    answer = client(**settings).post(path, headers=headers)
    assert answer.status_code == (200 if allowed else 403), answer.text
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if not allowed:
        assert answer.json()["detail"][0]["loc"] == ["origin"]


def test_a_foreign_page_may_neither_read_nor_bring_credentials():
    evil = {"host": "play.example", "origin": "http://evil.example"}
    host = client(allowed_hosts="play.example")
    ahead = {**evil, "access-control-request-method": "POST"}
    answers = [host.get("/page", headers=evil), host.post("/page", headers=evil)]
    answers += [host.options(path, headers=ahead) for path in ("/page", "/api")]
    assert [answer.status_code for answer in answers] == [200, 403, 403, 403]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answers[0].json()["origin"] is None  # so that nothing inside lets it in


def test_pages_that_the_host_names_may_use_the_api_alone():
    host = client(cors_origins="https://notes.example,https://*.school.example")
    for origin in ("https://notes.example", "https://a.school.example"):
        foreign = {"origin": origin}
        ahead = {**foreign, "access-control-request-method": "POST"}
        told = host.options("/api/run", headers=ahead)
        assert told.status_code == 204
        assert told.headers["access-control-allow-origin"] == origin
        assert "POST" in told.headers["access-control-allow-methods"]
        answer = host.post("/api/run", headers=foreign)
        assert answer.status_code == 200 and "Origin" in answer.headers["vary"]
        assert answer.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in answer.headers
        assert host.post("/page", headers=foreign).status_code == 403
    for origin in ("http://notes.example", "https://school.example", "null"):
        assert host.post("/api/run", headers={"origin": origin}).status_code == 403


def test_every_answer_says_how_it_may_be_used():
    for path in ("/page", "/nothing"):
        headers = client().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'self'"
        assert policy["object-src"] == "'none'" and "http" not in policy["connect-src"]


@pytest.mark.parametrize(
    "settings, frames",
    [
        ({"frame_ancestors": "https://course.example"}, "'self' https://course.example"),
        ({"frame_ancestors": "*"}, "*"),
        ({"SYSTEM": "spaces"}, "'self' https://huggingface.co https://*.hf.space"),
    ],
)
def test_who_may_frame_the_page(settings, frames):
    headers = client(**settings).get("/page").headers
    assert headers["content-security-policy"].endswith(f"; frame-ancestors {frames}")
    assert "x-frame-options" not in headers


def test_the_page_takes_what_its_door_takes():
    host = client()
    assert host.get("/upload").status_code == 404
    assert host.post("/page", content=b"odd").json()["detail"][0]["loc"] == ["body"]
    assert host.post("/page", content=b"x" * 1000).json()["read"] == 1000
    for long in (b"x" * 1001, iter([b"x" * 600] * 2)):  # declared, and not
        answer = host.post("/page", content=long)
        assert answer.status_code == 413 and "1,000 bytes" in answer.json()["detail"][0]["msg"]
    assert host.post("/api/run", content=b"x" * 2000).status_code == 200  # has bounds of its own


def test_what_nobody_foresaw_has_an_id_and_a_trace_without_words(caplog):
    with caplog.at_level(logging.ERROR):
        answer = client().get("/api/broken")
    assert answer.status_code == 500 and "words" not in answer.text
    (record,) = [r for r in caplog.records if r.name == "playground.guard.gate"]
    assert record.args[0] in json.dumps(answer.json())


def test_an_address_too_long_for_gradio_is_refused_with_a_sentence():
    assert client().get("/page?x=" + "x" * 30_000).status_code == 200
    answer = client().get("/page?x=" + "x" * 40_000)
    assert answer.status_code == 414 and "behind its question mark" in answer.text


def test_a_websocket_is_closed_before_anything_inside_sees_it():
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/page"):
        pass


@pytest.mark.parametrize(
    "sent, status",
    [
        ({}, 401),
        ({"authorization": "Basic " + base64.b64encode(b"any name:open sesame").decode()}, 200),
        ({"authorization": "Basic " + base64.b64encode(b"me:open").decode()}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Bearer open sesame"}, 200),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "open sesame"}, 401),
    ],
)
def test_a_password_is_asked_of_everybody(sent, status):
    for path in ("/page", "/api", "/api/run"):
        answer = client(password="open sesame").get(path, headers=sent)
        assert answer.status_code == status
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert "sesame" not in repr(Settings(password="open sesame"))


def test_a_watchdog_and_a_browsers_question_need_no_password():
    locked = client(password="p", cors_origins=["https://notes.example"])
    assert locked.get("/healthz").status_code == 404  # let in; there is none in this test
    asked = {"origin": "https://notes.example", "access-control-request-method": "POST"}
    assert locked.options("/api/run", headers=asked).status_code == 204
