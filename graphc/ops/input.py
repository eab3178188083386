"""Input: where the caller's arrays enter the net."""

from __future__ import annotations

from dataclasses import replace

from graphc.errors import fail
from graphc.ir.op import Effect, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._blob_shape import BlobShape
from graphc.ops.spec import OpSpec, Sample
from graphc.records import record


@record(frozen=True)
class InputAttrs:
    shape: tuple[BlobShape, ...] = ()


class Input(OpSpec):
    """y_t = the array the caller feeds for top t.

    One `shape` serves all tops, or there is one per top. Without any, the shapes come from the
    caller, else GC-S004.
    """

    type, param_field = "Input", "input_param"
    Attrs = InputAttrs
    bottoms, tops = (), ("y*",)
    traits = frozenset({Trait.FEED})
    effects = frozenset({Effect.SOURCE})

    @staticmethod
    def infer(a: InputAttrs, s: Sig) -> dict[str, Type]:
        if not a.shape:
            tops = ", ".join(s.tops)
            fail(
                "GC-S004",
                f"no shape is given for its {len(s.tops)} tops ({tops})",
                "add input_param { shape { dim: ... } }, or pass --shape NAME=NxCxHxW",
            )
        if len(a.shape) not in (1, len(s.tops)):
            fail(
                "GC-N008",
                f"{len(a.shape)} shapes for {len(s.tops)} tops",
                "give one shape for all tops, or one per top",
            )
        shapes = a.shape * len(s.tops) if len(a.shape) == 1 else a.shape
        return {role: Type(shape.dim) for role, shape in zip(s.tops, shapes, strict=True)}

    @staticmethod
    def rebatch(a: InputAttrs, batch: int) -> InputAttrs:
        return replace(
            a, shape=tuple(BlobShape((batch, *x.dim[1:])) if x.dim else x for x in a.shape)
        )

    samples = (
        Sample((), InputAttrs((BlobShape((2, 3)),))),
        Sample((), InputAttrs((BlobShape((2, 3, 4)), BlobShape((2,)))), tops=2),
        Sample((), InputAttrs((BlobShape((0, 3)),)), tops=2),
    )
