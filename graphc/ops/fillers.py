"""fill: the values a parameter starts with when no weight file gives them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias
from zlib import crc32

from graphc.errors import GraphError, fail
from graphc.ir.graph import Graph, Value, typed
from graphc.ir.op import Filler, Kind, Param
from graphc.numpy_later import np, npt

Array: TypeAlias = "npt.NDArray[np.float32]"
Shape = tuple[int, ...]
_WORD = (1 << 64) - 1


def fill(param: Param, *, seed: int, layer: str, index: int) -> Array:
    """Draw `param.filler` into a new float32 array of `param.shape`.

    Random fillers depend on (seed, layer, index) alone, not on what was filled before; `index`
    counts a layer's blobs. Formulas are Caffe's, its random stream is not. Raises GC-N008 for an
    unknown filler, or one that does not fit the shape, and GC-L001 if memory does not suffice.
    Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (msra).
    """
    filler = param.filler
    if filler.type not in _FILLERS:
        fail("GC-N008", f"filler type {filler.type!r} of {param.name!r} is unknown", _hint())
    if filler.sparse != -1 and filler.type != "gaussian":
        fail("GC-N008", f"{_named(param)} has sparse: {filler.sparse}, which only gaussian takes")
    key = [
        seed & _WORD,
        (crc32(layer.encode("utf-8", "surrogatepass")) << 32 | index & 0xFFFFFFFF) & _WORD,
    ]
    rng = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
    try:
        with np.errstate(all="ignore"):
            values = _FILLERS[filler.type](param, rng)
            return np.ascontiguousarray(values, np.float32).reshape(param.shape)
    except MemoryError:
        fail("GC-L001", f"parameter {param.name!r} of shape {param.shape} exceeds the memory")


def filler(seed: int) -> Callable[[Value], Array]:
    """The hook of `Graph.fill`: a missing parameter or state from its declared filler, anything
    else 0."""

    def make(value: Value) -> Array:
        if value.spec is None or value.kind not in (Kind.PARAM, Kind.STATE):
            return np.zeros(typed(value).shape, np.float32)
        layer, _, name = value.name.rpartition(":")
        index = crc32(name.encode("utf-8", "surrogatepass")) & 0xFFFF
        return fill(value.spec, seed=seed, layer=layer, index=index)

    return make


def fill_weights(graph: Graph) -> None:
    """Make the arrays of all parameters that have none. Raises GC-N008, GC-W002, GC-L001."""
    for node in graph.forward_nodes():
        try:
            for value in node.params.values():
                if value.storage.name not in graph.weights:
                    graph.weight(value)
        except GraphError as error:
            raise node.located(error) from None


def _constant(param: Param, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return np.full(param.shape, param.filler.value, np.float32)


def _uniform(param: Param, rng: np.random.Generator) -> Array:
    low, high = param.filler.min, param.filler.max
    if not low <= high:
        fail("GC-N008", f"{_named(param)} has min {low:g} over max {high:g}")
    return _between(rng, param.shape, low, high)


def _gaussian(param: Param, rng: np.random.Generator) -> Array:
    f = param.filler
    if not f.std >= 0:
        fail("GC-N008", f"{_named(param)} has std {f.std:g}, which is negative or no number")
    values = rng.standard_normal(param.shape, np.float32)
    values *= np.float32(f.std)
    values += np.float32(f.mean)
    if f.sparse != -1:
        outputs = _extent(param, 0)
        if not 0 <= f.sparse <= outputs:
            fail("GC-N008", f"{_named(param)} has sparse: {f.sparse}, but {outputs} outputs")
        values[rng.random(param.shape, np.float32) >= f.sparse / max(1, outputs)] = 0
    return values


def _positive_unitball(param: Param, rng: np.random.Generator) -> Array:
    rows = _extent(param, 0)
    values = rng.random((rows, math.prod(param.shape[1:])), np.float32)
    values /= values.sum(1, keepdims=True)
    return values


def _xavier(param: Param, rng: np.random.Generator) -> Array:
    bound = math.sqrt(3 / _fan(param))
    return _between(rng, param.shape, -bound, bound)


def _msra(param: Param, rng: np.random.Generator) -> Array:
    values = rng.standard_normal(param.shape, np.float32)
    values *= np.float32(math.sqrt(2 / _fan(param)))
    return values


def _bilinear(param: Param, rng: np.random.Generator) -> Array:
    shape = param.shape
    if len(shape) != 4 or shape[2] != shape[3]:
        fail("GC-N008", f"{_named(param)} has shape {shape}, but bilinear needs (O, C, k, k)")
    size = shape[3]
    factor = max(1, -(-size // 2))
    centre = (size - 1) / (2 * factor)
    ramp = 1 - np.abs(np.arange(size) / factor - centre)
    return np.broadcast_to(np.outer(ramp, ramp), shape).astype(np.float32)


_FILLERS: dict[str, Callable[[Param, np.random.Generator], Array]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}


def _between(rng: np.random.Generator, shape: Shape, low: float, high: float) -> Array:
    values = rng.random(shape, np.float32)
    values *= np.float32(high - low)
    values += np.float32(low)
    return values


def _fan(param: Param) -> float:
    """How many terms a filler's variance is divided by, at least 1."""
    count, norm = math.prod(param.shape), param.filler.variance_norm
    fan_in = count / max(1, _extent(param, 0))
    fan_out = count / max(1, param.shape[1]) if len(param.shape) > 1 else count
    fans = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}
    if norm not in fans:
        fail("GC-N008", f"{_named(param)} has variance_norm {norm!r}", f"use one of {list(fans)}")
    return max(1.0, fans[norm])


def _extent(param: Param, axis: int) -> int:
    if len(param.shape) <= axis:
        fail("GC-N008", f"{_named(param)} needs axes, but the shape is {param.shape}")
    return param.shape[axis]


def _named(param: Param) -> str:
    return f"{param.filler.type} filler of {param.name!r}"


def _hint() -> str:
    return f"use one of {', '.join(sorted(_FILLERS))}"


__all__ = ["Filler", "fill", "fill_weights", "filler"]
