"""Threads: how many a call may use; see _kernels/helpers.pxi for the threads themselves."""

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MOST = 1024  # threads; more of them than processors gain nothing


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limit() -> int:
    """The number of processors, or OMP_NUM_THREADS if that is smaller."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(processors(), int(first)) if first.isdecimal() and int(first) > 0 else processors()


def count(function: str, workers: int | None) -> int:
    """How many threads a call may use: `workers`, or for None the default."""
    if workers is None:
        return _default.get()
    try:
        number = operator.index(workers)
    except TypeError:
        raise TypeError(f"{function}: workers must be an integer or None, not {workers!r}") from None
    if number > 0:
        return min(number, MOST)
    limit = _limit()
    if not -limit <= number < 0:
        raise ValueError(f"{function}: workers must be positive, or from -1 (all {limit} processors) to -{limit}")
    return limit + 1 + number


def _from_environment() -> int:
    """The default at import."""
    wanted = os.environ.get("CSMOOTH_NUM_THREADS", "").strip()
    if not wanted:
        return 1
    try:
        return min(count("CSMOOTH_NUM_THREADS", int(wanted)), _limit())
    except ValueError:
        raise ImportError(f"CSMOOTH_NUM_THREADS={wanted!r} is no number of threads: positive, or -1 for all") from None


_AT_IMPORT = _from_environment()
_default: ContextVar[int] = ContextVar("workers", default=_AT_IMPORT)


@contextmanager
def set_workers(workers: int) -> Iterator[None]:
    """Sets the default number of threads, in a `with` statement, for the calls of this thread or asynchronous task.

    Results have the same bits for any number. Calls that would not gain, below some 260,000 elements, stay in the
    thread of the caller; so does what plain NumPy computes.

    Parameters
    ----------
    workers : int
        How many threads a call may use, the caller's among them. -1 stands for all processors that the process may
        use, or OMP_NUM_THREADS if that is smaller, -2 for one less, and so on. Outside of any `with`, the default is
        the number in the environment variable CSMOOTH_NUM_THREADS when csmooth is imported, which OMP_NUM_THREADS
        limits too, else 1.

    Raises
    ------
    TypeError, ValueError
        For what is not an integer, 0, or fewer than -1 times that many processors.

    Examples
    --------
    >>> import numpy as np
    >>> import csmooth
    >>> a = np.arange(1e6)
    >>> with csmooth.set_workers(2):
    ...     two = csmooth.logsumexp(a)
    >>> two == csmooth.logsumexp(a, workers=-1) == csmooth.logsumexp(a)
    np.True_
    """
    token = _default.set(count("set_workers", workers))
    try:
        yield
    finally:
        _default.reset(token)
