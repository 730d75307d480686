"""Whether a text matches an expression."""

from typing import Any

from pydantic import field_validator

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample
from strategies.ops.expressions import read

_SECONDS = 0.5  # for one text; an expression may take for ever
_MOST_SLOW = 5  # texts for which it did, after which it is given up


class Regex(Metric):
    info = MetricInfo(
        id="regex",
        title="Matches an expression",
        summary="Share of the texts in which a regular expression is found.",
        formula=r"[x \in L(r)]",
        source="Thompson 1968; as the package regex reads it",
        url="https://doi.org/10.1145/363347.363387",
        more="matches more often",
        less="matches less often",
        unit="points",
        factor=100,
        better="more",
        expects=True,
    )

    class Params(metric.Params):
        pattern: str = setting("", "The expression; empty for what each prompt expects.")
        whole: bool = setting(False, "Whether the whole text must match, but for space around it.")

        @field_validator("pattern")
        @classmethod
        def _compiles(cls, pattern: str) -> str:
            read(pattern)
            return pattern

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self._slow = 0

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        pattern = self.params.pattern or prompt.expected
        if pattern is None or self._slow >= _MOST_SLOW:
            return None
        try:
            compiled = read(pattern)
            match = compiled.fullmatch if self.params.whole else compiled.search
            text = sample.text.strip() if self.params.whole else sample.text
            return float(match(text, timeout=_SECONDS, concurrent=True) is not None)
        except ValueError:  # what a prompt expects is no expression
            return None
        except TimeoutError:
            self._slow += 1
            return None
