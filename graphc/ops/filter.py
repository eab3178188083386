"""Filter: the samples that a selector names."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, many
from graphc.ops.ties import Algebra, same


def _some(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    """Three rows in five, wherever they fall."""
    return rng.permutation(np.arange(shape[0]) % 5 < 3).astype(np.float64).reshape(shape)


class Filter(OpSpec):
    """y_k[m] = x_k[r_m], r_m the m-th row whose selector is not 0.

    x_k: (N, ...); selector: (N[, 1...]). y_k has as many rows as the selector names, N at most,
    for which it is planned.
    """

    type = "Filter"
    bottoms, tops = ("x*", "selector"), ("y*",)
    traits = frozenset({Trait.DYNAMIC})

    @classmethod
    def roles(cls, a: object, n_ins: int, n_tops: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        ins, outs = super().roles(a, n_ins, n_tops)
        if len(outs) != len(ins) - 1:
            fail(
                "GC-N004",
                f"needs one top per bottom but the last (the selector), but has {n_ins} bottoms "
                f"and {n_tops} tops",
            )
        return ins, outs

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        blobs, selector = s.many("x"), s.ins["selector"]
        _check([x.shape for x in blobs], selector.shape)
        return dict(zip(s.tops, blobs, strict=True))

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return tuple(Grad(f"x{k}", (f"dy{k}", "selector")) for k in range(len(s.many("x"))))

    @staticmethod
    def ties(a: object, s: Sig) -> Algebra:
        ties: Algebra = ()
        for k, x in enumerate(s.many("x")):
            ties += same(f"x{k}", f"y{k}", *range(1, x.rank))
        return ties

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        blobs = many(v, "x")
        _check([x.shape for x in blobs], v["selector"].shape)
        rows = np.flatnonzero(v["selector"])
        return {f"y{k}": x[rows] for k, x in enumerate(blobs)}

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        dy = v[f"dy{part[2:]}"]
        dx = np.zeros((v["selector"].shape[0], *dy.shape[1:]))
        # dy may come at its planned extent, of which only the first rows live
        rows = np.flatnonzero(v["selector"])[: dy.shape[0]]
        dx[rows] = dy[: rows.size]
        return dx

    kernels = (Kernel("cpu", "dx*", "filter_gradient", dynamic=True),)
    samples = (
        Sample(((5, 3), (5, 2, 2), (5,)), tops=2, draw={"selector": _some}),
        Sample(((4, 3), (4, 1, 1, 1)), draw={"selector": lambda rng, shape: np.ones(shape)}),
        Sample(((0, 3), (0,))),
    )


def _check(blobs: list[tuple[int, ...]], selector: tuple[int, ...]) -> None:
    """Raise GC-S002 or GC-S003 unless the selector has one number per sample of each blob."""
    if not selector or any(d != 1 for d in selector[1:]):
        fail("GC-S002", f"selector has shape {selector}", "one number per sample: N, or N x 1 x 1")
    for k, shape in enumerate(blobs):
        if not shape or shape[0] != selector[0]:
            fail("GC-S003", f"x{k} has shape {shape}, but selector {selector}: first axes differ")
