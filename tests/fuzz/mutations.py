"""Ways to damage a file: small, typical, and repeatable from a seed.

Rough ones break the syntax, gentle ones keep it, so that the damage reaches the later stages.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
EXTREMES = (
    "0 -1 1 2147483647 2147483648 4294967295 4611686018427387904 -9223372036854775808 1e308 "
    "-1e-308 nan inf 0.5 99999999999999999999 0x7f 1e10"
)
ODD_WORDS = (
    'true MAX AVE TRAIN TEST DEFAULT "" "x" "../../etc/passwd" "/dev/zero" "a\\000b" "\\377" '
    "'\u00e9' \u2603 { } [ ] : < > # , layer layers name type bottom top param blobs include "
    "shape dim input input_dim phase"
)
NUMBERS, WORDS = tuple(EXTREMES.split()), tuple(ODD_WORDS.split())
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 64, 1000, 65536, 2**31 - 1)
TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_][\w]*|-?\d[\d.eE+-]*|[{}:]|#[^\n]*')
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
FIELD = re.compile(r'\b\w+(?:: *|=)(?:"[^"\n]*"|[-\w.+]+)')
QUOTED = re.compile(r'"[^"\n]*"')


def choose(rng: Rng, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _replace(pattern: re.Pattern[str], text: str, rng: Rng, new: Callable[[str], str]) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    hit = found[int(rng.integers(len(found)))]
    return text[: hit.start()] + new(hit.group()) + text[hit.end() :]


def number(text: str, rng: Rng) -> str:
    return _replace(NUMBER, text, rng, lambda _: choose(rng, NUMBERS))


def string(text: str, rng: Rng) -> str:
    """Put one quoted string in the place of another: wrong types, cycles, doubled names."""
    others = QUOTED.findall(text) or ['""']
    return _replace(QUOTED, text, rng, lambda _: choose(rng, others))


def word(text: str, rng: Rng) -> str:
    return _replace(TOKEN, text, rng, lambda _: choose(rng, WORDS))


def insert(text: str, rng: Rng) -> str:
    at = int(rng.integers(len(text) + 1))
    return f"{text[:at]} {choose(rng, WORDS + NUMBERS)} {text[at:]}"


def drop_token(text: str, rng: Rng) -> str:
    return _replace(TOKEN, text, rng, lambda _: "")


def _lines(text: str, rng: Rng) -> tuple[list[str], int, int]:
    lines = text.splitlines(keepends=True) or [""]
    start = int(rng.integers(len(lines)))
    return lines, start, min(len(lines), start + 1 + int(rng.integers(8)))


def drop_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    return "".join(lines[:start] + lines[stop:])


def repeat_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    times = int(rng.choice([2, 3, 40]))
    return "".join(lines[:start] + lines[start:stop] * times + lines[stop:])


def move_lines(text: str, rng: Rng) -> str:
    lines, start, stop = _lines(text, rng)
    rest, at = lines[:start] + lines[stop:], int(rng.integers(len(lines)))
    return "".join(rest[:at] + lines[start:stop] + rest[at:])


def nest(text: str, rng: Rng) -> str:
    depth = int(rng.choice([2, 40, 3000]))
    at = int(rng.integers(len(text) + 1))
    return text[:at] + "layer { " * depth + text[at:] + " }" * depth


def cut(text: str, rng: Rng) -> str:
    return text[: int(rng.integers(len(text) + 1))]


def size(text: str, rng: Rng) -> str:
    """Another whole number, mostly small."""
    return _replace(NUMBER, text, rng, lambda _: str(SIZES[int(rng.integers(len(SIZES)))]))


def _blocks(text: str) -> list[str]:
    """The text cut before every line that starts a layer at the outermost level."""
    return re.split(r"(?m)^(?=layers? *\{|layer \")", text)


def drop_layer(text: str, rng: Rng) -> str:
    blocks = _blocks(text)
    del blocks[int(rng.integers(len(blocks)))]
    return "".join(blocks)


def repeat_layer(text: str, rng: Rng) -> str:
    blocks = _blocks(text)
    blocks.insert(int(rng.integers(len(blocks) + 1)), blocks[int(rng.integers(len(blocks)))])
    return "".join(blocks)


def swap_layers(text: str, rng: Rng) -> str:
    blocks = _blocks(text)
    i, j = (int(k) for k in rng.integers(len(blocks), size=2))
    blocks[i], blocks[j] = blocks[j], blocks[i]
    return "".join(blocks)


def drop_field(text: str, rng: Rng) -> str:
    """Leave out one `name: value`."""
    return _replace(FIELD, text, rng, lambda _: "")


def repeat_field(text: str, rng: Rng) -> str:
    return _replace(FIELD, text, rng, lambda field: f"{field} {field}")


def move_field(text: str, rng: Rng) -> str:
    fields = FIELD.findall(text) or [""]
    return _replace(FIELD, text, rng, lambda _: choose(rng, fields))


GENTLE = (number, size, size, string, string, drop_layer, repeat_layer, swap_layers)
GENTLE += (drop_field, repeat_field, move_field)
ROUGH = (number, word, insert, drop_token, drop_lines, repeat_lines, move_lines, nest, cut)


def mutate_text(text: str, rng: Rng) -> str:
    """One to three damages in a row, in three cases of four gentle ones."""
    ways = GENTLE if rng.random() < 0.75 else ROUGH
    for _ in range(int(rng.integers(1, 4))):
        text = ways[int(rng.integers(len(ways)))](text, rng)
    return text


def mutate_weights(net: Any, rng: Rng) -> None:
    """Change a NetParameter message: shapes, counts and names that lie, blobs gone or doubled."""
    layers = [x for field in (net.layer, net.layers) for x in field]
    for _ in range(int(rng.integers(1, 4))):
        if not layers:
            return
        layer = layers[int(rng.integers(len(layers)))]
        blobs, kind = layer.blobs, int(rng.integers(8))
        if kind == 0 or not blobs:
            layer.name = layers[int(rng.integers(len(layers)))].name
        elif kind == 1:
            blobs.add().CopyFrom(blobs[0])
        elif kind == 2:
            del blobs[-1]
        else:
            _mutate_blob(blobs[int(rng.integers(len(blobs)))], kind, rng)


def _mutate_blob(blob: Any, kind: int, rng: Rng) -> None:
    extreme = (0, -1, 1, 2, 3, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1)
    value = extreme[int(rng.integers(len(extreme)))]
    if kind == 3:
        blob.shape.dim.append(value)
    elif kind == 4 and blob.shape.dim:
        blob.shape.dim[int(rng.integers(len(blob.shape.dim)))] = value
    elif kind == 5:
        blob.num = blob.channels = max(-(2**31), min(value, 2**31 - 1))
    elif kind == 6:
        del blob.data[int(rng.integers(len(blob.data) + 1)) :]
    else:
        blob.double_data.extend(blob.data[:2])


def mutate_archive(data: bytes, rng: Rng) -> bytes:
    """Damage one member of a ZIP, and pack it again so that the checksums hold."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        found = {name: source.read(name) for name in source.namelist()}
    name = choose(rng, sorted(found))
    try:
        found[name] = mutate_text(found[name].decode(), rng).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        found[name] = mutate_bytes(found[name], rng)
    if rng.random() < 0.1:
        found[choose(rng, ["../evil", "extra", "/abs"])] = b"x"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for member, content in found.items():
            packed.writestr(member, content)
    return target.getvalue()


def mutate_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, overwrite, cut, repeat or insert a few bytes."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        size = len(found)
        at = int(rng.integers(size + 1))
        length = int(rng.integers(1, 16))
        kind = int(rng.integers(6))
        if kind == 0 and size:
            found[min(at, size - 1)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            found[at : at + length] = rng.bytes(length)
        elif kind == 2:
            found[at : at + length] = b"\xff" * length
        elif kind == 3:
            del found[at : at + length]
        elif kind == 4:
            found[at:at] = found[at : at + length] * int(rng.integers(1, 5))
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)
