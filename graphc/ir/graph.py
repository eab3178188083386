"""Graph, Node, Value: a network in static single assignment form.

Every value is written once. An in-place top of Caffe becomes a new version: the last version keeps
the blob's name, an earlier one is called `blob@layer` after the layer that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import field
from enum import Enum
from pathlib import Path
from typing import Any

from graphc.errors import GraphError, Loc, fail
from graphc.errors import near as near
from graphc.floats import Array as Array
from graphc.floats import Held
from graphc.ir.op import OURS, Effect, Env, Kind, Op, Param, Sig, Trait
from graphc.ir.provenance import Record
from graphc.ir.types import Phase, Type
from graphc.ir.weights import Weights
from graphc.limits import Limits
from graphc.numpy_later import np
from graphc.records import record


class Role(Enum):
    FWD = "fwd"
    GRAD = "grad"
    UPDATE = "update"


@record(frozen=True, slots=True)
class ParamSpec:
    """One `param { }` entry of a layer as written; None: not given."""

    name: str = ""
    share_mode: str = "STRICT"
    lr_mult: float | None = None
    decay_mult: float | None = None


@record(eq=False, slots=True)
class Value:
    """One SSA value. `type` is None until inference; `view_of` shares an owner's storage.

    `lr_mult`, `decay_mult` and `spec` matter for parameters only.
    """

    name: str
    type: Type | None = None
    kind: Kind = Kind.ACT
    producer: Node | None = None
    spec: Param | None = None
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    view_of: Value | None = None

    @property
    def storage(self) -> Value:
        """The value whose array holds this one (itself, unless it shares)."""
        return self.view_of or self

    def __repr__(self) -> str:
        return f"<{self.name}: {self.type}>"


@record(eq=False, slots=True)
class Node:
    """One call of a layer (FWD), of one part of its gradient (GRAD) or of an update (UPDATE).

    `ins`, `params`, `outs` map role -> value in the layer's order; `outs` holds tops, then aux.
    A GRAD node's `of` is its forward node, `part` the name of the part, its reads are in `ins`.
    `loss` maps top roles to loss weights, `propagate` is `propagate_down` as written.
    `samples`: (first, past the last) of the whole batch, where the node sees but a slice of it.
    """

    op: type[Op]
    name: str
    attrs: Any
    ins: dict[str, Value] = field(default_factory=dict)
    outs: dict[str, Value] = field(default_factory=dict)
    params: dict[str, Value] = field(default_factory=dict)
    phase: Phase = "TEST"
    role: Role = Role.FWD
    of: Node | None = None
    part: str = ""
    specs: tuple[ParamSpec, ...] = ()
    loss: dict[str, float] = field(default_factory=dict)
    propagate: tuple[bool, ...] = ()
    loc: Loc | None = None
    tops: tuple[str, ...] = ()
    samples: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.tops = self.tops or tuple(self.outs)
        for value in self.outs.values():
            value.producer = self

    def sig(self, env: Env | None = None) -> Sig:
        """The types this node is called with; raises GC-S004 before inference."""
        from graphc.ir.versions import blob_of  # it reads this module

        return Sig(
            ins={r: typed(v) for r, v in self.ins.items()},
            tops=self.tops,
            phase=self.phase,
            outs={r: v.type for r, v in self.outs.items() if v.type is not None},
            params={r: typed(v) for r, v in self.params.items()},
            env=env or Env(),
            name=self.name,
            top_names=tuple(blob_of(self.outs[r]) for r in self.tops if r in self.outs),
            first_sample=0 if self.samples is None else self.samples[0],
        )

    def has(self, what: Trait | Effect) -> bool:
        return what in self.op.traits or what in self.op.effects

    def located(self, error: GraphError) -> GraphError:
        """Fill this node's place into an error."""
        return error.at(loc=self.loc, layer=self.name, type_=self.op.type)

    def __repr__(self) -> str:
        part = f".{self.part}" if self.part else ""
        return f"<{self.op.type} {self.name}{part}>"


class Sigs(dict[Node, Sig]):
    """Signatures of nodes, each made when first asked for; for as long as no type changes."""

    def __init__(self, env: Env) -> None:
        super().__init__()
        self.env = env

    def __missing__(self, node: Node) -> Sig:
        found = self[node] = node.sig(self.env)
        return found


def typed(value: Value) -> Type:
    if value.type is None:
        fail("GC-S004", f"the shape of {value.name!r} is not known yet", "infer shapes first")
    return value.type


@record(eq=False)
class Graph:
    """A network: nodes in execution order, its outputs in Caffe's (alphabetical) order.

    `weights` maps the names of PARAM/STATE/CARRY values to arrays; one that is missing is made by
    `fill` when first asked for. `pending` holds blobs by node name that wait for inference,
    `pending_strict` whether all must then be there. `fixed_size`: layers were expanded for the
    shapes of now, so that of the inputs only axis 0 may still change.
    `seeds` (value name -> seed value) and `grads` (value name -> gradient value) are autodiff's.
    `step_params`: what update nodes read that changes from step to step (the rate), by name.
    """

    name: str = ""
    phase: Phase = "TEST"
    nodes: list[Node] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    weights: MutableMapping[str, Array] = field(default_factory=dict)
    fill: Callable[[Value], Array] | None = None
    pending: dict[str, list[Array]] = field(default_factory=dict)
    pending_strict: bool = False
    level: int = 0
    stages: tuple[str, ...] = ()
    force_backward: bool = False
    fixed_size: bool = False
    file: str = ""
    base: Path | None = None
    limits: Limits = field(default_factory=Limits)
    history: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seeds: dict[str, Value] = field(default_factory=dict)
    grads: dict[str, Value] = field(default_factory=dict)
    step_params: dict[str, Value] = field(default_factory=dict)

    @property
    def env(self) -> Env:
        return Env(self.base, self.limits)

    @property
    def shaped(self) -> bool:
        """Have all values got types?"""
        return all(v.type is not None for n in self.nodes for v in n.outs.values())

    @property
    def inputs(self) -> list[Value]:
        """Values the caller feeds, in prototxt order."""
        return [v for n in self.nodes if n.has(Trait.FEED) for v in n.outs.values()]

    def forward_nodes(self) -> Iterator[Node]:
        return (n for n in self.nodes if n.role is Role.FWD)

    def values(self) -> Iterator[Value]:
        """Every value once: parameters at their first reader, activations at their producer."""
        seen: set[int] = set()
        for node in self.nodes:
            for value in (*node.params.values(), *node.outs.values()):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield value

    def param_values(self) -> list[Value]:
        """Owners of parameter storage, in order of first use."""
        return [v for v in self.values() if v.kind is not Kind.ACT and v.view_of is None]

    def by_name(self) -> dict[str, Value]:
        """All of `values` by name, for looking up more than one."""
        return {v.name: v for v in self.values()}

    def value(self, name: str) -> Value:
        """The value called `name`. Raises GC-R002 with near names."""
        table = self.by_name()
        if name not in table:
            fail("GC-R002", f"no blob {name!r} in this net", near(name, table))
        return table[name]

    def node(self, name: str) -> Node:
        """The first layer called `name`. Raises GC-R002 with near names."""
        for candidate in self.forward_nodes():
            if candidate.name == name:
                return candidate
        names = [n.name for n in self.forward_nodes()]
        fail("GC-R002", f"no layer {name!r} in this net", near(name, names))

    def users(self) -> dict[Value, list[tuple[Node, str]]]:
        """Readers of each value as (node, role); parameters included."""
        table: dict[Value, list[tuple[Node, str]]] = {}
        for node in self.nodes:
            for role, value in (*node.ins.items(), *node.params.items()):
                table.setdefault(value, []).append((node, role))
        return table

    def weight(self, value: Value) -> Array:
        """The array behind a parameter value (filled on first use); shape of its storage."""
        owner = value.storage
        if owner.name not in self.weights:
            if owner.kind in OURS:  # wherever the graph is from
                self.weights[owner.name] = np.zeros(typed(owner).shape, np.float32)
            elif self.fill is None:
                fail("GC-W002", f"parameter {owner.name!r} has no array")
            else:
                self.weights[owner.name] = self.fill(owner)
        return self.weights[owner.name]

    def held(self, value: Value) -> Held:
        """As `weight`; where it is no array yet, as it is."""
        owner, weights = value.storage.name, self.weights
        if isinstance(weights, Weights) and owner in weights:
            return weights.held(owner)
        return self.weight(value)

    def layer_params(self) -> dict[str, list[Value]]:
        """PARAM and STATE values by layer name, in Caffe's order; of equal names the first layer's.

        Raises GC-S004 before inference, which finds out what parameters there are.
        """
        if not self.shaped:
            fail(
                "GC-S004",
                "the parameters are not known before the shapes are",
                'load the network with shapes={"data": ...}, or compile it',
            )
        table: dict[str, list[Value]] = {}
        for node in self.forward_nodes():
            blobs = [v for v in node.params.values() if v.kind in (Kind.PARAM, Kind.STATE)]
            if blobs:
                table.setdefault(node.name, blobs)
        return table

    @property
    def params(self) -> dict[str, tuple[Array, ...]]:
        """PARAM and STATE arrays by layer name, in Caffe's order; float32, writable, shared.

        Write into them, as in `params["conv1"][0][...] = x`. Raises GC-S004 before inference.
        """
        return {
            layer: tuple(self.weight(v).reshape(typed(v).shape) for v in blobs)
            for layer, blobs in self.layer_params().items()
        }
