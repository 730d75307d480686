"""Whether a text is JSON that keeps to a schema."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import field_validator

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


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

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        schema = self.params.json_schema or prompt.expected
        if schema is None:
            return None
        try:
            found = json.loads(sample.text)
        except (ValueError, RecursionError):
            return 0.0
        return float(validator(schema).is_valid(found))


@cache
def validator(schema: str) -> Any:
    """The validator of a schema that is given as JSON; ``ValueError`` where it is none."""
    import jsonschema  # costs what few experiments use

    try:
        read = json.loads(schema)
        kind = jsonschema.validators.validator_for(
            read if isinstance(read, Mapping) else {}, default=jsonschema.Draft202012Validator
        )
        kind.check_schema(read)
    except (ValueError, jsonschema.SchemaError) as error:
        raise ValueError(f"the schema cannot be read: {str(error).splitlines()[0]}.") from None
    return kind(read)
