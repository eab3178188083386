"""The reference executor: runs a graph node by node from the declarations, in float64.

Slow but right; the oracle of every other backend. Parameters stay float32 between steps, as in
Caffe. No plan: an activation lives until its last reader has run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from graphc.errors import GraphError, fail
from graphc.floats import Held, as_array
from graphc.ir.graph import Array, Graph, Node, Role, Value, typed
from graphc.ir.op import Effect, Kind, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops.spec import F64, Ctx, OpSpec
from graphc.plan.data import Plan
from graphc.program import Program
from graphc.rng import uniform
from graphc.runtime._origins import traced
from graphc.runtime.feeds import double, single

if TYPE_CHECKING:
    from graphc.runtime.targets import Lent


class ReferenceExecutor:
    """State of one compiled network: its sources, random step, and the values of the last forward.

    `pinned`: values that outlive their last reader, because the caller asked for them. `step`
    counts forwards since the start or the last reset; random draws depend on it. `step_params`:
    what the next backward tells the updates that follow it, by name. `reads_ahead`: sources that
    are opened from now on read their next batches meanwhile.
    """

    threads = 1

    def __init__(self, graph: Graph, pinned: set[Value], seed: int = 0) -> None:
        self.graph, self.seed = graph, seed
        self.step = 0
        self.drawn = 0  # the step of the last forward, which its gradients draw for too
        self.env: dict[Value, F64] = {}
        self.sources: dict[Node, Any] = {}
        self.reads_ahead = False
        self._begun: dict[Node, Mapping[str, int]] = {}  # where the sources' last batches begin
        self.dynamic = any(n.has(Trait.DYNAMIC) for n in graph.nodes)
        self.adopt(pinned)
        self.shapes: dict[Value, tuple[int, ...]] = {}
        self.sigs: dict[Node, Sig] = {}
        self._times: list[float] = []
        self.step_params = dict.fromkeys(graph.step_params, 0.0)

    def adopt(self, pinned: set[Value]) -> None:
        """Go by the graph's nodes as they are now; its forward nodes must be those from before."""
        self.forward_nodes = [n for n in self.graph.nodes if n.role is Role.FWD]
        self.grad_nodes = [n for n in self.graph.nodes if n.role is Role.GRAD]
        updates = [n for n in self.graph.nodes if n.role is Role.UPDATE]
        self.update_nodes = [n for n in updates if not n.has(Trait.IN_BACKWARD)]
        self.sum_nodes = [n for n in updates if n.has(Trait.IN_BACKWARD)]
        self.updates = bool(updates)
        self.release = self._last_readers(pinned)

    def _last_readers(self, pinned: set[Value]) -> dict[Node, list[Value]]:
        last: dict[Value, Node] = {}
        for node in self.graph.nodes:
            for value in (*node.outs.values(), *node.ins.values()):
                last[value] = node
        table: dict[Node, list[Value]] = {}
        for value, node in last.items():
            made_by = value.producer.role if value.producer is not None else Role.GRAD
            # what a forward leaves for the backward stays, so that a second backward finds it
            if value not in pinned and node.role is made_by:
                table.setdefault(node, []).append(value)
        return table

    @property
    def plan(self) -> Plan:
        fail("GC-R003", "the reference target plans no memory", "compile with target='cpu'")

    @property
    def program(self) -> Program:
        fail("GC-R003", "the reference target lowers nothing", "compile with target='cpu'")

    def plan_text(self) -> str | None:
        """The plan as an artefact keeps it, if there is one."""
        return None

    def choices_text(self) -> str | None:
        """What was chosen in lowering, as an artefact keeps it, if anything was."""
        return None

    def params(self) -> dict[str, tuple[Array, ...]]:
        """PARAM and STATE arrays by layer; whoever has them may write."""
        return self.graph.params

    def lend(self, graph: Graph, names: Mapping[str, str]) -> Lent | None:
        """Let another graph have parameters of this one: its own name of each -> that of ours.
        Returns what its executor is to be told."""
        graph.weights.update({own: self.graph.weights[other] for own, other in names.items()})
        return None

    def forward(self, feeds: Mapping[Value, Held]) -> None:
        """Run the forward nodes; `feeds` holds every FEED value."""
        self.env, self.shapes, self.sigs, self.drawn = {}, {}, {}, self.step
        for value, array in feeds.items():
            self._put(value, double(as_array(array)))
        self._times = []
        for node in self.forward_nodes:
            if not node.has(Trait.FEED):
                start = time.perf_counter()
                self._guarded(node, self._run_forward)
                self._times.append(1e6 * (time.perf_counter() - start))
            self._release(node)
        self.step += 1

    def result(self, value: Value) -> Held:
        """A value that the last forward shows, as a float32 array of the caller's own."""
        return single(self.env[value])

    def times(self, entries: Sequence[str] = ("forward",)) -> list[float]:
        """Microseconds of each call of the last forward: one per node that is not fed. Raises
        GC-R003 for other entries of a program, which is not there."""
        if tuple(entries) != ("forward",):
            fail("GC-R003", "the reference target times nothing but a forward", "use target='cpu'")
        return self._times

    def backward(self, seeds: Mapping[str, F64]) -> None:
        """Run the gradient nodes; `seeds` maps blob names to gradients, others are defaults."""
        tops = self.graph.by_name() if self.graph.seeds else {}
        for name, value in self.graph.seeds.items():
            self._put(value, seeds[name] if name in seeds else self._default_seed(tops[name]))
        for node in self.grad_nodes:
            self._guarded(node, self._run_grad)
            self._release(node)
        for name, value in self.graph.step_params.items():
            self._put(value, np.asarray(self.step_params[name]))
        for node in self.sum_nodes:
            self._guarded(node, self._run_forward)

    def update(self) -> None:
        """Run the update nodes, on the gradients of the last backward."""
        for node in self.update_nodes:
            self._guarded(node, self._run_forward)

    def _release(self, node: Node) -> None:
        for value in self.release.get(node, ()):
            self.env.pop(value, None)

    def _put(self, value: Value, array: npt.ArrayLike) -> None:
        """Keep a result; nobody may write into it, since others may be views of it."""
        kept = np.asarray(array, np.float64).view()
        kept.flags.writeable = False
        self.env[value], self.shapes[value] = kept, kept.shape

    def _default_seed(self, top: Value) -> F64:
        maker = top.producer
        loss = {maker.outs[r]: w for r, w in maker.loss.items()} if maker is not None else {}
        return np.full(self.shapes.get(top, typed(top).shape), loss.get(top, 0.0))

    def loss(self) -> float:
        """Sum over all tops of loss weight times sum of elements, of the last forward."""
        total = 0.0
        with np.errstate(invalid="ignore"):
            for node in self.forward_nodes:
                for role, weight in node.loss.items():
                    if weight and node.outs[role] in self.env:
                        total += weight * float(self.env[node.outs[role]].sum(dtype=np.float64))
        return total

    def source(self, node: Node) -> Any:
        """The opened source or sink behind a data layer; opened on first use."""
        if node not in self.sources:
            from graphc.data.prefetch import prefetched  # which most networks do without

            op = cast("type[OpSpec]", node.op)
            source = op.open(node.attrs, node.sig(self.graph.env), self.seed)
            self.sources[node] = prefetched(source) if self.reads_ahead else source
        return self.sources[node]

    def go_to(self, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Take sources to where `positions` were taken. Raises GC-D002 if they do not fit."""
        for node in self.forward_nodes:
            if node.has(Effect.SOURCE) and node.name in positions:
                self._guarded(node, lambda n: self.source(n).restore(positions[n.name]))

    def reset(self) -> None:
        """Zero CARRY values, rewind sources and the random step."""
        self.step = 0
        for value in self.graph.param_values():
            if value.kind is Kind.CARRY:
                self.graph.weight(value)[...] = 0
        for source in self.sources.values():
            if hasattr(source, "reset"):
                source.reset()

    def close(self) -> None:
        """Close files behind sources and sinks."""
        sources, self.sources = list(self.sources.values()), {}
        for source in sources:
            if hasattr(source, "close"):
                source.close()

    def _guarded(self, node: Node, run: Callable[[Node], None]) -> None:
        try:
            run(node)
        except GraphError as error:
            raise node.located(self._traced(node, error)) from None
        except MemoryError:
            raise node.located(
                GraphError("GC-M002", "out of memory", "use a smaller --batch")
            ) from None
        except Exception as error:  # a declaration may be a user's and raise anything
            part = node.part or "reference"
            told = f"its {part} failed: {type(error).__name__}: {error}"
            raise node.located(GraphError("GC-O001", told)) from error

    def _traced(self, node: Node, error: GraphError) -> GraphError:
        """An error about a label or id, with the record that it comes from."""
        return traced(error, node, self.sources, self._begun)

    def _sig(self, node: Node) -> Sig:
        """The node's signature; with live shapes where data-dependent extents are about."""
        if not self.dynamic:
            if node not in self.sigs:
                self.sigs[node] = node.sig(self.graph.env)
            return self.sigs[node]
        sig = node.sig(self.graph.env)

        def live(table: Mapping[str, Value]) -> dict[str, Type]:
            found = {r: v for r, v in table.items() if v.type is not None}
            return {r: Type(self.shapes.get(v, typed(v).shape)) for r, v in found.items()}

        return replace(sig, ins=live(node.ins), outs=live(node.outs))

    def _operand(self, node: Node, role: str) -> F64:
        for table in (node.ins, node.params, node.outs):
            if role in table:
                value = table[role]
                return self.env[value] if value.kind is Kind.ACT else self._param(value)
        fail("GC-O001", f"a part reads {role!r}, which the layer does not have")

    def _ctx(self, node: Node, part: str) -> Ctx:
        def draw(shape: tuple[int, ...], tag: int) -> F64:
            first = 0 if forward.samples is None else forward.samples[0]
            at = first * Type(shape[1:]).size
            own = {"seed": self.seed, "step": self.drawn, "tag": tag, "first": at}
            return uniform(shape, layer=node.name, **own)

        forward = node.of or node
        source: Any = self.source(node) if {Effect.SOURCE, Effect.SINK} & node.op.effects else None
        if hasattr(source, "state"):
            self._begun[node] = source.state()
        return Ctx(self._sig(forward), part, draw, source)

    def _run_forward(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        state: dict[str, F64] = {}
        inner: dict[str, F64] = {}
        for part in op.forwards(node.attrs, self._sig(node)):
            reads = (*node.ins, *node.params) if part.reads is None else part.reads
            operands = {r: inner[r] if r in inner else self._operand(node, r) for r in reads}
            results = op.reference(node.attrs, operands, self._ctx(node, part.name))
            for role, array in results.items():
                if role in node.params:
                    state[role] = array
                else:
                    inner[role] = np.asarray(array, np.float64)
        for role, value in node.outs.items():
            if role not in inner:
                fail("GC-O001", f"its reference gives no {role!r}")
            self._check(value, role, inner[role].shape)
            self._put(value, inner[role])
        for role, array in state.items():
            weight = self.graph.weight(node.params[role])
            with np.errstate(over="ignore", invalid="ignore"):
                weight[...] = np.asarray(array).reshape(weight.shape)

    def _check(self, value: Value, role: str, shape: tuple[int, ...]) -> None:
        if not self.dynamic and shape != typed(value).shape:
            fail("GC-O001", f"its {role} has shape {shape}, inferred was {typed(value).shape}")

    def _run_grad(self, node: Node) -> None:
        op = cast("type[OpSpec]", node.op)
        operands = {role: self._operand(node, role) for role in node.ins}
        if node.of is None:
            self._put(node.outs["y"], op.reference(node.attrs, operands, self._ctx(node, ""))["y"])
            return
        ((role, value),) = node.outs.items()
        result = np.asarray(op.vjp(node.attrs, node.part, operands, self._ctx(node, node.part)))
        self._check(value, role, result.shape)
        self._put(value, result)

    def _param(self, value: Value) -> F64:
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            array: F64 = np.asarray(self.graph.weight(value), np.float64)
        return array.reshape(typed(value).shape)
