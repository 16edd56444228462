"""One answer: the bits of a result depend on the values along the reduced axes alone, in their order.

Whatever the layout, whatever else is reduced beside it, and at every level, each output must have the bits that it has
when it is computed alone from a contiguous copy of its elements. Levels without a fused multiply-add may differ from
the others in bits, but keep the same bound on the error. FUNCTIONS has a row for each function.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pytest
from reference import LEVELS, running, same_bits

import csmooth

OUTPUTS_CHECKED = 12  # of each case, one by one

# On either side of a vector, the lanes, short rows, blocks, panels of outputs and, below, superblocks.
LENGTHS = np.array(
    [1, 2, 3, 7, 8, 9, 15, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 288, 511, 512, 513, 544, 1000]
)
LONG = np.array([16383, 16384, 16385, 16640, 32769, 40000])

FMA_LEVELS = [level for level, kernels in LEVELS.items() if kernels.vector_name != "scalar"]


# What may be given besides the values, and what else a function is


class Function(NamedTuple):
    keywords: str  # the sets of KEYWORDS that it takes
    parameter: str  # the keyword that is a number for each output,
    parameters: list[float]  # and what it may be, ordinary values first
    cases: int  # for each layout and each set of keywords
    signed: bool = False  # whether it has return_sign
    required: Mapping[str, float] = MappingProxyType({})  # what it takes where the parameter is not given
    domain: Callable[[np.ndarray], np.ndarray] = lambda a: a  # makes values of those below


KEYWORDS = {
    "nothing else": "",
    "b": "b",
    "where": "w",
    "parameter": "p",
    "masks": "m",
    "initial": "i",
    "all": "bwpmi",
}
MEAN = "nothing else, b, where, parameter, masks, all"
ALPHAS = [1.0, 1.0, -1.0, 0.3, -7.0, 1e-300, 1e20, np.inf, -np.inf, 2.0, 0.1, -30.0, 1e-8]
# Some for each way of making terms: products and roots, logarithms, double-double, limits.
POWERS = [2.0, 1.0, 3.0, 0.3, -2.5, 1e-3, 0.0, np.inf, -np.inf, 0.5, 3.5, -1.0, 1e-12, 1e6, -1e12, 1e-300]

# By its name in csmooth, and of its kernel. 10 layouts: 2100 cases of logsumexp, 480 of each other at every level.
FUNCTIONS = {
    "logsumexp": Function(MEAN + ", initial", "alpha", ALPHAS, 30, signed=True),
    "logmeanexp": Function(MEAN, "alpha", [*ALPHAS, 0.0], 8),
    "boltzmann": Function(MEAN, "alpha", [*ALPHAS, 0.0], 8),
    "pnorm": Function(MEAN, "p", POWERS, 8),
    "pmean": Function(MEAN, "p", POWERS, 8, required={"p": 0.7}, domain=np.abs),
}
EVERY = [(name, keywords) for name, function in FUNCTIONS.items() for keywords in function.keywords.split(", ")]
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def function_of(name: str) -> Callable[..., Any]:
    """The function, without arguments that it requires besides `a`."""
    return partial(getattr(csmooth, name), **FUNCTIONS[name].required)


def called(name: str, a: np.ndarray, **keywords: Any) -> np.ndarray:
    """What a function gives, its results as the rows of one array; what lies beneath a mask counts."""
    results = function_of(name)(a, **{"return_sign": True} if FUNCTIONS[name].signed else {}, **keywords)
    return np.array([np.ma.getdata(x) for x in (results if isinstance(results, tuple) else (results,))])


# Shapes and values


def shape_and_axis(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ndim = int(rng.integers(1, 5))
    axis = tuple(int(k) for k in range(ndim) if rng.random() < 0.5)
    shape = [1] * ndim
    room = int(rng.choice([40, 1000, 20000, 70000], p=[0.2, 0.4, 0.3, 0.1]))
    for k in rng.permutation(ndim):
        lengths = LENGTHS if room < 40000 or rng.random() < 0.3 else LONG
        shape[k] = int(rng.choice(lengths[lengths <= room]))
        room //= shape[k]
    return tuple(shape), axis


VALUES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "wide": lambda rng, shape: rng.normal(scale=300, size=shape),
    "very wide": lambda rng, shape: rng.normal(size=shape) * 10 ** rng.uniform(-5, 6, shape),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
    "rising": lambda rng, shape: np.sort(rng.normal(scale=20, size=shape).ravel()).reshape(shape),
    "falling": lambda rng, shape: -np.sort(rng.normal(scale=20, size=shape).ravel()).reshape(shape),
    "far from 0": lambda rng, shape: rng.normal(size=shape) + rng.choice([1e5, -1e5, 1e8]),
    "huge": lambda rng, shape: rng.normal(size=shape) * rng.choice([1e14, 1e15, 1e18, 1e37]),
    "some huge": lambda rng, shape: rng.normal(size=shape) * np.where(rng.random(shape) < 0.01, 1e18, 1),
    "infinities": lambda rng, shape: rng.choice([0.0, 1.0, -np.inf, np.inf], shape, p=[0.3, 0.3, 0.398, 0.002]),
    "mostly -inf": lambda rng, shape: np.where(rng.random(shape) < 0.01, rng.normal(size=shape), -np.inf),
    "some NaN": lambda rng, shape: np.where(rng.random(shape) < 0.002, np.nan, rng.normal(size=shape)),
}


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Positive, signed, often 0, or small integers that cancel; over all axes or some."""
    shape = tuple(n if rng.random() < 0.8 else 1 for n in shape)[int(rng.integers(len(shape))) :]
    kind = rng.integers(4)
    if kind == 0:
        return rng.random(shape)
    if kind == 1:
        return rng.normal(size=shape)
    if kind == 2:
        return rng.normal(size=shape) * (rng.random(shape) < 0.5)
    return rng.integers(-1, 2, shape).astype(rng.choice(["i1", "f4", "f8"]))


def conditions(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(tuple(n if rng.random() < 0.8 else 1 for n in shape)) < rng.choice([0.02, 0.5, 0.98])


def parameters(
    function: Function, rng: np.random.Generator, shape: tuple[int, ...], axis: tuple[int, ...]
) -> float | np.ndarray:
    """A number, or an array over all outputs or some."""
    if rng.random() < 0.4:
        return float(rng.choice(function.parameters))
    shape = tuple(1 if k in axis or rng.random() < 0.2 else n for k, n in enumerate(shape))
    return rng.choice(function.parameters[: int(rng.integers(1, len(function.parameters) + 1))], shape)


def keywords_of(
    function: Function, names: str, rng: np.random.Generator, shape: tuple[int, ...], axis: tuple[int, ...]
) -> dict[str, Any]:
    """A mask is here under the name of what it hides, `a mask` or `b mask`."""
    keywords: dict[str, Any] = {}
    if "b" in names:
        keywords["b"] = weights(rng, shape)
    if "w" in names:
        keywords["where"] = conditions(rng, shape)
    if "p" in names:
        keywords[function.parameter] = parameters(function, rng, shape, axis)
    if "i" in names and "initial" in function.keywords:
        keywords["initial"] = float(rng.choice([0.0, -5.0, 3.0, 1e6, -np.inf, np.inf]))
    if "m" in names:
        keywords["a mask"] = rng.random(shape) < rng.choice([0.02, 0.5, 0.98])
        if "b" in names:
            keywords["b mask"] = rng.random(keywords["b"].shape) < rng.choice([0.02, 0.5])
    return keywords


def masked(a: np.ndarray, keywords: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """The arguments of a call, of keywords with masks."""
    arguments = {key: x for key, x in keywords.items() if "mask" not in key}
    if "b mask" in keywords:
        arguments["b"] = np.ma.array(arguments["b"], mask=keywords["b mask"], copy=False)
    if "a mask" in keywords:
        a = np.ma.array(a, mask=keywords["a mask"], copy=False)
    return a, arguments


# Layouts: the same values elsewhere in memory, with NaN (True among bools) wherever a kernel should not look


def laid_out(
    a: np.ndarray, order: Any = None, steps: Any = None, margins: Any = None, offset: int = 0, byteorder: str = "="
) -> np.ndarray:
    """`order`: the axes from the slowest to the fastest; `steps`: the distance of neighbours along each axis, negative
    if it runs backwards; `margins`: elements free on both sides of each; `offset`: bytes before the first element.
    """
    order = range(a.ndim) if order is None else order
    steps = [1] * a.ndim if steps is None else steps
    margins = [0] * a.ndim if margins is None else margins
    whole = [n * abs(step) + 2 * margin for n, step, margin in zip(a.shape, steps, margins, strict=True)]
    memory = np.empty(prod(whole) * a.itemsize + offset, np.uint8)[offset:].view(a.dtype.newbyteorder(byteorder))
    memory.fill(np.nan if a.dtype.kind == "f" else 1)
    view = memory.reshape([whole[k] for k in order]).transpose(np.argsort(order))
    view = view[tuple(slice(m, m + n * abs(s), abs(s)) for n, s, m in zip(a.shape, steps, margins, strict=True))]
    view = view[tuple(slice(None, None, 1 if step > 0 else -1) for step in steps)]
    view[...] = a
    return view


def any_layout(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    return laid_out(
        a,
        rng.permutation(a.ndim),
        rng.choice([1, 1, 1, 2, -1, -2], a.ndim),
        rng.choice([0, 0, 0, 1, 3], a.ndim),
        int(rng.choice([0, 0, 1, 3, 4])),
        str(rng.choice(["=", "=", ">"])),
    )


LAYOUTS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "C": lambda rng, a: laid_out(a),
    "Fortran": lambda rng, a: laid_out(a, range(a.ndim)[::-1]),
    "permuted": lambda rng, a: laid_out(a, rng.permutation(a.ndim)),
    "reversed": lambda rng, a: laid_out(a, steps=rng.choice([1, -1, -1], a.ndim)),
    "gaps": lambda rng, a: laid_out(a, steps=rng.choice([1, 1, 2, 3, -3], a.ndim)),
    "stride 0": lambda rng, a: np.broadcast_to(laid_out(a[constant_part(a)]), a.shape),
    "inside a larger array": lambda rng, a: laid_out(a, margins=rng.choice([0, 0, 1, 3], a.ndim)),
    "unaligned": lambda rng, a: laid_out(a, offset=int(rng.integers(1, 8))),
    "big-endian": lambda rng, a: laid_out(a, byteorder=">"),
    "any": any_layout,
}


def constant_part(a: np.ndarray) -> tuple[slice, ...]:
    """The first element of each axis along which nothing changes, all of the others."""
    first = [a[(slice(None),) * k + (slice(0, 1),)] for k in range(a.ndim)]
    return tuple(slice(0, 1 if same_bits(np.broadcast_to(x, a.shape), a) else None) for x in first)


# Cases


def case(
    name: str, layout: str, keywords: str, number: int
) -> tuple[np.ndarray, tuple[int, ...], dict[str, Any], np.ndarray, dict[str, Any]]:
    """The values, the axes and the keywords, and the values and the keywords laid out in memory."""
    rng = np.random.default_rng([crc32(text.encode()) for text in (name, layout, keywords)] + [number])
    function = FUNCTIONS[name]
    shape, axis = shape_and_axis(rng)
    with np.errstate(over="ignore"):
        a = function.domain(VALUES[str(rng.choice(list(VALUES)))](rng, shape))
        a = a.astype(rng.choice([np.float64, np.float32]))
    if layout == "stride 0":
        a = np.broadcast_to(a[tuple(slice(0, 1 if rng.random() < 0.5 else None) for _ in shape)], shape).copy()
    plain = keywords_of(function, KEYWORDS[keywords], rng, shape, axis)
    arranged = {key: any_layout(rng, x) if isinstance(x, np.ndarray) else x for key, x in plain.items()}
    return a, axis, plain, LAYOUTS[layout](rng, a), arranged


def one_by_one(
    name: str, a: np.ndarray, axis: tuple[int, ...], keywords: dict[str, Any], outputs: Any
) -> list[np.ndarray]:
    """The results of some outputs, each alone from contiguous copies of what belongs to it; masks as `where`."""
    kept = tuple(k for k in range(a.ndim) if k not in axis)
    count = prod(a.shape[k] for k in kept)

    def rows(x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(x, a.shape).transpose(kept + axis).reshape(count, -1)

    arrays = {key: rows(x) for key, x in keywords.items() if isinstance(x, np.ndarray)}
    numbers = {key: x for key, x in keywords.items() if key not in arrays}
    everything = rows(a)
    results = []
    for output in outputs:
        own = {key: x[output].copy() for key, x in arrays.items()}
        for key in ("a mask", "b mask"):
            if key in own:
                own["where"] = own.get("where", True) & ~own.pop(key)
        parameter = FUNCTIONS[name].parameter
        if parameter in own:
            own[parameter] = float(own[parameter][0])
        results.append(called(name, everything[output].copy(), **numbers, **own))
    return results


@pytest.mark.parametrize(("name", "keywords"), EVERY)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_each_output_alone(level: str, layout: str, name: str, keywords: str) -> None:
    rng = np.random.default_rng(1)
    for number in range(FUNCTIONS[name].cases):
        a, axis, plain, view, arranged = case(name, layout, keywords, number)
        view, arranged = masked(view, arranged)
        got = called(name, view, axis=axis, keepdims=True, **arranged)
        got = got.reshape(len(got), -1)
        count = got.shape[1]
        # The first, the last, those at the seams of tiles and panels, and some others.
        chosen = {0, 31, 32, 255, 256, count - 1, *rng.integers(count, size=OUTPUTS_CHECKED).tolist()}
        outputs = sorted(output for output in chosen if output < count)
        wanted = np.transpose(one_by_one(name, a, axis, plain, outputs))
        assert same_bits(got[:, outputs], wanted), (
            f"case({name!r}, {layout!r}, {keywords!r}, {number}): {view.dtype} of shape {view.shape}, axis {axis}, "
            f"outputs {[o for o, x, y in zip(outputs, got.T[outputs], wanted.T, strict=True) if not same_bits(x, y)]}"
        )
        if len(got) > 1 and "b" not in plain:  # without the sign the way may be shorter
            value = function_of(name)(view, axis=axis, keepdims=True, **arranged)
            assert same_bits(np.ravel(np.ma.getdata(value)), got[0])


@pytest.mark.skipif(len(FMA_LEVELS) < 2, reason="only one level with fused multiply-add runs here")
@pytest.mark.parametrize(("name", "keywords"), EVERY)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_agree(layout: str, name: str, keywords: str) -> None:
    for number in range(FUNCTIONS[name].cases):
        _, axis, _, view, arranged = case(name, layout, keywords, number)
        view, arranged = masked(view, arranged)
        results = []
        for level in FMA_LEVELS:
            with running(level):
                results.append(called(name, view, axis=axis, keepdims=True, **arranged))
        assert all(same_bits(results[0], other) for other in results[1:]), (
            f"case({name!r}, {layout!r}, {keywords!r}, {number})"
        )


@pytest.mark.parametrize("shape", [(5000, 8), (500, 100), (30, 3000), (3, 70000)], ids=str)
@pytest.mark.parametrize("values", ["normal", "wide", "very wide", "ties", "rising", "far from 0"])
def test_levels_agree_within_their_errors(shape: tuple[int, int], values: str) -> None:
    """Each is within 1 unit of ulp times condition number, so two are within 2.  This stands for all functions."""
    a = VALUES[values](np.random.default_rng(1), shape)
    results = {}
    for level in LEVELS:
        with running(level):
            results[level] = csmooth.logsumexp(a, axis=1)
    best, *others = results.values()
    condition = (np.abs(a) * np.exp(a - best[:, None])).sum(axis=1) / np.abs(best)
    for other in others:
        assert (np.abs(other - best) <= 2 * np.spacing(np.abs(best)) * np.maximum(1, condition)).all()


# The company that an output keeps


@pytest.mark.parametrize("n", [2, 5, 32, 33, 200])
def test_beside_an_alpha_near_0(level: str, n: int) -> None:
    """Which gives all outputs weights of 1, to leave elements out. Above 0 every bit of a small sum shows."""
    a = -np.random.default_rng(n).uniform(30, 500, (300, n))
    a[:, n // 2] = 0
    alpha = np.where(np.arange(300) % 10, 1.0, 1e-300)[:, None]
    together = csmooth.logsumexp(a, axis=1, alpha=alpha)
    assert same_bits(
        together, np.array([csmooth.logsumexp(x, alpha=y) for x, y in zip(a.copy(), alpha[:, 0], strict=True)])
    )


PARTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "first": lambda a: a[:5],
    "last": lambda a: a[-3:],
    "one": lambda a: a[100:101],
    "every seventh": lambda a: a[3::7],
    "across a panel": lambda a: a[250:260],
    "reversed": lambda a: a[::-1],
    "shuffled": lambda a: a[np.random.default_rng(1).permutation(len(a))],
    "in a square": lambda a: a[:256].reshape(16, 16, -1),
    "in a square, transposed": lambda a: a[:256].reshape(16, 16, -1).transpose(1, 0, 2),
    "repeated": lambda a: np.broadcast_to(a[:50], (3, 50, a.shape[1])),
}


@every_function
@pytest.mark.parametrize("n", [1, 8, 32, 33, 128, 129, 700])
@pytest.mark.parametrize("values", ["normal", "some huge", "infinities", "some NaN"])
def test_outputs_do_not_depend_on_each_other(level: str, name: str, n: int, values: str) -> None:
    function = function_of(name)
    a = FUNCTIONS[name].domain(VALUES[values](np.random.default_rng(n), (300, n)))
    columns = np.asfortranarray(a)
    whole = function(a, axis=1)[:, None]
    for part, of in PARTS.items():
        expected = of(whole)[..., 0]
        assert same_bits(function(of(a), axis=-1), expected), part
        assert same_bits(function(of(columns), axis=-1), expected), f"{part}, columns"


@every_function
@pytest.mark.parametrize("n", [255, 256, 257, 16384, 16385, 40000])
def test_one_axis_or_several(level: str, name: str, n: int) -> None:
    """Reduced axes count as one, in C order, however the rest of the call looks."""
    function = function_of(name)
    a = FUNCTIONS[name].domain(np.random.default_rng(n).normal(size=n * 4))
    expected = function(a)
    assert same_bits(function(a, axis=0), expected)
    assert same_bits(function(a.reshape(4, n)), expected)
    assert same_bits(function(a.reshape(n, 4), axis=(1, 0)), expected)
    assert same_bits(function(a.reshape(2, n, 2), axis=(-1, 0, 1)), expected)
    assert same_bits(function(a.reshape(2, 1, n, 1, 2)), expected)
    assert same_bits(function(np.stack([a] * 3, axis=1), axis=0)[1], expected)
    assert same_bits(function(np.stack([a] * 3), axis=1, keepdims=True)[2, 0], expected)
    assert same_bits(function(np.stack([a.reshape(4, n)] * 3, axis=1), axis=(0, 2))[2], expected)


@every_function
def test_pieces_of_memory_that_differ_elsewhere(level: str, name: str) -> None:
    """Neither the address nor what lies around an array matters."""
    function = function_of(name)
    values = FUNCTIONS[name].domain(np.random.default_rng(3).normal(size=1000))
    expected = function(values)
    for filler in (np.nan, np.inf, 1e300):
        for start in range(0, 80, 3):
            memory = np.full(1100, filler)
            memory[start : start + 1000] = values
            assert same_bits(function(memory[start : start + 1000]), expected)


@every_function
@pytest.mark.parametrize(("n", "workers"), [(20, 1), (300, 1), (300, 2)])
def test_wherever_in_a_cache_line_columns_begin(level: str, name: str, n: int, workers: int) -> None:
    """Panels of outputs begin with a line, in the middle of which arrays begin. The longest is worth a helper."""
    function = function_of(name)
    memory = FUNCTIONS[name].domain(np.random.default_rng(n).normal(size=(n, 1000)))
    expected = function(np.ascontiguousarray(memory.T), axis=1)
    for start in range(9):
        for end in (start + 255, start + 262, 990):
            results = function(memory[:, start:end], axis=0, workers=workers)
            assert same_bits(results, expected[start:end])
