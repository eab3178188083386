"""Rules on gradient nodes: whose part they are, what they read, and the types they pass on."""

from __future__ import annotations

from graphc.ir.facts import Facts, Problem, Problems
from graphc.ir.graph import Role


def gradients_refer(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        if node.role is Role.FWD and (node.of is not None or node.part):
            yield Problem(f"a forward node claims to be part {node.part!r} of {node.of!r}", node)
        if node.role is not Role.GRAD:
            continue
        if node.of is None:
            if node.part:
                yield Problem(f"part {node.part!r} belongs to no forward node", node)
        elif node.of not in facts.order or node.of.role is not Role.FWD:
            yield Problem(f"belongs to {node.of!r}, which is no forward node of the graph", node)
        elif facts.order[node.of] > facts.order[node]:
            yield Problem(f"stands before {node.of!r}, its forward node", node)
        elif node.op is not node.of.op:
            yield Problem(f"has another type than {node.of!r}, its forward node", node)


def gradients_read_their_part(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        if node.of is None or node.of not in facts.parts:
            continue
        part = facts.parts[node.of].get(node.part)
        if part is None:
            told = f"part {node.part!r} is unknown; {node.of!r} has {sorted(facts.parts[node.of])}"
            yield Problem(told, node)
            continue
        if tuple(node.ins) != tuple(part.reads):
            yield Problem(f"reads {tuple(node.ins)}, its part reads {tuple(part.reads)}", node)
        if tuple(node.outs) != (f"d{part.out}",):
            yield Problem(f"writes {tuple(node.outs)}, its part writes d{part.out}", node)
        for role, value in node.ins.items():
            own = (node.of.ins, node.of.params, node.of.outs)
            expected = next((table[role] for table in own if role in table), None)
            if expected is not None and expected is not value:
                told = f"{role} is {value.name!r}, but {expected.name!r} in {node.of!r}"
                yield Problem(told, node)
            elif expected is None and role[1:] in facts.inner[node.of]:
                maker, made = facts.written.get(value, (None, ""))
                if maker is None or maker.of is not node.of or made != role:
                    told = f"{role} is {value.name!r}, which no part of {node.of!r} gives as {role}"
                    yield Problem(told, node)


def gradient_tables_fit(facts: Facts) -> Problems:
    for what, table in (("gradient", facts.graph.grads), ("seed", facts.graph.seeds)):
        for name, value in table.items():
            target = facts.by_name.get(name)
            if target is None:
                yield Problem(f"a {what} is kept for {name!r}, which is no value of the graph")
            if what == "gradient" and value not in facts.written and value not in facts.given:
                yield Problem(f"the gradient of {name!r}, {value.name!r}, is written by no node")


def gradients_typed(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        if node.of is None or node.of not in facts.parts:
            continue
        tables = (node.of.ins, node.of.outs, node.of.params)
        for role, value in (*node.ins.items(), *node.outs.items()):
            names, inner = (role, role[1:]), facts.inner[node.of].get(role[1:])
            like = next((t[name].type for name in names for t in tables if name in t), inner)
            if like is not None and value.type != like:
                told = f"{role} {value.name!r} has type {value.type}, expected {like}"
                yield Problem(told, node)
    for what, kept in (("gradient", facts.graph.grads), ("seed", facts.graph.seeds)):
        for name, value in kept.items():
            if value.type != facts.by_name[name].type:
                told = f"has type {value.type}, the value {facts.by_name[name].type}"
                yield Problem(f"the {what} of {name!r} {told}")
