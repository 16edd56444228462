"""Files that the workers of a Dask cluster read, each some pieces of them; they need the same paths, and csmooth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import Stored, pieces
from .inputs import Array, CommandError, Input, failures, package

PIECE = 2**26  # bytes that a task reads: some 100 ms of work for the millisecond that Dask takes


def reduced(
    address: str, inputs: Sequence[Input], function: Callable[..., Any], axis: Any, keywords: dict[str, Any]
) -> Any:
    """What a function makes of files, computed by the cluster whose scheduler has this address."""
    distributed = package("--scheduler", "distributed")
    da = package("--scheduler", "dask.array")
    arrays = [lazy(da, source) for source in inputs]
    if len(arrays) > 1:  # as accumulators have it
        dtype = np.result_type(*[array.dtype if array.dtype.kind == "f" else np.float64 for array in arrays])
        arrays = [array.astype(dtype) for array in arrays]
    array = arrays[0]
    if len(arrays) > 1 and axis is None:
        array = da.concatenate([array.reshape(-1) for array in arrays])
    elif len(arrays) > 1:
        with failures(inputs[1].name, ""):
            array = da.concatenate(arrays)
    with failures(inputs[0].name, ""):
        result = function(array, axis=axis, **keywords)
    with failures(address, ""), distributed.Client(address) as client:
        value = client.compute(result).result()
    for source in inputs:
        source.check()
    return value


def lazy(da: Any, source: Input) -> Any:
    """A Dask array of whole rows, of some PIECE bytes each."""
    if not isinstance(source, Stored) or source.path is None:
        raise CommandError(f"{source.name}: --scheduler is for arrays in .npy, .npz, raw, HDF5 and Zarr files")
    if source.ndim == 0:
        return da.from_array(source.array())
    read = package("--scheduler", "dask").delayed(piece)
    blocks = [
        da.from_delayed(read(source, rows), (rows.stop - rows.start, *source.row), source.dtype)
        for (rows,), _ in pieces(source.shape, source.dtype.itemsize, 0, True, source.step, PIECE)
    ]
    return da.concatenate(blocks) if blocks else da.zeros(source.shape, source.dtype)


def piece(source: Stored, rows: slice) -> Array:
    """Rows of an array; the worker's own file must be that of the client."""
    with failures(source.name), source.opened() as (array, _):
        value = np.array(array[rows])  # read now, so that what is wrong shows here
    source.check()
    return value
