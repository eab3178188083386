"""Those gradients of recurrent layers that have kernels, beside the float64 vjp."""

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


@pytest.mark.parametrize("op", [LSTM, RNN])
@pytest.mark.parametrize("shape", [(7, 5, 33), (1, 40, 3, 4), (12, 1, 70)])
def test_products_of_all_steps(op: type[OpSpec], shape: tuple[int, ...]) -> None:
    attrs = RecurrentAttrs(num_output=19)
    layer = Layer.of(op, attrs, shape, shape[:2])
    done = check(Backward(layer, numbers(layer)), products=shape[0] * shape[1])
    weights = {"dW_xc", "db_c"} if op is LSTM else {"dW_xh", "db_h", "dW_ho", "db_o", "dout_sums"}
    assert done == {"dx", *weights}


@pytest.mark.parametrize("state", [(1, 40, 70), (1, 1, 3), (1, 3, 1), (1, 0, 5)])
def test_one_step(state: tuple[int, ...]) -> None:
    gates = (*state[:2], 4 * state[2])
    layer = Layer.of(LSTMUnit, None, state, gates, state[:2], tops=2)
    assert check(Backward(layer, numbers(layer))) == {"dc_prev", "dgates"}


STATE, GATES, CONT = (("f32", shape, None) for shape in ((1, 3, 2), (1, 3, 8), (1, 3)))


@pytest.mark.parametrize(
    ("reads", "write", "word"),
    [
        ([STATE] * 3, STATE, "number of operands"),
        ([CONT, STATE, STATE, GATES, CONT], STATE, "dc"),
        ([STATE, STATE, CONT, GATES, CONT], STATE, "c_prev"),
        ([STATE, STATE, STATE, STATE, CONT], STATE, "gates"),
        ([STATE, STATE, STATE, GATES, CONT], GATES, "the gradient"),
    ],
)
def test_what_does_not_fit_is_refused(reads: Any, write: Any, word: str) -> None:
    with pytest.raises(GraphError, match=word) as caught:
        _core.make_kernel("lstm_unit_gradient", reads, [write], {"gates": False})
    assert caught.value.code == "GC-A001"
