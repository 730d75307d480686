"""Forms that settings share: how a text is read, and what is said of one that has another form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _address(value: str) -> str:
    if not re.match(r"https?://[^/]+", value):
        raise ValueError("an address that begins with https:// or http://")
    return value.rstrip("/")


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not re.fullmatch(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*", name, re.ASCII):
            raise ValueError("names such as play.example or *.play.example, without a port")
    return tuple(name.lower() for name in value)


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"\*|null|https?://(\*\.)?[\w.-]+(:\d+)?", origin, re.ASCII):
            raise ValueError("origins such as https://notes.example, without a path")
    return tuple(origin.lower() for origin in value)


def _cluster(value: str) -> str:
    if not re.fullmatch(r"auto|local:[1-9]\d?|[\w./:-]+:\d+", value):
        raise ValueError("auto, an address such as 10.0.0.1:6379, or local: and a number")
    return value


def _between(value: str) -> str:
    found = re.fullmatch(r"([1-9]\d{0,3})(?:-([1-9]\d{0,3}))?", value)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise ValueError("a number such as 2, or two such as 1-4")
    return value


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise ValueError("auto, cpu, mps, cuda, or cuda: and a number")
    return value


def _rates(value: str) -> str:
    if value == "0":
        return ""
    if value:
        from limits import parse_many  # costs what few hosts use

        try:
            amounts = [limit.amount for limit in parse_many(value)]
        except ValueError:
            amounts = [0]
        if not min(amounts):
            raise ValueError("a number of requests per time, such as 60/minute or 5/second")
    return value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
HostNames = Annotated[Listed, AfterValidator(_host_names)]
Origins = Annotated[Listed, AfterValidator(_origins)]
Address = Annotated[str, AfterValidator(_address)]
Cluster = Annotated[str, AfterValidator(_cluster)]
Between = Annotated[str, AfterValidator(_between)]
Device = Annotated[str, AfterValidator(_device)]
Rates = Annotated[str, AfterValidator(_rates)]
Place = Annotated[Path, AfterValidator(Path.expanduser)]
