"""sparse_layout: measured choices, named ones, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from passes.do_pass import refused
from texts import conv, fc, feed, graph, layer

import graphc
from graphc.passes.sparse_layout import SparseLayout


def net(zeros=0.9):
    made = graph(
        feed(data=(1, 8, 9, 9)), conv("data", "a", 16), conv("a", "b", 8), fc("b", "y", 20)
    )
    rng = np.random.default_rng(0)
    for name in "aby":
        weight = made.weight(made.value(f"{name}:weight"))
        weight[rng.random(weight.shape) < zeros] = 0
    return made


def modes(made):
    return [
        getattr(n.attrs, "conv_mode", getattr(n.attrs, "gemm_mode", None)) for n in made.nodes[1:]
    ]


DENSE = ["LOWERED_GEMM", "LOWERED_GEMM", "GEMM"]


class Clock:
    """A context in which a layer takes `us` by its mode, and a network the sum plus `more`."""

    pinned, train = frozenset(), False

    def __init__(self, us, more=0.0):
        self.us, self.more, self.asked = us, more, []

    def times_us(self, graphs):
        found = []
        for each in graphs:
            names = [(n.name, m) for n, m in zip(each.nodes[1:], modes(each), strict=True)]
            is_whole = len(names) > 1
            marks = sum(m not in DENSE for _, m in names)
            found.append(sum(self.us(n, m) for n, m in names) + is_whole * marks * self.more)
        self.asked.append(len(graphs))
        return found


def times(name, mode):
    if mode in DENSE:
        return 100.0
    return {"a": 20.0, "b": 200.0, "y": 60.0}[name] + (mode in ("LOWERED_CCNMM", "PANELS"))


def test_each_layer_gets_what_takes_least_time():
    made = net()
    report = SparseLayout().run(made, Clock(times))
    assert modes(made) == ["DIRECT_SCONV", "LOWERED_GEMM", "SPMDM"]
    assert report.changed
    decisions = [row.decision for row in report.layers]
    assert decisions == ["direct", "stays", "csr"]
    assert report.layers[0].us == (100.0, 20.0)
    assert " zeros; dense 0.100 ms, direct 0.020 ms, compact 0.021 ms" in report.layers[0].reason


def test_layers_that_slow_the_network_down_stay():
    made = net()
    report = SparseLayout().run(made, Clock(times, more=70.0))  # what y gains, its neighbours lose
    assert modes(made) == ["DIRECT_SCONV", "LOWERED_GEMM", "GEMM"]
    assert "others gain more without it" in report.layers[2].reason


def test_nothing_is_done_that_does_not_pay():
    made = net()
    report = SparseLayout().run(made, Clock(times, more=200.0))
    assert modes(made) == DENSE and not report.changed
    assert "the network 0.300 ms, with it" in report.layers[0].reason


def test_a_gain_within_the_noise_is_none():
    made = net()

    class Noisy(Clock):
        def times_us(self, graphs):
            found = super().times_us(graphs)
            if len(graphs[0].nodes) > 2:
                found[0] += 150.0  # the same network again takes so much less
            return found

    report = SparseLayout().run(made, Noisy(times))
    assert modes(made) == DENSE and not report.changed
    assert "the network 0.300 ms, with it 0.180 ms" in report.layers[0].reason


def test_dense_layers_are_not_even_timed():
    clock = Clock(times)
    report = SparseLayout().run(net(zeros=0.1), clock)
    assert not report.changed and clock.asked == []
    assert {row.decision for row in report.layers} == {"stays"}


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [
        ("direct", ["DIRECT_SCONV", "DIRECT_SCONV", "GEMM"]),
        ("csr", ["LOWERED_CSRMM", "LOWERED_CSRMM", "SPMDM"]),
        ("compact", ["LOWERED_CCNMM", "LOWERED_CCNMM", "PANELS"]),
    ],
)
def test_a_layout_by_name(layout, wanted):
    made, report = graphc.optimize(net(), [SparseLayout(layout=layout, when="always")])
    assert modes(made) == wanted
    assert report.passes[0].max_change is not None  # it was measured, and within rounding
    back, _ = graphc.optimize(made, [SparseLayout(layout="dense")], measure=False)
    assert modes(back) == DENSE


def test_measured_for_real():
    made, report = graphc.optimize(net(), [SparseLayout()], measure=False)
    assert all(row.us is not None or "stays" in row.decision for row in report.passes[0].layers)
    x = np.random.default_rng(1).standard_normal((1, 8, 9, 9)).astype(np.float32)
    wanted = graphc.compile(net(), target="reference", passes=()).run({"data": x})["y"]
    got = graphc.compile(made, passes=()).run({"data": x})["y"]
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_only_images_have_layouts():
    made = graph(feed(data=(2, 4, 9)), conv("data", "a", 3, more=""))
    report = SparseLayout(when="always").run(made, SimpleNamespace(train=False))
    assert report.layers[0].reason == "no sparse layout for such a layer"


def test_refused():
    assert "'nope' is no layer" in refused([SparseLayout(layers=("nope",))], net())
    told = refused([SparseLayout(layers=("y",), layout="direct")], net())
    assert "layer 'y' has no layout 'direct'" in told
    one = net()
    one.weight(one.value("a:weight")).reshape(-1)[0] = np.nan
    assert "are not finite" in refused([SparseLayout()], one)


def test_off_with_gradients():
    made, report = graphc.optimize(net(), [SparseLayout()], train=True, measure=False)
    assert not report.passes[0].changed and modes(made) == DENSE


def test_a_relu_between_does_no_harm():
    made = graph(feed(data=(1, 8, 9, 9)), conv("data", "a", 16), layer("ReLU", "a", "a"))
    done, _ = graphc.optimize(made, [SparseLayout(layout="direct", when="always")])
    assert done.nodes[1].attrs.conv_mode == "DIRECT_SCONV"
