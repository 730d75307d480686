"""How many of a text's n-grams are different ones."""

from playground import metrics
from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


class DistinctN(Metric):
    info = MetricInfo(
        id="distinct_n",
        title="Distinct n-grams",
        summary="Different runs of n tokens, as a share of all in the text.",
        formula=r"\frac{|\mathrm{set}(n\text{-grams})|}{|n\text{-grams}|}",
        source="Li et al. 2016",
        url="https://arxiv.org/abs/1510.03055",
        more="has more distinct n-grams",
        less="has fewer distinct n-grams",
        unit="points",
        factor=100,
        better="more",
    )

    class Params(metric.Params):
        n: int = setting(2, "Tokens in a row.", ge=1, le=10)

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return metrics.distinct(sample.token_ids, self.params.n)
