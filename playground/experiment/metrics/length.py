"""How long a text is."""

from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class Length(Metric):
    info = MetricInfo(
        id="length",
        title="Length",
        summary="Tokens of the text, the one that ends it included.",
        formula="n",
        source="A count",
        url="",
        more="writes more",
        less="writes less",
        unit="tokens",
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return float(len(sample.token_ids))
