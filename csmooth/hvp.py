"""Hessian-vector products: `csmooth.hvp.logsumexp(a, v)` and its like take the arguments of `csmooth.grad` and v.

Each is a few passes over arrays as large as `a`, since the Hessians are diagonal but for products of gradients. With
the softmax p (of weighted elements), E the mean under p and c = a - B:

    logsumexp, logmeanexp   alpha * p * (v - E[v])
    boltzmann               alpha * p * ((v - E[v]) * (2 + alpha * c) - alpha * E[c * v])

and with the value N, r = abs(a) / N and the gradient g

    pnorm                   (p - 1) / N * (b * r**(p - 2) * v - g * sum(g * v))
    pmean                   the same with b / sum(b) for b

Where gradients are subgradients, at infinities and for infinite parameters, products are 0; so they are, for pnorm and
pmean, at elements equal to 0.
"""

from __future__ import annotations  # signatures in help() as they are written here

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _reductions, grad

__all__ = ["boltzmann", "logmeanexp", "logsumexp", "mellowmax", "pmean", "pnorm"]

Axis = int | tuple[int, ...] | None


def logsumexp(
    a: ArrayLike,
    v: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 1.0,
    initial: float | None = None,
    where: ArrayLike = True,
) -> Any:
    r"""Hessian of `csmooth.logsumexp` times a vector: :math:`α p_i (v_i - \sum_j p_j v_j)`.

    Parameters
    ----------
    a, axis, b, alpha, initial, where
        As for `csmooth.grad.logsumexp`.
    v : array_like
        Real numbers that broadcast to the shape of `a`.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a`; of the dtype that NumPy gives `a`, `b` and `v` together, where integers count as float64.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.grad.logsumexp`, and for a `v` that is not real or does not broadcast.

    Notes
    -----
    Memory for two arrays like `a`. The error is that of the softmax times :math:`|v_i - E[v]|`, and that of the mean
    :math:`E[v]`, 2 ulp of :math:`\sum_j p_j |v_j|`.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.logsumexp([1, 2, 3], [1, 0, 0])
    array([ 0.08192507, -0.02203304, -0.05989202])
    """
    _, p = grad.logsumexp(a, axis, b, alpha=alpha, initial=initial, where=where)
    return _of_shares("logsumexp", p, v, axis, alpha, complete=initial is None)


def logmeanexp(
    a: ArrayLike,
    v: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    *,
    alpha: ArrayLike = 1.0,
    where: ArrayLike = True,
) -> Any:
    r"""Hessian of `csmooth.logmeanexp` times a vector: :math:`α p_i (v_i - \sum_j p_j v_j)`.

    Parameters, results, errors and accuracy are those of `csmooth.hvp.logsumexp`.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.logmeanexp([1, 2, 3], [1, 0, 0], alpha=0)
    array([0., 0., 0.])
    """
    _, p = grad.logmeanexp(a, axis, b, alpha=alpha, where=where)
    return _of_shares("logmeanexp", p, v, axis, alpha)


mellowmax = logmeanexp


def boltzmann(
    a: ArrayLike,
    v: ArrayLike,
    alpha: ArrayLike = 1.0,
    axis: Axis = None,
    b: ArrayLike | None = None,
    *,
    where: ArrayLike = True,
) -> Any:
    r"""Hessian of `csmooth.boltzmann` times a vector: :math:`α p_i ((v_i - E[v]) (2 + α c_i) - α E[c v])`, c = a - B.

    Parameters, results and errors are those of `csmooth.hvp.logsumexp`.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.boltzmann([0.0, 0.0], [1, -1])
    array([ 1., -1.])
    """
    value, _ = grad.boltzmann(a, alpha, axis, b, keepdims=True, where=where)
    _, p = grad.logsumexp(a, axis, b, alpha=_nonzero(alpha), where=where)
    x, v = np.asarray(a), _vector("boltzmann", p, v)
    sharpness = _finite(alpha)
    with np.errstate(all="ignore"):
        c = np.where(np.equal(p, 0) | ~np.isfinite(value), 0, x - value)
        mean = _mean(p, v, axis)
        tilt = _mean(p, c * v, axis)
        c *= sharpness
        c += 2
        c *= v - mean
        c -= sharpness * tilt
        c *= p
        c *= sharpness
    return _settled(c, p, np.isfinite(value))


def pnorm(
    a: ArrayLike,
    v: ArrayLike,
    p: ArrayLike = 2.0,
    axis: Axis = None,
    b: ArrayLike | None = None,
    *,
    where: ArrayLike = True,
) -> Any:
    r"""Hessian of `csmooth.pnorm` times a vector: :math:`\frac{p-1}{N} (b_i r_i^{p-2} v_i - g_i \sum_j g_j v_j)`.

    With r = abs(a) / N and the gradient g. Parameters, results and errors are those of `csmooth.hvp.logsumexp`.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.pnorm([3, -4], [1, 0])
    array([0.128, 0.096])
    """
    value, g = grad.pnorm(a, p, axis, b, keepdims=True, where=where)
    return _of_powers("pnorm", a, v, p, axis, value, g)


def pmean(
    a: ArrayLike,
    v: ArrayLike,
    p: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    *,
    where: ArrayLike = True,
) -> Any:
    r"""Hessian of `csmooth.pmean` times a vector: :math:`\frac{p-1}{M} (q_i r_i^{p-2} v_i - g_i \sum_j g_j v_j)`.

    With r = a / M, the gradient g and the shares q of weights. Parameters, results and errors are those of
    `csmooth.hvp.logsumexp`.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.pmean([1, 4], [1, 0], 0)
    array([-0.5  ,  0.125])
    """
    value, g = grad.pmean(a, p, axis, b, keepdims=True, where=where)
    return _of_powers("pmean", a, v, p, axis, value, g)


def _vector(function: str, like: Any, v: ArrayLike) -> NDArray[Any]:
    """v, of the shape of the gradient."""
    array = np.asarray(v)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{function}: v has dtype {array.dtype}; it must be real")
    try:
        return np.broadcast_to(array, np.shape(like))
    except ValueError:
        raise ValueError(
            f"{function}: v of shape {array.shape} does not broadcast to the shape of a, {np.shape(like)}"
        ) from None


def _mean(p: Any, x: NDArray[Any], axis: Axis) -> Any:
    """The mean of x with the weights p, in the canonical order, with the reduced axes of length 1."""
    into = _arrays.operands("boltzmann", x, axis, np.asarray(p), True)
    mean = _arrays.Output("boltzmann", into, True, None, None)
    _reductions.reduce("boltzmann", into, 0.0, None, mean.array)
    return mean.result()


def _finite(parameter: ArrayLike) -> NDArray[np.float64]:
    """The parameter, but 0 where it is infinite and the function has no curvature."""
    array = np.asarray(parameter, np.float64)
    return np.where(np.isinf(array), 0, array)


def _nonzero(alpha: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(alpha, np.float64)
    return np.where(array == 0, 2.0**-1000, array)


def _settled(product: NDArray[Any], like: Any, curved: Any = True) -> Any:
    """A product as the caller gets it: 0 where there is no curvature, masked as the gradient is."""
    product = np.where(curved, product, 0) + 0.0  # no -0.0
    mask = np.ma.getmask(like)
    return product[()] if mask is np.ma.nomask else np.ma.MaskedArray(product, np.array(mask))


def _of_shares(function: str, p: Any, v: ArrayLike, axis: Axis, alpha: ArrayLike, complete: bool = True) -> Any:
    """alpha * p * (v - E[v]); not `complete`: p adds up to less than 1, as an element has v = 0."""
    x = _vector(function, p, v)
    with np.errstate(all="ignore"):
        mean = _mean(p, x, axis)
        if not complete:
            mean = mean * np.sum(np.asarray(p), axis, keepdims=True)
        product = np.where(np.equal(p, 0), 0, x - mean)
        product *= p
        product *= _finite(alpha)
    return _settled(product, p)


def _of_powers(function: str, a: ArrayLike, v: ArrayLike, p: ArrayLike, axis: Axis, value: Any, g: Any) -> Any:
    """(p - 1) / N * (g / a * N * v - g * sum(g * v)), where g is not 0."""
    x, powers, gradient = _vector(function, g, v), np.asarray(p, np.float64), np.asarray(g)
    with np.errstate(all="ignore"):
        # The sum of g * v is that of a * g, which is N, times the mean of v / a with these weights.
        scaled = np.where(gradient == 0, 0, x / np.asarray(a))
        mean = _mean(np.asarray(a) * gradient, scaled, axis)
        product = scaled - mean
        product *= gradient
        product *= powers - 1
    curved = np.isfinite(value) & np.isfinite(powers) & (np.asarray(value) != 0) & (gradient != 0)
    return _settled(product, g, curved | np.isnan(value))
