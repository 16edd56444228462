"""float32, whose long slices are summed in float32: errors in ulp, seams to the way of doubles, bits in any layout.

float64 is the reference: its own errors are 2**-29 of a unit here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from reference import same_bits

from csmooth import log_softmax, logsumexp, softmax
from csmooth.grad import logsumexp as logsumexp_gradient

pytestmark = pytest.mark.usefixtures("level", "floating_point_errors_raise")  # all of this holds at every level

INF, NAN = np.inf, np.nan
LANES = 32  # up to as many elements are summed as doubles
BOUND = {logsumexp: 1, softmax: 2, log_softmax: 2}  # units of ulp(result) * max(1, condition number)
FUNCTIONS = pytest.mark.parametrize("function", list(BOUND), ids=lambda f: f.__name__)


def units(function: Any, a: np.ndarray, alpha: float) -> float:
    """The largest error of the results of rows, in units of ulp(result) * max(1, condition number)."""
    with np.errstate(all="ignore"):
        wide = a.astype(np.float64)
        right = function(wide, axis=1, alpha=alpha)
        p = softmax(wide, axis=1, alpha=alpha)
        size = np.abs(alpha * wide)
        mean = (p * size).sum(axis=1, keepdims=True)
        others = -np.expm1(log_softmax(wide, axis=1, alpha=alpha))
        condition = size * others + (mean - size * p)  # of the probabilities
        if function is logsumexp:
            condition = mean[:, 0] / np.abs(alpha * right)
        elif function is log_softmax:
            condition /= np.abs(right)
        ulp = np.spacing(np.abs(right).astype(np.float32)).astype(np.float64)
        error = np.abs(function(a, axis=1, alpha=alpha) - right)
        error = np.where(error == 0, 0, error / (ulp * np.maximum(1, condition)))
    return float(np.max(error))


def inputs() -> Iterator[np.ndarray]:
    """Rows of ordinary numbers, of few different ones, of some far above the others, with and without an offset."""
    rng = np.random.default_rng(3)
    for n in (33, 64, 65, 255, 256, 257, 300, 513, 1000, 20000):
        for scale in (0.01, 1, 10, 300):
            few = rng.choice(rng.normal(0, scale, 3), (2, n))
            above = rng.normal(0, scale, (2, n)) + rng.choice([0, 5, 11], (2, n), p=[0.98, 0.015, 0.005])
            yield np.concatenate([rng.normal(0, scale, (2, n)), few, above]).astype(np.float32)
        for offset in (-1e6, 3e3, 1e6):
            yield (offset + rng.normal(0, 3, (2, n))).astype(np.float32)


@FUNCTIONS
@pytest.mark.parametrize("alpha", [1.0, -0.3, 1e-6, 1e-3, 77.7, 1e4])
def test_errors(function: Any, alpha: float) -> None:
    """As of doubles: rounding the result, and twice what rounding a term leaves, for it and for the sum."""
    for a in inputs():
        assert units(function, a, alpha) <= BOUND[function], (a.shape, float(np.abs(a).max()))


@FUNCTIONS
def test_few_are_rounded_once(function: Any) -> None:
    """Computed as float64, and so to half a unit but for one case in some 2**28."""
    a = (np.random.default_rng(4).normal(size=(50, LANES)) * 10).astype(np.float32)
    with np.errstate(under="ignore"):
        assert same_bits(function(a, axis=1), function(a.astype(np.float64), axis=1).astype(np.float32))


@pytest.mark.parametrize("n", [64, 4096])
def test_equal_elements_share_equally(n: int) -> None:
    for value in (0.0, 1.7, -83.4, 1e6, 1e30):
        assert (softmax(np.full(n, value, np.float32)) == np.float32(1 / n)).all()


@pytest.mark.parametrize("top", [0.0, 5.3, -1234.5, 1e6])
def test_one_far_above_the_others_has_all(top: float) -> None:
    a = np.full(1000, top - 200, np.float32)
    a[700] = top
    p = softmax(a)
    assert p[700] == 1
    assert logsumexp(a) == np.float32(top)
    assert (np.delete(p, 700) <= np.float32(1e-45)).all()


def test_subnormal_probabilities() -> None:
    a = np.zeros(64, np.float32)
    a[1:] = -np.linspace(80, 110, 63, dtype=np.float32)
    with np.errstate(under="ignore"):
        right = softmax(a.astype(np.float64)).astype(np.float32)
    assert np.abs(softmax(a) - right).max() <= 1e-45 * 80  # the condition number
    assert (softmax(a)[a < -105] == 0).all()


def test_small_sums_beside_a_maximum_of_zero() -> None:
    """The largest term stays out of the sum, and terms down to 2**-149 of it count."""
    for low in (-20.0, -60.0, -100.0):
        a = np.full(300, low, np.float32)
        a[5] = 0
        with np.errstate(under="ignore"):
            right = np.log1p(299 * np.exp(low))
            assert abs(logsumexp(a) - right) <= abs(low) * 2.0**-23 * right + 1e-45


@pytest.mark.parametrize("alpha", [1e-5, 1e-8, 1e-9, 1e-10, 1e-20, 1e-30])
def test_small_sums_over_a_small_alpha(alpha: float) -> None:
    """What vanishes beside the maximum must do so in the result, too."""
    for below in (60.0, 100.0, 120.0, 140.0):
        a = np.full(40, -3e38, np.float32)
        a[0], a[1] = 0, -below / alpha
        with np.errstate(under="ignore"):
            right = np.float32(np.exp(float(a[1]) * alpha) / alpha)
            ulp = np.spacing(right)
        assert abs(logsumexp(a, alpha=alpha) - right) <= (below + 1) * ulp  # the condition number, and rounding


# Elements that single precision does not suit, beside others that it does

STRANGE: dict[str, tuple[float, ...]] = {
    "infinity": (INF,),
    "NaN": (NAN,),
    "NaN and infinity": (NAN, INF),
    "-inf": (-INF, -INF),
    "large": (3e6, 3e6, 2999999.0),
    "larger": (1e30, 1e30),
    "largest": (float(np.finfo(np.float32).max),),
    "far below": (-1e30, -INF),
}


def strange(name: str, place: int) -> np.ndarray:
    a = np.random.default_rng(5).normal(0, 3, 1000).astype(np.float32)
    a[place : place + len(STRANGE[name])] = STRANGE[name]
    return a


@FUNCTIONS
@pytest.mark.parametrize("name", STRANGE)
def test_strange_elements(function: Any, name: str) -> None:
    for place in (0, 300, 990):
        a = strange(name, place)
        with np.errstate(under="ignore"):
            right = np.asarray(function(a.astype(np.float64))).astype(np.float32)
        got = np.asarray(function(a))
        finite = np.isfinite(right)
        assert same_bits(got[~finite], right[~finite])
        with np.errstate(over="ignore"):  # of the last digit of the largest number
            np.testing.assert_array_almost_equal_nulp(got[finite], right[finite], 16)  # condition numbers up to 10


@FUNCTIONS
@pytest.mark.parametrize("alpha", [1.0, -2.0, 0.0, INF, -INF, NAN, 1e-300, 1e-35, 1e35])
def test_as_each_output_alone(function: Any, alpha: float) -> None:
    """Beside outputs that are summed as doubles, and with a sharpness for each output."""
    columns = [strange(name, place) for name in STRANGE for place in (0, 300, 990)]
    columns += [np.full(1000, -INF, np.float32), np.zeros(1000, np.float32), strange("NaN", 0) * 0 + 1]
    a = np.stack(columns)
    if alpha == 0 and function is logsumexp:
        alpha = 1e-10
    alphas = np.array([alpha, 1.0, 3.0] * 9)[:, None]
    one_by_one = np.stack([function(x, alpha=float(y)) for x, (y,) in zip(a, alphas, strict=True)])
    results = one_by_one.shape[1:]
    for view in (a, np.asfortranarray(a), a[:, ::-1].copy()[:, ::-1], a.astype(">f4")):
        assert same_bits(np.asarray(function(view, axis=1, alpha=alphas)), one_by_one)
    by_columns = function(a.T.copy(), axis=0, alpha=alphas.T)
    assert same_bits(by_columns.T if results else by_columns, one_by_one)
    assert same_bits(
        np.asarray(function(a.reshape(27, 10, 100), axis=(1, 2), alpha=alphas[:, None])).reshape(
            a.shape if results else 27
        ),
        one_by_one,
    )


@FUNCTIONS
def test_left_out(function: Any) -> None:
    """By `where` or a mask: as without these elements, to the bit, as they are -inf to the sums."""
    a = np.random.default_rng(6).normal(0, 3, (5, 700)).astype(np.float32)
    where = np.random.default_rng(7).random(a.shape) < 0.7
    right = function(np.where(where, a, np.float32(-INF)), axis=1)
    assert same_bits(function(a, axis=1, where=where), right)
    masked = function(np.ma.masked_array(a, ~where), axis=1)
    assert same_bits(
        np.ma.getdata(masked) if function is logsumexp else masked.filled(0),
        right if function is not log_softmax else np.where(where, right, 0),
    )


def test_results_in_place_and_elsewhere() -> None:
    a = np.random.default_rng(8).normal(0, 3, (6, 1003)).astype(np.float32)
    right = softmax(a, axis=1)
    for out in (np.empty_like(a), np.empty_like(a, order="F"), np.empty((6, 2006), np.float32)[:, ::2]):
        assert softmax(a, axis=1, out=out) is out
        assert same_bits(out.copy(), right)
    wide = np.empty(a.shape)
    softmax(a, axis=1, out=wide)
    assert same_bits(wide.astype(np.float32), right)
    assert softmax(a, axis=1, out=a) is a
    assert same_bits(a, right)
    beyond = np.zeros(a.size + 10, np.float32)  # the last vector is not whole
    softmax(right[0], out=beyond[:1003])
    assert (beyond[1003:] == 0).all()


def test_gradient_is_the_softmax() -> None:
    """Its terms are doubles, its sum is not: each result is within 2 units, where condition numbers are up to 2."""
    a = np.random.default_rng(9).normal(0, 3, (3, 1000)).astype(np.float32)
    value, gradient = logsumexp_gradient(a, axis=1)
    assert same_bits(value, logsumexp(a, axis=1))
    np.testing.assert_array_almost_equal_nulp(gradient, softmax(a, axis=1), 8)
