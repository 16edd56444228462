"""Arrays in files: NumPy's own, raw binary, HDF5 and Zarr. All positions are numbers of elements."""

import math
import mmap
import os
import struct
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from . import inputs
from .inputs import Array, Chunk, CommandError, Input, Options, chosen, package


def pieces(
    shape: tuple[int, ...], itemsize: int, position: int, rows: bool, step: int = 1, size: int | None = None
) -> Iterator[tuple[Any, int]]:
    """Indices of some `size` bytes each, which walk through an array in C order, and the position after each.

    By default they are of CHUNK. They cut the first axis, and a later one where `rows` need not be whole and are longer
    than that. `step` is the length along the first axis of what is compressed as one: of such pieces as many as fit,
    one if it nearly does.
    """
    if not shape:
        if not position:
            yield (), 1
        return
    size = inputs.CHUNK if size is None else size
    axis = 0
    while not rows and axis < len(shape) - 1 and math.prod(shape[axis + 1 :]) * itemsize > size:
        axis += 1
    behind = math.prod(shape[axis + 1 :])
    length = max(1, size // max(1, behind * itemsize))
    if axis == 0 and step <= 4 * length:
        length = max(length // step, 1) * step
    while position < math.prod(shape):
        *before, begin = (int(i) for i in np.unravel_index(position // behind, shape[: axis + 1]))
        end = min(begin + length, shape[axis])
        position += (end - begin) * behind
        yield (*before, slice(begin, end)), position


class Stored(Input):
    """An array that can be indexed where it is."""

    step = 1

    def __init__(self, name: str, path: str, dtype: np.dtype[Any], shape: tuple[int, ...]):
        super().__init__(name, path)
        self.dtype, self.shape, self.row, self.ndim = dtype, shape, shape[1:], len(shape)
        self.total = math.prod(shape) * dtype.itemsize

    @abstractmethod
    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Callable[[], object]]]:
        """The array, and what to call after each chunk."""

    def array(self) -> Array:
        """All of it; what is mapped stays where it is."""
        with self.opened() as (array, _):
            return np.asarray(array[()])

    def chunks(self, position: int, rows: bool) -> Iterator[Chunk]:
        """Pieces of the array."""
        with self.opened() as (array, after):
            for index, end in pieces(self.shape, self.dtype.itemsize, position, rows, self.step):
                yield Chunk(np.asarray(array[index]), None, end)
                after()


class Mapped(Stored):
    """An array that lies in a file as it lies in memory, from an offset on."""

    mapped = True

    def __init__(
        self, name: str, path: str, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool = False
    ):
        super().__init__(name, path, dtype, shape)
        self.offset = offset
        self.order: Literal["C", "F"] = "F" if fortran else "C"
        size = os.stat(path).st_size
        if offset + math.prod(shape) * dtype.itemsize > size:
            raise CommandError(f"{name}: truncated: {size} bytes, of {offset + math.prod(shape) * dtype.itemsize}")

    @contextmanager
    def opened(self) -> Iterator[tuple[Array, Callable[[], object]]]:
        """The pages of a chunk are let go after it, or a large file would seem to fill the memory."""
        if self.total == 0:  # nothing to map
            yield np.empty(self.shape, self.dtype), bool
            return
        with open(self.path or "", "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        array: Array = np.ndarray(self.shape, self.dtype, pages, self.offset, order=self.order)

        def after() -> None:
            if hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)

        yield array, after


class Sequential(Input):
    """Elements in C order that come from a decompressor or a pipe."""

    def __init__(
        self,
        name: str,
        path: str | None,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        opened: Callable[[], AbstractContextManager[Any]],
        offset: int = 0,
    ):
        super().__init__(name, path)
        self.dtype, self.row, self.ndim = dtype, shape[1:], len(shape)
        self.opened, self.offset = opened, offset
        self.length = None if shape[0] < 0 else math.prod(shape)  # in elements
        self.total = None if self.length is None else self.length * dtype.itemsize

    def chunks(self, position: int, rows: bool) -> Iterator[Chunk]:
        """Each in the same buffer."""
        row, size = math.prod(self.row) if rows else 1, self.dtype.itemsize
        with self.opened() as file:
            if self.offset + position:
                file.seek(self.offset + position * size)
            buffer: Array = np.empty((max(1, inputs.CHUNK // max(1, row * size)) * row), self.dtype)
            while self.length is None or position < self.length:
                wanted = buffer if self.length is None else buffer[: self.length - position]
                count, odd = divmod(file.readinto(wanted.view(np.uint8)), size)
                position += count
                if count == 0 and self.length is None and position % math.prod(self.row) == 0:
                    break
                if odd or count % row or count < (1 if self.length is None else wanted.size):
                    raise CommandError(f"{self.name}: truncated: it ends within its array, after {position} elements")
                values = wanted[:count]
                yield Chunk(values.reshape(-1, *self.row) if rows else values, None, position)
            if file.read(1):
                raise CommandError(f"{self.name}: longer than its array of {self.length} elements")


def header(file: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Dtype, shape and order of the array that follows, from the start of what numpy.save writes."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # version 3 is of records whose fields have names beyond Latin
        raise ValueError(f"version {version[0]}.{version[1]}")
    with warnings.catch_warnings(action="ignore"):  # of old headers, which are read all the same
        shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it contains pickled objects")
    return dtype, shape, fortran


def npy(name: str, path: str, options: Options) -> Input:
    """What numpy.save writes."""
    with open(path, "rb") as file:
        dtype, shape, fortran = header(file)
        return Mapped(name, path, file.tell(), dtype, shape, fortran)


def npz(name: str, path: str, options: Options) -> Input:
    """A member of what numpy.savez or numpy.savez_compressed writes."""
    import zipfile  # which takes a while, as does what else is imported where it is used

    with zipfile.ZipFile(path) as archive:
        names = {member.removesuffix(".npy"): member for member in archive.namelist()}
        member = names[chosen(name, options.member, names)]
        info = archive.getinfo(member)
        with archive.open(member) as file:
            dtype, shape, fortran = header(file)
            offset = file.tell()
    if info.compress_type == zipfile.ZIP_STORED:
        with open(path, "rb") as raw:
            raw.seek(info.header_offset)  # the local header, whose lengths may differ from those of the directory
            lengths = struct.unpack("<26x2H", raw.read(30))
        return Mapped(name, path, info.header_offset + 30 + sum(lengths) + offset, dtype, shape, fortran)
    if fortran and len(shape) > 1:
        raise CommandError(f"{name}: in Fortran order and compressed, so that it cannot be read in C order")

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            yield file

    return Sequential(name, path, dtype, shape or (1,), opened, offset)


def raw(name: str, path: str | None, options: Options) -> Input:
    """The bytes of an array, and nothing else."""
    if options.dtype is None:
        raise CommandError(f"{name}: raw binary needs --dtype")
    dtype, shape = options.dtype, options.shape or (-1,)
    row = math.prod(shape[1:])
    if row < 1 or min(shape[1:], default=1) < 1 or shape[0] < -1:
        raise CommandError(f"--shape {','.join(map(str, shape))}: lengths are positive, the first may be -1")
    if path is None or not Path(path).is_file():
        return Sequential(name, path, dtype, shape, lambda: binary(path))
    size = os.stat(path).st_size
    if size == 0:
        raise CommandError(f"{name}: empty")
    length, odd = divmod(size, row * dtype.itemsize)
    if odd or shape[0] not in (-1, length):
        of = f"{dtype.name}" if options.shape is None else f"{dtype.name} of shape {shape}"
        raise CommandError(f"{name}: its {size} bytes are no {of}")
    return Mapped(name, path, 0, dtype, (length, *shape[1:]))


@contextmanager
def binary(path: str | None) -> Iterator[IO[bytes]]:
    """A file, or standard input, which stays open."""
    if path is None:
        if sys.stdin is None:
            raise CommandError("standard input: closed")
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        yield file


class Hdf5(Stored):
    """A dataset in an HDF5 file."""

    def __init__(self, name: str, path: str, options: Options):
        h5py = package(name, "h5py")
        names: list[str] = []
        with h5py.File(path, "r") as file:
            file.visititems(lambda key, node: names.append(key) if isinstance(node, h5py.Dataset) else None)
            self.member = chosen(name, options.member, names)
            dataset = file[self.member]
            if dataset.shape is None:
                raise CommandError(f"{name}: {self.member} is null")
            super().__init__(name, path, dataset.dtype, dataset.shape)
            self.step = dataset.chunks[0] if dataset.chunks else 1

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Callable[[], object]]]:
        """The dataset."""
        with package(self.name, "h5py").File(self.path, "r") as file:
            yield file[self.member], bool


class Zarr(Stored):
    """An array in a Zarr store."""

    def __init__(self, name: str, path: str, options: Options):
        zarr = package(name, "zarr")
        node = zarr.open(path, mode="r")
        self.member = None
        if isinstance(node, zarr.Group):
            names = {key for key, child in node.members(max_depth=None) if isinstance(child, zarr.Array)}
            self.member = chosen(name, options.member, names)
            node = node[self.member]
        elif options.member is not None:
            raise CommandError(f"{name}: an array, without members")
        super().__init__(name, path, node.dtype, node.shape)
        self.step = node.chunks[0] if node.shape else 1

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Callable[[], object]]]:
        """The array."""
        node = package(self.name, "zarr").open(self.path, mode="r")
        yield node if self.member is None else node[self.member], bool
