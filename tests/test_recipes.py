"""The README's ways from one array to several processes: whichever pool fills accumulators, `+` joins them."""

import functools
import multiprocessing
import operator
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import reference

from csmooth import Boltzmann, LogSumExp

NUMBERS = np.random.default_rng(0).standard_normal(100_000) * 3
PARTS = np.array_split(NUMBERS, 7)


@functools.cache
def exact(function):
    return function(NUMBERS, alpha=2.0)


def of_file(name):
    """What a worker does that reads its part itself."""
    return LogSumExp(2.0).update(np.load(name, mmap_mode="r"))


def check(streams):
    """In order, the parts give what one array does, within its bound."""
    streams = list(streams)
    total = functools.reduce(operator.add, streams)
    assert total.count == len(NUMBERS)
    function, bound = {LogSumExp: (reference.logsumexp, 1), Boltzmann: (reference.boltzmann, 2)}[type(total)]
    assert reference.units(total.result(), exact(function)) <= bound
    assert streams[0].count == len(PARTS[0])  # + leaves its operands alone


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_processes(start):
    if start == "fork" and sys.version_info >= (3, 12):
        pytest.skip("Python warns of a fork while there are threads, as of NumPy's libraries")
    context = multiprocessing.get_context(start)
    with context.Pool(2) as pool:
        check(pool.map(LogSumExp(2.0).update, PARTS))
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        check(pool.map(Boltzmann(2.0).update, PARTS))


def test_processes_that_read_their_files(tmp_path):
    names = [tmp_path / f"{k}.npy" for k in range(len(PARTS))]
    for name, part in zip(names, PARTS, strict=True):
        np.save(name, part)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        check(pool.map(of_file, names))


def test_threads():
    with ThreadPoolExecutor(2) as pool:
        check(pool.map(lambda part: LogSumExp(2.0).update(part), PARTS))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend):
    update = joblib.delayed(lambda part: LogSumExp(2.0).update(part))
    check(joblib.Parallel(n_jobs=2, backend=backend)(update(part) for part in PARTS))


def test_a_tree_of_merges():
    streams = [LogSumExp(2.0).update(part) for part in PARTS]
    while len(streams) > 1:
        streams = [functools.reduce(operator.add, streams[k : k + 2]) for k in range(0, len(streams), 2)]
    assert streams[0].count == len(NUMBERS)
    assert reference.units(streams[0].result(), exact(reference.logsumexp)) <= 1
