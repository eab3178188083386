"""fold_batch_norm: normalisation by known statistics goes into the weights beside it."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.passes._affine import NORMS, SCALES
from graphc.passes._folding import fold_all
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class FoldBatchNorm(Pass):
    """Fold BatchNorm, with the Scale, Bias and Power beside it, into convolutions.

    In phase TEST BatchNorm is y = scale * x + shift per channel, scale = 1 / sqrt(variance + eps)
    and shift = -mean * scale, the statistics divided by their factor (0 where that is 0). A run of
    such layers goes, as far as possible, into the Convolution, Deconvolution or InnerProduct before
    it: W := scale * W, b := scale * b + shift. What is left goes into those after it, W := W *
    scale, b := b + W shift, the shift only where nothing is padded; else into one Scale.

    Conditions: nobody else reads what vanishes, nor is it an output, kept, or weighted as a loss;
    the weights are shared with no other layer; the statistics are not the batch's. Done in float64
    and rounded once. Off with gradients. Source: Jacob et al., arXiv 1712.05877, section 3.2.
    """

    name = "fold_batch_norm"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        return fold_all(self.name, graph, ctx, NORMS | SCALES, NORMS)
