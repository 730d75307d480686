"""Whether a text is JSON."""

import json
from typing import Any

from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class JsonValid(Metric):
    info = MetricInfo(
        id="json_valid",
        title="Valid JSON",
        summary="Share of the texts that are one JSON value, but for space around it.",
        formula=r"[x \in \mathrm{JSON}]",
        source="RFC 8259",
        url="https://www.rfc-editor.org/rfc/rfc8259",
        more="writes valid JSON more often",
        less="writes valid JSON less often",
        unit="points",
        factor=100,
        better="more",
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        try:
            json.loads(sample.text, parse_constant=_refused)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")  # Python reads NaN and Infinity
