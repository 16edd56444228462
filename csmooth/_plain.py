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

    Where alpha was negative, the elements have the other sign instead, and so must the result. For powers the
    parameter is p, and -inf stands for 0, as the logarithm of 0: so what counts for nothing, and what for all, lies at
    the same ends as among exponentials.
    """

    a: Array
    weights: Array
    alpha: Array  # not negative; it and `flip`, 1 or -1, are columns
    flip: Array
    dtype: Dtype  # of the result
    signed: bool  # whether the sign of a sum is asked for


def reduce(name: str, into: Operands, parameter: Any, initial: Any, out: Array, sign: Array | None) -> None:
    """Reduces `into` to `out`, and to `sign` unless that is None, as a kernel does."""
    kept = len(into.kept)
    with np.errstate(all="ignore"):
        for index, elements in blocks(name, into, parameter, initial, sign is not None):
            value, its_sign = REDUCTIONS[name](elements)
            outer(out, kept)[index] = value[:, 0]
            if sign is not None:
                outer(sign, kept)[index] = its_sign[:, 0]


def spread(name: str, into: Operands, parameter: Any, out: Array) -> None:
    """Writes as many results as there are elements to `out`."""
    target = outer(out, len(into.kept))
    with np.errstate(all="ignore"):
        for index, elements in blocks(name, into, parameter):
            target[index] = MAPS[name](elements).reshape(len(index[0]), *into.a.shape[len(into.kept) :])


def outer(array: Array, kept: int) -> Array:
    """The array with at least one kept axis."""
    return array if kept else array[np.newaxis]


def blocks(
    name: str, into: Operands, parameter: Any, initial: Any = None, signed: bool = False
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
        if name in ("pnorm", "pmean"):
            a = np.abs(a) if name == "pnorm" else np.where(a < 0, np.nan, a)
            a[a == 0] = -np.inf
        yield index, settled(a, weights, alpha, into.dtype, signed)


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
    """Weights that are a power of two smaller where their sums might overflow, and the exponent of that power."""
    largest = abs(weights).max(axis=1, keepdims=True, initial=0)
    one = largest.dtype.type(1)
    removed = np.where(largest > np.ldexp(np.finfo(largest.dtype).max, -HEADROOM), HEADROOM, 0)
    return times(np.ldexp(one, -removed), weights), removed


class Tops(NamedTuple):
    """What is left where maxima cancelled: what is absent or cancelled is -inf, of weight 0."""

    a: Array
    weights: Array
    top: Array  # the maximum
    ties: Array  # whether an element equals it
    side: Array  # the weight of these


def tops_of(a: Array, weights: Array) -> Tops:
    """Leaves out what cancels at a finite maximum: what lies beneath may count for all."""
    a = np.where(weights == 0, -np.inf, a)
    while True:
        top = top_of(a)
        ties = a == top
        side = np.sum(weights, axis=1, keepdims=True, where=ties)
        cancelled = ties & (side == 0) & np.isfinite(top)
        if not cancelled.any():
            return Tops(a, weights, top, ties, side)
        a = np.where(cancelled, -np.inf, a)
        weights = np.where(cancelled, 0, weights)


def sum_of(weights: Array) -> Array:
    """The sum of the weights, which is to divide; NaN for 0."""
    total = np.sum(weights, axis=1, keepdims=True)
    return np.where(total == 0, np.nan, total)


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


def log_mean(a: Array, weights: Array, total: Array, alpha: Array) -> Array:
    """log(sum(weights * exp(alpha * a)) / total) / alpha, the better the nearer it is to 0; for alpha = 0 the mean."""
    excess = np.where(alpha == 0, a, np.expm1(alpha * a))
    mean: Array = np.sum(weights * excess, axis=1, keepdims=True, where=weights != 0) / total
    whole: Array = np.sum(weights * np.exp(alpha * a), axis=1, keepdims=True, where=weights != 0) / total
    log = np.where(mean < -0.5, np.log(whole), np.log1p(mean))  # 1 + mean would lose digits
    return np.where(alpha == 0, mean, log / alpha)


def log_ratio(x: Array, reference: Array) -> Array:
    """log(x / reference), also where the ratio over- or underflows, or is nearly 1."""
    ratio, info = x / reference, np.finfo(x.dtype)
    log = np.where((ratio >= info.tiny) & (ratio <= info.max), np.log(ratio), np.log(x) - np.log(reference))
    return np.where((ratio > 0.5) & (ratio < 2), np.log1p((x - reference) / reference), log)


def bounded(value: Array, a: Array, weights: Array) -> Array:
    """A mean, which lies between the extremes unless weights are negative."""
    low = np.min(a, axis=1, keepdims=True, where=weights != 0, initial=np.inf)
    high = np.max(a, axis=1, keepdims=True, where=weights != 0, initial=-np.inf)
    return np.where((weights >= 0).all(axis=1, keepdims=True), np.clip(value, low, high), value)


# Reductions: a block -> the values and signs of its outputs, in columns


def logsumexp(block: Elements) -> tuple[Array, Array]:
    """maximum + log(sum) / alpha, with the ties at the maximum out of the sum."""
    alpha = block.alpha
    weights, removed = shrunk(np.where(np.isneginf(block.a.real), 0, block.weights))
    a, weights, top, ties, side = tops_of(block.a, weights)
    terms = np.where(ties, 0, weights * np.exp(times(alpha, a - top)))
    rest = np.where(np.isinf(alpha), 0, np.sum(terms, axis=1, keepdims=True))
    log = log_of(side, rest) + removed * np.log(alpha.dtype.type(2))
    if np.iscomplexobj(a):
        return complex_logsumexp(block, top, side + rest, log)

    value = top + log / alpha
    sign = np.sign(side + rest)
    value = np.where(np.isposinf(top), np.where(sign == 0, np.nan, top), value)
    value = np.where(np.isneginf(top), top, value)
    value = np.where(np.isnan(sign), np.nan, value)
    if not block.signed:
        value = np.where(sign < 0, np.nan, value)
    return value * block.flip + 0.0, np.where(np.isnan(value), np.nan, sign)


def complex_logsumexp(block: Elements, top: Array, total: Array, log: Array) -> tuple[Array, Array]:
    """From a sum relative to exp(alpha * top), and the logarithm of its size."""
    alpha, flip = block.alpha, block.flip
    turn = alpha * top.imag
    turn = joined(np.cos(turn), np.sin(turn))
    value = top.real + log / alpha
    angle = np.angle(total) + np.angle(turn)
    sign = total / abs(total) * turn

    # A direct sum of what is infinite says by itself what the result is, as C does for complex numbers.
    weights = block.weights
    infinite = (weights != 0) & ~np.isneginf(block.a.real) & ~(np.isfinite(block.a) & np.isfinite(weights))
    term = np.exp(times(alpha, block.a))
    term = np.where(weights.imag == 0, times(weights.real, term), weights * term)
    infinite_total = np.sum(term, axis=1, keepdims=True, where=infinite)
    infinite_log = np.log(infinite_total)
    any_infinite = infinite.any(axis=1, keepdims=True)
    value = np.where(any_infinite, infinite_log.real / alpha, value)
    angle = np.where(any_infinite, infinite_log.imag, angle)
    sign = np.where(any_infinite, np.sign(infinite_total), sign)

    none = (np.isneginf(top.real) | (total == 0)) & ~any_infinite
    limit = np.isinf(alpha) & ~np.isnan(top)  # where the imaginary part vanishes, whatever turns it takes
    value = np.where(limit, top.real, value)
    angle = np.where(none | limit, 0, wrapped(angle.astype(block.dtype.type(0).real.dtype)))
    sign = np.where(none, 0, np.where(limit, 1, sign))
    value = value * flip + 0.0
    return (value if block.signed else joined(value, angle / alpha * flip + 0.0)), sign


def wrapped(angle: Array) -> Array:
    """The same angle in (-pi, pi], if it is at most a turn away."""
    zero, one = angle.dtype.type(0), angle.dtype.type(1)
    pi = np.arctan2(zero, -one)
    return np.where(angle > pi, angle - 2 * pi, np.where(angle <= -pi, angle + 2 * pi, angle))


def logmeanexp(block: Elements) -> tuple[Array, Array]:
    """maximum + log(mean) / alpha; then once more about itself, as the maximum may be far from 0 and this not."""
    alpha = block.alpha
    weights, _ = shrunk(block.weights)
    total = sum_of(weights)
    a, weights, top, _, side = tops_of(block.a, weights)
    start = np.where(np.isfinite(top), top, 0)
    value = start + log_mean(a - start, weights, total, alpha)
    rest = log_mean(a - value, weights, total, alpha)
    value = np.where(np.isfinite(rest), value + rest, value)
    infinite = np.where(side / total > 0, top, np.nan)
    value = np.where(np.isinf(top) & (alpha != 0), infinite, value)
    value = np.where(np.isinf(alpha), top, bounded(value, block.a, block.weights))
    return value * block.flip + 0.0, np.ones_like(value)


def boltzmann(block: Elements) -> tuple[Array, Array]:
    """The mean, about the number nearest to 0 among those between the extremes; then once more, about itself."""
    a, alpha, there = block.a, block.alpha, block.weights != 0
    weights, _ = shrunk(block.weights)
    top, bottom = top_of(np.where(there, a, -np.inf)), -top_of(np.where(there, -a, -np.inf))
    centre = np.clip(0, bottom, top)
    centre = np.where(np.isfinite(centre), centre, 0)
    term = weights * np.where(alpha == 0, 1, np.exp(alpha * (a - top)))
    counts = there & ((alpha == 0) | ~np.isneginf(a))
    total = sum_of(np.where(counts, term, 0))
    value = centre + np.sum(term * (a - centre), axis=1, keepdims=True, where=counts) / total
    rest = np.sum(term * (a - value), axis=1, keepdims=True, where=counts) / total
    value = np.where(np.isfinite(rest), value + rest, value)
    value = bounded(value, a, weights)
    value = np.where((np.isinf(top) & (alpha != 0)) | np.isinf(alpha) | np.isnan(top), top, value)
    return value * block.flip + 0.0, np.ones_like(value)


def pnorm(block: Elements) -> tuple[Array, Array]:
    """extreme * sum(ratios**p)**(1 / p), the extreme being the largest element, or for negative p the smallest.

    Powers of the ratios to this result then tell what logarithms rounded off, in units of a power of two near the
    extreme, so that nothing overflows. Not for abs(p) < 1, where the root enlarges the errors of either.
    """
    flip, p = block.flip, block.flip * block.alpha
    weights, removed = shrunk(np.where(np.isneginf(block.a), 0, block.weights))
    count = np.ldexp(np.sum(weights, axis=1, keepdims=True), removed)
    a, weights, top, ties, side = tops_of(block.a, weights)
    x, extreme = np.maximum(flip * a, 0), np.maximum(flip * top, 0)
    terms = np.where(ties, 0, weights * np.exp(p * log_ratio(x, extreme)))
    rest = np.sum(terms, axis=1, keepdims=True, where=weights != 0)
    root = np.exp((log_of(side, rest) + removed * np.log(p.dtype.type(2))) / p / 2)
    value = extreme * root * root  # its square may overflow where this does not

    mantissa, exponent = np.frexp(extreme)
    in_units = mantissa * root * root
    powers = weights * (np.ldexp(x, -exponent) / in_units) ** p
    total = np.ldexp(np.sum(powers, axis=1, keepdims=True, where=weights != 0), removed)
    excess = np.log1p(total - 1) / p
    value = np.where((abs(p) >= 1) & np.isfinite(excess), np.ldexp(in_units + in_units * excess, exponent), value)

    enough = ((block.weights == 0) | (block.weights >= 1)).all(axis=1, keepdims=True)
    value = np.where(enough, flip * np.maximum(flip * value, flip * extreme), value)
    sign = np.where(p == 0, np.sign(count), np.sign(side + rest))
    value = np.where(np.isinf(top), np.where(np.isposinf(top) & (sign == 0), np.nan, extreme), value)
    value = np.where(np.isinf(p), extreme, np.where((p == 0) & ~np.isnan(top), count, value))
    return np.where(sign < 0, np.nan, value), sign


def pmean(block: Elements) -> tuple[Array, Array]:
    """As logmeanexp of the logarithms: relative to an extreme, then once more to itself."""
    flip, p = block.flip, block.flip * block.alpha
    weights, _ = shrunk(block.weights)
    total = sum_of(weights)
    a, weights, top, _, side = tops_of(block.a, weights)
    x, extreme = np.maximum(flip * a, 0), np.maximum(flip * top, 0)
    value = extreme * np.exp(log_mean(log_ratio(x, extreme), weights, total, p))
    rest = log_mean(log_ratio(x, value), weights, total, p)
    value = np.where(np.isfinite(rest), value + value * np.expm1(rest), value)
    value = bounded(value, np.maximum(flip * block.a, 0), block.weights)
    value = np.where(np.isinf(top) | np.isinf(p), np.where(side / total > 0, extreme, np.nan), value)
    zeros = (np.isneginf(flip * block.a) & (block.weights != 0)).any(axis=1, keepdims=True)
    value = np.where((p == 0) & zeros & np.isinf(extreme), np.nan, value)  # 0 * inf
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
    "logmeanexp": logmeanexp,
    "boltzmann": boltzmann,
    "pnorm": pnorm,
    "pmean": pmean,
}
MAPS: dict[str, Callable[[Elements], Array]] = {"softmax": softmax, "log_softmax": log_softmax}
