"""Lazy reductions of Dask arrays; imported only where there is one.

Of each chunk remains a record for each of its outputs: the states of kernels, and how many elements these stand for.
Records are merged in a tree, whose shape the chunks and Dask's `split_every` decide; the last one becomes the result.
`logsumexp`, `boltzmann`, `softmax` and `log_softmax` of one array have the same records, which Dask makes but once.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from . import _arrays, _reductions
from ._dispatch import kernels

# The kernels whose states are made together, for those that take one parameter alike.
_EXPONENTIAL = ("logsumexp", "boltzmann")
_PLAIN = ("maximum", "mean")
_TOGETHER = dict.fromkeys(_EXPONENTIAL, _EXPONENTIAL) | dict.fromkeys(_PLAIN, _PLAIN)
_MEANS = ("boltzmann", "logmeanexp", "pmean", "mean", "smoothmax_stats")  # of nothing there is none


def reduce(
    function: str,
    a: Any,
    parameter: Any,
    axis: _arrays.Axis,
    b: Any,
    keepdims: bool,
    where: Any,
    out: Any,
    workers: int | None,
    *,
    name: str = "alpha",
    zero: bool = True,
    initial: float | None = None,
    return_sign: bool = False,
) -> Any:
    """A Dask array for what `function` gives for arrays; `zero`: its parameter, of this `name`, may be 0."""
    _refuse(function, out)
    steps = len(_shape(parameter)) - max(len(_shape(x)) for x in (a, b, where))
    if steps > 0 and function in _arrays.LADDERS:
        others = (axis, b, keepdims, where, out, workers)
        keywords: dict[str, Any] = {"name": name, "zero": zero, "initial": initial, "return_sign": return_sign}
        each = [reduce(function, a, parameter[k], *others, **keywords) for k in range(len(parameter))]
        return tuple(map(da.stack, zip(*each, strict=True))) if return_sign else da.stack(each)
    into = _checked(function, a, parameter, axis, b, where, workers, name, zero)
    signed = _arrays.flag(function, "return_sign", return_sign)
    finish = {
        "with_sign": signed,
        "keepdims": _arrays.flag(function, "keepdims", keepdims),
        "initial": _arrays.scalar(function, "initial", initial, into),
        "zero": zero,
    }
    records = _merged_records(function, a, parameter, b, where, workers, into)
    value = _finished(records, into, function=function, kernel=function, signs=False, **finish)
    if not signed:
        return value
    return value, _finished(records, into, function=function, kernel=function, signs=True, **finish)


def stats(
    a: Any, alpha: Any, axis: _arrays.Axis, b: Any, keepdims: bool, where: Any, workers: int | None
) -> list[da.Array]:
    """The fields of a `SmoothMaxStatsResult`."""
    into = _checked("smoothmax_stats", a, alpha, axis, b, where, workers, "alpha", False)
    finish = {"keepdims": _arrays.flag("smoothmax_stats", "keepdims", keepdims), "initial": None}
    finish |= {"signs": False, "with_sign": False}
    results = []
    for kernel, parameter in (("maximum", 1.0), ("logsumexp", alpha), ("boltzmann", alpha), ("mean", 1.0)):
        records = _merged_records(kernel, a, parameter, b, where, workers, into)
        results.append(_finished(records, into, function="smoothmax_stats", kernel=kernel, zero=False, **finish))
    return results


def spread(
    function: str, a: Any, axis: _arrays.Axis, alpha: Any, where: Any, out: Any, workers: int | None
) -> da.Array:
    """A Dask array for `softmax` or `log_softmax`."""
    _refuse(function, out)
    into = _checked(function, a, alpha, axis, None, where, workers, "alpha", True)
    records = _merged_records("logsumexp", a, alpha, None, where, workers, into)
    return da.blockwise(
        _spread_chunk,
        range(len(into.shape)),
        *_indexed(into, a, where, alpha, records),
        function=function,
        axis=into.reduced,
        workers=workers,
        token=function,
        dtype=into.dtype,
        meta=np.empty((0,) * len(into.shape), into.dtype),
    )


def _refuse(function: str, out: Any) -> None:
    if out is not None:
        raise TypeError(f"{function}: out must be None for a Dask array")


def _checked(
    function: str,
    a: Any,
    parameter: Any,
    axis: _arrays.Axis,
    b: Any,
    where: Any,
    workers: int | None,
    name: str,
    zero: bool,
) -> _arrays.Operands:
    """Checks everything that needs no elements, on arrays of the same dtypes whose axes have length 1."""
    shape = _common_shape(function, _known(a), b=b)
    if _common_shape(function, shape, where=where) != shape:
        raise ValueError(f"{function}: where of shape {_shape(where)} does not broadcast to the shape of a, {shape}")
    into = _arrays.operands(function, _stand_in(a), axis, _stand_in(b), _stand_in(where), workers)
    if into.plain:
        raise TypeError(f"{function}: Dask arrays of {into.dtype} are not supported")
    outputs = tuple([1 if k in into.reduced else n for k, n in enumerate(shape)])
    if _common_shape(function, outputs, **{name: parameter}) != outputs:
        raise ValueError(
            f"{function}: {name} of shape {_shape(parameter)} does not broadcast to {outputs}, "
            "the shape of a with the reduced axes of length 1"
        )
    _arrays.parameter(function, name, _stand_in(parameter), into, zero)
    if function in _MEANS and 0 in shape and 0 not in outputs:
        raise ValueError(f"{function}: a reduction of no elements has no result; a has shape {shape}")
    return into


def _common_shape(function: str, shape: tuple[int, ...], **operand: Any) -> tuple[int, ...]:
    """The shape to which one of this shape and an operand broadcast."""
    ((name, value),) = operand.items()
    try:
        return np.broadcast_shapes(shape, _known(value))
    except ValueError:
        raise ValueError(
            f"{function}: {name} of shape {_shape(value)} does not broadcast against a of shape {shape}"
        ) from None


def _stand_in(operand: Any) -> Any:
    """An array that has one element of the same dtype, 0 if any is known to be; a number stays."""
    if not _shape(operand):
        return operand.dtype.type(1) if isinstance(operand, da.Array) else operand
    array = operand if isinstance(operand, da.Array) else np.asarray(operand)
    with_zero = isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and not array.all()
    return np.full((1,) * array.ndim, not with_zero, array.dtype)


def _shape(operand: Any) -> tuple[Any, ...]:
    return operand.shape if isinstance(operand, da.Array) else np.shape(operand)


def _known(operand: Any) -> tuple[int, ...]:
    """The shape, with 1 for lengths that are not known yet."""
    return tuple([1 if n != n else n for n in _shape(operand)])


def _indexed(into: _arrays.Operands, *operands: Any) -> list[Any]:
    """Operands, each with the axes of the broadcast input that it has, as `blockwise` takes them."""
    axes = tuple(range(len(into.shape)))
    pairs: list[Any] = []
    for operand in operands:
        if isinstance(operand, da.Array) or _shape(operand):
            operand = da.asanyarray(operand)
            pairs += [operand, axes[len(axes) - operand.ndim :]]
        else:
            pairs += [operand, None]
    return pairs


def _record_dtype(names: tuple[str, ...]) -> np.dtype[Any]:
    """Of what remains of elements; `absent`: none of them counts, so that means are NaN."""
    numbers = [("count", np.int64), ("parameter", np.float64), ("weighted", np.bool_), ("absent", np.bool_)]
    return np.dtype([*numbers, *((name, np.float64, (kernels.state_length(name),)) for name in names)], align=True)


def _merged_records(
    kernel: str, a: Any, parameter: Any, b: Any, where: Any, workers: int | None, into: _arrays.Operands
) -> da.Array:
    """The records of all elements, with reduced axes of length 1."""
    names = _TOGETHER.get(kernel, (kernel,))
    dtype = _record_dtype(names)
    meta = np.empty((0,) * len(into.shape), dtype)
    records = da.blockwise(
        _chunk_records,
        range(len(into.shape)),
        *_indexed(into, a, b, where, parameter),
        names=names,
        axis=into.reduced,
        workers=workers,
        token="-".join(names) + "-chunk",
        adjust_chunks=dict.fromkeys(into.reduced, 1),
        dtype=dtype,
        meta=meta,
    )
    if not into.reduced:
        return records
    merge = partial(_merge, names=names)
    return da.reduction(records, _same, merge, into.reduced, keepdims=True, dtype=dtype, combine=merge, meta=meta)


def _finished(records: da.Array, into: _arrays.Operands, **keywords: Any) -> da.Array:
    axes = () if keywords["keepdims"] else into.reduced
    return da.blockwise(
        _finish,
        [k for k in range(records.ndim) if k not in axes],
        records,
        range(records.ndim),
        result_dtype=into.dtype,
        axes=axes,
        **keywords,
        token=keywords["function"],
        concatenate=True,
        dtype=into.dtype,
        meta=np.empty((0,) * (records.ndim - len(axes)), into.dtype),
    )


# What Dask calls, with chunks


def _chunk_records(
    a: Any, b: Any, where: Any, parameter: Any, *, names: tuple[str, ...], axis: tuple[int, ...], workers: int | None
) -> NDArray[Any]:
    into = _arrays.operands(names[0], a, axis, b, where, workers)
    values = _arrays.parameter(names[0], "parameter", parameter, into, zero=True)
    absent = (into.weights, into.where, into.mask, into.weights_mask)
    records = np.zeros(into.result_shape(False), _record_dtype(names))
    records["count"] = prod(into.a.shape[len(into.kept) :])
    records["parameter"] = values
    records["weighted"] = into.weights is not None
    if any(x is not None for x in absent):
        records["absent"] = _reductions.nothing_left(into)
    states = [records[name][..., 0] for name in names]
    kernels.reduce_to_states(names, len(into.kept), into.a, *absent, values, states, into.workers)
    return records.reshape(into.result_shape(True))


def _same(records: NDArray[Any], axis: Any, keepdims: bool, computing_meta: bool = False) -> NDArray[Any]:
    return records


def _merge(
    records: NDArray[Any],
    axis: tuple[int, ...],
    keepdims: bool,
    *,
    names: tuple[str, ...],
    computing_meta: bool = False,
) -> NDArray[Any]:
    """One record for each output, of all along the axes, in C order."""
    shape = [1 if k in axis else n for k, n in enumerate(records.shape)]
    if not records.size:  # no outputs, or Dask asks for the dtype
        return np.empty(shape, records.dtype)
    records = np.require(records, requirements="A")  # what arrives from elsewhere may lie anywhere
    kept = [k for k in range(records.ndim) if k not in axis]
    parts = records.transpose(*kept, *sorted(axis)).reshape(prod(shape), prod(records.shape[k] for k in axis))
    merged = parts[:, 0].copy()
    counted = [part for part in parts.T if part["count"].any()]
    if len(counted) > 1:
        merged["count"] = parts["count"].sum(axis=1)
        merged["weighted"] = parts["weighted"].any(axis=1)
        merged["absent"] = np.logical_and.reduce([part["absent"] for part in counted])
        for name in names:
            states = [part[name][..., 0] for part in counted]
            kernels.join_states(name, states, _parameter(merged), merged[name][..., 0])
    elif counted:
        merged = counted[0].copy()
    return merged.reshape(shape)


def _parameter(records: NDArray[Any]) -> float | NDArray[np.float64]:
    """The parameter of all records if they have the same, else those of each."""
    values: NDArray[np.float64] = np.ascontiguousarray(records["parameter"])
    return float(values[0]) if values.size and (values == values[0]).all() else values


def _finish(
    records: NDArray[Any],
    *,
    function: str,
    kernel: str,
    signs: bool,
    with_sign: bool,
    initial: float | None,
    zero: bool,
    keepdims: bool,
    result_dtype: np.dtype[Any],
    axes: tuple[int, ...],
) -> Any:
    """The results of records, or their signs; `with_sign`: the results are of absolute values."""
    shape = tuple([n for k, n in enumerate(records.shape) if k not in axes])
    records = np.require(records, requirements="A").reshape(-1)
    value, sign = np.ones((2, records.size), result_dtype)
    parameter = _parameter(records)
    if not zero and (np.asarray(parameter) == 0).any():
        raise ValueError(f"{function}: alpha must not be 0")
    count, weighted = int(records["count"].max(initial=0)), bool(records["weighted"].any())
    if records.size and not count and function in _MEANS:
        raise ValueError(f"{function}: a reduction of no elements has no result")
    states = records[kernel][..., 0]
    if initial is not None:
        one, joined = np.empty((2, *records[kernel].shape))
        elements = np.full((records.size, 1), initial)
        kernels.reduce_to_states((kernel,), 1, elements, None, None, None, None, parameter, [one[..., 0]], 1)
        kernels.join_states(kernel, [states, one[..., 0]] if count else [one[..., 0]], parameter, joined[..., 0])
        states = joined[..., 0]
        count += 1
    limit = np.inf if weighted else float(count)
    kernels.finish_states(kernel, states, parameter, limit, weighted, value, sign if with_sign else None)
    for result in (value, sign):
        if kernel in _MEANS:
            result[records["absent"]] = np.nan
        result[np.isnan(records["parameter"])] = np.nan
    return (sign if signs else value).reshape(shape)[()]


def _spread_chunk(
    a: Any,
    where: Any,
    alpha: Any,
    records: NDArray[Any],
    *,
    function: str,
    axis: tuple[int, ...],
    workers: int | None,
) -> Any:
    into = _arrays.operands(function, a, axis, None, where, workers)
    sharpness = _arrays.parameter(function, "alpha", alpha, into, zero=True)
    value = _arrays.Results(function, into, None, sharpness)
    states = np.require(records, requirements="A").squeeze(axis)["logsumexp"][..., 0]
    kernels.map_given(
        function, len(into.kept), into.a, into.where, into.mask, sharpness, states, value.arranged, into.workers
    )
    return value.result(_arrays.mask_of(a))
