"""What readers of all formats share: an Input, and one line for whatever is wrong with a file."""

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _sigbus

Array = NDArray[Any]

CHUNK = 2**24  # bytes of an array at once: long beside the cost of a call, short beside the memory of any machine


class CommandError(Exception):
    """What the user is told, in one line."""


class Options(NamedTuple):
    """What the command line says about its files; a format takes some of it."""

    format: str | None = None
    member: str | None = None
    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] | None = None
    delimiter: str | None = None
    skip_rows: int | None = None
    column: Sequence[str] | None = None
    by: str | None = None


class Chunk(NamedTuple):
    """Rows, or elements of one, the groups of the rows if they are asked for, and where the next chunk begins."""

    values: Array
    groups: Array | None
    position: int


class Input(ABC):
    """A file, or an array or columns of it, as rows along its first axis.

    `name` is for messages, `ndim` the number of axes, `row` the shape of a row, `total` the number of bytes, None where
    it is unknown. Files are open only while they are read, so that there may be many.
    """

    name: str
    path: str | None  # None for standard input
    ndim: int
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    total: int | None = None
    start: int = 0
    mapped = False  # whether `array` takes no memory

    def __init__(self, name: str, path: str | None):
        self.name, self.path, self.identity = name, path, identity(path)

    @abstractmethod
    def chunks(self, position: int, rows: bool) -> Iterator[Chunk]:
        """What comes from a position on, in C order: whole rows, or pieces of them where they are long."""

    def bytes(self, position: int) -> int:
        """How much of `total` lies before a position."""
        return position * self.dtype.itemsize

    def array(self) -> Array:
        """All of it."""
        pieces = [np.array(chunk.values) for chunk in self.chunks(self.start, True)]
        return np.concatenate(pieces) if pieces else np.empty((0, *self.row), self.dtype)

    def check(self) -> None:
        """Raises CommandError if the file is not what it was at the beginning."""
        try:
            same = identity(self.path) == self.identity
        except OSError:  # it vanished
            same = False
        if not same:
            raise CommandError(f"{self.name}: changed while it was read")
        if _sigbus.lost():
            raise CommandError(f"{self.name}: cannot be read: {os.strerror(errno.EIO)}")


def identity(path: str | None) -> tuple[int, int] | None:
    """Size in bytes and time of the last change in ns, of all files together in a directory; None of pipes."""
    if path is None:
        return None
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        inside = [os.stat(Path(folder, file)) for folder, _, files in os.walk(path) for file in files]
        return sum(file.st_size for file in inside), max([found.st_mtime_ns, *(file.st_mtime_ns for file in inside)])
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def failures(name: str, what: str = "cannot be read: ") -> Iterator[None]:
    """Turns what readers raise into one line; of a malformed file that can be almost anything."""
    try:
        yield
    except CommandError:
        raise
    except MemoryError as error:
        raise CommandError(f"{name}: too large for the memory: {error}") from error
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error
    except Exception as error:
        raise CommandError(f"{name}: {what}{error}") from error


def read(source: Input, position: int, rows: bool) -> Iterator[Chunk]:
    """The chunks of an input from a position on; CommandError if that fails, or the file has changed meanwhile."""
    try:
        with failures(source.name):
            yield from source.chunks(position, rows)
    except CommandError:
        source.check()  # the likelier reason
        raise
    source.check()


def package(name: str, module: str) -> Any:
    """What reads a format; not everybody has it."""
    try:
        return import_module(module)
    except ImportError as error:
        missing = module.partition(".")[0]
        raise CommandError(f"{name}: needs {missing}, which is not here: pip install 'csmooth[files]'") from error


def chosen(name: str, member: str | None, names: Any) -> str:
    """The member that is asked for, or the only one."""
    known = ", ".join(list(names)[:10]) + (", …" if len(names) > 10 else "")
    if member is not None:
        for spelt in (member, member.strip("/")):
            if spelt in names:
                return spelt
        raise CommandError(f"{name}: it has no {member!r}, but {known or 'nothing'}")
    if len(names) != 1:
        raise CommandError(f"{name}: --member chooses one of {known}" if names else f"{name}: there is no array in it")
    return str(next(iter(names)))
