"""WeightMemory: the parameters of a graph in memory that the C++ core reads, for all its plans."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from mmap import mmap

from graphc import _core
from graphc.errors import fail
from graphc.floats import Floats, Held
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import OURS
from graphc.numpy_later import np

_LINE = 64  # bytes; kernels like their operands aligned


def memory_of(pages: _core.Pages) -> memoryview:
    """The bytes of `pages`. Raises GC-M002."""
    try:
        return memoryview(pages)
    except BufferError:
        fail("GC-M002", "no memory left to look at the arena", "use a smaller batch")


class WeightMemory:
    """PARAM and STATE values in one piece of memory; `graph.weights` become views of it.

    Those that an artefact's file was mapped for stay there, and nothing is copied. The memory
    stays where it is when inputs change their shape, so that arrays handed out remain valid.
    Raises GC-M002 where there is no memory for it; the graph is then as it was.
    """

    arenas: Sequence[_core.Pages] = ()

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._lent: list[weakref.ref[Array]] = []
        self._changed = True
        values = [v for v in graph.param_values() if v.kind not in OURS]
        held = {value: graph.held(value) for value in values if typed(value).size}
        mapped = _mapping(held.values())
        self.offsets: dict[str, int] = {}
        if mapped is not None:
            self.pages = _core.Pages.over(mapped)
            self._memory = memory_of(self.pages)
            start = _core.address_of(mapped)
            for value in values:
                place = _core.address_of(_buffer(held[value])) if value in held else start
                self.offsets[value.name] = place - start
            return
        end = 0
        for value in values:
            self.offsets[value.name] = end
            end += -(-typed(value).nbytes // _LINE) * _LINE
        self.pages = _core.Pages(end)
        self._memory = memory_of(self.pages)
        for value in values:
            array = self.view(value)
            array[...] = graph.weight(value).reshape(array.shape)
            graph.weights[value.name] = array

    def view(self, value: Value) -> Array:
        """A new array on the memory of a PARAM or STATE value, shaped as the value."""
        shape = typed(value).shape
        if typed(value).size == 0:
            return np.empty(shape, np.float32)
        offset = self.offsets[value.storage.name]
        # numpy's views of it keep it alive, since its own base is no array: see `changed`
        array: Array = np.ndarray(shape, np.float32, self._memory, offset)
        return array

    def lend(self) -> dict[str, tuple[Array, ...]]:
        """Writable arrays by layer, as `Executable.params`."""
        self._changed = True
        table = {
            layer: tuple(self.view(v) for v in values)
            for layer, values in self.graph.layer_params().items()
        }
        self._lent += [weakref.ref(array) for arrays in table.values() for array in arrays]
        return table

    def changed(self) -> bool:
        """May anybody have written since the last call? So it is at first, and while arrays that
        were lent, or views of them, are in somebody's hands."""
        changed, self._changed = self._changed, self.is_lent
        return changed or self._changed

    @property
    def is_lent(self) -> bool:
        """May anybody write just now?"""
        if self._lent:
            self._lent = [ref for ref in self._lent if ref() is not None]
        return bool(self._lent)


class SharedWeights(WeightMemory):
    """The parameters of a graph that lie in the memory of another graph's, which trains them.

    `names`: the graph's parameter -> the other's. `arenas`: memory that is free whenever the graph
    runs, for what its own plan needs. The graph's owner must know when it may run.
    """

    is_lent = True  # whoever trains writes

    def __init__(self, graph: Graph, owner: WeightMemory, names: Mapping[str, str]) -> None:
        self.graph, self._lent = graph, []
        self.pages, self._memory = owner.pages, owner._memory
        self.offsets = {own: owner.offsets[other] for own, other in names.items()}
        for value in graph.param_values():
            if value.kind not in OURS:
                graph.weights[value.name] = self.view(value)

    def changed(self) -> bool:
        return True


def _mapping(arrays: Iterable[Held]) -> memoryview | None:
    """The mapped file that all of these arrays are writable, aligned views of, if there is one."""
    found: mmap | None = None
    for array in arrays:
        owner = _owner(array)
        if isinstance(array, Floats):
            fits = not array.numbers.readonly
        else:
            fits = array.flags.writeable and array.flags.aligned and array.flags.c_contiguous
        if owner is None or not fits or (found is not None and owner is not found):
            return None
        found = owner
    return None if found is None else memoryview(found)


def _buffer(array: Held) -> memoryview[float] | Array:
    return array.numbers if isinstance(array, Floats) else array


def _owner(array: Held) -> mmap | None:
    """The mapped file that an array lies in."""
    base: object = _buffer(array)
    while not isinstance(base, memoryview | mmap) and isinstance(base, np.ndarray):
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else base
    return owner if isinstance(owner, mmap) else None
