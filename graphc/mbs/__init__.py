"""Mini-batch serialization: groups of layers that run on few samples at a time (cache reuse)."""

from graphc.mbs.groups import Group, Serialized, serialized
from graphc.mbs.rewrite import SERIALIZED, serialize
from graphc.mbs.units import Primitive, Unit, units_of

__all__ = [
    "SERIALIZED",
    "Group",
    "Primitive",
    "Serialized",
    "Unit",
    "serialize",
    "serialized",
    "units_of",
]
