"""Files that are replaced as a whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .inputs import CommandError


def replaceable(name: str) -> Path:
    """Where a file of this name is or will be; CommandError or OSError if it cannot be written."""
    import tempfile

    target = Path(os.path.realpath(name))
    if target.exists() and not target.is_file():
        raise CommandError(f"{name}: not a regular file")
    with tempfile.TemporaryFile(dir=target.parent):
        return target


@contextmanager
def replacing(name: str, temporary: str | None = None) -> Iterator[IO[bytes]]:
    """A file that takes this name once it is complete, and vanishes if that fails.

    Until then it has a `temporary` name in the same directory, which nobody else uses; by default a random one.
    """
    import secrets
    import shutil

    target = replaceable(name)
    unfinished = target.with_name(temporary or f".csmooth-{secrets.token_hex(8)}.tmp")
    try:
        with open(unfinished, "wb" if temporary else "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
