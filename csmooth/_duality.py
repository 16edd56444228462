"""What convex duality says about the reductions: brackets of the true maximum, and the conjugate of logsumexp."""

from __future__ import annotations  # signatures in help() as they are written here

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays
from ._reductions import logsumexp

BLOCK = 8192  # elements of p in work at a time: two arrays of doubles, 128 KiB
COLUMNS = 64  # outputs that a block keeps together where it can, so that short runs do not waste cache lines


def logsumexp_bounds(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    alpha: ArrayLike = 1.0,
) -> tuple[Any, Any]:
    r"""Bracket of the true maximum by `logsumexp`: :math:`\mathrm{LSE} - \log(n)/α \le \max a \le \mathrm{LSE}`.

    The bracket is :math:`\log(n)/α` wide. For negative `alpha` it is one of the minimum,
    :math:`\mathrm{LSE} \le \min a \le \mathrm{LSE} + \log(n)/|α|`.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out, and not counted.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    alpha : float or array_like, optional
        Sharpness, not 0. +inf gives the maximum twice, -inf the minimum. An array must broadcast to the shape of `a`
        with the reduced axes of length 1, as ``alpha[:, np.newaxis]`` does for one value a row.

    Returns
    -------
    lower, upper : scalar or ndarray
        Of the shape of `a` without the reduced axes, and of its dtype; float64 for integers. Equal where one element is
        reduced, or where the maximum is infinite; both are -inf (inf for negative `alpha`) where none is, and NaN for
        NaN. For arrays with a mask, masked arrays, masked where no element was left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above.
    ValueError
        For `alpha` equal to 0, or of a shape that does not broadcast.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    Notes
    -----
    ``lower <= max(a) <= upper`` holds in floating point. The side of LSE is `logsumexp` itself, which is never below
    the maximum. The other side is moved outward by 2 eps (\|LSE\| + 2 log(n)/\|α\|), with the eps of the result:
    `logsumexp` may be off by 1.5 eps :math:`\sum_i |a_i| p_i`, with the softmax :math:`p` of `a`; that sum is at most
    \|LSE\| + log(n)/\|α\|, as :math:`a_i = \mathrm{LSE} + \log(p_i)/α`; the rest is for the difference's own rounding.
    The inequalities are those of [1]_, section 3.1.5.

    References
    ----------
    .. [1] S. Boyd, L. Vandenberghe, "Convex Optimization", Cambridge University Press, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import logsumexp_bounds
    >>> lower, upper = logsumexp_bounds([[1, 2, 4], [3, 3, 3]], axis=1, alpha=10)
    >>> lower
    array([3.89013877, 3.        ])
    >>> upper
    array([4.        , 3.10986123])
    >>> logsumexp_bounds([1, 2, 4], alpha=-np.inf)
    (np.float64(1.0), np.float64(1.0))
    """
    if _arrays.any_lazy(a, alpha):
        a, alpha = np.asarray(a), np.asarray(alpha)
    into = _arrays.operands("logsumexp_bounds", a, axis, None, True)
    sharpness = _arrays.parameter("logsumexp_bounds", "alpha", alpha, into)
    outer = logsumexp(a, axis, alpha=alpha)
    mask, value = _arrays.mask_of(outer), np.asarray(outer)
    zero, one = into.dtype.type(0), into.dtype.type(1)
    with np.errstate(all="ignore"):  # infinities, and bounds that overflow to them
        width = np.log(np.maximum(_count(into), 1)) / np.abs(sharpness)
        unit = 2 * np.spacing(one)
        slack = unit * np.abs(value) + 2 * unit * width + 4 * np.nextafter(zero, one)
        distance = np.where(width == 0, width, width + slack)  # nothing is rounded where one element is reduced
        inner = np.asarray(value - np.copysign(distance, sharpness)).astype(into.dtype)
    infinite = np.isinf(value)
    if infinite.any():  # elements are, or their sum over alpha overflows
        extreme = np.asarray(logsumexp(a, axis, alpha=np.copysign(np.inf, alpha)))
        inner = np.where(infinite, extreme, inner)
    if mask is not None:
        outer, inner = np.ma.MaskedArray(value, mask), np.ma.MaskedArray(inner, mask)
    positive = np.asarray(sharpness) > 0
    if positive.all():
        return inner[()], outer[()]
    if not positive.any():
        return outer[()], inner[()]
    choose = np.where if mask is None else np.ma.where
    return choose(positive, inner, outer), choose(positive, outer, inner)


def _count(into: _arrays.Operands) -> Any:
    """How many elements each output has; one number unless there is a mask."""
    kept = len(into.kept)
    length = prod(into.a.shape[kept:])
    if into.mask is None:
        return length
    return length - np.count_nonzero(into.mask, axis=tuple(range(kept, into.mask.ndim)))


def conjugate(p: ArrayLike, axis: int | tuple[int, ...] | None = None) -> Any:
    r"""Convex conjugate of `logsumexp`, the negative entropy: :math:`\sum_i p_i \log p_i` on the simplex, else +inf.

    It is the largest :math:`\sum_i p_i a_i - \mathrm{LSE}(a)` of all :math:`a`, and attained where `p` is the softmax
    of :math:`a` [1]_. An element 0 adds 0.

    Parameters
    ----------
    p : array_like
        float64, float32, float16, bfloat16, longdouble, integers or bool, of any shape, strides and byte order. Masked
        elements of a masked array are left out.
    axis : None, int or tuple of int, optional
        The axes that are reduced, along which `p` adds up to 1; by default all.

    Returns
    -------
    scalar or ndarray
        Of the shape of `p` without the reduced axes, and of its dtype; float64 for integers. +inf off the simplex:
        where an element is negative, or where the sum differs from 1 by more than the square root of that dtype's eps,
        1.5e-8 for float64 and 3.5e-4 for float32; so for no elements. NaN for NaN. For arrays with a mask, a masked
        array, masked where no element was left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above.
    numpy.exceptions.AxisError
        For an axis that `p` does not have.

    Notes
    -----
    The tolerance is that of `numpy.random.Generator.choice`. It leaves room for the rounding errors of usual ways to
    make `p`, such as exponentials of log-probabilities near -1000, which are off by up to 1000 eps, and is far below
    what a lost element or a missing normalisation amounts to. Within it `p` is taken as it is.

    Plain NumPy in double precision or that of longdouble, block by block, rounded once for shorter floats. The terms of
    the sum have one sign, so it has the relative error of a term, about 2 eps of that precision, and that of adding in
    pairs.

    References
    ----------
    .. [1] S. Boyd, L. Vandenberghe, "Convex Optimization", Cambridge University Press, 2004, example 3.25.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import conjugate, logsumexp, softmax
    >>> conjugate([[0.5, 0.5], [0, 1], [0.5, 0.6]], axis=1)
    array([-0.69314718,  0.        ,         inf])
    >>> a = np.array([1.0, 2.0, 4.0])
    >>> p = softmax(a)
    >>> bool(np.isclose(conjugate(p), p @ a - logsumexp(a)))
    True
    """
    mask, array = _arrays.mask_of(p), _arrays.as_array("conjugate", "p", p)
    dtype = _arrays.result_dtype("conjugate", "p", array.dtype)
    kept, reduced = _arrays.split_axes("conjugate", axis, array.ndim)
    x = array.transpose(kept + reduced)
    left_out = None if mask is None else mask.transpose(kept + reduced)
    value = np.empty(x.shape[: len(kept)], dtype)
    with np.errstate(all="ignore"):
        _conjugates(x, left_out, value)
    if mask is None:
        return value[()]
    result: NDArray[Any] = np.ma.MaskedArray(value, mask.all(reduced))
    return result[()]


def _conjugates(x: NDArray[Any], left_out: NDArray[np.bool_] | None, out: NDArray[Any]) -> None:
    """Fills `out`, along the first axes of `x`, by halves until they are small or only the other axes are long."""
    if x.size > BLOCK and out.size > COLUMNS:
        for half in _halves(out.shape):
            _conjugates(x[half], None if left_out is None else left_out[half], out[half])
        return
    least, mass, value = _sums(x, left_out, out.ndim)
    off = (least < 0) | ~(np.abs(mass - 1) <= np.sqrt(np.spacing(out.dtype.type(1))))
    out[...] = np.where(np.isnan(least), np.nan, np.where(off, np.inf, value))


def _sums(x: NDArray[Any], left_out: NDArray[np.bool_] | None, kept: int) -> tuple[Any, Any, Any]:
    """The least element, the sum of p and that of p log p, along all axes but the first ones."""
    if x.size > BLOCK:
        first, second = (
            _sums(x[half], None if left_out is None else left_out[half], kept) for half in _halves(x.shape, kept)
        )
        return np.minimum(first[0], second[0]), first[1] + second[1], first[2] + second[2]
    axes = tuple(range(kept, x.ndim))
    p = np.array(x, np.result_type(x.dtype, np.float64), order="C")
    if left_out is not None:
        p[left_out] = 0.0
    terms = np.log(p, out=np.zeros_like(p), where=p > 0)
    terms *= p
    return p.min(axes, initial=np.inf), p.sum(axes), terms.sum(axes)


def _halves(shape: tuple[int, ...], first: int = 0) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices of the two halves along the longest axis, from axis `first` on."""
    axis = max(range(first, len(shape)), key=shape.__getitem__)
    before, middle = (slice(None),) * axis, shape[axis] // 2
    return (*before, slice(middle)), (*before, slice(middle, None))
