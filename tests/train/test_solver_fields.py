"""What a solver prototxt may say: refusals, fields changed from outside, networks and test nets."""

from __future__ import annotations

import numpy as np
import pytest
from train.bench import FIXED, NET, Bench

from graphc import GraphError, Solver


def test_fields_not_obeyed(bench: Bench) -> None:
    for field in ("larc: true", 'momentum_policy: "poly"', "rampup_interval: 9", "force_decay: 1"):
        told = bench.refused(FIXED + field)
        assert told.startswith(f"{bench.folder / 'solver.prototxt'}: GC-U001"), told
        assert field.split(":")[0] in told
    bench.solver("larc: false force_decay: 0").close()


def test_wrong_definitions(bench: Bench) -> None:
    assert "GC-P005" in bench.refused('net: "net.prototxt" lr_policy: "fixed"')
    assert "GC-P005" in bench.refused('net: "net.prototxt" base_lr: 1')
    assert "GC-P005" in bench.refused('base_lr: 1 lr_policy: "fixed"')
    assert "GC-P005" in bench.refused(FIXED + 'train_net: "net.prototxt"')
    assert "'SGD'" in bench.refused(FIXED + 'type: "SDG"')
    assert "GC-P001" in bench.refused(FIXED + "momentun: 1")
    assert "momentum" in bench.refused(FIXED + 'type: "AdaGrad"')
    assert "momentum2" in bench.refused(FIXED + 'type: "Adam" momentum2: 1')
    assert "L1" in bench.refused(FIXED + 'type: "AdamW" weight_decay: 1 regularization_type: "L1"')
    assert "regularization_type" in bench.refused(FIXED + 'regularization_type: "L3"')
    for field in ("iter_size: 0", "average_loss: 0", "test_interval: -1", "max_iter: -5"):
        assert field.split(":")[0] in bench.refused(FIXED + field)
    for fields, told in (
        ("test_iter: 1", "test_interval"),
        ("test_interval: 1", "test_iter"),
        ("test_iter: 0 test_interval: 1", "test_iter is 0"),
        ('test_net: "net.prototxt" test_interval: 1', "1 test networks, and 0 test_iter"),
        ("test_iter: 1 test_interval: 1 test_state {} test_state {}", "2 test_state"),
    ):
        assert told in bench.refused(FIXED + fields)
    assert "GC-F001" in bench.refused(FIXED.replace("net.prototxt", "none.prototxt"))
    bench.net(NET.replace("PARAM", "").rsplit("layer", 1)[0])
    assert "GC-N007" in bench.refused(FIXED)


def test_fields_changed_from_outside(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    wider = {"net.layer[ip].inner_product_param.num_output": 7, "base_lr": 0.5, "type": "Adam"}
    solver = bench.solver(set=wider)
    assert solver.net.params["ip"][0].shape[0] == 7
    solver.step(1, feed)
    assert (solver.rate, solver.settings.rule.type) == (0.5, "Adam")
    with pytest.raises(GraphError, match=r"GC-R002.*'ipp'"):
        bench.solver(set={"net.layer[ipp].name": "x"})


def test_networks_inside_the_solver(bench: Bench, feed: dict[str, np.ndarray]) -> None:
    text = NET.replace("PARAM", "")
    head = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 2 test_iter: 2 test_interval: 9 '
    solver = Solver(bench.write(head + f"net_param {{ {text} }}"))
    other = bench.solver(set={"momentum": 0})
    assert solver.step(3, feed) == other.step(3, feed)
    means, loss = solver.test(0, feed)
    assert means["loss"] == pytest.approx(loss)
    apart = f"train_net_param {{ {text} }} test_net_param {{ {text} }}"
    third = Solver(bench.write(head + apart), set={"net.layer[ip].inner_product_param.axis": 1})
    assert third.step(3, feed) == solver.loss


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_tests_are_on_the_weights_of_now(
    bench: Bench, feed: dict[str, np.ndarray], target: str
) -> None:
    """The same memory: nothing is copied, and the arenas of training are used while it rests."""
    fields = "test_iter: 1 test_iter: 1 test_interval: 9"
    solver = bench.solver(fields, target=target, set={"momentum": 0})
    for _ in range(3):
        before, _ = solver.test(1, feed)
        assert solver.step(1, feed) == pytest.approx(float(before["loss"]), rel=1e-6)
    ours = solver.tests[0].params["ip"][0]
    assert np.shares_memory(ours, solver.net.params["ip"][0])
    if target == "cpu":
        arenas = [net._executor.prepared.regions[2:] for net in (solver.net, *solver.tests)]
        assert arenas[0] == arenas[1] == arenas[2]
    with pytest.raises(GraphError, match="GC-R004"):
        solver.test(2, feed)


def test_a_test_net_must_be_of_the_same_layers(bench: Bench) -> None:
    (bench.folder / "other.prototxt").write_text(NET.replace("PARAM", "").replace('"ip"', '"fc"'))
    fields = 'test_net: "other.prototxt" test_iter: 1 test_interval: 1'
    with pytest.raises(GraphError, match=r"GC-W002.*'fc'"):
        bench.solver(fields)
    wide = NET.replace("PARAM", "").replace("num_output: 5", "num_output: 6")
    (bench.folder / "other.prototxt").write_text(wide)
    with pytest.raises(GraphError, match="GC-W001"):
        bench.solver(fields)
