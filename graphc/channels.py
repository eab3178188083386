"""channel_groups: which channels live and die together, from the layers' ties alone.

An atom is one index of one axis of a value; ties join atoms to classes, and a class is the least
that can be removed. So concat offsets, slices, flattened maps, shared weights, residual sums and
depthwise layers are all the same to whoever removes channels.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, cast

from graphc.errors import fail, near
from graphc.ir.graph import Graph, Node, Value, typed
from graphc.ir.op import Kind, Trait
from graphc.numpy_later import np, npt
from graphc.ops.spec import OpSpec
from graphc.ops.ties import Balance, Grouped, Ordered, Tie
from graphc.records import record

Axis: TypeAlias = tuple[Value, int]
"""An axis of an activation, or of a parameter's storage."""
Ints: TypeAlias = "npt.NDArray[np.int64]"
K = TypeVar("K", bound=Hashable)


@record(frozen=True, slots=True)
class Use:
    """A parameter of a layer: `role`, and the axes that its output and input channels index."""

    node: Node
    role: str
    out_axis: int | None
    in_axis: int | None


@record(frozen=True, slots=True)
class Group:
    """Classes that lie in the same axes, such as the filters of a layer, or of a residual stage.

    `axes`: where, and how many indices each class has there. `layers`: those whose filters the
    classes are; `readers`: those whose weights take them in. `why`: why none may go, if so.
    """

    classes: tuple[int, ...]
    axes: tuple[tuple[Axis, int], ...]
    layers: tuple[str, ...]
    readers: tuple[str, ...]
    why: str = ""

    @property
    def name(self) -> str:
        """The first of its layers, and how many more there are."""
        return self.layers[0] + (f" (+{len(self.layers) - 1})" if len(self.layers) > 1 else "")


class Channels:
    """The classes of a graph's channels, numbered from 0 to `count` - 1.

    `labels`: the class of each index of an axis. `pinned`: reasons of classes that must stay.
    `balances`: as many indices must stay in each of so many blocks of an axis. `ordered`: axes
    along which a position matters, with the layer to which it does. `grouped`: axes of weights that
    index within a group -> the axis of channels they index, and the number of groups.
    `uses`: the layers' uses of each parameter storage.
    """

    def __init__(self, graph: Graph, pinned: Collection[str] = ()) -> None:
        self.graph = graph
        self.balances: list[tuple[Node, Axis, int]] = []
        self.ordered: list[tuple[Node, Axis]] = []
        self.grouped: dict[Axis, tuple[Axis, int]] = {}
        self.uses: dict[Value, list[Use]] = {}
        self._pins: list[tuple[Axis, str]] = []
        self._pairs: list[tuple[Axis, Ints, Axis, Ints]] = []
        for node in graph.forward_nodes():
            self._add(node)
        for value in graph.outputs:
            self._pin(value, f"{value.name!r} is an output")
        for node in graph.forward_nodes():
            for role in node.tops:
                if node.outs[role].name in pinned:
                    self._pin(node.outs[role], f"{node.outs[role].name!r} is kept")
                if node.loss.get(role):
                    self._pin(node.outs[role], f"{node.outs[role].name!r} is a loss")
        self.labels, self.count = join(self._extents(), self._pairs)
        self.pinned: dict[int, str] = {}
        for axis, why in self._pins:
            for label in np.unique(self.labels[axis]).tolist():
                self.pinned.setdefault(label, why)

    def _add(self, node: Node) -> None:
        """Take in the ties of a node, and pin what they do not mention."""
        sig = node.sig(self.graph.env)
        op = cast("type[OpSpec]", node.op)
        mentioned: set[tuple[str, int]] = set()

        def axis(endpoint: str) -> Axis | None:
            role, at = split(endpoint)
            value = node.ins.get(role) or node.params.get(role) or node.outs.get(role)
            if value is None:  # an aux value that nobody needs
                return None
            mentioned.add((role, at))
            return value.storage, at

        for item in op.ties(node.attrs, sig):
            if isinstance(item, (Tie, Grouped)):
                src, dst = axis(item.src), axis(item.dst)
                if src is None or dst is None:
                    continue
                if isinstance(item, Tie):
                    sources, targets = item.pairs(_extent(src))
                    self._pairs.append((src, sources, dst, targets))
                else:
                    self._group(src, dst, item.groups)
            else:
                place = axis(item.endpoint)
                if place is not None and isinstance(item, Balance):
                    self.balances.append((node, place, item.groups))
                elif place is not None and isinstance(item, Ordered):
                    self.ordered.append((node, place))
        for param in op.params(node.attrs, sig):
            if param.name in node.params:
                use = Use(node, param.name, param.out_axis, param.in_axis)
                self.uses.setdefault(node.params[param.name].storage, []).append(use)
        for role, value in (*node.ins.items(), *node.params.items(), *node.outs.items()):
            if value.view_of is not None:
                self._pin(value.storage, f"{value.name!r} shares its numbers in another shape")
                continue
            for at in range(typed(value).rank):
                if (role, at) not in mentioned:
                    told = f"{node.op.type} {node.name!r} fixes axis {at} of {value.name!r}"
                    self._pins.append(((value, at), told))

    def _group(self, src: Axis, dst: Axis, groups: int) -> None:
        """A weight's axis that indexes within groups of `src`; if shared, of all its sources."""
        first, known = self.grouped.setdefault(dst, (src, groups))
        if known != groups:
            self._pin(dst[0], f"{dst[0].name!r} is shared in other groups")
        elif first != src:
            indices = np.arange(_extent(src))
            self._pairs.append((first, indices, src, indices))

    def _pin(self, value: Value, why: str) -> None:
        self._pins += [((value, at), why) for at in range(typed(value).rank)]

    def _extents(self) -> dict[Axis, int]:
        values: dict[Value, None] = {}
        for node in self.graph.forward_nodes():
            for value in (*node.ins.values(), *node.params.values(), *node.outs.values()):
                values[value.storage] = None
        return {(v, at): extent for v in values for at, extent in enumerate(typed(v).shape)}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups of all classes that are filters of some layer, in the order of the layers."""
        produced = np.zeros(self.count, bool)
        for storage, uses in self.uses.items():
            for use in uses:
                if use.out_axis is not None and makes_filters(use.node):
                    produced[self.of(storage, use.out_axis)] = True
        places: dict[int, list[tuple[Axis, int]]] = {}
        for axis, labels in self.labels.items():
            found, counts = np.unique(labels[produced[labels]], return_counts=True)
            for label, count in zip(found.tolist(), counts.tolist(), strict=True):
                places.setdefault(label, []).append((axis, count))
        alike: dict[tuple[tuple[Axis, int], ...], list[int]] = {}
        for label, at in sorted(places.items()):
            alike.setdefault(tuple(at), []).append(label)
        return tuple(self._made(axes, classes) for axes, classes in alike.items())

    def _made(self, axes: tuple[tuple[Axis, int], ...], classes: Sequence[int]) -> Group:
        layers: dict[str, None] = {}
        readers: dict[str, None] = {}
        where = {axis for axis, _ in axes}
        where |= {weight for weight, (src, _) in self.grouped.items() if src in where}
        for storage, at in where:
            for use in self.uses.get(storage, ()):
                if use.out_axis == at and makes_filters(use.node):
                    layers[use.node.name] = None
                elif use.in_axis == at:
                    readers[use.node.name] = None
        reasons = [self.pinned[label] for label in classes if label in self.pinned]
        why = reasons[0] if len(reasons) == len(classes) else ""
        order = {node.name: at for at, node in enumerate(self.graph.nodes)}
        sort = cast("Any", order.__getitem__)
        names = tuple(sorted(layers, key=sort)), tuple(sorted(readers, key=sort))
        return Group(tuple(classes), axes, *names, why)

    def of(self, storage: Value, at: int) -> Ints:
        """The classes that an axis of a parameter tells apart, those of all groups in turn."""
        axis, _ = self.grouped.get((storage, at), ((storage, at), 1))
        return self.labels[axis]

    def rows(self, storage: Value, at: int, array: Any) -> Iterator[tuple[Ints, Any]]:
        """Pieces of an array shaped like a parameter as (class of each row, view with rows along
        axis `at`): one, or one for each group."""
        _, groups = self.grouped.get((storage, at), ((storage, at), 1))
        return rows(self.of(storage, at), groups, at, array.reshape(typed(storage).shape))

    def kept(self, removed: npt.NDArray[np.bool_]) -> dict[Axis, Ints]:
        """What is left of each axis that loses indices. `removed`: is the class, by number?"""
        found: dict[Axis, Ints] = {}
        for axis, labels in self.labels.items():
            gone = removed[labels]
            if gone.any():
                found[axis] = np.flatnonzero(~gone)
        return found


def channel_groups(graph: Graph, pinned: Collection[str] = ()) -> Channels:
    """The channels of a shaped graph. `pinned`: blobs that must stay as they are.

    Raises GC-S004 for a graph without shapes.
    """
    return Channels(graph, pinned)


def filters(channels: Channels, name: str) -> Ints:
    """The class of each filter of a layer, in its order. Raises GC-R002 for one without filters."""
    names: dict[str, None] = {}
    for storage, uses in channels.uses.items():
        for use in uses:
            if use.out_axis is not None and makes_filters(use.node):
                names[use.node.name] = None
                if use.node.name == name:
                    return _along_top(channels, use.node, channels.of(storage, use.out_axis))
    hint = near(name, names) or f"there are {', '.join(names) or 'none'}"
    fail("GC-R002", f"no layer {name!r} with filters in this net", hint)


def _along_top(channels: Channels, node: Node, labels: Ints) -> Ints:
    """The classes of `labels` as a top has them, in which a recurrent unit is one index."""
    for role in node.tops:
        value = node.outs[role]
        for at in range(typed(value).rank):
            if np.array_equal(np.unique(channels.labels[value, at]), np.unique(labels)):
                return channels.labels[value, at]
    return labels


def rows(labels: Ints, groups: int, at: int, array: Any) -> Iterator[tuple[Ints, Any]]:
    """See `Channels.rows`. Axis `at` indexes within a group, and axis 0 is cut in blocks."""
    extent, step = array.shape[at], array.shape[0] // groups
    if groups == 1:
        yield labels, np.moveaxis(array, at, 0)
        return
    for group in range(groups):
        block = array[group * step : (group + 1) * step]
        yield labels[group * extent : (group + 1) * extent], np.moveaxis(block, at, 0)


def makes_filters(node: Node) -> bool:
    """Does the layer combine elements with weights that are learned, so that it has filters?"""
    learned = any(value.kind is Kind.PARAM for value in node.params.values())
    return learned and not node.has(Trait.ELEMENTWISE)


def join(
    extents: Mapping[K, int], pairs: Iterable[tuple[K, Ints, K, Ints]]
) -> tuple[dict[K, Ints], int]:
    """Classes of indices that are tied: the class of each index of each axis, and their number.

    Numbered in the order of the axes. Source: Shiloach and Vishkin, J. Algorithms 3 (1982).
    """
    first: dict[K, int] = {}
    size = 0
    for key, extent in extents.items():
        first[key], size = size, size + extent
    parent = np.arange(size)
    tied = [(first[src] + a, first[dst] + b) for src, a, dst, b in pairs]
    left = np.concatenate([a for a, _ in tied]) if tied else parent[:0]
    right = np.concatenate([b for _, b in tied]) if tied else parent[:0]
    while left.size:
        low = np.minimum(parent[left], parent[right])
        high = np.maximum(parent[left], parent[right])
        differ = low != high
        left, right = left[differ], right[differ]
        np.minimum.at(parent, high[differ], low[differ])
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]
    roots, labels = np.unique(parent, return_inverse=True)
    return {k: labels[at : at + extents[k]] for k, at in first.items()}, len(roots)


def split(endpoint: str) -> tuple[str, int]:
    """An endpoint's role and axis."""
    role, _, axis = endpoint.rpartition(".")
    return role, int(axis)


def _extent(axis: Axis) -> int:
    return typed(axis[0]).shape[axis[1]]
