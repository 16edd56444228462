"""The command line: ``python -m csmooth logsumexp FILE --axis 1`` reduces an array in a .npy file.

FUNCTIONS has a row for each function that has a command: its options follow from its row and its signature.
"""

import argparse
import os
import re
import secrets
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np

from . import _dispatch, boltzmann, log_softmax, logmeanexp, logsumexp, pmean, pnorm, softmax
from ._version import __version__


class Function(NamedTuple):
    """A command: the function that it calls, its help, and the real numbers that it takes as options."""

    function: Callable[..., Any]
    summary: str
    parameters: Mapping[str, str]
    aliases: Sequence[str] = ()


ALPHA = {"alpha": "sharpness, 1 by default: inf is the maximum, -inf the minimum"}
SHARES = {"alpha": "sharpness, 1 by default: at inf the maxima share the whole, at -inf the minima"}

FUNCTIONS = {
    "logsumexp": Function(
        logsumexp,
        "smooth maximum: (1/alpha) log of the sum of exp(alpha x)",
        ALPHA | {"initial": "one more element"},
    ),
    "logmeanexp": Function(
        logmeanexp,
        "smooth maximum, also called mellowmax: (1/alpha) log of the mean of exp(alpha x)",
        {"alpha": f"{ALPHA['alpha']}, 0 the mean"},
        ["mellowmax"],
    ),
    "boltzmann": Function(boltzmann, "smooth maximum: the mean of x, weighted by exp(alpha x)", ALPHA),
    "pnorm": Function(
        pnorm,
        "the sum of |x|**p, to the power of 1/p",
        {"p": "2 by default: inf is the largest |x|, 0 the number of elements other than 0"},
    ),
    "pmean": Function(
        pmean,
        "power mean of numbers from 0 on: the mean of x**p, to the power of 1/p",
        {"p": "inf is the maximum, 0 the geometric mean, -1 the harmonic mean"},
    ),
    "softmax": Function(softmax, "exp(alpha x) over the sum of these", SHARES),
    "log_softmax": Function(log_softmax, "the logarithm of softmax", SHARES),
}


class CommandError(Exception):
    """What the user is told, in one line."""


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
        command.add_argument("file", metavar="FILE", help="a .npy file; it is memory-mapped")
        command.add_argument("--axis", type=axis, default=None, help="such as 1, -1 or 0,2; by default none: all axes")
        for parameter, meaning in row.parameters.items():
            required = takes[parameter].default is Parameter.empty
            command.add_argument(
                f"--{parameter}", type=float, required=required, default=argparse.SUPPRESS, metavar="X", help=meaning
            )
        if "keepdims" in takes:
            command.add_argument("--keepdims", action="store_true", help="keep the reduced axes, with length 1")
        command.add_argument("--out", metavar="FILE", help="write the result to this .npy file instead of printing it")
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


def axis(text: str) -> int | tuple[int, ...] | None:
    """Reads 1, 0,2 or none."""
    if text.lower() == "none":
        return None
    try:
        axes = tuple([int(part) for part in text.split(",")])
    except ValueError:
        message = f"{text!r} is not an integer, a list such as 0,2, or none"
        raise argparse.ArgumentTypeError(message) from None
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
    """Prints or writes what a function makes of a file."""
    function, parameters = arguments.row.function, arguments.row.parameters
    options = vars(arguments)
    keywords = {name: options[name] for name in ("axis", "keepdims", *parameters) if name in options}
    array = load(arguments.file)

    def result() -> Any:
        try:
            return function(array, **keywords)
        except (TypeError, ValueError, OverflowError, MemoryError) as error:
            raise CommandError(f"{arguments.file}: {error}") from error

    if arguments.out is None:
        show(result())
        return
    write(arguments.out, lambda file: np.save(file, result()))


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


def load(name: str) -> np.ndarray[Any, Any]:
    """The array in a .npy file, mapped into memory; pickled objects are refused."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of old headers, which are read all the same
            return np.lib.format.open_memmap(name, mode="r")
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error
    except Exception as error:  # a malformed header can raise almost anything
        if zipfile.is_zipfile(name):
            raise CommandError(f"{name}: an archive; give one of its arrays, as a .npy file") from error
        raise CommandError(f"{name}: not a .npy file that can be mapped: {error}") from error


def write(name: str, save: Callable[[IO[bytes]], None]) -> None:
    """Makes or replaces a file by what `save` writes."""
    try:
        with replacing(name) as file:
            save(file)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error


@contextmanager
def replacing(name: str) -> Iterator[IO[bytes]]:
    """A file that takes this name once it is complete, and vanishes if that fails."""
    target = Path(os.path.realpath(name))
    if target.exists() and not target.is_file():
        raise CommandError(f"{name}: not a regular file")
    temporary = target.with_name(f".csmooth-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def show(value: Any) -> None:
    """Prints every digit: a vector one number a line, a larger array one row a line."""
    with np.printoptions(threshold=sys.maxsize, linewidth=sys.maxsize, floatmode="unique"):
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
    try:
        arguments = parser().parse_args(joined(sys.argv[1:] if argv is None else argv))
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
    if sys.stderr is not None:  # closed; print() would then take standard output
        print("csmooth:", " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
