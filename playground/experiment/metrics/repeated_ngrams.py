"""How much of a text repeats what it had before."""

from playground import metrics
from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


class RepeatedNgrams(Metric):
    info = MetricInfo(
        id="repeated_ngrams",
        title="Repeated n-grams",
        summary="Runs of n tokens that the text already had, as a share of all in it.",
        formula=r"1 - \frac{|\mathrm{set}(n\text{-grams})|}{|n\text{-grams}|}",
        source="Welleck et al. 2019 (seq-rep-n)",
        url="https://arxiv.org/abs/1908.04319",
        more="repeats more",
        less="repeats less",
        unit="points",
        factor=100,
        better="less",
    )

    class Params(metric.Params):
        n: int = setting(4, "Tokens in a row.", ge=1, le=10)

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return metrics.repeated(sample.token_ids, self.params.n)
