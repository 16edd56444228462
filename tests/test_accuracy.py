"""Errors, in units of ulp(result) * max(1, condition number), against definitions evaluated in many digits.

A row is a function, a domain, its inputs, and the bound on their errors. For logsumexp the bound is 1 for ordinary
data: half a unit is the rounding of the result, the rest that of the terms. Where the result is near zero, because
maximum and logarithm cancel, it is 1.5. For boltzmann it is 2, as the errors of terms do not end in a logarithm; and
6 where elements that outweigh the others are equal: so are their rounding errors then, which otherwise average out.
``python tests/test_accuracy.py`` prints the worst errors as a table.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
import scipy.special
from reference import units

import csmooth

Values = np.ndarray


class Input(NamedTuple):
    a: Values
    keywords: dict[str, Any]
    counts: dict[tuple[float, float], int] | None = None  # the same, where the reference would take too long

    def exact(self, function: str) -> reference.Exact:
        if self.counts is not None:
            return getattr(reference, f"{function}_of_counts")(self.counts)
        return getattr(reference, function)(self.a, **self.keywords)


class Row(NamedTuple):
    function: str
    domain: str
    inputs: Callable[[], Iterator[Input]]  # the same ones every time
    bound: float
    dtype: Any = np.float64


KINDS: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "sorted": lambda rng, n: np.sort(rng.normal(size=n)),
    "reversed": lambda rng, n: -np.sort(rng.normal(size=n)),
    "ties": lambda rng, n: rng.integers(-3, 4, n).astype(float),
    "constant": lambda rng, n: np.full(n, rng.normal()),
}


def offsets_and_scales(kinds: list[str], sizes: list[int], dtype: Any = np.float64) -> Iterator[Input]:
    rng = np.random.default_rng(1)
    for kind in kinds:
        for n in sizes:
            for offset in (0, 1, -1, 1e3, -1e3, 1e8, -1e8):
                for scale in (1e-3, 1, 1e3):
                    yield Input((offset + scale * KINDS[kind](rng, n)).astype(dtype), {})


def long_rows(dtype: Any = np.float64) -> Iterator[Input]:
    """Of 4000 different values at most, so that the definition takes a fifth of the time."""
    rng = np.random.default_rng(2)
    scales = {"normal": 1, "uniform": 1e-3, "sorted": 1, "reversed": 1e3, "ties": 1, "constant": 1}
    for kind, scale in scales.items():
        values = np.repeat(KINDS[kind](rng, 4000), rng.multinomial(20000, [1 / 4000] * 4000))
        values = values if kind in ("sorted", "reversed") else rng.permutation(values)
        yield Input((scale * values).astype(dtype), {})


def alphas(dtype: Any = np.float64) -> Iterator[Input]:
    rng = np.random.default_rng(3)
    for size in (1e-6, 1e-3, 0.1, 0.7, 3, 30, 1e3, 1e4):
        for alpha in (size, -size):
            for n in (2, 3, 10, 100, 1000):
                yield Input(rng.normal(size=n).astype(dtype), {"alpha": alpha})
            for offset in (1, 1e3, -1e8):
                yield Input((offset + rng.normal(size=33) / size).astype(dtype), {"alpha": alpha})


def weighted(signed: bool) -> Iterator[Input]:
    rng = np.random.default_rng(4)
    for n in (1, 2, 3, 10, 33, 100, 1000):
        for scale in (1e-3, 1, 30):
            for alpha in (1.0, -2.0):
                b = rng.normal(size=n)
                yield Input(scale * rng.normal(size=n), {"b": b if signed else np.abs(b), "alpha": alpha})


def one_below_zero(dtype: Any = np.float64, last: int = 740) -> Iterator[Input]:
    for d in range(1, last + 1):
        yield Input(np.array([0, -d], dtype), {})


def sums_near_one(dtype: Any = np.float64) -> Iterator[Input]:
    """Normal data less their log-sum-exp, and then moved a little away from zero."""
    rng = np.random.default_rng(5)
    for n in (2, 3, 10, 100, 1000):
        for shift in (0, 1e-15, -1e-12, 1e-8, -1e-5, 1e-3, -0.03, 0.3):
            a = rng.normal(size=n)
            yield Input((a - scipy.special.logsumexp(a) + shift).astype(dtype), {})


def with_initial() -> Iterator[Input]:
    rng = np.random.default_rng(6)
    for n in (1, 2, 10, 100):
        for offset in (0, 5, -5, -40, -300, 300):
            for initial in (0.0, 1.0, -30.0):
                yield Input(offset + rng.normal(size=n), {"initial": initial})


def millions(sizes: list[int], dtype: Any = np.float64) -> Iterator[Input]:
    """Long arrays that hold 5000 different values, each often.

    So the definition can be evaluated exactly, a term at a time times its count: no reference in extended precision
    needs to be believed. A kernel sees nothing of that: its running sums grow as they do for any data of that length.
    """
    rng = np.random.default_rng(7)
    for n in sizes:
        for scale, offset in ((1, 0), (1e-3, 1), (30, 0)):
            values = np.unique((offset + scale * rng.normal(size=5000)).astype(dtype))
            chosen = rng.integers(len(values), size=n)
            counts = np.bincount(chosen, minlength=len(values))
            pairs = dict(zip(((float(x), 1.0) for x in values), counts.tolist(), strict=True))
            pairs = Counter({pair: count for pair, count in pairs.items() if count})
            yield Input(values[chosen], {}, pairs)
            if scale == 1:
                yield Input(np.repeat(values, counts), {}, pairs)  # sorted


def boltzmann_of_all_sizes() -> Iterator[Input]:
    """1 to 20000 elements; every scale, offset and sharpness; none, positive and signed weights."""
    rng = np.random.default_rng(8)
    counts = {1: 12, 2: 60, 3: 60, 7: 60, 32: 60, 33: 60, 256: 30, 300: 30, 3000: 3, 20000: 3}
    for n, count in counts.items():
        for number in range(count):
            scale, size = 10 ** rng.uniform(-6, 3), 10 ** rng.uniform(-6, 4)
            a = rng.choice([0, 1, -1, 1e3, -1e3, 1e6, -1e6]) + scale * rng.normal(size=n)
            b = (None, rng.random(n), rng.normal(size=n))[number % 3]
            yield Input(a, {"alpha": size * rng.choice([1, -1])} | ({} if b is None else {"b": b}))


def one_dominates(weighted: bool = False) -> Iterator[Input]:
    """One element has most of the sum: then the rounding errors of its moment do not average out."""
    rng = np.random.default_rng(11)
    for n in (33, 50, 128, 129, 256, 300, 1000):
        for number in range(30):
            b = {"b": np.exp(3 * rng.normal(size=n))} if weighted else {}
            yield Input(rng.choice([5, 8, 12]) * rng.normal(size=n) + rng.choice([0, 0, 30, -30]), b)
            low = rng.uniform(-30, -8, n)
            low[rng.integers(n)] = rng.uniform(0.1, 4.5)
            yield Input(low / 2 if number % 3 == 0 else low, b | ({"alpha": 2.0} if number % 3 == 0 else {}))


def equals_outweigh() -> Iterator[Input]:
    """Equal terms in one lane, or several, have most of the sum; or there are but two values."""
    rng = np.random.default_rng(12)
    for n in (64, 128, 250, 256, 257, 512, 1000):
        for _ in range(60):
            high, low, share = rng.uniform(0.1, 5.4), rng.uniform(-30, -3), rng.random()
            yield Input(np.where(np.arange(n) % 32 == rng.integers(32), high, low), {})
            yield Input(np.where(rng.random(n) < share, *rng.uniform(-3, 3, 2)), {})
            yield Input(np.where(np.arange(n) == rng.integers(n), *rng.uniform(-8, 8, 2)), {})
            yield Input(rng.random(n), {"alpha": float(rng.choice([1e-25, -1e-200]))})  # all terms are


def means(dtype: Any = np.float64) -> Iterator[Input]:
    """Sharpness 0 or next to nothing."""
    rng = np.random.default_rng(9)
    for n in (1, 2, 3, 10, 33, 100, 1000):
        for alpha in (0.0, 1e-300, -1e-12):
            for b in (None, rng.random(n).astype(dtype), rng.normal(size=n).astype(dtype)):
                a = (rng.choice([0, 1, -1e6]) + rng.normal(size=n)).astype(dtype)
                yield Input(a, {"alpha": alpha} | ({} if b is None else {"b": b}))


ORDINARY = ["normal", "uniform", "sorted", "reversed"]
SIZES = [1, 2, 3, 10, 33, 100]
FEW_SORTS = ["ties", "constant"]


def rows(function: str, bound: float) -> list[Row]:
    """What every function of exponentials has to cope with."""
    ordinary = partial(offsets_and_scales, ORDINARY, SIZES)
    few_sorts = partial(offsets_and_scales, FEW_SORTS, [*SIZES, 1000])
    single = partial(offsets_and_scales, ["normal", "ties"], SIZES, np.float32)
    return [
        Row(function, "1 to 100 elements, offsets 0 to ±1e8, scales 1e-3 to 1e3", ordinary, bound),
        Row(function, "the same, integers with ties, or constant", few_sorts, bound),
        Row(function, "1000 elements", partial(offsets_and_scales, ["normal"], [1000]), bound),
        Row(function, "20000 elements", long_rows, bound),
        Row(function, "1e6 and 1e7 elements", partial(millions, [10**6, 10**7]), bound),
        Row(function, "alpha from ±1e-6 to ±1e4", alphas, bound),
        Row(function, "weights", partial(weighted, False), bound),
        Row(function, "weights of both signs", partial(weighted, True), bound),
        Row(function, "float32: 1 to 100 elements", single, bound, np.float32),
        Row(function, "float32: 20000 elements", partial(long_rows, np.float32), bound, np.float32),
        Row(function, "float32: 1e6 elements", partial(millions, [10**6], np.float32), bound, np.float32),
        Row(function, "float32: alpha from ±1e-6 to ±1e4", partial(alphas, np.float32), bound, np.float32),
    ]


ROWS = [
    *rows("logsumexp", 1),
    Row("logsumexp", "[0, -d], d from 1 to 740", one_below_zero, 1.5),
    Row("logsumexp", "sums near 1", sums_near_one, 1.5),
    Row("logsumexp", "with an initial element", with_initial, 1.5),
    Row("logsumexp", "float32: [0, -d], d from 1 to 100", partial(one_below_zero, np.float32, 100), 1, np.float32),
    Row("logsumexp", "float32: sums near 1", partial(sums_near_one, np.float32), 1, np.float32),
    *rows("boltzmann", 2),
    Row("boltzmann", "1 to 20000 elements, scales 1e-6 to 1e3, with and without weights", boltzmann_of_all_sizes, 2),
    Row("boltzmann", "one element dominates", one_dominates, 2),
    Row("boltzmann", "one element dominates, weights", partial(one_dominates, True), 2),
    Row("boltzmann", "equal terms outweigh the others", equals_outweigh, 6),
    Row("boltzmann", "alpha 0, 1e-300, -1e-12", means, 2),
    Row("boltzmann", "float32: alpha 0, 1e-300, -1e-12", partial(means, np.float32), 2, np.float32),
]


@cache
def exact(number: int) -> list[reference.Exact]:
    return [x.exact(ROWS[number].function) for x in ROWS[number].inputs()]


def value_of(name: str, function: Callable[..., Any], a: Values, **keywords: Any) -> Any:
    """What a function of this name gives, also where its sum is negative."""
    return function(a, return_sign=True, **keywords)[0] if name == "logsumexp" else function(a, **keywords)


def errors(function: Callable[..., Any], number: int) -> Iterator[tuple[float, str]]:
    """The error of each input of a row, and the input in words."""
    row = ROWS[number]
    for x, right in zip(row.inputs(), exact(number), strict=True):
        got = value_of(row.function, function, x.a, **x.keywords)
        assert got.dtype == row.dtype
        words = f"{x.a.size} elements {x.a[:3].tolist()}, {x.keywords}: {got!r}, not {right.value}"
        yield units(got, right, row.dtype), words


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[f"{row.function}, {row.domain}" for row in ROWS])
def test_error(level: str, number: int) -> None:
    worst, where = max(errors(getattr(csmooth, ROWS[number].function), number))
    assert worst <= ROWS[number].bound, where


# The terms of a few elements that are close to each other have errors alike, which add up. How far they do shows only
# in many rows, too many for the definition in many digits. Extended precision serves: its own error, 2**-64 of the
# maximum and of the logarithm, is below 0.002 of the units here, also where these two cancel, as then the condition
# number is as large as what they lose. So is that of the sums of boltzmann, 16 terms of either sign at most.

FEW = [2, 3, 4, 8, 16]


def errors_of_many_rows(
    name: str, function: Callable[..., Any], n: int, what: str
) -> tuple[Values, Values, Values, Values]:
    """Rows, their weights, the error of each, and its bound: 1.5 where logarithm and maximum cancel in part, else 1;
    2 for boltzmann.
    """
    rng = np.random.default_rng(n)
    rows = 40000
    spread = 10 ** rng.uniform(-3, 1, (rows, 1))
    top = rng.uniform(-3, 3, (rows, 1)) * rng.choice([1e-3, 0.1, 1], (rows, 1))
    a = top - spread * rng.random((rows, n))
    alpha = float(rng.choice([0.1, 0.7, 3])) if what == "alpha" else -2.0 if what == "negative alpha" else 1.0
    b, keywords = np.ones((rows, n)), {}
    if "weights" in what:
        b = rng.random((rows, n)) * 10 ** rng.uniform(-1.5, 0, (rows, n))
        if what == "weights near 1/e":
            a *= 0.03  # a logarithm just above -1, where an ulp is smallest beside the error of the sum
            b *= np.exp(rng.uniform(-1, -0.9, (rows, 1))) / b.sum(axis=1, keepdims=True)
        keywords = {"b": b}
    got = value_of(name, function, a, axis=1, alpha=alpha, **keywords)
    scaled = a.astype(np.longdouble) * alpha
    top = scaled.max(axis=1, keepdims=True)
    parts = b * np.exp(scaled - top)
    total = parts.sum(axis=1)
    parts /= total[:, None]
    absolute = (parts * np.abs(a)).sum(axis=1)
    if name == "boltzmann":
        exact = (parts * a).sum(axis=1)
        distances = a - exact[:, None]
        condition = np.maximum((parts * np.abs(a * (1 + alpha * distances))).sum(axis=1), absolute)
        of_weights = (parts * np.abs(distances)).sum(axis=1)
        bound = np.full(rows, 2.0)
    else:
        logarithm = np.log(total) / alpha
        exact = top[:, 0] / alpha + logarithm
        condition, of_weights = absolute, 1 / np.abs(alpha)
        bound = np.where(np.abs(exact) < np.abs(logarithm), 1.5, 1)
    condition = (condition + of_weights * ("weights" in what)) / np.abs(exact)
    ulp = np.spacing(np.abs(exact.astype(np.float64)))
    units = np.abs(got - exact) / ulp / np.maximum(1, condition)
    return a, b, units.astype(np.float64), bound


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble has no more digits than double here")
@pytest.mark.parametrize("what", ["nothing else", "alpha", "negative alpha", "weights", "weights near 1/e"])
@pytest.mark.parametrize("name", ["logsumexp", "boltzmann"])
def test_error_of_many_rows(level: str, name: str, what: str) -> None:
    wrong = []
    for n in FEW:
        a, b, error, bound = errors_of_many_rows(name, getattr(csmooth, name), n, what)
        worst = int(np.argmax(error / bound))
        if error[worst] > bound[worst] + 0.002:
            wrong.append(f"{error[worst]:.3f}, not {bound[worst]}: {a[worst].tolist()}, b={b[worst].tolist()}")
    assert not wrong, "\n".join(wrong)


def boltzmann_among_many(a: Values, *, axis: int, alpha: float = 1.0, b: Values | None = None) -> Any:
    """boltzmann of rows with 40 more elements, which count for nothing."""
    a = np.pad(a, ((0, 0), (0, 40)), constant_values=-np.copysign(np.inf, alpha))
    b = None if b is None else np.pad(b, ((0, 0), (0, 40)), constant_values=1.0)
    return csmooth.boltzmann(a, axis=axis, alpha=alpha, b=b)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble has no more digits than double here")
@pytest.mark.parametrize("what", ["nothing else", "alpha", "negative alpha", "weights"])
def test_error_of_few_among_many(level: str, what: str) -> None:
    """A block of more than 32 elements is summed in another way, and errors do not average out here either."""
    worst = [errors_of_many_rows("boltzmann", boltzmann_among_many, n, what)[2].max() for n in (2, 3)]
    assert max(worst) <= 2


def logsumexp_of_scipy(
    a: Values, *, b: Any = None, alpha: float = 1.0, initial: float | None = None, **keywords: Any
) -> Any:
    """SciPy's function, with what it lacks written as its users must."""
    with np.errstate(all="ignore"):
        if initial is not None:
            a = np.append(a, initial)
        alpha = a.dtype.type(alpha)
        value, sign = scipy.special.logsumexp(alpha * a, b=b, **keywords)
        return value / alpha, sign


def boltzmann_of_scipy(a: Values, *, b: Any = None, alpha: float = 1.0, axis: int | None = None) -> Any:
    """The mean under SciPy's softmax."""
    with np.errstate(all="ignore"):
        weights = scipy.special.softmax(a.dtype.type(alpha) * a, axis=axis)
        return np.average(a, axis=axis, weights=weights if b is None else b * weights)


PEERS = {"logsumexp": logsumexp_of_scipy, "boltzmann": boltzmann_of_scipy}


def worst_errors() -> str:
    """The largest error of each row as a Markdown table, with SciPy's beside it."""
    lines = ["| function | domain | inputs | bound | csmooth | SciPy |", "|---|---|---|---|---|---|"]

    def add(name: str, domain: str, inputs: int, bound: float, worst: list[float]) -> None:
        lines.append(f"| {name} | {domain} | {inputs} | {bound} | {worst[0]:.2f} | {worst[1]:.3g} |")

    contenders = {name: (getattr(csmooth, name), peer) for name, peer in PEERS.items()}
    for number, row in enumerate(ROWS):
        worst = [max(errors(function, number))[0] for function in contenders[row.function]]
        add(row.function, row.domain, len(exact(number)), row.bound, worst)
    for name, domain, bound in [
        ("logsumexp", "2 to 16 close elements", 1),
        ("logsumexp", "2 to 16 close elements, logarithm and maximum cancelling", 1.5),
        ("boltzmann", "2 to 16 close elements", 2),
    ]:
        worst = []
        for function in contenders[name]:
            results = [errors_of_many_rows(name, function, n, "nothing else")[2:] for n in FEW]
            worst.append(max(error[bounds == bound].max() for error, bounds in results))
        add(name, domain, 200000, bound, worst)
    return "\n".join(lines)


if __name__ == "__main__":
    print(worst_errors())
