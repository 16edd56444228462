"""Gradients in longdouble, which the kernels lack: plain NumPy, slow and right, from the blocks of `_plain`.

The formulas are those of `_kernels/gradients.pxi`. To add a function, write it and name it in GRADIENTS.
"""

from typing import Any

import numpy as np

from . import _plain
from ._arrays import Array, Operands
from ._plain import Elements

CURVATURE = 24  # terms of a series in u, at most 1: the last is 1e-23


def map(name: str, into: Operands, parameter: Any, initial: Any, value: Array, results: Array, slope: Any) -> None:
    """The gradient, and the slope, the derivative by the parameter, unless that is None, as a kernel has them."""
    kept = len(into.kept)
    target = _plain.outer(results, kept)
    with np.errstate(all="ignore"):
        for index, block in _plain.blocks(name, into, parameter, initial):
            known = _plain.outer(value, kept)[index].reshape(-1, 1)
            gradient, terms = GRADIENTS[name](block, known)
            gradient = np.where(block.weights == 0, 0, np.where(np.isnan(known), np.nan, gradient))
            shape = target[index].shape
            if name == "pnorm":  # of a, while that is there: the gradient may take its place
                negative = np.signbit(_plain.outer(into.a, kept)[index]).reshape(gradient.shape)
                gradient = np.where(negative, -gradient, gradient) + 0.0  # no -0.0
            target[index] = gradient[:, : gradient.shape[1] - (initial is not None)].reshape(shape)
            if slope is not None:
                _plain.outer(slope, kept)[index] = np.sum(terms, axis=1, where=terms != 0)


def shares_of(block: Elements, x: Array) -> tuple[Array, Array, Array]:
    """The softmax times weights; elements (x relative to a maximum) relative to the result; weights.

    Cancelled maxima stay out of the sum, but have their shares.
    """
    alpha = block.alpha
    weights, _ = _plain.shrunk(block.weights)
    tops = _plain.tops_of(block.a, np.where((alpha != 0) & np.isneginf(block.a), 0, weights))
    flat = (x == 0) | ((alpha == 0) & ~np.isnan(x))
    terms = np.exp(np.where(flat, 0, alpha * x))
    rest = np.sum(tops.weights * terms, axis=1, keepdims=True, where=(tops.weights != 0) & ~tops.ties)
    total = _plain.sum_of(np.where(np.isnan(rest), rest, tops.side + rest))
    none = (weights == 0) | (np.isneginf(tops.top) & (alpha != 0))
    return np.where(none, 0, weights * terms / total), x - _plain.log_of(tops.side, rest) / alpha, weights


def from_top(block: Elements) -> Array:
    """Elements relative to the maximum."""
    top = _plain.tops_of(block.a, block.weights).top
    return np.where(block.a == top, 0, block.a - top)


def excess(block: Elements, share: Array, x: Array, weights: Array) -> Array:
    """The terms of the derivative of log(sum(w * exp(alpha * x)) / sum(w)) / alpha by alpha, none of which cancel."""
    total = _plain.sum_of(weights)
    w, x = weights / total, np.where(weights == 0, 0, x)
    x = x - _plain.log_mean(x, weights, total, block.alpha)
    u = block.alpha * x
    near, factor = np.zeros_like(u), u.dtype.type(1)
    for k in range(2, CURVATURE):  # (k - 1) / k! of ((u - 1) * exp(u) + 1) / u**2
        factor /= k
        near += (k - 1) * factor * u ** (k - 2)
    far = (np.where(share == 0, 0, share * (u - 1)) + w) / block.alpha / block.alpha
    return np.where(w == 0, 0, np.where(abs(u) <= 1, w * x * x * near, far))


def logsumexp(block: Elements, value: Array) -> tuple[Array, Array]:
    """p; the slope is to be divided by alpha."""
    share, distance, _ = shares_of(block, from_top(block))
    return share, np.where(share == 0, 0, share * distance)


def logmeanexp(block: Elements, value: Array) -> tuple[Array, Array]:
    """p."""
    share, _, weights = shares_of(block, from_top(block))
    return share, excess(block, share, from_top(block), weights)


def boltzmann(block: Elements, value: Array) -> tuple[Array, Array]:
    """p * (1 + alpha * (a - value)); the variance."""
    x = from_top(block)
    share, _, _ = shares_of(block, x)
    x = x - np.sum(share * x, axis=1, keepdims=True, where=share != 0)
    tilted = np.where((share == 0) | np.isinf(value), share, share * (1 + block.alpha * x))
    return tilted, np.where(share == 0, 0, share * x * x)


def powers(block: Elements, value: Array) -> tuple[Array, Array]:
    """(abs(a) / value)**(p - 1); and, in place of the elements, the logarithms of abs(a) relative to an extreme."""
    size, top = np.maximum(block.flip * block.a, 0), _plain.tops_of(block.a, block.weights).top
    logs = block.flip * _plain.log_ratio(size, np.maximum(block.flip * top, 0))
    term = np.where((size == 0) | (value == 0), 0, (size / value) ** (block.flip * block.alpha - 1))
    return np.where(np.isinf(value), np.isinf(size), term), np.where(block.a == top, 0, logs)


def pnorm(block: Elements, value: Array) -> tuple[Array, Array]:
    """The slope is to be multiplied by value / p."""
    term, x = powers(block, value)
    share, distance, _ = shares_of(block, x)
    return block.weights * term, np.where((share == 0) | (value == 0), 0, share * distance * block.flip)


def pmean(block: Elements, value: Array) -> tuple[Array, Array]:
    """The slope is to be multiplied by the value."""
    term, x = powers(block, value)
    share, _, weights = shares_of(block, x)
    return weights / _plain.sum_of(weights) * term, np.where(value == 0, 0, excess(block, share, x, weights))


GRADIENTS = {f.__name__: f for f in (logsumexp, logmeanexp, boltzmann, pnorm, pmean)}
