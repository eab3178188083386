"""What LSTM and RNN share: blobs, checks, and the hidden state between time steps and forwards."""

from __future__ import annotations

from dataclasses import replace

from graphc.errors import fail
from graphc.ir.op import Effect, Filler, Kind, Param, Sig
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops.spec import F64, Forward, Grad, Values
from graphc.ops.ties import Algebra, Kept, Tie
from graphc.records import record

Roles = tuple[str, ...]
Names = tuple[str, str, str, str]


@record(frozen=True)
class RecurrentAttrs:
    """`expose_hidden`: the hidden state comes in as bottoms and goes out as tops; else it is
    carried from one forward to the next."""

    num_output: int = 0
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()
    debug_info: bool = False
    expose_hidden: bool = False


def recurrent_roles(
    a: RecurrentAttrs, states: Roles, n_ins: int, n_tops: int
) -> tuple[Roles, Roles]:
    """Roles of bottoms (x, cont, x_static if there is one more, states) and tops (y, states)."""
    exposed = states if a.expose_hidden else ()
    least = 2 + len(exposed)
    if n_ins not in (least, least + 1):
        names = ", ".join(("x", "cont", "x_static (optional)", *exposed))
        fail("GC-N004", f"takes bottoms ({names}), but {n_ins} are given")
    finals = tuple(final(state) for state in exposed)
    if n_tops != 1 + len(finals):
        fail("GC-N004", f"gives tops ({', '.join(('y', *finals))}), but {n_tops} are named")
    static = ("x_static",) if n_ins > least else ()
    return ("x", "cont", *static, *exposed), ("y", *finals)


def final(state: str) -> str:
    """The top that shows what a state becomes: h0 -> hT."""
    return state[0] + "T"


def infer_recurrent(a: RecurrentAttrs, s: Sig, states: Roles) -> dict[str, Type]:
    """Types of y (T, N, D) and the exposed states (1, N, D). Raises GC-N008, GC-S002, GC-S003."""
    x, cont = s.ins["x"], s.ins["cont"]
    if a.num_output < 1:
        fail("GC-N008", f"num_output is {a.num_output}", "set recurrent_param.num_output")
    if x.rank < 3 or x.shape[0] < 1:
        fail("GC-S002", f"x has shape {x.shape}, but must be (T, N, I...) with T at least 1")
    if cont.shape != x.shape[:2]:
        fail("GC-S003", f"cont has shape {cont.shape}, but x is {x.shape}: (T, N) is needed")
    static = s.ins.get("x_static")
    if static is not None and (static.rank < 2 or static.shape[0] != x.shape[1]):
        fail("GC-S003", f"x_static has shape {static.shape}, but must be ({x.shape[1]}, I...)")
    state = Type((1, x.shape[1], a.num_output))
    for role in states:
        if role in s.ins and s.ins[role].shape != state.shape:
            fail("GC-S003", f"{role} has shape {s.ins[role].shape}, but must be {state.shape}")
    finals = {final(role): state for role in states}
    return {"y": Type((*x.shape[:2], a.num_output))} | {
        role: t for role, t in finals.items() if role in s.tops
    }


def weight_params(a: RecurrentAttrs, s: Sig, rows: int, names: Names) -> tuple[Param, ...]:
    """W_x (rows, I), b (rows,), W_x_static (rows, Is) if there is one, W_h (rows, D)."""
    inputs, bias, static, hidden = names
    params = [
        Param(inputs, (rows, s.ins["x"].count(2)), a.weight_filler, out_axis=0, in_axis=1),
        Param(bias, (rows,), a.bias_filler, out_axis=0),
    ]
    if "x_static" in s.ins:
        shape = (rows, s.ins["x_static"].count(1))
        params.append(Param(static, shape, a.weight_filler, out_axis=0, in_axis=1))
    params.append(Param(hidden, (rows, a.num_output), a.weight_filler, out_axis=0, in_axis=1))
    return tuple(params)


def carried(a: RecurrentAttrs, s: Sig, states: Roles) -> tuple[Param, ...]:
    """The hidden states as CARRY values (1, N, D), unless they are exposed."""
    if a.expose_hidden:
        return ()
    shape = (1, s.ins["x"].shape[1], a.num_output)
    return tuple(Param(role, shape, kind=Kind.CARRY) for role in states)


def recurrent_forwards(a: RecurrentAttrs, states: Roles, sequences: Roles) -> tuple[Forward, ...]:
    """One pure call; unless exposed, a second that keeps the last step of each of `sequences`."""
    if a.expose_hidden:
        return (Forward(),)
    return (Forward(), Forward("carry", sequences, states, effects=frozenset({Effect.CARRY})))


def starts(a: RecurrentAttrs, states: Roles) -> Roles:
    """Where backward reads the initial states: the bottoms, or the aux copies h_in, c_in (the
    carried values themselves have moved on by then)."""
    return states if a.expose_hidden else tuple(f"{state[0]}_in" for state in states)


def start_aux(a: RecurrentAttrs, s: Sig, states: Roles) -> dict[str, Type]:
    """Types of the aux copies of the initial states."""
    if a.expose_hidden:
        return {}
    return dict.fromkeys(starts(a, states), Type((1, s.ins["x"].shape[1], a.num_output)))


def projected(v: Values, names: Names) -> F64:
    """The part of each step's sum that needs no hidden state: (T, N, rows)."""
    inputs, bias, static, _ = names
    x = v["x"].reshape(*v["x"].shape[:2], v[inputs].shape[1])
    total = add(contract("tni,gi->tng", x, v[inputs]), v[bias])
    if "x_static" in v:
        flat = v["x_static"].reshape(v["x_static"].shape[0], v[static].shape[1])
        total = add(total, contract("ni,gi->ng", flat, v[static]))
    return total


def sums_type(s: Sig, rows: int) -> Type:
    """The inner role `sums`: what `projected` and the hidden state add up to, (T, N, rows)."""
    return Type((*s.ins["x"].shape[:2], rows))


def projected_grads(s: Sig, names: Names) -> tuple[Grad, ...]:
    """The parts of `projected`'s operands, each one product with "dsums"."""
    inputs, bias, static, _ = names
    parts = [
        Grad("x", ("dsums", inputs)),
        Grad(inputs, ("dsums", "x"), accumulate=True),
        Grad(bias, ("dsums",), accumulate=True),
    ]
    if "x_static" in s.ins:
        parts.append(Grad("x_static", ("dsums", static)))
        parts.append(Grad(static, ("dsums", "x_static"), accumulate=True))
    return tuple(parts)


def hidden_grads(a: RecurrentAttrs, s: Sig, hidden: str, names: Names) -> tuple[Grad, ...]:
    """The parts of the recurrent weight and, if exposed, of h0. `hidden`: the role of all h[t]."""
    start = starts(a, ("h0",))[0]
    before = (hidden, start) if s.ins["x"].shape[0] > 1 else (start,)
    weight = Grad(names[3], ("dsums", "cont", *before), accumulate=True)
    first = (Grad("h0", ("dsums", "cont", names[3])),) if a.expose_hidden else ()
    return (weight, *first)


def hidden_back(part: str, v: Values, start: str, hidden: str, names: Names) -> F64:
    """Gradient of the recurrent weight, or of h0."""
    if part == "dh0":
        return through_hidden(v["dsums"][:1], v["cont"][:1], v[names[3]])
    h = previous(v[hidden], v[start]) if hidden in v else v[start]
    return contract("tng,tnd->gd", v["dsums"], masked(h, v["cont"]))


def through_hidden(dsums: F64, cont: F64, weight: F64) -> F64:
    """What the sums of steps t pass on to the gradient of h[t-1]: (T, N, rows) -> (T, N, D)."""
    return masked(contract("tng,gd->tnd", dsums, weight), cont)


def projected_back(part: str, v: Values, s: Sig, names: Names) -> F64:
    """Gradient part of `projected`: of an input, or of one of its parameters."""
    inputs, bias, static, _ = names
    dsums = v["dsums"]
    t, n = dsums.shape[:2]
    if part == "dx":
        dx = contract("tng,gi->tni", dsums, v[inputs])
        return dx.reshape(t, n, *s["x"].shape[2:])
    if part == f"d{inputs}":
        return contract("tng,tni->gi", dsums, v["x"].reshape(t, n, s[inputs].shape[1]))
    with np.errstate(all="ignore"):
        over_time = np.asarray(dsums.sum(0))
        if part == f"d{bias}":
            return np.asarray(over_time.sum(0))
    if part == "dx_static":
        dx = contract("ng,gi->ni", over_time, v[static])
        return dx.reshape(n, *s["x_static"].shape[1:])
    return contract("ng,ni->gi", over_time, v["x_static"].reshape(n, s[static].shape[1]))


def add(a: F64, b: F64) -> F64:
    """a + b, where inf - inf is NaN without a warning."""
    with np.errstate(invalid="ignore"):
        return a + b


def masked(h: F64, cont: F64) -> F64:
    """h (..., N, D), zeroed where cont (..., N) starts a sequence."""
    with np.errstate(invalid="ignore"):
        return h * cont[..., None]


def previous(sequence: F64, start: F64) -> F64:
    """The sequence one step earlier: start (1, N, D), then all but the last step."""
    return np.concatenate([start, sequence[:-1]])


def hidden_ties(a: RecurrentAttrs, s: Sig, states: Roles, blobs: tuple[Tie, ...]) -> Algebra:
    """Ties of hidden unit j (y.2) to `blobs` and to the states."""
    shown = (*states, *(top for top in s.tops if top != "y"))
    return (*blobs, *(Tie("y.2", f"{role}.2") for role in shown))


def hidden_narrow(a: RecurrentAttrs, kept: Kept) -> RecurrentAttrs:
    """Attributes with the hidden units that are left."""
    units = kept.get("y.2")
    return a if units is None else replace(a, num_output=len(units))


def input_ties(s: Sig, names: Names) -> Algebra:
    """Ties of input channels (x.2, x_static.1) to the columns of their weights."""
    table = [Tie("x.2", f"{names[0]}.1", repeat=s.ins["x"].count(3))]
    if "x_static" in s.ins:
        static = s.ins["x_static"]
        table.append(Tie("x_static.1", f"{names[2]}.1", repeat=static.count(2)))
    return tuple(table)


def sequence_starts(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    """For samples: a cont (T, N) that lets stream 0 go on, and starts others at random."""
    cont = rng.integers(0, 2, shape).astype(np.float64)
    cont[:, :1] = 1
    return cont
