"""Brackets of the maximum, which hold for every input, and the conjugate of logsumexp."""

import math
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csmooth import conjugate, logsumexp, logsumexp_bounds, softmax

pytestmark = pytest.mark.usefixtures("level")  # all of this holds at every level

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
MAX32 = float(np.finfo(np.float32).max)
TINY = 5e-324
FLOAT32 = np.float32


def right(a: Any, axis: Any = None, alpha: float = 1.0) -> Any:
    """The maximum that is to be bracketed, the minimum for negative alpha."""
    return np.max(a, axis, initial=-INF) if alpha > 0 else np.min(a, axis, initial=INF)


# logsumexp_bounds


@pytest.mark.parametrize(
    ("a", "alpha", "lower", "upper"),
    [
        ([7], 1, 7, 7),
        (7, 1, 7, 7),
        ([7], -1, 7, 7),
        ([7], 1e-300, 7, 7),
        ([1, 2, 4], INF, 4, 4),
        ([1, 2, 4], -INF, 1, 1),
        ([], 1, -INF, -INF),
        ([], -1, INF, INF),
        ([-INF, -INF], 1, -INF, -INF),
        ([-INF, 1], -1, -INF, -INF),
        ([INF, 1], 1, INF, INF),
        ([INF, INF], -1, INF, INF),
        ([INF, -INF], 1, INF, INF),
        ([INF, 1], 1e-320, INF, INF),
        ([1, 2], 1e-320, 2, INF),  # log(2) / alpha overflows
        ([1, 2], -1e-320, -INF, 1),
        ([MAX, MAX], 1e-300, MAX, INF),
        ([-MAX, -MAX], -1e-300, -INF, -MAX),
        ([NAN, 1], 1, NAN, NAN),
        ([NAN, INF], -1, NAN, NAN),
        ([1, 2], NAN, NAN, NAN),
    ],
)
def test_exact_bounds(a: Any, alpha: float, lower: float, upper: float) -> None:
    with np.errstate(all="raise"):
        np.testing.assert_equal(logsumexp_bounds(a, alpha=alpha), (lower, upper))


def test_large_numbers() -> None:
    """The value and twice log(n) / alpha, which what rounding may do is measured by, would overflow if added."""
    lower, upper = logsumexp_bounds([1e308, 1e308], alpha=1e-308)
    assert upper == logsumexp([1e308, 1e308], alpha=1e-308)
    assert 1e308 * (1 - 8 * np.finfo(np.float64).eps) <= lower <= 1e308  # 2 units of the value, 4 of the width


@pytest.mark.parametrize("alpha", [1.0, 20.0, 1e-6, 1e6, -3.0])
@pytest.mark.parametrize("dtype", [np.float64, FLOAT32])
def test_one_side_is_logsumexp_and_the_width_log_n_over_alpha(alpha: float, dtype: Any) -> None:
    a = np.random.default_rng(0).normal(size=1000).astype(dtype)
    bounds = logsumexp_bounds(a, alpha=alpha)
    assert {type(bound) for bound in bounds} == {dtype}
    value, width = logsumexp(a, alpha=alpha), math.log(1000) / abs(alpha)
    assert bounds[alpha > 0] == value
    excess = float(bounds[1]) - float(bounds[0]) - width
    assert 0 <= excess <= 4 * np.finfo(dtype).eps * (abs(float(value)) + 2 * width)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0, 1), ()])
@pytest.mark.parametrize("alpha", [2.0, -2.0])
def test_axes(axis: Any, alpha: float) -> None:
    a = np.random.default_rng(0).normal(size=(3, 4, 5))
    lower, upper = logsumexp_bounds(a, axis, alpha)
    expected = right(a, axis, alpha)
    assert np.shape(lower) == np.shape(upper) == np.shape(expected)
    assert (lower <= expected).all()
    assert (expected <= upper).all()
    if axis == ():
        assert (lower == upper).all()


def test_one_alpha_a_row() -> None:
    a = np.array([[1, 2, 4], [1, 2, 4], [INF, 2, 4], [1, 2, 4]])
    alpha = np.array([[3.0], [-3.0], [0.5], [INF]])
    lower, upper = logsumexp_bounds(a, 1, alpha)
    for i in range(4):
        assert (lower[i], upper[i]) == logsumexp_bounds(a[i], alpha=alpha[i, 0])


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 0), ((2, 0, 2), (0, 1)), ((3, 0), 0)])
def test_bounds_of_no_elements(shape: tuple[int, ...], axis: Any) -> None:
    lower, upper = logsumexp_bounds(np.zeros(shape), axis)
    np.testing.assert_array_equal(lower, np.max(np.zeros(shape), axis, initial=-INF), strict=True)
    np.testing.assert_array_equal(upper, lower)


@pytest.mark.parametrize("alpha", [1.0, np.array([[1.0], [-1.0], [2.0]])])
def test_masked_elements_do_not_count(alpha: Any) -> None:
    a = np.ma.MaskedArray([[1.0, 50, 3], [1, 2, 3], [1, 2, 3]], [[0, 1, 0], [1, 1, 1], [0, 1, 1]])
    lower, upper = logsumexp_bounds(a, 1, alpha)
    assert lower.mask.tolist() == upper.mask.tolist() == [False, True, False]
    assert (lower[0], upper[0]) == logsumexp_bounds([1, 3])
    assert lower[2] == upper[2] == 1
    assert all(bound is np.ma.masked for bound in logsumexp_bounds(a[1]))


def assert_brackets(a: Any, alpha: float) -> None:
    with np.errstate(all="raise"):
        lower, upper = logsumexp_bounds(a, alpha=alpha)
    assert lower <= right(a, alpha=alpha) <= upper


ALPHAS = st.floats(allow_nan=False).filter(bool) | st.sampled_from([1.0, -1.0, 1e-3, 1e3])


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40), ALPHAS)
@example([0, TINY], MAX)
@example([0, -TINY], -MAX)
@example([TINY, TINY], MAX)
@example([-MAX, MAX], 1.0)
@example([-math.log(3)] * 3, 1.0)
def test_every_maximum_is_bracketed(a: list[float], alpha: float) -> None:
    assert_brackets(np.array(a), alpha)


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=40), ALPHAS)
@example([MAX32] * 3, 1e-37)
@example([-MAX32] * 3, 1e-37)
@example([1e-45, 0], 1e300)
def test_every_float32_maximum_is_bracketed(a: list[float], alpha: float) -> None:
    assert_brackets(np.array(a, FLOAT32), alpha)


@given(st.integers(1, 3000), st.floats(-1e4, 1e4), st.sampled_from([0.0, 1e-16, 1e-8]), ALPHAS)
def test_equal_elements_are_bracketed(n: int, centre: float, scale: float, alpha: float) -> None:
    for middle in (centre, -math.log(n) / alpha):  # the sum is near 1 there
        if math.isfinite(middle):
            a = middle * (1 + scale * np.random.default_rng(n).normal(size=n))
            assert_brackets(a, alpha)
            with np.errstate(over="ignore", under="ignore"):
                assert_brackets(a.astype(FLOAT32), alpha)


# conjugate


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([1], 0),
        (1.0, 0),
        ([0, 1, 0], 0),
        ([-0.0, 1], 0),
        ([True, False], 0),
        ([0.5, 0.5], -0.6931471805599453),
        ([0.25, 0.5, 0.25], -1.0397207708399179),
        ([1 - 1e-16, 1e-300], -1.1102230246251565e-16),
        ([TINY, 1], -3.678e-321),
        ([0.1] * 10, -2.302585092994046),
        ([], INF),
        ([0, 0], INF),
        ([0.5, 0.6], INF),
        ([0.5, 0.5 - 2e-8], INF),
        ([0.5, 0.5 + 2e-8], INF),
        ([-1e-300, 1], INF),
        ([2, -1], INF),
        ([INF, 0], INF),
        ([INF, -INF], INF),
        ([MAX, MAX], INF),
        ([NAN, 1], NAN),
        ([NAN, -1], NAN),
        ([NAN, INF, -INF], NAN),
    ],
)
def test_conjugate(p: Any, expected: float) -> None:
    with np.errstate(all="raise"):
        value = conjugate(p)
    assert type(value) is np.float64
    np.testing.assert_allclose(value, expected, rtol=4e-16)


def test_conjugate_of_float32_is_rounded_once() -> None:
    p = softmax(np.random.default_rng(0).normal(size=50257).astype(FLOAT32))
    value = conjugate(p)
    assert type(value) is FLOAT32
    assert value == FLOAT32(math.fsum(x * math.log(x) for x in p.tolist()))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0, 1)])
@pytest.mark.parametrize("shape", [(3, 4, 5), (30, 40, 50), (2, 3, 20000)])  # one block; columns; long sums
def test_conjugate_along_axes(axis: Any, shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    p = softmax(a, axis)
    dual = (p * a).sum(axis) - logsumexp(a, axis)
    # The sides round numbers up to 12 = log(120000) several times, so they differ by a few times 12 eps = 2.7e-15.
    np.testing.assert_allclose(conjugate(p, axis), dual, rtol=0, atol=1e-14)
    p[0, 0, 0] += 1
    assert np.isposinf(conjugate(p, axis)).sum() == 1


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1.5e-8), (FLOAT32, 3.4e-4)], ids=["float64", "float32"])
def test_the_tolerance_is_that_of_numpy(dtype: Any, tolerance: float) -> None:
    """What numpy.random takes for probabilities; sqrt(eps) lies between the two factors."""
    for factor, accepted in [(0.9, True), (1.1, False)]:
        p = np.array([0.5, 0.5 + factor * tolerance], dtype)
        assert np.isfinite(conjugate(p)) == accepted
        with nullcontext() if accepted else pytest.raises(ValueError, match="sum to 1"):
            np.random.default_rng(0).choice(2, p=p)


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
@pytest.mark.parametrize("dtype", [np.float64, FLOAT32])
def test_exponentials_of_log_probabilities_are_on_the_simplex(shift: float, dtype: Any) -> None:
    a = (shift + np.random.default_rng(0).normal(size=1000)).astype(dtype)
    assert np.isfinite(conjugate(np.exp(a - logsumexp(a))))


@pytest.mark.parametrize("bad", [NAN, -1.0])
@pytest.mark.parametrize("place", [0, 8191, 8192, 99_999])  # in the first and in the last block, and at a seam
def test_every_block_is_looked_at(place: int, bad: float) -> None:
    p = np.full(100_000, 1e-5)
    assert np.isfinite(conjugate(p))
    p[place] = bad
    np.testing.assert_equal(conjugate(p), NAN if math.isnan(bad) else INF)


def test_conjugate_of_no_elements() -> None:
    np.testing.assert_array_equal(conjugate(np.zeros((2, 0, 2)), (0, 1)), [INF, INF])
    assert conjugate(np.zeros((0, 3)), 1).shape == (0,)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_conjugate_of_a_large_masked_array(axis: Any) -> None:
    p = np.random.default_rng(0).random((300, 400))
    mask = p < 0.5
    p = np.where(mask, 0, p)
    p /= p.sum(axis, keepdims=True)
    value = conjugate(np.ma.MaskedArray(np.where(mask, NAN, p), mask), axis)
    assert np.ma.count_masked(value) == 0
    np.testing.assert_array_equal(value, conjugate(p, axis))


def test_conjugate_of_masked_arrays() -> None:
    p = np.ma.MaskedArray([[0.5, NAN, 0.5], [1, 2, 3]], [[0, 1, 0], [1, 1, 1]])
    value = conjugate(p, 1)
    assert value.mask.tolist() == [False, True]
    assert value[0] == -math.log(2)
    assert conjugate(p[1]) is np.ma.masked


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_softmax_is_on_the_simplex(a: list[float]) -> None:
    """So are its results as float32, and what is divided by its own sum; their entropy is at most log n."""
    for p in (softmax(a), softmax(np.array(a, FLOAT32)), softmax(a) / softmax(a).sum()):
        n, eps = len(a), float(np.finfo(p.dtype).eps)
        assert -math.log(n) * (1 + eps) - 5 * n * eps <= conjugate(p) <= 5 * n * eps


# Errors


@pytest.mark.parametrize("function", [logsumexp_bounds, conjugate])
@pytest.mark.parametrize(
    ("words", "error", "mentions"),
    [
        ((["a"],), TypeError, "dtype"),
        (([1j],), TypeError, "complex"),
        (([1.0], 1), np.exceptions.AxisError, "axis"),
        (([[1.0]], (0, 0)), ValueError, "axis"),
        (([1.0], "0"), TypeError, "axis"),
    ],
)
def test_errors(function: Any, words: Any, error: type[Exception], mentions: str) -> None:
    with pytest.raises(error, match=f"{function.__name__}: .*{mentions}"):
        function(*words)


@pytest.mark.parametrize(
    ("alpha", "error"), [(0, ValueError), ([0.0, 1.0], ValueError), ([1.0, 2.0], ValueError), ("1", TypeError)]
)
def test_bad_alpha(alpha: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^logsumexp_bounds: alpha"):
        logsumexp_bounds([1, 2, 3], alpha=alpha)


def test_inputs_stay_as_they_are() -> None:
    a = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    a.flags.writeable = False
    before = a.copy()
    with warnings.catch_warnings(action="error"):
        logsumexp_bounds(a, 0)
        assert conjugate(a.T, 0).tolist() == conjugate(a, 1).tolist()
        np.testing.assert_array_equal(conjugate(a.astype(">f8"), 1), conjugate(a, 1))
    np.testing.assert_array_equal(a, before)
