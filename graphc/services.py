"""Services: what the driver lends to passes, and the inputs on which passes are measured."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from graphc.count import macs
from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph, typed
from graphc.ir.op import Effect, Trait
from graphc.ir.versions import blob_of
from graphc.runtime.executable import Executable

MEASURE_MACS = 500_000_000


class Services:
    """The PassContext the driver hands to passes."""

    def __init__(
        self,
        assemble: Callable[[Graph], Executable],
        pinned: frozenset[str] = frozenset(),
        calibration: Mapping[str, Array] | None = None,
    ) -> None:
        self._assemble = assemble
        self.pinned = pinned
        self.calibration = calibration

    def run(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Outputs of a copy of `graph` on `inputs`."""
        return self._assemble(clone(graph)).forward(inputs)

    def time_us(self, graph: Graph) -> float:
        """Fastest of three forwards on random inputs, microseconds."""
        exe = self._assemble(clone(graph))
        feeds = sample_inputs(graph, self.calibration)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            exe.forward(feeds)
            best = min(best, time.perf_counter() - start)
        return best * 1e6

    def rng(self, tag: str) -> np.random.Generator:
        """A Philox stream keyed by the tag."""
        return np.random.Generator(np.random.Philox(key=zlib.crc32(tag.encode())))


def needs_source(graph: Graph) -> bool:
    """Does the net read data files, rather than arrays alone?"""
    return any(n.has(Effect.SOURCE) and not n.has(Trait.FEED) for n in graph.nodes)


def should_measure(graph: Graph, measure: bool | None) -> bool:
    """`measure` if given; else whether the net is small (0.5 GMAC) and runs on arrays alone."""
    if measure is not None:
        return measure
    return sum(map(macs, graph.forward_nodes())) <= MEASURE_MACS and not needs_source(graph)


def sample_inputs(graph: Graph, calibration: Mapping[str, Array] | None) -> dict[str, Array]:
    """Calibration inputs, or random ones: images in [-1, 1), one-axis inputs (labels) zero."""
    rng = np.random.Generator(np.random.Philox(key=0))
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        dims = typed(value).shape
        noise = rng.uniform(-1, 1, dims) if len(dims) > 1 else np.zeros(dims)
        feeds[blob_of(value)] = noise.astype(np.float32)
    return feeds | {k: np.asarray(v, np.float32) for k, v in (calibration or {}).items()}
