"""csmooth.hvp: right answers, what every input gets, and errors in ulp.

``python tests/test_hessians.py`` prints the worst errors as a table.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf
from reference import LEVELS, running, same_bits

from csmooth import hvp

pytestmark = pytest.mark.usefixtures("level", "floating_point_errors_raise")  # all of this holds at every level

INF, NAN = np.inf, np.nan
# Units of ulp(result) * max(1, condition number): what gradients have, of which products are made; roundings that
# follow are of terms that the condition number counts, too. The worst that was seen is 2.4.
BOUND = 3
EPSILON = 2.0**-52
BITS = 1100  # a dominated slice cancels but for shares of 1e-290, which are 964 bits below the largest
PARAMETER = {"logsumexp": "alpha", "logmeanexp": "alpha", "boltzmann": "alpha", "pnorm": "p", "pmean": "p"}
POWERS = ("pnorm", "pmean")
every = pytest.mark.parametrize("name", PARAMETER)


def product(name: str, a: Any, v: Any, parameter: Any, **keywords: Any) -> Any:
    return getattr(hvp, name)(a, v, **{PARAMETER[name]: parameter}, **keywords)


# The definition in many digits


class Right(NamedTuple):
    """What is right, and the condition numbers.

    A condition number is the sum of abs(x * d result / d x) over all x, elements of a, v and b, over abs(result): the
    relative error that relative errors of 1 in all of them may cause, at most.
    """

    product: list[Any]
    condition: np.ndarray


def right(name: str, a: Any, v: Any, b: Any, parameter: float) -> Right:
    with mp.workprec(BITS), np.errstate(all="ignore"):
        x, y, w = ([mpf(float(k)) for k in z] for z in (a, v, np.ones(len(a)) if b is None else b))
        return (of_powers if name in POWERS else of_exponentials)(name, x, y, w, mpf(parameter), b is not None)


def doubles(x: list[Any]) -> np.ndarray:
    return np.array([float(k) for k in x])


def conditions(product: list[Any], *changes: np.ndarray) -> np.ndarray:
    """Of the changes [i, j] of the product i by a relative change of the input j."""
    size = np.abs(doubles(product))
    return np.where(size == 0, INF, sum(np.abs(change).sum(axis=1) for change in changes) / size)


def of_exponentials(name: str, a: list[Any], v: list[Any], b: list[Any], alpha: Any, weighted: bool) -> Right:
    top = max(alpha * x for x in a)
    terms = [w * mp.exp(alpha * x - top) for x, w in zip(a, b, strict=True)]
    total = mp.fsum(terms)
    p = [t / total for t in terms]
    mean = mp.fdot(p, v)
    u = [y - mean for y in v]
    if name == "boltzmann":
        centre = mp.fdot(p, a)
        t = [alpha * (x - centre) for x in a]
        tilt = mp.fdot(p, [x * y for x, y in zip(t, u, strict=True)])
        g = [y * (2 + x) - tilt for x, y in zip(t, u, strict=True)]
    else:
        tilt, t, g = mpf(0), [mpf(0)] * len(a), u
    result = [alpha * q * y for q, y in zip(p, g, strict=True)]
    others = np.diag(doubles([1 - q for q in p]))
    p, u, t, g, x, v = (doubles(z) for z in (p, u, t, g, a, v))
    alpha, tilt = float(alpha), float(tilt)
    share = others - np.outer(np.ones(p.size), p) * (1 - np.eye(p.size))  # 1 on the diagonal, less p[j]
    own = alpha * p[:, np.newaxis]
    u_i, t_i, g_i = (z[:, np.newaxis] for z in (u, t, g))
    if name == "boltzmann":
        by_v = share * (2 + t_i) - p * t
        by_b = share * g_i - p * u * (2 + t_i) - u_i * p * t - p * (t * u - tilt)
        by_a = alpha * (by_b + u_i * share - p * u)
    else:
        by_v = share
        by_b = share * u_i - p * u
        by_a = alpha * by_b
    return Right(result, conditions(result, own * by_a * x, own * by_v * v, weighted * own * by_b))


def of_powers(name: str, a: list[Any], v: list[Any], b: list[Any], power: Any, weighted: bool) -> Right:
    logs = [mp.log(abs(x)) for x in a]
    whole = mp.fsum(b) if name == "pmean" else mpf(1)
    w = [y / whole for y in b]
    if power:
        log = mp.log(mp.fsum(y * mp.exp(power * z) for y, z in zip(w, logs, strict=True))) / power
    else:
        log = mp.fdot(w, logs)
    r = [z - log for z in logs]
    q = [y * mp.exp(power * z) for y, z in zip(w, r, strict=True)]
    y = [k / x for k, x in zip(v, a, strict=True)]
    mean = mp.fdot(q, y)
    z = [k - mean for k in y]
    size = mp.exp(log)
    scale = [(power - 1) * k * size / x for k, x in zip(q, a, strict=True)]
    result = [k * x for k, x in zip(scale, z, strict=True)]
    if power:
        of_log = [(k - (x if name == "pmean" else 0)) / power for k, x in zip(q, w, strict=True)]
    else:
        of_log = [k * x for k, x in zip(w, r, strict=True)]
    n, power = len(a), float(power)
    share = np.diag(doubles([1 - k for k in q]))
    q, y, z, w, of_log, scale = (doubles(k) for k in (q, y, z, w, of_log, scale))
    share = share - np.outer(np.ones(n), q) * (1 - np.eye(n))
    own, z_i = scale[:, np.newaxis], z[:, np.newaxis]
    by_v = share * y
    by_a = (power - 1) * share * z_i - share * y - power * q * z
    by_b = (np.eye(n) - (w if name == "pmean" else 0) - (power - 1) * of_log) * z_i - q * z
    return Right(result, conditions(result, own * by_a, own * by_v, weighted * own * by_b))


def value(name: str, a: list[Any], b: list[Any], parameter: Any) -> Any:
    """The functions themselves, as they are defined."""
    whole = mp.fsum(b)
    if name in POWERS:
        total = mp.fsum(w * abs(x) ** parameter for x, w in zip(a, b, strict=True))
        return (total / whole if name == "pmean" else total) ** (1 / parameter)
    terms = [w * mp.exp(parameter * x) for x, w in zip(a, b, strict=True)]
    if name == "boltzmann":
        return mp.fdot(terms, a) / mp.fsum(terms)
    return mp.log(mp.fsum(terms) / (whole if name == "logmeanexp" else 1)) / parameter


@every
def test_definition_is_the_second_difference(name: str) -> None:
    """What the errors below are taken from; differences over 1e-30 have relative errors of 1e-60, times some."""
    rng = np.random.default_rng(5)
    for parameter in (1.5, -0.7, 3.0):
        a, v, b = rng.random(4) + 0.5, rng.normal(size=4), rng.random(4) + 0.1
        exact = right(name, a, v, b, parameter).product
        with mp.workdps(150):
            h, weights, power = mpf("1e-30"), [mpf(x) for x in b], mpf(parameter)
            for i, x in enumerate(exact):
                total = mpf(0)
                for sign in (1, -1):
                    for other in (1, -1):
                        moved = [mpf(y) + other * h * mpf(z) for y, z in zip(a, v, strict=True)]
                        moved[i] += sign * h
                        total += sign * other * value(name, moved, weights, power)
                assert abs(total / (4 * h * h) / x - 1) < mpf("1e-50")


class Input(NamedTuple):
    name: str
    a: np.ndarray
    v: np.ndarray
    b: np.ndarray | None
    parameter: float


def units(got: Any, given: Input, exact: Right) -> np.ndarray:
    """Errors in units of ulp * max(1, condition number); shares and gradients below 1e-290 may have lost digits."""
    with mp.workprec(BITS):
        nearest = np.abs(doubles(exact.product))
        error = doubles([abs(mpf(float(x)) - y) for x, y in zip(np.asarray(got), exact.product, strict=True)])
    with np.errstate(under="ignore"):
        lost = 1e-290 * np.abs(given.v).max() * (1 + abs(given.parameter))
        lost /= np.abs(given.a).min() if given.name in POWERS else 1
        found = np.maximum(error - lost, 0) / np.spacing(nearest) / np.maximum(1, exact.condition)
    assert not np.isnan(found).any()
    return found


SIZES = [*range(2, 9), 10, 17, 20, 32, 33, 50]
CASES = 210  # inputs of each function, and a few large ones


@cache
def inputs(name: str) -> list[tuple[Input, Right]]:
    rng = np.random.default_rng(7)
    found: list[tuple[Input, Right]] = []
    while len(found) < CASES + 2:
        n = SIZES[len(found) % len(SIZES)] if len(found) < CASES else [200, 500][len(found) - CASES]
        scale = rng.choice([1e-6, 1e-3, 1.0, 1.0, 5.0, 30.0])
        if name in POWERS:
            a = np.exp(scale * rng.normal(size=n).clip(-3, 3)) * rng.choice([1.0, 1.0, 3.0, 1e3, 1e-7, 1e100, 1e-100])
            parameter = float(
                rng.choice([2.0, 0.5, 3.5, -1.0, 10 ** rng.uniform(-3, 1.3), -(10 ** rng.uniform(-3, 1))])
            )
            if name == "pmean" and rng.random() < 0.1:
                parameter = 0.0
            if name == "pnorm":
                a *= rng.choice([-1, 1], n)
        else:
            a = rng.choice([0.0, 0.0, 1.0, -3.0, 1e3, 1e6]) + scale * rng.normal(size=n)
            parameter = float(rng.choice([1.0, -1.0, *rng.choice([-1, 1], 4) * 10 ** rng.uniform(-9, 1.3, 4)]))
        v = rng.normal(size=n) * 10 ** rng.uniform(-3, 3, n if rng.random() < 0.5 else 1)
        v += rng.choice([0.0, 0.0, 1.0, 1e5])
        b = rng.random(n) + 1e-3 if rng.random() < 0.5 else None
        given = Input(name, a, v, b, parameter)
        exact = right(*given)
        if np.isfinite(exact.condition).all():
            found.append((given, exact))
    return found


def worst_error(name: str) -> tuple[float, Input]:
    worst = 0.0, inputs(name)[0][0]
    for given, exact in inputs(name):
        error = units(product(name, given.a, given.v, given.parameter, b=given.b), given, exact).max()
        worst = max(worst, (error, given), key=lambda pair: pair[0])
    return worst


@every
def test_errors(name: str) -> None:
    error, given = worst_error(name)
    assert error <= BOUND, (error, given)


# Exact answers

LIMITS: dict[str, list[tuple[Any, Any, float, Any]]] = {
    "logsumexp": [
        ([1, 2, 2], [1, 2, 3], INF, [0, 0, 0]),
        ([1, 2, 2], [1, 2, 3], -INF, [0, 0, 0]),
        ([5, 5], [1, -1], 1.0, [0.5, -0.5]),  # a tie
        ([INF, 0], [1, 2], 1.0, [0, 0]),
        ([INF, INF], [1, 2], 1.0, [0, 0]),
        ([-INF, 0, 0], [7, 1, -1], 1.0, [0, 0.5, -0.5]),
        ([-INF, -INF], [1, 2], 1.0, [0, 0]),
        ([-INF, -INF], [1, 2], -1.0, [0, 0]),
        ([NAN, 0], [1, 2], 1.0, [NAN, NAN]),
        ([1, 0], [1, 2], NAN, [NAN, NAN]),
        ([1, 0], [NAN, 2], 1.0, [NAN, NAN]),
        ([0, 0], [1e308, -1e308], 1.0, [5e307, -5e307]),  # their difference overflows
        ([0, 0], [3, 3], 1.0, [0, 0]),
        ([0, 0, -9e9], [2.0**-1000, 0, 1e300], 1.0, [2.0**-1002, -(2.0**-1002), 0]),  # v where nothing depends on it
        ([], [], 1.0, []),
    ],
    "logmeanexp": [
        ([1, 2, 3], [1, 0, 0], 0.0, [0, 0, 0]),
        ([1, 2, 2], [1, 2, 3], INF, [0, 0, 0]),
        ([INF, 0], [1, 2], 0.0, [0, 0]),
        ([INF, 0], [1, 2], 1.0, [0, 0]),
        ([5, 5], [1, -1], 1.0, [0.5, -0.5]),
        ([NAN, 0], [1, 2], 0.0, [NAN, NAN]),
    ],
    "boltzmann": [
        ([0, 0], [1, -1], 1.0, [1, -1]),
        ([1, 2, 3], [1, 0, 0], 0.0, [0, 0, 0]),
        ([1, 2, 2], [1, 2, 3], -INF, [0, 0, 0]),
        ([INF, 0], [1, 2], 1.0, [0, 0]),
        ([-INF, 0, 0], [7, 1, -1], 1.0, [0, 1, -1]),
        ([-INF, -INF], [1, 2], 1.0, [0, 0]),
        ([NAN, 0], [1, 2], 1.0, [NAN, NAN]),
        ([NAN, 0], [1, 2], 0.0, [NAN, NAN]),
        ([1, 0], [1, 2], NAN, [NAN, NAN]),
    ],
    "pnorm": [
        ([2.0**600, 2.0**-600], [0, 1], 2.0, [0, 2.0**-600]),  # whose gradient vanishes
        ([2.0**532, 2.0**-530], [0, 1], 2.0, [0, 2.0**-532]),  # or is subnormal
        ([3, -4], [1, 1], 1.0, [0, 0]),
        ([3, -4], [1, 1], 0.0, [0, 0]),
        ([3, -4], [1, 1], INF, [0, 0]),
        ([3, -3], [1, 1], -INF, [0, 0]),
        ([0, 0], [1, 1], 2.0, [0, 0]),
        ([0, 0], [1, 1], -1.0, [0, 0]),
        ([0, 2], [1, 0], 2.0, [0.5, 0]),  # round at this 0
        ([0, 2], [1, 0], 3.0, [0, 0]),
        ([0, 2], [1, 0], 1.5, [0, 0]),  # there the second derivative is infinite
        ([INF, 1], [1, 1], 2.0, [0, 0]),
        ([INF, 1, 1], [5, 1, -1], -1.0, [0, -0.5, 0.5]),  # as without an infinite element
        ([NAN, 1], [1, 1], 0.0, [NAN, NAN]),
        ([NAN, 1], [1, 1], 2.0, [NAN, NAN]),
        ([3, 4], [1, 1], NAN, [NAN, NAN]),
        ([7], [1], 3.0, [0]),
        ([], [], 2.0, []),
    ],
    "pmean": [
        ([1, 4], [1, 0], 0.0, [-0.5, 0.125]),
        ([1, 4], [1, 0], 1.0, [0, 0]),
        ([1, 4], [1, 0], INF, [0, 0]),
        ([0, 0], [1, 0], 2.0, [0, 0]),
        ([0, 4], [1, 0], 0.0, [0, 0]),
        ([-1, 4], [1, 0], 2.0, [NAN, NAN]),
        ([INF, 4], [1, 0], 2.0, [0, 0]),
        ([NAN, 4], [1, 0], 2.0, [NAN, NAN]),
    ],
}


@every
def test_limits(name: str) -> None:
    for a, v, parameter, exact in LIMITS[name]:
        if not a or len(a) == 1:  # as they are: nothing rounds
            assert same_bits(product(name, np.array(a, float), np.array(v, float), parameter), np.array(exact, float))
        got = product(name, np.array(a, float), v, parameter)
        # Few roundings of numbers near 1, and none at all of 0 and NaN.
        np.testing.assert_allclose(got, exact, rtol=4 * EPSILON, err_msg=f"{a} {v} {parameter}")
        assert not np.signbit(got[got == 0]).any()  # no -0.0


@pytest.mark.parametrize(
    ("name", "a", "v", "parameter"),
    [
        ("logsumexp", [0.0, -40.0], [1.0, 2.0], 1.0),  # one element has nearly all
        ("logsumexp", [0.0, -600.0, -601.0], [1.0, 2.0, 3.0], 1.0),
        ("logsumexp", [0.0, 1.0], [1e-320, -1e-320], 1e300),
        ("logmeanexp", [0.0, 1.0], [1.0, 1.0 + 1e-10], 1e-300),
        ("boltzmann", [0.0, -40.0, -41.0], [1.0, 2.0, -3.0], 1.0),
        ("boltzmann", [1e308, -1e308], [1.0, 2.0], 1e-308),  # their difference overflows
        ("boltzmann", [1e8 + 1, 1e8 - 1], [1.0, 1.0 + 1e-9], 1.0),
        ("boltzmann", [1000.0, 1000.0005], [1.0, 0.0], 1.0),
        ("boltzmann", [999.9997464363361, 1000.0001171733273], [-2.1771693678163384, 1.4618331298888345], -1.0),
        ("boltzmann", [1e6, 1e6 + 0.5, 1e6 + 0.25], [1.0, 0.0, 3.0], 1.0),
        ("pnorm", [5e-324, 1.0], [1.0, 2.0], 1.5),  # v / a overflows
        ("pnorm", [1e-5, 1.0, 1e-4], [1.0, 2.0, 3.0], 20.0),
        ("pnorm", [1e300, -1e300], [1.0, 2e300], 3.0),
        ("pnorm", [1e-300, 2e-300], [1e-300, 2e-300], 2.5),
        ("pmean", [1e-100, 1e100], [1.0, 2.0], 0.0),
        ("pmean", [1.0, 1e9, 1e8], [1.0, 2.0, 3.0], -20.0),
    ],
)
def test_extremes(name: str, a: list[float], v: list[float], parameter: float) -> None:
    given = Input(name, np.array(a), np.array(v), None, parameter)
    exact = right(*given)
    nearest = doubles(exact.product)
    got = product(name, a, v, parameter)
    # A condition number that overflows says nothing: then, and for results of 0, numbers of digits are compared.
    with np.errstate(all="ignore"):
        allowed = BOUND * np.spacing(np.abs(nearest)) * np.where(nearest == 0, 1, np.maximum(1, exact.condition))
        allowed = np.where(np.isfinite(allowed), allowed, 64 * EPSILON * np.abs(nearest).max())
    assert (np.abs(got - nearest) <= allowed).all(), (got, nearest)


# What every input gets


def some(name: str, shape: Any, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(shape) + 0.5, rng.normal(size=shape)


@every
@pytest.mark.parametrize("parameter", [2.0, 3.5, -1.0, INF, -INF, 0.0])
def test_absent_elements_count_for_nothing(name: str, parameter: float) -> None:
    """Left out by `where`, a mask or a weight of 0, they have 0, whatever they are; the others are as without them."""
    if name == "logsumexp" and parameter == 0:
        pytest.skip("logsumexp has no alpha = 0")
    a, v = np.array([1.0, NAN, 3.0, INF, 2.0, 1.0]), np.array([1.0, 2.0, -1.0, INF, 5.0, NAN])
    there = np.array([True, False, True, False, True, False])
    alone = product(name, a[there], v[there], parameter)
    masked = product(name, np.ma.MaskedArray(a, ~there), v, parameter)
    np.testing.assert_array_equal(masked.mask, ~there)
    masked_weights = np.ma.MaskedArray(np.ones(6), ~there)
    for got in (
        product(name, a, v, parameter, where=there),
        product(name, a, v, parameter, b=there),
        product(name, a, v, parameter, b=masked_weights),
        masked.data,
    ):
        np.testing.assert_array_equal(got[~there], 0)
        # The sums have other lanes: BOUND on either side, of condition numbers up to 2 * abs(p) * max(a) * 8.
        np.testing.assert_allclose(got[there], alone, rtol=2 * BOUND * 168 * EPSILON)
    for nothing in ({"where": np.zeros(6, bool)}, {"b": np.zeros(6)}):
        np.testing.assert_array_equal(product(name, a, v, parameter, **nothing), 0)


@every
def test_axes(name: str) -> None:
    """Each output has the bits of its own elements, in any layout."""
    a, v = some(name, (3, 4, 5))
    for axis, kept in ((None, ()), (0, (1, 2)), (-1, (0, 1)), (1, (0, 2)), ((0, 2), (1,)), ((2, 0), (1,))):
        got = product(name, a, v, 1.5, axis=axis)
        assert got.shape == a.shape
        assert same_bits(got, np.ascontiguousarray(product(name, np.asfortranarray(a), v, 1.5, axis=axis)))
        moved, others, results = (np.moveaxis(x, kept, range(len(kept))) for x in (a, v, got))
        for index in np.ndindex(moved.shape[: len(kept)]):
            alone = product(name, moved[index].ravel(), others[index].ravel(), 1.5)
            assert same_bits(results[index].ravel(), alone)
    rows = np.array([[1.5], [-2.0], [3.0]])
    got = product(name, a[0, :3], v[0, :3], rows, axis=1)
    for i, parameter in enumerate(rows[:, 0].tolist()):
        assert same_bits(got[i], product(name, a[0, i], v[0, i], parameter))
    assert same_bits(product(name, a, 2.0, 1.5), product(name, a, np.full(a.shape, 2.0), 1.5))  # v broadcasts
    assert type(product(name, 3.0, 1.0, 1.5)) is np.float64


@every
def test_dtypes(name: str) -> None:
    """All are computed as doubles, and rounded once."""
    a, v = np.array([1, 3, 2, 1]), np.array([2, 0, -1, 1])
    exact = product(name, a.astype(float), v.astype(float), 1.5)
    for dtype in (np.float32, np.float16, ">f4", ">f8"):
        native = np.dtype(dtype).newbyteorder("=")
        for other in (v.astype(dtype), v.astype(np.float16)):
            assert same_bits(product(name, a.astype(dtype), other, 1.5), exact.astype(native))
        assert product(name, a.astype(dtype), 2.0, 1.5).dtype == native  # Python's numbers take the precision of a
        assert product(name, a.astype(dtype), 2, 1.5).dtype == native
        assert product(name, a.astype(dtype), np.float64(2), 1.5).dtype == np.float64
    assert product(name, a.astype(np.float16), v.astype(np.float32), 1.5).dtype == np.float32
    for dtype in (np.int8, np.uint64, np.int32):
        assert same_bits(product(name, a.astype(dtype), v.astype(np.int16), 1.5), exact)
    truth = np.array([True, False])
    assert same_bits(product(name, truth, truth, 2.0), product(name, truth.astype(float), truth.astype(float), 2.0))


@every
def test_weights_with_zeros_and_spread_elements(name: str) -> None:
    a, v = some(name, (1, 4))
    b = np.array([[1.0, 0.0, 2.0, 1.0], [0.5, 1.0, 0.0, 3.0]])
    got = product(name, a, v, 1.5, axis=1, b=b)
    each = [product(name, a[0], v[0], 1.5, b=row) for row in b]
    assert each[0][1] == each[1][2] == 0
    assert same_bits(got, (each[0] + each[1])[np.newaxis])  # the sum, as for gradients


def test_initial_is_one_more_element() -> None:
    a, v = some("logsumexp", 5)
    for b in (None, np.arange(1.0, 6.0)):
        weights = None if b is None else np.append(b, 1.0)
        longer = hvp.logsumexp(np.append(a, 0.5), np.append(v, 0.0), b=weights)
        assert same_bits(hvp.logsumexp(a, v, b=b, initial=0.5), longer[:5])
    # One that dwarfs the others: they have shares of 1e-18, of which nothing cancels.
    np.testing.assert_allclose(hvp.logsumexp([0.0], [1.0], initial=40.0), [np.exp(-40.0)], rtol=64 * EPSILON)


@every
def test_linear(name: str) -> None:
    """Twice v is twice the product, to the last bit."""
    for given, _ in inputs(name)[:60]:
        once = product(name, given.a, given.v, given.parameter, b=given.b)
        for factor in (2.0, 2.0**-40):
            got = product(name, given.a, factor * given.v, given.parameter, b=given.b)
            kept = np.abs(once) > 1e-250  # products below may be subnormal
            assert same_bits(got[kept], factor * once[kept])


@every
def test_symmetric(name: str) -> None:
    """u . H v = v . H u, within the errors of both; of what a relative change of each input makes of the sum."""
    rng = np.random.default_rng(1)
    for given, exact in inputs(name)[:60]:
        u = rng.normal(size=given.v.size)
        other = right(name, given.a, u, given.b, given.parameter)
        with np.errstate(all="ignore"):
            left = u * product(name, given.a, given.v, given.parameter, b=given.b)
            opposite = given.v * product(name, given.a, u, given.parameter, b=given.b)
            allowed = (np.abs(left) * exact.condition).sum() + (np.abs(opposite) * other.condition).sum()
            assert abs(left.sum() - opposite.sum()) <= (BOUND + given.v.size) * EPSILON * allowed


# Wrong arguments


@every
def test_wrong_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the argument, before any work."""

    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("work")

    monkeypatch.setattr(hvp._reductions, "kernels", type("Kernels", (), {"map": work, "reduce": work}))
    a, v, two = np.ones((2, 3)), np.ones((2, 3)), np.ones(2)
    for kind, match, arguments, keywords in (
        (TypeError, "v has dtype", (a, v + 1j, 1.5), {}),
        (TypeError, "v has dtype", (a, v.astype(str), 1.5), {}),
        (TypeError, "v has dtype", (a, v.astype(np.longdouble), 1.5), {}),
        (ValueError, "v is no array", (two, [[1], [1, 2]], 1.5), {}),
        (ValueError, "a is no array", ([[1], [1, 2]], two, 1.5), {}),
        (ValueError, "v of shape", (a, two, 1.5), {}),
        (ValueError, "v of shape", (two, np.ones((3, 2)), 1.5), {}),
        (TypeError, "dtype", (a.astype(np.longdouble), v, 1.5), {}),
        (TypeError, "dtype", (a * 1j, v, 1.5), {}),
        (ValueError, "b of shape", (a, v, 1.5), {"b": two}),
        (ValueError, "b has more dimensions", (two, two, 1.5), {"b": np.ones((3, 2))}),
        (ValueError, "b has more dimensions", (two, two, 1.5), {"b": np.ones((3, 2)), "axis": 1}),
        (TypeError, "where", (a, v, 1.5), {"where": a}),
        (np.exceptions.AxisError, "axis", (a, v, 1.5), {"axis": 2}),
        (TypeError, PARAMETER[name], (a, v, "x"), {}),
        (ValueError, PARAMETER[name], (a, v, two), {}),
    ):
        with pytest.raises(kind, match=f"^hvp.{name}: .*{match}"):
            product(name, *arguments, **keywords)
    if name in ("logmeanexp", "boltzmann", "pmean"):
        with pytest.raises(ValueError, match="no elements"):
            product(name, [], [], 1.5)
    if name == "logsumexp":
        with pytest.raises(ValueError, match="alpha"):
            hvp.logsumexp(a, v, alpha=0)
        with pytest.raises(TypeError, match="initial"):
            hvp.logsumexp(a, v, initial="x")


@every
def test_masked_vectors(name: str) -> None:
    """A gradient of a masked array may be the vector, as its mask is where elements are left out; no other mask may."""
    mask = np.array([[False, True, False], [False, False, True]])
    a, v = np.ma.array(np.arange(1.0, 7).reshape(2, 3), mask=mask), np.ones((2, 3))
    v[0, 0] = 3
    got = product(name, a, np.ma.array(v, mask=mask), 1.5, axis=1)
    assert same_bits(got.data, product(name, a, v, 1.5, axis=1).data)
    assert same_bits(product(name, a.data, np.ma.array(v, mask=mask), 1.5, axis=1, where=~mask), got.data)
    row = np.ma.array(v[0], mask=mask[0])  # of both rows, of which one has that element
    for x, vector in ((a, row), (a.data, np.ma.array(v, mask=mask)), (a, np.ma.masked)):
        with pytest.raises(ValueError, match=f"{name}: v must not be masked"):
            product(name, x, vector, 1.5, axis=1)


@every
def test_inputs_stay_as_they_are(name: str) -> None:
    a, v = some(name, 6)
    copies = a.copy(), v.copy()
    for x in (a, v):
        x.flags.writeable = False
    product(name, a, v, 1.5)
    assert same_bits(a, copies[0])
    assert same_bits(v, copies[1])


if __name__ == "__main__":
    for each in LEVELS:
        with running(each):
            for function in PARAMETER:
                error, given = worst_error(function)
                print(f"{each:10} {function:10} {error:6.2f}  {given.a.size} at {given.parameter:.3g}")
