"""Weight files of Deep Compression: written here by their description, read, and damaged."""

import numpy as np
import pytest
from texts import conv, feed, graph

from graphc.errors import GraphError
from graphc.front.weights import load_weights

NET = (feed(data=(1, 4, 9, 9)), conv("data", "a", 6), conv("a", "b", 5, 1))


def written(net, zeros=0.9):
    """The file's bytes, and the blobs it holds."""
    rng = np.random.default_rng(0)
    counts, bodies, blobs = [], [], {}
    for name in "ab":
        weight = np.zeros(net.value(f"{name}:weight").type.shape, np.float32)
        flat = weight.reshape(-1)
        table = rng.standard_normal(256).astype("<f4")
        table[0] = 0
        codes, gaps, gap = [], [], 0
        for at in range(flat.size):
            if rng.random() < zeros and gap < 15:
                gap += 1
                continue
            code = 0 if gap == 15 else int(rng.integers(1, 256))
            codes.append(code)
            gaps.append(gap)
            flat[at], gap = table[code], 0
        bias = rng.standard_normal(len(weight)).astype("<f4")
        pairs = np.append(gaps, [0] * (len(gaps) % 2)).astype(np.uint8).reshape(-1, 2)
        packed = (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8)
        parts = (table, bias, np.array(codes, np.uint8), packed)
        bodies.append(b"".join(part.tobytes() for part in parts))
        counts.append(len(codes))
        blobs[name] = weight, bias
    return np.array(counts, "<u4").tobytes() + b"".join(bodies), blobs


def test_every_weight_is_in_its_place(tmp_path):
    net = graph(*NET)
    data, blobs = written(net)
    (tmp_path / "w.net").write_bytes(data)
    load_weights(net, tmp_path / "w.net")
    for name, (weight, bias) in blobs.items():
        assert np.array_equal(net.weight(net.value(f"{name}:weight")), weight)
        assert np.array_equal(net.weight(net.value(f"{name}:bias")), bias)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "bytes are wanted"),
        (lambda data: data[:5], "bytes are wanted"),
        (lambda data: data + b"x", "1 bytes follow the last of 2 convolutions"),
        (lambda data: b"\xff\xff\xff\xff" + data[4:], "stores 4,294,967,295 of 216 weights"),
        (lambda data: data[:-3] + b"\xff\xff\xff", "weight number"),
    ],
)
def test_damaged_files_are_refused(damage, message, tmp_path):
    net = graph(*NET)
    data, _ = written(net)
    (tmp_path / "w.net").write_bytes(damage(data))
    before = {name: array.copy() for name, array in net.weights.items()}
    with pytest.raises(GraphError, match="GC-W003") as caught:
        load_weights(net, tmp_path / "w.net")
    assert message in caught.value.message and str(caught.value.loc) == str(tmp_path / "w.net")
    assert all(np.array_equal(net.weights[name], array) for name, array in before.items())
