"""Whether a text is the expected one."""

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


class Exact(Metric):
    info = MetricInfo(
        id="exact",
        title="Exact match",
        summary="Share of the texts that are the expected one, but for space around them.",
        formula=r"[x = y]",
        source="Rajpurkar et al. 2016 (SQuAD)",
        url="https://arxiv.org/abs/1606.05250",
        more="gives the expected text more often",
        less="gives the expected text less often",
        unit="points",
        factor=100,
        better="more",
        expects=True,
    )

    class Params(metric.Params):
        ignore_case: bool = setting(False, "Whether capitals do not matter.")

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        if prompt.expected is None:
            return None
        found, wanted = sample.text.strip(), prompt.expected.strip()
        if self.params.ignore_case:
            found, wanted = found.casefold(), wanted.casefold()
        return float(found == wanted)
