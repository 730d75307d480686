"""The real page over a tiny random model, in the Chromium that is installed here."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from playground.api import routes
from playground.service import Service
from playground.settings import Settings
from playground.ui import build, recorded, serve
from playground.ui.serving import Served
from tests.folders import VOCAB, saved
from tests.tiny import tiny_llama
from tests.traces import COLUMNS, comparison

FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SLOW_MS = 30_000  # a shared machine may be ten times slower than a quiet one


@dataclass(frozen=True)
class Site:
    """A page that is being served, and the service behind it."""

    address: str
    service: Service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None and os.environ.get("PLAYGROUND_REQUIRE_BROWSER") != "1":
        for item in items:
            if "tests/browser" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="no chromium on the PATH"))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A random Llama over bytes, and the address of a hub that does not answer."""
    folder = saved(
        tiny_llama(VOCAB, context=512), tmp_path_factory.mktemp("models") / "tiny", chat=True
    )
    made = Service(
        Settings(
            model=str(folder),
            models=("gpt2",),
            hub="http://127.0.0.1:9",
            hub_timeout_s=1,
            threads=1,
            experiment_store=tmp_path_factory.mktemp("experiments") / "store.sqlite",
            history_file=tmp_path_factory.mktemp("history") / "history.sqlite",
        )
    )
    made.engine()
    yield made
    made.close()


def free_port() -> int:
    """A free port; Gradio's own search leaves a socket open at every taken one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _launched(service: Service) -> Served:
    """Build in a running loop: without one, Gradio makes loops that nothing closes."""
    return serve(build(service), service, routes(service), port=free_port())


def served(service: Service) -> Iterator[Site]:
    """The page over this service; closed when the loop over it goes on."""
    with ThreadPoolExecutor(1) as apart:  # this thread's loop is Playwright's
        found = apart.submit(lambda: asyncio.run(_launched(service))).result()
    yield Site(found.address, service)
    found.close()


@pytest.fixture(scope="session")
def site(service: Service) -> Iterator[Site]:
    yield from served(service)


@pytest.fixture
def unhurried(site: Site, monkeypatch: pytest.MonkeyPatch) -> Semaphore:
    """Steps so slow that a long run outlasts the slowest browser, but for those it releases."""
    forward, released = site.service.engine().forward, Semaphore(0)
    decode = forward.decode

    def slowly(*what: Any, **how: Any) -> Any:
        released.acquire(timeout=0.1)
        return decode(*what, **how)

    monkeypatch.setattr(forward, "decode", slowly)
    return released


@pytest.fixture(scope="session")
def hostile_site(service: Service) -> Iterator[Site]:
    """The page, opening with a run whose text would be markup and code if not escaped."""
    run = comparison(COLUMNS, length=48, run=recorded.ID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "recorded", lambda: run)
        yield from served(service)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser, closed after the last test: Playwright's loop runs in this thread until then."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="package")
def warm(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser that has the page's scripts, compiled; everything else is forgotten."""
    context = browser.new_context()
    context.new_page()  # which stays, so that the context can be told to forget
    yield context
    context.close()


def forget(context: BrowserContext, addresses: Iterable[str]) -> None:
    """Close all pages but the first, and leave nothing that they kept."""
    first, *opened = context.pages
    for page in opened:
        page.close()
    context.clear_cookies()
    context.clear_permissions()
    session = context.new_cdp_session(first)
    for address in addresses:
        origin = "/".join(address.split("/")[:3])
        session.send(
            "Storage.clearDataForOrigin",
            {"origin": origin, "storageTypes": "cookies,local_storage,indexeddb,cache_storage"},
        )
    session.detach()


@pytest.fixture
def visit(browser: Browser, warm: BrowserContext) -> Iterator[Callable[..., Page]]:
    """Open an address, each time as somebody else.

    An error on the console, or a request to another host, fails the test.
    """
    faults: list[str] = []
    contexts: list[BrowserContext] = []
    addresses: list[str] = []

    def open_page(address: str, *, width: int = 1440, scheme: str = "light") -> Page:
        if addresses:
            contexts.append(browser.new_context())
        page = (contexts[-1] if addresses else warm).new_page()
        addresses.append(address)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(SLOW_MS)
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: faults.append(r.url) if _outside(r.url, address) else None)
        page.goto(address)
        page.wait_for_selector("#facts .status:has-text('parameters')")
        page.wait_for_selector("#inspector .title:has-text('No run'), #inspector .rows .line")
        return page

    yield open_page
    for context in contexts:
        context.close()
    forget(warm, addresses)
    assert faults == []


def _outside(url: str, address: str) -> bool:
    host = re.split("[?#]", address)[0]
    return not url.startswith((host, host.replace("http", "ws"), "data:", "blob:"))


@pytest.fixture
def page(visit: Callable[..., Page], site: Site) -> Page:
    return visit(site.address)
