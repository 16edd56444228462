"""What a case costs at least, for LIMITS.md: one read of its memory, and the arithmetic of its hot loops."""

from __future__ import annotations

import fnmatch
from functools import cache
from importlib import import_module, util
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench import Case, Result

# Vector operations for each vector of elements, in the first row that matches a case: at x86_64_v4, at x86_64_v3.
# None: not counted. LIMITS.md says how they are counted.
OPERATIONS: dict[str, tuple[int | None, int | None]] = {
    "logsumexp float64 10": (None, None),  # a call
    "logsumexp float64 4x10 *": (None, None),
    "logsumexp float64 1000000x2 axis 1": (68, None),  # terms, and logarithms
    "logsumexp float64 1000000x8 axis 1": (38, None),
    "logsumexp float64 digits_log_joint.npy axis 1": (36, None),
    "logsumexp float64 100000x50 axis 1": (23, None),
    "logsumexp float64 * axis 0": (18, 28),  # one sum a column
    "logsumexp float64 100x100x1000 axis 1": (18, 28),
    "logsumexp float64 *": (16, 23),
    "logsumexp float32 *": (15, 15),
    "boltzmann float64 1000000x8 axis 1": (41, None),  # terms alone
    "boltzmann float64 16000000 alpha=*": (None, None),
    "boltzmann float64 * axis 0": (18, 25),
    "boltzmann float64 *": (17, 24),
    "boltzmann float32 *": (37, 51),  # in double precision
    "logmeanexp float64 1000000x8 axis 1": (72, None),  # terms alone
    "logmeanexp float64 *": (43, 57),
    "pnorm float64 * p=3.5": (40, 59),
    "pnorm float64 * p=3.0": (11, 12),
    "pnorm float64 * p=2.0": (6, 7),
    "pmean float64 * p=3.5": (61, 71),
    "softmax float64 *": (22, 29),
    "softmax float32 *": (31, 31),
    "log_softmax float64 *": (19, 26),
    "log_softmax float32 *": (27, 27),
    "grad.logsumexp float64 *": (35, 49),
}
LEVELS = {"x86_64_v4": (0, 64, 2), "x86_64_v3": (1, 32, 3)}  # column; bytes a vector; most operations begun in a cycle
HEAD = [
    "case",
    "one read, ns/element",
    "operations a vector",
    "arithmetic, ns/element",
    "csmooth, ns/element",
    "x floor",
]


@cache
def clock() -> float:
    """Cycles a nanosecond of this core while it is busy, by numba's loop of steps that wait for each other; or NaN."""
    if util.find_spec("numba") is None:
        return np.nan

    def steps(n: int, x: int, factor: int, summand: int) -> int:
        for _ in range(n):
            x = x * factor + summand  # 3 cycles and 1, on all that have AVX2
        return x

    compiled: Any = import_module("numba").njit(steps)
    compiled(1, 1, 3, 1)
    n = 10_000_000
    durations = []
    for _ in range(10):
        start = perf_counter()
        compiled(n, 1, 3, 1)
        durations.append(perf_counter() - start)
    return 4 * n / min(durations) * 1e-9


def counted(case: Case, level: str) -> int | None:
    """Vector operations for each vector of elements of a case."""
    if level not in LEVELS:
        return None
    return next((x[LEVELS[level][0]] for cases, x in OPERATIONS.items() if fnmatch.fnmatch(case.name, cases)), None)


def row(result: Result, level: str) -> list[str]:
    """Cells: the case, what it costs at least, what it costs, and how much that is of the largest of the floors."""
    operations, ours, read = (
        counted(result.case, level),
        result.nanoseconds("csmooth"),
        result.nanoseconds(result.case.read),
    )
    if result.elements < 1000:  # a call: np.max's own is no floor of it
        return [result.case.name, "-", "-", "-", f"{ours:.3g}", "-"]
    arithmetic = np.nan
    if operations is not None:
        _, size, rate = LEVELS[level]
        arithmetic = operations * np.dtype(result.case.dtype).itemsize / size / rate / clock()
    floor = np.fmax(read, arithmetic)
    counts = ["-" if operations is None else str(operations), "-" if np.isnan(arithmetic) else f"{arithmetic:.3g}"]
    return [result.case.name, f"{read:.3g}", *counts, f"{ours:.3g}", f"{ours / floor:.2f}"]


def caption(level: str) -> str:
    """What the floors were computed with."""
    if level not in LEVELS:
        return "Operations are not counted at this level."
    _, size, rate = LEVELS[level]
    return f"Arithmetic: {rate} operations a cycle on vectors of {size} bytes, {clock():.2f} GHz."
