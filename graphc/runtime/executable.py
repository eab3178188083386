"""Executable: a compiled network that runs. What `graphc.compile` and `graphc.open` return."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from graphc.errors import GraphError, fail
from graphc.floats import Held
from graphc.ir.clone import forward_part
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import Effect, Kind
from graphc.ir.versions import blob_of, first_versions
from graphc.numpy_later import npt
from graphc.ops.spec import F64
from graphc.plan.data import Plan
from graphc.plan.wish import Wish
from graphc.program import Program
from graphc.runtime.artefact import write_artefact
from graphc.runtime.feeds import (
    Shape,
    check_names,
    checked_feeds,
    double,
    numeric,
    reshape,
    single,
)
from graphc.runtime.gradients import Gradients as Gradients
from graphc.runtime.gradients import param_gradients
from graphc.runtime.keeping import Keep, check_kept, kept_names
from graphc.runtime.targets import make_executor

if TYPE_CHECKING:
    from graphc.runtime.targets import Lent


class Executable:
    """A compiled network. Arrays in and out are float32, in Caffe's NCHW order.

    STATE, CARRY and data cursors persist across calls. One call runs at a time per object (a lock
    sees to it); different objects are independent.
    """

    reads_ahead = False
    """Do data sources read their next batches while the network runs?"""

    def __init__(
        self,
        graph: Graph,
        *,
        train: bool = False,
        keep: Keep = (),
        seed: int = 0,
        meta: Mapping[str, Any] | None = None,
        target: str = "reference",
        threads: int | None = None,
        deterministic: bool = False,
        fused_update: bool = True,
        pin_variants: bool = False,
        weights: Lent | None = None,
        wish: Wish | None = None,
    ) -> None:
        """`graph` is the executable's from now on; `graphc.driver.assemble` makes one. `weights`:
        what `lend` gave, of an executable whose parameters these are. `wish`: what plans are
        asked for, now and for other shapes."""
        self.graph = graph
        self.target = target
        self.train = train
        self.keep: Literal["all"] | tuple[str, ...] = kept_names(keep)
        self.seed, self.deterministic = seed, deterministic
        self.pin_variants, self.wish = pin_variants, wish or Wish()
        self.meta: dict[str, Any] = dict(meta or {})
        self._lock = threading.Lock()
        self._inputs = {blob_of(v): v for v in graph.inputs}
        self._blobs = self._kept_blobs()
        self._slopes = self._told_slopes()
        plan, choices = self.meta.pop("plan", None), self.meta.pop("choices", None)
        self._executor = make_executor(
            target,
            graph,
            self._pinned(),
            seed,
            threads,
            plan,
            choices,
            deterministic=deterministic,
            fused_update=fused_update,
            pin_variants=pin_variants,
            weights=weights,
            wish=wish,
        )
        self._executor.reads_ahead = self.reads_ahead
        self._ran = False

    def _kept_blobs(self) -> dict[str, Value]:
        """Blobs a forward returns: net outputs, then what `keep` asks for."""
        blobs = {v.name: v for v in self.graph.outputs}
        tops = {n.outs[r].name: n.outs[r] for n in self.graph.forward_nodes() for r in n.tops}
        if self.keep == "all":
            return blobs | tops
        check_kept(self.keep, tops)
        return blobs | {name: tops[name] for name in self.keep}

    def _pinned(self) -> set[Value]:
        """Values that outlive their last reader: what calls return, and the losses."""
        pinned = set(self._blobs.values())
        for node in self.graph.forward_nodes():
            pinned.update(node.outs[role] for role in node.loss)
        params = {v.name for v in self.graph.values() if v.kind is not Kind.ACT}
        pinned.update(self._slopes.values())
        return pinned | {g for name, g in self.graph.grads.items() if name in params}

    def _told_slopes(self) -> dict[str, Value]:
        """The gradients that backward returns, of the first version of each blob."""
        first = first_versions(self.graph)
        asked = {blob_of(v) for v in self.graph.inputs} | set(self.keep)
        told = first if self.keep == "all" else {b: v for b, v in first.items() if b in asked}
        grads = self.graph.grads
        return {blob: grads[v.name] for blob, v in told.items() if v.name in grads}

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Net inputs and the shapes they were last given."""
        return {blob: typed(v).shape for blob, v in self._inputs.items()}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Net outputs in Caffe's order, with their shapes."""
        return {v.name: typed(v).shape for v in self.graph.outputs}

    @property
    def params(self) -> dict[str, tuple[Array, ...]]:
        """PARAM and STATE arrays by layer, in Caffe's order and layout; what is written into them
        counts from the next run on."""
        return self._executor.params()

    @property
    def plan(self) -> Plan:
        """Every byte's place. Raises GC-R003 for the reference target, which plans nothing."""
        return self._executor.plan

    @property
    def program(self) -> Program:
        """What the plan plans: buffers and calls. Raises GC-R003 for the reference target."""
        return self._executor.program

    @property
    def threads(self) -> int:
        """How many threads a kernel may use."""
        return self._executor.threads

    def forward(self, feeds: Mapping[str, npt.ArrayLike] | None = None) -> dict[str, Array]:
        """Run the network on `feeds` (input name -> array); returns outputs and kept blobs.

        An input may come in another shape than compiled for, if the network then still fits its
        weights. Raises GC-R001 for missing, unknown, non-numeric or misshapen inputs; the
        executable then is as it was.
        """
        with self._lock:
            self._run_fed({} if feeds is None else feeds)
            return {name: single(self._executor.env[v]) for name, v in self._blobs.items()}

    run = forward

    def run_held(self, feeds: Mapping[str, Any]) -> dict[str, Held]:
        """As `forward`, without NumPy where that can be: feeds may be `Floats`, results may be."""
        with self._lock:
            self._run_fed(feeds)
            return {name: self._executor.result(v) for name, v in self._blobs.items()}

    def _run_fed(self, feeds: Mapping[str, Any]) -> None:
        shapes = self.inputs
        arrays = checked_feeds(feeds, shapes)
        self._reshape(shapes, {name: array.shape for name, array in arrays.items()})
        self._ran = False
        self._executor.forward({v: arrays[name] for name, v in self._inputs.items()})
        self._ran = True

    def backward(self, seeds: Mapping[str, npt.ArrayLike] | None = None) -> Gradients:
        """Differentiate the last forward; `seeds` maps net outputs and blobs kept by name to their
        gradients.

        Loss tops without a seed take their loss weight, all else zero. Raises GC-R003 if not
        compiled with train=True or if no forward came first, GC-R001 for a wrong seed.
        """
        if not self.train:
            fail("GC-R003", "this network has no gradients", "compile it with train=True")
        with self._lock:
            if not self._ran:
                fail("GC-R003", "backward needs a forward first")
            self._executor.backward(self._checked_seeds({} if seeds is None else seeds))
            env = self._executor.env
            blobs = {blob: single(env[slope]) for blob, slope in self._slopes.items()}
            return Gradients(param_gradients(self.graph, env), blobs)

    def set_arrays(self, layer: str, data: npt.ArrayLike, label: npt.ArrayLike) -> None:
        """Hand a MemoryData layer its arrays: data (N, C, H, W), label (N,), N a multiple of the
        batch size. Raises GC-R001, GC-R002 for an unknown layer, GC-R003 for one of another type.
        """
        node = self.graph.node(layer)
        with self._lock:
            try:
                arrays = [numeric(n, a) for n, a in (("data", data), ("label", label))]
                source: Any = self._executor.source(node) if node.has(Effect.SOURCE) else None
                if not hasattr(source, "set_arrays"):
                    fail("GC-R003", "this layer takes no arrays", "only MemoryData does")
                source.set_arrays(*arrays)
            except GraphError as error:
                raise node.located(error) from None

    def reset(self) -> None:
        """Back to the start: CARRY values zero, data cursors and random streams rewound."""
        with self._lock:
            self._executor.reset()

    def loss(self) -> float:
        """Weighted sum of the losses of the last forward; 0 for a net without any. Raises GC-R003
        if no forward came first."""
        with self._lock:
            if not self._ran:
                fail("GC-R003", "loss needs a forward first")
            return self._executor.loss()

    def times(self) -> list[float]:
        """Microseconds that each call of the last forward took: the calls of `program`'s entry
        "forward", or on the reference target the graph's nodes that are not fed. Raises GC-R003 if
        no forward came first."""
        with self._lock:
            if not self._ran:
                fail("GC-R003", "times need a forward first")
            return list(self._executor.times())

    def moved(self, entry: str = "forward") -> list[int]:
        """Bytes that each call of `program`'s entry moves to and from memory; what a group of
        layers keeps in a cache (`mbs` of `graphc.compile`) does not count. Raises GC-R003 for the
        reference target, GC-R002 for an entry that there is not."""
        from graphc.runtime.traffic import moved

        return moved(self.program, self.plan, entry)

    def save(self, path: str | Path) -> None:
        """Write the artefact; an existing file is replaced at once or not at all (GC-F002)."""
        target = self.target.partition(":")[0]
        meta = self.meta | {"target": target, "train": self.train, "seed": self.seed}
        meta |= {name: True for name in ("deterministic", "pin_variants") if getattr(self, name)}
        if self.wish != Wish():
            meta["wish"] = asdict(self.wish)
        if self.keep:
            meta["keep"] = self.keep if isinstance(self.keep, str) else list(self.keep)
        with self._lock:
            meta["plan"] = self._executor.plan_text()
            meta["choices"] = self._executor.choices_text()
            write_artefact(Path(path), forward_part(self.graph), meta)

    def close(self) -> None:
        """Close data sources and sinks; a later run opens them anew, from their start."""
        with self._lock:
            self._executor.close()

    def __enter__(self) -> Executable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _reshape(self, old: Mapping[str, Shape], new: Mapping[str, Shape]) -> None:
        if old == new:
            return
        nodes, seeds = self.graph.nodes, () if self.keep == "all" else self.keep
        try:
            reshape(self.graph, old, new, seeds if self.train else None)
        finally:
            if self.graph.nodes is not nodes:  # there are other gradient nodes than before
                self._ran, self._slopes = False, self._told_slopes()
                self._executor.adopt(self._pinned())

    def _checked_seeds(self, seeds: Mapping[str, npt.ArrayLike]) -> dict[str, F64]:
        """The seeds as arrays; those of blobs that depend on nothing differentiable are dropped."""
        named = self._blobs if self.keep != "all" else {v.name: v for v in self.graph.outputs}
        check_names("output or blob kept by name", seeds, named)
        checked: dict[str, F64] = {}
        for name, given in seeds.items():
            array, shape = double(numeric(name, given)), self._executor.shapes[named[name]]
            if array.shape != shape:
                fail("GC-R001", f"seed {name!r} has shape {array.shape}, expected {shape}")
            if name in self.graph.seeds:
                checked[name] = array
        return checked
