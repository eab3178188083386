"""The model's lowering: what is a view, what is added up in place, and that nothing is computed
otherwise than the graph says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lower.nets import DENSE, EVERY, INCEPTION, INPUT, RESIDUAL, SHARED, TWICE, conv, layer, loss
from lower.run_graph import Lowered, feed, load, lowered, prepared

import graphc
from graphc.ir.graph import Graph, Role
from graphc.ir.op import Effect
from graphc.lower._draft import ADDEND
from graphc.plan.timeline import timeline
from graphc.program import BufferKind, Call

Make = Callable[..., Lowered]


@pytest.fixture
def lower_text(tmp_path: Path) -> Make:
    def lower(text: str, *, train: bool = False, keep: str = "") -> Lowered:
        graph = load(text, tmp_path, train=train)
        values = {v.name: v for v in graph.values()}
        return lowered(graph, {values[name] for name in keep.split()})

    return lower


def tops(graph: Graph) -> set:
    return {n.outs[r] for n in graph.forward_nodes() for r in n.tops}


def calls(made: Lowered, layer: str, part: str = "") -> list[Call]:
    return [c for c in made.program.calls if c.name == layer and c.part.startswith(part)]


def root_name(made: Lowered, value: str) -> str:
    program = made.program
    return program.root(program.values[value]).name


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_planned_is_unplanned_bit_for_bit(name: str, train: bool, lower_text: Make) -> None:
    made = lower_text(EVERY[name], train=train)
    planned, separate = made.run(), made.run(planned=False)
    assert planned.keys() == separate.keys()
    for key, array in separate.items():
        assert planned[key].tobytes() == array.tobytes(), key
        assert np.isfinite(array).all(), key


@pytest.mark.parametrize("name", EVERY)
def test_training_computes_what_the_graph_says(name: str, tmp_path: Path) -> None:
    graph = load(EVERY[name], tmp_path, train=True)
    made = lowered(graph, tops(graph) | {*graph.grads.values()})
    results = made.run()
    path = tmp_path / "net.prototxt"
    exe = graphc.compile(
        graphc.load(path, phase="TRAIN"), target="reference", train=True, keep="all"
    )
    rng = np.random.default_rng(0)
    dims = {blob: made.program.buffers[b].dims for blob, b in made.program.inputs.items()}
    outs = exe.forward({blob: feed(rng, blob, shape) for blob, shape in dims.items()})
    grads = exe.backward()
    close = {"rtol": 2e-4, "atol": 2e-5}
    assert outs.keys() >= {v.name for v in graph.outputs}
    for blob, array in outs.items():
        np.testing.assert_allclose(results[blob], array, **close, err_msg=blob)
    for layer_name, blobs in graph.layer_params().items():
        for index, value in enumerate(blobs):
            grad = graph.grads.get(value.name)
            if grad is not None:
                expected = grads.params[layer_name][index]
                np.testing.assert_allclose(
                    results[grad.name], expected, **close, err_msg=value.name
                )


@pytest.mark.parametrize("name", EVERY)
def test_every_blob_may_be_kept(name: str, tmp_path: Path) -> None:
    """However values share bytes, one that is kept holds its own value when forward ends."""
    for train in (False, True):
        graph = load(EVERY[name], tmp_path, train=train)
        everything = lowered(graph, tops(graph)).run()
        for value in tops(graph):
            alone = lowered(graph, {value}).run()
            assert alone[value.name].tobytes() == everything[value.name].tobytes()


@pytest.mark.parametrize(
    ("name", "batch"), [("lenet", 2), ("cifar10_quick", 2), ("cifar10_full", 1), ("resnet20", 1)]
)
def test_whole_networks(name: str, batch: int, root: Path) -> None:
    path = root / "models" / name / "train.prototxt"
    for train in (False, True):
        made = lowered(prepared(path, train=train, batch=batch))
        planned, separate = made.run(), made.run(planned=False)
        assert all(planned[k].tobytes() == separate[k].tobytes() for k in separate)
        # untrained statistics let activations explode outside of training
        assert np.isfinite(planned["loss"]) or not train


def test_bottoms_of_a_concat_are_written_where_it_lies(lower_text: Make) -> None:
    made = lower_text(INCEPTION)
    assert not calls(made, "join")
    for blob in ("a", "b2", "c"):
        assert root_name(made, blob) == "join"
        assert root_name(made, f"{blob}@{blob}") == "join"  # before ReLU, in the same place
    program = made.program
    views = [program.buffers[program.values[blob]] for blob in ("a", "b2", "c")]
    assert [v.dims for v in views] == [(2, 2, 6, 6), (2, 4, 6, 6), (2, 2, 6, 6)]
    assert {v.strides for v in views} == {(288, 36, 6, 1)}
    assert [v.view_of[1] for v in views] == [0, 2 * 144, 6 * 144]
    reads = calls(made, "d")[0].reads
    assert reads[0].version == 6  # three slices, each written by a convolution and by ReLU


def test_a_bottom_in_two_concats_is_copied_once(lower_text: Make) -> None:
    made = lower_text(TWICE)
    copies = [c for c in made.program.calls if c.variants[0].symbol == "copy"]
    assert [c.name for c in copies] == ["same", "other", "given"]
    assert root_name(made, "stem") == root_name(made, "given")
    assert root_name(made, "data") == "data"


def test_concats_of_concats_share_one_root(lower_text: Make) -> None:
    made = lower_text(DENSE)
    assert {root_name(made, blob) for blob in ("j1", "x1", "j2", "x2", "j3", "x3")} == {"j3"}
    assert root_name(made, "data") == "data"


def test_a_view_in_a_concat_takes_its_root_along(lower_text: Make) -> None:
    made = lower_text(EVERY["flattened"])
    assert [c.name for c in made.program.calls] == ["a", "b", "fc", "loss"]
    a = made.program.buffers[made.program.values["a"]]
    assert (a.dims, a.strides) == ((2, 2, 6, 6), (180, 36, 6, 1))


def test_what_strides_cannot_say_is_copied(lower_text: Make) -> None:
    made = lower_text(EVERY["strided"])
    assert [c.name for c in made.program.calls] == ["stem", "fu", "sum", "fc", "loss"]
    assert calls(made, "fu")[0].variants[0].symbol == "copy"
    u = made.program.buffers[made.program.values["u"]]
    assert (u.dims, u.strides, u.view_of) == ((2, 4, 6, 2), (144, 36, 6, 1), (u.view_of[0], 0))


def test_a_slice_that_nobody_needs_is_overwritten(lower_text: Make) -> None:
    text = (
        INPUT
        + conv("stem", "data", "stem", 4)
        + layer("Slice", "cut", "stem", "u v")
        + layer("Sigmoid", "s", "u", "s")
        + layer("Eltwise", "sum", "s v", "sum")
        + loss("sum")
    )
    assert root_name(lower_text(text), "s") == "stem"
    assert root_name(lower_text(text, keep="stem"), "s") == "s"
    assert root_name(lower_text(text, keep="u"), "s") == "s"
    # needed in the backward, it would keep all of stem
    assert root_name(lower_text(text, train=True), "s") == "s"


def test_gradients_of_shared_weights_add_up_in_one_buffer(lower_text: Make) -> None:
    made = lower_text(SHARED, train=True)
    names = [c.name for c in made.program.calls]
    assert not any(name.startswith("sum of") for name in names)
    weights = [c for c in made.program.calls if c.part.startswith("dweight") and c.name != "fc"]
    assert [c.name for c in weights] == ["three", "two", "one"]
    assert [c.writes[0].version for c in weights] == [1, 2, 3]
    assert len({c.writes[0].buffer for c in weights}) == 1
    assert [dict(c.attrs) for c in weights] == [{}, {"accumulate": True}, {"accumulate": True}]
    added = weights[1].reads[-1]
    assert (added.role, added.version) == (ADDEND, 1)
    assert (weights[1].writes[0].role, ADDEND) in weights[1].may_overwrite


def test_a_shortcuts_gradient_is_handed_on_and_summed_in_place(lower_text: Make) -> None:
    made = lower_text(RESIDUAL, train=True)
    program = made.program
    (total,) = [c for c in program.calls if c.name.startswith("sum of")]
    assert not calls(made, "add", "dx")  # both bottoms see the gradient of the sum itself
    first = program.root(total.reads[0].buffer).id
    places = {p.buffer: p.offset for s in made.plan.steps for p in s.operands}
    assert places[total.writes[0].buffer] == places[first]


def test_parameters_come_before_bottoms(lower_text: Make) -> None:
    made = lower_text(INCEPTION, train=True)
    parts = [c.part for c in calls(made, "d") if c.part != "forward"]
    assert parts == ["dweight0", "dbias0", "dx0"]


def test_inner_gradients_come_before_who_reads_them(lower_text: Make) -> None:
    made = lower_text(EVERY["recurrent"], train=True)
    parts = [c.part for c in calls(made, "lstm", "d")]
    assert parts.index("dsums") < min(parts.index(p) for p in parts if p != "dsums")


def test_kept_values_are_numbered_alike_in_every_run(lower_text: Make) -> None:
    ends = [("c0", "data"), *((f"c{k}", f"c{k - 1}") for k in range(1, 9))]
    text = INPUT + "".join(conv(top, bottom, top, 2) for top, bottom in ends)
    names = [b.name for b in lower_text(text, keep="c7 c2 c5 c0 c4").program.buffers]
    assert names[2:8] == ["c8", "c0", "c2", "c4", "c5", "c7"]
    assert names[8:10] == ["c0:weight", "c0:bias"]


def test_kinds_and_sizes(lower_text: Make) -> None:
    made = lower_text(INCEPTION, train=True)
    buffers = {b.name: b for b in made.program.buffers}
    assert buffers["data"].kind is buffers["seed(loss)"].kind is BufferKind.IO
    assert buffers["stem:weight"].kind is BufferKind.PARAM
    assert buffers["p:index"].dtype == "u8"
    assert buffers["p:index"].nbytes == -(-2 * 6 * 36 // 64) * 64
    grads = {b.name for b in buffers.values() if b.kind is BufferKind.GRAD}
    assert len(grads) == 2 * 6 + 2  # weight and bias of five convolutions and fc, two as sums
    assert all("weight" in name or "bias" in name for name in grads)
    assert all(b.nbytes % 64 == 0 for b in buffers.values() if b.view_of is None)
    assert made.program.seeds == {"loss": buffers["seed(loss)"].id}


def test_effects_batches_and_times(lower_text: Make) -> None:
    made = lower_text(RESIDUAL, train=True)
    parts = {c.part: c for c in calls(made, "bn_r1")}
    assert parts["update"].effects == {Effect.STATE}
    assert ("mean", "mean") in parts["update"].may_overwrite
    assert [o.version for o in parts["update"].writes] == [1, 1, 1]
    assert parts["normalize"].effects == frozenset()
    assert parts["normalize"].batch_axis is None  # the batch's statistics tie samples together
    assert calls(made, "r1", "dweight")[0].batch_axis is None
    assert calls(made, "r1", "forward")[0].batch_axis == calls(made, "r1", "dx")[0].batch_axis == 0
    assert all(c.variants[0].est_us >= 5 for c in made.program.calls)
    heavy = calls(lower_text(INPUT + conv("c", "data", "c", 4096, 3) + loss("c")), "c")[0]
    assert heavy.variants[0].est_us > 6
    dropped = lower_text(EVERY["dropped"], train=True)
    assert calls(dropped, "drop")[0].effects == {Effect.RNG}


def test_nodes_are_those_of_the_graph(lower_text: Make) -> None:
    made = lower_text(INCEPTION, train=True)
    for call in made.program.calls:
        node = made.graph.nodes[call.node]
        assert node.name == call.name
        assert (node.role is Role.GRAD) == (call.id in made.program.entries["backward"])


def test_a_net_without_layers(lower_text: Make) -> None:
    made = lower_text(INPUT)
    assert made.program.calls == ()
    assert made.plan.entries == {"forward": (0, 0)}
    assert made.run().keys() == {"data", "label"}


def test_the_timeline_leaves_weight_gradients_apart(lower_text: Make) -> None:
    made = lower_text(SHARED, train=True)
    found = timeline(made.program)
    functional = found.most(BufferKind.ACT, BufferKind.IO)
    assert functional < made.plan.live_bound == found.most(*found.bytes_of)
