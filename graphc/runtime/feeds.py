"""Feeds: what a caller hands over, checked and turned into float32; and inputs of other shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from graphc.errors import GraphError, fail, near
from graphc.floats import Floats, Held
from graphc.ir.graph import Array, Graph, Value
from graphc.ir.versions import blob_of
from graphc.numpy_later import np, npt
from graphc.ops.spec import F64

Shape = tuple[int, ...]


def numeric(name: str, given: npt.ArrayLike) -> Array:
    """`given` as a new float32 array. Raises GC-R001 for what is no number."""
    return single(_numbers(name, given))


def _numbers(name: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        fail("GC-R001", f"{name!r} is no array: {error}")
    if array.dtype.kind not in "fiub":
        fail("GC-R001", f"{name!r} has element type {array.dtype}, expected numbers")
    return array


def double(array: npt.NDArray[Any]) -> F64:
    """A new float64 array; a signalling NaN becomes a quiet one."""
    with np.errstate(invalid="ignore"):
        return np.array(array, np.float64, order="C")


def single(array: npt.NDArray[Any]) -> Array:
    """A new float32 array; what is beyond float32 is infinite, as in Caffe."""
    if array.dtype == np.float32:
        return np.array(array, order="C")
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
) -> dict[str, Held]:
    """An array of either kind for every input, of the expected number of axes. Raises GC-R001."""
    if type(feeds) is not dict or feeds.keys() != expected.keys():
        check_names("input", feeds, expected)
        missing = [name for name in expected if name not in feeds]
        if missing:
            shapes = ", ".join(f"{m!r} {expected[m]}" for m in missing)
            fail("GC-R001", f"inputs are missing: {shapes}")
    arrays = {name: _held(name, feeds[name]) for name in expected}
    for name, array in arrays.items():
        if array.ndim != len(expected[name]):
            fail("GC-R001", f"input {name!r} has shape {array.shape}, expected {expected[name]}")
    return arrays


def _held(name: str, given: Any) -> Held:
    """`given` itself where it is float32, since whoever runs copies it into memory of its own."""
    if isinstance(given, Floats) or (type(given) is np.ndarray and given.dtype == np.float32):
        return given
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(_numbers(name, given), np.float32)


def reshape(
    graph: Graph, old: Mapping[str, Shape], new: Mapping[str, Shape], seeds: Collection[str] | None
) -> None:
    """Infer `graph` for inputs of other shapes, where they are.

    A differentiated graph (`seeds` as `differentiate` takes them, else None) gets new gradient
    nodes, since what a part reads may depend on shapes. Raises GC-R001 where the net does not fit;
    it is then as it was.
    """
    changed = [name for name in old if new[name] != old[name]]
    if not changed:
        return
    from graphc.ir.infer import infer

    try:
        infer(graph, {name: new[name] for name in changed})
        if seeds is not None:
            _differentiate(graph, {name: old[name] for name in changed}, seeds)
    except GraphError as error:
        if error.code.startswith("GC-L"):
            raise
        told = ", ".join(f"{n!r} has shape {new[n]}, expected {old[n]}" for n in changed)
        fail("GC-R001", f"input {told}, and the net does not fit the new shape", error.headline)


def _differentiate(graph: Graph, before: Mapping[str, Shape], seeds: Collection[str]) -> None:
    """Make the gradient nodes anew; where that fails, for the shapes from before."""
    from graphc.autodiff import differentiate
    from graphc.ir.clone import drop_gradients
    from graphc.ir.infer import infer

    drop_gradients(graph)
    try:
        differentiate(graph, seeds=seeds)
    except GraphError:
        drop_gradients(graph)
        infer(graph, before)
        differentiate(graph, seeds=seeds)
        raise


def input_shapes(values: list[Value]) -> dict[str, Shape]:
    """Blob name -> shape of net inputs."""
    return {blob_of(v): v.type.shape for v in values if v.type is not None}
