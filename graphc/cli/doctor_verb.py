"""graphc doctor."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from graphc import __version__
from graphc.cli.options import json_option
from graphc.cli.output import emit_json, table

EXTRAS = {
    "h5py": ("data", "HDF5 weights and HDF5 data layers"),
    "lmdb": ("data", "Data layers on LMDB"),
    "pillow": ("data", "images on the command line and ImageData layers"),
    "cupy-cuda13x": ("gpu", "running on a GPU"),
}
CORE = ("numpy", "protobuf", "click", "rich", "safetensors")


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Say what this installation can do, and what is missing for the rest."""
    rows = [("graphc", __version__, "ok", "")]
    rows.append(("python", platform.python_version(), "ok", platform.platform()))
    rows.append(("cores", str(os.cpu_count()), "ok", platform.machine()))
    rows += [(name, _version(name), _state(name), "core") for name in CORE]
    rows.append(_extension())
    for name, (extra, use) in EXTRAS.items():
        missing = f"for {use}: pip install 'graphc[{extra}]'"
        rows.append((name, _version(name), _state(name), use if _version(name) else missing))
    rows.append(("target reference", "", "ok", "float64, slow, right"))
    rows += [(f"target {t}", "", "not built", "") for t in ("cpu", "cuda")]
    if as_json:
        keys = ("name", "version", "state", "remark")
        emit_json({"checks": [dict(zip(keys, row, strict=True)) for row in rows]})
    else:
        table(("what", "version", "state", "remark"), rows)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _state(name: str) -> str:
    return "ok" if _version(name) else "missing"


def _extension() -> tuple[str, str, str, str]:
    try:
        importlib.import_module("graphc._core")
    except ImportError as error:
        return ("C++ extension", "", "missing", str(error))
    return ("C++ extension", "", "ok", "graphc._core")
