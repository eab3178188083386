"""Overrides: `path=value` of --set and `set=`, applied to messages before anything is made of them.

A path is field names with dots between, as in `layer[conv1].convolution_param.num_output`. Of what
repeats, `[k]` is one by number, `[+]` a new one, and `[name]` those of that name; `layer[x@TEST]`
is the layer x as phase TEST has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

from graphc.errors import GraphError, Loc, fail, near
from graphc.front.definition import Definition
from graphc.front.override_fields import replace, set_field
from graphc.front.override_paths import NEW, parse_path
from graphc.front.rules import is_included
from graphc.ir.types import Phase

Overrides: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Paths and values, in the order in which they count."""
FindLayers: TypeAlias = Callable[[str], tuple[list[Any], bool]]

NET = "net."
_OLD = ("layers", "input", "input_shape", "input_dim")  # what an upgrade takes away
_REPLACED = (("type", "solver_type"), ("net", "net_param"), ("train_net", "train_net_param"))
_MANY, _FEW = 2_000, 8  # names to compare an unknown one with, and to show
_PHASES: dict[str, Phase] = {"TRAIN": "TRAIN", "TEST": "TEST"}


def pairs(overrides: Overrides) -> list[tuple[str, Any]]:
    """Paths and values in order. Raises GC-R004 for anything else."""
    told = list(overrides.items() if isinstance(overrides, Mapping) else overrides)
    for one in told:
        if not isinstance(one, tuple) or len(one) != 2 or not isinstance(one[0], str):
            fail("GC-R004", f"{str(one)[:80]!r} is no path with a value", "write {path: value}")
    return told


class NetOverrides:
    """Overrides of one or more networks, for `set=` of `read_net`; each must meet a layer in one of
    them, as `check` says once all are read."""

    def __init__(self, overrides: Overrides, prefix: str = "") -> None:
        """`prefix`: what stood in front of the paths, for errors: "net." for a solver's. Raises
        GC-R004 for a path that is none."""
        self.given = [_Override(path, value, prefix) for path, value in pairs(overrides)]
        self.names: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self.given)

    def apply_old(self, net: Any) -> tuple[str, ...]:
        """Change what older forms of `net` have, before it is upgraded; returns what it did."""
        old = [one for one in self.given if one.steps[0].name in _OLD]
        return tuple(one.shown for one in old if one.apply(net))

    def apply(
        self, source: Definition, phase: Phase, level: int, stages: Iterable[str]
    ) -> tuple[str, ...]:
        """Change an upgraded net that is to be read in this state; returns what it did. Raises
        GC-R002, GC-R004."""
        net = source.net
        stages = (*net.state.stage, *stages)
        self.names |= dict.fromkeys(layer.name for layer in net.layer)

        def layers(key: str) -> tuple[list[Any], bool]:
            return _layers(source, key, phase, level, stages)

        new = [one for one in self.given if one.steps[0].name not in _OLD]
        return tuple(one.shown for one in new if one.apply(net, layers))

    def check(self) -> None:
        """Raise GC-R002 for one that has met no layer in any network."""
        for one in self.given:
            if not one.met:
                one.unknown_layer(list(self.names))


def split_overrides(overrides: Overrides) -> tuple[list[tuple[str, Any]], NetOverrides]:
    """Those of a solver, and those of its networks, which have `net.` in front. Raises GC-R004."""
    told = pairs(overrides)
    nets = [(path[len(NET) :], value) for path, value in told if path.startswith(NET)]
    own = [(path, value) for path, value in told if not path.startswith(NET)]
    return own, NetOverrides(nets, NET)


class _Override:
    def __init__(self, path: str, value: Any, prefix: str = "") -> None:
        self.loc = Loc(f"--set {prefix}{path[:80]}")
        self.value = value
        self.shown = f"{path} = {str(value)[:80]}"
        self.met = False
        try:
            self.steps = parse_path(path)
        except GraphError as error:
            raise error.at(loc=self.loc) from None

    def apply(self, message: Any, layers: FindLayers | None = None) -> bool:
        """Was anything changed? `layers`: finds those of a net by what stands in the brackets, and
        says whether there are any, which may be in another phase."""
        steps, where = self.steps, str(self.loc)
        try:
            if layers is None or steps[0].name != "layer" or steps[0].key in (None, NEW):
                set_field(message, steps, self.value, where)
                self.met = True
                return True
            found, is_there = layers(str(steps[0].key))
            self.met |= is_there
            for layer in found:
                if len(steps) > 1:
                    set_field(layer, steps[1:], self.value, where)
                else:
                    field = message.DESCRIPTOR.fields_by_name[steps[0].name]
                    replace(field, layer, self.value, where)
            return bool(found)
        except GraphError as error:
            raise error.at(loc=self.loc) from None

    def unknown_layer(self, names: list[str]) -> NoReturn:
        key = str(self.steps[0].key)
        name, at, phase = key.rpartition("@")
        more = ", .." if len(names) > _FEW else ""
        hint = near(name if at else key, names[:_MANY])
        hint = hint or f"there are {', '.join(map(repr, names[:_FEW]))}{more}"
        if at and name in names:
            hint = f"it is not there in phase {phase}" if phase in _PHASES else "@TRAIN or @TEST"
        raise GraphError("GC-R002", f"no layer {key!r} in the network", hint, loc=self.loc)


def _layers(
    source: Definition, key: str, phase: Phase, level: int, stages: tuple[str, ...]
) -> tuple[list[Any], bool]:
    """Layers of `source` that `key` names, as far as they are of this phase, and whether there are
    any in one."""
    layers = source.net.layer
    found = [layer for layer in layers if layer.name == key]
    name, at, where = key.rpartition("@")
    if found:
        return found, True
    if at and where in _PHASES:
        state = frozenset(stages)
        found = [x for x in layers if x.name == name]
        found = [x for x in found if is_included(x, _PHASES[where], level, state)]
        return (found if where == phase else []), bool(found)
    if key.isdecimal() and len(key) < 10 and int(key) < len(layers):
        return [layers[int(key)]], True
    return [], False


def override_solver(solver: Any, overrides: Overrides) -> None:
    """Change a SolverParameter that is not upgraded yet; what a field excludes, it replaces.

    Raises GC-R002 for what does not exist, GC-R004 for what it cannot be.
    """
    for path, value in pairs(overrides):
        one = _Override(path, value)
        for names in _REPLACED:
            if one.steps[0].name in names:
                for name in names:
                    if name != one.steps[0].name:
                        solver.ClearField(name)
        one.apply(solver)


__all__ = ["NetOverrides", "Overrides", "override_solver", "pairs", "split_overrides"]
