"""What run_passes measures: the change of outputs and of pinned blobs, and when it does not."""

import numpy as np
import pytest
from passes.do_pass import NET, Do, refused, scale
from texts import conv, fc, feed, graph, layer, softmax_loss

from graphc.driver import optimize


def test_an_exact_pass_must_not_change_numbers():
    found = refused([Do(scale(1.01))])
    assert found.startswith("GC-T002: pass 'do' is exact, but changed 'y' by")
    optimize(graph(*NET), [Do(scale(1.01))], measure=False)


def test_every_output_is_measured_by_its_own_size():
    big = fc("data", "big", 2, field='bias_filler { type: "constant" value: 1e6 }')
    net = graph(*NET, big)
    assert "changed 'y'" in refused([Do(scale(1.01))], net)
    optimize(net, [Do(scale(1 + 3e-6, "big:bias"))])


def test_a_lossy_pass_tells_and_is_bounded():
    lossy = Do(scale(1.01), False)
    _, report = optimize(graph(*NET), [lossy])
    change = report.passes[0].max_change
    assert 1e-4 < change < 0.1
    optimize(graph(*NET), [lossy], max_error=change * 1.01)
    found = refused([lossy], max_error=change * 0.99)
    assert found.startswith("GC-T002: with pass 'do', 'y' has changed by")


def test_lossy_passes_are_bounded_together():
    lossy = Do(scale(1.01), False)
    _, report = optimize(graph(*NET), [lossy, lossy])
    first, second = (r.max_change for r in report.passes)
    assert second < 1.5 * first
    refused([lossy, lossy], max_error=1.5 * first)
    optimize(graph(*NET), [lossy], max_error=1.5 * first)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number_is_a_change_unless_it_was_there(value):
    def spoil(graph):
        graph.weights["y:bias"][0] = value

    assert "GC-T002" in refused([Do(spoil)])
    assert "GC-T002" in refused([Do(spoil, False)], max_error=1e30)
    net = graph(*NET)
    net.params["y"][1][0] = value
    _, report = optimize(net, [Do(spoil)])
    assert report.passes[0].max_change == 0.0


def test_pinned_blobs_are_measured_too():
    def act(graph):
        for name, factor in (("a:weight", 2), ("a:bias", 2)):
            graph.weights[name] *= np.float32(factor)

    net = graph(feed(data=(2, 3)), fc("data", "a", 4), layer("Threshold", "a", "y"))
    optimize(net, [Do(act)])
    assert "changed 'a'" in refused([Do(act)], net, keep=["a"])


def test_calibration():
    net = graph(*NET)

    def act(graph):
        graph.weights["a:weight"][:, 0] += 1

    dark = {"data": np.array([[0, 1, 1], [0, 2, 2]])}
    optimize(net, [Do(act)], calibration=dark)
    assert "GC-T002" in refused([Do(act)], net)
    assert "GC-R001" in refused([Do(act)], net, calibration={"dta": np.zeros((2, 3))})
    assert "GC-R001" in refused([Do(act)], net, calibration={"data": "x"})
    one = {"data": np.array([[0, 1, 1]])}  # another batch size
    optimize(net, [Do(act)], calibration=one)


def test_labels_are_fed_with_zeros():
    for shape in ((2,), (2, 1), (2, 1, 1, 1)):
        net = graph(
            feed(data=(2, 3), label=shape),
            fc("data", "y", 4),
            layer("Flatten", "label", "flat", "flatten_param { axis: 0 }"),
            softmax_loss("y", "flat"),
            layer("Accuracy", "y flat", "acc"),
        )
        _, report = optimize(net, [Do(scale(1, "y:weight"))])
        assert report.passes[0].max_change == 0.0


def test_a_net_that_takes_no_random_numbers_is_not_measured():
    net = graph(
        feed(data=(2, 3)),
        layer("Embed", "data", "e", "embed_param { input_dim: 2 num_output: 2 }"),
        layer("Power", "data", "p", "power_param { shift: 5 }"),
        layer("Embed", "p", "f", "embed_param { input_dim: 2 num_output: 2 }"),
    )
    _, report = optimize(net, [Do(scale(3, "e:weight"))])
    assert report.passes[0].max_change is None
    assert "GC-D003" in refused([Do(scale(3, "e:weight"))], net, measure=True)


def test_a_bound_must_be_measured():
    assert "GC-R002" in refused(["remove_dropout"], max_error=0.1, measure=False)


def test_large_nets_are_measured_only_when_asked():
    net = graph(feed(data=(1, 64, 128, 128)), conv("data", "y", 64))
    _, report = optimize(net, [Do(scale(1, "y:weight"))])
    assert report.passes[0].max_change is None


def test_files_are_not_touched_by_measuring(tmp_path):
    target = tmp_path / "out.h5"
    sink = layer("HDF5Output", "y y2", "", f'hdf5_output_param {{ file_name: "{target}" }}', "out")
    net = graph(*NET, fc("t", "y2", 2), sink)
    _, report = optimize(net, [Do(scale(1))])
    assert report.passes[0].max_change is None and not target.exists()


def test_measuring_a_training_net_draws_the_same_dropout():
    net = graph(feed(data=(4, 3)), fc("data", "a", 8), layer("Dropout", "a", "y"), phase="TRAIN")
    _, report = optimize(net, [Do(scale(1))], measure=True)
    assert report.passes[0].max_change == 0.0
