"""Mirror, DeviceWeights: parameters on a device, with memory of the host that shows them.

Whoever takes an array from a graph's `weights` gets a new one on the host's memory, fetched from
the device if that is ahead. As long as it is in somebody's hands, it may be written: the host is
then copied to the device before each entry, and back after each that writes there.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from typing import Any

from graphc.ir.graph import Array, Graph, typed
from graphc.ir.op import OURS
from graphc.numpy_later import np
from graphc.runtime.device import Bytes, Device, Memory

LINE = 256
"""Bytes that parameters are aligned to."""


class Mirror:
    """Float32 arrays `given`, by name, on a device and on the host. `hosted`: those that are on the
    host alone, where plans that send parameters there find them."""

    def __init__(
        self, device: Device, given: Mapping[str, Array], hosted: Collection[str] = ()
    ) -> None:
        self.device = device
        self.shapes = {name: array.shape for name, array in given.items()}
        self._offsets, self.nbytes = _side_by_side(self.shapes)
        self.host = device.host_arena(self.nbytes)
        # no array, so that those which are made on it are kept alive by views of them
        self._buffer: Any = (ctypes.c_uint8 * self.nbytes).from_buffer(self.host.data)
        self._lent: list[weakref.ref[Array]] = []
        for name, array in given.items():
            self._view(name)[...] = array.reshape(self.shapes[name])
        self.settle(hosted)

    def settle(self, hosted: Collection[str]) -> None:
        """Give those that are not `hosted` memory on the device; the host is then ahead."""
        self.hosted = frozenset(hosted)
        shapes = {name: shape for name, shape in self.shapes.items() if name not in self.hosted}
        self._places, self.device_bytes = _side_by_side(shapes)
        self._memory: Memory = self.device.arena(self.device_bytes)
        self._is_ahead, self._is_behind = False, True

    def _view(self, name: str) -> Array:
        shape = self.shapes[name]
        if 0 in shape:
            return np.empty(shape, np.float32)
        array: Array = np.ndarray(shape, np.float32, self._buffer, self._offsets[name])
        return array

    def lend(self, name: str) -> Array:
        """An array that may be written, as it is now."""
        self.fetch()
        self._is_behind = True
        array = self._view(name)
        self._lent = [ref for ref in self._lent if ref() is not None] + [weakref.ref(array)]
        return array

    @property
    def is_lent(self) -> bool:
        self._lent = [ref for ref in self._lent if ref() is not None]
        return bool(self._lent)

    def address(self, name: str) -> int:
        return self._memory.address + self._places[name]

    def bytes_of(self, name: str) -> Bytes:
        """On the host."""
        start = self._offsets[name]
        return self.host[start : start + 4 * math.prod(self.shapes[name])]

    def push(self) -> None:
        """Before an entry: to the device what somebody may have written."""
        if self._is_behind or self.is_lent:
            for name in self._places:
                self.device.write(self.address(name), self.bytes_of(name))
            self._is_behind = self.is_lent

    def ran(self) -> None:
        """After an entry that has written to some."""
        self._is_ahead = True
        if self.is_lent:
            self.fetch()

    def fetch(self) -> None:
        """To the host what the device has written."""
        if self._is_ahead:
            for name in self._places:
                self.device.read(self.bytes_of(name), self.address(name))
            self._is_ahead = False


def _side_by_side(shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, int], int]:
    places, end = {}, 0
    for name, shape in shapes.items():
        places[name] = end
        end += -(-4 * math.prod(shape) // LINE) * LINE
    return places, end


class DeviceWeights(MutableMapping[str, Array]):
    """A graph's `weights` on a device: what is learned, in memory that stays when the graph is
    planned anew, and what is carried, in memory of its own.

    `owner`, `names`: the learned ones are those of another graph, by our name the name there;
    `arenas`: memory that is free whenever the graph runs, for what its own plan needs.
    """

    arenas: tuple[tuple[int, Memory], ...] = ()

    def __init__(
        self,
        device: Device,
        graph: Graph,
        owner: DeviceWeights | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.device, self.graph = device, graph
        kept = {v.name: v for v in graph.param_values()}
        self._ours = [name for name, value in kept.items() if value.kind in OURS]
        self._names: Mapping[str, str]
        self.learned: Mirror
        if owner is not None and names is not None:
            self.learned, self._names = owner.learned, {n: owner._names[names[n]] for n in names}
        else:
            own = [name for name in kept if name not in self._ours]
            arrays = {n: graph.weight(kept[n]).reshape(typed(kept[n]).shape) for n in own}
            self.learned, self._names = Mirror(device, arrays), {name: name for name in own}
        self.is_shared = owner is not None
        self.carried = Mirror(device, {})
        self._dropped: set[str] = set()
        self._others: dict[str, Array] = {
            n: graph.weights[n] for n in self._ours if n in graph.weights
        }
        graph.weights = self

    def settle(self, hosted: Collection[str]) -> None:
        """Give memory to what is carried, as it is shaped now, and to what is learned."""
        values = {v.name: v for v in self.graph.param_values() if v.name in self._ours}
        given = {n: np.array(self.graph.weight(v)) for n, v in values.items()}
        self._others = {n: a for n, a in self._others.items() if n not in values}
        self._dropped = set()
        self.carried = Mirror(self.device, given, [n for n in hosted if n in values])
        told = frozenset(self._names[n] for n in hosted if n in self._names)
        if not self.is_shared and told != self.learned.hosted:
            self.learned.fetch()
            self.learned.settle(told)

    def mirror(self, name: str) -> tuple[Mirror, str]:
        """What has a value, and its name there."""
        if name in self._names:
            return self.learned, self._names[name]
        return self.carried, name

    def push(self) -> None:
        self.learned.push()
        self.carried.push()

    def ran(self) -> None:
        self.learned.ran()
        self.carried.ran()

    def __getitem__(self, name: str) -> Array:
        if name in self._others:
            return self._others[name]
        mirror, there = self.mirror(name)
        return mirror.lend(there)

    def __setitem__(self, name: str, array: Array) -> None:
        if name in self._names:
            self[name][...] = array
        else:
            self._others[name] = array

    def __delitem__(self, name: str) -> None:
        if name in self._others:
            del self._others[name]
        else:
            self._dropped.add(name)

    def __iter__(self) -> Iterator[str]:
        carried = (name for name in self.carried.shapes if name not in self._dropped)
        return iter(dict.fromkeys((*self._names, *carried, *self._others)))

    def __contains__(self, name: Any) -> bool:
        return name in {*self}

    def __len__(self) -> int:
        return len({*self})


__all__ = ["DeviceWeights", "Mirror"]
