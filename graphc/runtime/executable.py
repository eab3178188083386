"""Executable: a compiled network that runs. What `graphc.compile` and `graphc.open` return."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from graphc.errors import GraphError, fail
from graphc.ir.clone import forward_part
from graphc.ir.graph import Array, Graph, Node, Value, near, typed
from graphc.ir.infer import infer
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of, first_versions
from graphc.ops.spec import F64
from graphc.runtime.artefact import write_artefact
from graphc.runtime.reference import ReferenceExecutor

Keep = Literal["all"] | Iterable[str]


@dataclass
class Gradients:
    """`params[layer][i]` as in `Executable.params`; `blobs[name]`: gradients of net inputs, with
    keep="all" of every blob that has one. float32."""

    params: dict[str, list[Array]] = field(default_factory=dict)
    blobs: dict[str, Array] = field(default_factory=dict)


class Executable:
    """A compiled network. Arrays in and out are float32, in Caffe's NCHW order.

    STATE, CARRY and data cursors persist across calls. One call runs at a time per object (a lock
    sees to it); different objects are independent.
    """

    def __init__(
        self, graph: Graph, *, train: bool = False, keep: Keep = (), seed: int = 0, meta: Any = None
    ) -> None:
        self.graph = graph
        self.train = train
        names = (keep,) if isinstance(keep, str) else tuple(keep)
        self.keep: str | tuple[str, ...] = "all" if keep == "all" else names
        self.seed = seed
        self.meta: dict[str, Any] = dict(meta or {})
        self._lock = threading.Lock()
        self._blobs = self._kept_blobs()
        self._executor = self._new_executor()
        self._ran = False

    def _kept_blobs(self) -> dict[str, Value]:
        """Blobs a forward returns: net outputs, then what `keep` asks for."""
        blobs = {v.name: v for v in self.graph.outputs}
        tops = {n.outs[r].name: n.outs[r] for n in self.graph.forward_nodes() for r in n.tops}
        if self.keep == "all":
            return blobs | tops
        for name in self.keep:
            if name not in tops:
                hint = near(name, tops) or "`graphc inspect` lists the tops of all layers"
                fail("GC-R002", f"no blob {name!r} to keep", hint)
            blobs[name] = tops[name]
        return blobs

    def _new_executor(self) -> ReferenceExecutor:
        pinned = set(self._blobs.values()) | {v for v in self.graph.outputs}
        for node in self.graph.forward_nodes():
            pinned.update(node.outs[role] for role in node.loss)
        wanted = self.graph.grads if self.keep == "all" else self._input_and_param_names()
        pinned.update(g for name, g in self.graph.grads.items() if name in wanted)
        return ReferenceExecutor(self.graph, pinned, self.seed)

    def _input_and_param_names(self) -> set[str]:
        values = [v for v in self.graph.values() if v.kind is not Kind.ACT]
        return {v.name for v in (*self.graph.inputs, *values)}

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Net inputs and the shapes they were last given."""
        return {blob_of(v): typed(v).shape for v in self.graph.inputs}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Net outputs in Caffe's order, with their shapes."""
        return {v.name: typed(v).shape for v in self.graph.outputs}

    @property
    def params(self) -> dict[str, list[Array]]:
        """PARAM and STATE arrays by layer, in Caffe's order and layout; a write counts from the
        next run on."""
        return self.graph.params

    def forward(self, feeds: Mapping[str, npt.ArrayLike] | None = None) -> dict[str, Array]:
        """Run the network on `feeds` (input name -> array); returns outputs and kept blobs.

        An input may come in another shape than compiled for, if the network then still fits its
        weights. Raises GC-R001 for missing, unknown, non-numeric or misshapen inputs.
        """
        with self._lock:
            arrays = self._checked(feeds or {})
            self._reshape_for(arrays)
            self._executor.forward({v: arrays[blob_of(v)] for v in self.graph.inputs})
            self._ran = True
            return {name: self._result(v) for name, v in self._blobs.items()}

    run = forward

    def backward(self, seeds: Mapping[str, npt.ArrayLike] | None = None) -> Gradients:
        """Differentiate the last forward; `seeds` maps net outputs to their gradients.

        Loss tops without a seed take their loss weight, other outputs zero. Raises GC-R003 if not
        compiled with train=True or if no forward came first.
        """
        if not self.train:
            fail("GC-R003", "this network has no gradients", "compile it with train=True")
        with self._lock:
            if not self._ran:
                fail("GC-R003", "backward needs a forward first")
            self._executor.backward(self._checked_seeds(seeds or {}))
            return self._gradients()

    def set_arrays(self, layer: str, data: npt.ArrayLike, label: npt.ArrayLike) -> None:
        """Hand a MemoryData layer its arrays: data (N, C, H, W), label (N,)."""
        node = self.graph.node(layer)
        with self._lock:
            source = self._executor.source(node)
            if not hasattr(source, "set_arrays"):
                fail("GC-R003", f"layer {layer!r} ({node.op.type}) takes no arrays")
            try:
                source.set_arrays(np.asarray(data, np.float32), np.asarray(label, np.float32))
            except GraphError as error:
                raise node.located(error) from None

    def reset(self) -> None:
        """Back to the start: CARRY values zero, data cursors and random streams rewound."""
        with self._lock:
            self._executor.reset()

    def loss(self) -> float:
        """Weighted sum of the losses of the last forward."""
        return self._executor.loss()

    def save(self, path: str | Path) -> None:
        """Write the artefact; an existing file is replaced at once or not at all (GC-F002)."""
        meta = self.meta | {"train": self.train, "seed": self.seed}
        if self.keep:
            meta["keep"] = self.keep if isinstance(self.keep, str) else list(self.keep)
        write_artefact(Path(path), forward_part(self.graph), meta)

    def close(self) -> None:
        """Close data sources and sinks; a later run opens them anew."""
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

    def _checked(self, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, F64]:
        expected = self.inputs
        for name in feeds:
            if name not in expected:
                fail("GC-R001", f"{name!r} is no input of this net", near(name, expected))
        missing = [name for name in expected if name not in feeds]
        if missing:
            shapes = ", ".join(f"{m!r} {expected[m]}" for m in missing)
            fail("GC-R001", f"inputs are missing: {shapes}")
        return {name: _numeric(name, feeds[name]) for name in expected}

    def _reshape_for(self, arrays: Mapping[str, F64]) -> None:
        """Infer shapes anew when an input comes in another shape; undone if that fails."""
        old = self.inputs
        new = {name: array.shape for name, array in arrays.items()}
        if new == old:
            return
        changed = [name for name in old if new[name] != old[name]]
        for name in changed:
            if len(new[name]) != len(old[name]):
                fail("GC-R001", f"input {name!r} has shape {new[name]}, expected {old[name]}")
        try:
            infer(self.graph, new)
            self._retype_gradients()
        except GraphError as error:
            infer(self.graph, old)
            self._retype_gradients()
            told = ", ".join(f"{n!r} has shape {new[n]}, expected {old[n]}" for n in changed)
            fail("GC-R001", f"input {told}, and the net does not fit the new shape", error.headline)

    def _retype_gradients(self) -> None:
        for node in self.graph.nodes:
            for role, value in node.outs.items():
                if role not in node.tops:
                    value.type = _aux_type(node, role)
        for name, value in (*self.graph.grads.items(), *self.graph.seeds.items()):
            value.type = self.graph.value(name).type

    def _checked_seeds(self, seeds: Mapping[str, npt.ArrayLike]) -> dict[str, F64]:
        outputs = {v.name: v for v in self.graph.outputs}
        checked: dict[str, F64] = {}
        for name, given in seeds.items():
            if name not in outputs:
                fail("GC-R001", f"{name!r} is no output to seed", near(name, outputs))
            if name not in self.graph.seeds:
                continue  # nothing differentiable leads to this output
            array = _numeric(name, given)
            shape = self._executor.shapes[outputs[name]]
            if array.shape != shape:
                fail("GC-R001", f"seed {name!r} has shape {array.shape}, expected {shape}")
            checked[name] = array
        return checked

    def _gradients(self) -> Gradients:
        env, grads = self._executor.env, self.graph.grads
        found = Gradients()
        for blob, value in first_versions(self.graph).items():
            grad = grads.get(value.name)
            if grad is not None and grad in env:
                found.blobs[blob] = _float32(env[grad])
        first = {n.name: n for n in reversed(list(self.graph.forward_nodes())) if n.params}
        totals = self._shared_totals()
        for layer in self.params:
            blobs = [v for v in first[layer].params.values() if v.kind is not Kind.CARRY]
            found.params[layer] = [
                totals[v.storage].reshape(typed(v).shape)
                if v.storage in totals
                else np.zeros(typed(v).shape, np.float32)
                for v in blobs
            ]
        return found

    def _shared_totals(self) -> dict[Value, Array]:
        """The gradient of each parameter storage, summed over differently shaped views of it."""
        totals: dict[Value, F64] = {}
        for value in self.graph.values():
            grad = self.graph.grads.get(value.name)
            if value.kind is Kind.PARAM and grad is not None:
                flat = self._executor.env[grad].reshape(typed(value.storage).shape)
                owner = value.storage
                totals[owner] = totals[owner] + flat if owner in totals else flat
        return {owner: _float32(total) for owner, total in totals.items()}

    def _result(self, value: Value) -> Array:
        return _float32(self._executor.env[value])


def _aux_type(node: Node, role: str) -> Any:
    aux = getattr(node.op, "aux")  # noqa: B009
    return aux(node.attrs, node.sig())[role]


def _numeric(name: str, given: npt.ArrayLike) -> F64:
    try:
        array = np.asarray(given)
    except ValueError as error:
        fail("GC-R001", f"{name!r} is no array: {error}")
    if array.dtype.kind not in "fiub":
        fail("GC-R001", f"{name!r} has element type {array.dtype}, expected numbers")
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite, as in Caffe
        return np.asarray(array, np.float32).astype(np.float64)


def _float32(array: F64) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array, np.float32)
