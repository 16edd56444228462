"""Checkpoints: a run that ends at any moment goes on later, and has the bits of one that never ended."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_command_line import assert_one_line

import csmooth
from csmooth import _checkpoint
from csmooth.__main__ import main
from csmooth._files import inputs
from csmooth._files.inputs import CommandError

VALUES = np.random.default_rng(0).normal(size=(5000, 3))
COMMAND = ["logsumexp", "a.npy", "b.npz", "c.csv", "--axis", "0", "--checkpoint", "saved"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of three formats, short chunks, and a checkpoint after each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "CHUNK", 16000)
    monkeypatch.setattr(_checkpoint, "INTERVAL", 0)
    np.save("a.npy", VALUES[:2000])
    np.savez_compressed("b.npz", VALUES[2000:4000])
    np.savetxt("c.csv", VALUES[4000:], "%.17g", ",")


def interrupted(monkeypatch: pytest.MonkeyPatch, steps: int, *words: str) -> bytes:
    """What is saved by a command that ends within a step."""
    add, left = _checkpoint.Run.add, [steps]

    def stopping(run: _checkpoint.Run, chunk: inputs.Chunk) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        add(run, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(_checkpoint.Run, "add", stopping)
        assert main(words) == 130
    return Path("saved").read_bytes()


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0, capsys.readouterr().err
    output, error = capsys.readouterr()
    assert error == ""
    return output


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 11])
@pytest.mark.parametrize(
    "words",
    [
        COMMAND,
        ["boltzmann", *COMMAND[1:4], *COMMAND[6:], "--alpha", "-2"],
        ["pnorm", "c.csv", "a.npy", "c.csv", *COMMAND[4:], "--p", "3"],
        ["logsumexp", "d.csv", "d.csv", "--by", "k", *COMMAND[6:], "--initial", "0"],
    ],
)
def test_goes_on_with_the_same_bits(capsys, monkeypatch, words, steps):
    with open("d.csv", "w") as file:
        file.write("k,x\n" + "".join(f"{i * i % 7},{x!r}\n" for i, x in enumerate(VALUES[:2000, 0].tolist())))
    expected = printed(capsys, *words)
    assert not Path("saved").exists()
    interrupted(monkeypatch, steps, *words)
    assert printed(capsys, *words) == expected
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv", "d.csv"]


def test_what_is_done_is_not_done_again(capsys, monkeypatch):
    sizes = []
    add = _checkpoint.Run.add

    def counting(run, chunk):
        sizes.append(chunk.values.size)
        add(run, chunk)

    interrupted(monkeypatch, 5, *COMMAND)
    monkeypatch.setattr(_checkpoint.Run, "add", counting)
    printed(capsys, *COMMAND)
    begun = sum(sizes)
    sizes.clear()
    printed(capsys, *COMMAND)
    assert sum(sizes) == VALUES.size
    assert begun == VALUES.size - 2000 * 3 - 1998  # four chunks of a.npy and one of b.npz are saved


def test_it_stays_until_the_result_is_written(capsys, monkeypatch):
    def save(file, value):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", save)
        assert main([*COMMAND, "--out", "result.npy"]) == 2
    assert_one_line(capsys.readouterr().err, "result.npy: No space left")
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv", "saved"]
    monkeypatch.setattr(_checkpoint.Run, "add", None)  # nothing is left to add
    assert main([*COMMAND, "--out", "result.npy"]) == 0
    np.testing.assert_array_equal(np.load("result.npy"), csmooth.logsumexp(VALUES, axis=0))
    assert not Path("saved").exists()


def refused(capsys: pytest.CaptureFixture[str], words: list[str], *mentions: str) -> None:
    """One line, and the file stays as it is."""
    before = Path("saved").read_bytes()
    assert main([*words, "--out", "result.npy"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert_one_line(error, "saved: ", *mentions)
    assert Path("saved").read_bytes() == before
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv", "saved"]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> bytes:
    return interrupted(monkeypatch, 5, *COMMAND)


def test_cut_short_anywhere(capsys, saved):
    for length in range(len(saved)):
        with pytest.raises(CommandError, match=r"^saved: .*(no checkpoint|damaged)"):
            _checkpoint.restore(None, "saved", {}, saved[:length])  # nothing is restored
    for length in range(0, len(saved), 100):
        Path("saved").write_bytes(saved[:length])
        refused(capsys, COMMAND)


def test_any_byte_is_another(capsys, saved):
    for place in range(0, len(saved), 100):
        Path("saved").write_bytes(saved[:place] + bytes([saved[place] ^ 1]) + saved[place + 1 :])
        refused(capsys, COMMAND)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["logmeanexp", *COMMAND[1:]], ["another command", "function"]),
        ([*COMMAND, "--alpha", "2"], ["another command", "alpha"]),
        ([*COMMAND, "--initial", "2"], ["another command", "initial"]),
        ([*COMMAND[:4], *COMMAND[6:]], ["another command", "axis"]),
        ([*COMMAND[:3], *COMMAND[4:]], ["other files", "c.csv"]),
        ([COMMAND[0], "b.npz", "a.npy", *COMMAND[3:]], ["other files"]),
    ],
)
def test_another_command(capsys, words, mentions):
    refused(capsys, words, *mentions)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("name", ["a.npy", "c.csv"])
def test_another_file_of_this_name(capsys, name):
    os.utime(name, (1, 1))
    refused(capsys, COMMAND, name, "changed")


def test_what_is_no_checkpoint_is_not_replaced(capsys):
    Path("saved").write_text("precious")
    refused(capsys, COMMAND, "no checkpoint")


def test_an_input_is_no_checkpoint(capsys):
    before = Path("a.npy").read_bytes()
    assert main([*COMMAND[:-1], "a.npy"]) == 2
    assert_one_line(capsys.readouterr().err, "a.npy: no checkpoint")
    assert Path("a.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["logsumexp", "-", "--checkpoint", "saved"], ["standard input", "--checkpoint"]),
        (["logsumexp", "a.npy", "--axis", "1", "--checkpoint", "saved"], ["--checkpoint", "--axis"]),
        (["logsumexp", "a.npy", "--checkpoint", "no/saved"], ["no/saved: No such file"]),
        (["logsumexp", "a.npy", "--checkpoint", "."], ["not a regular file"]),
        (["softmax", "a.npy", "--checkpoint", "saved"], ["--checkpoint"]),
    ],
)
def test_where_there_are_none(capsys, monkeypatch, words, mentions):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2\n")))
    assert main(words) == 2
    assert_one_line(capsys.readouterr().err, *mentions)
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv"]


def test_a_full_disk_leaves_the_one_before(capsys, monkeypatch, saved):
    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(capsys, COMMAND, "No space left")
    assert Path("saved").read_bytes() == saved


# Processes

# As the fixture has it, in a process of its own, which tells after each step, and takes its time.
CHILD = """if True:
    import sys, time
    from csmooth import _checkpoint
    from csmooth.__main__ import main
    from csmooth._files import inputs
    inputs.CHUNK, _checkpoint.INTERVAL, add = 4000, 0, _checkpoint.Run.add
    def telling(run, chunk):
        print(".", file=sys.stderr, flush=True)
        add(run, chunk)
        time.sleep(0.002)
    _checkpoint.Run.add = telling
    sys.exit(main(sys.argv[1:]))
"""


def runs(signals: Iterator[tuple[int, float]]) -> Iterator[tuple[int, str]]:
    """Code and output of the command, again and again; so many seconds after two steps it gets a signal."""
    environment = os.environ | {"PYTHONPATH": str(Path(csmooth.__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, *COMMAND]
    for number, seconds in signals:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as child:
            child.stderr.readline()
            child.stderr.readline()
            try:
                output, error = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(number)
                output, error = child.communicate()
            assert not error.strip(".\n")
        yield child.returncode, output


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_killed_at_random_moments(capsys):
    expected = printed(capsys, *COMMAND)
    moments = [(signal.SIGKILL, seconds) for seconds in np.random.default_rng(0).uniform(0, 0.05, 20)]
    for code, output in runs(iter(moments)):
        assert code in (-signal.SIGKILL, 0)  # it may be ready before
        assert output in ("", expected)
    assert printed(capsys, *COMMAND) == expected
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_a_checkpoint(capsys, number):
    expected = printed(capsys, *COMMAND)
    assert next(runs(iter([(number, 0)]))) == (130, "")
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv", "saved"]
    assert printed(capsys, *COMMAND) == expected


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_without_checkpoint():
    environment = os.environ | {"PYTHONPATH": str(Path(csmooth.__file__).parents[1])}
    command = [sys.executable, "-m", "csmooth", "logsumexp", "-", "--out", "result.npy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
        child.stdin.write(b"1\n" * 400_000)  # more than a pipe holds, so that reading has begun
        child.stdin.flush()
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 130
        assert child.stderr.read() == b""
    assert sorted(os.listdir()) == ["a.npy", "b.npz", "c.csv"]
