"""The dtypes that the kernels lack, longdouble and complex: plain NumPy, slow and right.

The operands are those of the kernels, and so is what they mean. A function sees a block of outputs, one a row, with all
of their elements; so temporaries are small, unless an output has many elements. To add a function, write it and name
it in REDUCTIONS or MAPS.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ._arrays import Array, Dtype, Operands

BLOCK = 1 << 14  # elements that are worked on at once: 512 KiB of the longest dtype
HEADROOM = 64  # of exponents of two, that as many as 2**64 weights add up to


class Elements(NamedTuple):
    """A block of outputs, one a row. An element that is left out has the weight 0.

    Where alpha was negative, the elements have the other sign instead, and so must the result; not so for powers.
    """

    a: Array
    weights: Array
    alpha: Array  # not negative, but as a power; it and `flip`, 1 or -1, are columns
    flip: Array
    dtype: Dtype  # of the result
    signed: bool  # whether the sign of a sum is asked for


def reduce(name: str, into: Operands, parameter: Any, initial: Any, out: Array, sign: Array | None) -> None:
    """Reduces `into` to `out`, and to `sign` unless that is None, as a kernel does."""
    kept = len(into.kept)
    with np.errstate(all="ignore"):
        for index, elements in blocks(into, parameter, initial, sign is not None, name in POWERS):
            value, its_sign = REDUCTIONS[name](elements)
            outer(out, kept)[index] = value[:, 0]
            if sign is not None:
                outer(sign, kept)[index] = its_sign[:, 0]


def spread(name: str, into: Operands, parameter: Any, out: Array) -> None:
    """Writes as many results as there are elements to `out`."""
    target = outer(out, len(into.kept))
    with np.errstate(all="ignore"):
        for index, elements in blocks(into, parameter):
            target[index] = MAPS[name](elements).reshape(len(index[0]), *into.a.shape[len(into.kept) :])


def outer(array: Array, kept: int) -> Array:
    """The array with at least one kept axis."""
    return array if kept else array[np.newaxis]


def blocks(
    into: Operands, parameter: Any, initial: Any = None, signed: bool = False, powers: bool = False
) -> Iterator[tuple[tuple[Array, ...], Elements]]:
    """The outputs in blocks, with their indices among the kept axes."""
    kept = len(into.kept)
    shape, length = into.a.shape[:kept] or (1,), prod(into.a.shape[kept:])
    outputs, step = prod(shape), max(1, BLOCK // max(1, length))
    dtype = np.result_type(into.dtype, np.float64)
    for start in range(0, outputs, step):
        index = np.unravel_index(np.arange(start, min(outputs, start + step)), shape)
        size = (len(index[0]), length)
        a = outer(into.a, kept)[index].reshape(size).astype(dtype)
        weights = np.ones(size, dtype)
        if into.weights is not None:
            weights[...] = outer(into.weights, kept)[index].reshape(size)
        for mask, absent in ((into.where, False), (into.mask, True), (into.weights_mask, True)):
            if mask is not None:
                weights[outer(mask, kept)[index].reshape(size) == absent] = 0
        alpha = np.asarray(parameter, a.real.dtype)
        alpha = np.broadcast_to(outer(alpha, kept)[index] if alpha.ndim else alpha, len(a))[:, np.newaxis]
        if initial is not None:  # one more element of weight 1
            a = np.append(a, np.full_like(a, initial, shape=(len(a), 1)), axis=1)
            weights = np.append(weights, np.ones_like(a, shape=(len(a), 1)), axis=1)
        yield index, (settled_powers if powers else settled)(a, weights, alpha, into.dtype, signed)


def settled(a: Array, weights: Array, alpha: Array, dtype: Dtype, signed: bool) -> Elements:
    """Settles, in place, what signs, infinities and NaN mean."""
    flip = np.where(alpha < 0, -1, 1).astype(alpha.dtype)
    np.negative(a, out=a, where=flip < 0)
    unknown = np.isnan(weights)
    a[unknown] = np.nan
    weights[(weights != 0) & ~unknown & np.isinf(alpha)] = 1  # in the limit they only say what exists
    infinite = np.isinf(weights)
    weights[infinite & np.isneginf(a.real)] = 0  # -inf counts for nothing, any other number becomes infinite
    if not np.iscomplexobj(a):
        infinite &= weights != 0
        a[infinite & ~np.isnan(a)] = np.inf
        weights[infinite] = np.sign(weights[infinite])
    return Elements(a, weights, abs(alpha), flip, dtype, signed)


def settled_powers(a: Array, weights: Array, power: Array, dtype: Dtype, signed: bool) -> Elements:
    """As `settled`, for terms abs(a)**power, which are infinite for 0 and a negative power, and 0 for infinity."""
    unknown = np.isnan(weights)
    a[unknown] = np.nan
    weights[(weights != 0) & ~unknown & np.isinf(power)] = 1
    infinite = np.isinf(weights)
    weights[infinite & (abs(a) == np.where(power < 0, np.inf, 0))] = 0
    infinite &= weights != 0
    a[...] = np.where(infinite & ~np.isnan(a), np.where(power < 0, 0, np.inf), a)
    weights[infinite] = np.sign(weights[infinite])
    return Elements(a, weights, power, np.ones_like(power), dtype, signed)


def top_of(a: Array) -> Array:
    """The maximum of each row, in a column: of complex numbers one with the largest real part; -inf for none."""
    return np.asarray(np.max(a, axis=1, keepdims=True, initial=-np.inf))


def times(factor: Array, z: Array) -> Array:
    """A real multiple of complex numbers: factor + 0j would make NaN of their infinities."""
    if np.iscomplexobj(z):
        return joined(factor * z.real, factor * z.imag)
    return np.asarray(factor * z)


def joined(real: Array, imaginary: Array) -> Array:
    """real + 1j * imaginary, infinities and signs of 0 included."""
    z = np.empty(np.broadcast_shapes(real.shape, imaginary.shape), np.result_type(real.dtype, np.complex64))
    z.real, z.imag = real, imaginary
    return z


def shrunk(weights: Array) -> tuple[Array, Array]:
    """Weights that are a power of two smaller where their sums might overflow, and the logarithm of that power."""
    largest = abs(weights).max(axis=1, keepdims=True, initial=0)
    one = largest.dtype.type(1)
    shrinks = largest > np.ldexp(np.finfo(largest.dtype).max, -HEADROOM)
    factor = np.where(shrinks, np.ldexp(one, -HEADROOM), one)
    return times(factor, weights), np.where(shrinks, HEADROOM * np.log(2 * one), 0)


def log_of(side: Array, rest: Array) -> Array:
    """log(abs(side + rest)), accurate where that is nearly 1 as `side` is: 1 is then subtracted exactly."""
    size: Array = abs(side + rest)
    if np.iscomplexobj(side):
        x, y, u, v = side.real, side.imag, rest.real, rest.imag
        near = np.log1p((x - 1) * (x + 1) + y * y + u * (2 * x + u) + v * (2 * y + v)) / 2
    else:
        sign = np.sign(side + rest)
        near = np.log1p((sign * side - 1) + sign * rest)
    return np.where((size > 0.5) & (size < 2), near, np.log(size))


# Reductions: a block -> the values and signs of its outputs, in columns


def logsumexp(block: Elements) -> tuple[Array, Array]:
    """maximum + log(sum) / alpha, with the ties at the maximum out of the sum."""
    alpha = block.alpha
    weights = np.where(np.isneginf(block.a.real), 0, block.weights)
    a = np.where(weights == 0, -np.inf, block.a)
    infinite = (weights != 0) & ~(np.isfinite(a) & np.isfinite(weights))
    weights, removed = shrunk(weights)
    while True:
        top = top_of(a)
        ties = a == top
        side = np.sum(weights, axis=1, keepdims=True, where=ties)
        cancelled = ties & (side == 0) & np.isfinite(top)
        if not cancelled.any():
            break
        a[cancelled] = -np.inf  # what lies beneath them may count for all
        weights[cancelled] = 0
    terms = np.where(ties, 0, weights * np.exp(times(alpha, a - top)))
    rest = np.where(np.isinf(alpha), 0, np.sum(terms, axis=1, keepdims=True))
    log = log_of(side, rest) + removed
    if np.iscomplexobj(a):
        return complex_logsumexp(block, top, side + rest, log, np.where(infinite, a, 0), np.where(infinite, weights, 0))

    value = top + log / alpha
    sign = np.sign(side + rest)
    value = np.where(np.isposinf(top), np.where(sign == 0, np.nan, top), value)
    value = np.where(np.isneginf(top), top, value)
    value = np.where(np.isnan(alpha) | np.isnan(sign), np.nan, value)
    if not block.signed:
        value = np.where(sign < 0, np.nan, value)
    return value * block.flip + 0.0, np.where(np.isnan(value), np.nan, sign)


def complex_logsumexp(
    block: Elements, top: Array, total: Array, log: Array, a: Array, weights: Array
) -> tuple[Array, Array]:
    """From a sum relative to exp(alpha * top), and the logarithm of its size; `a` and `weights`: what is infinite."""
    alpha, flip = block.alpha, block.flip
    turn = alpha * top.imag
    turn = joined(np.cos(turn), np.sin(turn))
    value = top.real + log / alpha
    angle = np.angle(total) + np.angle(turn)
    sign = total / abs(total) * turn

    # A direct sum of what is infinite says by itself what the result is, as C does for complex numbers.
    term = np.exp(times(alpha, a))
    term = np.where(weights.imag == 0, times(weights.real, term), weights * term)
    infinite_total = np.sum(np.where(weights == 0, 0, term), axis=1, keepdims=True)
    infinite_log = np.log(infinite_total)
    any_infinite = (weights != 0).any(axis=1, keepdims=True)
    value = np.where(any_infinite, infinite_log.real / alpha, value)
    angle = np.where(any_infinite, infinite_log.imag, angle)
    sign = np.where(any_infinite, np.sign(infinite_total), sign)

    none = (np.isneginf(top.real) | (total == 0)) & ~any_infinite
    limit = np.isinf(alpha) & ~np.isnan(top)  # where the imaginary part vanishes, whatever turns it takes
    value = np.where(limit, top.real, value)
    angle = np.where(none | limit, 0, wrapped(angle.astype(block.dtype.type(0).real.dtype)))
    sign = np.where(none, 0, np.where(limit, 1, sign))
    sign = np.where(np.isnan(alpha), np.nan, sign)
    value = value * flip + 0.0
    return (value if block.signed else joined(value, angle / alpha * flip + 0.0)), sign


def wrapped(angle: Array) -> Array:
    """The same angle in (-pi, pi], if it is at most a turn away."""
    zero, one = angle.dtype.type(0), angle.dtype.type(1)
    pi = np.arctan2(zero, -one)
    return np.where(angle > pi, angle - 2 * pi, np.where(angle <= -pi, angle + 2 * pi, angle))


def boltzmann(block: Elements) -> tuple[Array, Array]:
    """The mean, about the number nearest to 0 among those between the extremes; then once more, about itself."""
    a, alpha, there = block.a, block.alpha, block.weights != 0
    weights, _ = shrunk(block.weights)
    top, bottom = top_of(np.where(there, a, -np.inf)), -top_of(np.where(there, -a, -np.inf))
    centre = np.clip(0, bottom, top)
    centre = np.where(np.isfinite(centre), centre, 0)
    term = weights * np.where(alpha == 0, 1, np.exp(alpha * (a - top)))
    counts = there & ((alpha == 0) | ~np.isneginf(a))
    total = np.sum(term, axis=1, keepdims=True, where=counts)
    value = centre + np.sum(term * (a - centre), axis=1, keepdims=True, where=counts) / total
    rest = np.sum(term * (a - value), axis=1, keepdims=True, where=counts) / total
    value = np.where(np.isfinite(rest), value + rest, value)
    value = np.where((weights >= 0).all(axis=1, keepdims=True) & (top < value), top, value)
    value = np.where((np.isinf(top) & (alpha != 0)) | np.isinf(alpha) | np.isnan(top), top, value)
    value = np.where(np.isnan(alpha), np.nan, value)
    return value * block.flip + 0.0, np.ones_like(value)


def pnorm(block: Elements) -> tuple[Array, Array]:
    """The root of a sum of powers."""
    return root_of_powers(block._replace(a=abs(block.a)), mean=False)


def pmean(block: Elements) -> tuple[Array, Array]:
    """The root of a mean of powers."""
    return root_of_powers(block._replace(a=np.where(block.a < 0, np.nan, block.a)), mean=True)


def root_of_powers(block: Elements, mean: bool) -> tuple[Array, Array]:
    """The element with the largest power, times the root of a sum of quotients, less 1 so that tiny powers count."""
    p, there = block.alpha, block.weights != 0
    a = np.where(there, block.a, 1)
    weights, removed = shrunk(block.weights)
    least, most = np.where(p < 0, np.inf, 0), np.where(p < 0, 0, np.inf)  # their powers are 0 and infinite
    lowest = np.min(np.where(there, a, np.inf), axis=1, keepdims=True, initial=np.inf)
    extreme = np.where(p < 0, lowest, np.max(np.where(there, a, 0), axis=1, keepdims=True, initial=0))
    scale = np.where((extreme > 0) & (extreme < np.inf), extreme, 1)
    logs = np.log(a / scale)
    exponents = np.where((a == extreme) | ~there, 0, np.where((extreme == most) & ~np.isnan(a), -np.inf, p * logs))
    side = np.sum(weights, axis=1, keepdims=True)
    rest = np.sum(weights * np.expm1(exponents), axis=1, keepdims=True)
    if mean:
        mean_log = np.sum(np.where(there, weights * logs, 0), axis=1, keepdims=True) / side
        at_0 = np.where(side == 0, np.nan, scale * np.exp(mean_log))
        side, rest, removed = side / side, rest / side, np.zeros_like(side)  # NaN for weights that add up to 0
    else:
        count = np.sum(np.where(np.isnan(a), np.nan, a != 0) * block.weights, axis=1, keepdims=True)
        at_0 = np.where(count < 0, np.nan, count)
    total = side + rest
    value = scale * np.exp((log_of(side, rest) + removed) / p)
    value = np.where((extreme == most) | (extreme == least) | np.isinf(p), extreme, value)
    undefined = (total < 0) | np.isnan(total) | ((total == 0) & (extreme == most))
    value = np.where(undefined & (p != 0), np.nan, np.where(p == 0, at_0, value))
    value = np.where(np.isnan(p) | np.isnan(extreme), np.nan, value)
    return value, np.ones_like(value)


# Maps: a block -> as many results


class Terms(NamedTuple):
    """Terms relative to one at the maximum: exp(exponents); their sum is side + rest."""

    exponents: Array
    side: Array  # the number of terms equal to 1
    rest: Array
    there: Array
    none: Array  # whether there are only elements -inf


def terms_of(block: Elements) -> Terms:
    """Elements at an infinite maximum are alike, and beside them, or for infinite alpha, no others count."""
    alpha, there = block.alpha, block.weights != 0
    a = np.where(there, block.a, -np.inf)
    top = top_of(a)
    infinite = np.isposinf(top.real)
    ties = np.where(infinite, np.isposinf(a.real), a == top)
    exponents = np.where(ties, 0, alpha * (a.real - top.real))
    exponents[np.isneginf(a.real) | (~ties & (infinite | np.isinf(alpha)) & ~np.isnan(top))] = -np.inf
    if np.iscomplexobj(a):
        turns = np.where(np.isneginf(exponents) | np.isinf(alpha), 0, alpha * (a.imag - top.imag))
        exponents = joined(exponents, turns)
    exponents = np.where(np.isnan(alpha) | np.isnan(top), np.nan, exponents)
    equal = exponents == 0
    side = np.sum(equal, axis=1, keepdims=True).astype(a.dtype)
    rest = np.sum(np.exp(exponents), axis=1, keepdims=True, where=~equal)
    return Terms(exponents, side, rest, there, np.isneginf(top.real))


def softmax(block: Elements) -> Array:
    """Terms over their sum."""
    terms = terms_of(block)
    value = np.exp(terms.exponents) / (terms.side + terms.rest)
    return np.where(terms.there, np.where(terms.none, np.nan, value), 0)


def log_softmax(block: Elements) -> Array:
    """Exponents, less the logarithm of the sum of the terms."""
    terms = terms_of(block)
    log = log_of(terms.side, terms.rest)
    value = terms.exponents.real - log
    if np.iscomplexobj(terms.exponents):
        value = joined(value, terms.exponents.imag - np.angle(terms.side + terms.rest))
    return np.where(terms.there, np.where(terms.none, np.nan, value), -np.inf)


REDUCTIONS: dict[str, Callable[[Elements], tuple[Array, Array]]] = {
    "logsumexp": logsumexp,
    "boltzmann": boltzmann,
    "pnorm": pnorm,
    "pmean": pmean,
}
POWERS = ("pnorm", "pmean")
MAPS: dict[str, Callable[[Elements], Array]] = {"softmax": softmax, "log_softmax": log_softmax}
