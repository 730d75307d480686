"""Choosing a model at the hub: its size, the progress of its download, and cancelling it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from playground.service import Service
from playground.settings import Settings
from tests.browser.acts import lane, run, steps, write, written
from tests.browser.conftest import Site, served
from tests.folders import VOCAB, saved
from tests.hub import Hub, serve
from tests.tiny import tiny_llama

ID = "someone/another"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub") / "another"
    with serve(Hub({ID: saved(tiny_llama(VOCAB, seed=5, context=256), folder)})) as running:
        yield running


@pytest.fixture(scope="module")
def choice(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page that offers a model of this hub, and lets visitors name any other."""
    home = tmp_path_factory.mktemp("home")
    folder = saved(tiny_llama(VOCAB, context=512), home / "tiny", chat=True)
    service = Service(
        Settings(
            model=str(folder), models=(ID,), hub=hub.url, hub_cache=home / "cache", threads=1,
            allow_any_model=True,
        )
    )  # fmt: skip
    service.engine()
    yield from served(service)
    service.close()


def type_model(page: Page, id: str) -> None:
    box = page.locator("#model input")
    box.click()
    box.fill(id)
    box.press("Enter")


def test_a_model_is_taken_once_a_person_knows_what_it_takes(visit, choice, hub: Hub):
    page = visit(choice.address)
    card, box, facts = page.locator(".taking"), page.locator("#model input"), page.locator("#facts")
    box.click()
    box.fill("anoth")  # the list is searched
    page.get_by_role("option", name="another").click()
    expect(card).to_contain_text(
        re.compile(r"not on this machine.*Download: \d+ kB.*Memory: \d+ kB")
    )
    expect(box).to_have_value("tiny")  # which serves until then
    assert hub.fetched("model.safetensors") == 0
    card.get_by_role("button", name="Not now").click()
    expect(card).to_be_hidden()

    hub.flowing.clear()
    type_model(page, ID)
    card.get_by_role("button", name=re.compile("^Download")).click()
    expect(card).to_contain_text(re.compile(r"\d+ kB of \d+ kB fetched"))
    expect(card.get_by_role("progressbar")).to_be_visible()
    run(page)  # the model that is there serves meanwhile
    expect(card).to_contain_text("fetched")
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_be_hidden()
    expect(box).to_have_value("tiny")
    hub.flowing.set()
    expect(facts).to_contain_text("parameters")

    type_model(page, ID)
    card.get_by_role("button", name=re.compile("^Download")).click()
    expect(box).to_have_value("another")
    expect(card).to_be_hidden()
    expect(page.locator("#chat")).to_be_hidden()  # it has no chat template
    run(page)
    expect(page.locator(".message:visible")).to_have_count(0)

    write(page, "A", "greedy")
    write(page, "B", 'model("tiny") | greedy')
    run(page)
    parted = re.compile(r"Parts from A at token \d+: tiny gave .*, and another")
    expect(lane(page, "B").locator(".strip")).to_contain_text(parted)
    assert len(set(page.locator(".lane:visible .tokens").all_inner_texts()[:2])) == 2
    write(page, "B", 'model("nothing") | greedy')
    page.locator("#run").click()
    expect(page.locator("#column-fault-1")).to_contain_text("no public model nothing")

    write(page, "A", "sample")
    write(page, "B", 'speculative(draft="model")')
    lane(page, "B").locator(".write").click()
    steps(page, "B").filter(has_text="speculative").click()  # once the line is taken
    drafts = lane(page, "B").locator(".controls").get_by_label("model", exact=True)
    drafts.click()
    page.get_by_role("option", name="tiny").click()
    expect(written(page, "B")).to_have_value('speculative(draft="model", model="tiny")')
    run(page)
    expect(lane(page, "B").locator(".figures")).to_contain_text("accepted")
    assert len(set(page.locator(".lane:visible .tokens").all_inner_texts()[:2])) == 1
    write(page, "B", "greedy")

    type_model(page, "nobody/nothing")
    expect(page.locator("#model-fault")).to_contain_text("no public model nobody/nothing")
    expect(box).to_have_value("another")
    expect(card).to_be_hidden()
