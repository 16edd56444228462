"""pnorm and pmean: exact tables, promises that hold for every input, one answer, and errors against many digits.

``python tests/test_powers.py`` prints the worst errors.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from math import prod
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mpmath import mp, mpf
from reference import LEVELS, Exact, running, same_bits, units
from test_one_answer import LAYOUTS, any_layout, conditions, shape_and_axis, weights

from csmooth import pmean, pnorm

Function = Callable[..., Any]

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
MIN = float(np.finfo(np.float64).tiny)  # the smallest normal number
TINY = 5e-324  # the smallest number above 0
BOTH = pytest.mark.parametrize("function", [pnorm, pmean])
FMA_LEVELS = [level for level, kernels in LEVELS.items() if kernels.vector_name != "scalar"]

# One p for each way of making terms and beyond: counts, products and roots, logarithms, double-double, limits.
POWERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 3.5, 1.1, 0.3, 1e-3, 1e-12, 1e-300, 1e6, 1e12, 1e300, INF)
POWERS += (-1.0, -2.5, -0.3, -1e-3, -1e-12, -1e-300, -1e6, -1e12, -1e300, -INF)
POSITIVE = tuple(p for p in POWERS if p > 0)
NEGATIVE = tuple(p for p in POWERS if p < 0)
FINITE = tuple(p for p in POWERS if abs(p) < INF)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """No call may emit a warning, whatever NumPy is told to do about floating-point errors."""
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        yield


# Exact results

Row = tuple[Any, Any, dict[str, Any], Any]  # a, p, keywords, value

NORMS: dict[str, list[Row]] = {
    "one element": [
        ([x] * n, p, {}, abs(x))
        for x in (0.0, -0.0, 1.0, -1.0, 0.1, TINY, -MIN, 1e-300, 1e300, -MAX, INF, -INF)
        for p in POWERS
        for n in (1,)
        if p != 0
    ],
    "right triangles": [([3, 4], 2, {}, 5), ([-5, 12], 2, {}, 13), ([3e200, -4e200], 2, {}, 4.9999999999999995e200)],
    "p = 0": [
        ([1, 0, -3], 0, {}, 2),
        ([1, 0, -3], -0.0, {}, 2),
        ([INF, -0.0, TINY], 0, {}, 2),
        ([0, 0], 0, {}, 0),
        ([5, 0, 7], 0, {"b": [0.5, 9, 0.25]}, 0.75),
        ([5, 7], 0, {"b": [1, -3]}, NAN),
        ([NAN, 1], 0, {}, NAN),
    ],
    "limits": [([1, -4, 2], INF, {}, 4), ([3, -1, 2], -INF, {}, 1), ([1, -4, 2], INF, {"b": [-3, 0, 0.1]}, 2)],
    "products": [
        ([1, -4, 9], 0.5, {}, 36),
        ([1, -4, 2], 1, {}, 7),
        ([1, 4], 1.5, {}, 4.326748710922225),
        ([3, 4, 5], 3, {}, 6),
        ([1, 2], 4, {}, 2.0305431848689306),
        ([1e200, 1e200], 3, {}, 1.2599210498948731e200),
    ],
    "reciprocals": [
        ([2, 2], -1, {}, 1),
        ([3, 6], -1, {}, 2),
        ([2, -2], -0.5, {}, 0.5),
        ([1, 2], -2, {}, 0.8944271909999159),
    ],
    "large powers": [
        ([2, 1], 1e6, {}, 2),
        ([1, 1], 1e6, {}, 1.0000006931474208),
        ([1, 1], 1e12, {}, 1.0000000000006932),
        ([1, 1], -1e6, {}, 0.9999993068530597),
        ([3, 3], 1e300, {}, 3),
    ],
    "tiny powers": [([1, 1], p, {}, INF) for p in (1e-12, 1e-300, TINY)] + [([1, 1], -p, {}, 0) for p in (1e-12, TINY)],
    "zeros": [([0, 5, 0], p, {}, 5 if p > 0 else 0) for p in POWERS if p != 0],
    "only zeros": [([0, 0.0, -0.0], p, {}, 0) for p in POWERS],
    "infinities": [([INF, -2, 0], p, {}, INF) for p in POSITIVE]
    + [([-INF, -2], p, {}, 2) for p in NEGATIVE]
    + [([INF, 0], p, {}, 0) for p in NEGATIVE]
    + [([INF, -INF], p, {}, INF) for p in POWERS if p != 0 and not -1 < p < 0]
    + [([-INF, INF], p, {}, INF) for p in (-0.3, -1e-300)],
    "NaN": [([NAN, x], p, {}, NAN) for x in (1, 0, INF) for p in POWERS]
    + [([1, 2, x], NAN, {}, NAN) for x in (0, 1, INF)]
    + [([], NAN, {}, NAN)],
    "small and large": [
        ([3e-320, 4e-320], 2, {}, 5e-320),
        ([3 * 2.0**-1074, 4 * 2.0**-1074], 2, {}, 5 * 2.0**-1074),
        ([3 * 2.0**1020, 4 * 2.0**1020], 2, {}, 5 * 2.0**1020),
        ([1e300, 1e-300], 2, {}, 1e300),
        ([1e300, 1e-300], -1, {}, 1e-300),
        ([MAX, MAX], 2, {}, INF),
        ([MAX, MAX], 1e300, {}, MAX),
        ([MAX, MAX, MAX, MAX], -1, {}, MAX / 4),
        ([MAX / 4] * 4, 1, {}, MAX),
        ([MAX / 16] * 4, 0.5, {}, MAX),
        ([TINY] * 4, -1, {}, 0),
        ([TINY] * 4, 1, {}, 4 * TINY),
    ],
    "nothing": [([], p, {}, 0 if p >= 0 else INF) for p in POWERS]
    + [([1, NAN], p, {"where": False}, 0 if p >= 0 else INF) for p in POWERS]
    + [([1, NAN, INF], p, {"b": 0}, 0 if p >= 0 else INF) for p in POWERS],
    "weights": [([3, 7], p, {"b": [1, 0]}, 3 if p else 1) for p in POWERS]
    + [([3, x], p, {"b": [1, 0]}, 3 if p else 1) for x in (NAN, INF, -INF, 0) for p in POWERS]
    + [([3, 7, 5], p, {"b": [NAN, 1, 1]}, NAN) for p in POWERS]
    + [([1, 2], p, {"b": [-1, -2]}, NAN) for p in FINITE]
    + [([2, 2, 3], p, {"b": [1, -1, 0]}, 0 if p >= 0 else INF) for p in FINITE]
    + [
        ([3, 4], 2, {"b": [4, 4]}, 10),
        ([3, 4, 5], 2, {"b": [-1, -1, 2]}, 5),
        ([3, 5], 2, {"b": [-1, 1]}, 4),
        ([2, 1], 1, {"b": [-1, 1]}, NAN),
        ([1e-200, 1e-200], 1, {"b": [2e300, 3e300]}, 5e100),
        ([1e200, 1e200], 1, {"b": [2e-290, 3e-290]}, 5e-90),
        ([1], 1, {"b": [1e308]}, 1e308),
    ],
    "infinite weights": [([1, 2], p, {"b": [INF, 1]}, INF) for p in (0.5, 1, 2, 3.5, 0.3, 1e6)]
    + [([0, 2], p, {"b": [INF, 1]}, 2) for p in POSITIVE]
    + [([INF, 2], p, {"b": [INF, 1]}, 2) for p in NEGATIVE]
    + [([1, 2], p, {"b": [INF, 1]}, 0) for p in (-1, -2.5, -1e6)]
    + [([0, 2], p, {"b": [INF, 1]}, 0) for p in NEGATIVE]
    + [([1, 2], p, {"b": [-INF, 1]}, NAN) for p in (0.5, 1, 2, 3.5, 0.3, 1e6, -1, -2.5)]
    + [([1, 2], p, {"b": [INF, -INF]}, NAN) for p in (0.5, 1, 2, 3.5, 0.3, 1e6, -1, -2.5)],
    "infinite terms that cancel": [([INF, INF], p, {"b": [1, -1]}, NAN) for p in (0.3, 0.5, 1, 2, 3, 3.5, 1e6)]
    + [([INF, 2], p, {"b": [-1, 3]}, NAN) for p in (0.3, 0.5, 1, 2, 3, 3.5, 1e6)]
    + [([INF, 2], p, {"b": [3, -1]}, INF) for p in (0.3, 0.5, 1, 2, 3, 3.5, 1e6)]
    + [([0, 0], p, {"b": [1, -1]}, NAN) for p in (-1, -2.5, -1e6)]
    + [([0, 2], p, {"b": [-1, 3]}, NAN) for p in (-1, -2.5, -1e6)]
    + [([0, 2], p, {"b": [3, -1]}, 0) for p in (-1, -2.5, -1e6)],
}

MEANS: dict[str, list[Row]] = {
    "equal numbers": [
        ([x] * n, p, {}, x)
        for x in (0.0, 1.0, 0.1, 7.3, TINY, 3 * TINY, MIN, 1e-300, 1e300, 2.0**1023, MAX, INF)
        for p in POWERS
        for n in (1, 3, 50)
        if not (x == INF and n > 1 and -1 < p < 0)
    ],
    "equal numbers, weighted": [
        ([x] * 3, p, {"b": b}, x) for x in (0.1, 1e300, TINY) for p in POWERS for b in ([0.1, 0.7, 3], [1e308] * 3)
    ],
    "the classics": [
        ([1, 2, 4], 0, {}, 2),
        ([1, 2, 4], -1, {}, 1.7142857142857144),  # 12/7, off by 0.57 units
        ([1, 2, 4], 1, {}, 2.3333333333333335),
        ([1, 7], 2, {}, 5),
        ([1, 4, 16], 0.5, {}, 5.444444444444445),
        ([3, 4, 5], 3, {"b": [3, 3, 3]}, 4.160167646103808),
        ([2, 8], 0, {"b": [1, 3]}, 5.656854249492381),
        ([2, 8], 0, {"b": [-1, 3]}, 16),
    ],
    "limits": [([1, 4, 2], INF, {}, 4), ([3, 1, 2], -INF, {}, 1), ([1, 4, 2], INF, {"b": [-3, 0, 0.1]}, 2)]
    + [([1, 2], p, {"b": [1, -1]}, 2 if p > 0 else 1) for p in (INF, -INF)],
    "large powers": [
        ([2, 1], 1e6, {}, 1.9999986137061194),
        ([2, 1], -1e6, {}, 1.0000006931474208),
        ([2, 1], 1e300, {}, 2),
        ([1, 0], 1e12, {}, 0.9999999999993069),
    ],
    "tiny powers": [([1, 4], p, {}, 2) for p in (0, 1e-17, 1e-300, -1e-300, TINY, -TINY)]
    + [([1, 4], 1e-12, {}, 2.0000000000004805), ([1, 4], -1e-12, {}, 1.9999999999995195)]
    + [([1e300, 1e-300], 0, {}, 1)],
    "zeros": [([0, 5, 0], p, {}, 0) for p in POWERS if p <= 0] + [([0, 5, 5, 5], 1e-4, {}, 0)],
    "zeros and p > 0": [([0, 8], 1, {}, 4), ([0, 5, 5, 0], 0.5, {}, 1.25), ([0, 5, 5, 0], INF, {}, 5)],
    "only zeros": [([0, 0.0, -0.0], p, {}, 0) for p in POWERS],
    "infinities": [([INF, 2], p, {}, INF) for p in (0, *POSITIVE)]
    + [([INF, 2], -1, {}, 4), ([INF, 2], -INF, {}, 2), ([INF, 2], -2, {}, 2.8284271247461903)]
    + [([INF, 0], p, {}, 0) for p in NEGATIVE]
    + [([INF, 0], p, {}, INF) for p in POSITIVE]
    + [([INF, 0], 0, {}, NAN)]
    + [([INF, INF], p, {}, INF) for p in POWERS],
    "negative": [([x, 2, 3], p, {}, NAN) for x in (-1, -TINY, -INF) for p in POWERS]
    + [([x, 2], p, {"b": [0, 1]}, 2) for x in (-1, -INF) for p in POWERS]
    + [([x, 2], p, {"where": [False, True]}, 2) for x in (-1, -INF) for p in POWERS],
    "NaN": [([NAN, x], p, {}, NAN) for x in (1, 0, INF) for p in POWERS]
    + [([1, 2, x], NAN, {}, NAN) for x in (0, 1, INF)],
    "small and large": [
        ([7 * 2.0**-1074, 2.0**-1074], 2, {}, 5 * 2.0**-1074),
        ([7 * 2.0**1021, 2.0**1021], 2, {}, 5 * 2.0**1021),
        ([MAX, 0], 1, {}, MAX / 2),
        ([MAX, 0], 0.5, {}, MAX / 4),
        ([MAX, INF], -1, {}, INF),
        ([MAX / 2, INF], -1, {}, MAX),
    ],
    "nothing left": [([1, NAN], p, {"where": False}, NAN) for p in POWERS]
    + [([1, NAN, INF, -1], p, {"b": 0}, NAN) for p in POWERS],
    "weights": [([3, 7], p, {"b": [1, 0]}, 3) for p in POWERS]
    + [([3, x], p, {"b": [1, 0]}, 3) for x in (NAN, INF, -INF, 0) for p in POWERS]
    + [([3, 7, 5], p, {"b": [NAN, 1, 1]}, NAN) for p in POWERS]
    + [([2, 3], p, {"b": [1, -1]}, NAN) for p in FINITE]
    + [([1, 7], 2, {"b": [-3, -3]}, 5), ([1, 7], 2, {"b": [1e308, 1e308]}, 5), ([1, 7], 2, {"b": [1e-290, 1e-290]}, 5)]
    + [
        ([3, 1], 1, {"b": [-3, 1]}, 4),
        ([3, 1], 1, {"b": [-1, 4]}, 0.3333333333333333),
        ([3, 1], 1, {"b": [-1, 2]}, NAN),
    ],
    "infinite weights": [([1, 2], p, {"b": [INF, 1]}, INF) for p in (0.5, 1, 2, 3.5, 0.3, 1e6)]
    + [([0, 2], p, {"b": [INF, 1]}, 2) for p in POSITIVE]
    + [([1, 2], p, {"b": [INF, 1]}, 0) for p in NEGATIVE if p > -INF]
    + [([1, 2], p, {"b": [-INF, 3]}, NAN) for p in (0.5, 1, 2, 3.5, 0.3, 1e6, -1, -2.5)],
    "infinite terms that cancel": [([INF, INF, 1], p, {"b": [1, -1, 1]}, NAN) for p in (1, 2, 3)]
    + [([INF, 2], p, {"b": [-1, 3]}, NAN) for p in (0.3, 0.5, 1, 2, 3, 3.5, 1e6)]
    + [([0, 2], p, {"b": [-1, 3]}, NAN) for p in (-1, -2.5, -1e6)]
    + [([0, 2], p, {"b": [3, -1]}, 0) for p in (-1, -2.5, -1e6)],
}


@pytest.mark.parametrize(("function", "kind"), [(pnorm, k) for k in NORMS] + [(pmean, k) for k in MEANS])
def test_exact(level: str, function: Function, kind: str) -> None:
    """Alone, as a column beside others, and as every second element: three ways to the same result."""
    wrong = []
    for a, p, keywords, value in (NORMS if function is pnorm else MEANS)[kind]:
        array = np.array(a, float)
        columns = {key: x if np.ndim(x) == 0 else np.reshape(x, (-1, 1)) for key, x in keywords.items()}
        got = function(a, p, **keywords)
        beside = function(np.repeat(array[:, np.newaxis], 40, axis=1), p, axis=0, **columns)
        apart = function(np.repeat(array, 2)[::2], p, **keywords)
        if not all(same_bits(x, np.float64(value)) for x in (got, beside[0], beside[39], apart)):
            wrong.append((a, p, keywords, value, got, beside[0], apart))
    assert not wrong, f"{len(wrong)} of {len((NORMS if function is pnorm else MEANS)[kind])}: {wrong[:5]}"


# Dtypes, shapes, outputs


@BOTH
def test_dtypes(level: str, function: Function) -> None:
    exact = definition(function, [3, 5], 3)
    for dtype in (np.int8, np.uint8, np.int16, np.uint64, np.int64, np.float64, ">f8", ">i4"):
        got = function(np.array([3, 5], dtype), 3)
        assert type(got) is np.float64
        assert units(got, exact) <= 2
    assert same_bits(function(np.array([-128, 0], np.int8), INF), np.float64(128 if function is pnorm else NAN))
    for dtype in (np.float32, np.float16, ">f4", ">f2"):
        got = function(np.array([3, 5], dtype), 3)
        assert type(got) is np.dtype(dtype).type
        assert same_bits(got, np.dtype(dtype).type(exact.value))
    assert same_bits(function([False, True, True], 1), np.float64(2 if function is pnorm else 2 / 3))
    assert function([3.0, 5.0], 3) == function((3, 5), 3) == function(np.array([[3.0], [5.0]]), 3)
    assert type(function(np.float32([1, 2]), 2, b=np.float32([1, 2]))) is np.float32
    assert type(function(np.float32([1, 2]), 2, b=2)) is np.float32
    assert type(function(np.float32([1, 2]), 2, b=[1.0, 2.0])) is np.float64
    assert type(function(np.float32([1, 2]), np.float64(2))) is np.float32
    assert function(np.array([2.0, 8.0]), p=np.float32(0.5)) == function([2, 8], 0.5)
    assert function([2.0, 8.0], True) == function([2, 8], 1.0)
    assert function(memoryview(np.array([2.0, 8.0])), 3) == function([2, 8], 3)


@BOTH
def test_narrow_dtypes_overflow_to_infinity_only(level: str, function: Function) -> None:
    """They are computed as doubles, and rounded once."""
    single = np.float32([3e38, 2e38, 1e-45])
    for p in (1, 2, 3.5, 0.5, -1, INF, 0):
        with np.errstate(over="ignore", under="ignore"):
            assert same_bits(function(single, p), np.float32(function(single.astype(float), p)))
            assert same_bits(function(np.float16([60000, 1]), p), np.float16(function([60000, 1], p)))
    assert function(np.ones(2**16, np.float16), 1) == (INF if function is pnorm else 1)
    assert function(np.ones(2**16, np.float16), 2) == (256 if function is pnorm else 1)
    assert function(np.ones(2**21, np.int8), 2) == (2**10.5 if function is pnorm else 1)


@BOTH
def test_scalars(level: str, function: Function) -> None:
    for a in (3.0, np.float64(3), np.array(3.0)):
        for axis in (None, 0, -1, ()):
            got = function(a, 2.5, axis=axis)
            assert type(got) is np.float64
            assert got == 3
    assert function(-3.0, 2.5) == 3 or function is pmean
    assert same_bits(function([[1.0, 4.0]], 2.5, axis=()), np.array([[1.0, 4.0]]))
    assert type(function([1, 2], np.array(2.0))) is np.float64


@BOTH
def test_shapes(level: str, function: Function) -> None:
    a = np.random.default_rng(1).random((2, 3, 4))
    for axis, count in ((0, 12), (1, 8), (-1, 6), ((0, 2), 3), ((2, 0), 3), ((1, -1), 2), (None, 1), ((), 24)):
        got = function(a, 3.5, axis=axis)
        assert np.shape(got) == np.max(a, axis=axis).shape
        assert np.size(got) == count
        kept = function(a, 3.5, axis=axis, keepdims=True)
        assert kept.shape == np.max(a, axis=axis, keepdims=True).shape
        assert same_bits(np.ravel(kept), np.ravel(got))
    assert same_bits(function(a, 3.5, (0, 2)), np.array([function(x, 3.5) for x in a.transpose(1, 0, 2)]))
    assert same_bits(
        function(a[0, 0], 3.5, b=np.ones((5, 1)), axis=1), np.full(5, function(a[0, 0], 3.5, b=np.ones(4)))
    )


@BOTH
def test_p_for_each_output(level: str, function: Function) -> None:
    """All kinds of p side by side, in any layout and dtype, in rows and in columns."""
    p = np.array([*POWERS, NAN])
    a = np.random.default_rng(2).random((len(p), 50)) * 10
    alone = np.array([function(row, float(x)) for row, x in zip(a, p, strict=True)])
    assert same_bits(function(a, p[:, np.newaxis], axis=1), alone)
    assert same_bits(function(a, p[:, np.newaxis], axis=1, keepdims=True), alone[:, np.newaxis])
    assert same_bits(function(a.T, p, axis=0), alone)
    assert same_bits(function(np.asfortranarray(a)[:, ::-1], p[:, np.newaxis], axis=1), alone) or a.shape[1] > 1
    assert same_bits(function(a[::-1], p[::-1, np.newaxis], axis=1), alone[::-1])
    assert same_bits(function(np.stack([a] * 3), p[:, np.newaxis], axis=2), np.stack([alone] * 3))
    assert same_bits(function(a, np.array([[2.0]]), axis=1), function(a, 2.0, axis=1))
    assert same_bits(function(a, [[2]], axis=None), function(a, 2.0))
    assert same_bits(
        function(a[:3], np.float32([[2], [0.5], [-1]]), axis=1), function(a[:3], [[2], [0.5], [-1]], axis=1)
    )


@BOTH
@pytest.mark.parametrize("p", [2, 3.5, 0, -1, INF])
def test_out(level: str, function: Function, p: float) -> None:
    a = np.random.default_rng(3).random((4, 4))
    wanted = function(a, p, axis=1)
    out = np.full(4, 7.0)
    assert function(a, p, axis=1, out=out) is out
    assert same_bits(out, wanted)
    column = np.empty((4, 1))
    assert function(a, p, axis=1, keepdims=True, out=column) is column
    assert same_bits(column[:, 0], wanted)
    scalar = np.empty(())
    assert function(a, p, out=scalar) is scalar
    assert scalar[()] == function(a, p)
    narrow = np.empty((4, 2), np.float32)[:, 1]
    function(a, p, axis=1, out=narrow)
    assert same_bits(narrow, wanted.astype(np.float32))
    for overlapping in (lambda x: x[0], lambda x: x[:, 2], lambda x: x[::-1, 1]):
        for axis in (0, 1):
            copy = a.copy()
            wanted = function(a, p, axis=axis)
            function(copy, p, axis=axis, out=overlapping(copy))
            assert same_bits(overlapping(copy), wanted)
    powers = np.array([1.0, 2.0, -1.0, 0.0])
    wanted = function(a, powers[:, np.newaxis], axis=1)
    function(a, powers[:, np.newaxis], axis=1, out=powers)
    assert same_bits(powers, wanted)


@BOTH
def test_masks_and_where(level: str, function: Function) -> None:
    a = np.array([[3.0, 100, 4], [7, 8, 9], [1, NAN, 2]])
    mask = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    masked = np.ma.array(a, mask=mask)
    for p in (*FINITE, INF, -INF):
        got = function(masked, p, axis=1)
        assert got.mask.tolist() == [False, True, False]
        assert same_bits(got.data[[0, 2]], np.array([function(a[0, ::2], p), function(a[2, ::2], p)]))
        left = function(a, p, axis=1, where=~mask)
        assert same_bits(left[[0, 2]], got.data[[0, 2]])
        assert same_bits(left[1], np.float64(NAN if function is pmean else 0 if p >= 0 else INF))
        assert same_bits(function(a, p, axis=1, b=~mask * 1.0)[1], left[1])
    assert function(masked, 2) == function([3, 4, 1, 2], 2)
    assert function(a, 2, b=masked, axis=1).mask.tolist() == [False, True, False]
    assert function(np.ma.masked_all(3), 2) is np.ma.masked
    assert same_bits(function(a, 2, axis=0, where=[[True], [False], [False]]), a[0])


@BOTH
def test_empty(level: str, function: Function) -> None:
    for shape, axis in (((0,), None), ((2, 0), 1), ((2, 0, 2), (0, 1))):
        a = np.zeros(shape)
        if function is pmean:
            with pytest.raises(ValueError, match="pmean: a reduction of no elements"):
                pmean(a, 2, axis=axis)
            continue
        for p, value in ((2, 0.0), (0, 0.0), (INF, 0.0), (-1, INF), (-INF, INF)):
            got = pnorm(a, p, axis=axis)
            assert np.shape(got) == np.sum(a, axis=axis).shape
            assert (got == value).all()
    for axis in (1, -1):
        assert function(np.zeros((0, 3)), 2, axis=axis).shape == (0,)


REFUSED: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ([1.0, 2.0], 2, {"axis": 1}, np.exceptions.AxisError, "axis"),
    ([[1.0]], 2, {"axis": (0, 0)}, ValueError, "axis"),
    ([1.0], 2, {"axis": 0.5}, TypeError, "axis"),
    ([1.0, 2.0], 2, {"b": [1, 2, 3]}, ValueError, "b of shape"),
    ([1.0, 2.0], 2, {"b": ["x", "y"]}, TypeError, "b has dtype"),
    ([1.0, 2.0], 2, {"b": [1j, 2]}, TypeError, "b has dtype complex128"),
    ([1.0, 2.0], [1.0, 2.0], {}, ValueError, "p of shape"),
    ([[1.0, 2.0]], [[1.0, 2.0]], {"axis": 1}, ValueError, "p of shape"),
    ([1.0], 1j, {}, TypeError, "p has dtype complex128"),
    ([1.0], "2", {}, TypeError, "p has dtype"),
    ([1.0], None, {}, TypeError, "p has dtype object"),
    ([1.0, 2.0], 2, {"where": [1, 0]}, TypeError, "where has dtype"),
    ([1.0, 2.0], 2, {"where": [True] * 3}, ValueError, "where of shape"),
    ([1.0, 2.0], 2, {"out": np.full(3, 7.0)}, ValueError, "out has shape"),
    ([1.0, 2.0], 2, {"out": np.full((), 7)}, TypeError, "out has dtype"),
    ([1.0, 2.0], 2, {"out": 7}, TypeError, "out must be"),
    ([[1.0, 2.0]], 2, {"axis": 1, "keepdims": True, "out": np.full(1, 7.0)}, ValueError, "out has shape"),
    (["a"], 2, {}, TypeError, "a has dtype <U1"),
    ([b"a"], 2, {}, TypeError, "a has dtype [|]S1"),
    ([1j], 2, {}, TypeError, "a has dtype complex128"),
    ([None], 2, {}, TypeError, "a has dtype object"),
    (np.array(["2000"], "M8[D]"), 2, {}, TypeError, "a has dtype datetime64"),
    (np.zeros(2, [("x", float)]), 2, {}, TypeError, "a has dtype"),
]


@BOTH
@pytest.mark.parametrize(("a", "p", "keywords", "error", "match"), REFUSED)
def test_refused(
    function: Function, a: Any, p: Any, keywords: dict[str, Any], error: type[Exception], match: str
) -> None:
    """Before any work: with the name of the function and of the argument, and `out` as it was."""
    out = keywords.get("out", np.full((), 7.0))
    with pytest.raises(error, match=f"^{function.__name__}: .*{match}"):
        function(a, p, **{**keywords, "out": out})
    assert np.all(out == 7)


@BOTH
def test_input_stays(level: str, function: Function) -> None:
    a, b, p = np.array([[-0.0, 3, 0], [INF, 1, 2]]), np.array([1.0, INF, 0]), np.array([[-1.0], [3.5]])
    where = np.array([True, True, False])
    before = [x.copy() for x in (a, b, p, where)]
    for x in (a, b, p, where):
        x.flags.writeable = False
    function(a, p, axis=1, b=b, where=where)
    assert all(same_bits(x, y) for x, y in zip((a, b, p, where), before, strict=True))


@BOTH
@pytest.mark.parametrize("kind", ["a", "b"])
def test_longdouble(function: Function, kind: str) -> None:
    """As the kernels do, but with more digits: within 1e-18 of many, a few units of 2**-64 (or of fewer bits)."""
    rng = np.random.default_rng(4)
    a, b = np.exp(rng.normal(size=(20, 9))), rng.random((20, 9))
    wide = {"a": a, "b": b, kind: (a if kind == "a" else b).astype(np.longdouble)}
    rtol = max(1e-18, 8 * float(np.finfo(np.longdouble).eps))
    for p in (*POWERS, NAN):
        with np.errstate(all="ignore"):  # of the comparison
            got = function(wide["a"], p, axis=1, b=wide["b"])
            assert got.dtype == np.longdouble
            assert np.allclose(function(a, p, axis=1, b=b), got.astype(float), rtol=1e-15, atol=0, equal_nan=True)
            if p in (2, 0.3, -2.5):
                exact = definition(function, a[0], p, b[0]).value
                with mp.workprec(200):
                    high = float(got[0])
                    error = abs(mpf(high) + mpf(float(got[0] - np.longdouble(high))) - exact) / exact
                assert error <= rtol * max(1, 1 / abs(p)), p
    tables = NORMS if function is pnorm else MEANS
    for a_, p, keywords, value in (row for kind in tables for row in tables[kind] if len(row[0])):
        if not (np.isfinite(value) and (abs(value) > 1e300 or 0 < abs(value) < 1e-300)):
            got = function(np.array(a_, np.longdouble), p, **keywords)
            beyond = not np.isfinite(value) or value == 0  # a longdouble may have the range for it
            assert got.dtype == np.longdouble
            assert np.isclose(float(got), value, rtol=1e-15, atol=0, equal_nan=True) or beyond, (a_, p, keywords, got)


# Agreement with NumPy and SciPy, whose plain sums of 200 terms err by some 1e-14 times p at most


def test_as_vector_norm(level: str) -> None:
    a = np.random.default_rng(5).normal(size=(30, 200))
    a[::3, 7] = 0
    for order in (0, 0.5, 1, 1.5, 2, 3, 4, 3.5, 10, -1, -2, -0.5, INF, -INF):
        with np.errstate(divide="ignore"):
            expected = np.linalg.vector_norm(a, ord=order, axis=1)
        assert np.allclose(pnorm(a, order, axis=1), expected, rtol=1e-13, atol=0)
    assert (pnorm(a, 0, axis=1) == np.linalg.vector_norm(a, ord=0, axis=1)).all()
    assert (pnorm(a, axis=1) == pnorm(a, 2.0, axis=1)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_as_scipy(level: str, weighted: bool) -> None:
    rng = np.random.default_rng(6)
    a = np.exp(rng.normal(size=(30, 200)))
    b = rng.random((30, 200)) if weighted else None
    for p in (0.5, 1, 2, 3.5, 10, -1, -2.5):
        assert np.allclose(pmean(a, p, axis=1, b=b), scipy.stats.pmean(a, p, axis=1, weights=b), rtol=1e-13, atol=0)
    assert np.allclose(pmean(a, 0, axis=1, b=b), scipy.stats.gmean(a, axis=1, weights=b), rtol=1e-13, atol=0)
    assert np.allclose(pmean(a, -1, axis=1, b=b), scipy.stats.hmean(a, axis=1, weights=b), rtol=1e-13, atol=0)


# Promises

numbers = st.floats(allow_nan=False, allow_infinity=False)
powers = st.one_of(st.sampled_from(POWERS), st.floats(-1e3, 1e3), st.floats(allow_nan=False))
ordinary = hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(-100, 100), fill=st.floats(-5, 5))
vectors = st.one_of(ordinary, hnp.arrays(np.float64, st.integers(1, 300), elements=numbers, fill=numbers))
close = st.builds(
    lambda x, k: x + np.array(k) * np.spacing(x), st.floats(1e-3, 50), st.lists(st.integers(0, 3), min_size=1)
)


@given(st.floats(allow_nan=False), powers)
def test_one_element(level: str, x: float, p: float) -> None:
    assume(p != 0)
    assert pnorm([x], p) == abs(x)
    assert (pnorm([[x] * 5], p, axis=0) == abs(x)).all()
    with np.errstate(under="ignore"):  # where it is not known to be alone, its power and root may round
        room = np.spacing(min(abs(x), MAX / 2)) if 1 < p < INF else 0
    for alone in (pnorm([x, NAN], p, where=[True, False]), pnorm(np.ma.array([3.0, x], mask=[1, 0]), p)):
        assert alone == abs(x) or abs(x) < alone <= abs(x) + room


@given(st.one_of(vectors, close), powers)
@example(np.repeat([1.0, 1 - 2**-53], [1, 300]), 1e12)
@example(np.array([MAX, MAX]), 1e12)
def test_bounds_of_the_norm(level: str, a: np.ndarray, p: float) -> None:
    """Also of what `where` leaves, and along columns; exactly."""
    assume(p != 0)
    size = np.abs(a)
    columns = pnorm(np.repeat(a[:, np.newaxis], 3, axis=1), p, axis=0)
    some = np.arange(a.size) % 3 != 1
    if p > 0:
        assert pnorm(a, p) >= size.max()
        assert (columns >= size.max()).all()
        assert pnorm(a, p, where=some) >= size[some].max()
    else:
        assert pnorm(a, p) <= size.min()
        assert (columns <= size.min()).all()
        assert pnorm(a, p, where=some) <= size[some].min()


@given(st.one_of(vectors.map(np.abs), close), powers)
@example(np.repeat([1.0, 1 - 2**-53], [1, 300]), 1e12)
@example(np.repeat([1.0, 1 - 2**-53], [1, 300]), -1e-12)
@example(np.array([TINY, TINY, 2 * TINY]), 0.0)
def test_bounds_of_the_mean(level: str, a: np.ndarray, p: float) -> None:
    """The largest element for p > 0, and the smallest for p < 0, bound it exactly.

    The other one is known to no state. The mean may pass it by the rounding of the result, less than an ulp: where many
    elements are that one, or p is such that the mean comes that near.
    """
    values = [pmean(a, p), *pmean(np.repeat(a[:, np.newaxis], 3, axis=1), p, axis=0)]
    with np.errstate(all="ignore"):
        below, above = np.nextafter(a.min(), 0), np.nextafter(a.max(), INF)
    for value in values:
        assert a.min() <= value <= above if p < 0 else below <= value <= a.max()


@given(st.floats(0, allow_nan=False, allow_infinity=False), st.integers(1, 300), powers, st.floats(1e-100, 1e100))
def test_mean_of_equal_numbers(level: str, x: float, n: int, p: float, weight: float) -> None:
    a = np.full(n, x)
    assert pmean(a, p) == x
    assert (pmean(np.full((n, 3), x), p, axis=0) == x).all()
    assert pmean(a, p, b=weight) == x
    assert pmean(a, p, b=np.random.default_rng(n).random(n) + 0.01) == x
    if x > 0 and abs(p) >= 0.1:  # else the root enlarges what weights of both signs leave
        assert pmean([x, x], p, b=[1000, -999]) == x
    assert pmean(a, p, where=np.arange(n) % 2 == 0) == x


moderate = hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(1e-10, 100), fill=st.floats(1, 5))


@BOTH
@given(moderate, st.sampled_from([p for p in POWERS if abs(p) > 0.2]), st.integers(-900, 900))
def test_powers_of_two(level: str, function: Function, a: np.ndarray, p: float, k: int) -> None:
    """Sums and products of small integer powers scale exactly; of others the exponents round, so that results, each
    within less than an ulp of the same number, may differ by one."""
    value, scaled = function(a, p) * 2.0**k, function(a * 2.0**k, p)
    assert scaled == value if p in (1, 2, 3, 4, INF, -INF) else abs(scaled - value) <= np.spacing(value)


@given(st.integers(-1020, 1020), st.sampled_from([(3, 4, 5), (5, 12, 13), (20, 21, 29), (119, 120, 169)]))
def test_right_triangles(level: str, k: int, sides: tuple[int, int, int]) -> None:
    x, y, z = (float(side) * 2.0 ** (k - 7) for side in sides)
    assert pnorm([x, y]) == z
    assert pnorm([-y, x, 0]) == z


@given(ordinary, st.floats(-50, 50), st.floats(-50, 50))
def test_monotone_in_p(level: str, a: np.ndarray, p: float, q: float) -> None:
    """Norms fall with p > 0, means rise; but for the rounding of both, less than an ulp each."""
    p, q = min(p, q), max(p, q)
    size = np.abs(a)
    room = 2 * np.spacing(max(size.max(), 1e-300))
    assert pmean(size, p) <= pmean(size, q) + room
    if p > 0:
        more = pnorm(a, p)
        assert more == INF or pnorm(a, q) <= more + 2 * np.spacing(max(more, 1e-300))


# One answer

SIZES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "near": lambda rng, shape: np.exp(0.1 * rng.normal(size=shape)),
    "wide": lambda rng, shape: np.exp(3 * rng.normal(size=shape)),
    "very wide": lambda rng, shape: 10 ** rng.uniform(-300, 300, shape),
    "ties": lambda rng, shape: rng.integers(0, 3, shape).astype(float),
    "rising": lambda rng, shape: np.sort(np.exp(3 * rng.normal(size=shape)).ravel()).reshape(shape),
    "falling": lambda rng, shape: np.sort(np.exp(3 * rng.normal(size=shape)).ravel())[::-1].reshape(shape),
    "infinities": lambda rng, shape: rng.choice([0.0, 1.0, 3.0, INF], shape, p=[0.3, 0.3, 0.398, 0.002]),
    "zeros": lambda rng, shape: np.where(rng.random(shape) < 0.01, 0, np.exp(rng.normal(size=shape))),
    "some NaN": lambda rng, shape: np.where(rng.random(shape) < 0.002, NAN, rng.random(shape)),
    "subnormal": lambda rng, shape: rng.integers(0, 1000, shape) * TINY,
    "largest": lambda rng, shape: MAX * rng.random(shape),
}
CASES = 110  # of each layout: 1100 of each function, at every level
OUTPUTS_CHECKED = 4  # of each case, besides those at the seams


def case(layout: str, number: int, signed: bool) -> tuple[np.ndarray, tuple[int, ...], Any, dict[str, Any], Any]:
    """The values, the axes, p, the keywords, and what is laid out in memory."""
    rng = np.random.default_rng([list(LAYOUTS).index(layout), number])
    shape, axis = shape_and_axis(rng)
    while prod(shape) > 10000 and rng.random() < 0.7:  # a few large ones will do
        shape, axis = shape_and_axis(rng)
    a = SIZES[str(rng.choice(list(SIZES)))](rng, shape)
    if signed:
        a = np.where(rng.random(shape) < 0.5, a, -a)
    if rng.random() < 0.2:
        with np.errstate(over="ignore", under="ignore"):
            a = a.astype(np.float32)
    if layout == "stride 0":
        a = np.broadcast_to(a[tuple(slice(0, 1 if rng.random() < 0.5 else None) for _ in shape)], shape).copy()
    p: Any = float(rng.choice(POWERS))
    if rng.random() < 0.3:
        p = rng.choice(POWERS, tuple(1 if k in axis or rng.random() < 0.2 else n for k, n in enumerate(shape)))
    keywords: dict[str, Any] = {}
    if rng.random() < 0.4:
        keywords["b"] = weights(rng, shape)
    if rng.random() < 0.3:
        keywords["where"] = conditions(rng, shape)
    arranged = {key: any_layout(rng, x) for key, x in keywords.items()}
    return a, axis, p, keywords, (LAYOUTS[layout](rng, a), any_layout(rng, p) if np.ndim(p) else p, arranged)


@BOTH
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_answer(function: Function, layout: str) -> None:
    """In any layout and company each output has the bits that a contiguous copy of its elements gives alone.

    And the same ones at all levels with a fused multiply-add.
    """
    for number in range(CASES):
        a, axis, p, keywords, (view, views_p, arranged) = case(layout, number, function is pnorm)
        kept = tuple(k for k in range(a.ndim) if k not in axis)
        count = prod(a.shape[k] for k in kept)
        chosen = {0, 31, 32, 255, 256, count - 1, *np.random.default_rng(number).integers(count, size=OUTPUTS_CHECKED)}
        outputs = sorted(int(k) for k in chosen if k < count)
        rows, each_p, *own = (
            np.broadcast_to(x, a.shape).transpose(kept + axis).reshape(count, -1)[outputs]
            for x in (a, p, *keywords.values())
        )
        words = f"case({layout!r}, {number}): {view.dtype} of shape {view.shape}, axis {axis}, p {p}, {list(keywords)}"
        results = {}
        for level in LEVELS:
            with running(level):
                got = results[level] = np.ravel(function(view, views_p, axis=axis, **arranged))
                alone = [
                    function(row, float(each_p[k, 0]), **{key: x[k] for key, x in zip(keywords, own, strict=True)})
                    for k, row in enumerate(rows)
                ]
            assert same_bits(got[outputs], np.array(alone)), f"{level}, {words}"
        first, *others = (results[level] for level in FMA_LEVELS or LEVELS)
        assert all(same_bits(first, other) for other in others), words


# Errors


def definition(function: Function, a: Any, p: float, b: Any = None) -> Exact:
    """The result in many digits, of numbers above 0 or abs(a), and the condition number.

    That is the relative error of the sums, at most, that relative errors of 1 in all weights may cause: sum(|b| |a|^p)
    over the absolute value of sum(b |a|^p), and for means as much for sum(b). Without weights of both signs it is 1.
    The root divides that by p; but so do not errors of p * log2(a), where p is large.
    """
    with mp.workprec(160 + round(2 * max(0, -np.log2(abs(p)) if p else 0))):
        elements = np.abs(np.ravel(np.asarray(a, float))).tolist()
        weights = [1.0] * len(elements) if b is None else np.ravel(b).tolist()
        terms, wholes, sizes = [], [], []
        for (x, w), n in Counter(zip(elements, weights, strict=True)).items():
            power = mp.log(x) if p == 0 else mpf(x) ** mpf(p)
            terms.append(n * mpf(w) * power)
            wholes.append(n * mpf(w))
            sizes.append(n * abs(mpf(w)) * abs(power))
        total, whole, size = mp.fsum(terms), mp.fsum(wholes), mp.fsum(sizes)
        condition = size / abs(total) if total and p else mpf(1)
        if function is pmean:
            condition = max(condition, mp.fsum(map(abs, wholes)) / abs(whole))
            total /= whole
        if p == 0:
            return Exact(mp.exp(total), 1.0, condition)
        return Exact(total ** (1 / mpf(p)) if total > 0 else NAN, 1.0, condition)


KINDS: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "log-normal": lambda rng, n, scale: np.exp(scale * rng.normal(size=n).clip(-2.2, 2.2)),
    "uniform": lambda rng, n, scale: np.exp(scale * (rng.random(n) - 1)),
    "rising": lambda rng, n, scale: np.sort(np.exp(scale * rng.uniform(-1, 1, n))),
    "falling": lambda rng, n, scale: np.sort(np.exp(scale * rng.uniform(-1, 1, n)))[::-1].copy(),
    "ties": lambda rng, n, scale: np.exp(scale * rng.integers(-3, 4, n) / 3),
}
ACCURATE = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 3.5, 1.1, 7.0, 100.0, 1e6, 1e9, 1e12, 0.9, 0.3, 1e-2, 1e-5, 1e-9, 1e-12)
ACCURATE += (*tuple(-p for p in ACCURATE), 0.0)


def inputs(function: Function, signed: bool = False) -> Iterator[tuple[np.ndarray, float, np.ndarray | None]]:
    """Half have weights, if `signed` all of them, of both signs."""
    rng = np.random.default_rng(7)
    kinds = list(KINDS.values())
    number = 0
    for p in ACCURATE:
        for size in (1, 2, 3, 8, 33, 100, 300):
            for scale in (1e-6, 1e-2, 1.0, 30.0, 300.0):
                number += 1
                if (number % 3 and size > 8) or number % 4 == 0 or (function is pnorm and p == 0):
                    continue
                a = (
                    kinds[number % 5](rng, size, scale) * 2.0 ** rng.choice([0, 0, 0, -1040, 960])
                    if scale < 31
                    else (kinds[number % 5](rng, size, scale))
                )
                b = rng.random(size) * 10 ** rng.uniform(-3, 3) if rng.random() < 0.5 or signed else None
                if signed:
                    b = np.where(rng.random(size) < 0.3, -b, b)
                elif function is pnorm and abs(p) < 0.5 and rng.random() < 0.7:
                    b = rng.random(size)  # else few results of small p are neither 0 nor infinite
                    b /= b.sum() * (1 + p * rng.normal())
                yield a[a > 0], p, None if b is None else b[a > 0]
    if not signed:
        for number, p in enumerate(p for p in ACCURATE if p or function is pmean):
            values = kinds[number % 5](rng, 300, (1e-3, 1.0, 30.0, 300.0)[number % 4])  # few, each often, in any order
            a = rng.choice(values, 20000 if number % 2 else 2000)
            yield (np.sort(a) if number % 3 == 0 else a), p, None


@cache
def problems(function: Function, signed: bool) -> list[tuple[np.ndarray, float, np.ndarray | None, Exact]]:
    with np.errstate(all="ignore"):
        given = [(a, p, b) for a, p, b in inputs(function, signed) if a.size]
        return [(a, p, b, definition(function, a, p, b)) for a, p, b in given]


def errors(function: Function, signed: bool) -> list[tuple[Any, ...]]:
    """The error of each input, what that was, and the result, wrong and right.

    Sums of weights of both signs below a millionth of what cancelled, and those below 0, are left out.
    """
    found = []
    for a, p, b, right in problems(function, signed):
        got = function(a, p, b=b)
        if right.value == right.value and right.condition < 1e6:
            with np.errstate(all="ignore"):
                found.append((units(got, right), a.size, a[:3], p, b, got, float(right.value)))
    return found


@BOTH
@pytest.mark.parametrize("signed", [False, True])
def test_error(level: str, function: Function, signed: bool) -> None:
    """Half a unit is the rounding of the result, a tenth that of its exponential, the rest that of terms."""
    found = errors(function, signed)
    assert len([e for e in found if 0 < e[-1] < INF]) >= 300
    worst = max(found, key=lambda e: e[0])
    assert worst[0] <= 2, worst


@pytest.mark.parametrize(
    ("a", "p", "b"),
    [
        ([2.0**-400, 0], 1.05, [2.0**-300, 2.0**400]),  # weights make up for what lies far below, but not for 0
        ([2.0**-400, 2.0**-1060], 1.05, [2.0**-300, 2.0**400]),
        ([1, 0.1], 3.5, [1.5e308, 1]),  # sums that do not overflow, nor do their terms
        ([1.1, 0.1], 3.5, [1e308, 1]),
        ([1] * 20, 2.5, [7e306] * 20),
    ],
)
def test_extreme_weights(level: str, a: list[float], p: float, b: list[float]) -> None:
    with mp.workprec(200):
        exact = sum(mpf(w) * mpf(x) ** mpf(p) for x, w in zip(a, b, strict=True)) ** (1 / mpf(p))
    result = pnorm(a, p, b=b)
    assert units(result, Exact(exact, 1.0, 1.0)) <= 2
    for axis in (0, 1):
        side_by_side = [np.stack([np.array(x, float)] * 40, 1 - axis) for x in (a, b)]
        assert same_bits(pnorm(side_by_side[0], p, axis=axis, b=side_by_side[1]), np.full(40, result))


if __name__ == "__main__":
    for each in LEVELS:
        with running(each):
            for smooth in (pnorm, pmean):
                for signs in (False, True):
                    units_of_all = [error for error, *_ in errors(smooth, signs)]
                    weights = "weights of both signs" if signs else "half with weights"
                    print(f"{each:10} {smooth.__name__} {len(units_of_all)} inputs, {weights}: {max(units_of_all):.2f}")
