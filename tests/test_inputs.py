"""What every input gets, of every function: the rows that concern all of them alike, each a table.

test_arrays.py holds array-likes, layouts and dtypes of every function, and all of logsumexp at length.
"""

import re
from collections.abc import Callable
from functools import partial
from math import log, sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.exceptions import AxisError
from reference import same_bits

import csmooth
from csmooth import grad, hvp

pytestmark = pytest.mark.usefixtures("floating_point_errors_raise")

INF, NAN = np.inf, np.nan
EPSILON = 2.0**-52
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "logsumexp": csmooth.logsumexp,
    "logmeanexp": csmooth.logmeanexp,
    "boltzmann": csmooth.boltzmann,
    "pnorm": csmooth.pnorm,
    "pmean": partial(csmooth.pmean, p=2.0),
}
MAPS: dict[str, Callable[..., Any]] = {"softmax": csmooth.softmax, "log_softmax": csmooth.log_softmax}
GRADIENTS: dict[str, Callable[..., Any]] = {
    "grad.logsumexp": grad.logsumexp,
    "grad.logmeanexp": grad.logmeanexp,
    "grad.boltzmann": grad.boltzmann,
    "grad.pnorm": grad.pnorm,
    "grad.pmean": partial(grad.pmean, p=2.0),
}
FUNCTIONS = {**REDUCTIONS, **MAPS, **GRADIENTS}
WEIGHTED = {**REDUCTIONS, **GRADIENTS}
PRODUCTS: dict[str, Callable[..., Any]] = {
    "hvp.logsumexp": partial(hvp.logsumexp, v=1.0),
    "hvp.logmeanexp": partial(hvp.logmeanexp, v=1.0),
    "hvp.boltzmann": partial(hvp.boltzmann, v=1.0),
    "hvp.pnorm": partial(hvp.pnorm, v=1.0),
    "hvp.pmean": partial(hvp.pmean, v=1.0, p=2.0),
}
DUALS: dict[str, Callable[..., Any]] = {
    "logsumexp_bounds": csmooth.logsumexp_bounds,
    "conjugate": csmooth.conjugate,
}
ALL = {**FUNCTIONS, **PRODUCTS, **DUALS}  # not all of which have an `out`, a parameter, `where` or `keepdims`
COMPLEX = ("logsumexp", "softmax", "log_softmax")
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_of_all = pytest.mark.parametrize("name", ALL)
every_weighted = pytest.mark.parametrize("name", WEIGHTED)
every_reduction = pytest.mark.parametrize("name", REDUCTIONS)


def said(name: str) -> str:
    """How messages name the function."""
    return "^" + re.escape(name) + ": "


def said_of_first(name: str) -> str:
    """How messages name its first argument."""
    return said(name) + ("p" if name == "conjugate" else "a")


def parts(results: Any) -> tuple[Any, ...]:
    """A result, or the value and its gradient."""
    return results if isinstance(results, tuple) else (results,)


# Dtypes

REFUSED = [
    np.ones(2, object),
    np.array(["1", "2"]),
    np.array([b"1", b"2"]),
    np.ones(2, "M8[s]"),
    np.ones(2, "m8[s]"),
    np.ones(2, [("x", "f8")]),
    np.ones(2, "V8"),
]


@every_of_all
def test_messages_name_what_would_do(name: str) -> None:
    """Complex numbers only where they are taken."""
    with pytest.raises(TypeError, match=said_of_first(name) + " has dtype <U1; it must be a float") as error:
        ALL[name](["1"])
    assert ("complex" in str(error.value)) == (name in COMPLEX)


@every_of_all
def test_lists_of_unequal_lengths(name: str) -> None:
    with pytest.raises(ValueError, match=said_of_first(name) + " is no array: .*inhomogeneous"):
        ALL[name]([[1.0], [1.0, 2.0]])


@every_function
def test_long_integers(name: str) -> None:
    """Of Python, for a parameter: as the float of that value, which NumPy's own integers do not reach."""
    function, key = FUNCTIONS[name], "p" if name.endswith(("pnorm", "pmean")) else "alpha"
    for long in (2**70, -(3**50)):
        results = (parts(function([[1.0, 2.0]], axis=1, **{key: x})) for x in (long, float(long)))
        for got, want in zip(*results, strict=True):
            assert same_bits(got, want)
    with pytest.raises(ValueError, match=f"{said(name)}{key} is too large for a float$"):
        function([1.0], **{key: 10**400})
    if name.endswith("logsumexp"):
        assert parts(function([1.0], initial=2**70))[0] == 2.0**70
        with pytest.raises(ValueError, match=said(name) + "initial is too large for a float$"):
            function([1.0], initial=-(10**400))
    with pytest.raises(TypeError, match=said(name) + "a has dtype object"):
        function([2**70, 1])


@every_weighted
@pytest.mark.parametrize("b", REFUSED, ids=lambda b: str(b.dtype))
def test_weights_of_refused_dtypes(name: str, b: np.ndarray) -> None:
    with pytest.raises(TypeError, match=f"{said(name)}b has dtype {re.escape(str(b.dtype))}"):
        WEIGHTED[name](np.ones(2), b=b)


@every_function
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.clongdouble])
def test_complex(name: str, dtype: Any) -> None:
    """Three functions take them, of a and b; the others name the argument and its dtype."""
    function, z, x = FUNCTIONS[name], np.ones(2, dtype), np.ones(2, np.float32)
    if name in COMPLEX:
        assert function(z).dtype == dtype
        assert name in MAPS or function(x, b=z).dtype == dtype
        return
    with pytest.raises(TypeError, match=f"{said(name)}a has dtype {z.dtype}"):
        function(z)
    with pytest.raises(TypeError, match=f"{said(name)}b has dtype {z.dtype}"):
        function(x, b=z)
    with pytest.raises(TypeError, match=said(name) + "b has dtype complex"):
        function(x, b=1j)


@every_weighted
@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("f4", "f8", "f8"),
        ("f8", "f4", "f8"),
        ("f4", ">f4", "f4"),
        ("f2", "f2", "f2"),
        ("f2", "f4", "f4"),
        ("f4", "f2", "f4"),
        ("f4", "i1", "f8"),
        ("i1", "f2", "f8"),
        ("?", "?", "f8"),
    ],
)
def test_a_and_b_of_different_dtypes(name: str, a: str, b: str, result: str) -> None:
    """The common dtype, native, and the numbers are those of either alone."""
    function = WEIGHTED[name]
    for got, want in zip(parts(function(np.ones(3, a), b=np.ones(3, b))), parts(function([1.0] * 3)), strict=True):
        assert got.dtype == np.dtype(result)
        assert got.dtype.isnative
        assert same_bits(got, np.asarray(want).astype(result))


@every_weighted
def test_longdouble_of_a_or_b(name: str) -> None:
    """Finer than a double: what a double rounds away stays."""
    function, fine = WEIGHTED[name], np.longdouble(1) + np.finfo(np.longdouble).eps
    assert parts(function(np.array([fine])))[0] == fine
    single, ones = np.ones(3, np.float32), np.ones(3, np.longdouble)
    assert {x.dtype for x in (*parts(function(ones)), *parts(function(single, b=ones)))} == {ones.dtype}


@every_of_all
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "?", "u1", ">f4", ">i8"])
def test_scalars(name: str, dtype: str) -> None:
    """NumPy scalars come back, never arrays without axes; `keepdims` changes nothing."""
    a = np.ones((), dtype)
    scalar = np.dtype(dtype).newbyteorder("=").type if a.dtype.kind == "f" else np.float64
    for argument in (a, a[()]):
        for axis in (None, 0, -1, ()):
            assert {type(x) for x in parts(ALL[name](argument, axis=axis))} == {scalar}
    if name in WEIGHTED:
        assert {type(x) for x in parts(ALL[name](a, keepdims=True))} == {scalar}
    rows = ALL[name](np.ones((1, 3), dtype))
    assert type(parts(rows)[0]) is (np.ndarray if name in MAPS or name in PRODUCTS else scalar)


# Axes and flags


@every_of_all
@pytest.mark.parametrize("axis", [2, -3, (0, 2), [-3, 1]], ids=repr)
def test_axis_out_of_bounds(name: str, axis: Any) -> None:
    with pytest.raises(AxisError, match=f"{said(name)}axis (2|-3) is out of bounds for array of dimension 2$") as error:
        ALL[name](np.ones((2, 3)), axis=axis)
    assert error.value.axis in (2, -3)
    assert error.value.ndim == 2


@every_of_all
@pytest.mark.parametrize("axis", [1, -2, (0, 1)], ids=repr)
def test_axis_of_a_scalar_out_of_bounds(name: str, axis: Any) -> None:
    with pytest.raises(AxisError, match=f"{said(name)}axis .* dimension 0$"):
        ALL[name](1.0, axis=axis)


@every_of_all
@pytest.mark.parametrize("axis", [(0, 0), (1, -1), (0, 1, 0)], ids=repr)
def test_repeated_axis(name: str, axis: Any) -> None:
    with pytest.raises(ValueError, match=f"{said(name)}axis {re.escape(str(axis))} names an axis twice") as error:
        ALL[name](np.ones((2, 3)), axis=axis)
    assert error.type is ValueError
    with pytest.raises(ValueError, match=said(name) + "axis"):
        ALL[name](1.0, axis=(0, -1))


@every_of_all
@pytest.mark.parametrize("axis", [0.0, "0", (0, 1.0), ((0,),), {0}, True, (0, True)], ids=repr)
def test_axis_of_another_type(name: str, axis: Any) -> None:
    with pytest.raises(TypeError, match=f"{said(name)}axis must be .*{re.escape(repr(axis))}"):
        ALL[name](np.ones((2, 3)), axis=axis)


@every_weighted
@pytest.mark.parametrize("keepdims", ["a", "", None, 1.5, [], [1], np.ones(2, bool)], ids=repr)
def test_keepdims_of_another_type(name: str, keepdims: Any) -> None:
    """Even where it would make no difference, and the shortest way is taken."""
    for a in (np.ones(2), [1.0, 2.0], np.ones((2, 3))):
        with pytest.raises(TypeError, match=said(name) + "keepdims must be a bool"):
            WEIGHTED[name](a, keepdims=keepdims)


@pytest.mark.parametrize("name", ["logsumexp", "grad.logsumexp"])
def test_return_sign_is_a_flag(name: str) -> None:
    function, a = FUNCTIONS[name], np.ones(2)
    for flag in ("no", "", None, 0.0, [], np.ones(2, bool)):
        with pytest.raises(TypeError, match=said(name) + "return_sign must be a bool"):
            function(a, return_sign=flag)
    for yes in (True, 1, np.True_):
        assert isinstance(parts(function(a, return_sign=yes))[-2 if name == "logsumexp" else 0], np.float64 | tuple)
    for no in (False, 0, np.False_):
        assert not isinstance(parts(function(a, return_sign=no))[0], tuple)


@every_weighted
def test_keepdims(name: str) -> None:
    function, a = WEIGHTED[name], np.ones((2, 3))
    for yes in (True, 1, np.True_, np.int8(1)):
        assert parts(function(a, axis=1, keepdims=yes))[0].shape == (2, 1)
        assert parts(function(a, keepdims=yes))[0].shape == (1, 1)
    for no in (False, 0, np.False_):
        assert parts(function(a, axis=1, keepdims=no))[0].shape == (2,)
        assert isinstance(parts(function(a, keepdims=no))[0], np.float64)


# What is refused leaves everything as it was


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


BAD_CALLS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("where", {"where": [1, 0, 1]}, TypeError),
    ("where", {"where": None}, TypeError),
    ("where", {"where": "yes"}, TypeError),
    ("where", {"where": [True, False]}, ValueError),
    ("where", {"where": np.ones((5, 2, 3), bool)}, ValueError),
    ("axis", {"axis": 2}, AxisError),
    ("axis", {"axis": (0, 0)}, ValueError),
    ("(alpha|p)", {"parameter": "1"}, TypeError),
    ("(alpha|p)", {"parameter": 1j}, TypeError),
    ("(alpha|p)", {"parameter": None}, TypeError),
    ("(alpha|p)", {"parameter": [1.0, 2.0, 3.0]}, ValueError),
    ("out", {"out": lambda out: out.astype(np.int64)}, TypeError),
    ("out", {"out": lambda out: out.astype(bool)}, TypeError),
    ("out", {"out": lambda out: out[..., np.newaxis]}, ValueError),
    ("out", {"out": lambda out: out[:1]}, ValueError),
    ("out", {"out": read_only}, ValueError),
    ("out", {"out": lambda out: out.tolist()}, TypeError),
    ("where", {"where": [[True], [True, False]]}, ValueError),
    ("(alpha|p)", {"parameter": [[1.0], [2.0, 3.0]]}, ValueError),
    ("(alpha|p)", {"parameter": 10**400}, ValueError),
    ("(alpha|p)", {"parameter": [2**70]}, TypeError),
    ("b", {"b": [1.0, 2.0]}, ValueError),
    ("b", {"b": [[1.0], [1.0, 2.0]]}, ValueError),
    ("b", {"b": np.ones((5, 2, 2))}, ValueError),
]


@every_function
@pytest.mark.parametrize("number", range(len(BAD_CALLS)), ids=lambda i: f"{BAD_CALLS[i][0]}{i}")
def test_refused(name: str, number: int) -> None:
    """Before any work, with the names of the function and of the argument, and `out` as it was."""
    argument, keywords, error = BAD_CALLS[number]
    if argument == "b" and name in MAPS:  # which have none
        error, argument = TypeError, ".*'b'"
    a, bare = np.ones((2, 3)), name.removeprefix("grad.")
    out = np.full(2 if name in REDUCTIONS else (2, 3), 7.0)  # gradients have the shape of a
    arguments = {"axis": 1, "out": out, **keywords}
    if "out" in keywords:
        arguments["out"] = keywords["out"](out)
    if "parameter" in arguments:
        arguments["p" if bare in ("pnorm", "pmean") else "alpha"] = arguments.pop("parameter")
    before = np.array(arguments["out"])
    with pytest.raises(error, match=argument if argument == ".*'b'" else f"{said(name)}{argument} "):
        FUNCTIONS[name](a, **arguments)
    assert np.array_equal(arguments["out"], before)
    assert (out == 7).all()


@every_function
def test_nothing_is_written_to(name: str) -> None:
    """All of it is read-only, and strided."""
    a, where = read_only(np.linspace(1, 2, 24).reshape(4, 6)), read_only(np.ones((4, 6), bool))
    b = {} if name in MAPS else {"b": read_only(np.full((4, 6), 0.5))[:, ::2]}
    before = a.tobytes()
    FUNCTIONS[name](a[:, ::2], axis=1, where=where[:, ::2], **b)
    assert a.tobytes() == before


# Infinite elements, negative weights, absent elements: the outcome of each

OUTCOMES: list[tuple[str, Any, dict[str, Any], Any]] = [
    ("logsumexp", [INF, -INF], {}, INF),
    ("logsumexp", [INF, INF, 0], {}, INF),
    ("logsumexp", [-INF, -INF], {}, -INF),
    ("logsumexp", [-INF, 1], {}, 1),
    ("logsumexp", [-INF, 1], {"b": [INF, 1]}, 1),
    ("logsumexp", [INF, 1], {"alpha": -1}, 1),
    ("logsumexp", [-INF, 1], {"alpha": -1}, -INF),
    ("logsumexp", [0, log(3)], {"b": [-1, 2]}, log(5)),
    ("logsumexp", [0, log(3)], {"b": [1, -2]}, NAN),
    ("logsumexp", [1, 1], {"b": [1, -1]}, -INF),
    ("logsumexp", [1000, 1000, 999], {"b": [1, -1, 1]}, 999),
    ("logmeanexp", [INF, -INF], {}, INF),
    ("logmeanexp", [-INF, -INF], {}, -INF),
    ("logmeanexp", [-INF, 0], {}, -log(2)),
    ("logmeanexp", [-INF, 0], {"b": [INF, 1]}, 0),
    ("logmeanexp", [INF, 0], {"alpha": -1}, log(2)),
    ("logmeanexp", [0, log(3)], {"b": [-1, 2]}, log(5)),
    ("logmeanexp", [0, log(3)], {"b": [2, -1]}, NAN),
    ("logmeanexp", [1, 1], {"b": [1, -1]}, NAN),
    ("logmeanexp", [1000, 1000, 999], {"b": [1, -1, 1]}, 999),
    ("boltzmann", [INF, -INF], {}, INF),
    ("boltzmann", [-INF, -INF], {}, -INF),
    ("boltzmann", [-INF, 0], {}, 0),
    ("boltzmann", [-INF, 2], {"b": [INF, 1]}, 2),
    ("boltzmann", [1, 2], {"b": [INF, 1]}, INF),
    ("boltzmann", [INF, 2], {"alpha": -1}, 2),
    ("boltzmann", [1, 4], {"alpha": 0, "b": [-1, 2]}, 7),
    ("boltzmann", [1, 4], {"alpha": 0, "b": [1, -2]}, 7),
    ("boltzmann", [1, 1], {"b": [1, -1]}, NAN),
    ("boltzmann", [1000, 1000, 999], {"b": [1, -1, 1]}, 999),
    ("pnorm", [INF, -INF], {}, INF),
    ("pnorm", [-INF, 1], {}, INF),
    ("pnorm", [INF, 2], {"p": -1}, 2),
    ("pnorm", [0, 2], {"p": -1}, 0),
    ("pnorm", [INF, 0, -2, -INF], {"p": 0}, 3),
    ("pnorm", [3, 4], {"b": [-1, 2]}, sqrt(23)),
    ("pnorm", [3, 4], {"b": [1, -2]}, NAN),
    ("pnorm", [1, 1], {"b": [1, -1]}, 0),
    ("pnorm", [1000, 1000, 999], {"b": [1, -1, 1]}, 999),
    ("pmean", [INF, 1], {}, INF),
    ("pmean", [-1, 1], {}, NAN),
    ("pmean", [INF, 2], {"p": -1}, 4),
    ("pmean", [0, 2], {"p": -1}, 0),
    ("pmean", [1, 3], {"b": [-1, 2]}, sqrt(17)),
    ("pmean", [1, 3], {"b": [2, -1]}, NAN),
    ("pmean", [1, 1], {"b": [1, -1]}, NAN),
    ("pmean", [1000, 1000, 999], {"b": [1, -1, 1]}, 999),
    ("softmax", [INF, -INF], {}, [1, 0]),
    ("softmax", [INF, 7, INF], {}, [0.5, 0, 0.5]),
    ("softmax", [-INF, 0], {}, [0, 1]),
    ("softmax", [-INF, -INF], {}, [NAN, NAN]),
    ("softmax", [-INF, 0], {"alpha": -1}, [1, 0]),
    ("softmax", [3, NAN, 3], {"where": [True, False, True]}, [0.5, 0, 0.5]),
    ("softmax", [3, 4], {"where": False}, [0, 0]),
    ("softmax", [], {}, []),
    ("log_softmax", [INF, -INF], {}, [0, -INF]),
    ("log_softmax", [INF, 7, INF], {}, [-log(2), -INF, -log(2)]),
    ("log_softmax", [-INF, 0], {}, [-INF, 0]),
    ("log_softmax", [-INF, -INF], {}, [NAN, NAN]),
    ("log_softmax", [-INF, 0], {"alpha": -1}, [0, -INF]),
    ("log_softmax", [3, NAN, 3], {"where": [True, False, True]}, [-log(2), -INF, -log(2)]),
    ("log_softmax", [3, 4], {"where": False}, [-INF, -INF]),
    ("log_softmax", [], {}, []),
]


@pytest.mark.parametrize(("name", "a", "keywords", "value"), OUTCOMES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.longdouble])
def test_outcomes(name: str, a: Any, keywords: dict[str, Any], value: Any, dtype: Any) -> None:
    """In every precision, alone and as rows that lie beside each other."""
    a = np.array(a, dtype)
    keywords = {key: np.array(x, dtype) if key == "b" else x for key, x in keywords.items()}
    got = FUNCTIONS[name](a, **keywords)
    assert got.dtype == dtype
    rows = FUNCTIONS[name](np.asfortranarray([a, a, a]), axis=1, **keywords)
    # Inputs that dtype rounds, where numbers are at most 5 with condition numbers up to 4; doubles made the value.
    epsilon = max(4 * float(np.finfo(dtype).eps), 4 * EPSILON)
    for result in (got, *rows):
        np.testing.assert_allclose(np.asarray(result, float), value, rtol=epsilon)


@pytest.mark.parametrize(("name", "a", "keywords", "value"), [row for row in OUTCOMES if row[0] in REDUCTIONS])
def test_outcomes_of_gradients(name: str, a: Any, keywords: dict[str, Any], value: Any) -> None:
    """The same value, and a gradient that is NaN with it only, 0 for what is absent."""
    got, gradient = GRADIENTS["grad." + name](np.array(a, float), **keywords)
    np.testing.assert_allclose(got, value, rtol=4 * EPSILON)  # the condition numbers are at most 4
    assert np.isnan(gradient).any() == np.isnan(value)


@pytest.mark.parametrize("spoilt", [NAN, INF, -INF])
@every_weighted
def test_absent_elements(name: str, spoilt: float) -> None:
    """By weights of 0, `where` or a mask: as without them, and their gradient is 0."""
    function, a, kept = WEIGHTED[name], [1.0, spoilt, 3.0], np.array([True, False, True])
    value, *gradient = parts(function([1.0, 3.0]))
    for got in (function(a, b=kept), function(a, where=kept), function(np.ma.array(a, mask=~kept))):
        rest = parts(got)
        assert rest[0] == pytest.approx(value, rel=4 * EPSILON)  # weights may take another way
        if gradient:
            derivative = np.ma.getdata(rest[1])
            np.testing.assert_allclose(derivative[kept], gradient[0], rtol=16 * EPSILON)  # 1 + alpha * a is up to 4
            assert np.ma.getmaskarray(rest[1])[1] or derivative[1] == 0


@pytest.mark.parametrize("name", MAPS)
def test_masked_elements_of_maps(name: str) -> None:
    a = np.ma.array([[3.0, NAN, 3.0], [1.0, 2.0, 3.0]], mask=[[0, 1, 0], [1, 1, 1]])
    got = MAPS[name](a, axis=1)
    assert got.mask.tolist() == a.mask.tolist()
    assert same_bits(got.compressed(), MAPS[name]([3.0, 3.0]))


@every_function
def test_masks_of_other_arguments(name: str) -> None:
    """What `where` has masked is False, as in a masked array that is compared; a parameter has nothing to leave out."""
    function, a = FUNCTIONS[name], np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    masked = np.ma.array(a, mask=[[0, 1, 0], [0, 0, 0]])
    for x, where in ((a, masked > 1), (a, np.ma.array([True, True, True], mask=[1, 0, 0])), (masked, masked < 6)):
        given = function(x, axis=1, where=where)
        for got, want in zip(parts(given), parts(function(x, axis=1, where=where.filled(False))), strict=True):
            assert same_bits(np.ma.getdata(got), np.ma.getdata(want))
    key = "p" if name.endswith(("pnorm", "pmean")) else "alpha"
    for parameter in (np.ma.masked, np.ma.array([[1.0], [2.0]], mask=[[0], [1]])):
        with pytest.raises(ValueError, match=said(name) + key + " must not have masked elements"):
            function(a, axis=1, **{key: parameter})
    without = np.ma.array([[1.0], [2.0]], mask=[[0], [0]])
    for got, want in zip(*(parts(function(a, axis=1, **{key: x})) for x in (without, without.data)), strict=True):
        assert type(got) is np.ndarray
        assert same_bits(got, want)
    if name.endswith("logsumexp"):
        with pytest.raises(ValueError, match=said(name) + "initial must not have masked elements"):
            function(a, initial=np.ma.masked)


@every_of_all
@pytest.mark.parametrize("values", [[1, 2, 4], [1, 2, None]])
def test_arrays_of_pandas(name: str, values: list[Any]) -> None:
    """They have a `_mask` of their own: what counts is what NumPy makes of them."""
    for dtype in ("Int64", "Float32"):
        a = pd.array(values, dtype=dtype)
        plain = np.asarray(a)
        for given in (a, pd.Series(a)):
            if plain.dtype == object:  # of NA, before pandas 3
                with pytest.raises(TypeError, match=said(name) + "a has dtype object"):
                    ALL[name](given)
                continue
            for got, want in zip(*(parts(ALL[name](x)) for x in (given, plain)), strict=True):
                assert type(got) is type(want)
                assert same_bits(got, want)


@every_of_all
def test_nan_stays_in_its_slice(name: str) -> None:
    for result in parts(ALL[name](np.array([[1.0, NAN], [1.0, 2.0]]), axis=1)):
        assert np.isnan(result[0]).all()
        assert not np.isnan(result[1]).any()


# Numbers that the documentation gives, where other functions have the same

RELATIVES: dict[str, tuple[Callable[[], Any], Any]] = {
    "a small value": (lambda: grad.logsumexp([0, -40])[0], 4.248354255291589e-18),
    "a small gradient": (lambda: grad.logsumexp([0, -40])[1], [1, 4.248354255291589e-18]),
    "a small share": (lambda: csmooth.softmax([0, -40]), [1, 4.248354255291589e-18]),
    "many zeros": (lambda: grad.logsumexp(np.zeros(100000, np.float16))[0], np.float16(11.5129)),
    "cancelled maxima": (lambda: grad.logsumexp([1000, 1000, 999], b=[1, -1, 1])[0], 999),
    "infinite": (lambda: grad.logsumexp([1, 1, INF])[1], [0, 0, 1]),
    "uint8": (lambda: grad.logsumexp(np.uint8([1, 0, 1]))[1].round(7), [0.4223188, 0.1553624, 0.4223188]),
    "no elements": (lambda: grad.logsumexp(np.zeros((2, 0, 2)), axis=(0, 1))[0], [-INF, -INF]),
    "large numbers": (lambda: grad.pnorm([1e200, 1e200], 3)[0], 1.2599210498948732e200),
    "their mean": (lambda: csmooth.pmean([1e200, 1e200], 3), 1e200),
    "close to a mean": (lambda: grad.logmeanexp([1, 2, 4], alpha=1e-12)[0], 2.333333333334111),
    "nothing": (lambda: grad.boltzmann([-INF, 0])[0], 0),
    "masked": (lambda: grad.logsumexp(np.ma.array([1.0, 9.0, 3.0], mask=[0, 1, 0]))[0], 3.1269280110429727),
}


@pytest.mark.parametrize("kind", RELATIVES)
def test_relatives_of_right_answers(kind: str) -> None:
    """Within 3 ulp times the condition number, which is 1, or 40 where -40 rules."""
    make, value = RELATIVES[kind]
    condition = 40 if kind.startswith("a small") else 1
    np.testing.assert_allclose(np.asarray(make(), float), value, rtol=3 * EPSILON * condition)
