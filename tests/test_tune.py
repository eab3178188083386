"""tune: measured times decide which kernels run, and the numbers stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import _core
from graphc.costs import COPIES, MEASURED, SHIPPED, keep_times, known_costs, pool_key
from graphc.errors import GraphError
from graphc.lower.cpu import problems
from graphc.memory import lowered, pinned_values, prepared
from graphc.program import Link

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 16 dim: 14 dim: 14 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 16 kernel_size: 3 pad: 1
                            weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
        inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> graphc.Graph:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "net.prototxt").write_text(NET)
    return graphc.load(tmp_path / "net.prototxt")


def chosen(exe: graphc.Executable) -> dict[str, tuple[str, str]]:
    program, plan = exe._executor.prepared.program, exe.plan
    variants = {
        program.calls[s.call].name: program.calls[s.call].variants[s.variant] for s in plan.steps
    }
    return {name: (v.symbol, v.basis) for name, v in variants.items()}


def test_every_kernel_is_measured_once(net: graphc.Graph) -> None:
    seen: list[tuple[int, int]] = []
    first = graphc.tune(
        net, threads=1, progress=lambda done, count, key: seen.append((done, count))
    )
    graph = prepared(net, train=False, batch=None, keep=())
    wanted = problems(graph, pinned_values(graph, ()), 1)
    assert set(first.times) == set(wanted) and first.known == 0
    assert seen == [(k, len(wanted)) for k in range(len(wanted))]
    assert all(us > 0 for us in first.times.values())
    again = graphc.tune(net, threads=1)
    assert again.times == {} and again.known == len(wanted)
    assert set(graphc.tune(net, threads=1, again=True).times) == set(wanted)
    assert set(graphc.tune(net, threads=1, batch=2).times).isdisjoint(wanted)


def test_gradients_are_measured_for_training(net: graphc.Graph) -> None:
    graphc.tune(net, threads=1)
    found = graphc.tune(net, train=True, threads=1)
    assert found.known > 0
    kinds = {key.split(" ", 1)[0] for key in found.times}
    assert {"conv_dweight", "channel_sums", "inner_product_dx", "inner_product_sgd", "sgd"} <= kinds
    exe = graphc.compile(net, train=True, threads=1)
    program = exe._executor.prepared.program
    chosen = [program.calls[c].variants[0] for c in program.entries["backward"]]
    assert {v.basis for v in chosen if v.symbol in kinds} == {MEASURED}


def test_copies_to_the_pool_are_measured(
    net: graphc.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory and in a file, each once; plans for target cpu then rest on them, not on what comes
    with graphc."""

    def link() -> Link:
        low = lowered(net, train=True, target="cpu", threads=1)
        return low.program.link

    assert link().basis == SHIPPED
    found = graphc.tune(net, train=True, threads=1)
    assert set(COPIES) <= set(found.times)
    measured = link()
    assert (measured.basis, measured.bandwidth > 1e6) == (MEASURED, True)
    assert measured.start_us == found.times["copy 4096"]
    monkeypatch.setenv("GRAPHC_HOST", str(tmp_path))
    assert link().basis == SHIPPED
    assert set(graphc.tune(net, train=True, threads=1).times) == {
        pool_key(key, True) for key in COPIES
    }
    assert link().basis == MEASURED
    assert graphc.tune(net, train=True, threads=1).times == {}


@pytest.mark.parametrize("favourite", ["conv", "dnnl_conv", "conv_winograd"])
def test_the_fastest_measured_kernel_runs(net: graphc.Graph, favourite: str) -> None:
    if favourite != "conv" and _core.channel_block() == 0:
        pytest.skip("built without oneDNN")
    x = {"data": np.random.default_rng(0).standard_normal((1, 16, 14, 14)).astype(np.float32)}
    before = graphc.compile(net, threads=1)
    assert {basis for _, basis in chosen(before).values()} <= {SHIPPED, "roofline"}
    graph = prepared(net, train=False, batch=None, keep=())
    told = problems(graph, pinned_values(graph, ()), 1)
    keep_times({k: 1.0 if p.symbol == favourite else 1e6 for k, (p, _) in told.items()}, 1)
    exe = graphc.compile(net, threads=1)
    assert chosen(exe)["conv"] == (favourite, MEASURED)
    np.testing.assert_allclose(exe.run(x)["ip"], before.run(x)["ip"], rtol=1e-4, atol=1e-5)
    assert known_costs(2).times == {}


def test_compiling_measures_nothing(net: graphc.Graph, tmp_path: Path) -> None:
    graphc.compile(net, threads=1)
    assert not (tmp_path / "cache").exists()


def test_bad_words(net: graphc.Graph) -> None:
    with pytest.raises(GraphError, match="GC-R002"):
        graphc.tune(net, keep=("nothing",))
    for threads in (0, 5000):
        with pytest.raises(GraphError, match="GC-R004"):
            graphc.tune(net, threads=threads)


def test_from_the_command_line(
    net: graphc.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from graphc.cli.main import invoke

    monkeypatch.chdir(tmp_path)
    assert invoke(["tune", "net.prototxt", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("measured ") and "with 1 threads, 0 known" in told
    assert invoke(["tune", "net.prototxt", "--threads", "1", "--json"]) == 0
    assert '"measured": 0' in capsys.readouterr().out
    assert invoke(["tune", "net.prototxt", "--threads", "1", "--train", "--json"]) == 0
    assert '"conv_dweight | ' in capsys.readouterr().out
