"""Log: a logarithm to a fixed base."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ops._draws import positive
from graphc.ops.elementwise import Elementwise
from graphc.ops.exp import log_of_base
from graphc.ops.scalar import Expr, Var, log
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class LogAttrs:
    """`base` -1 means e."""

    base: float = -1.0
    scale: float = 1.0
    shift: float = 0.0


class Log(Elementwise):
    """y = log(shift + scale * x) / log(base); NaN below 0, -inf at 0. x, y: any shape."""

    type, param_field = "Log", "log_param"
    Attrs = LogAttrs

    @staticmethod
    def forward(a: LogAttrs) -> Expr:
        natural = log(_argument(a))
        return natural if _log_base(a) == 1 else natural * (1 / _log_base(a))

    @staticmethod
    def backward(a: LogAttrs) -> Expr:
        factor = a.scale / _log_base(a)
        dy = Var("dy")
        return (dy if factor == 1 else factor * dy) / _argument(a)

    samples = (
        Sample(((2, 3, 4),), draw={"x": positive}),
        Sample(((2, 5),), LogAttrs(base=2.0, scale=2.5, shift=0.7), draw={"x": positive}),
        Sample(((0, 3),)),
    )


def _log_base(a: LogAttrs) -> float:
    value = log_of_base(a.base)
    if value == 0:
        fail("GC-N008", "base is 1, and no power of 1 is anything else", "choose another base")
    return value


def _argument(a: LogAttrs) -> Expr:
    scaled = Var("x") if a.scale == 1 else a.scale * Var("x")
    return scaled if a.shift == 0 else scaled + a.shift
