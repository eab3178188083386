"""Absorption: where the constants of removed channels go, so that no output changes.

A constant goes into the bias of each layer that reads it, where its part in what that layer
computes is even. Where padding gives that part a border, one channel of its group stays as the
carrier of all: constant itself, it takes over the others' columns, scaled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field, replace
from typing import TypeAlias

import numpy as np

from graphc.channels import Ints
from graphc.ir.edit import set_params
from graphc.ir.graph import Array, Graph, Node, Value, typed
from graphc.ir.names import Names
from graphc.ops.spec import F64
from graphc.passes._constants import Constants
from graphc.passes._linear import LINEARS
from graphc.passes._masked import Local, Masked, axes
from graphc.passes._removal import Mask
from graphc.records import record

EVEN = 1e-10
"""How much, as a share of its largest element, an even map may differ from place to place."""
Item: TypeAlias = tuple[int, int]
"""A class, and an index of a bottom's axis that is one of its channels."""


@record(frozen=True)
class Transfer:
    """Column `source` of a parameter's storage, times `ratio`, is added to column `target`."""

    storage: Value
    axis: int
    target: int
    source: int
    ratio: float


@record
class Absorption:
    """What must be done so that the classes `removed` are not missed.

    `refused`: classes that would be, and why. `carriers`: by group, the class that stays for it.
    """

    biases: dict[Node, F64] = field(default_factory=dict)
    transfers: dict[Transfer, None] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    carriers: dict[int, int] = field(default_factory=dict)

    def move(self, graph: Graph) -> None:
        """Add columns to those of carriers; to be done while all channels are there."""
        for each in self.transfers:
            array = graph.weight(each.storage).reshape(typed(each.storage).shape)
            columns = np.moveaxis(array, each.axis, 0)
            columns[each.target] += (each.ratio * columns[each.source]).astype(np.float32)

    def add(self, graph: Graph) -> None:
        """Change the biases; to be done when the channels are gone."""
        names = Names.of(graph)
        for node, moved in self.biases.items():
            arrays: dict[str, Array] = {r: graph.weight(v) for r, v in node.params.items()}
            old = arrays.get("bias", np.zeros(moved.shape, np.float32)).reshape(moved.shape)
            arrays["bias"] = (old.astype(np.float64) + moved).astype(np.float32)
            node.attrs = replace(node.attrs, bias_term=True)
            set_params(graph, names, node, arrays)


class Absorber:
    """Finds an `Absorption` for `removed`, given the maps of these and of carriers."""

    def __init__(
        self, constants: Constants, removed: Mask, group_of: Ints, carriers: Mapping[int, int]
    ) -> None:
        self.constants, self.removed, self.group_of = constants, removed, group_of
        self.channels, self.graph = constants.channels, constants.graph
        self.shares = Counter(
            v.storage for n in self.graph.forward_nodes() for v in n.params.values()
        )
        self.found = Absorption(carriers=dict(carriers))
        self._without = Masked(self.graph, self.channels, removed)
        self._taken_in: dict[tuple[Node, str], Mask] = {}
        for node in self.graph.forward_nodes():
            for role, value in node.ins.items():
                for at in axes(value):
                    gone = removed[self.channels.labels[value, at]]
                    if gone.any():
                        self._reader(node, role, at, np.flatnonzero(gone))

    def _reader(self, node: Node, role: str, at: int, gone: Ints) -> None:
        local = self.constants.local(node)
        end = f"{role}.{at}"
        labels = local.of(end)
        passed_on = np.zeros(local.count, bool)
        for top in local.ends(node.tops):
            passed_on[local.of(top)] = True
        taken = [i for i in gone.tolist() if not passed_on[labels[i]]]
        if not taken or not node.tops:
            return
        value = node.ins[role]
        weights = local.takers
        classes = self.channels.labels[value, at]
        moving: list[Item] = []
        for index in taken:
            map_ = self.constants.maps.get((value, at, index))
            if map_ is not None and not map_.any():
                continue
            if weights and not self._is_used(local, weights, int(labels[index])):
                continue
            item = (int(classes[index]), index)
            if map_ is None or not weights:
                why = "what it reads of it is not constant" if map_ is None else "it has no weights"
                self._refuse([item], f"{node.op.type} {node.name!r} cannot do without: {why}")
            else:
                moving.append(item)
        if moving:
            self._move(local, role, at, moving)

    def _is_used(self, local: Local, weights: list[str], label: int) -> bool:
        """Does any weight that stays multiply the layer's own class by something?"""
        for role in weights:
            key = (local.node, role)
            if key not in self._taken_in:
                self._taken_in[key] = self._without.taken_in(*key)
        return any(self._taken_in[local.node, role][label] for role in weights)

    def _move(self, local: Local, role: str, at: int, items: list[Item]) -> None:
        node = local.node
        why = self._into_bias(local, role, at, items)
        if not why:
            return
        if local.blocks or self._is_tied(node):
            self._refuse(items, f"{node.op.type} {node.name!r} cannot take its constant in: {why}")
            return
        by_group: dict[int, dict[int, list[int]]] = {}
        for label, index in items:
            by_group.setdefault(int(self.group_of[label]), {}).setdefault(label, []).append(index)
        for group, found in by_group.items():
            self._carry(local, role, at, group, found)

    def _is_tied(self, node: Node) -> bool:
        """Do layers share its weights that read something else?"""
        own = {value.storage for value in node.params.values()}
        return any(
            own & {value.storage for value in other.params.values()}
            and list(other.ins.values()) != list(node.ins.values())
            for other in self.graph.forward_nodes()
        )

    def _into_bias(self, local: Local, role: str, at: int, items: list[Item]) -> str:
        """Add the constants' part to the layer's bias; else why not."""
        node = local.node
        if node.op not in LINEARS or len(node.ins) != 1:
            return "it has no bias that they could go into"
        if any(self.shares[v.storage] > 1 for v in node.params.values()):
            return "it shares its weights"
        moved = np.zeros(local.count, bool)
        moved[local.of(f"{role}.{at}")[[index for _, index in items]]] = True
        chosen = moved.copy()
        for top in local.ends(node.tops):
            chosen[local.of(top)] = True
        part = self.constants.evaluate(local, local.kept(chosen), only=moved)[node.tops[0]]
        axis = typed(node.ins[role]).axis(node.attrs.axis)
        rows = np.moveaxis(part, axis, 0).reshape(part.shape[axis], -1)
        rows = rows[~self.removed[self.channels.labels[node.outs[node.tops[0]], axis]]]
        spread = np.ptp(rows, axis=1).max(initial=0)
        if not spread <= EVEN * np.abs(rows).max(initial=0):
            return "padding gives it a border"
        known = self.found.biases.get(node)
        self.found.biases[node] = rows.mean(1) if known is None else known + rows.mean(1)
        return ""

    def _carry(
        self, local: Local, role: str, at: int, group: int, found: dict[int, list[int]]
    ) -> None:
        """Let one class of a group stand for all that this layer reads."""
        node, value, maps = local.node, local.node.ins[role], self.constants.maps
        size = {
            label: sum(float(np.abs(maps[value, at, i]).sum()) for i in indices)
            for label, indices in found.items()
        }
        carrier = self.found.carriers.setdefault(group, max(size, key=lambda c: (size[c], -c)))
        classes = self.channels.labels[value, at]
        own = np.flatnonzero(classes == carrier).tolist()
        for label, indices in found.items():
            if label == carrier:
                continue
            moves: list[Transfer] = []
            for index, target in zip(indices, own, strict=False):
                ratio = _ratio(maps[value, at, index], maps.get((value, at, target)))
                if ratio is None or len(indices) != len(own):
                    why = f"no other channel is constant like it before {node.name!r}"
                    self._refuse([(label, index)], why)
                    moves = []
                    break
                moves += self._columns_of(local, f"{role}.{at}", index, target, ratio)
            self.found.transfers |= dict.fromkeys(moves)

    def _columns_of(
        self, local: Local, end: str, index: int, target: int, ratio: float
    ) -> list[Transfer]:
        moves = []
        for role in local.takers:
            at = local.params[role].in_axis
            assert at is not None
            labels = local.of(f"{role}.{at}")
            sources = np.flatnonzero(labels == local.of(end)[index]).tolist()
            targets = np.flatnonzero(labels == local.of(end)[target]).tolist()
            for source, to in zip(sources, targets, strict=True):
                moves.append(Transfer(local.node.params[role].storage, at, to, source, ratio))
        return moves

    def _refuse(self, items: list[Item], why: str) -> None:
        for label, _ in items:
            self.found.refused.setdefault(label, why)


def _ratio(map_: F64, other: F64 | None) -> float | None:
    """map / other, where that is one number."""
    if other is None or not other.any():
        return None
    left, right = np.broadcast_arrays(map_, other)
    ratio = float((left * right).sum() / (right * right).sum())
    close = np.abs(left - ratio * right).max() <= EVEN * np.abs(left).max()
    return ratio if close else None


__all__ = ["Absorber", "Absorption", "Transfer"]
