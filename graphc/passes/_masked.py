"""Local: a node's own channels. Masked: a graph's parameters, where some filters count as zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from graphc.channels import Channels, Ints, join, rows, split
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.op import Kind, Sig
from graphc.ops.spec import F64, OpSpec
from graphc.ops.ties import Balance, Grouped, Kept, Ordered, Tie
from graphc.passes._removal import Mask


class Local:
    """A node's own classes: the indices of its bottoms, parameters and tops that are one channel.

    `labels` by endpoint, of those that the layer's ties mention. `ordered`: endpoints along which a
    position matters; `blocks`: must blocks of some axis stay alike?
    """

    def __init__(self, node: Node, sig: Sig) -> None:
        self.node, self.sig = node, sig
        self.op = cast("type[OpSpec]", node.op)
        self.ordered: set[str] = set()
        self.blocks = False
        self.grouped: dict[str, tuple[str, int]] = {}
        extents: dict[str, int] = {}
        pairs: list[tuple[str, Ints, str, Ints]] = []
        known = {*node.ins, *node.params, *node.outs}
        for item in self.op.ties(node.attrs, sig):
            named = (item.src, item.dst) if isinstance(item, (Tie, Grouped)) else (item.endpoint,)
            if any(split(end)[0] not in known for end in named):
                continue
            for end in named:
                role, at = split(end)
                extents[end] = sig[role].shape[at]
            if isinstance(item, Tie):
                sources, targets = item.pairs(extents[item.src])
                pairs.append((item.src, sources, item.dst, targets))
            self.blocks |= isinstance(item, (Balance, Grouped))
            if isinstance(item, Grouped):
                self.grouped[item.dst] = (item.src, item.groups)
            if isinstance(item, Ordered):
                self.ordered.add(item.endpoint)
        self.labels, self.count = join(extents, pairs)
        self.params = {p.name: p for p in self.op.params(node.attrs, sig) if p.name in node.params}

    def of(self, end: str) -> Ints:
        return self.labels[end]

    @property
    def takers(self) -> list[str]:
        """The parameters that multiply channels and add them up."""
        return [r for r, p in self.params.items() if f"{r}.{p.in_axis}" in self.labels]

    def ends(self, roles: Any) -> Iterator[str]:
        """The endpoints at some roles."""
        return (end for end in self.labels if split(end)[0] in roles)

    def kept(self, chosen: Mask) -> Kept:
        """What is left with the chosen classes alone: of an axis without any, one index if it is
        summed over, else all; and all where there are chosen ones along another axis, too, for
        these reach over this one."""
        if self.blocks:
            return {}
        made = np.zeros(self.count, bool)
        for end in self.ends(self.node.tops):
            made[self.of(end)] = True
        chosen = self._across(chosen.copy())
        wide = {split(end)[0] for end in self.ends(self.node.ins) if chosen[self.of(end)].any()}
        for end in (*self.ends(self.node.ins), *self.ends(self.params)):
            labels = self.of(end)
            if labels.size and not (chosen | made)[labels].any():
                chosen[labels if split(end)[0] in wide else labels[:1]] = True
        found: dict[str, Ints] = {}
        whole = np.zeros(self.count, bool)
        for end, labels in self.labels.items():
            left = np.flatnonzero(chosen[labels])
            if not left.size:
                whole[labels] = True
            elif left.size < labels.size:
                found[end] = left
        # where a piece of an axis would be empty, as one top of a Slice, all of it must do
        return {} if any(whole[self.of(end)].any() for end in found) else found

    def _across(self, chosen: Mask) -> Mask:
        """With the classes of whole axes where a bottom or top has chosen ones along several."""
        count = -1
        while count != chosen.sum():
            count = chosen.sum()
            for role in (*self.node.ins, *self.node.tops):
                ends = [end for end in self.ends((role,)) if chosen[self.of(end)].any()]
                for end in ends if len(ends) > 1 else ():
                    chosen[self.of(end)] = True
        return chosen


class Masked:
    """A graph whose filters of the classes `zeroed` count as zero, if `masked`."""

    def __init__(
        self, graph: Graph, channels: Channels, zeroed: Mask, *, masked: bool = True
    ) -> None:
        self.graph, self.channels = graph, channels
        self.zeroed, self.masked = zeroed, masked
        self.locals: dict[Node, Local] = {}

    def local(self, node: Node) -> Local:
        if node not in self.locals:
            self.locals[node] = Local(node, node.sig(self.graph.env))
        return self.locals[node]

    def gone(self, value: Value, at: int) -> Mask:
        """Which indices of an axis are of the classes?"""
        return self.zeroed[self.channels.labels[value.storage, at]]

    def used(self, node: Node, role: str) -> Mask:
        """The node's own classes whose filters in a parameter are not all zero."""
        out = self.local(node).params[role].out_axis
        assert out is not None
        return self._any(node, role, out, self._array(node, role), self.masked)

    def taken_in(self, node: Node, role: str) -> Mask:
        """The node's own classes that a parameter multiplies by more than zeros."""
        spec = self.local(node).params[role]
        array, out, at = self._array(node, role), spec.out_axis, spec.in_axis
        assert at is not None
        if self.masked and out is not None:
            value = node.params[role].storage
            if self.channels.grouped.keys() & {(value, out), (value, at)}:
                array = array.copy()
                for classes, view in self.channels.rows(value, out, array):
                    view[self.zeroed[classes]] = 0
            elif self.gone(value, out).any():
                array = np.compress(~self.gone(value, out), array, axis=out)
        return self._any(node, role, at, array, False)

    def _array(self, node: Node, role: str) -> Array:
        value = node.params[role]
        return self.graph.weight(value).reshape(typed(value).shape)

    def _any(self, node: Node, role: str, at: int, array: Array, masked: bool) -> Mask:
        """Own classes with a row along axis `at` that is not all zero, nor counts as zero."""
        local, value = self.local(node), node.params[role].storage
        src, groups = local.grouped.get(f"{role}.{at}", (f"{role}.{at}", 1))
        found = np.zeros(local.count, bool)
        gone = self.zeroed[self.channels.of(value, at)]
        pieces = rows(np.arange(len(gone)), groups, at, array)
        for indices, view in pieces:
            some = (view != 0).reshape(len(indices), -1).any(1)
            if masked:
                some &= ~gone[indices]
            found[local.of(src)[indices[some]]] = True
        return found

    def param(self, node: Node, role: str, kept: Kept) -> F64:
        """What is left of a parameter, in float64, filters that count as zero being so."""
        array, value = self._array(node, role), node.params[role].storage
        spec = self.local(node).params[role]
        out = spec.out_axis
        for at in range(array.ndim):
            left = kept.get(f"{role}.{at}")
            if left is not None:
                array = np.take(array, left, axis=at)
        found: F64 = array.astype(np.float64)
        if not self.masked or spec.kind is not Kind.PARAM or out is None:
            return found
        if (value, out) in self.channels.grouped:  # of which all is left
            for classes, view in self.channels.rows(value, out, found):
                view[self.zeroed[classes]] = 0
        else:
            gone = self.gone(value, out)
            left = kept.get(f"{role}.{out}")
            np.moveaxis(found, out, 0)[gone if left is None else gone[left]] = 0
        return found


def axes(value: Value) -> range:
    return range(typed(value).rank)


__all__ = ["Local", "Masked", "axes"]
