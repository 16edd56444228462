"""Right answers of logsumexp: exact tables, and the promises that hold for every input."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import reference
import scipy.special
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp, mpf
from reference import same_bits, units

from csmooth import logsumexp

pytestmark = pytest.mark.usefixtures("level")  # all of this holds at every level

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest number above 0
FLOAT32 = np.float32


def name(value: Any) -> str:
    return str(value).replace(" ", "")[:40]


# Values that the inputs pin down, correctly rounded. The result may differ from them by 1 ulp times the condition
# number (40 for [0, -40], where one ulp more in -40 gives 40 more in the result).

RIGHT: list[tuple[Any, dict[str, Any], float]] = [
    ([0, -40], {}, 4.248354255291589e-18),
    ([100, *[63] * 10**6], {}, 100.00000000008533),
    ([1, 3], {}, 3.1269280110429727),
    (range(10), {}, 9.4586297444267107),
    (range(10), {"b": range(10, 0, -1)}, 9.917017853303467),
    ([1, 2], {"b": [-1, 1]}, 1.5413248546129181),
    ([math.log(2), 2, math.log(3)], {"b": [1, 0, 1]}, 1.6094379124341005),
    (range(200), {}, 199.45867514538708),
    (range(200), {"b": range(200, 0, -1)}, 199.91735029077415),
    ([1000, 1000], {}, 1000.6931471805599),
    ([1000, 1000], {"b": [1.2, 1.2]}, 1000.8754687373539),
    ([-1000, -1000], {}, -999.3068528194401),
    ([10000] * 1000, {}, 10006.907755278982),
    ([math.log(1e-40)] * 100000, {}, -80.5904782547916),
    ([3.06409428, 0.37251854, 3.87471931], {"b": [1.88190708, 2.84174795, -0.85016884]}, 1.2452165157907387),
    ([1e-300, 1e-300], {}, 0.6931471805599453),
    ([TINY, TINY], {}, 0.6931471805599453),
    ([1, 2, 3], {"alpha": -2}, 0.9285341857500502),
    ([1, 2, 4], {"alpha": 1e-12}, 1098612288670.443),
    ([1, 2], {"alpha": 1e-300}, 6.931471805599452e299),
    ([1e300, 1.5e300], {"alpha": 1e-300}, 1.9740769841801068e300),
    ([1, 2], {"alpha": -1e-300}, -6.931471805599452e299),
    ([0, -1e-300], {"alpha": 1e300}, 3.132616875182228e-301),
    ([0, -1e-302], {"alpha": 1e303}, 4.539889921686467e-308),
    ([0, TINY], {"alpha": MAX}, 3.855759178904764e-309),
    ([1, 3], {"initial": 0}, 3.1698460195562856),
    ([1, 50, 3], {"where": [True, False, True]}, 3.1269280110429727),
]


@pytest.mark.parametrize(("a", "keywords", "value"), RIGHT, ids=name)
def test_right_answers(a: Any, keywords: dict[str, Any], value: float) -> None:
    exact = reference.logsumexp(a, **keywords)
    assert float(exact.value) == value
    keywords = {key: list(x) if isinstance(x, range) else x for key, x in keywords.items()}
    assert units(logsumexp(a, **keywords), exact) <= 1


# Results that have to be met to the bit: a, keywords, value, sign.

EXACT: dict[str, list[tuple[Any, dict[str, Any], float, float]]] = {
    "one element": [
        ([x], {"alpha": alpha}, x, 1.0)
        for x in (0.0, 1.0, -1.0, 0.1, TINY, -TINY, 1e-300, 1e18, 1e300, MAX, -MAX)
        for alpha in (1.0, -1.0, 0.3, -1e4, 1e-12, 1e-300, -1e-300, 1e-310, TINY, 1e300, -1e300, MAX, INF, -INF)
    ],
    "empty": [
        ([], {}, -INF, 0.0),
        ([], {"b": []}, -INF, 0.0),
        ([], {"alpha": 2.0}, -INF, 0.0),
        ([], {"alpha": INF}, -INF, 0.0),
        ([], {"alpha": -1.0}, INF, 0.0),  # log(0) / alpha
        ([], {"alpha": -INF}, INF, 0.0),
        ([], {"initial": 2.0}, 2.0, 1.0),
        ([], {"initial": -INF}, -INF, 0.0),
        ([1, 2], {"where": False}, -INF, 0.0),
        ([NAN, 2], {"where": [False, False]}, -INF, 0.0),
        ([1, 2], {"b": 0}, -INF, 0.0),
        ([NAN, INF], {"b": [0, 0]}, -INF, 0.0),
        ([1, 2], {"b": [0, 1], "where": [True, False]}, -INF, 0.0),
        ([1, 2], {"b": 0, "initial": 3.0}, 3.0, 1.0),
    ],
    "infinities": [
        ([-INF], {}, -INF, 0.0),
        ([-INF, -INF], {}, -INF, 0.0),
        ([INF], {}, INF, 1.0),
        ([INF, INF], {}, INF, 1.0),
        ([INF, -INF], {}, INF, 1.0),
        ([-INF, INF], {}, INF, 1.0),
        ([0, INF, -INF, 5], {}, INF, 1.0),
        ([-INF, 5], {}, 5.0, 1.0),
        ([5, -INF, -INF], {}, 5.0, 1.0),
        ([INF, -INF], {"alpha": -1.0}, -INF, 1.0),
        ([INF, INF], {"alpha": -1.0}, INF, 0.0),
        ([INF, 5], {"alpha": -1.0}, 5.0, 1.0),
        ([INF], {"b": [-1]}, INF, -1.0),
        ([INF], {"b": [0.5]}, INF, 1.0),
        ([INF, INF], {"b": [1, -1]}, NAN, NAN),
        ([INF, 5], {"b": [-1, 1]}, INF, -1.0),
        ([-INF, 0], {"b": [INF, 1]}, 0.0, 1.0),
        ([-INF, 0], {"b": [-INF, 1]}, 0.0, 1.0),
        ([-INF, -INF], {"b": [INF, INF]}, -INF, 0.0),
        ([0, 0], {"b": [INF, 1]}, INF, 1.0),
        ([0, 0], {"b": [-INF, 1]}, INF, -1.0),
        ([0, 7], {"b": [INF, 1]}, INF, 1.0),
        ([0, 0], {"b": [INF, -INF]}, NAN, NAN),
        ([0, -1e300, 1e300], {"b": [0, INF, 0]}, INF, 1.0),
    ],
    "NaN": [
        ([NAN], {}, NAN, NAN),
        ([NAN, 1], {}, NAN, NAN),
        ([1, NAN], {}, NAN, NAN),
        ([INF, NAN], {}, NAN, NAN),
        ([NAN, -INF], {}, NAN, NAN),
        ([NAN, 1], {"alpha": INF}, NAN, NAN),
        ([NAN, 1], {"alpha": -INF}, NAN, NAN),
        ([NAN, 1], {"alpha": -2.0}, NAN, NAN),
        ([1, 2], {"alpha": NAN}, NAN, NAN),
        ([1, 2], {"b": [1, NAN]}, NAN, NAN),
        ([1, 2], {"initial": NAN}, NAN, NAN),
        ([NAN, 1], {"b": [1, 0]}, NAN, NAN),
    ],
    "weights": [
        ([NAN, 1], {"b": [0, 1]}, 1.0, 1.0),
        ([INF, 1], {"b": [0, 1]}, 1.0, 1.0),
        ([1, 10000], {"b": [1, 0]}, 1.0, 1.0),
        ([1, 10000], {"b": [1.0, -0.0]}, 1.0, 1.0),
        ([MAX, -MAX], {"b": [0, 1]}, -MAX, 1.0),
        ([1], {"b": [-1]}, 1.0, -1.0),
        ([1, 1, 1], {"b": [1, -1, -1]}, 1.0, -1.0),
        ([1, 1, 1], {"b": [-1, 1, 1]}, 1.0, 1.0),
        ([1, 1], {"b": [0.25, 0.75]}, 1.0, 1.0),
        ([0], {"b": [MAX]}, math.log(MAX), 1.0),
        ([0, 0], {"b": [MAX, -MAX]}, -INF, 0.0),
    ],
    "cancellation": [  # what remains is right even where the terms that cancel exceed it by e**2000, or by e**(2e300)
        ([1, 1], {"b": [1, -1]}, -INF, 0.0),
        ([1, 2, 1, 2], {"b": [1, 3, -1, -3]}, -INF, 0.0),
        ([1, 1], {"b": [1, -1], "initial": -5.0}, -5.0, 1.0),
        ([1000, 1000, 999], {"b": [1, -1, 1]}, 999.0, 1.0),
        ([1000, 1000, -1000], {"b": [1, -1, 1]}, -1000.0, 1.0),
        ([1000, 1000, -1000], {"b": [1, -1, -1]}, -1000.0, -1.0),
        ([1000, 1000, -1000], {"b": [1, -1, 0]}, -INF, 0.0),
        ([1000, 1000, -1000, -1000], {"b": [1, -1, 2, -2]}, -INF, 0.0),
        ([1000, 1000, 0, 0, -1000], {"b": [1, -1, 2, -2, 1]}, -1000.0, 1.0),
        ([1000, -1000, 0, 1000, 0], {"b": [2, 1, 1, -2, -1]}, -1000.0, 1.0),
        ([1e300, 1e300, -1e300], {"b": [1, -1, 1]}, -1e300, 1.0),
        ([MAX, MAX, 3], {"b": [1, -1, 1]}, 3.0, 1.0),
        ([-1000, -1000, 1000], {"b": [1, -1, 1], "alpha": -1.0}, 1000.0, 1.0),
        ([1000, 1000], {"b": [1, -1], "initial": -1000.0}, -1000.0, 1.0),
        ([1000], {"b": [-1], "initial": 1000.0}, -INF, 0.0),
        ([1000, -1000], {"b": [-1, 1], "initial": 1000.0}, -1000.0, 1.0),
        ([1000, 1000, -1000, INF], {"b": [1, -1, 1, 0]}, -1000.0, 1.0),
        ([1000, 1000, -1000, -INF], {"b": [1, -1, 1, 1]}, -1000.0, 1.0),
    ],
    "infinite alpha": [
        ([1, 2, 3], {"alpha": INF}, 3.0, 1.0),
        ([1, 2, 3], {"alpha": -INF}, 1.0, 1.0),
        ([3, 3, 3], {"alpha": INF}, 3.0, 1.0),
        ([-MAX, MAX], {"alpha": INF}, MAX, 1.0),
        ([-MAX, MAX], {"alpha": -INF}, -MAX, 1.0),
        ([-INF, 4], {"alpha": INF}, 4.0, 1.0),
        ([-INF, 4], {"alpha": -INF}, -INF, 1.0),
        ([INF, INF], {"alpha": -INF}, INF, 0.0),
        ([1, 2, 3], {"alpha": INF, "b": [1, 2, 0]}, 2.0, 1.0),
        ([1, 2, 3], {"alpha": -INF, "b": [0, -1, 1]}, 2.0, 1.0),
        ([1, 2, 3], {"alpha": INF, "b": 0}, -INF, 0.0),
        ([1, 2, 3], {"alpha": -INF, "b": 0}, INF, 0.0),
        ([1, 2, 2], {"alpha": INF, "b": [1, 1, -1]}, 2.0, 1.0),
        ([1, 2, 3], {"alpha": INF, "initial": 5.0}, 5.0, 1.0),
        ([1, 2, 3], {"alpha": -INF, "initial": 5.0}, 1.0, 1.0),
        ([1, 2, 3], {"alpha": -INF, "where": [False, True, True]}, 2.0, 1.0),
    ],
    "huge and tiny": [  # whatever is added, the largest is the nearest double
        ([1e20, 1e20], {}, 1e20, 1.0),
        ([1e300, 1e300, -1e300], {}, 1e300, 1.0),
        ([-1e20, -1e20, -1e300], {}, -1e20, 1.0),
        ([MAX, MAX, MAX], {}, MAX, 1.0),
        ([-MAX, -MAX], {}, -MAX, 1.0),
        ([-MAX, MAX], {}, MAX, 1.0),
        ([-MAX, 0], {}, 0.0, 1.0),
        ([MAX, -MAX], {"alpha": -1.0}, -MAX, 1.0),
        ([1e10, 1e-10], {}, 1e10, 1.0),
        ([-1e10, -INF], {}, -1e10, 1.0),
        ([1, 2], {"alpha": 1e300}, 2.0, 1.0),
        ([1, 2], {"alpha": -1e300}, 1.0, 1.0),
        ([1e300, 2e300], {"alpha": 1e300}, 2e300, 1.0),
        ([MAX, -MAX], {"alpha": TINY}, INF, 1.0),  # log(2) / alpha is beyond any double
    ],
    "initial": [
        ([1.0, -1e9], {"initial": -INF}, 1.0, 1.0),
        ([1.0], {"initial": INF}, INF, 1.0),
        ([1.0], {"initial": 1000.0}, 1000.0, 1.0),
        ([1000.0], {"initial": 1.0}, 1000.0, 1.0),
        ([-INF], {"initial": -3.0}, -3.0, 1.0),
        ([NAN], {"initial": INF}, NAN, NAN),
        ([1.0], {"initial": INF, "alpha": -1.0}, 1.0, 1.0),
        ([1.0], {"initial": -INF, "alpha": -1.0}, -INF, 1.0),
        ([2.0], {"initial": 2.0, "b": -1}, -INF, 0.0),  # it has weight 1
        ([2.0], {"initial": 2.0, "b": -2}, 2.0, -1.0),
        ([2.0], {"initial": 3.0, "where": False}, 3.0, 1.0),
    ],
}


def forty(x: Any, axis: int) -> Any:
    """An array that has a vector 40 times, along an axis; numbers as they are."""
    return np.stack([x] * 40, axis=1 - axis) if np.ndim(x) else x


@pytest.mark.parametrize("family", EXACT)
def test_exact_answers(family: str) -> None:
    """To the bit, alone, as a row, and as a column among others."""
    wrong = []
    for a, keywords, value, sign in EXACT[family]:
        with np.errstate(all="raise"):
            results = [(logsumexp(a, **keywords), *logsumexp(a, return_sign=True, **keywords))]
            for axis in (0, 1):
                copies = {key: forty(x, axis) for key, x in {"a": np.array(a, float), **keywords}.items()}
                one, (two, signs) = logsumexp(axis=axis, **copies), logsumexp(axis=axis, return_sign=True, **copies)
                results += zip(one, two, signs, strict=True)
        expected = (np.nan if sign < 0 else value, value, sign)  # a negative sum has no logarithm
        # Adding 0.0 makes the one of the two zeros the other, which it equals.
        wrong += [f"{a} {keywords}: {got}" for got in results if not same_bits(np.add(got, 0.0), expected)][:1]
    assert not wrong, "\n".join(wrong)


def test_against_scipy() -> None:
    """Every pair of special values and weights gives what SciPy gives.  Not weight 0, which hides no NaN there.

    SciPy's error is up to 1.4 units of ulp times condition number, ours 1; the condition numbers here are below 10,
    and a few ulp are 1e-15.
    """
    values, weights = (-INF, -1.0, 0.0, 2.0, INF, NAN), (-1.0, 0.5, 1.0)
    pairs = np.array(list(product(product(values, values), product(weights, weights))))
    a, b = pairs[:, 0], pairs[:, 1]
    # Infinities of opposite weights are left to either; the sign of nothing is 0 here, as documented there.
    settled = ~((a == INF).all(axis=1) & (b[:, 0] * b[:, 1] < 0))
    a, b = a[settled], b[settled]
    with np.errstate(all="ignore"):
        wanted, wanted_sign = scipy.special.logsumexp(a, axis=1, b=b, return_sign=True)
        wanted_plain = scipy.special.logsumexp(a, axis=1, b=b)
    got, sign = logsumexp(a, axis=1, b=b, return_sign=True)
    np.testing.assert_allclose(got, wanted, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(logsumexp(a, axis=1, b=b), wanted_plain, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(sign, np.where(wanted == -INF, 0, wanted_sign))


# Promises for every input

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-750, 750),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, TINY, -TINY, 1e18, 1e300, MAX, -MAX]),
)
finite = st.lists(st.tuples(numbers, st.integers(1, 40)), min_size=1, max_size=60).map(
    lambda runs: np.repeat([x for x, _ in runs], [n for _, n in runs])
)
alphas = st.one_of(st.just(1.0), st.floats(1e-6, 1e6), st.sampled_from([1e-300, 1e300]))


def rounded_up(x: Any, dtype: Any = np.float64) -> Any:
    nearest = np.dtype(dtype).type(float(x))
    return nearest if float(nearest) >= x else np.nextafter(nearest, np.dtype(dtype).type(INF))


@given(finite)
@example(np.array([0.0, -1e-17]))
@example(np.repeat([1.0, 1 - 2**-53], [1, 1000]))
@example(np.full(100, 5.0))
@example(np.full(3, -math.log(3)))
def test_between_maximum_and_maximum_plus_log_n(a: np.ndarray) -> None:
    assert a.max() <= logsumexp(a) <= a.max() + rounded_up(mp.log(a.size))
    columns = logsumexp(np.repeat(a[:, None], 3, axis=1), axis=0)
    assert (a.max() <= columns).all()
    assert (columns <= a.max() + rounded_up(mp.log(a.size))).all()


@given(finite, alphas)
def test_bounds_with_alpha(a: np.ndarray, alpha: float) -> None:
    gap = rounded_up(mp.log(a.size) / mpf(alpha))
    with np.errstate(over="ignore"):
        lowest, highest = a.min() - gap, a.max() + gap
    assert a.max() <= logsumexp(a, alpha=alpha) <= highest
    assert lowest <= logsumexp(a, alpha=-alpha) <= a.min()


@given(finite)
def test_bounds_of_float32(a: np.ndarray) -> None:
    a = np.clip(a, -3e38, 3e38).astype(FLOAT32)
    value = logsumexp(a)
    assert value.dtype == FLOAT32
    assert a.max() <= value <= a.max() + rounded_up(mp.log(a.size), FLOAT32)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 255, 256, 257, 1000, 16384, 16385, 100000])
@pytest.mark.parametrize("x", [0.0, 1.0, -1e-3, 700.1, -1e5, 1e17])
def test_bounds_are_met_by_equal_elements(n: int, x: float) -> None:
    """All equal, and all but one just beneath the largest: where rounding might overstep."""
    beneath = np.full(n, np.nextafter(x, -INF))
    beneath[n // 2] = x
    for a in (np.full(n, x), beneath):
        assert x <= logsumexp(a) <= x + rounded_up(mp.log(n))


@given(st.floats(allow_nan=False), st.floats(allow_nan=False).filter(bool))
def test_one_element_is_the_result(x: float, alpha: float) -> None:
    assert logsumexp([x]) == x
    assert logsumexp([x], alpha=alpha) == x
    assert (logsumexp([[x] * 5], axis=0, alpha=alpha) == x).all()
    assert logsumexp([x], b=[-1], alpha=alpha, return_sign=True)[0] == x


@given(st.floats(width=32, allow_nan=False))
def test_one_float32_is_the_result(x: float) -> None:
    assert same_bits(logsumexp(FLOAT32([x, -INF])), FLOAT32(x) + FLOAT32(0))


# Near and far terms


@pytest.mark.parametrize("d", [1, 30, 36, 37, 40, 100, 700, 708, 720, 740, 745])
@pytest.mark.parametrize("top", [0.0, 1e-17, -1e-17])
def test_small_results_keep_their_digits(d: int, top: float) -> None:
    """1.5 units: near zero the logarithm and the maximum cancel, and half a unit more is allowed."""
    assert units(logsumexp([-d, top]), reference.logsumexp([-d, top])) <= 1.5


def test_many_small_terms_add_up() -> None:
    """Each is below half an ulp of the largest, together they are not."""
    a = np.full(100001, -37.0)
    a[70000] = 0.0
    assert units(logsumexp(a), reference.logsumexp(a)) <= 1


@pytest.mark.parametrize("step", [2.0**-9, 2.0**-14, 1.0, 50.0])
@pytest.mark.parametrize("start", [0.0, -1e5, 1e9])
def test_creeping_maximum(step: float, start: float) -> None:
    """Sorted data, where each block lifts the maximum a little, costs no accuracy: 1 unit at a condition number of 1.

    A geometric series has a closed form: sum(exp(i * step)) = (exp(n * step) - 1) / (exp(step) - 1).
    """
    n = 10**5
    a = start + step * np.arange(n)  # exact
    with mp.workprec(300):
        value = start + mp.log((1 - mp.exp(-n * mpf(step))) / (1 - mp.exp(-mpf(step)))) + (n - 1) * mpf(step)
    exact = reference.Exact(value, 1.0, mpf(1))
    assert units(logsumexp(a), exact) <= 1
    assert units(logsumexp(a[::-1]), exact) <= 1
    assert units(logsumexp(a[:, None] * [1.0, 1.0], axis=0)[1], exact) <= 1


@pytest.mark.parametrize("shape", [(2**25,), (2**25, 2)], ids=str)
def test_float32_accumulates(shape: tuple[int, ...]) -> None:
    """A sum in float32 stops at 2**24; the result is within 1 ulp of 25 log 2."""
    exact = reference.Exact(25 * mp.log(2), 1.0, mpf(0))
    results = logsumexp(np.broadcast_to(FLOAT32(0), shape), axis=0)
    assert results.dtype == FLOAT32
    assert max(units(value, exact, FLOAT32) for value in np.ravel(results)) <= 1


def test_float32_in_memory_accumulates() -> None:
    exact = reference.Exact(25 * mp.log(2), 1.0, mpf(0))
    assert units(logsumexp(np.zeros(2**25, FLOAT32)), exact, FLOAT32) <= 1


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [0, 1, 31, 32, 255, 256, 300, 16383, 16384, 39999])
@pytest.mark.parametrize("other", [0.0, -INF, INF, 1e300])
def test_one_nan_is_enough(axis: int, place: int, other: float) -> None:
    a = np.zeros((40000, 3))
    a[::7] = other
    a[place, 1] = NAN
    with np.errstate(all="raise"):
        result = logsumexp(a if axis == 0 else np.ascontiguousarray(a.T), axis=axis)
    assert np.isnan(result).tolist() == [False, True, False]


# Keywords


@pytest.mark.parametrize("shape", [(60, 50), (60, 500), (300, 3)], ids=str)
@pytest.mark.parametrize("weights", [None, "columns", "signed"])
def test_array_of_alpha(shape: tuple[int, int], weights: str | None) -> None:
    """One for each row, of either sign, infinite, tiny and huge: as each row alone."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=shape)
    b = {None: None, "columns": rng.random(shape[1]), "signed": rng.normal(size=shape)}[weights]
    # First so many ones that a kernel could believe there is nothing else.
    alpha = np.resize([*[1] * 40, -1, INF, -INF, 1e-300, -1e-300, 1e300, 0.3, -40], (shape[0], 1))
    value, sign = logsumexp(a, axis=1, b=b, alpha=alpha, return_sign=True)
    for row in range(shape[0]):
        b_row = b if b is None or b.ndim == 1 else b[row]
        assert same_bits((value[row], sign[row]), logsumexp(a[row], b=b_row, alpha=alpha[row, 0], return_sign=True))


@pytest.mark.parametrize(
    ("axis", "alpha"),
    [
        (None, [2.0]),
        (None, np.full((1, 1), 2.0)),
        (0, [2.0, 3.0, 2.0, 3.0]),
        (0, [[2, 3, 2, 3]]),
        (1, [[2], [3], [2]]),
        (1, FLOAT32([[2], [3], [2]])),
        ((), 2.0),
        ((), np.full((3, 4), 2)),
    ],
)
def test_shapes_of_alpha(axis: Any, alpha: Any) -> None:
    a = np.arange(12.0).reshape(3, 4)
    by_hand = np.log(np.sum(np.exp(a * alpha), axis=axis, keepdims=True)) / alpha
    # The direct formula loses at most a few ulp here, as nothing overflows.
    np.testing.assert_allclose(logsumexp(a, axis=axis, alpha=alpha, keepdims=True), by_hand, rtol=1e-14)


@pytest.mark.parametrize("alpha", [0, 0.0, -0.0, False, np.float64(0), [[0.0]], [[1.0], [0.0]]])
def test_alpha_0_is_refused(alpha: Any) -> None:
    with pytest.raises(ValueError, match=r"logsumexp.*alpha"):
        logsumexp([[1.0, 2.0], [3.0, 4.0]], axis=1, alpha=alpha)


@pytest.mark.parametrize("n", [3, 40, 700, 20000])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_left_out_is_absent(n: int, alpha: float) -> None:
    """False in `where`, weight 0, a mask, and -inf are the same, to the bit."""
    rng = np.random.default_rng(n)
    a, where = rng.normal(scale=9, size=n), rng.random(n) < 0.6
    expected = logsumexp(np.where(where, a, -INF), alpha=alpha)
    spoilt = np.where(where, a, NAN)
    assert same_bits(logsumexp(spoilt, where=where, alpha=alpha), expected)
    assert same_bits(logsumexp(np.ma.array(spoilt, mask=~where), alpha=alpha), expected)
    weighted = logsumexp(np.where(where, a, -INF), b=np.ones(n), alpha=alpha)
    assert same_bits(logsumexp(spoilt, b=where, alpha=alpha), weighted)


@pytest.mark.parametrize("weights", ["positive", "signed", "with zeros"])
@pytest.mark.parametrize("n", [1, 2, 33, 300])
@pytest.mark.parametrize("alpha", [1.0, -0.7, 30.0])
def test_weights(weights: str, n: int, alpha: float) -> None:
    """1 unit, the condition number including that of the weights."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), rng.normal(size=n)
    if weights != "signed":
        b = np.abs(b)
    if weights == "with zeros":
        b[rng.random(n) < 0.5] = 0
    exact = reference.logsumexp(a, b, alpha)
    value, sign = logsumexp(a, b=b, alpha=alpha, return_sign=True)
    assert sign == exact.sign
    assert units(value, exact) <= 1


@pytest.mark.parametrize(
    "a", [[-1.0, 1.0], [-800.0, -800.0], [0.0], [800.0], [1e300, -1e300], [-40.0], range(100)], ids=name
)
@pytest.mark.parametrize("initial", [0, 0.0, -40.0, 1000, -1e300])
@pytest.mark.parametrize("alpha", [1.0, -3.0])
def test_initial_is_one_more_element(a: Any, initial: float, alpha: float) -> None:
    """1.5 units, as some of the results are near zero."""
    assert units(logsumexp(a, initial=initial, alpha=alpha), reference.logsumexp(a, None, alpha, initial)) <= 1.5


def test_strictly_convex_form() -> None:
    """Of no element, initial=0 gives log(1) = 0, and it is never negative."""
    assert logsumexp([], initial=0.0) == 0
    assert logsumexp([-INF], initial=0.0) == 0
    assert (logsumexp(np.linspace(-800, 5, 1000)[:, None], axis=1, initial=0.0) >= 0).all()


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        ([0, -1], [1, 1e250], 574.6462732485114),  # -1 + log(1e250)
        ([0, -1], [1, 1e308], 708.1962086421661),
        ([0, 0], [1e308, 1e308], 709.8893558227260),  # log(2) + log(1e308)
        ([0, 0, -900], [1, -1, 1e200], -439.4829814011908),  # -900 + log(1e200)
    ],
    ids=str,
)
def test_large_weights(level: str, a: list[float], b: list[float], value: float) -> None:
    """2 units: the figures have 16 digits, and where a sum overflows, smaller weights are made up for at the end."""
    assert abs(logsumexp(a, b=b) - value) <= 2 * np.spacing(abs(value))
    assert logsumexp(np.negative(a), b=b, alpha=-1.0) == -logsumexp(a, b=b)


def test_nan_weights_and_alpha(level: str) -> None:
    for a, keywords in [
        ([-np.inf, 0], {"b": [np.nan, 1]}),
        ([np.nan, 0], {"b": [np.inf, 1]}),
        ([1, 0], {"b": [np.nan, 1], "alpha": np.inf}),
        ([-np.inf], {"alpha": np.nan}),
    ]:
        assert np.isnan(logsumexp(a, **keywords))
