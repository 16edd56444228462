"""Array-likes, dtypes, axes, masks, weights and outputs: the only place that validates.

Everything is checked before any work is done, and nothing here copies an array: kernels see views whose kept axes
come first, in order, and whose reduced axes come last, in order.
"""

import operator
import sys
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.exceptions import AxisError
from numpy.typing import ArrayLike, NDArray

from . import _workers

Array: TypeAlias = NDArray[Any]
Axis: TypeAlias = int | tuple[int, ...] | None
Dtype: TypeAlias = np.dtype[Any]

FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
COMPLEX = ("logsumexp", "softmax", "log_softmax")  # the functions that take complex numbers
LADDERS = ("logsumexp", "logmeanexp", "boltzmann", "pnorm", "pmean")  # and those that take a ladder of parameters


class Operands(NamedTuple):
    """What a kernel reduces, and what its result looks like."""

    a: Array
    weights: Array | None
    where: Array | None  # elements that are False are left out,
    mask: Array | None  # and those that are True here, in the masks of a and b
    weights_mask: Array | None
    kept: tuple[int, ...]  # axes of the broadcast input, of this shape
    reduced: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: Dtype  # of the result
    workers: int  # threads that may take part

    @property
    def plain(self) -> bool:
        """Whether the kernels lack the dtype, so that NumPy must do the work."""
        return self.dtype.char in "gFDG"

    @property
    def real_dtype(self) -> Dtype:
        """That of a real part of the result."""
        return np.dtype(self.dtype.char.lower()) if self.dtype.kind == "c" else self.dtype

    def result_shape(self, keepdims: bool) -> tuple[int, ...]:
        """The shape of the result; with `keepdims`, the reduced axes have length 1."""
        if keepdims:
            return tuple([1 if axis in self.reduced else length for axis, length in enumerate(self.shape)])
        return self.a.shape[: len(self.kept)]


def operands(
    function: str,
    a: ArrayLike,
    axis: Axis,
    b: ArrayLike | None,
    where: ArrayLike,
    workers: int | None = None,
    named: str = "a",
) -> Operands:
    """Checks and arranges the input of a reduction, whose first argument is `named` so."""
    mask, weights_mask = mask_of(a), mask_of(b)
    array = as_array(function, named, a)
    dtype = result_dtype(function, named, array.dtype)
    shape = array.shape
    weights = None
    if b is not None:
        weights = as_array(function, "b", b)
        weights_dtype = result_dtype(function, "b", weights.dtype)
        if isinstance(b, np.generic) or not isinstance(b, int | float | complex):
            dtype = common_dtype(dtype, weights_dtype)
        elif weights_dtype.kind == "c":  # Python's numbers take the precision of a
            dtype = common_dtype(dtype, np.dtype(np.complex64))
        try:
            shape = np.broadcast_shapes(shape, weights.shape)
        except ValueError:
            raise ValueError(
                f"{function}: b of shape {weights.shape} does not broadcast against {named} of shape {shape}"
            ) from None
    kept, reduced = split_axes(function, axis, len(shape))
    order = kept + reduced
    return Operands(
        arranged(array, shape, order),
        None if weights is None else arranged(weights, shape, order),
        None if where is True else arranged(condition(function, where, shape), shape, order),
        None if mask is None else arranged(mask, shape, order),
        None if weights_mask is None else arranged(weights_mask, shape, order),
        kept,
        reduced,
        shape,
        dtype,
        _workers.count(function, workers),
    )


def any_lazy(*operands: Any) -> bool:
    """Whether one is a Dask array."""
    dask = sys.modules.get("dask.array")
    return dask is not None and any(isinstance(x, getattr(dask, "Array", ())) for x in operands)


def as_array(function: str, name: str, value: ArrayLike) -> Array:
    """What NumPy makes of an argument."""
    try:
        return np.asarray(value)
    except ValueError as error:  # of lists of unequal lengths
        raise ValueError(f"{function}: {name} is no array: {error}") from None


def mask_of(a: Any) -> Array | None:
    """The mask of a masked array that has one; what others call `_mask`, as pandas does, may mean something else."""
    mask = np.ma.getmask(a) if isinstance(a, np.ma.MaskedArray) else np.ma.nomask
    return None if mask is np.ma.nomask else np.asarray(mask)


def arranged(operand: Array, shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    """A view of this shape, its axes in this order."""
    if operand.shape != shape:
        operand = np.broadcast_to(operand, shape)
    return operand.transpose(order)


def result_dtype(function: str, name: str, dtype: Dtype) -> Dtype:
    """The dtype of the result for an argument of this dtype."""
    if dtype is FLOAT64 or dtype is FLOAT32:
        return dtype
    if dtype.kind in "biu":
        return FLOAT64
    if is_float(dtype):
        return dtype.newbyteorder("=")
    if dtype.kind == "c":
        if function in COMPLEX:
            return dtype.newbyteorder("=")
        raise TypeError(f"{function}: {name} has dtype {dtype}; it must be real")
    kinds = "a float, complex, an integer or bool" if function in COMPLEX else "a float, an integer or bool"
    raise TypeError(f"{function}: {name} has dtype {dtype}; it must be {kinds}")


def is_float(dtype: Dtype) -> bool:
    """Whether numbers are real: NumPy's floats, or bfloat16 of the package ml_dtypes."""
    return dtype.char in "efdg" or dtype.name == "bfloat16"


def common_dtype(x: Dtype, y: Dtype) -> Dtype:
    """The dtype of the result for arguments that ask for these."""
    try:
        return np.result_type(x, y)
    except TypeError:  # float16 and bfloat16, which only have this in common
        return FLOAT32


def split_axes(function: str, axis: Axis, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The kept and the reduced axes, each in order."""
    every = tuple(range(ndim))
    if axis is None:
        return (), every
    if type(axis) is int and -ndim <= axis < ndim:
        axis %= ndim
        return every[:axis] + every[axis + 1 :], (axis,)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    try:
        if any(isinstance(one, bool) for one in given):  # which has an index
            raise TypeError
        axes = [operator.index(one) for one in given]
    except TypeError:
        raise TypeError(f"{function}: axis must be None, an integer or a tuple of integers, not {axis!r}") from None
    length = ndim or 1
    for one in axes:
        if not -length <= one < length:
            raise AxisError(one, ndim, function)
    reduced = {one % length for one in axes}
    if len(reduced) < len(axes):
        raise ValueError(f"{function}: axis {axis} names an axis twice")
    if ndim == 0:  # as NumPy, which lets axis 0 and -1 stand for none
        return (), ()
    return tuple([k for k in every if k not in reduced]), tuple(sorted(reduced))


def flag(function: str, name: str, value: Any) -> bool:
    """A bool, or an integer that stands for one, as NumPy has it."""
    if value is True or value is False:
        return value
    try:
        return bool(value if isinstance(value, np.bool_) else operator.index(value))
    except TypeError:
        raise TypeError(f"{function}: {name} must be a bool, not {value!r}") from None


def condition(function: str, where: ArrayLike, shape: tuple[int, ...]) -> Array:
    """`where` as an array of bool, False where it is masked."""
    array = as_array(function, "where", where)
    if array.dtype != np.bool_:
        raise TypeError(f"{function}: where has dtype {array.dtype}; it must be bool")
    mask = mask_of(where)
    if mask is not None:
        array = array & ~mask
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"{function}: where of shape {array.shape} does not broadcast to the shape of a, {shape}"
        ) from None


def require_elements(function: str, into: Operands) -> None:
    """Fails for outputs that have nothing to reduce, as numpy.max does."""
    length, outputs = prod(into.a.shape[len(into.kept) :]), prod(into.a.shape[: len(into.kept)])
    if outputs and not length:
        raise ValueError(f"{function}: a reduction of no elements has no result; a has shape {into.shape}")


def number(function: str, name: str, value: ArrayLike) -> Array:
    """What NumPy makes of a parameter, of which nothing can be left out; of an integer too long for it, a double."""
    mask = mask_of(value)
    if mask is not None and mask.any():
        raise ValueError(f"{function}: {name} must not have masked elements")
    array = as_array(function, name, value)
    if array.dtype.kind == "O" and isinstance(value, int):
        try:
            return np.asarray(float(value))
        except OverflowError:
            raise ValueError(f"{function}: {name} is too large for a float") from None
    return array


def parameter(
    function: str, name: str, value: ArrayLike, into: Operands, zero: bool = False
) -> float | NDArray[np.floating]:
    """A real number, other than 0 unless `zero`, or one for each output, without the reduced axes.

    Doubles, as the kernels have them; for results of dtype longdouble those, a single one without dimensions. For
    a ladder, axes before those of `a` hold several such for each output.
    """
    if type(value) is float and (value != 0 or zero):
        return value
    array = number(function, name, value)
    if array.dtype.kind not in "biu" and not is_float(array.dtype):
        raise TypeError(f"{function}: {name} has dtype {array.dtype}; it must be real")
    with np.errstate(over="ignore", under="ignore"):  # a longdouble may be infinite or 0 as a double
        array = array.astype(parameter_dtype(into), copy=False)
    if not zero and (array == 0).any():
        raise ValueError(f"{function}: {name} must not be 0")
    if array.ndim == 0:
        return float(array) if array.dtype == FLOAT64 else array
    shape = into.result_shape(True)
    steps = array.shape[: array.ndim - len(shape)] if function in LADDERS and array.ndim > len(shape) else ()
    try:
        spread = np.broadcast_to(array, steps + shape)
    except ValueError:
        raise ValueError(
            f"{function}: {name} of shape {array.shape} does not broadcast to {shape}, "
            "the shape of a with the reduced axes of length 1"
        ) from None
    return spread.squeeze(after(steps, into.reduced))


def after(steps: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The same axes where those of a ladder come first."""
    return tuple([len(steps) + axis for axis in axes])


def parameter_dtype(into: Operands) -> Dtype:
    """Of a parameter: a double, or a longdouble where the result is one."""
    return np.dtype(np.longdouble) if into.dtype.char in "gG" else FLOAT64


def scalar(function: str, name: str, value: Any, into: Operands) -> float | np.floating | None:
    """A real number, or None."""
    if value is None:
        return None
    array = number(function, name, value)
    if (array.dtype.kind not in "biu" and not is_float(array.dtype)) or array.ndim:
        raise TypeError(f"{function}: {name} must be a real number, not {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        array = array.astype(parameter_dtype(into))
        return float(array) if array.dtype == FLOAT64 else np.longdouble(array)


def check_out(function: str, out: Any, shape: tuple[int, ...], dtype: Dtype) -> None:
    """Fails unless `out` can receive results of this shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{function}: out must be an ndarray, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{function}: out has shape {out.shape}, the result {shape}")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"{function}: out has dtype {out.dtype}, to which NumPy does not cast {dtype} (same_kind)")
    if not out.flags.writeable:
        raise ValueError(f"{function}: out is read-only")


class Output:
    """Where a kernel writes (`array`, without the reduced axes), and what the caller gets (`result`).

    The axes by which a parameter has more than there are outputs, those of a ladder, come first.
    """

    def __init__(self, function: str, into: Operands, keepdims: bool, out: Array | None, parameter: Any) -> None:
        self.given = out
        self.keepdims = keepdims = flag(function, "keepdims", keepdims)
        self.each = self.shape = into.result_shape(keepdims)
        steps: tuple[int, ...] = ()
        if type(parameter) is not float and parameter is not None and parameter.ndim > len(into.kept):
            steps = parameter.shape[: parameter.ndim - len(into.kept)]
            self.shape = steps + self.each
        if out is None:
            self.array = np.empty(steps + into.result_shape(False), into.dtype)
            return
        check_out(function, out, self.shape, into.dtype)
        view = np.asarray(out)
        self.array = view.squeeze(after(steps, into.reduced)) if keepdims else view
        sources = (into.a, into.weights, into.where, into.mask, into.weights_mask, parameter)
        if out.dtype != into.dtype or any(np.may_share_memory(out, x) for x in sources if isinstance(x, np.ndarray)):
            self.array = np.empty(self.array.shape, into.dtype)

    def result(self, empty: Array | None = None) -> Any:
        """The result, masked where `empty` says that all of a masked array's slice was left out."""
        if empty is not None:
            empty = np.array(np.broadcast_to(empty.reshape(self.each), self.shape))
        if self.given is not None:
            value = self.array.reshape(self.shape) if self.keepdims else self.array
            if not np.may_share_memory(value, self.given):
                with np.errstate(over="ignore", under="ignore"):
                    np.copyto(np.asarray(self.given), value, casting="same_kind")
            if empty is not None and isinstance(self.given, np.ma.MaskedArray):
                self.given[...] = np.ma.MaskedArray(np.asarray(self.given), empty)
            return self.given
        value = self.array.reshape(self.shape)
        if empty is None:
            return value[()]
        masked = np.ma.MaskedArray(value, empty)
        return masked[()] if masked.ndim == 0 else masked


class Results:
    """Where a kernel writes as many results as there are elements (`arranged`), and what the caller gets (`result`)."""

    def __init__(self, function: str, into: Operands, out: Array | None, parameter: Any) -> None:
        self.given = out
        order = into.kept + into.reduced
        back = np.argsort(order)
        if out is None:
            self.array = np.empty_like(into.a.transpose(back), dtype=into.dtype, subok=False)
        else:
            check_out(function, out, into.shape, into.dtype)
            self.array = np.asarray(out)
            sources = (into.where, into.mask, parameter)
            overlaps = np.may_share_memory(out, into.a) and not same_view(self.array.transpose(order), into.a)
            if (
                overlaps
                or self.array.dtype not in (into.dtype, FLOAT32)  # kernels round to float32, once
                or any(np.may_share_memory(out, x) for x in sources if isinstance(x, np.ndarray))
            ):
                self.array = np.empty(into.shape, into.dtype)
        self.arranged = self.array.transpose(order)

    def result(self, mask: Array | None) -> Any:
        """The results, with the mask of a masked array."""
        value: Any = self.array
        if self.given is not None:
            if value is not self.given and not np.may_share_memory(value, self.given):
                with np.errstate(over="ignore", under="ignore"):
                    np.copyto(np.asarray(self.given), value, casting="same_kind")
            value = self.given
            if mask is not None and isinstance(value, np.ma.MaskedArray):
                value.mask = mask
            return value
        return value[()] if mask is None else np.ma.MaskedArray(value, np.array(mask))


def same_view(x: Array, y: Array) -> bool:
    """Whether two arrays are the same elements of memory, in the same order."""
    return (
        x.dtype == y.dtype
        and x.strides == y.strides
        and x.shape == y.shape
        and x.__array_interface__["data"][0] == y.__array_interface__["data"][0]
    )
