"""Recipes: a list of passes as TOML, shared by the command line, the API and the artefact.

[[pass]]
name = "remove_dropout"
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from graphc.errors import GraphError, fail
from graphc.passes.base import Pass
from graphc.passes.registry import build, load_user_pass, make_pass


def parse_spec(text: str) -> Pass:
    """NAME or FILE.py:CLASS, each perhaps with :key=value,key=value -> the pass. Raises GC-T001."""
    path, is_file, rest = text.partition(".py:")
    if text.endswith(".py"):
        fail("GC-T001", f"{text!r} names a file, but no pass", f"write {text}:CLASS")
    name, _, options = (rest if is_file else text).partition(":")
    table: dict[str, Any] = {}
    for item in filter(None, options.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            fail("GC-T001", f"pass option {item!r} is not key=value")
        table[key.strip()] = value.strip()
    if is_file:
        return build(load_user_pass(f"{path}.py:{name.strip()}"), table)
    return make_pass(name.strip(), table)


def read_recipe(path: Path) -> list[Pass]:
    """The passes of a recipe file, in order. Raises GC-F001, GC-T001."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraphError("GC-F001", f"cannot read {str(path)!r}: {error}") from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, file: str = "<recipe>") -> list[Pass]:
    """The passes of a recipe's text. Each `[[pass]]` has a `name` (or `file = "f.py:Class"`) and
    the pass's options."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        entries = tomllib.loads(text).get("pass", [])
    except tomllib.TOMLDecodeError as error:
        fail("GC-T001", f"{file} is no TOML: {error}")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        fail("GC-T001", f"{file}: 'pass' must be a list of tables", "write [[pass]] before each")
    return [_build(dict(entry), file) for entry in entries]


def _build(entry: dict[str, Any], file: str) -> Pass:
    name, own = entry.pop("name", None), entry.pop("file", None)
    if isinstance(own, str):
        return build(load_user_pass(own), entry)
    if not isinstance(name, str):
        fail("GC-T001", f"{file}: a [[pass]] has no name")
    return make_pass(name, entry)


def print_recipe(passes: list[Pass]) -> str:
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
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
