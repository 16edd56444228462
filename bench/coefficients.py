"""Prints the constants of csmooth/_kernels/_math.pxd and singles.pxi, and their largest errors.  Needs mpmath.

The polynomials are Chebyshev fits, within a few per cent of minimax, whose coefficients are rounded to
doubles; the error printed is that of the rounded polynomial, measured on 4001 points.
"""

import struct
from collections.abc import Callable

import numpy as np
from mpmath import atanh, chebyfit, cos, expm1, floor, linspace, log, lu_solve, matrix, mp, mpf, pi, polyval, sqrt

mp.dps = 50

# Of 10**10 doubles above 1.4, the one by which the powers of the table can be multiplied with the smallest errors.
FACTOR = 1.4000010343227465
Function = Callable[[mpf], mpf]


def fit(f: Function, low: mpf, high: mpf, degree: int, weight: Function) -> list[mpf]:
    """Prints the coefficients, the highest first, and max |weight·(f - polynomial)| as a power of two."""
    coefficients = [float(c) for c in chebyfit(f, [low, high], degree + 1)]
    points = [x for x in linspace(low, high, 4001) if x]
    error = max(abs(weight(x) * (f(x) - polyval([mpf(c) for c in coefficients], x))) for x in points)
    for c in coefficients:
        print(f"    {c!r}")
    print(f"    error 2**{float(log(error, 2)):.1f}")
    return [mpf(c) for c in coefficients]


def fit_singles(half: mpf, degree: int) -> None:
    """Prints q of 2**f = 1 + f·q(f) in floats, the highest coefficient first, and the largest error.

    The lowest coefficient is rounded first; the others, of a fit of least squares at Chebyshev nodes, make up for it.
    """
    nodes = [half * cos(pi * (2 * i + 1) / 120) for i in range(60)]
    rounded: list[mpf] = []
    for k in range(degree + 1):
        powers = matrix([[x ** (j + 1) / 2**x for j in range(k, degree + 1)] for x in nodes])
        rest = [expm1(x * log(2)) - sum(c * x ** (i + 1) for i, c in enumerate(rounded)) for x in nodes]
        solution = lu_solve(powers, matrix([r / 2**x for r, x in zip(rest, nodes, strict=True)]))
        rounded.append(mpf(float(np.float32(float(solution[0])))))
    for c in reversed(rounded):
        print(f"    {float(c)!r}")
    q = rounded[::-1]
    error = max(abs(expm1(x * log(2)) - x * polyval(q, x)) / 2**x for x in linspace(-half, half, 4001))
    print(f"    error 2**{float(log(error, 2)):.1f}")


def entry(x: float, j: int) -> float:
    """The double whose bits are those of x less j·2⁴⁸; vlookup() adds (16k + j)·2⁴⁸, so that the sum is 2ᵏx."""
    (bits,) = struct.unpack("<q", struct.pack("<d", x))
    return float(struct.unpack("<d", struct.pack("<q", bits - (j << 48)))[0])


def main() -> None:
    """Prints all constants."""
    print("q of 2**f = 1 + f·q(f), |f| <= 1/32; error of 2**f:")
    half = mpf(1) / 32 + mpf(2) ** -40
    q = fit(lambda f: expm1(f * log(2)) / f if f else log(2), -half, half, 5, abs)
    print(f"    over the highest coefficient: {[float(c / q[0]) for c in q[1:]]!r}")

    print("q of 2**f = 1 + f·log(2) + f²·q(f), |f| <= 1/32; error of f·q:")
    fit(lambda f: (expm1(f * log(2)) - f * log(2)) / f**2 if f else log(2) ** 2 / 2, -half, half, 5, abs)

    print("q of 2**f = 1 + f·q(f), |f| <= 1/2, in floats; error of 2**f:")
    fit_singles(mpf(1) / 2 + mpf(2) ** -20, 5)

    print("q of log2(1+z) = z·q(z), |z| <= 1/32; error of z·q:")
    fit(lambda z: log(1 + z, 2) / z if z else 1 / log(2), -half, half, 7, abs)

    powers = [mpf(2) ** (mpf(j) / 16) for j in range(16)]
    rounding = max(abs(float(x * FACTOR) / (x * FACTOR) - 1) for x in powers) * 2**53
    print(f"2**(j/16) times the factor, error {float(rounding):.3f} units of 2**-53:")
    for j, x in enumerate(powers):
        print(f"    {entry(float(x * FACTOR), j)!r}")
    print("2**(j/16):")
    for j, x in enumerate(powers):
        print(f"    {entry(float(x), j)!r}")
    print("2**(j/16) in 48 bits, and what rounding left, over itself:")
    for j, x in enumerate(powers):
        short = floor(x * 2**47 + mpf(1) / 2) / 2**47
        print(f"    {entry(float(short), j)!r}, {float(x / short - 1)!r}")
    print("2**(j/16) over the factor, and what rounding it left:")
    for j, x in enumerate(powers):
        exact = x / FACTOR
        print(f"    {entry(float(exact), j)!r}, {entry(float(exact - float(exact)), j)!r}")

    print("r of log((1+q)/(1-q)) = 2q + q·z·r(z), z = q², for (1+q)/(1-q) in [√½, √2]; error of z·r:")
    largest = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
    fit(lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2) / z, mpf(10) ** -12, largest, 7, abs)

    high = floor(log(2) * 2**40) / 2**40
    print(f"log 2, in 40 bits and the rest:\n    {float(high)!r} {float(log(2) - high)!r}")


if __name__ == "__main__":
    main()
