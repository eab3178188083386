"""graphc doctor."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from graphc import __version__
from graphc.cli.gpu_rows import gpu_rows
from graphc.cli.options import json_option
from graphc.cli.output import emit_json, say, size_text, table
from graphc.config import Config, describe

OK, MISSING, BROKEN = "ok", "missing", "broken"
CORE = {
    "numpy": "numpy",
    "protobuf": "google.protobuf",
    "click": "click",
    "safetensors": "safetensors",
    "C++ extension": "graphc._core",
}
EXTRAS = {
    "h5py": ("h5py", "data", "HDF5 weights and HDF5 data layers"),
    "lmdb": ("lmdb", "data", "writing LMDBs with `graphc data convert`"),
    "pillow": ("PIL", "data", "images on the command line and ImageData layers"),
    "scikit-learn": ("sklearn", "demo", "`graphc demo`"),
}
TARGETS = {
    "reference": (OK, "float64 on the CPU: slow, and right"),
    "cpu": (OK, "float32 on the C++ core"),
}

Row = tuple[str, str, str, str]


@click.command("doctor")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Say what this installation can do, and what is missing for the rest.

    The exit code is 1 if something is missing or broken that every verb needs.
    """
    core = [_package(name, module, "needed") for name, module in CORE.items()]
    rows: list[Row] = [
        ("graphc", __version__, OK, os.path.dirname(os.path.dirname(__file__))),
        ("python", platform.python_version(), OK, sys.executable),
        ("machine", platform.machine(), OK, _machine()),
        *core,
    ]
    for name, (module, extra, use) in EXTRAS.items():
        row = _package(name, module, use)
        if row[2] == MISSING:
            row = (name, "", MISSING, f"for {use}: pip install 'graphc[{extra}]'")
        rows.append(row)
    rows.append(_onednn())
    rows += [(f"target {t}", "", state, remark) for t, (state, remark) in TARGETS.items()]
    rows.append(_fake())
    rows += gpu_rows()
    settings = describe(Config.load())
    healthy = all(row[2] == OK for row in core)
    if as_json:
        keys = ("name", "version", "state", "remark")
        emit_json(
            {
                "healthy": healthy,
                "checks": [dict(zip(keys, row, strict=True)) for row in rows],
                "settings": {name: value for name, value, _ in settings},
            }
        )
    else:
        table(("what", "version", "state", "remark"), rows)
        say("")
        table(("variable", "value", "meaning"), settings)
    if not healthy:
        ctx.exit(1)


def _fake() -> Row:
    from graphc.cuda.on_cpu import unavailable

    why = unavailable()
    told = f"needs g++ on x86-64 Linux: {why}" if why else "what a GPU would run, on the CPU: slow"
    return "target fake", "", MISSING if why else OK, told


def _package(name: str, module: str, use: str) -> Row:
    """Import it, rather than ask whether it is installed: a package may be there and broken."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        state, use = (MISSING, use) if error.name == module.split(".")[0] else (BROKEN, str(error))
    except Exception as error:  # whatever a broken package raises
        state, use = BROKEN, f"{type(error).__name__}: {error}".partition("\n")[0]
    else:
        state = OK
    return (name, "" if module.startswith("graphc.") else _version(name), state, use)


def _onednn() -> Row:
    """What the C++ extension, if it can be imported, has of oneDNN."""
    try:
        core = importlib.import_module("graphc._core")
    except Exception:  # the row of the extension says what is wrong with it
        return ("oneDNN", "", MISSING, "comes with the C++ extension")
    version = core.onednn_version()
    if not version:
        return ("oneDNN", "", "not built", "target cpu has its own kernels alone, see README.md")
    block = core.channel_block()
    if block == 0:
        return ("oneDNN", version, "unused", "needs AVX2, and a GRAPHC_ISA that is not portable")
    instructions = "AVX-512" if block == 16 else "AVX2"
    return ("oneDNN", version, OK, f"kernels for target cpu, {instructions}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _machine() -> str:
    told = f"{os.cpu_count()} cores"
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return told
    return f"{told}, {size_text(memory)} memory, {platform.system()}"
