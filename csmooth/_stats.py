"""Several statistics of one array from one read of it."""

from __future__ import annotations  # signatures in help() as they are written here

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _reductions
from ._reductions import Task


class SmoothMaxStatsResult(NamedTuple):
    """What `smoothmax_stats` returns: scalars, or arrays of one shape.

    Examples
    --------
    >>> from csmooth import smoothmax_stats
    >>> top, _, _, mean = smoothmax_stats([[1, 2], [3, 5]], axis=1)
    >>> top - mean
    array([0.5, 1. ])
    """

    max: Any
    logsumexp: Any
    boltzmann: Any
    mean: Any


def smoothmax_stats(
    a: ArrayLike,
    alpha: ArrayLike = 1.0,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    workers: int | None = None,
) -> SmoothMaxStatsResult:
    r"""Maximum, log-sum-exp, Boltzmann operator and mean of one array, which is read from memory once.

    The first three have the bits of `logsumexp` with an infinite `alpha`, of `logsumexp` and of `boltzmann`. The mean
    is what `logmeanexp` gives for ``alpha=0``, in a tenth of its time; rarely the last bits differ. All have the same
    bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    alpha : float or array_like, optional
        Sharpness of `logsumexp` and `boltzmann`, not 0. An array must broadcast to the shape of `a` with the reduced
        axes of length 1, as ``alpha[:, np.newaxis]`` does for one value a row.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite. To the maximum weights only say which elements exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    SmoothMaxStatsResult
        A named tuple: `max`, `logsumexp`, `boltzmann`, `mean`. Each is a scalar or an array of the shape of `a` without
        the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where integers count as float64, and a
        Python number `b` not at all. NaN, and infinite elements, mean to each what they do to the function named above;
        where every element was left out the first two are -inf (the second inf for negative `alpha`), the others NaN.
        For arrays with a mask, masked arrays, masked where no element was left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, or a `where` that is not bool.
    ValueError
        For a reduction of no elements, shapes that do not broadcast, `alpha` equal to 0.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    See Also
    --------
    logsumexp, boltzmann, logmeanexp : each by itself, with bounds on its error.

    Notes
    -----
    The error of the mean :math:`M` stays within 1 ulp of the result times max(1, condition number), the latter being
    :math:`\sum_i |a_i| p_i / |M|` with :math:`p_i = |b_i| / |\sum_j b_j|`, and with weights
    :math:`\sum_i |a_i - M| p_i / |M|` more. Without weights :math:`\min a \le M \le \max a` holds in floating point.
    Sums overflow where elements exceed 1e308 divided by their number, as those of :func:`numpy.mean` do.

    Examples
    --------
    >>> from csmooth import smoothmax_stats
    >>> stats = smoothmax_stats([1, 2, 4])
    >>> stats.max, stats.mean
    (np.float64(4.0), np.float64(2.3333333333333335))
    >>> stats.logsumexp, stats.boltzmann
    (np.float64(4.169846019556286), np.float64(3.645579402828613))
    """
    if _arrays.any_lazy(a, alpha, b, where):
        from . import dask

        return SmoothMaxStatsResult(*dask.stats(a, alpha, axis, b, keepdims, where, workers))
    into = _arrays.operands("smoothmax_stats", a, axis, b, where, workers)
    _arrays.require_elements("smoothmax_stats", into)
    sharpness = _arrays.parameter("smoothmax_stats", "alpha", alpha, into)
    top, total, expected, mean = (_arrays.Output("smoothmax_stats", into, keepdims, None, sharpness) for _ in range(4))
    tasks = [
        Task("logsumexp", sharpness, total.array),  # the first, since it prefetches
        Task("boltzmann", sharpness, expected.array),
        Task("maximum", np.inf, top.array),
        Task("mean", 1.0, mean.array),  # these two take no parameter
    ]
    if into.plain:
        tasks[2:] = [Task("logsumexp", np.inf, top.array), Task("logmeanexp", 0.0, mean.array)]
    _reductions.reduce_together(tasks, into)
    for value in (expected, mean):
        empty = _reductions._blank(into, value)
    return SmoothMaxStatsResult(*(value.result(empty) for value in (top, total, expected, mean)))
