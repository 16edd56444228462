"""No call takes more memory than its output and a fixed scratch, whatever the layout: less than 1 MiB.

That is far above the scratch of a call (some 128 KiB) and what an interpreter does meanwhile, and far below a copy of
any operand here, be it in bytes. CSMOOTH_TEST_MIB sets the size of the array.
"""

import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csmooth
from csmooth import conjugate, log_softmax, logsumexp_bounds, softmax

MIB = 2**20
LIMIT = MIB
SIZE = int(os.environ.get("CSMOOTH_TEST_MIB", "16")) * MIB

FUNCTIONS = ["logsumexp", "logmeanexp", "boltzmann", "pnorm", "pmean"]

Call = Callable[[], Any]


def named(module: Any, name: str) -> tuple[Callable[..., Any], str]:
    """A function, which needs no parameter, and how that is named."""
    function = getattr(module, name)
    return partial(function, p=3.5) if name == "pmean" else function, "p" if name in ("pnorm", "pmean") else "alpha"


def calls_of(name: str, size: int) -> dict[str, Call]:
    """Calls that read an array of that many bytes, in all layouts; results are far smaller, or go to an `out`."""
    function, parameter = named(csmooth, name)
    memory = np.full(size // 8, 1.0)
    table = memory.reshape(-1, 1024)  # its columns are long
    cube = memory.reshape(64, -1, 128)
    single = memory.view(np.float32).reshape(-1, 2048)
    integers = memory.view(np.int64).reshape(-1, 1024)
    mask = np.zeros(table.shape, bool)
    mask[:, ::3] = True
    steps = np.linspace(1, 2, 9)[:, np.newaxis, np.newaxis]
    masked = np.ma.array(table, mask=mask, copy=False)
    unaligned = memory.view(np.uint8)[1 : 1 - 8].view(np.float64)[: (memory.size - 1) // 1024 * 1024].reshape(-1, 1024)
    shapes = [len(table), (len(table), 128), (size // 64, 1)]
    short_out, long_out, column_out = (np.full(shape, 0.0) for shape in shapes)
    calls = {
        "C": lambda: function(table),
        "C, axis 0": lambda: function(table, axis=0),
        "C, axis 1": lambda: function(table, axis=1),
        "Fortran": lambda: function(table.T),
        "Fortran, axis 0": lambda: function(table.T, axis=0),
        "Fortran, axis 1": lambda: function(table.T, axis=1),
        "one axis": lambda: function(memory, axis=0),
        "gaps": lambda: function(table[:, ::2]),
        "gaps, axis 0": lambda: function(table[::3, ::2], axis=0),
        "gaps, axis 1": lambda: function(table[::3, ::2], axis=1),
        "reversed": lambda: function(memory[::-1]),
        "reversed, axis 0": lambda: function(table[::-1, ::-1], axis=0),
        "reversed, axis 1": lambda: function(table[::-1, ::-1], axis=1),
        "big-endian": lambda: function(table.view(table.dtype.newbyteorder())),
        "big-endian, axis 0": lambda: function(table.view(table.dtype.newbyteorder()), axis=0),
        "unaligned": lambda: function(unaligned),
        "unaligned, axis 0": lambda: function(unaligned, axis=0),
        "float32": lambda: function(single),
        "float32, axis 0": lambda: function(single, axis=0),
        "float32, axis 1": lambda: function(single, axis=1),
        "int64": lambda: function(integers),
        "int64, axis 0": lambda: function(integers, axis=0),
        "bool": lambda: function(mask, axis=0),
        "first and last of three axes": lambda: function(cube, axis=(0, 2)),
        "middle of three axes": lambda: function(cube, axis=1),
        "first two of three axes": lambda: function(cube, axis=(0, 1), keepdims=True),
        "broadcast": lambda: function(np.broadcast_to(memory[:1024], (size // 1024, 1024)), axis=0),
        "b": lambda: function(table, b=table),
        "b, axis 0": lambda: function(table, b=table, axis=0),
        "b of one row": lambda: function(table, b=table[0], axis=1),
        "b of another dtype": lambda: function(table, b=integers, axis=0),
        "b of bool": lambda: function(table, b=mask, axis=1),
        "cancelling b": lambda: function(table, b=np.broadcast_to([1.0, -1.0] * 512, table.shape)),
        "where": lambda: function(table, where=mask),
        "where, axis 0": lambda: function(table, where=mask, axis=0),
        "where of one column": lambda: function(table, where=mask[:, :1], axis=0),
        "masked": lambda: function(masked),
        "masked, axis 0": lambda: function(masked, axis=0),
        "masked, axis 1": lambda: function(masked, axis=1),
        "masked and where": lambda: function(masked, where=mask, axis=1),
        "masked b": lambda: function(table, b=masked, axis=0),
        "masked a and b": lambda: function(masked, b=masked.T[::-1].T, axis=0),
        "alpha": lambda: function(table, axis=1, **{parameter: -3.0}),
        "alpha of each row": lambda: function(table, axis=1, **{parameter: table[:, :1]}),
        "ladder": lambda: function(table, **{parameter: steps}),
        "ladder, axis 0": lambda: function(table, axis=0, **{parameter: steps}),
        "ladder, axis 1": lambda: function(single, axis=1, **{parameter: steps}),
        "ladder, b": lambda: function(table[::2], b=table[0], axis=0, **{parameter: steps}),
        "out": lambda: discard(function(table, axis=1, out=short_out)),
        "out, many": lambda: discard(function(memory.reshape(len(table), 128, 8), axis=2, out=long_out)),
        "out and keepdims": lambda: discard(function(memory.reshape(-1, 8), axis=1, keepdims=True, out=column_out)),
        "out inside a": lambda: discard(function(table, axis=0, out=table[0])),
    }
    if name == "logsumexp":
        calls["sign"] = lambda: function(table, b=table, axis=0, return_sign=True)
        calls["initial"] = lambda: function(table, axis=0, initial=0.0)
    else:
        calls["nothing left"] = lambda: function(table, axis=1, where=mask[:, :1])
    return {f"{name}, {call}": calls[call] for call in calls}


def calls_of_map(function: Callable[..., Any], table: np.ndarray, mask: np.ndarray) -> dict[str, Call]:
    """Calls whose results are as large as their input: in place, into an `out`, or new."""
    out = np.full(table.shape, 1.0)
    single = np.full(table.shape, 1.0, np.float32)
    integers = table.view(np.int64)
    masked = np.ma.array(table, mask=mask, copy=False)
    into: dict[str, Call] = {
        "in place": lambda: function(out, out=out),
        "in place, axis 0": lambda: function(out, axis=0, out=out),
        "in place, axis 1": lambda: function(out, axis=1, out=out),
        "in place, Fortran": lambda: function(out.T, axis=0, out=out.T),
        "in place, gaps": lambda: function(out[::3, ::2], axis=1, out=out[::3, ::2]),
        "in place, where": lambda: function(out, axis=0, where=mask, out=out),
        "in place, alpha of each row": lambda: function(out, axis=1, alpha=table[:, :1], out=out),
        "in place, float32": lambda: function(single, axis=1, out=single),
        "out": lambda: function(table, out=out),
        "out, axis 0": lambda: function(table, axis=0, out=out),
        "out, Fortran": lambda: function(table.reshape(1024, -1).T, axis=0, out=out),
        "out, reversed": lambda: function(table, axis=1, out=out[::-1, ::-1]),
        "out, float32": lambda: function(table, axis=1, out=single),
        "out, masked": lambda: function(masked, axis=1, out=out),
        "out, integers": lambda: function(integers, axis=0, alpha=1e-20, out=out),
    }
    named: dict[str, Call] = {name: lambda call=call: discard(call()) for name, call in into.items()}
    named["new"] = lambda: function(table, axis=1)
    named["new, masked"] = lambda: function(masked, axis=0)
    return {f"{function.__name__}, {name}": call for name, call in named.items()}


def calls_of_duality(size: int) -> dict[str, Call]:
    memory = np.full(size // 8, 1.0)
    table, cube, single = memory.reshape(-1, 1024), memory.reshape(64, -1, 128), memory.view(np.float32)
    masked = np.ma.array(table, mask=np.zeros(table.shape, bool), copy=False)
    return {
        "bounds": lambda: logsumexp_bounds(table, axis=1),
        "bounds, masked": lambda: logsumexp_bounds(masked, axis=0),
        "conjugate": lambda: conjugate(table.T),
        "conjugate, axis 0": lambda: conjugate(table, axis=0),
        "conjugate, axis 1": lambda: conjugate(table, axis=1),
        "conjugate, first and last of three axes": lambda: conjugate(cube, axis=(0, 2)),
        "conjugate, short rows": lambda: conjugate(memory.reshape(-1, 8), axis=1),
        "conjugate, float32": lambda: conjugate(single.reshape(-1, 2048), axis=0),
        "conjugate, masked": lambda: conjugate(masked, axis=0),
    }


def calls_of_gradients(size: int) -> dict[str, Call]:
    table = np.full(size // 8, 1.0).reshape(-1, 1024)
    single, out = table.view(np.float32), np.full(table.shape, 1.0)
    mask = np.zeros(table.shape, bool)
    mask[::3] = True
    found: dict[str, Call] = {}
    for name in FUNCTIONS:
        function, parameter = named(csmooth.grad, name)
        calls: dict[str, Callable[[], Any]] = {
            "out": lambda f=function: f(table, out=out),
            "out, axis 0": lambda f=function: f(table, axis=0, out=out),
            "out, axis 1": lambda f=function, p=parameter: f(table, axis=1, out=out, wrt=("a", p)),
            "out, b": lambda f=function: f(table, axis=1, b=table[0], out=out),
            "out, where": lambda f=function: f(table, axis=0, where=mask, out=out),
        }
        for call, run in calls.items():
            found[f"grad.{name}, {call}"] = lambda run=run: discard(run())
        found[f"grad.{name}, new, float32"] = lambda f=function: f(single, axis=1)
    return found


def calls(size: int) -> dict[str, Call]:
    reductions = {key: call for name in FUNCTIONS for key, call in calls_of(name, size).items()}
    table = np.full(size // 8, 1.0).reshape(-1, 1024)
    mask = np.zeros(table.shape, bool)
    mask[:, ::3] = True
    stats: dict[str, Call] = {
        f"stats, axis {axis}": lambda axis=axis: csmooth.smoothmax_stats(table, axis=axis) for axis in (None, 0, 1)
    }
    maps = {**calls_of_map(softmax, table, mask), **calls_of_map(log_softmax, table, mask)}
    return reductions | stats | maps | calls_of_gradients(size) | calls_of_duality(size)


def discard(result: Any) -> None:
    """For a result that was there before the call, so that it does not count as one that the call makes."""


def size(result: Any) -> int:
    if result is None:
        return 0
    parts = result if isinstance(result, tuple) else (result,)
    return sum(np.ma.getdata(x).nbytes + (x.mask.nbytes if isinstance(x, np.ma.MaskedArray) else 0) for x in parts)


def traced_growth(call: Call) -> int:
    """What NumPy and Python allocate at most while a call runs, beyond its result."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1] - size(result)
    finally:
        tracemalloc.stop()


def resident_growth(call: Call) -> int:
    """By how much a call raises the peak of this process's memory."""
    before = resident_peak(reset=True)
    result = call()
    return resident_peak() - before - size(result)


def resident_peak(reset: bool = False) -> int:
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    except OSError:  # no Linux
        resource = pytest.importorskip("resource")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_objects_of_python() -> None:
    growth = {name: traced_growth(call) for name, call in calls(SIZE).items()}
    assert not {name: f"{grown / MIB:.1f} MiB" for name, grown in growth.items() if grown >= LIMIT}


def test_resident_memory() -> None:
    """Includes what the kernels allocate. In a process of its own: one that has run tests has memory to spare."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    growth = {name: int(grown) for grown, name in (line.split(maxsplit=1) for line in done.stdout.splitlines())}
    assert growth.keys() == calls(MIB).keys()
    assert not {name: f"{grown / MIB:.1f} MiB" for name, grown in growth.items() if grown >= LIMIT}


if __name__ == "__main__":
    for warm_up in calls(MIB).values():
        warm_up()
    for name, call in calls(SIZE).items():
        print(resident_growth(call), name)
