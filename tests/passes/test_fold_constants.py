"""fold_constants: before and after in the IR's text form, and the same numbers."""

import numpy as np
import pytest
from passes.before_after import check
from passes.ir_text import fc, feed, net, node, one, scale
from texts import feed as input_layer
from texts import graph, layer

import graphc
from graphc.passes import fold_constants
from graphc.passes.fold_constants import FoldConstants

X = (2, 3)
IN = feed(*X)
FOLD = FoldConstants()
FIXED = FoldConstants(fixed_batch=True)


def parameter(name, top, shape):
    dims = ", ".join(map(str, shape))
    attrs = {"shape": f"BlobShape(dim=({dims}))"}
    return node("Parameter", name, {}, {"y": (top, shape)}, {"weight": (shape, "")}, attrs)


def dummy(name, top, shape, value=0.0, type_=""):
    dims = ", ".join(map(str, shape))
    words = [f'type="{type_}"'] * bool(type_) + [f"value={value}"] * bool(value)
    attrs = {"data_filler": f"(Filler({', '.join(words)}))", "shape": f"(BlobShape(dim=({dims})))"}
    return node("DummyData", name, {}, {"y0": (top, shape)}, None, attrs)


def add(a, b, shape=X):
    return node("Eltwise", "add", {"x0": a, "x1": b}, {"y": ("y", shape)})


def folds(before, after, *told, each=FOLD, pinned=(), **words):
    assert check(each, before, after, *pinned, **words).detail == told


def stays(text, *told, **words):
    folds(text, text, *told, **words)


P = parameter("p", "p", X)


def test_what_follows_from_a_parameter():
    chain = (one("TanH", "t", "p t", X), fc("f", "t f", X, 3), one("ReLU", "r", "f r", X))
    after = net(IN, parameter("r", "r", X), add("data", "r"))
    folds(net(IN, P, *chain, add("data", "r")), after, "r (ReLU) is constant: Parameter")


def test_a_parameter_alone_is_none():
    stays(net(IN, P, add("data", "p")))


def test_in_place_and_as_output():
    before = net(IN, parameter("p", "p@p", X), one("TanH", "t", "p@p p", X), outputs="data p")
    folds(
        before, net(IN, parameter("t", "p", X), outputs="data p"), "t (TanH) is constant: Parameter"
    )


def test_constants_that_are_read_twice_or_kept():
    chain = (one("TanH", "t", "p t", X), one("ReLU", "r", "t r", X))
    before = net(IN, P, *chain, add("data", "r"), outputs="y")
    after = net(IN, parameter("t", "t", X), parameter("r", "r", X), add("data", "r"), outputs="y")
    told = [f"{n} ({t}) is constant: Parameter" for n, t in (("t", "TanH"), ("r", "ReLU"))]
    folds(before, after, *told, pinned=("t",))
    after = net(IN, P, parameter("r", "r", X), add("data", "r"))
    folds(before, after, told[1], pinned=("p",))
    both = (add("data", "t").replace('"y"', '"s"').replace('"add"', '"add2"'), add("s", "r"))
    after = net(IN, parameter("t", "t", X), parameter("r", "r", X), *both)
    folds(net(IN, P, *chain, *both), after, *told)


def test_what_follows_from_constant_data():
    chain = (one("Power", "q", "d q", X, scale=2.0, shift=1.0), one("ReLU", "r", "q r", X))
    before = net(IN, dummy("d", "d", X, 3.0), *chain, add("data", "r"))
    after = net(IN, dummy("r", "r", X, 7.0), add("data", "r"))
    folds(before, after, "r (ReLU) is constant: DummyData")
    before = net(IN, dummy("d", "d", X), *chain, add("data", "r"))
    folds(before, net(IN, dummy("r", "r", X, 1.0), add("data", "r")),
          "r (ReLU) is constant: DummyData")  # fmt: skip


def test_data_that_takes_another_batch_size_stays_so():
    before = net(IN, dummy("d", "d", X, 3.0), fc("f", "d f", X, 3), add("data", "f"))
    stays(before, "f stays: its batch size may change")
    after = net(IN, parameter("f", "f", X), add("data", "f"))
    folds(before, after, "f (InnerProduct) is constant: Parameter", each=FIXED)


def test_a_sum_over_the_batch_is_no_constant():
    total = node("Reduction", "r", {"x": "d"}, {"y": ("r", ())})
    text = net(IN, dummy("d", "d", X, 3.0), total, node("Scale", "s", {"x": "data", "factor": "r"},
               {"y": ("y", X)}))  # fmt: skip
    stays(text)
    after = net(IN, node("Parameter", "r", {}, {"y": ("r", ())}, {"weight": ((), "")}),
                node("Scale", "s", {"x": "data", "factor": "r"}, {"y": ("y", X)}))  # fmt: skip
    folds(text, after, "r (Reduction) is constant: Parameter", each=FIXED)


@pytest.mark.parametrize(
    "each",
    [
        dummy("d", "d", X, 1.0, "gaussian") + one("TanH", "t", "d t", X),
        P + one("Dropout", "t", "p t", X, header="phase=TRAIN"),
        P + one("TanH", "t", "p t", X, more="  loss y 1.0"),
        P + one("TanH", "t", "p t", X, more="  propagate (false)"),
    ],
)
def test_effects_and_losses_stay(each):
    stays(net(IN, each, add("data", "t")))


def test_several_tops_stay():
    half = {"y0": ("a", (2, 3)), "y1": ("b", (2, 3))}
    cut = node("Slice", "s", {"x": "p"}, half)
    text = net(IN, parameter("p", "p", (2, 6)), cut, add("a", "b"))
    stays(text)


def test_too_large_a_result_stays(monkeypatch):
    text = net(IN, P, one("TanH", "t", "p t", X), add("data", "t"))
    monkeypatch.setattr(fold_constants, "MAX_BYTES", 23)
    stays(text)
    monkeypatch.setattr(fold_constants, "MAX_BYTES", 24)
    assert check(FOLD, text, net(IN, parameter("t", "t", X), add("data", "t"))).changed


def test_off_with_gradients():
    text = net(IN, P, one("TanH", "t", "p t", X), add("data", "t"))
    (told,) = check(FOLD, text, text, train=True).detail
    assert told.startswith("off: ")


def test_parameters_shared_with_others_stay_theirs():
    first = (scale("s", "p s", X), one("TanH", "t", "s t", X))
    other = parameter("o", "o", X).replace('"o:weight"', '"p:weight"')
    known = other.replace(' "p:weight" f32[2,3]', ' "p:weight"')
    before = net(IN, P, *first, known, add("data", "t"), outputs="o y")
    after = net(IN, parameter("t", "t", X), other, add("data", "t"), outputs="o y")
    folds(before, after, "t (TanH) is constant: Parameter")


def test_the_compiled_net_takes_another_batch(tmp_path):
    data = layer("DummyData", "", "d", """dummy_data_param { shape { dim: 2 dim: 3 }
        data_filler { value: 2 } }""")  # fmt: skip
    net_ = graph(input_layer(data=X), data, layer("Power", "d", "p", "power_param { scale: 3 }"),
                 layer("Eltwise", "data p", "y"))  # fmt: skip
    exe = graphc.compile(net_)
    assert [n.op.type for n in exe.graph.nodes] == ["Input", "DummyData", "Eltwise"]
    exe.save(tmp_path / "a.gcz")
    again = graphc.open(tmp_path / "a.gcz", batch=5)
    np.testing.assert_array_equal(again.run({"data": np.ones((5, 3))})["y"], 7)
