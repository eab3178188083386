"""Real networks with real weights, by the commands of the README."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest


@pytest.fixture(scope="module")
def squeezenet(shared, tmp_path_factory):
    """The pruned SqueezeNet, compiled once for the C++ core."""
    from graphc.cli.main import invoke

    net = shared / "zoo/squeezenet/squeezenet_v1.0_pruned_deploy.prototxt"
    target = tmp_path_factory.mktemp("zoo") / "sq.gcz"
    weights = net.parent / "squeezenet_v1.0_pruned.caffemodel"
    words = ["compile", str(net), "-w", str(weights), "-o", str(target), "--target", "cpu"]
    assert invoke([*words, "--json"]) == 0
    return target


def test_five_classes_of_three_images(cli, shared, squeezenet):
    pytest.importorskip("PIL")
    images = shared / "zoo/images"
    wanted = json.loads((shared / "zoo/expected.json").read_text())["squeezenet_v1.0_pruned"]
    files = [images / name for name in wanted["images"]]
    names = [x.strip("'") for x in (images / "synset.txt").read_text().splitlines()]
    args = ("--mean", "104,117,123", "--labels", images / "synset.txt", "--json")
    told = cli("run", squeezenet, *files, *args).json["outputs"]["pool_final"]
    assert told["shape"] == [3, 1000, 1, 1]
    for sample, expected in zip(told["samples"], wanted["images"].values(), strict=True):
        assert [entry["class"] for entry in sample["top"]] == expected["top5"]
        assert [entry["label"] for entry in sample["top"]] == [names[c] for c in expected["top5"]]
        values = [entry["value"] for entry in sample["top"]]
        np.testing.assert_allclose(values, expected["logit"], rtol=1e-4)


def test_the_artefact_is_as_small_as_its_zeros_and_codes_allow(squeezenet):
    """67 % zeros, 256 values in a layer: 5 MB of float32."""
    with zipfile.ZipFile(squeezenet) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert squeezenet.stat().st_size - sizes["plan.json"] <= 750_000
    assert sizes["weights.safetensors"] < 20_000 < sizes["coded.safetensors"]


def test_the_published_compressed_file(cli, shared):
    """The same answers as from the caffemodel that was made of it."""
    folder = shared / "zoo/squeezenet"
    net = folder / "squeezenet_v1.0_pruned_deploy.prototxt"
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.uniform(-100, 100, (1, 3, 227, 227)).astype(np.float32))
    found = []
    for weights in ("compressed_SqueezeNet.net", "squeezenet_v1.0_pruned.caffemodel"):
        words = ("-w", folder / weights, "--input", "x.npy", "-o", "out.npz")
        assert cli("run", net, *words).code == 0
        with np.load("out.npz") as made:
            found.append(made["pool_final"].tobytes())
    assert found[0] == found[1]


def test_text_of_one_image(cli, shared, squeezenet):
    pytest.importorskip("PIL")
    images = shared / "zoo/images"
    done = cli(
        "run", squeezenet, "--input", images / "cat.jpg", "--mean", "104,117,123",
        "--labels", images / "synset.txt", "--top", 2,
    )  # fmt: skip
    lines = done.out.splitlines()
    assert lines[:2] == ["pool_final: 1x1000x1x1", f"  {images / 'cat.jpg'}"]
    best = [
        (18.6874, "class 278  n02119789 kit fox, Vulpes macrotis"),
        (17.9299, "class 263  n02113023 Pembroke, Pembroke Welsh corgi"),
    ]
    for line, (value, label) in zip(lines[2:4], best, strict=True):
        told, _, rest = line.strip().partition("  ")
        assert (len(told.partition(".")[2]), rest) == (5, label)  # five digits
        assert abs(float(told) - value) < 1e-3


@pytest.mark.parametrize("number", [1, 2, 3])
def test_mtcnn(cli, shared, arrays, number):
    wanted = arrays(shared / "zoo/expected_mtcnn.npz")
    net = shared / f"zoo/mtcnn/det{number}"
    np.save("in.npy", wanted[f"det{number}/in"])
    words = ("-w", f"{net}.caffemodel", "-o", "det.gcz", "--target", "cpu")
    assert cli("compile", f"{net}.prototxt", *words).code == 0
    assert cli("run", "det.gcz", "--input", "in.npy", "-o", "out.npz").code == 0
    found = arrays("out.npz")
    keys = [key for key in wanted if key.startswith(f"det{number}/out/")]
    assert sorted(found) == sorted(key.rpartition("/")[2] for key in keys)
    for key in keys:
        np.testing.assert_allclose(found[key.rpartition("/")[2]], wanted[key], rtol=0, atol=1e-4)


def test_a_train_net_with_shapes_in_place_of_its_data(cli, shared):
    net = shared / "zoo/lenet/lenet_train_test.prototxt"
    shapes = ("--shape", "data=64x1x28x28", "--shape", "label=64")
    for phase in ("TRAIN", "TEST"):
        told = cli("count", net, "--phase", phase, *shapes, "--json").json
        assert (told["macs"], told["params"], told["batch"]) == (2_293_000, 431_080, 64)
    done = cli("inspect", net)
    assert done.code == 7 and "layer 'mnist' (Data)" in done.err and "mnist_test_lmdb" in done.err


@pytest.mark.parametrize("name", ["net_v0", "net_v1", "net_bn_three_params_legacy"])
def test_old_nets_with_their_old_weights(cli, shared, arrays, name):
    net = shared / "golden/layers" / name
    case = arrays(f"{net}.npz")
    inputs = {k[3:]: case[k] for k in case if k.startswith("in/")}
    np.savez("in.npz", **inputs)
    args = ("-w", f"{net}.caffemodel", "--input", "in.npz", "-o", "out.npz", "--phase", "TEST")
    done = cli("run", f"{net}.prototxt", *args)
    assert done.code == 0, done.err
    for blob, found in arrays("out.npz").items():
        np.testing.assert_allclose(found, case[f"out/{blob}"], rtol=1e-4, atol=1e-5)
