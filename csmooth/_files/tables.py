"""Columns of tables: text, Parquet, Arrow. Positions are numbers of rows, of text those of bytes."""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any

import numpy as np

from . import inputs
from .arrays import binary
from .inputs import Array, Chunk, CommandError, Input, Options, package

BYTES = 64  # of a cell while it is read, as text, as a key or in several buffers; a number in the end takes 8
LONGEST_LINE = 2**24  # bytes; what has no line ends is not text, and must not be read whole to find out


def columns(name: str, wanted: Sequence[str] | None, by: str | None, names: Sequence[str]) -> tuple[list[int], int]:
    """Where the columns of values are, all by default, and that of the groups, -1 for none."""

    def place(column: str) -> int:
        if column in names:
            return names.index(column)
        if re.fullmatch(r"\d+", column) and int(column) < len(names):
            return int(column)
        raise CommandError(f"{name}: there is no column {column!r}, but {', '.join(names)}")

    key = -1 if by is None else place(by)
    values = [i for i in range(len(names)) if i != key] if wanted is None else list(map(place, wanted))
    if not values:
        raise CommandError(f"{name}: there is no column of values")
    return values, key


class Lines:
    """The lines of a text from an offset in bytes on, which knows how many bytes it has read."""

    def __init__(self, name: str, file: IO[bytes], offset: int = 0):
        self.name, self.file, self.begin, self.offset, self.count = name, file, offset, offset, 0
        if offset:
            file.seek(offset)

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        encoding = "utf-8" if self.offset else "utf-8-sig"
        self.offset += len(line)
        self.count += 1
        if len(line) == LONGEST_LINE:
            raise CommandError(f"{self.name}: line {self.number()} is too long for a text")
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            raise CommandError(f"{self.name}: line {self.number()} is not UTF-8") from None

    def number(self) -> int:
        """Of the last line, from 1 on, for messages: those before the offset are counted only now."""
        before = 0
        if self.begin:
            self.file.seek(0)
            while self.file.tell() < self.begin and self.file.readline():
                before += 1
        return before + self.count


class Text(Input):
    """Rows of numbers in a text; numpy.loadtxt parses them."""

    dtype = np.dtype(np.float64)

    def __init__(self, name: str, path: str | None, options: Options, delimiter: str | None, comments: str | None):
        super().__init__(name, path)
        self.delimiter, self.comments = options.delimiter or delimiter, comments
        self.total = None if self.identity is None else self.identity[0]
        self.columns: list[int] | None = None
        self.key, self.first = -1, None
        with ExitStack() as stack:
            file = stack.enter_context(binary(path))
            lines = Lines(name, file)
            for _ in range(options.skip_rows or 0):
                next(lines, None)
            asked = [*(options.column or ()), *([] if options.by is None else [options.by])]
            if not all(column.isdecimal() for column in asked):
                names = [str(column).strip() for column in self.parsed(lines, 1, object).ravel()]
                if not names:
                    raise CommandError(f"{name}: empty")
                self.columns, self.key = columns(name, options.column, options.by, names)
            elif options.column is not None:
                self.columns, self.key = list(map(int, options.column)), int(options.by or -1)
            elif options.by is not None:
                raise CommandError(f"{name}: --by with a number, not a name, needs --column")
            self.start = lines.offset
            first = self.rows(lines, 1, None)
            if not lines.offset:
                raise CommandError(f"{name}: empty")
            self.row, self.ndim = first.values.shape[1:], first.values.ndim
            if self.identity is None:  # a pipe, which gives its lines only once
                self.first, self.lines, self.open = first, lines, stack.pop_all()

    def bytes(self, position: int) -> int:
        """It is one of bytes."""
        return position

    def chunks(self, position: int, rows: bool) -> Iterator[Chunk]:
        """Some thousand rows at once."""
        with ExitStack() as stack:
            if self.first is None:
                file = stack.enter_context(binary(self.path))
                lines = Lines(self.name, file, position)
            else:
                lines = self.lines
                if len(self.first.values):
                    yield self.first
            count = max(1, inputs.CHUNK // (BYTES * math.prod(self.row)))
            while len((chunk := self.rows(lines, count, self.row)).values):
                yield chunk

    def rows(self, lines: Lines, count: int, row: tuple[int, ...] | None) -> Chunk:
        """So many rows, or what is left; a single column has no axis of its own."""
        if self.key < 0:
            values, groups = self.parsed(lines, count, self.dtype, self.columns), None
        else:
            assert self.columns is not None
            fields = np.dtype([("group", object), ("values", self.dtype, (len(self.columns),))])
            table = self.parsed(lines, count, fields, [self.key, *self.columns])
            values, groups = table["values"].reshape(-1, len(self.columns)), table["group"].ravel()
        if values.shape[1] == 1:
            values = values[:, 0]
        if row is not None and len(values) and values.shape[1:] != row:
            raise CommandError(f"{self.name}: the number of columns changes at line {lines.number() - len(values) + 1}")
        return Chunk(values, groups, lines.offset)

    def parsed(self, lines: Lines, count: int, dtype: Any, use: list[int] | None = None) -> Array:
        """A table of so many rows."""
        first = count == 1 and not lines.offset
        try:
            with warnings.catch_warnings(action="ignore"):  # of blank lines, and of none
                return np.loadtxt(
                    lines,
                    dtype,
                    comments=self.comments,
                    delimiter=self.delimiter,
                    quotechar='"',
                    usecols=use,
                    max_rows=count,
                    ndmin=1 if np.dtype(dtype).names else 2,
                )
        except ValueError as error:
            what = re.sub(r" at row \d+.*| \(at row.*", "", str(error))
            hint = "; --skip-rows skips a header" if first else ""
            raise CommandError(f"{self.name}: line {lines.number()}: {what}{hint}") from error


class Table(Input):
    """Columns of a file that pyarrow reads, in batches of rows."""

    def __init__(
        self, name: str, path: str, options: Options, batches: Callable[..., Iterator[Any]], schema: Any, rows: int
    ):
        super().__init__(name, path)
        types = package(name, "pyarrow").types
        values, key = columns(name, options.column, options.by, schema.names)
        self.names, self.key = [schema.names[i] for i in values], None if key < 0 else schema.names[key]
        self.batches, self.length = batches, rows
        for i in values:
            if not any(check(schema.types[i]) for check in (types.is_integer, types.is_floating, types.is_boolean)):
                raise CommandError(
                    f"{name}: column {schema.names[i]!r} is of {schema.types[i]}; --column chooses others"
                )
        kinds = [np.dtype(schema.types[i].to_pandas_dtype()) for i in values]
        self.dtype = np.result_type(*kinds)
        self.row = () if len(values) == 1 else (len(values),)
        self.ndim = 1 + len(self.row)
        self.total = self.identity[0] if self.identity else None

    def bytes(self, position: int) -> int:
        """The share of the file."""
        return (self.total or 0) * position // max(1, self.length)

    def chunks(self, position: int, rows: bool) -> Iterator[Chunk]:
        """Batches, cut if they are long; what is missing is NaN."""
        names = list(dict.fromkeys([*self.names, *([] if self.key is None else [self.key])]))
        count = max(1, inputs.CHUNK // (BYTES * len(names)))
        for batch in self.batches(position, count, names):
            for begin in range(0, batch.num_rows, count):
                piece = batch.slice(begin, count)
                values = [piece.column(name).to_numpy(zero_copy_only=False) for name in self.names]
                values = [np.asarray(x, np.float64) if x.dtype == object else x for x in values]  # bools, some missing
                groups = None
                if self.key is not None:
                    column = piece.column(self.key)
                    if hasattr(column, "dictionary_decode"):  # whose codes have nulls of their own
                        column = column.dictionary_decode()
                    codes = column.dictionary_encode(null_encoding="encode")
                    labels = ["" if label is None else str(label) for label in codes.dictionary.to_pylist()]
                    groups = np.array(labels, object)[codes.indices.to_numpy()]
                position += piece.num_rows
                yield Chunk(np.column_stack(values) if self.row else values[0], groups, position)


def parquet(name: str, path: str, options: Options) -> Input:
    """Columns of a Parquet file."""
    package(name, "pyarrow")
    module = package(name, "pyarrow.parquet")

    def batches(position: int, count: int, names: list[str]) -> Iterator[Any]:
        # Without a buffer of its own, or with pre_buffer, it holds all of what is still to be read.
        keywords = {"pre_buffer": False, "buffer_size": 2**20, "page_checksum_verification": True}
        with module.ParquetFile(path, **keywords) as file:
            group = 0  # the first that is not read yet; of its rows so many are
            while group < file.num_row_groups and position >= (rows := file.metadata.row_group(group).num_rows):
                position, group = position - rows, group + 1
            for batch in file.iter_batches(count, list(range(group, file.num_row_groups)), names):
                yield batch.slice(position)
                position = max(0, position - batch.num_rows)

    with module.ParquetFile(path) as file:
        return Table(name, path, options, batches, file.schema_arrow, file.metadata.num_rows)


def arrow(name: str, path: str, options: Options) -> Input:
    """Columns of an Arrow or Feather file."""
    pyarrow = package(name, "pyarrow")
    module = package(name, "pyarrow.ipc")

    def batches(position: int, count: int, names: list[str]) -> Iterator[Any]:
        with pyarrow.memory_map(path) as file, module.open_file(file) as reader:
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                yield batch.slice(position).select(names)
                position = max(0, position - batch.num_rows)

    rows = package(name, "pyarrow.dataset").dataset(path, format="ipc").count_rows()
    with pyarrow.memory_map(path) as file, module.open_file(file) as reader:
        return Table(name, path, options, batches, reader.schema, rows)
