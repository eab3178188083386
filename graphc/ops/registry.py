"""The table of layer types, filled by importing the modules of `graphc.ops`; frozen but for --ops.

A type of ours is declared in the module of its name, so that finding one imports one: InnerProduct
is in inner_product.py. Third parties register in the entry point group `graphc.ops`, or hand a file
to `load_file`; those are asked for what is not ours, and for all.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from graphc.errors import GraphError, fail, near
from graphc.ir.op import Op, Trait

if TYPE_CHECKING:
    from graphc.ops.spec import OpSpec

_TABLE: dict[str, type[OpSpec]] = {}
_NOT_LAYERS = {"spec", "registry", "ties"}
_ELSEWHERE = {"convolutiondepthwise": "depthwise_convolution"}
_REFUSED = {
    "Python": "a Python layer runs code named by the prototxt; declare the layer with --ops f.py",
    "WindowData": "no reader for R-CNN window files; crop the windows into an ImageData list",
}


def register(cls: type[OpSpec]) -> None:
    """Enter a declaration. Raises GC-O001 for a duplicate or self-contradicting one."""
    home = _homes().get(cls.type.lower())
    if home is not None and cls.__module__ != f"{__package__}.{home}":
        importlib.import_module(f"{__package__}.{home}")  # so that ours is there first
    other = _TABLE.get(cls.type)
    if other is not None and _source(other) != _source(cls):
        fail(
            "GC-O001", f"layer type {cls.type!r} is declared in {_source(other)} and {_source(cls)}"
        )
    if not (cls.__doc__ or "").strip():
        fail("GC-O001", f"layer type {cls.type!r} has no docstring; its first line is the formula")
    for stems in (cls.bottoms, cls.tops):
        if sum(s.endswith("*") for s in stems) > 1 or len(set(stems)) < len(stems):
            fail("GC-O001", f"layer type {cls.type!r}: roles {stems} are ambiguous")
    _TABLE[cls.type] = cls


def _source(cls: type[OpSpec]) -> str:
    import inspect

    try:
        return f"{inspect.getsourcefile(cls)}:{cls.__qualname__}"
    except (OSError, TypeError):
        return f"{cls.__module__}:{cls.__qualname__}"


@cache
def _discover() -> None:
    import pkgutil
    from importlib.metadata import entry_points

    import graphc.ops as package

    for path in (package, importlib.import_module("graphc.ops.update")):
        for module in pkgutil.iter_modules(path.__path__):
            if module.name not in _NOT_LAYERS and not module.name.startswith("_"):
                importlib.import_module(f"{path.__name__}.{module.name}")
    for entry in entry_points(group="graphc.ops"):
        try:
            entry.load()
        except GraphError:
            raise
        except Exception as error:  # whatever a broken package raises
            where = f"entry point {entry.name!r} ({entry.value})"
            told = f"{where} cannot be loaded: {type(error).__name__}: {error}"
            raise GraphError("GC-O001", told, "repair or remove the package") from error


@cache
def _homes() -> dict[str, str]:
    """Layer type, in small letters -> module of that name; nothing where files are not listed."""
    folder = Path(__file__).parent
    try:
        names = [name.removesuffix(".py") for name in os.listdir(folder) if name.endswith(".py")]
    except OSError:
        return {}
    layers = (n for n in names if n not in _NOT_LAYERS and not n.startswith("_"))
    return {name.replace("_", ""): name for name in layers} | _ELSEWHERE


def all_ops() -> dict[str, type[OpSpec]]:
    """Every known layer type, by name."""
    _discover()
    return dict(sorted(_TABLE.items()))


def find(type_name: str) -> type[OpSpec]:
    """The declaration of a layer type. Raises GC-N001 with near names."""
    if type_name not in _TABLE:
        home = _homes().get(type_name.lower())
        if home is not None:
            importlib.import_module(f"{__package__}.{home}")
    if type_name not in _TABLE:
        _discover()
    if type_name in _REFUSED and type_name not in _TABLE:
        fail("GC-U001", f"layer type {type_name!r} is not supported", _REFUSED[type_name])
    if type_name not in _TABLE:
        hint = (
            near(type_name, _TABLE) or "`graphc ops` lists all types; add your own with --ops f.py"
        )
        fail("GC-N001", f"unknown layer type {type_name!r}", hint)
    return _TABLE[type_name]


def is_stock(op: type[Op]) -> bool:
    """Does BVLC's Caffe have this layer type? A user's own it has not."""
    return op.__module__.startswith(f"{__package__}.") and Trait.EXTENSION not in op.traits


def load_file(path: str | Path) -> list[str]:
    """Import a user's file of declarations; returns the new type names. Raises GC-F001, GC-O001.

    The file is code: it runs with the caller's rights.
    """
    _discover()
    file = Path(path).resolve()
    if not file.is_file():
        fail("GC-F001", f"no such file: {str(path)!r}")
    before = set(_TABLE)
    spec = importlib.util.spec_from_file_location(f"graphc_user_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except GraphError:
        raise
    except Exception as error:  # whatever the user's code raises is the user's to read
        raise GraphError("GC-O001", f"{path}: {type(error).__name__}: {error}") from error
    return sorted(set(_TABLE) - before)


__all__ = ["all_ops", "find", "is_stock", "load_file", "register"]
