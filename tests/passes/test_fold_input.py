"""fold_input: before and after in the IR's text form, and the same numbers."""

import numpy as np
import pytest
from passes.before_after import check
from passes.ir_text import bias, conv, fc, feed, net, norm, one, scale
from texts import graph, layer

import graphc
from graphc.passes.fold_input import FoldInput

X = (2, 3, 5, 5)
IN = feed(*X)
FOLD = FoldInput()


def folds(before, after, *told, **words):
    assert check(FOLD, before, after, **words).detail == told


def test_mean_and_scale():
    run = (bias("mean", "data m", X), one("Power", "scale", "m s", X, scale=0.017))
    before = net(IN, *run, conv("c", "s y", X, 4, bias=False))
    folds(before, net(IN, conv("c", "data y", X, 4)), "c takes in mean, scale")


def test_a_shift_stays_before_padding_a_factor_does_not():
    run = (bias("mean", "data m", X), one("Power", "scale", "m s", X, scale=0.017))
    before = net(IN, *run, conv("c", "s y", X, 4, pad=1))
    after = net(IN, run[0], conv("c", "m y", X, 4, pad=1))
    told = "mean stays: its shift cannot pass the padding of 'c'"
    folds(before, after, "c takes in scale", told)


def test_norm_of_the_input():
    before = net(
        IN, norm("bn", "data b", X), scale("sc", "b s", X, bias=True), fc("f", "s y", X, 2)
    )
    folds(before, net(IN, fc("f", "data y", X, 2)), "f takes in bn, sc")


def test_all_that_read_it():
    before = net(
        *(IN, scale("s", "data s", X), conv("c", "s c", X, 4, pad=1), fc("f", "s f", X, 2)),
        outputs="c f",
    )
    after = net(IN, conv("c", "data c", X, 4, pad=1), fc("f", "data f", X, 2), outputs="c f")
    folds(before, after, "c, f take in s")
    relu = one("ReLU", "r", "s r", X)
    text = before.replace('output "c"', f'{relu}output "c"\noutput "r"').replace('output "f"\n', "")
    text = text.replace('output "c"\noutput "r"\n', 'output "c"\noutput "f"\noutput "r"\n')
    folds(text, text, "s stays: after it comes ReLU 'r'")


def test_the_input_may_have_other_readers():
    relu = one("ReLU", "r", "data r", X)
    before = net(IN, scale("s", "data s", X), conv("c", "s c", X, 4), relu, outputs="c r")
    folds(before, net(IN, conv("c", "data c", X, 4), relu, outputs="c r"), "c takes in s")


def test_only_what_reads_an_input_is_its_business():
    relu = one("ReLU", "r", "data r", X)
    text = net(IN, relu, scale("s", "r s", X), conv("c", "s y", X, 4))
    folds(text, text)


def test_off_with_gradients():
    text = net(IN, scale("s", "data s", X), conv("c", "s y", X, 4))
    assert check(FOLD, text, text, train=True).detail[0].startswith("off: ")


@pytest.mark.parametrize("keep", [(), ("data",)])
def test_after_a_data_layer(keep):
    data = layer("DummyData", "", "data", """dummy_data_param { shape { dim: 2 dim: 3 }
        data_filler { type: "gaussian" } }""")  # fmt: skip
    ip = layer("InnerProduct", "data", "y", """inner_product_param { num_output: 2
        weight_filler { type: "xavier" } }""")  # fmt: skip
    power = layer("Power", "data", "data", "power_param { scale: 3 shift: 1 }", name="p")
    net_ = graph(data, power, ip)
    found = graphc.compile(net_, passes=["fold_input"], target="reference", keep=keep)
    plain = graphc.compile(net_, passes=(), target="reference").run()
    np.testing.assert_allclose(found.run()["y"], plain["y"], rtol=1e-5)
    assert len(found.graph.nodes) == (3 if keep else 2)
