"""Services: what the driver lends to passes, and the inputs on which passes are measured."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from graphc.count import macs
from graphc.errors import GraphError, fail
from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.op import Effect, Trait
from graphc.ir.versions import blob_of
from graphc.ops.spec import OpSpec
from graphc.runtime.executable import Executable
from graphc.runtime.targets import DEFAULT_TARGET

if TYPE_CHECKING:
    from graphc.passes.meter import Meter

MEASURE_MACS = 500_000_000
ROUNDS, RUNS, TURN = 7, 3, 0.002
"""Turns of networks that are timed beside each other; how many forwards a turn has at least, and
how long it lasts, seconds."""
LABEL = "label"
"""What the right classes are called among calibration inputs."""


class Services:
    """The PassContext the driver hands to passes."""

    def __init__(
        self,
        assemble: Callable[..., Executable],
        pinned: frozenset[str] = frozenset(),
        calibration: Mapping[str, Array] | None = None,
        train: bool = False,
        labels: Array | None = None,
        allow_extensions: bool = False,
    ) -> None:
        self._assemble = assemble
        self.pinned = pinned
        self.calibration = calibration
        self.train = train
        self.labels = labels
        self.allow_extensions = allow_extensions

    def run(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Outputs, and those pinned blobs it has, of a copy of `graph` on `inputs`."""
        kept = [name for name in self.pinned if name in graph.by_name()]
        with self._assemble(clone(graph), keep=kept) as exe:
            return exe.forward(inputs)

    def gradients(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Gradients of the net's losses with respect to its parameters, by name of their storage.

        A net without a loss has cross entropy as one, of its only output as probabilities, if
        there are labels, in `inputs` or of the calibration samples. Raises GC-R001 where not.
        """
        feeds = dict(inputs)
        wanted = {blob_of(value) for value in graph.inputs}
        labels = None if LABEL in wanted else feeds.pop(LABEL, self.labels)
        other = clone(graph)
        has_loss = any(weight for n in other.forward_nodes() for weight in n.loss.values())
        with self._assemble(other, target=DEFAULT_TARGET, train=True) as exe:
            outputs = exe.forward(feeds)
            found = exe.backward(None if has_loss else cross_entropy(outputs, labels)).params
            return {
                value.storage.name: found[layer][at]
                for layer, values in other.layer_params().items()
                for at, value in enumerate(values)
                if layer in found
            }

    def samples(self, graph: Graph) -> dict[str, Array] | None:
        """Calibration inputs, else random ones; None where `should_measure` says no."""
        if not should_measure(graph, None, self.calibration, None):
            return None
        return sample_inputs(graph, self.calibration)

    def time_us(self, graph: Graph) -> float:
        """Fastest of three forwards, on what runs them fastest, on calibration or random inputs,
        microseconds."""
        feeds = sample_inputs(graph, self.calibration)
        best = float("inf")
        with self._assemble(clone(graph), target=DEFAULT_TARGET) as exe:
            for _ in range(3):
                start = time.perf_counter()
                exe.forward(feeds)
                best = min(best, time.perf_counter() - start)
        return best * 1e6

    def times_us(self, graphs: Sequence[Graph]) -> list[float]:
        """Fastest forward of each, by turns, so that all meet the same weather; microseconds."""
        best = [float("inf")] * len(graphs)
        with ExitStack() as stack:
            exes = [
                stack.enter_context(self._assemble(clone(g), target=DEFAULT_TARGET)) for g in graphs
            ]
            feeds = [sample_inputs(g, _known(self.calibration, g)) for g in graphs]
            for _ in range(ROUNDS):
                for at, exe in enumerate(exes):
                    began, runs = time.perf_counter(), 0
                    while runs < RUNS or time.perf_counter() - began < TURN:
                        start = time.perf_counter()
                        exe.forward(feeds[at])
                        best[at] = min(best[at], 1e6 * (time.perf_counter() - start))
                        runs += 1
        return best

    def rng(self, tag: str) -> np.random.Generator:
        """A Philox stream keyed by the tag."""
        key = zlib.crc32(tag.encode("utf-8", "surrogatepass"))
        return np.random.Generator(np.random.Philox(key=key))


def cross_entropy(outputs: Mapping[str, Array], labels: npt.ArrayLike | None) -> dict[str, Array]:
    """The gradient of mean(-log p[label]) with respect to the only output p (N, K...).

    Raises GC-R001 without labels, or with such as do not fit.
    """
    if labels is None or len(outputs) != 1:
        told = "the net has no loss" if labels is None else f"the net has {len(outputs)} outputs"
        fail("GC-R001", f"{told}, so there is no gradient", 'give an array "label" with the inputs')
    ((name, p),) = outputs.items()
    index = np.asarray(labels).reshape(-1)
    flat = p.reshape(p.shape[0], -1)
    fits = index.shape == flat.shape[:1] and np.isin(index, np.arange(flat.shape[1])).all()
    if not fits:
        told = f"label must hold {flat.shape[0]} classes of 0 .. {flat.shape[1] - 1}"
        fail("GC-R001", told, f"it has shape {np.shape(labels)}")
    rows = np.arange(len(index))
    slopes = np.zeros_like(flat)
    chosen = index.astype(np.int64)
    slopes[rows, chosen] = -1 / (np.maximum(flat[rows, chosen], 1e-30) * len(index))
    return {name: slopes.reshape(p.shape)}


def _known(calibration: Mapping[str, Array] | None, graph: Graph) -> dict[str, Array]:
    """Of the calibration inputs those that the graph has, which may be a part of the network."""
    names = {blob_of(value) for value in graph.inputs}
    return {name: array for name, array in (calibration or {}).items() if name in names}


def without_labels(
    graph: Graph, calibration: Mapping[str, Array] | None
) -> tuple[Mapping[str, Array] | None, Array | None]:
    """Calibration inputs, and the array `LABEL` that was among them and is no input of the net.

    Raises GC-R001 for what is no table of arrays, and for arrays without a sample, or with elements
    that are not finite.
    """
    if calibration is not None:
        _check_calibration(calibration)
    if calibration is None or LABEL not in calibration:
        return calibration, None
    if any(blob_of(value) == LABEL for value in graph.inputs):
        return calibration, calibration[LABEL]
    return {k: v for k, v in calibration.items() if k != LABEL}, calibration[LABEL]


def _check_calibration(calibration: object) -> None:
    if not isinstance(calibration, Mapping):
        told = f"calibration is a {type(calibration).__name__}"
        fail("GC-R001", told, "give arrays by input, such as {'data': images}")
    for name, given in calibration.items():
        array = np.asarray(given)
        told = f"calibration array {name!r} "
        if array.dtype.kind not in "biuf":
            fail("GC-R001", f"{told}holds {array.dtype}, not numbers")
        if not array.size:
            fail("GC-R001", f"{told}has shape {array.shape}: there is no sample")
        if not np.isfinite(array).all():
            fail("GC-R001", f"{told}has elements that are not finite")


def needs_source(graph: Graph) -> bool:
    """Does the net read data files, rather than arrays alone?"""
    return any(n.has(Effect.SOURCE) and not n.has(Trait.FEED) for n in graph.nodes)


def should_measure(
    graph: Graph, measure: bool | None, calibration: object, max_error: float | None
) -> bool:
    """`measure` if given, else whether there is a reason to, or little to lose.

    Reasons are calibration inputs and a bound on the error. Without these, the net must be small
    (0.5 GMAC), and neither read nor write files. Raises GC-R002 for a bound not to be measured.
    """
    if measure is False and max_error is not None:
        fail("GC-R002", f"max_error is {max_error}, but measure is False", "leave one of them out")
    if measure is not None:
        return measure
    if calibration is not None or max_error is not None:
        return True
    is_small = sum(map(macs, graph.forward_nodes())) <= MEASURE_MACS
    return is_small and not needs_source(graph) and not any(n.has(Effect.SINK) for n in graph.nodes)


def sample_inputs(graph: Graph, calibration: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Calibration inputs, or random ones: labels and indices zero, else uniform in [-1, 1)."""
    rng = np.random.Generator(np.random.Philox(key=0))
    labels = _labels(graph)
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        dims = typed(value).shape
        noise = np.zeros(dims) if value in labels else rng.uniform(-1, 1, dims)
        feeds[blob_of(value)] = noise.astype(np.float32)
    return feeds | dict(calibration or {})


def meter_for(
    ctx: Services, graph: Graph, measure: bool | None, max_error: float | None
) -> Meter | None:
    """What measures a graph around every pass, if it should be: see `should_measure`."""
    from graphc.passes.meter import Meter

    if not should_measure(graph, measure, ctx.calibration, max_error):
        return None
    try:
        return Meter(ctx, graph, sample_inputs(graph, ctx.calibration), max_error)
    except GraphError:
        if measure is None and ctx.calibration is None and max_error is None:
            return None  # this net does not accept random numbers
        raise


def _labels(graph: Graph) -> set[Value]:
    """Values that layers with gradients read only where these have none, perhaps through others."""
    as_label: set[Value] = set()
    as_number: set[Value] = set()
    for node in reversed(list(graph.forward_nodes())):
        op = cast("type[OpSpec]", node.op)
        slopes = {grad.out for grad in op.grads(node.attrs, node.sig(graph.env))}
        tops = [node.outs[role] for role in node.tops]
        ends = bool(tops) and all(top in as_label and top not in as_number for top in tops)
        for role, value in node.ins.items() if slopes else ():
            (as_label if ends or role not in slopes else as_number).add(value)
    return as_label - as_number
