"""Work of scalar expressions: CUDA source made from the register programs of layers and rules.

What kernels "expr" and "expr_sum" of the CPU are told, see csrc/kernels/expr.h, is all that it
takes. Equal programs on operands of equal types give equal text, whatever their extents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

from graphc.cuda.launch import (
    STREAM,
    THREADS,
    Launch,
    Operand,
    Spec,
    Told,
    Work,
    over,
    per_warp,
    refuse,
)
from graphc.numpy_later import np
from graphc.ops._program import OPCODES, encode
from graphc.ops.scalar import Expr, literal

ALL = -1
HEADERS = '#include "grid.h"\n#include "philox.h"\n#include "storage.h"\n'
_UNARY = {"copy": "{0}", "neg": "-{0}", "abs": "fabsf({0})"}
_UNARY |= {name: f"{name}f({{0}})" for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh")}
_FORMS = {
    **_UNARY,
    **{sign: f"{{0}} {sign} {{1}}" for sign in "+-*/"},
    "pow": "powf({0}, {1})",
    "minimum": "{1} < {0} ? {1} : {0}",
    "maximum": "{0} < {1} ? {1} : {0}",
    "muladd": "{0} * {1} + {2}",
    **{relation: f"{{0}} {relation} {{1}} ? {{2}} : {{3}}" for relation in ("<", "<=", "==")},
}
"""Operations in C++, a NaN treated as the C++ core treats it (csrc/kernels/spans.h)."""
_BY_NUMBER = {number: name for name, number in OPCODES.items()}


def statements(code: Sequence[int], constants: Sequence[float], operands: int, draws: bool) -> str:
    """C++ that computes result0, result1, ... from x0, x1, ... and the draw u."""
    names = [f"x{i}" for i in range(operands)]
    names += [literal(value) for value in constants]
    names += ["u"] if draws else []
    lines: list[str] = []
    at = 0
    while at < len(code):
        operation = _BY_NUMBER[code[at]]
        count = _arity(operation)
        target, slots = code[at + 1], code[at + 2 : at + 2 + count]
        at += 2 + count
        values = [names[s] if s < len(names) else f"r{s}" for s in slots]
        name = f"r{target}" if target >= 0 else f"result{-1 - target}"
        lines.append(f"{name} = {_FORMS[operation].format(*values)};")
    targets = dict.fromkeys(line.split(" ", 1)[0] for line in lines)
    return f"float {', '.join(targets)};\n" + "".join(f"{line}\n" for line in lines)


def expression(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """Every element of the results, which may lie over operands of their shape; with `accumulate`
    the result is added to the last operand, which is the result itself."""
    adds = bool(told.get("accumulate"))
    count = len(reads) - adds
    starts = zip(reads[:count], told["starts"], range(count), strict=True)
    inputs = [(spec, start, Operand(k)) for spec, start, k in starts]
    outs = [(spec, Operand(k)) for k, spec in enumerate(writes, len(reads))]
    return _work(symbol, told, inputs, outs, adds)


Input: TypeAlias = tuple[Spec, int, Any]
"""An operand of an expression: what it is, the first axis along which it lies, the argument."""


def elementwise(
    expr: Expr, inputs: Mapping[str, Input], out: tuple[Spec, Any], *, adds: bool = False
) -> Work:
    """out = an expression of `inputs`, of these or any other arguments; perhaps out and it."""
    program = encode({"": expr}, tuple(inputs), ("",))
    told = {"code": program.code, "constants": program.constants}
    return _work("expr", told, [*inputs.values()], [out], adds)


def _work(
    symbol: str,
    told: Told,
    inputs: Sequence[Input],
    outs: Sequence[tuple[Spec, Any]],
    adds: bool,
) -> Work:
    result = outs[0][0]
    places: list[str] = []
    numbers: list[int] = []
    for i, (spec, start, _) in enumerate(inputs):
        place, extents = _place(symbol, i, spec, start, result)
        places.append(place.format(*(f"n{len(numbers) + k}" for k in range(len(extents)))))
        numbers += extents
    draws = "layer" in told
    sizes = [f"Index n{i}" for i in range(len(numbers))]
    pointers = [f"const {spec.item}* in{i}" for i, (spec, _, _) in enumerate(inputs)]
    pointers += [f"{spec.item}* out{i}" for i, (spec, _) in enumerate(outs)]
    stream = ["unsigned layer", "Index first", "const RandomStream* stream"] if draws else []
    body = "".join(f"const float x{i} = float(in{i}[{p}]);\n" for i, p in enumerate(places))
    body += statements(told["code"], told["constants"], len(inputs), draws)
    plus = "float(out0[i]) + " if adds else ""
    body += "".join(
        f"out{k}[i] = static_cast<{spec.item}>({plus}result{k});\n"
        for k, (spec, _) in enumerate(outs)
    )
    is_turned = draws and not result.is_dense
    loop = _DRAWN_TURNED if is_turned else _DRAWN if draws else _PLAIN
    stream += ["Index channels", "Index area"] if is_turned else []
    parameters = ", ".join(["Index count", *sizes, *stream, *pointers])
    name, text = _named("expr", f"({parameters}) {{\n{loop % body}}}\n")
    args = (np.int64(result.size), *map(np.int64, numbers))
    if draws:
        args = (*args, np.uint32(told["layer"]), np.int64(told.get("first", 0)), STREAM)
    if is_turned:
        args = (*args, *map(np.int64, (result.shape[1], math.prod(result.shape[2:]))))
    args = (*args, *(each[-1] for each in (*inputs, *outs)))
    threads = -(-result.size // 4) + 1 if draws and not is_turned else result.size
    return Work((Launch(text, name, *over(threads), args),) if result.size else ())


_PLAIN = "for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {\n%s}\n"
# A thread has the four elements that one counter of the stream gives words for.
_DRAWN = """for (Index quad = first / 4 + thread_in_grid(); quad * 4 < first + count;
     quad += threads_of_grid()) {
const Words words = draw_words(*stream, quad, layer, 0);
for (int k = 0; k < 4; ++k) {
const Index i = quad * 4 + k - first;
if (i < 0 || i >= count) continue;
const float u = unit_of(words.at[k]);
%s}
}
"""
# With channels last in memory draws are still those of the elements' places with channels before.
_DRAWN_TURNED = """for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
const Index plane = i / channels / area * channels + i %% channels;
const Index drawn = first + plane * area + i / channels %% area;
const Words words = draw_words(*stream, drawn / 4, layer, 0);
const unsigned lower = drawn %% 2 ? words.at[1] : words.at[0];
const unsigned upper = drawn %% 2 ? words.at[3] : words.at[2];
const float u = unit_of(drawn %% 4 < 2 ? lower : upper);
%s}
"""


def _place(
    symbol: str, number: int, spec: Spec, start: int, result: Spec
) -> tuple[str, tuple[int, ...]]:
    """Where element i of the result finds its operand, and the extents that this reads.

    Raises GC-A001 for an operand that is repeated along an axis between others, in memory.
    """
    if start == ALL:
        return "i", ()
    own = dict(enumerate(spec.shape, start))
    axes = [*range(len(result.shape))]
    if not result.is_dense:  # channels last, see graphc/cuda/__init__.py
        axes.append(axes.pop(1))
    sides = [(axis, own.get(axis, 1), result.shape[axis]) for axis in axes]
    while sides and sides[0][1] == 1:
        sides.pop(0)
    inner = 1
    while sides and sides[-1][1] == 1:
        inner *= sides.pop()[2]
    lie = [axis for axis, extent, _ in sides if extent > 1]
    if lie != sorted(lie) or any(extent != whole for _, extent, whole in sides):
        refuse(symbol, f"operand {number} of shape {spec.shape} is repeated inside")
    extents = (inner, math.prod(extent for _, extent, _ in sides))
    return ("i / {} % {}", extents) if sides else ("0", ())


def expression_sum(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """The sum of the result over all axes but the kept ones; a block for each that is kept."""
    adds = bool(told.get("accumulate"))
    factor = told.get("factor")
    operands = [i for i in range(len(reads) - adds) if i != factor]
    pointers = [f"const {reads[i].item}* in{k}" for k, i in enumerate(operands)]
    pointers += [f"const {reads[factor].item}* factor"] if factor is not None else []
    pointers += [f"{writes[0].item}* out"]
    body = "".join(f"const float x{k} = float(in{k}[at]);\n" for k in range(len(operands)))
    body += statements(told["code"], told["constants"], len(operands), False)
    times = " * float(factor[blockIdx.x])" if factor is not None else ""
    plus = "float(out[blockIdx.x]) + " if adds else ""
    lines = _SUM % (body, f"static_cast<{writes[0].item}>({plus}sum{times})")
    parameters = ", ".join(["Index outer", "Index kept", "Index inner", *pointers])
    name, text = _named("expr_sum", f"({parameters}) {{\n{lines}}}\n")
    outer, kept, inner = (int(told[n]) for n in ("outer", "kept", "inner"))
    first = reads[operands[0]]
    if not first.is_dense:
        if kept > 1 and (outer, kept) != first.shape[:2]:
            refuse(symbol, f"axis 1 of {first.shape}, channels last, is not the one that is kept")
        outer, inner = outer * inner, 1
    numbers = map(np.int64, (outer, kept, inner))
    places = [*operands, *([factor] if factor is not None else []), len(reads)]
    args = (*numbers, *map(Operand, places))
    launch = Launch(text, name, (kept,), (THREADS,), args, per_warp())
    return Work((launch,) if kept else ())


_SUM = """GRAPHC_SHARED(float, warps);
float sum = 0;
for (Index i = threadIdx.x; i < outer * inner; i += blockDim.x) {
const Index at = (i / inner * kept + blockIdx.x) * inner + i %% inner;
%ssum += result0;
}
sum = block_sum(sum, warps);
if (threadIdx.x == 0) out[blockIdx.x] = %s;
"""


CHUNK = 4096
"""Elements of one parameter that a block of an update of many is for."""


def tables(told: Told, counts: Sequence[int]) -> tuple[Any, Launch]:
    """One launch of an update rule for many parameters; `told`: what "expr" is told of each.

    Rows of the table, which the launch reads from device memory as operand 0: addresses of the
    operands that are as large as the parameter, reads, then writes (the caller's to fill in), the
    parameter's elements, and the first of its blocks. Operands 1, 2, ... are the numbers that all
    share, in the order of the reads. All of them float32.
    """
    starts = told["starts"]
    shared = [i for i, start in enumerate(starts) if start != ALL]
    own = [i for i, start in enumerate(starts) if start == ALL]
    results = 1 + max(-1 - slot for slot in _targets(told["code"]))
    columns = len(own) + results
    lines = "".join(f"const float x{i} = number{i}[0];\n" for i in shared)
    body = "".join(f"const float x{i} = row.at[{k}][i];\n" for k, i in enumerate(own))
    body += statements(told["code"], told["constants"], len(starts), False)
    body += "".join(f"row.at[{len(own) + k}][i] = result{k};\n" for k in range(results))
    pointers = "".join(f", const float* number{i}" for i in shared)
    parts = {"columns": columns, "pointers": pointers, "lines": lines, "chunk": CHUNK, "body": body}
    digest = sha256((_TABLE % {**parts, "name": ""}).encode()).hexdigest()[:16]
    name = f"expr_table_{digest}"
    text = _TABLE % {**parts, "name": name}
    source = f"{HEADERS}namespace graphc {{\n{text}}}\n"
    row = np.dtype([("at", np.uint64, columns), ("count", np.int64), ("block", np.int64)])
    table = np.zeros(len(counts), row)
    blocks = [-(-count // CHUNK) for count in counts]
    table["count"], table["block"] = counts, np.cumsum([0, *blocks])[:-1]
    operands = map(Operand, range(1 + len(shared)))
    args = (np.int32(len(counts)), *operands)
    return table, Launch(source, f"graphc::{name}", (max(1, sum(blocks)),), (THREADS,), args)


# A block finds its parameter by bisection: the last row whose first block is not behind it.
_TABLE = """struct Row%(name)s {
float* at[%(columns)d];
Index count, block;
};
__global__ void %(name)s(int rows, const Row%(name)s* table%(pointers)s) {
int low = 0, high = rows;
while (high - low > 1) {
const int middle = (low + high) / 2;
(table[middle].block <= Index(blockIdx.x) ? low : high) = middle;
}
const Row%(name)s& row = table[low];
%(lines)sconst Index first = (blockIdx.x - row.block) * %(chunk)d;
const Index stop = lesser(row.count, first + %(chunk)d);
for (Index i = first + threadIdx.x; i < stop; i += blockDim.x) {
%(body)s}
}
"""


def _targets(code: Sequence[int]) -> list[int]:
    """The slots that a program's instructions write."""
    found, at = [], 0
    while at < len(code):
        found.append(code[at + 1])
        at += 2 + _arity(_BY_NUMBER[code[at]])
    return found


def _arity(operation: str) -> int:
    return sum(f"{{{k}}}" in _FORMS[operation] for k in range(4))


def _named(stem: str, rest: str) -> tuple[str, str]:
    """The kernel's name, which tells it from others, and the source."""
    name = f"{stem}_{sha256(rest.encode()).hexdigest()[:16]}"
    return f"graphc::{name}", f"{HEADERS}namespace graphc {{\n__global__ void {name}{rest}}}\n"
