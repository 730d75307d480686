"""The documentation of the HTTP API, in a browser."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from playground.api import application
from playground.guard import Gate
from playground.service import Service
from tests.api.asking import serving

expect.set_options(timeout=30_000)


def test_it_lists_every_route_and_runs_one_from_this_host_alone(
    browser: Browser, service: Service
) -> None:
    app = application(service)
    complaints: list[str] = []
    with serving(Gate(app, service.settings, api={"/api", "/healthz"})) as address:
        page = browser.new_page(color_scheme="dark")
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith((address, "data:"))
                else None
            ),
        )
        page.goto(f"{address}/api/docs")
        for path, methods in app.openapi()["paths"].items():
            expect(page.locator(f"[data-path='{path}']")).to_have_count(len(methods))
            expect(page.locator(f"[data-path='{path}']").first).to_be_visible()
        page.locator("[data-path='/api/compare']").click()
        page.get_by_role("button", name="Execute").click()
        answer = page.locator(".live-responses-table")
        expect(answer.locator("tbody .response-col_status").first).to_contain_text("200")
        expect(answer).to_contain_text("finish_reason")
        expect(page.locator("html.dark-mode")).to_have_count(1)
        page.context.close()
    assert complaints == []
