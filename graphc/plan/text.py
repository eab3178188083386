"""Plan <-> JSON. What is read may be hostile: every field is checked, and GC-A001 says which."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from graphc.errors import fail
from graphc.plan.data import Arena, Owner, Place, Plan, Step, StepKind

FORMAT = 1
MOST = 1 << 62
MAX_STEPS = 10_000_000
T = TypeVar("T")


def to_json(plan: Plan) -> str:
    """One line of JSON; the same plan gives the same text."""
    table = {
        "format": FORMAT,
        "target": plan.target,
        "peak_bytes": plan.peak_bytes,
        "host_bytes": plan.host_bytes,
        "arenas": [[a.name, a.nbytes, a.is_host] for a in plan.arenas],
        "entries": {name: list(steps) for name, steps in plan.entries.items()},
        "homes": [[root, *home] for root, home in plan.homes.items()],
        "breakdown": dict(plan.breakdown),
        "live": list(plan.live),
        "op_bound": plan.op_bound,
        "est_us": plan.est_us,
        "owner": None if plan.owner is None else _owner(plan.owner),
        "steps": [_step(step) for step in plan.steps],
    }
    return json.dumps(table, separators=(",", ":"))


def _owner(owner: Owner) -> list[Any]:
    return [owner.step, owner.name, owner.part, [list(each) for each in owner.buffers]]


def _step(step: Step) -> dict[str, Any]:
    """A step's fields, those left out that have their default."""
    told: dict[str, Any] = {
        "kind": step.kind.value,
        "call": step.call,
        "operands": [[p.buffer, p.version, p.arena, p.offset] for p in step.operands],
    }
    if step.workspace is not None:
        told["workspace"] = list(step.workspace)
    if step.samples is not None:
        told["samples"] = list(step.samples)
    if step.waits:
        told["waits"] = list(step.waits)
    if step.records is not None:
        told["records"] = step.records
    for name in ("instance", "variant", "stream"):
        if getattr(step, name):
            told[name] = getattr(step, name)
    return told


def from_json(text: str | bytes) -> Plan:
    """The plan that `to_json` wrote. Raises GC-A001 for anything else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        _broken(f"is no JSON: {error}")
    return from_table(told)


def from_table(told: Any) -> Plan:
    """The plan whose JSON has been read. Raises GC-A001 for anything but what `to_json` wrote.

    Only the form is checked; whether the plan is right for a Program is for `verify_plan`.
    """
    top = _Fields(told, "the plan")
    if top.integer("format") != FORMAT:
        _broken(f"has format {told['format']}, not {FORMAT}")
    plan = Plan(
        target=top.text("target"),
        steps=top.each("steps", _read_step, MAX_STEPS),
        entries={name: _pair(steps, "an entry") for name, steps in top.table("entries").items()},
        arenas=top.each("arenas", _read_arena, 16),
        homes=dict(top.each("homes", _read_home)),
        breakdown={k: _integer(v, "the breakdown") for k, v in top.table("breakdown").items()},
        live=top.each("live", lambda value: _integer(value, "live bytes")),
        op_bound=top.integer("op_bound"),
        est_us=top.number("est_us"),
        owner=None if top.value("owner") is None else _read_owner(top.value("owner")),
    )
    for name in ("peak_bytes", "host_bytes"):
        if top.integer(name) != getattr(plan, name):
            _broken(f"has {name} {told[name]}, but its arenas make {getattr(plan, name)}")
    return plan


class _Fields:
    """A JSON object whose fields are asked for by name and kind."""

    def __init__(self, told: Any, what: str) -> None:
        if not isinstance(told, dict):
            _broken(f"has {_kind(told)} for {what}")
        self.told, self.what = told, what

    def value(self, name: str, default: Any = NotImplemented) -> Any:
        if name not in self.told:
            if default is NotImplemented:
                _broken(f"lacks {name!r} in {self.what}")
            return default
        return self.told[name]

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.value(name) if default is None else self.value(name, default)
        return _integer(value, name)

    def number(self, name: str) -> float:
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e300:
            _broken(f"has {_kind(value)} for {name}")
        return float(value)

    def text(self, name: str) -> str:
        return _text(self.value(name), name)

    def table(self, name: str) -> Mapping[str, Any]:
        return _Fields(self.value(name), name).told

    def each(
        self,
        name: str,
        read: Callable[[Any], T],
        most: int = MAX_STEPS,
        default: Any = NotImplemented,
    ) -> tuple[T, ...]:
        return tuple(read(value) for value in _list(self.value(name, default), name, most))


def _read_step(told: Any) -> Step:
    fields = _Fields(told, "a step")
    unknown = set(told) - set(Step.__slots__)
    if unknown:
        _broken(f"has a step with {sorted(unknown)[0]!r}")
    kinds = {kind.value: kind for kind in StepKind}
    kind = fields.text("kind")
    if kind not in kinds:
        _broken(f"has a step of kind {kind!r}")
    workspace, samples = fields.value("workspace", None), fields.value("samples", None)
    records = fields.value("records", None)
    return Step(
        kinds[kind],
        _integer(fields.value("call"), "call", least=-1),
        fields.each("operands", _read_place, 10_000),
        instance=fields.integer("instance", 0),
        variant=fields.integer("variant", 0),
        workspace=None if workspace is None else _pair(workspace, "workspace"),
        samples=None if samples is None else _pair(samples, "samples"),
        stream=fields.integer("stream", 0),
        waits=fields.each("waits", lambda value: _integer(value, "waits"), default=()),
        records=None if records is None else _integer(records, "records"),
    )


def _read_place(told: Any) -> Place:
    return Place(*_integers(told, 4, "an operand"))


def _read_home(told: Any) -> tuple[int, tuple[int, int]]:
    root, arena, offset = _integers(told, 3, "a home")
    return root, (arena, offset)


def _read_arena(told: Any) -> Arena:
    name, nbytes, is_host = _list(told, "an arena", 3, exactly=True)
    if not isinstance(is_host, bool):
        _broken(f"has {_kind(is_host)} where an arena says whose it is")
    return Arena(_text(name, "an arena"), _integer(nbytes, "an arena"), is_host)


def _read_owner(told: Any) -> Owner:
    step, name, part, buffers = _list(told, "owner", 4, exactly=True)
    named = []
    for each in _list(buffers, "owner"):
        buffer, kind, nbytes = _list(each, "owner", 3, exactly=True)
        named.append((_text(buffer, "owner"), _text(kind, "owner"), _integer(nbytes, "owner")))
    return Owner(_integer(step, "owner"), _text(name, "owner"), _text(part, "owner"), tuple(named))


def _list(told: Any, what: str, most: int = MAX_STEPS, *, exactly: bool = False) -> Sequence[Any]:
    if not isinstance(told, (list, tuple)) or len(told) > most or (exactly and len(told) != most):
        _broken(f"has {_kind(told)} for {what}")
    return told


def _integers(told: Any, count: int, what: str) -> list[int]:
    return [_integer(value, what) for value in _list(told, what, count, exactly=True)]


def _pair(told: Any, what: str) -> tuple[int, int]:
    first, second = _integers(told, 2, what)
    return first, second


def _integer(told: Any, what: str, least: int = 0) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not least <= told <= MOST:
        _broken(f"has {_kind(told)} for {what}")
    return told


def _text(told: Any, what: str) -> str:
    if not isinstance(told, str) or len(told) > 10_000:
        _broken(f"has {_kind(told)} for {what}")
    return told


def _kind(told: Any) -> str:
    shown = repr(told)
    return f"{type(told).__name__} {shown if len(shown) < 60 else shown[:57] + '...'}"


def _broken(message: str) -> NoReturn:
    fail("GC-A001", f"the memory plan {message}")


__all__ = ["from_json", "from_table", "to_json"]
