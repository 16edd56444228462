"""The picture: its curves are what the functions give, and the command writes it or says what is missing."""

import sys

import numpy as np
import pytest

import csmooth
from csmooth import _plot
from csmooth.__main__ import main

SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml"}


def test_curves_are_what_the_functions_give():
    (axes,) = _plot.figure().axes
    curves = {line.get_label(): line.get_xydata() for line in axes.lines}
    functions = {
        "LSE": lambda alpha: csmooth.logsumexp(_plot.VECTOR, alpha=alpha),
        "mellowmax": lambda alpha: csmooth.logmeanexp(_plot.VECTOR, alpha=alpha),
        "Boltzmann": lambda alpha: csmooth.boltzmann(_plot.VECTOR, alpha=alpha),
        "p-norm": lambda p: csmooth.pnorm(_plot.VECTOR, p=p),
        "max": lambda alpha: _plot.VECTOR.max(),
        "mean": lambda alpha: _plot.VECTOR.mean(),
    }
    assert curves.keys() == functions.keys()
    for name, function in functions.items():
        for x, y in curves[name]:
            assert y == function(x), name


def test_the_bounds_are_shaded_and_hold_for_what_is_drawn():
    (axes,) = _plot.figure().axes
    (shaded,) = axes.collections
    edge = shaded.get_paths()[0].vertices
    top = _plot.VECTOR.max()
    highest = {x: y for x, y in edge if y > top}
    assert edge[:, 1].min() == top
    (lse,) = (line.get_xydata() for line in axes.lines if line.get_label() == "LSE")
    for alpha, value in lse:
        assert highest[alpha] == top + np.log(_plot.VECTOR.size) / alpha
        assert top <= value <= highest[alpha]


def test_everything_is_named_and_nothing_but_the_p_norm_is_cut():
    (axes,) = _plot.figure().axes
    named = {text.get_text() for text in axes.get_legend().get_texts()}
    assert named == {artist.get_label() for artist in [*axes.lines, *axes.collections]}
    low, high = axes.get_ylim()
    for line in axes.lines:
        heights = np.asarray(line.get_ydata(), float)
        assert low < heights.min()
        assert heights.max() <= high or line.get_label() == "p-norm"


@pytest.mark.parametrize(
    ("words", "file", "form"),
    [
        ([], "csmooth.png", "png"),
        (["--out", "a.png"], "a.png", "png"),
        (["--out", "a.pdf"], "a.pdf", "pdf"),
        (["--out", "a.svg"], "a.svg", "svg"),
        (["--out", "picture"], "picture", "png"),
    ],
)
def test_writes_a_picture(tmp_path, monkeypatch, capsys, words, file, form):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words]) == 0
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == [file]
    content = (tmp_path / file).read_bytes()
    assert content.startswith(SIGNATURES[form])
    if form == "png":
        assert np.frombuffer(content[16:24], ">u4").tolist() == [1200, 750]  # its width and height, 8 x 5 inches


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["--out", "a.xyz"], "csmooth: a.xyz: Format 'xyz' is not supported"),
        (["--out", "no/a.png"], "csmooth: no/a.png: No such file"),
        (["--out", "."], "csmooth: .: not a regular file"),
        (["--alpha", "1"], "csmooth: unrecognized arguments: --alpha"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, capsys, words, mentions):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *words]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith(mentions)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "csmooth._plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not there
    assert main(["plot"]) == 2
    assert capsys.readouterr() == ("", "csmooth: plot needs matplotlib: pip install csmooth[plot]\n")
    assert list(tmp_path.iterdir()) == []


def test_other_commands_do_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "csmooth._plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    np.save(tmp_path / "a.npy", np.zeros(1))
    assert main(["logsumexp", str(tmp_path / "a.npy")]) == 0
    assert main(["info"]) == 0
    assert capsys.readouterr().err == ""
