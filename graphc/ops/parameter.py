"""Parameter: a learnable blob as a layer of its own."""

from __future__ import annotations

from graphc.ir.op import Param, Sig
from graphc.ir.types import Type
from graphc.ops._blob_shape import NO_SHAPE, BlobShape
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View
from graphc.records import record


@record(frozen=True)
class ParameterAttrs:
    shape: BlobShape = NO_SHAPE


class Parameter(OpSpec):
    """y = weight, of the given shape; starts at zero.

    Caffe overwrites the weight's gradient where other layers add to theirs; here it is added to,
    so that iter_size means the same for every layer.
    """

    type, param_field = "Parameter", "parameter_param"
    Attrs = ParameterAttrs
    bottoms = ()

    @staticmethod
    def params(a: ParameterAttrs, s: Sig) -> tuple[Param, ...]:
        return (Param("weight", Type(a.shape.dim).shape),)

    @staticmethod
    def infer(a: ParameterAttrs, s: Sig) -> dict[str, Type]:
        return {"y": Type(a.shape.dim)}

    @staticmethod
    def views(a: ParameterAttrs, s: Sig) -> dict[str, View]:
        return {"y": View("weight")}

    @staticmethod
    def grads(a: ParameterAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("weight", ("dy",), view=View("dy"), accumulate=True),)

    @staticmethod
    def reference(a: ParameterAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": v["weight"]}

    @staticmethod
    def vjp(a: ParameterAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        return v["dy"]

    kernels = (Kernel("cpu", "forward", "copy", strided=True),)
    samples = (
        Sample((), ParameterAttrs(BlobShape((2, 3)))),
        Sample((), ParameterAttrs(BlobShape(()))),
    )
