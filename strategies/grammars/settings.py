"""What a text keeps to, as a person writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from ..base import Params, setting
from .choices import of_choices
from .context_free import of_grammar
from .grammar import Grammar
from .regex import of_regex
from .schema import of_schema

Choice = Annotated[str, Field(min_length=1, max_length=1_000)]

_READ: dict[str, Callable[[Any], Grammar]] = {
    "regex": of_regex,
    "json_schema": lambda schema: of_schema(schema, 0),
    "grammar": of_grammar,
    "choices": of_choices,
}


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

    grammar: str = setting(
        "",
        "A context-free grammar of the whole text: GBNF, as llama.cpp has it, or Lark, of which "
        "each quoted text or expression takes as much as it can; empty asks for nothing.",
        max_length=8_000,
        examples=["", 'root ::= "(" root ")" | [a-z]', 'start: item ("," item)*\nitem: /[a-z]+/'],
    )
    choices: tuple[Choice, ...] = setting(
        (),
        "Texts of which one is written, as it stands, spaces included; none asks for nothing.",
        max_length=100,
    )

    @field_validator("json_schema", mode="before")
    @classmethod
    def _written(cls, schema: Any) -> Any:
        """A schema that is not a text yet, as one."""
        return json.dumps(schema, ensure_ascii=False) if isinstance(schema, Mapping) else schema

    @field_validator("regex", "json_schema", "grammar", "choices")
    @classmethod
    def _read(cls, value: Any, field: ValidationInfo) -> Any:
        if value:
            _READ[str(field.field_name)](value)
        return value

    def given(self) -> list[str]:
        """The names of the settings that ask for something."""
        return [name for name in _READ if getattr(self, name)]

    def read(self) -> Grammar:
        """What is asked for; ``ValueError`` where that is not one thing."""
        given = self.given()
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given)} are given; give one of them.")
        if self.json_schema:
            return of_schema(self.json_schema, self.whitespace)
        return _READ[given[0]](getattr(self, given[0]))
