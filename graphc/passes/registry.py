"""The passes by name: built in, in the entry point group `graphc.passes`, or from a user's file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeAlias

from graphc.errors import GraphError, fail, near
from graphc.passes.base import Pass
from graphc.passes.options import build, check_name, checked

DEFAULT = (
    "remove_dead_code",
    "remove_dropout",
    "remove_identity",
    "fold_constants",
    "merge_common",
    "fold_input",
    "fold_batch_norm",
    "fold_scale",
)
"""Run in this order, and again, until none finds anything more."""
GROUP = "graphc.passes"
PassLike: TypeAlias = str | Pass | type[Pass]
"""A pass's name or "file.py:Class", a pass, or its class."""


def all_passes() -> dict[str, type[Pass]]:
    """Every known pass class, by name. Raises GC-T001 for an entry point that is broken."""
    found = _built_in() | {name: _loaded(entry) for name, entry in _installed().items()}
    return dict(sorted(found.items()))


def resolve(passes: Iterable[PassLike] | str) -> list[Pass]:
    """Pass objects from names, classes and objects; "default" is the standard list.

    Raises GC-T001, GC-F001.
    """
    if passes == "default":
        return [make_pass(name) for name in DEFAULT]
    if isinstance(passes, (str, Pass, type)) or not isinstance(passes, Iterable):
        fail("GC-T001", f"passes is {passes!r}", 'give "default" or a list of passes')
    return [_resolved(each) for each in passes]


def _resolved(each: PassLike) -> Pass:
    if isinstance(each, Pass):
        check_name(type(each))
        return checked(each)
    if isinstance(each, type) and issubclass(each, Pass):
        return build(each, {})
    if not isinstance(each, str):
        fail("GC-T001", f"{each!r} is no pass", "give a name, file.py:Class, a Pass or its class")
    return build(load_user_pass(each), {}) if ".py:" in each else make_pass(each)


def make_pass(name: str, options: Mapping[str, Any] | None = None) -> Pass:
    """The pass called `name` with options; strings are converted to the options' types.

    Raises GC-T001 for an unknown pass or option, or a value of the wrong kind.
    """
    built_in = _built_in()
    if name in built_in:
        return build(built_in[name], options or {})
    installed = _installed()
    if name not in installed:
        hint = near(name, [*built_in, *installed]) or "`graphc passes` lists them"
        fail("GC-T001", f"no pass {name!r}", hint)
    return build(_loaded(installed[name]), options or {})


@cache
def _built_in() -> dict[str, type[Pass]]:
    import graphc.passes as package

    found: dict[str, type[Pass]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        found |= {c.name: c for c in _classes(importlib.import_module(f"{GROUP}.{module.name}"))}
    found.pop("", None)
    return found


def _installed() -> dict[str, EntryPoint]:
    """Entry points by name; they are loaded one by one, when asked for."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = found.setdefault(entry.name, entry)
        if entry.name in _built_in() or other.value != entry.value:
            what = "built in" if entry.name in _built_in() else other.value
            fail("GC-T001", f"two passes are called {entry.name!r}: {entry.value} and {what}")
    return found


def _loaded(entry: EntryPoint) -> type[Pass]:
    where = f"entry point {entry.name!r} ({entry.value})"
    try:
        cls = entry.load()
    except Exception as error:  # whatever a broken package raises
        told = f"{where} cannot be loaded: {type(error).__name__}: {error}"
        raise GraphError("GC-T001", told, "repair or remove the package") from error
    if not (isinstance(cls, type) and issubclass(cls, Pass)):
        fail("GC-T001", f"{where} is no pass class")
    if cls.name != entry.name:
        fail("GC-T001", f"{where} holds a pass called {cls.name!r}", "give both one name")
    return cls


def _classes(module: Any) -> list[type[Pass]]:
    """The pass classes a module defines itself."""
    return [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Pass) and c.__module__ == module.__name__
    ]


def load_user_pass(spec: str, base: Path | None = None) -> type[Pass]:
    """The class named by `file.py:Class`; the file is looked for here, then in `base`.

    The file is code and runs with the caller's rights. Raises GC-F001 for a missing file, GC-T001
    for one without that pass.
    """
    path, _, class_name = spec.rpartition(":")
    if not path:
        fail("GC-T001", f"{spec!r} is no file.py:Class")
    places = [Path(path)] if base is None else [Path(path), base / path]
    file = next((p.resolve() for p in places if "\0" not in path and p.is_file()), None)
    if file is None:
        fail("GC-F001", f"no such file: {path!r}")
    classes = _classes(_imported(file, path))
    for cls in classes:
        if class_name in (cls.__name__, cls.name):
            cls.origin = f"{path}:{cls.__name__}"
            return cls
    names = [c.__name__ for c in classes]
    hint = near(class_name, names) or f"its passes: {', '.join(names) or 'none'}"
    fail("GC-T001", f"{path} has no pass {class_name!r}", hint)


def _imported(file: Path, path: str) -> Any:
    # two files of one name must not be taken for one module
    name = f"graphc_pass_{zlib.crc32(str(file).encode('utf-8', 'surrogateescape')):08x}_{file.stem}"
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        fail("GC-T001", f"{path!r} is no Python file", "its name must end in .py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException as error:  # the user's code may raise anything
        del sys.modules[name]
        if isinstance(error, GraphError) or not isinstance(error, Exception):
            raise
        raise GraphError("GC-T001", f"{path}: {type(error).__name__}: {error}") from error
    return module
