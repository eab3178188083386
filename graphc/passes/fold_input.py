"""fold_input: what is done to a net's input first goes into the weights that read it."""

from __future__ import annotations

from graphc.ir.graph import Graph, Node
from graphc.ir.op import Effect, Trait
from graphc.passes._affine import NORMS, SCALES
from graphc.passes._folding import OFF, Folding
from graphc.passes.base import Pass, PassContext, Report
from graphc.records import record


@record(frozen=True)
class FoldInput(Pass):
    """Fold the scaling of a net's input, and mean subtraction, into its first layers.

    A run of Scale, Bias, Power and BatchNorm layers that reads a net input or a data layer goes
    into all the layers that read it: W := W * scale, b := b + W shift. A factor passes any
    convolution; a shift does not pass zero padding, for padding would be shifted too. Then the
    layers from the shift on stay, and are named. Else as `fold_batch_norm`; inputs stay as they
    are.
    """

    name = "fold_input"

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        if ctx.train:
            return Report(self.name, False, (OFF,))
        folding = Folding(graph, ctx, NORMS | SCALES, NORMS | SCALES)
        runs = [run for run in folding.runs() if _reads_input(run[0])]
        for run in runs:
            folding.forward(run)
        return folding.report(self.name, runs)


def _reads_input(node: Node) -> bool:
    maker = next(iter(node.ins.values())).producer
    return maker is not None and (maker.has(Trait.FEED) or maker.has(Effect.SOURCE))
