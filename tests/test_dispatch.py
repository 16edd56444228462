"""Which build of the kernels runs, how another one is forced, and what is said where that cannot be."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from reference import running

import csmooth
from csmooth import _dispatch, _reductions
from csmooth._cpu import x86_64_level

NAMES = [level.name for level in _dispatch.LEVELS]
AVAILABLE = _dispatch.available()
X86_64 = platform.machine().lower() in ("x86_64", "amd64")
VECTORS = {"x86_64_v4": "AVX-512", "x86_64_v3": "AVX2", "baseline": "scalar" if X86_64 else "NEON"}


def run(code: str, level: str | None) -> subprocess.CompletedProcess[str]:
    """Runs Python code in another process, where CSMOOTH_LEVEL is `level`."""
    environment = {key: value for key, value in os.environ.items() if key != "CSMOOTH_LEVEL"}
    if level is not None:
        environment["CSMOOTH_LEVEL"] = level
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


IN_USE = """
from csmooth import _dispatch, _reductions, logsumexp
assert _reductions.kernels is _dispatch.kernels
assert _reductions._reduce_bare == _dispatch.kernels.reduce_bare
assert logsumexp([0.0, 0.0], axis=0) == logsumexp([0.0, 0.0]) == 0.6931471805599453
print(_dispatch.level, _dispatch.kernels.__name__, _dispatch.kernels.vector_name)
"""


@pytest.mark.parametrize("name", AVAILABLE)
def test_forced_level_runs(name: str) -> None:
    done = run(IN_USE, name)
    assert done.stdout.split(maxsplit=2) == [name, f"csmooth._kernels.{name}", VECTORS[name] + "\n"], done.stderr


@pytest.mark.parametrize("level", [None, ""])
def test_best_level_runs_by_itself(level: str | None) -> None:
    best = next(iter(AVAILABLE))
    assert run(IN_USE, level).stdout.split()[0] == best


@pytest.mark.parametrize("level", ["avx2", "x86_64_v5", "BASELINE", " baseline"])
def test_unknown_level(level: str) -> None:
    done = run("import csmooth", level)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: ")
    assert all(name in message for name in [*NAMES, "CSMOOTH_LEVEL", repr(level)])


@pytest.mark.skipif(not X86_64, reason="there is one level only")
@pytest.mark.parametrize(("level", "processor"), [("x86_64_v4", 3), ("x86_64_v4", 1), ("x86_64_v3", 2)])
def test_level_that_the_processor_lacks(level: str, processor: int) -> None:
    """The processor is asked before the module is imported: its first instruction could be one too many."""
    lesser = f"""
import sys, types
sys.modules["csmooth._cpu"] = types.SimpleNamespace(x86_64_level=lambda: {processor})
sys.modules["csmooth._kernels.{level}"] = None   # importing it would be a ModuleNotFoundError, with another reason
import csmooth
"""
    done = run(lesser, level)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: ")
    assert level in message
    assert f"x86-64-v{processor}" in message
    assert run(lesser + "print(csmooth.logsumexp([1.0]))", None).stdout == "1.0\n"


def test_levels_are_tried_best_first() -> None:
    needs = [level.needs for level in _dispatch.LEVELS]
    assert needs == sorted(needs, reverse=True)
    assert _dispatch.LEVELS[-1] == ("baseline", 0)
    assert list(AVAILABLE) == [name for name in NAMES if name in AVAILABLE]
    assert "baseline" in AVAILABLE


def test_this_process() -> None:
    assert AVAILABLE[_dispatch.level] is _dispatch.kernels is _reductions.kernels
    assert csmooth.logsumexp is _reductions.logsumexp


@pytest.mark.parametrize("name", AVAILABLE)
def test_vectors_of_each_level(name: str) -> None:
    """Each module was compiled for what its name says."""
    assert AVAILABLE[name].vector_name == VECTORS[name]
    with running(name):
        assert csmooth.logsumexp([0.0, 0.0]) == csmooth.logsumexp([0.0, 0.0], axis=0) == 0.6931471805599453


@pytest.mark.parametrize("processor", [0, 1, 2, 3, 4])
def test_load_asks_the_processor(processor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dispatch, "x86_64_level", lambda: processor)
    monkeypatch.setattr(_dispatch, "import_module", lambda name, package: name + package)
    for level in _dispatch.LEVELS:
        module, reason = _dispatch.load(level)
        if level.needs <= processor:
            assert (module, reason) == (f"._kernels.{level.name}csmooth", "")
        else:
            assert module is None
            assert f"x86-64-v{max(processor, 1)}" in reason


def test_load_says_what_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    module, reason = _dispatch.load(_dispatch.Level("x86_64_v9", 0))
    assert module is None
    assert "not built" in reason
    monkeypatch.setattr(_dispatch, "LEVELS", (_dispatch.Level("x86_64_v9", 0), _dispatch.LEVELS[-1]))
    monkeypatch.delenv("CSMOOTH_LEVEL", raising=False)
    assert list(_dispatch.available()) == ["baseline"]
    assert _dispatch.select()[0] == "baseline"
    monkeypatch.setenv("CSMOOTH_LEVEL", "x86_64_v9")
    with pytest.raises(ImportError, match="x86_64_v9: not built"):
        _dispatch.select()


def test_no_level_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reason is given."""
    monkeypatch.delenv("CSMOOTH_LEVEL", raising=False)
    monkeypatch.setattr(_dispatch, "x86_64_level", lambda: 3)
    monkeypatch.setattr(_dispatch, "LEVELS", (_dispatch.Level("x86_64_v4", 4), _dispatch.Level("x86_64_v9", 0)))
    with pytest.raises(ImportError, match=r"x86_64_v4: .*x86-64-v3.*x86_64_v9: not built"):
        _dispatch.select()


def test_a_broken_build_is_not_taken_for_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, package: str) -> None:
        raise ImportError("undefined symbol")

    monkeypatch.setattr(_dispatch, "import_module", broken)
    with pytest.raises(ImportError, match="undefined symbol"):
        _dispatch.load(_dispatch.LEVELS[-1])


@pytest.mark.skipif(not (X86_64 and Path("/proc/cpuinfo").exists()), reason="no list of the processor's features")
def test_level_of_the_processor() -> None:
    """What Linux lists: a feature whose registers it does not save is not listed."""
    line = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    flags = set(line.split(":")[1].split())
    needed = {
        1: set(),
        2: {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"},
        3: {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"},
        4: {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    }
    level = max(n for n in needed if all(needed[k] <= flags for k in range(1, n + 1)))
    assert x86_64_level() == level
