"""Files as streams of arrays, for the command line: an Input for each, which reads its format chunk by chunk.

FORMATS has a row for each format. Where a chunk ends is a position, at which reading can begin again later; this is
what checkpoints store. Whatever is wrong with a file becomes a CommandError, one line that begins with its name.
"""

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from .arrays import Hdf5, Zarr, npy, npz, raw
from .inputs import CommandError, Input, Options, failures
from .tables import Text, arrow, parquet


class Format(NamedTuple):
    """How files of a format are known and read, and the options that they take."""

    summary: str
    reader: Callable[[str, Any, Options], Input]
    options: tuple[str, ...]
    suffixes: tuple[str, ...]
    magic: bytes | None = None


TEXT = ("delimiter", "skip_rows", "column", "by")

FORMATS = {
    "npy": Format("NumPy array", npy, (), (".npy",), b"\x93NUMPY"),
    "npz": Format("NumPy archive", npz, ("member",), (".npz",), b"PK\3\4"),
    "hdf5": Format("HDF5", Hdf5, ("member",), (".h5", ".hdf5", ".hdf"), b"\x89HDF\r\n\x1a\n"),
    "zarr": Format("Zarr", Zarr, ("member",), (".zarr",)),
    "parquet": Format("Parquet", parquet, ("column", "by"), (".parquet", ".pq"), b"PAR1"),
    "arrow": Format("Arrow or Feather", arrow, ("column", "by"), (".arrow", ".feather"), b"ARROW1"),
    "csv": Format("CSV", partial(Text, delimiter=",", comments=None), TEXT, (".csv",)),
    "raw": Format("raw binary", raw, ("dtype", "shape"), (".raw", ".bin")),
    "text": Format("text", partial(Text, delimiter=None, comments="#"), TEXT, (".txt",)),
}


def open_input(name: str, options: Options) -> Input:
    """Finds out what a file is, and what it holds: by its suffix or its first bytes, unless the options say."""
    path: str | None = name
    if name == "-":
        path, name = None, "standard input"
    elif not os.path.exists(name) and os.path.exists(name.rpartition(":")[0]):
        path, _, member = name.rpartition(":")
        options = options._replace(member=member)
    with failures(name):
        kind = options.format or recognised(path, options)
    row = FORMATS[kind]
    for option in Options._fields[1:]:
        if getattr(options, option) is not None and option not in row.options:
            raise CommandError(f"{name}: --{option.replace('_', '-')} is not for {row.summary}")
    if path is None and kind not in ("raw", "text", "csv"):
        raise CommandError(f"{name}: {row.summary} cannot be read from there")
    with failures(name, f"cannot be read as {row.summary}: "):
        return row.reader(name, path, options)


def recognised(path: str | None, options: Options) -> str:
    """The format of a file."""
    otherwise = "text" if options.dtype is None else "raw"
    if path is None:
        return otherwise
    suffix = Path(path).suffix.lower()
    named = next((kind for kind, row in FORMATS.items() if suffix in row.suffixes), None)
    if os.path.isdir(path):
        if named == "zarr" or any(Path(path, file).exists() for file in ("zarr.json", ".zarray", ".zgroup")):
            return "zarr"
    elif not stat.S_ISREG(os.stat(path).st_mode):
        return named or otherwise
    with open(path, "rb") as file:  # raises what there is to say of directories, permissions, and names of nothing
        start = file.read(16)
    if named or options.dtype is not None:
        return named or "raw"
    return next((kind for kind, row in FORMATS.items() if row.magic and start.startswith(row.magic)), otherwise)
