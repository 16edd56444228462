"""A picture of the smooth maxima of one small vector against their sharpness; needs matplotlib."""

from typing import IO, Any

import numpy as np

from . import boltzmann, logmeanexp, logsumexp, pnorm

try:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("plot needs matplotlib: pip install csmooth[plot]") from error

VECTOR = np.array([0.5, 1.0, 1.7, 2.0])  # positive, so that its p-norm tends to its maximum
SHARPNESS = np.geomspace(0.4, 40, 401)  # from far above or below the maximum to close to it

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = {"LSE": "#D55E00", "p-norm": "#CC79A7", "mellowmax": "#0072B2", "Boltzmann": "#009E73"}
BOUNDS = "#E69F00"
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.labelsize": 11,
    "legend.edgecolor": "none",
    "legend.framealpha": 1,
}


def figure() -> Figure:
    """The curves, with the bounds of LSE shaded."""
    rows = np.broadcast_to(VECTOR, (SHARPNESS.size, VECTOR.size))
    each = SHARPNESS[:, np.newaxis]
    curves = {
        "p-norm": pnorm(rows, p=each, axis=1),
        "LSE": logsumexp(rows, axis=1, alpha=each),
        "mellowmax": logmeanexp(rows, axis=1, alpha=each),
        "Boltzmann": boltzmann(rows, alpha=each, axis=1),
    }
    top, mean = VECTOR.max(), VECTOR.mean()
    highest = top + np.log(VECTOR.size) / SHARPNESS
    with rc_context(STYLE):
        drawn = Figure(figsize=(8, 5), layout="constrained")
        axes = drawn.subplots()
        axes.fill_between(
            SHARPNESS, top, highest, color=BOUNDS, alpha=0.18, linewidth=0, label=r"max … max + log(n) / $\alpha$"
        )
        for name, curve in curves.items():
            axes.plot(SHARPNESS, curve, color=COLOURS[name], linewidth=2, label=name)
        axes.axhline(top, color="black", linewidth=1.2, linestyle="--", label="max")
        axes.axhline(mean, color="0.5", linewidth=1, linestyle=":", label="mean")
        axes.set_xscale("log")
        axes.set_xlim(SHARPNESS[0], SHARPNESS[-1])
        axes.set_ylim(mean - 0.25, highest[0])  # the p-norm comes from above
        ticks = [0.5, 1, 2, 5, 10, 20]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.tick_params(axis="x", which="minor", bottom=False)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        elements = ", ".join(f"{x:g}" for x in VECTOR)
        axes.set(title=f"Smooth maxima of ({elements})", xlabel=r"sharpness $\alpha$, or $p$ of the p-norm")
        axes.legend()
    return drawn


def draw(file: IO[bytes], form: str) -> None:
    """Writes the picture to a file, in a format such as png."""
    figure().savefig(file, format=form, dpi=150)
