"""An anytime-valid interval: it covers the true share after every vote at once with 95 %.

An interval for a fixed number of votes, read after each one until it excludes a half, finds a
preference sooner or later where there is none. This one is the confidence sequence of Robbins'
(1970) mixture: the shares whose likelihood is above ``alpha`` times that of the mixture.
"""

from __future__ import annotations

import math
from functools import lru_cache

_PRIOR = 0.5  # of the mixture, Beta(1/2, 1/2): as good for one-sided as for even shares


@lru_cache(maxsize=4096)  # after a vote all pairs are computed, of which one has changed
def share(wins: int, losses: int, alpha: float) -> tuple[float, float]:
    """The bounds of the chance of a win, which hold after every vote with 1 - ``alpha``."""
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
