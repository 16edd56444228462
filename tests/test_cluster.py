"""Dask's distributed scheduler: a cluster of this machine's processes, one of which is killed."""

import os
import signal
import time

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import csmooth


def slowly(block):
    time.sleep(0.05)
    return block


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


def test_a_killed_worker_changes_no_bit(client):
    numbers = np.random.default_rng(0).standard_normal((4000, 50))
    array = da.from_array(numbers, chunks=(100, 25)).map_blocks(slowly, meta=numbers)
    calm = client.compute([csmooth.logsumexp(array), csmooth.boltzmann(array, axis=0), csmooth.softmax(array, axis=0)])
    calm = client.gather(calm)
    array = da.from_array(numbers.copy(), chunks=(100, 25), name=False).map_blocks(slowly, meta=numbers)
    futures = client.compute(
        [csmooth.logsumexp(array), csmooth.boltzmann(array, axis=0), csmooth.softmax(array, axis=0)]
    )
    victim = next(iter(client.run(os.getpid).values()))
    time.sleep(0.7)
    assert not any(future.done() for future in futures)
    os.kill(victim, signal.SIGKILL)
    for got, expected in zip(client.gather(futures), calm, strict=True):
        assert np.array_equal(got, expected)
