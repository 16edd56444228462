"""The pictures of bench.py: speed.png, by the number of elements, and shapes.png, by the shape of the array."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from bench import Case, Result

ONE_PASS = ("np.max", "np.add")
COLOURS = {  # of Okabe and Ito, whom colour-blind readers thank
    "csmooth": "black",
    "NumPy": "#0072B2",
    "SciPy": "#56B4E9",
    "torch": "#D55E00",
    "JAX": "#009E73",
    "numba": "#E69F00",
    "numexpr": "#CC79A7",
    "norm": "#7A68A6",
    "nansum": "#999999",
}
COLUMNS = 3


def speed(results: list[Result], file: Path) -> None:
    """Nanoseconds an element against the number of elements: a panel for each function, and the legend in the last."""
    functions = list(dict.fromkeys(result.case.function for result in results))
    rows = math.ceil((len(functions) + 1) / COLUMNS)
    figure = Figure(figsize=(4.6 * COLUMNS, 3.8 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
    for panel in panels[len(functions) :]:
        panel.set_axis_off()
    for below in range(len(functions), rows * COLUMNS):  # panels above an empty place have their own numbers
        panels[below - COLUMNS].tick_params(labelbottom=True)
        panels[below - COLUMNS].set_xlabel("elements")
    entries: dict[str, Any] = {}
    for place, (panel, function) in enumerate(zip(panels, functions, strict=False)):
        chosen = [result for result in results if result.case.function == function]
        names = [*dict.fromkeys(name for result in chosen for name in result.seconds)]
        for name in (name for name in names if name in COLOURS or name in ONE_PASS):
            done = [result for result in chosen if name in result.seconds]
            style: dict[str, Any] = {"color": COLOURS.get(name), "marker": ".", "linewidth": 1.4}
            if name == "csmooth":
                style |= {"marker": "o", "markersize": 5, "linewidth": 2.4, "zorder": 3}
            elif name in ONE_PASS:
                style = {"color": "black", "linestyle": "--", "linewidth": 1.4}
            heights = [result.nanoseconds(name) for result in done]
            (line,) = panel.loglog([result.elements for result in done], heights, **style)
            entries.setdefault("one pass: np.max, np.add" if name in ONE_PASS else name, line)
        keywords = ", ".join(f"{name}={value}" for name, value in (chosen[0].case.keywords or {}).items())
        panel.set_title(f"{function}, {keywords}" if keywords else function, fontweight="bold")
        panel.grid(alpha=0.3)
        if place % COLUMNS == 0:
            panel.set_ylabel("nanoseconds an element")
        if place + COLUMNS >= rows * COLUMNS:
            panel.set_xlabel("elements")
    figure.suptitle("Vectors of float64 on one core: lower is faster", fontsize=14)
    if len(functions) < len(panels):
        panels[-1].legend(entries.values(), entries.keys(), loc="center", fontsize=12, frameon=False)
    else:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6)
    figure.savefig(file, dpi=110)


def label(case: Case) -> str:
    """Shape and axis of a case, and the dtype unless it is float64."""
    shape = case.shape if isinstance(case.shape, str) else " × ".join(f"{n:_}".replace("_", " ") for n in case.shape)
    axis = "" if case.axis is None else f", axis {case.axis}"
    return f"{shape}{axis}" + ("" if case.dtype == "float64" else f", {case.dtype}")


def shapes(results: list[Result], file: Path) -> None:
    """Bars for each case of one function: its time in passes over memory, and times faster than each peer."""
    others = [name for name in COLOURS if name not in ("csmooth", "nansum")]  # nansum is no peer: it only adds
    names = [name for name in others if any(name in result.seconds for result in results)]
    figure = Figure(figsize=(13, 1.8 + 0.08 * len(results) * (len(names) + 2)), layout="constrained")
    passes, peers = figure.subplots(1, 2, sharey=True, width_ratios=[2, 3])
    places = range(len(results))
    bars = passes.barh(places, [result.passes() for result in results], 0.6, color=COLOURS["csmooth"])
    passes.bar_label(bars, [f"{result.passes():.2g}" for result in results], padding=3)
    passes.set(title="csmooth's time in passes over the same memory", xlabel="multiples of np.max: shorter is faster")
    passes.set_yticks(places, [label(result.case) for result in results])
    thickness = 0.84 / len(names)
    for k, name in enumerate(names):
        done = [place for place, result in zip(places, results, strict=True) if name in result.seconds]
        heights = [place + (k - (len(names) - 1) / 2) * thickness for place in done]
        times = [results[place].times(name) for place in done]
        peers.barh(heights, [x - 1 for x in times], thickness, left=1, color=COLOURS[name], label=name)
    peers.axvline(2, color="black", linestyle=":", linewidth=1.2)
    peers.set(title="Times faster than each peer (dotted: twice)", xlabel="longer is better; left of 1, slower")
    peers.set_xscale("log")
    peers.xaxis.set_major_formatter("{x:g}")
    for panel in (passes, peers):
        panel.axvline(1, color="black", linewidth=1)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        for place in places[1::2]:
            panel.axhspan(place - 0.5, place + 0.5, color="black", alpha=0.05, linewidth=0, zorder=0)
    passes.margins(x=0.1)
    passes.set_ylim(len(results) - 0.5, -0.5)  # the first on top
    figure.suptitle(f"{results[0].case.function} of arrays of many shapes, on one core", fontsize=14)
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(file, dpi=110)
