"""How surprising a text is to the model that wrote it."""

from playground import metrics
from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class Perplexity(Metric):
    info = MetricInfo(
        id="perplexity",
        title="Perplexity",
        summary="How surprising the text is to the raw model, whatever the recipe made of it.",
        formula=r"\exp\left(-\frac{1}{n} \sum_{t=1}^{n} \log p(x_t \mid x_{<t})\right)",
        source="Jelinek, Mercer, Bahl & Baker 1977",
        url="https://doi.org/10.1121/1.2016299",
        more="has a higher perplexity",
        less="has a lower perplexity",
        ratio=True,
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return metrics.perplexity(sample.logprobs)
