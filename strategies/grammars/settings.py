"""What a text keeps to, as a person writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo, field_validator

from ..base import Params, setting
from .grammar import Grammar
from .regex import of_regex
from .schema import of_schema


class Constraint(Params):
    """One of these, or none; each is read when it is given, and refused where it is no such thing.

    Whether it can be followed within bounds is found out later, with the tokens of a model.
    """

    regex: str = setting(
        "",
        "A regular expression for the whole text, without look-around; empty asks for nothing.",
        max_length=4_000,
        examples=["", "[0-9]+|none"],
    )
    json_schema: str = setting(
        "",
        "A JSON schema the text must be valid for; empty asks for nothing.",
        max_length=8_000,
        examples=["", '{"type": "array", "items": {"type": "boolean"}}'],
    )
    whitespace: int = setting(
        1,
        "The longest white space between two parts of the JSON, in characters; 0 has none.",
        usual=(0, 20),
        step=1,
        ge=0,
        le=100,
    )

    @field_validator("json_schema", mode="before")
    @classmethod
    def _written(cls, schema: Any) -> Any:
        """A schema that is not a text yet, as one."""
        return json.dumps(schema, ensure_ascii=False) if isinstance(schema, Mapping) else schema

    @field_validator("regex", "json_schema")
    @classmethod
    def _read(cls, text: str, field: ValidationInfo) -> str:
        if text:
            of_regex(text) if field.field_name == "regex" else of_schema(text, 0)
        return text

    def given(self) -> list[str]:
        """The names of the settings that ask for something."""
        return [name for name in ("regex", "json_schema") if getattr(self, name)]

    def grammar(self) -> Grammar:
        """Of the one that is given; ``ValueError`` where there are several."""
        given = self.given()
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; give one of them.")
        return of_regex(self.regex) if self.regex else of_schema(self.json_schema, self.whitespace)
