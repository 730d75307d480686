"""How much the texts of several seeds resemble each other."""

import math
from collections import Counter
from collections.abc import Sequence

from playground.experiment import metric
from playground.experiment.metric import Metric, MetricInfo, setting
from playground.experiment.sample import Prompt, Sample

_SMOOTHING = 0.1  # matches counted where there is none: method 1 of Chen & Cherry 2014


class SelfBleu(Metric):
    info = MetricInfo(
        id="self_bleu",
        title="Self-BLEU",
        summary="How much a text resembles those that the other seeds wrote after its prompt.",
        formula=r"\mathrm{BLEU}(x_s, \{x_r : r \neq s\})",
        source="Zhu et al. 2018 (Texygen)",
        url="https://arxiv.org/abs/1802.01886",
        more="writes more alike",
        less="writes less alike",
        unit="points",
        factor=100,
        better="less",
    )

    class Params(metric.Params):
        n: int = setting(4, "Longest runs of tokens that are compared.", ge=1, le=8)

    def values(self, samples: Sequence[Sample], prompt: Prompt) -> list[float | None]:
        texts = [sample.token_ids for sample in samples]
        if len(texts) < 2:
            return [None] * len(texts)
        grams = [[_grams(text, n) for n in range(1, self.params.n + 1)] for text in texts]
        lengths = [len(text) for text in texts]
        return [
            bleu(
                grams[i],
                lengths[i],
                grams[:i] + grams[i + 1 :],
                lengths[:i] + lengths[i + 1 :],
            )
            for i in range(len(texts))
        ]


def bleu(
    grams: Sequence[Counter[tuple[int, ...]]],
    length: int,
    others: Sequence[Sequence[Counter[tuple[int, ...]]]],
    lengths: Sequence[int],
) -> float | None:
    """BLEU (Papineni et al. 2002) of a text's n-grams, by n from 1, against those of others.

    With method 1 of Chen & Cherry 2014, as in nltk; None for a text without a token.
    """
    if not length:
        return None
    logs = []
    for n, own in enumerate(grams):
        matched = sum(
            min(count, max(other[n][gram] for other in others)) for gram, count in own.items()
        )
        if not matched and n == 0:
            return 0.0
        logs.append(math.log((matched or _SMOOTHING) / max(1, own.total())))
    closest = min(lengths, key=lambda other: (abs(other - length), other))
    brevity = 1.0 if length > closest else math.exp(1 - closest / length)
    return brevity * math.exp(math.fsum(logs) / len(logs))


def _grams(tokens: Sequence[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
