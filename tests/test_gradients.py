"""csmooth.grad: right answers, what every input gets, the same bits in any layout, and errors in ulp.

``python tests/test_gradients.py`` prints the worst errors as a table.
"""

from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf
from reference import LEVELS, running, same_bits
from test_one_answer import LAYOUTS

import csmooth
from csmooth import grad

pytestmark = pytest.mark.usefixtures("level", "floating_point_errors_raise")  # all of this holds at every level

INF, NAN = np.inf, np.nan
BOUND = 3  # units of ulp(result) * max(1, condition number), which no derivative may exceed
EPSILON = 2.0**-52
LONG = np.longdouble
BITS = 300  # enough for what cancels below: at most a third of them, where alpha**2 * variance is 1e-30
PARAMETER = {"logsumexp": "alpha", "logmeanexp": "alpha", "boltzmann": "alpha", "pnorm": "p", "pmean": "p"}
POWERS = ("pnorm", "pmean")
every = pytest.mark.parametrize("name", PARAMETER)


def both(name: str, a: Any, parameter: Any, **keywords: Any) -> tuple[Any, Any, Any]:
    """The value, the gradient and the slope, the derivative by the parameter."""
    key = PARAMETER[name]
    value, (gradient, slope) = getattr(grad, name)(a, wrt=("a", key), **{key: parameter}, **keywords)
    return value, gradient, slope


# The definition in many digits


class Right(NamedTuple):
    """Of one output: what is right, and the condition numbers.

    A condition number is the sum of abs(x * d result / d x) over all x, elements and weights, over abs(result): the
    relative error that relative errors of 1 in all of them may cause, at most. Of the slope it is given times the
    slope, as `slope_error`; where the elements are equal, that is 0 like the slope itself, and `slope_floor` counts:
    the slope of elements that are one rounding off.
    """

    value: Any
    value_condition: float
    gradient: list[Any]
    condition: np.ndarray
    slope: Any
    slope_error: Any
    slope_floor: float


def right(name: str, a: np.ndarray, b: np.ndarray | None, parameter: float) -> Right:
    counts = Counter(zip(a.tolist(), [1.0] * a.size if b is None else b.tolist(), strict=True))
    keys = list(counts)
    with mp.workprec(BITS):
        x, w, n = [mpf(k[0]) for k in keys], [mpf(k[1]) for k in keys], list(counts.values())
        found = (of_powers if name in POWERS else of_exponentials)(name, x, w, n, mpf(parameter), b is not None)
        index = {key: i for i, key in enumerate(keys)}
        order = [index[key] for key in zip(a.tolist(), [1.0] * a.size if b is None else b.tolist(), strict=True)]
        return found._replace(gradient=[found.gradient[i] for i in order], condition=found.condition[order])


def of_exponentials(
    name: str, a: list[Any], b: list[Any], n: list[int], alpha: Any, weighted: bool, conditions: bool = True
) -> Right:
    """Of the elements a with the weights b, each n times."""
    whole = mp.fsum(k * w for k, w in zip(n, b, strict=True))
    top = max(alpha * x for x in a)
    terms = [w * mp.exp(alpha * x - top) for x, w in zip(a, b, strict=True)]
    total = mp.fsum(k * t for k, t in zip(n, terms, strict=True))
    q = [t / total for t in terms]
    every = list(zip(n, a, q, b, strict=True))
    mean = mp.fsum(k * p * x for k, x, p, _ in every)
    c = [x - mean for x in a]
    floor = 0.0
    roundoff = (EPSILON * float(max(abs(x) for x in a))) ** 2
    if name == "boltzmann":
        value, gradient = mean, [p * (1 + alpha * y) for p, y in zip(q, c, strict=True)]
        slope = mp.fsum(k * p * y * y for k, p, y in zip(n, q, c, strict=True))
        floor = roundoff
    else:
        value = (top + mp.log(total / whole if name == "logmeanexp" else total)) / alpha
        gradient, slope = q, (mean - value) / alpha
        floor = roundoff / 2 if name == "logmeanexp" else 0.0
    if not conditions:
        return Right(value, 0.0, gradient, np.zeros(0), slope, 0, floor)
    if name == "boltzmann":
        error = mp.fsum(
            k * abs(p) * (abs((2 * y + alpha * (y * y - slope)) * x) + weighted * abs(y * y - slope))
            for (k, x, p, _), y in zip(every, c, strict=True)
        )
        of_value = mp.fsum(
            k * abs(g * x) + weighted * k * abs(p * y) for (k, x, p, _), g, y in zip(every, gradient, c, strict=True)
        ) + mp.fsum(k * abs(p) * abs(x) for k, x, p, _ in every)
        condition = condition_of_boltzmann(
            *(np.array(z, np.float64) for z in (a, n, q, c, gradient)), float(alpha), weighted
        )
    else:
        error = mp.fsum(k * abs(p) * abs(y * x) for (k, x, p, _), y in zip(every, c, strict=True))
        of_value = mp.fsum(k * abs(p) * abs(x) for k, x, p, _ in every)
        if weighted:
            shares = [w / whole if name == "logmeanexp" else mpf(0) for w in b]
            error += mp.fsum(
                k * abs(p * y / alpha - (p - s) / alpha**2) for k, p, y, s in zip(n, q, c, shares, strict=True)
            )
            of_value += mp.fsum(k * abs(p - s) for k, p, s in zip(n, q, shares, strict=True)) / abs(alpha)
        size = mp.fsum(k * abs(p) * abs(x) for k, x, p, _ in every)
        shares_of_all = mp.fsum(k * abs(p) for k, _, p, _ in every)
        condition = np.array(
            [
                float(
                    abs(alpha) * (abs(x) * abs(1 - p) + size - abs(p * x))
                    + weighted * (abs(1 - p) + shares_of_all - abs(p))
                )
                for _, x, p, _ in every
            ]
        )
    return Right(value, float(of_value / abs(value)) if value else INF, gradient, condition, slope, error, floor)


def condition_of_boltzmann(
    a: np.ndarray, n: np.ndarray, q: np.ndarray, c: np.ndarray, g: np.ndarray, alpha: float, weighted: bool
) -> np.ndarray:
    """Of each element of the gradient; the derivative by another element of the same value differs from its own."""
    with np.errstate(all="ignore"):
        apart = -alpha * np.outer(q, q) * (2 + alpha * np.add.outer(c, c))
        own = q * alpha * (2 + alpha * c)
        size = np.abs(apart * a) @ n + (np.abs(np.diag(apart) + own) - np.abs(np.diag(apart))) * np.abs(a)
        if weighted:
            apart = -np.outer(g, q) - alpha * np.outer(q, q * c)
            size += np.abs(apart) @ n + np.abs(np.diag(apart) + g) - np.abs(np.diag(apart))
        return np.where(g == 0, 0, size / np.abs(g))


def of_powers(
    name: str, a: list[Any], b: list[Any], n: list[int], p: Any, weighted: bool, conditions: bool = True
) -> Right:
    sizes = [abs(x) for x in a]
    logs = [mp.log(x) for x in sizes]
    whole = mp.fsum(k * w for k, w in zip(n, b, strict=True)) if name == "pmean" else mpf(1)
    w = [y / whole for y in b]
    if p:
        log = mp.log(mp.fsum(k * y * mp.exp(p * z) for k, y, z in zip(n, w, logs, strict=True))) / p
    else:
        log = mp.fsum(k * y * z for k, y, z in zip(n, w, logs, strict=True))
    value = mp.exp(log)
    u = [z - log for z in logs]
    s = [y * mp.exp(p * z) for y, z in zip(w, u, strict=True)]
    gradient = [mp.sign(x) * y * value / abs(x) for x, y in zip(a, s, strict=True)]
    if p:
        slope = value / p * mp.fsum(k * y * z for k, y, z in zip(n, s, u, strict=True))
    else:
        slope = value / 2 * mp.fsum(k * y * z * z for k, y, z in zip(n, s, u, strict=True))
    # One element is its norm: what is left is the error of its logarithm in double-double, 2**-66 or less; for small p
    # see test_slope_of_one_element.
    floor = float(value) * (EPSILON**2 / 2 if name == "pmean" else 2.0**-64 / abs(float(p)))
    if name == "pnorm" and sum(n) == 1 and abs(p) < 0.1:
        floor *= 2.0**7
    if not conditions:
        return Right(value, 0.0, gradient, np.zeros(0), slope, 0, floor)
    relative = slope / value
    error = mp.fsum(k * value * y * abs(z - (p - 1) * relative) for k, y, z in zip(n, s, u, strict=True))
    condition = [abs(p - 1) * 2 * (1 - y) for y in s]
    of_value = mpf(1)
    if weighted:
        shares = w if name == "pmean" else [mpf(0)] * len(w)
        if p:  # of the logarithm of the value, by that of a weight, and its derivative by p
            first = [(y - h) / p for y, h in zip(s, shares, strict=True)]
            second = [(y * (z - p * relative) - f) / p for y, z, f in zip(s, u, first, strict=True)]
        else:
            first = [h * z for h, z in zip(shares, u, strict=True)]
            second = [h * (z * z / 2 - relative) for h, z in zip(shares, u, strict=True)]
        error += mp.fsum(k * abs(slope * f + value * g) for k, f, g in zip(n, first, second, strict=True))
        of_value += mp.fsum(k * abs(f) for k, f in zip(n, first, strict=True))
        all_of = mp.fsum(k * abs(-h - (p - 1) * f) for k, h, f in zip(n, shares, first, strict=True))
        condition = [
            z + all_of - abs(h + (p - 1) * f) + abs(1 - h - (p - 1) * f)
            for z, h, f in zip(condition, shares, first, strict=True)
        ]
    return Right(value, float(of_value), gradient, np.array(condition, np.float64), slope, error, floor)


def units_of_gradient(got: np.ndarray, exact: Right) -> float:
    """The worst error in units of ulp * max(1, condition number); the ulp of what vanishes is the smallest number."""
    with mp.workprec(BITS):
        unit = [2.0**200 if abs(g) < 1e-250 else 1.0 for g in exact.gradient]
        high = np.array([float(g * k) for g, k in zip(exact.gradient, unit, strict=True)])
        low = np.array([float(g * k - h) for g, k, h in zip(exact.gradient, unit, high.tolist(), strict=True)])
    with np.errstate(all="ignore"):
        ulp = np.spacing(np.abs(high / unit)) * unit
        error = np.abs((got * unit - high) - low) / ulp / np.maximum(1, exact.condition)
    error[~np.isfinite(high)] = np.where(got == high, 0, INF)[~np.isfinite(high)]
    assert not np.isnan(error).any()
    return float(error.max())


def units_of_slope(got: float, exact: Right) -> float:
    """The error in units of ulp(result) * max(1, condition number), or what is more, of the floor."""
    with mp.workprec(BITS):
        nearest = float(abs(exact.slope))
        allowed = mpf(float(np.spacing(nearest)))
        if nearest:
            allowed *= max(1, exact.slope_error / abs(exact.slope))
        return float(abs(mpf(float(got)) - exact.slope) / max(allowed, mpf(exact.slope_floor) / BOUND))


# Inputs


class Input(NamedTuple):
    name: str
    a: np.ndarray
    b: np.ndarray | None
    parameter: float


SIZES = [1, 2, 3, 5, 8, 17, 32, 33, 64, 100]
CASES = 300  # inputs of each function, and a few large ones


@cache
def inputs(name: str) -> list[tuple[Input, Right]]:
    rng = np.random.default_rng(11)
    found: list[tuple[Input, Right]] = []
    while len(found) < CASES + 3:
        n = SIZES[len(found) % len(SIZES)] if len(found) < CASES else [1000, 4097, 20000][len(found) - CASES]
        distinct = min(n, 60)  # the others repeat them, which makes the reference quick
        scale = rng.choice([0.0, 1e-6, 1e-3, 1.0, 1.0, 5.0, 30.0])
        if name in POWERS:
            a = np.exp(scale * rng.normal(size=distinct).clip(-3, 3)) * rng.choice([1.0, 1.0, 3.0, 1e3, 1e-7])
            parameter = float(
                rng.choice([2.0, 1.0, 0.5, 3.5, -1.0, 10 ** rng.uniform(-9, 1.3), -(10 ** rng.uniform(-3, 1.3))])
            )
            if name == "pmean" and rng.random() < 0.1:
                parameter = 0.0
            if name == "pnorm":
                a *= rng.choice([-1, 1], distinct)
        else:
            a = rng.choice([0.0, 0.0, 1.0, -3.0, 1e3, 1e6]) + scale * rng.normal(size=distinct)
            parameter = float(rng.choice([1.0, -1.0, *rng.choice([-1, 1], 4) * 10 ** rng.uniform(-9, 1.3, 4)]))
        b = rng.random(distinct) + 1e-3 if rng.random() < 0.5 else None
        chosen = np.concatenate([np.arange(distinct), rng.integers(distinct, size=n - distinct)])
        given = Input(name, a[chosen], None if b is None else b[chosen], parameter)
        exact = right(*given)
        # Norms that over- or underflow have other rules.
        if name not in POWERS or 1e-300 < exact.value < 1e300:
            found.append((given, exact))
    return found


def worst_errors(name: str) -> dict[str, tuple[float, Input]]:
    worst: dict[str, tuple[float, Input]] = {}
    for given, exact in inputs(name):
        _, gradient, slope = both(name, given.a, given.parameter, b=given.b)
        for kind, error in (("gradient", units_of_gradient(gradient, exact)), ("slope", units_of_slope(slope, exact))):
            worst[kind] = max(worst.get(kind, (0.0, given)), (error, given), key=lambda pair: pair[0])
    return worst


@every
def test_errors(name: str) -> None:
    for kind, (error, given) in worst_errors(name).items():
        assert error <= BOUND, (kind, error, given)


@pytest.mark.parametrize("p", [2.0, 0.5, -0.256, 3.5, 20.0, 0.02, -0.01, 1e-3, 2e-4])
@pytest.mark.parametrize("scale", [3, 30, 90])
def test_slope_of_one_element(p: float, scale: float) -> None:
    """A norm of one element is it for all p. Its logarithm has an error of 2**-64, but for small p, by which
    that of a sum is divided.
    """
    a = np.exp(scale * np.random.default_rng(0).normal(size=(300, 1)))
    _, gradient, slope = both("pnorm", a, p, axis=1)
    assert (np.abs(slope * p) <= a[:, 0] * 2.0 ** (-55 if abs(p) < 0.1 else -62)).all()
    # What is 1 has no condition number; a tenth of an ulp for each unit of p is left of the logarithm.
    assert (np.abs(gradient - 1) <= EPSILON * max(1, abs(p) / 10)).all()


@pytest.mark.parametrize("name", ["pnorm", "pmean"])
@pytest.mark.parametrize("p", [0.7, 1.5, 2.5, 3.0, 7.3])
def test_slope_where_one_weight_is_nearly_all(name: str, p: float) -> None:
    """The logarithm of that element's share, of which the other one is 1e-25, must not be noise."""
    a, b = np.array([1.7, 2.1]), np.array([1, 1e-25])
    assert units_of_slope(both(name, a, p, b=b)[2], right(name, a, b, p)) <= BOUND


@pytest.mark.parametrize("name", ["logsumexp", "logmeanexp", "boltzmann"])
def test_errors_with_weights_of_both_signs(name: str) -> None:
    rng = np.random.default_rng(5)
    found = 0
    while found < 60:
        n, scale = int(rng.choice([2, 3, 5, 8, 17, 33, 64])), rng.choice([1e-3, 1.0, 5.0, 30.0])
        a = rng.choice([0.0, 1.0, -3.0, 1e3]) + scale * rng.normal(size=n)
        b, alpha = rng.normal(size=n), float(rng.choice([1.0, -1.0, 1e-6, 3.0, -0.1]))
        a = np.round(a) if rng.random() < 0.3 else a
        if csmooth.logsumexp(a, b=b, alpha=alpha, return_sign=True)[1] < 1 or b.sum() <= 0:
            continue
        found += 1
        exact = right(name, a, b, alpha)
        _, gradient, slope = both(name, a, alpha, b=b)
        assert units_of_gradient(gradient, exact) <= BOUND
        assert units_of_slope(slope, exact) <= BOUND


LIMITS: dict[str, list[tuple[Any, ...]]] = {
    "logsumexp": [
        ([INF, 0], 1.0, INF, [1, 0], 0),
        ([INF, INF], 1.0, INF, [0.5, 0.5], 0),
        ([-INF, -INF], 1.0, -INF, [0, 0], 0),
        ([-INF, -INF], -1.0, -INF, [0.5, 0.5], 0),
        ([-INF, -INF], NAN, NAN, [NAN, NAN], NAN),
        ([NAN, 0], 1.0, NAN, [NAN, NAN], NAN),
        ([NAN, -INF], 1.0, NAN, [NAN, NAN], NAN),
        ([INF, NAN], -INF, NAN, [NAN, NAN], NAN),
        ([1, 2, 2], INF, 2, [0, 0.5, 0.5], 0),
    ],
    "logmeanexp": [
        ([INF, 0], 0.0, INF, [0.5, 0.5], 0),
        ([NAN, 0], 0.0, NAN, [NAN, NAN], NAN),
        ([NAN, 0], 1.0, NAN, [NAN, NAN], NAN),
        ([NAN, -INF], 1.0, NAN, [NAN, NAN], NAN),
        ([1e20, 1e20], 1.0, 1e20, [0.5, 0.5], 0),
    ],
    "boltzmann": [
        ([INF, 0], 1.0, INF, [1, 0], 0),
        ([NAN, 0], 1.0, NAN, [NAN, NAN], NAN),
        ([NAN, -INF], 1.0, NAN, [NAN, NAN], NAN),
        ([1e20, 1e20], 1.0, 1e20, [0.5, 0.5], 0),
        ([1, 1, 2], -INF, 1, [0.5, 0.5, 0], 0),
    ],
    "pnorm": [
        ([0, 0], 2.0, 0, [0, 0], 0),
        ([INF, 1], -1.0, 1, [0, 1], 0),
        ([INF, 1], 0.0, 2, [0, 0], 0),
        ([NAN, 1], 0.0, NAN, [NAN, NAN], NAN),
        ([-2, 2, 1], INF, 2, [-0.5, 0.5, 0], 0),
    ],
    "pmean": [
        ([0, 0], 2.0, 0, [0, 0], 0),
        ([-2, 2, 1], INF, NAN, [NAN] * 3, NAN),
        ([2, 2], 0.0, 2, [0.5, 0.5], 0),
    ],
}


@every
def test_limits(name: str) -> None:
    for a, parameter, value, gradient, slope in LIMITS[name]:
        for dtype in (np.float64, np.longdouble):
            for got, exact in zip(both(name, np.array(a, dtype), parameter), (value, gradient, slope), strict=True):
                np.testing.assert_array_equal(got, exact, err_msg=f"{a} {parameter}")


def test_powers_that_overflow_or_vanish() -> None:
    """An element whose derivative overflows still has a share; a 0 beside it has none."""
    a = np.array([1e-300, 1e20, 0.0])
    exact = right("pnorm", a[:2], None, 0.01)
    _, gradient, slope = both("pnorm", a, 0.01)
    assert gradient[0] == INF
    assert gradient[2] == 0
    assert units_of_slope(slope, exact) <= BOUND


def test_largest_numbers() -> None:
    a = np.array([1e308, 1e308, 1.5e308])
    for name in POWERS:
        exact = right(name, a, None, 3.0)
        _, gradient, slope = both(name, a, 3.0)
        assert units_of_gradient(gradient, exact) <= BOUND
        assert units_of_slope(slope, exact) <= BOUND


@every
def test_value_is_that_of_the_function(name: str) -> None:
    """Whatever is wanted beside it; logsumexp and boltzmann take sums in another way, each right within 2 units."""
    for given, exact in inputs(name):
        key = {PARAMETER[name]: given.parameter}
        value, _, _ = both(name, given.a, given.parameter, b=given.b)
        plain = getattr(csmooth, name)(given.a, b=given.b, **key)
        if name in ("logsumexp", "boltzmann"):
            assert abs(value - plain) <= 2 * np.spacing(abs(plain)) * max(1, exact.value_condition)
        else:
            assert same_bits(value, plain)


@every
def test_as_each_row_alone(name: str) -> None:
    """In any layout, gradient and slope have the bits of each row by itself."""
    rng = np.random.default_rng(2)
    for _ in range(300):
        rows, n = rng.integers(1, 40), rng.choice([1, 3, 8, 31, 33, 65, 257, 300])
        a = rng.normal(size=(rows, n))
        a = np.abs(a) if name == "pmean" else a
        b = rng.random(a.shape) if rng.random() < 0.3 else None
        parameter = float(rng.choice([1.0, 2.0, 0.3, -1.5]))
        layout = rng.choice([key for key in LAYOUTS if key != "stride 0"])
        _, gradient, slope = both(name, LAYOUTS[layout](rng, a), parameter, axis=1, b=b)
        columns = both(name, np.asfortranarray(a).T, parameter, axis=0, b=None if b is None else b.T)
        assert same_bits(columns[1].T, np.asarray(gradient))
        assert same_bits(columns[2], slope)
        row = int(rng.integers(rows))
        alone = both(name, a[row].copy(), parameter, b=None if b is None else b[row].copy())
        assert same_bits(alone[1], np.asarray(gradient)[row].copy())
        assert same_bits(alone[2], slope[row])


@every
@pytest.mark.parametrize("parameter", [2.0, -1.0, INF, -INF, 0.0])
def test_absent_elements_have_no_derivative(name: str, parameter: float) -> None:
    """Left out by `where`, a mask or a weight of 0, they have 0, whatever they are; the others are as without them."""
    if name == "logsumexp" and parameter == 0:
        pytest.skip("logsumexp has no alpha = 0")
    key = {PARAMETER[name]: parameter}
    a, there = np.array([1.0, NAN, 3.0, INF, 2.0]), np.array([True, False, True, False, True])
    for keywords in ({"where": there}, {"b": there}):
        value, gradient = getattr(grad, name)(a, **key, **keywords)
        alone = getattr(grad, name)(a[there], **key, b=None if "where" in keywords else np.ones(3))
        np.testing.assert_array_equal(gradient[~there], 0)
        # The sums have other lanes: 3 units on either side, of condition numbers up to 2 * |alpha| * max(a) < 16.
        np.testing.assert_allclose(gradient[there], alone[1], rtol=2 * BOUND * 16 * EPSILON)
        np.testing.assert_allclose(value, alone[0], rtol=2 * BOUND * 16 * EPSILON)
        nothing = {"where" if "where" in keywords else "b": np.zeros(5, bool)}
        np.testing.assert_array_equal(getattr(grad, name)(a, **key, **nothing)[1], 0)
    masked = getattr(grad, name)(np.ma.MaskedArray(a, ~there), **key)[1]
    np.testing.assert_array_equal(masked.mask, ~there)
    np.testing.assert_array_equal(masked.data[~there], 0)


@pytest.mark.parametrize(
    ("a", "p", "gradient"),
    [
        (np.array([-128, 1], np.int8), INF, [-1.0, 0.0]),  # has no opposite among its like
        (np.array([-128, 1], np.int8), -INF, [0.0, 1.0]),
        (np.array([-(2**63), 1]), INF, [-1.0, 0.0]),
        (np.array([True, False]), 2.0, [1.0, 0.0]),
        (np.array([True, False]), INF, [1.0, 0.0]),
        (np.array([-2.0, 3.0, 1.0]), INF, [0.0, 1.0, 0.0]),  # no -0.0
    ],
)
def test_signs_of_norms(a: np.ndarray, p: float, gradient: list[float]) -> None:
    assert same_bits(grad.pnorm(a, p)[1], np.array(gradient))


def test_sums_over_weights_keep_their_digits() -> None:
    """An element that weights spread has the sum of its derivatives, which float32 would not hold: 1e5 roundings."""
    weights = np.ones((100000, 2), np.float32)
    share = grad.logsumexp(np.float32([1, 2]))[1]
    _, gradient = grad.logsumexp(np.float32([1, 2]), axis=1, b=weights)
    np.testing.assert_allclose(gradient, 1e5 * share.astype(float), rtol=(2 * BOUND + 1) * np.finfo(np.float32).eps)


@pytest.mark.parametrize(
    ("name", "a", "b", "parameter", "value", "gradient"),
    [
        ("logsumexp", [1, 1], [1, -1], 1.0, -INF, [0, 0]),  # cancelled: -inf as if nothing were there
        ("logsumexp", [1, 1], [1, -1], -1.0, INF, [0, 0]),
        ("logsumexp", [1, 1, INF], [1, -1, 0], 1.0, -INF, [0, 0, 0]),
        ("logsumexp", [1, 1], [0, 0], 1.0, -INF, [0, 0]),
        ("logsumexp", [1, 1, 5], [-2, 1, 0], 1.0, NAN, [NAN, NAN, 0]),
        ("logsumexp", [1, 1, 5], [2, -1, 0], 1.0, 1, [2, -1, 0]),
        ("logsumexp", [1, 1], [3, 1], 1.0, 1 + np.log(4), [0.75, 0.25]),
        ("logsumexp", [1, 2], [INF, 1], 1.0, INF, [1, 0]),
        ("logsumexp", [INF, INF], [1, -1], 1.0, NAN, [NAN, NAN]),
        ("logmeanexp", [1, 1, NAN], [1, -1, 0], 1.0, NAN, [NAN, NAN, 0]),  # 0 / 0
        ("logmeanexp", [1, 1, 5], [-1, -3, 0], 1.0, 1, [0.25, 0.75, 0]),
        ("logmeanexp", [1, 1], [0, 0], 1.0, NAN, [0, 0]),
        ("boltzmann", [1, 1, NAN], [1, -1, 0], 1.0, NAN, [NAN, NAN, 0]),
        ("boltzmann", [1, 1], [1, 3], 1.0, 1, [0.25, 0.75]),
        ("boltzmann", [1, 1], [0, 0], INF, NAN, [0, 0]),
        ("pnorm", [1, -2], [0, 0], -1.0, INF, [0, 0]),
        ("pnorm", [1, -2], [0, 0], 2.0, 0, [0, 0]),
        ("pnorm", [1, -1], [1, -1], 2.0, 0, [0, 0]),
        ("pnorm", [1, 1, 5], [1, -2, 0], 2.0, NAN, [NAN, NAN, 0]),  # the root of -1
        ("pnorm", [3, -4], [1, 1], 2.0, 5, [0.6, -0.8]),
        ("pmean", [1, 1, NAN], [1, -1, 0], 2.0, NAN, [NAN, NAN, 0]),
        ("pmean", [2, 2], [-1, -3], 2.0, 2, [0.25, 0.75]),
        ("pmean", [2, 2], [0, 0], 2.0, NAN, [0, 0]),
        ("pnorm", [-2, 1], [INF, 1], 2.0, INF, [-1, 0]),
        ("pnorm", [-INF, 0], [INF, 1], 3.0, INF, [-1, 0]),
        ("pmean", [-3, 1], [INF, 1], 0.5, NAN, [NAN, NAN]),
    ],
)
def test_weights(
    name: str, a: list[float], b: list[float], parameter: float, value: float, gradient: list[float]
) -> None:
    """Weights of any sign: NaN where the value is, but 0 for what is absent, and where the sum vanishes."""
    got = getattr(grad, name)(a, b=b, **{PARAMETER[name]: parameter})
    # A unit at most for each of them: these are sums of two equal exponentials.
    np.testing.assert_allclose(got[0], value, rtol=2 * EPSILON)
    np.testing.assert_allclose(got[1], gradient, rtol=BOUND * EPSILON)


def test_sign_of_unknown_sharpness() -> None:
    """NaN, as of `csmooth.logsumexp`."""
    np.testing.assert_array_equal(grad.logsumexp([INF], alpha=NAN, return_sign=True)[0], (NAN, NAN))


def test_weights_of_negative_total() -> None:
    """With `return_sign`, the value is the logarithm of an absolute value, and so has a gradient."""
    (value, sign), gradient = grad.logsumexp([1, 1], b=[-3, 1], return_sign=True)
    np.testing.assert_allclose(value, 1 + np.log(2), rtol=2 * EPSILON)
    assert sign == -1
    np.testing.assert_allclose(gradient, [1.5, -0.5], rtol=BOUND * EPSILON)
    (value, sign), gradient = grad.logsumexp([[1, 1], [1, 1]], 1, [1, -1], return_sign=True, keepdims=True)
    assert value.tolist() == [[-INF], [-INF]]
    assert sign.tolist() == [[0], [0]]
    assert gradient.tolist() == [[0, 0], [0, 0]]


def small(name: str, parameter: float, weights: str) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Rows of a few values, so that there are ties, and weights of 0 and, if `mixed`, ones that cancel."""
    rng = np.random.default_rng(4)
    a = rng.integers(0, 4, (6, 5)) / 2
    b = {"none": None, "positive": rng.integers(0, 3, a.shape), "mixed": rng.integers(-1, 2, a.shape)}[weights]
    if name == "logsumexp" and parameter == 0:
        parameter = 0.5
    return a, None if b is None else b.astype(float), parameter


WEIGHTS = pytest.mark.parametrize("weights", ["none", "positive", "mixed"])
PARAMETERS = pytest.mark.parametrize("parameter", [2.0, -1.0, 0.0, INF, -INF])


@every
@PARAMETERS
@WEIGHTS
def test_out_that_is_read(name: str, parameter: float, weights: str) -> None:
    """The gradient may replace elements or weights, in any order: what is still to be read is kept."""
    values, b, parameter = small(name, parameter, weights)
    for order in "CF":
        wanted = both(name, values[:5], parameter, axis=1, b=None if b is None else b[:5])
        for kind in ("a", "reversed", "transposed", "one row on", "b"):
            base = np.array(values, order=order)
            a, w = base[:5], None if b is None else np.array(b[:5], order=order)
            out = {"a": a, "reversed": a[::-1, ::-1], "transposed": a.T, "one row on": base[1:], "b": w}[kind]
            if out is not None:
                value, gradient, slope = both(name, a, parameter, axis=1, b=w, out=out)
                assert gradient is out
                for got, exact in zip((value, gradient, slope), wanted, strict=True):
                    assert same_bits(got, exact), (kind, order)


@every
@WEIGHTS
@pytest.mark.parametrize("axis", [None, 0, -1, (0, -1), (1, 2), ()])
def test_axes_and_layouts(name: str, weights: str, axis: Any) -> None:
    """Three axes, in memory in any order, forwards or backwards: the bits of the same in C order, along every axis."""
    for parameter in (2.0, -1.0, 0.0, INF, -INF):
        values, b, chosen = small(name, parameter, weights)
        a, b = values.reshape(2, 3, 5), None if b is None else b.reshape(2, 3, 5)
        wanted = both(name, a, chosen, axis=axis, b=b)
        plain = getattr(csmooth, name)(a, axis=axis, b=b, **{PARAMETER[name]: chosen})
        np.testing.assert_allclose(
            wanted[0], plain, rtol=2 * BOUND * 16 * EPSILON, atol=64 * EPSILON
        )  # as absent elements
        kept = both(name, a, chosen, axis=axis, b=b, keepdims=True)
        assert np.shape(kept[0]) == np.shape(kept[2]) == np.sum(a, axis=axis, keepdims=True).shape
        for got, exact in zip(kept, wanted, strict=True):
            assert same_bits(np.reshape(got, np.shape(exact)), exact)
        for order in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
            for step in (1, -1):
                other = a.transpose(order)[::step].copy()[::step].transpose(np.argsort(order))
                for got, exact in zip(both(name, other, chosen, axis=axis, b=b), wanted, strict=True):
                    assert same_bits(got, exact)


@every
def test_masks(name: str) -> None:
    """A mask of a or of b is a `where`; the gradient has the mask of a, outputs with nothing left are masked."""
    a, b = np.arange(1.0, 7).reshape(2, 3), np.array([[1.0, 2, 1], [3, 1, 2]])
    mask = np.array([[False, True, False], [True, True, True]])
    wanted = both(name, a, 2.0, axis=1, b=b, where=~mask)
    for of_a in (mask, None):
        x = np.ma.MaskedArray(a, mask) if of_a is not None else a
        w = np.ma.MaskedArray(b, mask) if of_a is None else b
        value, gradient, slope = both(name, x, 2.0, axis=1, b=w)
        for got, exact in zip((value, slope), (wanted[0], wanted[2]), strict=True):
            assert got.mask.tolist() == [False, True]
            assert same_bits(got.data[0], exact[0])
        assert same_bits(np.ma.getdata(gradient), wanted[1])
        assert np.array_equal(np.ma.getmaskarray(gradient), mask if of_a is not None else np.zeros_like(mask))
    assert mask.tolist() == [[False, True, False], [True, True, True]]


@pytest.mark.parametrize("alpha", [1.0, -0.5, INF])
@pytest.mark.parametrize("initial", [-INF, -2.0, 3.0, INF])
def test_initial(alpha: float, initial: float) -> None:
    """One more element, whose derivative nobody asked for."""
    a = np.array([1.0, 3.0, -2.0])
    value, gradient, _ = both("logsumexp", a, alpha, initial=initial)
    longer = both("logsumexp", np.append(a, initial), alpha)
    # As of absent elements: other sums, of a condition number of at most 2 * |alpha| * max(a) = 6.
    np.testing.assert_allclose(value, longer[0], rtol=2 * BOUND * 6 * EPSILON)
    np.testing.assert_allclose(gradient, longer[1][:3], rtol=2 * BOUND * 6 * EPSILON)
    (_, sign), _ = grad.logsumexp(a, alpha=alpha, initial=initial, return_sign=True)
    assert sign == 1


@every
@pytest.mark.parametrize(
    ("dtype", "result"),
    [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float64), (">f4", np.float32)]
    + [(kind, np.float64) for kind in (np.int8, np.uint8, np.int32, np.uint64, bool)],
)
def test_dtypes(name: str, dtype: Any, result: Any) -> None:
    a = np.array([1, 0, 1, 1]).astype(dtype)
    value, gradient, slope = both(name, a, 2.0)
    assert value.dtype == gradient.dtype == slope.dtype == result
    assert isinstance(value, np.generic)
    assert isinstance(slope, np.generic)
    exact = both(name, a.astype(float), 2.0)
    epsilon = np.finfo(result).eps
    np.testing.assert_allclose(value, exact[0], rtol=epsilon)
    # Elements of at most 1 and p = alpha = 2 have condition numbers up to 4.
    np.testing.assert_allclose(gradient.astype(float), exact[1], rtol=BOUND * 4 * epsilon)
    np.testing.assert_allclose(slope, exact[2], rtol=BOUND * 4 * epsilon)
    assert getattr(grad, name)(a, b=np.ones(4), **{PARAMETER[name]: 2.0})[1].dtype == np.result_type(result, np.float64)


@every
@pytest.mark.parametrize("dtype", ["clongdouble", "complex64", "complex128", "object", "U1", "M8[s]"])
def test_dtypes_without_gradients(name: str, dtype: str) -> None:
    x = np.ones(2, int).astype(dtype)
    for a, b in ((x, None), (np.ones(2, np.float32), x)):  # which makes complex64 no larger
        with pytest.raises(TypeError, match=name) as error:
            getattr(grad, name)(a, b=b, **{PARAMETER[name]: 2.0})
        assert str(x.dtype) in str(error.value)


@pytest.mark.parametrize(
    ("a", "b", "alpha", "slope"),
    [
        ([0.0, 2.0], [2.0, -1.0], 1.0, -2.0354176761363416),
        ([2.0, 0.0], [-1.0, 0.5], 2.0, -0.037311533189508716),
        ([0.0, 1.0, 3.0], [-2.0, 2.0, 1.0], 0.0, -14.0),
        ([2.0, 0.5, 2.0], [1.0, -1.0, -1.0], 0.0, 0.0),
    ],
)
def test_slope_of_a_share_of_one_or_more(a: list[float], b: list[float], alpha: float, slope: float) -> None:
    """Its own distance counts, as all of the others are nothing, or less: the variance by the definition."""
    for dtype in (np.float64, LONG):
        # Terms of either sign cancel to the sum's third, or less; so a few units more.
        np.testing.assert_allclose(both("boltzmann", np.array(a, dtype), alpha, b=b)[2], slope, rtol=8 * EPSILON)


def test_cancelled_mean() -> None:
    """Where the value is -inf as weights cancel, the gradient is 0, not NaN."""
    value, gradient = grad.logmeanexp([-INF, 1.0, 1.0], b=[1.0, 1.0, -1.0])
    assert value == -INF
    assert gradient.tolist() == [0, 0, 0]


@every
def test_bfloat16(name: str) -> None:
    """Computed as float32 and rounded once more, also in place."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    a = np.array([1, 2.5, 0.25]).astype(bfloat16)
    narrow = both(name, a, 2.0, out=a.copy())
    in_place = a.copy()
    for results in (narrow, both(name, in_place, 2.0, out=in_place)):
        for got, exact in zip(results, both(name, a.astype(np.float32), 2.0), strict=True):
            assert got.dtype == bfloat16
            assert np.array_equal(got, exact.astype(bfloat16))


@every
def test_parameters_that_broadcast(name: str) -> None:
    """One for each row, or for each column: the bits of each by itself."""
    a = np.random.default_rng(3).random((4, 5))
    parameters = np.array([[2.0], [-1.0], [INF], [0.5]])
    together = both(name, a, parameters, axis=-1)
    for x, flipped in zip(together, both(name, a.T, parameters.T, axis=0), strict=True):
        assert same_bits(np.ascontiguousarray(flipped.T), x)
    for row in range(4):
        for got, exact in zip(together, both(name, a[row], float(parameters[row, 0])), strict=True):
            assert same_bits(got[row], exact)
    with pytest.raises(ValueError, match="does not broadcast"):
        both(name, a, np.ones(4), axis=-1)


@every
@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.full((2, 2), 7.0), ValueError),
        (np.full(2, 7.0), ValueError),
        (np.full((2, 3), 7), TypeError),
        (np.full((2, 3), True), TypeError),
        ([[7.0] * 3] * 2, TypeError),
        (np.broadcast_to(7.0, (2, 3)), ValueError),
    ],
)
def test_wrong_out(name: str, out: Any, error: type[Exception]) -> None:
    before = np.array(out)
    with pytest.raises(error, match=name):
        getattr(grad, name)(np.ones((2, 3)), axis=1, out=out, **{PARAMETER[name]: 2.0})
    assert np.array_equal(out, before)


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
def test_out_of_other_dtypes(name: str, dtype: Any) -> None:
    a = np.array([[1.0, 2.0, 4.0]])
    out = np.empty((1, 3), dtype)
    gradient = getattr(grad, name)(a, out=out, **{PARAMETER[name]: 2.0})[1]
    assert gradient is out
    assert same_bits(out, getattr(grad, name)(a, **{PARAMETER[name]: 2.0})[1].astype(dtype))


@every
@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((2, 0), 1), ((2, 0), None), ((2, 0), 0), ((3, 0, 2), 2)])
def test_empties(name: str, shape: tuple[int, ...], axis: Any) -> None:
    a = np.zeros(shape)
    outputs = a.sum(axis=axis)
    if outputs.size and name not in ("logsumexp", "pnorm"):
        with pytest.raises(ValueError, match="no elements"):
            both(name, a, 2.0, axis=axis)
        return
    value, gradient, slope = both(name, a, 2.0, axis=axis)
    assert same_bits(value, np.full_like(outputs, -INF if name == "logsumexp" else 0))
    assert same_bits(slope, np.zeros_like(outputs))
    assert same_bits(gradient, a)


@every
def test_weights_that_spread_elements(name: str) -> None:
    """The gradient has the shape of a: it is summed over what b adds; b is spread likewise, at no cost."""
    a, b = np.array([[1.0], [3.0]]), np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 1.0]])
    spread = np.broadcast_to(a, b.shape)
    value, gradient, slope = both(name, a, 2.0, axis=0, b=b)
    exact = both(name, spread.copy(), 2.0, axis=0, b=b)
    assert same_bits(value, exact[0])
    assert same_bits(slope, exact[2])
    assert same_bits(gradient, exact[1].sum(axis=1, keepdims=True))
    for got, other in zip(both(name, b, 2.0, axis=1, b=a), both(name, b, 2.0, axis=1, b=spread.copy()), strict=True):
        assert same_bits(got, other)


@every
@pytest.mark.parametrize("parameter", [2.0, -1.5, 0.3])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, -0.25, 2.0]])
def test_central_differences(name: str, parameter: float, weights: list[float] | None) -> None:
    """Of the definition in many digits, which knows nothing of derivatives."""
    a = [1.0, 1.5, 0.75, 2.5]
    b = weights or [1.0] * 4
    _, gradient, slope = both(name, a, parameter, b=weights)
    of = of_powers if name in POWERS else of_exponentials

    def value(shifted: int) -> list[Any]:  # -1 is the parameter
        found = []
        for h in (step, -step):
            x = [mpf(y) + h * (i == shifted) for i, y in enumerate(a)]
            w = [mpf(y) for y in b]
            found.append(of(name, x, w, [1] * 4, parameter + h * (shifted == -1), weights is not None, False).value)
        return found

    with mp.workprec(BITS):
        step = mpf(2) ** -60  # its square, the error, is far beneath an ulp
        exact = [float((high - low) / (2 * step)) for high, low in (value(i) for i in (*range(4), -1))]
    # Condition numbers of a few tens: a wrong term is larger by far.
    np.testing.assert_allclose([*gradient, slope], exact, rtol=BOUND * 50 * EPSILON)


@pytest.mark.parametrize(
    ("name", "a", "parameter", "gradient"),
    [
        ("logsumexp", [1e20, 1e20], 1.0, [0.5, 0.5]),
        ("logsumexp", [INF, 0], 1.0, [1, 0]),
        ("logsumexp", [INF, -INF, INF], 1.0, [0.5, 0, 0.5]),
        ("logsumexp", [0, -INF], 1.0, [1, 0]),
        ("logsumexp", [2, 1, 1], -INF, [0, 0.5, 0.5]),
        ("logmeanexp", [-INF, -INF], 1.0, [0, 0]),
        ("logmeanexp", [3, 3, 1], INF, [0.5, 0.5, 0]),
        ("boltzmann", [-INF, -INF], 1.0, [0, 0]),
        ("boltzmann", [-INF, 0], 1.0, [0, 1]),
        ("boltzmann", [7, -1e3], 0.0, [0.5, 0.5]),
        ("pnorm", [0, 0], 1.0, [0, 0]),
        ("pnorm", [0, 0], 0.5, [0, 0]),
        ("pnorm", [0, 0], INF, [0, 0]),
        ("pnorm", [0, 0], -1.0, [0, 0]),
        ("pnorm", [0, -3], 1.0, [0, -1]),
        ("pnorm", [0, 3], -1.0, [0, 0]),
        ("pnorm", [INF, 1], 2.0, [1, 0]),
        ("pnorm", [INF, -INF, 1, INF, -INF], 2.0, [0.5, -0.5, 0, 0.5, -0.5]),
        ("pnorm", [INF, -INF, 1], 0.5, [2, -2, 0]),
        ("pnorm", [INF, -INF], -1.0, [0.25, -0.25]),
        ("pnorm", [-INF, 2, -3, 0], 1.0, [-1, 1, -1, 0]),
        ("pmean", [0, 0], 1.0, [0.5, 0.5]),
        ("pmean", [0, 3], 1.0, [0.5, 0.5]),
        ("pmean", [0, 0, 0, 3], 2.0, [0, 0, 0, 0.5]),
        ("pmean", [0, 3], 0.0, [0, 0]),
        ("pmean", [INF, INF], -1.0, [0.5, 0.5]),
        ("pmean", [INF, INF], 0.0, [0.5, 0.5]),
        ("pmean", [INF, 2], 0.0, [0, 0]),
        ("pmean", [INF, 0, 2, INF], 1.0, [0.25, 0.25, 0.25, 0.25]),
        ("pmean", [1, INF, 0, 5], 2.0, [0, 0.5, 0, 0]),
        ("pmean", [1, INF], 0.5, [0, 0.25]),
        ("pmean", [INF, 3], INF, [1, 0]),
        ("pmean", [2, 2, 5], -INF, [0.5, 0.5, 0]),
    ],
)
def test_kinks(name: str, a: list[float], parameter: float, gradient: list[float]) -> None:
    for dtype in (np.float64, np.float32, np.longdouble):
        got = getattr(grad, name)(np.array(a, dtype), **{PARAMETER[name]: parameter})[1]
        np.testing.assert_array_equal(got, np.array(gradient, dtype))


@pytest.mark.parametrize(
    ("name", "a", "b", "p", "gradient"),
    [
        ("pmean", [0, 4, 0], [1, 3, 0], 1.0, [0.25, 0.75, 0]),
        ("pmean", [1, INF, 0], [1, 2, 1], 1.0, [0.25, 0.5, 0.25]),
        ("pmean", [1, INF, INF], [2, 0.5, 1.5], 0.5, [0, 0.0625, 0.1875]),
        ("pmean", [1, INF, INF], [2, 3, -1], 0.5, [0, 0.375, -0.125]),
        ("pmean", [INF, INF, NAN], [1, 3, 0], -1.0, [0.25, 0.75, 0]),
        ("pnorm", [INF, -INF, 1], [3, -1, 5], 0.5, [6, 2, 0]),
        ("pnorm", [INF, -INF, NAN], [1, 3, 0], 2.0, [0.5, -1.5, 0]),
        ("pnorm", [-INF, 2, 0], [1, 3, 2], 1.0, [-1, 3, 0]),
        ("pnorm", [INF, 2, -5], [1, -2, -1], 1.0, [1, -2, 1]),
        ("pmean", [INF, 1, 2], [2, -2, 1], 0.0, [INF, 0, 0]),
    ],
)
def test_powers_at_zero_and_infinity(
    name: str, a: list[float], b: list[float], p: float, gradient: list[float]
) -> None:
    """With weights, beside a row that is neither, over `a` itself; a weight of 0, `where` and masks say the same."""
    for dtype in (np.float64, np.float32, np.float16, LONG):
        rows = np.array([a, [1, 1, 1]], dtype)
        weights = np.array([b, [1, 2, 1]], dtype)
        alike = np.array([0.25, 0.5, 0.25]) * (4 ** (1 / p) if name == "pnorm" else 1)
        got = getattr(grad, name)(rows, p, axis=1, b=weights, out=rows)[1]
        np.testing.assert_array_equal(got, np.array([gradient, alike], dtype))
        there = np.array(b) != 0
        wrong = np.where(there, b, 7).astype(dtype)
        for of_a, keywords in (
            (np.array(a, dtype), {"where": there}),
            (np.ma.array(np.array(a, dtype), mask=~there), {}),
        ):
            got = np.ma.getdata(getattr(grad, name)(of_a, p, b=wrong, **keywords)[1])
            np.testing.assert_array_equal(got, np.array(gradient, dtype))


@every
def test_wrong_arguments(name: str) -> None:
    function, out = getattr(grad, name), np.full(2, 7.0)
    key = {PARAMETER[name]: 2.0}
    own = PARAMETER[name]
    for wrt in ("b", (), ("a", "x"), None, 3, ("a", "a"), (own, "a", own), own, (own,)):
        with pytest.raises(ValueError, match=f"^grad.{name}: .*wrt"):
            function([1.0, 2.0], wrt=wrt, out=out, **key)
    with pytest.raises(TypeError):
        function(np.ones(2, np.complex128), out=out, **key)
    assert (out == 7).all()


if __name__ == "__main__":
    for each in LEVELS:
        with running(each):
            for function in PARAMETER:
                for kind, (error, given) in worst_errors(function).items():
                    print(f"{each:10} {function:10} {kind:8} {error:6.2f}  {given.a.size} at {given.parameter:.3g}")
