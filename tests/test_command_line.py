import os
import subprocess
import sys
from inspect import signature
from pathlib import Path

import mpmath
import numpy as np
import pytest

import csmooth
from csmooth import _dispatch
from csmooth.__main__ import FUNCTIONS, main

DIGITS = Path(__file__).parents[1] / "bench" / "data" / "digits_log_joint.npy"


@pytest.fixture
def array(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.save("a.npy", a)
    return a


def run(*words, **keywords):
    """The command in a process of its own, where a warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "csmooth", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **keywords)


def assert_one_line(error, *mentions):
    assert error.startswith("csmooth: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for mention in mentions:
        assert mention in error


# Results


@pytest.mark.parametrize(
    ("function", "options", "keywords"),
    [
        ("logsumexp", [], {}),
        ("logsumexp", ["--axis", "none"], {}),
        ("logsumexp", ["--axis", "1"], {"axis": 1}),
        ("logsumexp", ["--axis", "-1"], {"axis": -1}),
        ("logsumexp", ["--axis", "0,2"], {"axis": (0, 2)}),
        ("logsumexp", ["--axis", "-1,0"], {"axis": (-1, 0)}),
        ("logsumexp", ["--axis=-1,-2", "--keepdims"], {"axis": (-1, -2), "keepdims": True}),
        ("logsumexp", ["--alpha", "2", "--axis", "0"], {"alpha": 2.0, "axis": 0}),
        ("logsumexp", ["--alpha", "-1e3"], {"alpha": -1e3}),
        ("logsumexp", ["--alpha", "-inf", "--axis", "2"], {"alpha": -np.inf, "axis": 2}),
        ("logsumexp", ["--initial", "0"], {"initial": 0.0}),
        ("boltzmann", ["--axis", "1"], {"axis": 1}),
        ("boltzmann", ["--alpha", "0", "--keepdims"], {"alpha": 0.0, "keepdims": True}),
        ("boltzmann", ["--alpha", "-2.5", "--axis", "0,2"], {"alpha": -2.5, "axis": (0, 2)}),
        ("softmax", [], {}),
        ("softmax", ["--axis", "-1", "--alpha", "-3"], {"axis": -1, "alpha": -3.0}),
        ("log_softmax", ["--axis", "0,2"], {"axis": (0, 2)}),
        ("log_softmax", ["--alpha", "0"], {"alpha": 0.0}),
    ],
)
def test_writes_what_the_function_gives(array, capsys, function, options, keywords):
    assert main([function, "a.npy", *options, "--out", "result.npy"]) == 0
    assert capsys.readouterr() == ("", "")
    result, expected = np.load("result.npy"), getattr(csmooth, function)(array, **keywords)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected, strict=result.ndim > 0)


def test_every_reduction_has_a_command():
    public = [getattr(csmooth, name) for name in csmooth.__all__]
    reductions = [
        function
        for function in public
        if callable(function) and {"keepdims", "out"} <= signature(function).parameters.keys()
    ]
    assert {row.function for row in FUNCTIONS.values()} == {*reductions, csmooth.softmax, csmooth.log_softmax}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_prints_what_it_gives(array, capsys, function):
    row = FUNCTIONS[function]
    words, keywords = [], {}
    for parameter in row.parameters:
        words += [f"--{parameter}", "2"]
        keywords[parameter] = 2.0
    np.save("b.npy", np.abs(array))  # positive, as power means need
    assert main([function, "b.npy", "--axis", "1", *words]) == 0
    printed, error = capsys.readouterr()
    assert error == ""
    numbers = [float(word) for word in printed.replace("[", " ").replace("]", " ").split()]
    assert numbers == row.function(np.abs(array), axis=1, **keywords).ravel().tolist()


def test_aliases_are_those_of_the_functions(array, capsys):
    aliases = {alias: row.function for row in FUNCTIONS.values() for alias in row.aliases}
    assert aliases == {"mellowmax": csmooth.mellowmax}
    for alias, function in aliases.items():
        assert main([alias, "a.npy", "--alpha", "2"]) == 0
        assert float(capsys.readouterr().out) == function(array, alpha=2.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("option", "axis"), [("none", None), ("0,1", (0, 1)), ("1", 1)])
def test_prints_every_digit(array, capsys, dtype, option, axis):
    np.save("b.npy", array.astype(dtype))
    expected = csmooth.logsumexp(array.astype(dtype), axis=axis)
    assert main(["logsumexp", "b.npy", "--axis", option]) == 0
    printed, error = capsys.readouterr()
    assert error == ""
    assert len(printed.splitlines()) == (len(expected) if expected.ndim else 1)
    numbers = [dtype(word) for word in printed.replace("[", " ").replace("]", " ").split()]
    assert numbers == expected.ravel().tolist()


def test_prints_every_element_of_a_large_result(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.ones((2000, 3)))
    assert main(["logsumexp", str(tmp_path / "a.npy"), "--axis", "1"]) == 0
    assert capsys.readouterr().out == f"{csmooth.logsumexp(np.ones(3))}\n" * 2000


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0)])
def test_small_and_empty_files(tmp_path, capsys, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert main(["logsumexp", str(tmp_path / "a.npy")]) == 0
    assert float(capsys.readouterr().out) == csmooth.logsumexp(np.zeros(shape))


def test_fortran_order_and_byte_order(array, capsys):
    np.save("f.npy", np.asfortranarray(array).astype(">f8"))
    outputs = []
    for file in ("a.npy", "f.npy"):
        assert main(["logsumexp", file, "--axis", "1"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_evidence_of_the_digits(capsys):
    assert main(["logsumexp", str(DIGITS), "--axis", "1"]) == 0
    evidence = np.array(capsys.readouterr().out.split(), float)
    joint = np.load(DIGITS)
    assert joint.shape == (1797, 10)
    for i in (0, 1, 2, 898, 1796):
        with mpmath.workdps(40):
            exact = mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(x)) for x in joint[i].tolist()))
            assert abs(evidence[i] - exact) <= np.spacing(abs(evidence[i]))
    np.testing.assert_allclose(evidence[:3], [26.202884811561425, -18.21808869853883, -46.25700413721821], rtol=1e-15)


# --out


def test_out_replaces_a_file_and_leaves_nothing_else(array):
    Path("result.npy").write_text("old")
    assert main(["logsumexp", "a.npy", "--axis", "0", "--out", "result.npy"]) == 0
    np.testing.assert_array_equal(np.load("result.npy"), csmooth.logsumexp(array, axis=0))
    assert sorted(os.listdir()) == ["a.npy", "result.npy"]


@pytest.mark.parametrize("function", [csmooth.logsumexp, csmooth.softmax])
def test_out_may_be_the_input(array, function):
    assert main([function.__name__, "a.npy", "--axis", "0", "--out", "a.npy"]) == 0
    np.testing.assert_array_equal(np.load("a.npy"), function(array, axis=0))


def test_out_takes_the_name_as_given(array):
    assert main(["logsumexp", "a.npy", "--out", "result"]) == 0
    assert sorted(os.listdir()) == ["a.npy", "result"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and permissions")
def test_out_follows_a_link_and_the_umask(array):
    os.symlink("target.npy", "link.npy")
    before = os.umask(0o027)
    try:
        assert main(["logsumexp", "a.npy", "--out", "link.npy"]) == 0
    finally:
        os.umask(before)
    assert Path("link.npy").is_symlink()
    assert Path("target.npy").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (OSError(28, "No space left on device"), 2, "csmooth: result.npy: No space left on device\n"),
        (OSError("30 requested and 12 written"), 2, "csmooth: result.npy: 30 requested and 12 written\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
@pytest.mark.usefixtures("array")
def test_a_failure_while_writing_leaves_the_old_file(capsys, monkeypatch, failure, code, message):
    def save(file, value):
        file.write(b"half")
        raise failure

    Path("result.npy").write_text("old")
    monkeypatch.setattr(np, "save", save)
    assert main(["logsumexp", "a.npy", "--out", "result.npy"]) == code
    assert capsys.readouterr() == ("", message)
    assert Path("result.npy").read_text() == "old"
    assert sorted(os.listdir()) == ["a.npy", "result.npy"]


# Errors


def corrupted(make):
    """A file made by changing the bytes of a good one."""
    return lambda: Path("bad.npy").write_bytes(make(Path("a.npy").read_bytes()))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: None, id="missing"),
        pytest.param(lambda: os.mkdir("bad.npy"), id="directory"),
        pytest.param(corrupted(lambda good: b""), id="empty"),
        pytest.param(corrupted(lambda good: b"a,b\n1,2\n"), id="text"),
        pytest.param(corrupted(lambda good: good[:40]), id="truncated in its header"),
        pytest.param(corrupted(lambda good: good[:-8]), id="truncated in its data"),
        pytest.param(corrupted(lambda good: good[:10] + b"(" * 118 + good[128:]), id="malformed header"),
        pytest.param(lambda: np.save("bad.npy", np.array([1, "a"], object), allow_pickle=True), id="pickled"),
        pytest.param(lambda: np.save("bad.npy", np.array(["a"])), id="strings"),
        pytest.param(lambda: np.save("bad.npy", np.array(["2000-01-01"], "M8[D]")), id="dates"),
        pytest.param(corrupted(lambda good: b"PK\3\4" + good), id="npz"),
    ],
)
@pytest.mark.usefixtures("array")
def test_bad_files(capsys, make):
    make()
    assert main(["logsumexp", "bad.npy", "--out", "result.npy"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert_one_line(error, "bad.npy")
    assert not Path("result.npy").exists()


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        ([], ["COMMAND"]),
        (["maximum", "a.npy"], ["maximum", "logsumexp"]),
        (["logsumexp"], ["FILE"]),
        (["logsumexp", "a.npy", "b.npy"], ["b.npy", "No such file"]),
        (["logsumexp", "a.npy", "a.npy", "--axis", "1"], ["a.npy", "several files"]),
        (["softmax", "a.npy", "a.npy"], ["a.npy", "several files"]),
        (["logsumexp", "a.npy", "--axis", "x"], ["--axis", "'x'"]),
        (["logsumexp", "a.npy", "--axis", "0,"], ["--axis", "'0,'"]),
        (["logsumexp", "a.npy", "--axis"], ["--axis"]),
        (["logsumexp", "a.npy", "--axis", "3"], ["a.npy", "axis 3"]),
        (["logsumexp", "a.npy", "--axis", "0,-3"], ["a.npy", "axis"]),
        (["logsumexp", "a.npy", "--axis", "9" * 20], ["a.npy"]),
        (["logsumexp", "a.npy", "--alpha", "x"], ["--alpha", "'x'"]),
        (["logsumexp", "a.npy", "--alpha", "0"], ["a.npy", "alpha"]),
        (["logsumexp", "a.npy", "--beta", "2"], ["--beta"]),
        (["boltzmann", "a.npy", "--initial", "2"], ["--initial"]),
        (["boltzmann", "empty.npy"], ["empty.npy", "boltzmann", "no elements"]),
        (["softmax", "a.npy", "--keepdims"], ["--keepdims"]),
        (["softmax", "a.npy", "--axis", "3"], ["a.npy", "axis 3"]),
        (["logsumexp", "a.npy", "--out", "no/result.npy"], ["no/result.npy"]),
        (["logsumexp", "a.npy", "--out", "."], ["."]),
        (["logsumexp", "two\nlines.npy"], ["two lines.npy"]),
    ],
)
@pytest.mark.usefixtures("array")
def test_bad_arguments(capsys, words, mentions):
    np.save("empty.npy", np.zeros((2, 0)))
    assert main(words) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert_one_line(error, *mentions)
    assert sorted(os.listdir()) == ["a.npy", "empty.npy"]


@pytest.mark.usefixtures("array")
def test_permission_denied(capsys):
    os.chmod("a.npy", 0)
    if os.access("a.npy", os.R_OK):
        pytest.skip("permissions do not bind this user")
    assert main(["logsumexp", "a.npy"]) == 2
    assert_one_line(capsys.readouterr().err, "a.npy", "Permission denied")
    os.chmod("a.npy", 0o600)
    os.mkdir("closed", 0o500)
    assert main(["logsumexp", "a.npy", "--out", "closed/result.npy"]) == 2
    assert_one_line(capsys.readouterr().err, "closed/result.npy", "Permission denied")


# Processes


def test_process(array, tmp_path):
    done = run("logsumexp", tmp_path / "a.npy")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{csmooth.logsumexp(array)}\n", "")
    failed = run("logsumexp", tmp_path / "b.npy")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert_one_line(failed.stderr, "b.npy", "No such file")


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_closed_pipe_ends_quietly(tmp_path, rows):
    np.save(tmp_path / "a.npy", np.ones((rows, 3)))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "csmooth", "logsumexp", str(tmp_path / "a.npy"), "--axis", "1"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_full_device_is_an_error(tmp_path, rows):
    np.save(tmp_path / "a.npy", np.ones((rows, 3)))
    command = [sys.executable, "-m", "csmooth", "logsumexp", str(tmp_path / "a.npy"), "--axis", "1"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert_one_line(done.stderr, "standard output", "No space left")


def test_info(capsys, monkeypatch):
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    assert csmooth.__version__ in output
    assert np.__version__ in output
    assert f"level in use: {_dispatch.level}\n" in output
    for level in _dispatch.LEVELS:
        kernels, reason = _dispatch.load(level)
        assert f"{level.name}: {'available' if kernels else reason}\n" in output
    monkeypatch.setattr(_dispatch, "load", lambda level: (None, "too old"))
    assert main(["info"]) == 0
    assert capsys.readouterr().out.count(": too old\n") == len(_dispatch.LEVELS)


@pytest.mark.parametrize("level", list(_dispatch.available()))
def test_info_names_the_level_that_was_forced(level):
    done = run("info", env=os.environ | {"CSMOOTH_LEVEL": level})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"level in use: {level}\n" in done.stdout


def test_help(capsys):
    for words in (["--help"], *([function, "--help"] for function in FUNCTIONS), ["--version"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
    assert csmooth.__version__ in capsys.readouterr().out
