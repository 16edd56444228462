"""csmooth.grad in longdouble, which takes the way of plain NumPy at every level: errors, outcomes, arguments."""

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from test_gradients import BITS, BOUND, EPSILON, INF, LONG, PARAMETER, POWERS, both, every, inputs

from csmooth import grad

pytestmark = pytest.mark.usefixtures("floating_point_errors_raise")

BOUND_OF_LONG = 8  # as BOUND, but of longdouble, whose powers and logarithms are not taken in twice its precision


def exactly(x: np.longdouble) -> Any:
    numerator, denominator = x.as_integer_ratio()
    return mpf(numerator) / denominator


@every
def test_errors_of_longdouble(name: str) -> None:
    """Of longdouble itself; norms and means enlarge them where p is small or elements are of different magnitudes."""
    ulp = mpf(float(np.finfo(LONG).eps))
    for given, exact in inputs(name):
        a, b = given.a.astype(LONG), None if given.b is None else given.b.astype(LONG)
        spread = np.abs(a).max() > 1e4 * np.abs(a).min()
        if a.size > 100 or (name in POWERS and (abs(given.parameter) < 1 or spread)):
            continue
        _, gradient, slope = both(name, a, LONG(given.parameter), b=b)
        with mp.workprec(BITS):
            floor = exact.slope_floor * ulp**2 / EPSILON**2
            allowed = BOUND_OF_LONG * ulp * max(abs(exact.slope), exact.slope_error) + floor
            assert abs(exactly(slope) - exact.slope) <= allowed, given
            for got, right_one, condition in zip(gradient, exact.gradient, exact.condition, strict=True):
                if name == "boltzmann" and not float(right_one):  # whose condition number is taken from doubles
                    continue
                allowed = BOUND_OF_LONG * ulp * max(1, condition) * abs(right_one)
                assert abs(exactly(got) - right_one) <= allowed, given


@every
def test_longdouble_means_what_the_kernels_mean(name: str) -> None:
    """Weights of both signs, absent elements, infinities, and arguments: the numbers that doubles have."""
    rng = np.random.default_rng(4)
    values = [-INF, 0.0, 1.0, 2.0, 2.0, INF] if name != "pmean" else [0.0, 1.0, 2.0, 2.0, INF]
    for _ in range(150):
        shape = (2, int(rng.integers(1, 5)))
        parameter = float(rng.choice([1.0, -1.0, 2.0, 0.5, INF, -INF]))
        keywords: dict[str, Any] = {"axis": 1, "keepdims": bool(rng.random() < 0.5)}
        if rng.random() < 0.5:
            keywords["b"] = rng.choice([0.0, 1.0, 2.0, -1.0, 0.5], shape)
        if rng.random() < 0.5:
            keywords["where"] = rng.random(shape) < 0.7
        a = rng.choice(values, shape)
        wanted = both(name, a, parameter, **keywords)
        got = both(name, a.astype(LONG), parameter, **keywords)
        for x, y in zip(got, wanted, strict=True):
            assert x.dtype == LONG
            # Doubles are off by 3 units of condition numbers up to 20, and by 2**-60 for what should cancel.
            np.testing.assert_allclose(x, y, rtol=64 * EPSILON, atol=2.0**-60, err_msg=f"{a} {parameter} {keywords}")


@every
def test_longdouble_arguments(name: str) -> None:
    """Spread by weights, masks, outputs, blocks of many outputs: as each row alone."""
    a = np.arange(1.0, 7).astype(LONG).reshape(2, 3)
    value, gradient, slope = both(name, a, 2.0, axis=1, b=np.array([[1.0, 2.0, 0.5]]))
    for row in (0, 1):
        alone = both(name, a[row], 2.0, b=np.array([1.0, 2.0, 0.5]))
        for got, want in zip((value[row], gradient[row], slope[row]), alone, strict=True):
            assert np.array_equal(got, want)
    out = np.empty((2, 3), LONG)
    assert getattr(grad, name)(a, axis=1, b=[[1.0, 2.0, 0.5]], out=out, **{PARAMETER[name]: 2.0})[1] is out
    assert np.array_equal(out, gradient)
    signed = a * [1, -1, 1] if name == "pnorm" else a
    wanted = both(name, signed, 2.0, axis=1)[1]
    for place in (signed.copy(), np.asfortranarray(signed)):
        both(name, place, 2.0, axis=1, out=place)
        assert np.array_equal(place, wanted)
    single = both(name, signed, 2.0, axis=1, out=np.empty((2, 3), np.float32))[1]
    assert np.array_equal(single, wanted.astype(np.float32))
    spread = both(name, a[0], 2.0, b=np.array([[1.0, 2.0, 0.5], [1.0, 1.0, 1.0]]))[1]
    longer = both(name, np.tile(a[0], (2, 1)), 2.0, b=np.array([[1.0, 2.0, 0.5], [1.0, 1.0, 1.0]]))[1]
    assert np.array_equal(spread, longer.sum(axis=0))
    masked = getattr(grad, name)(np.ma.array(a, mask=[[0, 1, 0], [1, 1, 1]]), axis=1, **{PARAMETER[name]: 2.0})
    assert masked[0].mask.tolist() == [False, True]
    assert np.array_equal(masked[1].data[0, ::2], both(name, a[0, ::2], 2.0)[1])
    many = both(name, np.tile(a, (6000, 1)), 2.0, axis=1)
    assert np.array_equal(many[1], np.tile(both(name, a, 2.0, axis=1)[1], (6000, 1)))


@pytest.mark.parametrize("initial", [-INF, -2.0, 3.0, INF])
def test_longdouble_initial(initial: float) -> None:
    a = np.array([1, 3, -2], LONG)
    got, want = (both("logsumexp", x, 0.5, initial=initial) for x in (a, a.astype(float)))
    for x, y in zip(got, want, strict=True):
        assert x.dtype == LONG
        np.testing.assert_allclose(x, y, rtol=2 * BOUND * 6 * EPSILON)  # as `test_initial`
