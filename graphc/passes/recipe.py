"""Recipes: a list of passes as TOML, shared by the command line, the API and the artefact.

[[pass]]
name = "remove_dropout"

[[memory]]
keep = ["conv1"]
replay = ["relu1", "pool1"]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.errors import GraphError, fail, near
from graphc.files import map_file
from graphc.passes.base import Pass
from graphc.passes.options import build
from graphc.passes.registry import load_user_pass, make_pass

TABLES = ("pass", "memory")
OVERRIDES = ("keep", "replay")


def parse_spec(text: str) -> Pass:
    """NAME or FILE.py:CLASS, each perhaps with :key=value,key=value -> the pass; what follows a
    comma without a key is one more value of the key before. Raises GC-T001."""
    path, is_file, rest = text.partition(".py:")
    if text.endswith(".py"):
        fail("GC-T001", f"{text!r} names a file, but no pass", f"write {text}:CLASS")
    name, _, options = (rest if is_file else text).partition(":")
    table: dict[str, Any] = {}
    for item in filter(None, options.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals and table:
            last = next(reversed(table))
            before = table[last]
            table[last] = [*(before if isinstance(before, list) else [before]), key]
            continue
        if not equals or key in table:
            fail("GC-T001", f"pass option {item!r} is not key=value, or is given twice")
        table[key] = value
    if is_file:
        return build(load_user_pass(f"{path}.py:{name.strip()}"), table)
    return make_pass(name.strip(), table)


def read_recipe(path: Path) -> list[Pass]:
    """The passes of a recipe file, in order. Raises GC-F001, GC-T001."""
    try:
        text = bytes(map_file(path)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise GraphError("GC-T001", f"{str(path)!r} is no UTF-8: {error}") from None
    return parse_recipe(text, str(path), path.parent)


def parse_recipe(text: str, file: str = "<recipe>", base: Path | None = None) -> list[Pass]:
    """The passes of a recipe's text. Each `[[pass]]` has a `name` (or `file = "f.py:Class"`) and
    the pass's options; such a file is looked for here, then in `base`. Raises GC-T001, GC-F001."""
    found = _tables(text, file)
    return [_build(dict(entry), file, base) for entry in found["pass"]]


def read_overrides(path: Path) -> dict[str, str]:
    """Layer -> "keep" or "replay" of a recipe file's `[[memory]]`, see `parse_overrides`. Raises
    GC-F001, GC-T001."""
    try:
        return parse_overrides(bytes(map_file(path)).decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise GraphError("GC-T001", f"{str(path)!r} is no UTF-8: {error}") from None


def parse_overrides(text: str, file: str = "<recipe>") -> dict[str, str]:
    """What a recipe's `[[memory]]` tables say of layers: `keep`, `replay`, lists of names. Raises
    GC-T001, also for a layer that is to be both."""
    found: dict[str, str] = {}
    for entry in _tables(text, file)["memory"]:
        for how, layers in entry.items():
            if how not in OVERRIDES:
                fail(
                    "GC-T001", f"{file}: {how!r} means nothing in [[memory]]", near(how, OVERRIDES)
                )
            if not isinstance(layers, list) or not all(isinstance(each, str) for each in layers):
                fail("GC-T001", f"{file}: {how!r} must be a list of layers", 'as ["conv1"]')
            for layer in layers:
                if found.setdefault(layer, how) != how:
                    fail("GC-T001", f"{file}: layer {layer!r} is to be kept and to be replayed")
    return found


def _tables(text: str, file: str) -> dict[str, list[dict[str, Any]]]:
    """The lists of tables of a recipe, by name."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        fail("GC-T001", f"{file} is no TOML: {error}")
    for key in sorted(found.keys() - set(TABLES)):
        fail("GC-T001", f"{file}: {key!r} means nothing here", near(key, TABLES))
    for key in TABLES:
        entries = found.setdefault(key, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            fail(
                "GC-T001",
                f"{file}: {key!r} must be a list of tables",
                f"write [[{key}]] before each",
            )
    return {key: found[key] for key in TABLES}


def _build(entry: dict[str, Any], file: str, base: Path | None) -> Pass:
    name, own = entry.pop("name", None), entry.pop("file", None)
    if (name is None) == (own is None) or not isinstance(name or own, str):
        fail("GC-T001", f"{file}: a [[pass]] needs a name, or a file", 'write name = "..."')
    try:
        return make_pass(name, entry) if own is None else build(load_user_pass(own, base), entry)
    except GraphError as error:
        if base is not None:  # it is read from a file
            error.message = f"{file}: {error.message}"
        raise


def print_recipe(passes: Sequence[Pass]) -> str:
    """The recipe text of passes; options that have their default are left out.

    A pass of a user's that was not loaded from a file has only its name to be found by.
    """
    blocks = []
    for each in passes:
        key, value = ("file", each.origin) if each.origin else ("name", each.name)
        lines = ["[[pass]]", f"{key} = {_toml(value)}"]
        lines += [f"{key} = {_toml(value)}" for key, value in each.options().items()]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
