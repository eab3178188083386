"""What the data layers share: they take no bottoms and hand on what their source gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphc.errors import fail
from graphc.ir.op import Effect, Sig
from graphc.ir.types import Type
from graphc.ops.spec import Ctx, Limitation, OpSpec, Values

FROM_FILES = Limitation("no sample brings a source, so only its own tests run it")


class SourceSpec(OpSpec):
    """A data layer: a host step without gradient, whose `open` returns a Source."""

    bottoms = ()
    effects = frozenset({Effect.SOURCE})

    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, Any]:
        """float32, as the source gives it: large batches are not copied for nothing."""
        batch = ctx.source.next()
        return {role: batch[role] for role in ctx.sig.tops}

    @staticmethod
    def rebatch(a: Any, batch: int) -> Any:
        return replace(a, batch_size=batch)


def unbuilt(s: Sig) -> Sig:
    """The signature without inferred types, for a source that is opened to learn them."""
    return replace(s, outs={})


def labelled(s: Sig, shape: tuple[int, ...]) -> dict[str, Type]:
    """Types of "data" (N, C, H, W) and "label" (N,), those of them that are tops."""
    types = {"data": Type(shape), "label": Type(shape[:1])}
    return {role: types[role] for role in s.tops}


def needs_source(source: str, field: str) -> None:
    """Raise GC-N008 if a layer names no source."""
    if not source:
        fail("GC-N008", "no source is given", f"set {field}")
