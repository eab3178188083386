"""One step of a long short-term memory cell, forward and back; gates in the order i, f, o, g."""

from __future__ import annotations

from graphc.numpy_later import np
from graphc.ops.spec import F64


def activate(sums: F64) -> F64:
    """Gates (..., 4 D) of weighted sums (..., 4 D): sigmoid of i, f and o, tanh of g."""
    i_f_o, g = np.split(sums, [sums.shape[-1] // 4 * 3], -1)
    return np.concatenate([0.5 * np.tanh(0.5 * i_f_o) + 0.5, np.tanh(g)], -1)


def step(gates: F64, c_prev: F64, cont: F64) -> tuple[F64, F64]:
    """(c, h) = (cont f c_prev + i g, o tanh(c)); where cont is 0, c_prev is not looked at.

    gates: (..., 4 D), activated; c_prev: (..., D); cont: (...).
    """
    i, f, o, g = np.split(gates, 4, -1)
    with np.errstate(all="ignore"):
        c = _kept(f, cont) * np.where(cont[..., None] == 0, 0, c_prev) + i * g
        return c, o * np.tanh(c)


def step_back(dc: F64, dh: F64, gates: F64, c_prev: F64, c: F64, cont: F64) -> tuple[F64, F64]:
    """Gradients (of the sums behind the gates, of c_prev), given those of c and h."""
    i, f, o, g = np.split(gates, 4, -1)
    with np.errstate(all="ignore"):
        tanh = np.tanh(c)
        dc = dc + dh * o * (1 - tanh * tanh)
        forget = dc * c_prev * _kept(f, cont) * (1 - f)
        sums = (dc * g * i * (1 - i), forget, dh * tanh * o * (1 - o), dc * i * (1 - g * g))
        return np.concatenate(sums, -1), dc * _kept(f, cont)


def cell_back(dc: F64, dh: F64, gates: F64, c: F64, cont: F64) -> F64:
    """Gradient of c_prev alone: the second result of `step_back`, which does not need c_prev."""
    _, f, o, _ = np.split(gates, 4, -1)
    with np.errstate(all="ignore"):
        tanh = np.tanh(c)
        return np.asarray((dc + dh * o * (1 - tanh * tanh)) * _kept(f, cont))


def _kept(f: F64, cont: F64) -> F64:
    return f * cont[..., None]
