"""The passes by name: built in, in the entry point group `graphc.passes`, or from a user's file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_type_hints

from graphc.errors import GraphError, fail
from graphc.ir.graph import near
from graphc.passes.base import Pass

DEFAULT = ("remove_dead_code", "remove_dropout")


@cache
def all_passes() -> dict[str, type[Pass]]:
    """Every known pass class, by name."""
    import graphc.passes as package

    found: dict[str, type[Pass]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        found |= passes_in(importlib.import_module(f"graphc.passes.{module.name}"))
    for entry in entry_points(group="graphc.passes"):
        loaded = entry.load()
        found[loaded.name] = loaded
    return dict(sorted(found.items()))


def passes_in(module: Any) -> dict[str, type[Pass]]:
    """The pass classes a module defines, by pass name."""
    classes = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Pass) and c.__module__ == module.__name__
    ]
    return {c.name: c for c in classes if c.name}


def make_pass(name: str, options: Mapping[str, Any] | None = None) -> Pass:
    """The pass called `name` with options; strings are converted to the options' types.

    Raises GC-T001 for an unknown pass or option, or a value of the wrong kind.
    """
    table = all_passes()
    if name not in table:
        fail("GC-T001", f"no pass {name!r}", near(name, table) or "`graphc passes` lists them")
    return build(table[name], options or {})


def build(cls: type[Pass], options: Mapping[str, Any]) -> Pass:
    """Instantiate a pass class from options by name."""
    known = cls.defaults()
    for key in options:
        if key not in known:
            hint = near(key, known) or f"its options: {', '.join(sorted(known)) or 'none'}"
            fail("GC-T001", f"pass {cls.name!r} has no option {key!r}", hint)
    hints = get_type_hints(cls)
    return cls(**{key: _convert(cls, key, hints[key], value) for key, value in options.items()})


def _convert(cls: type[Pass], key: str, wanted: Any, value: Any) -> Any:
    if not isinstance(value, str) or wanted is str:
        return value
    try:
        if wanted is bool:
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        return wanted(value) if wanted in (int, float) else value
    except (ValueError, KeyError):
        fail("GC-T001", f"pass {cls.name!r}: {key}={value!r} is no {wanted.__name__}")


def load_user_pass(spec: str) -> type[Pass]:
    """The class named by `file.py:Class`. The file is code and runs with the caller's rights.

    Raises GC-F001 for a missing file, GC-T001 for one without that pass.
    """
    path, _, class_name = spec.rpartition(":")
    if not path:
        fail("GC-T001", f"{spec!r} is no file.py:Class")
    file = Path(path).resolve()
    if not file.is_file():
        fail("GC-F001", f"no such file: {path!r}")
    found = importlib.util.spec_from_file_location(f"graphc_pass_{file.stem}", file)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    try:
        found.loader.exec_module(module)
    except GraphError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise GraphError("GC-T001", f"{path}: {type(error).__name__}: {error}") from error
    classes = passes_in(module)
    for cls in classes.values():
        if class_name in (cls.__name__, cls.name):
            cls.origin = f"{path}:{cls.__name__}"
            return cls
    names = [c.__name__ for c in classes.values()]
    fail("GC-T001", f"{path} has no pass {class_name!r}", near(class_name, names))
