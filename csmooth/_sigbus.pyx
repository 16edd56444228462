"""Pages of mapped files that are gone when they are read; see _sigbus.h."""

from contextlib import contextmanager

cdef extern from "_sigbus.h":
    int pages_lost
    void sigbus_catch() noexcept
    void sigbus_restore() noexcept


@contextmanager
def survived():
    """In a `with` statement pages that are gone read as zeros."""
    sigbus_catch()
    try:
        yield
    finally:
        sigbus_restore()


def lost():
    """Whether that has happened since."""
    return pages_lost != 0
