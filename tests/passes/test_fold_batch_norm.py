"""fold_batch_norm: before and after in the IR's text form, and the same numbers."""

import numpy as np
import pytest
from passes.before_after import check
from passes.folding import END, FOLD, IN, X, Y, folds, stays
from passes.ir_text import bias, conv, fc, feed, net, norm, one, scale
from texts import fc as fc_layer
from texts import feed as input_layer
from texts import graph, layer

import graphc

SHARED = '  spec name="w"'


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("pad", [0, 1])
def test_into_the_convolution_before(has_bias, group, transposed, pad):
    words = {"group": group, "transposed": transposed, "pad": pad}
    size = 5 + (2 - 2 * pad if transposed else 2 * pad - 2)
    y = (2, 8, size, size)
    end = one("TanH", "end", "z y", y)
    before = net(IN, conv("c", "data c", X, 8, bias=has_bias, **words), norm("bn", "c z", y), end)
    after = net(IN, conv("c", "data z", X, 8, **words), end)
    folds(before, after, "c takes in bn")


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 2), 1), ((2, 3, 4), 2), ((3, 2), 0)])
def test_into_the_inner_product_before(transpose, shape, axis):
    words = {"axis": axis, "transpose": transpose}
    y = (*shape[:axis], 5)
    text = (feed(*shape), fc("f", "data f", shape, 5, **words), norm("bn", "f y", y))
    if axis == 2:
        stays(net(*text), "do not lie along the outputs of 'f'")
    else:
        after = net(feed(*shape), fc("f", "data y", shape, 5, **words))
        folds(net(*text), after, "f takes in bn")


def test_a_whole_run_in_place_goes_at_once():
    run = (
        *(norm("bn", "c@c c@bn", Y), scale("sc", "c@bn c@sc", Y, bias=True)),
        *(bias("b", "c@sc c@b", Y), one("Power", "p", "c@b c@p", Y, scale=-2.0, shift=0.5)),
    )
    relu = one("ReLU", "r", "c@p y", Y)
    before = net(IN, conv("c", "data c@c", X, 4), *run, relu)
    after = net(IN, conv("c", "data c@c+1", X, 4), relu.replace("c@p", "c@c+1"))
    folds(before, after, "c takes in bn, sc, b, p")


def test_what_stands_before_the_norm_goes_along():
    before = net(IN, conv("c", "data c", X, 4), scale("sc", "c s", Y), norm("bn", "s z", Y), END)
    folds(before, net(IN, conv("c", "data z", X, 4), END), "c takes in sc, bn")


def test_a_run_without_a_norm_is_not_its_business():
    text = net(IN, conv("c", "data c", X, 4), scale("sc", "c z", Y), END)
    assert check(FOLD, text, text).detail == ()


@pytest.mark.parametrize(
    "weights",
    [
        {"bn:factor": 0, "bn:mean": 3},
        {"bn:factor": 2.5, "bn:mean": 40, "bn:variance": 1e-3},
        {"bn:variance": 0},
        {"bn:factor": -1, "bn:variance": -0.5},
        {"c:weight": 0, "c:bias": 0},
    ],
)
def test_odd_statistics(weights):
    before = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y), END)
    folds(before, net(IN, conv("c", "data z", X, 4), END), "c takes in bn", weights=weights)


@pytest.mark.parametrize("variance", [-1, -1e-5, np.nan])
def test_a_variance_that_gives_no_number(variance):
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y), END)
    stays(text, "a variance plus eps is not positive", weights={"bn:variance": variance})


def test_no_variance_and_no_eps():
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y, {"eps": "0.0"}), END)
    stays(text, "a variance plus eps is not positive", weights={"bn:variance": 0})


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"c:weight": 1e-37, "bn:variance": 1e10}, "the weights of 'c' would leave the range"),
        ({"c:weight": 1e30, "bn:variance": 1e-20}, "the weights of 'c' would leave the range"),
        ({"c:weight": np.inf}, "the weights of 'c' would leave the range"),
        ({"c:bias": 1e30, "bn:variance": 1e-20}, "the bias of 'c' would leave the range"),
    ],
)
def test_weights_that_float32_could_not_hold(weights, told):
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y, {"eps": "0.0"}), END)
    stays(text, told, weights=weights | {"bn:factor": 1})


def test_several_readers():
    other = one("ReLU", "r", "c r", Y)
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y), END, other, outputs="r y")
    stays(text, "'c' has 2 readers")


def test_kept_and_output_blobs():
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y), END)
    stays(text, "'c' is an output or kept", "c")
    stays(text.replace('output "y"', 'output "c"\noutput "y"'), "'c' is an output or kept")
    folds(text, net(IN, conv("c", "data z", X, 4), END), "c takes in bn", "z")


def test_a_kept_version_keeps_its_name():
    end = one("ReLU", "r", "c@bn c", Y)
    before = net(IN, conv("c", "data c@c", X, 4), norm("bn", "c@c c@bn", Y), end, outputs="c")
    after = net(IN, conv("c", "data c@bn", X, 4), end, outputs="c")
    folds(before, after, "c takes in bn", "c@bn")
    stays(before, "is an output or kept", "c@c")


def test_shared_weights():
    shared = conv("d", "data d", X, 4, more=SHARED).replace('"d:weight" f32[4,4,3,3]', '"c:weight"')
    shared = shared.replace(" out_axis=0 in_axis=1", "")
    text = net(
        *(IN, conv("c", "data c", X, 4, more=SHARED), norm("bn", "c y", Y), shared),
        outputs="d y",
    )
    stays(text, "'c' shares its weights")


def test_a_name_that_nobody_shares_is_no_obstacle():
    before = net(IN, conv("c", "data c", X, 4, more=SHARED), norm("bn", "c z", Y), END)
    after = net(IN, conv("c", "data z", X, 4, more=SHARED), END)
    folds(before, after, "c takes in bn")


def test_two_pairs_that_share_weights():
    pair = conv("c", "data c", X, 4).replace(
        'in x0 "data"', 'in x0 "data"\n  in x1 "data"'
    ) + '  top y1 "d" f32[2,4,3,3]\n'  # fmt: skip
    stays(net(IN, pair, norm("bn", "c y", Y), outputs="d y"), "'c' has several bottoms")


def test_losses_and_stopped_gradients():
    weighted = conv("c", "data c", X, 4, more="  loss y0 2.0")
    stays(net(IN, weighted, norm("bn", "c z", Y), END), "'c' has a loss weight")
    plain = conv("c", "data c", X, 4)
    stays(net(IN, plain, norm("bn", "c z", Y, more="  loss y 2.0"), END), "it has a loss weight")
    stopped = norm("bn", "c z", Y, more="  propagate (false)")
    stays(net(IN, plain, stopped, END), "it stops gradients")


def test_statistics_of_the_batch_stay():
    plain = conv("c", "data c", X, 4)
    own = norm("bn", "c z", Y, {"use_global_stats": "false"})
    stays(net(IN, plain, own, END), "its statistics are the batch's")
    trained = norm("bn", "c z", Y, header="phase=TRAIN")
    stays(net(IN, plain, trained, END), "it is in phase TRAIN")
    fixed = norm("bn", "c z", Y, {"use_global_stats": "true"}, header="phase=TRAIN")
    stays(net(IN, plain, fixed, END), "it is in phase TRAIN")


def test_statistics_that_another_layer_updates():
    other = norm("bn", "data o", X, {"use_global_stats": "false"})
    second = norm("bn2", "c z", Y)
    for role in ("mean", "variance", "factor"):
        second = second.replace(f'"bn2:{role}" f32[{1 if role == "factor" else 4}]', f'"bn:{role}"')
    second = second.replace(" kind=STATE", "").replace(" out_axis=0", "")
    text = net(IN, conv("c", "data c", X, 4), other, second, END, outputs="o y")
    stays(text, "another layer updates its statistics")


def test_off_with_gradients():
    text = net(IN, conv("c", "data c", X, 4), norm("bn", "c z", Y), END)
    stays(text, "off: with gradients", train=True)


def test_an_empty_batch():
    x, y = (0, 4, 5, 5), (0, 4, 3, 3)
    before = net(feed(*x), conv("c", "data c", x, 4), norm("bn", "c y", y))
    folds(before, net(feed(*x), conv("c", "data y", x, 4)), "c takes in bn")


# Numbers.


def test_rounded_once():
    """Statistics and coefficients meet in float64, whatever float32 made of them in between."""
    net_ = graph(
        input_layer(data=(4, 3)),
        fc_layer("data", "f", 5),
        layer("BatchNorm", "f", "f", name="bn"),
        layer("Scale", "f", "f", "scale_param { bias_term: true }", name="sc"),
        layer("Power", "f", "f", "power_param { scale: 0.3 shift: 0.7 }", name="p"),
    )
    rng = np.random.default_rng(0)
    for arrays in net_.params.values():
        for array in arrays:
            array[...] = rng.uniform(0.3, 1.7, array.shape)
    w, b = (a.astype(np.float64) for a in net_.params["f"])
    mean, variance, factor = (a.astype(np.float64) for a in net_.params["bn"])
    gamma, beta = (a.astype(np.float64) for a in net_.params["sc"])
    step, shift = float(np.float32(0.3)), float(np.float32(0.7))
    a = 1 / np.sqrt(variance / factor + float(np.float32(1e-5))) * gamma * step
    d = beta - mean / factor / np.sqrt(variance / factor + float(np.float32(1e-5))) * gamma
    folded, _ = graphc.optimize(net_, [FOLD])
    weight, bias_ = folded.params["f"]
    np.testing.assert_array_equal(weight, (w * a[:, None]).astype(np.float32))
    np.testing.assert_allclose(bias_, b * a + d * step + shift, rtol=1e-7)
    assert [n.op.type for n in folded.nodes] == ["Input", "InnerProduct"]


def test_later_weights_are_the_compiled_nets():
    net_ = graph(
        input_layer(data=(4, 3)), fc_layer("data", "f", 5), layer("BatchNorm", "f", "y", name="bn")
    )
    exe = graphc.compile(net_)
    assert list(exe.params) == ["f"]
    x = np.ones((4, 3))
    exe.params["f"][0][...] = 2
    exe.params["f"][1][...] = 1
    np.testing.assert_allclose(exe.run({"data": x})["y"], 7)
    assert list(net_.params) == ["f", "bn"]
