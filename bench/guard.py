"""Guards the speed of the kernels where clocks are too noisy.

Two checks, neither of which measures time. The loops of the kernels, disassembled, must be made of vector instructions
as wide as their level's. And fixed calls, from Python to the result, must take as many instructions as
instructions.json says, within SLACK: callgrind counts them, and for one build the count hardly varies.

``python bench/guard.py --write`` counts anew. A check that cannot be made here says what it needs, and passes.
"""

import argparse
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import csmooth
from csmooth import _dispatch

FIGURES = Path(__file__).parent / "instructions.json"
SOURCES = Path(__file__).parents[1] / "csmooth" / "_kernels"
SLACK = 0.03
LEVEL = "x86_64_v3"  # valgrind knows no AVX-512
WARM = 20  # calls before the one that counts, after which CPython's adaptive interpreter has settled
MARK = "getppid"  # of libc, which nothing else calls: callgrind writes a count whenever it is called

Figures: TypeAlias = dict[str, int]

# Function, dtype, shape, keywords. Small calls are mostly Python and the choice of a way, large ones loops.
CALLS: tuple[tuple[str, str, tuple[int, ...], dict[str, Any]], ...] = (
    ("logsumexp", "float64", (10,), {}),
    ("logsumexp", "float64", (4, 10), {"axis": 1}),
    ("logsumexp", "float64", (100_000,), {}),
    ("logsumexp", "float32", (100_000,), {}),
    ("logsumexp", "float64", (1000, 2), {"axis": 1}),
    ("logsumexp", "float64", (1000, 8), {"axis": 1}),
    ("logsumexp", "float64", (500, 50), {"axis": 1}),
    ("logsumexp", "float64", (100, 1000), {"axis": 1}),
    ("logsumexp", "float64", (100, 1000), {"axis": 0}),
    ("logsumexp", "float64", (100_000,), {"b": 0.5}),
    ("boltzmann", "float64", (100_000,), {}),
    ("logmeanexp", "float64", (100_000,), {}),
    ("pnorm", "float64", (100_000,), {"p": 2}),
    ("pnorm", "float64", (100_000,), {"p": 3.5}),
    ("pmean", "float64", (100_000,), {"p": 3}),
    ("logsumexp", "float64", (100_000,), {"alpha": [[0.5], [1.0]]}),
    ("smoothmax_stats", "float64", (100_000,), {}),
    ("smoothmax_stats", "float64", (100, 1000), {"axis": 0}),
    ("softmax", "float64", (10,), {}),
    ("softmax", "float64", (100, 1000), {"axis": 1}),
    ("softmax", "float32", (100, 1000), {"axis": 1}),
    ("log_softmax", "float64", (100, 1000), {"axis": 1}),
    ("grad.logsumexp", "float64", (100_000,), {}),
    ("grad.boltzmann", "float64", (100_000,), {}),
)


# Loops

REGISTERS = {"baseline": "xmm", "x86_64_v3": "ymm", "x86_64_v4": "zmm"}


class Instruction(NamedTuple):
    """As objdump prints it."""

    address: int
    name: str
    operands: str


Functions: TypeAlias = dict[str, list[Instruction]]
JUMP = re.compile(r"j|call")
MULTIPLICATION = re.compile(r"v?(?:mul|div|sqrt|fn?m(?:add|sub)\d+)[ps][sd]")
MAXIMUM = re.compile(r"v?(?:max|min)[ps][sd]")
WORK = re.compile(f"{MULTIPLICATION.pattern}|{MAXIMUM.pattern}")
FEW = 2  # narrow multiplications of a loop, in the last steps of a block; one for each lane where one is scalarised
SHOWN = 10  # complaints about a level, which has hundreds where its flags are lost
CALLED = {"memcpy@plt", "memmove@plt", "memset@plt", "__stack_chk_fail@plt"}


def functions_of(disassembly: str) -> Functions:
    """The functions in the output of ``objdump --disassemble --no-show-raw-insn``."""
    functions: Functions = {}
    for line in disassembly.splitlines():
        if header := re.fullmatch(r"[0-9a-f]+ <(.*)>:", line):
            functions[header[1]] = instructions = []
        elif part := re.match(r"\s*([0-9a-f]+):\t(\S+)\s*(.*)", line):
            instructions.append(Instruction(int(part[1], 16), part[2], part[3]))
    return functions


def reached(functions: Functions, start: str) -> set[str]:
    """`start` and what it calls or jumps to, directly or not."""
    found, open_ends = set(), [start]
    while open_ends:
        name = open_ends.pop()
        found.add(name)
        for _, jump, target in functions.get(name, []):
            if JUMP.match(jump) and (to := re.search(r"<([^+>]*)", target)) and to[1] not in found:
                open_ends.append(to[1])
    return found


def loops_of(function: list[Instruction]) -> list[list[Instruction]]:
    """The instructions of each loop, what a jump back encloses, without those of the loops in it."""
    place = {instruction.address: i for i, instruction in enumerate(function)}
    loops = set()
    for end, (_, jump, target) in enumerate(function):
        if JUMP.match(jump) and (to := re.match(r"[0-9a-f]+(?= <)", target)):
            begin = place.get(int(to[0], 16), end + 1)
            if begin <= end:
                loops.add((begin, end))
    innermost: dict[int, tuple[int, int]] = {}
    for loop in sorted(loops, key=lambda loop: loop[0] - loop[1]):  # the longest first
        innermost |= dict.fromkeys(range(loop[0], loop[1] + 1), loop)
    return [[function[i] for i in range(loop[0], loop[1] + 1) if innermost[i] == loop] for loop in sorted(loops)]


def library_of(level: str) -> Path | None:
    """The compiled kernels of a level, unless they are not built."""
    return next((Path(csmooth.__file__).parent / "_kernels").glob(f"{level}.*.so"), None)


def kernel_names(sources: str) -> list[str]:
    """What walks over elements: row, tile and short_tile of every Reduction, what every Mapping applies, and send."""
    names = {"send"}
    for kind, row in re.findall(r"^cdef (Reduction|Mapping) \w+ = \w+\((.*?)\)$", sources, re.DOTALL | re.MULTILINE):
        fields = [field.strip() for field in row.split(",")]
        names.update(fields[:3] if kind == "Reduction" else fields[3:6])
    return sorted(names - {"NULL"})


def kinds_in(loop: list[Instruction], pattern: re.Pattern[str], register: str) -> tuple[int, int]:
    """How many of such instructions are full-width, and how many are not."""
    found = [i for i in loop if pattern.fullmatch(i.name)]
    wide = sum(i.name[-2] == "p" and f"%{register}" in i.operands for i in found)
    return wide, len(found) - wide


def complaints(functions: Functions, kernels: list[str], register: str) -> list[str]:
    """What is wrong with the kernels of a level, whose vectors lie in registers of this name.

    Only multiplications and maxima tell: where lanes are folded, vectors of half the width are added, and so on down to
    single numbers. The maxima of a fold are in a loop with those that are folded, and fewer.
    """
    wrong: list[str] = []
    seen: set[str] = set()
    for kernel in kernels:
        starts = [name for name in functions if name.split(".")[0] == kernel]  # gcc makes KERNEL.constprop.0 and so on
        found = {name for start in starts for name in reached(functions, start)}
        loops = [loop for name in found for loop in loops_of(functions.get(name, []))]
        if not starts:
            wrong.append(f"{kernel} is not there")
        elif loops and not any(kinds_in(loop, WORK, register)[0] for loop in loops):
            wrong.append(f"{kernel} has no loop that multiplies or takes maxima in %{register}")
        seen |= found
    for name in sorted(seen):
        if name.endswith("@plt") and name not in CALLED:
            wrong.append(f"{name} is called from a kernel")
        for loop in loops_of(functions.get(name, [])):
            for what, pattern, most in (("multiplications", MULTIPLICATION, FEW), ("maxima", MAXIMUM, len(loop))):
                wide, narrow = kinds_in(loop, pattern, register)
                if narrow > min(most, wide):
                    where = f"{name}, loop at 0x{loop[0].address:x}"
                    wrong.append(f"{where}: {what} in %{register} {wide}, narrower {narrow}")
    return wrong


def check_loops() -> list[str]:
    """The first complaints about every level that is built, each after the level's name."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not shutil.which("objdump"):
        print("loops: not checked, as that needs objdump (binutils) and x86-64")
        return []
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*.pxi")))
    kernels = kernel_names(sources)
    wrong = []
    for level, register in REGISTERS.items():
        if not (library := library_of(level)):
            print(f"loops, {level}: not built")
            continue
        if level == "baseline" and import_module("csmooth._kernels.baseline").vector_name == "scalar":
            print("loops, baseline: made of scalars here, hence nothing to check")
            continue
        command = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        prefix = f"__pyx_f_7csmooth_8_kernels_{len(level)}{level}_"  # Cython's
        found = complaints(functions_of(text.replace(prefix, "")), kernels, register)
        print(f"loops, {level}: {len(kernels)} kernels, {len(found)} complaints")
        wrong += [f"{level}: {complaint}" for complaint in found[:SHOWN]]
    return wrong


# Instructions


def conditions() -> dict[str, str]:
    """What the figures depend on, beside the source."""
    library = library_of(LEVEL)
    content = library.read_bytes() if library else b""
    compilers = {found.decode() for found in re.findall(rb"(?:GCC: \(|clang version )[ -~]+", content)}
    cython = re.search(rb"_cython_(\d+_\d+_\w+)", content)
    return {
        "machine": platform.machine(),
        "compiler": ", ".join(sorted(compilers)),
        "Cython": cython[1].decode().replace("_", ".") if cython else "",
        "NumPy": np.__version__,
        "Python": sys.version,
        "libc": " ".join(platform.libc_ver()),
    }


def name_of(function: str, dtype: str, shape: tuple[int, ...], keywords: dict[str, Any]) -> str:
    """A call in a line, as bench.py names it."""
    return " ".join([function, dtype, "x".join(map(str, shape)), *(f"{key} {x}" for key, x in keywords.items())])


def make_calls() -> None:
    """Makes every call between two marks: what callgrind runs. The first is empty, and tells what marks cost."""
    random = np.random.default_rng(0)
    calls: list[Any] = [lambda: None]
    for function, dtype, shape, keywords in CALLS:
        module = csmooth.grad if function.startswith("grad.") else csmooth
        array = random.standard_exponential(shape).astype(dtype)
        calls.append(partial(getattr(module, function.rpartition(".")[2]), array, **keywords))
    gc.disable()
    for call in calls:
        for _ in range(WARM):
            call()
        os.getppid()
        call()
        os.getppid()


def counted() -> Figures:
    """The instructions of every call."""
    environment = os.environ | {"CSMOOTH_LEVEL": LEVEL, "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind.out"
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--dump-before={MARK}", "--combine-dumps=yes"]
        command += [f"--callgrind-out-file={out}", sys.executable, __file__, "--make-calls"]
        subprocess.run(command, env=environment, check=True)
        parts = [int(total) for total in re.findall(r"^summary: (\d+)$", out.read_text(), re.MULTILINE)]
    empty, *counts = parts[1::2]  # the others lie between two calls
    return {name_of(*call): count - empty for call, count in zip(CALLS, counts, strict=True)}


def differences(counts: Figures, figures: Figures) -> list[str]:
    """What is not as the figures say. Fewer instructions are wrong, too: the figures would leave room to lose them."""
    wrong = []
    for name in figures | counts:
        if name not in counts or name not in figures:
            wrong.append(f"{name} is {'no call' if name in figures else 'a call without a figure'}: --write")
        elif abs(counts[name] - figures[name]) > SLACK * figures[name]:
            more = counts[name] > figures[name]
            advice = "more than before" if more else "fewer than before: --write, that they may not come back"
            change = counts[name] / figures[name] - 1
            wrong.append(f"{name}: {counts[name]} instructions, not {figures[name]} ({change:+.1%}), {advice}")
    return wrong


def check_instructions(write: bool) -> list[str]:
    """The differences from the figures in FIGURES, which are written first if asked for."""
    if not shutil.which("valgrind") or LEVEL not in _dispatch.available():
        print(f"instructions: not counted, as that needs valgrind and the level {LEVEL}")
        return ["no figures are written"] if write else []
    here = conditions()
    if not write:
        recorded = json.loads(FIGURES.read_text(encoding="utf-8"))
        if recorded["conditions"] != here:
            other = [f"{key} {x}" for key, x in recorded["conditions"].items() if x != here[key]]
            print(f"instructions: not counted, as the figures are for {', '.join(other)}")
            return []
    counts = counted()
    if write:
        recorded = {"conditions": here, "instructions": counts}
        FIGURES.write_text(json.dumps(recorded, indent=4) + "\n", encoding="utf-8")
    wrong = differences(counts, recorded["instructions"])
    print(f"instructions: {len(counts)} calls, {len(wrong)} complaints")
    return wrong


def main() -> int:
    """Makes both checks, and says what they find."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the counts to {FIGURES.name}")
    parser.add_argument("--make-calls", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make_calls:
        make_calls()
        return 0
    wrong = check_loops() + check_instructions(arguments.write)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
