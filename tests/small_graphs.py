"""Graphs made by hand for tests of files and text: no prototxt is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.errors import Loc
from graphc.front.attrs import canonical
from graphc.ir.graph import Graph, Node, ParamSpec, Value
from graphc.ir.infer import infer
from graphc.ir.op import Filler, Kind, Op, Trait
from graphc.ir.provenance import Record
from graphc.ops.registry import find


class Builder:
    """Adds layers by type and blob names; a top that is there already is written in place."""

    def __init__(self, name: str = "small", **words: Any) -> None:
        self.graph = Graph(name=name, **words)
        self.live: dict[str, Value] = {}

    def add(
        self, type_: str, name: str, bottoms: Iterable[str], tops: Iterable[str], **words: Any
    ) -> Node:
        op: type[Op] = find(type_)
        attrs = canonical(words.pop("attrs", None) or op.Attrs())
        ins = [self.live[b] for b in bottoms]
        in_roles, out_roles = op.roles(attrs, len(ins), len(list(tops)))
        outs: dict[str, Value] = {}
        for role, top in zip(out_roles, tops, strict=True):
            if top in self.live:
                old = self.live[top]
                assert old.producer is not None
                old.name = f"{top}@{old.producer.name}"
            outs[role] = self.live[top] = Value(top)
        loss = {out_roles[0]: 1.0} if Trait.LOSS in op.traits else {}
        node = Node(
            op,
            name,
            attrs,
            dict(zip(in_roles, ins, strict=True)),
            outs,
            phase=self.graph.phase,
            loss=words.pop("loss", loss),
            loc=Loc(self.graph.file, len(self.graph.nodes) + 1),
            **words,
        )
        self.graph.nodes.append(node)
        return node

    def done(self, seed: int = 0) -> Graph:
        """The graph, inferred, with outputs and random weights."""
        infer(self.graph)
        read = {v for n in self.graph.nodes for v in n.ins.values()}
        unread = [v for n in self.graph.nodes for v in n.outs.values() if v not in read]
        self.graph.outputs = sorted(unread, key=lambda v: v.name)
        rng = np.random.default_rng(seed)
        for value in self.graph.param_values():
            assert value.type is not None
            array = rng.standard_normal(value.type.shape).astype(np.float32)
            self.graph.weights[value.name] = array
        return self.graph


def attrs(type_: str, **fields: Any) -> Any:
    return find(type_).Attrs(**fields)


def shape(*dims: int) -> Any:
    """One BlobShape of an Input layer."""
    from graphc.ops._blob_shape import BlobShape

    return BlobShape(dims)


def small_graph(seed: int = 0) -> Graph:
    """Two inputs, a convolution with BatchNorm and ReLU in place, a name with a slash, a loss."""
    b = Builder("small", phase="TRAIN", file="small.prototxt", force_backward=True)
    both = attrs("Input", shape=(shape(2, 3, 4, 4), shape(2)))
    b.add("Input", "in", [], ["data", "label"], attrs=both)
    xavier = Filler("xavier")
    conv = attrs("Convolution", num_output=4, kernel_size=(3,), pad=(1,), weight_filler=xavier)
    specs = (ParamSpec(lr_mult=1.0, decay_mult=1.0), ParamSpec(lr_mult=2.0, decay_mult=0.0))
    b.add("Convolution", "block/conv", ["data"], ["conv"], attrs=conv, specs=specs)
    b.add("BatchNorm", "bn", ["conv"], ["conv"])
    b.add("ReLU", "relu", ["conv"], ["conv"], attrs=attrs("ReLU", negative_slope=0.1))
    named = (ParamSpec(name="W"), ParamSpec())
    ten = attrs("InnerProduct", num_output=5)
    b.add("InnerProduct", "fc", ["conv"], ["fc"], attrs=ten, specs=named)
    b.add("InnerProduct", "fc2", ["conv"], ["fc2"], attrs=ten, specs=named, propagate=(False,))
    b.add("SoftmaxWithLoss", "loss", ["fc", "label"], ["loss"], loss={"loss": 0.25})
    graph = b.done(seed)
    graph.notes.append("a note, with \u2603")
    graph.history.append(Record("fold", True, ("one", "two"), 1e-7))
    return graph


def same_weights(a: Graph, b: Graph) -> bool:
    """Are all PARAM and STATE arrays equal, bit for bit?"""
    names = [v.name for v in a.param_values() if v.kind is not Kind.CARRY]
    return names == [v.name for v in b.param_values() if v.kind is not Kind.CARRY] and all(
        a.weights[n].tobytes() == b.weights[n].tobytes()
        and a.weights[n].shape == b.weights[n].shape
        for n in names
    )
