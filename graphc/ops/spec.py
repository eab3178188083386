"""OpSpec: one class per layer type, read by every stage (see docs/new-layer.md).

Names in `reads`, `writes`, `out`: roles of bottoms, tops, aux and params; "d" + role is a gradient,
also of an inner role, which has no other value (see `OpSpec.inner`).
Everything in a declaration is data or a pure function of (attributes, signature).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar, TypeAlias

from graphc.errors import GraphError
from graphc.ir.op import Effect, Op, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops.kernel import Cost, Kernel
from graphc.ops.ties import Algebra, Kept
from graphc.records import record

F64: TypeAlias = "npt.NDArray[np.float64]"
Values = Mapping[str, F64]
Draw: TypeAlias = "Callable[[np.random.Generator, tuple[int, ...]], F64]"  # not loaded to run nets


@record(frozen=True, slots=True)
class View:
    """Storage aliasing: the value is the slice [start, stop) of `of` along `axis` (None: all of it,
    same elements in the same order, perhaps another shape)."""

    of: str
    axis: int | None = None
    start: int = 0
    stop: int | None = None


@record(frozen=True, slots=True)
class Forward:
    """One call of a layer's forward. Most layers have one, that reads and writes everything.

    `reads` None: all bottoms and params; `writes` None: all tops and aux. A STATE or CARRY param
    in `writes` gets a new version. `over`: pairs (top, bottom) where the top may overwrite the
    bottom's storage, element by element.
    """

    name: str = "forward"
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    over: tuple[tuple[str, str], ...] = ()
    effects: frozenset[Effect] = frozenset()


@record(frozen=True, slots=True)
class Grad:
    """One part of a layer's backward: the gradient of role `out` (or one summand of it).

    `out`: a bottom, a param, or an inner role, whose gradient "d" + out other parts read. `reads`:
    all the part may see. `over`: a read whose storage the result may overwrite. `view`: the result
    is nothing but a view of a read. `accumulate`: the kernel can add to what is there. Several
    parts with one `out` are summed (not for inner roles); then each needs a `name` of its own.
    """

    out: str
    reads: tuple[str, ...] = ()
    over: str | None = None
    view: View | None = None
    accumulate: bool = False
    name: str = ""

    @property
    def part(self) -> str:
        """The part's name, "d" + out unless given."""
        return self.name or f"d{self.out}"


@record(frozen=True, slots=True)
class Sample:
    """A use of the layer from which tests are generated.

    `ins`: shapes of the bottoms in order; `tops`: how many; `draw`: values by role, where standard
    normal ones will not do (labels, positive variances, values away from kinks).
    """

    ins: tuple[tuple[int, ...], ...]
    attrs: Any = None
    tops: int = 1
    phase: str = "TEST"
    draw: Mapping[str, Draw] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Limitation:
    """What does not hold for this layer: printed in the docs, and skips the generated test `skips`
    ("gradient", "reads", "ties", "roundtrip")."""

    why: str
    skips: str = ""


@record(frozen=True, slots=True)
class Layer:
    """One stock layer that `expand` puts in place of another; ins and outs are local names, where
    the roles of the expanded layer stand for its own blobs."""

    op: type[OpSpec]
    name: str
    attrs: Any
    ins: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...] = ()


class Ctx:
    """What a reference may use beside its operands.

    `sig`: types (of all roles, also those not read); `part`: name of the Forward or Grad part.
    `uniform(shape, tag)`: float64 in [0, 1), the same for every replay of this iteration.
    `source`: for SOURCE and SINK layers, the object their `open` returned.
    """

    def __init__(
        self,
        sig: Sig,
        part: str = "forward",
        uniform: Callable[[tuple[int, ...], int], F64] | None = None,
        source: Any = None,
    ) -> None:
        self.sig = sig
        self.part = part
        self.source = source
        self._uniform = uniform

    def uniform(self, shape: tuple[int, ...], tag: int = 0) -> F64:
        if self._uniform is None:
            raise GraphError("GC-R003", "this run has no random stream")
        return self._uniform(shape, tag)


class OpSpec(Op):
    """A layer type. The class docstring's first line is its formula with named axes."""

    kernels: ClassVar[tuple[Kernel, ...]] = ()
    samples: ClassVar[tuple[Sample, ...]] = ()
    limitations: ClassVar[tuple[Limitation, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__ and cls.type:
            from graphc.ops.registry import register

            register(cls)

    @classmethod
    def kernels_of(cls, a: Any, s: Sig) -> tuple[Kernel, ...]:
        """The rows for this use: `kernels`, and any of parts that only the use makes known."""
        return cls.kernels

    @classmethod
    def traits_of(cls, a: Any, s: Sig) -> frozenset[Trait]:
        """Those of `traits` that hold for this use (a Softmax over the batch axis, or BatchNorm
        in training, does not treat samples apart)."""
        return cls.traits

    @staticmethod
    def aux(a: Any, s: Sig) -> dict[str, Type]:
        """Extra values the forward can make for the backward; made only where a part reads them."""
        return {}

    @staticmethod
    def forwards(a: Any, s: Sig) -> tuple[Forward, ...]:
        """The calls of the forward in order; all but those with effects are pure."""
        return (Forward(),)

    @staticmethod
    def views(a: Any, s: Sig) -> dict[str, View]:
        """Tops that are views of bottoms (Slice, Reshape), or bottoms of tops (Concat)."""
        return {}

    @staticmethod
    def inner(a: Any, s: Sig) -> dict[str, Type]:
        """Inner roles: quantities inside the layer of which only the gradient is ever a value.

        Work that several parts share becomes a part of its own: LSTM's `sums` are what its gates
        are activations of, and one walk back through time gives "dsums", from which the gradients
        of x and of each weight are one product each. The forward keeps nothing for an inner role.
        Axis 0 is the batch axis if the layer is BATCH_SEPARABLE.
        """
        return {}

    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        """The backward parts. A bottom without a part has no gradient (labels, indices).

        An inner role has exactly one part, which stands before those that read its gradient; it
        runs only where a gradient that somebody needs depends on it, and then once.
        """
        return ()

    @staticmethod
    def ties(a: Any, s: Sig) -> Algebra:
        """Channel algebra as data; an axis that nothing mentions is pinned."""
        return ()

    @staticmethod
    def narrow(a: Any, s: Sig, kept: Kept) -> Any:
        """The attributes once only the indices `kept` are left; `s`: the types before.

        What is left obeys the ties. Attributes that state no extent stay as they are.
        """
        return a

    @staticmethod
    def macs(a: Any, part: str, s: Sig) -> int:
        """Multiply-adds of "forward" or of a gradient part; 0 where there is no sum of products."""
        return 0

    @classmethod
    def cost(cls, a: Any, part: str, s: Sig) -> Cost:
        """Cost of a Forward or Grad part: macs, and bytes from what the declaration reads."""
        aux = cls.aux(a, s)
        for f in cls.forwards(a, s):
            if f.name == part:
                reads = [*s.ins, *s.params] if f.reads is None else f.reads
                writes = s.outs if f.writes is None else f.writes
                return Cost(
                    cls.macs(a, part, s),
                    sum((aux.get(r) or s[r]).nbytes for r in reads),
                    sum((aux.get(r) or s[r]).nbytes for r in writes),
                )
        grad = next(g for g in cls.grads(a, s) if g.part == part)
        inner = cls.inner(a, s)
        known = aux | {f"d{role}": type_ for role, type_ in inner.items()}
        read = sum((known.get(r) or s[r]).nbytes for r in grad.reads)
        return Cost(cls.macs(a, part, s), read, (inner.get(grad.out) or s[grad.out]).nbytes)

    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        """Float64 forward (or the Forward part `ctx.part`): tops, aux, and new STATE/CARRY values
        by role. Must not write into `v`; extra keys are ignored."""
        raise NotImplementedError

    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        """Float64 result of one Grad part; `v` holds exactly that part's reads."""
        raise NotImplementedError

    @staticmethod
    def expand(a: Any, s: Sig) -> tuple[Layer, ...] | None:
        """Stock layers that stand for this one; None: the layer is a primitive."""
        return None

    @staticmethod
    def open(a: Any, s: Sig, seed: int = 0) -> Any:
        """For SOURCE and SINK layers: the object that `Ctx.source` will hold; `seed` is the run's
        (crops, mirrors, shuffles and random fillers follow from it)."""
        return None


def many(v: Mapping[str, Any], stem: str) -> list[Any]:
    """The values stem0, stem1, ... of a role table, in order."""
    out: list[Any] = []
    while f"{stem}{len(out)}" in v:
        out.append(v[f"{stem}{len(out)}"])
    return out


def prod(dims: tuple[int, ...]) -> int:
    return math.prod(dims)
