"""softmax and its logarithm: as large as their input, so not reductions, but made of the same states."""

from __future__ import annotations  # signatures in help() as they are written here

from typing import Any

from numpy.typing import ArrayLike, NDArray

from . import _arrays, _plain, _reductions


def softmax(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    *,
    alpha: ArrayLike = 1.0,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Exponentials over their sum, the gradient of `logsumexp`: :math:`e^{α a_i} / \sum_j e^{α a_j}`.

    One pass over the data for the sum and one for the results, without overflow, temporaries or warnings. The result
    has the same bits for every memory layout and for every instruction set with fused multiply-add.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble
        and complex numbers, which take the slower way of plain NumPy. Of a Dask array, here or in another argument, the
        result is a Dask array.
    axis : None, int or tuple of int, optional
        The axes along which the results add up to 1; by default all.
    alpha : float or array_like, optional
        Sharpness, an inverse temperature. 0 gives equal results for all that is not -inf, +inf for the maxima, -inf
        for the minima. An array must broadcast to the shape of `a` with these axes of length 1.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out, and give 0.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may be `a` itself, or overlap it.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape and dtype of `a`; float64 for integers. Unless `alpha` is negative, where elements are +inf they
        share the whole; where all are -inf, results are NaN. For masked arrays with a mask, a masked array with that
        mask.

    Raises
    ------
    TypeError
        For a dtype that is not listed above, a `where` that is not bool, or an `out` to which the result cannot be
        cast.
    ValueError
        For shapes that do not broadcast, an `out` of another shape.
    numpy.exceptions.AxisError
        For an axis that `a` does not have.

    Notes
    -----
    For a normal `alpha` up to 6e307, 0 or infinity, the error stays within 2 ulp of each result times
    max(1, condition number); the ulp of a subnormal result is 2**-1074. The condition number is
    :math:`\sum_j |α a_j (δ_{ij} - p_j)|` [1]_.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41(4), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import softmax
    >>> softmax([1, 2, 3])
    array([0.09003057, 0.24472847, 0.66524096])
    >>> softmax([[1, 2], [3, np.inf]], axis=1)
    array([[0.26894142, 0.73105858],
           [0.        , 1.        ]])
    """
    return _mapped("softmax", a, axis, alpha, where, out, workers)


def log_softmax(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    *,
    alpha: ArrayLike = 1.0,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> Any:
    r"""Logarithm of `softmax`: :math:`α a_i - \log \sum_j e^{α a_j}`.

    Right also where `softmax` underflows or is nearly 1. Parameters, results and errors are those of `softmax`;
    elements that are left out give -inf.

    Parameters
    ----------
    a : array_like
        float64, float32, float16, bfloat16, integers or bool, of any shape, strides and byte order; also longdouble
        and complex numbers, which take the slower way of plain NumPy. Of a Dask array the result is a Dask array.
    axis : None, int or tuple of int, optional
        The axes along which the exponentials of the results add up to 1; by default all.
    alpha : float or array_like, optional
        Sharpness, as for `softmax`.
    where : array_like of bool, optional
        Broadcasts to the shape of `a`; elements that are False are left out, and give -inf.
    out : ndarray, optional
        Receives the result, which is rounded to its own dtype first. It may be `a` itself, or overlap it.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    scalar or ndarray
        Of the shape and dtype of `a`; float64 for integers.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax`.

    Notes
    -----
    For a normal `alpha` up to 6e307, 0 or infinity, the error stays within 2 ulp of each result times
    max(1, condition number); the ulp of a subnormal result is 2**-1074. The condition number is
    :math:`\sum_j |α a_j (δ_{ij} - p_j)|` over the absolute value of the result.

    Examples
    --------
    >>> from csmooth import log_softmax
    >>> log_softmax([40, 0])
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _mapped("log_softmax", a, axis, alpha, where, out, workers)


def _mapped(
    function: str,
    a: ArrayLike,
    axis: int | tuple[int, ...] | None,
    alpha: ArrayLike,
    where: ArrayLike,
    out: NDArray[Any] | None,
    workers: int | None,
) -> Any:
    result = _reductions.kernels.map_bare(function, a, alpha, axis, where, out, workers)
    if result is not None:
        return result
    if _arrays.any_lazy(a, alpha, where):
        from . import dask

        return dask.spread(function, a, axis, alpha, where, out, workers)
    into = _arrays.operands(function, a, axis, None, where, workers)
    sharpness = _arrays.parameter(function, "alpha", alpha, into, zero=True)
    value = _arrays.Results(function, into, out, sharpness)
    if into.plain:
        _plain.spread(function, into, sharpness, value.arranged)
    else:
        _reductions.map(function, into, sharpness, None, value.arranged)
    return value.result(_arrays.mask_of(a))
