"""The public reductions: one short function each, with its docstring, its keywords and its kernel."""

from __future__ import annotations  # signatures in help() as they are written here

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _plain
from ._dispatch import kernels as kernels  # for _softmax, too

_reduce_bare = kernels.reduce_bare


def logsumexp(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    alpha: ArrayLike = 1.0,
    initial: float | None = None,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Logarithm of a sum of exponentials, a smooth maximum: :math:`\frac1α \log \sum_i b_i e^{α a_i}`.

    One pass over the data, without overflow, temporaries or warnings. The result depends only on the values along
    the reduced axes, in C order: it has the same bits for every memory layout and for every instruction set with
    fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble
        and complex numbers, which take the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite; nor does one where `a` is -inf. For infinite `alpha` weights only say which elements
        exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    return_sign : bool, optional
        Whether to return the pair of the logarithm of the absolute value of the sum, and its sign.
    alpha : float or array_like, optional
        Sharpness, not 0. Large values approach the maximum, which is the result for +inf; negative ones make a
        smooth minimum. An array must broadcast to the shape of `a` with the reduced axes of length 1, as
        ``alpha[:, np.newaxis]`` does for one value a row; with more axes than `a` (and `b`) it is a ladder.
    initial : float, optional
        One more element of weight 1. ``initial=0.0`` gives the strictly convex LSE₀⁺ [2]_.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    out : ndarray, optional
        Receives the result (not the sign), which is rounded to its own dtype first. It may overlap `a`.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a` without the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where
        integers count as float64, and a Python number `b` not at all. Before the axes of `a` come those that only
        `alpha` has: the steps of a ladder, each of which has the bits of a call of its own, while the data are read
        once for eight of them. With `return_sign` a pair: the second holds the signs 1.0 and -1.0, 0.0 for an empty
        sum, NaN for NaN. An empty sum gives -inf (inf for negative `alpha`), a negative one NaN unless its sign is
        returned. For arrays with a mask, a masked array, masked where no element was left. The logarithm of a complex
        sum has an imaginary part in (-π, π], before the division by `alpha`; with `return_sign` the first of the pair
        is real, the second a complex number of absolute value 1, or 0.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For shapes that do not broadcast, an `out` of another shape, `alpha` equal to 0.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    Notes
    -----
    The error stays within 1 ulp of the result times max(1, condition number), the condition number being
    :math:`\sum_i |a_i| p_i / |\mathrm{LSE}|` with the softmax :math:`p` of `a`, and with weights
    :math:`\sum_i |p_i| / |α \mathrm{LSE}|` more, as they may be off too; within 1.5 where the result is near zero:
    ``logsumexp([0, -40])`` is 4.25e-18. Without weights, and for α > 0,
    :math:`\max a \le \mathrm{LSE} \le \max a + \log(n) / α` holds in floating point.

    The sum runs over terms relative to a running maximum, rescaled when that rises [1]_; the largest term stays out
    of the sum [3]_. Where weights of both signs cancel, the result is -inf if all of the sum does, and noise of the
    size of the rounding errors if it cancels in part.

    References
    ----------
    .. [1] M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867, 2018.
    .. [2] F. Nielsen, G. Hadjeres, "Monte Carlo information geometry: the dually flat case", arXiv:1803.07225, 2018.
    .. [3] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import logsumexp
    >>> logsumexp(np.arange(10))
    np.float64(9.45862974442671)
    >>> logsumexp([[0, 1000], [2, 3]], axis=1, alpha=2)
    array([1000.        ,    3.06346401])
    >>> logsumexp([1, 2, 4], alpha=[[0.5], [1], [2], [np.inf]])
    array([4.92873757, 4.16984602, 4.01029057, 4.        ])
    >>> logsumexp([1, 2], b=[1, -1], return_sign=True)
    (np.float64(1.5413248546129181), np.float64(-1.0))
    """
    others = return_sign is not False or initial is not None
    result = _reduce_bare("logsumexp", a, alpha, axis, b, keepdims, where, out, workers, others)
    if result is not None:
        return result
    if _arrays.any_lazy(a, b, where, alpha):
        given = {"zero": False, "initial": initial, "return_sign": return_sign}
        return _lazy("logsumexp", a, alpha, axis, b, keepdims, where, out, workers, **given)
    into = _arrays.operands("logsumexp", a, axis, b, where, workers)
    sharpness = _arrays.parameter("logsumexp", "alpha", alpha, into)
    start = _arrays.scalar("logsumexp", "initial", initial, into)
    signed = _arrays.flag("logsumexp", "return_sign", return_sign)
    of_value = into._replace(dtype=into.real_dtype) if signed else into
    value = _arrays.Output("logsumexp", of_value, keepdims, out, sharpness)
    sign = _arrays.Output("logsumexp", into, keepdims, None, sharpness) if signed else None
    reduce("logsumexp", into, sharpness, start, value.array, None if sign is None else sign.array)
    empty = left_empty(into, start)
    return value.result(empty) if sign is None else (value.result(empty), sign.result(empty))


def logmeanexp(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    alpha: ArrayLike = 1.0,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Logarithm of a mean of exponentials, mellowmax: :math:`\frac1α \log (\sum_i b_i e^{α a_i} / \sum_i b_i)`.

    A smooth maximum between the mean and the maximum [1]_. Unlike `boltzmann` it is monotone. As `alpha` tends to 0 it
    becomes the mean, without losing digits. One pass over the data, without overflow, temporaries or warnings; the
    result has the same bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite. For infinite `alpha` weights only say which elements exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    alpha : float or array_like, optional
        Sharpness. 0 gives the weighted mean, +inf the maximum, -inf the minimum; negative values a smooth minimum. An
        array must broadcast to the shape of `a` with the reduced axes of length 1, as ``alpha[:, np.newaxis]`` does
        for one value a row; with more axes than `a` (and `b`) it is a ladder.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may overlap `a`.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a` without the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where
        integers count as float64, and a Python number `b` not at all. Before the axes of `a` come those that only
        `alpha` has: the steps of a ladder, each of which has the bits of a call of its own, while the data are read
        once for eight of them. For positive `alpha`, +inf if any element is; an element -inf adds nothing but its
        weight. For negative `alpha` the other way round. NaN where every element was left out, the weights add up to 0,
        or the quotient of the sums is negative; for arrays with a mask, a masked array, masked where no element was
        left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For a reduction of no elements, shapes that do not broadcast, an `out` of another shape.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    Notes
    -----
    The error stays within 1 ulp of the result times max(1, condition number), the condition number being
    :math:`\sum_i |a_i| p_i / |M|` for the result :math:`M`, with the softmax :math:`p` of `a`, and with weights
    :math:`\sum_i |p_i - b_i / \sum_j b_j| / |α M|` more. Without weights :math:`\min a \le M \le \max a` holds in
    floating point. The error may be larger where :math:`|α|` or weights are below 1e-290 or :math:`|α|` is above
    1e307. For tiny `alpha`, sums overflow where elements exceed 1e308 divided by their number.

    References
    ----------
    .. [1] K. Asadi, M. L. Littman, "An alternative softmax operator for reinforcement learning", ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import logmeanexp
    >>> logmeanexp([1, 2, 4])
    np.float64(3.071233730888176)
    >>> logmeanexp([1, 2, 4], alpha=1e-12)
    np.float64(2.333333333334111)
    >>> logmeanexp([[1, 2, 4], [0, np.inf, 0]], alpha=[[np.inf], [-1]], axis=1)
    array([4.        , 0.40546511])
    """
    result = _reduce_bare("logmeanexp", a, alpha, axis, b, keepdims, where, out, workers)
    if result is not None:
        return result
    if _arrays.any_lazy(a, b, where, alpha):
        return _lazy("logmeanexp", a, alpha, axis, b, keepdims, where, out, workers)
    into = _arrays.operands("logmeanexp", a, axis, b, where, workers)
    _arrays.require_elements("logmeanexp", into)
    sharpness = _arrays.parameter("logmeanexp", "alpha", alpha, into, zero=True)
    value = _arrays.Output("logmeanexp", into, keepdims, out, sharpness)
    reduce("logmeanexp", into, sharpness, None, value.array)
    return value.result(_blank(into, value))


mellowmax = logmeanexp


def boltzmann(
    a: ArrayLike,
    alpha: ArrayLike = 1.0,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Mean weighted by exponentials, a smooth maximum: :math:`\sum_i b_i a_i e^{α a_i} / \sum_i b_i e^{α a_i}`.

    The Boltzmann operator is the mean of `a` under its own softmax. Unlike `logsumexp` it never exceeds the maximum,
    but it is not monotone. One pass over the data, without overflow, temporaries or warnings; the result has the same
    bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    alpha : float or array_like, optional
        Sharpness. 0 gives the weighted mean, +inf the maximum, -inf the minimum; negative values a smooth minimum. An
        array must broadcast to the shape of `a` with the reduced axes of length 1, as ``alpha[:, np.newaxis]`` does
        for one value a row; with more axes than `a` (and `b`) it is a ladder.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite. An element of infinite weight counts as an infinite one. For infinite `alpha`
        weights only say which elements exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may overlap `a`.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a` without the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where
        integers count as float64, and a Python number `b` not at all. Before the axes of `a` come those that only
        `alpha` has: the steps of a ladder, each of which has the bits of a call of its own, while the data are read
        once for eight of them. For positive `alpha`, +inf if any element is, and elements -inf count for nothing,
        unless all are; for negative `alpha` the other way round. NaN where every element was left out, or the sum of
        the weights, with exponentials, is 0; for arrays with a mask, a masked array, masked where no element was left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For a reduction of no elements, shapes that do not broadcast, an `out` of another shape.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    Notes
    -----
    The error stays within 2 ulp of the result times max(1, condition number), the condition number being
    :math:`\sum_i |a_i p_i (1 + α (a_i - B))| / |B|`, or :math:`\sum_i |a_i| p_i / |B|` if that is larger, with the
    softmax :math:`p` of `a`; with weights :math:`\sum_i |p_i (a_i - B)| / |B|` more. Where equal terms outweigh the
    others, those of equal elements or, for :math:`α` next to 0, of all, the error stays within 6, as their rounding
    errors are alike and do not average out. Each block of elements is summed about a centre of its own, so that
    1e8 ± 1 keep their digits. Without weights
    :math:`\min a \le B \le \max a` holds in floating point. Elements whose exponentials are less than 1e-325 of the
    largest count for nothing, and weights below 1e-290 lose digits. For :math:`|α|` below 1e-271 those less than 1e-307
    of the largest count for nothing, and sums overflow where elements exceed 1e308 divided by their number, as those of
    :func:`numpy.mean` do, unless the maximum is as large.

    References
    ----------
    .. [1] K. Asadi, M. L. Littman, "An alternative softmax operator for reinforcement learning", ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import boltzmann
    >>> boltzmann([1, 2, 4])
    np.float64(3.645579402828613)
    >>> boltzmann([[0, 1000], [2, 3]], alpha=[[0], [2]], axis=1)
    array([500.        ,   2.88079708])
    """
    result = _reduce_bare("boltzmann", a, alpha, axis, b, keepdims, where, out, workers)
    if result is not None:
        return result
    if _arrays.any_lazy(a, b, where, alpha):
        return _lazy("boltzmann", a, alpha, axis, b, keepdims, where, out, workers)
    into = _arrays.operands("boltzmann", a, axis, b, where, workers)
    _arrays.require_elements("boltzmann", into)
    sharpness = _arrays.parameter("boltzmann", "alpha", alpha, into, zero=True)
    value = _arrays.Output("boltzmann", into, keepdims, out, sharpness)
    reduce("boltzmann", into, sharpness, None, value.array)
    return value.result(_blank(into, value))


def pnorm(
    a: ArrayLike,
    p: ArrayLike = 2.0,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""p-norm, a smooth maximum of absolute values: :math:`(\sum_i b_i |a_i|^p)^{1/p}`.

    One pass over the data, without temporaries or warnings; nothing over- or underflows unless the result does. The
    result has the same bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    p : float or array_like, optional
        Any real number. +inf gives the largest absolute value, -inf the smallest, 0 the number of elements other than
        0, as :func:`numpy.linalg.vector_norm`. An array must broadcast to the shape of `a` with the reduced axes of
        length 1, as ``p[:, np.newaxis]`` does for one value a row; with more axes than `a` (and `b`) it is a ladder.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite. For infinite `p` weights only say which elements exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may overlap `a`.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a` without the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where
        integers count as float64, and a Python number `b` not at all. Before the axes of `a` come those that only `p`
        has: the steps of a ladder, each of which has the bits of a call of its own, while the data are read once for
        eight of them. Where nothing is left, 0, or inf for negative `p`; a negative sum gives NaN. For arrays with a
        mask, a masked array, masked where no element was left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For shapes that do not broadcast, an `out` of another shape.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    See Also
    --------
    pmean : the same, of a mean instead of a sum.

    Notes
    -----
    The error stays within 2 ulp of the result, with weights times :math:`\sum_i |b_i| |a_i|^p / |\sum_i b_i |a_i|^p|`.
    Without weights :math:`\max |a| \le N_p` holds in floating point for positive `p`, and a single element gives its
    absolute value. For p = ½, 1, 3/2, 2, 3 and 4 powers are products and square roots, for others
    :math:`2^{p \log_2 |a|}`; p > 1 are the faster ones, p < 1 take twice their time. The sum of the weights must not
    exceed 1e305; the error may be larger where weights are below 1e-290.

    Examples
    --------
    >>> from csmooth import pnorm
    >>> pnorm([3, -4])
    np.float64(5.0)
    >>> pnorm([1e200, 1e200], 3)
    np.float64(1.2599210498948731e+200)
    """
    result = _reduce_bare("pnorm", a, p, axis, b, keepdims, where, out, workers)
    if result is not None:
        return result
    if _arrays.any_lazy(a, b, where, p):
        return _lazy("pnorm", a, p, axis, b, keepdims, where, out, workers, name="p", zero=True)
    into = _arrays.operands("pnorm", a, axis, b, where, workers)
    power = _arrays.parameter("pnorm", "p", p, into, zero=True)
    value = _arrays.Output("pnorm", into, keepdims, out, power)
    reduce("pnorm", into, power, None, value.array)
    return value.result(left_empty(into, None))


def pmean(
    a: ArrayLike,
    p: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Power mean of numbers that are not negative: :math:`(\sum_i b_i a_i^p / \sum_i b_i)^{1/p}`.

    The harmonic (p = -1), geometric (0), arithmetic (1) and quadratic mean (2) and all between; a smooth maximum for
    large `p`. One pass over the data, without temporaries or warnings; nothing over- or underflows unless the result
    does. The result has the same bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble,
        which takes the slower way of plain NumPy. Masked elements of a masked array are left out.
        Of a Dask array, here or in another argument, the result is a Dask array.
    p : float or array_like
        Any real number. 0 gives the geometric mean, +inf the maximum, -inf the minimum. An array must broadcast to the
        shape of `a` with the reduced axes of length 1, as ``p[:, np.newaxis]`` does for one value a row; with more axes
        than `a` (and `b`) it is a ladder.
    axis : None, int or tuple of int, optional
        The axes that are reduced; by default all.
    b : array_like, optional
        Weights that broadcast against `a`; they may be negative. An element of weight 0 does not exist, even where
        `a` is NaN or infinite. For infinite `p` weights only say which elements exist.
    keepdims : bool, optional
        Whether the reduced axes stay, with length 1.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may overlap `a`.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape of `a` without the reduced axes, and of the dtype that NumPy gives `a` and `b` together, where
        integers count as float64, and a Python number `b` not at all. Before the axes of `a` come those that only `p`
        has: the steps of a ladder, each of which has the bits of a call of its own, while the data are read once for
        eight of them. NaN where an element is negative, where every element was left out, the weights add up to 0, or
        the quotient of the sums is negative. With a 0 among the elements it is 0 for negative `p`, and for `p` = 0
        unless one is infinite, which gives NaN. For arrays with a mask, a masked array, masked where no element was
        left.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For a reduction of no elements, shapes that do not broadcast, an `out` of another shape.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    See Also
    --------
    pnorm : the same, of a sum instead of a mean.

    Notes
    -----
    The error stays within 2 ulp of the result, with weights times :math:`\sum_i |b_i| a_i^p / |\sum_i b_i a_i^p|`,
    or :math:`\sum_i |b_i| / |\sum_i b_i|` if that is larger, however small `p` is: powers are taken in double-double,
    above 1 their logarithms.
    It may be larger where weights are below 1e-290. The mean of equal numbers is that number. Without weights
    :math:`M_p \le \max a` holds in floating point for positive `p`, and :math:`\min a \le M_p` for negative.

    References
    ----------
    .. [1] P. S. Bullen, "Handbook of Means and Their Inequalities", Kluwer, 2003, chapter III.

    Examples
    --------
    >>> from csmooth import pmean
    >>> pmean([1, 2, 4], 0)
    np.float64(2.0)
    >>> pmean([[1, 2], [4, 4]], p=[[-1], [2]], axis=1)
    array([1.33333333, 4.        ])
    """
    result = _reduce_bare("pmean", a, p, axis, b, keepdims, where, out, workers)
    if result is not None:
        return result
    if _arrays.any_lazy(a, b, where, p):
        return _lazy("pmean", a, p, axis, b, keepdims, where, out, workers, name="p")
    into = _arrays.operands("pmean", a, axis, b, where, workers)
    _arrays.require_elements("pmean", into)
    power = _arrays.parameter("pmean", "p", p, into, zero=True)
    value = _arrays.Output("pmean", into, keepdims, out, power)
    reduce("pmean", into, power, None, value.array)
    return value.result(left_empty(into, None))


def _lazy(*arguments: Any, **keywords: Any) -> Any:
    """What is done for a Dask array."""
    from . import dask

    return dask.reduce(*arguments, **keywords)


def reduce(
    kernel: str,
    into: _arrays.Operands,
    parameter: float | NDArray[np.floating],
    initial: float | np.floating | None,
    out: NDArray[Any],
    sign: NDArray[Any] | None = None,
) -> None:
    """Runs a kernel of the level in use, or what does its work for dtypes that it lacks; a NaN parameter gives NaN.

    If `out` has more axes than there are kept ones, so has the parameter, and each index of those gives a reduction.
    """
    if type(parameter) is not float and out.ndim > len(into.kept):
        steps = out.shape[: out.ndim - len(into.kept)]
        reduce_together(_steps(kernel, steps, np.asarray(parameter), out, sign), into, initial)
        return
    if into.plain:
        _plain.reduce(kernel, into, parameter, initial, out, sign)
    else:
        kernels.reduce(
            kernel,
            len(into.kept),
            into.a,
            into.weights,
            into.where,
            into.mask,
            into.weights_mask,
            parameter,
            initial,
            out,
            sign,
            into.workers,
        )
    if type(parameter) is not float or parameter != parameter:
        _forget(parameter, out, sign)


class Task(NamedTuple):
    """A reduction that is done together with others."""

    kernel: str
    parameter: float | NDArray[np.floating]
    out: NDArray[Any]
    sign: NDArray[Any] | None = None


def reduce_together(tasks: list[Task], into: _arrays.Operands, initial: float | np.floating | None = None) -> None:
    """As `reduce` for each task, but what several of them need is read from memory once."""
    if into.plain:
        for task in tasks:
            reduce(task.kernel, into, task.parameter, initial, task.out, task.sign)
        return
    kernels.reduce_together(
        tasks,
        len(into.kept),
        into.a,
        into.weights,
        into.where,
        into.mask,
        into.weights_mask,
        initial,
        into.workers,
    )
    for task in tasks:
        if type(task.parameter) is not float or task.parameter != task.parameter:
            _forget(task.parameter, task.out, task.sign)


def _steps(
    kernel: str, steps: tuple[int, ...], parameter: NDArray[Any], out: NDArray[Any], sign: NDArray[Any] | None
) -> list[Task]:
    """The reductions of a ladder of this shape."""
    each = [(*index, ...) for index in np.ndindex(steps)]
    return [Task(kernel, _number_of(parameter[k]), out[k], None if sign is None else sign[k]) for k in each]


def _forget(parameter: float | NDArray[np.floating], out: NDArray[Any], sign: NDArray[Any] | None) -> None:
    """Puts NaN where the parameter is NaN."""
    unknown = np.isnan(parameter)
    out[unknown] = np.nan
    if sign is not None:
        sign[unknown] = np.nan


def _number_of(parameter: NDArray[np.floating]) -> float | NDArray[np.floating]:
    """The number that an array of doubles repeats, as one that was broadcast does; else the array."""
    repeats = all(length == 1 or not stride for length, stride in zip(parameter.shape, parameter.strides, strict=True))
    return float(parameter.item(0)) if repeats and parameter.size and parameter.dtype == _arrays.FLOAT64 else parameter


def map(
    kernel: str,
    into: _arrays.Operands,
    parameter: float | NDArray[np.floating],
    initial: float | np.floating | None,
    results: NDArray[Any],
    out: NDArray[Any] | None = None,
    sign: NDArray[Any] | None = None,
    slope: NDArray[Any] | None = None,
) -> None:
    """Runs a kernel that has a result for each element, and, if asked for, those of `reduce` and a slope."""
    kernels.map(
        kernel,
        len(into.kept),
        into.a,
        into.weights,
        into.where,
        into.mask,
        into.weights_mask,
        parameter,
        initial,
        results,
        out,
        sign,
        slope,
        into.workers,
    )
    if out is not None and (type(parameter) is not float or parameter != parameter):
        _forget(parameter, out, sign)


def left_empty(into: _arrays.Operands, initial: float | np.floating | None) -> NDArray[np.bool_] | None:
    """For masked arrays, which outputs have every element masked or left out; else None.

    The kernel tells, without temporaries: what it makes of zeros is -inf where none is left.
    """
    if into.mask is None and into.weights_mask is None:
        return None
    return nothing_left(into._replace(weights=None, dtype=_arrays.FLOAT64), None if initial is None else float(initial))


def nothing_left(into: _arrays.Operands, initial: float | np.floating | None = None) -> NDArray[np.bool_]:
    """Which outputs have no element, or none of a weight other than 0: the maximum of zeros is -inf there."""
    maximum = np.empty(into.result_shape(False), np.float32)
    reduce("logsumexp", into._replace(a=np.broadcast_to(0.0, into.a.shape)), np.inf, initial, maximum)
    return np.asarray(np.isneginf(maximum))


def _blank(into: _arrays.Operands, value: _arrays.Output) -> NDArray[np.bool_] | None:
    """Puts NaN where a mean has no element; for masked arrays, which outputs have none but masked ones."""
    absent = into.weights is not None or into.where is not None or into.mask is not None
    if absent and np.isinf(value.array).any():
        value.array[..., nothing_left(into)] = np.nan
    return left_empty(into, None)
