"""trace: the drafts of a graph, one per forward or gradient part or update; parameters first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import cast

from graphc.errors import GraphError
from graphc.ir.graph import Graph, Node, Role, Sigs, Value
from graphc.ir.op import Effect, Sig, Trait
from graphc.lower._draft import BACKWARD, BEHIND, UPDATE, Alias, Draft
from graphc.ops.spec import Forward, Grad, OpSpec

WORLD = frozenset({Effect.SOURCE, Effect.SINK})


def trace(graph: Graph, sigs: Sigs | None = None) -> list[Draft]:
    """The drafts of a shaped graph, forward ones first, updates last. `sigs`: of its nodes.

    Of a layer's gradient parts those of its parameters come before those of its bottoms: with them
    the last use of a bottom is over before the bottom's gradient takes its place.
    """
    sigs = Sigs(graph.env) if sigs is None else sigs
    layers = {node: _Layer(node, sigs[node]) for node in graph.forward_nodes()}
    drafts: list[Draft] = []
    ranks: list[tuple[int, int]] = []
    for index, node in enumerate(graph.nodes):
        if node.role is Role.FWD:
            drafts += layers[node].forwards(index)
        elif node.role is Role.GRAD and node.of is None:
            drafts.append(_Layer(node, sigs[node]).sum(index))
        elif node.role is Role.GRAD and node.of is not None:
            drafts.append(layers[node.of].gradient(node, index))
        elif node.role is Role.UPDATE:
            entry = BEHIND if node.has(Trait.IN_BACKWARD) else UPDATE
            drafts += [replace(d, entry=entry) for d in _Layer(node, sigs[node]).forwards(index)]
        ranks += [_rank(node)] * (len(drafts) - len(ranks))
    return _params_first(drafts, ranks)


def _rank(node: Node) -> tuple[int, int]:
    """(layer, or 0 for what keeps its place; inner roles 0, parameters 1, bottoms 2)."""
    if node.of is None:
        return 0, 0
    out = next(iter(node.outs))[1:]
    return id(node.of), 1 if out in node.of.params else 2 if out in node.of.ins else 0


def _params_first(drafts: list[Draft], ranks: list[tuple[int, int]]) -> list[Draft]:
    ordered: list[Draft] = []
    for layer, group in groupby(zip(ranks, drafts, strict=True), key=lambda item: item[0][0]):
        members = list(group)
        if layer:
            members.sort(key=lambda item: item[0][1])
        ordered += [draft for _, draft in members]
    return ordered


class _Layer:
    """A forward node (or autodiff's sum) and what its declaration says of it."""

    def __init__(self, node: Node, sig: Sig) -> None:
        self.node, self.op, self.sig = node, cast("type[OpSpec]", node.op), sig
        self.grads: dict[str, Grad] = {}
        traits = self.op.traits_of(node.attrs, self.sig)
        self.is_separable = Trait.BATCH_SEPARABLE in traits

    def forwards(self, index: int) -> list[Draft]:
        node = self.node
        if node.has(Trait.FEED):
            return []
        parts = self.op.forwards(node.attrs, self.sig)
        aliases = self._aliases()
        if aliases:
            return [self._draft(index, parts[0], {}, aliases)]
        inner = self._inner_values(parts)
        drafts = [self._draft(index, part, inner) for part in parts]
        return [d for d in drafts if d.writes or d.effects]

    def _draft(
        self,
        index: int,
        part: Forward,
        inner: dict[str, Value],
        aliases: tuple[Alias, ...] = (),
    ) -> Draft:
        node = self.node
        known = {**node.ins, **node.params, **inner, **node.outs}
        reads = (*node.ins, *node.params) if part.reads is None else part.reads
        writes = (*node.outs, *inner) if part.writes is None else part.writes
        kept = [role for role in writes if role in known]
        unknown = [role for role in reads if role not in known]
        if unknown:
            told = f"a part reads {unknown[0]!r}, which the layer does not have"
            raise node.located(GraphError("GC-O001", told))
        effects = part.effects | (self.op.effects & WORLD)
        updates = tuple((role, role) for role in kept if role in node.params and role in reads)
        pure = effects <= {Effect.RNG}
        return Draft(
            node.name,
            index,
            part.name,
            [(role, known[role]) for role in reads],
            [(role, known[role]) for role in kept],
            over=tuple(p for p in part.over if p[0] in kept and p[1] in reads) + updates,
            effects=effects,
            batch_axis=0 if self.is_separable and pure else None,
            aliases=aliases,
            tops=frozenset(kept),
        )

    def _aliases(self) -> tuple[Alias, ...]:
        """Views that make the whole forward: of tops on what is read, or of bottoms on the top."""
        node, views = self.node, self.op.views(self.node.attrs, self.sig)
        tables = {**node.ins, **node.params}
        if set(views) == set(node.outs) and all(v.of in tables for v in views.values()):
            return tuple(Alias(node.outs[r], tables[v.of], v) for r, v in views.items())
        if set(views) == set(node.ins) and {v.of for v in views.values()} == set(node.outs):
            return tuple(Alias(node.ins[r], node.outs[v.of], v) for r, v in views.items())
        return ()

    def _inner_values(self, parts: tuple[Forward, ...]) -> dict[str, Value]:
        """Aux values that one part of the forward makes for another, and nobody else reads."""
        read = {role for part in parts for role in part.reads or ()}
        node, types = self.node, self.op.aux(self.node.attrs, self.sig)
        sides = [types if part.writes is None else part.writes for part in parts]
        made = {role for side in sides for role in side}
        roles = (read & made) - set(node.outs) - set(node.params) - set(node.ins)
        return {r: Value(f"{node.name}:{r}", types[r]) for r in types if r in roles}

    def gradient(self, grad: Node, index: int) -> Draft:
        if not self.grads:
            self.grads = {g.part: g for g in self.op.grads(self.node.attrs, self.sig)}
        part = self.grads[grad.part]
        ((role, result),) = grad.outs.items()
        view = part.view
        return Draft(
            grad.name,
            index,
            part.part,
            list(grad.ins.items()),
            [(role, result)],
            over=((role, part.over),) if part.over else (),
            effects=self.op.effects & {Effect.RNG},
            batch_axis=0 if self.is_separable and part.out not in self.node.params else None,
            aliases=(Alias(result, grad.ins[view.of], view),) if view else (),
            can_add=part.accumulate,
            entry=BACKWARD,
            tops=frozenset(self._tops(grad)),
        )

    def _tops(self, grad: Node) -> Iterator[str]:
        """Roles of what a gradient part touches: tops, aux values and gradients of either."""
        for role in (*grad.ins, *grad.outs):
            own = role if role in self.node.ins or role in self.node.outs else role[1:]
            if own in self.node.outs:
                yield role

    def sum(self, index: int) -> Draft:
        part = self.op.forwards(self.node.attrs, self.sig)[0]
        return replace(self._draft(index, part, {}), is_sum=True, entry=BACKWARD)


__all__ = ["trace"]
