"""Gradients of recurrent layers, beside the float64 vjp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.gradient_rows import Backward, check
from core.rows import Layer

from graphc import _core
from graphc.errors import GraphError
from graphc.ops._recurrent import RecurrentAttrs
from graphc.ops.lstm import LSTM
from graphc.ops.lstm_unit import LSTMUnit
from graphc.ops.rnn import RNN
from graphc.ops.spec import OpSpec


def numbers(layer: Layer) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    roles = {**layer.sig.ins, **layer.sig.params}
    found = {role: 0.5 * rng.standard_normal(t.shape) for role, t in roles.items()}
    return found | {"cont": rng.integers(0, 2, layer.sig["cont"].shape)}


def recurrent(
    op: type[OpSpec], x: tuple[int, ...], units: int, *, static: bool = False, exposed: bool = False
) -> Layer:
    """A use on x (T, N, I...), with an x_static (N, 2, 3) and exposed states if so told."""
    attrs = RecurrentAttrs(num_output=units, expose_hidden=exposed)
    states = (2 if op is LSTM else 1) if exposed else 0
    more = ((x[1], 2, 3),) if static else ()
    shapes = (x, x[:2], *more, *((1, x[1], units),) * states)
    return Layer.of(op, attrs, *shapes, tops=1 + states)


def check_all(backward: Backward) -> None:
    """Every part has a row, and every row agrees with the vjp."""
    (steps, streams), units = backward.sig["x"].shape[:2], backward.layer.attrs.num_output
    done = check(backward, products=max(steps * streams, 4 * units, 64))
    assert done == {part.part for part in backward.parts}


each_op = pytest.mark.parametrize("op", [LSTM, RNN])


@each_op
@pytest.mark.parametrize("exposed", [False, True], ids=["carried", "exposed"])
@pytest.mark.parametrize("static", [False, True], ids=["", "static"])
@pytest.mark.parametrize(
    ("shape", "units"),
    [
        ((7, 5, 33), 19),
        ((1, 40, 3, 4), 19),
        ((12, 1, 70), 19),
        ((1, 1, 1), 1),
        ((9, 3, 2), 1),
        ((2, 1, 5), 33),
        ((40, 2, 3), 8),
        ((3, 20, 7), 200),
        ((2, 1, 3), 700),
        ((4, 0, 3), 5),
        ((1, 0, 3), 5),
    ],
    ids=str,
)
def test_every_part(
    op: type[OpSpec], shape: tuple[int, ...], units: int, static: bool, exposed: bool
) -> None:
    layer = recurrent(op, shape, units, static=static, exposed=exposed)
    check_all(Backward(layer, numbers(layer)))


@each_op
@pytest.mark.parametrize("cont", [0, 1, -0.5, 0.25])
def test_sequences_that_start_or_go_on_everywhere(op: type[OpSpec], cont: float) -> None:
    layer = recurrent(op, (5, 3, 4), 6, static=True, exposed=True)
    given = numbers(layer) | {"cont": np.full((5, 3), cont)}
    backward = Backward(layer, given)
    check_all(backward)
    if cont == 0:
        parts = {part.part: part for part in backward.parts}
        (row,) = backward.rows(parts["dh0"])
        assert not backward.run(parts["dh0"], row).any()


@each_op
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_goes_where_it_must(op: type[OpSpec], bad: float) -> None:
    layer = recurrent(op, (5, 3, 4), 6, static=True, exposed=True)
    backward = Backward(layer, numbers(layer))
    backward.values["dy"][3, 1, 2] = bad
    for part in backward.parts[: 1 if op is LSTM else 2]:
        backward.values[f"d{part.out}"] = np.float32(backward.wanted(part))
    check_all(backward)


@each_op
def test_steps_before_a_start_see_nothing_of_what_follows(op: type[OpSpec]) -> None:
    layer = recurrent(op, (6, 2, 3), 5)
    given = numbers(layer) | {"cont": np.ones((6, 2))}
    given["cont"][3] = 0
    backward = Backward(layer, given)
    part = next(part for part in backward.parts if part.part == "dsums")
    (row,) = backward.rows(part)
    before = backward.run(part, row)
    source = "dy" if op is LSTM else "dout_sums"
    backward.values[source][3:] += 1
    after = backward.run(part, row)
    assert np.array_equal(before[:3], after[:3]) and not np.array_equal(before[3:], after[3:])


@pytest.mark.parametrize("state", [(1, 40, 70), (1, 1, 3), (1, 3, 1), (1, 0, 5)])
def test_one_step(state: tuple[int, ...]) -> None:
    gates = (*state[:2], 4 * state[2])
    layer = Layer.of(LSTMUnit, None, state, gates, state[:2], tops=2)
    assert check(Backward(layer, numbers(layer))) == {"dc_prev", "dgates"}


STATE, GATES, CONT = (("f32", shape, None) for shape in ((1, 3, 2), (1, 3, 8), (1, 3)))
ALL, SUMS, CONTS, SQUARE, TALL = (
    ("f32", shape, None) for shape in ((4, 3, 2), (4, 3, 8), (4, 3), (2, 2), (8, 2))
)
OF_LSTM = {"reads": "dy gates cell cont c_in W_hc"}
OF_RNN = {"reads": "dout_sums hidden W_ho W_hh cont"}


@pytest.mark.parametrize(
    ("symbol", "reads", "write", "told", "word"),
    [
        ("lstm_unit_gradient", [STATE] * 3, STATE, {"gates": False}, "number of operands"),
        ("lstm_unit_gradient", [CONT, STATE, STATE, GATES, CONT], STATE, {"gates": False}, "dc"),
        ("lstm_unit_gradient", [STATE, STATE, CONT, GATES, CONT], STATE, {"gates": 0}, "c_prev"),
        ("lstm_unit_gradient", [STATE, STATE, STATE, STATE, CONT], STATE, {"gates": 0}, "gates"),
        ("lstm_unit_gradient", [STATE] * 3 + [GATES, CONT], GATES, {"gates": 0}, "the gradient"),
        ("lstm_dsums", [ALL, SUMS, ALL, CONTS, STATE], SUMS, OF_LSTM, "number of operands"),
        ("lstm_dsums", [ALL, ALL, ALL, CONTS, STATE, TALL], SUMS, OF_LSTM, "gates"),
        ("lstm_dsums", [ALL, SUMS, ALL, ALL, STATE, TALL], SUMS, OF_LSTM, "cont"),
        ("lstm_dsums", [ALL, SUMS, ALL, CONTS, ALL, TALL], SUMS, OF_LSTM, "c_in"),
        ("lstm_dsums", [ALL, SUMS, ALL, CONTS, STATE, SQUARE], SUMS, OF_LSTM, "W_hc"),
        ("lstm_dsums", [ALL, SUMS, ALL, CONTS, STATE, TALL], ALL, OF_LSTM, "dsums"),
        ("lstm_dc0", [ALL, SUMS, ALL, CONTS, STATE, TALL], STATE, OF_LSTM, "no dsums"),
        ("rnn_dsums", [ALL, ALL, SQUARE, SQUARE], ALL, OF_RNN, "number of operands"),
        ("rnn_dsums", [SUMS, ALL, SQUARE, SQUARE, CONTS], ALL, OF_RNN, "dout_sums"),
        ("rnn_dsums", [ALL, ALL, SQUARE, TALL, CONTS], ALL, OF_RNN, "W_hh"),
        ("rnn_dsums", [ALL, ALL, SQUARE, SQUARE, ALL], ALL, OF_RNN, "cont"),
        ("recurrent_dh0", [SUMS, CONTS], STATE, {}, "number of operands"),
        ("recurrent_dh0", [SUMS, CONTS, SQUARE], STATE, {}, "W_h"),
        ("recurrent_dh0", [SUMS, CONTS, TALL], ("f32", (2,), None), {}, "the gradient"),
        ("recurrent_dweight", [SUMS, CONTS, STATE], TALL, {}, "number of operands"),
        ("recurrent_dweight", [SUMS, CONTS, STATE, STATE], TALL, {}, "hidden"),
        ("recurrent_dweight", [SUMS, CONTS, ALL, STATE], SQUARE, {}, "the gradient"),
        ("recurrent_dweight", [SUMS, ALL, ALL, STATE], TALL, {}, "cont"),
        ("static_dx", [SUMS, ALL], STATE, {}, "W_static"),
        ("static_dx", [SUMS], ("f32", (3, 2), None), {}, "number of operands"),
        ("static_dx", [CONTS, TALL], ("f32", (3, 2), None), {}, "dsums"),
        ("static_dweight", [SUMS, TALL], TALL, {}, "x_static"),
        ("static_dweight", [SUMS, STATE, TALL], TALL, {}, "number of operands"),
    ],
)
def test_what_does_not_fit_is_refused(
    symbol: str, reads: Any, write: Any, told: Any, word: str
) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel(symbol, reads, [write], told)
    assert caught.value.code == "GC-A001"
