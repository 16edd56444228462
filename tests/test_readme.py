"""The README shows what happens: its Python and its commands give the output that stands below them."""

import doctest
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import csmooth
from csmooth.__main__ import FUNCTIONS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code in fences of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def shown(language: str) -> list[tuple[str, str]]:
    """The commands after `$ ` in fences of this language, and the lines below each."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks(language)), re.MULTILINE)


@pytest.fixture
def beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may be written into, with the data where the README has them."""
    shutil.copytree(ROOT / "bench" / "data", tmp_path / "bench" / "data")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("beside_the_data")
def test_python_gives_what_is_shown():
    """All blocks as one session, as a reader would type them."""
    session = doctest.DocTestParser().get_doctest("".join(blocks("python")), {}, "README.md", "README.md", 0)
    runner = doctest.DocTestRunner()
    runner.run(session)
    assert runner.tries > 0
    assert runner.failures == 0


def test_python_shows_every_function():
    code = "".join(blocks("python"))
    names = {name for name in csmooth.__all__ if not name.startswith("_")}
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.usefixtures("beside_the_data")
def test_commands_print_what_is_shown(capsys: pytest.CaptureFixture[str]):
    """In order, since some read what others wrote; a comment stands for output that differs among machines."""
    names = set()
    for command, output in shown("console"):
        words = shlex.split(command, comments=True)
        if words[0] == "printf":  # makes a file
            subprocess.run(["sh", "-c", command], check=True)
            continue
        assert words[:3] == ["python", "-m", "csmooth"]
        names.add(words[3])
        assert main(words[3:]) == 0, command
        printed, error = capsys.readouterr()
        assert error == ""
        assert "#" in command or printed == output, command
    assert names == {*FUNCTIONS, "plot", "info"}


@pytest.mark.skipif(not (ROOT / "csmooth" / "_kernels" / "kernels.pxi").exists(), reason="the source is not here")
@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
def test_counts_are_those_of_the_source():
    counts = shown("sh-session")
    assert counts
    for command, output in counts:
        done = subprocess.run(["sh", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
        assert done.stdout == output, command


def test_links_lead_somewhere():
    """To files of the project, which a relative link or a picture names."""
    links = [link for link in re.findall(r"\]\(([^)]*)\)", README.replace("\n", " ")) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
