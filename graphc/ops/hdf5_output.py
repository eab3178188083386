"""HDF5Output: writes two blobs to an HDF5 file."""

from __future__ import annotations

from graphc.data.hdf5_sink import Hdf5Sink
from graphc.errors import fail
from graphc.ir.op import Effect, Sig
from graphc.ir.types import Type
from graphc.ops.spec import F64, Ctx, Limitation, OpSpec, Sample, Values
from graphc.records import record


@record(frozen=True)
class HDF5OutputAttrs:
    file_name: str = ""


class HDF5Output(OpSpec):
    """file["data"] = data, file["label"] = label; each forward replaces the file.

    data, label: up to four axes, written with four (axes of 1 after theirs), float32; equal
    extents of axis 0. Raises GC-S002, GC-S003, GC-F002 if the file cannot be written.
    """

    type, param_field = "HDF5Output", "hdf5_output_param"
    Attrs = HDF5OutputAttrs
    bottoms, tops = ("data", "label"), ()
    effects = frozenset({Effect.SINK})

    @staticmethod
    def infer(a: HDF5OutputAttrs, s: Sig) -> dict[str, Type]:
        if not a.file_name:
            fail("GC-N008", "no file name is given", "set hdf5_output_param.file_name")
        data, label = s.ins["data"], s.ins["label"]
        for role, x in (("data", data), ("label", label)):
            if x.rank > 4:
                fail("GC-S002", f"{role} has {x.rank} axes {x.shape}, at most 4 are written")
        if data.shape[:1] != label.shape[:1]:
            fail("GC-S003", f"data {data.shape} and label {label.shape} differ in axis 0")
        return {}

    @staticmethod
    def open(a: HDF5OutputAttrs, s: Sig, seed: int = 0) -> Hdf5Sink:
        return Hdf5Sink(s.env.resolve(a.file_name, must_exist=False))

    @staticmethod
    def reference(a: HDF5OutputAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        arrays = {role: v[role] for role in ("data", "label")}
        ctx.source.write({r: x.reshape(x.shape + (1,) * (4 - x.ndim)) for r, x in arrays.items()})
        return {}

    samples = (
        Sample(((3, 2, 2, 2), (3, 1)), HDF5OutputAttrs("out.h5"), tops=0),
        Sample(((0, 5), (0,)), HDF5OutputAttrs("out.h5"), tops=0),
    )
    limitations = (Limitation("it writes a file, so only its own tests run it"),)
