"""How far texts can be compressed, which measures repetition of any kind."""

import zlib
from collections.abc import Sequence
from typing import Literal

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample


class CompressionRatio(Metric):
    info = MetricInfo(
        id="compression_ratio",
        title="Compression ratio",
        summary="Bytes of the text over its bytes after compression: high where it repeats itself.",
        formula=r"\frac{|x|}{|\mathrm{deflate}(x)|}",
        source="Shaib et al. 2024",
        url="https://arxiv.org/abs/2403.00553",
        more="can be compressed further",
        less="can be compressed less far",
        better="less",
        ratio=True,
    )

    class Params(metric.Params):
        over: Literal["text", "seeds"] = setting(
            "text", "Each text by itself, or the texts of all seeds after a prompt together."
        )

    def values(self, samples: Sequence[Sample], prompt: Prompt) -> list[float | None]:
        if self.params.over == "text":
            return [compressed(sample.text) for sample in samples]
        whole = compressed("\n".join(sample.text for sample in samples))
        return [whole for _ in samples]


def compressed(text: str) -> float | None:
    """Bytes in UTF-8 over those of DEFLATE (RFC 1951) without a header; None of no text."""
    given = text.encode(errors="surrogatepass")
    packer = zlib.compressobj(9, wbits=-15)
    return len(given) / len(packer.compress(given) + packer.flush()) if given else None
