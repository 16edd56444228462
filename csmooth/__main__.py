"""The command line: ``python -m csmooth logsumexp FILE --axis 1`` reduces an array in a .npy file.

FUNCTIONS has a row for each function that has a command: its options follow from its row and its signature.
"""

import argparse
import csv
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from . import (
    _checkpoint,
    _dispatch,
    _files,
    _sigbus,
    _workers,
    boltzmann,
    log_softmax,
    logmeanexp,
    logsumexp,
    pmean,
    pnorm,
    set_workers,
    softmax,
    stream,
)
from ._files import cluster, outputs
from ._files.inputs import CommandError, Input, Options, failures
from ._version import __version__


class Function(NamedTuple):
    """A command: its function, its help, the real numbers that it takes as options, and for streams its accumulator."""

    function: Callable[..., Any]
    summary: str
    parameters: Mapping[str, str]
    accumulator: Callable[..., Any] | None = None
    aliases: Sequence[str] = ()


ALPHA = {"alpha": "sharpness, 1 by default: inf is the maximum, -inf the minimum"}
SHARES = {"alpha": "sharpness, 1 by default: at inf the maxima share the whole, at -inf the minima"}

FUNCTIONS = {
    "logsumexp": Function(
        logsumexp,
        "smooth maximum: (1/alpha) log of the sum of exp(alpha x)",
        ALPHA | {"initial": "one more element"},
        stream.LogSumExp,
    ),
    "logmeanexp": Function(
        logmeanexp,
        "smooth maximum, also called mellowmax: (1/alpha) log of the mean of exp(alpha x)",
        {"alpha": f"{ALPHA['alpha']}, 0 the mean"},
        stream.LogMeanExp,
        ["mellowmax"],
    ),
    "boltzmann": Function(
        boltzmann, "smooth maximum: the mean of x, weighted by exp(alpha x)", ALPHA, stream.Boltzmann
    ),
    "pnorm": Function(
        pnorm,
        "the sum of |x|**p, to the power of 1/p",
        {"p": "2 by default: inf is the largest |x|, 0 the number of elements other than 0"},
        stream.PNorm,
    ),
    "pmean": Function(
        pmean,
        "power mean of numbers from 0 on: the mean of x**p, to the power of 1/p",
        {"p": "inf is the maximum, 0 the geometric mean, -1 the harmonic mean"},
        stream.PMean,
    ),
    "softmax": Function(softmax, "exp(alpha x) over the sum of these", SHARES),
    "log_softmax": Function(log_softmax, "the logarithm of softmax", SHARES),
}


class Parser(argparse.ArgumentParser):
    """Raises its errors, instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse for wrong arguments."""
        raise CommandError(message)


def parser() -> Parser:
    """The commands and their options."""
    top = Parser(prog="csmooth", description="Smooth maxima of NumPy arrays.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"csmooth {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, row in FUNCTIONS.items():
        takes = signature(row.function).parameters
        command = commands.add_parser(
            name, aliases=row.aliases, help=row.summary, description=row.summary, allow_abbrev=False
        )
        command.add_argument("files", metavar="FILE", nargs="+", help=FILES)
        command.add_argument("--axis", type=axis, default=None, help="such as 1, -1 or 0,2; by default none: all axes")
        for parameter, meaning in row.parameters.items():
            required = takes[parameter].default is Parameter.empty
            command.add_argument(
                f"--{parameter}", type=float, required=required, default=argparse.SUPPRESS, metavar="X", help=meaning
            )
        if "keepdims" in takes:
            command.add_argument("--keepdims", action="store_true", help="keep the reduced axes, with length 1")
        command.add_argument("--out", metavar="FILE", help="write the result to this .npy file instead of printing it")
        add_file_options(command, row)
        command.set_defaults(run=apply, row=row)
    summary = "draw the smooth maxima of a small vector against their sharpness"
    command = commands.add_parser("plot", help=summary, description=summary, allow_abbrev=False)
    command.add_argument(
        "--out",
        metavar="FILE",
        default="csmooth.png",
        help="by default csmooth.png; also .svg, .pdf; without suffix PNG",
    )
    command.set_defaults(run=plot)
    command = commands.add_parser("info", help="versions, and the builds of the kernels", allow_abbrev=False)
    command.set_defaults(run=info)
    return top


FILES = f"""{", ".join(row.summary for row in _files.FORMATS.values())}; FILE:MEMBER is an array in an archive,
- is standard input; several are reduced as one"""


def add_file_options(command: argparse.ArgumentParser, row: Function) -> None:
    """What tells how files are read."""
    add = command.add_argument_group("files").add_argument
    add("--format", choices=_files.FORMATS, help="by default what suffix and contents say, text if nothing")
    add("--member", metavar="NAME", help="the array in a .npz, HDF5 or Zarr file; not needed if there is but one")
    add("--dtype", type=dtype, metavar="DTYPE", help="of raw binary, such as float32 or >i2")
    add("--shape", type=shape, metavar="N,N", help="of raw binary, in C order; the first may be -1")
    add("--delimiter", type=delimiter, metavar="C", help="between columns of text; by default blanks, in .csv commas")
    add("--skip-rows", type=count, metavar="N", help="lines at the start of a text that are no numbers")
    add(
        "--column",
        action="append",
        metavar="NAME",
        help="of a table, or its number from 0 on, again for another; by default all. By name the first line has them",
    )
    if row.accumulator is not None:
        add("--by", metavar="COLUMN", help="one result for each value in this column, in the order of appearance")
        add("--checkpoint", metavar="FILE", help="saved every few seconds; the same command goes on from there")
    add("--quiet", action="store_true", help="no progress bar")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the work, such as tcp://localhost:8786")
    add("--workers", type=workers, metavar="N", help="threads; -1 for all processors")


def argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type for argparse, which tells the message of a ValueError or TypeError."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except (TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


@argument
def dtype(text: str) -> np.dtype[Any]:
    """Reads float32 or >i2."""
    result = np.dtype(text)
    if result.kind not in "fiub":
        raise ValueError(f"{text!r} is no dtype of real numbers")
    return result


@argument
def shape(text: str) -> tuple[int, ...]:
    """Reads 1000,8."""
    return tuple([int(part) for part in text.split(",")])


@argument
def delimiter(text: str) -> str:
    r"""Reads one character, or \t."""
    if text == r"\t":
        return "\t"
    if len(text) != 1:
        raise ValueError(f"{text!r} is not one character")
    return text


@argument
def count(text: str) -> int:
    """Reads a number from 0 on."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number from 0 on")
    return int(text)


@argument
def workers(text: str) -> int:
    """Reads a number of threads."""
    return _workers.count("workers", int(text))


@argument
def axis(text: str) -> int | tuple[int, ...] | None:
    """Reads 1, 0,2 or none."""
    if text.lower() == "none":
        return None
    try:
        axes = tuple([int(part) for part in text.split(",")])
    except ValueError:
        raise ValueError(f"{text!r} is not an integer, a list such as 0,2, or none") from None
    return axes[0] if len(axes) == 1 else axes


def joined(words: Sequence[str]) -> list[str]:
    """`--alpha -inf` as `--alpha=-inf`: argparse takes most values with a minus sign for options."""
    result: list[str] = []
    for word in words:
        if result and re.fullmatch(r"--\w+", result[-1]) and re.match(r"-(\d|\.|inf)", word, re.IGNORECASE):
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result


def apply(arguments: argparse.Namespace) -> None:
    """Prints or writes what a function makes of files."""
    options = vars(arguments)
    checkpoint = options.get("checkpoint")
    given = Options(**{name: options.get(name) for name in Options._fields})
    inputs = [_files.open_input(name, given) for name in arguments.files]
    if arguments.out is not None:
        with failures(arguments.out):  # before any work
            outputs.replaceable(arguments.out)
    workers = _workers.count("--workers", arguments.workers)
    with set_workers(workers):
        rows = None if arguments.row.accumulator is None else along_rows(arguments.axis, inputs)
        if rows and workers > 1 and len(inputs) == 1 and inputs[0].mapped and checkpoint is None:
            rows = None  # threads share a call, not what an accumulator of several outputs does
        if arguments.scheduler is not None:
            result = on_cluster(arguments, inputs)
        elif rows is None:
            result = whole(arguments, inputs)
        else:
            result = streamed(arguments, inputs, rows)
    if arguments.out is None:
        show(result)
        print(end="", flush=True)
    else:
        write(arguments.out, lambda file: np.save(file, result))
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)


def along_rows(axis: int | tuple[int, ...] | None, inputs: Sequence[Input]) -> bool | None:
    """Whether each column has a result of its own; None if it takes more than one chunk after the other.

    Which is the case for axes other than the first, and for dtypes that accumulators lack.
    """
    if any(source.dtype.kind not in "fiub" or source.dtype.itemsize > 8 for source in inputs):
        return None
    if axis is None:
        return False
    try:
        axes = [normalize_axis_tuple(axis, source.ndim) for source in inputs]
    except (ValueError, OverflowError):  # the function says more about it
        return None
    if all(len(axes[i]) == source.ndim for i, source in enumerate(inputs)):
        return False
    return True if set(axes) == {(0,)} else None


def keywords(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those that are given, or have a default."""
    return {name: value for name, value in vars(arguments).items() if name in names}


def on_cluster(arguments: argparse.Namespace, inputs: Sequence[Input]) -> Any:
    """What the workers of a Dask cluster make of files."""
    for what, value in {"--by": "by", "--checkpoint": "checkpoint"}.items():
        if vars(arguments).get(value) is not None:
            raise CommandError(f"{what} is not for --scheduler")
    axis, given = arguments.axis, keywords(arguments, "keepdims", "alpha", "p", "initial")
    if len(inputs) > 1 and along_rows(axis, inputs) is None:
        raise CommandError(f"{inputs[1].name}: several files are for reductions with --axis none or 0")
    return cluster.reduced(arguments.scheduler, inputs, arguments.row.function, axis, given)


def whole(arguments: argparse.Namespace, inputs: Sequence[Input]) -> Any:
    """What a function makes of one array in one call."""
    for what, value in {"--by": "by", "--checkpoint": "checkpoint"}.items():
        if vars(arguments).get(value) is not None:
            raise CommandError(f"{what} is for reductions, in single or double precision, with --axis none or 0")
    if len(inputs) > 1:
        raise CommandError(f"{inputs[1].name}: several files are for reductions with --axis none or 0")
    source, row = inputs[0], arguments.row
    with failures(source.name):
        array = source.array()
    with failures(source.name, ""):
        result = row.function(array, **keywords(arguments, "axis", "keepdims", *row.parameters))
    source.check()
    return result


def streamed(arguments: argparse.Namespace, inputs: Sequence[Input], rows: bool) -> Any:
    """What accumulators make of files, one chunk after the other; for groups, records of group and result."""
    row, first = arguments.row, inputs[0]
    if rows:
        for source in inputs[1:]:
            if source.row != first.row:
                raise CommandError(f"{source.name}: rows of shape {source.row}, not {first.row} as in {first.name}")
    dtype = np.result_type(*[source.dtype if source.dtype.kind == "f" else np.float64 for source in inputs])
    parameter = keywords(arguments, "alpha", "p")
    with failures(first.name, ""):
        empty = row.accumulator(**parameter, shape=first.row if rows else (), dtype=dtype)
    run = _checkpoint.Run(inputs, empty, rows, arguments.by is not None)
    steps = run.steps()
    if arguments.checkpoint is not None:
        command = {
            "function": row.function.__name__,
            "axis": 0 if rows else None,
            **keywords(arguments, "initial", *Options._fields),
            **parameter,
        }
        steps = _checkpoint.saving(run, arguments.checkpoint, command)
    with progress(run, arguments.quiet) as advance:
        for _ in steps:
            advance()
    with failures(first.name if len(inputs) == 1 else f"{first.name} and the others", ""):
        results = {}
        for group, state in run.states.items():
            if "initial" in arguments:  # merged, as the function does, not added to the last block
                state._add_initial(arguments.initial)
            value = np.asarray(state.result())
            results[group] = value[(np.newaxis,) * (first.ndim - value.ndim)] if arguments.keepdims else value
    if arguments.by is None:
        return results[""][()]
    shape = next(iter(results.values())).shape if results else ()
    longest = max(map(len, results), default=1)
    return np.array(list(results.items()), [("group", f"U{longest}"), ("result", dtype, shape)])


@contextmanager
def progress(run: _checkpoint.Run, quiet: bool) -> Iterator[Callable[[], object]]:
    """A bar with rate and time left, which a call moves on; none without a terminal, or tqdm."""
    try:
        if quiet or sys.stderr is None or not sys.stderr.isatty():
            raise ImportError
        tqdm = import_module("tqdm").tqdm
    except ImportError:
        yield bool
        return
    sizes = [source.total for source in run.inputs if source.total is not None]
    total = sum(sizes) if len(sizes) == len(run.inputs) else None
    with tqdm(total=total, initial=run.bytes(), unit="B", unit_scale=True, leave=False) as bar:
        yield lambda: bar.update(run.bytes() - bar.n)


def plot(arguments: argparse.Namespace) -> None:
    """Draws the picture into a file."""
    try:
        from ._plot import draw  # imports matplotlib
    except ImportError as error:
        raise CommandError(str(error)) from error

    def save(file: IO[bytes]) -> None:
        try:
            draw(file, Path(arguments.out).suffix[1:] or "png")
        except ValueError as error:  # of the format
            raise CommandError(f"{arguments.out}: {error}") from error

    write(arguments.out, save)


def write(name: str, save: Callable[[IO[bytes]], None]) -> None:
    """Makes or replaces a file by what `save` writes."""
    with failures(name, ""), outputs.replacing(name) as file:
        save(file)


def show(value: Any) -> None:
    """Prints every digit: a vector one number a line, a larger array one row a line, records as CSV."""
    with np.printoptions(threshold=sys.maxsize, linewidth=sys.maxsize, floatmode="unique"):
        if np.asarray(value).dtype.names:
            lines = csv.writer(sys.stdout, lineterminator="\n")
            lines.writerows([group, *map(str, np.ravel(result))] for group, result in value)
            return
        for line in value if np.ndim(value) == 1 else [value]:
            print(str(line))


def info(arguments: argparse.Namespace) -> None:
    """Prints the versions, and for each level of the kernels whether it can be used."""
    print(f"csmooth {__version__}\nnumpy {np.__version__}\nlevel in use: {_dispatch.level}")
    for level in _dispatch.LEVELS:
        kernels, reason = _dispatch.load(level)
        print(f"{level.name}: {'available' if kernels else reason}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 for success, 2 for an error, which takes one line of standard error."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half-written vanishes
    try:
        arguments = parser().parse_args(joined(sys.argv[1:] if argv is None else argv))
        with _sigbus.survived():
            arguments.run(arguments)
        print(end="", flush=True)
    except CommandError as error:
        message = str(error)
    except OSError as error:  # of standard output; what is left of it must not fail again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # its reader has seen enough
            return 0
        message = f"standard output: {error.strerror or error}"
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
    if sys.stderr is not None:  # closed; print() would then take standard output
        print("csmooth:", " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
