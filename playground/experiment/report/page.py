"""A report as one HTML file: no script, no request, readable in both themes and on a phone.

It is built as a tree of elements, so nothing of a model or a person is parsed as markup.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from playground.experiment.cells import Cell
from playground.experiment.report.content import Section, Table, heading, sections, title
from playground.experiment.report.plots import frontier, means
from playground.experiment.result import Result

MOST_PROMPTS = 20  # whose texts are shown
_CONTROL = {n: None for n in range(32) if n not in (9, 10)} | {0xFFFE: None, 0xFFFF: None}


def to_html(result: Result) -> str:
    root = Element("html", lang="en")
    head, body = SubElement(root, "head"), SubElement(root, "body")
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "meta", name="generator", content="Decoding playground")
    SubElement(head, "title").text = _plain(heading(result))
    SubElement(head, "style").text = style
    main = SubElement(body, "main")
    SubElement(main, "h1").text = _plain(heading(result))
    experiment = result.experiment
    SubElement(main, "p", {"class": "lead"}).text = (
        f"{result.facts.title}, {len(experiment.prompts):,} prompts × "
        f"{len(experiment.recipes):,} recipes × {len(experiment.seeds):,} seeds"
    )
    for section in sections(result):
        made = _section(main, section)
        if section.title == "Means":
            _plots(made, result)
        if section.title == "Pairs":
            _frontier(main, result)
    _texts(main, result)
    page = tostring(root, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(main: Element, section: Section) -> Element:
    made = SubElement(main, "section")
    SubElement(made, "h2").text = section.title
    for paragraph in section.paragraphs:
        SubElement(made, "p").text = _plain(paragraph)
    if section.points:
        points = SubElement(made, "ul")
        for point in section.points:
            SubElement(points, "li").text = _plain(point)
    if section.table is not None and section.table.rows:
        _table(made, section.table, section.title)
    if section.code is not None:
        SubElement(made, "pre", tabindex="0").text = _plain(section.code)
    return made


def _table(inside: Element, table: Table, name: str) -> None:
    scroll = SubElement(
        inside, "div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": name}
    )
    made = SubElement(scroll, "table")
    row = SubElement(SubElement(made, "thead"), "tr")
    for column, text in enumerate(table.header):
        kind = {"class": "number"} if column in table.numbers else {}
        SubElement(row, "th", {"scope": "col", **kind}).text = _plain(text)
    rows = SubElement(made, "tbody")
    for texts in table.rows:
        row = SubElement(rows, "tr")
        for column, text in enumerate(texts):
            kind = {"class": "number"} if column in table.numbers else {}
            cell = SubElement(row, "td", kind)
            first, *rest = _plain(text).split("\n")
            cell.text = first
            for line in rest:
                SubElement(cell, "br").tail = line


def _plots(inside: Element, result: Result) -> None:
    for metric in result.experiment.measured:
        plot = means(result, metric)
        if plot is not None:
            figure = SubElement(inside, "figure")
            SubElement(figure, "figcaption").text = f"{title(metric)}. {metric.info.summary}"
            figure.append(plot)


def _frontier(main: Element, result: Result) -> None:
    plot = frontier(result)
    if plot is None:
        return
    made = SubElement(main, "section")
    SubElement(made, "h2").text = "Quality and diversity"
    SubElement(made, "p").text = (
        "Where the means of each setting lie with 95 %. Grey are settings that another one beats "
        "on both axes, and those left out so that every sampler has as many tries as the others."
    )
    SubElement(made, "figure").append(plot)


def _texts(main: Element, result: Result) -> None:
    experiment = result.experiment
    made = SubElement(main, "section")
    SubElement(made, "h2").text = "Texts"
    seed = experiment.seeds[0]
    SubElement(made, "p").text = f"With the first seed, {seed}; the CSV file has all."
    for number, prompt in enumerate(experiment.prompts[:MOST_PROMPTS]):
        details = SubElement(made, "details")
        SubElement(details, "summary").text = _plain(prompt.name or prompt.text[:80])
        SubElement(details, "pre", {"class": "prompt", "tabindex": "0"}).text = _plain(prompt.text)
        for recipe in range(len(experiment.recipes)):
            sample = result.samples.get(Cell(number, recipe, 0))
            if sample is not None:
                SubElement(details, "h3").text = _plain(experiment.name(recipe))
                text = sample.error or sample.text
                SubElement(details, "pre", tabindex="0").text = _plain(text)


def _plain(text: str) -> str:
    """``text`` without the characters that an HTML file must not contain."""
    return text.translate(_CONTROL).encode("utf-8", "replace").decode()


@cache
def _style() -> str:
    return (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
