"""quantize_weights: each layer's weights take few distinct values."""

from __future__ import annotations

import re
from dataclasses import field

import numpy as np

from graphc.errors import fail
from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import LayerChange
from graphc.passes._folding import OFF
from graphc.passes._weights import change_of, chosen_layers, file_bytes, put
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record

MOST_BITS = 8
ROUNDS = 30
"""Most rounds of k-means; it mostly stands still earlier."""


@record(frozen=True)
class QuantizeWeights(Pass):
    """Replace the weights of convolutions and inner products by the nearest of 2**bits values.

    The values are each layer's own, by k-means from evenly spaced ones between its least and
    largest weight; zero stays zero and is one of them where there are zeros. The network computes
    in float32 as before; the artefact keeps codes of `bits` bits and a table. Biases stay.

    Off with gradients. Source: Han et al., Deep compression, 2016, section 3.
    """

    name = "quantize_weights"
    exact = False
    strength = "bits"
    bits: int = 8
    layers: tuple[str, ...] = field(default_factory=tuple)
    skip: tuple[str, ...] = field(default_factory=tuple)

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if not 1 <= self.bits <= MOST_BITS:
            told = f"pass {self.name!r}: bits is {self.bits}"
            fail("GC-T001", told, f"1 to {MOST_BITS} bits of a code")
        if ctx.train:
            return Report(self.name, False, (OFF,))
        rows: list[LayerChange] = []
        changed = False
        for layer in chosen_layers(self, graph, self.layers, self.skip):
            before = layer.array(graph)
            after = quantized(before, self.bits)
            count = np.unique(after).size
            decision = "stays"
            if not np.array_equal(before, after):
                changed, decision = True, f"{count} values"
                put(graph, layer, after)
            rows.append(
                LayerChange(
                    layer.name,
                    decision,
                    f"{self.bits} bits",
                    nbytes=(file_bytes(before), file_bytes(after)),
                    weight_error=change_of(before, after),
                )
            )
        return Report(self.name, changed, (f"{len(rows)} layers",), layers=tuple(rows))

    def strengths(self, graph: Graph, count: int) -> dict[str, list[int]]:
        """Bits of a code, one less each time."""
        chosen = chosen_layers(self, graph, self.layers, self.skip)
        return {layer.name: list(range(MOST_BITS, 0, -1))[-count:] for layer in chosen}

    def at(self, layer: str, value: int) -> QuantizeWeights:
        return QuantizeWeights(bits=value, layers=(re.escape(layer),))


def quantized(weight: Array, bits: int) -> Array:
    """`weight` with 2**bits values at most, zero among them where it has zeros."""
    live = weight[weight != 0].astype(np.float64)
    most = 2**bits - int(live.size < weight.size)
    if np.unique(live).size <= most:
        return weight
    if most == 0:
        return np.zeros_like(weight)
    centers = nearest_centers(np.sort(live), most)
    made = np.zeros_like(weight)
    middles = (centers[1:] + centers[:-1]) / 2
    made[weight != 0] = centers[np.searchsorted(middles, live)].astype(np.float32)
    return made


def nearest_centers(ordered: Array, count: int) -> Array:
    """Means of `count` runs of sorted numbers, such that each number is in the run of the nearest
    mean (k-means along a line)."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centers = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(ROUNDS):
        ends = np.searchsorted(ordered, (centers[1:] + centers[:-1]) / 2)
        cuts = np.concatenate([[0], ends, [ordered.size]])
        counts = np.diff(cuts)
        means = (sums[cuts[1:]] - sums[cuts[:-1]]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centers)
        if np.array_equal(moved, centers):
            break
        centers = moved
    return np.asarray(centers)


__all__ = ["QuantizeWeights", "nearest_centers", "quantized"]
