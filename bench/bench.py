"""Times csmooth beside its peers: the same arrays, the same process, in turns, on one core.

The clock is the processor time of the process, all its threads included. On one core that is the time that passes,
less what other processes take of it. With --threads it is the time that passes, so nothing else should run.

``python bench/bench.py --help`` lists the options. Peers that are not installed are left out. What is timed stands
in tables: PEERS, the contenders of each function, and CASES; MAPS names the functions whose results are as large as
their input.
"""

import argparse
import fnmatch
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module, metadata, util
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csmooth import _dispatch

Array: TypeAlias = NDArray[Any]
Keywords: TypeAlias = dict[str, Any]  # of a call; the axis is among them unless it is None
Contender: TypeAlias = Callable[[], Any]  # one call of it is timed; all else is prepared before
Maker: TypeAlias = Callable[[Array, Keywords], Contender]
# A function, its dotted name, or the name of a module and what makes a function of it: peers are imported when needed.
Target: TypeAlias = Callable[..., Any] | str | tuple[str, Callable[[Any], Callable[..., Any]]]

DATA = Path(__file__).parent / "data"
TURN = 5  # samples of a contender in a row
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")}
ONE_THREAD |= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}


def named(target: str) -> Any:
    """The object of a dotted name, such as scipy.special.logsumexp."""
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def resolved(target: Target) -> Callable[..., Any]:
    """The function that a peer's row stands for."""
    if isinstance(target, tuple):
        return target[1](import_module(target[0]))
    return named(target) if isinstance(target, str) else target


def of_numpy(target: Target) -> Maker:
    """A function of NumPy's arrays and of keywords."""
    return lambda a, keywords: partial(resolved(target), a, **keywords)


def of_torch(target: Target) -> Maker:
    """A function of a tensor, which here shares the array's memory, and of its dim."""

    def make(a: Array, keywords: Keywords) -> Contender:
        torch = import_module("torch")
        torch.set_num_threads(1)
        rest = {name: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for name, x in keywords.items()}
        dim = rest.pop("axis", 0 if a.ndim == 1 else tuple(range(a.ndim)))
        return partial(resolved(target), torch.from_numpy(a), dim, **rest)

    return make


def of_jax(target: Target) -> Maker:
    """A function that JAX compiles for this shape, of an array that already is on its device."""

    def make(a: Array, keywords: Keywords) -> Contender:
        jax = import_module("jax")
        compiled = jax.jit(partial(resolved(target), **keywords))
        on_device = jax.numpy.asarray(a).block_until_ready()
        return lambda: jax.block_until_ready(compiled(on_device))

    return make


def allocating(make: Maker) -> Maker:
    """For a function that takes no `out`: its results are new arrays."""
    return lambda a, keywords: make(a, {name: x for name, x in keywords.items() if name != "out"})


def three_lines(exponentials: Callable[[Array, Array, Any], Any]) -> Maker:
    """Log-sum-exp as one writes it in NumPy, with one's own sum, or mean, of exp(a - m)."""

    def call(a: Array, axis: Any = None) -> Any:
        m = a.max(axis, keepdims=True)
        s = exponentials(a, m, axis)
        return m.squeeze(axis) + np.log(s)

    return lambda a, keywords: partial(call, a, **keywords)


def boltzmann(a: Array, axis: Any = None) -> Any:
    """As one writes it in NumPy."""
    w = np.exp(a - a.max(axis, keepdims=True))
    return (w * a).sum(axis) / w.sum(axis)


def mean_by_softmax(module: Any) -> Callable[..., Any]:
    """The Boltzmann operator, by the softmax of a module."""

    def call(a: Any, axis: Any = -1) -> Any:
        return (module.softmax(a, axis) * a).sum(axis)

    return call


def separate(csmooth: Any) -> Callable[..., Any]:
    """What smoothmax_stats gives, by four calls."""

    def call(a: Array, axis: Any = None) -> tuple[Any, ...]:
        top, mean = csmooth.logsumexp(a, axis, alpha=math.inf), csmooth.logmeanexp(a, axis, alpha=0.0)
        return top, csmooth.logsumexp(a, axis), csmooth.boltzmann(a, axis=axis), mean

    return call


def less_log_n(module: Any) -> Callable[..., Any]:
    """Log-mean-exp, by the logsumexp of a module."""

    def call(a: Any, axis: Any = None) -> Any:
        total = module.logsumexp(a, axis)
        return total - math.log(math.prod(a.shape) / math.prod(total.shape))

    return call


def pnorm(module: Any, mean: bool = False) -> Callable[..., Any]:
    """The p-norm, or the power mean of what is positive, as one writes it if it must not overflow."""

    def call(a: Any, axis: Any = None, p: float = 2.0) -> Any:
        sizes = module.abs(a)
        m = module.amax(sizes, axis, keepdims=True)
        powers = (sizes / m) ** p
        return m.squeeze(axis) * (powers.mean(axis) if mean else powers.sum(axis)) ** (1 / p)

    return call


pmean = partial(pnorm, mean=True)


def softmax(a: Array, axis: Any = None, out: Any = None) -> Any:
    """As one writes it in NumPy, in place."""
    out = np.subtract(a, a.max(axis, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis, keepdims=True)
    return out


def log_softmax(a: Array, axis: Any = None, out: Any = None) -> Any:
    """As one writes it in NumPy, with one temporary."""
    out = np.subtract(a, a.max(axis, keepdims=True), out=out)
    out -= np.log(np.exp(out).sum(axis, keepdims=True))
    return out


def torch_gradient(torch: Any) -> Callable[..., Any]:
    """logsumexp and its gradient by backpropagation."""

    def call(a: Any, dim: Any) -> tuple[Any, Any]:
        a = a.detach().requires_grad_()
        value = torch.logsumexp(a, dim)
        return value.detach(), torch.autograd.grad(value, a)[0]

    return call


def jax_gradient(jax: Any) -> Callable[..., Any]:
    """logsumexp and its gradient by backpropagation."""
    return jax.value_and_grad(named("jax.scipy.special.logsumexp"))


def by_numexpr(a: Array, m: Array, axis: Any) -> Any:
    """Sum of exp(a - m) over one axis or all."""
    expression = "sum(exp(a - m))" if axis is None else f"sum(exp(a - m), axis={axis})"
    return named("numexpr.evaluate")(expression, local_dict={"a": a, "m": m}, global_dict={})


def of_numba(term: Callable[..., float], finish: Callable[..., float], size: Callable[[float], float]) -> Maker:
    """A reduction by two passes of plain loops over one axis or all.

    The first finds m, the largest `size` of an element x, the second s, the sum of `term(x, m, p)`; then the result of
    n elements is `finish(m, s, n, p)`.
    """

    def make(a: Array, keywords: Keywords) -> Contender:
        axis, p = keywords.get("axis"), float(keywords.get("p", 2.0))
        before, after = ((), ()) if axis is None else (a.shape[: int(axis)], a.shape[axis + 1 :])
        view = a.reshape(math.prod(before), -1, math.prod(after))
        loops = numba_loops(term, finish, size)
        return lambda: loops(view, p, np.empty((view.shape[0], view.shape[2]), a.dtype)).reshape(before + after)

    return make


@cache
def numba_loops(*functions: Callable[..., float]) -> Any:
    """The loops, compiled once for each dtype."""
    njit = named("numba.njit")
    term, finish, size = map(njit, functions)

    def loops(a: Array, p: float, out: Array) -> Array:
        outer, n, inner = a.shape
        m, s = np.empty(inner), np.empty(inner)
        for i in range(outer):
            m[:], s[:] = -np.inf, 0.0
            for j in range(n):
                for k in range(inner):
                    m[k] = max(m[k], size(a[i, j, k]))
            for j in range(n):
                for k in range(inner):
                    s[k] += term(a[i, j, k], m[k], p)
            for k in range(inner):
                out[i, k] = finish(m[k], s[k], n, p)
        return out

    return njit(loops)


def exponential(x: float, m: float, p: float) -> float:
    """The term of logsumexp and logmeanexp."""
    return math.exp(x - m)


def power(x: float, m: float, p: float) -> float:
    """The term of pnorm and pmean."""
    return (abs(x) / m) ** p


def itself(x: float) -> float:
    """The size of an element where the largest itself is looked for."""
    return x


class Peer(NamedTuple):
    """A contender of a function."""

    name: str
    package: str
    make: Maker
    counts: bool = True  # among those whose best is to be beaten
    same: bool = True  # gives the same values
    least: float = 0  # how many times faster than this one at least, where that is another limit


PEERS = {
    "logsumexp": [
        Peer("NumPy", "numpy", three_lines(lambda a, m, axis: np.exp(a - m).sum(axis))),
        Peer("SciPy", "scipy", of_numpy("scipy.special.logsumexp")),
        Peer("torch", "torch", of_torch("torch.logsumexp")),
        Peer("JAX", "jax", of_jax("jax.scipy.special.logsumexp")),
        Peer("numba", "numba", of_numba(exponential, lambda m, s, n, p: m + math.log(s), itself)),
        Peer("numexpr", "numexpr", three_lines(by_numexpr), counts=False),
        Peer("nansum", "bottleneck", of_numpy("bottleneck.nansum"), counts=False, same=False),
    ],
    "boltzmann": [
        Peer("NumPy", "numpy", of_numpy(boltzmann)),
        Peer("SciPy", "scipy", of_numpy(("scipy.special", mean_by_softmax))),
        Peer("torch", "torch", of_torch(("torch", mean_by_softmax))),
        Peer("JAX", "jax", of_jax(("jax.nn", mean_by_softmax))),
        Peer("logsumexp", "csmooth", of_numpy("csmooth.logsumexp"), counts=False, same=False, least=1 / 1.15),
    ],
    "logmeanexp": [
        Peer("NumPy", "numpy", three_lines(lambda a, m, axis: np.exp(a - m).mean(axis))),
        Peer("SciPy", "scipy", of_numpy(("scipy.special", less_log_n))),
        Peer("torch", "torch", of_torch(("torch", less_log_n))),
        Peer("JAX", "jax", of_jax(("jax.scipy.special", less_log_n))),
        Peer("numba", "numba", of_numba(exponential, lambda m, s, n, p: m + math.log(s / n), itself)),
    ],
    "pnorm": [
        Peer("NumPy", "numpy", of_numpy(("numpy", pnorm))),
        Peer("norm", "numpy", of_numpy(("numpy.linalg", lambda m: lambda a, axis=None, p=2.0: m.norm(a, p, axis)))),
        Peer("torch", "torch", of_torch(("torch.linalg", lambda m: lambda a, dim, p=2.0: m.vector_norm(a, p, dim)))),
        Peer("JAX", "jax", of_jax(("jax.numpy.linalg", lambda m: lambda a, axis=None, p=2.0: m.norm(a, p, axis)))),
        Peer("numba", "numba", of_numba(power, lambda m, s, n, p: m * s ** (1 / p), lambda x: abs(x))),
    ],
    "pmean": [
        Peer("NumPy", "numpy", of_numpy(("numpy", pmean))),
        Peer("SciPy", "scipy", of_numpy("scipy.stats.pmean")),
        Peer("torch", "torch", of_torch(("torch", pmean))),
        Peer("JAX", "jax", of_jax(("jax.numpy", pmean))),
        Peer("numba", "numba", of_numba(power, lambda m, s, n, p: m * (s / n) ** (1 / p), itself)),
    ],
    "softmax": [
        Peer("NumPy", "numpy", of_numpy(softmax)),
        Peer("SciPy", "scipy", allocating(of_numpy("scipy.special.softmax"))),
        Peer("torch", "torch", of_torch("torch.softmax")),
        Peer("torch, new", "torch", allocating(of_torch("torch.softmax")), counts=False),
        Peer("JAX", "jax", allocating(of_jax("jax.nn.softmax"))),
    ],
    "log_softmax": [
        Peer("NumPy", "numpy", of_numpy(log_softmax)),
        Peer("SciPy", "scipy", allocating(of_numpy("scipy.special.log_softmax"))),
        Peer("torch", "torch", of_torch("torch.log_softmax")),
        Peer("torch, new", "torch", allocating(of_torch("torch.log_softmax")), counts=False),
        Peer("JAX", "jax", allocating(of_jax("jax.nn.log_softmax"))),
    ],
    "smoothmax_stats": [Peer("separate", "csmooth", of_numpy(("csmooth", separate)))],
    "grad.logsumexp": [  # csmooth's softmax is the gradient without the value
        Peer("softmax", "csmooth", of_numpy("csmooth.softmax"), counts=False, least=1 / 1.1),
        Peer("torch", "torch", allocating(of_torch(("torch", torch_gradient)))),
        Peer("JAX", "jax", allocating(of_jax(("jax", jax_gradient)))),
    ],
}

# Functions whose results are as large as their input. They write into `out`, and one pass over memory is
# np.add(a, 1, out=out) for them; for reductions it is np.max(a).
MAPS = ("softmax", "log_softmax", "grad.logsumexp")


class Case(NamedTuple):
    """What is reduced: random numbers of a shape, or the array in a file of bench/data."""

    function: str
    dtype: str
    shape: tuple[int, ...] | str
    axis: int | tuple[int, ...] | None = None
    keywords: Keywords | None = None
    limits: tuple[float, float] = (math.inf, 2)  # most times one pass; times faster than the best peer at least
    numbers: str = "standard_normal"  # a method of numpy.random.Generator

    @property
    def name(self) -> str:
        """Such as `logsumexp float64 1000x1000 axis 0`."""
        size = self.shape if isinstance(self.shape, str) else "x".join(map(str, self.shape))
        axis = [] if self.axis is None else [f"axis {self.axis}".replace(", ", ",")]
        keywords = [f"{name}={value}" for name, value in (self.keywords or {}).items()]
        return " ".join([self.function, self.dtype, size, *axis, *keywords])

    @property
    def one_pass(self) -> str:
        """The name of what stands for one pass over the same memory."""
        return "np.add" if self.function in MAPS else "np.max"

    @property
    def read(self) -> str:
        """The name of what stands for one read of the memory, with no regard to the axis."""
        return self.one_pass if self.axis is None or self.function in MAPS else "np.max flat"

    def array(self) -> Array:
        """The same numbers in every run."""
        if isinstance(self.shape, str):
            return np.asarray(np.load(DATA / self.shape), self.dtype)
        return getattr(np.random.default_rng(0), self.numbers)(self.shape).astype(self.dtype)


LADDER = [[0.5], [1.0], [2.0], [4.0]]  # sharpnesses of one call, beside that with the first alone

CASES = [
    Case("logsumexp", "float64", (16_000_000,), limits=(1.15, 2)),
    Case("logsumexp", "float64", (100_000,), limits=(3.4, 2)),
    Case("logsumexp", "float64", (10,), limits=(0.15, 2)),
    Case("logsumexp", "float64", (4, 10), 1, limits=(0.4, 2)),
    Case("logsumexp", "float64", (1_000_000, 8), 1, limits=(0.18, 2)),
    Case("logsumexp", "float64", (1_000_000, 8), 0, limits=(0.4, 2)),
    Case("logsumexp", "float64", (1_000_000, 2), 1, limits=(0.12, 2)),
    Case("logsumexp", "float64", (100_000, 50), 1, limits=(0.8, 2)),
    Case("logsumexp", "float64", (1000, 1000), 1, limits=(2.1, 2)),
    Case("logsumexp", "float64", (1000, 1000), 0, limits=(2.6, 2)),
    Case("logsumexp", "float64", (4000, 4000), 1, limits=(1.2, 2)),
    Case("logsumexp", "float64", (4000, 4000), 0, limits=(1.7, 2)),
    Case("logsumexp", "float64", (100, 100_000), 0, limits=(1.7, 2)),
    Case("logsumexp", "float64", (100, 100, 1000), 1, limits=(1.7, 2)),
    Case("logsumexp", "float64", (200, 300, 100), (0, 2), limits=(1.7, 2)),
    Case("logsumexp", "float64", "digits_log_joint.npy", 1),
    Case("logsumexp", "float32", (16_000_000,), limits=(1.3, 2)),
    Case("logsumexp", "float32", (64, 50257), 1, limits=(2.2, 2)),
    Case("boltzmann", "float64", (16_000_000,), limits=(1.4, 2)),
    Case("boltzmann", "float64", (100_000,), limits=(math.inf, 2.5)),
    Case("boltzmann", "float64", (1_000_000, 8), 1, limits=(0.3, 2)),
    Case("boltzmann", "float64", (1000, 1000), 1),
    Case("boltzmann", "float64", (4000, 4000), 0),
    Case("boltzmann", "float32", (64, 50257), 1),
    Case("logmeanexp", "float64", (16_000_000,)),
    Case("logmeanexp", "float64", (100_000,)),
    Case("logmeanexp", "float64", (1_000_000, 8), 1),
    Case("pnorm", "float64", (16_000_000,), keywords={"p": 3.5}, limits=(3, 2)),
    Case("pnorm", "float64", (16_000_000,), keywords={"p": 2.0}, limits=(1.3, 2)),
    Case("pnorm", "float64", (16_000_000,), keywords={"p": 3.0}, limits=(1.3, 2)),
    Case("pmean", "float64", (16_000_000,), keywords={"p": 3.5}, numbers="standard_exponential"),
    Case("softmax", "float64", (4000, 4000), 1, limits=(1.6, 2)),
    Case("softmax", "float32", (64, 50257), 1, limits=(2, 1.5)),
    Case("log_softmax", "float64", (4000, 4000), 1),
    Case("log_softmax", "float32", (64, 50257), 1),
    Case("boltzmann", "float64", (16_000_000,), keywords={"alpha": 0.5}, limits=(math.inf, 0)),
    Case("boltzmann", "float64", (16_000_000,), keywords={"alpha": LADDER}, limits=(math.inf, 0)),
    Case("smoothmax_stats", "float64", (16_000_000,)),
    Case("smoothmax_stats", "float64", (4000, 4000), 0),
    Case("smoothmax_stats", "float32", (64, 50257), 1),
    Case("grad.logsumexp", "float64", (16_000_000,)),
]
FIRST = [next(case for case in CASES if case.function == function) for function in PEERS]
SWEEP = [  # for the plot: vectors of many sizes, with the keywords of each function's first case
    first._replace(dtype="float64", shape=(round(10 ** (k / 2)),), axis=None, limits=(math.inf, 0))
    for first in FIRST
    for k in range(2, 15)
]

THREADED = [  # for --threads: vectors of many sizes, and rows and columns
    Case(function, "float64", shape, axis)
    for function in ("logsumexp", "boltzmann", "softmax")
    for shape, axis in [
        *[((n,), None) for n in (10, 1000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 16_000_000)],
        ((1000, 1000), 0),
        ((1000, 1000), 1),
    ]
]


class Result(NamedTuple):
    """The seconds of a case by contender (csmooth, one pass, the peers that can do it): minimum and median."""

    case: Case
    elements: int
    seconds: dict[str, dict[str, float]]
    notes: list[str]

    def nanoseconds(self, name: str) -> float:
        """An element, of a contender."""
        return self.seconds[name]["min"] / self.elements * 1e9

    def times(self, name: str) -> float:
        """How many times faster than this contender csmooth is."""
        return self.seconds[name]["min"] / self.seconds["csmooth"]["min"] if name in self.seconds else math.inf

    def best(self) -> float:
        """How many times faster than the best peer that counts."""
        return min(self.times(peer.name) for peer in PEERS[self.case.function] if peer.counts)

    def passes(self) -> float:
        """The time of csmooth in passes over memory."""
        return 1 / self.times(self.case.one_pass)

    def row(self, peers: list[str]) -> list[str]:
        """Cells: the case, nanoseconds an element, multiples of one pass, times faster than each peer, limits."""
        ratios = [f"{self.times(name):.3g}" if name in self.seconds else "-" for name in peers]
        return [
            self.case.name,
            f"{self.nanoseconds('csmooth'):.3g}",
            f"{self.passes():.3g}",
            *ratios,
            self.verdict(),
        ]

    def verdict(self) -> str:
        """Whether the limits are met."""
        most, least = self.case.limits
        limits = [(f"<={most:.3g}", self.passes() <= most)] if most < math.inf else []
        limits += [(f">={least:.3g}", self.best() >= least)] if least else []
        peers = [peer for peer in PEERS[self.case.function] if peer.least and peer.name in self.seconds]
        limits += [(f"{peer.name} >={peer.least:.3g}", self.times(peer.name) >= peer.least) for peer in peers]
        return ", ".join(f"{limit} {'yes' if met else 'NO'}" for limit, met in limits)


def prepared(case: Case) -> tuple[Array, Keywords]:
    """The array of a case and the keywords of a call, which writes into `out` if there are many results."""
    a = case.array()
    keywords = (case.keywords or {}) | ({} if case.axis is None else {"axis": case.axis})
    return a, keywords | ({"out": np.empty_like(a)} if case.function in MAPS else {})


def run(case: Case, peers: list[Peer], seconds: float, least: int) -> Result:
    """Times a case, after a look at the values of each contender."""
    a, keywords = prepared(case)
    one_pass = partial(np.max, a, axis=case.axis)
    if case.function in MAPS:
        one_pass = partial(np.add, a, 1, out=keywords["out"])
    ours = of_numpy(f"csmooth.{case.function}")(a, keywords)
    contenders: dict[str, Contender] = {"csmooth": ours, case.one_pass: one_pass}
    if case.read != case.one_pass:
        contenders[case.read] = partial(np.max, a.ravel())
    expected = np.array(result(ours()))
    notes = []
    for peer in peers:
        try:
            call = peer.make(a, keywords)
            value = result(call())
        except Exception as problem:  # each package has its own
            notes.append(f"{peer.name} cannot: {str(problem).partition(chr(10))[0]}")
            continue
        error = np.max(np.abs(value - expected) / np.maximum(1, np.abs(expected))) if peer.same else 0.0
        if error <= 1e-6:
            contenders[peer.name] = call
        else:
            notes.append(f"{peer.name} is left out, as its values differ by {error:.1e}")
    wall, cpu = perf_counter(), process_time()
    figures = in_turns(contenders, seconds, least)
    share = (process_time() - cpu) / (perf_counter() - wall)
    if share < 0.95:
        notes.append(f"other processes took {1 - share:.0%} of the core, and some of its caches")
    return Result(case, a.size, figures, notes)


def result(value: Any) -> Array:
    """What is compared: of a value and its gradient the gradient, of statistics the second."""
    return np.asarray(value[1] if isinstance(value, tuple) else value)


def in_turns(
    contenders: dict[str, Contender], seconds: float, least: int, timer: Callable[[], float] = process_time
) -> dict[str, dict[str, float]]:
    """Times the contenders by turns for so long and so many rounds, so that noise meets all of them.

    A turn is several calls, of which the last find caches and free memory as the contender leaves them itself, not as
    the one before it did.
    """
    repeats = {name: repetitions(call, timer) for name, call in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    end, rounds = perf_counter() + seconds, 0
    while rounds < least or perf_counter() < end:
        for name, call in contenders.items():
            times = timeit.repeat(call, timer=timer, number=repeats[name], repeat=TURN)
            samples[name] += [time / repeats[name] for time in times]
        rounds += 1
    return {name: {"min": min(sample), "median": statistics.median(sample)} for name, sample in samples.items()}


def repetitions(call: Contender, timer: Callable[[], float]) -> int:
    """How many calls last for 2 ms."""
    number = 1
    while timeit.timeit(call, timer=timer, number=number) < 2e-3:
        number *= 2
    return number


def surroundings(packages: list[str]) -> dict[str, Any]:
    """Where and with what the figures were made."""
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else []
    return {
        "processor": models[0] if models else platform.processor(),
        "level": _dispatch.level,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"Python": platform.python_version()} | {name: metadata.version(name) for name in packages},
    }


def rewrite(file: Path, name: str, rows: list[list[str]], caption: str) -> None:
    """Puts a table, its head first, and its caption between the markers of a name in a Markdown file."""
    head, *body = rows
    lines = [f"| {' | '.join(cells)} |" for cells in [head, ["---", *["---:"] * (len(head) - 1)], *body]]
    text = file.read_text(encoding="utf-8")
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        sys.exit(f"{file} lacks <!-- {name} --> and <!-- /{name} -->")
    table = "\n".join([*lines, "", caption, ""])
    file.write_text(pattern.sub(lambda old: old[1] + table + old[2], text), encoding="utf-8")


def at_every_level(options: list[str]) -> None:
    """Runs this script with these options in a process for each level, and prints the levels beside each other."""
    cases = {case.name: case for case in CASES}
    results: dict[str, dict[str, Result]] = {}  # of each level, by the name of the case
    for level in _dispatch.available():
        with tempfile.TemporaryDirectory() as scratch:
            figures = Path(scratch) / "figures.json"
            command = [sys.executable, __file__, *options, "--json", str(figures)]
            subprocess.run(command, env=os.environ | {"CSMOOTH_LEVEL": level}, check=True)
            found = json.loads(figures.read_text(encoding="utf-8"))["cases"]
        results[level] = {r["name"]: Result(cases[r["name"]], r["elements"], r["seconds"], r["notes"]) for r in found}
        print()
    print(f"{'ns/element, and times faster than the best peer':48}", *(f"{level:>20}" for level in results))
    for name in next(iter(results.values())):
        of_levels = [results[level][name] for level in results]
        cells = [f"{result.nanoseconds('csmooth'):.3g}{result.best():>10.3g}" for result in of_levels]
        print(f"{name:48}", *(f"{cell:>20}" for cell in cells))


def by_workers(cases: list[Case], most: int, seconds: float, least: int) -> None:
    """Prints the time that passes with one worker, and how many times faster 2 to `most` are, in turns."""
    print(f"{'case':42}{'1 worker, us':>14}" + "".join(f"{f'{n} workers':>14}" for n in range(2, most + 1)))
    for case in cases:
        a, keywords = prepared(case)
        make = of_numpy(f"csmooth.{case.function}")
        contenders = {str(n): make(a, keywords | {"workers": n}) for n in range(1, most + 1)}
        values = [np.array(call()) for call in contenders.values()]  # copies, as of `out`
        best = [figures["min"] for figures in in_turns(contenders, seconds, least, perf_counter).values()]
        note = "" if all(np.array_equal(values[0], value) for value in values) else "  bits differ"
        print(f"{case.name:42}{best[0] * 1e6:>14.4g}" + "".join(f"{best[0] / t:>14.3g}" for t in best[1:]) + note)


def settle(cores: int | None) -> None:
    """Starts this process anew, on so many cores and with one thread, unless it is so: libraries look at import."""
    if cores and sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    unset = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | ONE_THREAD
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def main() -> None:
    """Runs the cases, prints their table, and writes what was asked for."""
    parser = argparse.ArgumentParser(description="Times csmooth beside its peers, on one core.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and every second size of the plot")
    parser.add_argument("--cases", default="*", metavar="PATTERN", help="such as 'float32' or '1000x1000*axis 0'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--levels", action="store_true", help="run at every level, and print them beside each other")
    parser.add_argument("--threads", type=int, metavar="N", help="time 1 to N workers of csmooth instead, on N cores")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="time vectors of many sizes too; draw pictures")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="write the table into FILE, where <!-- speed --> is"
    )
    parser.add_argument("--limits", type=Path, metavar="FILE", help="write floors into FILE, where <!-- limits --> is")
    parser.add_argument("--no-pin", action="store_true", help="let the system choose cores; JAX may use several")
    arguments = parser.parse_args()
    settle(None if arguments.no_pin else arguments.threads or 1)
    if arguments.levels:
        options = ["--cases", arguments.cases, *(["--quick"] * arguments.quick), *(["--no-pin"] * arguments.no_pin)]
        return at_every_level(options)

    def wanted(cases: list[Case]) -> list[Case]:
        return [case for case in cases if fnmatch.fnmatch(case.name, f"*{arguments.cases}*")]

    short, full = (0.4, 1), (4, 2)
    if arguments.threads:
        print(*(f"{key}: {value}" for key, value in surroundings(["csmooth", "numpy"]).items()), sep="\n")
        print("cores:", len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())
        return by_workers(wanted(THREADED), arguments.threads, *(short if arguments.quick else full))

    peers = {function: [p for p in row if util.find_spec(p.package)] for function, row in PEERS.items()}
    columns = list(dict.fromkeys(peer.name for row in peers.values() for peer in row))
    about = surroundings(["csmooth", *dict.fromkeys(peer.package for row in peers.values() for peer in row)])
    print(*(f"{key}: {value}" for key, value in about.items()), sep="\n")
    absent = {peer.package for row in PEERS.values() for peer in row} - set(about["versions"])
    print("not installed:", ", ".join(sorted(absent)) or "none")
    rows = [["case", "ns/element", "x one pass", *columns, "limits: x one pass, best peer"]]

    def show(cells: list[str]) -> None:
        print(f"{cells[0]:46}" + "".join(f"{cell:>11}" for cell in cells[1:-1]), cells[-1], sep="  ", flush=True)

    show(rows[0])
    np.empty(31 << 17)  # 31 MiB, freed: malloc keeps smaller blocks from now on, so peers' temporaries cost less
    results = []
    sweep = SWEEP[:: 1 + arguments.quick] if arguments.plots else []
    chosen, swept = wanted(CASES), wanted(sweep)
    for case in chosen + swept:
        duration = short if arguments.quick else full if len(results) < len(chosen) else (2, 2)
        results.append(run(case, peers[case.function], *duration))
        rows.append(results[-1].row(columns))
        show(rows[-1])
        print(*(f"    {note}\n" for note in results[-1].notes), sep="", end="")
    if arguments.json:
        figures = [
            {"name": r.case.name, "elements": r.elements, **r.case._asdict(), "seconds": r.seconds, "notes": r.notes}
            for r in results
        ]
        arguments.json.write_text(json.dumps(about | {"cases": figures}, indent=1) + "\n", encoding="utf-8")
    if swept:
        named("plots.speed")(results[len(chosen) :], arguments.plots / "speed.png")
    shapes = [result for result in results[: len(chosen)] if result.case.function == "logsumexp"]
    if arguments.plots and shapes:
        named("plots.shapes")(shapes, arguments.plots / "shapes.png")
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    where = f"`python bench/bench.py` on one core: {about['processor']}, {about['level']}, {about['date']}"
    if arguments.readme:
        one_pass = "`np.max` of the same array, or `np.add(a, 1, out=out)` where the result is as large as it"
        meaning = f"Nanoseconds an element, multiples of one pass ({one_pass}), times faster than each peer"
        table = [cells[:-1] for cells in rows[: 1 + len(chosen)]]  # the limits are nobody else's business
        rewrite(arguments.readme, "speed", table, f"{meaning}; {where}, {versions}.")
    if arguments.limits:
        floors = import_module("floors")
        table = [floors.HEAD, *(floors.row(result, about["level"]) for result in results[: len(chosen)])]
        rewrite(arguments.limits, "limits", table, f"{floors.caption(about['level'])} {where}.")


if __name__ == "__main__":
    main()
