"""Values and gradients, from one call: `csmooth.grad.logsumexp` and its like take the arguments of `csmooth.logsumexp`.

One pass over the data for the value, one for the gradient, which is written where it belongs. Kinks and infinities have
the subgradient that is the limit of the smooth case, or the one nearest to 0; no gradient is NaN but for NaN, in an
argument or the value.
"""

from __future__ import annotations  # signatures in help() as they are written here

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _plain_gradients, _reductions

__all__ = ["boltzmann", "logmeanexp", "logsumexp", "mellowmax", "pmean", "pnorm"]


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
    wrt: str | tuple[str, ...] = "a",
    workers: int | None = None,
) -> tuple[Any, Any]:
    r"""Value and gradient of `csmooth.logsumexp`: :math:`b_i e^{α a_i} / \sum_j b_j e^{α a_j}`, the softmax.

    Parameters
    ----------
    a, axis, b, keepdims, return_sign, alpha, initial, where
        As for `csmooth.logsumexp`, but not complex, and without ladders.
    out : ndarray, optional
        Receives the gradient by `a`, which is rounded to its own dtype first. It may be `a` itself, or overlap it.
    wrt : str or tuple of str, optional
        What the value is differentiated with respect to: "a", "alpha" or a tuple of these.
    workers : int, optional
        How many threads may take part; see `csmooth.set_workers`, which sets the default.

    Returns
    -------
    value : scalar or ndarray
        As `csmooth.logsumexp` gives it, to the last bit or two; with `return_sign`, a pair.
    gradient : scalar, ndarray or tuple of these
        With respect to `a`, of its shape; with respect to `alpha`, one for each value. A tuple if `wrt` is one.
        Infinite maxima, and for infinite `alpha` all, share 1 among them. 0 for elements that are left out, where all
        are -inf, and where weights cancel: the value is -inf there as well. NaN where the value is; with `return_sign`,
        negative sums have the gradient of the logarithm of their absolute value.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.logsumexp`; ValueError for another `wrt`, or an `out` where that lacks "a".

    Notes
    -----
    The error of the gradient stays within 3 ulp times max(1, condition number), as that of `csmooth.softmax`; that of
    the derivative by `alpha`, :math:`\sum_i p_i (a_i - \mathrm{LSE}) / α`, too. In longdouble, by plain NumPy, both
    stay within 8 ulp instead of 3; more for `pnorm` and `pmean` where :math:`|p| < 1` or magnitudes differ widely.

    Examples
    --------
    >>> from csmooth import grad
    >>> value, gradient = grad.logsumexp([1, 2, 3])
    >>> value
    np.float64(3.40760596444438)
    >>> gradient
    array([0.09003057, 0.24472847, 0.66524096])
    >>> grad.logsumexp([1, 2, 3], wrt=("a", "alpha"))[1][1]
    np.float64(-0.8323955818399389)
    """
    into = _arrays.operands("grad.logsumexp", a, axis, b, where, workers)
    sharpness = _arrays.parameter("grad.logsumexp", "alpha", alpha, into)
    start = _arrays.scalar("grad.logsumexp", "initial", initial, into)
    signed = _arrays.flag("grad.logsumexp", "return_sign", return_sign)
    call = _Call("logsumexp", "alpha", a, into, sharpness, keepdims, out, wrt, start, signed)
    call.run()
    call.zero_cancelled()
    call.nan_unknown()
    if call.slope is not None:
        with np.errstate(all="ignore"):
            call.slope.array[...] /= np.abs(sharpness)
    return call.results(_reductions.left_empty(into, start))


def logmeanexp(
    a: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    alpha: ArrayLike = 1.0,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    wrt: str | tuple[str, ...] = "a",
    workers: int | None = None,
) -> tuple[Any, Any]:
    r"""Value and gradient of `csmooth.logmeanexp`: :math:`b_i e^{α a_i} / \sum_j b_j e^{α a_j}`, the softmax.

    Parameters
    ----------
    a, axis, b, keepdims, alpha, where
        As for `csmooth.logmeanexp`.
    out : ndarray, optional
        Receives the gradient, as for `csmooth.grad.logsumexp`.
    wrt : str or tuple of str, optional
        "a", "alpha" or a tuple of these.
    workers : int, optional
        As for `csmooth.grad.logsumexp`.

    Returns
    -------
    value : scalar or ndarray
        As `csmooth.logmeanexp` gives it.
    gradient : scalar, ndarray or tuple of these
        As for `csmooth.grad.logsumexp`.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.logmeanexp`; ValueError for another `wrt`.

    Notes
    -----
    The errors of the gradient and of the derivative by `alpha` stay within 3 ulp times max(1, condition number). That
    derivative is the excess of the exponentials over their tangents, which is half the variance for `alpha` = 0, and
    does not cancel there.

    Examples
    --------
    >>> from csmooth import grad
    >>> grad.logmeanexp([1, 2, 3], alpha=0, wrt=("a", "alpha"))
    (np.float64(2.0), (array([0.33333333, 0.33333333, 0.33333333]), np.float64(0.3333333333333333)))
    """
    into = _arrays.operands("grad.logmeanexp", a, axis, b, where, workers)
    _arrays.require_elements("grad.logmeanexp", into)
    sharpness = _arrays.parameter("grad.logmeanexp", "alpha", alpha, into, zero=True)
    call = _Call("logmeanexp", "alpha", a, into, sharpness, keepdims, out, wrt)
    call.run()
    call.set_limits(into)
    call.zero_cancelled()
    call.nan_unknown()
    call.zero_absent()
    return call.results(_reductions._blank(into, call.value))


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
    wrt: str | tuple[str, ...] = "a",
    workers: int | None = None,
) -> tuple[Any, Any]:
    r"""Value B and gradient of `csmooth.boltzmann`: :math:`p_i (1 + α (a_i - B))` with the softmax p.

    Parameters
    ----------
    a, alpha, axis, b, keepdims, where
        As for `csmooth.boltzmann`.
    out : ndarray, optional
        Receives the gradient, as for `csmooth.grad.logsumexp`.
    wrt : str or tuple of str, optional
        "a", "alpha" or a tuple of these.
    workers : int, optional
        As for `csmooth.grad.logsumexp`.

    Returns
    -------
    value : scalar or ndarray
        As `csmooth.boltzmann` gives it, to the last bit or two.
    gradient : scalar, ndarray or tuple of these
        With respect to `a`, of its shape; with respect to `alpha`, the variance of `a` under p. Infinite maxima, and
        for infinite `alpha` all, share 1 among them. 0 for elements that are left out, and where all are -inf.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.boltzmann`; ValueError for another `wrt`.

    Notes
    -----
    The errors of the gradient and of the derivative by `alpha` stay within 3 ulp times max(1, condition number).

    Examples
    --------
    >>> from csmooth import grad
    >>> grad.boltzmann([0, 0, 3])[1]
    array([-0.07825615, -0.07825615,  1.15651229])
    """
    into = _arrays.operands("grad.boltzmann", a, axis, b, where, workers)
    _arrays.require_elements("grad.boltzmann", into)
    sharpness = _arrays.parameter("grad.boltzmann", "alpha", alpha, into, zero=True)
    call = _Call("boltzmann", "alpha", a, into, sharpness, keepdims, out, wrt)
    call.run()
    call.set_limits(into)
    call.nan_unknown()
    call.zero_absent()
    return call.results(_reductions._blank(into, call.value))


def pnorm(
    a: ArrayLike,
    p: ArrayLike = 2.0,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    wrt: str | tuple[str, ...] = "a",
    workers: int | None = None,
) -> tuple[Any, Any]:
    r"""Value N and gradient of `csmooth.pnorm`: :math:`b_i \operatorname{sign}(a_i) (|a_i| / N)^{p-1}`.

    Parameters
    ----------
    a, p, axis, b, keepdims, where
        As for `csmooth.pnorm`.
    out : ndarray, optional
        Receives the gradient, as for `csmooth.grad.logsumexp`.
    wrt : str or tuple of str, optional
        "a", "p" or a tuple of these.
    workers : int, optional
        As for `csmooth.grad.logsumexp`.

    Returns
    -------
    value : scalar or ndarray
        As `csmooth.pnorm` gives it.
    gradient : scalar, ndarray or tuple of these
        With respect to `a`, of its shape; with respect to `p`, one for each value. 0 for elements equal to 0, and all
        elements where the norm is 0 or `p` is. Infinite elements have what equal ones have that tend to infinity,
        :math:`\operatorname{sign}(a_i) k^{1/p-1}` for k of them, and finite ones beside them 0, but their sign for
        `p` = 1. For infinite `p`, the extremes share 1 among them.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.pnorm`; ValueError for another `wrt`.

    Notes
    -----
    The error of the gradient stays within 3 ulp times max(1, condition number), about :math:`2 |p - 1|`; where it is
    less than the smallest normal number it may be 0. That of the derivative by `p` stays within 4 ulp of it, likewise,
    plus :math:`2^{-55}` of the result over :math:`|p|`. It asks for sums in more digits, which may change the
    last bit of the gradient, too.

    Examples
    --------
    >>> from csmooth import grad
    >>> grad.pnorm([3, -4])
    (np.float64(5.0), array([ 0.6, -0.8]))
    """
    into = _arrays.operands("grad.pnorm", a, axis, b, where, workers)
    power = _arrays.parameter("grad.pnorm", "p", p, into, zero=True)
    call = _Call("pnorm", "p", a, into, power, keepdims, out, wrt)
    call.run()
    call.share_infinity()
    call.set_linear()
    if np.isinf(power).any():  # as floats: integers may have no opposite, bool has no sign
        signed = np.where(np.isnan(into.a), 0, into.a).astype(_wide(into))  # NaN has none; the value knows of it
        call.set_limits(into._replace(a=np.abs(into.a.astype(_wide(into)))), np.sign(signed))
    flat = np.equal(power, 0) & ~np.isnan(call.value.array)
    call.zero_where(flat)
    call.nan_unknown()
    call.zero_absent()
    if call.slope is not None:
        with np.errstate(all="ignore"):
            call.slope.array[...] *= _factor(call.value.array)
            call.slope.array[...] /= power
            call.slope.array[flat] = 0
    return call.results(_reductions.left_empty(into, None))


def pmean(
    a: ArrayLike,
    p: ArrayLike,
    axis: int | tuple[int, ...] | None = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike = True,
    out: NDArray[Any] | None = None,
    wrt: str | tuple[str, ...] = "a",
    workers: int | None = None,
) -> tuple[Any, Any]:
    r"""Value M and gradient of `csmooth.pmean`: :math:`b_i (a_i / M)^{p-1} / \sum_j b_j`.

    Parameters
    ----------
    a, p, axis, b, keepdims, where
        As for `csmooth.pmean`.
    out : ndarray, optional
        Receives the gradient, as for `csmooth.grad.logsumexp`.
    wrt : str or tuple of str, optional
        "a", "p" or a tuple of these.
    workers : int, optional
        As for `csmooth.grad.logsumexp`.

    Returns
    -------
    value : scalar or ndarray
        As `csmooth.pmean` gives it.
    gradient : scalar, ndarray or tuple of these
        With respect to `a`, of its shape; with respect to `p`, one for each value. For `p` = 1 the shares of weights,
        whatever the elements are; else 0 for elements equal to 0, and all elements where the mean is 0. Infinite
        elements have what equal ones have that tend to infinity, :math:`(k/n)^{1/p} / k` for k of n, with weights
        :math:`b_i (\sum_∞ b_j / \sum_j b_j)^{1/p} / \sum_∞ b_j`, and finite ones beside them 0. For infinite `p`, the
        extremes share 1 among them.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `csmooth.pmean`; ValueError for another `wrt`.

    Notes
    -----
    The error of the gradient stays within 3 ulp times max(1, condition number), about :math:`2 |p - 1|`; where it is
    less than the smallest normal number it may be 0. That of the derivative by `p` stays within 4 ulp, likewise.

    Examples
    --------
    >>> from csmooth import grad
    >>> grad.pmean([1, 4], 0)
    (np.float64(2.0), array([1.  , 0.25]))
    """
    into = _arrays.operands("grad.pmean", a, axis, b, where, workers)
    _arrays.require_elements("grad.pmean", into)
    power = _arrays.parameter("grad.pmean", "p", p, into, zero=True)
    call = _Call("pmean", "p", a, into, power, keepdims, out, wrt)
    call.run()
    call.share_infinity()
    call.set_linear()
    call.set_limits(into)
    call.nan_unknown()
    call.zero_absent()
    if call.slope is not None:
        with np.errstate(all="ignore"):
            call.slope.array[...] *= _factor(call.value.array)
    return call.results(_reductions.left_empty(into, None))


def _wide(into: _arrays.Operands) -> _arrays.Dtype:
    """Of what is rounded to the dtype of the result in the end."""
    return into.dtype if into.plain else _arrays.FLOAT64


def _factor(value: NDArray[Any]) -> NDArray[Any]:
    """The value, or 0 where it is infinite: there derivatives by the parameter are given as 0."""
    return np.where(np.isinf(value), 0, value)


class _Call:
    """A value and its derivatives while they are made; each of them as `_arrays` hands it to the caller."""

    def __init__(
        self,
        function: str,
        name: str,
        a: ArrayLike,
        into: _arrays.Operands,
        parameter: Any,
        keepdims: bool,
        out: NDArray[Any] | None,
        wrt: str | tuple[str, ...],
        initial: Any = None,
        return_sign: bool = False,
    ) -> None:
        named = f"grad.{function}"
        self.single = isinstance(wrt, str)
        self.wrt = wrt if isinstance(wrt, tuple | list) else (wrt,)
        if not self.wrt or any(key not in ("a", name) for key in self.wrt):
            raise ValueError(f"{named}: wrt must be 'a', {name!r} or a tuple of these, not {wrt!r}")
        if len(set(self.wrt)) < len(self.wrt):
            raise ValueError(f"{named}: wrt {wrt!r} names an argument twice")
        if out is not None and "a" not in self.wrt:
            raise ValueError(f"{named}: out is for the gradient by a, for which wrt does not ask")
        self.function, self.name, self.into, self.parameter, self.initial = function, name, into, parameter, initial
        self.mask = _arrays.mask_of(a)
        self.shape = np.shape(a)
        spread = self.shape != into.shape  # by b: then the gradient is a sum over what a is spread along
        if spread and out is not None:
            _arrays.check_out(named, out, self.shape, into.dtype)
        self.out = out if spread else None
        self.gradient = _arrays.Results(named, into, None if spread else out, parameter)
        # Read after the gradient is made: for extremes, for the value of powers beside a slope, for their signs beside
        # infinities, where weights cancel.
        weighted = into.weights is not None
        again = weighted or np.isinf(parameter).any()
        if function in ("pnorm", "pmean"):
            again = again or name in self.wrt
        if function == "pnorm":
            again = again or np.equal(parameter, 1).any()
        sources = (into.a if again else None, into.weights, into.weights_mask)
        if any(np.may_share_memory(self.gradient.array, x) for x in sources if x is not None):
            self.gradient.array = np.empty(into.shape, into.dtype)
            self.gradient.arranged = self.gradient.array.transpose(into.kept + into.reduced)
        self.value = _arrays.Output(named, into, keepdims, None, None)
        self.sign = _arrays.Output(named, into, keepdims, None, None) if return_sign else None
        of_slope = into._replace(dtype=_wide(into))
        self.slope = _arrays.Output(named, of_slope, keepdims, None, None) if name in self.wrt else None

    def run(self) -> None:
        """Runs the kernel."""
        into = self.into
        sign = None if self.sign is None else self.sign.array
        if into.a.size == 0:
            if self.slope is not None:
                self.slope.array[...] = 0
            _reductions.reduce(self.function, into, self.parameter, self.initial, self.value.array, sign)
            return
        slope = None if self.slope is None else self.slope.array
        if into.plain:
            value, gradient = self.value.array, self.gradient.arranged
            _reductions.reduce(self.function, into, self.parameter, self.initial, value, sign)
            _plain_gradients.map(self.function, into, self.parameter, self.initial, value, gradient, slope)
            return
        close = self.function in ("pnorm", "pmean") and slope is not None
        _reductions.map(
            f"{self.function}_slope" if close else self.function,
            into,
            self.parameter,
            self.initial,
            self.gradient.arranged,
            self.value.array,
            sign,
            slope,
        )
        if close:  # the value must not depend on what is wanted beside it
            _reductions.reduce(self.function, into, self.parameter, None, self.value.array)

    def share_infinity(self) -> None:
        """For powers: infinite elements have the gradient of equal ones that tend to infinity.

        The kernel gives them their weights, those of a mean over the sum of all, with the sign of the element. The
        value tends to the element times total**(1 / p), and so (element / value)**(p - 1) to total**(1 / p - 1).
        """
        infinite = np.isinf(self.value.array)
        if not infinite.any() or self.into.a.size == 0:
            return
        gradient = self.gradient.arranged[infinite].astype(_wide(self.into))
        axes = tuple(range(1, gradient.ndim))
        with np.errstate(all="ignore"):
            if self.into.weights is None:
                total = np.abs(gradient).sum(axis=axes)
            else:  # may be negative; only then a is kept, and its sign known
                total = (gradient * np.where(self.into.a[infinite] < 0, -1, 1)).sum(axis=axes)
            power = np.broadcast_to(self.parameter, infinite.shape)[infinite]
            factor = total ** (1 / power - 1)
            factor = np.where(np.isfinite(total) & (total > 0), factor, 1)
            gradient = np.where(gradient == 0, 0, gradient * factor.reshape(factor.shape + (1,) * len(axes)))
            self.gradient.arranged[infinite] = gradient

    def set_linear(self) -> None:
        """For p = 1: a mean is linear, at 0 too, and so are both beside infinite elements; the kernel has 0 there."""
        if type(self.parameter) is float and self.parameter != 1:
            return
        linear = np.equal(self.parameter, 1) & ~np.isnan(self.value.array)
        if self.function == "pnorm":  # which has a kink at 0
            linear &= np.isinf(self.value.array)
        if not linear.any() or self.into.a.size == 0:
            return
        gone = self._along(linear) & (self.gradient.arranged == 0)
        if not gone.any():
            return
        into = self.into
        if self.function == "pnorm":
            with np.errstate(all="ignore"):
                signs = np.sign(into.a.astype(_wide(into)))
                share = signs if into.weights is None else signs * into.weights
            share = np.where(self._absent() | (signs == 0), 0, share)
        else:
            share = np.empty_like(self.gradient.arranged)
            into = into._replace(a=np.broadcast_to(np.ones((), _wide(into)), into.a.shape))
            if into.plain:
                _plain_gradients.map("pmean", into, 1.0, None, np.ones_like(self.value.array), share, None)
            else:
                _reductions.map("pmean", into, 1.0, None, share)
        np.copyto(self.gradient.arranged, share, where=gone, casting="same_kind")

    def set_limits(self, into: _arrays.Operands, factor: Any = 1.0) -> None:
        """For an infinite parameter, the extremes share the whole."""
        infinite = np.isinf(self.parameter)
        if not infinite.any() or into.a.size == 0:
            return
        share = np.empty_like(self.gradient.arranged)
        one = np.where(infinite, self.parameter, 1.0)
        unknown = np.isnan(self.value.array)
        if unknown.any():
            one = np.where(unknown, np.nan, one)
        if into.plain:
            _plain_gradients.map("logsumexp", into, one, None, np.where(unknown, np.nan, 0), share, None)
        else:
            _reductions.map("logsumexp", into, one if one.ndim else float(one), None, share)
        share *= factor
        share += 0.0  # no -0.0
        np.copyto(self.gradient.arranged, share, where=self._along(infinite))
        if self.slope is not None:
            np.copyto(self.slope.array, 0, where=infinite)

    def zero_where(self, condition: Any) -> None:
        """Sets the gradient to 0 where the value does not depend on its elements."""
        if np.any(condition):
            np.copyto(self.gradient.arranged, 0, where=self._along(np.asarray(condition)))

    def zero_absent(self) -> None:
        """Sets the gradient to 0 where no element is left, as their weights of 0 may have given 0 / 0."""
        if self.into.weights is not None and not np.isfinite(self.value.array).all():
            self.zero_where(_reductions.nothing_left(self.into))

    def zero_cancelled(self) -> None:
        """Sets the gradient to 0 where weights cancel: it would be 1 / 0 of either sign, and 0 is nearest to both."""
        if self.into.weights is None:
            return
        nothing = np.isinf(self.value.array) & (np.sign(self.value.array) != np.sign(self.parameter))
        if nothing.any():
            np.copyto(self.gradient.arranged, 0, where=self._along(nothing) & np.isnan(self.gradient.arranged))

    def nan_unknown(self) -> None:
        """Where the value is NaN, so is the gradient, but for elements that are absent: theirs is 0."""
        unknown = np.isnan(self.value.array)
        if unknown.any():
            np.copyto(self.gradient.arranged, np.where(self._absent(), 0, np.nan), where=self._along(unknown))

    def _absent(self) -> Any:
        """Which elements are left out, or have the weight 0."""
        into = self.into
        absent: Any = False if into.weights is None else into.weights == 0
        for mask in (into.mask, into.weights_mask):
            absent = absent if mask is None else absent | mask
        return absent if into.where is None else absent | ~into.where

    def _along(self, condition: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return condition.reshape(
            condition.shape + (1,) * (self.into.a.ndim - len(self.into.kept) if condition.ndim else 0)
        )

    def results(self, empty: NDArray[np.bool_] | None) -> tuple[Any, Any]:
        """What the caller gets."""
        parts: dict[str, Any] = {}
        if self.shape == self.into.shape:
            parts["a"] = self.gradient.result(self.mask)
        else:
            parts["a"] = _summed(self.gradient.array, self.shape, self.mask, self.out)
        if self.slope is not None:
            array = self.value.array
            with np.errstate(all="ignore"):  # no -0.0
                slope = np.where(np.isinf(array), 0, self.slope.array) + 0.0
                self.slope.array = np.where(np.isnan(array), np.nan, slope).astype(self.into.dtype)
            parts[self.name] = self.slope.result(empty)
        value = self.value.result(empty)
        if self.sign is not None:
            value = value, self.sign.result(empty)
        return value, parts[self.wrt[0]] if self.single else tuple(parts[name] for name in self.wrt)


def _summed(gradient: NDArray[Any], shape: tuple[int, ...], mask: NDArray[Any] | None, out: NDArray[Any] | None) -> Any:
    """Adds up what belongs to one element that was spread against weights."""
    extra = gradient.ndim - len(shape)
    spread = [extra + axis for axis, length in enumerate(shape) if length != gradient.shape[extra + axis]]
    axes = (*range(extra), *spread)
    wide = gradient.dtype if gradient.dtype.char == "g" else _arrays.FLOAT64
    total = gradient.sum(axis=axes, dtype=wide).astype(gradient.dtype).reshape(shape)  # rounded once
    if out is not None:
        np.copyto(out, total, casting="same_kind")
        return out
    return total[()] if mask is None else np.ma.MaskedArray(total, np.array(mask))
