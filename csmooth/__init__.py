"""Smooth maxima of NumPy arrays, at the speed of one pass over memory."""

from . import grad, hvp, stream
from ._duality import conjugate, logsumexp_bounds
from ._reductions import boltzmann, logmeanexp, logsumexp, mellowmax, pmean, pnorm
from ._softmax import log_softmax, softmax
from ._stats import SmoothMaxStatsResult, smoothmax_stats
from ._version import __version__
from ._workers import set_workers
from .stream import Boltzmann, LogMeanExp, LogSumExp, PMean, PNorm, SmoothMaxStats

__all__ = [
    "Boltzmann",
    "LogMeanExp",
    "LogSumExp",
    "PMean",
    "PNorm",
    "SmoothMaxStats",
    "SmoothMaxStatsResult",
    "__version__",
    "boltzmann",
    "conjugate",
    "grad",
    "hvp",
    "log_softmax",
    "logmeanexp",
    "logsumexp",
    "logsumexp_bounds",
    "mellowmax",
    "pmean",
    "pnorm",
    "set_workers",
    "smoothmax_stats",
    "softmax",
    "stream",
]
