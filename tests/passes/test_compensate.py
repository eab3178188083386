"""compensate: what is left makes up for channels that go, by the statistics of the inputs."""

from __future__ import annotations

import numpy as np
import pytest
from passes.before_after import close
from passes.removal_nets import FILLERS, filled
from texts import feed, layer

import graphc
from graphc.errors import GraphError
from graphc.passes._statistics import Statistics
from graphc.passes.compensate import Compensate
from graphc.services import sample_inputs

IN = feed(data=(64, 3, 6, 6))


def conv(x: str, y: str, n: int, kernel: int = 3) -> str:
    told = f"num_output: {n} kernel_size: {kernel} pad: {kernel // 2} {FILLERS}"
    return layer("Convolution", x, y, f"convolution_param {{ {told} }}")


def fc(x: str, y: str, n: int) -> str:
    return layer("InnerProduct", x, y, f"inner_product_param {{ num_output: {n} {FILLERS} }}")


NET = (
    IN
    + conv("data", "a", 8)
    + layer("ReLU", "a", "a", name="r")
    + conv("a", "b", 6)
    + fc("b", "y", 4)
)


def run(net: graphc.Graph, feeds: dict[str, np.ndarray]) -> np.ndarray:
    with graphc.compile(net, target="reference", passes=()) as exe:
        return next(iter(exe.forward(feeds).values()))


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of 12 channels of 9 elements, of which the last 4 are mixtures; weights, bias."""
    rng = np.random.default_rng(seed)
    free = rng.normal(size=(4000, 8, 9)) + 0.5
    mixed = np.einsum("ij,tjk->tik", rng.normal(size=(4, 8)), free) + 0.2
    x = np.concatenate([free, mixed], 1).reshape(4000, -1)
    return x, rng.normal(size=(6, 108)), rng.normal(size=6)


def measured(x: np.ndarray) -> Statistics:
    mean = x.mean(0)
    return Statistics(mean, (x - mean).T @ (x - mean) / len(x), 9)


def test_eight_channels_that_span_all_are_enough():
    x, weight, bias = planted()
    found = measured(x)
    order, _ = found.ranked(weight)
    kept = np.sort(order[:8])
    made, shift, _ = found.compensated(weight, bias, kept)
    left = x[:, found.columns(kept)]
    y = x @ weight.T + bias
    assert np.abs(left @ made.T + shift - y).max() < 1e-10
    plain = left @ weight[:, found.columns(kept)].T + bias
    assert np.square(plain - y).sum(1).mean() > 50


@pytest.mark.parametrize("count", [2, 5, 8])
def test_the_weights_are_those_of_least_squares(count):
    x, weight, bias = planted(3)
    found = measured(x)
    kept = np.sort(found.ranked(weight)[0][:count])
    made, shift, _ = found.compensated(weight, bias, kept)
    left = np.column_stack([x[:, found.columns(kept)], np.ones(len(x))])
    wanted = np.linalg.lstsq(left, x @ weight.T + bias, rcond=None)[0]
    assert np.abs(np.column_stack([made, shift]).T - wanted).max() < 1e-10


def test_the_loss_is_the_one_that_is_measured():
    x, weight, bias = planted(1)
    found = measured(x)
    order, explained = found.ranked(weight)
    for count in (3, 6):
        kept = np.sort(order[:count])
        made, shift, loss = found.compensated(weight, bias, kept)
        y = x @ weight.T + bias
        apart = np.square(x[:, found.columns(kept)] @ made.T + shift - y).sum(1).mean()
        assert loss == pytest.approx(apart, rel=1e-10)
        assert explained[:count].sum() == pytest.approx(found.variance(weight) - loss, rel=1e-6)


def test_the_greedy_choice_takes_what_explains_most():
    x, weight, bias = planted(2)
    found = measured(x)
    order, explained = found.ranked(weight)
    for step in range(3):
        losses = {
            c: found.compensated(weight, bias, np.sort([*order[:step], c]))[2]
            for c in set(range(12)) - set(order[:step].tolist())
        }
        assert min(losses, key=losses.__getitem__) == order[step]
    assert (np.diff(np.cumsum(explained)) >= 0).all()


def test_constant_channels_cost_nothing():
    inner = IN + conv("data", "a", 8) + layer("ReLU", "a", "a", name="r") + conv("a", "b", 6, 1)
    flat = filled(inner + fc("b", "y", 4), 1)
    flat.weights["a:weight"][[1, 5]] = 0
    flat.weights["a:bias"][[1, 5]] = [0.5, 0.8]
    feeds = sample_inputs(flat)
    less, report = graphc.optimize(
        flat, [Compensate(ratio=0.25, layers=("b",))], calibration=feeds, measure=False
    )
    assert less.node("a").attrs.num_output == 6
    close(run(less, feeds), run(flat, feeds), tolerance=1e-5)
    assert report.passes[-1].layers[0].response_error < 1e-4


def test_it_does_better_than_removal_alone():
    net = filled(NET, 3)
    feeds = sample_inputs(net)
    plain = run(net, feeds)
    errors = {}
    for name, options in (("aware", {}), ("l1", {"ranking": "l1"})):
        each = Compensate(ratio=0.25, layers=("b",), **options)
        less, _ = graphc.optimize(net, [each], calibration=feeds, measure=False)
        errors[name] = np.abs(run(less, feeds) - plain).mean()
        assert less.node("a").attrs.num_output == 6
    spec = graphc.passes.recipe.parse_spec("remove_filters:ratio=0.25,layers=a,mode=lossy")
    bare, _ = graphc.optimize(net, [spec], measure=False)
    errors["none"] = np.abs(run(bare, feeds) - plain).mean()
    assert errors["aware"] <= errors["l1"] < errors["none"]


def test_the_search_keeps_the_accuracy():
    net = filled(NET, 4)
    feeds = sample_inputs(net)
    labels = run(net, feeds).argmax(1)
    for drop in (0.0, 0.1, 0.4):
        less, report = graphc.optimize(
            net, [Compensate(drop=drop)], calibration=feeds | {"label": labels}, measure=False
        )
        assert (run(less, feeds).argmax(1) == labels).mean() >= 1 - drop
    assert report.passes[-1].changed


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_the_search_ends_within_its_steps_and_bounds(steps):
    """One look at the accuracy, then for each layer its inputs and at most so many looks."""
    runs = []

    class Counted(Compensate):
        name = "counted"

        def run(self, graph, ctx):
            plain = ctx.run
            ctx.run = lambda *given: runs.append(given) or plain(*given)
            return super().run(graph, ctx)

    net = filled(NET, 4)
    feeds = sample_inputs(net) | {"label": np.zeros(64)}  # right or wrong, any cut is allowed
    each = Counted(drop=0.999, steps=steps, max_ratio=0.5)
    less, _ = graphc.optimize(net, [each], calibration=feeds, measure=False)
    assert 3 < len(runs) <= 1 + 2 * (1 + steps)
    wanted = {1: (6, 4), 2: (5, 3), 6: (4, 3)}[steps]
    assert tuple(less.node(name).attrs.num_output for name in "ab") == wanted


def test_inner_products_and_layers_without_a_bias():
    text = IN + conv("data", "a", 8) + layer("ReLU", "a", "a", name="r") + fc("a", "y", 4)
    turned = "transpose: true bias_term: false"
    net = filled(text.replace("num_output: 4", f"num_output: 4 {turned}"), 5)
    feeds = sample_inputs(net)
    less, _ = graphc.optimize(net, [Compensate(ratio=0.25)], calibration=feeds, measure=False)
    assert less.node("a").attrs.num_output == 6 and less.node("y").attrs.bias_term
    spec = graphc.passes.recipe.parse_spec("remove_filters:ratio=0.25,mode=lossy")
    bare, _ = graphc.optimize(net, [spec], measure=False)
    plain = run(net, feeds)
    assert np.abs(run(less, feeds) - plain).mean() < np.abs(run(bare, feeds) - plain).mean()


def test_inputs_that_never_change():
    net = filled(NET, 8)
    net.weights["a:weight"][...] = 0
    feeds = sample_inputs(net)
    less, _ = graphc.optimize(
        net, [Compensate(ratio=0.5, layers=("y",))], calibration=feeds, measure=False
    )
    close(run(less, feeds), run(net, feeds), tolerance=1e-5)


def test_what_stays_and_why():
    both = conv("a", "b", 4) + conv("a", "c", 4) + layer("Eltwise", "b c", "d") + fc("d", "y", 3)
    net = filled(IN + conv("data", "a", 6) + both, 6)
    feeds = sample_inputs(net)
    _, report = graphc.optimize(
        net, [Compensate(ratio=0.5, skip=("y",))], calibration=feeds, measure=False
    )
    detail = report.passes[-1].detail
    assert "b stays: b, c read the same channels" in detail
    assert "y stays: it is to be skipped" in detail
    assert not report.passes[-1].changed


def test_bad_options_and_inputs():
    net = filled(NET, 7)
    feeds = sample_inputs(net)
    for options, told in (
        ({}, "a ratio, or a drop"),
        ({"ratio": 0.5, "drop": 0.1}, "a ratio, or a drop"),
        ({"ratio": 1.0}, "ratio is 1.0"),
        ({"drop": -0.5}, "drop is -0.5"),
        ({"ratio": 0.5, "steps": 0}, "steps is 0"),
    ):
        with pytest.raises(GraphError, match=told):
            Compensate(**options)

    def refused(told: str, calibration, **options):
        with pytest.raises(GraphError, match=told):
            graphc.optimize(net, [Compensate(**options)], calibration=calibration, measure=False)

    refused("needs calibration inputs", None, ratio=0.5)
    refused("lack 'data'", {"x": feeds["data"]}, ratio=0.5)
    refused("data", {"data": feeds["data"][:, :2]}, ratio=0.5)
    refused("no array 'label'", feeds, drop=0.1)
    refused("3 labels are given for 64", feeds | {"label": np.zeros(3)}, drop=0.1)
    net.weights["b:weight"][0] = np.inf
    refused("no finite numbers", feeds, ratio=0.5)
