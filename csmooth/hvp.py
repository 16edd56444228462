"""Hessian-vector products: `csmooth.hvp.logsumexp(a, v)` and its like take the arguments of `csmooth.grad` and v.

Each is a few passes over arrays of doubles as large as `a`, since the Hessians are diagonal but for products of
gradients. With the softmax p (of weighted elements), E the mean under p and c = a - B:

    logsumexp, logmeanexp   alpha * p * (v - E[v])
    boltzmann               alpha * p * ((v - E[v]) * (2 + alpha * c) - alpha * E[c * v])

and with the value N, r = abs(a) / N and the gradient g

    pnorm                   (p - 1) / N * (b * r**(p - 2) * v - g * sum(g * v))
    pmean                   the same with b / sum(b) for b

Where gradients are subgradients, at infinities and for infinite parameters, products are 0; so they are, for pnorm and
pmean, at elements equal to 0, unless p = 2. Elements that are left out have 0, and nothing depends on them.
"""

from __future__ import annotations  # signatures in help() as they are written here

from math import prod
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
        Real numbers that broadcast to the shape of `a`. It may be masked where elements are left out, as gradients are.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a`; of the dtype that NumPy gives `a`, `b` and `v` together, where integers count as float64,
        and Python numbers `b` and `v` not at all. Elements that are left out have 0, whatever `v` is there.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.grad.logsumexp`, for a `v` that is not real or does not broadcast, and for a `b` that has more
        dimensions than `a`.

    Notes
    -----
    Computed in doubles and rounded once; memory for 10 to 14 arrays of doubles like `a`. The error stays within 3 ulp
    times max(1, condition number), that of relative changes of `a`, `v` and `b`; shares below 1e-290 lose digits.

    Examples
    --------
    >>> from csmooth import hvp
    >>> hvp.logsumexp([1, 2, 3], [1, 0, 0])
    array([ 0.08192507, -0.02203304, -0.05989202])
    """
    return _of_shares("logsumexp", _Call("logsumexp", a, v, axis, b, where, "alpha", alpha, initial))


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
    return _of_shares("logmeanexp", _Call("logmeanexp", a, v, axis, b, where, "alpha", alpha))


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
    call = _Call("boltzmann", a, v, axis, b, where, "alpha", alpha)
    if not call.a.size:
        return call.nothing()
    sharpness = call.parameter
    _, p = call.gradient("logmeanexp", alpha=sharpness)  # whose gradient is the softmax, for alpha = 0 too
    with np.errstate(all="ignore"):
        # From the element of the largest share, so that no offset is rounded; halves, as differences may overflow
        most = np.take_along_axis(call.a, np.abs(p).argmax(-1)[..., np.newaxis], -1)
        x = np.where(p == 0, 0, call.a / 2 - most / 2)
        y, unit = call.scaled(p != 0)
        slope = np.where(p == 0, 0, _centred(x, 1.0, p, p * x) * sharpness * 2)  # alpha * c
        apart = np.where(p == 0, 0, _centred(y, 1.0, p, p * y))
        tilt = _sum(p * slope * apart) / _sum(p)
        mantissa, exponent = np.frexp(sharpness)
        product = np.ldexp((apart * (2 + slope) - tilt) * p * mantissa, exponent + unit)
        return call.result(product, _smooth(call.a, p) & np.isfinite(sharpness), p)


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
    return _of_powers("pnorm", _Call("pnorm", a, v, axis, b, where, "p", p))


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
    return _of_powers("pmean", _Call("pmean", a, v, axis, b, where, "p", p))


class _Call:
    """The arguments, checked, as doubles whose last axis is the reduced one, and the way back to what the caller gets.

    Elements that are left out are 1 in `a` and 0 in `v`, so that whatever they are does not spread.
    """

    def __init__(
        self,
        function: str,
        a: ArrayLike,
        v: ArrayLike,
        axis: Axis,
        b: ArrayLike | None,
        where: ArrayLike,
        name: str,
        parameter: ArrayLike,
        initial: float | None = None,
    ) -> None:
        named = f"hvp.{function}"
        into = _arrays.operands(named, a, axis, b, where)
        if into.plain:
            raise TypeError(f"{named}: Hessians have no dtype {into.dtype}; a and b must be floats of at most 64 bits")
        if len(into.shape) > np.ndim(a):
            raise ValueError(f"{named}: b has more dimensions than a of shape {np.shape(a)}")
        if function in ("logmeanexp", "boltzmann", "pmean"):
            _arrays.require_elements(named, into)
        checked = np.asarray(_arrays.parameter(named, name, parameter, into, zero=function != "logsumexp"))
        start = _arrays.scalar(named, "initial", initial, into)
        vector, self.dtype = _vector(named, v, np.shape(a), into.dtype)
        self.into, self.shape, self.mask = into, np.shape(a), _arrays.mask_of(a)
        self.rows, self.length = into.a.shape[: len(into.kept)], prod(into.a.shape[len(into.kept) :])
        self.parameter = checked[..., np.newaxis] if checked.ndim else checked
        order = into.kept + into.reduced
        with np.errstate(all="ignore"):
            absent = np.zeros((*self.rows, self.length), bool)
            for gone in (into.mask, into.weights_mask):
                absent |= False if gone is None else self._flat(gone)
            absent |= False if into.where is None else ~self._flat(into.where)
            self.b = None if into.weights is None else self._flat(into.weights).astype(np.float64)
            absent |= False if self.b is None else self.b == 0
            self.a = np.where(absent, 1.0, self._flat(into.a).astype(np.float64))
            self.v = np.where(absent, 0.0, self._flat(_arrays.arranged(vector, into.shape, order)).astype(np.float64))
            self.there = ~absent
            unknown = _arrays.mask_of(v)
            if unknown is not None:
                unknown = _arrays.arranged(np.broadcast_to(unknown, self.shape), into.shape, order)
                if (self._flat(unknown) & self.there).any():
                    raise ValueError(f"{named}: v must not be masked where elements are not left out")
            if start is not None:  # one more element, whose v is 0
                self.a, self.v, self.there = _longer(self.a, start), _longer(self.v, 0.0), _longer(self.there, True)
                self.b = None if self.b is None else _longer(self.b, 1.0)

    def scaled(self, counts: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """`v` where it counts, over a power of two, and its exponent.

        The largest of each output is then about 1: products neither over- nor underflow on their way.
        """
        v = np.where(counts, self.v, 0)
        exponent = np.frexp(np.where(np.isfinite(v), np.abs(v), 0).max(-1, keepdims=True))[1]
        return np.ldexp(v, -exponent), exponent

    def _flat(self, x: NDArray[Any]) -> NDArray[Any]:
        return x.reshape(*self.rows, self.length)

    def gradient(self, function: str, **keywords: Any) -> tuple[Any, Any]:
        """Of `csmooth.grad`, with its value."""
        value, g = getattr(grad, function)(self.a, axis=-1, b=self.b, keepdims=True, where=self.there, **keywords)
        return value, g

    def result(self, product: Any, curved: Any, like: Any) -> Any:
        """A product as the caller gets it: 0 where there is no curvature, NaN where the gradient is."""
        product = np.where(np.isnan(like), np.nan, np.where(curved, product, 0)) + 0.0  # no -0.0
        return self._returned(product[..., : self.length])

    def nothing(self) -> Any:
        """The product of no elements."""
        return self._returned(np.zeros((*self.rows, self.length)))

    def _returned(self, product: NDArray[Any]) -> Any:
        back = np.argsort(self.into.kept + self.into.reduced)
        product = product.reshape(self.into.a.shape).transpose(back)
        with np.errstate(all="ignore"):
            if self.shape != self.into.shape:  # as for gradients, the sum over what weights spread an element along
                return grad._summed(product, self.shape, self.mask, None).astype(self.dtype)
            product = product.astype(self.dtype)
        return product[()] if self.mask is None else np.ma.MaskedArray(product, np.array(self.mask))


def _longer(x: NDArray[Any], last: Any) -> NDArray[Any]:
    """x with one more element at the end of each row."""
    return np.concatenate([x, np.full((*x.shape[:-1], 1), last, x.dtype)], axis=-1)


def _vector(function: str, v: ArrayLike, shape: tuple[int, ...], dtype: Any) -> tuple[NDArray[Any], Any]:
    """v, of the shape of `a`, and the dtype of the product for a gradient of this dtype."""
    array = _arrays.as_array(function, "v", v)
    own = _arrays.result_dtype(function, "v", array.dtype)
    if own.char in "gFDG":
        raise TypeError(f"{function}: v has dtype {own}; it must be a float of at most 64 bits, an integer or bool")
    if isinstance(v, np.generic) or not isinstance(v, int | float):  # Python's numbers take the precision of a
        dtype = _arrays.common_dtype(dtype, own)
    try:
        return np.broadcast_to(array, shape), dtype
    except ValueError:
        raise ValueError(
            f"{function}: v of shape {array.shape} does not broadcast to the shape of a, {shape}"
        ) from None


def _sum(x: NDArray[Any]) -> Any:
    """The sum of each row; the mean has a compensated sum and the same bits for every layout."""
    return _reductions.boltzmann(x, 0.0, -1, keepdims=True) * x.shape[-1]


def _centred(own: NDArray[Any], factor: Any, shares: NDArray[Any], parts: NDArray[Any]) -> Any:
    """own - factor * mean, the mean being sum(parts) / sum(shares), where own * shares = factor * parts.

    An element that has most of the shares would cancel against the mean, which is mostly its own. It is left out of
    both: y - (q * y + S) = (1 - q) * y - S, and 1 - q is the sum of the other shares.
    """
    distance = np.abs(shares - 1)
    most = distance.argmin(-1, keepdims=True)
    top = (np.arange(shares.shape[-1]) == most) & (distance < 0.5)
    rest, of_rest = _sum(np.where(top, 0, shares)), _sum(np.where(top, 0, parts))
    total = rest + np.where(top, shares, 0).sum(-1, keepdims=True)
    mean = (of_rest + np.where(top, parts, 0).sum(-1, keepdims=True)) / total
    return np.where(top, own * (rest / total) - factor * (of_rest / total), own - factor * mean)


def _of_shares(function: str, call: _Call) -> Any:
    """alpha * p * (v - E[v])."""
    if not call.a.size:
        return call.nothing()
    alpha = call.parameter
    _, p = call.gradient(function, alpha=alpha)
    with np.errstate(all="ignore"):
        v, unit = call.scaled(p != 0)
        mantissa, exponent = np.frexp(alpha)
        product = np.ldexp(_centred(v, 1.0, p, p * v) * p * mantissa, exponent + unit)
        return call.result(product, _smooth(call.a, p) & np.isfinite(alpha), p)


def _smooth(a: Any, p: Any) -> Any:
    """Where the softmax is not shared among infinite elements, and is not 0."""
    return (p != 0) & ~(np.isinf(a) & (p != 0)).any(-1, keepdims=True)


def _of_powers(function: str, call: _Call) -> Any:
    """(p - 1) / N * (g / r * v - g * sum(g * v)), r = a / N."""
    if not call.a.size:
        return call.nothing()
    power = call.parameter
    value, g = call.gradient(function, p=power)
    with np.errstate(all="ignore"):
        largest = np.finfo(np.float64).max
        g = np.clip(g, -largest, largest)  # one that overflows still has a sign
        quadratic = (power == 2) & call.there
        v, scale = call.scaled((g != 0) | quadratic)
        size, of_size = np.frexp(value)
        x, of_x = np.frexp(call.a)  # quotients of these neither over- nor underflow
        unit = np.where(g == 0, -2000, of_x).max(-1, keepdims=True)  # products are in that of the largest element
        ratio = np.ldexp(1 / size, unit - of_size)  # as N may be far from all of them, for small p
        parts = g * v
        own = np.where(g == 0, 0, np.ldexp(parts / x, unit - of_x))
        if quadratic.any():  # r**(p - 2) is 1, also where g is 0 or lacks digits, and the norm is smooth
            own = np.where(quadratic, _weights(function, call) * v * ratio, own)
        shares = np.where(g == 0, 0, np.ldexp(g * x / size, of_x - of_size))
        product = np.ldexp(_centred(own, g * ratio, shares, parts) * (power - 1), scale - unit)
        curved = np.isfinite(value) & (value != 0) & np.isfinite(power) & (power != 1)
        if function == "pnorm":
            curved &= power != 0
        return call.result(product, curved & ((g != 0) | quadratic), g)


def _weights(function: str, call: _Call) -> Any:
    """The weights, for a mean divided by their sum."""
    b = np.where(call.there, 1.0 if call.b is None else call.b, 0)
    return b / _sum(b) if function == "pmean" else b
