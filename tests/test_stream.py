"""Accumulators: the bits of one array for any chunking, merging within a unit, and what is kept of a stream."""

import copy
import functools
import operator
import os
import pickle
import sys
import threading

import numpy as np
import pytest
import reference
import test_logmeanexp
import test_powers

import csmooth
from csmooth import Boltzmann, LogMeanExp, LogSumExp, PMean, PNorm, SmoothMaxStats

CLASSES = {
    "logsumexp": LogSumExp,
    "logmeanexp": LogMeanExp,
    "boltzmann": Boltzmann,
    "pnorm": PNorm,
    "pmean": PMean,
    "smoothmax_stats": SmoothMaxStats,
}
EXPONENTIAL = ("logsumexp", "logmeanexp", "boltzmann", "smoothmax_stats")
PARAMETERS = dict.fromkeys(EXPONENTIAL, (1.0, -0.7, np.inf, -np.inf, 1e-300))
PARAMETERS |= dict.fromkeys(("pnorm", "pmean"), (2.0, 3.5, 0.5, -1.0, 0.0, np.inf))
BOUNDS = {"logsumexp": 1, "logmeanexp": 1, "boltzmann": 2, "pnorm": 2, "pmean": 2}  # as documented
CASES = [(name, parameter) for name, parameters in PARAMETERS.items() for parameter in parameters]
LENGTHS = (1, 32, 33, 255, 256, 257, 1000, 16384, 16385, 40000)  # at the ends of lanes, blocks and superblocks


def elements(name, length, random):
    """Of either sign, unless a power mean is to be taken."""
    a = random.standard_normal(length) * 3
    return np.abs(a) if name == "pmean" else a


def one_shot(name, parameter, a, **keywords):
    """What the function gives for one array."""
    keyword = "alpha" if name in EXPONENTIAL else "p"
    return getattr(csmooth, name)(a, **{keyword: parameter}, **keywords)


def exact(name, a, parameter):
    """The value and the condition number, in many digits."""
    if name == "logmeanexp":  # whose difference from the mean, alpha / 2 times the variance, may need too many digits
        return test_logmeanexp.definition(a, parameter if abs(parameter) > 1e-30 else 0.0)
    if name in EXPONENTIAL:
        return getattr(reference, name)(a, alpha=parameter)
    return test_powers.definition(getattr(csmooth, name), a, parameter)


def pieces(length, random):
    """Slices of a random chunking."""
    cuts = np.sort(random.integers(0, length + 1, random.integers(0, 12)))
    return [slice(i, j) for i, j in zip([0, *cuts], [*cuts, length], strict=True)]


def same(x, y):
    """Whether type and bits are alike."""
    if isinstance(x, tuple):
        return type(x) is type(y) and all(same(*pair) for pair in zip(x, y, strict=True))
    return type(x) is type(y) and np.array_equal(x, y, equal_nan=True)


@pytest.mark.parametrize("options", ["plain", "where", "b", "masked"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32])
@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_any_chunking_has_the_bits_of_one_array(name, parameter, dtype, options):
    random = np.random.default_rng(1)
    for length in LENGTHS:
        a = elements(name, length, random).astype(dtype)
        keywords = {}
        if options == "where":
            keywords["where"] = random.random(length) < 0.7
        elif options == "b":
            keywords["b"] = random.random(length).astype(float if dtype is np.int32 else dtype)
        elif options == "masked":
            a = np.ma.MaskedArray(a, random.random(length) < 0.3)
        stream = CLASSES[name](parameter)
        for piece in pieces(length, random):
            stream.update(a[piece], **{key: x[piece] for key, x in keywords.items()})
        expected = one_shot(name, parameter, a, **keywords)
        if np.ma.masked in (expected if isinstance(expected, tuple) else [expected]):  # what has no result otherwise
            expected = one_shot(name, parameter, a.data, where=~a.mask)
        assert same(stream.result(), expected), length
        assert stream.count == length


@pytest.mark.parametrize("name", CLASSES)
def test_ten_thousand_chunkings_have_the_same_bits(name):
    random = np.random.default_rng(2)
    for _ in range(500):
        length = int(random.integers(1, 3000))
        a = elements(name, length, random)
        expected = one_shot(name, 1.5, a)
        for _ in range(20):
            stream = CLASSES[name](1.5)
            for piece in pieces(length, random):
                stream.update(a[piece])
            assert same(stream.result(), expected)


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_absent_elements_in_one_chunk_of_several(name, parameter):
    random = np.random.default_rng(3)
    for length in (10, 300, 5000, 20000):
        a = elements(name, length, random)
        where = np.ones(length, bool)
        begin, end = np.sort(random.integers(0, length, 2))
        where[begin:end] = random.random(end - begin) < 0.5
        stream = CLASSES[name](parameter).update(a[:begin]).update(a[begin:end], where=where[begin:end])
        assert same(stream.update(a[end:]).result(), one_shot(name, parameter, a, where=where))


@pytest.mark.parametrize("name", CLASSES)
def test_element_by_element(name):
    a = elements(name, 600, np.random.default_rng(3))
    stream = CLASSES[name](1.5)
    for i, x in enumerate(a.tolist()):
        stream.update_one(x)
        if i in (0, 1, 31, 32, 254, 255, 256, 599):
            assert same(stream.result(), one_shot(name, 1.5, a[: i + 1]))


@pytest.mark.parametrize("layout", ["rows", "columns", "apart", "three axes"])
@pytest.mark.parametrize("parameter", [1.5, "one for each"])
@pytest.mark.parametrize("name", CLASSES)
def test_rows_have_the_bits_of_one_array(name, parameter, layout):
    random = np.random.default_rng(4)
    shape = {"three axes": (3, 5)}.get(layout, (300,))
    a = elements(name, (700, *shape), random)
    axis = 0
    if layout == "columns":
        a, axis = np.asfortranarray(a), 0
    elif layout == "apart":
        a, axis = a.T[:, ::-1], 1
    elif layout == "three axes":
        a, axis = a.transpose(2, 0, 1), 1
        shape = (5, 3)
    value = 1.5 if parameter == 1.5 else random.random(shape) + 1
    stream = CLASSES[name](value, shape=shape)
    for piece in pieces(a.shape[axis], random):
        stream.update(
            np.take(a, range(*piece.indices(a.shape[axis])), axis)
            if layout == "rows"
            else a[(slice(None),) * axis + (piece,)],
            axis=axis,
        )
    whole = value if parameter == 1.5 else np.expand_dims(value, axis)
    assert same(stream.result(), one_shot(name, whole, a, axis=axis))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
@pytest.mark.parametrize("options", ["plain", "b", "where", "apart"])
@pytest.mark.parametrize("name", CLASSES)
def test_any_number_of_workers_leaves_the_same_bits(monkeypatch, name, options, dtype):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)  # so that more threads than two take part
    random = np.random.default_rng(11)
    for first, length in ((0, 1 << 18), (1, 300_000), (255, 1 << 18), (16384, 1 << 18), (20_000, 1_000_000)):
        a = elements(name, first + length, random).astype(dtype)
        a = a if options != "apart" else np.repeat(a, 2)[::2]
        keywords = {"b": random.random(a.size).astype(dtype if dtype != "i2" else "f8")} if options == "b" else {}
        keywords |= {"where": random.random(a.size) < 0.9} if options == "where" else {}
        head, tail = ({"chunk": a[x]} | {k: v[x] for k, v in keywords.items()} for x in (np.s_[:first], np.s_[first:]))
        streams = [CLASSES[name](1.5).update(**head).update(**tail, workers=workers) for workers in (1, 2, 7)]
        with csmooth.set_workers(3):
            streams.append(CLASSES[name](1.5).update(**head).update(**tail))
        assert all(stream == streams[0] for stream in streams)
        assert same(streams[1].result(), one_shot(name, 1.5, a, **keywords))


def check_stats(result, a, parameter, dtype):
    assert result.max == a.max()
    assert reference.units(result.mean, exact("logmeanexp", a, 0.0), dtype) <= 1
    for name in ("logsumexp", "boltzmann"):
        value = getattr(result, name)
        if np.isfinite(parameter) and np.isfinite(value):
            assert reference.units(value, exact(name, a, parameter), dtype) <= BOUNDS[name]
        else:
            assert value == one_shot(name, parameter, a)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_merging_keeps_the_bound_of_one_array(name, parameter, dtype):
    random = np.random.default_rng(5)
    for length in (2, 40, 700, 3000):
        a = elements(name, length, random).astype(dtype)
        parts = [CLASSES[name](parameter).update(part) for part in np.array_split(a, 3)]
        total = functools.reduce(operator.add, parts, CLASSES[name](parameter))
        whole = one_shot(name, parameter, a)
        if name == "smoothmax_stats":
            check_stats(total.result(), a, parameter, dtype)
        elif np.isfinite(parameter) and np.isfinite(whole) and (name, parameter) != ("pnorm", 0):  # a count
            assert reference.units(total.result(), exact(name, a, parameter), dtype) <= BOUNDS[name]
        else:
            assert same(total.result(), whole)
        assert total.count == length


def test_merging_with_nothing_changes_no_bit():
    a = np.random.default_rng(6).standard_normal(1000)
    stream = LogSumExp().update(a)
    before = stream.to_bytes()
    stream += LogSumExp()
    assert stream.to_bytes() == before
    assert (LogSumExp() + stream) == stream


def test_a_stream_goes_on_after_merging():
    a = np.random.default_rng(7).standard_normal(5000)
    left, right = LogSumExp().update(a[:1000]), LogSumExp().update(a[3000:])
    left.merge(right).update(a[1000:3000])
    assert left.count == 5000
    assert reference.units(left.result(), reference.logsumexp(a)) <= BOUNDS["logsumexp"]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("length", [0, 1, 255, 256, 40000])
def test_copies_pickles_and_bytes_go_on_alike(name, length):
    a = elements(name, length + 500, np.random.default_rng(8))
    stream = CLASSES[name](1.5).update(a[:length])
    others = [stream.copy(), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    others.append(type(stream).from_bytes(stream.to_bytes()))
    for other in others:
        assert other == stream
        assert same(other.update(a[length:]).result(), one_shot(name, 1.5, a))
    assert stream.count == length


def test_integers_of_numpy_as_shape():
    stream = LogSumExp(shape=np.int64(3)).update(np.ones((2, 3)))
    assert pickle.loads(pickle.dumps(stream)) == stream == LogSumExp(shape=(np.int64(3),)).update(np.ones((2, 3)))


def test_cloudpickle():
    """As Dask and joblib send what functions hold."""
    cloudpickle = pytest.importorskip("cloudpickle")
    for name, accumulator in CLASSES.items():
        stream = accumulator(1.5).update([1.0, 2.0])
        assert pickle.loads(cloudpickle.dumps(stream)) == stream
        empty = accumulator(1.5)
        fill = pickle.loads(cloudpickle.dumps(lambda part, empty=empty: empty.copy().update(part)))
        assert same(fill([1.0, 2.0]).result(), one_shot(name, 1.5, [1.0, 2.0]))


def test_the_parameter_can_be_read_only():
    assert (LogSumExp(2.0).alpha, PNorm(3.0).p) == (2.0, 3.0)
    with pytest.raises(AttributeError):
        LogSumExp(2.0).alpha = 3.0


def test_weights_and_masks_survive_as_bytes():
    random = np.random.default_rng(9)
    a, b = random.standard_normal((2, 700))
    stream = Boltzmann(2.0).update(a[:300], b=b[:300])
    other = Boltzmann.from_bytes(stream.to_bytes()).update(a[300:], b=b[300:])
    assert same(other.result(), csmooth.boltzmann(a, 2.0, b=b))


def test_bytes_cut_short_or_damaged_are_refused():
    data = LogSumExp(2.0).update(np.arange(300.0)).to_bytes()
    for length in range(len(data)):
        with pytest.raises(ValueError, match="LogSumExp: these bytes"):
            LogSumExp.from_bytes(data[:length])
    for i in range(0, len(data), 7):
        with pytest.raises(ValueError, match="LogSumExp: these bytes"):
            LogSumExp.from_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
    with pytest.raises(ValueError, match="Boltzmann: these bytes are those of LogSumExp"):
        Boltzmann.from_bytes(data)


def test_nothing():
    assert LogSumExp().result() == -np.inf
    assert PNorm().result() == 0
    with pytest.raises(ValueError, match="no elements"):
        SmoothMaxStats().result()
    nan = np.float64(np.nan)
    nothing = csmooth.SmoothMaxStatsResult(np.float64(-np.inf), np.float64(np.inf), nan, nan)
    assert same(SmoothMaxStats(-1.0).update(np.ones(1000), where=False).result(), nothing)
    for stream in (Boltzmann(), LogMeanExp(), PMean(2.0)):
        with pytest.raises(ValueError, match="no elements"):
            stream.result()
        assert np.isnan(stream.update(np.ones(1000), where=False).result())
        assert stream.update(np.ones(1000)).result() == 1


def test_no_outputs():
    for shape in ((0,), (2, 0)):
        stream = LogSumExp(shape=shape).update(np.zeros((3, *shape)))
        assert stream.result().shape == shape
        assert LogSumExp.from_bytes(stream.to_bytes()).result().shape == shape


def test_outputs_without_elements_are_nan():
    stream = Boltzmann(shape=2).update(np.ones((600, 2)), where=np.array([True, False]))
    assert same(stream.result(), np.array([1, np.nan]))
    assert same(Boltzmann.from_bytes(stream.to_bytes()).result(), np.array([1, np.nan]))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LogSumExp(0.0), ValueError, "alpha must not be 0"),
        (lambda: SmoothMaxStats(0), ValueError, "SmoothMaxStats: alpha must not be 0"),
        (lambda: LogSumExp("x"), TypeError, "alpha has dtype"),
        (lambda: LogSumExp(np.ones(3), shape=2), ValueError, "does not broadcast to shape"),
        (
            lambda: LogSumExp(shape=2.0),
            TypeError,
            "LogSumExp: shape must be an integer or a tuple of integers, not 2.0",
        ),
        (lambda: LogSumExp(shape=2**54), ValueError, "too many outputs"),
        (lambda: LogSumExp(shape=(2, -1)), ValueError, "LogSumExp: shape .* has a negative length"),
        (lambda: LogSumExp(dtype=np.longdouble), TypeError, "dtype of .* is not supported"),
        (lambda: LogSumExp(dtype="i4"), TypeError, "dtype must be that of a float, not int32"),
        (lambda: LogSumExp(dtype="foo"), TypeError, "dtype must be that of a float, not 'foo'"),
        (lambda: LogSumExp(dtype=object), TypeError, "dtype has dtype object"),
        (lambda: LogSumExp().update(np.ones(3, complex)), TypeError, "complex128"),
        (lambda: LogSumExp().update(np.array(["x"])), TypeError, "chunk has dtype"),
        (lambda: LogSumExp(shape=3).update(np.ones((5, 4))), ValueError, "a chunk of shape"),
        (lambda: LogSumExp(shape=3).update(np.ones((5, 3)), axis=2), np.exceptions.AxisError, "axis 2"),
        (lambda: LogSumExp().update(np.ones(3), workers=0), ValueError, "LogSumExp: workers must be positive"),
        (lambda: LogSumExp() + Boltzmann(), TypeError, "unsupported operand"),
        (lambda: LogSumExp().merge(Boltzmann()), TypeError, "cannot merge with Boltzmann"),
        (lambda: LogSumExp().merge(LogSumExp(2.0)), ValueError, "another alpha or shape"),
    ],
)
def test_bad_input(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_failed_update_changes_nothing():
    stream = LogSumExp().update(np.ones(300, np.float32))
    before = stream.to_bytes()
    with pytest.raises(TypeError, match="a chunk whose elements count as float64 in a stream of float32"):
        stream.update(np.ones(3))
    with pytest.raises(ValueError, match="does not broadcast"):
        stream.update(np.ones(3, np.float32), b=np.ones(2, np.float32))
    assert stream.to_bytes() == before


@pytest.mark.parametrize("shape", [3, (3, 5)])
def test_a_chunk_of_another_shape_is_refused_after_others_too(shape):
    stream = LogSumExp(shape=shape)
    stream.update(np.ones((300, *stream.shape)))
    before = stream.to_bytes()
    for other in ((300,), (300, 4), (3, 300), (300, 3, 4), (300, 5, 3), (300, 3, 5, 1)):
        with pytest.raises(ValueError, match="a chunk of shape"):
            stream.update(np.ones(other))
    with pytest.raises(np.exceptions.AxisError):
        stream.update(np.ones((300, *stream.shape)), axis=9)
    assert stream.to_bytes() == before


def test_a_dtype_that_is_wide_enough_takes_all():
    a = np.random.default_rng(10).standard_normal(1000)
    stream = LogSumExp(dtype=np.float64).update(a[:500].astype(np.float32)).update(a[500:])
    assert same(stream.result(), csmooth.logsumexp(np.concatenate([a[:500].astype(np.float32), a[500:]])))


def test_maximum_count_reset_and_repr():
    stream = LogSumExp().update([3, 1])
    assert (stream.max, stream.count) == (3, 2)
    assert repr(stream) == f"LogSumExp(alpha=1.0, count=2, result={csmooth.logsumexp([3, 1])})"
    assert LogSumExp(-1.0).update([3, 1]).max == 1
    assert PNorm(-1.0).update([-3.0, 1.5]).max == 1.5
    assert SmoothMaxStats(-1.0).update([3, 1]).max == 3
    assert SmoothMaxStats(1.0).update([3, 1]).max == 3
    assert stream.reset() == LogSumExp()
    assert stream.max == -np.inf
    assert stream.update(np.arange(20_000.0)).reset().update([3]) == LogSumExp().update([3])


def test_weights_of_python_are_not_rounded():
    a = np.arange(5, dtype=np.float32)
    for b in (0.1, 1e300):
        assert same(LogSumExp().update(a, b=b).result(), csmooth.logsumexp(a, b=b))
    stats = SmoothMaxStats().update([1.0, 3.0], b=[np.inf, 1.0])
    assert stats.result().max == stats.update(np.zeros(1000)).result().max == 3


def test_threads_that_merge_or_leave_out_lose_nothing():
    """Each step is seen whole: the first to come to an empty accumulator, or to one without elements that count."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            total, mean = LogSumExp(shape=300), Boltzmann()
            part = LogSumExp(shape=300).update(np.zeros((2, 300)))

            def work(step, total=total, mean=mean, part=part):
                if step % 2:
                    mean.update(np.ones(40), where=False)
                else:
                    mean.update(np.ones(40))
                total.merge(part)

            threads = [threading.Thread(target=work, args=(step,)) for step in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert total.count == 8
            assert mean.result() == 1
    finally:
        sys.setswitchinterval(interval)


def test_several_threads_lose_nothing():
    stream = LogSumExp()
    chunk = np.zeros(1000)

    def work():
        for _ in range(200):
            stream.update(chunk)
            stream.update_one(0.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.count == 4 * 200 * 1001
    assert stream.result() == csmooth.logsumexp(np.zeros(stream.count))
