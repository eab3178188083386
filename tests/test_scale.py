"""Long nets: no stage recurses, and each does work in proportion to the net's length.

Work is counted, not timed: calls of functions, Python's and C's, and resumed generators. Loops
inside one such call are not seen.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from texts import fc, feed, graph, layer

import graphc
from graphc.autodiff import differentiate
from graphc.driver import prepare
from graphc.front import parse_net
from graphc.ir.clone import clone
from graphc.ir.infer import infer
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.ops.registry import find

INPUT = feed(data=(1, 2))
NAMED = 'param { name: "w" } param { name: "b" }'


def chain(one: Callable[[str, str, int], str]) -> Callable[[int], str]:
    """A net of `one(bottom, top, index)` after another."""

    def text(count: int) -> str:
        blobs = ["data", *(f"b{i}" for i in range(count))]
        body = (one(a, b, i) for i, (a, b) in enumerate(pairwise(blobs)))
        return INPUT + "".join(body)

    return text


NETS: dict[str, Callable[[int], str]] = {
    "chain": chain(lambda a, b, i: layer("TanH", a, b)),
    "in_place": lambda n: (
        INPUT
        + layer("TanH", "data", "h")
        + "".join(layer("ReLU", "h", "h", name=f"l{i}") for i in range(n))
    ),
    "one_name": chain(lambda a, b, i: fc(a, b, 2, name="same")),
    "shared": chain(lambda a, b, i: fc(a, b, 2, NAMED)),
    "dropout": chain(lambda a, b, i: layer("Dropout", a, b)),
    "powers": chain(lambda a, b, i: layer("Power", a, b, "power_param { scale: 1.1 }")),
    "folded": chain(
        lambda a, b, i: (
            fc(a, f"f{i}", 2)
            + layer("Scale", f"f{i}", b, "scale_param { filler { value: 0.9 } bias_term: true }")
        )
    ),
    "fanned": lambda n: (
        INPUT
        + "".join(
            layer("Power", "data", f"p{i}", "power_param { scale: 2 }") + fc(f"p{i}", f"b{i}", 2)
            for i in range(n)
        )
    ),
    "equal": lambda n: (
        INPUT
        + layer("TanH", "data", "a0")
        + "".join(
            layer("TanH", "data", f"a{i}") + layer("Eltwise", f"a{i - 1} a{i}", f"s{i}")
            for i in range(1, n)
        )
    ),
    "expanded": chain(lambda a, b, i: layer("ReLU6", a, b, "relu6_param {negative_slope: 1}")),
    "outputs": lambda n: INPUT + "".join(layer("TanH", "data", f"b{i}") for i in range(n)),
    "dead": lambda n: (
        INPUT
        + "".join(
            layer("TanH", "data", f"b{i}") + layer("Silence", f"b{i}", name="s") for i in range(n)
        )
        + layer("ReLU", "data", "y")
    ),
}


def stages(text: str, folder: Path) -> dict[str, Callable[[], object]]:
    """Every stage of a net's way, in order, as calls without arguments."""
    net = parse_net(text)
    exe: dict[str, graphc.Executable] = {}
    feeds = {"data": np.ones((1, 2))}

    def compiled() -> None:
        exe["it"] = graphc.compile(net, train=True, passes=(), keep="all")

    return {
        "load": lambda: parse_net(text),
        "infer": lambda: prepare(net),
        "again": lambda: infer(net, batch=1),
        "clone": lambda: clone(net),
        "verify": lambda: verify(net, 2),
        "text": lambda: parse_graph(print_graph(net), find),
        "optimize": lambda: graphc.optimize(net, measure=False),
        "differentiate": lambda: verify(differentiate(clone(net)), 2),
        "compile": compiled,
        "forward": lambda: exe["it"].forward(feeds),
        "backward": lambda: exe["it"].backward(),
        "reshape": lambda: exe["it"].forward({"data": np.ones((3, 2))}),
        "params": lambda: exe["it"].params,
        "save": lambda: exe["it"].save(folder / "a.gcz"),
        "open": lambda: graphc.open(folder / "a.gcz"),
    }


def calls(action: Callable[[], object]) -> int:
    count = 0

    def see(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event.endswith("call")

    sys.setprofile(see)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", NETS)
def test_work_grows_with_the_net(name: str, tmp_path: Path) -> None:
    for action in stages(NETS[name](3), tmp_path).values():  # modules imported, tables made
        action()
    short, long = (stages(NETS[name](n), tmp_path) for n in (30, 120))
    for stage in short:
        few, many = calls(short[stage]), calls(long[stage])
        assert many < 5 * few + 1_000, f"{stage}: {few} calls, then {many}"


@pytest.mark.parametrize("name", ["in_place", "expanded"])
def test_no_stage_recurses(name: str, tmp_path: Path) -> None:
    """Longer than Python's stack is deep."""
    count = sys.getrecursionlimit() + 200
    for action in stages(NETS[name](count), tmp_path).values():
        action()


def test_the_counter_counts() -> None:
    def quadratic(n: int) -> Callable[[], int]:
        return lambda: sum(1 for i in range(n) for j in range(n) if i < j)

    assert calls(quadratic(40)) > 12 * calls(quadratic(10))
    assert graph(INPUT).nodes
