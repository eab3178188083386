"""Random passes in random orders on random nets: a surviving name always means its old value."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, note, settings
from hypothesis import strategies as st
from texts import feed, graph, layer

import graphc
from graphc.ir.edit import bypass
from graphc.ir.text import print_graph
from graphc.ops.power import Power
from graphc.passes.base import Pass, Report
from graphc.passes.prune_weights import PruneWeights
from graphc.passes.quantize_weights import QuantizeWeights
from graphc.passes.sparse_layout import SparseLayout

EXAMPLES = 150
SHARED = ("", ' param { name: "w" } param { name: "b" }')


class DropIdentity(Pass):
    """The pass of docs/new-pass.md."""

    name = "drop_identity"

    def run(self, graph, ctx):
        dropped = [
            n.name
            for n in list(graph.nodes)
            if n.op is Power and n.attrs == n.op.Attrs()
            if bypass(graph, n, n.outs["y"], n.ins["x"], ctx.pinned)
        ]
        return Report(self.name, bool(dropped), tuple(dropped))


@dataclass
class Net:
    """Layers whose blobs all have 4 x 3 elements; `names` are blobs that may be read."""

    draw: object
    layers: list[str] = field(default_factory=lambda: [feed(data=(4, 3), more=(4, 3))])
    names: list[str] = field(default_factory=lambda: ["data", "more"])

    def pick(self, choices):
        return self.draw(st.sampled_from(choices))

    def add(self):
        name = self.pick(["l", f"l{len(self.layers)}"])  # some layers share a name
        kind = self.pick(["fc", "Dropout", "Power", "TanH", "ReLU6", "Split", "Eltwise", "Silence"])
        x = self.pick(self.names)
        y = self.pick([x, f"b{len(self.layers)}"])
        more = self.pick(["", "", "", "loss_weight: 0.5", "propagate_down: false"])
        if kind == "fc":
            y = f"b{len(self.layers)}"
            more += self.pick(SHARED)
            more += ' inner_product_param { num_output: 3 weight_filler { type: "xavier" } }'
            self.layers.append(layer("InnerProduct", x, y, more, name))
        elif kind == "Split":
            y, z = f"b{len(self.layers)}", f"c{len(self.layers)}"
            self.names.append(z)
            self.layers.append(layer(kind, x, f"{y} {z}", name=name))
        elif kind == "Eltwise":
            y = f"b{len(self.layers)}"
            self.layers.append(layer(kind, f"{x} {self.pick(self.names)}", y, name=name))
        elif kind == "Silence":
            self.layers.append(layer(kind, x, name=name))
            return
        else:
            more += self.pick(["", " relu6_param { negative_slope: 0.5 }"]) * (kind == "ReLU6")
            self.layers.append(layer(kind, x, y, more, name))
        self.names = list(dict.fromkeys([*self.names, y]))


@st.composite
def cases(draw, more=()):
    net = Net(draw)
    for _ in range(draw(st.integers(1, 9))):
        net.add()
    known = ["remove_dead_code", "remove_dropout", "remove_identity", "merge_common", DropIdentity]
    known += more
    passes = draw(st.lists(st.sampled_from(known), max_size=4))
    keep = draw(st.lists(st.sampled_from(net.names), max_size=2))
    return "".join(net.layers), passes, keep


@settings(max_examples=EXAMPLES)
@given(cases())
def test_surviving_names_keep_their_values(case):
    text, passes, keep = case
    note(text)
    net = graph(text)
    before = print_graph(net)
    x = np.random.default_rng(5).normal(size=(2, 4, 3))
    feeds = {"data": x[0], "more": x[1]}
    plain = graphc.compile(net, passes=(), keep="all").run(feeds)
    short, report = graphc.optimize(net, passes, keep=keep)
    assert print_graph(net) == before
    assert all(r.max_change == 0 for r in report.passes if r.name != "expand")
    for exe in (graphc.compile(net, passes=passes, keep=keep), graphc.compile(short, keep=keep)):
        found = exe.run(feeds)
        assert list(found)[: len(net.outputs)] == [v.name for v in net.outputs]
        assert set(keep) <= set(found)
    whole = graphc.compile(short, passes=(), keep="all").run(feeds)
    for name, array in whole.items():
        if name in plain:  # else an inner blob of an expansion
            np.testing.assert_array_equal(array, plain[name], err_msg=name)


@settings(max_examples=EXAMPLES // 2)
@given(cases())
def test_gradients_survive_passes(case):
    """Of inputs, and of the parameters of layers that are left."""
    text, passes, keep = case
    note(text)
    net = graph(text)
    x = np.random.default_rng(5).normal(size=(2, 4, 3))
    found = []
    for chosen in ((), passes):
        exe = graphc.compile(net, passes=chosen, keep=keep, train=True)
        tops = exe.run({"data": x[0], "more": x[1]})
        found.append((exe.loss(), exe.backward({n: 2 * tops[n] for n in exe.outputs})))
    (loss, plain), (other, short) = found
    assert other == loss
    for name, slope in short.blobs.items():
        np.testing.assert_allclose(slope, plain.blobs[name], rtol=1e-5, atol=1e-6)
    for name, arrays in short.params.items():
        if len(arrays) == len(plain.params[name]):
            for a, b in zip(arrays, plain.params[name], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


COMPRESSING = (
    PruneWeights(sparsity=0.5),
    PruneWeights(sparsity=0.7, scope="global", pattern="2x1"),
    QuantizeWeights(bits=2),
    SparseLayout(layout="csr", when="always"),
    SparseLayout(layout="compact", when="always"),
)


@settings(max_examples=EXAMPLES // 2)
@given(cases(COMPRESSING))
def test_passes_that_change_weights_leave_networks_that_run(case):
    """And kernels of what they leave agree with the reference."""
    text, passes, keep = case
    note(text)
    net = graph(text)
    before = print_graph(net)
    short, _ = graphc.optimize(net, passes, keep=keep, measure=False)
    assert print_graph(net) == before
    x = np.random.default_rng(5).normal(size=(2, 4, 3))
    feeds = {"data": x[0], "more": x[1]}
    made = graphc.compile(short, passes=(), keep=keep).run(feeds)
    wanted = graphc.compile(short, passes=(), keep=keep, target="reference").run(feeds)
    for name, array in wanted.items():
        np.testing.assert_allclose(made[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
