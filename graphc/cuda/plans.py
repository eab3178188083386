"""Plans of cuDNN for a product of a convolution, and the tables in which they are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from graphc.errors import fail
from graphc.records import record

TABLES = Path(__file__).parent.parent / "tables"
LAYOUTS = {"f32": "nchw", "f16": "nhwc", "bf16": "nhwc"}
"""How images lie, by element type; halves are channels last, as tensor cores want them."""
VERSION = 1
RANDOM, TF32 = 1, 2
"""Flags of a plan in a table: its bits may differ from run to run; it rounds f32 to TF32."""


@record(frozen=True, slots=True)
class Product:
    """One product of a convolution. `direction`: "fprop" x * w -> y, "dgrad" dy, w -> dx or "wgrad"
    x, dy -> dw. Shapes are (N, C, H, W), (K, C / groups, R, S) and (N, K, P, Q); `bias`: of fprop,
    one number for each of K is added."""

    direction: str
    dtype: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    y: tuple[int, ...]
    pad: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    bias: bool = False

    @property
    def key(self) -> str:
        """What it is called in the table of its element type."""
        shapes = ("x".join(map(str, shape)) for shape in (self.x, self.w))
        told = (
            f"{name}{','.join(map(str, numbers))}"
            for name, numbers in zip("psd", (self.pad, self.stride, self.dilation), strict=True)
        )
        return " ".join((self.direction, *shapes, *told, *(("bias",) if self.bias else ())))

    @property
    def macs(self) -> int:
        return math.prod(self.y) * math.prod(self.w[1:])

    @property
    def nbytes(self) -> int:
        """Of the three operands."""
        item = 4 if self.dtype == "f32" else 2
        return item * sum(map(math.prod, (self.x, self.w, self.y)))


@record(frozen=True, slots=True)
class Plan:
    """`key`: engine and knobs by name, which tell it from every other of a product, "eng68
    TILE_SIZE=5 TILEK=0"; `workspace` in bytes; `is_tf32`: factors of f32 are rounded to 10 bits
    for tensor cores."""

    key: str
    workspace: int
    is_deterministic: bool = True
    is_tf32: bool = False


def fastest_first(plans: Iterable[Plan], tf32: bool, deterministic: bool) -> tuple[Plan, ...]:
    """Of plans in the order of their speed those that are allowed and need less workspace than all
    that are faster. `tf32`: TF32 may be used; `deterministic`: all plans must be."""
    found: list[Plan] = []
    for plan in plans:
        is_allowed = (tf32 or not plan.is_tf32) and (plan.is_deterministic or not deterministic)
        if is_allowed and (not found or plan.workspace < found[-1].workspace):
            found.append(plan)
    return tuple(found)


@record(frozen=True)
class Table:
    """Plans of a GPU's products, by `Product.key`, as one version of cuDNN gives them."""

    gpu: str
    cudnn: str
    dtype: str
    products: Mapping[str, tuple[Plan, ...]]

    def text(self, frontend: str) -> str:
        """JSON that `table` reads: plans are named once, a product has rows of [place of its name,
        workspace, flags], the fastest first. `frontend`: version of what asked cuDNN."""
        names = dict.fromkeys(plan.key for plans in self.products.values() for plan in plans)
        places = {name: place for place, name in enumerate(names)}
        rows = {
            key: [[places[p.key], p.workspace, _flags(p)] for p in plans]
            for key, plans in self.products.items()
        }
        about = {"version": VERSION, "gpu": self.gpu, "cudnn": self.cudnn, "frontend": frontend}
        about |= {"dtype": self.dtype, "layout": LAYOUTS[self.dtype]}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
        lines.append(f'"plans": [\n{_lines(map(json.dumps, names))}\n]')
        short = json.JSONEncoder(separators=(",", ":")).encode
        of = (f"{json.dumps(key)}: {short(plans)}" for key, plans in rows.items())
        lines.append(f'"products": {{\n{_lines(of)}\n}}')
        return "{\n" + ",\n".join(lines) + "\n}\n"


def _flags(plan: Plan) -> int:
    return RANDOM * (not plan.is_deterministic) + TF32 * plan.is_tf32


def _lines(texts: Iterable[str]) -> str:
    return ",\n".join(texts)


def table_path(gpu: str, cudnn: str, dtype: str) -> Path:
    """Where the table of a GPU, a cuDNN "9.19.0" and an element type lies, if there is one."""
    return TABLES / gpu / f"cudnn-{cudnn}-{dtype}.json"


def tables_of(gpu: str) -> tuple[str, ...]:
    """Versions of cuDNN that a GPU has tables of, the newest first."""
    found = {path.name.split("-")[1] for path in (TABLES / gpu).glob("cudnn-*-*.json")}
    return tuple(sorted(found, key=lambda v: [*map(int, v.split("."))], reverse=True))


@cache
def table(gpu: str, cudnn: str, dtype: str) -> Table | None:
    """The committed table; None if there is none. Raises GC-A001 for a broken file."""
    path = table_path(gpu, cudnn, dtype)
    if not path.exists():
        return None
    return read_table(path)


def read_table(path: Path) -> Table:
    """A file that `Table.text` wrote. Raises GC-A001 for any other."""
    try:
        told = json.loads(path.read_bytes())
        names = told["plans"]
        products = {
            key: tuple(_plan(names[place], space, flags) for place, space, flags in rows)
            for key, rows in told["products"].items()
        }
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']}")
        return Table(told["gpu"], told["cudnn"], told["dtype"], products)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        fail("GC-A001", f"{str(path)!r} is no table of cuDNN's plans: {error}", "make it again")


def _plan(key: Any, workspace: Any, flags: Any) -> Plan:
    if not (isinstance(key, str) and type(workspace) is int is type(flags) and workspace >= 0):
        raise ValueError(f"plan {key!r}")
    return Plan(key, workspace, not flags & RANDOM, bool(flags & TF32))


__all__ = ["LAYOUTS", "Plan", "Product", "Table", "fastest_first", "read_table", "table"]
