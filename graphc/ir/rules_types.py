"""Rules on types and weights; the last two infer every node again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from graphc.errors import GraphError
from graphc.floats import Floats
from graphc.ir.facts import Facts, Problem, Problems, is_typed
from graphc.ir.graph import Node, Role
from graphc.ir.op import Effect, Sig, Trait
from graphc.ir.types import Type
from graphc.ir.weights import Weights


def types_present(facts: Facts) -> Problems:
    for value, (node, _) in facts.written.items():
        if value.type is None:
            yield Problem(f"value {value.name!r} has no type", node)
    for value, node in facts.params.items():
        if value.type is None:
            yield Problem(f"parameter {value.name!r} has no type", node)
        elif value.type.dtype != "f32":
            yield Problem(f"parameter {value.name!r} is {value.type}, not f32", node)
        elif value.spec is not None and value.spec.shape != value.type.shape:
            told = f"has type {value.type}, but its spec says {value.spec.shape}"
            yield Problem(f"parameter {value.name!r} {told}", node)


def views_same_size(facts: Facts) -> Problems:
    for value, node in facts.params.items():
        if value.type is None or value.storage.type is None:
            continue
        if value.type.size != value.storage.type.size:
            owner = f"{value.storage.name!r} {value.storage.type}"
            yield Problem(f"parameter {value.name!r} {value.type} is a view of {owner}", node)


def weights_fit(facts: Facts) -> Problems:
    weights = facts.graph.weights
    for name in weights:
        array = weights.held(name) if isinstance(weights, Weights) else weights[name]
        value = facts.by_name.get(name)
        if value is None or value not in facts.params:
            yield Problem(f"there are weights for {name!r}, which is no parameter of the graph")
            continue
        node = facts.params[value]
        if value.view_of is not None:
            told = f"parameter {name!r} has weights, but is a view of {value.view_of.name!r}"
            yield Problem(told, node)
        elif not isinstance(array, Floats) and str(array.dtype) != "float32":
            yield Problem(f"weights {name!r} are {array.dtype}, not float32", node)
        elif value.type is not None and array.shape != value.type.shape:
            told = f"weights {name!r} have shape {array.shape}, the parameter {value.type.shape}"
            yield Problem(told, node)


def inference_agrees(facts: Facts) -> Problems:
    for node in facts.graph.nodes:
        is_source = node.has(Effect.SOURCE) or node.has(Trait.FEED)
        if node.of is None and node.role is not Role.UPDATE and is_typed(node) and not is_source:
            yield from (Problem(m, node) for m in _reinfer_tops(node, facts.sigs[node]))


def params_agree(facts: Facts) -> Problems:
    for node in facts.graph.forward_nodes():
        if is_typed(node):
            yield from (Problem(m, node) for m in _reinfer_params(node, facts.sigs[node]))


def _reinfer_tops(node: Node, sig: Sig) -> Iterator[str]:
    """Messages about tops and aux values whose type differs from what `infer` and `aux` give."""
    try:
        found = dict(node.op.infer(node.attrs, replace(sig, outs={}, params={})))
        aux: Callable[..., Mapping[str, Type]] = getattr(node.op, "aux", lambda a, s: {})
        found |= aux(node.attrs, sig)
    except GraphError as error:
        yield f"inference refuses: {error.message}"
        return
    for role, value in node.outs.items():
        if role not in found:
            yield f"{role} {value.name!r} is neither a top nor an aux value of the layer"
        elif value.type != found[role]:
            yield f"{role} {value.name!r} has type {value.type}, inference says {found[role]}"


def _reinfer_params(node: Node, sig: Sig) -> Iterator[str]:
    """Messages about parameters whose role, shape or kind differs from what `params` gives."""
    try:
        declared: tuple[Any, ...] = node.op.params(node.attrs, replace(sig, params={}))
    except GraphError as error:
        yield f"params refuses: {error.message}"
        return
    names = tuple(p.name for p in declared)
    if tuple(node.params) != names:
        yield f"has parameters {tuple(node.params)}, the layer declares {names}"
        return
    for param in declared:
        value = node.params[param.name]
        if value.type is None or value.type.shape != param.shape:
            yield f"parameter {value.name!r} has type {value.type}, declared is {param.shape}"
        if value.kind is not param.kind:
            yield f"parameter {value.name!r} is a {value.kind.value}, declared {param.kind.value}"
