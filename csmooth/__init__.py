"""Smooth maxima of NumPy arrays, at the speed of one pass over memory."""

from ._reductions import boltzmann, logmeanexp, logsumexp, mellowmax
from ._softmax import log_softmax, softmax
from ._version import __version__

__all__ = ["__version__", "boltzmann", "log_softmax", "logmeanexp", "logsumexp", "mellowmax", "softmax"]
