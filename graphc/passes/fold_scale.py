"""fold_scale: factors and shifts per channel go into the weights beside them."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.passes._affine import SCALES
from graphc.passes._folding import fold_all
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class FoldScale(Pass):
    """Fold Scale, Bias and Power (with power 1) into convolutions.

    As `fold_batch_norm`, under the same conditions, for runs without BatchNorm. The coefficients
    must be the layer's own, not a second bottom, and lie along the channel axis alone; those
    before an InnerProduct may also lie along more of the axes that it sums over.
    """

    name = "fold_scale"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        return fold_all(self.name, graph, ctx, SCALES, SCALES)
