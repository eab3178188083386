"""Builds graphc._core from csrc/; everything else is in pyproject.toml.

csrc/dnnl, the kernels of oneDNN, is built where oneDNN's packages are installed. The environment
variable GRAPHC_ONEDNN=0 leaves it out; with GRAPHC_ONEDNN=1 it is an error if they are missing.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext

# -ffp-contract=off: float results must not depend on which compiler fuses a multiply with an add.
# errno and floating-point exception flags are read nowhere; loops vectorise without them.
IS_WINDOWS = sys.platform == "win32"
UNSEEN = ["-fno-math-errno", "-fno-trapping-math"]
FLAGS = (
    ["/O2", "/W4", "/openmp"]
    if IS_WINDOWS
    else ["-O3", "-Wall", "-Wextra", "-ffp-contract=off", "-fopenmp", *UNSEEN]
)
# Last, so that they win: of setuptools they come first, or, in C++ since its version 80, nowhere.
TOLD = {name: shlex.split(os.environ.get(name, "")) for name in ("CFLAGS", "LDFLAGS")}
ONEDNN, ONEDNN_HEADERS = "onednn-cpu-gomp", "onednn-devel-cpu-gomp"


def installed(package: str, tail: str) -> Path:
    """The installed file of a package whose path ends so."""
    for file in metadata.files(package) or ():
        path = Path(file.locate()).resolve()
        if file.as_posix().endswith(tail) and path.exists():
            return path
    raise FileNotFoundError(f"{package} has no {tail}")


def find_onednn() -> tuple[Path | None, dict[str, Path]]:
    """oneDNN's include folder, and what lies beside the extension: {name there: source}."""
    told = os.environ.get("GRAPHC_ONEDNN", "")
    if told not in ("", "0", "1"):
        raise SystemExit(f"GRAPHC_ONEDNN is {told!r}; it may be 0 or 1")
    if told == "0":
        return None, {}
    try:
        header = installed(ONEDNN_HEADERS, "include/oneapi/dnnl/dnnl.hpp")
        beside = {
            "libdnnl.so.3": installed(ONEDNN, "libdnnl.so.3"),
            "libdnnl.LICENSE": installed(ONEDNN, "doc/onednn/LICENSE"),
            "libdnnl.THIRD-PARTY-PROGRAMS": installed(ONEDNN, "THIRD-PARTY-PROGRAMS"),
        }
    except (metadata.PackageNotFoundError, FileNotFoundError) as error:
        if told == "1":
            raise SystemExit(f"GRAPHC_ONEDNN=1, but: {error}") from error
        print(f"graphc: building without oneDNN: {error}", file=sys.stderr)
        return None, {}
    return header.parents[2], beside


class BuildExt(build_ext):
    """Lays a copy of oneDNN beside the extension, where its run path finds it: packages that only
    the build has are gone later, and installers differ in where they put libraries.

    The extension that was linked last stays in build/extension, under a digest of all it was made
    of: to install the same sources again, with an extra say, compiles nothing."""

    def digest(self) -> str:
        """Of sources, headers, compilers, their flags, and the packages they include."""
        seen = hashlib.sha256()
        commands = [
            self.compiler.compiler_so,
            self.compiler.compiler_so_cxx,
            self.compiler.linker_so_cxx,
        ]
        for command in commands:
            told = subprocess.run([command[0], "--version"], capture_output=True, check=True)
            seen.update(told.stdout + "\0".join(command).encode())
        versions = [sys.version, metadata.version("pybind11")]
        versions += [metadata.version(name) for name in (ONEDNN, ONEDNN_HEADERS) if INCLUDE]
        seen.update(repr(versions).encode())
        for path in [*SOURCES, *HEADERS, Path("setup.py")]:
            data = path.read_bytes()
            seen.update(f"{path} {len(data)}\0".encode() + data)
        for extension in self.extensions:
            told_twice = [extension.extra_compile_args, extension.extra_link_args]
            seen.update(repr([*told_twice, extension.define_macros]).encode())
        return seen.hexdigest()

    def build_extension(self, extension: Pybind11Extension) -> None:
        built = Path(self.get_ext_fullpath(extension.name))
        try:
            kept = KEPT / self.digest() / built.name
        except (AttributeError, OSError, subprocess.SubprocessError):
            super().build_extension(extension)  # another kind of compiler
            return
        if kept.exists():
            built.parent.mkdir(parents=True, exist_ok=True)
            built.unlink(missing_ok=True)  # somebody may have it loaded
            shutil.copy(kept, built)
            return
        super().build_extension(extension)
        with suppress(OSError):  # sources may lie where nothing can be written
            shutil.rmtree(KEPT, ignore_errors=True)
            kept.parent.mkdir(parents=True)
            whole = kept.with_suffix(".part")
            shutil.copy(built, whole)
            os.replace(whole, kept)

    def run(self) -> None:
        super().run()
        folder = Path(self.get_ext_fullpath("graphc._core")).parent
        for name, source in BESIDE.items():
            self.copy_file(str(source), str(folder / name))
        if not self.inplace:  # a checkout has them beside the package
            self.mkpath(str(folder / "kernels"))
            for source in sorted(Path("kernels").glob("*.*")):
                self.copy_file(str(source), str(folder / "kernels" / source.name))

    def get_output_mapping(self) -> dict[str, str]:
        """{built file: file in the source tree}, from which a strict editable install is linked."""
        mapping = super().get_output_mapping()
        for built, source in list(mapping.items()):
            for name in BESIDE:
                mapping[str(Path(built).with_name(name))] = str(Path(source).with_name(name))
        return mapping


INCLUDE, BESIDE = find_onednn()
SOURCES = sorted(
    path for path in Path("csrc").rglob("*.cpp") if INCLUDE or "dnnl" not in path.parts
)
HEADERS = sorted(path for folder in ("csrc", "kernels") for path in Path(folder).rglob("*.h"))
KEPT = Path("build", "extension")
LINK = [] if IS_WINDOWS else ["-fopenmp"]
RUN_PATH = ["-Wl,-rpath,$ORIGIN"] if INCLUDE else []

ParallelCompile("GRAPHC_BUILD_JOBS").install()

# Built aside: modules deleted since the last build would stay in ./build and get into the wheel.
with tempfile.TemporaryDirectory() as aside:
    setup(
        options={"build": {"build_base": aside}},
        cmdclass={"build_ext": BuildExt},
        ext_modules=[
            Pybind11Extension(
                "graphc._core",
                [str(path) for path in SOURCES],
                depends=[str(path) for path in HEADERS],
                include_dirs=["csrc", "kernels", *([str(INCLUDE)] if INCLUDE else [])],
                define_macros=[("GRAPHC_HAS_ONEDNN", "1" if INCLUDE else "0")],
                extra_objects=[str(path) for name, path in BESIDE.items() if ".so" in name],
                cxx_std=17,
                extra_compile_args=[*FLAGS, *TOLD["CFLAGS"]],
                extra_link_args=[*LINK, *RUN_PATH, *TOLD["LDFLAGS"]],
            )
        ],
    )
