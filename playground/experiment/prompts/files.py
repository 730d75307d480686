"""Prompts from files: CSV with a header, JSON lines, or plain text by lines or paragraphs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from playground.experiment.sample import Prompt

_TEXT = ("text", "prompt", "input", "question")  # names of the prompt's column
_EXPECTED = ("expected", "answer", "output", "target")
_NAME = ("name", "id", "title")
MOST_BYTES = 16 << 20
FORMS = ("auto", "lines", "paragraphs", "csv", "jsonl")


class PromptsError(ValueError):
    """Why prompts cannot be read, with the line."""


def read(file: Path | str) -> list[Prompt]:
    """The prompts of a .csv, .jsonl, .ndjson or .txt file. Raises ``PromptsError``."""
    file = Path(file)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise PromptsError(f"{file} is larger than {MOST_BYTES:,} bytes.")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PromptsError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise PromptsError(f"{file} is no text in UTF-8.") from None
    readers = {".csv": from_csv, ".jsonl": from_jsonl, ".ndjson": from_jsonl, ".txt": from_lines}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise PromptsError(f"{file.name} ends in none of {', '.join(readers)}.")
    try:
        return reader(text)
    except PromptsError as error:
        raise PromptsError(f"{file.name}: {error}") from None


def from_csv(text: str) -> list[Prompt]:
    """One prompt for each row; the header has text, expected and name, or common synonyms."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in rows.fieldnames or ()]
        rows.fieldnames = header
        if not any(name in header for name in _TEXT):
            raise PromptsError(
                f"the first line names no column {' or '.join(_TEXT)}; it has "
                f"{', '.join(header) or 'nothing'}."
            )
        return _prompts((rows.line_num, row) for row in rows)
    except csv.Error as error:
        raise PromptsError(f"after line {rows.line_num}: {error}.") from None


def from_jsonl(text: str) -> list[Prompt]:
    """One prompt for each line: a JSON string, or an object with text, expected and name."""

    def rows() -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise PromptsError(f"line {number} is no JSON: {error}.") from None
                yield number, {"text": found} if isinstance(found, str) else found

    return _prompts(rows())


def from_lines(text: str) -> list[Prompt]:
    """One prompt for each line; empty lines are left out."""
    return _prompts((n, {"text": line}) for n, line in enumerate(text.splitlines(), 1) if line)


def from_text(text: str, form: str = "auto") -> list[Prompt]:
    """Prompts as they were typed or pasted; ``form`` is one of ``FORMS``.

    ``auto`` recognises JSON lines and CSV with a known header, and else reads one prompt from each
    line. Raises ``PromptsError``.
    """
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise PromptsError(f"the prompts have more than {MOST_BYTES:,} bytes.")
    readers = {
        "auto": _reader(text),
        "lines": from_lines,
        "paragraphs": from_paragraphs,
        "csv": from_csv,
        "jsonl": from_jsonl,
    }
    reader = readers.get(form)
    if reader is None:
        raise PromptsError(f"{form!r} is none of {', '.join(FORMS)}.")
    return reader(text.removeprefix("\ufeff"))


def from_paragraphs(text: str) -> list[Prompt]:
    """One prompt for each paragraph; empty lines separate them."""
    found, line = [], 1
    for part in re.split(r"(\n[ \t]*(?:\n[ \t]*)+)", text.replace("\r\n", "\n")):
        if part.strip():
            found.append((line, {"text": part.strip("\n")}))
        line += part.count("\n")
    return _prompts(found)


def _reader(text: str) -> Callable[[str], list[Prompt]]:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if first.startswith("{") or (first.startswith('"') and first.endswith('"')):
        return from_jsonl
    header = [name.strip().strip('"').lower() for name in first.lstrip("\ufeff").split(",")]
    known = {*_TEXT, *_EXPECTED, *_NAME}
    return from_csv if set(header) <= known and set(header) & set(_TEXT) else from_lines


def _prompts(rows: Iterable[tuple[int, Any]]) -> list[Prompt]:
    found = []
    for number, row in rows:
        if not isinstance(row, Mapping):
            raise PromptsError(f"line {number} is neither a text nor an object.")
        given = {
            "text": _first(row, _TEXT),
            "expected": _first(row, _EXPECTED),
            "name": _first(row, _NAME) or "",
        }
        for name, value in given.items():
            if value is not None and not isinstance(value, str):  # a schema, a number
                given[name] = json.dumps(value, ensure_ascii=False)
        try:
            found.append(Prompt.model_validate(given))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            fault = "is missing or empty" if field == "text" else first["msg"].lower()
            raise PromptsError(f"line {number}: {field} {fault}.") from None
    if not found:
        raise PromptsError("there is no prompt in it.")
    return found


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The value of the first of these columns that exists; None where it is empty or missing."""
    found = next((row[name] for name in names if name in row), None)
    return None if found == "" else found
