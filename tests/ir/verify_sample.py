"""A small right graph of every kind of node, which the verifier's mutants are made from."""

from __future__ import annotations

import numpy as np

from graphc.ir.graph import Graph, Node, Role, Value
from graphc.ir.op import Kind, Op, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.spec import Grad


class Feed(Op):
    type = "Feed"
    bottoms = ()
    tops = ("y",)
    traits = frozenset({Trait.FEED})


class Double(Op):
    type = "Double"

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        return {"y": s.ins["x"]}


class Shared(Op):
    """A layer one part of which makes the gradient of an inner role for the other."""

    type = "Shared"

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        return {"y": s.ins["x"]}

    @staticmethod
    def inner(a: object, s: Sig) -> dict[str, Type]:
        return {"sums": s.ins["x"]}

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return (Grad("sums", ("dy",)), Grad("x", ("dsums",)))


def sample() -> Graph:
    """data -> ip (InnerProduct 5 -> 3) -> out, with the gradient of ip's weight, and a second
    InnerProduct whose weight is a view of the first one's."""
    data = Value("data", Type((2, 5)))
    feed = Node(Feed, "data", None, outs={"y": data})
    attrs = InnerProductAttrs(num_output=3, bias_term=False)
    weight = Value("ip:weight", Type((3, 5)), Kind.PARAM, spec=Param("weight", (3, 5)))
    ip_top = Value("ip", Type((2, 3)))
    ip = Node(InnerProduct, "ip", attrs, {"x": data}, {"y": ip_top}, {"weight": weight})
    out = Value("out", Type((2, 3)))
    double = Node(Double, "double", None, {"x": ip_top}, {"y": out})
    shared = Value("ip2:weight", Type((5, 3)), Kind.PARAM, view_of=weight)
    ip2_top = Value("ip2", Type((2, 5)))
    wide = InnerProductAttrs(num_output=5, bias_term=False)
    ip2 = Node(InnerProduct, "ip2", wide, {"x": out}, {"y": ip2_top}, {"weight": shared})
    seed = Value("seed(ip)", Type((2, 3)))
    grad = Value("d(ip:weight)", Type((3, 5)))
    part = Node(
        InnerProduct,
        "ip",
        attrs,
        {"dy": seed, "x": data},
        {"dweight": grad},
        role=Role.GRAD,
        of=ip,
        part="dweight",
    )
    return Graph(
        nodes=[feed, ip, double, ip2, part],
        outputs=[ip2_top],
        weights={"ip:weight": np.zeros((3, 5), np.float32)},
        seeds={"ip": seed},
        grads={"ip:weight": grad},
    )


def node(graph: Graph, index: int) -> Node:
    return graph.nodes[index]


def top(graph: Graph, index: int) -> Value:
    return graph.nodes[index].outs["y"]


def with_inner_gradients(g: Graph) -> tuple[Value, Value]:
    """Two Shared layers on `out` with their gradients; returns those of their inner roles."""
    found = []
    for name in ("one", "two"):
        shared = Node(Shared, name, None, {"x": top(g, 2)}, {"y": Value(name, Type((2, 3)))})
        seed, sums, dx = (Value(f"{what}({name})", Type((2, 3))) for what in ("dy", "dsums", "dx"))
        words = {"role": Role.GRAD, "of": shared}
        walk = Node(Shared, name, None, {"dy": seed}, {"dsums": sums}, part="dsums", **words)
        last = Node(Shared, name, None, {"dsums": sums}, {"dx": dx}, part="dx", **words)
        g.nodes += [shared, walk, last]
        g.seeds[name] = seed
        found.append(sums)
    return found[0], found[1]
