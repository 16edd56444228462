"""Bare calls, an array and at most an axis and a number beside it: as those that are walked through Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import csmooth

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "logsumexp": csmooth.logsumexp,
    "logmeanexp": csmooth.logmeanexp,
    "boltzmann": csmooth.boltzmann,
    "pnorm": csmooth.pnorm,
    "pmean": lambda a, p=0.5, **keywords: csmooth.pmean(a, p, **keywords),
    "softmax": csmooth.softmax,
    "log_softmax": csmooth.log_softmax,
}
PARAMETER = {"pnorm": "p", "pmean": "p"}  # alpha for others


def walked(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """The same call, which is not bare with a keyword more."""
    return function(*arguments, workers=1, **keywords)


def outcome(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """All that a result or an error shows of itself."""
    try:
        result = call(*arguments, **keywords)
    except Exception as error:
        return type(error), str(error)
    return type(result), result.dtype, result.shape, result.strides, result.flags.writeable, result.tobytes()


CUBE = np.random.default_rng(0).exponential(size=(5, 7, 6))
ARRAYS = {
    "double": CUBE[0, 0],
    "float": CUBE.astype("f4"),
    "no dimensions": np.array(2.0),
    "one element": np.array([[3.0]]),
    "long row": np.random.default_rng(1).exponential(size=1000),
    "Fortran order": np.asfortranarray(CUBE),
    "turned": CUBE.transpose(1, 2, 0),
    "strided and reversed": CUBE[::2, ::-1, ::3],
    "standing still": np.broadcast_to(CUBE[:, :1], CUBE.shape),
    "unaligned": np.frombuffer(b"\0" + CUBE[0].tobytes(), "u1")[1:].view("f8").reshape(7, 6),
    "read-only": np.frombuffer(CUBE.tobytes()).reshape(5, 42),
    "integers": np.arange(42, dtype="i2").reshape(6, 7),
    "unsigned": np.arange(12, dtype="u8"),
    "infinite": np.array([[np.inf, 1], [np.inf, np.inf], [0, 0]]),
    "NaN": np.array([np.nan, 1]),
    "negative": -CUBE[0],
    "other byte order": CUBE[0].astype(">f8"),
    "half": CUBE[0].astype("f2"),
    "bool": CUBE[0] > 1,
    "complex": CUBE[0] + 1j,
    "text": np.array(["1"]),
    "empty": np.empty((0, 3)),
    "no outputs": np.empty((3, 0, 2)),
    "matrix of few columns": CUBE[0].reshape(-1, 3),
    "list of floats": [1.0, 2.5, 3.0],
    "list of integers": [1, 2, 4],
    "list of all kinds": [1.0, 2, True],
    "list that becomes complex": [1.0, 2j],
    "tuple of lists": ([1.0, 2.0], [3.0, 4.0]),
    "list of unequal lengths": [[1.0, 2.0], [3.0]],
    "list of a number and a text": [1.0, "2"],
    "list of a number and None": [1.0, None],
    "list of what is too long": [1, 2**70],
    "list of arrays": [np.array([1.0, 2.0])],
    "empty list": [],
    "list of an empty list": [[]],
    "number": 1.5,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_bare_calls_are_as_all_others(name: str, kind: str) -> None:
    function, a = FUNCTIONS[name], ARRAYS[kind]
    for axis in (None, 0, 1, 2, -1, -2, 3, -4, True, 2**70, np.int64(0), (0,), "0", 0.0):
        assert outcome(function, a, axis=axis) == outcome(walked, function, a, axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_of_bare_calls(name: str) -> None:
    function, parameter = FUNCTIONS[name], PARAMETER.get(name, "alpha")
    for value in (2.0, 3, -1.5, -2, 0, 0.0, -0.0, 1e-310, 1e-280, np.inf, -np.inf, np.nan, True, 10**400, 2**64, "1"):
        for a in (CUBE[0], CUBE[0].astype("f4")):
            for axis in (None, 0, 1):
                keywords = {parameter: value, "axis": axis}
                assert outcome(function, a, **keywords) == outcome(walked, function, a, **keywords)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_new(name: str) -> None:
    a = CUBE[0].copy()
    result = FUNCTIONS[name](a, axis=0)
    assert result.flags.owndata
    assert not np.may_share_memory(result, a)


def test_default_workers_take_part() -> None:
    a = np.random.default_rng(2).standard_normal((2, 300_000))
    expected = csmooth.logsumexp(a, axis=1), csmooth.softmax(a, axis=1)
    with csmooth.set_workers(2):
        assert (csmooth.logsumexp(a, axis=1) == expected[0]).all()
        assert (csmooth.softmax(a, axis=1) == expected[1]).all()
