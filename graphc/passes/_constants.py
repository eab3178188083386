"""Constants: what channels are whose filters are zero, and where those constants can go.

An abstract interpretation over the layers' own references: a channel is constant if its filter is
zero, or if all its layer makes it from are constant. A constant map need not be even, since padding
gives it a border.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from graphc.channels import Channels, split
from graphc.ir.graph import Graph, Value
from graphc.ir.op import Effect, Kind, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.spec import F64, Ctx
from graphc.ops.ties import Kept
from graphc.passes._masked import Local, Masked, axes
from graphc.passes._removal import Mask, narrowed

Place: TypeAlias = tuple[Value, int, int]
"""A channel: value, axis, index."""


class Constants(Masked):
    """The constant maps of classes `zeroed`, whose filters count as zero if `masked`.

    `maps`: of a channel, without its axis; the batch axis has extent 1 where samples are alike.
    """

    def __init__(
        self, graph: Graph, channels: Channels, zeroed: Mask, *, masked: bool = True
    ) -> None:
        super().__init__(graph, channels, zeroed, masked=masked)
        self.maps: dict[Place, F64] = {}
        for node in graph.forward_nodes():
            if any(self.gone(v, at).any() for v in node.outs.values() for at in axes(v)):
                self._follow(self.local(node))

    def _follow(self, local: Local) -> None:
        """Find the constant channels of a node's tops."""
        node = local.node
        known = np.zeros(local.count, bool)
        wanted = known.copy()
        for end in local.ends(node.tops):
            role, at = split(end)
            wanted[local.of(end)[self.gone(node.outs[role], at)]] = True
        zero = self._zero(local)
        known = wanted & (zero | self._covered(local, wanted & ~zero))
        if not known.any() or any(call.effects - {Effect.CARRY} for call in self._calls(local)):
            return
        kept = local.kept(known)
        outs = self.evaluate(local, kept)
        if not self._is_linear(local) and (known & zero).any():
            others = self.evaluate(local, kept, seed=1)
            outs = {r: np.where(a == others[r], a, np.nan) for r, a in outs.items()}
        for end in local.ends(node.tops):
            role, at = split(end)
            left = kept.get(end, np.arange(len(local.of(end))))
            for place, index in enumerate(left.tolist()):
                found = np.take(outs[role], place, axis=at)
                if known[local.of(end)[index]] and not np.isnan(found).any():
                    self.maps[node.outs[role], at, index] = found

    def _calls(self, local: Local) -> tuple[Any, ...]:
        return local.op.forwards(local.node.attrs, local.sig)

    def _is_linear(self, local: Local) -> bool:
        return Trait.LINEAR in local.op.traits_of(local.node.attrs, local.sig)

    def _zero(self, local: Local) -> Mask:
        """Classes that a layer multiplies by nothing but zeros, whatever its bottoms are."""
        multipliers = [
            role
            for role, p in local.params.items()
            if p.kind is Kind.PARAM and (p.in_axis is not None or role == "weight")
        ]
        found = np.full(local.count, bool(multipliers))
        for role in multipliers:
            out = local.params[role].out_axis
            if out is None or f"{role}.{out}" not in local.labels:
                return np.zeros(local.count, bool)
            found &= ~self.used(local.node, role)
        return found

    def _covered(self, local: Local, wanted: Mask) -> Mask:
        """Classes that are made of nothing but constant channels.

        A bottom that a class does not lie in must lie in others of the same axis of a top, as
        those of a Concat do: their ties say that they reach nothing else.
        """
        reads = {role for call in self._calls(local) for role in call.reads or local.node.ins}
        found = np.zeros(local.count, bool)
        for top in local.ends(local.node.tops):
            made = np.isin(np.arange(local.count), local.of(top))
            held = wanted & made
            for role in reads & set(local.node.ins) if held.any() else ():
                constant, other = self._constant(local, role, held)
                passed_on = any(made[local.of(end)].all() for end in local.ends((role,)))
                held &= ~other & (constant | passed_on)
            found |= held
        return found

    def _constant(self, local: Local, role: str, held: Mask) -> tuple[Mask, Mask]:
        """Of some classes, those with constant channels in a bottom, and those with others."""
        value = local.node.ins[role]
        constant, other = np.zeros(local.count, bool), np.zeros(local.count, bool)
        for end in local.ends((role,)):
            at = split(end)[1]
            labels = local.of(end)
            for index in np.flatnonzero(held[labels]).tolist():
                map_ = self.maps.get((value, at, index))
                is_odd = map_ is not None and end in local.ordered and map_.any()
                (other if map_ is None or is_odd else constant)[labels[index]] = True
        return constant, other

    def evaluate(
        self,
        local: Local,
        kept: Kept,
        *,
        seed: int | None = None,
        only: Mask | None = None,
    ) -> dict[str, F64]:
        """The tops of a layer of which `kept` is left, where what is not constant is zero (drawn at
        random with `seed`); of one sample, if samples are apart. `only`: the part of these classes
        of constants, without the bias.
        """
        node, op = local.node, local.op
        attrs = op.narrow(node.attrs, local.sig, kept)
        alone = Trait.BATCH_SEPARABLE in op.traits_of(node.attrs, local.sig)
        batch = {role: _one(t) if alone else t for role, t in local.sig.ins.items()}
        types = {role: narrowed(t, role, kept) for role, t in batch.items()}
        sig = Sig(types, node.tops, node.phase, env=self.graph.env, name=node.name)
        params = {role: self.param(node, role, kept) for role in node.params}
        if only is not None:
            params |= {r: 0 * a for r, a in params.items() if local.params[r].in_axis is None}
        told = {role: Type(array.shape) for role, array in params.items()}
        sig = replace(sig, outs=op.infer(attrs, sig), params=told)
        values = self._bottoms(local, kept, types, seed, only) | params
        with np.errstate(all="ignore"):
            for call in op.forwards(attrs, sig):
                if not call.effects:
                    values |= op.reference(attrs, values, Ctx(sig, call.name))
        return {role: np.asarray(values[role]) for role in node.tops}

    def _bottoms(
        self,
        local: Local,
        kept: Kept,
        types: dict[str, Type],
        seed: int | None,
        only: Mask | None,
    ) -> dict[str, F64]:
        found: dict[str, F64] = {}
        for role, type_ in types.items():
            value = local.node.ins[role]
            array = np.zeros(type_.shape)
            if seed is not None:
                array = np.random.default_rng(seed).integers(0, 2, type_.shape).astype(np.float64)
            for end in local.ends((role,)):
                at = split(end)[1]
                left = kept.get(end, np.arange(len(local.of(end))))
                for place, index in enumerate(left.tolist()):
                    map_ = self.maps.get((value, at, index))
                    if map_ is not None and (only is None or only[local.of(end)[index]]):
                        part = _left(map_, role, at, kept)
                        array[(slice(None),) * at + (place,)] = _batched(part, array.shape[0])
            found[role] = array
        return found


def _one(type_: Type) -> Type:
    """The type for a single sample."""
    return type_.with_shape(1, *type_.shape[1:]) if type_.rank else type_


def _left(map_: F64, role: str, at: int, kept: Kept) -> F64:
    """What is left of a map, which lacks axis `at`, along the others."""
    for other in range(map_.ndim + 1):
        left = kept.get(f"{role}.{other}")
        if other != at and left is not None:
            map_ = np.take(map_, left, axis=other - (other > at))
    return map_


def _batched(map_: F64, batch: int) -> F64:
    """A map for so many samples; NaN if it is not the same for all."""
    if not map_.ndim or map_.shape[0] in (1, batch):
        return map_
    alike = (map_ == map_[:1]).all()
    return map_[:1] if alike else np.full_like(map_[:1], np.nan)


__all__ = ["Constants", "Place"]
