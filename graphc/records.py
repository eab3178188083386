"""record: `dataclasses.dataclass` for this package, whose classes are made in a tenth of the time.

The standard decorator compiles the source of up to six methods for every class, which once was a
fifth of a cold start. Here only `__init__` is source, and compiled when it is called often; the
others are closures over the fields' names. `fields`, `replace` and the like of `dataclasses` take
records for what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields, is_dataclass
from operator import attrgetter
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NoReturn

FEW = 16
"""Instances for which compiling `__init__` takes longer than doing without."""

_set = object.__setattr__

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(cls=None, /, *, eq=True, frozen=False, slots=False):
        """As `dataclasses.dataclass` with these options."""

        def declare(cls):
            own = dict(cls.__dict__)
            cls.__doc__ = cls.__doc__ or cls.__name__  # else its signature is looked for
            is_heir = any(map(is_dataclass, cls.__bases__))
            made = dataclass(init=False, repr=False, eq=False, frozen=frozen and is_heir)(cls)
            made.__dataclass_params__.frozen = frozen  # what its own heirs must be, too
            if slots:
                made = _slotted(made, own.get("__annotations__", ()))
            for name, method in _methods(made, eq, frozen, slots).items():
                if name not in own:
                    setattr(made, name, method)
            return made

        return declare if cls is None else declare(cls)


def _slotted(cls: Any, annotated: Iterable[str]) -> Any:
    """The class again, with a slot for each field that it declares itself."""
    every = {field.name for field in fields(cls)}  # without class variables
    names = tuple(name for name in annotated if name in every)
    table = {k: v for k, v in cls.__dict__.items() if k not in (*names, "__dict__", "__weakref__")}
    return type(cls)(cls.__name__, cls.__bases__, table | {"__slots__": names})


def _methods(cls: Any, eq: bool, frozen: bool, slots: bool) -> dict[str, Any]:
    told = fields(cls)
    found: dict[str, Any] = {"__init__": _init_of(cls, frozen)}
    found["__repr__"] = _repr_of([f.name for f in told if f.repr])
    if eq:
        found |= _comparison_of([f.name for f in told if f.compare], frozen)
    if frozen:
        found |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if frozen and slots:
        found |= {"__getstate__": _state, "__setstate__": _restore}
    return found


def _init_of(cls: Any, frozen: bool) -> Callable[..., None]:
    """An `__init__` that sets the fields one by one, and where it is called often, or wrongly, puts
    a compiled one in its place."""
    told = fields(cls)
    names = [field.name for field in told]
    usual = {field.name: field.default for field in told if field.default is not MISSING}
    makers = {f.name: f.default_factory for f in told if f.default_factory is not MISSING}
    is_checked = hasattr(cls, "__post_init__")
    made = 0

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        nonlocal made
        made += 1
        values = given | dict(zip(names, args, strict=False))
        is_twice = len(values) < len(args) + len(given)
        values = usual | {n: make() for n, make in makers.items() if n not in values} | values
        if made > FEW or is_twice or len(values) != len(names) or not values.keys() >= set(names):
            cls.__init__ = _compile_init(cls, frozen)
            cls.__init__(self, *args, **given)
            return
        for name in names:
            _set(self, name, values[name])
        if is_checked:
            self.__post_init__()

    return __init__


def _compile_init(cls: Any, frozen: bool) -> Callable[..., None]:
    names: dict[str, Any] = {"_set": _set, "_missing": MISSING}
    arguments, lines = ["self"], []
    for field in fields(cls):
        name, value = field.name, field.name
        if field.default_factory is not MISSING:
            names[f"_make_{name}"] = field.default_factory
            arguments.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            arguments.append(f"{name}=_default_{name}")
        else:
            arguments.append(name)
        slot = getattr(cls, name, None)
        if not frozen:
            lines.append(f"self.{name} = {value}")
        elif isinstance(slot, MemberDescriptorType):  # a third faster than by name
            names[f"_put_{name}"] = slot.__set__
            lines.append(f"_put_{name}(self, {value})")
        else:
            lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(arguments)}):\n {body}", names)
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    made: Callable[..., None] = names["__init__"]
    return made


def _repr_of(names: list[str]) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _comparison_of(names: list[str], frozen: bool) -> dict[str, Any]:
    """`__eq__`, and `__hash__` where instances do not change."""
    key: Callable[[Any], Any] = attrgetter(*names) if names else lambda record: ()

    def __eq__(self: Any, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(key(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


def _refuse(self: Any, name: str, *value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _state(self: Any) -> list[Any]:
    """What pickle and copy ask for, who would else set attributes."""
    return [getattr(self, field.name) for field in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


__all__ = ["record"]
