"""Dask's distributed scheduler: a cluster of this machine's processes, one of which is killed."""

import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import csmooth
from csmooth.__main__ import main

LAST_BITS = 1e-14  # of positive numbers: two results within 2 units each of the exact one are nearer


def slowly(block):
    time.sleep(0.05)
    return block


def states_of_tasks(dask_scheduler):
    return [task.state for task in dask_scheduler.tasks.values()]


@pytest.fixture(scope="module")
def client():
    """Two processes; whoever waits for a dead one gives up soon."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
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
    while not any(state == "memory" for state in client.run_on_scheduler(states_of_tasks)):
        time.sleep(0.01)
    assert not any(future.done() for future in futures)
    os.kill(victim, signal.SIGKILL)
    for got, expected in zip(client.gather(futures), calm, strict=True):
        assert np.array_equal(got, expected)


@pytest.fixture
def files(tmp_path):
    """The same array as .npy, and, in chunks, as Zarr and HDF5."""
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    a = np.random.default_rng(1).standard_normal((2000, 30))
    np.save(tmp_path / "a.npy", a)
    zarr.create_array(tmp_path / "a.zarr", shape=a.shape, chunks=(300, 7), dtype=a.dtype)[:] = a
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=a, chunks=(300, 7))
    return a, tmp_path


@pytest.mark.parametrize("suffix", ["npy", "zarr", "h5"])
@pytest.mark.parametrize(("words", "axis"), [((), None), (("--axis", "0"), 0), (("--axis", "1", "--keepdims"), 1)])
def test_the_workers_read_the_files(client, files, monkeypatch, suffix, words, axis):
    monkeypatch.setattr("csmooth._files.cluster.PIECE", 50_000)
    a, folder = files
    out, address = folder / "out.npy", client.scheduler.address
    words = [*words, "--alpha", "2", "--scheduler", address, "--out", str(out)]
    assert main(["logsumexp", str(folder / f"a.{suffix}"), *words]) == 0
    np.testing.assert_allclose(np.load(out), csmooth.logsumexp(a, axis, keepdims=axis == 1, alpha=2), rtol=LAST_BITS)


def test_several_files(client, files, capsys):
    a, folder = files
    names = [str(folder / "a.npy"), str(folder / "a.zarr")]
    assert main(["boltzmann", *names, "--scheduler", client.scheduler.address]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(csmooth.boltzmann([a, a]), rel=LAST_BITS)


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["--checkpoint", "x"], "--checkpoint is not for --scheduler"),
        (["--axis", "2"], "logsumexp: axis 2 is out of bounds"),
        (["--alpha", "0"], "alpha must not be 0"),
        (["{folder}/a.zarr", "--axis", "1"], "several files are for reductions with --axis none or 0"),
        (["{folder}/text.txt"], "--scheduler is for arrays in .npy"),
        (["{folder}/other.npy", "--axis", "0"], "other.npy"),
    ],
)
def test_one_line_of_what_is_wrong(client, files, capsys, words, mentions):
    _, folder = files
    (folder / "text.txt").write_text("1 2 3\n")
    np.save(folder / "other.npy", np.zeros((3, 4)))
    words = [word.format(folder=folder) for word in words]
    assert main(["logsumexp", str(folder / "a.npy"), *words, "--scheduler", client.scheduler.address]) == 2
    message = capsys.readouterr().err
    assert mentions in message
    assert message.count("\n") == 1


def test_a_file_that_a_worker_cannot_read(client, files, monkeypatch, capsys):
    """As on a cluster whose machines do not share their files."""
    _, folder = files
    compute = client.compute

    def without_file(result):
        (folder / "a.npy").unlink()
        return compute(result)

    monkeypatch.setattr("distributed.Client.compute", lambda _, result: without_file(result))
    assert main(["logsumexp", str(folder / "a.npy"), "--scheduler", client.scheduler.address]) == 2
    assert "a.npy: No such file or directory" in capsys.readouterr().err
