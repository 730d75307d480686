"""How fast a text was written, next to the others of its batch."""

from playground.experiment.metric import Metric, MetricInfo
from playground.experiment.sample import Prompt, Sample


class TokensPerSecond(Metric):
    info = MetricInfo(
        id="tokens_per_second",
        title="Tokens per second",
        summary="Tokens of this text per second after its first, in one batch with the others.",
        formula=r"\frac{n - 1}{t_n - t_1}",
        source="A clock; differs from run to run, and with the size of the batch",
        url="",
        more="is faster",
        less="is slower",
        unit="tokens/s",
        better="more",
        ratio=True,
        repeatable=False,
    )

    def value(self, sample: Sample, prompt: Prompt) -> float | None:
        return sample.tokens_per_second
