"""The house's one-way street (design 1): rows import only rows above; layer names stay in ops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphc.ops.registry import all_ops

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "graphc"

# From top to bottom. A name is a module or a folder of graphc/; it may import itself and names of
# earlier rows, never one of its own row. `*` is graphc/__init__.py, which only forwards names.
ROWS: tuple[tuple[str, ...], ...] = (
    ("records", "numpy_later", "pauses"),
    ("codes",),
    ("errors",),
    ("_core", "limits", "config", "files"),
    ("floats",),
    ("tensorfile",),
    ("coding",),
    ("rng", "costs"),
    ("ir",),
    ("data",),
    ("ops",),
    ("check",),
    ("count", "difference", "factor", "channels"),
    ("front",),
    ("passes",),
    ("autodiff", "slices"),
    ("micro_batches", "mbs"),
    ("updates",),
    ("program",),
    ("cuda",),
    ("lower",),
    ("plan",),
    ("lowering",),
    ("budget",),
    ("runtime",),
    ("services", "loading"),
    ("driver",),
    ("train", "methods"),
    ("report",),
    ("memory",),
    ("tuning", "benchmark", "comparison", "exporting", "gradient_check", "layer_sensitivity"),
    ("gpu_tuning",),
    ("demonstration",),
    ("*",),
    ("cli",),
    ("__main__",),
)

# Importer -> names it must not import although they are above it, and why.
FORBIDDEN: dict[str, tuple[tuple[str, ...], str]] = {
    "lower": (("passes",), "lowering decides for a backend, passes for every backend"),
    "plan": (("passes", "lower"), "the planner sees a Program only"),
    "runtime": (("passes", "front"), "running an artefact needs neither protobuf nor passes"),
}

# Strings that happen to equal a layer type, as (file, string): what they are there.
NOT_LAYER_TYPES: dict[tuple[str, str], str] = {}
UPGRADE_TABLES = ("front/upgrade", "front/v0.py", "front/v1.py")

LEVEL = {name: index for index, row in enumerate(ROWS) for name in row}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The row entry a file of graphc/ belongs to."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "*" if first == "__init__" else first


def imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, room) of every import of graphc in a module of `package`, nested ones included."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "graphc":
                entry = parts[1] if len(parts) > 1 else "*"
                yield node.lineno, entry if entry in LEVEL else _entry_or_top(entry)


def _entry_or_top(entry: str) -> str:
    """`from graphc import load` names an attribute of the package, not a module."""
    is_module = (PACKAGE / entry).is_dir() or (PACKAGE / f"{entry}.py").exists()
    return entry if is_module else "*"


def wrong_imports(where: str, tree: ast.AST, package: tuple[str, ...]) -> list[str]:
    found = []
    banned, why = FORBIDDEN.get(where, ((), ""))
    for line, entry in imported(tree, package):
        if entry == where:
            continue
        if entry in banned:
            found.append(f"line {line}: {where} imports {entry}: {why}")
        elif LEVEL[entry] >= LEVEL[where]:
            found.append(f"line {line}: {where} imports {entry}, which is not above it")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_upwards(path):
    assert room(path) in LEVEL, f"{path.name} is in no row of ROWS: give it its place"
    package = ("graphc", *path.relative_to(PACKAGE).parent.parts)
    found = wrong_imports(room(path), ast.parse(path.read_text()), package)
    assert not found, f"{path.relative_to(ROOT)}: " + "; ".join(found)


@pytest.mark.parametrize(
    ("where", "text", "good"),
    [
        ("ops", "from graphc.ir.types import Type", True),
        ("ir", "from graphc.ops.spec import OpSpec", False),
        ("passes", "def f():\n    import graphc.plan", False),
        ("plan", "from graphc import passes", False),
        ("plan", "from graphc.lower.cpu import lower", False),
        ("lower", "from ..passes import base", False),
        ("runtime", "from graphc.front import weights", False),
        ("driver", "from graphc.front import weights", True),
        ("limits", "from graphc import files", False),
        ("cli", "from graphc import load, __version__", True),
        ("driver", "import graphc", False),
        ("errors", "import graphcx.ops", True),
    ],
)
def test_the_checker_sees_wrong_imports(where, text, good):
    found = wrong_imports(where, ast.parse(text), ("graphc", where))
    assert (not found) is good, found


def layer_names(path: Path, types: set[str]) -> list[str]:
    """Layer types written as string constants, as "line: name"; pieces of f-strings are prose."""
    relative = str(path.relative_to(PACKAGE))
    tree = ast.parse(path.read_text())
    pieces = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    return [
        f"{node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and id(node) not in pieces
        and isinstance(node.value, str)
        and node.value in types
        and (relative, node.value) not in NOT_LAYER_TYPES
    ]


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if not str(p.relative_to(PACKAGE)).startswith(("ops/", *UPGRADE_TABLES))],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_layer_types_are_no_strings_outside_ops(path):
    found = layer_names(path, set(all_ops()))
    assert not found, (
        f"{path.relative_to(ROOT)}: layer types as strings (lines {', '.join(found)}): ask a "
        "trait, import the class, or say in NOT_LAYER_TYPES what the string is"
    )


def test_the_checker_sees_layer_names():
    path = next(p for p in FILES if p.name == "inner_product.py")
    assert layer_names(path, {"InnerProduct"})


def test_the_allowlist_is_needed():
    """An entry whose file or string is gone must go too."""
    for relative, text in NOT_LAYER_TYPES:
        tree = ast.parse((PACKAGE / relative).read_text())
        assert any(isinstance(n, ast.Constant) and n.value == text for n in ast.walk(tree))
