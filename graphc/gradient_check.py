"""check_grad: a network's gradients against finite differences of its loss in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphc import driver
from graphc.errors import fail, near
from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import Kind
from graphc.ir.versions import blob_of
from graphc.ops.fillers import fill_weights
from graphc.ops.spec import F64
from graphc.records import record
from graphc.runtime.executable import Executable
from graphc.runtime.reference import ReferenceExecutor
from graphc.services import sample_inputs

STEPS = (1e-4, 1e-5, 1e-6)
"""How far values are moved, relative to the root of their mean square."""
TOLERANCE, NOISE, NOTHING = 1e-3, 1e-5, 1e-6
"""Error allowed, of the larger of both slopes; what float32 may lose in a sum; and how little of
the loss, for a blob moved by its own size, is but rounding (a bias ahead of BatchNorm)."""
OK, KINK, WRONG = "ok", "at a kink", "WRONG"
DIRECTIONS = 3


@record(frozen=True, slots=True)
class Slope:
    """One direction in which one blob was moved: the change of the loss that its gradient tells,
    and the one that was found. At a kink the slope on one side is not that of the other, however
    small the step, and any gradient may be right."""

    told: float
    found: float
    error: float
    verdict: str


@record(frozen=True)
class BlobSlopes:
    """`blob`: "layer/0", a parameter in Caffe's order, or the name of an input; `norm`: of its
    gradient."""

    blob: str
    shape: tuple[int, ...]
    norm: float
    slopes: tuple[Slope, ...]

    @property
    def worst(self) -> Slope:
        return max(self.slopes, key=lambda s: (s.verdict == WRONG, s.verdict == KINK, s.error))

    @property
    def verdict(self) -> str:
        return self.worst.verdict


@record(frozen=True)
class GradientReport:
    """`objective`: "loss", or "outputs" where a net has none and random weights make one number of
    its outputs."""

    name: str
    target: str
    objective: str
    tolerance: float
    blobs: tuple[BlobSlopes, ...]

    @property
    def ok(self) -> bool:
        return not any(blob.verdict == WRONG for blob in self.blobs)


def check_grad(
    net: Graph | str | Path,
    *,
    inputs: Mapping[str, npt.ArrayLike] | None = None,
    layers: Collection[str] = (),
    directions: int = DIRECTIONS,
    tolerance: float = TOLERANCE,
    batch: int | None = None,
    target: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda blob: None,
) -> GradientReport:
    """Move every parameter and input a little, in random directions, and see whether the loss
    changes as the gradients of target `target` say.

    The loss is computed by the reference executor in float64, of weights that are exactly those
    that were moved to. `layers`: only these layers' parameters. `inputs` None: random numbers.
    Where the slopes on both sides differ, the step is made smaller; what then still has two slopes
    is at a kink (of ReLU, max pooling), and cannot be judged in this direction. Raises GC-R002 for
    an unknown layer, GC-R004 for fewer than 1 direction, and what compiling and running raise.
    """
    if directions < 1:
        fail("GC-R004", f"{directions} directions; at least one is needed")
    graph = driver.load(net, phase="TRAIN") if not isinstance(net, Graph) else clone(net)
    graph, _ = driver.optimize(driver.shape(graph, batch=batch), ())
    fill_weights(graph)
    _check_layers(graph, layers)
    feeds = {k: np.asarray(v, np.float32) for k, v in (inputs or sample_inputs(graph)).items()}
    with ExitStack() as stack:
        exe = stack.enter_context(
            driver.compile(graph, target=target, train=True, passes=(), threads=threads)
        )
        exact = _Objective(clone(graph), seed)
        stack.callback(exact.close)
        rng = np.random.Generator(np.random.Philox(key=seed))
        found = []
        for moved in _moved(exe, exact, feeds, layers):
            progress(moved.blob)
            slopes = tuple(moved.slope(rng, tolerance) for _ in range(directions))
            norm = float(np.linalg.norm(moved.gradient))
            found.append(BlobSlopes(moved.blob, moved.values.shape, norm, slopes))
        objective = "loss" if exact.has_loss else "outputs"
        return GradientReport(graph.name, exe.target, objective, tolerance, tuple(found))


def _check_layers(graph: Graph, layers: Collection[str]) -> None:
    known = graph.layer_params()
    for name in layers:
        if name not in known:
            hint = near(name, known) or "`graphc inspect` lists the layers"
            fail("GC-R002", f"no layer {name!r} with parameters", hint)


class _Objective:
    """One number that the network's outputs are made to, in float64; always with the same draws
    and the same data."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.has_loss = any(any(n.loss.values()) for n in graph.forward_nodes())
        losses = {n.outs[r] for n in graph.forward_nodes() for r in n.loss}
        self.executor = ReferenceExecutor(graph, {*graph.outputs, *losses})
        rng = np.random.Generator(np.random.Philox(key=seed + 1))
        self.seeds: dict[str, F64] = {}
        if not self.has_loss:
            for value in graph.outputs:
                self.seeds[value.name] = rng.standard_normal(typed(value).shape)

    def __call__(self, feeds: Mapping[str, Array]) -> float:
        self.executor.reset()
        self.executor.forward({v: feeds[blob_of(v)] for v in self.graph.inputs})
        if self.has_loss:
            return self.executor.loss()
        tops = {v.name: self.executor.env[v] for v in self.graph.outputs}
        return sum(float((seed * tops[name]).sum()) for name, seed in self.seeds.items())

    def close(self) -> None:
        self.executor.close()


@record
class _Moved:
    """A blob whose `values` (a view of what the objective reads) can be moved."""

    blob: str
    values: Array
    gradient: Array
    objective: Callable[[], float]

    def slope(self, rng: np.random.Generator, tolerance: float) -> Slope:
        """Along one random direction, with ever smaller steps until both slopes agree."""
        direction = rng.standard_normal(self.values.shape)
        slope = None
        for step in STEPS:
            slope = self._try(step, direction, tolerance)
            if slope.verdict == OK:
                break
        assert slope is not None
        return slope

    def _try(self, step: float, direction: F64, tolerance: float) -> Slope:
        start = self.values.copy()
        size = step * (math.sqrt(float(np.square(start, dtype=np.float64).mean())) or 1.0)
        try:
            here = self.objective()
            self.values[...] = start + size * direction
            ahead, forward = self.objective(), self.values.astype(np.float64) - start
            self.values[...] = start - size * direction
            behind, backward = self.objective(), start - self.values.astype(np.float64)
        finally:
            self.values[...] = start
        rise, fall = ahead - here, here - behind
        slope = self.gradient.astype(np.float64)
        told = float((slope * forward).sum()), float((slope * backward).sum())
        noise = NOISE * float(np.linalg.norm(slope)) * float(np.linalg.norm(forward))
        return _judged(told, (rise, fall), tolerance, noise + NOTHING * step * abs(here))


def _judged(
    told: tuple[float, float], found: tuple[float, float], tolerance: float, noise: float
) -> Slope:
    """`told`, `found`: changes ahead and behind."""
    both, change = sum(told), sum(found)
    largest = max(abs(both), abs(change))
    error = abs(both - change) / largest if largest else 0.0
    if not math.isfinite(both + change):
        return Slope(both, change, math.inf, WRONG)
    if abs(both - change) <= tolerance * largest + noise:
        return Slope(both, change, error, OK)
    bends = abs(found[0] - found[1]) > tolerance * max(map(abs, found)) + noise
    return Slope(both, change, error, KINK if bends else WRONG)


def _moved(
    exe: Executable, exact: _Objective, feeds: dict[str, Array], layers: Collection[str]
) -> Iterator[_Moved]:
    exe.reset()
    exe.forward(feeds)
    grads = exe.backward(exact.seeds)
    objective = partial(exact, feeds)
    seen: set[Value] = set()
    for layer, blobs in exact.graph.layer_params().items():
        for index, value in enumerate(blobs):
            is_learned = value.kind is Kind.PARAM and value.storage.lr_mult != 0
            if not is_learned or value.storage in seen or (layers and layer not in layers):
                continue
            seen.add(value.storage)
            array = exact.graph.weight(value).reshape(typed(value).shape)
            if array.size:
                yield _Moved(f"{layer}/{index}", array, grads.params[layer][index], objective)
    for name in feeds if not layers else ():
        if name in grads.blobs and feeds[name].size:
            feeds[name] = feeds[name].copy()
            yield _Moved(name, feeds[name], grads.blobs[name], objective)


__all__ = ["BlobSlopes", "GradientReport", "Slope", "check_grad"]
