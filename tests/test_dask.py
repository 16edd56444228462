"""Dask arrays: lazy, for any chunking and keyword, in both modes of Dask, also through xarray and flox."""

import os
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import reference
import test_stream
from hypothesis import given, settings
from hypothesis import strategies as st

import csmooth

EXPRESSIONS = da.Array.__module__ != "dask.array.core"  # Dask's newer mode, which lacks some of its functions
assert EXPRESSIONS or "CSMOOTH_TEST_EXPRESSIONS" not in os.environ, "Dask is not in the mode that was asked for"
REDUCTIONS = (
    (csmooth.logsumexp, {"alpha": -2.0}),
    (csmooth.logmeanexp, {}),
    (csmooth.boltzmann, {"alpha": 0.5}),
    (csmooth.pnorm, {"p": 3.5}),
    (csmooth.pmean, {"p": -1.0}),
)
MAPS = ((csmooth.softmax, {"alpha": 0.5}), (csmooth.log_softmax, {"alpha": 0.5}))
ALL = REDUCTIONS + MAPS


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape) * 3


def elements(function, *shape):
    """Of either sign, unless a power mean is to be taken."""
    return np.abs(numbers(*shape)) if function is csmooth.pmean else numbers(*shape)


def check(lazy, expected, dtype=np.float64):
    """The same shape, dtype and kind; values as near as conditions of some tens allow, of which bounds say more."""
    assert isinstance(lazy, da.Array)
    got = lazy.compute(scheduler="sync")
    assert lazy.dtype == got.dtype == np.asarray(expected).dtype
    assert got.shape == np.shape(expected)
    unit = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=50 * unit, atol=2 * unit)


@pytest.mark.parametrize(("function", "keywords"), ALL)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1), ()])
def test_axes(function, keywords, axis):
    a = elements(function, 6, 7, 8)
    lazy = da.from_array(a, chunks=(4, 3, 5))
    check(function(lazy, axis=axis, **keywords), function(a, axis=axis, **keywords))
    if function not in (csmooth.softmax, csmooth.log_softmax):
        check(function(lazy, axis=axis, keepdims=True, **keywords), function(a, axis=axis, keepdims=True, **keywords))


@pytest.mark.parametrize(("function", "keywords"), REDUCTIONS)
def test_bounds_hold_for_any_chunking(function, keywords):
    (parameter,) = keywords.values() or (1.0,)
    name = function.__name__

    @settings(max_examples=15, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(0, 100))
    def check_chunks(chunks, seed):
        a = np.abs(numbers(sum(chunks), seed=seed)) + 0.1 if name == "pmean" else numbers(sum(chunks), seed=seed)
        got = function(da.from_array(a, chunks=(tuple(chunks),)), **keywords).compute(scheduler="sync")
        assert reference.units(got, test_stream.exact(name, a, parameter)) <= test_stream.BOUNDS[name]

    check_chunks()


@pytest.mark.parametrize(("function", "keywords"), REDUCTIONS)
def test_one_chunk_has_the_bits_of_an_array(function, keywords):
    a = elements(function, 3000, 5)
    for axis in (None, 0, 1):
        got = function(da.from_array(a, chunks=-1), axis=axis, **keywords).compute(scheduler="sync")
        assert reference.same_bits(got, function(a, axis=axis, **keywords))


@pytest.mark.parametrize(("function", "keywords"), REDUCTIONS)
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_and_masks(function, keywords, lazy):
    a, b, where = elements(function, 20, 30), np.random.default_rng(1).random((20, 30)), numbers(20, 30, seed=2) > -1
    array = da.from_array(a, chunks=(7, 9))
    give = (lambda x, chunks: da.from_array(x, chunks=chunks)) if lazy else (lambda x, chunks: x)
    for axis in (None, 0, 1):
        check(function(array, axis=axis, b=give(b, (10, 10)), **keywords), function(a, axis=axis, b=b, **keywords))
        expected = function(a, axis=axis, where=where, **keywords)
        check(function(array, axis=axis, where=give(where, (7, 30)), **keywords), expected)
        expected = function(a, axis=axis, b=b[0], where=where[:, :1], **keywords)
        got = function(array, axis=axis, b=give(b[0], 4), where=give(where[:, :1], (20, 1)), **keywords)
        check(got, expected)
    check(function(a, axis=0, b=da.from_array(b, chunks=6), **keywords), function(a, axis=0, b=b, **keywords))
    check(function(array, axis=0, b=2, **keywords), function(a, axis=0, b=2, **keywords))


def test_masks_of_maps_and_of_masked_arrays():
    a, where = numbers(20, 30), numbers(20, 30, seed=2) > 0
    array = da.from_array(a, chunks=(7, 9))
    for function, _ in MAPS:
        check(function(array, axis=1, where=da.from_array(where, chunks=8)), function(a, axis=1, where=where))
    masked = np.ma.MaskedArray(a, ~where)
    lazy = da.from_array(masked, chunks=(7, 9))
    check(csmooth.logsumexp(lazy, axis=0), np.asarray(csmooth.logsumexp(masked, axis=0)))
    got, expected = csmooth.softmax(lazy, axis=0).compute(scheduler="sync"), csmooth.softmax(masked, axis=0)
    assert (got.mask == expected.mask).all()
    np.testing.assert_allclose(got.filled(0), expected.filled(0), rtol=1e-14)  # condition numbers of some ten


@pytest.mark.parametrize(("function", "keywords"), ALL)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_parameter_for_each_output(function, keywords, lazy):
    a, parameter = numbers(20, 30), np.random.default_rng(3).random((20, 1)) + 0.5
    name = next(iter(keywords), "alpha")
    given = da.from_array(parameter, chunks=(6, 1)) if lazy else parameter
    a = np.abs(a) if function is csmooth.pmean else a
    array = da.from_array(a, chunks=(7, 9))
    check(function(array, axis=1, **{name: given}), function(a, axis=1, **{name: parameter}))


def test_a_ladder():
    a = numbers(20, 30)
    steps = np.array([0.5, 1.0, np.inf])[:, np.newaxis, np.newaxis]
    array = da.from_array(a, chunks=(7, 9))
    check(csmooth.boltzmann(array, steps, axis=0), csmooth.boltzmann(a, steps, axis=0))
    got = csmooth.logsumexp(array, alpha=steps[:, np.newaxis], return_sign=True)
    for lazy, expected in zip(got, csmooth.logsumexp(a, alpha=steps[:, np.newaxis], return_sign=True), strict=True):
        check(lazy, expected)


def test_keywords_of_logsumexp():
    a, b = numbers(20, 30), numbers(20, 30, seed=1)
    array = da.from_array(a, chunks=(7, 9))
    for axis in (None, 0):
        check(csmooth.logsumexp(array, axis=axis, initial=2.0), csmooth.logsumexp(a, axis=axis, initial=2.0))
        expected = csmooth.logsumexp(a, axis=axis, b=abs(b), initial=2.0)
        check(csmooth.logsumexp(array, axis=axis, b=abs(b), initial=2.0), expected)
        got = csmooth.logsumexp(array, axis=axis, b=b, return_sign=True)
        value, sign = csmooth.logsumexp(a, axis=axis, b=b, return_sign=True)
        check(got[1], sign)
        np.testing.assert_allclose(got[0].compute(scheduler="sync"), value, rtol=1e-11)  # as weights cancel
    check(csmooth.logsumexp(array, axis=0, b=-1.0), np.full(30, np.nan))  # the sign of which is not asked for
    check(csmooth.logsumexp(array, axis=0, b=-1.0, return_sign=True)[0], csmooth.logsumexp(a, axis=0))


def test_stats_with_an_infinite_weight():
    """To the maximum weights only say what exists."""
    a, b = np.array([1.0, 3.0, 2.0, 0.0]), np.array([np.inf, 1.0, 1.0, 0.0])
    lazy = csmooth.smoothmax_stats(da.from_array(a, chunks=3), b=b).max.compute(scheduler="sync")
    assert lazy == csmooth.smoothmax_stats(a, b=b).max == 3


def test_stats():
    a, where = numbers(20, 30), numbers(20, 30, seed=2) > 0
    array = da.from_array(a, chunks=(7, 9))
    for axis in (None, 1):
        got = csmooth.smoothmax_stats(array, 2.0, axis, where=where)
        assert isinstance(got, csmooth.SmoothMaxStatsResult)
        for lazy, expected in zip(got, csmooth.smoothmax_stats(a, 2.0, axis, where=where), strict=True):
            check(lazy, expected)


@pytest.mark.skipif(EXPRESSIONS, reason="Dask cannot index with its own arrays in this mode")
@pytest.mark.parametrize(("function", "keywords"), ALL)
def test_unknown_chunk_sizes(function, keywords):
    a = elements(function, 20, 30)
    array = da.from_array(a, chunks=(7, 9))
    for axis in (None, 0, 1):
        check(function(array[array[:, 0] > 0], axis=axis, **keywords), function(a[a[:, 0] > 0], axis=axis, **keywords))
    check(function(array[array > 1], **keywords), function(a[a > 1], **keywords))


@pytest.mark.parametrize("dtype", ["f4", "f2", "i4", "?", "u1", ">f8"])
@pytest.mark.parametrize(("function", "keywords"), ALL)
def test_dtypes(function, keywords, dtype):
    a = np.abs(numbers(20, 30)).astype(dtype)
    check(function(da.from_array(a, chunks=(7, 9)), axis=0, **keywords), function(a, axis=0, **keywords))


@pytest.mark.parametrize(("function", "keywords"), ALL)
def test_special_elements(function, keywords):
    a = np.array([np.nan, np.inf, 1.0, -np.inf, -np.inf, 0.0])
    for part in (a, a[1:], a[2:], a[3:5], a[5:]):
        check(function(da.from_array(part, chunks=1), **keywords), function(part, **keywords))


def test_nothing():
    check(csmooth.logsumexp(da.zeros((0, 3), chunks=2), axis=0), np.full(3, -np.inf))
    check(csmooth.pnorm(da.zeros((0, 3), chunks=2), axis=0), np.zeros(3))
    check(csmooth.logsumexp(da.zeros((3, 0), chunks=2), axis=0), np.zeros(0))
    check(csmooth.softmax(da.zeros((3, 0), chunks=2), axis=0), np.zeros((3, 0)))
    a = da.from_array(numbers(4, 6), chunks=2)
    check(
        csmooth.boltzmann(a, axis=0, where=np.arange(6) > 2),
        csmooth.boltzmann(a.compute(), axis=0, where=np.arange(6) > 2),
    )
    check(csmooth.logsumexp(da.from_array(np.array(3.0))), np.float64(3.0))
    with pytest.raises(ValueError, match="boltzmann: a reduction of no elements has no result"):
        csmooth.boltzmann(da.zeros((0, 3), chunks=2), axis=0).compute(scheduler="sync")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda a: csmooth.logsumexp(a, out=np.empty(())), TypeError, "logsumexp: out must be None"),
        (lambda a: csmooth.softmax(a, out=np.empty(())), TypeError, "softmax: out must be None"),
        (lambda a: csmooth.pnorm(a, axis=2), np.exceptions.AxisError, "pnorm: axis 2"),
        (lambda a: csmooth.logsumexp(a, alpha=0), ValueError, "alpha must not be 0"),
        (
            lambda a: csmooth.logsumexp(a, alpha=np.arange(4.0)[:, np.newaxis], axis=1),
            ValueError,
            "alpha must not be 0",
        ),
        (lambda a: csmooth.logsumexp(a, alpha=np.ones((4, 6)), axis=1), ValueError, r"alpha of shape \(4, 6\)"),
        (lambda a: csmooth.smoothmax_stats(a, alpha=0), ValueError, "smoothmax_stats: alpha must not be 0"),
        (lambda a: csmooth.pmean(a, p="x"), TypeError, "pmean: p has dtype"),
        (lambda a: csmooth.boltzmann(a, b=np.ones(7)), ValueError, r"boltzmann: b of shape \(7,\)"),
        (lambda a: csmooth.softmax(a, where=np.ones((2, 4, 6), bool)), ValueError, r"where of shape \(2, 4, 6\)"),
        (lambda a: csmooth.softmax(a, where=np.ones(6)), TypeError, "where has dtype float64"),
        (lambda a: csmooth.logsumexp(a.astype(complex)), TypeError, "complex128 are not supported"),
        (lambda a: csmooth.logsumexp(a.astype("M8[s]")), TypeError, "a has dtype datetime64"),
        (lambda a: csmooth.logsumexp(a, keepdims="no"), TypeError, "keepdims must be a bool"),
        (lambda a: csmooth.logsumexp(a, workers=0), ValueError, "workers must be positive"),
    ],
)
def test_bad_input_is_refused_at_once(call, error, match):
    with pytest.raises(error, match=match):
        call(da.zeros((4, 6), chunks=3))


def test_a_lazy_alpha_of_zero_is_refused_in_time():
    lazy = csmooth.logsumexp(da.zeros((4, 6), chunks=3), axis=1, alpha=da.zeros((4, 1), chunks=4))
    with pytest.raises(ValueError, match="logsumexp: alpha must not be 0"):
        lazy.compute(scheduler="sync")


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise AssertionError

    array = da.map_blocks(never, da.zeros((4, 6), chunks=3), dtype=float, meta=np.empty((0, 0)))
    for function, keywords in ALL:
        function(array, axis=1, **keywords)


def test_reductions_of_one_array_share_the_work_on_chunks():
    """Both need all chunks; each of them alone only its last step."""
    array = da.from_array(numbers(20, 30), chunks=(7, 9))
    graphs = [dict(f(array, axis=0).__dask_graph__()) for f in (csmooth.logsumexp, csmooth.boltzmann)]
    alone = [set(graph) - set(other) for graph, other in (graphs, graphs[::-1])]
    assert max(map(len, alone)) <= 4 + 1  # columns of chunks, and, in the newer mode, their collection
    both = dask.compute(csmooth.logsumexp(array), csmooth.boltzmann(array), scheduler="sync")
    assert both == (csmooth.logsumexp(array).compute(), csmooth.boltzmann(array).compute())


@pytest.mark.skipif(EXPRESSIONS, reason="runs the others in this mode")
def test_array_expressions():
    """All of the above in the other mode, which Dask chooses when it is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True", "CSMOOTH_TEST_EXPRESSIONS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert result.returncode == 0, result.stdout


# Through other packages


@pytest.mark.skipif(EXPRESSIONS, reason="xarray expects Dask's classic mode")
def test_xarray():
    import xarray

    a = np.abs(numbers(4, 12))
    lazy = xarray.DataArray(da.from_array(a, chunks=(2, 5)), dims=("run", "time"))
    check(lazy.reduce(csmooth.logsumexp, dim="time", alpha=2.0).data, csmooth.logsumexp(a, axis=1, alpha=2.0))
    check(lazy.reduce(csmooth.boltzmann).data, csmooth.boltzmann(a))
    got = xarray.apply_ufunc(
        csmooth.softmax,
        lazy,
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        kwargs={"axis": -1},
        dask="allowed",
    )
    check(got.data, csmooth.softmax(a, axis=1))
    groups = lazy.assign_coords(season=("time", np.arange(12) // 3 % 2)).groupby("season")
    got = groups.reduce(csmooth.pmean, dim="time", p=2.0)
    for season in range(2):
        expected = csmooth.pmean(a[:, np.arange(12) // 3 % 2 == season], axis=1, p=2.0)
        check(got.sel(season=season).data, expected)


@pytest.mark.skipif(EXPRESSIONS, reason="flox expects Dask's classic mode")
def test_flox():
    """The groups of each chunk are reduced, then, since these are logarithms of sums, their results."""
    import flox
    from flox.core import groupby_reduce

    def of_groups(group_idx, array, *, size, **_):
        return np.stack([csmooth.logsumexp(array[..., group_idx == k], axis=-1) for k in range(size)], axis=-1)

    aggregation = flox.Aggregation(
        "logsumexp",
        numpy=of_groups,
        chunk=of_groups,
        combine=csmooth.logsumexp,
        fill_value=-np.inf,
        dtypes=np.float64,
    )
    a, labels = numbers(3, 40), np.arange(40) % 4
    lazy = da.from_array(a, chunks=(3, 7))
    got, groups = groupby_reduce(lazy, labels, func=aggregation, expected_groups=np.arange(4))
    check(got, np.stack([csmooth.logsumexp(a[:, labels == k], axis=1) for k in groups], axis=1))
