"""Threads: how many a call may use, and the pool from which it takes all but its own."""

import operator
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Protocol

MOST = 1024  # threads; more of them than processors gain nothing


class Work(Protocol):
    """What the kernels want done: a call takes part in it, as long as there is something to take."""

    def __call__(self) -> None: ...


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


class _Pool:
    """Threads that wait for work; they are made when first needed, and again in a child of fork()."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None

    def submit(self, task: Callable[[], None]) -> Future[None]:
        executor = self.executor
        if executor is None:
            with self.lock:
                executor = self.executor = self.executor or ThreadPoolExecutor(os.cpu_count(), "csmooth")
        return executor.submit(task)


_pool = _Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.__init__)  # type: ignore[misc]


def run(work: Work, workers: int) -> None:
    """Has `work` done by the caller and by up to workers - 1 others, who join in when they can.

    Nobody waits for a thread that has not begun: so calls from within threads, even from those of a pool that is
    exhausted, end.
    """
    futures: list[Future[None]] = []
    with suppress(RuntimeError):  # at the interpreter's exit, or where no thread can be started
        futures.extend(_pool.submit(work) for _ in range(min(workers - 1, os.cpu_count() or 1)))
    work()
    for future in futures:
        future.cancel()
