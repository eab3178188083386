"""Follow the path of an override into a message, and set what is at its end."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from graphc.errors import fail, near
from graphc.front.override_paths import NEW, Step
from graphc.front.override_values import items, message_text, scalar
from graphc.front.prototxt import parse_into
from graphc.front.schema import is_repeated, union

_MANY = 2_000  # names to compare an unknown one with


def set_field(message: Any, steps: list[Step], value: Any, where: str) -> None:
    """Set what `steps` lead to from `message`; messages on the way are made where they are missing.

    `where`: what the value is called in errors of its own. Raises GC-R002 for what does not exist,
    GC-R004 for a value that cannot be, GC-P001 within braces.
    """
    step, rest = steps[0], steps[1:]
    field = _field(message, step.name)
    if field.message_type is not None:
        for target in _messages(message, field, step, rest):
            if rest:
                set_field(target, rest, value, where)
            else:
                replace(field, target, value, where)
    elif rest:
        fail("GC-R002", f"{step.name!r} has no fields, such as {rest[0].name!r}")
    elif is_repeated(field):
        _set_elements(getattr(message, step.name), field, step.key, value)
    elif step.key is not None:
        fail("GC-R002", f"{step.name!r} is one value and has no [{step.key}]", "leave it out")
    else:
        setattr(message, step.name, scalar(field, value))


def replace(field: FieldDescriptor, target: Any, value: Any, where: str) -> None:
    """Let a message be what the text in braces says. Raises GC-R004, GC-P001."""
    made = type(target)()
    parse_into(message_text(field, value), made, union(), file=where)
    target.CopyFrom(made)


def _messages(message: Any, field: FieldDescriptor, step: Step, rest: list[Step]) -> list[Any]:
    """Those that a step leads to."""
    found = getattr(message, step.name)
    if not is_repeated(field):
        if step.key is not None:
            fail("GC-R002", f"{step.name!r} is there once and has no [{step.key}]", "leave it out")
        return [found]
    if step.key is None:
        names = [x.name for x in found if getattr(x, "name", "")]
        key = f"[{names[0] if names else 0}]" + "".join(f".{each.name}" for each in rest[:1])
        fail("GC-R002", f"{step.name!r} can be there several times", f"write {step.name}{key}")
    if step.key == NEW:
        return [found.add()]
    named = [each for each in found if getattr(each, "name", None) == step.key]
    return named or [found[_index(found, step.name, step.key)]]


def _set_elements(elements: Any, field: FieldDescriptor, key: str | None, value: Any) -> None:
    if key is None:
        values = [scalar(field, each) for each in items(value)]
        del elements[:]
        elements.extend(values)
    elif key == NEW:
        elements.append(scalar(field, value))
    else:
        elements[_index(elements, field.name, key)] = scalar(field, value)


def _index(elements: Any, name: str, key: str) -> int:
    if key.isdecimal() and len(key) < 10 and int(key) < len(elements):
        return int(key)
    count = len(elements)
    told = f"{name!r} has {count or 'no'} entr{'y' if count == 1 else 'ies'}, and no [{key[:80]}]"
    names = [each.name for each in list(elements)[:_MANY] if getattr(each, "name", "")]
    fail("GC-R002", told, near(key, names) or f"they count from 0; {name}[{NEW}] is a new one")


def _field(message: Any, name: str) -> FieldDescriptor:
    fields = message.DESCRIPTOR.fields_by_name
    if name not in fields:
        kind = message.DESCRIPTOR.name
        fail("GC-R002", f"{kind} has no field {name!r}", _hint(kind, name) or near(name, fields))
    found: FieldDescriptor = fields[name]
    return found


def _hint(kind: str, name: str) -> str:
    """What is meant where the fields of a solver and of a network are mixed up."""
    if kind == "SolverParameter" and name in union().descriptor("NetParameter").fields_by_name:
        return f"fields of its networks have net. in front: net.{name}"
    if kind == "NetParameter" and name in union().descriptor("SolverParameter").fields_by_name:
        return "this is a network; leave out net." if name == "net" else "it is a solver's"
    return ""


__all__ = ["replace", "set_field"]
