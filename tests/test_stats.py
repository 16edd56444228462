"""Several statistics of one read: those of separate calls, bit for bit, and a mean that is rounded but once."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import reference
import test_accuracy
from reference import same_bits, units

import csmooth
from csmooth import boltzmann, logmeanexp, logsumexp, smoothmax_stats

# On either side of lanes, short rows, blocks, superblocks and groups that fit the cache.
SHAPES: list[tuple[tuple[int, ...], int | tuple[int, ...] | None]] = [
    ((), None),
    ((1,), None),
    ((32,), None),
    ((33,), None),
    ((257,), None),
    ((40001,), None),
    ((700, 3), 1),
    ((300, 70), 1),
    ((400, 129), 1),
    ((3, 33000), 1),
    ((2, 300), 0),
    ((300, 301), 0),
    ((17000, 33), 0),
    ((7, 6, 50), (0, 2)),
]
VALUES: dict[str, Callable[[np.random.Generator, Any], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "integers": lambda rng, shape: rng.integers(-3, 4, shape).astype(float),  # whose means are exact, or nearly
    "infinities": lambda rng, shape: rng.choice([0.0, -0.0, -np.inf, np.inf], shape, p=[0.3, 0.3, 0.399, 0.001]),
    "NaN": lambda rng, shape: rng.choice([1.0, -np.inf, np.nan], shape, p=[0.6, 0.399, 0.001]),
}


def separate(a: Any, alpha: Any = 1.0, **keywords: Any) -> tuple[Any, ...]:
    return (
        logsumexp(a, alpha=np.inf, **keywords),
        logsumexp(a, alpha=alpha, **keywords),
        boltzmann(a, alpha, **keywords),
        logmeanexp(a, alpha=0, **keywords),
    )


def check(a: Any, alpha: Any = 1.0, **keywords: Any) -> None:
    """Against separate calls; of means, one in very many inputs may differ, but none of those in this file."""
    stats = smoothmax_stats(a, alpha, **keywords)
    assert isinstance(stats, csmooth.SmoothMaxStatsResult)
    for got, expected in zip(stats, separate(a, alpha, **keywords), strict=True):
        assert type(got) is type(expected)
        if got.dtype.char == "g":  # whose last bytes are any
            assert np.array_equal(got, expected, equal_nan=True)
        else:
            assert same_bits(np.ma.getdata(got), np.ma.getdata(expected))
        assert (np.ma.getmaskarray(got) == np.ma.getmaskarray(expected)).all()


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_separate_calls(level: str, shape: tuple[int, ...], axis: Any, values: str) -> None:
    a = VALUES[values](np.random.default_rng(0), shape)
    for alpha in (1.0, -2.0, 1e20, np.inf, np.nan):
        check(a, alpha, axis=axis)
    check(a, 0.3, axis=axis, keepdims=True)


@pytest.mark.parametrize("values", ["normal", "infinities", "NaN"])
def test_weights_and_masks(level: str, values: str) -> None:
    rng = np.random.default_rng(1)
    for shape, axis in [((40, 9), 1), ((400, 129), 1), ((3, 40000), 1), ((300, 70), 0), ((20, 70), None)]:
        a = VALUES[values](rng, shape)
        where = rng.random(shape) < 0.7
        where[:, 1] = where[1] = False
        check(a, axis=axis, b=rng.random(shape))
        check(a, axis=axis, b=rng.integers(-1, 3, shape))
        check(a, axis=axis, b=rng.choice([0.0, 1e308, np.inf], shape, p=[0.3, 0.699, 0.001]))
        check(a, axis=axis, where=where)
        check(np.ma.array(a, mask=where), axis=axis, b=rng.random(shape[-1]))
        check(np.ma.array(a, mask=~where), axis=axis, keepdims=True)
        check(np.ma.array(a, mask=True), axis=axis)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i4", "?", ">f8", "g"])
def test_dtypes_and_layouts(level: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    for shape in ((40, 9), (35, 300), (300, 35), (2, 20000)):
        if dtype == "g" and max(shape) > 1000:
            continue
        a = (3 * rng.normal(size=shape)).astype(dtype)
        for layout in (a, a.T, a[::-2, ::3], np.broadcast_to(a[:, :1], shape)):
            for axis in (0, 1, None):
                check(layout, axis=axis)


def test_one_answer(level: str) -> None:
    """The mean has a kernel of its own: its bits must not depend on the layout, nor on what lies beside an output."""
    rng = np.random.default_rng(3)
    for n in (1, 5, 32, 33, 257, 600, 16384, 16390, 33000):
        a = rng.normal(size=(n, 9)) * 10.0 ** rng.integers(-9, 9, (n, 9))
        b = rng.normal(size=(n, 9))
        for keywords in ({}, {"b": b}):
            columns = smoothmax_stats(a, axis=0, **keywords)
            rows = smoothmax_stats(np.ascontiguousarray(a.T), axis=1, **{k: x.T for k, x in keywords.items()})
            apart = [smoothmax_stats(a[:, j].copy(), **{k: x[:, j] for k, x in keywords.items()}) for j in range(9)]
            for of_columns, of_rows, alone in zip(columns, rows, zip(*apart, strict=True), strict=True):
                assert same_bits(of_columns, of_rows)
                assert same_bits(of_columns, np.array(alone))
        padded = smoothmax_stats(np.pad(a, ((0, 7), (0, 0))), axis=0, where=np.arange(n + 7)[:, np.newaxis] < n)
        assert all(same_bits(x, y) for x, y in zip(padded, smoothmax_stats(a, axis=0), strict=True))


def test_alpha_of_each_output() -> None:
    a = np.random.default_rng(4).normal(size=(6, 300))
    check(a, np.array([1.0, -1.0, np.inf, np.nan, 0.1, 1.0])[:, np.newaxis], axis=1)
    check(a, np.float32(0.1), axis=1)


@pytest.mark.parametrize(("shape", "axis"), [((300_000,), None), ((3, 100_000), 1), ((40_000, 9), 0), ((4000, 80), 1)])
def test_workers(shape: tuple[int, ...], axis: Any) -> None:
    a = np.random.default_rng(5).normal(size=shape)
    for keywords in ({}, {"b": np.abs(a)}, {"where": a < 1}):
        check(a, axis=axis, workers=2, **keywords)
        many, one = (smoothmax_stats(a, axis=axis, workers=workers, **keywords) for workers in (3, 1))
        assert all(same_bits(x, y) for x, y in zip(many, one, strict=True))


# The mean's own bound


def means() -> Iterator[test_accuracy.Input]:
    yield from test_accuracy.offsets_and_scales(test_accuracy.ORDINARY, [1, 2, 3, 10, 33, 100, 1000])
    yield from test_accuracy.offsets_and_scales(test_accuracy.FEW_SORTS, [3, 33])
    yield from test_accuracy.long_rows()
    yield from test_accuracy.weighted(False)
    yield from test_accuracy.weighted(True)


def means_of_singles() -> Iterator[test_accuracy.Input]:
    yield from test_accuracy.offsets_and_scales(["normal", "ties"], [1, 2, 33, 300], np.float32)
    yield from test_accuracy.long_rows(np.float32)


@pytest.mark.parametrize(("inputs", "dtype"), [(means, np.float64), (means_of_singles, np.float32)])
def test_error_of_the_mean(level: str, inputs: Any, dtype: Any) -> None:
    """In the units of test_accuracy.py: half a unit is the rounding of the result."""
    for x in inputs():
        b = x.keywords.get("b")
        got = smoothmax_stats(x.a, b=b).mean
        assert got.dtype == dtype
        assert units(got, reference.boltzmann(x.a, alpha=0.0, b=b), dtype) <= 1
        assert b is not None or x.a.min() <= got <= x.a.max()


def test_mean_of_many() -> None:
    for x in test_accuracy.millions([10**6]):
        exact = reference.boltzmann_of_counts(x.counts, alpha=0.0)
        assert units(smoothmax_stats(x.a).mean, exact) <= 1


def test_sums_overflow_as_those_of_numpy() -> None:
    stats = smoothmax_stats([1e308] * 3)
    assert stats.mean == 1e308  # not above the maximum
    assert smoothmax_stats([1e308, 1e308, -1e308], b=[1, 1, 1e-300]).mean == 1e308


# Errors, all of them before any work


def test_errors() -> None:
    a = np.ones((3, 4))
    wrong: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (ValueError, "alpha must not be 0", partial(smoothmax_stats, a, 0)),
        (ValueError, "alpha of shape", partial(smoothmax_stats, a, np.ones((2, 1, 1)))),
        (TypeError, "alpha has dtype", partial(smoothmax_stats, a, "1")),
        (ValueError, "b of shape", partial(smoothmax_stats, a, b=np.ones(3))),
        (TypeError, "where has dtype", partial(smoothmax_stats, a, where=np.ones(4))),
        (TypeError, "a has dtype complex128", partial(smoothmax_stats, a + 0j)),
        (ValueError, "no elements", partial(smoothmax_stats, a[:0], axis=0)),
        (TypeError, "keepdims", partial(smoothmax_stats, a, keepdims=0.5)),
        (ValueError, "workers", partial(smoothmax_stats, a, workers=0)),
        (np.exceptions.AxisError, "axis 2", partial(smoothmax_stats, a, axis=2)),
    ]
    for kind, words, call in wrong:
        with pytest.raises(kind, match=f"smoothmax_stats: .*{words}"):
            call()
    assert smoothmax_stats(a[:0], axis=1).mean.shape == (0,)


def test_names() -> None:
    stats = smoothmax_stats([1.0, 2.0, 4.0])
    assert stats._fields == ("max", "logsumexp", "boltzmann", "mean")
    assert stats.max == 4
    assert all(type(x) is np.float64 for x in stats)
