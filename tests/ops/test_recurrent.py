"""LSTM, RNN and LSTMUnit: steps by hand, the carried state, roles, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops.calls import Call, refused, signature

from graphc.check.case import Case
from graphc.ir.op import Effect, Kind, Sig
from graphc.ops._recurrent import RecurrentAttrs as Attrs
from graphc.ops.lstm import LSTM
from graphc.ops.lstm_unit import LSTMUnit
from graphc.ops.rnn import RNN
from graphc.ops.spec import F64, Ctx

HIDDEN = Attrs(num_output=2)
EXPOSED = Attrs(num_output=2, expose_hidden=True)


def sigmoid(x: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-x)))


def values(sig: Sig, seed: int = 0) -> dict[str, F64]:
    rng = np.random.default_rng(seed)
    found = {r: rng.standard_normal(t.shape) for r, t in (*sig.ins.items(), *sig.params.items())}
    found["cont"] = np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 0]])[: sig["cont"].shape[0]]
    return found


def lstm_by_hand(v: dict[str, F64]) -> F64:
    h, c, tops = v["h0"][0], v["c0"][0], []
    for x, cont in zip(v["x"], v["cont"], strict=True):
        sums = x @ v["W_xc"].T + v["b_c"] + (h * cont[:, None]) @ v["W_hc"].T
        if "x_static" in v:
            sums = sums + v["x_static"] @ v["W_xc_static"].T
        i, f, o = (sigmoid(s) for s in np.split(sums[:, :-2], 3, 1))
        c = cont[:, None] * f * c + i * np.tanh(sums[:, -2:])
        h = o * np.tanh(c)
        tops.append(h)
    return np.stack(tops)


def rnn_by_hand(v: dict[str, F64]) -> F64:
    h, tops = v["h0"][0], []
    for x, cont in zip(v["x"], v["cont"], strict=True):
        sums = x @ v["W_xh"].T + v["b_h"] + (h * cont[:, None]) @ v["W_hh"].T
        if "x_static" in v:
            sums = sums + v["x_static"] @ v["W_xh_static"].T
        h = np.tanh(sums)
        tops.append(np.tanh(h @ v["W_ho"].T + v["b_o"]))
    return np.stack(tops)


BY_HAND = [(LSTM, lstm_by_hand), (RNN, rnn_by_hand)]


@pytest.mark.parametrize(("op", "by_hand"), BY_HAND)
@pytest.mark.parametrize("static", [(), ((3, 5),)])
def test_steps_by_hand(op: Any, by_hand: Any, static: Any) -> None:
    sig = signature(op, HIDDEN, (3, 3, 4), (3, 3), *static)
    v = values(sig)
    found = op.reference(HIDDEN, v, Ctx(sig))
    assert np.allclose(found["y"], by_hand(v))


@pytest.mark.parametrize("op", [LSTM, RNN])
def test_two_forwards_carry_the_state_over(op: Any) -> None:
    """One sequence in two halves gives what it gives in one piece."""
    whole = signature(op, HIDDEN, (3, 3, 4), (3, 3))
    v = values(whole)
    expected = op.reference(HIDDEN, v, Ctx(whole))["y"]
    carried = [p.name for p in op.params(HIDDEN, whole) if p.kind is Kind.CARRY]
    pieces = []
    for part in (slice(0, 2), slice(2, 3)):
        sig = signature(op, HIDDEN, v["x"][part].shape, v["cont"][part].shape)
        first, last = op.forwards(HIDDEN, sig)
        assert (first.effects, last.effects) == (frozenset(), {Effect.CARRY})
        assert last.writes == tuple(carried)
        made = op.reference(HIDDEN, {**v, "x": v["x"][part], "cont": v["cont"][part]}, Ctx(sig))
        pieces.append(made["y"])
        v |= op.reference(HIDDEN, {r: made[r] for r in last.reads}, Ctx(sig, "carry"))
    assert np.allclose(np.concatenate(pieces), expected)


@pytest.mark.parametrize("op", [LSTM, RNN])
def test_exposed_state_equals_carried_state(op: Any) -> None:
    sig = signature(op, HIDDEN, (3, 3, 4), (3, 3))
    v = values(sig)
    plain = op.reference(HIDDEN, v, Ctx(sig))
    states = [p.name for p in op.params(HIDDEN, sig) if p.kind is Kind.CARRY]
    shapes = [v[r].shape for r in ("x", "cont", *states)]
    shown = signature(op, EXPOSED, *shapes, tops=1 + len(states))
    found = op.reference(EXPOSED, v, Ctx(shown))
    last = op.reference(HIDDEN, plain, Ctx(sig, "carry"))
    assert len(op.forwards(EXPOSED, shown)) == 1
    assert not [p for p in op.params(EXPOSED, shown) if p.kind is Kind.CARRY]
    for state in states:
        assert np.array_equal(found[state[0] + "T"], last[state])


def test_blobs_come_in_the_order_of_the_file() -> None:
    for op, names in (
        (LSTM, ("W_xc", "b_c", "W_xc_static", "W_hc", "h0", "c0")),
        (RNN, ("W_xh", "b_h", "W_xh_static", "W_hh", "W_ho", "b_o", "h0")),
    ):
        sig = signature(op, HIDDEN, (3, 3, 4, 2), (3, 3), (3, 5))
        assert tuple(p.name for p in op.params(HIDDEN, sig)) == names
        assert sig["x_static"].shape == (3, 5) and sig[names[2]].shape[1] == 5
        assert sig[names[0]].shape == (8 if op is LSTM else 2, 8)


def test_roles() -> None:
    assert LSTM.roles(EXPOSED, 5, 3) == (("x", "cont", "x_static", "h0", "c0"), ("y", "hT", "cT"))
    assert LSTM.roles(HIDDEN, 2, 1) == (("x", "cont"), ("y",))
    assert RNN.roles(EXPOSED, 3, 2) == (("x", "cont", "h0"), ("y", "hT"))
    step = (3, 3, 4), (3, 3)
    for op in (LSTM, RNN):
        refused("GC-N004", op, HIDDEN, step[0])
        refused("GC-N004", op, HIDDEN, *step, (3, 4), (1, 3, 2))
        refused("GC-N004", op, HIDDEN, *step, tops=2)
        assert "h0" in refused("GC-N004", op, EXPOSED, *step, tops=2)
    assert "hT, cT" in refused("GC-N004", LSTM, EXPOSED, *step, *((1, 3, 2),) * 2)


@pytest.mark.parametrize("op", [LSTM, RNN])
def test_wrong_shapes(op: Any) -> None:
    refused("GC-N008", op, Attrs(), (3, 3, 4), (3, 3))
    refused("GC-S002", op, HIDDEN, (3, 3), (3, 3))
    assert "at least 1" in refused("GC-S002", op, HIDDEN, (0, 3, 4), (0, 3))
    told = refused("GC-S003", op, HIDDEN, (3, 3, 4), (3, 2))
    assert "(3, 2)" in told and "(3, 3, 4)" in told
    refused("GC-S003", op, HIDDEN, (3, 3, 4), (3, 3), (2, 5))
    refused("GC-S003", op, HIDDEN, (3, 3, 4), (3, 3), (3,))
    refused("GC-S001", op, Attrs(num_output=4294967295), (3, 3, 4), (3, 3))
    states = 2 if op is LSTM else 1
    told = refused(
        "GC-S003", op, EXPOSED, (3, 3, 4), (3, 3), *((1, 3, 3),) * states, tops=1 + states
    )
    assert "h0" in told and "(1, 3, 2)" in told


def test_a_start_forgets_even_what_is_not_finite() -> None:
    c_prev, gates = np.array([[[np.nan], [np.inf], [1.0]]]), np.zeros((1, 3, 4))
    call = Call(LSTMUnit, None, c_prev, gates, [[0, 0, 1]], tops=2)
    assert call.out["c"][0, :, 0].tolist() == [0, 0, 0.5]


def test_unit_equals_a_step_of_the_lstm() -> None:
    sig = signature(LSTM, HIDDEN, (1, 3, 4), (1, 3))
    v = values(sig)
    sums = v["x"] @ v["W_xc"].T + v["b_c"] + (v["h0"] * v["cont"][..., None]) @ v["W_hc"].T
    call = Call(LSTMUnit, None, v["c0"], sums, v["cont"], tops=2)
    assert np.allclose(call.out["h"], LSTM.reference(HIDDEN, v, Ctx(sig))["y"])


def test_unit_refusals() -> None:
    refused("GC-S002", LSTMUnit, None, (2, 3, 4), (2, 3, 16), (2, 3), tops=2)
    refused("GC-S003", LSTMUnit, None, (1, 3, 4), (1, 3, 12), (1, 3), tops=2)
    refused("GC-S003", LSTMUnit, None, (1, 3, 4), (1, 3, 16), (1, 4), tops=2)


def test_backward_never_reads_the_carried_values() -> None:
    """They have moved on by the time backward runs; it reads the copies that forward made."""
    for op in (LSTM, RNN):
        for index in range(len(op.samples)):
            case = Case(op, index)
            carried = {p.name for p in case.params if p.kind is Kind.CARRY}
            assert not any(carried & set(g.reads) for g in case.grads)
