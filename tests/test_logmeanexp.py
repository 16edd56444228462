"""logmeanexp: exact tables, promises that hold for every input, errors against many digits, and one answer.

``python tests/test_logmeanexp.py`` prints the worst error.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mpmath import mp, mpf
from reference import LEVELS, Exact, running, same_bits, units

from csmooth import boltzmann, logmeanexp, logsumexp, mellowmax

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest number above 0
FMA_LEVELS = [level for level, kernels in LEVELS.items() if kernels.vector_name != "scalar"]


def definition(a: Any, alpha: float, b: Any = None) -> Exact:
    """log(sum(b * exp(alpha * a)) / sum(b)) / alpha of finite numbers and positive weights, and the condition number.

    That is sum(|a| p) / |result| with the softmax p of a, and with weights, q = b / sum(b), sum(|p - q|) / |alpha
    result| more: the relative error that relative errors of 1 in all of the inputs may cause, at most.
    """
    with mp.workprec(300):  # 150 bits are left where alpha * a is 2**-150
        x = [mpf(float(value)) for value in np.ravel(a)]
        w = [mpf(1)] * len(x) if b is None else [mpf(float(value)) for value in np.ravel(b)]
        whole, strength = mp.fsum(w), mpf(alpha)
        if alpha == 0:
            value = mp.fsum(map(mp.fmul, w, x)) / whole
            p, spread = [v / whole for v in w], mp.fsum(v * abs(y - value) for v, y in zip(w, x, strict=True)) / whole
        else:
            top = max(strength * y for y in x)
            terms = [v * mp.exp(strength * y - top) for v, y in zip(w, x, strict=True)]
            total = mp.fsum(terms)
            value = (top + mp.log(total / whole)) / strength
            p = [t / total for t in terms]
            spread = mp.fsum(abs(s - v / whole) for s, v in zip(p, w, strict=True)) / abs(strength)
        size = mp.fsum(abs(y) * s for y, s in zip(x, p, strict=True)) + (0 if b is None else spread)
        return Exact(value, 1.0, size / abs(value) if value else mpf("inf"))


# Exact results

EXACT: dict[str, list[tuple[Any, dict[str, Any], float]]] = {
    "one element": [
        ([x] * n, {"alpha": alpha}, x)
        for x in (0.0, 1.0, -1.0, 0.1, TINY, -TINY, 1e-300, 1e18, 1e300, -1e300, INF, -INF)
        for alpha in (1.0, -1.0, 0.3, -1e4, 1e-12, 1e-300, -1e-300, 1e-310, TINY, 1e300, MAX, INF, -INF, 0.0, -0.0)
        for n in (1, 3, 50)
    ],
    "largest elements": [([x], {"alpha": alpha}, x) for x in (MAX, -MAX) for alpha in (1.0, -1e-310, TINY, MAX, 0.0)],
    "weighted": [([x], {"alpha": alpha, "b": [0.3]}, x) for x in (0.1, -7.3, 1e300) for alpha in (0.1, -30.0, 0.0)],
    "limits": [
        ([1, 2, 4], {"alpha": INF}, 4),
        ([1, 2, 4], {"alpha": -INF}, 1),
        ([1, 2, 4], {"alpha": INF, "b": [1, 1, 0]}, 2),
        ([1, 2], {"alpha": INF, "b": [3, -1]}, 2),
        ([1, 2, 3], {"alpha": 0}, 2),
        ([1, 2, 3], {"alpha": 0, "b": [1, 0, 3]}, 2.5),
        ([1, 2, 3], {"alpha": 1e-300}, 2),
        ([1, 2, 4], {"alpha": 1e-12}, 2.333333333334111),
        ([1, 2, 4], {"alpha": -1e-12}, 2.3333333333325554),
        ([1e300, 3e300], {"alpha": 1e300}, 3e300),
        ([1, 2], {"alpha": NAN}, NAN),
        ([INF, 2], {"alpha": NAN}, NAN),
    ],
    "infinities": [
        ([-INF, 0], {}, -0.6931471805599453),
        ([INF, 0], {}, INF),
        ([INF, -INF], {}, INF),
        ([-INF, -INF], {}, -INF),
        ([-INF, 0], {"alpha": INF}, 0),
        ([INF, 5], {"alpha": -1.0}, 5.693147180559945),
        ([-INF, 5], {"alpha": -1.0}, -INF),
        ([INF, 1], {"alpha": 0}, INF),
        ([-INF, 1], {"alpha": 0}, -INF),
        ([INF, -INF], {"alpha": 0}, NAN),
        ([0, -INF, 1], {"alpha": 1e-310}, -INF),
        ([-INF, 2], {"b": [INF, 1]}, 2),
        ([-INF, -INF, 1], {"b": [1, 0, 1], "alpha": INF}, 1),
        ([INF, 2], {"b": [-1, 3]}, NAN),
    ],
    "NaN": [
        ([NAN], {}, NAN),
        ([NAN, INF], {}, NAN),
        ([NAN, 1], {"alpha": 0}, NAN),
        ([NAN, 1], {"alpha": INF}, NAN),
        ([1, NAN], {"b": [1, 0]}, 1),
        ([1, NAN], {"where": [True, False]}, 1),
        ([1, 2], {"b": [NAN, 1]}, NAN),
    ],
    "nothing left": [
        ([1, 2], {"where": False}, NAN),
        ([1, 2], {"where": False, "alpha": INF}, NAN),
        ([1, 2], {"where": False, "alpha": 0}, NAN),
        ([1, 2], {"b": 0}, NAN),
        ([NAN, INF], {"b": [0, 0]}, NAN),
        ([NAN, INF], {"b": [0, 0], "alpha": -INF}, NAN),
    ],
    "weights": [
        ([1, INF], {"b": [1, 0]}, 1),
        ([1, INF], {"b": [1, 0], "alpha": 0}, 1),
        ([1, 2], {"b": [1, -1]}, NAN),
        ([1, 2], {"b": [1, -3]}, 2.274642636880155),
        ([2, 1], {"b": [-1, 1.5]}, NAN),
        ([1000, 1000, 999], {"b": [1, -1, 1]}, 999),
        ([1000, 1000, 1], {"b": [1, -1, 1]}, 1),
        ([1, 1, -INF], {"b": [1, -1, 2]}, -INF),
        ([1, 3], {"b": [1e308, 1e308]}, 2.4337808304830273),
        ([-INF, 0, 0], {"b": [1e308] * 3}, -0.4054651081081644),
    ],
}


@pytest.mark.parametrize("kind", EXACT)
def test_exact(level: str, kind: str) -> None:
    for a, keywords, value in EXACT[kind]:
        got = logmeanexp(a, **keywords)
        assert same_bits(got, np.float64(value)), (a, keywords, got)


def test_dtypes(level: str) -> None:
    exact = definition([1, 2], 1.0)
    for dtype in (np.int8, np.uint16, np.int64, np.float64, ">f8", "<f8"):
        got = logmeanexp(np.array([1, 2], dtype))
        assert type(got) is np.float64
        assert units(got, exact) <= 1
    for dtype in (np.float32, ">f4"):
        assert same_bits(logmeanexp(np.array([1, 2], dtype)), np.float32(exact.value))
    assert logmeanexp([False, True]) == 0.6201145069582775
    assert same_bits(logmeanexp(np.float32([1, 2]), b=2), np.float32(exact.value))
    assert logmeanexp(3.0) == 3
    assert logmeanexp(np.array(3.0), axis=()) == 3


def test_shapes_out_and_masks(level: str) -> None:
    assert mellowmax is logmeanexp
    a = np.arange(6.0).reshape(2, 3)
    rows = np.array([logmeanexp(row) for row in a])
    assert same_bits(logmeanexp(a, axis=1), rows)
    assert same_bits(logmeanexp(a, axis=1, keepdims=True), rows[:, None])
    out = np.empty(2)
    assert logmeanexp(a, axis=1, out=out) is out
    assert same_bits(out, rows)
    alphas = np.array([[0.0], [INF]])
    assert logmeanexp(a, axis=1, alpha=alphas).tolist() == [1, 5]
    masked = np.ma.array(a, mask=[[0, 1, 0], [1, 1, 1]])
    for alpha in (1.0, 0.0, -INF):
        got = logmeanexp(masked, axis=1, alpha=alpha)
        assert got.mask.tolist() == [False, True]
        assert got[0] == logmeanexp(a[0, ::2], alpha=alpha)
    assert logmeanexp(masked) == logmeanexp(a[0, ::2])
    assert logmeanexp(np.zeros((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize(
    ("a", "keywords", "error"),
    [
        ([], {}, ValueError),
        (np.zeros((2, 0)), {"axis": 1}, ValueError),
        ([1.0], {"axis": 1}, np.exceptions.AxisError),
        ([[1.0]], {"axis": (0, 0)}, ValueError),
        ([1.0, 2.0], {"b": [1, 2, 3]}, ValueError),
        ([1.0, 2.0], {"alpha": [1.0, 2.0]}, ValueError),
        ([1.0, 2.0], {"out": np.zeros(3)}, ValueError),
        ([1.0, 2.0], {"out": np.zeros((), int)}, TypeError),
        ([1.0, 2.0], {"where": [1, 0]}, TypeError),
        (["a"], {}, TypeError),
        ([1j], {}, TypeError),
        ([1.0], {"alpha": 1j}, TypeError),
    ],
)
def test_refused(a: Any, keywords: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^logmeanexp: "):
        logmeanexp(a, **keywords)


# Promises

finite = hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e300, 1e300), fill=st.floats(-5, 5))
close = st.builds(lambda x, steps: x + np.array(steps) * np.spacing(x), st.floats(-50, 50), st.lists(st.integers(0, 3)))
close = close.filter(len)
alphas = st.one_of(st.floats(-1e3, 1e3), st.floats(allow_nan=False), st.sampled_from([0.0, INF, -INF, 1e-300, -TINY]))


@given(st.one_of(finite, close), alphas)
@example(np.repeat([1.0, 1 - 2**-53], [1, 1000]), 1.0)
@example(np.full(100, 0.1), -0.3)
def test_between_minimum_and_maximum(level: str, a: np.ndarray, alpha: float) -> None:
    """Also of what `where` leaves, and along columns."""
    assert a.min() <= logmeanexp(a, alpha=alpha) <= a.max()
    columns = np.repeat(a[:, None], 3, axis=1)
    assert (a.min() <= logmeanexp(columns, axis=0, alpha=alpha)).all()
    assert (logmeanexp(columns, axis=0, alpha=alpha) <= a.max()).all()
    some = np.arange(a.size) % 3 != 1
    assert a[some].min() <= logmeanexp(a, alpha=alpha, where=some) <= a[some].max()


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_one_element_is_the_result(level: str, x: float, alpha: float) -> None:
    assert logmeanexp([x], alpha=alpha) == x
    assert (logmeanexp([[x] * 5], axis=0, alpha=alpha) == x).all()
    assert logmeanexp([x, NAN], alpha=alpha, where=[True, False]) == x
    assert logmeanexp(np.ma.array([3.0, x], mask=[1, 0]), alpha=alpha) == x


@given(hnp.arrays(np.float64, st.integers(1, 100), elements=st.floats(-1e3, 1e3)), st.floats(1e-3, 1e3))
def test_order_and_relatives(level: str, a: np.ndarray, alpha: float) -> None:
    """It exceeds the mean and, times alpha, is logsumexp less log(n); each of these errs by 2 units at most."""
    value = logmeanexp(a, alpha=alpha)
    room = 4 * np.spacing(max(np.abs(a).max(), np.log(a.size) / alpha))
    assert value >= boltzmann(a, alpha=0) - room
    assert value <= boltzmann(a, alpha=alpha) + room
    assert value >= logmeanexp(a, alpha=alpha / 2) - room
    assert abs(value - (logsumexp(a, alpha=alpha) - np.log(a.size) / alpha)) <= room
    assert logmeanexp(-a, alpha=-alpha) == -value


@given(hnp.arrays(np.float64, st.integers(1, 100), elements=st.floats(-1e3, 1e3)))
def test_continuous_at_0(level: str, a: np.ndarray) -> None:
    """At 1e-30 the variance, at most 1e6, adds less than any digit of a mean above 1e-8; so do the errors."""
    mean = logmeanexp(a, alpha=0)
    for alpha in (1e-30, -1e-30, 1e-200, 1e-310, TINY):
        assert abs(logmeanexp(a, alpha=alpha) - mean) <= 1e-24 + np.spacing(abs(mean))


# Errors

KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "ties": lambda rng, n: rng.integers(-3, 4, n) / 3,
    "one above": lambda rng, n: np.where(np.arange(n) == n // 2, 3.0, -rng.random(n)),
}


def inputs() -> Iterator[tuple[np.ndarray, float, np.ndarray | None]]:
    """Half have weights."""
    rng = np.random.default_rng(1)
    kinds, number = list(KINDS.values()), 0
    strengths = (1e-12, -1e-8, 1e-5, -1e-3, 0.03, -0.1, 0.3, 1.0, -1.0, 3.0, -30.0, 1e3, -1e4, 0.0)
    for size in (1, 2, 3, 8, 33, 100):
        for offset in (0, 1, -1, 1e3, -1e6):
            for scale in (1e-6, 1e-3, 0.1, 1, 1e3):
                a = offset + scale * kinds[number % 4](rng, size)
                b = rng.random(size) * 10 ** rng.uniform(-3, 3) if rng.random() < 0.5 else None
                yield a, strengths[number % len(strengths)], b
                yield a, float(10 ** rng.uniform(-3, 1) / np.abs(a).max()), b  # where the formula changes
                number += 1
    for size in (256, 257, 1000, 20000):
        for scale, alpha in ((1, 1.0), (1, -0.1), (1e-3, 1e-12), (0.4, 1.0)):
            yield scale * rng.normal(size=size), alpha, rng.random(size) if alpha < 0.5 else None
    yield rng.random(20000), 0.0, rng.random(20000)


@cache
def exact() -> list[Exact]:
    return [definition(a, alpha, b) for a, alpha, b in inputs()]


def errors() -> list[tuple[Any, ...]]:
    """The error of each input, and what that was."""
    return [
        (units(logmeanexp(a, alpha=alpha, b=b), right), a.size, a[:3], alpha, b is not None)
        for (a, alpha, b), right in zip(inputs(), exact(), strict=True)
    ]


def test_error(level: str) -> None:
    """Half a unit is the rounding of the result, the rest that of terms and sums."""
    found = errors()
    assert len(found) >= 300
    assert max(error for error, *_ in found) <= 1, max(found, key=lambda e: e[0])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double has no more digits here")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [2, 3, 8, 33, 100, 256])
def test_error_of_many_rows(level: str, n: int, weighted: bool) -> None:
    """Rows of elements that are nearly alike, whose errors add up, against extended precision; in half of the rows
    some are far below, which brings the result near to 0.

    Its own error, a few 2**-64 of the terms of expm1, log1p and their sums, is below 0.01 of the units here.
    """
    rng = np.random.default_rng(n)
    rows = 400000 // max(20, n)
    a = rng.uniform(-2, 2, (rows, 1)) * 10 ** rng.uniform(-2, 0, (rows, 1))
    a = a * (1 + rng.random((rows, n)) * 10 ** rng.uniform(-6, 0, (rows, 1)))
    a[::2] -= np.where(rng.random(a[::2].shape) < 0.3, 20 * rng.random(a[::2].shape), 0)
    b = rng.random((rows, n)) + 0.01 if weighted else np.ones((rows, n))
    alpha = 0.7
    got = logmeanexp(a, axis=1, alpha=alpha, b=b if weighted else None)
    x, w = a.astype(np.longdouble) * np.longdouble(alpha), b.astype(np.longdouble)
    q = w / w.sum(axis=1, keepdims=True)
    mean = (q * np.expm1(x)).sum(axis=1)
    right = np.log1p(mean) / np.longdouble(alpha)
    right[mean < -0.9] = got[mean < -0.9]  # few rows, where log1p would lose digits
    p = q * np.exp(x) / (1 + mean[:, None])
    size = (p * np.abs(a)).sum(axis=1) + (np.abs(p - q).sum(axis=1) / alpha if weighted else 0)
    ulp = np.spacing(np.abs(right.astype(np.float64)))
    error = np.abs(got - right) / ulp / np.maximum(1, size / np.abs(right))
    assert error.max() <= 1


# One answer


def ways(a: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of an array in several layouts."""
    wide = np.full((a.shape[0], 2 * a.shape[1]), NAN)
    wide[:, ::2] = a
    unaligned = np.empty(a.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(a.shape)
    unaligned[...] = a
    return {
        "C": a,
        "Fortran": np.asfortranarray(a),
        "every second": wide[:, ::2],
        "backwards": a[:, ::-1].copy()[:, ::-1],
        "big-endian": a.astype(">f8"),
        "unaligned": unaligned,
    }


ROWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "near": lambda rng, shape: 0.2 * rng.normal(size=shape) + 0.1,
    "close": lambda rng, shape: 0.3 + rng.integers(0, 4, shape) * 2**-54,
    "wide": lambda rng, shape: 300 * rng.normal(size=shape),
    "huge": lambda rng, shape: rng.normal(size=shape) * np.where(rng.random(shape) < 0.03, 1e18, 1),
    "infinities": lambda rng, shape: np.where(rng.random(shape) < 0.1, -INF, rng.normal(size=shape)),
    "rising": lambda rng, shape: np.sort(0.5 * rng.normal(size=shape), axis=1),
}
LENGTHS = [1, 2, 31, 32, 33, 255, 256, 257, 300, 1000, 16384, 16417]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("n", LENGTHS)
def test_as_each_row_alone(level: str, kind: str, n: int) -> None:
    a = ROWS[kind](np.random.default_rng(n), (40 if n < 2000 else 3, n))
    rng = np.random.default_rng(n)
    b = rng.random(a.shape)
    where = rng.random(a.shape) < 0.7
    for alpha in (1.0, -0.3, 0.0):
        alone = [logmeanexp(row, alpha=alpha) for row in a]
        weighted = [logmeanexp(row, alpha=alpha, b=weights) for row, weights in zip(a, b, strict=True)]
        masked = [logmeanexp(row, alpha=alpha, where=there) for row, there in zip(a, where, strict=True)]
        per_row = np.full((len(a), 1), alpha)
        for name, view in ways(a).items():
            assert same_bits(logmeanexp(view, axis=1, alpha=alpha), alone), name
            assert same_bits(logmeanexp(view, axis=1, alpha=per_row), alone), name
            assert same_bits(logmeanexp(view, axis=1, alpha=alpha, where=np.True_), alone), name
            assert same_bits(logmeanexp(view, axis=1, alpha=alpha, b=np.asfortranarray(b)), weighted), name
            assert same_bits(logmeanexp(view, axis=1, alpha=alpha, where=where), masked), name


@pytest.mark.skipif(len(FMA_LEVELS) < 2, reason="only one level with fused multiply-add runs here")
@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("n", LENGTHS)
def test_levels_agree(kind: str, n: int) -> None:
    a = ROWS[kind](np.random.default_rng(n), (40 if n < 2000 else 3, n))
    b = np.random.default_rng(n).random(a.shape)
    for keywords in ({}, {"alpha": -0.3}, {"alpha": 0.0}, {"b": b}, {"alpha": 0.1, "where": b < 0.7}):
        results = []
        for level in FMA_LEVELS:
            with running(level):
                results.append([logmeanexp(x, axis=1, **keywords) for x in (a, np.asfortranarray(a))])
        assert all(same_bits(results[0], other) for other in results[1:]), keywords


if __name__ == "__main__":
    for each in LEVELS:
        with running(each):
            units_of_all = [error for error, *_ in errors()]
            print(f"{each:10} logmeanexp {len(units_of_all)} inputs: {max(units_of_all):.2f}")
