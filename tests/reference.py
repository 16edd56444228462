"""Slow, exact definitions that the fast ones are held against, and the units in which they may differ."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf

from csmooth import _dispatch, _reductions

LEVELS = _dispatch.available()


@contextmanager
def running(level: str) -> Iterator[None]:
    """Makes the public functions run the kernels of one level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_reductions, "kernels", LEVELS[level])
        patch.setattr(_reductions, "_reduce_bare", LEVELS[level].reduce_bare)
        yield


class Exact(NamedTuple):
    """A result known to many more digits than a double has."""

    value: Any  # mpf, or a float where it is infinite or NaN
    sign: float
    condition: Any  # mpf


def counts_of(
    a: Iterable[float], b: Iterable[float] | None = None, where: Iterable[bool] | None = None
) -> Counter[tuple[float, float]]:
    """The pairs (a, b) of the elements that are there, and how often each occurs."""
    elements = [float(x) for x in a]
    weights = [1.0] * len(elements) if b is None else [float(w) for w in b]
    there = [True] * len(elements) if where is None else list(where)
    return Counter((x, w) for x, w, is_there in zip(elements, weights, there, strict=True) if is_there)


def logsumexp(
    a: Iterable[float],
    b: Iterable[float] | None = None,
    alpha: float = 1.0,
    initial: float | None = None,
    where: Iterable[bool] | None = None,
) -> Exact:
    """log(sum(b * exp(alpha * a))) / alpha of one output, the sign of the sum, and the condition number."""
    counts = counts_of(a, b, where)
    if initial is not None:
        counts[float(initial), 1.0] += 1
    return logsumexp_of_counts(counts, float(alpha), weighted=b is not None)


def weights_of(
    pairs: Mapping[tuple[float, float], int], weighted: bool
) -> tuple[dict[float, int | Fraction], dict[float, int | Fraction]]:
    """The sums at each a of weights and of their absolute values; of pairs (a, b) and how often each occurs."""
    weight: dict[float, int | Fraction] = {}
    size: dict[float, int | Fraction] = {}
    for (x, w), n in pairs.items():
        total = n * Fraction(w) if weighted else n
        weight[x] = weight.get(x, 0) + total
        size[x] = size.get(x, 0) + abs(total)
    return weight, size


def in_enough_bits(compute: Callable[..., Exact | None], *arguments: Any) -> Exact:
    """Ends, since exponentials of distinct rational numbers never cancel altogether."""
    bits, exact = 128, None
    while exact is None:
        with mp.workprec(bits):
            exact = compute(bits, *arguments)
        bits *= 2
    return exact


def logsumexp_of_counts(counts: Mapping[tuple[float, float], int], alpha: float = 1.0, weighted: bool = False) -> Exact:
    """As logsumexp, of pairs (a, b) and how often each occurs."""
    pairs = {(x, w): n for (x, w), n in counts.items() if w != 0}  # an element of weight 0 does not exist
    if alpha != alpha or any(x != x or w != w for x, w in pairs):
        return Exact(np.nan, np.nan, mpf(0))
    largest, nothing = (np.inf, -np.inf) if alpha > 0 else (-np.inf, np.inf)
    if abs(alpha) == np.inf:
        extreme = (max if alpha > 0 else min)([nothing, *(x for x, _ in pairs)])
        return Exact(extreme, float(extreme != nothing), mpf(0))
    pairs = {(x, w): n for (x, w), n in pairs.items() if x != nothing}
    infinite = [n * w for (x, w), n in pairs.items() if x == largest]
    infinite = infinite or [n * w for (_, w), n in pairs.items() if abs(w) == np.inf]
    if infinite:
        sign = np.sign(sum(infinite))
        return Exact(largest if abs(sign) == 1 else np.nan, sign if abs(sign) == 1 else np.nan, mpf(0))
    weight, size = weights_of(pairs, weighted)
    if not any(weight.values()):
        return Exact(nothing, 0.0, mpf("inf"))
    return in_enough_bits(logsumexp_to, weight, size, alpha, weighted)


def logsumexp_to(
    bits: int,
    weight: Mapping[float, int | Fraction],
    size: Mapping[float, int | Fraction],
    alpha: float,
    weighted: bool,
) -> Exact | None:
    """As logsumexp, of the sum of the weights, and of their absolute values, at each a; None if `bits` are too few.

    The condition number is sum(|a| p) / |value| with p = |b| exp(alpha a) / |sum|, plus sum(p) / |alpha value| if there
    are weights: the relative error that relative errors of 1 in all of the inputs may cause, at most.
    """
    scaled = {x: mpf(x) * mpf(alpha) for x in weight}
    top = max(scaled[x] for x in weight if weight[x])
    total = magnitude = absolute = moment = mpf(0)
    for x, s in scaled.items():
        if weighted or s - top > -bits:  # others lie beneath these bits
            term = mp.exp(s - top)
            part = term * (mpf(size[x].numerator) / size[x].denominator if weighted else size[x])
            absolute += part
            moment += part * abs(mpf(x))
            if weighted:
                part = term * weight[x].numerator / weight[x].denominator
                magnitude += abs(part)
            total += part
    enough = mpf(2) ** (-bits // 2)
    if abs(total) < enough * magnitude:
        return None
    scaled_value = top + mp.log(abs(total))
    if abs(scaled_value) < enough * max(1, abs(top)) and bits < 5000:  # beyond, it is 0 or rounds to 0
        return None
    value = scaled_value / mpf(alpha)
    condition = mpf("inf")
    if value:
        condition = (moment + (absolute / abs(mpf(alpha)) if weighted else 0)) / abs(total * value)
    return Exact(value, float(mp.sign(total)), condition)


def boltzmann(
    a: Iterable[float], alpha: float = 1.0, b: Iterable[float] | None = None, where: Iterable[bool] | None = None
) -> Exact:
    """sum(b * a * exp(alpha * a)) / sum(b * exp(alpha * a)) of one output, and the condition number."""
    return boltzmann_of_counts(counts_of(a, b, where), float(alpha), weighted=b is not None)


def boltzmann_of_counts(counts: Mapping[tuple[float, float], int], alpha: float = 1.0, weighted: bool = False) -> Exact:
    """As boltzmann, of pairs (a, b) and how often each occurs."""
    pairs = {(x, w): n for (x, w), n in counts.items() if w != 0}  # an element of weight 0 does not exist
    if not pairs or alpha != alpha or any(x != x or w != w for x, w in pairs):
        return Exact(np.nan, 1.0, mpf(0))
    if abs(alpha) == np.inf:
        return Exact((max if alpha > 0 else min)(x for x, _ in pairs), 1.0, mpf(0))
    if alpha == 0:
        infinities = {x for x, _ in pairs if abs(x) == np.inf}
        if infinities:
            return Exact(sum(infinities), 1.0, mpf(0))
    else:
        largest, nothing = (np.inf, -np.inf) if alpha > 0 else (-np.inf, np.inf)
        if all(x == nothing for x, _ in pairs):
            return Exact(nothing, 1.0, mpf(0))
        pairs = {(x, w): n for (x, w), n in pairs.items() if x != nothing}
        if any(x == largest for x, _ in pairs):
            return Exact(largest, 1.0, mpf(0))
    if any(abs(w) == np.inf for _, w in pairs):
        return Exact(np.nan, 1.0, mpf(0))
    weight, size = weights_of(pairs, weighted)
    if not any(weight.values()):
        return Exact(np.nan, 1.0, mpf(0))  # 0 / 0
    return in_enough_bits(boltzmann_to, weight, size, alpha, weighted)


def boltzmann_to(
    bits: int,
    weight: Mapping[float, int | Fraction],
    sizes: Mapping[float, int | Fraction],
    alpha: float,
    weighted: bool,
) -> Exact | None:
    """As boltzmann, of the sum of the weights, and of their absolute values, at each a; None if `bits` are too few.

    The condition number is the larger of sum(|a p (1 + alpha (a - value))|) and sum(|a| p), over |value|, with
    p = |b| exp(alpha a) / |sum|; plus sum(p |a - value|) / |value| if there are weights.
    """
    sharpness = mpf(alpha)
    elements = {x: mpf(x) for x in weight}
    top = max(elements[x] * sharpness for x in weight if weight[x])
    total = moment = magnitude = moments = absolute = mpf(0)
    parts = []
    for key, x in elements.items():
        term = mp.exp(x * sharpness - top)
        part = size = term * sizes[key].numerator / sizes[key].denominator
        if weighted:
            part = term * weight[key].numerator / weight[key].denominator
        product = part * x
        total += part
        moment += product
        magnitude += abs(part)
        moments += abs(product)
        absolute += abs(size * x)
        parts.append((x, size))
    enough = mpf(2) ** (-bits // 2)
    if bits < 5000 and (abs(total) < enough * magnitude or abs(moment) < enough * moments):  # beyond, it is 0
        return None
    value = moment / total
    if not value:
        return Exact(value, 1.0, mpf("inf"))
    own = of_weights = mpf(0)
    for x, size in parts:
        distance = x - value
        own += abs(size * x * (1 + sharpness * distance))
        if weighted:
            of_weights += abs(size * distance)
    return Exact(value, 1.0, (max(own, absolute) + of_weights) / abs(total * value))


def units(got: Any, exact: Exact, dtype: Any = np.float64) -> float:
    """The error of a result in units of ulp(result) * max(1, condition number)."""
    info = np.finfo(dtype)
    nearest = info.dtype.type(float(exact.value))
    if not (np.isfinite(got) and np.isfinite(nearest)):
        return 0.0 if same_bits(np.asarray(got, dtype), np.asarray(nearest)) else np.inf
    with np.errstate(under="ignore"):  # the spacing of subnormal numbers; that of the largest overflows
        ulp = np.spacing(min(abs(nearest), np.nextafter(info.max, info.dtype.type(0))))
    with mp.workprec(200):
        return float(abs(mpf(float(got)) - exact.value) / mpf(float(ulp)) / max(1, exact.condition))


def same_bits(x: Any, y: Any) -> bool:
    """Whether two results have the same dtype, shape and bits, any NaN being as good as another."""
    x, y = (np.where(np.isnan(z), np.asarray(np.nan, z.dtype), z) for z in (np.asarray(x), np.asarray(y)))
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
