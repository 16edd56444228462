"""Builds the kernels once for each instruction-set level; all metadata is in pyproject.toml."""

import os
import sysconfig
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError

# Level -> compiler flags (gcc and clang, MSVC). The baseline is what the ABI guarantees: SSE2 on x86-64, NEON on
# aarch64. A new level needs an entry here, a csmooth/_kernels/<level>.pyx of one line, a row in _dispatch.LEVELS
# and, if its vectors are new, a section in _vector.h.
LEVELS: dict[str, tuple[list[str], list[str]]] = {"baseline": ([], [])}
if sysconfig.get_platform().endswith(("-x86_64", "-amd64")):
    LEVELS |= {
        "x86_64_v3": (["-march=x86-64-v3"], ["/arch:AVX2"]),
        # With 32 registers, long chains of operations are better mixed early: powers take 0.85 x the time.
        "x86_64_v4": (["-march=x86-64-v4", "-mprefer-vector-width=512", "-fschedule-insns"], ["/arch:AVX512"]),
    }

# Without contraction every level with fma rounds alike; without trapping math the compiler may vectorise compares.
# Inline functions stand for templates, whose arguments are constants where they are called: each call has its own loop.
COMMON = (
    [
        "-O3",
        "-falign-functions=64",
        "-falign-loops=64",
        "-ffp-contract=off",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-DCYTHON_INLINE=inline __attribute__((always_inline))",
    ],
    ["/O2", "/fp:precise", "/DCYTHON_INLINE=__forceinline"],
)

NO_COMPILER = """\
csmooth is compiled when it is installed, and the C compiler did not work ({error}).
Install one and try again: 'apt install gcc python3-dev' on Debian and Ubuntu, 'dnf install gcc python3-devel' on
Fedora, 'xcode-select --install' on macOS, the Visual Studio Build Tools on Windows."""


class BuildExt(build_ext):
    """Knows the compiler, hence the flags, of each level."""

    def finalize_options(self) -> None:
        """Builds in parallel unless told otherwise."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        """Adds the flags of the extension's level; without a compiler says what to install."""
        level = ext.name.rpartition(".")[2]
        msvc = self.compiler.compiler_type == "msvc"
        ext.extra_compile_args = COMMON[msvc] + LEVELS.get(level, LEVELS["baseline"])[msvc]
        # An old compiler loses a level, not the build. (cythonize drops optional=.)
        ext.optional = level in LEVELS and level != "baseline"
        try:
            super().build_extension(ext)
        except (CCompilerError, CompileError, OSError) as error:
            if ext.optional:
                Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)  # of an earlier build
                raise
            raise SystemExit(NO_COMPILER.format(error=error)) from error


kernels = Path("csmooth/_kernels")
extensions = [
    Extension(f"csmooth.{name}", [f"csmooth/{name}.pyx"], depends=[f"csmooth/{name}.h"]) for name in ("_cpu", "_sigbus")
]
extensions += [
    Extension(
        f"csmooth._kernels.{name}",
        [str(kernels / f"{name}.pyx")],
        depends=[str(path) for pattern in ("*.h", "*.pxi", "*.pxd") for path in kernels.glob(pattern)],
        include_dirs=[str(kernels), numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    )
    for name in LEVELS
]

directives = {"language_level": 3, "freethreading_compatible": True}
modules = cythonize(
    extensions,
    build_dir="build/cython",
    compiler_directives=directives
    | {"boundscheck": False, "wraparound": False, "initializedcheck": False, "cdivision": True},
)
# Plain Python, and meant to be run as such: compiled, a small call does without a third of its time, in which CPython
# looks up the defaults of keywords one by one.
modules += cythonize(
    [Extension("csmooth._reductions", ["csmooth/_reductions.py"])],
    build_dir="build/cython",
    compiler_directives=directives | {"annotation_typing": False, "autotestdict": False},
)

setup(cmdclass={"build_ext": BuildExt}, ext_modules=modules)
