"""An interval that may be looked at after every vote: it holds the truth at all of them with 95 %.

An interval of a fixed number of votes, looked at until it excludes a half, finds a preference
sooner or later where there is none. This one is the confidence sequence of Robbins' (1970) mixture:
of the shares that are no less likely, by a factor of 1 / alpha, than all shares mixed.
"""

from __future__ import annotations

import math
from functools import lru_cache

_PRIOR = 0.5  # of the mixture, Beta(1/2, 1/2): as good for one-sided as for even shares


@lru_cache(maxsize=4096)  # after a vote it is asked for all pairs, of which one has changed
def share(wins: int, losses: int, alpha: float) -> tuple[float, float]:
    """Where the chance of a win lies, at every number of votes at once, but for ``alpha``."""
    if wins + losses == 0:
        return 0.0, 1.0
    from scipy import optimize

    mixed = _log_beta(_PRIOR + wins, _PRIOR + losses) - _log_beta(_PRIOR, _PRIOR)

    def beyond(p: float) -> float:
        """Above 0 where the share ``p`` is out of the interval."""
        against = mixed - wins * math.log(p) - losses * math.log1p(-p)
        return against + math.log(alpha)

    tiny = 1e-12
    middle = min(max(wins / (wins + losses), tiny), 1 - tiny)
    low = 0.0 if wins == 0 else float(optimize.brentq(beyond, tiny, middle))
    high = 1.0 if losses == 0 else float(optimize.brentq(beyond, middle, 1 - tiny))
    return low, high


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
