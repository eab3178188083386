"""remove_identity: before and after in the IR's text form, and the same numbers."""

import pytest
from passes.before_after import check
from passes.ir_text import bias, conv, feed, net, node, norm, one, scale

from graphc.passes.remove_identity import RemoveIdentity

X = (2, 4, 3, 3)
IN = feed(*X) + one("Power", "t", "data t", X, scale=8.0)
END = one("Sigmoid", "end", "z y", X)
GONE = IN + END.replace('"z"', '"t"')
REMOVE = RemoveIdentity()


def goes(each, **words):
    report = check(REMOVE, net(IN, each, END), net(GONE), **words)
    assert len(report.detail) == 1 and report.detail[0].startswith("removed each ("), report


def stays(*layers, told=(), **words):
    text = net(IN, *layers)
    assert check(REMOVE, text, text, **words).detail == told


def shape(*dims):
    return f"BlobShape(dim=({', '.join(map(str, dims))}))"


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "each",
    [
        one("Power", "each", "t z", X),
        one("Dropout", "each", "t z", X),
        one("Reshape", "each", "t z", X, shape=shape(0, 0, 0, 0)),
        one("Reshape", "each", "t z", X, shape=shape(0, 0, 0, -1)),
        one("Reshape", "each", "t z", X, shape=shape(-1), axis=1, num_axes=1),
        one("Flatten", "each", "t z", X, axis=2, end_axis=2),
        node("Concat", "each", {"x0": "t"}, {"y": ("z", X)}),
        node("Slice", "each", {"x": "t"}, {"y0": ("z", X)}),
        node("Split", "each", {"x": "t"}, {"y0": ("z", X)}),
        node("Eltwise", "each", {"x0": "t", "x1": "data"}, {"y": ("z", X)}, None,
             {"coeff": "(1.0, 0.0)"}),
        node("Eltwise", "each", {"x0": "data", "x1": "t"}, {"y": ("z", X)}, None,
             {"coeff": "(0.0, 1.0)"}),
    ],
)  # fmt: skip
def test_views_of_the_whole_bottom(each, train):
    goes(each, train=train)


def test_a_split_is_a_name():
    both = {"y0": ("a", X), "y1": ("b", X)}
    text = node("Split", "each", {"x": "t"}, both)
    join = node("Eltwise", "j", {"x0": "a", "x1": "b"}, {"y": ("y", X)})
    after = join.replace('"a"', '"t"').replace('"b"', '"t"')
    check(REMOVE, net(IN, text, join), net(IN, after))
    check(REMOVE, net(IN, text, join), net(IN.replace('"t" f32', '"a" f32'),
          join.replace('"b"', '"a"')), "a")  # fmt: skip
    told = "each stays: a name, a loss or a gradient needs it"
    report = check(REMOVE, net(IN, text, join), net(IN, text, join), "a", "b")
    assert report.detail == (told,)


@pytest.mark.parametrize(
    "each",
    [
        one("Reshape", "each", "t z", X, shape=shape(2, 4, 3, 3)),
        one("Reshape", "each", "t z", X, shape=shape(-1, 4, 3, 3)),
        one("Reshape", "each", "t z", X, shape=shape(0, 4, 0, 0)),
        node("Crop", "each", {"x": "t", "ref": "data"}, {"y": ("z", X)}),
        node("Pooling", "each", {"x": "t"}, {"y": ("z", X)}, None,
             {"kernel_size": 3, "pad": 1, "stride": 1}),
    ],
)  # fmt: skip
def test_what_is_none_at_other_sizes_stays(each):
    stays(each, END)


def test_shapes_alone_differ():
    flat = (2, 36)
    stays(one("Flatten", "f", "t f", X).replace("[2,4,3,3]", "[2,36]"),
          one("TanH", "e", "f y", flat))  # fmt: skip


def test_flattening_one_axis():
    x = (2, 4)
    head = feed(*x) + one("TanH", "t", "data t", x)
    end = one("Sigmoid", "end", "z y", x)
    before = net(head, one("Flatten", "each", "t z", x), end)
    check(REMOVE, before, net(head, end.replace('"z"', '"t"')))


@pytest.mark.parametrize(
    ("each", "weights"),
    [
        (scale("each", "t z", X), {"each:weight": 1}),
        (scale("each", "t z", X, bias=True), {"each:weight": 1, "each:bias": 0}),
        (scale("each", "t z", X, axis=0, axes=2), {"each:weight": 1}),
        (bias("each", "t z", X), {"each:bias": 0}),
        (
            norm("each", "t z", X, {"eps": "0.0"}),
            {"each:mean": 0, "each:variance": 1, "each:factor": 1},
        ),
    ],
)
def test_coefficients_that_do_nothing(each, weights):
    goes(each, weights=weights)
    name = next(iter(weights))
    stays(each, END, weights=weights | {name: 0.99})
    stays(each, END, weights=weights, train=True)


def test_other_coefficients_stay():
    stays(norm("each", "t z", X), END)
    stays(scale("each", "t z", X, bias=True), END, weights={"each:weight": 1})
    stays(norm("each", "t z", X, {"use_global_stats": "false", "eps": "0.0"}), END,
          weights={"each:mean": 0, "each:variance": 1, "each:factor": 1})  # fmt: skip
    pair = node("Scale", "each", {"x": "t", "factor": "data"}, {"y": ("z", X)}, None, {"axis": 0})
    stays(pair, END)


@pytest.mark.parametrize(
    ("kernel", "side"),
    [
        ({"kernel_size": 1}, 3),
        ({"kernel_size": 1, "stride": 1, "pool": '"AVE"'}, 3),
        ({"kernel_h": 1, "kernel_w": 1, "stride_h": 1, "stride_w": 1}, 3),
        ({"kernel_size": 2, "stride": 1}, 2),
        ({"kernel_size": 1, "stride": 2}, 2),
        ({"global_pooling": "true"}, 1),
    ],
)
def test_pooling(kernel, side):
    y = (2, 4, side, side)
    each = node("Pooling", "each", {"x": "t"}, {"y": ("z", y)}, None, kernel)
    if side == 3:
        goes(each)
    else:
        stays(each, one("Sigmoid", "end", "z y", y))


def test_global_pooling_of_one_element_is_none_of_more():
    x = (2, 4, 1, 1)
    each = node("Pooling", "p", {"x": "data"}, {"y": ("y", x)}, None, {"global_pooling": "true"})
    text = net(feed(*x), each)
    assert not check(REMOVE, text, text).changed


def test_a_mask_is_something():
    tops = {"y": ("z", X), "mask": ("m", X)}
    pool = node("Pooling", "each", {"x": "t"}, tops, None, {"kernel_size": 1})
    text = net(IN, pool, END, outputs="m y")
    check(REMOVE, text, text)


FIRST = {
    "ReLU": {},
    "Sigmoid": {},
    "AbsVal": {},
    "Exp": {},
    "Clip": {"min": 0.0, "max": 6.0},
    "Threshold": {},
}


@pytest.mark.parametrize("second", ["ReLU", "AbsVal"])
@pytest.mark.parametrize("first", FIRST)
def test_where_the_bottom_is_never_negative(first, second):
    head = IN + one(first, "first", "t f", X, **FIRST[first])
    before = net(head, one(second, "each", "f z", X), END)
    report = check(REMOVE, before, net(head, END.replace('"z"', '"f"')))
    assert report.detail == (f"removed each ({second})",)
    assert not check(REMOVE, before, before, train=True).changed


@pytest.mark.parametrize(
    ("first", "second", "gone"),
    [
        (one("Clip", "c", "t f", X, min=0.0, max=6.0), {"min": 0.0, "max": 6.0}, True),
        (one("Clip", "c", "t f", X, min=1.0, max=5.0), {"min": 0.0, "max": 6.0}, True),
        (one("Sigmoid", "c", "t f", X), {"min": 0.0, "max": 1.0}, True),
        (one("TanH", "c", "t f", X), {"min": -1.0, "max": 1.0}, True),
        (one("TanH", "c", "t f", X), {"min": -0.9, "max": 1.0}, False),
        (one("ReLU", "c", "t f", X), {"min": 0.0, "max": 6.0}, False),
        (one("Clip", "c", "t f", X, min=0.0, max=6.5), {"min": 0.0, "max": 6.0}, False),
    ],
)
def test_clipping_what_is_clipped(first, second, gone):
    before = net(IN, first, one("Clip", "each", "f z", X, **second), END)
    after = net(IN, first, END.replace('"z"', '"f"')) if gone else before
    check(REMOVE, before, after)


@pytest.mark.parametrize(
    "first",
    [
        one("ReLU", "f", "t f", X, negative_slope=0.1),
        one("Power", "f", "t f", X, shift=-1.0),
        one("TanH", "f", "t f", X),
        one("ELU", "f", "t f", X),
        conv("f", "t f", X, 4, kernel=1),
    ],
)
def test_where_it_may_be(first):
    stays(first, one("ReLU", "each", "f z", X), END)


def test_through_concat_slice_and_sums():
    half = (2, 2, 3, 3)
    cut = node("Slice", "cut", {"x": "r"}, {"y0": ("a", half), "y1": ("b", half)})
    join = node("Concat", "join", {"x0": "a", "x1": "s"}, {"y": ("j", X)})
    add = node("Eltwise", "add", {"x0": "j", "x1": "r"}, {"y": ("e", X)})
    squeeze = one("Sigmoid", "s", "b s", half)
    head = (IN, one("ReLU", "r", "t r", X), cut, squeeze, join, add)
    before = net(*head, one("ReLU", "each", "e z", X), END)
    check(REMOVE, before, net(*head, END.replace('"z"', '"e"')))
    loose = (*head[:3], one("Power", "s", "b s", half, scale=-1.0), *head[4:])
    before = net(*loose, one("ReLU", "each", "e z", X), END)
    check(REMOVE, before, before)


def test_names():
    each = one("Power", "each", "t z", X)
    told = "each stays: a name, a loss or a gradient needs it"
    report = check(REMOVE, net(IN, each, END), net(IN, each, END), "t", "z")
    assert report.detail == (told,)
    weighted = one("Power", "each", "t z", X, more="  loss y 1.0")
    stays(weighted, END, told=(told,))
