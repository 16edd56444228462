"""Data larger than memory would like: in chunks of 64 KiB, in a file of 4 GiB, on a cluster that loses a worker.

``python bench/large.py chunks``, ``file`` and ``cluster`` say what csmooth takes as multiples of what one call, or
NumPy's or Dask's maximum of the same data takes, each the least of several turns; ``all --readme README.md`` also
writes that there, between its marks <!-- large -->.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import csmooth

Lines = list[tuple[str, str]]  # what, and its figure

MAXIMUM = "import sys, numpy as np; print(np.max(np.load(sys.argv[1], mmap_mode='r')))"


# As for users, not as for tests: modules are compiled once.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def ran(command: list[str]) -> float:
    """Seconds that a process takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=True)
    return time.perf_counter() - begin


def memory(command: list[str]) -> float:
    """Resident MiB of a process, without mapped pages of files, at the most of many looks at it."""
    process, most = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT), 0
    while process.poll() is None:
        found = re.search(r"RssAnon:\s*(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        most = max(most, int(found[1]) if found else 0)  # none once it has ended
        time.sleep(0.005)
    return most / 1024


def file(gigabytes: float, turns: int) -> Lines:
    """From process to process, so that both pay for their imports, with the file in the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder, "large.npy"))
        length = int(gigabytes * 2**27)
        random = np.random.default_rng(0)
        with open(name, "wb") as target:  # not mapped, or it would count as memory of the processes to come
            description = {"descr": "<f8", "fortran_order": False, "shape": (length,)}
            np.lib.format.write_array_header_1_0(target, description)
            for begin in range(0, length, 2**24):
                random.standard_normal(min(2**24, length - begin)).tofile(target)
        commands = {"np.max": [sys.executable, "-c", MAXIMUM, name]}
        for function in ("logsumexp", "boltzmann"):
            commands[function] = [sys.executable, "-m", "csmooth", function, name]
        best = dict.fromkeys(commands, np.inf)
        for _ in range(turns + 1):  # the first warms up
            for key, command in commands.items():
                best[key] = min(best[key], ran(command))
        lines = []
        for key in ("logsumexp", "boltzmann"):
            lines.append((f"`{key}` of a file of {gigabytes:g} GiB, x `np.max`", f"{best[key] / best['np.max']:.2f}"))
            lines.append((f"`{key}` of it, MiB beyond mapped pages", f"{memory(commands[key]):.0f}"))
        return lines


def chunks(gigabytes: float, turns: int) -> Lines:
    """Streams in chunks of 64 KiB, from memory and from one buffer that stays in cache; beside calls on such chunks."""
    size, random = 2**13, np.random.default_rng(0)
    numbers, buffer = random.standard_normal(int(gigabytes * 2**27)), random.standard_normal(size)
    pieces = [numbers[k : k + size] for k in range(0, len(numbers), size)]
    lines = []
    for accumulator, function in ((csmooth.LogSumExp, csmooth.logsumexp), (csmooth.Boltzmann, csmooth.boltzmann)):

        def stream(parts: list[Any], accumulator: Any = accumulator) -> None:
            total = accumulator()
            for part in parts:
                total.update(part)
            total.result()

        ways: dict[str, Callable[[], Any]] = {
            "one call": lambda function=function: function(numbers),
            "a stream": lambda: stream(pieces),
            "a call for each chunk": lambda function=function: [function(part) for part in pieces],
            "np.max": lambda: np.max(numbers),
            "np.max of each chunk": lambda: [np.max(part) for part in pieces],
            "calls on a buffer": lambda function=function: [function(buffer) for _ in pieces],
            "a stream through a buffer": lambda: stream([buffer] * len(pieces)),
        }
        best = dict.fromkeys(ways, np.inf)
        for _ in range(turns):
            for key, call in ways.items():
                best[key] = min(best[key], timed(call)[0])
        for key, base in (
            ("a stream", "one call"),
            ("a call for each chunk", "one call"),
            ("np.max of each chunk", "np.max"),
            ("a stream through a buffer", "calls on a buffer"),
        ):
            lines.append((f"`{function.__name__}`, 64 KiB at once: {key}, x {base}", f"{best[key] / best[base]:.2f}"))
    return lines


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result."""
    begin = time.perf_counter()
    value = call()
    return time.perf_counter() - begin, value


def cluster(gigabytes: float, turns: int) -> Lines:
    """Two workers of 700 MiB, one of which is killed in the end; each makes its chunks of random numbers."""
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "700MiB", "dashboard_address": None}
    with LocalCluster(**options) as machines, Client(machines) as client:
        client.wait_for_workers(2)

        def array(seed: int) -> da.Array:
            return da.random.default_rng(seed).standard_normal(int(gigabytes * 2**27), chunks=2**22)

        reductions: dict[str, Callable[[da.Array], Any]] = {
            "max": lambda a: a.max(),
            "logsumexp": csmooth.logsumexp,
            "logsumexp and boltzmann": lambda a: da.stack([csmooth.logsumexp(a), csmooth.boltzmann(a)]),
        }
        best = dict.fromkeys(reductions, np.inf)
        results = {}
        for seed in range(turns):
            for key, reduction in reductions.items():
                lazy = reduction(array(seed))
                seconds, results[key, seed] = timed(lambda lazy=lazy: client.compute(lazy).result())
                best[key] = min(best[key], seconds)
        of = f"of {gigabytes:g} GiB on two workers of 700 MiB"
        lines = [(f"{key} {of}, x `max`", f"{s / best['max']:.2f}") for key, s in best.items() if key != "max"]

        victim = next(iter(client.run(os.getpid).values()))
        threading.Timer(best["logsumexp"] / 3, os.kill, (victim, signal.SIGKILL)).start()
        seconds, value = timed(lambda: client.compute(csmooth.logsumexp(array(0))).result())
        same = value == results["logsumexp", 0]
        lines.append((f"logsumexp {of}, one of them killed, x `max`", f"{seconds / best['max']:.2f}"))
        lines.append(("with the same bits", "yes" if same else "NO"))
        return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["chunks", "file", "cluster", "all"])
    parser.add_argument("--readme", metavar="FILE", help="write a table there")
    parser.add_argument("--gigabytes", type=float, help="by default 0.125, 4 and 8")
    parser.add_argument("--turns", type=int, help="by default 12, 12 and 2")
    arguments = parser.parse_args()
    runs = {"chunks": (chunks, 0.125, 12), "file": (file, 4, 12), "cluster": (cluster, 8, 2)}
    table = ["| what | figure |", "| --- | ---: |"]
    for name in runs if arguments.what == "all" else [arguments.what]:
        run, size, turns = runs[name]
        for what, figure in run(arguments.gigabytes or size, arguments.turns or turns):
            print(f"{what}: {figure}", flush=True)
            table.append(f"| {what} | {figure} |")
    if arguments.readme:
        path = Path(arguments.readme)
        before, _, rest = path.read_text().partition("<!-- large -->\n")
        path.write_text(
            before + "<!-- large -->\n" + "\n".join(table) + "\n<!-- /large -->" + rest.partition("<!-- /large -->")[2]
        )
