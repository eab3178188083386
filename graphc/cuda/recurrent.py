"""Work of LSTM and RNN: a product and a pointwise kernel for each step, on and back.

Sequences are (T, N, ...), states (N, D) or (1, N, D), `cont` (T, N). All operands have one type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc.cuda._walk import Walk
from graphc.cuda.launch import NULL, Memory, Operand, Place, Spec, Told, Work
from graphc.cuda.products import matrix_product
from graphc.cuda.sums import sum_middle


def lstm(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, cont, h0, c0 and blobs -> y and of hT, cT, gates, cell, h_in and c_in those told."""
    shape = writes[told["writes"].split().index("y")].shape
    seq = Walk(told, reads, writes, shape, 4 * shape[2])
    gates = seq.written.get("gates") or seq.room(4 * seq.steps * seq.state)
    cells, y = seq.written.get("cell"), seq.written["y"]
    c, kept, masked = seq.read["c0"], seq.room(seq.state), seq.room(seq.state)
    h = seq.read["h0"]
    seq.keep("h_in", h)
    seq.keep("c_in", c)
    seq.project(("W_xc", "b_c", "W_xc_static"), gates)
    seq.mask(h, seq.cont(0), 1, masked)
    for t in range(seq.steps):
        own, h = seq.at(gates, 4 * t * seq.state), seq.at(y, t * seq.state)
        following = kept if cells is None else seq.at(cells, t * seq.state)
        seq.carry(masked, "W_hc", own)
        is_last = t + 1 == seq.steps
        after = NULL if is_last else seq.cont(t + 1)
        places = (own, following, h, NULL if is_last else masked)
        seq.run("lstm_step", own, c, seq.cont(t), after, *places)
        c = following
    seq.keep("hT", h)
    seq.keep("cT", c)
    return seq.work


def lstm_dsums(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, gates, cell, cont, the cell before and perhaps dhT, dcT and W_hc -> dsums."""
    seq = _back(told, reads, writes)
    held, dsums = seq.room(seq.state), Operand(len(reads))
    start = seq.read["c0" if "c0" in seq.read else "c_in"]

    def results(t: int) -> tuple[Place, Place, Place]:
        before = seq.at(seq.read["cell"], (t - 1) * seq.state) if t else start
        return before, seq.at(dsums, 4 * t * seq.state), held

    return _through_time(seq, dsums, held, results)


def lstm_dc0(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, gates, cell, cont and perhaps dhT, dcT, dsums and W_hc -> dc0."""
    seq, dc0 = _back(told, reads, writes), Operand(len(reads))
    dsums = seq.read.get("dsums", dc0)  # of one step nobody reads it
    return _through_time(seq, dsums, dc0, lambda t: (NULL, NULL, dc0))


def _back(told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Walk:
    shape = reads[told["reads"].split().index("cell")].shape
    return Walk(told, reads, writes, shape, 4 * shape[2])


def _through_time(
    seq: Walk, dsums: Memory, held: Memory, results: Callable[[int], tuple[Place, Place, Place]]
) -> Work:
    """From the last step to the first; `held`: where the cell's gradient is; `results`: of a step
    the cell before, and where the gradients of its sums and of that cell go."""
    read, state, carried = seq.read, seq.state, seq.room(seq.state)
    dh: Place = read.get("dhT", NULL)
    dc: Place = read.get("dcT", NULL)
    cont: Place = NULL
    for t in reversed(range(seq.steps)):
        before, *targets = results(t)
        gates, cell = seq.at(read["gates"], 4 * t * state), seq.at(read["cell"], t * state)
        given = (gates, cell, before, seq.cont(t), seq.at(read["dy"], t * state))
        seq.run("lstm_back", *given, dh, cont, dc, *targets)
        if t:
            seq.back(seq.at(dsums, 4 * t * state), "W_hc", carried)
        dh, dc, cont = carried, held, seq.cont(t)
    return seq.work


def lstm_unit(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """c_prev, gates' sums, cont -> c, h."""
    seq = Walk(told, reads, writes, reads[0].shape, 4)
    c_prev, sums, cont, c, h = map(Operand, range(5))
    seq.run("lstm_step", sums, c_prev, cont, NULL, NULL, c, h, NULL)
    return seq.work


def lstm_unit_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dc, dh, c_prev, gates' sums, cont -> the gradient of the sums, or of c_prev."""
    seq = Walk(told, reads, writes, reads[2].shape, 4)
    dc, dh, c_prev, sums, cont, result = map(Operand, range(6))
    places = (result, NULL) if told["gates"] else (NULL, result)
    seq.run("lstm_back", sums, NULL, c_prev, cont, dh, NULL, NULL, dc, *places)
    return seq.work


def rnn(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, cont, h0 and blobs -> y and of hT, hidden and h_in those told."""
    shape = writes[told["writes"].split().index("y")].shape
    seq = Walk(told, reads, writes, shape, shape[2])
    hidden = seq.written.get("hidden") or seq.room(seq.steps * seq.state)
    masked, h, y = seq.room(seq.state), seq.read["h0"], seq.written["y"]
    seq.keep("h_in", h)
    seq.project(("W_xh", "b_h", "W_xh_static"), hidden)
    seq.mask(h, seq.cont(0), 1, masked)
    for t in range(seq.steps):
        h = seq.at(hidden, t * seq.state)
        seq.carry(masked, "W_hh", h)
        is_last = t + 1 == seq.steps
        seq.run("rnn_step", NULL if is_last else seq.cont(t + 1), h, NULL if is_last else masked)
    seq.keep("hT", h)
    lines, units = seq.steps * shape[1], shape[2]
    places = (hidden, seq.read["W_ho"], y)
    seq.multiply((lines, units, units), places, bias=seq.read["b_o"])
    for t in range(seq.steps):
        seq.run("rnn_step", NULL, seq.at(y, t * seq.state), NULL)
    return seq.work


def rnn_dsums(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dout_sums, hidden, W_ho, and of more than one step W_hh and cont -> dsums."""
    shape = reads[told["reads"].split().index("hidden")].shape
    seq = Walk(told, reads, writes, shape, shape[2])
    read, dsums, state = seq.read, Operand(len(reads)), seq.state
    dh: Place = read.get("dhT", NULL)
    cont: Place = NULL
    lines, units = seq.steps * shape[1], shape[2]
    places = (read["dout_sums"], read["W_ho"], dsums)
    seq.multiply((lines, units, units), places, turned=False)
    carried = seq.room(state)
    for t in reversed(range(seq.steps)):
        sums = seq.at(dsums, t * state)
        seq.run("rnn_back", seq.at(read["hidden"], t * state), dh, cont, sums)
        if t:
            seq.back(sums, "W_hh", carried)
            dh, cont = carried, seq.cont(t)
    return seq.work


def _behind(
    told: Told, reads: Sequence[Spec], writes: Sequence[Spec], units: int
) -> tuple[Walk, int]:
    """The walk of what follows from dsums, and how many products share a gradient's sum."""
    steps, streams, rows = reads[0].shape
    seq = Walk({**told, "reads": ""}, reads, writes, (steps, streams, units), rows)
    return seq, steps * streams


def dh0(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dsums, cont, W_h -> dh0."""
    units = writes[0].shape[-1]
    seq, _ = _behind(told, reads, writes, units)
    extents, product = (seq.shape[1], units, seq.rows), seq.room(seq.state)
    seq.multiply(extents, (Operand(0), Operand(2), product), turned=False)
    seq.mask(product, Operand(1), 1, Operand(3))
    return seq.work


def hidden_weight(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dsums, cont, all h if there are several steps, the first h, and perhaps dW_h to add to ->
    dW_h."""
    seq, lines = _behind(told, reads, writes, writes[0].shape[-1])
    first = len(reads) - 1 - bool(told.get("accumulate"))
    masked, streams = seq.room(lines * seq.shape[2]), seq.shape[1]
    seq.mask(Operand(first), Operand(1), 1, masked)
    if seq.steps > 1:
        cont, later = seq.at(Operand(1), streams), seq.at(masked, seq.state)
        seq.mask(Operand(2), cont, seq.steps - 1, later)
    return _weight(seq, told, Operand(0), masked, lines)


def _weight(seq: Walk, told: Told, a: Place, b: Place, depth: int) -> Work:
    """The gradient of a weight (rows, units), a turned times b."""
    rows, units = seq.rows, seq.shape[2]
    sides = (a, 1, rows), (b, units, 1)
    items, adds = (seq.item, seq.writes[0].item), bool(told.get("accumulate"))
    extents, result = (rows, units, depth), Operand(len(seq.reads))
    seq.launches.append(matrix_product(extents, items, *sides, result, adds=adds))
    return seq.work


def static_dx(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dsums, W_static -> dx_static."""
    inputs = math.prod(writes[0].shape[1:])
    seq, _ = _behind(told, reads, writes, inputs)
    total = _over_time(seq)
    extents = (seq.shape[1], inputs, seq.rows)
    seq.multiply(extents, (total, Operand(1), Operand(2)), turned=False)
    return seq.work


def static_weight(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dsums, x_static, and perhaps dW to add to -> dW."""
    seq, _ = _behind(told, reads, writes, writes[0].shape[-1])
    return _weight(seq, told, _over_time(seq), Operand(1), seq.shape[1])


def _over_time(seq: Walk) -> Place:
    """dsums (T, N, rows) summed over steps."""
    size = seq.shape[1] * seq.rows
    total = seq.room(size)
    if size:
        extents, items = (1, seq.steps, size), (seq.item, seq.item)
        seq.launches.append(sum_middle(extents, items, Operand(0), total))
    return total


MAKERS: dict[str, Callable[..., Work]] = {
    "lstm": lstm,
    "lstm_dc0": lstm_dc0,
    "lstm_dsums": lstm_dsums,
    "lstm_unit": lstm_unit,
    "lstm_unit_gradient": lstm_unit_gradient,
    "recurrent_dh0": dh0,
    "recurrent_dweight": hidden_weight,
    "rnn": rnn,
    "rnn_dsums": rnn_dsums,
    "static_dweight": static_weight,
    "static_dx": static_dx,
}
