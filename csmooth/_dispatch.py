"""Chooses, once per process, the build of the kernels that runs."""

import os
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

try:
    from ._cpu import x86_64_level
except ModuleNotFoundError as error:
    raise ImportError(
        "csmooth is not compiled here. This is its source: leave this directory to import an installed csmooth, or "
        "compile it in place with 'pip install -e .'"
    ) from error


class Kernels(Protocol):
    """What the module of each level offers; see _kernels/kernels.pxi."""

    vector_name: str
    BLOCK_LENGTH: int  # elements of a block
    Stream: Any  # what accumulators keep

    def reduce(
        self,
        name: str,
        outer_dims: int,
        a: NDArray[Any],
        weights: NDArray[Any] | None,
        where: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        weights_mask: NDArray[Any] | None,
        parameter: float | NDArray[np.floating],
        initial: float | np.floating | None,
        out: NDArray[np.floating],
        sign: NDArray[np.floating] | None,
        workers: int,
    ) -> None: ...

    def reduce_together(
        self,
        tasks: list[Any],
        outer_dims: int,
        a: NDArray[Any],
        weights: NDArray[Any] | None,
        where: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        weights_mask: NDArray[Any] | None,
        initial: float | np.floating | None,
        workers: int,
    ) -> None: ...

    def reduce_bare(
        self,
        name: str,
        a: Any,
        parameter: Any,
        axis: Any,
        b: Any,
        keepdims: Any,
        where: Any,
        out: Any,
        workers: Any,
        others: bool = False,
    ) -> Any: ...

    def map(
        self,
        name: str,
        outer_dims: int,
        a: NDArray[Any],
        weights: NDArray[Any] | None,
        where: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        weights_mask: NDArray[Any] | None,
        parameter: float | NDArray[np.floating],
        initial: float | np.floating | None,
        results: NDArray[np.floating],
        out: NDArray[np.floating] | None,
        sign: NDArray[np.floating] | None,
        slope: NDArray[np.floating] | None,
        workers: int,
    ) -> None: ...

    def state_length(self, name: str) -> int: ...

    def reduce_to_states(
        self,
        names: tuple[str, ...],
        outer_dims: int,
        a: NDArray[Any],
        weights: NDArray[Any] | None,
        where: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        weights_mask: NDArray[Any] | None,
        parameter: float | NDArray[np.floating],
        states: list[NDArray[np.float64]],
        workers: int,
    ) -> None: ...

    def join_states(
        self,
        name: str,
        parts: list[NDArray[np.float64]],
        parameter: float | NDArray[np.floating],
        out: NDArray[np.float64],
    ) -> None: ...

    def finish_states(
        self,
        name: str,
        states: NDArray[np.float64],
        parameter: float | NDArray[np.floating],
        limit: float,
        weighted: bool,
        out: NDArray[np.floating],
        sign: NDArray[np.floating] | None,
    ) -> None: ...

    def map_given(
        self,
        name: str,
        outer_dims: int,
        a: NDArray[Any],
        where: NDArray[Any] | None,
        mask: NDArray[Any] | None,
        parameter: float | NDArray[np.floating],
        states: NDArray[np.float64],
        results: NDArray[np.floating],
        workers: int,
    ) -> None: ...

    def map_bare(self, name: str, a: Any, parameter: Any, axis: Any, where: Any, out: Any, workers: Any) -> Any: ...


class Level(NamedTuple):
    """A build of the kernels, and the x86-64 level that it needs (0: any processor)."""

    name: str
    needs: int


LEVELS = (Level("x86_64_v4", 4), Level("x86_64_v3", 3), Level("baseline", 0))  # the best first


def load(level: Level) -> tuple[Kernels | None, str]:
    """The kernels of a level, or None and why they cannot be used.

    The processor is asked before the import: such a module may use its level's instructions anywhere, its
    initialisation included, and a wrong one ends in SIGILL, not in ImportError.
    """
    if x86_64_level() < level.needs:
        return None, f"this processor, or its operating system, stops at x86-64-v{max(x86_64_level(), 1)}"
    try:
        module: Any = import_module(f"._kernels.{level.name}", __package__)
    except ModuleNotFoundError:
        return None, "not built: the compiler lacked it"
    return module, ""


def available() -> dict[str, Kernels]:
    """The levels that are built and that this machine can run, the best first."""
    loaded = {level.name: load(level)[0] for level in LEVELS}
    return {name: kernels for name, kernels in loaded.items() if kernels is not None}


def select() -> tuple[str, Kernels]:
    """The level named by CSMOOTH_LEVEL, else the best one available."""
    wanted = os.environ.get("CSMOOTH_LEVEL")
    if wanted and wanted not in [level.name for level in LEVELS]:
        raise ImportError(f"CSMOOTH_LEVEL={wanted!r} is none of {', '.join(level.name for level in LEVELS)}")
    reasons = []
    for level in LEVELS:
        kernels, reason = load(level)
        if kernels is not None and wanted in (None, "", level.name):
            return level.name, kernels
        reasons.append(f"{level.name}: {reason or 'available'}")
    unusable = f"CSMOOTH_LEVEL={wanted!r} cannot be had" if wanted else "csmooth has no kernels to run"
    raise ImportError(f"{unusable} ({'; '.join(reasons)})")


level, kernels = select()
