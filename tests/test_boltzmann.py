"""Right answers of boltzmann: exact tables, and the promises that hold for every input."""

from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp, mpf
from numpy.exceptions import AxisError
from reference import same_bits, units

from csmooth import boltzmann

pytestmark = pytest.mark.usefixtures("level", "floating_point_errors_raise")  # all of this holds at every level

INF, NAN = np.inf, np.nan
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324  # the smallest number above 0
FLOAT32 = np.float32


def name(value: Any) -> str:
    return str(value).replace(" ", "")[:40]


# Values that the inputs pin down, correctly rounded. The result may differ from them by 2 ulp times the condition
# number, as documented.

RIGHT: list[tuple[Any, dict[str, Any], float]] = [
    ([1, 2, 4], {}, 3.6455794028286126),
    ([0, 1], {}, 0.7310585786300049),
    ([0, 1], {"alpha": -1}, 0.2689414213699951),
    ([0, -40], {}, -1.6993417021166355e-16),  # -40 / (1 + exp(40))
    ([0, -700], {}, -6.90177358063184e-302),
    ([0, -730], {}, -6.735208906e-315),
    ([3, 3, 2], {"alpha": 30}, 2.9999999999999534),
    (range(10), {}, 8.418477313040771),
    (range(10), {"b": range(10, 0, -1)}, 7.839204441063082),
    ([1000, 1001], {}, 1000.7310585786300),
    ([-1000, -1001], {}, -1000.2689414213700),
    ([1e8 + 1, 1e8 - 1, 1e8], {}, 100000000.57521038),
    ([1, 2], {"b": [1, -1]}, 2.5819767068693262),
    ([1, 2], {"b": [-3, -1]}, 1.4753668864186718),
    ([3, 7], {"b": [1e308, 1e308]}, 6.9280551601516338),
    ([3, 7], {"b": [1e-300, 3e-300]}, 6.975727337919532),
    ([1, 2, 4], {"alpha": 1e-12}, 2.3333333333348889),
    ([1e300, 1.5e300], {"alpha": 1e-300}, 1.3112296656009274e300),
    ([-1e300, -1e300, 0], {"alpha": 1e-303}, -6.6644440741975826e299),
    ([0, -1e-300], {"alpha": 1e300}, -2.6894142136999512e-301),
    ([1, 50, 3], {"where": [True, False, True]}, 2.7615941559557649),
]


@pytest.mark.parametrize(("a", "keywords", "value"), RIGHT, ids=name)
def test_right_answers(a: Any, keywords: dict[str, Any], value: float) -> None:
    exact = reference.boltzmann(a, **keywords)
    assert float(exact.value) == value
    keywords = {key: list(x) if isinstance(x, range) else x for key, x in keywords.items()}
    assert units(boltzmann(a, **keywords), exact) <= 2


# Results that have to be met to the bit: a, keywords, value.

EXACT: dict[str, list[tuple[Any, dict[str, Any], float]]] = {
    "one element": [
        ([x], {"alpha": alpha}, x)
        for x in (0.0, 1.0, -1.0, 0.1, TINY, -TINY, 1e-300, 1e18, 1e300, MAX, -MAX, INF, -INF)
        for alpha in (1.0, -1.0, 0.3, -1e4, 0.0, 1e-12, 1e-300, -1e-300, TINY, 1e300, -1e300, MAX, INF, -INF)
    ],
    "equal elements": [
        ([x] * n, {"alpha": alpha}, x)
        for x in (0.1, -0.7, 1e8 + 1, -1e18, 1e300, TINY)
        for n in (2, 3, 33, 700)
        for alpha in (1.0, -0.3, 0.0, 1e4)
    ],
    "nothing left": [
        ([1, 2], {"where": False}, NAN),
        ([NAN, INF], {"where": [False, False]}, NAN),
        ([-INF, -INF], {"where": False, "alpha": -1.0}, NAN),
        ([1, 2], {"where": False, "alpha": 0.0}, NAN),
        ([1, 2], {"where": False, "alpha": INF}, NAN),
        ([1, 2], {"where": False, "alpha": -INF}, NAN),
        ([1, 2], {"b": 0}, NAN),
        ([1, 2], {"b": 0, "alpha": INF}, NAN),
        ([NAN, INF], {"b": [0, 0]}, NAN),
        ([1, 2], {"b": [0, 1], "where": [True, False]}, NAN),
        ([-INF, -INF], {"b": [0, 1]}, -INF),  # one is left
        ([-INF, 2], {"where": [True, False]}, -INF),
    ],
    "infinities": [
        ([-INF, -INF], {}, -INF),
        ([INF, INF], {}, INF),
        ([INF, -INF], {}, INF),
        ([-INF, 0], {}, 0.0),
        ([-INF, 5, -INF], {}, 5.0),
        ([5, INF], {}, INF),
        ([0, INF, -INF, 5], {}, INF),
        ([INF, -INF], {"alpha": -1.0}, -INF),
        ([INF, INF], {"alpha": -1.0}, INF),
        ([INF, 5], {"alpha": -1.0}, 5.0),
        ([-INF, 5], {"alpha": -1.0}, -INF),
        ([-INF, 5], {"alpha": 1e-300}, 5.0),
        ([-INF, 5], {"alpha": 1e300}, 5.0),
        ([-INF, 5], {"b": [0.5, -2]}, 5.0),
        ([INF, 5], {"b": [0.5, -2]}, INF),
        ([-INF, 5], {"b": [INF, 1]}, 5.0),  # no 0 * inf
        ([-INF, 5], {"b": [-INF, 1]}, 5.0),
        ([INF, 5], {"b": [INF, 1], "alpha": -1.0}, 5.0),
        ([-INF, -INF], {"b": [INF, INF]}, -INF),
        ([INF, 5], {"b": [INF, 1]}, INF),
    ],
    "NaN": [
        ([NAN], {}, NAN),
        ([NAN, 1], {}, NAN),
        ([INF, NAN], {}, NAN),
        ([NAN, -INF], {}, NAN),
        ([NAN, 1], {"alpha": 0.0}, NAN),
        ([NAN, 1], {"alpha": INF}, NAN),
        ([NAN, 1], {"alpha": -INF}, NAN),
        ([NAN, 1], {"alpha": -2.0}, NAN),
        ([1, 2], {"alpha": NAN}, NAN),
        ([-INF], {"alpha": NAN}, NAN),
        ([1, 2], {"b": [1, NAN]}, NAN),
        ([1, 2], {"b": [1, NAN], "alpha": INF}, NAN),
        ([-INF, 2], {"b": [NAN, 1]}, NAN),
        ([NAN, 1], {"b": [1, 0]}, NAN),
    ],
    "weights": [
        ([NAN, 1], {"b": [0, 1]}, 1.0),
        ([INF, 1], {"b": [0, 1]}, 1.0),
        ([1, 10000], {"b": [1.0, -0.0]}, 1.0),
        ([MAX, -MAX], {"b": [0, 1]}, -MAX),
        ([1], {"b": [-1]}, 1.0),
        ([1], {"b": [MAX]}, 1.0),
        ([7, 7], {"b": [MAX, MAX]}, 7.0),
        ([1, 1, 1], {"b": [1, -1, -1]}, 1.0),
        ([3, 3, 5], {"b": [1, -1, 1]}, 5.0),
        ([5, 5, 3], {"b": [1, -1, 1]}, 3.0),
        ([1, 1], {"b": [1, -1]}, NAN),  # 0 / 0
        ([1, 2], {"b": [INF, 1]}, INF),  # an infinite weight makes any number infinite
        ([1, 2], {"b": [INF, 1], "alpha": 0.0}, INF),
        ([1, 2], {"b": [1, INF], "alpha": -2.0}, -INF),
    ],
    "alpha 0": [
        ([1, 2], {"alpha": 0.0}, 1.5),
        ([1, 2], {"alpha": -0.0}, 1.5),
        ([1, 2, 6], {"alpha": 0}, 3.0),
        ([-1, 1], {"alpha": 0.0}, 0.0),
        ([1, 2], {"alpha": 0.0, "b": [3, 1]}, 1.25),
        ([1, 2], {"alpha": 0.0, "b": [3, -1]}, 0.5),
        ([1, 2, NAN], {"alpha": 0.0, "where": [True, True, False]}, 1.5),
        ([1e300, -1e300, 3], {"alpha": 0.0}, 1.0),
        ([INF, 1], {"alpha": 0.0}, INF),
        ([-INF, 1], {"alpha": 0.0}, -INF),
        ([INF, -INF], {"alpha": 0.0}, NAN),
        ([1, 2], {"alpha": 1e-300}, 1.5),
        ([1, 2], {"alpha": -1e-310}, 1.5),
    ],
    "infinite alpha": [
        ([1, 2, 3], {"alpha": INF}, 3.0),
        ([1, 2, 3], {"alpha": -INF}, 1.0),
        ([-MAX, MAX], {"alpha": INF}, MAX),
        ([-MAX, MAX], {"alpha": -INF}, -MAX),
        ([-INF, 4], {"alpha": INF}, 4.0),
        ([-INF, 4], {"alpha": -INF}, -INF),
        ([INF, INF], {"alpha": -INF}, INF),
        ([1, 2, 3], {"alpha": INF, "b": [1, 2, 0]}, 2.0),
        ([1, 2, 3], {"alpha": -INF, "b": [0, -1, 1]}, 2.0),
        ([1, 2, 3], {"alpha": INF, "b": [1, -INF, 0]}, 2.0),
        ([1, 2, 2], {"alpha": INF, "b": [1, 1, -1]}, 2.0),
        ([1, 2, 3], {"alpha": -INF, "where": [False, True, True]}, 2.0),
    ],
    "huge and tiny": [
        ([1e20, -1e20], {}, 1e20),
        ([1e300, -1e300], {"alpha": -1.0}, -1e300),
        ([1e10, 1e-10], {}, 1e10),
        ([1, 2], {"alpha": 1e300}, 2.0),
        ([1, 2], {"alpha": -1e300}, 1.0),
        ([MAX, 0], {}, MAX),
        ([-MAX, 0], {}, 0.0),
        ([-MAX, MAX], {}, MAX),
        ([-MAX, MAX], {"alpha": -1.0}, -MAX),
        ([MAX, -MAX], {"alpha": 1e-300}, MAX),
        ([0.0, -0.0], {}, 0.0),
    ],
}


def forty(x: Any, axis: int) -> Any:
    """An array that has a vector 40 times, along an axis; numbers as they are."""
    return np.stack([x] * 40, axis=1 - axis) if np.ndim(x) else x


@pytest.mark.parametrize("family", EXACT)
def test_exact_answers(family: str) -> None:
    """To the bit, alone, as a row, and as a column among others."""
    wrong = []
    for a, keywords, value in EXACT[family]:
        results = [boltzmann(a, **keywords)]
        for axis in (0, 1):
            copies = {key: forty(x, axis) for key, x in {"a": np.array(a, float), **keywords}.items()}
            results += list(boltzmann(axis=axis, **copies))
        wrong += [f"{a} {keywords}: {got}" for got in results if not same_bits(got + 0.0, value)][:1]
    assert not wrong, "\n".join(wrong)


# Promises for every input

numbers = st.one_of(
    st.floats(-1e300, 1e300),
    st.floats(-750, 750),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, TINY, -TINY, 1e18, 1e300, -1e300]),
    st.integers(-5, 5).map(lambda n: 1e8 + n),
    st.integers(-5, 5).map(lambda n: 1.0 - n * 2**-52),
)
finite = st.lists(st.tuples(numbers, st.integers(1, 40)), min_size=1, max_size=60).map(
    lambda runs: np.repeat([x for x, _ in runs], [n for _, n in runs])
)
alphas = st.one_of(
    st.just(1.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6), st.sampled_from([0.0, 1e-300, -1e-300, 1e300, -1e300])
)


@given(finite, alphas)
@example(np.array([0.0, -1e-17]), 1.0)
@example(np.repeat([1.0, 1 - 2**-53], [1, 1000]), 1.0)
@example(np.repeat([-1.0, -1 + 2**-53], [1, 1000]), -1.0)
@example(np.full(700, 0.1), 0.0)
def test_between_minimum_and_maximum(a: np.ndarray, alpha: float) -> None:
    assert a.min() <= boltzmann(a, alpha) <= a.max()
    columns = boltzmann(np.repeat(a[:, None], 3, axis=1), alpha, axis=0)
    assert (a.min() <= columns).all()
    assert (columns <= a.max()).all()


@given(finite, alphas)
def test_between_minimum_and_maximum_of_float32(a: np.ndarray, alpha: float) -> None:
    a = np.where(np.abs(a) < 1e-37, 0, np.clip(a, -3e38, 3e38)).astype(FLOAT32)  # or the cast underflows
    value = boltzmann(a, alpha)
    assert value.dtype == FLOAT32
    assert a.min() <= value <= a.max()


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_one_element_is_the_result(x: float, alpha: float) -> None:
    assert boltzmann([x], alpha) == x
    assert (boltzmann([[x] * 5], alpha, axis=0) == x).all()
    assert boltzmann([x], alpha, b=[-3.0]) == x


@given(finite, alphas.filter(bool))
def test_odd(a: np.ndarray, alpha: float) -> None:
    """The smooth minimum of a is minus the smooth maximum of -a."""
    assert boltzmann(-a, -alpha) == -boltzmann(a, alpha)


# Digits


@pytest.mark.parametrize("n", [2, 3, 32, 33, 300, 20000])
@pytest.mark.parametrize("centre", [1e8, -1e8, 1e15])
@pytest.mark.parametrize("alpha", [1.0, -0.5, 0.0])
def test_alike_elements_keep_their_digits(n: int, centre: float, alpha: float) -> None:
    """1e8 + 1 and 1e8 - 1: within 1 ulp, as differences of elements are exact, and the condition number is near 1."""
    a = centre + np.resize([1.0, -1.0, 0.0], n)
    exact = reference.boltzmann(a, alpha)
    assert units(boltzmann(a, alpha), exact) <= 1
    assert units(boltzmann(np.stack([a, a], axis=1), alpha, axis=0)[1], exact) <= 1


@pytest.mark.parametrize("d", [1, 30, 36, 37, 40, 100, 700])
def test_small_results_keep_their_digits(d: int) -> None:
    assert units(boltzmann([-d, 0]), reference.boltzmann([-d, 0])) <= 2


@pytest.mark.parametrize("step", [2.0**-9, 2.0**-14, 1.0, 50.0])
@pytest.mark.parametrize("start", [0.0, -1e5, 1e9])
def test_creeping_maximum(step: float, start: float) -> None:
    """Sorted data, where each block lifts the maximum a little: as the mean of a geometric distribution, cut off.

    With q = exp(-step), that is the last element less step * (q / (1 - q) - n * q**n / (1 - q**n)).
    """
    n = 10**5
    a = start + step * np.arange(n)  # exact
    with mp.workprec(300):
        q = mp.exp(-mpf(step))
        value = start + (n - 1) * mpf(step) - mpf(step) * (q / (1 - q) - n * q**n / (1 - q**n))
    exact = reference.Exact(value, 1.0, mpf(1))
    assert units(boltzmann(a), exact) <= 2
    assert units(boltzmann(a[::-1]), exact) <= 2
    assert units(boltzmann(a[:, None] * [1.0, 1.0], axis=0)[1], exact) <= 2


def test_float32_accumulates() -> None:
    """2**25 terms, the mean of which a sum in float32 would not reach."""
    a = np.broadcast_to(FLOAT32([1, 2]), (2**24, 2))
    assert same_bits(boltzmann(a, 0.0), FLOAT32(1.5))
    assert units(boltzmann(a), reference.boltzmann([1, 2]), FLOAT32) <= 2


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("place", [0, 1, 31, 32, 255, 256, 300, 16383, 16384, 39999])
@pytest.mark.parametrize("other", [0.0, -INF, INF, 1e300])
def test_one_nan_is_enough(axis: int, place: int, other: float) -> None:
    a = np.zeros((40000, 3))
    a[::7] = other
    a[place, 1] = NAN
    result = boltzmann(a if axis == 0 else np.ascontiguousarray(a.T), axis=axis)
    assert np.isnan(result).tolist() == [False, True, False]


# Array-likes, dtypes, shapes


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("f8", None, "f8"),
        ("f4", None, "f4"),
        (">f8", None, "f8"),
        (">f4", None, "f4"),
        ("i1", None, "f8"),
        ("u8", None, "f8"),
        ("?", None, "f8"),
        ("f4", "f4", "f4"),
        ("f4", "f8", "f8"),
        ("f4", "i1", "f8"),
        ("i4", "f4", "f8"),
        ("?", "?", "f8"),
    ],
)
def test_dtype_of_the_result(a: str, b: str | None, result: str) -> None:
    """numpy.result_type of both, with integers as float64."""
    for axis in (None, 0, 1):
        value = boltzmann(np.ones((2, 3), a), axis=axis, b=None if b is None else np.ones((2, 3), b))
        assert value.dtype == np.dtype(result)
        assert value.dtype.isnative
        assert (value == 1).all()
    assert boltzmann(np.ones(3, FLOAT32), b=2.5).dtype == FLOAT32  # Python's numbers take the dtype of a
    assert boltzmann(np.ones((2, 3), FLOAT32), np.float64([[1], [2]]), axis=1).dtype == FLOAT32


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", ">i4", "u4", "i8", ">u8", "?"])
def test_integers_are_float64(kind: str) -> None:
    a = np.array([[0, 1, 1], [1, 1, 0]]).astype(kind)
    assert same_bits(boltzmann(a, axis=1), boltzmann(a.astype(float), axis=1))
    assert boltzmann(np.uint8([255, 0])) == 255


@pytest.mark.parametrize("scalar", [3, 3.0, True, np.float64(3), np.int8(3), np.array(3.0)], ids=repr)
@pytest.mark.parametrize("axis", [None, 0, -1, ()])
def test_scalars(scalar: Any, axis: Any) -> None:
    result = boltzmann(scalar, axis=axis)
    assert type(result) is np.float64
    assert result == float(scalar)


def test_scalar_results() -> None:
    assert type(boltzmann([[1.0, 2.0]])) is type(boltzmann((1, 2), axis=0)) is np.float64
    assert type(boltzmann(FLOAT32([1, 2]))) is type(boltzmann(FLOAT32(3))) is FLOAT32
    assert type(boltzmann([1.0, 2.0], axis=())) is np.ndarray


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 1), (0, 1, 2), ()], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes_and_keepdims(axis: Any, keepdims: bool) -> None:
    """Those of numpy.max."""
    a = np.random.default_rng(1).random((4, 5, 6)) + 1
    result = boltzmann(a, axis=axis, keepdims=keepdims)
    assert np.shape(result) == np.shape(np.max(a, axis=axis, keepdims=keepdims))
    by_hand = np.sum(a * np.exp(a), axis=axis, keepdims=keepdims) / np.sum(np.exp(a), axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(result, by_hand, rtol=1e-14)  # some 10 ulp for by_hand


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_empty_shapes(shape: tuple[int, ...], keepdims: bool) -> None:
    """A ValueError wherever numpy.max raises one, whatever else is given."""
    a = np.empty(shape)
    for axis in (None, *range(len(shape)), tuple(range(len(shape))), ()):
        try:
            expected = np.max(a, axis=axis, keepdims=keepdims)
        except ValueError:
            for keywords in ({}, {"b": 1.0}, {"where": False}):
                with pytest.raises(ValueError, match=r"^boltzmann: .*no elements"):
                    boltzmann(a, axis=axis, keepdims=keepdims, **keywords)
        else:
            assert np.shape(boltzmann(a, axis=axis, keepdims=keepdims)) == expected.shape


# Keywords


@pytest.mark.parametrize("shape", [(60, 5), (60, 50), (60, 500), (300, 3)], ids=str)
@pytest.mark.parametrize("weights", [None, "columns", "signed"])
def test_array_of_alpha(shape: tuple[int, int], weights: str | None) -> None:
    """One for each row, of either sign, 0, infinite, tiny and huge: as each row alone."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=shape)
    b = {None: None, "columns": rng.random(shape[1]), "signed": rng.normal(size=shape)}[weights]
    # First so many ones that a kernel could believe there is nothing else.
    alpha = np.resize([*[1] * 40, -1, 0, INF, -INF, 1e-300, -1e-300, 1e300, 0.3, -40], (shape[0], 1))
    value = boltzmann(a, alpha, axis=1, b=b)
    for row in range(shape[0]):
        b_row = b if b is None or b.ndim == 1 else b[row]
        assert same_bits(value[row], boltzmann(a[row], alpha[row, 0], b=b_row))


def test_parameters_of_all_real_types() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for two in (2, 2.0, FLOAT32(2), np.int8(2), np.array(2), np.longdouble(2), [[2], [2]]):
        assert same_bits(boltzmann(a, two, axis=1), boltzmann(a, alpha=2.0, axis=1))
    assert same_bits(boltzmann(a, True), boltzmann(a))
    assert same_bits(boltzmann(a, False), np.float64(2.5))


@pytest.mark.parametrize("n", [3, 40, 700, 20000])
@pytest.mark.parametrize("alpha", [1.0, 0.4, -2.0])
def test_left_out_is_absent(n: int, alpha: float) -> None:
    """False in `where`, weight 0, a mask, and -inf, or inf if alpha is negative, are the same, to the bit."""
    rng = np.random.default_rng(n)
    a, where = rng.normal(scale=9, size=n), rng.random(n) < 0.6
    absent = np.where(where, a, -INF if alpha > 0 else INF)
    spoilt = np.where(where, a, NAN)
    assert same_bits(boltzmann(spoilt, alpha, where=where), boltzmann(absent, alpha))
    assert same_bits(boltzmann(np.ma.array(spoilt, mask=~where), alpha), boltzmann(absent, alpha))
    assert same_bits(boltzmann(spoilt, alpha, b=where), boltzmann(absent, alpha, b=np.ones(n)))


@pytest.mark.parametrize("alpha", [1.0, -1.0, 0.0, INF, -INF])
def test_masked(alpha: float) -> None:
    """Masked where all elements are; NaN, not masked, where others are left out."""
    a = np.ma.array([[1.0, NAN, 1.0], [1.0, 2.0, 3.0], [4.0, 5.0, INF]], mask=[[0, 1, 0], [1, 1, 1], [0, 1, 1]])
    result = boltzmann(a, alpha, axis=1)
    assert result.mask.tolist() == [False, True, False]
    assert result[0] == 1
    assert result[2] == 4
    assert boltzmann(a, alpha, axis=1, keepdims=True).mask.tolist() == [[False], [True], [False]]
    assert boltzmann(a[1], alpha) is np.ma.masked
    assert type(boltzmann(np.ma.array([3.0, 3.0]), alpha)) is np.float64
    assert np.ma.getdata(boltzmann(a.data, alpha, axis=1, b=np.ma.array(np.ones((3, 3)), mask=a.mask)))[0] == 1
    nothing = boltzmann(a, alpha, axis=1, b=[0, 1, 0])
    assert np.isnan(nothing[0])
    assert not np.ma.getmaskarray(nothing)[0]
    out = np.ma.zeros(3)
    assert boltzmann(a, alpha, axis=1, out=out) is out
    assert out.mask.tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8"], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_out(dtype: Any, keepdims: bool) -> None:
    a = np.random.default_rng(2).normal(size=(4, 5, 6))
    expected = boltzmann(a, axis=1, keepdims=keepdims)
    out = np.empty(expected.shape, dtype)
    assert boltzmann(a, axis=1, keepdims=keepdims, out=out) is out
    assert (out == expected.astype(dtype)).all()
    where = np.zeros((1, 5, 1), bool)
    assert np.isnan(boltzmann(a, axis=1, keepdims=keepdims, where=where, out=out)).all()


@pytest.mark.parametrize("shape", [(300, 300), (20, 20), (300, 7)], ids=str)
def test_out_may_overlap(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    a, b, alpha = rng.normal(size=shape), rng.random(shape), np.full((shape[0], 1), 2.0)
    expected = boltzmann(a, alpha, axis=1, b=b)
    for number in range(3):
        operands = [x.copy() for x in (a, b, alpha)]
        out = operands[number][:, 0][::-1]
        boltzmann(operands[0], operands[2], axis=1, b=operands[1], out=out)
        assert same_bits(out, expected)
    same = a.copy()
    boltzmann(same, axis=(), out=same)
    assert same_bits(same, a)


def test_nothing_is_written_to() -> None:
    rng = np.random.default_rng(4)
    operands = {
        "a": rng.normal(size=(4, 5)),
        "alpha": rng.normal(size=(4, 1)),
        "b": rng.normal(size=(4, 5)),
        "where": rng.random((4, 5)) < 0.5,
    }
    before = {key: x.tobytes() for key, x in operands.items()}
    boltzmann(**operands, axis=1)
    assert before == {key: x.tobytes() for key, x in operands.items()}


BAD_CALLS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("a", {"a": np.ones((4, 6), complex)}, TypeError),
    ("a", {"a": np.array([["x"]])}, TypeError),
    ("a", {"a": [[None, 1.0]]}, TypeError),
    ("a", {"a": np.array([[1]], "M8[s]")}, TypeError),
    ("axis", {"axis": 3}, AxisError),
    ("axis", {"axis": (1, 1)}, ValueError),
    ("axis", {"axis": 1.5}, TypeError),
    ("b", {"b": np.ones(5)}, ValueError),
    ("b", {"b": np.ones(6, complex)}, TypeError),
    ("where", {"where": np.ones(5, bool)}, ValueError),
    ("where", {"where": np.ones(6)}, TypeError),
    ("alpha", {"alpha": np.ones((4, 6))}, ValueError),
    ("alpha", {"alpha": "1"}, TypeError),
    ("alpha", {"alpha": 1j}, TypeError),
    ("alpha", {"alpha": None}, TypeError),
    ("out", {"out": np.full(6, 7.0)}, ValueError),
    ("out", {"out": np.full(4, 7)}, TypeError),
    ("out", {"out": [7.0] * 4}, TypeError),
]


@pytest.mark.parametrize(("argument", "keywords", "error"), BAD_CALLS, ids=name)
def test_errors_name_the_argument(argument: str, keywords: dict[str, Any], error: type[Exception]) -> None:
    out = np.full(4, 7.0)
    arguments = {"a": np.ones((4, 6)), "axis": 1, "out": out, **keywords}
    with pytest.raises(error, match=rf"boltzmann: {argument}\b"):
        boltzmann(**arguments)
    assert (np.asarray(arguments["out"]) == 7).all()


def test_order_of_the_arguments() -> None:
    a = np.arange(6.0).reshape(2, 3)
    assert same_bits(boltzmann(a, 2.0, 1, [1, 2, 3], True), boltzmann(a, alpha=2.0, axis=1, b=[1, 2, 3], keepdims=True))
    with pytest.raises(TypeError):
        boltzmann(a, 1.0, 1, None, False, True)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e308, -1e308, MAX, TINY, 800.0, -800.0])
def test_no_floating_point_error(value: float) -> None:
    """The fixture above makes any a failure."""
    a = np.array([[value, value], [value, 0.0], [0.0, 0.0]])
    for axis in (None, 0, 1):
        for alpha in (1.0, -1.0, 0.0, 1e300, 1e-300, INF, -INF):
            boltzmann(a, alpha, axis=axis)
            boltzmann(a, alpha, axis=axis, b=[1.0, -1.0])
            boltzmann(a.astype(">f8"), alpha, axis=axis, where=[[True, False]])


@pytest.mark.parametrize("n", [32, 288, 289, 544, 16384 + 32])
def test_rows_after_one_whose_last_block_is_short(n: int) -> None:
    """While a row's last block is summed the first of the next row is scanned, all of it."""
    a = np.zeros((3, n))
    a[1, 0] = a[2, 40 % n] = 1000
    assert boltzmann(a, axis=1).tolist() == [0, 1000, 1000]


@pytest.mark.parametrize("n", [1, 2, 40, 600])
@pytest.mark.parametrize("value", [1.7e308, -1.7e308, 1e300, -1e300])
def test_moments_do_not_overflow(value: float, n: int) -> None:
    for alpha in (1.0, -1.0, 1e-308, 0.0):
        a = np.full(n, value)
        least = -np.copysign(INF, alpha)
        results = [boltzmann(a, alpha)]
        if alpha:
            results += [boltzmann(np.append(a, least), alpha), boltzmann(np.stack([a, a], 1), alpha, axis=0)[1]]
        if value * alpha > 1e9:  # what is smaller comes first, and its sums are moved
            results.append(boltzmann(np.concatenate([np.ones(300), a]), alpha))
        assert max(abs(result - value) for result in results) <= 2 * np.spacing(abs(value))  # the bound


@pytest.mark.parametrize("large", [1e16, 3e16, -1e16])
def test_what_does_not_count_is_no_centre(level: str, large: float) -> None:
    """256 elements that keep their digits, although one is far from them."""
    a = np.append(large + 4 * np.arange(255), 5.0 if large > 0 else -1e20)
    exact = reference.boltzmann(a)
    assert units(boltzmann(a), exact) <= 0.5 + 2**-10  # of the rounding of the result, and little more
    assert same_bits(boltzmann(np.stack([a, a], 1), axis=0)[1], boltzmann(a))


@pytest.mark.parametrize("length", [3, 257, 280])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_rows_after_a_block_that_was_done_again(length: int, weighted: bool) -> None:
    # A block in which one element has most of the sum is added once more; what says so must not outlast it.
    again = np.zeros((256, 40))
    again[7] = np.arange(20, 60)
    a = np.random.default_rng(1).standard_normal((length, 40))
    b = np.ones(a.shape) if weighted else None
    boltzmann(again, axis=0)
    columns = boltzmann(a, axis=0, b=b)
    same = [boltzmann(np.ascontiguousarray(column), b=None if b is None else b[:, 0]) for column in a.T]
    assert same_bits(columns, np.array(same))
