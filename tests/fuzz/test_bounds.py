"""Bombs: files small for what they ask. Under strict limits each is refused, or loaded in memory
of at most 256 MiB over the file's size, in a process of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MIB = 1 << 20
ALLOWANCE = 256 * MIB
SECONDS = 60
INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'

CHILD = """
import json, sys, time
import graphc
from graphc.errors import GraphError
from graphc.front.weights import load_weights
from graphc.ops.registry import all_ops

def peak():
    # the kernel's own mark for this program; ru_maxrss keeps what the parent had before exec
    with open("/proc/self/status") as status:
        (line,) = (x for x in status if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

all_ops()
small = sys.argv[1]
graphc.load(small, limits=graphc.Limits.strict())
before = peak()
start, code = time.monotonic(), ""
try:
    if sys.argv[2].endswith(".gcz"):
        graphc.open(sys.argv[2], limits=graphc.Limits.strict())
    elif sys.argv[2].endswith(".caffemodel"):
        graphc.load(small, sys.argv[2], limits=graphc.Limits.strict(), strict=False)
    else:
        graphc.load(sys.argv[2], limits=graphc.Limits.strict())
except GraphError as error:
    code = error.code
    assert str(error)
grown = peak() - before
print(json.dumps({"grown": grown, "code": code, "s": time.monotonic() - start}))
"""


def relu(index: int) -> str:
    return f'layer {{ name: "r{index}" type: "ReLU" bottom: "x" top: "y{index}" }}\n'


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def many_bottoms() -> str:
    bottoms = 'bottom: "x" ' * 20_000
    return f'{INPUT}layer {{ name: "c" type: "Concat" {bottoms} top: "y" }}'


def huge_shape(dims: str) -> str:
    return INPUT.replace("dim: 2 dim: 3", dims)


def huge_weights() -> str:
    layer = 'layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" inner_product_param '
    return INPUT + layer + "{ num_output: 2147483647 } }"


def doubling_splits() -> str:
    """Each layer concatenates the one before with itself: the shape doubles sixty times."""
    lines = [INPUT]
    for i in range(60):
        below = "x" if i == 0 else f"c{i - 1}"
        lines.append(
            f'layer {{ name: "c{i}" type: "Concat" bottom: "{below}" bottom: "{below}" '
            f'top: "c{i}" }}\n'
        )
    return "".join(lines)


def lying_blob() -> bytes:
    """A packed data field that claims 1 GiB in a file of a few bytes."""
    blob = varint(5 << 3 | 2) + varint(1 << 30) + bytes(16)
    return field(100, field(1, b"ip") + field(7, blob))


def many_blobs() -> bytes:
    return field(100, field(1, b"ip") + field(7, b"") * 200_000)


def many_empty_layers() -> bytes:
    return field(100, b"") * 300_000


def fat_zip() -> bytes:
    """A member that claims 4 GiB."""
    name = b"graph.txt"
    head = (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 2**32 - 2, 2**32 - 2, 9, 0) + name
    )
    where = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 2**32 - 2, 2**32 - 2, 9, 0, 0, 0, 0, 0, 0
    )
    where += name
    return head + where + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(where), len(head), 0)


BOMBS: dict[str, tuple[str, Callable[[], str | bytes]]] = {
    "hundred_thousand_braces": (".prototxt", lambda: "layer { " * 100_000),
    "million_layers": (".prototxt", lambda: INPUT + relu(0) * 1_000_000),
    "as_many_layers_as_allowed": (".prototxt", lambda: INPUT + "".join(map(relu, range(12_000)))),
    "many_bottoms": (".prototxt", many_bottoms),
    "many_tokens": (".prototxt", lambda: INPUT + "name: 'a' " * 500_000),
    "one_long_string": (".prototxt", lambda: f'{INPUT}name: "{"a" * (15 * MIB)}"'),
    "one_long_word": (".prototxt", lambda: INPUT + "a" * (15 * MIB)),
    "one_long_comment": (".prototxt", lambda: f"{INPUT}# {'a' * (15 * MIB)}"),
    "over_the_text_limit": (".prototxt", lambda: INPUT + " " * (17 * MIB)),
    "only_newlines": (".prototxt", lambda: INPUT + "\n" * (15 * MIB)),
    "huge_dims": (".prototxt", lambda: huge_shape("dim: 2147483647 dim: 2147483647")),
    "too_large_dim": (".prototxt", lambda: huge_shape("dim: 4611686018427387904")),
    "zero_times_huge": (".prototxt", lambda: huge_shape("dim: 0 dim: 2147483647 " * 10)),
    "many_dims": (".prototxt", lambda: huge_shape("dim: 1 " * 60_000)),
    "huge_weights": (".prototxt", huge_weights),
    "doubling": (".prototxt", doubling_splits),
    "lying_blob": (".caffemodel", lying_blob),
    "many_blobs": (".caffemodel", many_blobs),
    "many_empty_layers": (".caffemodel", many_empty_layers),
    "nested_groups": (".caffemodel", lambda: b"\x0b" * 1_000_000),
    "fat_zip": (".gcz", fat_zip),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_bomb(name: str, tmp_path: Path) -> None:
    suffix, make = BOMBS[name]
    content = make()
    bomb = tmp_path / f"bomb{suffix}"
    bomb.write_bytes(content.encode() if isinstance(content, str) else content)
    small = tmp_path / "small.prototxt"
    small.write_text(
        INPUT + 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 3 } }"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(small), str(bomb)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout)
    assert found["grown"] <= ALLOWANCE + bomb.stat().st_size, found
    print(name, found)
