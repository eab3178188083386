"""Folding: affine layers go into the linear layers around them, or become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from graphc.ir.edit import erase, needed_names, overwritten_inputs, set_params, take_over
from graphc.ir.graph import Graph, Node, Value
from graphc.ir.names import Names
from graphc.ir.op import Op
from graphc.ir.versions import blob_of
from graphc.ops.power import Power, PowerAttrs
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.passes._affine import Affine, affine_of, changing_states
from graphc.passes._linear import LINEARS, RANGE, Linear
from graphc.passes.base import PassContext, Report

OFF = "off: with gradients, each layer keeps its own parameters"


class Folding:
    """One pass over a graph's runs of affine layers; `report` must come last, it ends the work.

    `ops`: the layer types that may be taken up; `of`: those of which a part of a run must hold
    one to be taken up.
    """

    def __init__(
        self, graph: Graph, ctx: PassContext, ops: Collection[type[Op]], of: Collection[type[Op]]
    ) -> None:
        self.graph, self.of = graph, of
        self.needed = needed_names(graph, ctx.pinned)
        self.users = graph.users()
        self.shares = Counter(v.storage for n in graph.nodes for v in n.params.values())
        changing = changing_states(graph)
        affine = [n for n in graph.forward_nodes() if n.op in ops]
        self.maps = {n: affine_of(graph, n, changing) for n in affine}
        self.taken = Names.of(graph).taken
        self.at = {node: at for at, node in enumerate(graph.nodes)}
        self.overwritten = overwritten_inputs(graph)
        self.linears: dict[Node, Linear] = {}
        self.gone: set[Node] = set()
        self.merged: dict[Node, tuple[Node, Affine]] = {}
        self.detail: list[str] = []
        self.reasons: dict[Node, list[str]] = {}

    def runs(self) -> list[list[Node]]:
        """Affine layers of which each reads the one before, and nobody else does."""
        runs: dict[Node, list[Node]] = {}
        for node, map_ in self.maps.items():
            why = map_ if isinstance(map_, str) else self._why_fixed(node)
            if why:
                self._refuse(node, why)
                continue
            before = _bottom(node).producer
            run = runs.get(before) if before is not None else None
            if run is None or self._why_tied(_bottom(node)):
                run = []
            run.append(node)
            runs[node] = run
        return list({id(run): run for run in runs.values()}.values())

    def _why_fixed(self, node: Node) -> str:
        if any(node.loss.values()):
            return "it has a loss weight"
        return "" if all(node.propagate) else "it stops gradients"

    def _why_tied(self, value: Value) -> str:
        """Why `value` must be made as it is; empty if its one reader may do without."""
        readers = len(self.users.get(value, ()))
        if value.name in self.needed:
            return f"{value.name!r} is an output or kept"
        if readers != 1:
            return f"{value.name!r} has {readers} readers"
        maker = value.producer
        is_loss = maker is not None and any(maker.loss.values())
        return f"{value.name!r} has a loss weight" if is_loss else ""

    def _refuse(self, node: Node, reason: str) -> None:
        self.reasons.setdefault(node, []).append(reason)

    def _concerns(self, nodes: list[Node]) -> bool:
        return any(node.op in self.of for node in nodes)

    def backward(self, run: list[Node]) -> list[Node]:
        """Fold a run's first layers into the linear layer that it reads; returns the others."""
        value = _bottom(run[0])
        linear = self._linear(value.producer, "before")
        if isinstance(linear, Linear):
            linear = self._why_tied(value) or linear
        if isinstance(linear, str):
            self._refuse(run[0], linear)
            return run
        count = 0
        for node in run:
            found = linear.followed_by(self._map(node))
            if isinstance(found, str):
                self._refuse(node, found)
                break
            linear, count = found, count + 1
        folded = run[:count]
        if not self._concerns(folded):
            return run
        self.linears[linear.node] = linear
        take_over(linear.node, linear.top, _top(folded[-1]), self.needed, self.taken)
        self._done(folded, f"{linear.node.name} takes in {_names(folded)}")
        return run[count:]

    def forward(self, run: list[Node]) -> list[Node]:
        """Fold a run's last layers into all linear layers that read it; returns the others."""
        if not run:
            return run
        readers = self._readers(_top(run[-1]))
        if isinstance(readers, str):
            self._refuse(run[-1], readers)
            return run
        count = 0
        for node in reversed(run):
            found = [linear.preceded_by(self._map(node)) for linear in readers]
            reason = next((each for each in found if isinstance(each, str)), "")
            reason = reason or self._why_late(node, readers)
            if reason:
                self._refuse(node, reason)
                break
            readers, count = [each for each in found if isinstance(each, Linear)], count + 1
        folded = run[len(run) - count :]
        if not self._concerns(folded):
            return run
        for linear in readers:  # where the bottom had several readers, it has no fewer now
            linear.node.ins[linear.data] = _bottom(folded[0])
            self.linears[linear.node] = linear
        verb = "takes" if len(readers) == 1 else "take"
        takers = _names([linear.node for linear in readers])
        self._done(folded, f"{takers} {verb} in {_names(folded)}")
        return run[: len(run) - count]

    def _why_late(self, node: Node, readers: list[Linear]) -> str:
        """Why `readers` cannot read the bottom of `node`: a file has only what overwrote it."""
        value = _bottom(node)
        at = self.overwritten.get(value, self.at[node])
        is_late = at != self.at[node] and any(self.at[r.node] > at for r in readers)
        return f"{blob_of(value)!r} is overwritten before it would be read" if is_late else ""

    def _readers(self, value: Value) -> list[Linear] | str:
        if value.name in self.needed:
            return f"{value.name!r} is an output or kept"
        found = [self._linear(node, "after") for node, _ in self.users.get(value, ())]
        reason = next((each for each in found if isinstance(each, str)), "")
        if reason or not found:
            return reason or f"nobody reads {value.name!r}"
        return [each for each in found if isinstance(each, Linear)]

    def _linear(self, node: Node | None, where: str) -> Linear | str:
        """A layer that maps can be folded into, as far as it has taken any in; or why not."""
        if node is None or node.op not in LINEARS:
            what = "nothing" if node is None else f"{node.op.type} {node.name!r}"
            return f"{where} it comes {what}"
        if node.phase != "TEST":
            return f"{node.name!r} is in phase TRAIN"
        if len(node.ins) != 1:
            return f"{node.name!r} has several bottoms"
        if any(self.shares[v.storage] > 1 for v in node.params.values()):
            return f"{node.name!r} shares its weights"
        return self.linears.get(node) or Linear(self.graph, node)

    def merge(self, run: list[Node], *, alone: bool = False) -> None:
        """Make one layer of those in a run that lie along the same axes; `alone`: of a single one,
        too."""
        while run:
            whole, count = self._map(run[0]), 1
            for node in run[1:]:
                longer = whole.then(self._map(node))
                if longer is None or not _fits(longer):
                    break
                whole, count = longer, count + 1
            group, run = run[:count], run[count:]
            if (alone or count > 1) and self._concerns(group):
                made = _merged(group, whole)
                self.merged[group[0]] = made, whole
                self._done(group, f"{_names(group)} become {made.op.type} {made.name}")

    def _map(self, node: Node) -> Affine:
        found = self.maps[node]
        assert isinstance(found, Affine)
        return found

    def _done(self, nodes: list[Node], detail: str) -> None:
        self.gone.update(nodes)
        self.detail.append(detail)

    def report(self, name: str, runs: Collection[list[Node]] | None = None) -> Report:
        """Do what was found, and say so; then of each layer that is left why it stays.

        `runs`: those that matter (None: all).
        """
        graph, changed = self.graph, bool(self.gone)
        graph.nodes = [self.merged[n][0] if n in self.merged else n for n in graph.nodes]
        arrays = {node: linear.weights() for node, linear in self.linears.items()}
        erase(graph, self.gone)
        names = Names.of(graph)
        for node, made in arrays.items():
            if "bias" in made and not node.attrs.bias_term:
                node.attrs = replace(node.attrs, bias_term=True)
            set_params(graph, names, node, made)
        for node, map_ in self.merged.values():
            if node.op is Scale:
                found = {"weight": map_.scale, "bias": map_.shift}
                rounded = {r: a.astype(np.float32) for r, a in found.items() if a is not None}
                set_params(graph, names, node, rounded)
        for node in self.maps if runs is None else [n for run in runs for n in run]:
            if node.op in self.of and node not in self.gone:
                why = "; ".join(
                    dict.fromkeys(self.reasons.get(node, ["nothing beside it can take it in"]))
                )
                self.detail.append(f"{node.name} stays: {why}")
        return Report(name, changed, tuple(self.detail))


def fold_all(
    name: str, graph: Graph, ctx: PassContext, ops: Collection[type[Op]], of: Collection[type[Op]]
) -> Report:
    """The whole pass `name`: fold each run where it can go, the rest of it into one layer."""
    if ctx.train:
        return Report(name, False, (OFF,))
    folding = Folding(graph, ctx, ops, of)
    for run in folding.runs():
        folding.merge(folding.forward(folding.backward(run)))
    return folding.report(name)


def _merged(group: list[Node], whole: Affine) -> Node:
    """The layer that stands for a run, without its parameters."""
    first, last = group[0], group[-1]
    ins, outs = {"x": _bottom(first)}, {"y": _top(last)}
    op: type[Op] = Scale
    attrs: PowerAttrs | ScaleAttrs
    if all(node.op is Power for node in group):
        shift = 0.0 if whole.shift is None else float(np.float32(whole.shift))
        op, attrs = Power, PowerAttrs(scale=float(np.float32(whole.scale)), shift=shift)
    else:
        axis, axes = (0, 0) if whole.start is None else (whole.start, whole.scale.ndim)
        attrs = ScaleAttrs(axis=axis, num_axes=axes, bias_term=whole.shift is not None)
    return Node(op, last.name, attrs, ins, outs, phase=last.phase, loc=last.loc)


def _fits(map_: Affine) -> bool:
    """Does float32 hold the coefficients with all their bits?"""
    size = np.abs(map_.scale)
    small = map_.shift is None or bool(np.all(np.abs(map_.shift) < RANGE[1]))
    return small and bool(np.all((size == 0) | ((size > RANGE[0]) & (size < RANGE[1]))))


def _bottom(node: Node) -> Value:
    return next(iter(node.ins.values()))


def _top(node: Node) -> Value:
    return node.outs[node.tops[0]]


def _names(nodes: list[Node]) -> str:
    return ", ".join(node.name for node in nodes)
