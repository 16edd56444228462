"""The dtypes beside float64 and float32: float16 and bfloat16 in the kernels, longdouble and complex in NumPy."""

from typing import Any

import numpy as np
import pytest
from reference import LEVELS, same_bits

from csmooth import boltzmann, log_softmax, logsumexp, softmax


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    """No call may emit a warning, whatever NumPy is told to do about floating-point errors."""
    with np.errstate(all="raise"):
        yield


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
    for function in (logsumexp, boltzmann):
        for weights in (None, b):
            wide = function(widened(a), axis=1, b=None if weights is None else widened(weights))
            got = function(a, axis=1, b=weights)
            assert same_bits(widened(got), widened(nearest(wide, dtype)))
    assert logsumexp(np.zeros(100000, dtype)) == nearest(np.log([1e5]), dtype)[0]


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
        softmax(a, alpha=np.float64(3)),
    ):
        assert result.dtype == a.dtype


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
