"""Whether a text is JSON that keeps to a schema."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from time import monotonic
from typing import Any

from pydantic import field_validator

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample
from strategies.ops import expressions

_SECONDS = 0.5  # for one text; a schema may take for ever
_LONGEST = 50_000  # characters of a schema
_MOST_SLOW = 5  # texts for which it did, after which it is given up


class JsonSchema(Metric):
    info = MetricInfo(
        id="json_schema",
        title="Keeps to a schema",
        summary="Share of the texts that are JSON and keep to a JSON schema.",
        formula=r"[x \models S]",
        source="JSON Schema 2020-12; as the package jsonschema reads it",
        url="https://json-schema.org/draft/2020-12",
        more="keeps to the schema more often",
        less="keeps to the schema less often",
        unit="points",
        factor=100,
        better="more",
        expects=True,
    )

    class Params(metric.Params):
        json_schema: str = setting("", "The schema, as JSON; empty for what each prompt expects.")

        @field_validator("json_schema")
        @classmethod
        def _reads(cls, schema: str) -> str:
            if schema:
                validator(schema)
            return schema

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self._slow = 0

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        schema = self.params.json_schema or prompt.expected
        if schema is None or self._slow >= _MOST_SLOW:
            return None
        try:
            found = json.loads(sample.text)
        except (ValueError, RecursionError):
            return 0.0
        try:
            return float(keeps_to(schema, found))
        except TooSlow:
            self._slow += 1
            return None
        except ValueError:  # what a prompt expects is no schema
            return None


class TooSlow(ValueError):
    """A check took longer than ``_SECONDS``, as even a short schema may."""


def keeps_to(schema: str, found: Any) -> bool:
    """Whether a value keeps to a schema that is given as JSON.

    A schema may come from anyone: nothing is fetched for it, and it has ``_SECONDS``. Raises
    ``ValueError`` where it is no schema or refers to what is not in it, ``TooSlow`` past that time.
    """
    import jsonschema
    from referencing import Registry

    kind, read = validator(schema)
    end = monotonic() + _SECONDS

    def pattern(_: Any, expression: str, instance: Any, __: Any) -> Iterator[Any]:
        if not isinstance(instance, str):
            return
        left = max(0.01, end - monotonic())
        try:
            matched = expressions.read(expression).search(instance, timeout=left, concurrent=True)
        except TimeoutError:
            raise TooSlow(schema) from None
        if matched is None:
            yield jsonschema.ValidationError("the pattern does not match")

    def evolve(self: Any, **changes: Any) -> Any:
        """The validator of a subschema: bounded like the whole, whatever ``$schema`` it names."""
        if monotonic() > end:
            raise TooSlow(schema)
        part = changes.get("schema")
        if isinstance(part, Mapping):  # by its name another class would be taken
            changes["schema"] = {key: value for key, value in part.items() if key != "$schema"}
        return by_name(self, **changes)

    bounded = jsonschema.validators.extend(kind, {"pattern": pattern})
    by_name, bounded.evolve = bounded.evolve, evolve
    try:
        return bool(bounded(read, registry=Registry()).is_valid(found))
    except TooSlow:
        raise
    except Exception as error:  # the target of a reference was not checked as a schema
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"the schema cannot be followed: {reason}.") from None


@lru_cache(maxsize=64)
def validator(schema: str) -> tuple[Any, Any]:
    """The class that reads a schema, and the schema; ``ValueError`` where it is none."""
    import jsonschema  # slow to import; few experiments use it

    if len(schema) > _LONGEST:
        raise ValueError(f"the schema has more than {_LONGEST:,} characters.")
    try:
        read = json.loads(schema)
        if _has_key(read, "patternProperties"):
            raise ValueError("patternProperties is not read here")
        kind = jsonschema.validators.validator_for(
            {"$schema": str(read.get("$schema"))} if isinstance(read, Mapping) else {},
            default=jsonschema.Draft202012Validator,
        )
        kind.check_schema(read)
    except (ValueError, RecursionError, jsonschema.SchemaError) as error:
        raise ValueError(f"the schema cannot be read: {str(error).splitlines()[0]}.") from None
    return kind, read


def _has_key(value: Any, key: str) -> bool:
    if isinstance(value, Mapping):
        return key in value or any(_has_key(one, key) for one in value.values())
    return isinstance(value, list) and any(_has_key(one, key) for one in value)
