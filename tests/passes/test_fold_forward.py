"""Folding into the layers after, and into one layer: before and after in the IR's text form."""

import pytest
from passes.before_after import check
from passes.folding import END, FOLD, IN, X, Y, folds, stays
from passes.ir_text import bias, conv, fc, feed, net, node, norm, one, scale

TANH = one("TanH", "t", "data t", X)


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("has_bias", [True, False])
def test_into_the_convolution_after(group, has_bias):
    words = {"group": group}
    before = net(IN, TANH, norm("bn", "t b", X), conv("c", "b y", X, 8, bias=has_bias, **words))
    folds(before, net(IN, TANH, conv("c", "t y", X, 8, **words)), "c takes in bn")


@pytest.mark.parametrize("transpose", [False, True])
def test_into_the_inner_product_after(transpose):
    words = {"transpose": transpose}
    before = net(IN, TANH, norm("bn", "t b", X), fc("f", "b y", X, 6, bias=False, **words))
    folds(before, net(IN, TANH, fc("f", "t y", X, 6, **words)), "f takes in bn")


def test_a_shift_does_not_pass_padding():
    text = net(IN, TANH, norm("bn", "t b", X), conv("c", "b y", X, 4, pad=1))
    stays(text, "its shift cannot pass the padding of 'c'")
    after = net(IN, TANH, conv("c", "t y", X, 4, pad=1))
    folds(text, after, "c takes in bn", weights={"bn:mean": 0})


def test_nor_a_transposed_kernel_whose_sums_differ_by_place():
    wide = conv("c", "b y", X, 4, transposed=True)
    text = net(IN, TANH, norm("bn", "t b", X), wide)
    stays(text, "its shift cannot pass the padding of 'c'")
    after = net(IN, TANH, wide.replace('"b"', '"t"'))
    folds(text, after, "c takes in bn", weights={"bn:mean": 0})
    point = conv("c", "b y", X, 4, kernel=1, transposed=True)
    after = net(IN, TANH, point.replace('"b"', '"t"'))
    folds(net(IN, TANH, norm("bn", "t b", X), point), after, "c takes in bn")


def test_only_as_far_as_the_shift_allows():
    head = (IN, TANH)
    run = (bias("s", "t s", X), norm("bn", "s b", X, {"eps": "0.0"}))
    before = net(*head, *run, conv("c", "b y", X, 4, pad=1))
    after = net(*head, run[0], conv("c", "s y", X, 4, pad=1))
    report = check(FOLD, before, after, weights={"bn:mean": 0})
    assert report.detail == ("c takes in bn",)


def test_all_readers_must_agree():
    plain = (conv("c", "b c", X, 4), conv("d", "b d", X, 2, kernel=1, bias=False))
    head = (IN, TANH, norm("bn", "t b", X))
    after = (conv("c", "t c", X, 4), conv("d", "t d", X, 2, kernel=1))
    folds(
        net(*head, *plain, outputs="c d"), net(IN, TANH, *after, outputs="c d"), "c, d take in bn"
    )
    relu = one("ReLU", "r", "b r", X)
    stays(net(*head, *plain, relu, outputs="c d r"), "after it comes ReLU 'r'")
    padded = conv("p", "b p", X, 2, pad=1)
    stays(net(*head, *plain, padded, outputs="c d p"), "its shift cannot pass the padding of 'p'")


def test_what_comes_before_is_preferred():
    before = net(IN, conv("c", "data c", X, 4), norm("bn", "c b", Y), conv("d", "b y", Y, 4))
    after = net(IN, conv("c", "data b", X, 4), conv("d", "b y", Y, 4))
    folds(before, after, "c takes in bn")


def test_one_layer_takes_in_both_sides():
    before = net(
        *(IN, TANH, norm("a", "t a", X), conv("c", "a c", X, 4), norm("b", "c z", Y), END),
    )
    report = check(FOLD, before, net(IN, TANH, conv("c", "t z", X, 4), END))
    assert report.detail == ("c takes in a", "c takes in b")


@pytest.mark.parametrize("late", [True, False])
def test_an_input_is_not_read_after_it_was_overwritten(late):
    """A prototxt has nothing to read then."""
    relu = one("ReLU", "r", "data@in data", X)
    body = (norm("bn", "data@in b", X), *((relu,) * late), conv("c", "b y", X, 4))
    text = net(feed(*X, name="data@in"), *body, *((relu,) * (not late)), outputs="data y")
    if late:
        stays(text, "'data' is overwritten before it would be read")
    else:
        after = (conv("c", "data@in y", X, 4), relu)
        folds(text, net(feed(*X, name="data@in"), *after, outputs="data y"), "c takes in bn")


def test_unless_in_place_by_what_goes():
    before = net(feed(*X, name="data@in"), norm("bn", "data@in data", X), conv("c", "data y", X, 4))
    after = net(feed(*X, name="data@in"), conv("c", "data@in y", X, 4))
    folds(before, after, "c takes in bn")


# Where nothing linear is near.


def test_norm_and_scale_become_one_scale():
    run = (norm("bn", "t b", X), scale("sc", "b s", X, bias=True))
    relu = one("ReLU", "r", "s y", X)
    after = net(IN, TANH, scale("sc", "t s", X, bias=True), relu)
    folds(net(IN, TANH, *run, relu), after, "bn, sc become Scale sc")


def test_the_one_layer_stands_where_the_first_stood():
    """So that it reads its bottom before another layer overwrites that."""
    relu = one("ReLU", "r", "data@in data", X)
    run = (norm("bn", "data@in b", X), relu, scale("sc", "b s", X, bias=True))
    head, end = feed(*X, name="data@in"), one("TanH", "t", "s y", X)
    after = net(head, scale("sc", "data@in s", X, bias=True), relu, end, outputs="data y")
    folds(net(head, *run, end, outputs="data y"), after, "bn, sc become Scale sc")


def test_other_axes_do_not_mix():
    run = (norm("bn", "t b", X), scale("sc", "b s", X, axis=2))
    relu = one("ReLU", "r", "s y", X)
    stays(net(IN, TANH, *run, relu), "bn stays: before it comes TanH 't'")


def test_norms_of_vectors_are_scalars():
    run = (norm("bn", "data b", (4,)), one("Power", "p", "b s", (4,), scale=2.0, shift=1.0))
    made = node(
        "Scale", "p", {"x": "data"}, {"y": ("s", (4,))},
        {"weight": ((), "filler=Filler(value=1.0)"), "bias": ((), "")},
        {"axis": 0, "num_axes": 0, "bias_term": "true"},
    )  # fmt: skip
    relu = one("ReLU", "r", "s y", (4,))
    after = net(feed(4), made, relu)
    folds(net(feed(4), *run, relu), after, "bn, p become Scale p")


def test_no_bias_where_there_is_no_shift():
    run = (scale("sc", "t s", X), norm("bn", "s b", X))
    relu = one("ReLU", "r", "b y", X)
    after = net(IN, TANH, scale("bn", "t b", X, bias=True), relu)
    folds(net(IN, TANH, *run, relu), after, "sc, bn become Scale bn")
