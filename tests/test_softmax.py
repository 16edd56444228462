"""softmax and log_softmax: right answers, what every input gets, the same bits in any layout, and errors in ulp.

``python tests/test_softmax.py`` prints the worst errors as a table.
"""

import math
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.special
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp, mpf
from numpy.exceptions import AxisError
from numpy.lib.stride_tricks import as_strided
from reference import LEVELS, running, same_bits
from test_one_answer import FMA_LEVELS, LAYOUTS, any_layout, case

from csmooth import log_softmax, softmax

pytestmark = pytest.mark.usefixtures("level", "floating_point_errors_raise")  # all of this holds at every level

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest number above 0
BOUND = 2  # units of ulp(result) * max(1, condition number), which no result may exceed
FUNCTIONS = [softmax, log_softmax]
both = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def absent(function: Callable[..., Any]) -> float:
    """What an element gives that is left out."""
    return 0.0 if function is softmax else -INF


def rng() -> np.random.Generator:
    """The same numbers in every test, whichever of them run."""
    return np.random.default_rng(20)


A = rng().normal(size=(4, 5, 6))  # read-only, so that writing into any view of it is an error
A.flags.writeable = False


# The definition in many digits


class Exact(NamedTuple):
    """Results as sums of two doubles, times `unit`, which makes the second one right where they are subnormal."""

    high: np.ndarray
    low: np.ndarray
    unit: np.ndarray
    condition: np.ndarray


def exact(a: np.ndarray, alpha: float) -> tuple[Exact, Exact]:
    """softmax and log_softmax of one output, of finite numbers.

    The condition number of result i, p_i, is sum(|alpha a_j (delta_ij - p_j)|), that of its logarithm this over
    |log(p_i)|: the relative error that relative errors of 1 in all elements may cause, at most. What keeps a
    probability below 1 is summed by itself, as it may lie far beneath the digits of 1.
    """
    values, places, counts = np.unique(a, return_inverse=True, return_counts=True)
    with mp.workprec(160):
        scaled = [mpf(x) * mpf(alpha) for x in values.tolist()]
        top = max(scaled)
        terms = [mp.exp(s - top) for s in scaled]
        below = [(t, s, n) for t, s, n in zip(terms, scaled, counts.tolist(), strict=True) if s != top]
        ties = a.size - sum(n for _, _, n in below)
        rest = mp.fsum(n * t for t, _, n in below)
        moment = mp.fsum(n * abs(s) * t for t, s, n in below)
        total = ties + rest
        logarithm = mp.log1p(rest) if ties == 1 else mp.log(total)
        rows: tuple[list[Any], list[Any]] = ([], [])
        for s, t in zip(scaled, terms, strict=True):
            if s == top:
                others, mass = moment + (ties - 1) * abs(top), rest + ties - 1
            else:
                others, mass = moment + ties * abs(top) - abs(s) * t, total - t
            size = (abs(s) * mass + others) / total
            log = s - top - logarithm
            rows[0].append(split(t / total, size))
            rows[1].append(split(log, size / abs(log) if log else mpf(0)))
    return Exact(*np.array(rows[0])[places].T), Exact(*np.array(rows[1])[places].T)


def split(value: Any, condition: Any) -> tuple[float, float, float, float]:
    unit = 2.0**200 if abs(value) < 1e-250 else 1.0
    high = float(value * unit)
    return high, float(value * unit - high), unit, float(min(condition, mpf(MAX)))


def units(got: np.ndarray, right: Exact, dtype: Any = np.float64) -> np.ndarray:
    """Errors in units of ulp(result) * max(1, condition number).

    Where a result is subnormal, or vanishes, its ulp is the smallest number above 0: 2**-1074, or 2**-149 in float32.
    """
    with np.errstate(under="ignore"):
        ulp = np.spacing(np.abs(right.high / right.unit).astype(dtype)).astype(np.float64)
        error = (got.astype(np.float64) * right.unit - right.high) - right.low
        return np.abs(error) / (ulp * right.unit) / np.maximum(1, right.condition)


# Values that the inputs pin down, correctly rounded.

RIGHT: list[tuple[Any, float, list[float], list[float]]] = [
    (
        [1, 2, 3],
        1.0,
        [0.09003057317038046, 0.24472847105479764, 0.6652409557748219],
        [-2.40760596444438, -1.4076059644443804, -0.4076059644443803],
    ),
    ([40, 0], 1.0, [1.0, 4.248354255291589e-18], [-4.248354255291589e-18, -40.0]),
    ([1000, 1], 1.0, [1.0, 0.0], [0.0, -999.0]),
    ([0, -708], 1.0, [1.0, 3.307553003638408e-308], [-3.307553003638408e-308, -708.0]),
    ([0, -745], 1.0, [1.0, TINY], [-TINY, -745.0]),
    ([1e308, -1e308], 1e-308, [0.8807970779778824, 0.11920292202211757], [-0.12692801104297252, -2.1269280110429722]),
    ([-1, 1], -3.0, [0.9975273768433652, 0.0024726231566347743], [-0.0024756851377304495, -6.00247568513773]),
    (
        np.uint8([1, 0, 1]),
        1.0,
        [0.4223187982515182, 0.15536240349696362, 0.4223187982515182],
        [-0.8619948040582511, -1.861994804058251, -0.8619948040582511],
    ),
]


@pytest.mark.parametrize(("a", "alpha", "p", "log_p"), RIGHT, ids=lambda x: str(x).replace(" ", "")[:30])
def test_right_answers(a: Any, alpha: float, p: list[float], log_p: list[float]) -> None:
    right = exact(np.asarray(a, np.float64), alpha)
    for function, values, definition in zip(FUNCTIONS, (p, log_p), right, strict=True):
        with np.errstate(under="ignore"):
            assert (definition.high / definition.unit).tolist() == values
        assert units(function(a, alpha=alpha), definition).max() <= BOUND


# Results that have to be met to the bit: a, alpha, softmax, and log_softmax where LOGARITHMS does not say it.

HALVES, THIRDS = [0.5, 0.5], [1 / 3] * 3
LOGARITHMS = {1.0: 0.0, 0.5: -math.log(2), 1 / 3: -math.log(3), 0.0: -INF}
EXACT: dict[str, list[tuple[Any, ...]]] = {
    "one element": [
        ([x], alpha, [1.0])
        for x in (0.0, 2.0, -1.0, 0.1, TINY, -TINY, 1e18, MAX, -MAX)
        for alpha in (1.0, 0.3, -1e4, 1e-300, -1e-300, TINY, 1e300, MAX, -MAX, 0.0, -0.0, INF, -INF)
    ],
    "equal elements": [
        ([0.1, 0.1], 0.7, HALVES),
        ([MAX, MAX, MAX], 1.0, THIRDS),
        ([-MAX, -MAX, -MAX], -3.0, THIRDS),
    ],
    "one far above": [
        ([1e5, -1e5], 1.0, [1.0, 0.0], [0.0, -2e5]),
        ([1e5, -1e5], -1.0, [0.0, 1.0], [-2e5, 0.0]),
        ([0, 1e5, 1e5], 0.5, [0.0, 0.5, 0.5], [-50000.693147180558, -math.log(2), -math.log(2)]),
        ([MAX, -MAX], 1.0, [1.0, 0.0]),
        ([MAX, -MAX], MAX, [1.0, 0.0]),
        ([1e-290, 0], MAX, [1.0, 0.0], [0.0, -1e-290 * MAX]),
    ],
    "infinities": [
        ([1, 1, INF], 1.0, [0.0, 0.0, 1.0]),
        ([INF, INF, 5, -INF, INF], 1.0, [1 / 3, 1 / 3, 0.0, 0.0, 1 / 3]),
        ([INF], 1.0, [1.0]),
        ([INF, -INF], 0.3, [1.0, 0.0]),
        ([0, -INF, 0], 1.0, [0.5, 0.0, 0.5]),
        ([-INF, 3], 1.0, [0.0, 1.0]),
        ([-INF, -MAX], 1.0, [0.0, 1.0]),
        ([INF, -MAX, MAX], 1.0, [1.0, 0.0, 0.0]),
        ([-INF], 1.0, [NAN]),
        ([-INF, -INF], 1.0, [NAN, NAN]),
        ([INF, 5, -INF], -1.0, [0.0, 0.0, 1.0]),
        ([INF, 5, 5], -1.0, [0.0, 0.5, 0.5]),
        ([INF, INF], -1.0, [NAN, NAN]),
    ],
    "NaN": [
        ([NAN], 1.0, [NAN]),
        ([NAN, 1], 1.0, [NAN, NAN]),
        ([1, INF, NAN, -INF], 1.0, [NAN] * 4),
        ([1, NAN, -INF], 0.0, [NAN] * 3),
        ([1, NAN], INF, [NAN, NAN]),
        ([1, 2, INF, -INF], NAN, [NAN] * 4),
    ],
    "alpha = 0, the limit from above": [  # all that is not -inf is alike
        ([1, 2, 3], 0.0, THIRDS),
        ([1, 2, 3], -0.0, THIRDS),
        ([MAX, -MAX, 0], 0.0, THIRDS),
        ([MAX, -INF, -MAX], 0.0, [0.5, 0.0, 0.5]),
        ([INF, 2, INF, -INF], 0.0, [0.5, 0.0, 0.5, 0.0]),
        ([-INF, -INF], 0.0, [NAN, NAN]),
    ],
    "alpha near 0": [
        ([1, 2, 3], 1e-300, THIRDS),
        ([-INF, 2, -3], 1e-300, [0.0, 0.5, 0.5]),
        ([-INF, 2, -3], TINY, [0.0, 0.5, 0.5]),
        ([INF, 2, -3], -TINY, [0.0, 0.5, 0.5]),
        ([INF, 2, MAX], TINY, [1.0, 0.0, 0.0]),
    ],
    "infinite alpha": [
        ([1, 2, 2, -INF], INF, [0.0, 0.5, 0.5, 0.0]),
        ([1, 1, 2, INF], -INF, [0.5, 0.5, 0.0, 0.0]),
        ([MAX, -MAX], INF, [1.0, 0.0]),
        ([INF, 2, INF], INF, [0.5, 0.0, 0.5]),
        ([-INF, -INF], INF, [NAN, NAN]),
        ([INF, INF], -INF, [NAN, NAN]),
    ],
}


@pytest.mark.parametrize("kind", EXACT)
def test_exact_results(kind: str) -> None:
    for a, alpha, p, *given_log in EXACT[kind]:
        a = np.array(a, np.float64)
        log_p = given_log[0] if given_log else [LOGARITHMS.get(x, NAN) for x in p]
        assert same_bits(softmax(a, alpha=alpha), np.array(p)), (a, alpha)
        assert same_bits(log_softmax(a, alpha=alpha), np.array(log_p)), (a, alpha)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("n", [32, 33, 257, 5000])
def test_infinite_alpha_of_many_elements(level: str, n: int, dtype: Any) -> None:
    """The maxima share the whole, also where elements are summed in single precision; beside outputs that do not."""
    a = np.random.default_rng(n).integers(-9, 9, (n, 40)).astype(dtype)
    shares = {INF: a == a.max(0), -INF: a == a.min(0)}
    with running(level):
        for alpha, share in shares.items():
            expected = (share / share.sum(0)).astype(dtype)
            for layout in (a, np.asfortranarray(a)):
                assert same_bits(softmax(layout, 0, alpha=alpha), expected)
                assert same_bits(softmax(layout[:, 0], alpha=alpha), expected[:, 0])
            mixed = softmax(a, 0, alpha=np.where(np.arange(40) % 2, alpha, 0.5))
            assert same_bits(mixed[:, 1::2], expected[:, 1::2])
            assert same_bits(mixed[:, ::2], softmax(a[:, ::2], 0, alpha=0.5))


@pytest.mark.parametrize("n", [2, 3, 7, 31, 32, 33, 100, 129, 1000, 20000])
@pytest.mark.parametrize("value", [0.0, -0.3, 1e5, 1e300, INF])
def test_equal_elements_share_equally(n: int, value: float) -> None:
    assert same_bits(softmax([value] * n), np.full(n, 1 / n))
    assert same_bits(log_softmax([value] * n), np.full(n, float(-mp.log(n))))


NUMBERS = st.floats(-1e3, 1e3) | st.integers(-3, 3).map(float) | st.sampled_from([0.0, 36.7, 37.0, 38.0, 745.0])


@given(st.lists(NUMBERS, min_size=1, max_size=40))
@example([0.0, 36.5])
@example([0.0, 37.0])
@example([0.0, 745.0])
def test_probabilities(a: list[float]) -> None:
    """From 0 to 1, equal for equal elements, and none above that of the maximum."""
    for function, high in ((softmax, 1.0), (log_softmax, 0.0)):
        p = function(a)
        assert (p <= high).all()
        assert (p >= absent(function)).all()
        assert p.max() == p[int(np.argmax(a))]
        assert len({(x, y) for x, y in zip(a, p.tolist(), strict=True)}) == len(set(a))


# As SciPy documents its functions


def test_examples_of_scipy() -> None:
    """The results in SciPy's documentation, to the digits that it shows."""
    x = np.array([[1, 0.5, 0.2, 3], [1, -1, 7, 3], [2, 12, 13, 3]])
    every = [
        [4.48309e-06, 2.71913e-06, 2.01438e-06, 3.31258e-05],
        [4.48309e-06, 6.06720e-07, 1.80861e-03, 3.31258e-05],
        [1.21863e-05, 2.68421e-01, 7.29644e-01, 3.31258e-05],
    ]
    columns = [
        [2.11942e-01, 1.01300e-05, 2.75394e-06, 3.33333e-01],
        [2.11942e-01, 2.26030e-06, 2.47262e-03, 3.33333e-01],
        [5.76117e-01, 9.99988e-01, 9.97525e-01, 3.33333e-01],
    ]
    rows = [
        [1.05877e-01, 6.42177e-02, 4.75736e-02, 7.82332e-01],
        [2.42746e-03, 3.28521e-04, 9.79307e-01, 1.79366e-02],
        [1.22094e-05, 2.68929e-01, 7.31025e-01, 3.31885e-05],
    ]
    for result, shown in ((softmax(x), every), (softmax(x, axis=0), columns), (softmax(x, axis=1), rows)):
        assert np.vectorize("{:.5e}".format)(result).tolist() == np.vectorize("{:.5e}".format)(shown).tolist()
    assert log_softmax([1000.0, 1.0]).tolist() == [0.0, -999.0]


@both
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
def test_as_scipy(function: Callable[..., Any], dtype: Any) -> None:
    """Same shape, dtype, axes and, within both errors, values.

    SciPy forms differences, exponentials, sum and quotient in the dtype of the result, each to a unit or so; elements
    of up to 9, a difference of up to 16 and a sum of 30 allow 32 units in all. Near 0 its logarithms are as far off.
    """
    a = (np.abs(A) * 3).astype(dtype)
    for axis in AXES:
        got, wanted = function(a, axis), getattr(scipy.special, function.__name__)(a.astype(result_dtype(a)), axis)
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        tolerance = 32 * np.finfo(got.dtype).eps
        assert np.allclose(got, wanted, rtol=tolerance, atol=tolerance if function is log_softmax else 0)


def result_dtype(a: np.ndarray) -> Any:
    return np.float32 if a.dtype == np.float32 else np.float64


# Array-likes, scalars, dtypes

VALUES = [0.5, -3.0, 2.0, 2.0, 7.25]


@both
@pytest.mark.parametrize(
    "a",
    [
        VALUES,
        tuple(VALUES),
        memoryview(np.array(VALUES)),
        pd.Series(VALUES),
        pd.DataFrame({"x": VALUES}),
        pa.array(VALUES),
        np.array(VALUES).view(np.recarray),
        np.array(VALUES).reshape(1, 5, 1),
    ],
    ids=lambda a: type(a).__name__,
)
def test_array_likes(function: Callable[..., Any], a: Any) -> None:
    result = function(a)
    assert type(result) is np.ndarray
    assert same_bits(result, function(np.array(VALUES)).reshape(np.shape(a)))


@both
@pytest.mark.parametrize("scalar", [3, 3.0, True, np.float64(3), np.int8(3), np.array(3.0), np.float32(3)], ids=repr)
@pytest.mark.parametrize("axis", [None, 0, -1, ()])
def test_scalars(function: Callable[..., Any], scalar: Any, axis: Any) -> None:
    result = function(scalar, axis=axis)
    assert type(result) is (np.float32 if isinstance(scalar, np.float32) else np.float64)
    assert result == (1 if function is softmax else 0)
    left_out = function(scalar, axis=axis, where=False)
    assert type(left_out) is type(result)
    assert left_out == absent(function)


@both
def test_scalar_into_out(function: Callable[..., Any]) -> None:
    out = np.full((), 7.0)
    assert function(3.0, out=out) is out
    assert out == (1 if function is softmax else 0)


INTEGERS = [np.dtype(f"{order}{kind}{size}") for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)]


@both
@pytest.mark.parametrize("dtype", [*INTEGERS, np.dtype(bool)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_integers_are_float64(function: Callable[..., Any], dtype: np.dtype, axis: int | None) -> None:
    """Of all widths and byte orders, with their largest and smallest values, which neither wrap nor overflow."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    a = rng().integers(0, 2, (70, 150)).astype(dtype)
    a[3, 5], a[4, 6] = low, high
    for alpha in (1.0, -1.0):
        for layout in (a, np.asfortranarray(a), a[::-1, ::3]):
            assert same_bits(
                function(layout, axis, alpha=alpha), function(layout.astype(np.float64), axis, alpha=alpha)
            )


@both
@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8", ">f4"])
def test_dtype_of_the_result(function: Callable[..., Any], dtype: str) -> None:
    a = A.astype(dtype)
    alpha = np.ones((4, 1, 6), np.float64)
    for result in (function(a), function(a, axis=1, alpha=alpha, where=A > 0)):
        assert result.dtype == np.dtype(dtype).newbyteorder("=")
        assert result.dtype.isnative


REFUSED = {
    "object": np.array([1, None]),
    "<U1": np.array(["a"]),
    "|S1": np.array([b"a"]),
    "datetime64[s]": np.array([1], "M8[s]"),
    "[('x', '<f8')]": np.array([(1.0,)], [("x", "<f8")]),
}


@both
@pytest.mark.parametrize("name", REFUSED)
def test_refused_dtypes(function: Callable[..., Any], name: str) -> None:
    out = np.full(2, 7.0)
    with pytest.raises(TypeError, match=rf"^{function.__name__}: a .*{re.escape(name)}"):
        function(REFUSED[name], out=out)
    assert (out == 7).all()


# Axes

AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (2, 1), (0, 1, 2), ()]


def plainly(function: Callable[..., Any], a: np.ndarray, axis: Any, **keywords: Any) -> np.ndarray:
    """The function of each output's elements in C order, as a contiguous array of its own."""
    reduced = range(a.ndim) if axis is None else sorted({k % a.ndim for k in np.atleast_1d(axis).astype(int)})
    order = [*(k for k in range(a.ndim) if k not in reduced), *reduced]
    length = int(np.prod([a.shape[k] for k in reduced], dtype=int))
    there = keywords.pop("where", None)
    moved = a.transpose(order)
    rows = np.reshape(moved, (-1, length))
    conditions = [True] * len(rows) if there is None else np.reshape(there.transpose(order), (-1, length))
    results = [function(row.copy(), where=w, **keywords) for row, w in zip(rows, conditions, strict=True)]
    return np.array(results).reshape(moved.shape).transpose(np.argsort(order))


@both
@pytest.mark.parametrize("axis", [*AXES, np.int64(1), (np.intp(0), -1), (-1, -3), [0, 1]], ids=repr)
def test_axes(function: Callable[..., Any], axis: Any) -> None:
    expected = plainly(function, A, axis)
    assert same_bits(function(A, axis), expected)
    assert same_bits(function(A, axis=axis), expected)


@both
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
def test_empty(function: Callable[..., Any], shape: tuple[int, ...], dtype: Any) -> None:
    a = np.empty(shape, dtype)
    for axis in (None, *range(len(shape)), tuple(range(len(shape))), ()):
        result = function(a, axis)
        assert same_bits(result, np.empty(shape, result_dtype(a)))
        out = np.empty(shape)
        assert function(a, axis, out=out) is out


def test_empty_list() -> None:
    assert same_bits(softmax([]), np.array([]))


@both
def test_as_many_axes_as_numpy_allows(function: Callable[..., Any]) -> None:
    a = A.reshape((1,) * 61 + A.shape)
    assert same_bits(function(a, axis=63), function(A, axis=2).reshape(a.shape))
    spread = rng().normal(size=(2,) * 12)
    axes = tuple(range(0, 12, 2))
    assert same_bits(function(spread.T, axis=axes), function(spread.T.copy(), axis=axes))


# where and masks


@both
@pytest.mark.parametrize("shape", [(), (1,), (6,), (5, 1), (4, 1, 1), (4, 5, 6), (1, 5, 6)], ids=str)
@pytest.mark.parametrize("axis", AXES)
def test_where_broadcasts(function: Callable[..., Any], shape: tuple[int, ...], axis: Any) -> None:
    """What is left out gives 0 or -inf, and has no part in the rest; where nothing is left there is no NaN."""
    where = rng().random(shape) < 0.5
    full = np.broadcast_to(where, A.shape)
    for a in (A, A.astype(np.float32)):
        expected = np.where(full, function(np.where(full, a, a.dtype.type(-INF)), axis), a.dtype.type(absent(function)))
        assert same_bits(function(a, axis, where=where), expected)
        assert same_bits(function(a, axis, where=where.tolist()), expected)
        for hidden in (NAN, INF, 1e30):
            assert same_bits(function(np.where(full, a, a.dtype.type(hidden)), axis, where=full), expected)


@both
def test_where_leaves_nothing(function: Callable[..., Any]) -> None:
    for a in (A, np.full(3, NAN), np.full(3, -INF), np.full((2, 3), INF)):
        assert same_bits(function(a, -1, where=False), np.full(a.shape, absent(function)))


@both
def test_where_leaves_only_minus_infinity(function: Callable[..., Any]) -> None:
    result = function([-INF, 5, -INF], where=[True, False, True])
    assert same_bits(result, np.array([NAN, absent(function), NAN]))


@both
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize("axis", AXES)
def test_masked(function: Callable[..., Any], dtype: Any, axis: Any) -> None:
    """Masked elements count for nothing; the result is masked where they are, with a mask of its own."""
    a = (A * 10).astype(dtype)
    mask = rng().random(A.shape) < 0.3
    mask[1] = mask[:, 2] = mask[..., 3] = True
    masked = np.ma.array(a, mask=mask)
    for where in (True, rng().random(A.shape) < 0.5):
        result = function(masked, axis, where=where)
        assert type(result) is np.ma.MaskedArray
        assert np.array_equal(result.mask, mask)
        assert not np.shares_memory(result.mask, masked.mask)
        assert same_bits(result.data, function(a, axis, where=~mask & where))


@both
def test_no_mask(function: Callable[..., Any]) -> None:
    assert type(function(np.ma.array(A))) is np.ndarray
    result = function(np.ma.array(A, mask=False), 2)
    assert not np.ma.getmaskarray(result).any()
    assert same_bits(np.ma.getdata(result), function(A, 2))


@both
def test_masked_scalar(function: Callable[..., Any]) -> None:
    assert np.ma.getmaskarray(function(np.ma.masked)).all()
    assert function(np.ma.array(3.0, mask=False)) == (1 if function is softmax else 0)


@both
def test_masked_out(function: Callable[..., Any]) -> None:
    """An `out` that has a mask receives that of `a`; one that has none receives what is beneath."""
    mask = A > 0.5
    out, plain = np.ma.zeros(A.shape), np.zeros(A.shape)
    assert function(np.ma.array(A, mask=mask), 1, out=out) is out
    assert np.array_equal(out.mask, mask)
    assert function(np.ma.array(A, mask=mask), 1, out=plain) is plain
    for x in (out.data, plain):
        assert same_bits(x, function(A, 1, where=~mask))


# alpha


@both
@pytest.mark.parametrize("axis", AXES)
def test_alpha_of_each_output(function: Callable[..., Any], axis: Any) -> None:
    reduced = np.max(A, axis=axis, keepdims=True)
    some = np.array([1.0, -1.0, 0.0, 2.5, INF, -INF, 1e-300, -0.01, NAN])
    alpha = some[np.arange(reduced.size) % len(some)].reshape(reduced.shape)
    expected = np.select([same(alpha, x) for x in some], [function(A, axis, alpha=x) for x in some])
    assert same_bits(function(A, axis, alpha=alpha), expected)
    assert same_bits(function(A, axis, alpha=alpha.astype(">f8")), expected)
    assert same_bits(function(A, axis, alpha=alpha.tolist()), expected)


def same(x: np.ndarray, y: float) -> np.ndarray:
    return np.isnan(x) if np.isnan(y) else x == y


@both
def test_alpha_of_all_real_types(function: Callable[..., Any]) -> None:
    for two in (2, 2.0, np.float32(2), np.int8(2), np.array(2), np.longdouble(2), np.float16(2), [[[2]]]):
        assert same_bits(function(A, 1, alpha=two), function(A, 1, alpha=2.0))
    for zero in (0, -0.0, False, np.float32(0), np.array([[[0]]]), np.longdouble("1e-4000")):
        assert same_bits(function(A, 1, alpha=zero), function(A, 1, alpha=0.0))


# out


def unaligned(a: np.ndarray) -> np.ndarray:
    view = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


OUTPUTS: dict[str, Callable[[], np.ndarray]] = {
    "float64": lambda: np.empty((4, 5, 6)),
    "Fortran": lambda: np.empty((6, 5, 4)).T,
    "another order of axes": lambda: np.empty((6, 4, 5)).transpose(1, 2, 0),
    "gaps": lambda: np.empty((8, 5, 18))[::2, :, ::3],
    "reversed": lambda: np.empty((4, 5, 6))[::-1, ::-1, ::-1],
    "big-endian": lambda: np.empty((4, 5, 6), ">f8"),
    "unaligned": lambda: unaligned(np.empty((4, 5, 6))),
    "unaligned, reversed": lambda: unaligned(np.empty((4, 5, 6)))[::-1, ::-1, ::-1],
    "float32": lambda: np.empty((4, 5, 6), np.float32),
    "Fortran float32": lambda: np.empty((6, 5, 4), np.float32).T,
    "big-endian float32": lambda: np.empty((4, 5, 6), ">f4"),
    "unaligned float32": lambda: unaligned(np.empty((4, 5, 6), np.float32)),
    "float16": lambda: np.empty((4, 5, 6), np.float16),
    "subclass": lambda: np.empty((4, 5, 6)).view(np.recarray),
}


@both
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_out(function: Callable[..., Any], kind: str, dtype: Any) -> None:
    """Receives what would be returned, cast to its dtype."""
    a = (A * 10).astype(dtype)
    for axis in AXES:
        for keywords in ({}, {"where": A > 0}, {"alpha": -0.3}):
            out = OUTPUTS[kind]()
            assert function(a, axis, out=out, **keywords) is out
            with np.errstate(all="ignore"):
                expected = function(a, axis, **keywords).astype(out.dtype)
            assert same_bits(np.array(out), expected)


@both
def test_out_leaves_its_gaps_alone(function: Callable[..., Any]) -> None:
    whole = np.full((8, 5, 18), 7.0)
    for axis in AXES:
        function(A, axis, out=whole[::2, :, ::3])
        whole[::2, :, ::3] = 7
        assert (whole == 7).all()


SHAPES = [(300, 300), (20, 20), (3, 700), (700, 3), (1, 1000), (257, 33)]


@both
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8"])
def test_out_is_a(function: Callable[..., Any], shape: tuple[int, int], dtype: Any) -> None:
    """In place, in any layout."""
    a = rng().normal(size=shape).astype(dtype)
    where = rng().random(shape) < 0.5
    for axis in (None, 0, 1, ()):
        for keywords in ({}, {"where": where}, {"alpha": -2.0}):
            expected = function(a, axis, **keywords)
            for arrange in (np.copy, np.asfortranarray, unaligned, lambda x: np.repeat(x, 2, axis=1)[::-1, ::2][::-1]):
                view = arrange(a.copy())
                assert function(view, axis, out=view, **keywords) is view
                assert same_bits(view.astype(expected.dtype), expected)


OVERLAPS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "one element on": lambda m: (m[:-1], m[1:]),
    "one element back": lambda m: (m[1:], m[:-1]),
    "reversed": lambda m: (m, m[::-1]),
    "rows on": lambda m: (m[:9600].reshape(80, 120), m[360:9960].reshape(80, 120)),
    "rows back": lambda m: (m[360:9960].reshape(80, 120), m[:9600].reshape(80, 120)),
    "rows reversed": lambda m: (m[:9600].reshape(80, 120), m[:9600].reshape(80, 120)[::-1]),
    "transposed": lambda m: (m[:6400].reshape(80, 80), m[:6400].reshape(80, 80).T),
    "same start, other strides": lambda m: (m[:9600].reshape(40, 240)[:, :120], m[:4800].reshape(40, 120)),
    "one line into another": lambda m: (m[::2], m[: len(m) // 2]),
    "overlapping windows": lambda m: (as_strided(m, (40, 120), m.strides * 2), m[:4800].reshape(40, 120)),
}


@both
@pytest.mark.parametrize("place", OVERLAPS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_out_may_overlap_a(function: Callable[..., Any], place: str, dtype: Any) -> None:
    values = rng().normal(size=10000).astype(dtype)
    for axis in (None, 0, -1):
        a, out = OVERLAPS[place](values.copy())
        expected = function(a.copy(), axis)
        assert function(a, axis, out=out) is out
        assert same_bits(out, expected)


@both
@pytest.mark.parametrize("start", [0, 1, 1000])
def test_out_of_another_dtype_may_overlap_a(function: Callable[..., Any], start: int) -> None:
    a = rng().normal(size=1000)
    expected = function(a.copy()).astype(np.float32)
    out = a.view(np.float32)[start : start + 1000]
    function(a, out=out)
    assert same_bits(out, expected)


@both
@pytest.mark.parametrize("name", ["alpha", "where", "mask"])
def test_out_may_overlap_the_others(function: Callable[..., Any], name: str) -> None:
    a, memory = rng().normal(size=(300, 20)), np.abs(rng().normal(size=(300, 20)))
    keywords: dict[str, Any] = {}
    if name == "mask":
        a = np.ma.MaskedArray(a, memory.view(bool)[:, ::8], copy=False)
        assert np.shares_memory(a.mask, memory)
    else:
        keywords[name] = memory[:, :1] if name == "alpha" else memory.view(bool)[:, ::8]
    expected = np.ma.getdata(function(a.copy(), 1, **{key: x.copy() for key, x in keywords.items()}))
    function(a, 1, out=memory, **keywords)
    assert same_bits(memory, expected)


@both
@pytest.mark.parametrize("view", [memoryview, pd.DataFrame, lambda a, **_: a.view(np.recarray)])
def test_out_may_overlap_any_array_like(function: Callable[..., Any], view: Any) -> None:
    memory = rng().normal(size=(300, 20))
    expected = function(memory.copy(), 1)
    a = view(memory, copy=False) if view is pd.DataFrame else view(memory)
    function(a, 1, out=memory[::-1])
    assert same_bits(memory[::-1], expected)


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


BAD_OUTPUTS: dict[str, tuple[Any, type[Exception]]] = {
    "wrong shape": (np.zeros((4, 5)), ValueError),
    "would broadcast": (np.zeros((2, 4, 5, 6)), ValueError),
    "too small": (np.zeros(()), ValueError),
    "int64": (np.zeros((4, 5, 6), np.int64), TypeError),
    "bool": (np.zeros((4, 5, 6), bool), TypeError),
    "read-only": (read_only(np.zeros((4, 5, 6))), ValueError),
    "list": (A.tolist(), TypeError),
    "tuple of arrays": ((np.zeros((4, 5, 6)),), TypeError),
    "scalar": (0.0, TypeError),
}


@both
@pytest.mark.parametrize("kind", BAD_OUTPUTS)
def test_bad_out(function: Callable[..., Any], kind: str) -> None:
    out, error = BAD_OUTPUTS[kind]
    before = np.array(out)
    with pytest.raises(error, match=f"^{function.__name__}: out"):
        function(A, 1, out=out)
    assert np.array_equal(before, np.array(out))


BAD_CALLS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "axis": ({"axis": 3}, AxisError),
    "negative axis": ({"axis": (0, -4)}, AxisError),
    "repeated axis": ({"axis": (1, 1)}, ValueError),
    "axis of another type": ({"axis": 1.5}, TypeError),
    "where": ({"where": np.ones(5, bool)}, ValueError),
    "where of more axes": ({"where": np.ones((2, 4, 5, 6), bool)}, ValueError),
    "where of another dtype": ({"where": np.ones(6)}, TypeError),
    "alpha": ({"alpha": np.ones((4, 5, 6))}, ValueError),
    "alpha without the reduced axis": ({"alpha": np.ones((4, 6))}, ValueError),
    "alpha of another dtype": ({"alpha": "1"}, TypeError),
    "alpha complex": ({"alpha": 1j}, TypeError),
}


@both
@pytest.mark.parametrize("kind", BAD_CALLS)
def test_a_refused_call_leaves_out_untouched(function: Callable[..., Any], kind: str) -> None:
    keywords, error = BAD_CALLS[kind]
    out = np.full(A.shape, 7.0)
    with pytest.raises(error, match=rf"^{function.__name__}: {next(iter(keywords))}"):
        function(A, **{"axis": 1, **keywords}, out=out)
    assert (out == 7).all()


@both
@pytest.mark.parametrize("kind", [kind for kind in BAD_CALLS if "axis" not in kind])
def test_a_refused_call_does_no_work(function: Callable[..., Any], kind: str) -> None:
    """The shape alone is a terabyte: reading it would not end."""
    keywords, error = BAD_CALLS[kind]
    with pytest.raises(error, match=rf"^{function.__name__}: {next(iter(keywords))}"):
        function(np.broadcast_to(A, (10**6, 10**3, 4, 5, 6)), **{"axis": -2, **keywords})


@both
def test_axis_of_a_scalar_out_of_bounds(function: Callable[..., Any]) -> None:
    for axis in (1, -2, (0, 1)):
        with pytest.raises(AxisError, match=f"^{function.__name__}: axis"):
            function(1.0, axis)


@both
def test_keywords_only(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        function(A, None, 2.0)


@both
def test_nothing_is_written_to(function: Callable[..., Any]) -> None:
    """Not into a, where or alpha, writeable as they are; and the result shares no memory with them."""
    operands = {"a": A.copy(), "where": rng().random(A.shape) < 0.5, "alpha": rng().normal(size=(4, 1, 6))}
    before = {name: x.tobytes() for name, x in operands.items()}
    for axis in (1, (1,), [1]):
        result = function(**operands, axis=axis)
        assert result.flags.writeable
        assert not any(np.shares_memory(result, x) for x in operands.values())
    assert before == {name: x.tobytes() for name, x in operands.items()}


@both
@pytest.mark.parametrize("value", [NAN, INF, -INF, MAX, -MAX, TINY, 800.0, -800.0])
def test_no_floating_point_error(function: Callable[..., Any], value: float) -> None:
    """A fixture makes any a failure, and so do the settings of pytest."""
    a = np.array([[value, value], [value, 0.0], [0.0, 0.0]])
    with np.errstate(all="ignore"):
        single = a.astype(np.float32)
    for axis in (None, 0, 1):
        for alpha in (1.0, -1.0, 1e300, 1e-300, TINY, 0.0, INF, -INF, NAN):
            for x in (a, single, a.astype(">f8")):
                function(x, axis, alpha=alpha)
                function(x, axis, alpha=alpha, where=[True, False])
                function(x, axis, alpha=alpha, out=np.empty(a.shape, np.float32))
                function(x, axis, alpha=alpha, out=np.empty(a.shape, np.float16))


# One answer: each output has the bits that it has alone, and what is left out or written elsewhere changes nothing

CASES = 13  # for each layout and each set of keywords: 520 in all, for each function, at every level
SETS = {"nothing else": "nothing else", "where": "where", "alpha": "parameter", "where and alpha": "all"}
OUTPUTS_CHECKED = 6  # of each case, one by one


def keywords_of(keywords: dict[str, Any], number: int) -> dict[str, Any]:
    """Those that a softmax has; in every second case the alphas near 0 are 0."""
    keywords = {key: x for key, x in keywords.items() if key in ("where", "alpha")}
    if "alpha" in keywords and number % 2:
        alpha = keywords["alpha"]
        keywords["alpha"] = np.where(np.abs(alpha) < 1e-6, 0.0, alpha) if np.ndim(alpha) else alpha * (alpha != 1e-8)
    return keywords


def rows_of(x: Any, shape: tuple[int, ...], axis: tuple[int, ...]) -> np.ndarray:
    """One output a row, its elements in C order."""
    kept = tuple(k for k in range(len(shape)) if k not in axis)
    moved = np.broadcast_to(x, shape).transpose(kept + axis)
    return moved.reshape(int(np.prod([shape[k] for k in kept], dtype=int)), -1)


@both
@pytest.mark.parametrize("keywords", SETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_each_output_alone(function: Callable[..., Any], layout: str, keywords: str) -> None:
    for number in range(CASES):
        random = np.random.default_rng(number)
        a, axis, plain, view, arranged = case("logsumexp", layout, SETS[keywords], number)
        plain, arranged = keywords_of(plain, number), keywords_of(arranged, number)
        got = function(view, axis, **arranged)
        rows, elements = rows_of(got, a.shape, axis), rows_of(a, a.shape, axis)
        own = {key: rows_of(x, a.shape, axis) for key, x in plain.items()}
        count = len(rows)
        chosen = {0, 31, 32, 255, 256, count - 1, *random.integers(count, size=OUTPUTS_CHECKED).tolist()}
        for output in sorted(output for output in chosen if output < count):
            mine = {key: x[output].copy() if key == "where" else float(x[output, 0]) for key, x in own.items()}
            alone = function(elements[output].copy(), **mine)
            assert same_bits(rows[output], alone), (
                f"case({layout!r}, {SETS[keywords]!r}, {number}): {view.dtype} of shape {view.shape}, axis {axis}, "
                f"output {output}, {mine}"
            )
        out = any_layout(random, np.full(a.shape, 7, a.dtype))
        function(view, axis, out=out, **arranged)
        assert same_bits(out.astype(a.dtype), got), f"case({layout!r}, {SETS[keywords]!r}, {number}), out"
        if view.flags.writeable:
            function(view, axis, out=view, **arranged)
            assert same_bits(view.astype(a.dtype), got), f"case({layout!r}, {SETS[keywords]!r}, {number}), in place"


@both
@pytest.mark.skipif(len(FMA_LEVELS) < 2, reason="only one level with fused multiply-add runs here")
@pytest.mark.parametrize("keywords", SETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_agree(function: Callable[..., Any], layout: str, keywords: str) -> None:
    for number in range(CASES):
        _, axis, _, view, arranged = case("logsumexp", layout, SETS[keywords], number)
        results = []
        for name in FMA_LEVELS:
            with running(name):
                results.append(function(view, axis, **keywords_of(arranged, number)))
        assert all(same_bits(results[0], x) for x in results[1:]), f"case({layout!r}, {SETS[keywords]!r}, {number})"


@both
@pytest.mark.parametrize("n", [1, 8, 32, 33, 128, 129, 700])
def test_outputs_do_not_depend_on_each_other(function: Callable[..., Any], n: int) -> None:
    """Ordinary outputs beside those that have cases of their own: large, infinite, NaN, one far above the rest."""
    a = rng().normal(size=(300, n))
    a[::7] *= 1e300
    a[::11, 0] = 1e3
    a[::13, n // 2] = INF
    a[::17] = -INF
    a[::19, -1] = NAN
    alpha = np.where(np.arange(300) % 23, 1.0, 0.0)[:, None]
    for keywords in ({}, {"alpha": alpha}):
        with np.errstate(over="ignore"):
            together = function(a, 1, **keywords)
            assert same_bits(function(np.asfortranarray(a), 1, **keywords), together)
        for row in range(300):
            own = {key: float(x[row, 0]) for key, x in keywords.items()}
            assert same_bits(function(a[row].copy(), **own), together[row])


@both
@pytest.mark.parametrize("gap", [0, 1, 8])
@pytest.mark.parametrize("start", [0, 2, 3])
@pytest.mark.parametrize("n", [257, 1024, 1999, 16384])
def test_many_results(function: Callable[..., Any], n: int, start: int, gap: int) -> None:
    """More than 2**21 pass by the caches, in whole vectors wherever rows begin. References change within rows."""
    rows = 2_200_000 // n
    a = np.sort(rng().normal(scale=30, size=(rows, n)), axis=1)
    a[::3] = a[::3, ::-1]
    a[5, 7], a[6, n // 3], a[7, 3], a[8], a[9, n // 2] = INF, NAN, 1e300, -INF, 2000
    memory = np.full(start + rows * (n + gap), 7.0)
    out = memory[start:].reshape(rows, n + gap)[:, :n]
    function(a, 1, out=out)
    assert same_bits(out, np.concatenate([function(part, 1) for part in np.array_split(a, 10)]))
    out[:] = 7
    assert (memory == 7).all()  # nor was anything written beside them
    function(a, 1, out=out)
    in_place = np.full_like(memory, 7.0)[start:].reshape(rows, n + gap)[:, :n]
    in_place[:] = a
    function(in_place, 1, out=in_place)
    assert same_bits(in_place, out)


# Errors


class Input(NamedTuple):
    a: np.ndarray
    alpha: float = 1.0


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda random, n: random.normal(size=n),
    "uniform": lambda random, n: random.random(n),
    "sorted": lambda random, n: np.sort(random.normal(size=n)),
    "ties": lambda random, n: random.integers(-3, 4, n).astype(float),
}


def offsets_and_scales(sizes: list[int], dtype: Any = np.float64) -> Iterator[Input]:
    random = np.random.default_rng(1)
    for kind in KINDS:
        for n in sizes:
            for offset in (0, 1, -1e3, 1e6):
                for scale in (1e-3, 1, 30, 1e3):
                    yield Input((offset + scale * KINDS[kind](random, n)).astype(dtype))


def long_rows(n: int, dtype: Any = np.float64) -> Iterator[Input]:
    """Of 2000 different values at most, each often, so that the definition takes a fraction of the time."""
    random = np.random.default_rng(2)
    for kind, scale, offset in [("normal", 1, 0), ("uniform", 1e-3, 1e6), ("sorted", 30, -1e3), ("ties", 1e3, 1)]:
        values = np.repeat(KINDS[kind](random, 2000), random.multinomial(n, [1 / 2000] * 2000))
        values = values if kind == "sorted" else random.permutation(values)
        yield Input((offset + scale * values).astype(dtype))


def alphas(dtype: Any = np.float64) -> Iterator[Input]:
    random = np.random.default_rng(3)
    for size in (1e-6, 1e-3, 0.1, 0.7, 3, 30, 1e3, 1e4):
        for alpha in (size, -size):
            for n in (2, 3, 10, 100):
                yield Input(random.normal(size=n).astype(dtype), alpha)
            for offset in (1, 1e3, -1e6):
                yield Input((offset + random.normal(size=33) / size).astype(dtype), alpha)


def one_below(last: int, dtype: Any = np.float64) -> Iterator[Input]:
    """To where the probability, and what the other lacks of 1, are subnormal, and beyond."""
    for d in range(1, last + 1):
        yield Input(np.array([0, -d], dtype))
        yield Input(np.array([-d / 7, -d, -d / 3], dtype))


def close_elements() -> Iterator[Input]:
    random = np.random.default_rng(4)
    for _ in range(2000):
        n = int(random.integers(2, 12))
        spread = 10 ** random.uniform(-3, 1)
        yield Input(random.uniform(-3, 3) * random.choice([1e-3, 0.1, 1]) - spread * random.random(n))


class Row(NamedTuple):
    domain: str
    inputs: Callable[[], Iterator[Input]]
    dtype: Any = np.float64


ROWS = [
    Row("1 to 100 elements", partial(offsets_and_scales, [1, 2, 3, 10, 33, 100])),
    Row("300 elements", partial(offsets_and_scales, [300])),
    Row("2000 elements", partial(long_rows, 2000)),
    Row("20000 elements", partial(long_rows, 20000)),
    Row("alpha from ±1e-6 to ±1e4", alphas),
    Row("one far above", partial(one_below, 760)),
    Row("2 to 11 close elements", close_elements),
    Row("float32: 1 to 100 elements", partial(offsets_and_scales, [1, 2, 3, 10, 33, 100], np.float32), np.float32),
    Row("float32: 20000 elements", partial(long_rows, 20000, np.float32), np.float32),
    Row("float32: alpha from ±1e-6 to ±1e4", partial(alphas, np.float32), np.float32),
    Row("float32: one far above", partial(one_below, 120, np.float32), np.float32),
]


@cache
def definitions(number: int) -> list[tuple[Exact, Exact]]:
    return [exact(x.a, x.alpha) for x in ROWS[number].inputs()]


def worst(function: Callable[..., Any], number: int) -> tuple[float, str]:
    """The largest error of a row, among all results of all of its inputs, and which input has it."""
    row = ROWS[number]
    errors = []
    for x, both_right in zip(row.inputs(), definitions(number), strict=True):
        got = function(x.a, alpha=x.alpha)
        assert got.dtype == row.dtype
        error = units(got, both_right[FUNCTIONS.index(function)], row.dtype)
        i = int(np.argmax(error))
        errors.append((float(error[i]), f"result {i}, {got[i]!r}, of {x.a[:3].tolist()}... ({x.a.size}), {x.alpha}"))
    return max(errors)


@both
@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row.domain for row in ROWS])
def test_error(function: Callable[..., Any], number: int) -> None:
    error, where = worst(function, number)
    assert error <= BOUND, where


# Terms that are close to each other have errors alike, which add up; how far they do shows only in many rows, too many
# for the definition in many digits. Extended precision serves: its error, some units of 2**-64 of a result times its
# condition number, is below 0.01 of the units here.

LENGTHS = [2, 3, 4, 8, 16, 32, 33, 64, 100, 128, 129, 256, 300, 512]


def many_rows(n: int) -> tuple[np.ndarray, float]:
    random = np.random.default_rng(n)
    rows = 200000 // n
    spread = 10 ** random.uniform(-3, 1, (rows, 1))
    top = random.uniform(-3, 3, (rows, 1)) * random.choice([1e-3, 0.1, 1], (rows, 1))
    return top - spread * random.random((rows, n)), float(random.choice([1, 1, 0.1, -2]))


@cache
def definition_of_rows(n: int) -> tuple[np.ndarray, ...]:
    """The results for many rows, and their condition numbers."""
    a, alpha = many_rows(n)
    scaled = a.astype(np.longdouble) * alpha
    below = scaled - scaled.max(axis=1, keepdims=True)
    terms = np.exp(below)
    total = terms.sum(axis=1, keepdims=True)
    p, log_p = terms / total, below - np.log(total)
    moments = np.abs(scaled) * p
    size = np.abs(scaled) * (1 - p) + moments.sum(axis=1, keepdims=True) - moments
    return p, size, log_p, size / np.abs(log_p)


@both
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble has no more digits than double here")
@pytest.mark.parametrize("n", LENGTHS)
def test_error_of_many_rows(function: Callable[..., Any], n: int) -> None:
    assert worst_of_many_rows(function, n) <= BOUND + 0.01


def worst_of_many_rows(function: Callable[..., Any], n: int) -> float:
    a, alpha = many_rows(n)
    right, condition = definition_of_rows(n)[:2] if function is softmax else definition_of_rows(n)[2:]
    error = np.abs(function(a, 1, alpha=alpha) - right) / np.spacing(np.abs(right.astype(np.float64)))
    return float((error / np.maximum(1, condition)).max())


def worst_errors() -> str:
    """The largest errors of all levels as a Markdown table."""
    lines = ["| domain | inputs | softmax | log_softmax |", "|---|---|---|---|"]
    rows = [(row.domain, len(definitions(i)), partial(worst_of_row, number=i)) for i, row in enumerate(ROWS)]
    rows += [(f"many rows of {n}", 200000 // n, partial(worst_of_many_rows, n=n)) for n in LENGTHS]
    for domain, count, measure in rows:
        found = [0.0, 0.0]
        for name in LEVELS:
            with running(name):
                found = [max(x, measure(function)) for x, function in zip(found, FUNCTIONS, strict=True)]
        lines.append(f"| {domain} | {count} | {found[0]:.2f} | {found[1]:.2f} |")
    return "\n".join(lines)


def worst_of_row(function: Callable[..., Any], number: int) -> float:
    return worst(function, number)[0]


if __name__ == "__main__":
    print(worst_errors())
