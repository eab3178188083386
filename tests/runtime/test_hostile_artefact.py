"""Artefacts that were cut, edited or made by hand: refused with GC-A001, never more."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz.mutations import mutate_bytes
from small_graphs import same_weights, small_graph

from graphc.errors import GraphError
from graphc.limits import Limits
from graphc.runtime.artefact import read_artefact, write_artefact


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_artefact(tmp_path / "a.gcz", small_graph())
    return tmp_path / "a.gcz"


Change = Callable[[dict[str, bytes]], object]


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, change: Change, how: int = zipfile.ZIP_STORED) -> None:
    """The artefact with other content, otherwise in order."""
    found = members(path)
    change(found)
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in found.items():
            archive.writestr(name, data)


def put(name: str, data: bytes) -> Change:
    return lambda found: found.update({name: data})


def swap(name: str, old: str, new: str) -> Change:
    def change(found: dict[str, bytes]) -> None:
        assert old.encode() in found[name]
        found[name] = found[name].replace(old.encode(), new.encode(), 1)

    return change


HOSTILE = {
    "surplus": put("evil.py", b"x"),
    "climbing": put("../graph.txt", b"x"),
    "no graph": lambda m: m.pop("graph.txt"),
    "no weights": lambda m: m.pop("weights.safetensors"),
    "other format": swap("meta.json", '"format": 1', '"format": 2'),
    "no format": put("meta.json", b"{}"),
    "meta is a list": put("meta.json", b"[]"),
    "meta is deep": put("meta.json", b"[" * 100_000),
    "meta is no text": put("meta.json", b"\xff\xfe"),
    "graph is no text": put("graph.txt", b"\xff"),
    "graph is empty": put("graph.txt", b""),
    "weights are empty": put("weights.safetensors", b""),
    "unknown tensor": swap("weights.safetensors", "fc:bias", "fc:bia5"),
    "other shape": swap("graph.txt", "f32[5,64]", "f32[64,5]"),
    "wrong type of top": swap("graph.txt", '"fc" f32[2,5]', '"fc" f32[2,6]'),
    "impossible attribute": swap("graph.txt", "attr kernel_size=(3)", "attr stride=(0)"),
    "negative count": swap("graph.txt", "num_output=4", "num_output=-4"),
    "huge count": swap("graph.txt", "num_output=4", "num_output=4611686018427387904"),
    "wrong role": swap("graph.txt", 'in x "conv@bn"', 'in z "conv@bn"'),
    "cycle": swap("graph.txt", 'in x "conv@bn"', 'in x "conv"'),
    "history is a number": put("provenance.json", b'{"history": 3}'),
    "history of numbers": put("provenance.json", b'{"history": [3]}'),
    "detail is a number": put("provenance.json", b'{"history": [{"detail": 3}]}'),
    "layers are a number": put("provenance.json", b'{"history": [{"layers": 3}]}'),
    "layers of numbers": put("provenance.json", b'{"history": [{"layers": [3]}]}'),
    "one figure": put("provenance.json", b'{"history": [{"layers": [{"macs": [3]}]}]}'),
    "error is a text": put(
        "provenance.json", b'{"history": [{"layers": [{"weight_error": "x"}]}]}'
    ),
    "notes are a text": put("provenance.json", b'{"notes": "x"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content(path: Path, name: str) -> None:
    rewrite(path, HOSTILE[name])
    with pytest.raises(GraphError) as caught:
        read_artefact(path)
    assert caught.value.code == "GC-A001", str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_layer_type(path: Path) -> None:
    rewrite(path, swap("graph.txt", "SoftmaxWithLoss", "SoftmaxWithLos"))
    with pytest.raises(GraphError, match=r"GC-N001.*SoftmaxWithLos"):
        read_artefact(path)


def test_compressed_members(path: Path) -> None:
    rewrite(path, lambda m: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(GraphError, match=r"GC-A001.*compressed"):
        read_artefact(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("graph.txt", "x")
    with pytest.raises(GraphError, match=r"GC-A001.*surplus"):
        read_artefact(path)


def edit(path: Path, offset: int, data: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(data)] = data
    path.write_bytes(raw)


def test_edits_of_the_container(path: Path) -> None:
    good = path.read_bytes()
    content = good.index(b'net "small"')
    end = len(good) - 22
    directory = int.from_bytes(good[end + 16 : end + 20], "little")
    for offset, data in {
        6: b"\x01\x00",  # local flags: encrypted
        14: bytes(4),  # local checksum
        22: b"\x01\x00",  # local size
        8: b"\x08\x00",  # local method: deflated
        30: b"M",  # local name
        directory + 8: b"\x01\x00",  # flags in the directory
        directory + 20: b"\xff\xff\xff\x00",  # compressed size
        directory + 24: b"\xff\xff\xff\x00",  # size
        directory + 42: b"\xf0\xff\xff\x7f",  # where the member lies
        content: b"~",  # content, against the checksum
        end: b"PK\x05\x07",
        end + 12: b"\xff\xff\xff\x7f",  # size of the directory
        end + 20: b"\x01\x00",  # a comment
    }.items():
        path.write_bytes(good)
        edit(path, offset, data)
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_data_after_and_before_the_archive(path: Path) -> None:
    good = path.read_bytes()
    for bad in (good + b"x", b"x" + good, b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(bad)
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_limits(path: Path) -> None:
    for limits in (Limits(text_bytes=500), Limits(tensor_bytes=100), Limits(layers=2)):
        with pytest.raises(GraphError, match="GC-L001"):
            read_artefact(path, limits)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for name in ("missing.gcz", "."):
        with pytest.raises(GraphError, match="GC-F001"):
            read_artefact(tmp_path / name)


def test_every_truncation(path: Path) -> None:
    good = path.read_bytes()
    step = max(1, len(good) // 1500)
    for end in range(0, len(good), step):
        path.write_bytes(good[:end])
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)


def test_mutations(path: Path) -> None:
    """The checksum finds what the directory does not; so mutate members, too."""
    good, parts = path.read_bytes(), members(path)
    refused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        if seed % 2:
            path.write_bytes(mutate_bytes(good, rng))
        else:
            name = list(parts)[seed // 2 % len(parts)]
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for key, data in parts.items():
                    archive.writestr(key, mutate_bytes(data, rng) if key == name else data)
            path.write_bytes(buffer.getvalue())
        try:
            read_artefact(path, Limits.strict())
        except GraphError as error:
            refused += 1
            assert str(error)
    assert refused > 150


def test_a_large_archive_tells_its_end_in_64_bits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one beyond 2 GiB has it; and such an end that lies is refused."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    rewrite(path, lambda m: None)
    good = path.read_bytes()
    large, locator = good.index(b"PK\x06\x06"), good.index(b"PK\x06\x07")
    found, _ = read_artefact(path)
    assert same_weights(found, small_graph())
    for at in (large, large + 48, locator, locator + 8):
        path.write_bytes(good)
        edit(path, at, bytes([good[at] ^ 1]))
        with pytest.raises(GraphError, match=r"GC-A001.*(end|lacks a size)"):
            read_artefact(path)
    directory = good.index(b"PK\x01\x02")
    extra = good.rindex(b"\x01\x00", directory, large)  # a size that stands nowhere
    path.write_bytes(good)
    edit(path, extra, b"\x02\x00")
    with pytest.raises(GraphError, match=r"GC-A001"):
        read_artefact(path)


def test_a_directory_that_lies(path: Path) -> None:
    good = path.read_bytes()
    end = len(good) - 22
    directory = good.index(b"PK\x01\x02")
    for at, data, told in (
        (end + 10, b"\x03", "its end says"),  # members in all
        (end + 16, b"\x00\x00\x00\x00", "not where"),  # the directory's place
        (end + 12, b"\x10\x00\x00\x00", "not where"),  # its size
        (directory, b"PK\x01\x03", "broken"),
        (directory + 28, b"\xff\xff", "broken"),  # the length of a name
    ):
        path.write_bytes(good)
        edit(path, at, data)
        with pytest.raises(GraphError, match=rf"GC-A001.*{told}"):
            read_artefact(path)


def test_coded_weights_of_a_hostile_artefact(tmp_path: Path) -> None:
    """Their two members come together, and for no weight that is there already."""
    graph = small_graph()
    largest = max(graph.param_values(), key=lambda value: graph.weight(value).size)
    graph.weights[largest.name] = np.zeros_like(graph.weight(largest))
    path = tmp_path / "a.gcz"
    write_artefact(path, graph)
    good = path.read_bytes()
    assert "coded.json" in members(path)
    same_weights(read_artefact(path)[0], graph)
    plain = tmp_path / "plain.gcz"
    write_artefact(plain, small_graph())
    whole = members(plain)["weights.safetensors"]
    for change in (
        lambda found: found.pop("coded.json"),
        lambda found: found.pop("coded.safetensors"),
        put("weights.safetensors", whole),
        put("coded.json", b"{}"),
        put("coded.json", b"nonsense"),
        put("coded.safetensors", b""),
        swap("coded.json", largest.name, "other"),
    ):
        path.write_bytes(good)
        rewrite(path, change)
        with pytest.raises(GraphError, match="GC-A001"):
            read_artefact(path)
    path.write_bytes(good)
    parts = members(path)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        name = ("coded.json", "coded.safetensors")[seed % 2]
        rewrite(path, put(name, mutate_bytes(parts[name], rng)))
        try:
            read_artefact(path, Limits.strict())
        except GraphError as error:
            assert str(error)
