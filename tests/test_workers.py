"""Several workers: the same bits for any number of them, wherever the caller is, and no thread left in the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest

import csmooth
from csmooth import _workers

# From 2**18 elements on work is shared: rows and tiles, many outputs and few long ones, more than a round of states.
SHAPES = [
    ((1_000_001,), None),
    ((3, 300_003), 1),
    ((300_003, 3), 0),
    ((9_000_000,), None),
    ((100_000, 3), 1),
    ((100, 3001), 1),
    ((3001, 100), 0),
    ((40, 70, 100), (0, 2)),
]
FUNCTIONS = {
    "logsumexp": csmooth.logsumexp,
    "boltzmann": csmooth.boltzmann,
    "logmeanexp": csmooth.logmeanexp,
    "pnorm": lambda a, **k: csmooth.pnorm(a, 3.5, **k),
    "pmean": lambda a, **k: csmooth.pmean(np.abs(a), 0.7, **k),
    "softmax": csmooth.softmax,
    "log_softmax": csmooth.log_softmax,
    "grad.logsumexp": lambda a, **k: csmooth.grad.logsumexp(a, wrt=("a", "alpha"), **k)[1],
    "grad.pnorm": lambda a, **k: csmooth.grad.pnorm(a, 3, **k)[1],
}


def bits(x):
    return b"".join(map(bits, x)) if isinstance(x, tuple) else np.asarray(x).tobytes()


@pytest.fixture
def many_threads(monkeypatch):
    """As if there were eight processors, so that more threads than two take part."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_same_bits_for_any_number_of_workers(many_threads, name, shape, axis):
    function = FUNCTIONS[name]
    for dtype in ("f8", "f4") if shape[0] < 9_000_000 else ("f8",):
        a = (np.random.default_rng(1).standard_normal(shape) * 5).astype(dtype)
        for view in (a, a[::-1]):
            one = bits(function(view, axis=axis, workers=1))
            for workers in (2, 7):
                assert bits(function(view, axis=axis, workers=workers)) == one


@pytest.mark.parametrize("name", ["logsumexp", "boltzmann"])
def test_weights_masks_parameters_and_initial(many_threads, name):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 3, 300_000))
    b[0, 0], b[0, 1] = 1, -1
    keywords = {"b": b, "where": rng.random(a.shape) < 0.9, "alpha": np.array([[-1.0], [2.0], [np.inf]])}
    if name == "logsumexp":
        keywords["initial"] = 1.0
    for view, axis in ((a, 1), (a.T, 0)):
        turned = {k: x.T if isinstance(x, np.ndarray) and axis == 0 else x for k, x in keywords.items()}
        one, two = (bits(FUNCTIONS[name](view, axis=axis, workers=w, **turned)) for w in (1, 3))
        assert one == two


def test_softmax_in_place(many_threads):
    a = np.random.default_rng(3).standard_normal((3, 300_000))
    expected = csmooth.softmax(a, axis=1)
    assert csmooth.softmax(a, axis=1, out=a, workers=3) is a
    assert bits(a) == bits(expected)


def test_set_workers_holds_in_its_thread_and_ends_with_it():
    seen = []
    with csmooth.set_workers(3):
        assert _workers.count("", None) == 3
        with csmooth.set_workers(2):
            assert _workers.count("", None) == 2
        thread = threading.Thread(target=lambda: seen.append(_workers.count("", None)))
        thread.start()
        thread.join()
        with pytest.raises(KeyError), csmooth.set_workers(5):
            raise KeyError
        assert _workers.count("", None) == 3
    assert seen == [_workers.count("", None)]


@pytest.mark.parametrize("function", [csmooth.logsumexp, csmooth.softmax, csmooth.grad.pnorm])
@pytest.mark.parametrize(
    ("workers", "error", "message"),
    [
        (0, ValueError, "workers must be positive"),
        (-(10**6), ValueError, "workers must be positive"),
        (1.5, TypeError, "workers must be an integer or None, not 1.5"),
        ("2", TypeError, "workers must be an integer or None, not '2'"),
    ],
)
def test_what_is_no_number_of_workers(function, workers, error, message):
    with pytest.raises(error, match=message):
        function([1.0, 2.0], workers=workers)
    with pytest.raises(error, match=f"set_workers: {message}"), csmooth.set_workers(workers):
        pass


def test_negative_numbers_count_from_all_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_workers, "processors", lambda: 8)
    assert [_workers.count("", n) for n in (-1, -8, 9)] == [8, 1, 9]
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert [_workers.count("", n) for n in (-1, 9)] == [3, 9]


def child(code, **environment):
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={k: x for k, x in os.environ.items() if not k.endswith("_NUM_THREADS")} | environment,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environment", "printed"),
    [
        ({}, "1"),
        ({"CSMOOTH_NUM_THREADS": "5"}, "5"),
        ({"CSMOOTH_NUM_THREADS": "-1"}, "8"),
        ({"CSMOOTH_NUM_THREADS": "5", "OMP_NUM_THREADS": "2"}, "2"),
        ({"OMP_NUM_THREADS": "2"}, "1"),
        ({"CSMOOTH_NUM_THREADS": "many"}, "ImportError: CSMOOTH_NUM_THREADS='many' is no number of threads"),
        ({"CSMOOTH_NUM_THREADS": "0"}, "ImportError: CSMOOTH_NUM_THREADS='0' is no number of threads"),
    ],
)
def test_the_environment(environment, printed):
    code = (
        "import os; os.sched_getaffinity = lambda pid: range(8)\n"
        "from csmooth import _workers; print(_workers.count('', None))"
    )
    assert printed in child(code, **environment)


BIG = "import os, threading, numpy as np, csmooth\na = np.arange(1e6)\none = csmooth.logsumexp(a, workers=1)\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_fork():
    code = BIG + (
        "assert csmooth.logsumexp(a, workers=2) == one\n"  # there are threads now, which a child lacks
        "pid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if csmooth.logsumexp(a, workers=2) == one else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert child(code) == "0\n"


def test_at_exit():
    code = BIG + (
        "import atexit, sys\n"
        "csmooth.logsumexp(a, workers=2)\n"
        "atexit.register(lambda: sys.stdout.write(str(csmooth.logsumexp(a, workers=2) == one)))"
    )
    assert child(code) == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_fork_beside_a_call():
    code = BIG + (
        "x = np.zeros((3, 3_000_000))\n"
        "thread = threading.Thread(target=csmooth.softmax, args=(x, 1), kwargs={'workers': 2})\n"
        "thread.start()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os._exit(0 if csmooth.logsumexp(a, workers=2) == one else 1)\n"
        "thread.join()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert child(code).endswith("0\n")  # CPython 3.12 and later warn of threads beside a fork


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timers here")
def test_an_interrupt_waits_for_what_is_under_way():
    code = BIG + (
        "import signal\n"
        "x = np.zeros((3, 1_000_000))\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "try:\n    while True:\n        x[:] = 0; csmooth.softmax(x, axis=1, out=x, workers=2)\n"
        "except KeyboardInterrupt:\n    pass\n"
        "assert (x == 1e-6).all() or (x == 0).any()\n"
        "print(csmooth.logsumexp(a, workers=2) == one)"
    )
    assert child(code) == "True\n"


def test_helpers_are_awake_for_a_short_while_only():
    csmooth.logsumexp(np.zeros(1_000_000), workers=2)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.05  # of 0.2 s, if one stayed awake


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads cannot be counted here")
def test_no_more_helpers_than_processors():
    code = (
        "os.cpu_count = lambda: 3\n"
        "csmooth.logsumexp(a, workers=2)\n"
        "print(len(os.listdir('/proc/self/task')) - before, end=' ')\n"
        "assert csmooth.logsumexp(a, workers=1000) == one\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    assert child(BIG + "before = len(os.listdir('/proc/self/task'))\n" + code) == "1 3\n"


def test_within_the_threads_of_another_pool():
    a = np.random.default_rng(4).standard_normal(300_000)
    one = csmooth.logsumexp(a)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(csmooth.logsumexp, a, workers=3) for _ in range(100)]
        wait(futures, timeout=60)
        assert {future.result() for future in futures} == {one}
