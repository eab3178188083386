"""merge_gates: gates go into the weights beside them."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ops.gate import Gate
from graphc.passes._affine import NORMS, SCALES
from graphc.passes._folding import OFF, Folding
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class MergeGates(Pass):
    """Merge each Gate into the weights beside it, with the normalization between them.

    A run of BatchNorm, Scale, Bias, Power and Gate layers goes, as far as possible, into the
    Convolution, Deconvolution or InnerProduct before it, then into those after it, through no
    activation: past one a gate goes forward, whatever its sign. A gate that is left becomes a
    Scale, so that stock Caffe can read what comes out.

    Conditions: as those of fold_batch_norm. Off with gradients. Source: You et al., arXiv
    1909.08174, section 3.3.
    """

    name = "merge_gates"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        folding = Folding(graph, ctx, NORMS | SCALES | {Gate}, {Gate})
        for run in folding.runs():
            folding.merge(folding.forward(folding.backward(run)), alone=True)
        return folding.report(self.name)
