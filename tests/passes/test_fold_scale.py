"""fold_scale: before and after in the IR's text form, and the same numbers."""

import numpy as np
import pytest
from passes.before_after import check
from passes.ir_text import bias, conv, fc, feed, net, node, norm, one, scale
from texts import fc as fc_layer
from texts import feed as input_layer
from texts import graph, layer

import graphc
from graphc.passes.fold_scale import FoldScale

X, Y = (2, 4, 5, 5), (2, 4, 3, 3)
IN = feed(*X)
CONV = conv("c", "data c", X, 4)
END = one("TanH", "end", "z y", Y)
FOLD = FoldScale()


def folds(before, after, *told, pinned=(), **words):
    report = check(FOLD, before, after, *pinned, **words)
    assert report.detail == told


def stays(text, told, **words):
    report = check(FOLD, text, text, **words)
    assert any(told in line for line in report.detail), report.detail


@pytest.mark.parametrize(
    "each",
    [
        scale("s", "c z", Y),
        scale("s", "c z", Y, bias=True),
        bias("s", "c z", Y),
        one("Power", "s", "c z", Y, scale=-3.0, shift=0.25),
        scale("s", "c z", Y, axes=0),
    ],
)
def test_each_type(each):
    folds(net(IN, CONV, each, END), net(IN, conv("c", "data z", X, 4), END), "c takes in s")


def test_no_bias_is_made_for_a_factor():
    bare = conv("c", "data c", X, 4, bias=False)
    after = net(IN, conv("c", "data z", X, 4, bias=False), END)
    folds(net(IN, bare, scale("s", "c z", Y), END), after, "c takes in s")
    power = one("Power", "s", "c z", Y, scale=2.0)
    folds(net(IN, bare, power, END), after, "c takes in s")


@pytest.mark.parametrize(("axis", "axes"), [(0, 1), (2, 1), (3, 1), (1, 2), (1, 3), (0, 4)])
def test_other_axes_stay(axis, axes):
    each = scale("s", "c z", Y, axis=axis, axes=axes)
    stays(net(IN, CONV, each, END), "do not lie along the outputs of 'c'")


def test_more_axes_of_extent_one_do_not_matter():
    x, y = (2, 4, 3, 3), (2, 4, 1, 1)
    each = scale("s", "c y", y, axes=3)
    before = net(feed(*x), conv("c", "data c", x, 4), each)
    folds(before, net(feed(*x), conv("c", "data y", x, 4)), "c takes in s")


def test_a_second_bottom_stays():
    ins = {"x": "c", "factor": "k"}
    pair = node("Scale", "s", ins, {"y": ("z", Y)})
    text = net(IN, feed(4, name="k", layer="in2"), CONV, pair, END)
    stays(text, "its coefficients are another layer's top")
    pair = node("Bias", "s", {"x": "c", "offset": "k"}, {"y": ("z", Y)})
    text = net(IN, feed(4, name="k", layer="in2"), CONV, pair, END)
    stays(text, "its coefficients are another layer's top")


@pytest.mark.parametrize(
    ("attrs", "told"),
    [
        ({"power": 2.0}, "its power is 2, its scale 1"),
        ({"scale": 0.0, "shift": 3.0}, "its power is 1, its scale 0"),
        ({"power": 0.0}, "its power is 0"),
    ],
)
def test_powers_that_are_not_linear_stay(attrs, told):
    stays(net(IN, CONV, one("Power", "s", "c z", Y, **attrs), END), told)


def test_a_relu_between_is_no_way():
    """A negative factor must not pass it, and none does."""
    relu = one("ReLU", "r", "c r", Y)
    stays(
        net(IN, CONV, relu, scale("s", "r z", Y), END),
        "s stays: before it comes ReLU 'r'; after it comes TanH 'end'",
        weights={"s:weight": -1},
    )


def test_beside_a_norm_only_what_is_its_business():
    b = norm("bn", "s z", Y)
    after = net(IN, conv("c", "data s", X, 4), b, END)
    folds(net(IN, CONV, scale("s", "c s", Y), b, END), after, "c takes in s")
    text = net(IN, CONV, norm("bn", "c s", Y), scale("s", "s z", Y), END)
    stays(text, "s stays: before it comes BatchNorm 'bn'")


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_an_inner_product_takes_any_of_its_axes_in(axes):
    each = scale("s", "t s", X, axes=axes, bias=True)
    tanh = one("TanH", "t", "data t", X)
    before = net(IN, tanh, each, fc("f", "s y", X, 3))
    folds(before, net(IN, tanh, fc("f", "t y", X, 3)), "f takes in s")
    before = net(IN, tanh, scale("s", "t s", X, axis=3), fc("f", "s y", X, 3, transpose=True))
    folds(before, net(IN, tanh, fc("f", "t y", X, 3, transpose=True)), "f takes in s")


def test_but_not_those_before_its_axis():
    each = scale("s", "t s", X)
    tanh = one("TanH", "t", "data t", X)
    stays(net(IN, tanh, each, fc("f", "s y", X, 3, axis=2)), "do not lie along the inputs of 'f'")


def test_a_factor_passes_padding_a_shift_does_not():
    tanh = one("TanH", "t", "data t", X)
    padded = conv("c", "s y", X, 4, pad=1)
    after = net(IN, tanh, conv("c", "t y", X, 4, pad=1))
    folds(net(IN, tanh, scale("s", "t s", X), padded), after, "c takes in s")
    stays(net(IN, tanh, bias("s", "t s", X), padded), "its shift cannot pass the padding")
    power = one("Power", "s", "t s", X, scale=2.0, shift=1e-6)
    stays(net(IN, tanh, power, padded), "its shift cannot pass the padding")


def test_powers_become_one_power():
    run = (
        one("Power", "p", "data p", X, scale=2.0, shift=1.0),
        one("Power", "q", "p q", X, scale=0.5, shift=-3.0),
    )
    after = one("Power", "q", "data q", X, shift=-2.5)
    relu = one("ReLU", "r", "q y", X)
    folds(net(IN, *run, relu), net(IN, after, relu), "p, q become Power q")


def test_a_run_becomes_one_layer_for_each_axis():
    run = (
        *(scale("a", "data a", X, axis=2), bias("b", "a b", X, axis=2)),
        *(scale("c", "b c", X), one("Power", "d", "c d", X, shift=1.0)),
    )
    after = (scale("b", "data b", X, axis=2, bias=True), scale("d", "b d", X, bias=True))
    relu = one("ReLU", "r", "d y", X)
    told = "a, b become Scale b", "c, d become Scale d"
    folds(net(IN, *run, relu), net(IN, *after, relu), *told)


def test_part_of_a_run_goes_each_way():
    """The first layers into what is before, the last into what is after, the rest becomes one."""
    run = (
        *(scale("a", "c a", Y), scale("b", "a b", Y, axis=2)),
        *(bias("d", "b d", Y, axis=2), scale("e", "d e", Y)),
    )
    last = conv("f", "e y", Y, 2, kernel=1)
    after = (scale("d", "a d", Y, axis=2, bias=True), conv("f", "d y", Y, 2, kernel=1))
    told = "c takes in a", "f takes in e", "b, d become Scale d"
    folds(net(IN, CONV, *run, last), net(IN, conv("c", "data a", X, 4), *after), *told)


def test_a_kept_blob_divides_a_run():
    run = (scale("a", "c a", Y), scale("b", "a z", Y))
    after = net(IN, conv("c", "data a", X, 4), run[1], END)
    told = "c takes in a", "b stays: before it comes Scale 'a'; after it comes TanH 'end'"
    report = check(FOLD, net(IN, CONV, *run, END), after, "a")
    assert report.detail[0] == told[0] and report.detail[1].startswith("b stays: ")


def test_in_place_on_a_net_input():
    """The input keeps its name; `data`, which was the scaled blob, is gone."""
    net_ = graph(
        input_layer(data=(2, 3)),
        layer("Power", "data", "data", "power_param { scale: 2 shift: 1 }", name="p"),
        fc_layer("data", "y", 4),
    )
    short, _ = graphc.optimize(net_, [FOLD])
    assert [n.op.type for n in short.nodes] == ["Input", "InnerProduct"]
    x = np.random.default_rng(0).normal(size=(2, 3))
    plain = graphc.compile(net_, passes=(), target="reference").run({"data": x})
    found = graphc.compile(short, passes=(), target="reference", keep="all").run({"data": x})
    np.testing.assert_allclose(found["y"], plain["y"], rtol=1e-6)
    assert set(found) == {"data@in", "y"}


def test_rounded_once():
    net_ = graph(
        input_layer(data=(4, 3)),
        fc_layer("data", "f", 5),
        *[layer("Scale", f"{'fabcd'[i]}", "abcde"[i]) for i in range(5)],
    )
    rng = np.random.default_rng(0)
    whole = np.ones(5)
    for name in "abcde":
        net_.params[name][0][...] = rng.uniform(0.3, 1.7, 5)
        whole = whole * net_.params[name][0]
    folded, _ = graphc.optimize(net_, [FOLD])
    expected = (net_.params["f"][0].astype(np.float64) * whole[:, None]).astype(np.float32)
    np.testing.assert_array_equal(folded.params["f"][0], expected)


def test_large_weights_are_folded_in_blocks(monkeypatch):
    from graphc.passes import _linear

    monkeypatch.setattr(_linear, "_ROWS", 10)
    before = net(IN, scale("a", "data a", X, bias=True), CONV.replace('"data"', '"a"'),
                 scale("b", "c z", Y, bias=True), END)  # fmt: skip
    folds(before, net(IN, conv("c", "data z", X, 4), END), "c takes in a", "c takes in b")
