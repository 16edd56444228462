r"""Accumulators: smooth maxima of data that come in chunks, from files or from several workers.

An accumulator of numbers (``shape=()``) gives what the function of the same name gives for one array of all elements,
with the same bits, however they were cut into chunks. One of another shape does so along an axis, for each of its
outputs. What is merged into it counts as coming after its own elements; the result is then within 1 ulp times max(1,
condition number) more. Accumulators can be copied, compared, pickled and sent as bytes; several threads may use one.

Weights that cancel, or whose sum overflows, cannot be looked at again, as functions do with arrays: then what lies
beneath them is lost, or the result is NaN.
"""

from __future__ import annotations

import operator
import struct
import threading
import zlib
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _arrays, _reductions, _stats
from ._dispatch import kernels

MOST_OUTPUTS = 2**40  # those of more would not fit any memory
_HEAD = struct.Struct("<8sIQ")  # magic, version, length of the description
_MAGIC = b"csmooth\0"
_VERSION = 1
_TAIL = struct.Struct("<I")  # checksum of all before it


class _Accumulator(kernels.Stream):  # type: ignore[misc,name-defined]
    """What all accumulators have in common."""

    _function: ClassVar[Callable[..., Any]]  # what it gives for one array,
    _parameter: ClassVar[str]  # the name of its parameter,
    _zero: ClassVar[bool] = True  # and whether that may be 0
    _kernels: ClassVar[tuple[str, ...]]  # the reductions of which it is made, first the one that reads memory best,
    _means: ClassVar[tuple[bool, ...]] = (True,)  # and whether there is none of nothing
    _blank: NDArray[np.bool_] | None

    def _begin(self, parameter: ArrayLike, shape: int | tuple[int, ...], dtype: DTypeLike | None) -> None:
        name = type(self).__name__
        array = _arrays.number(name, self._parameter, parameter)
        if array.dtype.kind not in "biu" and not _arrays.is_float(array.dtype):
            raise TypeError(f"{name}: {self._parameter} has dtype {array.dtype}; it must be real")
        array = array.astype(np.float64)
        if not self._zero and (array == 0).any():
            raise ValueError(f"{name}: {self._parameter} must not be 0")
        try:
            lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
            outputs = tuple([operator.index(length) for length in lengths])
        except TypeError:
            raise TypeError(f"{name}: shape must be an integer or a tuple of integers, not {shape!r}") from None
        if min(outputs, default=0) < 0 or prod(outputs) > MOST_OUTPUTS:
            raise ValueError(f"{name}: shape {shape} has a negative length, or too many outputs")
        try:
            spread = np.broadcast_to(array, outputs)
        except ValueError:
            raise ValueError(
                f"{name}: {self._parameter} of shape {array.shape} does not broadcast to shape {shape}"
            ) from None
        self._given: float | NDArray[np.float64] = float(array) if array.ndim == 0 else spread.copy()
        self.wanted = None if dtype is None else self._result_dtype(dtype)
        self.dtype = self.wanted
        self._set_up(self._kernels, outputs, self._given)
        self._lock = threading.RLock()  # what takes several steps; a single one of kernels.Stream has a lock of its own

    def _result_dtype(self, given: DTypeLike) -> np.dtype[Any]:
        name = type(self).__name__
        try:
            dtype = np.dtype(given)
        except TypeError:
            raise TypeError(f"{name}: dtype must be that of a float, not {given!r}") from None
        if dtype.kind in "biu":
            raise TypeError(f"{name}: dtype must be that of a float, not {dtype}")
        return self._checked(dtype, "dtype")

    def _checked(self, dtype: np.dtype[Any], named: str = "chunk") -> np.dtype[Any]:
        """A dtype that results can have."""
        name = type(self).__name__
        dtype = _arrays.result_dtype(name, named, dtype)
        if dtype.char in "gFDG":
            raise TypeError(f"{name}: {named} of {dtype} is not supported by streams")
        return dtype

    def _dtype_with(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of results once there are elements of this one, too."""
        dtype = self._checked(dtype)
        if self.dtype is None:
            return dtype
        if not np.can_cast(dtype, self.dtype, "safe"):
            raise TypeError(
                f"{type(self).__name__}: a chunk whose elements count as {dtype} in a stream of {self.dtype}; "
                f"give the stream dtype={dtype}"
            )
        return self.dtype

    def update(
        self,
        chunk: ArrayLike,
        axis: int = 0,
        b: ArrayLike | None = None,
        where: ArrayLike = True,
        *,
        workers: int | None = None,
    ) -> Self:
        """Adds the elements of a chunk.

        Parameters
        ----------
        chunk : array_like
            For an accumulator of numbers of any shape: all of its elements, in C order. Else of its shape with one
            more axis, along which come the elements of each output. Any number of them, also 0.
        axis : int, optional
            That axis. It says nothing where there is but one output.
        b, where : array_like, optional
            Weights, and which elements count, as in the function of the same name.
        workers : int, optional
            How many threads may take part, where the accumulator is of numbers; see `csmooth.set_workers`, which sets
            the default.

        Returns
        -------
        The accumulator.

        Raises
        ------
        TypeError
            For a dtype that cannot be cast safely to that of earlier elements.
        ValueError, numpy.exceptions.AxisError
            For a chunk of another shape, or `workers` that are no number of threads. Whatever is raised, the
            accumulator stays as it was.
        """
        if b is None and where is True and workers is None and self._take(chunk, axis):
            return self
        with self._lock:
            return self._update(chunk, axis, b, where, workers)

    def _update(self, chunk: ArrayLike, axis: int, b: ArrayLike | None, where: ArrayLike, workers: int | None) -> Self:
        name = type(self).__name__
        into = _arrays.operands(name, chunk, axis if self.shape else None, b, where, workers, "chunk")
        if into.result_shape(False) != self.shape:
            raise ValueError(
                f"{name}: a chunk of shape {into.shape}, without axis {axis}, is not of shape {self.shape}"
            )
        dtype = self._dtype_with(into.dtype)
        if not into.a.size:
            return self
        absent = (into.weights, into.where, into.mask, into.weights_mask)
        blank = None
        if any(self._means) and any(x is not None for x in absent) and not (self.count and self._blank is None):
            blank = _reductions.nothing_left(into)
            blank = (blank if self._blank is None else blank & self._blank) if blank.any() else None
        before, self._blank = self._blank, blank if self._blank is None else self._blank  # which keeps short cuts away
        try:
            self._add(dtype.num, into.a, *absent, into.workers)
        except BaseException:
            self._blank = before
            raise
        self.dtype = dtype
        self._blank = blank
        return self

    def merge(self, other: Self) -> Self:
        """Adds the elements of another accumulator of the same class, parameter and shape, after all of one's own."""
        name = type(self).__name__
        if type(other) is not type(self):
            raise TypeError(f"{name}: cannot merge with {type(other).__name__}")
        if other.shape != self.shape or not np.array_equal(other._given, self._given, equal_nan=True):
            raise ValueError(f"{name}: cannot merge with another {self._parameter} or shape")
        with other._lock:
            content, closed, others_dtype, others_blank = other._get(), other._closed(), other.dtype, other._blank
        states, count, weighted = closed
        if others_dtype is None or not count:
            return self
        with self._lock:
            dtype = self._dtype_with(others_dtype)
            if not self.count:
                self._restore(content, dtype, others_blank)
                return self
            blank = None if self._blank is None or others_blank is None else self._blank & others_blank
            self._absorb(states, count, weighted, dtype.num)
            self.dtype = dtype
            self._blank = blank
        return self

    def _add_initial(self, x: float) -> None:
        """Merges one more element of each output, unrounded, as functions do with `initial`."""
        one = type(self)(self._given, shape=self.shape, dtype=np.float64).update_one(np.full(self.shape, x))
        with self._lock:
            states, count, weighted = one._closed()
            self._absorb(states, count, weighted, np.dtype(self.dtype or np.float64).num)

    def __add__(self, other: Self) -> Self:
        return self.copy().merge(other) if type(other) is type(self) else NotImplemented

    def __iadd__(self, other: Self) -> Self:
        return self.merge(other) if type(other) is type(self) else NotImplemented

    def result(self) -> Any:
        """What the function gives for all elements so far: a scalar, or an array of the accumulator's shape."""
        with self._lock:
            return self._result()

    def _result(self) -> Any:
        dtype = np.dtype(np.float64) if self.dtype is None else self.dtype
        own, others, weighted, rest, weights, *_ = self._get()
        if own < kernels.BLOCK_LENGTH and not others:
            chunk = rest.reshape(own, *self.shape).astype(dtype)
            keywords: dict[str, Any] = {"axis": 0, self._parameter: self._given}
            if weighted:
                keywords["b"] = weights.reshape(chunk.shape)  # doubles, as a number of Python is
            elif weights is not None:
                keywords["where"] = weights.reshape(chunk.shape) != 0
            if np.ndim(self._given):
                keywords[self._parameter] = np.asarray(self._given)[np.newaxis]
            value = type(self)._function(chunk, **keywords)
            with np.errstate(over="ignore", under="ignore"):
                if isinstance(value, tuple):
                    return type(value)(*[one.astype(dtype) for one in value])
                return value.astype(dtype)
        outs = [np.empty(self.shape, dtype) for _ in self._kernels]
        self._finish(outs)
        for out, kernel, mean in zip(outs, self._kernels, self._means, strict=True):
            if mean and self._blank is not None:
                out[self._blank] = np.nan
            if kernel not in ("maximum", "mean"):
                out[np.isnan(self._given)] = np.nan
        return self._joined([out[()] for out in outs])

    def _joined(self, values: list[Any]) -> Any:
        """The result, of one for each kernel."""
        return values[0]

    @property
    def max(self) -> Any:
        """The largest element so far; but the smallest where results tend to it, as for a negative parameter.

        Of norms, the largest or smallest absolute value. -inf (or inf) if there was none.
        """
        kernel = "maximum" if "maximum" in self._kernels else self._kernels[0]
        field = sum(map(kernels.state_length, self._kernels[: self._kernels.index(kernel)]))  # states begin with it
        states, _, _ = self._closed()
        top = np.full(self.shape, -np.inf) if states is None else states[:, field].reshape(self.shape)
        sign = np.where((np.asarray(self._given) < 0) & (kernel != "maximum"), -1.0, 1.0)
        dtype = np.dtype(np.float64) if self.dtype is None else self.dtype
        return (top * sign).astype(dtype)[()]

    def copy(self) -> Self:
        """Another accumulator of the same elements."""
        new = type(self)(self._given, shape=self.shape, dtype=self.wanted)
        with self._lock:
            if self.dtype is not None and self.count:
                new._restore(self._get(), self.dtype, self._blank)
        return new

    def _restore(self, content: tuple[Any, ...], dtype: np.dtype[Any], blank: Any) -> None:
        self._set(*content, dtype.num)
        self.dtype = dtype
        self._blank = blank

    def reset(self) -> Self:
        """Forgets all elements."""
        with self._lock:
            self._clear()
            self.dtype = self.wanted
        return self

    def __eq__(self, other: object) -> bool:
        """Whether the class, the parameter and all that is kept of the elements are the same."""
        return type(other) is type(self) and other.to_bytes() == self.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        text = f"{type(self).__name__}({self._parameter}={self._given!r}"
        text += f", shape={self.shape}" if self.shape else ""
        text += f", count={self.count}"
        return text + (f", result={self.result()})" if self.count and not self.shape else ")")

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_bytes, (type(self), self.to_bytes())

    def to_bytes(self) -> bytes:
        """The accumulator as bytes, which any machine and every later version can read; with a checksum."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> bytes:
        import json  # which takes as long as a fifth of csmooth to import

        own, others, weighted, rest, weights, *states = self._get()
        arrays = [rest, *([] if weights is None else [weights]), *states]
        description = {
            "class": type(self).__name__,
            "parameter": np.asarray(self._given).tolist(),
            "shape": self.shape,
            "wanted": None if self.wanted is None else self.wanted.name,
            "dtype": None if self.dtype is None else self.dtype.name,
            "own": own,
            "others": others,
            "weighted": weighted,
            "weights": weights is not None,
            "blank": None if self._blank is None else np.asarray(self._blank).tolist(),
        }
        text = json.dumps(description).encode()
        data = _HEAD.pack(_MAGIC, _VERSION, len(text)) + text
        data += b"".join(array.astype("<f8").tobytes() for array in arrays)
        return data + _TAIL.pack(zlib.crc32(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The accumulator that gave these bytes.

        Raises
        ------
        ValueError
            For bytes that are damaged, cut short, of a later version or of another class.
        """
        import json

        name = cls.__name__
        if len(data) < _HEAD.size + _TAIL.size or not data.startswith(_MAGIC):
            raise ValueError(f"{name}: these bytes are not those of an accumulator, or cut short")
        _, version, length = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"{name}: these bytes are of version {version}, not {_VERSION}")
        if zlib.crc32(data[: -_TAIL.size]) != _TAIL.unpack(data[-_TAIL.size :])[0]:
            raise ValueError(f"{name}: these bytes are damaged or cut short")
        text = json.loads(data[_HEAD.size : _HEAD.size + length])
        if text["class"] != name:
            raise ValueError(f"{name}: these bytes are those of {text['class']}")
        new: Self = cls(text["parameter"], shape=tuple(text["shape"]), dtype=text["wanted"])
        if not text["own"] + text["others"]:
            return new
        numbers = np.frombuffer(data[_HEAD.size + length : -_TAIL.size], "<f8").astype(np.float64)
        waiting = text["own"] % kernels.BLOCK_LENGTH * prod(new.shape)
        rest, numbers = numbers[:waiting], numbers[waiting:]
        weights = None
        if text["weights"]:
            weights, numbers = numbers[:waiting], numbers[waiting:]
        states = [*numbers.reshape(3, prod(new.shape), -1)]
        blank = None if text["blank"] is None else np.array(text["blank"])
        content = (text["own"], text["others"], text["weighted"], rest, weights, *states)
        new._restore(content, np.dtype(text["dtype"]), blank)
        return new


def _from_bytes(accumulator: type[_Accumulator], data: bytes) -> _Accumulator:
    """What pickles call; a bound method would take its class along."""
    return accumulator.from_bytes(data)


class _Exponential(_Accumulator):
    """What those have in common that take a sharpness."""

    _parameter = "alpha"

    @property
    def alpha(self) -> float | NDArray[np.float64]:
        """The sharpness."""
        return self._given

    def __init__(
        self, alpha: ArrayLike = 1.0, shape: int | tuple[int, ...] = (), *, dtype: DTypeLike | None = None
    ) -> None:
        """Without elements."""
        self._begin(alpha, shape, dtype)


class LogSumExp(_Exponential):
    """Accumulates `csmooth.logsumexp`.

    Parameters
    ----------
    alpha : float or array_like, optional
        Sharpness, not 0; or one for each output, which broadcasts to `shape`.
    shape : int or tuple of int, optional
        Of the results: () for a scalar.
    dtype : dtype, optional
        Of the results; by default that of the function for the first chunk. It must be able to hold the dtype that the
        function has for each chunk, float64 for integers, bools and lists.

    Examples
    --------
    >>> import numpy as np
    >>> from csmooth import LogSumExp, logsumexp
    >>> stream = LogSumExp(alpha=2.0)
    >>> for chunk in np.split(np.arange(100.0), [1, 50]):
    ...     stream = stream.update(chunk)
    >>> stream
    LogSumExp(alpha=2.0, count=100, result=99.07270672893443)
    >>> stream.result() == logsumexp(np.arange(100.0), alpha=2.0)
    np.True_
    """

    _function, _zero = _reductions.logsumexp, False
    _kernels, _means = ("logsumexp",), (False,)


class LogMeanExp(_Exponential):
    """Accumulates `csmooth.logmeanexp`; see `LogSumExp`.

    Examples
    --------
    >>> from csmooth import LogMeanExp, logmeanexp
    >>> stream = LogMeanExp(-1.0).update([1.0, 2.0]).update_one(4.0)
    >>> stream.result() == logmeanexp([1.0, 2.0, 4.0], alpha=-1.0)
    np.True_
    """

    _function, _kernels = _reductions.logmeanexp, ("logmeanexp",)


class Boltzmann(_Exponential):
    """Accumulates `csmooth.boltzmann`; see `LogSumExp`.

    Examples
    --------
    >>> from csmooth import Boltzmann, boltzmann
    >>> stream = Boltzmann(3.0).update([1.0, 2.0]).update_one(4.0)
    >>> stream.result() == boltzmann([1.0, 2.0, 4.0], alpha=3.0)
    np.True_
    """

    _function, _kernels = _reductions.boltzmann, ("boltzmann",)


class SmoothMaxStats(_Exponential):
    """Accumulates `csmooth.smoothmax_stats`, with one read of each chunk; see `LogSumExp`.

    Examples
    --------
    >>> from csmooth import SmoothMaxStats, smoothmax_stats
    >>> stream = SmoothMaxStats(3.0).update([1.0, 2.0]).update_one(4.0)
    >>> stream.result() == smoothmax_stats([1.0, 2.0, 4.0], alpha=3.0)
    True
    """

    _function, _zero = _stats.smoothmax_stats, False
    _kernels, _means = ("logsumexp", "boltzmann", "maximum", "mean"), (False, True, False, True)

    def _joined(self, values: list[Any]) -> _stats.SmoothMaxStatsResult:
        total, expected, top, mean = values
        return _stats.SmoothMaxStatsResult(top, total, expected, mean)


class _Power(_Accumulator):
    """What those have in common that take an exponent."""

    _parameter = "p"

    @property
    def p(self) -> float | NDArray[np.float64]:
        """The exponent."""
        return self._given


class PNorm(_Power):
    """Accumulates `csmooth.pnorm`; see `LogSumExp`.

    Examples
    --------
    >>> from csmooth import PNorm, pnorm
    >>> stream = PNorm(3.0).update([1.0, 2.0]).update_one(4.0)
    >>> stream.result() == pnorm([1.0, 2.0, 4.0], p=3.0)
    np.True_
    """

    _function = _reductions.pnorm
    _kernels, _means = ("pnorm",), (False,)

    def __init__(
        self, p: ArrayLike = 2.0, shape: int | tuple[int, ...] = (), *, dtype: DTypeLike | None = None
    ) -> None:
        """Without elements."""
        self._begin(p, shape, dtype)


class PMean(_Power):
    """Accumulates `csmooth.pmean`; see `LogSumExp`.

    Examples
    --------
    >>> from csmooth import PMean, pmean
    >>> stream = PMean(-1.0).update([1.0, 2.0]).update_one(4.0)
    >>> stream.result() == pmean([1.0, 2.0, 4.0], p=-1.0)
    np.True_
    """

    _function, _kernels = _reductions.pmean, ("pmean",)

    def __init__(self, p: ArrayLike, shape: int | tuple[int, ...] = (), *, dtype: DTypeLike | None = None) -> None:
        """Without elements."""
        self._begin(p, shape, dtype)
