"""Message classes for Caffe's files, in descriptor pools of their own.

`union()` reads text of any fork by field name, `schema_for(ops)` also the layers of users,
`dialect(name)` binaries of one fork by field number. No generated modules and no global pool, so
another `caffe` in the same process is not in the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from graphc.errors import fail
from graphc.front.derive import derived_fields, extended
from graphc.front.merge import PACKAGE, overlaid
from graphc.front.merge import union as merged
from graphc.ir.graph import near
from graphc.ir.op import Op

DIALECTS: dict[str, tuple[str, ...]] = {
    "bvlc": (),
    "ssd": ("ssd",),
    "intel": ("ssd", "intel"),
    "nvidia": ("ssd", "nvidia"),
    "deeplab": ("deeplab",),
    "segnet": ("segnet",),
    "yolo": ("ssd", "yolo"),
    "frcnn": ("frcnn",),
    "force": ("force",),
    "ssl": ("ssl",),
    "skim": ("ssl", "skim"),
}
_REQUIRED, _REPEATED = 2, 3  # labels of FieldDescriptorProto
_FORKS = ("ssd", "intel", "nvidia", "deeplab", "segnet", "yolo", "frcnn", "force", "ssl", "skim")


class Schema:
    """The messages of one file descriptor, by name."""

    def __init__(self, file: FileDescriptorProto) -> None:
        pool = DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        self._pool = pool

    def descriptor(self, name: str) -> Descriptor:
        """Raises KeyError for a name that no message has."""
        return self._pool.FindMessageTypeByName(f"{PACKAGE}.{name}")

    def enum(self, name: str) -> EnumDescriptor:
        """`name` may be nested, as "PoolingParameter.PoolMethod". Raises KeyError."""
        return self._pool.FindEnumTypeByName(f"{PACKAGE}.{name}")

    def new(self, name: str) -> Any:
        """An empty message."""
        message: Message = GetMessageClass(self.descriptor(name))()
        return message


def is_repeated(field: FieldDescriptor) -> bool:
    """Does the field take several values? (`label` went when `is_repeated` came.)"""
    flag = getattr(field, "is_repeated", None)
    return bool(getattr(field, "label", 0) == _REPEATED if flag is None else flag)


def is_required(field: FieldDescriptor) -> bool:
    flag = getattr(field, "is_required", None)
    return bool(getattr(field, "label", 0) == _REQUIRED if flag is None else flag)


@lru_cache(maxsize=1)
def _files() -> dict[str, FileDescriptorProto]:
    """Compiled proto files by stem ("caffe", "ssd", ...)."""
    data = files("graphc.front").joinpath("caffe.fds").read_bytes()
    found = FileDescriptorSet.FromString(data)
    return {file.name.rpartition("/")[2].removesuffix(".proto"): file for file in found.file}


@lru_cache(maxsize=1)
def _union_file() -> FileDescriptorProto:
    table = _files()
    return merged(table["caffe"], [table[name] for name in (*_FORKS, "other", "graphc")])


@lru_cache(maxsize=1)
def union() -> Schema:
    """BVLC, all forks, and fields of our own, merged by field name."""
    return Schema(_union_file())


@lru_cache(maxsize=len(DIALECTS))
def dialect(name: str) -> Schema:
    """BVLC as the fork `name` has changed it. Raises GC-R002 for an unknown name."""
    check_dialect(name)
    table = _files()
    return Schema(overlaid(table["caffe"], [table[fork] for fork in DIALECTS[name]]))


def check_dialect(name: str) -> None:
    """Raise GC-R002 for an unknown name."""
    if name not in DIALECTS:
        hint = near(name, DIALECTS) or "one of auto, " + ", ".join(DIALECTS)
        fail("GC-R002", f"unknown dialect {name!r}", hint)


def schema_for(ops: Iterable[type[Op]]) -> Schema:
    """The union and the layer fields that only the Attrs of `ops` define.

    Raises GC-O001 if two layers define one field differently.
    """
    fields = derived_fields(ops, union().descriptor("LayerParameter").fields_by_name)
    return _extended(fields) if fields else union()


@lru_cache(maxsize=8)
def _extended(fields: tuple[tuple[str, type], ...]) -> Schema:
    return Schema(extended(_union_file(), fields))


__all__ = ["DIALECTS", "Schema", "dialect", "is_repeated", "is_required", "schema_for", "union"]
