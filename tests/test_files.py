"""Files of every format, as the command line reduces them: the bits of one call, or one line of what is wrong."""

import csv
import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_command_line import assert_one_line

import csmooth
from csmooth import _checkpoint
from csmooth.__main__ import joined, main, parser
from csmooth._files import FORMATS, inputs, open_input
from csmooth._files.arrays import Mapped
from csmooth._files.inputs import Options, read

VALUES = np.random.default_rng(0).normal(size=(1000, 3))


def to_text(name: str, delimiter: str, header: str = "", **keywords: Any) -> Callable[[], object]:
    return lambda: np.savetxt(name, VALUES, "%.17g", delimiter, header=header, **keywords)


def to_arrow(write: str, keywords: dict[str, Any]) -> Callable[[], object]:
    def save() -> None:
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({name: VALUES[:, i] for i, name in enumerate("xyz")})
        module = pytest.importorskip(f"pyarrow.{write.split('.')[0]}")
        getattr(module, write.split(".")[1])(table, "a", **keywords)

    return save


def to_hdf5(**keywords: Any) -> Callable[[], object]:
    def save() -> None:
        with pytest.importorskip("h5py").File("a", "w") as file:
            file.create_dataset("inside/b", data=VALUES, **keywords)
            file["scalar"] = 1.0

    return save


def to_zarr() -> None:
    pytest.importorskip("zarr").create_array("a.zarr", data=VALUES, chunks=(70, 2))


def to_zarr_group() -> None:
    group = pytest.importorskip("zarr").open_group("a", mode="w")
    for name, array in {"inside/b": VALUES, "c": VALUES[0]}.items():
        group.create_array(name, data=array)


# How each is written, and what the command line says about it. Names without a suffix are known by their contents.
FILES: dict[str, tuple[Callable[[], object], list[str]]] = {
    "npy": (lambda: np.save("a.npy", VALUES), ["a.npy"]),
    "npy, Fortran order": (lambda: np.save("a.npy", np.asfortranarray(VALUES)), ["a.npy"]),
    "npy, big-endian": (lambda: np.save("a.npy", VALUES.astype(">f8")), ["a.npy"]),
    "npz": (lambda: np.savez("a.npz", VALUES), ["a.npz"]),
    "npz, a member": (lambda: np.savez("a.npz", a=[1], b=VALUES, c=[2]), ["a.npz:b"]),
    "npz, --member": (lambda: np.savez("a.npz", a=[1], b=VALUES), ["a.npz", "--member", "b"]),
    "npz, Fortran order": (lambda: np.savez("a.npz", np.asfortranarray(VALUES)), ["a.npz"]),
    "npz, compressed": (lambda: np.savez_compressed("a.npz", a=[1], b=VALUES), ["a.npz:b"]),
    "raw": (lambda: VALUES.tofile("a"), ["a", "--dtype", "f8", "--shape", "-1,3"]),
    "text": (to_text("a", " "), ["a"]),
    "text, comments and tabs": (to_text("a.txt", "\t", "x"), ["a.txt", "--delimiter", r"\t"]),
    "csv": (to_text("a.csv", ","), ["a.csv"]),
    "csv, header": (to_text("a.csv", ",", "x,y,z", comments=""), ["a.csv", "--skip-rows", "1"]),
    "csv, names": (
        to_text("a.csv", ",", '"x",y ,z', comments=""),
        ["a.csv", "--column", "x", "--column", "y", "--column", "z"],
    ),
    "csv, numbers": (
        to_text("a", ";"),
        [*["a", "--format", "csv", "--delimiter", ";", "--column", "0", "--column", "1", "--column", "2"]],
    ),
    "csv, line ends": (to_text("a.csv", ",", newline="\r\n"), ["a.csv"]),
    "parquet": (to_arrow("parquet.write_table", {"row_group_size": 300, "write_page_checksum": True}), ["a"]),
    "arrow": (
        to_arrow("feather.write_feather", {"chunksize": 300}),
        ["a", "--column", "x", "--column", "1", "--column", "2"],
    ),
    "feather": (to_arrow("feather.write_feather", {"compression": "uncompressed"}), ["a"]),
    "hdf5": (to_hdf5(), ["a:inside/b"]),
    "hdf5, compressed": (to_hdf5(chunks=(70, 2), compression="gzip"), ["a", "--member", "/inside/b"]),
    "zarr": (to_zarr, ["a.zarr"]),
    "zarr, a group": (to_zarr_group, ["a:inside/b"]),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of its own, and chunks that are short beside the files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "CHUNK", 4000)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[float]:
    assert main(words) == 0, capsys.readouterr().err
    output, error = capsys.readouterr()
    assert error == ""
    return [float(number) for number in output.split()]


@pytest.mark.parametrize("kind", FILES)
def test_bits_are_those_of_one_call(capsys, kind):
    write, words = FILES[kind]
    write()
    assert printed(capsys, "logsumexp", *words) == [csmooth.logsumexp(VALUES)]
    assert printed(capsys, "boltzmann", *words, "--axis", "0") == csmooth.boltzmann(VALUES, axis=0).tolist()
    assert printed(capsys, "pnorm", *words, "--axis", "1") == csmooth.pnorm(VALUES, axis=1).tolist()


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("kind", FILES)
def test_reading_begins_again_where_a_chunk_ended(kind, rows):
    write, words = FILES[kind]
    write()
    source = opened(words)
    chunks = [(chunk.position, np.array(chunk.values)) for chunk in read(source, source.start, rows)]
    assert len(chunks) > 1
    assert max(values.nbytes for _, values in chunks) <= 4 * inputs.CHUNK
    assert source.total is not None
    for i, (position, _) in enumerate(chunks):
        assert 0 < source.bytes(position) <= source.total
        again = [np.array(chunk.values) for chunk in read(source, position, rows)]
        values = np.concatenate([np.ravel(values) for values in again] or [[]])
        assert values.tolist() == VALUES.ravel()[VALUES.size - len(values) :].tolist()
        assert len(values) == sum(values.size for _, values in chunks[i + 1 :])
    assert source.bytes(chunks[-1][0]) == source.total


def opened(words: list[str]) -> inputs.Input:
    """The input that these words name."""
    arguments = parser().parse_args(joined(["logsumexp", *words]))
    return open_input(arguments.files[0], Options(**{name: getattr(arguments, name) for name in Options._fields}))


@pytest.mark.parametrize("shape", [(7,), (5, 300), (5, 40, 7), (2, 3, 5000), (0, 3), (3, 0)])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", ">u2", "?"])
def test_shapes_and_dtypes(capsys, shape, order, dtype):
    a = np.asarray(np.random.default_rng(0).integers(0, 3, shape), dtype, order=order)
    np.save("a.npy", a)
    for options, axis in (([], None), (["--axis", "0"], 0), (["--axis", "-1"], -1)):
        assert main(["logsumexp", "a.npy", *options, "--keepdims", "--out", "b.npy"]) == 0
        result, expected = np.load("b.npy"), csmooth.logsumexp(a, axis=axis, keepdims=True)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected, strict=True)


def test_long_rows_are_cut():
    np.savez_compressed("a.npz", VALUES.reshape(1, -1))
    np.save("a.npy", VALUES.reshape(1, -1))
    for name in ("a.npz", "a.npy"):
        source = open_input(name, Options())
        assert max(chunk.values.nbytes for chunk in read(source, 0, False)) <= inputs.CHUNK
        assert max(chunk.values.nbytes for chunk in read(source, 0, True)) == VALUES.nbytes


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (["-"], b"1 2\n\n3 4 # 5\n6 7"),
        (["-", "--delimiter", ","], b"\xef\xbb\xbf1,2\n3,4\n6,7\n"),
        (["-", "--format", "csv", "--column", "b", "--column", "c"], b'a,b,c\nx,1,2\n"y,\n",3,4\nz,6,7\n'),
        (["-", "--dtype", ">f4", "--shape", "-1,2"], np.array([1, 2, 3, 4, 6, 7], ">f4").tobytes()),
        (["-", "--dtype", "i2", "--shape", "3,2"], np.array([1, 2, 3, 4, 6, 7], "i2").tobytes()),
    ],
)
def test_standard_input(capsys, monkeypatch, words, content):
    dtype = "f4" if ">f4" in words else "f8"
    for options, axis in (([], None), (["--axis", "0"], 0)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        expected = np.ravel(csmooth.pnorm(np.array([[1, 2], [3, 4], [6, 7]], dtype), axis=axis))
        assert np.array(printed(capsys, "pnorm", *words, *options), dtype).tolist() == expected.tolist()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_pipes_with_names(capsys):
    os.mkfifo("pipe")
    with subprocess.Popen([sys.executable, "-c", "open('pipe', 'w').write('1\\n2\\n' * 5000)"]):
        assert printed(capsys, "logsumexp", "pipe") == [csmooth.logsumexp([1.0, 2.0] * 5000)]


def test_several_files_are_one_stream(capsys):
    np.save("a.npy", VALUES[:17])
    np.savez_compressed("c.npz", VALUES[300:])
    np.save("b.npy", np.asfortranarray(VALUES[17:300]))
    for options, axis in (([], None), (["--axis", "0"], 0)):
        expected = np.ravel(csmooth.logmeanexp(VALUES, axis=axis)).tolist()
        assert printed(capsys, "logmeanexp", "a.npy", "b.npy", "c.npz", *options) == expected


@pytest.mark.parametrize("words", [["a.npy"], ["a.npy", "--axis", "0"], ["a.npy", "a.npy"]])
def test_workers(capsys, words):
    np.save("a.npy", np.random.default_rng(0).normal(size=(200_000, 2)))
    expected = printed(capsys, "logsumexp", *words)
    assert printed(capsys, "logsumexp", *words, "--workers", "2") == expected


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("axis", [None, 0])
def test_an_initial_element(dtype, axis):
    a = (9 * VALUES).astype(dtype)
    np.save("a.npy", a)
    words = ["--initial", "0.1", "--alpha", "0.5", *([] if axis is None else ["--axis", "0"])]
    assert main(["logsumexp", "a.npy", *words, "--out", "b.npy"]) == 0
    assert np.array_equal(np.load("b.npy"), csmooth.logsumexp(a, axis, alpha=0.5, initial=0.1))


def test_dtype_of_several_files():
    np.save("a.npy", VALUES[:5].astype("f4"))
    np.save("b.npy", VALUES[5:])
    assert main(["logsumexp", "a.npy", "b.npy", "--out", "c.npy"]) == 0
    assert np.load("c.npy") == csmooth.logsumexp(np.concatenate([VALUES[:5].astype("f4"), VALUES[5:]]))


# Groups


@pytest.fixture
def groups() -> dict[str, np.ndarray[Any, Any]]:
    """A table, and the values of each group in the order of appearance."""
    rng = np.random.default_rng(1)
    keys, values = rng.choice(["Zürich", "", "a,b", 'q"'], 1000), rng.normal(size=(1000, 2))
    with open("a.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["city", "x", "y"])
        table.writerows([key, repr(float(x)), repr(float(y))] for key, (x, y) in zip(keys, values, strict=True))
    return {key: values[keys == key] for key in dict.fromkeys(keys.tolist())}


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_groups(capsys, groups, kind):
    file = "a.csv"
    if kind != "csv":
        table = pytest.importorskip("pyarrow.csv").read_csv("a.csv")
        module = pytest.importorskip(f"pyarrow.{kind}")
        getattr(module, {"parquet": "write_table", "feather": "write_feather"}[kind])(table, "a")
        file = "a"
    assert main(["logsumexp", file, file, "--by", "city", "--column", "y"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    lines = list(csv.reader(io.StringIO(output)))
    assert [key for key, _ in lines] == list(groups)
    for key, value in lines:
        values = np.concatenate([groups[key][:, 1]] * 2)
        assert float(value) == csmooth.logsumexp(values)
    assert main(["logsumexp", file, "--by", "city", "--axis", "0", "--out", "b.npy"]) == 0
    for key, result in np.load("b.npy"):
        assert result.tolist() == csmooth.logsumexp(groups[key], axis=0).tolist()


def test_groups_by_number(capsys):
    Path("a.csv").write_text("1,b\n2,a\n3,b\n")
    assert main(["pnorm", "a.csv", "--by", "1", "--column", "0", "--p", "1"]) == 0
    assert capsys.readouterr().out == "b,4.0\na,2.0\n"


def test_no_groups(capsys):
    Path("a.csv").write_text("x,y\n")
    assert main(["logsumexp", "a.csv", "--by", "x"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("encoded", [False, True])
def test_what_is_missing_is_nan(capsys, encoded):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    key = pyarrow.array(["a", None, "a"])
    key = key.dictionary_encode() if encoded else key
    parquet.write_table(pyarrow.table({"k": key, "x": [1, None, 2], "y": [True, False, True]}), "a")
    assert main(["pnorm", "a", "--by", "k", "--column", "x", "--column", "y", "--axis", "0", "--p", "1"]) == 0
    assert capsys.readouterr().out == "a,3.0,2.0\n,nan,0.0\n"
    parquet.write_table(pyarrow.table({"x": [True, None]}), "b")
    assert main(["pnorm", "b", "--axis", "0"]) == 0
    assert capsys.readouterr().out == "nan\n"


# What is wrong


def cut(name: str, length: int) -> None:
    """Shortens a file."""
    Path(name).write_bytes(Path(name).read_bytes()[:length])


def flipped(name: str, place: int) -> None:
    """Changes a byte."""
    content = bytearray(Path(name).read_bytes())
    content[place] ^= 255
    Path(name).write_bytes(content)


def wide_npz() -> None:
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("a.npy", b"no array")


BAD: dict[str, tuple[Callable[[], object], list[str], list[str]]] = {
    "missing": (lambda: None, ["a.csv"], ["a.csv: No such file"]),
    "missing, with member": (lambda: None, ["a.h5:b"], ["a.h5:b: No such file"]),
    "directory": (lambda: os.mkdir("a"), ["a"], ["a: Is a directory"]),
    "empty npz": (lambda: Path("a.npz").touch(), ["a.npz"], ["a.npz"]),
    "empty text": (lambda: Path("a.txt").touch(), ["a.txt"], ["a.txt: empty"]),
    "empty csv": (lambda: Path("a.csv").touch(), ["a.csv", "--column", "x"], ["a.csv: empty"]),
    "empty raw": (lambda: Path("a.raw").touch(), ["a.raw", "--dtype", "f8"], ["a.raw: empty"]),
    "empty parquet": (lambda: Path("a.parquet").touch(), ["a.parquet"], ["a.parquet"]),
    "empty feather": (lambda: Path("a.feather").touch(), ["a.feather"], ["a.feather"]),
    "empty hdf5": (lambda: Path("a.h5").touch(), ["a.h5"], ["a.h5"]),
    "empty zarr": (lambda: os.mkdir("a.zarr"), ["a.zarr"], ["a.zarr"]),
    "npz, truncated": (lambda: (FILES["npz"][0](), cut("a.npz", -50)), ["a.npz"], ["a.npz", "not a zip file"]),
    "npz, corrupt": (lambda: (FILES["npz, compressed"][0](), flipped("a.npz", 9999)), ["a.npz:b"], ["a.npz:b"]),
    "npz, no array": (wide_npz, ["a.npz"], ["a.npz"]),
    "npz, many members": (lambda: np.savez("a.npz", a=1, b=2), ["a.npz"], ["a.npz", "--member", "a, b"]),
    "npz, no member": (lambda: np.savez("a.npz", a=1, b=2), ["a.npz:c"], ["'c'", "a, b"]),
    "npz, no members": (lambda: np.savez("a.npz"), ["a.npz"], ["a.npz: there is no array in it"]),
    "npz, strings": (lambda: np.savez("a.npz", ["a"]), ["a.npz"], ["a.npz", "<U1"]),
    "npz, pickled": (lambda: np.savez("a.npz", np.array([{}])), ["a.npz"], ["a.npz", "pickled"]),
    "npz, compressed Fortran order": (
        lambda: np.savez_compressed("a.npz", np.asfortranarray(VALUES)),
        ["a.npz"],
        ["a.npz", "Fortran"],
    ),
    "raw without dtype": (FILES["raw"][0], ["a", "--format", "raw"], ["a: raw binary needs --dtype"]),
    "raw, truncated": (lambda: Path("a").write_bytes(b"abc"), ["a", "--dtype", "f8"], ["a: its 3 bytes", "float64"]),
    "raw, another shape": (FILES["raw"][0], ["a", "--dtype", "f8", "--shape", "7,3"], ["24000 bytes", "(7, 3)"]),
    "raw, bad shape": (FILES["raw"][0], ["a", "--dtype", "f8", "--shape", "3,-1"], ["--shape 3,-1"]),
    "text, a word": (lambda: Path("a").write_text("1\n2\nx\n4\n"), ["a"], ["a: line 3: could not convert string 'x'"]),
    "text, late": (lambda: Path("a").write_text("1\n" * 999 + "x\n"), ["a"], ["a: line 1000: could not"]),
    "text, a header": (lambda: Path("a.csv").write_text("x\n1\n"), ["a.csv"], ["a.csv: line 1", "--skip-rows"]),
    "text, ragged": (lambda: Path("a").write_text("1 2\n3 4\n5\n"), ["a"], ["a: line 3: the number of columns"]),
    "text, ragged later": (
        lambda: Path("a").write_text("1 2\n" * 31 + "3\n" * 99),
        ["a"],
        ["a: the number of columns changes at line 32"],
    ),
    "text, not UTF-8": (lambda: Path("a").write_bytes(b"1\n\xff\n"), ["a"], ["a: line 2 is not UTF-8"]),
    "text, too long": (lambda: Path("a").write_bytes(bytes(2**24)), ["a"], ["a: line 1 is too long"]),
    "text, compressed": (lambda: Path("a").write_bytes(gzip.compress(b"1\n" * 9)), ["a"], ["a: line 1"]),
    "text, no column": (lambda: Path("a").write_text("1 2\n"), ["a", "--column", "2"], ["a: line 1: invalid column"]),
    "csv, no column": (lambda: Path("a.csv").write_text("x,y\n1,2\n"), ["a.csv", "--column", "z"], ["'z', but x, y"]),
    "csv, empty field": (lambda: Path("a.csv").write_text("1,2\n3,\n"), ["a.csv"], ["a.csv: line 2", "''"]),
    "csv, groups without names": (lambda: Path("a.csv").write_text("1,2\n"), ["a.csv", "--by", "0"], ["--column"]),
    "csv, groups alone": (
        lambda: Path("a.csv").write_text("x\n1\n"),
        ["a.csv", "--by", "x"],
        ["a.csv: there is no column of values"],
    ),
    "parquet, truncated": (lambda: (FILES["parquet"][0](), cut("a", -9)), ["a"], ["a: cannot be read as Parquet"]),
    "parquet, corrupt": (lambda: (FILES["parquet"][0](), flipped("a", 30)), ["a"], ["a: "]),
    "parquet, no column": (FILES["parquet"][0], ["a", "--column", "w"], ["a: there is no column 'w', but x, y, z"]),
    "feather, truncated": (lambda: (FILES["feather"][0](), cut("a", -9)), ["a"], ["a: cannot be read as Arrow"]),
    "hdf5, truncated": (lambda: (FILES["hdf5"][0](), cut("a", -9)), ["a:inside/b"], ["a:inside/b", "truncated"]),
    "hdf5, no member": (FILES["hdf5"][0], ["a:c"], ["a:c: it has no 'c', but inside/b, scalar"]),
    "hdf5, many members": (FILES["hdf5"][0], ["a"], ["a: --member chooses one of inside/b, scalar"]),
    "hdf5, corrupt": (lambda: (FILES["hdf5, compressed"][0](), flipped("a", 9000)), ["a:inside/b"], ["a:inside/b"]),
    "zarr, no member": (FILES["zarr, a group"][0], ["a:d"], ["a:d: it has no 'd'"]),
    "zarr, corrupt": (lambda: (to_zarr(), cut("a.zarr/c/3/0", 30)), ["a.zarr"], ["a.zarr: "]),
    "zarr, not a group": (to_zarr, ["a.zarr:b"], ["a.zarr:b: an array"]),
    "option of another format": (
        lambda: np.save("a.npy", 1),
        ["a.npy", "--column", "1"],
        ["--column is not for NumPy"],
    ),
    "dtype of another format": (lambda: np.save("a.npy", 1), ["a.npy", "--dtype", "f8"], ["--dtype is not for NumPy"]),
    "no such dtype": (lambda: None, ["a", "--dtype", "real"], ["--dtype", "real"]),
    "dtype of no numbers": (lambda: None, ["a", "--dtype", "O"], ["--dtype", "'O'"]),
    "no such shape": (lambda: None, ["a", "--shape", "x"], ["--shape", "'x'"]),
    "long delimiter": (lambda: None, ["a", "--delimiter", ", "], ["--delimiter", "', '"]),
    "fewer than no rows": (lambda: None, ["a", "--skip-rows", "x"], ["--skip-rows", "'x'"]),
    "no workers": (lambda: None, ["a", "--workers", "0"], ["--workers", "positive"]),
    "rows of other shapes": (
        lambda: (np.save("a.npy", VALUES), np.save("b.npy", VALUES[:, :2])),
        ["a.npy", "b.npy", "--axis", "0"],
        ["b.npy: rows of shape (2,), not (3,) as in a.npy"],
    ),
    "complex, several": (
        lambda: np.save("a.npy", VALUES + 1j),
        ["a.npy", "a.npy"],
        ["a.npy: several files"],
    ),
    "second file missing": (lambda: np.save("a.npy", VALUES), ["a.npy", "b.npy"], ["b.npy: No such file"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_line_of_what_is_wrong(capsys, kind):
    make, words, mentions = BAD[kind]
    make()
    before = sorted(os.listdir())
    assert main(["logsumexp", *words, "--out", "result.npy"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert_one_line(error, *mentions)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("content", [b"", b"1\nx\n", b"\xff"])
def test_bad_standard_input(capsys, monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["logsumexp", "-"]) == 2
    assert_one_line(capsys.readouterr().err, "standard input: ")


@pytest.mark.parametrize(
    ("words", "length", "mentions"),
    [
        ([], 15, ["truncated"]),
        (["--shape", "2,3"], 40, ["truncated"]),
        (["--shape", "2,3"], 56, ["longer"]),
        (["--shape", "-1,3"], 32, ["truncated"]),
        (["--shape", "-1,3"], 8000, ["truncated"]),
        (["--shape", "-1,3"], 7999, ["truncated"]),
    ],
)
@pytest.mark.parametrize("axis", ["none", "0"])
def test_raw_standard_input_of_another_length(capsys, monkeypatch, words, length, mentions, axis):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(length))))
    assert main(["logsumexp", "-", "--dtype", "f8", *words, "--axis", axis]) == 2
    assert_one_line(capsys.readouterr().err, "standard input: ", *mentions)


def test_closed_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["logsumexp", "-"]) == 2
    assert_one_line(capsys.readouterr().err, "standard input: closed")


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.parquet", "a.feather"])
def test_a_missing_package_is_named(capsys, monkeypatch, name):
    for module in ("h5py", "zarr", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    os.mkdir(name) if name == "a.zarr" else Path(name).touch()
    assert main(["logsumexp", name]) == 2
    assert_one_line(capsys.readouterr().err, name, "pip install 'csmooth[files]'")


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes"])
@pytest.mark.parametrize("kind", ["npy", "npz, compressed", "raw", "csv", "parquet", "feather", "hdf5", "zarr"])
def test_files_that_change_while_they_are_read(capsys, monkeypatch, kind, change):
    write, words = FILES[kind]
    write()
    path = Path("a.zarr/c/3/0" if kind == "zarr" else words[0].partition(":")[0])
    add, left = _checkpoint.Run.add, [3]

    def changing(run, chunk):
        add(run, chunk)
        left[0] -= 1
        if left[0] == 0 and change == "grows":
            with open(path, "ab") as file:
                file.write(b"1")
        elif left[0] == 0:
            os.truncate(path, 100) if change == "shrinks" else os.unlink(path)

    monkeypatch.setattr(_checkpoint.Run, "add", changing)
    assert main(["logsumexp", *words, "--out", "b.npy"]) == 2
    assert_one_line(capsys.readouterr().err, f"{words[0]}: changed while it was read")
    assert not Path("b.npy").exists()


@pytest.mark.skipif(os.name != "posix", reason="only there files that are mapped can shrink")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_files_that_shrink_within_a_call(capsys, monkeypatch, workers):
    a = np.ones((100_000, 8))
    np.save("a.npy", a)
    array = Mapped.array

    def shrinking(source):
        result = array(source)
        os.truncate("a.npy", 9000)
        return result

    monkeypatch.setattr(Mapped, "array", shrinking)
    assert main(["logsumexp", "a.npy", "--axis", "1", "--workers", workers, "--out", "b.npy"]) == 2
    assert_one_line(capsys.readouterr().err, "a.npy: changed while it was read")
    assert not Path("b.npy").exists()


def test_every_format_is_tested():
    assert set(FORMATS) == {kind.split(",")[0] for kind in FILES} - {"feather"}


# Processes

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(csmooth.__file__).parents[1])}


def hole(name: str, size: int) -> None:
    """A file that takes no room on the disk."""
    with open(name, "wb") as file:
        file.truncate(size)


def large_parquet(name: str, size: int) -> None:
    """A file of one column, which is not compressed, in groups of 16 MiB."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"x": np.arange(size / 8)})
    parquet.write_table(table, name, row_group_size=2**21, use_dictionary=False, compression="none")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="tells the peak of a process")
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (hole, ["a.raw", "--dtype", "f8"]),
        (hole, ["a.raw", "--dtype", "f4", "--shape", "-1,8", "--axis", "0"]),
        (large_parquet, ["a.parquet"]),
    ],
)
def test_memory(write, words):
    """A file of 256 MiB needs no more than one of 1 KiB and a few chunks."""
    code = """if True:
        import re, sys
        from csmooth.__main__ import main
        main(sys.argv[1:])
        print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
    """
    peaks = []
    for size in (2**10, 2**28):
        write(words[0], size)
        command = [sys.executable, "-c", code, "pnorm", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 100 * 1024


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_closed_pipe_ends_quietly():
    Path("a.csv").write_text("k,x\n" + "".join(f"{i},1\n" for i in range(5000)))
    command = [sys.executable, "-m", "csmooth", "logsumexp", "a.csv", "--by", "k"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


@pytest.mark.parametrize("kind", ["csv", "parquet", "hdf5", "zarr"])
def test_no_warnings_of_packages(kind):
    write, words = FILES[kind]
    write()
    command = [sys.executable, "-W", "error", "-m", "csmooth", "logsumexp", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == (f"{csmooth.logsumexp(VALUES)}\n", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
@pytest.mark.parametrize("words", [[], ["--quiet"]])
def test_a_bar_on_terminals(words):
    pytest.importorskip("tqdm")
    VALUES.tofile("a.raw")
    terminal, end = os.openpty()
    pytest.importorskip("termios").tcsetwinsize(end, (24, 80))
    command = [sys.executable, "-m", "csmooth", "logsumexp", "a.raw", "--dtype", "f8", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, text=True, env=ENVIRONMENT)
    os.write(end, b".")
    assert done.stdout == f"{csmooth.logsumexp(VALUES)}\n"
    assert (b"/24.0k" in os.read(terminal, 10000)) == (not words)
    os.close(terminal)
    os.close(end)
