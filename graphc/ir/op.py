"""Op: what the IR needs to know of a layer type. `graphc.ops.spec.OpSpec` adds the rest.

A node names its values by *role*: "x", "weight", "y". A role list is a tuple of stems; the stem
`x*` stands for x0, x1, ... (at least one) and `x?` may be absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from graphc.errors import fail
from graphc.ir.types import Phase, Type
from graphc.limits import Limits
from graphc.records import record


class Symbol(Enum):
    """An enumeration whose members are looked up in sets all the time: Python would hash their
    names each time."""

    __hash__ = object.__hash__


class Kind(Symbol):
    """What a value is kept for: see design 2, "Effects"."""

    ACT = "act"  # an activation; lives within one run
    PARAM = "param"  # learned: in the caffemodel and in the solver's list
    STATE = "state"  # in the caffemodel, never the solver's (BatchNorm statistics)
    CARRY = "carry"  # only in our checkpoints (recurrent h and c)
    HISTORY = "history"  # the solver's own, one or more for each learned parameter (momentum)


OURS = frozenset({Kind.CARRY, Kind.HISTORY})
"""Kinds that no file of weights holds; they start from zero."""


class Trait(Symbol):
    """What a pass or stage may ask a layer type, instead of its name."""

    LINEAR = "linear"  # y is linear in x (and in weight), plus a bias
    ELEMENTWISE = "elementwise"  # y[i] depends on x[i] alone
    BATCH_SEPARABLE = "batch_separable"  # sample n of y depends on sample n of x alone
    LOSS = "loss"  # top 0 has loss weight 1 unless given
    FEED = "feed"  # tops are given by the caller at run
    DYNAMIC = "dynamic"  # axis 0 of the tops depends on the data (planned at its upper bound)
    IN_BACKWARD = "in_backward"  # of an update: belongs to the backward, not to what follows it
    SIZED = "sized"  # `expand` gives other layers for other extents (axis 0 aside)
    SLOW_COMPILE = "slow_compile"  # reference is a Python loop over time steps
    EXTENSION = "extension"  # a type that BVLC's Caffe lacks: graphc's own, or a fork's


class Effect(Symbol):
    """What a call does beside computing its tops; a call without effects is pure."""

    STATE = "state"  # writes a STATE value
    CARRY = "carry"  # writes a CARRY value
    RNG = "rng"  # draws counter-based uniforms (repeatable, so replay stays exact)
    SOURCE = "source"  # reads the world
    SINK = "sink"  # writes the world


@record(frozen=True, slots=True)
class Filler:
    """How a parameter starts; field names and meaning of Caffe's FillerParameter."""

    type: str = "constant"
    value: float = 0.0
    min: float = 0.0
    max: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    sparse: int = -1
    variance_norm: str = "FAN_IN"


@record(frozen=True, slots=True)
class Param:
    """One blob a layer owns, in Caffe's order.

    `out_axis` / `in_axis`: the axis indexed by output / input channels, None where there is none.
    """

    name: str
    shape: tuple[int, ...]
    filler: Filler = Filler()
    kind: Kind = Kind.PARAM
    out_axis: int | None = None
    in_axis: int | None = None


@record(frozen=True, slots=True)
class Env:
    """Where a data layer may look: `base` is the folder of the prototxt (None: current folder)."""

    base: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def resolve(self, path: str, *, must_exist: bool = True) -> Path:
        return self.limits.resolve(path, self.base, must_exist=must_exist)


@record(frozen=True, slots=True)
class Sig:
    """What one layer is called with: types by role, phase, and the top roles asked for.

    `outs` (tops and aux) and `params` are empty until inference has filled them. `top_names`: the
    blob names of the tops, for layers that look things up by them (HDF5Data). `first_sample`: of
    the whole batch, on which draws depend.
    """

    ins: Mapping[str, Type]
    tops: tuple[str, ...]
    phase: Phase = "TEST"
    outs: Mapping[str, Type] = field(default_factory=dict)
    params: Mapping[str, Type] = field(default_factory=dict)
    env: Env = field(default_factory=Env)
    name: str = ""
    top_names: tuple[str, ...] = ()
    first_sample: int = 0

    @property
    def train(self) -> bool:
        return self.phase == "TRAIN"

    def many(self, stem: str) -> tuple[Type, ...]:
        """Types of the bottoms stem0, stem1, ... in order."""
        return tuple(t for role, t in self.ins.items() if indexed(role, stem))

    def __getitem__(self, role: str) -> Type:
        """Type of a bottom, top, aux or parameter; "d" + role has the type of role."""
        for table in (self.ins, self.outs, self.params):
            if role in table:
                return table[role]
        if role.startswith("d"):
            return self[role[1:]]
        raise KeyError(role)


def indexed(role: str, stem: str) -> bool:
    """Is `role` one of stem0, stem1, ...?"""
    return role.startswith(stem) and role[len(stem) :].isdigit()


def concrete(stems: tuple[str, ...], count: int) -> tuple[str, ...] | None:
    """Role names for `count` blobs, or None if the stems do not allow that many."""
    star = [s for s in stems if s.endswith("*")]
    plain = [s for s in stems if not s.endswith(("*", "?"))]
    optional = count - len(plain) - len(star)
    roles: list[str] = []
    for stem in stems:
        if stem.endswith("*"):
            repeat = count - (len(stems) - 1)
            if repeat < 1:
                return None
            roles += [f"{stem[:-1]}{i}" for i in range(repeat)]
        elif not stem.endswith("?"):
            roles.append(stem)
        elif optional > 0 or star:
            roles.append(stem[:-1])
            optional -= 1
    return tuple(roles) if len(roles) == count else None


@record(frozen=True)
class NoAttrs:
    """Attributes of a layer that has none."""


class Op:
    """A layer type as the IR sees it. Never instantiated; `Node.op` holds the class."""

    type: ClassVar[str] = ""
    param_field: ClassVar[str | None] = None
    extra_fields: ClassVar[tuple[str, ...]] = ()
    Attrs: ClassVar[Any] = NoAttrs
    bottoms: ClassVar[tuple[str, ...]] = ("x",)
    tops: ClassVar[tuple[str, ...]] = ("y",)
    paired: ClassVar[bool] = False
    traits: ClassVar[frozenset[Trait]] = frozenset()
    effects: ClassVar[frozenset[Effect]] = frozenset()

    @classmethod
    def roles(cls, a: Any, n_ins: int, n_tops: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Role names of the bottoms and tops in prototxt order. Raises GC-N004 on wrong counts."""
        ins, outs = concrete(cls.bottoms, n_ins), concrete(cls.tops, n_tops)
        if ins is None:
            fail("GC-N004", f"takes bottoms {_spell(cls.bottoms)}, but {n_ins} are given")
        if outs is None:
            fail("GC-N004", f"gives tops {_spell(cls.tops)}, but {n_tops} are named")
        if cls.paired and n_ins != n_tops:
            fail("GC-N004", f"needs one top per bottom, but has {n_ins} bottoms and {n_tops} tops")
        return ins, outs

    @staticmethod
    def params(a: Any, s: Sig) -> tuple[Param, ...]:
        """The blobs the layer owns, in Caffe's order."""
        return ()

    @staticmethod
    def infer(a: Any, s: Sig) -> dict[str, Type]:
        """Types of the tops in `s.tops` by role. Raises GC-S00x, GC-N008."""
        raise NotImplementedError

    @staticmethod
    def rebatch(a: Any, batch: int) -> Any:
        """The attributes with the batch size replaced; only sources have one."""
        return a


def _spell(stems: tuple[str, ...]) -> str:
    return "(" + ", ".join(s.replace("*", "...") for s in stems) + ")"


OpLookup = Callable[[str], type[Op]]
