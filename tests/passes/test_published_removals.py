"""Multiply-adds of pruned architectures, as their papers count them, to the last one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from texts import feed, graph, layer

import graphc
from graphc.channels import channel_groups, filters
from graphc.count import Counts, count
from graphc.passes.base import Pass
from graphc.passes.remove_filters import RemoveFilters

ZERO = 'weight_filler { type: "constant" value: 1 }'


def total(graph: graphc.Graph) -> Counts:
    return sum((c for _, c in count(graph)), Counts())


def conv(x: str, y: str, n: int, kernel: int, stride: int = 1, pad: int = 0) -> str:
    told = f"num_output: {n} kernel_size: {kernel} stride: {stride} pad: {pad} bias_term: false"
    return layer("Convolution", x, y, f"convolution_param {{ {told} {ZERO} }}")


def residual(blocks: int, kernel: int = 2) -> graphc.Graph:
    """The residual network of CIFAR-10 with projections of stride 2, of 2x2 as C-SGD has it."""
    text, x = feed(data=(1, 3, 32, 32)) + conv("data", "stem", 16, 3, pad=1), "stem"
    for stage, width in enumerate((16, 32, 64)):
        for block in range(blocks):
            name, first = f"s{stage}b{block}", stage > 0 and block == 0
            text += conv(x, f"{name}a", width, 3, 1 + first, pad=1)
            text += layer("ReLU", f"{name}a", f"{name}a", name=f"{name}r")
            text += conv(f"{name}a", f"{name}c", width, 3, pad=1)
            if first:
                text += conv(x, f"{name}p", width, kernel, 2)
            text += layer("Eltwise", f"{name}c {f'{name}p' if first else x}", name)
            x = name
    pool = "pooling_param { pool: AVE global_pooling: true }"
    fc = f"inner_product_param {{ num_output: 10 {ZERO} }}"
    text += layer("Pooling", x, "pool", pool)
    return graph(text + layer("InnerProduct", "pool", "y", fc))


def imagenet(blocks: Iterable[int], *, deep: bool = False) -> graphc.Graph:
    """ResNet of ImageNet: pairs of 3x3, or `deep`, 1x1, 3x3 with the stride, and 1x1 (v1.5)."""
    text, x = feed(data=(1, 3, 224, 224)) + conv("data", "stem", 64, 7, 2, 3), "pool0"
    pooling = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
    text += layer("Pooling", "stem", x, pooling)
    channels = 64
    for stage, length in enumerate(blocks):
        for block in range(length):
            name, width = f"s{stage}b{block}", 64 << stage
            out, stride = 4 * width if deep else width, 2 if stage and not block else 1
            plan = ([(width, 1, 1), (width, 3, stride), (out, 1, 1)] if deep
                    else [(width, 3, stride), (out, 3, 1)])  # fmt: skip
            y = x
            for at, (n, k, s) in enumerate(plan):
                text += conv(y, f"{name}c{at}", n, k, s, k // 2)
                y = f"{name}c{at}"
            if channels != out:
                text += conv(x, f"{name}p", out, 1, stride)
                x = f"{name}p"
            text += layer("Eltwise", f"{y} {x}", name)
            x, channels = name, out
    text += layer("Pooling", x, "pool", "pooling_param { pool: AVE global_pooling: true }")
    fc = f"inner_product_param {{ num_output: 1000 {ZERO} }}"
    return graph(text + layer("InnerProduct", "pool", "y", fc))


def vgg() -> graphc.Graph:
    """VGG-16 of CIFAR-10 with one inner product."""
    text, x = feed(data=(1, 3, 32, 32)), "data"
    for stage, (length, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        for at in range(length):
            more = f"num_output: {width} kernel_size: 3 pad: 1 {ZERO}"
            y = f"c{stage}{at}"
            text += layer("Convolution", x, y, f"convolution_param {{ {more} }}")
            x = y
        text += layer("Pooling", x, f"p{stage}", "pooling_param { kernel_size: 2 stride: 2 }")
        x = f"p{stage}"
    return graph(
        text + layer("InnerProduct", x, "y", f"inner_product_param {{ num_output: 10 {ZERO} }}")
    )


@pytest.mark.parametrize(
    ("made", "macs", "params"),
    [
        (lambda: residual(9, 1), 125_747_840, 851_514),
        (lambda: residual(9, 2), 126_534_272, 859_194),
        (vgg, 313_201_664, 14_719_818),
        (lambda: imagenet((2, 2, 2, 2)), 1_814_073_344, 11_679_912),
        (lambda: imagenet((3, 4, 6, 3)), 3_663_761_408, 21_780_648),
        (lambda: imagenet((3, 4, 6, 3), deep=True), 4_089_184_256, 25_503_912),
    ],
    ids=["ResNet-56 B", "ResNet-56 2x2", "VGG-16", "ResNet-18", "ResNet-34", "ResNet-50 v1.5"],
)
def test_counts_of_architectures(made: Callable[[], graphc.Graph], macs: int, params: int) -> None:
    """As multiply-adds and parameters of convolutions and inner products are published."""
    found = total(made())
    assert (found.macs, found.params) == (macs, params)


def removed(net: graphc.Graph, passes: Iterable[Pass]) -> graphc.Graph:
    return graphc.optimize(net, list(passes), measure=False)[0]


@pytest.mark.parametrize(
    ("blocks", "before", "after", "share"),
    [(9, 126_534_272, 49_531_280, 60.8554), (18, None, None, 60.897)],
)
def test_centripetal_sgd_on_cifar(blocks, before, after, share):
    """Widths 10, 20 and 40 in place of 16, 32 and 64. Source: Ding et al., arXiv 1904.03837."""
    net = residual(blocks)
    less = removed(net, [RemoveFilters(ratio=3 / 8, mode="lossy")])
    counts = total(net).macs, total(less).macs
    if before is not None:
        assert counts == (before, after)
    assert 100 * (1 - counts[1] / counts[0]) == pytest.approx(share, abs=5e-4)
    assert total(printed(less)) == total(less)


def printed(net: graphc.Graph) -> graphc.Graph:
    """The network again, read from the prototxt that it prints as."""
    from graphc.driver import prepare
    from graphc.front import parse_net
    from graphc.front.export import to_prototxt

    return prepare(parse_net(to_prototxt(net)))


@pytest.mark.parametrize(
    ("width", "share"),
    [(lambda n: int(0.7 * n), 36.754), (lambda n: math.ceil(0.6 * n), 46.241),
     (lambda n: n // 2, 55.769)],
)  # fmt: skip
def test_centripetal_sgd_on_imagenet(
    width: Callable[[int], int], share: float, root: Path, tmp_path: Path
) -> None:
    """The inner layers of ResNet-50 at 70, 60 and 50 %; and all of 3,857,973,248 before."""
    path = root / "models" / "resnet50" / "deploy.prototxt"
    if not path.exists():
        pytest.skip("models/ is not in the installed package")
    net = graphc.load(path)
    channels = channel_groups(net)
    table = {}
    for group in channels.groups:
        if not group.why and len(group.layers) == 1:
            size = len(group.classes)
            table[group.layers[0]] = list(range(width(size), size))
    gone = tmp_path / "gone.json"
    gone.write_text(json.dumps({k: v for k, v in table.items() if k != "conv1"}))
    less = removed(net, [RemoveFilters(criterion="listed", listed=gone, mode="lossy")])
    assert total(net).macs == 3_857_973_248
    assert 100 * (1 - total(less).macs / total(net).macs) == pytest.approx(share, abs=5e-4)


def test_structures_of_lstms(tmp_path):
    """1,500 and 1,500 units become 373 and 315. Source: Wen et al., arXiv 1709.05027, table 1."""
    fill = 'weight_filler { type: "constant" }'

    def lstm(x: str, y: str, n: int) -> str:
        told = f"recurrent_param {{ num_output: {n} {fill} }}"
        return layer("LSTM", f"{x} cont", y, told)

    embed = f"embed_param {{ input_dim: 10000 num_output: 1500 bias_term: false {fill} }}"
    scores = f"inner_product_param {{ num_output: 10000 axis: 2 {fill} }}"
    net = graph(
        feed(data=(1, 1), cont=(1, 1)) + layer("Embed", "data", "x", embed)
        + lstm("x", "h", 1500) + lstm("h", "g", 1500)
        + layer("InnerProduct", "g", "y", scores)
    )  # fmt: skip
    gone = tmp_path / "gone.json"
    gone.write_text(json.dumps({"h": list(range(373, 1500)), "g": list(range(315, 1500))}))
    less = removed(net, [RemoveFilters(criterion="listed", listed=gone, mode="lossy")])
    assert total(net).params == 66_022_000 and total(less).params == 21_824_148
    assert total(net).macs / total(less).macs == pytest.approx(7.487, abs=5e-4)
    channels = channel_groups(net)
    sizes = {}
    for name in ("h", "g"):
        label = filters(channels, name)[0]
        sizes[name] = sum(
            int((channels.labels[v, at] == label).sum()) * v.type.size // v.type.shape[at]
            for (v, at) in channels.labels
            if v in channels.uses and v.type.rank == 2
        )
    assert sizes == {"h": 24_000, "g": 28_000}
