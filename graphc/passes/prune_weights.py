"""prune_weights: the smallest weights become zeros."""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import Literal

import numpy as np

from graphc.errors import fail
from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import LayerChange
from graphc.passes._folding import OFF
from graphc.passes._masks import (
    Mask,
    Pattern,
    densities,
    few_of_each,
    largest,
    parse_pattern,
    scores,
    spread,
)
from graphc.passes._weights import Weighted, change_of, chosen_layers, file_bytes, put
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class PruneWeights(Pass):
    """Set the smallest weights of convolutions and inner products to zero, in plain Caffe form.

    `sparsity`: the share of zeros, of each layer (scope=uniform), of all together with more left
    to small layers (scope=erk), or of all together by one threshold (scope=global). `pattern`:
    unstructured; RxC, blocks of R outputs by C columns, by their mean |w|, as 16x1; N:M, the N
    largest of each M channels next to each other, which says how many. Biases stay. What is gained
    comes later, from `sparse_layout` and smaller files; what is lost, training brings back.

    Off with gradients. Source: Han et al., Learning both weights and connections, 2015.
    """

    name = "prune_weights"
    exact = False
    strength = "sparsity"
    sparsity: float | None = None
    pattern: str = "unstructured"
    scope: Literal["uniform", "erk", "global"] = "uniform"
    layers: tuple[str, ...] = field(default_factory=tuple)
    skip: tuple[str, ...] = field(default_factory=tuple)

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        pattern = self._pattern()
        if ctx.train:
            return Report(self.name, False, (OFF,))
        chosen = chosen_layers(self, graph, self.layers, self.skip)
        chosen, left = self._divided(chosen, graph, pattern)
        matrices = [layer.matrix(layer.array(graph)) for layer in chosen]
        masks = self._masks(matrices, chosen, graph, pattern)
        changed, rows = False, list(left)
        for layer, matrix, mask in zip(chosen, matrices, masks, strict=True):
            pruned = np.where(mask, matrix, np.float32(0))
            before, after = int(np.count_nonzero(matrix)), int(np.count_nonzero(pruned))
            if after < before:
                changed = True
                put(graph, layer, layer.unmatrix(pruned))
            zeros = 1 - after / matrix.size if matrix.size else 0.0
            decision = f"{zeros:.1%} zeros" if after < before else "stays"
            rows.append(
                LayerChange(
                    layer.name,
                    decision,
                    self._reason(),
                    params=(before, after),
                    nbytes=(file_bytes(matrix), file_bytes(pruned)),
                    weight_error=change_of(matrix, pruned),
                )
            )
        left_in_all = sum(row.params[1] for row in rows if row.params is not None)
        total = sum(matrix.size for matrix in matrices)
        told = f"{left_in_all:,} of {total:,} weights left in {len(chosen)} layers"
        return Report(self.name, changed, (told,), layers=tuple(rows))

    def strengths(self, graph: Graph, count: int) -> dict[str, list[float]]:
        """Shares of zeros, ever closer to one: half of the weights, a quarter, ... are left."""
        chosen = chosen_layers(self, graph, self.layers, self.skip)
        return {layer.name: [1 - 0.5**k for k in range(1, count + 1)] for layer in chosen}

    def at(self, layer: str, value: float) -> PruneWeights:
        return replace(self, sparsity=value, scope="uniform", layers=(re.escape(layer),), skip=())

    def _reason(self) -> str:
        return self.pattern if self.sparsity is None else f"{self.pattern}, {self.scope}"

    def _pattern(self) -> Pattern:
        """The pattern asked for, with a sparsity that goes with it. Raises GC-T001."""
        pattern = parse_pattern(self.pattern)
        if pattern is None:
            fail(
                "GC-T001",
                f"pass {self.name!r}: pattern is {self.pattern!r}",
                "unstructured, blocks as 16x1, or N:M with N below M as 2:4",
            )
        if pattern.of:
            if self.sparsity is not None or self.scope != "uniform":
                told = f"pass {self.name!r}: pattern {self.pattern} says how many weights stay"
                fail("GC-T001", told, "leave sparsity and scope out")
        elif self.sparsity is None or not 0 <= self.sparsity < 1:
            told = f"pass {self.name!r}: sparsity is {self.sparsity}"
            fail("GC-T001", told, "give the share of zeros, at least 0 and below 1: sparsity=0.8")
        return pattern

    def _divided(
        self, chosen: list[Weighted], graph: Graph, pattern: Pattern
    ) -> tuple[list[Weighted], list[LayerChange]]:
        """The layers whose channels N:M divides, and rows of the others. Raises GC-T001 where one
        of those was named, or none is left."""
        if not pattern.of:
            return chosen, []
        fit: list[Weighted] = []
        left: list[LayerChange] = []
        for layer in chosen:
            channels = layer.matrix(layer.array(graph)).shape[1]
            if channels % pattern.of == 0:
                fit.append(layer)
                continue
            reason = f"{channels} channels do not divide into {pattern.of}"
            if self.layers:
                told = (
                    f"pass {self.name!r}, pattern {self.pattern}: layer {layer.name!r} has {reason}"
                )
                fail("GC-T001", told, "leave the layer out with skip=")
            left.append(LayerChange(layer.name, "stays", reason))
        if chosen and not fit:
            told = f"pass {self.name!r}: the channels of no layer divide into {pattern.of}"
            fail("GC-T001", told, "choose another pattern")
        return fit, left

    def _masks(
        self, matrices: list[Array], chosen: list[Weighted], graph: Graph, pattern: Pattern
    ) -> list[Mask]:
        if pattern.of:
            return [few_of_each(matrix, pattern) for matrix in matrices]
        density = 1 - (self.sparsity or 0.0)
        values = [scores(matrix, pattern) for matrix in matrices]
        if self.scope == "global":
            joined = largest(
                np.concatenate([v.reshape(-1) for v in values] or [np.zeros(0, np.float32)]),
                round(density * sum(v.size for v in values)),
            )
            ends = np.cumsum([v.size for v in values])[:-1]
            kept = [
                mask.reshape(v.shape)
                for mask, v in zip(np.split(joined, ends), values, strict=False)
            ]
        else:
            shares = [density] * len(values)
            if self.scope == "erk":
                shares = densities([_extents(layer, graph) for layer in chosen], density)
            kept = [
                largest(v, round(share * v.size)) for v, share in zip(values, shares, strict=True)
            ]
        return [spread(k, matrix, pattern) for k, matrix in zip(kept, matrices, strict=True)]


def _extents(layer: Weighted, graph: Graph) -> tuple[int, ...]:
    """(outputs, channels, *kernel)."""
    return layer.array(graph).shape
