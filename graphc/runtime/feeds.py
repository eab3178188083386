"""Feeds: what a caller hands over, checked and turned into float64; and inputs of other shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError, fail, near
from graphc.ir.graph import Array, Graph, Node, Role, Value
from graphc.ir.infer import infer
from graphc.ir.types import Type
from graphc.ir.versions import blob_of
from graphc.ops.spec import F64, OpSpec

Shape = tuple[int, ...]


def numeric(name: str, given: npt.ArrayLike) -> F64:
    """`given`, rounded to float32, as a new float64 array. Raises GC-R001 for what is no number."""
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        fail("GC-R001", f"{name!r} is no array: {error}")
    if array.dtype.kind not in "fiub":
        fail("GC-R001", f"{name!r} has element type {array.dtype}, expected numbers")
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return single(array).astype(np.float64)


def single(array: npt.NDArray[Any]) -> Array:
    """A new float32 array; what is beyond float32 is infinite, as in Caffe."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, np.float32, order="C")


def check_names(what: str, given: object, expected: Mapping[str, Any]) -> None:
    """Raise GC-R001 if `given` is no mapping from names among `expected`."""
    if not isinstance(given, Mapping):
        told = f"the {what}s are a {type(given).__name__}, expected a mapping of names to arrays"
        fail("GC-R001", told, f"write {{{next(iter(expected), 'data')!r}: array}}")
    for name in given:
        if name not in expected:
            hint = near(str(name), expected) or f"the {what}s: {', '.join(expected) or 'none'}"
            fail("GC-R001", f"{name!r} is no {what} of this net", hint)


def checked_feeds(
    feeds: Mapping[str, npt.ArrayLike], expected: Mapping[str, Shape]
) -> dict[str, F64]:
    """An array for every input, of the expected number of axes. Raises GC-R001."""
    check_names("input", feeds, expected)
    missing = [name for name in expected if name not in feeds]
    if missing:
        shapes = ", ".join(f"{m!r} {expected[m]}" for m in missing)
        fail("GC-R001", f"inputs are missing: {shapes}")
    arrays = {name: numeric(name, feeds[name]) for name in expected}
    for name, array in arrays.items():
        if array.ndim != len(expected[name]):
            fail("GC-R001", f"input {name!r} has shape {array.shape}, expected {expected[name]}")
    return arrays


def reshape(graph: Graph, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> None:
    """Infer `graph` for inputs of other shapes; it stays as it was where that raises GC-R001."""
    changed = [name for name in old if new[name] != old[name]]
    if not changed:
        return
    try:
        infer(graph, {name: new[name] for name in changed})
    except GraphError as error:
        if error.code.startswith("GC-L"):
            raise
        told = ", ".join(f"{n!r} has shape {new[n]}, expected {old[n]}" for n in changed)
        fail("GC-R001", f"input {told}, and the net does not fit the new shape", error.headline)
    _retype(graph)


def _retype(graph: Graph) -> None:
    """Give aux values, seeds and gradients the types that follow from those of the blobs."""
    if not graph.seeds and not graph.grads:
        return
    tops = graph.by_name()
    for name, seed in graph.seeds.items():
        seed.type = tops[name].type
    for node in graph.nodes:
        if node.role is Role.FWD:
            op = cast("type[OpSpec]", node.op)
            made = [role for role in node.outs if role not in node.tops]
            aux = op.aux(node.attrs, node.sig(graph.env)) if made else {}
            for role in made:
                node.outs[role].type = aux[role]
        else:
            for role, value in node.outs.items():
                value.type = _gradient_type(graph, node, role)


def _gradient_type(graph: Graph, node: Node, role: str) -> Type | None:
    if node.of is None:  # a sum: as its summands
        return next(iter(node.ins.values())).type
    target = node.of.ins.get(role[1:]) or node.of.params.get(role[1:])
    if target is not None:
        return target.type
    op = cast("type[OpSpec]", node.op)
    return op.inner(node.attrs, node.of.sig(graph.env))[role[1:]]


def input_shapes(values: list[Value]) -> dict[str, Shape]:
    """Blob name -> shape of net inputs."""
    return {blob_of(v): v.type.shape for v in values if v.type is not None}
