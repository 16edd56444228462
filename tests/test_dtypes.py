"""The dtypes beside float64 and float32: float16 and bfloat16 in the kernels, longdouble and complex in NumPy."""

import cmath
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special
from mpmath import mp, mpc, mpf
from reference import LEVELS, same_bits

from csmooth import (
    boltzmann,
    conjugate,
    log_softmax,
    logmeanexp,
    logsumexp,
    logsumexp_bounds,
    pmean,
    pnorm,
    softmax,
)

INF, NAN = np.inf, np.nan
LONG = np.longdouble

pytestmark = pytest.mark.usefixtures("floating_point_errors_raise")


def half(name: str) -> Any:
    """float16 or bfloat16."""
    return np.dtype(np.float16 if name == "float16" else getattr(pytest.importorskip("ml_dtypes"), name))


def normal(shape: Any, dtype: Any) -> np.ndarray:
    """The same numbers in every test."""
    with np.errstate(all="ignore"):  # small ones become subnormal
        return np.random.default_rng(21).normal(size=shape).astype(dtype)


def every(dtype: Any) -> np.ndarray:
    """All numbers of 16 bits, the infinities among them, in ascending order; one zero."""
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    with np.errstate(all="ignore"):
        return x[np.unique(widened(x), return_index=True)[1]][:-1]  # without NaN, which comes last


def widened(x: np.ndarray) -> np.ndarray:
    """As doubles, which is exact."""
    with np.errstate(all="ignore"):  # signalling NaN
        return x.astype(np.float64)


def written(kernels: Any, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Doubles as the kernels write them: the logarithm of a sum of one exponential is the element."""
    out = np.empty(x.shape, dtype)
    kernels.reduce("logsumexp", x.ndim, x, None, None, None, None, 1.0, None, out, None)
    return out


def nearest(x: np.ndarray, dtype: Any) -> np.ndarray:
    """The numbers of 16 bits nearest to doubles, ties to even, by search among all of them."""
    numbers = every(dtype)
    values = widened(numbers)
    # What lies half a step or more beyond the largest number becomes infinite: as if infinity were the next step.
    values[0] = 2 * values[1] - values[2]
    values[-1] = 2 * values[-2] - values[-3]
    upper = np.clip(np.searchsorted(values, x), 1, len(values) - 1)
    below, above = x - values[upper - 1], values[upper] - x  # both exact, or far from a tie
    even = numbers[upper].view(np.uint16) % 2 == 0
    return numbers[np.where((above < below) | ((above == below) & even), upper, upper - 1)]


HALVES = ["float16", "bfloat16"]


@pytest.mark.parametrize("name", HALVES)
def test_every_number_is_read_and_written(level: str, name: str) -> None:
    """All 65536 patterns of bits: as doubles they are what NumPy makes of them, and they come back as they were."""
    dtype = half(name)
    patterns = np.arange(2**16, dtype=np.uint16)
    x = patterns.view(dtype)
    read = logsumexp(x[:, np.newaxis], axis=1, b=np.ones(1))
    assert read.dtype == np.float64
    assert np.array_equal(read, widened(x), equal_nan=True)
    back = logsumexp(x[:, np.newaxis], axis=1)
    assert back.dtype == dtype
    nan = np.isnan(widened(x))
    assert np.isnan(widened(back[nan])).all()
    zero = widened(x) == 0  # no -0.0 comes out of a logarithm
    assert np.array_equal(back[~nan].view(np.uint16), np.where(zero, 0, patterns)[~nan])


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("level", LEVELS)
def test_written_numbers_are_the_nearest(level: str, name: str) -> None:
    """Halfway between any two neighbours, and next to that: rounded but once, ties to even."""
    dtype = half(name)
    values = widened(every(dtype))[1:-1]
    step = values[-1] - values[-2]
    beyond = [values[-1] + step / 2, values[-1] + step, 1e30, 1e300, np.inf, 5e-324, 1e-300, 2.0**-149]
    ties = np.concatenate([(values[1:] + values[:-1]) / 2, beyond, np.negative(beyond)])
    with np.errstate(all="ignore"):  # neighbours of infinity and of 0
        x = np.concatenate([ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf), values])
    x = x[x != 0]
    got = written(LEVELS[level], x, dtype)
    finite = np.isfinite(x)
    with np.errstate(all="ignore"):
        assert np.array_equal(widened(got)[finite], widened(nearest(x[finite], dtype)))
    assert np.array_equal(widened(got)[~finite], x[~finite])
    if dtype == np.float16:
        with np.errstate(all="ignore"):
            assert np.array_equal(got.view(np.uint16), x.astype(dtype).view(np.uint16))


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("shape", [(40, 300), (300, 7), (3, 5)], ids=str)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("logarithm", [False, True])
def test_maps_write_the_nearest(level: str, name: str, shape: tuple[int, int], axis: int, logarithm: bool) -> None:
    """As if results were doubles, rounded once."""
    dtype = half(name)
    a = normal(shape, dtype)
    function = log_softmax if logarithm else softmax
    got = function(a, axis=axis)
    assert got.dtype == dtype
    assert same_bits(widened(got), widened(nearest(function(widened(a), axis=axis), dtype)))
    strided = np.zeros((2, *shape), dtype).transpose(1, 2, 0)[:, :, 0]
    function(a, axis=axis, out=strided)
    assert same_bits(widened(strided), widened(got))


@pytest.mark.parametrize("name", HALVES)
def test_sums_are_those_of_doubles(level: str, name: str) -> None:
    dtype = half(name)
    a = normal((3, 100000), dtype)
    b = abs(normal(100000, dtype))
    for function in (logsumexp, boltzmann, logmeanexp, pnorm, pmean):
        x, keywords = (abs(a), {"p": 3}) if function is pmean else (a, {})
        for weights in (None, b):
            wide = function(widened(x), axis=1, b=None if weights is None else widened(weights), **keywords)
            got = function(x, axis=1, b=weights, **keywords)
            assert got.dtype == dtype
            assert same_bits(widened(got), widened(nearest(wide, dtype)))
    assert logsumexp(np.zeros(100000, dtype)) == nearest(np.log([1e5]), dtype)[0]


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("alpha", [1.0, -0.3, INF])
def test_maxima_of_halves_are_bracketed(level: str, name: str, alpha: float) -> None:
    """One side is the sum's logarithm; between the two lie log(n) / alpha and their rounding, 4 eps of either side."""
    a = normal((5, 300), half(name))
    bounds = logsumexp_bounds(a, 1, alpha)
    assert {bound.dtype for bound in bounds} == {a.dtype}
    lower, upper = map(widened, bounds)
    extreme = (np.max if alpha > 0 else np.min)(widened(a), axis=1)
    assert np.all((lower <= extreme) & (extreme <= upper))
    assert same_bits(bounds[alpha > 0], logsumexp(a, 1, alpha=alpha))
    width = np.log(300) / abs(alpha)
    eps = 2.0 ** (-10 if name == "float16" else -7)
    assert np.all(upper - lower - width <= 4 * eps * (abs(lower) + abs(upper) + width))


@pytest.mark.parametrize("name", HALVES)
def test_conjugates_of_halves(name: str) -> None:
    """As that of doubles, rounded once; what rounding to halves makes of probabilities is on the simplex."""
    p = softmax(normal((5, 300), half(name)), axis=1)
    got = conjugate(p, 1)
    assert got.dtype == p.dtype
    wide = widened(p)
    exact = np.sum(wide * np.log(wide, out=np.zeros_like(wide), where=wide > 0), axis=1)
    assert same_bits(widened(got), widened(nearest(exact, p.dtype)))
    assert np.isposinf(widened(conjugate(2 * p, 1))).all()


@pytest.mark.parametrize("name", HALVES)
def test_halves_of_any_layout(level: str, name: str) -> None:
    dtype = half(name)
    a = normal((70, 300), dtype)
    unaligned = np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(dtype).reshape(a.shape)
    for view in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2], a[::-1, ::-1].copy()[::-1, ::-1], unaligned):
        for axis in (None, 0, 1):
            for function in (logsumexp, softmax):
                got, want = function(view, axis=axis), function(widened(a), axis=axis)
                assert same_bits(
                    widened(np.asarray(got)), widened(nearest(np.atleast_1d(want), dtype)).reshape(want.shape)
                )


def test_swapped_bytes(level: str) -> None:
    a = normal((40, 200), np.float16)
    swapped = a.astype(a.dtype.newbyteorder())
    assert not swapped.dtype.isnative
    for axis in (None, 0, 1):
        assert same_bits(logsumexp(swapped, axis=axis), logsumexp(a, axis=axis))
        assert same_bits(softmax(swapped, axis=axis), softmax(a, axis=axis))
        assert same_bits(logsumexp(a, b=swapped, axis=axis), logsumexp(a, b=a, axis=axis))


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("float16", "float16", "float16"),
        ("float16", "float32", "float32"),
        ("float32", "float16", "float32"),
        ("float16", "float64", "float64"),
        ("float16", "int8", "float64"),
        ("bool", "float16", "float64"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16", "float32", "float32"),
        ("float64", "bfloat16", "float64"),
        ("bfloat16", "int8", "float64"),
        ("bfloat16", "float16", "float32"),
        ("float16", "bfloat16", "float32"),
    ],
)
def test_common_dtypes(a: str, b: str, result: str) -> None:
    x, y = (np.ones(3, half(name) if "float16" in name else name) for name in (a, b))
    value, sign = logsumexp(x, b=y, return_sign=True)
    assert value.dtype.name == sign.dtype.name == result
    assert sign == 1


@pytest.mark.parametrize("name", HALVES)
def test_numbers_of_python_keep_halves(name: str) -> None:
    a = np.ones((2, 3), half(name))
    for result in (
        logsumexp(a, b=2.5, alpha=2.0, initial=1.0),
        logsumexp(a, b=1, axis=1),
        boltzmann(a, alpha=[[1.0], [2.0]], axis=1, b=True),
        logsumexp(a, initial=a[0, 0], alpha=a[:, :1], axis=1),
        softmax(a, alpha=np.float64(3)),
    ):
        assert result.dtype == a.dtype
    assert logsumexp(a, b=1j).dtype == logsumexp(a.astype(np.float32), b=1j).dtype == np.complex64
    assert logsumexp(a, b=np.complex128(1)).dtype == logsumexp([1.0], b=1j).dtype == np.complex128


@pytest.mark.parametrize("name", HALVES)
def test_halves_with_masks_and_outputs(name: str) -> None:
    dtype = half(name)
    a = np.ma.MaskedArray(np.array([[1, 2], [3, 4]], dtype), [[True, True], [False, True]])
    result = logsumexp(a, axis=1)
    assert result.dtype == dtype
    assert list(result.mask) == [True, False]
    assert result[1] == 3
    out = np.zeros(2, dtype)
    assert logsumexp(np.array([[1, 2], [3, 4]], np.float32), axis=1, out=out) is out
    assert np.array_equal(widened(out), widened(logsumexp(np.array([[1, 2], [3, 4]], dtype), axis=1)))


def test_infinite_logarithms_of_large_halves() -> None:
    """65504 + log 2 is no float16; the float16 nearest to it is 65504."""
    assert logsumexp(np.full(2, 65504, np.float16)) == 65504
    assert logsumexp(np.float16([-65504, -65504]), alpha=1e-3) == np.float16(-65504 + 693)
    assert logsumexp(np.full(2, 65504, np.float16), alpha=1e-3) == np.inf


# longdouble: definitions in mpmath, and on special values the kernels


def exactly(x: Any) -> Any:
    """A longdouble as an mpf."""
    numerator, denominator = LONG(x).as_integer_ratio()
    return mpf(numerator) / denominator


def long_units(got: Any, exact: Any, condition: Any) -> float:
    """The error in units of ulp(result) * max(1, condition number)."""
    assert type(got) is LONG
    return float(abs(exactly(got) - exact) / exactly(np.spacing(abs(got))) / max(1, condition))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 200])
@pytest.mark.parametrize("offset", [0, 1, -30, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
@pytest.mark.parametrize("alpha", [LONG(1), LONG(-2.5), LONG(1) / 10], ids=str)
def test_error_of_longdouble(n: int, offset: float, scale: float, alpha: np.longdouble) -> None:
    """2 units for all, 1 more than the goals of logsumexp: NumPy sums without a second digit."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=n).astype(LONG) * scale + offset + rng.normal(size=n).astype(LONG) / 2**58
    for b in (None, rng.normal(size=n).astype(LONG), rng.uniform(size=n).astype(LONG)):
        with mp.workprec(1000):  # that 1 less a share is not 0
            x, factor = [exactly(v) for v in a], exactly(alpha)
            w = [mpf(1)] * n if b is None else [exactly(v) for v in b]
            term = [u * mp.exp(factor * v) for u, v in zip(w, x, strict=True)]
            total, size = mp.fsum(term), mp.fsum(term, absolute=True)
            value = mp.log(abs(total)) / factor
            moment = mp.fsum([t * v for t, v in zip(term, x, strict=True)], absolute=True)
            condition = (moment + (0 if b is None else size / abs(factor))) / abs(total * value)
            got, sign = logsumexp(a, b=b, alpha=alpha, return_sign=True)
            assert sign == mp.sign(total)
            assert long_units(got, value, condition) <= 2
            if size == abs(total) and total > 0:  # a mean of weights of both signs is worse
                mean = mp.fsum([t * v for t, v in zip(term, x, strict=True)]) / total
                parts = [(t / total, v) for t, v in zip(term, x, strict=True)]
                condition = mp.fsum([p * v * (1 + factor * (v - mean)) for p, v in parts], absolute=True)
                condition = max(condition, moment / total)
                condition += 0 if b is None else mp.fsum([p * (v - mean) for p, v in parts], absolute=True)
                assert long_units(boltzmann(a, b=b, alpha=alpha), mean, condition / abs(mean)) <= 2
            if b is None:
                shares, logs = softmax(a, alpha=alpha), log_softmax(a, alpha=alpha)
                for i in range(min(n, 5)):
                    share = term[i] / total
                    parts = [factor * v * ((i == j) - t / total) for j, (t, v) in enumerate(zip(term, x, strict=True))]
                    condition = mp.fsum(parts, absolute=True)
                    assert long_units(shares[i], share, condition) <= 2
                    if n > 1:
                        assert long_units(logs[i], mp.log(share), condition / abs(mp.log(share))) <= 2


def moments(a: np.ndarray, b: np.ndarray | None, function: Any = lambda x: x) -> tuple[list[Any], list[Any], Any]:
    """function(a), the weights and their sum, in mpmath."""
    w = [mpf(1)] * len(a) if b is None else [exactly(v) for v in b]
    return [function(exactly(v)) for v in a], w, mp.fsum(w)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("offset", [0, 1, -30, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
@pytest.mark.parametrize("alpha", ["1", "-2.5", "0.1", "1e-12", "-1e-300", "0"])
def test_error_of_longdouble_logmeanexp(n: int, offset: float, scale: float, alpha: str) -> None:
    """2 units, as for the others, with the condition number of tests/test_logmeanexp.py."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=n).astype(LONG) * scale + offset + rng.normal(size=n).astype(LONG) / 2**58
    for b in (None, rng.uniform(size=n).astype(LONG)):
        with mp.workprec(2200 if "300" in alpha else 300):  # 200 bits are left where alpha * a is 2**-1000
            factor = exactly(LONG(alpha))
            x, w, whole = moments(a, b)
            terms = [u * mp.exp(factor * v) for u, v in zip(w, x, strict=True)]
            total = mp.fsum(terms)
            share = [t / total for t in terms]
            if factor == 0:
                value = mp.fdot(w, x) / whole
                spread = mp.fsum(u * abs(v - value) for u, v in zip(w, x, strict=True)) / whole
            else:
                value = mp.log(total / whole) / factor
                spread = mp.fsum(abs(s - u / whole) for s, u in zip(share, w, strict=True)) / abs(factor)
            condition = mp.fsum(abs(v) * s for v, s in zip(x, share, strict=True)) + (0 if b is None else spread)
            assert long_units(logmeanexp(a, b=b, alpha=LONG(alpha)), value, condition / abs(value)) <= 2


POWERS = ["1", "2", "3", "2.3", "40", "1e30", "0.5", "0.1", "-1", "-2.3", "-0.1"]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
@pytest.mark.parametrize("p", [*POWERS, "1e-8", "-1e-300", "0"])
def test_error_of_longdouble_powers(n: int, scale: float, p: str) -> None:
    """2 units, 3 with weights, as each product of a weight is rounded.

    A root with abs(p) < 1 enlarges the error of a sum S, and of its logarithm, to (1 + abs(log S)) / abs(p), S being
    relative to the extreme. That of a mean is in its logarithms: of the elements relative to the mean M, on average
    by their share, abs(log(x / M)).
    """
    rng = np.random.default_rng(n)
    power = LONG(p)
    for offset in (0, 1):
        a = abs(rng.normal(size=n).astype(LONG) * scale + offset + rng.normal(size=n).astype(LONG) / 2**58)
        for b in (None, rng.uniform(size=n).astype(LONG)):
            bound = 2 if b is None else 3
            with mp.workprec(2200 if "300" in p else 300):
                x, w, whole = moments(a, b, mp.log)
                factor = exactly(power)
                extreme = min(x) if power < 0 else max(x)
                terms = [u * mp.exp(factor * (v - extreme)) for u, v in zip(w, x, strict=True)]
                total = mp.fsum(terms)
                log = mp.fdot(w, x) / whole if power == 0 else extreme + mp.log(total / whole) / factor
                condition = mp.fsum(t / total * abs(v - log) for t, v in zip(terms, x, strict=True))
                assert long_units(pmean(a, power, b=b), mp.exp(log), condition) <= bound
                if p in POWERS:
                    condition = (1 + abs(mp.log(total))) / abs(factor) if abs(power) < 1 else 1
                    value = mp.exp(extreme + mp.log(total) / factor)
                    assert long_units(pnorm(-a, power, b=b), value, condition) <= bound


@pytest.mark.parametrize("n", [1, 2, 300])
@pytest.mark.parametrize("alpha", ["1", "-0.3", "1e-6", "1e4000"])
def test_longdouble_maxima_are_bracketed(n: int, alpha: str) -> None:
    """By log(n) / alpha and the slack that the docstring states: 2 eps of all that is added."""
    a = normal((20, n), LONG) * 10 + normal((20, n), LONG) / 2**58
    lower, upper = bounds = logsumexp_bounds(a, 1, LONG(alpha))
    assert lower.dtype == upper.dtype == LONG
    extreme = a.max(axis=1) if LONG(alpha) > 0 else a.min(axis=1)
    assert np.all((lower <= extreme) & (extreme <= upper))
    value = logsumexp(a, 1, alpha=LONG(alpha))
    assert np.array_equal(bounds[int(LONG(alpha) > 0)], value)
    width = np.log(LONG(n)) / abs(LONG(alpha))
    assert np.all(upper - lower - width <= 4 * np.finfo(LONG).eps * (abs(value) + 2 * width))


@pytest.mark.parametrize("n", [1, 3, 300])
def test_longdouble_conjugates(n: int) -> None:
    """Within 6 eps: 2 for a term, as the docstring says, and 4 for adding up to 300 of one sign in pairs."""
    p = softmax(normal((3, n), LONG), axis=1)
    got = conjugate(p, 1)
    assert got.dtype == LONG
    with mp.workprec(200):
        for row, value in zip(p, got, strict=True):
            exact = mp.fsum(exactly(x) * mp.log(exactly(x)) for x in row)
            assert abs(exactly(value) - exact) <= 6 * exactly(np.finfo(LONG).eps) * abs(exact)
    p[0, 0] += LONG(1e-8)  # beyond sqrt(eps), which is 3.3e-10
    assert np.array_equal(np.isposinf(conjugate(p, 1)), [True, False, False])


def test_longdouble_powers_reach_far() -> None:
    """Results near the ends of the range, and powers that lie far beyond; within 1e-15, as roots enlarge errors."""
    tiny, largest = LONG(2) ** -16000, np.finfo(LONG).max
    for function, a, p, value in [
        (pnorm, [tiny, tiny], 2, tiny * np.sqrt(LONG(2))),
        (pnorm, [tiny] * 2, 2.0**-13, tiny * LONG(2) ** 8192),
        (pnorm, [1 / tiny] * 2, -(2.0**-13), LONG(2) ** (16000 - 8192)),
        (pnorm, [1 / tiny, 1 / tiny], 1e300, 1 / tiny),
        (pnorm, [largest / 2] * 2, 3, largest / 2 * np.cbrt(LONG(2))),
        (pmean, [tiny, 1 / tiny], 0, 1),
        (pmean, [tiny, 1 / tiny], 1e-4000, 1),
        (pmean, [tiny, 1 / tiny], 1, 0.5 / tiny),
        (pmean, [tiny, 1 / tiny], -1, 2 * tiny),
        (pmean, [largest, largest], 2, largest),
        (pmean, [largest, largest], -2, largest),
        (pmean, [1, 4], 1e-18, 2 + 2e-18 * np.log(LONG(2)) ** 2),
    ]:
        got = function(np.array(a, LONG), p)
        assert abs(got / value - 1) < 1e-15, (function, a, p, got)
    assert pnorm(np.array([1, 2, 0, INF], LONG), 0) == 3


@pytest.mark.parametrize("n", [1, 2, 3, 50])
@pytest.mark.parametrize("p", [LONG(x) for x in (*POWERS, "0", "1e-300", "1e4000", "-1e4000", "inf", "-inf")], ids=str)
def test_longdouble_bounds(n: int, p: np.longdouble) -> None:
    """max <= norm (min >= norm for p < 0), min <= mean <= max, and one element, or equal ones, are the mean."""
    for scale in (1, 1e-18, 1e300):
        a = abs(1 + LONG(scale) * normal((20, n), LONG))
        low, high = a.min(axis=1), a.max(axis=1)
        mean = pmean(a, p, 1)
        assert np.all((low <= mean) & (mean <= high))
        middle = logmeanexp(a, 1, alpha=p)
        assert np.all((low <= middle) & (middle <= high))
        assert np.array_equal(pmean(np.repeat(low, n).reshape(20, n), p, 1), low)
        if p != 0:
            norm = pnorm(-a, p, 1)
            assert np.all(norm <= low) if p < 0 else np.all(norm >= high)
            if n == 1:
                assert np.array_equal(norm, low)


def alike(x: Any, y: Any) -> bool:
    """Whether a longdouble result is that of doubles, to about half of their digits: sums may cancel."""
    with np.errstate(over="ignore", under="ignore"):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return bool(np.allclose(x, y, rtol=1e-8, atol=1e-13, equal_nan=True))


SPECIAL = np.array(list(itertools.product([-INF, INF, NAN, 0.0, -2.5, 3.0], repeat=3)))
SHARPNESS = [1.0, -1.0, 2.5, INF, -INF, 1e-12]
WEIGHTS = [None, *itertools.product([0.0, 1.0, -1.0, 2.0, INF, -INF, NAN], repeat=3)]


@pytest.mark.parametrize("alpha", SHARPNESS)
def test_longdouble_means_what_the_kernels_mean(alpha: float) -> None:
    wide = SPECIAL.astype(LONG)
    for b in WEIGHTS[:: 3 if alpha == 1 else 11]:  # not each 7th: those share their last weight
        if abs(alpha) < 1 and b is not None and min(b) < 0 < max(b):
            continue  # terms that are all but 1 cancel, down to a twelfth digit or beyond
        for keywords in ({}, {"initial": 0.5}, {"initial": -INF}, {"where": [True, False, True]}):
            got = logsumexp(wide, 1, b, return_sign=True, alpha=alpha, **keywords)
            want = logsumexp(SPECIAL, 1, b, return_sign=True, alpha=alpha, **keywords)
            assert alike(got[0], want[0]), (b, keywords)
            assert alike(got[1], want[1]), (b, keywords)
        assert alike(logsumexp(wide, 1, b, alpha=alpha), logsumexp(SPECIAL, 1, b, alpha=alpha)), b
        assert alike(boltzmann(wide, alpha, 1, b), boltzmann(SPECIAL, alpha, 1, b)), b
        assert alike(logmeanexp(wide, 1, b, alpha=alpha), logmeanexp(SPECIAL, 1, b, alpha=alpha)), b


def test_longdouble_means_are_those_of_the_kernels() -> None:
    """For alpha = 0, also where weights add up to 0."""
    for b in WEIGHTS[::5]:
        for function in (boltzmann, logmeanexp):
            got, want = (function(a, alpha=0.0, axis=1, b=b) for a in (SPECIAL.astype(LONG), SPECIAL))
            assert alike(got, want), (function, b)


@pytest.mark.parametrize("p", [1.0, 2.0, 0.5, 2.5, -1.0, -0.3, 1e-3, 0.0, INF, -INF, NAN])
def test_longdouble_powers_mean_what_the_kernels_mean(p: float) -> None:
    """But where powers are infinite, and weights negative; or weights are infinite, and elements or p negative."""
    for b in WEIGHTS[:: 11 if p == 2 else 23]:
        rows = SPECIAL
        if b is not None and not np.isinf(p):
            negative = any(w < 0 for w in b)
            if negative:
                rows = rows[(np.isfinite(rows) & (rows != 0)).all(axis=1)]
            if np.isinf(b).any():
                rows = rows[~(rows < 0).any(axis=1)]
                if negative or p < 0:
                    continue
        for where in (True, [True, False, True]):
            for function in (pnorm, pmean):
                got, want = (function(a, p, 1, b, where=where) for a in (rows.astype(LONG), rows))
                assert got.dtype == LONG
                assert alike(got, want), (function, b, where)


@pytest.mark.parametrize("dtype", [np.float64, LONG])
@pytest.mark.parametrize("a", [[], [0.0], [INF], [-INF], [1, 2], [INF, INF], [-INF, -INF]], ids=str)
def test_nan_parameters(level: str, dtype: Any, a: Any) -> None:
    """NaN whatever the elements, in one row of two."""
    x = np.tile(np.array(a, dtype), (2, 1))
    for function in (logsumexp, logmeanexp, boltzmann, pnorm, pmean, softmax, log_softmax):
        name = "p" if function in (pnorm, pmean) else "alpha"
        if a or function not in (logmeanexp, boltzmann, pmean):
            keywords: dict[str, Any] = {name: [[NAN], [2.0]]}
            got = function(x, axis=1, **keywords)
            assert np.isnan(got[0]).all()
            assert np.array_equal(got[1], function(x[1], **{name: 2.0}), equal_nan=True)
            assert np.isnan(function(x, **{name: NAN})).all()
    assert np.isnan(logsumexp(x, alpha=NAN, return_sign=True)).all()


@pytest.mark.parametrize("alpha", [*SHARPNESS, 0.0])
def test_longdouble_maps_mean_what_the_kernels_mean(alpha: float) -> None:
    for where in itertools.product([True, False], repeat=3):
        for function in (softmax, log_softmax):
            got = function(SPECIAL.astype(LONG), 1, alpha=alpha, where=where)
            assert got.dtype == LONG
            assert alike(got, function(SPECIAL, 1, alpha=alpha, where=where))


@pytest.mark.parametrize("dtype", [LONG, np.complex128])
def test_cancelled_maxima_hide_nothing(dtype: Any) -> None:
    a = np.array([1000, 1000, -20000], dtype)
    assert logsumexp(a, b=[1, -1, 1]) == -20000
    assert logsumexp(a, b=[1, -1, -1], return_sign=True) == (-20000, -1)
    assert logsumexp(a[:2], b=[1, -1], return_sign=True) == (-INF, 0)
    assert logsumexp(np.array([0, -40], dtype)) == logsumexp(np.array([0, -40], LONG)).astype(dtype)


def test_cancelled_means_and_norms_hide_nothing() -> None:
    a = np.array([1000, 1000, 1], LONG)
    assert logmeanexp(a, b=[1, -1, 1], alpha=100) == pnorm(a, 1e4, b=[1, -1, 1]) == pmean(a, 1e4, b=[1, -1, 1]) == 1
    assert pnorm(1 / a, -1e4, b=[1, -1, 1]) == pmean(1 / a, -1e4, b=[1, -1, 1]) == 1
    assert pnorm(a[:2], b=[1, -1]) == 0
    assert np.isnan([logmeanexp(a[:2], b=[1, -1]), pmean(a[:2], 2, b=[1, -1]), pnorm(a, b=[1, -1, -1])]).all()


def test_weights_whose_sum_overflows() -> None:
    largest = np.finfo(LONG).max
    assert logsumexp(np.zeros(4, LONG), b=np.full(4, largest)) == np.log(largest) + 2 * np.log(LONG(2))
    a, b = np.array([1, 3], LONG), np.full(2, largest)
    assert boltzmann(a, alpha=0, b=b) == logmeanexp(a, alpha=0, b=b) == pmean(a, 1, b=b) == 2
    assert abs(pnorm(a, 3, b=b) / np.cbrt(28) / np.cbrt(largest) - 1) < 1e-15


def test_parameters_are_longdouble() -> None:
    """A tenth that is not the double nearest to it."""
    tenth = LONG(1) / 10
    assert logsumexp(np.zeros(2, LONG), alpha=tenth) == np.log(LONG(2)) / tenth
    assert logsumexp(np.zeros((1, 2), LONG), axis=1, alpha=[tenth]) == np.log(LONG(2)) / tenth
    assert logsumexp(np.zeros(0, LONG), initial=tenth) == tenth


@pytest.mark.parametrize("dtype", [LONG, np.complex64, np.complex128])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), ()])
def test_plain_layouts_and_blocks(dtype: Any, axis: Any) -> None:
    """More than one block of outputs; the values of each alone, whatever the layout, masks, weights or `out`."""
    a = normal((24, 50, 30), dtype)
    if np.iscomplexobj(a):
        a.imag = a.real[::-1]
    weights = abs(normal((50, 1), np.zeros(0, dtype).real.dtype))
    where = normal((24, 1, 30), np.float64) > -1
    alpha = np.abs(normal((24, 1, 1), np.float64)) + 0.5
    alpha = np.broadcast_to(alpha, a.shape).max(axis=axis, keepdims=True)
    for view in (a, np.asfortranarray(a), a[::-1].copy()[::-1], a.astype(a.dtype.newbyteorder())):
        got = logsumexp(view, axis, weights, alpha=alpha, where=where)
        assert got.dtype == dtype
        terms = weights * np.exp(alpha * a.astype(np.result_type(dtype, float)))
        with np.errstate(all="ignore"):  # where nothing is left
            want = np.reshape(np.log(np.sum(terms, axis=axis, where=where, keepdims=True)) / alpha, got.shape)
        some = np.isfinite(want)
        error = 1e-5 if dtype == np.complex64 else 1e-13  # a sum of up to 36000, in the precision of the input
        assert np.allclose(got[some], want[some], rtol=error, atol=error)
        assert np.all(got[~some] == -INF)
        assert np.array_equal(got, logsumexp(a, axis, weights, alpha=alpha, where=where))
        shares = softmax(view, axis, alpha=alpha, where=where)
        assert shares.dtype == dtype
        assert np.allclose(shares.sum(axis=axis), np.broadcast_to(where, a.shape).any(axis), rtol=error, atol=error)
        assert np.all(np.broadcast_to(where, a.shape) | (shares == 0))
        out = np.zeros_like(view)
        assert softmax(view, axis, alpha=alpha, where=where, out=out) is out
        assert np.array_equal(out, shares)
    inside = a.copy()
    assert np.array_equal(log_softmax(inside, axis, out=inside), log_softmax(a, axis))


@pytest.mark.parametrize("dtype", [LONG, np.complex128])
def test_plain_masks(dtype: Any) -> None:
    a = np.ma.MaskedArray(np.ones((2, 2), dtype), [[True, True], [False, True]])
    for result in (logsumexp(a, axis=1), softmax(a, axis=1)[:, 0]):
        assert result.dtype == dtype
        assert list(result.mask) == [True, False]
        assert result[1] == 1
    assert logsumexp(np.ones(2, dtype), b=np.ma.MaskedArray([1, 5], [False, True])) == 1


def test_plain_outputs_without_elements() -> None:
    for dtype in (LONG, np.complex128):
        assert np.array_equal(logsumexp(np.zeros((2, 0), dtype), axis=1), np.full(2, -INF, dtype))
        assert logsumexp(np.zeros((0, 2), dtype), axis=1).shape == (0,)
        assert softmax(np.zeros((2, 0), dtype), axis=1).shape == (2, 0)
    assert np.array_equal(boltzmann(np.ones((2, 2), LONG), 1.0, 1, [[0, 0], [1, 0]]), [NAN, 1], equal_nan=True)
    with pytest.raises(ValueError, match="boltzmann: a reduction of no elements"):
        boltzmann(np.zeros(0, LONG))


# Complex numbers


def quietly(function: Any, *arguments: Any, **keywords: Any) -> Any:
    """SciPy's answer, without its warnings."""
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return function(*arguments, **keywords)


@pytest.mark.parametrize("dtype", [float, complex])
def test_documented_examples_of_scipy(dtype: Any) -> None:
    a = np.arange(10).astype(dtype)
    for b in (None, np.arange(10, 0, -1)):
        got, want = logsumexp(a, b=b), quietly(scipy.special.logsumexp, a, b=b)
        assert type(got) is type(want)
        assert abs(got - want) <= 4 * np.spacing(abs(want))  # both are off by 1 or 2
    got = logsumexp(np.array([1, 2], dtype), b=[1, -1], return_sign=True)
    want = quietly(scipy.special.logsumexp, np.array([1, 2], dtype), b=[1, -1], return_sign=True)
    assert got == want
    assert [type(x) for x in got] == [type(x) for x in want]
    x = np.array([[1, 0.5, 0.2, 3], [1, -1, 7, 3], [2, 12, 13, 3]], dtype)
    for axis in (None, 0, 1):
        for function in ("softmax", "log_softmax"):
            got, want = globals()[function](x, axis), getattr(scipy.special, function)(x, axis)
            assert np.allclose(got, want, rtol=1e-14, atol=4e-15)  # SciPy's are off by eps times 13
            assert got.dtype == want.dtype


@pytest.mark.parametrize("n", [1, 2, 3, 10, 200])
@pytest.mark.parametrize("offset", [0, -30, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
@pytest.mark.parametrize("alpha", [1.0, -2.5, 0.3])
def test_error_of_complex(n: int, offset: float, scale: float, alpha: float) -> None:
    """4 units of eps, 2 for either part: of the result, and of what as large errors of the input cause."""
    rng = np.random.default_rng(n)
    a = (rng.normal(size=n) + 1j * rng.normal(size=n)) * scale + offset
    for b in (None, rng.normal(size=n) + 1j * rng.normal(size=n), rng.normal(size=n)):
        with mp.workprec(200):
            w = [mpc(1)] * n if b is None else [mpc(x) for x in b]
            term = [u * mp.exp(alpha * mpc(x)) for u, x in zip(w, a, strict=True)]
            total = mp.fsum(term)
            value = mp.log(total) / mpf(alpha)  # the principal logarithm
            caused = mp.fsum([abs(t) * (abs(x) + 1 / abs(alpha)) for t, x in zip(term, a, strict=True)]) / abs(total)
            bound = 4 * mpf(2) ** -52 * (caused + abs(value))
            got = logsumexp(a, b=b, alpha=alpha)
            assert type(got) is np.complex128
            assert -np.pi < got.imag * alpha <= np.pi * (1 + 2**-52)
            assert abs(mpc(got) - value) <= bound
            size, phase = logsumexp(a, b=b, alpha=alpha, return_sign=True)
            assert type(size) is np.float64
            assert abs(mpf(size) - value.real) <= bound
            assert abs(mpc(phase) - total / abs(total)) <= bound * abs(alpha) + mpf(2) ** -51
            if b is None:
                for got_share, t in zip(softmax(a, alpha=alpha)[:5], term, strict=False):
                    assert abs(mpc(got_share) - t / total) <= bound * abs(alpha) * (abs(t / total) + 1)


def test_branch_cut() -> None:
    """On the negative real axis the imaginary part is pi, not -pi, and it is in (-pi, pi] beyond."""
    for a in (1j * np.pi, -1j * np.pi, 3j * np.pi, complex(0, -np.pi)):
        got = logsumexp([a])
        assert -np.pi < got.imag <= np.pi
        assert abs(abs(got.imag) - np.pi) <= 4 * np.spacing(np.pi)  # 3 * pi is rounded
    assert logsumexp([-1j * np.pi]) == logsumexp([1j * np.pi]) == 1j * np.pi
    assert logsumexp([0j], b=[-1]) == logsumexp([0j], b=[complex(-1, -0.0)]) == 1j * np.pi
    assert logsumexp([1.0, 2.0], b=[1, -1 + 0j]).imag == np.pi
    assert abs(logsumexp([4j]).imag - (4 - 2 * np.pi)) <= 2 * np.spacing(2.0)  # either may be off by one
    assert logsumexp([complex(0, 1e-300)]) == complex(0, 1e-300)
    angles = np.linspace(-20, 20, 4001)
    got = logsumexp(1j * angles[:, np.newaxis].astype(np.complex64), axis=1)
    assert got.dtype == np.complex64
    assert np.all((got.imag > -np.float32(np.pi)) & (got.imag <= np.float32(np.pi)))


PARTS = [complex(x, y) for x in (-INF, INF, NAN, 0.0, -1.0) for y in (0.0, -0.0, 1.0, 3.0, -3.0, np.pi, INF, NAN, -INF)]


@pytest.mark.parametrize("first", [None, *PARTS], ids=str)
def test_complex_infinities(first: complex | None) -> None:
    """As SciPy has them, but that a NaN imaginary part leaves an infinite real one, as C has it."""

    def same(x: float, y: float) -> bool:
        return x == y or (np.isnan(x) and np.isnan(y)) or abs(x - y) < 1e-15

    for second in PARTS:
        a = np.array([second] if first is None else [first, second])
        got, want = logsumexp(a), quietly(scipy.special.logsumexp, a)
        if np.isposinf(got.real) and np.isnan(got.imag):
            assert np.isnan(want)
        else:
            assert same(got.real, want.real), a
            assert same(got.imag, want.imag), a
        size, sign = logsumexp(a, return_sign=True)
        assert same(size, got.real)
        if not (cmath.isnan(got) or cmath.isinf(got)):
            assert abs(sign - np.exp(1j * got.imag)) < 1e-15
        elif np.isneginf(size):
            assert sign == 0


def test_complex_infinities_of_maps() -> None:
    """Elements with a real part of +inf share the whole, by their phases."""
    a = np.array([1, 1, complex(INF, 0)])
    assert np.array_equal(softmax(a), [0, 0, 1])
    assert np.array_equal(log_softmax(a), [-INF, -INF, 0])
    assert np.allclose(softmax([complex(INF, 1), complex(INF, 0)]), np.exp([1j, 0]) / np.exp([1j, 0]).sum(), rtol=1e-15)
    assert np.isnan(softmax([complex(-INF, 0)] * 2)).all()
    assert np.array_equal(softmax([complex(-INF, 0), 2j]), [0, 1])
    assert np.array_equal(softmax([0j, 1j], alpha=0.0), [0.5, 0.5])


def test_infinite_sharpness_of_complex() -> None:
    """Phases vanish in the limit, for they are divided by alpha; weights only say what exists."""
    a = np.array([1 + 2j, 3 - 1j, 7])
    assert logsumexp(a, alpha=INF) == 7
    assert logsumexp(a, alpha=-INF) == 1
    assert logsumexp(a, b=[1j, -1, 0], alpha=INF) == 3


def test_absent_complex_elements() -> None:
    a = np.array([1 + 2j, complex(NAN, 1), complex(INF, 0)])
    assert logsumexp(a, b=[1, 0, 0]) == logsumexp(a, where=[True, False, False]) == logsumexp(a[:1])
    assert logsumexp(a, b=[0, 0, 0], return_sign=True) == (-INF, 0)
    assert logsumexp([complex(-INF, 0), 1j], b=[INF, 1]) == 1j
    assert logsumexp(a[:1], initial=0.5) == logsumexp([*a[:1], 0.5])


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("longdouble", "float32", "longdouble"),
        ("int8", "longdouble", "longdouble"),
        ("float16", "longdouble", "longdouble"),
        ("complex64", "float32", "complex64"),
        ("complex64", "int8", "complex128"),
        ("float32", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("complex64", "complex128", "complex128"),
        ("longdouble", "complex64", "clongdouble"),
        ("clongdouble", "float16", "clongdouble"),
    ],
)
def test_common_plain_dtypes(a: str, b: str, result: str) -> None:
    expected = np.dtype(result)
    x, y = np.ones(3, a), np.ones(3, b)
    value = logsumexp(x, b=y)
    assert value.dtype == expected
    assert abs(value - np.log(np.float64(3)) - 1) < 1e-6
    size, sign = logsumexp(x, b=y, return_sign=True)
    assert (size.dtype, sign.dtype) == (np.zeros(1, expected).real.dtype, expected)
    assert logsumexp(x, b=2.5).dtype == np.result_type(np.zeros(1, a), np.float64 if a == "int8" else np.float16)


def test_refused() -> None:
    for name, dtype in itertools.product(("a", "b"), ("complex64", "complex128", "clongdouble")):
        arguments = {"a": np.ones(2), name: np.ones(2, dtype)}
        for function in (boltzmann, logmeanexp, pnorm, pmean):
            with pytest.raises(TypeError, match=f"{function.__name__}: {name} has dtype {np.dtype(dtype)}; it must be"):
                function(**arguments, **({"p": 1} if function is pmean else {}))
        for function, first in ((logsumexp_bounds, "a"), (conjugate, "p")):
            with pytest.raises(
                TypeError, match=f"{function.__name__}: {first} has dtype {np.dtype(dtype)}; it must be"
            ):
                function(np.ones(2, dtype))
    for function in (logsumexp, boltzmann, softmax, log_softmax, logmeanexp, pnorm, logsumexp_bounds, conjugate):
        for dtype in ("O", "U1", "M8[s]", "m8[s]", "f4,f4"):
            with pytest.raises(TypeError, match=f"{function.__name__}: [ap] has dtype"):
                function(np.zeros(2, dtype))
    with pytest.raises(TypeError, match="out has dtype float64"):
        logsumexp(np.ones(2, complex), out=np.zeros(()))
    out = np.zeros(())
    assert logsumexp(np.ones(2, complex), return_sign=True, out=out)[0] is out
    with pytest.raises(TypeError, match="alpha has dtype complex128"):
        logsumexp(np.ones(2, complex), alpha=1j)
