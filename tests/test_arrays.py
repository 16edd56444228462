"""What every kind of input gets: array-likes, dtypes, layouts, axes, masks, weights, outputs, and what is refused."""

import array
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.exceptions import AxisError
from numpy.lib.stride_tricks import as_strided
from reference import same_bits

import csmooth
from csmooth import logsumexp


def rng() -> np.random.Generator:
    """The same numbers in every test, whichever of them run."""
    return np.random.default_rng(20)


A = rng().normal(size=(4, 5, 6))  # read-only, so that writing into any view of it is an error
A.flags.writeable = False
INF = np.inf

pytestmark = pytest.mark.usefixtures("floating_point_errors_raise")


def plainly(a: Any, **keywords: Any) -> np.ndarray:
    """logsumexp along the last axis, one contiguous row at a time."""
    a = np.asarray(a)
    rows = [logsumexp(row.copy(), **keywords) for row in a.reshape(-1, a.shape[-1])]
    return np.array(rows).reshape(a.shape[:-1])


# Array-likes

VALUES = [0.5, -3.0, 2.0, 2.0, 7.25]


class HasArray:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(VALUES, dtype)


@pytest.mark.parametrize(
    "a",
    [
        VALUES,
        tuple(VALUES),
        array.array("d", VALUES),
        memoryview(np.array(VALUES)),
        HasArray(),
        pd.Series(VALUES),
        pd.Series(VALUES, index=list("abcde")),
        pd.Series(VALUES, dtype="Float64"),
        pd.Index(VALUES),
        pd.DataFrame({"x": VALUES}),
        pa.array(VALUES),
        pa.chunked_array([VALUES[:2], VALUES[2:]]),
        np.array(VALUES).view(np.recarray),
        np.array(VALUES).reshape(1, 5, 1),
    ],
    ids=lambda a: type(a).__name__,
)
def test_array_likes(a: Any) -> None:
    expected = logsumexp(np.array(VALUES))
    assert type(logsumexp(a)) is np.float64
    assert logsumexp(a) == expected
    assert logsumexp(a, b=a) == logsumexp(VALUES, b=VALUES)


@pytest.mark.parametrize("module", ["polars", "torch"])
def test_array_likes_of_other_packages(module: str) -> None:
    module = pytest.importorskip(module)
    make = getattr(module, "Series", None) or module.tensor
    assert logsumexp(make(VALUES)) == pytest.approx(logsumexp(VALUES), rel=1e-7)  # torch's default is float32


def test_dataframe_keeps_its_axes() -> None:
    frame = pd.DataFrame({"x": VALUES, "y": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert same_bits(logsumexp(frame, axis=0), plainly(frame.to_numpy().T))
    assert same_bits(logsumexp(frame, axis=1), plainly(frame.to_numpy()))


def test_integers_of_different_columns() -> None:
    frame = pd.DataFrame({"x": [1, 2], "y": [3.0, 4.0]})
    assert same_bits(logsumexp(frame, axis=1), plainly([[1.0, 3.0], [2.0, 4.0]]))


def test_memmap(tmp_path: Path) -> None:
    A.tofile(tmp_path / "a")
    mapped = np.memmap(tmp_path / "a", mode="r", dtype=np.float64, shape=A.shape)
    result = logsumexp(mapped, axis=2)
    assert type(result) is np.ndarray
    assert same_bits(result, plainly(A))


@pytest.mark.parametrize(
    "scalar", [3, 3.0, True, np.float64(3), np.int8(3), np.array(3.0), np.array(3, ">i4")], ids=repr
)
@pytest.mark.parametrize("axis", [None, 0, -1, ()])
def test_scalars(scalar: Any, axis: Any) -> None:
    result = logsumexp(scalar, axis=axis)
    assert type(result) is np.float64
    assert result == float(scalar)
    assert type(logsumexp(scalar, axis=axis, keepdims=True)) is np.float64
    assert logsumexp(scalar, axis=axis, b=2) == pytest.approx(float(scalar) + np.log(2), rel=1e-15)  # 3 ulp


def test_float32_scalar() -> None:
    assert type(logsumexp(np.float32(3))) is np.float32
    assert type(logsumexp(np.float32([1, 2]))) is np.float32
    assert all(type(x) is np.float32 for x in logsumexp(np.float32([1, 2]), return_sign=True))


def test_scalar_results() -> None:
    results = [logsumexp(A), logsumexp(A, axis=(0, 1, 2)), logsumexp([]), logsumexp(A[0, 0, 0])]
    assert {type(x) for x in results} == {np.float64}
    assert {type(x) for x in logsumexp(A, return_sign=True)} == {np.float64}


# Dtypes

INTEGERS = [np.dtype(f"{order}{kind}{size}") for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("dtype", [*INTEGERS, np.dtype(bool), np.dtype("longlong"), np.dtype("ulong")], ids=str)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_integers_are_float64(dtype: np.dtype, axis: int | None) -> None:
    """Of all widths and byte orders, with their largest and smallest values."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    a = rng().integers(0, 2, (70, 300)).astype(dtype)
    a[3, 5], a[4, 6] = low, high
    for layout in (a, np.asfortranarray(a), a[::-1, ::3]):
        assert same_bits(logsumexp(layout, axis=axis), logsumexp(layout.astype(np.float64), axis=axis))


def test_uint8_does_not_wrap() -> None:
    assert logsumexp(np.uint8([255, 0])) == 255
    assert logsumexp(np.uint8([255, 7]), alpha=-1) == 7
    assert logsumexp(np.int64([-(2**63)]), alpha=-1) == -(2.0**63)


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("f8", None, "f8"),
        ("f4", None, "f4"),
        (">f8", None, "f8"),
        (">f4", None, "f4"),
        ("i1", None, "f8"),
        ("?", None, "f8"),
        ("f4", "f4", "f4"),
        ("f4", ">f4", "f4"),
        ("f4", "f8", "f8"),
        ("f8", "f4", "f8"),
        ("f4", "i1", "f8"),
        ("f4", "?", "f8"),
        ("i4", "f4", "f8"),
        ("i8", "i8", "f8"),
        ("?", "?", "f8"),
    ],
)
def test_dtype_of_the_result(a: str, b: str | None, result: str) -> None:
    """numpy.result_type of both, with integers as float64."""
    weights = None if b is None else np.ones((2, 3), b)
    for axis in (None, 0, 1):
        value, sign = logsumexp(np.ones((2, 3), a), axis=axis, b=weights, return_sign=True)
        assert value.dtype == sign.dtype == np.dtype(result)
        assert value.dtype.isnative


@pytest.mark.parametrize(
    ("b", "dtype"),
    [
        (2, "f4"),
        (2.5, "f4"),
        (True, "f4"),
        (np.float32(2), "f4"),
        (np.float64(2), "f8"),
        (np.int8(2), "f8"),
        ([2.0], "f8"),
    ],
    ids=repr,
)
def test_python_scalars_keep_float32(b: Any, dtype: str) -> None:
    assert logsumexp(np.float32([1, 2]), b=b).dtype == dtype


def test_parameters_keep_float32() -> None:
    a = np.ones((2, 3), np.float32)
    alpha = np.array([[1.0], [2.0]])
    assert logsumexp(a, axis=1, alpha=alpha, initial=np.float64(1), where=[[True]]).dtype == np.float32


REFUSED = {
    "object": np.array([1, None]),
    "<U1": np.array(["a"]),
    "|S1": np.array([b"a"]),
    "datetime64[s]": np.array([1], "M8[s]"),
    "timedelta64[s]": np.array([1], "m8[s]"),
    "[('x', '<f8')]": np.array([(1.0,)], [("x", "<f8")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_dtypes(name: str) -> None:
    with pytest.raises(TypeError, match=rf"logsumexp: a .*{re.escape(name)}"):
        logsumexp(REFUSED[name])
    with pytest.raises(TypeError, match=rf"logsumexp: b .*{re.escape(name)}"):
        logsumexp([1.0], b=REFUSED[name])


@pytest.mark.parametrize("a", [None, "text", b"bytes", {}, {1: 2}, object(), [None, 1.0]], ids=repr)
def test_refused_objects(a: Any) -> None:
    with pytest.raises(TypeError, match="logsumexp: a has dtype"):
        logsumexp(a)


# Layouts: the same values elsewhere in memory give the same bits


def unaligned(a: np.ndarray) -> np.ndarray:
    view = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def in_a_packed_record(a: np.ndarray) -> np.ndarray:
    records = np.zeros(a.shape, [("byte", "u1"), ("x", a.dtype), ("more", "u2")])
    records["x"] = a
    return records["x"]


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = {
    "C": lambda a: a.copy(),
    "Fortran": np.asfortranarray,
    "another order of axes": lambda a: a.transpose(1, 2, 0).copy().transpose(2, 0, 1),
    "negative strides": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "negative last stride": lambda a: a[..., ::-1].copy()[..., ::-1],
    "gaps": lambda a: np.repeat(a, 3, axis=2)[..., ::3],
    "gaps between rows": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "inside": lambda a: np.pad(a, ((1, 2), (3, 1), (1, 1)))[1:-2, 3:-1, 1:-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "little-endian": lambda a: a.astype(a.dtype.newbyteorder("<")),
    "unaligned": unaligned,
    "in a packed record": in_a_packed_record,
    "unaligned, big-endian, reversed": lambda a: unaligned(a[::-1].astype(a.dtype.newbyteorder(">")))[::-1],
    "read-only": read_only,
    "frombuffer": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "subclass": lambda a: a.copy().view(np.recarray),
}
AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (2, 1), (0, 1, 2), ()]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16])
def test_layouts(layout: str, dtype: Any) -> None:
    a = (A * 10).astype(dtype)
    view = LAYOUTS[layout](a)
    assert np.array_equal(view, a)
    before = view.tobytes()
    for axis in AXES:
        assert same_bits(logsumexp(view, axis=axis), logsumexp(a, axis=axis)), axis
        assert same_bits(logsumexp(a, b=view, axis=axis), logsumexp(a, b=a, axis=axis)), axis
        assert same_bits(logsumexp(a, where=view > 0, axis=axis), logsumexp(a, where=a > 0, axis=axis)), axis
    assert view.tobytes() == before


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), ()])
@pytest.mark.parametrize("shape", [(70, 300), (300, 70), (5, 6)], ids=str)
def test_stride_0(axis: Any, shape: tuple[int, int]) -> None:
    a = rng().normal(size=shape)
    for part in (a[0, 0], a[:1], a[:, :1]):
        spread = np.broadcast_to(part, shape)
        assert same_bits(logsumexp(spread, axis=axis), logsumexp(spread.copy(), axis=axis))


def test_overlapping_windows() -> None:
    line = A.ravel()
    windows = as_strided(line, (60, 50), line.strides * 2, writeable=False)
    for axis in (None, 0, 1):
        assert same_bits(logsumexp(windows, axis=axis), logsumexp(windows.copy(), axis=axis))


def test_many_dimensions() -> None:
    a = rng().normal(size=(2,) * 12)
    assert same_bits(logsumexp(a.T, axis=tuple(range(0, 12, 2))), logsumexp(a.T.copy(), axis=tuple(range(0, 12, 2))))
    assert logsumexp(a[(None,) * 40]) == logsumexp(a.ravel())


# Axes


@pytest.mark.parametrize("axis", [*AXES, np.int64(1), np.int8(-1), (np.intp(0), -1), (-1, -3), [0, 1]], ids=repr)
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes(axis: Any, keepdims: bool) -> None:
    """As numpy's own reductions see them, values moved to the end in C order."""
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    result = logsumexp(A, axis=axis, keepdims=keepdims)
    assert np.shape(result) == np.shape(np.max(A, axis=numpy_axis, keepdims=keepdims))
    reduced = range(3) if axis is None else sorted({k % 3 for k in np.atleast_1d(numpy_axis).astype(int)})
    kept = [k for k in range(3) if k not in reduced]
    rows = A.transpose([*kept, *reduced]).reshape([A.shape[k] for k in kept] + [-1])
    assert same_bits(np.reshape(result, rows.shape[:-1]), plainly(rows))


def test_no_axis_changes_nothing() -> None:
    result = logsumexp(A, axis=())
    assert same_bits(result, A)
    assert not np.shares_memory(result, A)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3), (0, 0)], ids=str)
def test_empty_shapes(shape: tuple[int, ...]) -> None:
    for axis in (None, *range(len(shape)), tuple(range(len(shape))), ()):
        for keepdims in (False, True):
            value, sign = logsumexp(np.empty(shape), axis=axis, keepdims=keepdims, return_sign=True)
            like = np.sum(np.empty(shape), axis=axis, keepdims=keepdims)
            assert np.shape(value) == np.shape(sign) == np.shape(like)
            assert (np.asarray(value) == -INF).all()
            assert (np.asarray(sign) == 0).all()
            assert np.shape(logsumexp(np.empty(shape), axis=axis, keepdims=keepdims)) == np.shape(like)


def test_empty_reduction_of_two_axes() -> None:
    assert logsumexp(np.zeros((2, 0, 2)), axis=(0, 1)).tolist() == [-INF, -INF]
    assert logsumexp(np.zeros((2, 0, 2)), axis=(0, 1), initial=3.0).tolist() == [3, 3]


@pytest.mark.parametrize("axis", [3, -4, (0, 3), (0, -4)])
def test_axis_out_of_bounds(axis: Any) -> None:
    with pytest.raises(AxisError, match="axis"):
        logsumexp(A, axis=axis)


@pytest.mark.parametrize("axis", [1, -2, (0, 1)])
def test_axis_of_a_scalar_out_of_bounds(axis: Any) -> None:
    with pytest.raises(AxisError, match="axis"):
        logsumexp(1.0, axis=axis)


@pytest.mark.parametrize("axis", [(0, 0), (1, -2)])
def test_repeated_axis(axis: Any) -> None:
    with pytest.raises(ValueError, match="axis"):
        logsumexp(A, axis=axis)


@pytest.mark.parametrize("axis", [1.5, "0", (0.0,)], ids=repr)
def test_axis_of_another_type(axis: Any) -> None:
    with pytest.raises(TypeError):
        logsumexp(A, axis=axis)


# Masks


def test_mask_is_left_out() -> None:
    result = logsumexp(np.ma.array([1.0, 50.0, 3.0], mask=[False, True, False]))
    assert type(result) is np.float64
    assert result == 3.1269280110429727


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_masked_entries_where_nothing_is_left(axis: Any, dtype: Any) -> None:
    a = (A * 10).astype(dtype)
    mask = rng().random(A.shape) < 0.3
    mask[1] = mask[:, 2] = mask[..., 3] = True
    result, sign = logsumexp(np.ma.array(a, mask=mask), axis=axis, return_sign=True)
    expected, expected_sign = logsumexp(a, axis=axis, where=~mask, return_sign=True)
    assert same_bits(np.ma.getdata(result), expected)
    assert same_bits(np.ma.getdata(sign), expected_sign)
    assert np.array_equal(np.ma.getmaskarray(result), mask.all(axis=axis))
    assert np.array_equal(np.ma.getmaskarray(sign), mask.all(axis=axis))
    keepdims = logsumexp(np.ma.array(a, mask=mask), axis=axis, keepdims=True)
    assert np.array_equal(np.ma.getmaskarray(keepdims), mask.all(axis=axis, keepdims=True))


def test_all_masked_is_masked() -> None:
    assert logsumexp(np.ma.masked_all(3)) is np.ma.masked
    assert logsumexp(np.ma.masked) is np.ma.masked
    assert logsumexp(np.ma.array(1.0, mask=True)) is np.ma.masked
    assert logsumexp(np.ma.array(1.0, mask=False)) == 1


def test_mask_and_where_together() -> None:
    a = np.ma.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], mask=[[True, False, False], [True, False, False]])
    result = logsumexp(a, axis=1, where=[[True, True, False], [True, False, False]])
    assert result[0] == 2
    assert result.mask.tolist() == [False, True]


def test_no_mask() -> None:
    for a in (np.ma.array(A), np.ma.array(A, mask=np.ma.nomask), np.ma.array(A, mask=False)):
        result = logsumexp(a, axis=2)
        assert not np.ma.getmaskarray(result).any()
        assert same_bits(np.ma.getdata(result), plainly(A))
        assert type(logsumexp(a)) is np.float64


def test_what_is_masked_does_not_matter() -> None:
    a = np.ma.array([np.nan, INF, 5.0], mask=[True, True, False])
    assert logsumexp(a) == 5
    assert logsumexp(a, alpha=-2) == 5
    assert a.data[1] == INF


def test_masked_weights() -> None:
    mask = [[False, True, False], [True, True, True]]
    b = np.ma.array(np.ones((2, 3)), mask=mask)
    a = np.array([[1.0, 50.0, 3.0], [1.0, 2.0, 3.0]])
    result = logsumexp(a, axis=1, b=b)
    assert result[0] == 3.1269280110429727
    assert np.ma.getmaskarray(result).tolist() == [False, True]
    both = logsumexp(np.ma.array(a, mask=[[True, False, False]] * 2), axis=1, b=b)
    assert both[0] == 3
    row = logsumexp(np.ma.array(a[0], mask=[False, True, False]), b=np.ones((4, 3)), axis=1)
    assert np.ma.getdata(row).tolist() == [3.1269280110429727] * 4


def test_masked_weights_of_another_shape() -> None:
    b = np.ma.array([1.0, 1.0, 1.0], mask=[False, True, False])
    assert np.ma.getdata(logsumexp([[1.0, 50.0, 3.0]] * 2, axis=1, b=b)).tolist() == [3.1269280110429727] * 2


def test_masked_output() -> None:
    """An `out` that has a mask receives that of the result; one that has none receives what is beneath."""
    a = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[True, True], [False, True]])
    out = np.ma.zeros(2)
    assert logsumexp(a, axis=1, out=out) is out
    assert out.mask.tolist() == [True, False]
    assert out[1] == 3
    plain = np.zeros(2)
    logsumexp(a, axis=1, out=plain)
    assert plain.tolist() == [-INF, 3]


# where


@pytest.mark.parametrize("shape", [(), (1,), (6,), (5, 1), (4, 1, 1), (4, 5, 6), (1, 5, 6)], ids=str)
@pytest.mark.parametrize("axis", AXES)
def test_where_broadcasts(shape: tuple[int, ...], axis: Any) -> None:
    where = rng().random(shape) < 0.5
    full = np.broadcast_to(where, A.shape)
    expected = logsumexp(np.where(full, A, -INF), axis=axis)
    assert same_bits(logsumexp(A, axis=axis, where=where), expected)
    assert same_bits(logsumexp(A, axis=axis, where=where.tolist()), expected)
    assert same_bits(logsumexp(A, axis=axis, where=full), expected)


def test_where_leaves_nothing() -> None:
    value, sign = logsumexp(A, axis=1, where=False, return_sign=True)
    assert (value == -INF).all()
    assert (sign == 0).all()


@pytest.mark.parametrize("where", [1, 0, None, "yes", [1, 0, 1, 0, 1, 0], np.ones(6), np.ones(6, np.uint8)], ids=repr)
def test_where_must_be_bool(where: Any) -> None:
    with pytest.raises(TypeError, match="logsumexp: where"):
        logsumexp(A, where=where)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 4, 5, 6), (1, 4, 5, 6), (0,)], ids=str)
def test_where_must_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="logsumexp: where"):
        logsumexp(A, where=np.ones(shape, bool))


# b


@pytest.mark.parametrize("shape", [(), (1,), (6,), (5, 1), (4, 1, 1), (4, 5, 6), (2, 4, 5, 6), (3, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_b_broadcasts(shape: tuple[int, ...], axis: Any) -> None:
    b = rng().normal(size=shape)
    full = np.broadcast_shapes(shape, A.shape)
    wide_a, wide_b = (np.broadcast_to(x, full).copy() for x in (A, b))
    expected = logsumexp(wide_a, axis=axis, b=wide_b, return_sign=True)
    assert all(map(same_bits, logsumexp(A, axis=axis, b=b, return_sign=True), expected))


def test_b_widens_a() -> None:
    assert logsumexp(np.zeros((4, 1, 2, 1)), b=np.ones((3, 1, 5)), axis=3).shape == (4, 3, 2)
    assert logsumexp(1.0, b=np.ones((3, 2)), axis=0).shape == (2,)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 1, 1), (0,), (3, 3)], ids=str)
def test_b_must_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="logsumexp: b"):
        logsumexp(A, b=np.ones(shape))


# alpha and initial


@pytest.mark.parametrize(
    ("axis", "alpha"),
    [
        (None, np.ones(2)),
        (None, np.ones((4, 5, 6))),
        (None, np.ones(0)),
        (2, np.ones(6)),
        (2, np.ones((4, 5))),
        (0, np.ones((4, 1, 1))),
        (0, np.ones((1, 4, 5, 6))),
    ],
)
def test_alpha_must_broadcast(axis: Any, alpha: Any) -> None:
    with pytest.raises(ValueError, match="logsumexp: alpha"):
        logsumexp(A, axis=axis, alpha=alpha)


@pytest.mark.parametrize("name", ["alpha", "initial"])
@pytest.mark.parametrize("value", [1j, "1", b"1", object(), np.array(1, "M8[s]"), {}], ids=lambda x: type(x).__name__)
def test_parameters_must_be_real(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"logsumexp: {name}"):
        logsumexp(A, axis=1, **{name: value})


def test_parameters_of_all_real_types() -> None:
    for two in (2, 2.0, np.float32(2), np.int8(2), np.array(2), np.longdouble(2), np.float16(2)):
        assert same_bits(logsumexp(A, axis=1, alpha=two), logsumexp(A, axis=1, alpha=2.0))
        assert same_bits(logsumexp(A, axis=1, initial=two), logsumexp(A, axis=1, initial=2.0))
    assert logsumexp(A, alpha=True) == logsumexp(A)


def test_initial_must_be_one_number() -> None:
    with pytest.raises((TypeError, ValueError), match="logsumexp: initial"):
        logsumexp(A, initial=[1.0, 2.0])


def test_keywords_only() -> None:
    with pytest.raises(TypeError):
        logsumexp(A, None, None, False, False, 2.0)
    assert logsumexp(A, 1, 2.0, True, True)[0].shape == (4, 1, 6)


# out

OUTPUTS = {
    "float64": lambda: np.empty((4, 6)),
    "Fortran": lambda: np.empty((6, 4)).T,
    "gaps": lambda: np.empty((8, 18))[::2, ::3],
    "reversed": lambda: np.empty((4, 6))[::-1, ::-1],
    "big-endian": lambda: np.empty((4, 6), ">f8"),
    "unaligned": lambda: unaligned(np.empty((4, 6))),
    "float32": lambda: np.empty((4, 6), np.float32),
    "big-endian float32": lambda: np.empty((4, 6), ">f4"),
    "subclass": lambda: np.empty((4, 6)).view(np.recarray),
}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_out(kind: str, keepdims: bool, dtype: Any) -> None:
    a = A.astype(dtype)
    out = OUTPUTS[kind]()
    shaped = out[:, None] if keepdims else out
    assert logsumexp(a, axis=1, keepdims=keepdims, out=shaped) is shaped
    narrow = np.float32 if np.float32 in (dtype, out.dtype.newbyteorder("=")) else np.float64
    assert same_bits(out.astype(narrow), logsumexp(a, axis=1).astype(narrow))


def test_out_of_either_byte_order() -> None:
    little, big = np.empty((4, 6), "<f8"), np.empty((4, 6), ">f8")
    for a in (A, A.astype(np.float32)):
        assert (logsumexp(a, axis=1, out=little) == logsumexp(a, axis=1, out=big)).all()


def test_out_of_a_scalar() -> None:
    for shape, keywords in [((), {}), ((1, 1, 1), {"keepdims": True})]:
        out = np.empty(shape)
        assert logsumexp(A, out=out, **keywords) is out
        assert out == logsumexp(A)
    assert logsumexp(1.0, out=np.empty(())) == 1


def test_out_and_sign() -> None:
    out = np.empty((4, 6))
    value, sign = logsumexp(A, axis=1, b=-1, return_sign=True, out=out)
    assert value is out
    assert (sign == -1).all()


def test_out_leaves_its_gaps_alone() -> None:
    whole = np.full((8, 18), 7.0)
    logsumexp(A, axis=1, out=whole[::2, ::3])
    whole[::2, ::3] = 7
    assert (whole == 7).all()


OVERLAPS: dict[str, tuple[int, Any]] = {
    "first column": (1, lambda a: a[:, 0]),
    "last column": (1, lambda a: a[:, -1]),
    "first row": (0, lambda a: a[0]),
    "last row": (0, lambda a: a[-1]),
    "diagonal": (1, lambda a: as_strided(a, (a.shape[0],), (sum(a.strides),))),
    "first row, reversed": (0, lambda a: a[0, ::-1]),
    "the array's first elements": (1, lambda a: a.reshape(-1)[: a.shape[0]]),
    "between two rows": (0, lambda a: a.reshape(-1)[3 : 3 + a.shape[1]]),
}


@pytest.mark.parametrize("place", OVERLAPS)
@pytest.mark.parametrize("shape", [(300, 300), (20, 20), (20, 300), (300, 301)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_out_may_overlap_a(place: str, shape: tuple[int, int], dtype: Any) -> None:
    axis, part = OVERLAPS[place]
    a = rng().normal(size=shape).astype(dtype)
    expected = logsumexp(a.copy(), axis=axis)
    out = part(a)
    logsumexp(a, axis=axis, out=out)
    assert same_bits(out, expected)


@pytest.mark.parametrize("view", [memoryview, pd.DataFrame, np.ma.array, lambda a: a.view(np.recarray)])
def test_out_may_overlap_any_array_like(view: Any) -> None:
    memory = rng().normal(size=(300, 20))
    expected = logsumexp(memory, axis=1)
    logsumexp(view(memory, copy=False) if view is pd.DataFrame else view(memory), axis=1, out=memory.reshape(-1)[:300])
    assert same_bits(memory.reshape(-1)[:300], expected)


def test_out_may_be_a() -> None:
    a = A.copy()
    expected = logsumexp(A, axis=(), alpha=2.0, initial=0.0)
    assert same_bits(logsumexp(a, axis=(), alpha=2.0, initial=0.0, out=a), expected)


@pytest.mark.parametrize("name", ["b", "alpha", "where"])
def test_out_may_overlap_the_others(name: str) -> None:
    a = rng().normal(size=(300, 20))
    operand: Any = rng().normal(size=(300, 20)) if name == "b" else np.full((300, 1), 2.0)
    out = operand[:, 0][::-1]
    if name == "where":
        memory = rng().normal(size=(300, 20))
        out, operand = memory.reshape(-1)[:300], memory.view(bool)[:, ::8]
    expected = logsumexp(a, axis=1, **{name: operand.copy()})
    logsumexp(a, axis=1, **{name: operand}, out=out)
    assert same_bits(out, expected)


BAD_OUTPUTS: dict[str, tuple[Any, type[Exception]]] = {
    "wrong shape": (np.zeros((4, 5)), ValueError),
    "kept dimension": (np.zeros((4, 1, 6)), ValueError),
    "would broadcast": (np.zeros((2, 4, 6)), ValueError),
    "too small": (np.zeros(()), ValueError),
    "int64": (np.zeros((4, 6), np.int64), TypeError),
    "bool": (np.zeros((4, 6), bool), TypeError),
    "read-only": (read_only(np.zeros((4, 6))), ValueError),
    "list": ([[0.0] * 6] * 4, TypeError),
    "tuple of arrays": ((np.zeros((4, 6)),), TypeError),
    "scalar": (0.0, TypeError),
}


@pytest.mark.parametrize("kind", BAD_OUTPUTS)
def test_bad_out(kind: str) -> None:
    out, error = BAD_OUTPUTS[kind]
    with pytest.raises(error, match="logsumexp: out"):
        logsumexp(A, axis=1, out=out)
    assert not np.any(out)


BAD_CALLS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "axis": ({"axis": 3}, AxisError),
    "repeated axis": ({"axis": (1, 1)}, ValueError),
    "b": ({"b": np.ones(5)}, ValueError),
    "dtype of b": ({"b": np.ones(6, object)}, TypeError),
    "where": ({"where": np.ones(5, bool)}, ValueError),
    "dtype of where": ({"where": np.ones(6)}, TypeError),
    "alpha": ({"alpha": 0}, ValueError),
    "shape of alpha": ({"alpha": np.ones((4, 5, 6))}, ValueError),
    "dtype of alpha": ({"alpha": "1"}, TypeError),
    "initial": ({"initial": "1"}, TypeError),
}


@pytest.mark.parametrize("kind", BAD_CALLS)
def test_a_refused_call_leaves_out_untouched(kind: str) -> None:
    keywords, error = BAD_CALLS[kind]
    out = np.full((4, 6), 7.0)
    with pytest.raises(error):
        logsumexp(A, **{"axis": 1, **keywords}, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("kind", [kind for kind in BAD_CALLS if "axis" not in kind])
def test_a_refused_call_does_no_work(kind: str) -> None:
    """The shape alone is a terabyte: reading it would not end."""
    keywords, error = BAD_CALLS[kind]
    with pytest.raises(error, match=r"^logsumexp: "):
        logsumexp(np.broadcast_to(A, (10**6, 10**3, 4, 5, 6)), **{"axis": -2, **keywords})


def test_nothing_is_written_to() -> None:
    """Not into a, b, where or alpha, writeable as they are."""
    operands = {
        "a": A.copy(),
        "b": rng().normal(size=A.shape),
        "where": rng().random(A.shape) < 0.5,
        "alpha": rng().normal(size=(4, 1, 6)),
    }
    before = {name: x.tobytes() for name, x in operands.items()}
    logsumexp(**operands, axis=1, return_sign=True, initial=1.0)
    assert before == {name: x.tobytes() for name, x in operands.items()}


def test_result_owns_its_memory() -> None:
    """It can be written to, and shares nothing with the input."""
    for axis in (0, 1, ()):
        result = logsumexp(A, axis=axis)
        assert result.flags.writeable
        assert not np.shares_memory(result, A)
        assert result.flags.c_contiguous


@pytest.mark.parametrize("value", [np.nan, INF, -INF, 1e308, -1e308, 5e-324, 800.0, -800.0])
def test_no_floating_point_error(value: float) -> None:
    """The fixture above makes any a failure."""
    a = np.array([[value, value], [value, 0.0], [0.0, 0.0]])
    for axis in (None, 0, 1):
        for alpha in (1.0, -1.0, 1e300, 1e-300, INF, -INF):
            logsumexp(a, axis=axis, alpha=alpha)
            logsumexp(a, axis=axis, alpha=alpha, b=[1.0, -1.0], return_sign=True)
            logsumexp(a.astype(">f8"), axis=axis, alpha=alpha, initial=value)
    with np.errstate(all="ignore"):
        single = a.astype(np.float32)
    logsumexp(single, axis=1)


# Found by readers of the code


def test_as_many_axes_as_numpy_allows() -> None:
    a = np.arange(6.0).reshape((1,) * 62 + (2, 3))
    assert same_bits(logsumexp(a, axis=()), a)
    assert same_bits(logsumexp(a, axis=63), logsumexp(a.reshape(2, 3), axis=1).reshape((1,) * 62 + (2,)))


def test_out_inside_a_buffer_of_another_kind() -> None:
    x = np.random.default_rng(0).normal(size=(300, 300))
    right = logsumexp(x, axis=1)
    out = x[299]
    assert same_bits(logsumexp(memoryview(x), axis=1, out=out), right)  # type: ignore[arg-type]


def test_overflow_of_a_cast_gives_no_warning() -> None:
    out = np.empty((), np.float32)
    assert logsumexp([1e300], out=out) == np.inf
    assert logsumexp([1.0, 2.0], alpha=np.longdouble("1e4000")) == 2
    with pytest.raises(ValueError, match="logsumexp: alpha"):
        logsumexp([1.0, 2.0], alpha=np.longdouble("1e-4000"))


def test_masked_with_an_initial_element() -> None:
    a = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[True, True], [False, False]])
    result = logsumexp(a, axis=1, initial=0.0)
    assert not np.ma.getmaskarray(result).any()
    assert result[0] == 0


# Every function: the rows of what inputs get, each asserted of each

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "logsumexp": csmooth.logsumexp,
    "logmeanexp": csmooth.logmeanexp,
    "boltzmann": csmooth.boltzmann,
    "pnorm": csmooth.pnorm,
    "pmean": partial(csmooth.pmean, p=0.7),
    "softmax": csmooth.softmax,
    "log_softmax": csmooth.log_softmax,
    "logsumexp_bounds": csmooth.logsumexp_bounds,
    "conjugate": csmooth.conjugate,
    "grad.logsumexp": csmooth.grad.logsumexp,
    "grad.logmeanexp": csmooth.grad.logmeanexp,
    "grad.boltzmann": csmooth.grad.boltzmann,
    "grad.pnorm": csmooth.grad.pnorm,
    "grad.pmean": partial(csmooth.grad.pmean, p=0.7),
}
REDUCTIONS = ["logsumexp", "logmeanexp", "boltzmann", "pnorm", "pmean"]
WITH_OUT = [*REDUCTIONS, "softmax", "log_softmax"]
SIMPLEX = [0.125, 0.5, 0.25, 0.0, 0.125]  # numbers that all functions take, and that float16 has
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_reduction = pytest.mark.parametrize("name", REDUCTIONS)


def alike(x: Any, y: Any) -> bool:
    """Whether two results, or pairs of them, have the same types and bits."""
    xs, ys = (z if isinstance(z, tuple) else (z,) for z in (x, y))
    return all(type(p) is type(q) and same_bits(p, q) for p, q in zip(xs, ys, strict=True))


def test_alias() -> None:
    assert csmooth.mellowmax is csmooth.logmeanexp


ARRAY_LIKES: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "list": lambda a, _: a.tolist(),
    "tuple": lambda a, _: tuple(a.tolist()),
    "array.array": lambda a, _: array.array("d", a),
    "memoryview": lambda a, _: memoryview(a),
    "memmap": lambda a, path: (a.tofile(path), np.memmap(path, a.dtype, "r"))[1],
    "pandas": lambda a, _: pd.Series(a),
    "pyarrow": lambda a, _: pa.array(a),
    "polars": lambda a, _: pytest.importorskip("polars").Series(a),
    "torch": lambda a, _: pytest.importorskip("torch").tensor(a.tolist(), dtype=pytest.importorskip("torch").float64),
}


@every_function
@pytest.mark.parametrize("kind", ARRAY_LIKES)
def test_array_likes_of_every_function(name: str, kind: str, tmp_path: Path) -> None:
    a = np.array(SIMPLEX)
    assert alike(FUNCTIONS[name](ARRAY_LIKES[kind](a, tmp_path / "a")), FUNCTIONS[name](a))


@every_function
def test_layouts_of_every_function(name: str) -> None:
    a = np.linspace(0, 1, 120).reshape(4, 5, 6)
    for axis in (None, 1, (0, 2)):
        expected = FUNCTIONS[name](a, axis=axis)
        for layout, of in LAYOUTS.items():
            assert alike(FUNCTIONS[name](of(a), axis=axis), expected), (axis, layout)
        row = np.broadcast_to(a[:1], a.shape)
        assert alike(FUNCTIONS[name](row, axis=axis), FUNCTIONS[name](row.copy(), axis=axis)), axis


@every_function
def test_dtypes_of_every_function(name: str) -> None:
    """Integers and bools as float64; float16 as float32, rounded once; the others keep theirs."""
    function = FUNCTIONS[name]
    ones = np.array([0, 1, 0, 0])
    for dtype in (*INTEGERS, np.dtype(bool)):
        assert alike(function(ones.astype(dtype)), function(ones.astype(np.float64))), dtype
    single = function(np.array(SIMPLEX, np.float32))
    half = function(np.array(SIMPLEX, np.float16))
    for of_single, of_half in zip(*(z if isinstance(z, tuple) else (z,) for z in (single, half)), strict=True):
        assert of_single.dtype == np.float32
        assert same_bits(of_half, of_single.astype(np.float16)) or name == "logsumexp_bounds"  # which are rounded away
        assert of_half.dtype == np.float16
    if name.startswith("grad."):
        return
    long = function(np.array(SIMPLEX, np.longdouble))
    for x in long if isinstance(long, tuple) else (long,):
        assert x.dtype == np.longdouble


@every_function
@pytest.mark.parametrize("dtype", REFUSED)
def test_refused_dtypes_of_every_function(name: str, dtype: str) -> None:
    with pytest.raises(TypeError, match=rf"^{re.escape(name)}: [ap] .*{re.escape(dtype)}"):
        FUNCTIONS[name](REFUSED[dtype])


@every_function
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_scalars_of_every_function(name: str, axis: int | None) -> None:
    """As the one element of a row."""
    got, want = FUNCTIONS[name](1.0, axis=axis), FUNCTIONS[name](np.ones(1))
    for x, y in zip(*(z if isinstance(z, tuple) else (z,) for z in (got, want)), strict=True):
        assert type(x) is np.float64
        assert x == np.ravel(y)[0]


@every_function
def test_nan_of_every_function(name: str) -> None:
    for a in ([np.nan, 1.0], [1.0, np.nan], [INF, np.nan], [np.nan] * 40):
        got = FUNCTIONS[name](a)
        for x in got if isinstance(got, tuple) else (got,):
            assert np.isnan(x).all(), a


@every_function
@pytest.mark.parametrize("axis", [2, -3, (0, 0), (1, -1), 0.5, "0"], ids=repr)
def test_bad_axes_of_every_function(name: str, axis: Any) -> None:
    """Before any work: to read all of these elements would not end."""
    error = {int: AxisError, tuple: ValueError}.get(type(axis), TypeError)
    with pytest.raises(error, match=r"axis|integer"):
        FUNCTIONS[name](np.broadcast_to(1.0, (10**9, 10**6)), axis=axis)


@pytest.mark.parametrize("name", WITH_OUT)
def test_bad_calls_of_every_function(name: str) -> None:
    """Before any work, where the result is small: to read all of these elements would not end."""
    mapped, function = name.endswith("softmax"), FUNCTIONS[name]
    shape = (3, 4) if mapped else (4,)
    a, out = np.broadcast_to(1.0, (3 if mapped else 10**9, 4)), np.full(shape, 7.0)
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"where": [1, 0, 1, 0]}, TypeError, "where"),
        ({"where": [True] * 3}, ValueError, "where"),
        ({"out": np.full(5, 7.0)}, ValueError, "out"),
        ({"out": np.full(shape, 7)}, TypeError, "out"),
        ({"out": [7.0] * 4}, TypeError, "out"),
    ]
    if not mapped:
        bad += [({"b": np.ones(3)}, ValueError, "b"), ({"b": np.ones(4, "O")}, TypeError, "b")]
    for keywords, error, argument in bad:
        arguments = {"axis": 0, "out": out, **keywords}
        with pytest.raises(error, match=f"^{name}: {argument}"):
            function(a, **arguments)
        assert np.all(np.equal(arguments["out"], 7))


@every_reduction
def test_absent_elements_of_every_reduction(name: str) -> None:
    """By `b`, `where` or mask; nothing left is as empty, but NaN where that is a ValueError."""
    function = FUNCTIONS[name]
    nothing = {"logsumexp": -INF, "pnorm": 0.0}.get(name, np.nan)
    for spoilt in (np.nan, INF, 5.0):
        a, kept = [1.0, spoilt, 3.0], [True, False, True]
        for got in (function(a, where=kept), function(np.ma.array(a, mask=[0, 1, 0])), function(a, b=[1, 0, 1])):
            assert got == pytest.approx(function([1.0, 3.0]), rel=4e-16)  # weights may take another way
        assert same_bits(function([spoilt], where=False), np.float64(nothing))
        assert same_bits(function([spoilt, 1.0], b=[0, 0]), np.float64(nothing))
        rows = function(np.ma.array([a, a], mask=[[1, 1, 1], [0, 1, 0]]), axis=1)
        assert rows.mask.tolist() == [True, False]
        assert function(np.ma.array(a, mask=True)) is np.ma.masked


@every_reduction
def test_empty_reductions(name: str) -> None:
    function = FUNCTIONS[name]
    if name in ("logsumexp", "pnorm"):
        assert same_bits(function([]), np.float64(-INF if name == "logsumexp" else 0))
        assert same_bits(function(np.zeros((2, 0, 2)), axis=(0, 1)), np.full(2, function([])))
    else:
        for a, axis in (([], None), (np.zeros((2, 0, 2)), (0, 1)), (np.zeros((2, 0)), 1)):
            with pytest.raises(ValueError, match=f"^{name}: "):
                function(a, axis=axis)
    assert function(np.zeros((0, 3)), axis=1).shape == (0,)


@every_reduction
def test_out_may_overlap_of_every_reduction(name: str) -> None:
    for axis, place in ((1, np.s_[:, 0]), (1, np.s_[::-1, -1]), (0, np.s_[0]), (0, np.s_[-1])):
        a = rng().random((300, 300))
        expected = FUNCTIONS[name](a.copy(), axis=axis)
        FUNCTIONS[name](a, axis=axis, out=a[place])
        assert same_bits(a[place], expected), (axis, place)


# Numbers that the documentation gives

ANSWERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "a small result": (lambda: logsumexp([0, -40]), 4.248354255291589e-18),
    "a small logarithm": (lambda: csmooth.log_softmax([40, 0])[0], -4.248354255291589e-18),
    "a million small terms": (lambda: logsumexp([100] + [63] * 10**6), 100.00000000008533),
    "float16": (lambda: logsumexp(np.zeros(100000, np.float16)), np.float16(11.5129)),
    "cancelled maxima": (lambda: logsumexp([1000, 1000, 999], b=[1, -1, 1]), 999),
    "infinite": (lambda: csmooth.softmax([1, 1, INF]), [0, 0, 1]),
    "uint8": (lambda: csmooth.softmax(np.uint8([1, 0, 1])).round(7), [0.4223188, 0.1553624, 0.4223188]),
    "no elements": (lambda: logsumexp(np.zeros((2, 0, 2)), axis=(0, 1)), [-INF, -INF]),
    "large numbers": (lambda: csmooth.pnorm([1e200, 1e200], 3), 1.2599210498948732e200),
    "close to a mean": (lambda: csmooth.logmeanexp([1, 2, 4], alpha=1e-12), 2.333333333334111),
    "nothing": (lambda: csmooth.boltzmann([-INF, 0]), 0),
    "masked": (lambda: logsumexp(np.ma.array([1.0, 9.0, 3.0], mask=[0, 1, 0])), 3.1269280110429727),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers(kind: str) -> None:
    """Within 1 ulp times the condition number, which is 1, or 40 where -40 rules: these are rounded correctly."""
    got, want = np.asarray(ANSWERS[kind][0](), float), np.asarray(ANSWERS[kind][1], float)
    condition = 40 if kind.startswith("a small") else 1
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite])
    assert np.all(np.abs(got[finite] - want[finite]) <= condition * np.spacing(np.abs(want[finite])))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8"])
@pytest.mark.parametrize("p", [INF, -INF, 2.0])
def test_gradients_of_the_least_integers(dtype: str, p: float) -> None:
    """Which have no absolute value of their own dtype."""
    a = np.array([np.iinfo(dtype).min, 5], dtype)
    assert alike(csmooth.grad.pnorm(a, p), csmooth.grad.pnorm(a.astype(np.float64), p))
