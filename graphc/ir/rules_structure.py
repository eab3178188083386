"""Rules on structure: single assignment, order, roles, kinds, views, outputs."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.facts import Facts, Problem, Problems
from graphc.ir.graph import Role, Value
from graphc.ir.op import Kind


def nodes_unique(facts: Facts) -> Problems:
    for index, node in enumerate(facts.graph.nodes):
        if facts.order[node] != index:
            yield Problem("the node is in the graph twice", node)


def written_once(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        for role, value in node.outs.items():
            first, first_role = facts.written[value]
            if (first, first_role) != (node, role):
                yield Problem(f"value {value.name!r} is also written by {first!r}", node)


def producers_linked(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        for role, value in node.outs.items():
            if value.producer is not node:
                told = f"value {value.name!r} ({role}) names {value.producer!r} as its producer"
                yield Problem(told, node)
    for value, node in facts.params.items():
        if value.producer is not None:
            yield Problem(f"parameter {value.name!r} has a producer, {value.producer!r}", node)


def names_unique(facts: Facts) -> Problems:
    for value in (*facts.params, *facts.written, *facts.given):
        if not value.name:
            yield Problem("a value has no name", value.producer)
        if facts.by_name[value.name] is not value:
            yield Problem(f"two values are called {value.name!r}", value.producer)


def kinds_fit(facts: Facts) -> Problems:
    for value, (node, _) in facts.written.items():
        if value.kind is not Kind.ACT:
            yield Problem(f"value {value.name!r} is written, but is a {value.kind.value}", node)
    for value, node in facts.params.items():
        if value.kind is Kind.ACT:
            yield Problem(f"parameter {value.name!r} is marked as an activation", node)


def defined_before_read(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        for role, value in node.ins.items():
            if value in facts.given or (value.kind is not Kind.ACT and value in facts.params):
                continue
            if value not in facts.written:
                yield Problem(f"{role} reads {value.name!r}, which no node writes", node)
            elif facts.order[facts.written[value][0]] >= facts.order[node]:
                writer = facts.written[value][0]
                yield Problem(f"{role} reads {value.name!r} before {writer!r} writes it", node)


def roles_match(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        if node.part or node.role is Role.UPDATE:
            continue
        try:
            ins, tops = node.op.roles(node.attrs, len(node.ins), len(node.tops))
        except GraphError as error:
            yield Problem(error.message, node)
            continue
        if tuple(node.ins) != ins:
            yield Problem(f"bottoms have roles {tuple(node.ins)}, expected {ins}", node)
        if tuple(node.tops) != tops:
            yield Problem(f"tops have roles {tuple(node.tops)}, expected {tops}", node)


def tops_written(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        if tuple(node.outs)[: len(node.tops)] != tuple(node.tops):
            told = f"outs {tuple(node.outs)} do not begin with the tops {tuple(node.tops)}"
            yield Problem(told, node)
        yield from (
            Problem(f"a loss weight is given for {role!r}, which is no top", node)
            for role in node.loss
            if role not in node.tops
        )
        if node.role is Role.FWD and len(node.propagate) not in (0, len(node.ins)):
            told = f"{len(node.propagate)} propagate entries for {len(node.ins)} bottoms"
            yield Problem(told, node)


def outputs_exist(facts: Facts) -> Problems:
    seen: set[Value] = set()
    for value in facts.graph.outputs:
        if value not in facts.written:
            yield Problem(f"output {value.name!r} is written by no node")
        if value in seen:
            yield Problem(f"output {value.name!r} is listed twice")
        seen.add(value)


def views_flat(facts: Facts) -> Problems:
    for value, node in facts.params.items():
        owner = value.view_of
        if owner is None:
            continue
        if owner.view_of is not None:
            yield Problem(f"parameter {value.name!r} is a view of {owner.name!r}, a view too", node)
        if owner not in facts.params:
            yield Problem(f"parameter {value.name!r} is a view of {owner.name!r}, unused", node)
        if owner.kind is not value.kind:
            told = f"{value.kind.value} {value.name!r} is a view of {owner.kind.value}"
            yield Problem(f"{told} {owner.name!r}", node)
