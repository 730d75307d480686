"""How undecided the model was while it wrote."""

from playground import metrics
from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class Entropy(Metric):
    info = MetricInfo(
        id="entropy",
        title="Entropy",
        summary="How undecided the raw model was, as a mean over the text's tokens.",
        formula=r"-\frac{1}{n} \sum_{t=1}^{n} \sum_{i} p(i \mid x_{<t}) \log p(i \mid x_{<t})",
        source="Shannon 1948",
        url="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
        more="has more entropy",
        less="has less entropy",
        unit="nats",
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return metrics.mean(sample.entropies)
