"""A ladder, a parameter with more axes than the array: each of its steps has the bits of a call of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import same_bits

import csmooth

MEANS = [0.0, 1e-300, -np.inf]
EXPONENTIALS = [1.0, 0.3, -2.0, 1.0, np.nan, np.inf, 7.0, 1e20, 2.0]  # more than are taken together
POWERS = [2.0, 1.0, 3.5, np.inf, -1.0, 0.0, 0.5, 1e-12, np.nan, 3.0]
FUNCTIONS = {
    "logsumexp": ("alpha", EXPONENTIALS),
    "logmeanexp": ("alpha", EXPONENTIALS + MEANS),
    "boltzmann": ("alpha", EXPONENTIALS + MEANS),
    "pnorm": ("p", POWERS),
    "pmean": ("p", POWERS),
}
# Rows and columns on either side of what is done at once: short ones, blocks, superblocks, groups that fit the cache.
SHAPES: list[tuple[tuple[int, ...], int | tuple[int, ...] | None]] = [
    ((), None),
    ((5,), None),
    ((40000,), None),
    ((700, 3), 1),
    ((300, 70), 1),
    ((400, 129), 1),
    ((5, 16384), 1),
    ((3, 33000), 1),
    ((2, 300), 0),
    ((300, 300), 0),
    ((17000, 33), 0),
    ((7, 6, 50), (0, 2)),
]
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def numbers(name: str, shape: tuple[int, ...], dtype: str = "f8") -> np.ndarray:
    a = np.random.default_rng(0).normal(scale=3, size=shape)
    return np.asarray(np.abs(a) if name == "pmean" else a).astype(dtype)


def one_by_one(name: str, a: Any, steps: list[Any], **keywords: Any) -> np.ndarray:
    """A call for each step."""
    parameter = FUNCTIONS[name][0]
    return np.ma.array([getattr(csmooth, name)(a, **{parameter: step}, **keywords) for step in steps])


def ladder(name: str, a: Any, **keywords: Any) -> Any:
    """A call for all steps."""
    parameter, steps = FUNCTIONS[name]
    column = np.reshape(steps, (-1, *[1] * np.ndim(a)))
    return getattr(csmooth, name)(a, **{parameter: column}, **keywords)


def check(name: str, a: Any, **keywords: Any) -> None:
    together, alone = ladder(name, a, **keywords), one_by_one(name, a, FUNCTIONS[name][1], **keywords)
    assert together.dtype == alone.dtype
    if together.dtype.char == "g":  # whose last bytes are any
        assert np.array_equal(together, alone, equal_nan=True)
    else:
        assert same_bits(np.ma.getdata(together), np.ma.getdata(alone))
    assert (np.ma.getmaskarray(together) == np.ma.getmaskarray(alone)).all()


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@every_function
def test_steps_are_calls(level: str, name: str, shape: tuple[int, ...], axis: Any) -> None:
    a = numbers(name, shape)
    check(name, a, axis=axis)
    check(name, a, axis=axis, keepdims=True)


@every_function
def test_weights_and_masks(level: str, name: str) -> None:
    rng = np.random.default_rng(1)
    for shape, axis in [((400, 129), 1), ((3, 40000), 1), ((300, 70), 0)]:
        a = numbers(name, shape)
        b = rng.normal(size=shape) * (rng.random(shape) < 0.9)
        where = rng.random(shape) < 0.7
        where[:, 1] = where[1] = False
        check(name, a, axis=axis, b=b)
        check(name, a, axis=axis, where=where)
        check(name, np.ma.array(a, mask=where), axis=axis, b=b)
        check(name, np.ma.array(a, mask=~where), axis=axis, keepdims=True)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i4", ">f8", "g"])
@every_function
def test_dtypes_and_layouts(name: str, dtype: str) -> None:
    a = numbers(name, (40, 90), dtype)
    for layout in (a, a.T, a[::-2, ::3]):
        check(name, layout, axis=0)
        check(name, layout, axis=1)


@pytest.mark.parametrize(("shape", "axis"), [((300_000,), None), ((3, 100_000), 1), ((40_000, 9), 0), ((4000, 80), 1)])
@every_function
def test_workers(name: str, shape: tuple[int, ...], axis: Any) -> None:
    a = numbers(name, shape)
    b = np.random.default_rng(2).random(shape[-1])
    for keywords in ({}, {"b": b}):
        assert same_bits(ladder(name, a, axis=axis, workers=3, **keywords), ladder(name, a, axis=axis, **keywords))
        check(name, a, axis=axis, workers=2, **keywords)


@every_function
def test_a_parameter_for_each_output(name: str) -> None:
    parameter, steps = FUNCTIONS[name]
    a = numbers(name, (4, 300))
    table = np.array(steps)[np.add.outer(np.arange(5), np.arange(4)) % len(steps)][:, :, np.newaxis]
    together = getattr(csmooth, name)(a, axis=1, **{parameter: table})
    assert same_bits(together, one_by_one(name, a, list(table), axis=1))
    twice = np.stack([table, table[::-1]])  # a ladder of two axes
    both = getattr(csmooth, name)(a, axis=1, **{parameter: twice})
    assert same_bits(both, np.stack([together, together[::-1]]))
    none = getattr(csmooth, name)(a, axis=1, **{parameter: table[:0]})
    assert none.shape == (0, 4)


def test_no_elements() -> None:
    for name in ("logsumexp", "pnorm"):
        check(name, np.ones((3, 0)), axis=0)
        check(name, np.ones((3, 0)), axis=1)


def test_signs_and_initial() -> None:
    a = np.random.default_rng(3).normal(size=(50, 20))
    b = np.random.default_rng(4).normal(size=20)
    alphas = np.array([0.5, -1.0, np.inf])
    together = csmooth.logsumexp(a, axis=1, b=b, return_sign=True, initial=0.5, alpha=alphas[:, np.newaxis, np.newaxis])
    alone = [csmooth.logsumexp(a, axis=1, b=b, return_sign=True, initial=0.5, alpha=x) for x in alphas]
    for got, expected in zip(together, zip(*alone, strict=True), strict=True):
        assert same_bits(got, np.array(expected))


def test_complex() -> None:
    a = np.random.default_rng(5).normal(size=(2, 20)).astype("D")
    got = csmooth.logsumexp(a, axis=1, alpha=[[[0.5]], [[2.0]]])
    assert same_bits(got, np.array([csmooth.logsumexp(a, axis=1, alpha=x) for x in (0.5, 2.0)]))


@every_function
def test_out(name: str) -> None:
    a = numbers(name, (30, 200))
    expected = ladder(name, a, axis=1)
    memory = np.full((2, *expected.shape), 7.0)
    for out in (memory[0], memory[:, :, ::-1][1], np.full(expected.shape[::-1], 7.0).T):
        assert ladder(name, a, axis=1, out=out) is out
        assert same_bits(out, expected)
    single = np.empty((len(expected), 30, 1), "f4")
    assert same_bits(ladder(name, a, axis=1, out=single, keepdims=True)[..., 0], expected.astype("f4"))
    overlapping = numbers(name, (max(30, len(expected)), 200))
    expected = ladder(name, overlapping, axis=0)
    assert same_bits(ladder(name, overlapping, axis=0, out=overlapping[: len(expected)]), expected)


@every_function
def test_errors(name: str) -> None:
    parameter = FUNCTIONS[name][0]
    function: Callable[..., Any] = getattr(csmooth, name)
    a = numbers(name, (3, 4))
    for shape in [(2, 3, 4), (2, 2, 1), (3, 2)]:
        with pytest.raises(ValueError, match=f"{name}: {parameter} of shape .* does not broadcast to"):
            function(a, axis=1, **{parameter: np.ones(shape)})
    with pytest.raises(ValueError, match=f"{name}: out has shape"):
        ladder(name, a, axis=1, out=np.empty(3))
