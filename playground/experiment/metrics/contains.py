"""Whether a text holds the expected one."""

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


class Contains(Metric):
    info = MetricInfo(
        id="contains",
        title="Contains",
        summary="Share of the texts that hold the expected one somewhere.",
        formula=r"[y \subseteq x]",
        source="Liang et al. 2022 (HELM, quasi-exact match and its relatives)",
        url="https://arxiv.org/abs/2211.09110",
        more="contains what is expected more often",
        less="contains what is expected less often",
        unit="points",
        factor=100,
        better="more",
        expects=True,
    )

    class Params(metric.Params):
        text: str = setting("", "What it must hold; empty for what each prompt expects.")
        ignore_case: bool = setting(True, "Whether capitals do not matter.")

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        wanted = self.params.text or prompt.expected
        if wanted is None:
            return None
        if self.params.ignore_case:
            return float(wanted.casefold() in sample.text.casefold())
        return float(wanted in sample.text)
