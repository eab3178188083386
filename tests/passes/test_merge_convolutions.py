"""merge_convolutions: before and after in the IR's text form, and the same numbers."""

from types import SimpleNamespace

import pytest
from passes.before_after import check, close, fill, outputs, parsed
from passes.ir_text import conv, feed, net, node, one

from graphc.passes.merge_convolutions import MergeConvolutions

X = (2, 4, 5, 5)
IN = feed(*X)
MERGE = MergeConvolutions(when="always")


def shape(outputs_, side=5):
    return (2, outputs_, side, side)


def cut(name, bottom, *tops, side=5):
    """The Slice a merge ends with: `tops` are (name, channels)."""
    points, at = [], 0
    for _, count in tops[:-1]:
        at += count
        points.append(str(at))
    outs = {f"y{i}": (top, shape(count, side)) for i, (top, count) in enumerate(tops)}
    attrs = {"slice_point": f"({', '.join(points)})"}
    return node("Slice", name, {"x": bottom}, outs, None, attrs)


def three(**words):
    counts = {"a": 2, "b": 3, "c": 1}
    return [conv(n, f"data {n}", X, k, kernel=1, **words) for n, k in counts.items()]


def join(*blobs, outputs_=6, side=5):
    ins = {f"x{i}": blob for i, blob in enumerate(blobs)}
    return node("Concat", "join", ins, {"y": ("y", shape(outputs_, side))})


def test_one_convolution_and_a_slice():
    before = net(IN, *three(), join("a", "b", "c"))
    merged = conv("a+b+c", "data a+b+c", X, 6, kernel=1)
    pieces = cut("a+b+c/slice", "a+b+c", ("a", 2), ("b", 3), ("c", 1))
    report = check(MERGE, before, net(IN, merged, pieces, join("a", "b", "c")))
    assert report.detail == ("a, b, c become a+b+c",)


def test_an_activation_after_each_is_done_once():
    body = []
    for name, count, text in zip("abc", (2, 3, 1), three(), strict=True):
        body.append(text.replace(f'top y0 "{name}"', f'top y0 "{name}@{name}"'))
        body.append(one("ReLU", f"r{name}", f"{name}@{name} {name}", shape(count)))
    merged = conv("a+b+c", "data a+b+c@a+b+c", X, 6, kernel=1)
    relu = one("ReLU", "ra+rb+rc", "a+b+c@a+b+c a+b+c", shape(6))
    pieces = cut("a+b+c/slice", "a+b+c", ("a", 2), ("b", 3), ("c", 1))
    check(
        MERGE,
        net(IN, *body, join("a", "b", "c")),
        net(IN, merged, relu, pieces, join("a", "b", "c")),
    )


@pytest.mark.parametrize("other", ["TanH", ""])
def test_unlike_activations_stay_where_they_are(other):
    relu = one("ReLU", "r", "a r", shape(2))
    more = one(other, "s", "b s", shape(3)) if other else ""
    tops = ("r", "s" if other else "b")
    before = net(IN, *three()[:2], relu, more, join(*tops, outputs_=5))
    merged = conv("a+b", "data a+b", X, 5, kernel=1)
    pieces = cut("a+b/slice", "a+b", ("a", 2), ("b", 3))
    check(MERGE, before, net(IN, merged, pieces, relu, more, join(*tops, outputs_=5)))


def test_versions_are_made_by_the_slice():
    first, second = three()[:2]
    first = first.replace('top y0 "a"', 'top y0 "a@a"')
    relu = one("ReLU", "r", "a@a a", shape(2))
    merged = conv("a+b", "data a+b", X, 5, kernel=1)
    pieces = cut("a+b/slice", "a+b", ("a@a+b/slice+1", 2), ("b", 3))
    after = net(
        IN, merged, pieces, relu.replace("a@a", "a@a+b/slice+1"), join("a", "b", outputs_=5)
    )
    check(MERGE, net(IN, first, second, relu, join("a", "b", outputs_=5)), after)


def test_larger_kernels_and_missing_biases():
    pair = (conv("a", "data a", X, 2, bias=False), conv("b", "data b", X, 3))
    merged = conv("a+b", "data a+b", X, 5)
    pieces = cut("a+b/slice", "a+b", ("a", 2), ("b", 3), side=3)
    end = join("a", "b", outputs_=5, side=3)
    check(MERGE, net(IN, *pair, end), net(IN, merged, pieces, end))
    bare = three(bias=False)[:2]
    merged = conv("a+b", "data a+b", X, 5, kernel=1, bias=False)
    pieces = cut("a+b/slice", "a+b", ("a", 2), ("b", 3))
    end = join("a", "b", outputs_=5)
    check(MERGE, net(IN, *bare, end), net(IN, merged, pieces, end))


def test_outputs_and_kept_blobs_keep_their_names():
    pair = three()[:2]
    merged = conv("a+b", "data a+b", X, 5, kernel=1)
    pieces = cut("a+b/slice", "a+b", ("a", 2), ("b", 3))
    check(MERGE, net(IN, *pair, outputs="a b"), net(IN, merged, pieces, outputs="a b"), "a")


@pytest.mark.parametrize(
    "second",
    [
        conv("b", "data b", X, 3, kernel=3, pad=1),
        conv("b", "data b", X, 2, kernel=1, group=2),
        conv("b", "other b", X, 3, kernel=1),
        conv("b", "data b", X, 3, kernel=1, header="phase=TRAIN"),
        conv("b", "data b", X, 3, kernel=1, more="  loss y0 1.0"),
        conv("b", "data b", X, 3, kernel=1, more="  propagate (false)"),
        conv("b", "data b", X, 2, kernel=1).replace('"b:weight"', '"a:weight"')
        .replace('"a:weight" f32[2,4,1,1] out_axis=0 in_axis=1', '"a:weight"'),
    ],
)  # fmt: skip
def test_what_differs_stays(second):
    count = 2 if "num_output=2" in second else 3
    text = net(
        *(IN, feed(*X, name="other", layer="in2"), three()[0], second),
        join("a", "b", outputs_=2 + count),
    )
    assert check(MERGE, text, text).detail == ()


def test_off_with_gradients():
    text = net(IN, *three(), join("a", "b", "c"))
    assert check(MERGE, text, text, train=True).detail[0].startswith("off: ")


@pytest.mark.parametrize(("after", "pays"), [(900.0, True), (1000.0, False)])
def test_it_is_timed_first(after, pays):
    graph = parsed(net(IN, *three(), join("a", "b", "c")))
    fill(graph, {})
    old = outputs(graph)
    times = iter([1000.0, after])
    ctx = SimpleNamespace(pinned=frozenset(), train=False, time_us=lambda g: next(times))
    report = MergeConvolutions().run(graph, ctx)
    assert report.changed is pays and len(graph.nodes) == (4 if pays else 5)
    if pays:
        told = ("it pays: 1.00 ms before, 0.90 ms after", "a, b, c become a+b+c")
    else:
        told = ("each layer stays: it does not pay, 1.00 ms before, 1.00 ms after",)
    assert report.detail == told
    close(outputs(graph)["y"], old["y"])


def test_options():
    from graphc.passes.recipe import parse_spec

    assert parse_spec("merge_convolutions:when=always") == MERGE
