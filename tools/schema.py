"""Compile proto/ into graphc/front/caffe.fds: `python tools/schema.py` after every change there.

The result is one FileDescriptorSet: caffe.proto first, then the dialects and our own fields. Needs
grpcio-tools.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "graphc" / "front" / "caffe.fds"


def compiled() -> FileDescriptorSet:
    """What proto/ says now, without the json names that only some compilers write."""
    from grpc_tools import protoc

    proto = ROOT / "proto"
    dialects = sorted(f"dialects/{p.name}" for p in proto.glob("dialects/*.proto"))
    files = ["caffe.proto", *dialects, "graphc.proto"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.fds"
        status = protoc.main(["protoc", f"-I{proto}", f"--descriptor_set_out={out}", *files])
        if status:
            sys.exit(f"protoc ended with status {status}")
        found = FileDescriptorSet.FromString(out.read_bytes())
    for file in found.file:
        strip_json_names(file)
    found.file.sort(key=lambda file: (file.name != "caffe.proto", file.name))
    return found


def strip_json_names(message: object) -> None:
    """Remove json_name from all fields of a file or message descriptor."""
    for field in getattr(message, "field", ()):
        field.ClearField("json_name")
    for inner in getattr(message, "message_type", None) or getattr(message, "nested_type", ()):
        strip_json_names(inner)


if __name__ == "__main__":
    COMMITTED.write_bytes(compiled().SerializeToString(deterministic=True))
    print(f"{COMMITTED.relative_to(ROOT)}: {COMMITTED.stat().st_size:,} bytes")
