"""Whether a text came to its own end."""

from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class Ended(Metric):
    info = MetricInfo(
        id="ended",
        title="Ended by itself",
        summary="Share of the texts that ended with a token or a stop string, not at the limit.",
        formula=r"[x_n \in \mathrm{EOS}]",
        source="Holtzman et al. 2019, whose beams and greedy texts often do not",
        url="https://arxiv.org/abs/1904.09751",
        more="ends by itself more often",
        less="ends by itself less often",
        unit="points",
        factor=100,
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return float(sample.finish_reason in ("eos", "stop"))
