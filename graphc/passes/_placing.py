"""Placing: layers in place of others, collected and then put in at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from graphc.ir.edit import erase, needed_names, set_params, take_over
from graphc.ir.graph import Array, Graph, Node, ParamSpec, Value
from graphc.ir.names import Names


class Placing:
    """New layers for old ones of one graph.

    A layer that is made has fresh names and the types that its declaration infers; the last of
    those in one place takes the old top over, with its loss weight. Multipliers of parameters are
    those of a layer that it is `like`.
    """

    def __init__(self, graph: Graph, pinned: Collection[str]) -> None:
        self.graph = graph
        self.needed = needed_names(graph, pinned)
        self.names = Names.of(graph)
        self.layers = Names(node.name for node in graph.forward_nodes())
        self._placed: dict[Node, list[Node]] = {}
        self._dead: set[Node] = set()
        self._arrays: list[tuple[Node, Mapping[str, Array], Node]] = []

    def inner(self, node: Node, roles: Sequence[str]) -> list[Value]:
        """Give `node` a fresh name and tops for `roles`; returns these."""
        node.name = self.layers.fresh(node.name)
        sig = replace(node.sig(self.graph.env), tops=tuple(roles))
        types = node.op.infer(node.attrs, sig)
        single = len(roles) == 1
        for at, role in enumerate(roles):
            blob = self.names.fresh(node.name if single else f"{node.name}{at}")
            node.outs[role] = Value(blob, types[role], producer=node)
        node.tops = tuple(roles)
        return list(node.outs.values())

    def last(self, node: Node, role: str, old: Node) -> None:
        """Let `node` make the only top of `old` as `role`."""
        (told,) = old.tops
        node.loss = {role: old.loss[told]} if told in old.loss else {}
        take_over(node, role, old.outs[told], self.needed, self.names.taken)
        node.tops = (role,)

    def fill(self, node: Node, arrays: Mapping[str, Array], like: Node) -> None:
        """Give `node` its parameters, by role, once it is placed."""
        specs = zip(like.params, like.specs, strict=False)
        node.specs = nameless([spec for role, spec in specs if role in arrays])
        self._arrays.append((node, arrays, like))

    def put(self, at: Node, nodes: list[Node], dead: Collection[Node]) -> None:
        """`nodes` come in place of `at`, and `dead` go."""
        self._placed[at] = nodes
        self._dead.update(dead)

    def finish(self) -> None:
        graph = self.graph
        like = {node: dict(node.params) for _, _, node in self._arrays}
        graph.nodes = [new for node in graph.nodes for new in self._placed.get(node, [node])]
        erase(graph, self._dead)
        for node, arrays, old in self._arrays:
            set_params(graph, self.names, node, arrays)
            for role, value in node.params.items():
                value.lr_mult, value.decay_mult = (
                    like[old][role].lr_mult,
                    like[old][role].decay_mult,
                )


def nameless(specs: Sequence[ParamSpec]) -> tuple[ParamSpec, ...]:
    """The param entries without names, under which others would share what has another shape."""
    return tuple(replace(spec, name="", share_mode="STRICT") for spec in specs)


__all__ = ["Placing", "nameless"]
