"""encode: scalar expressions as a small register program, which the C++ core runs block by block.

The program is plain numbers. Every slot holds a block of floats: first the operands, then the
constants, then the uniform draw if there is one, then registers. An instruction is an opcode, the
slot it writes and those it reads; -1 - k instead of a slot is result k.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from graphc.ir.types import to_f32
from graphc.numpy_later import np
from graphc.ops._expression import Apply, Cond, Const, Expr, Var, Where, postorder
from graphc.ops.scalar import FUNCTIONS, RELATIONS
from graphc.records import record

# In the order of csrc/kernels/spans.h. minimum(a, b) is b where b < a, else a; maximum likewise;
# muladd(a, b, c) is a * b + c; a comparison takes two values to compare and two to choose from.
_ORDER = (
    *("copy", "neg", "abs", "sqrt", "exp", "expm1", "log", "log1p", "tanh"),
    *("+", "-", "*", "/", "pow", "minimum", "maximum"),
    "muladd",
    *("<", "<=", "=="),
)
OPCODES = {name: number for number, name in enumerate(_ORDER)}
MAX_REGISTERS, MAX_OPERANDS = 32, 300
"""What the core has room for: blocks a program needs beside operands, and operands."""

Ref: TypeAlias = "tuple[str, int]"
"""A value while encoding: ("operand" | "constant" | "draw" | "value", its index)."""


@record(frozen=True, slots=True)
class Program:
    """`constants` are float32 numbers; `registers`: how many slots follow operands, constants and
    draw; `draws`: does it read the uniform draw?"""

    code: tuple[int, ...]
    constants: tuple[float, ...]
    registers: int
    draws: bool


def encode(
    outputs: Mapping[str, Expr],
    operands: Sequence[str],
    results: Sequence[str],
    draw: str = "",
) -> Program:
    """The program that computes `results` among `outputs`, where a later output may use an earlier
    one's name as a variable, from `operands`; `draw` names the variable that is the uniform draw.

    Raises KeyError for a variable that is none of these.
    """
    coder = _Coder(len(operands), {name: ("operand", i) for i, name in enumerate(operands)})
    if draw:
        coder.names[draw] = ("draw", 0)
    for name, expr in outputs.items():
        coder.names[name] = coder.add(expr)
    return coder.finish([coder.names[name] for name in results])


@record
class _Coder:
    """Values numbered as they come; equal ones once."""

    operands: int
    names: dict[str, Ref]
    constants: list[float] = field(default_factory=list)
    values: list[tuple[str, tuple[Ref, ...]]] = field(default_factory=list)
    known: dict[tuple[str, tuple[Ref, ...]], Ref] = field(default_factory=dict)

    def add(self, root: Expr) -> Ref:
        refs: dict[int, Ref] = {}
        for node in postorder(root):
            if isinstance(node, Var):
                refs[id(node)] = self.names[node.name]
            elif isinstance(node, Const):
                refs[id(node)] = self.constant(node.value)
            elif isinstance(node, Apply):
                refs[id(node)] = self.apply(node.function, tuple(refs[id(a)] for a in node.args))
            elif isinstance(node, Where):
                refs[id(node)] = self.choose(node.cond, refs, node)
        return refs[id(root)]

    def constant(self, value: float) -> Ref:
        # compared as text: NaN is equal to itself, and 0 is not equal to -0
        texts = [repr(each) for each in self.constants]
        if repr(value) not in texts:
            self.constants.append(value)
            texts.append(repr(value))
        return ("constant", texts.index(repr(value)))

    def value(self, operation: str, *args: Ref) -> Ref:
        if (operation, args) not in self.known:
            self.known[operation, args] = ("value", len(self.values))
            self.values.append((operation, args))
        return self.known[operation, args]

    def apply(self, function: str, args: tuple[Ref, ...]) -> Ref:
        if all(kind == "constant" for kind, _ in args):
            with np.errstate(all="ignore"):
                numbers = (np.float64(self.constants[index]) for _, index in args)
                return self.constant(float(FUNCTIONS[function](*numbers)))
        return self.value(function, *args)

    def choose(self, cond: Cond, refs: Mapping[int, Ref], node: Where) -> Ref:
        left, right = refs[id(cond.left)], refs[id(cond.right)]
        yes, no = refs[id(node.yes)], refs[id(node.no)]
        if left[0] == right[0] == "constant":
            numbers = self.constants[left[1]], self.constants[right[1]]
            return yes if RELATIONS[cond.relation](*numbers) else no
        relation = cond.relation
        if relation in (">", ">="):
            relation, left, right = "<" + relation[1:], right, left
        if relation == "<" and (yes, no) == (right, left):
            return self.value("maximum", left, right)
        if relation == "<" and (yes, no) == (left, right):
            return self.value("minimum", right, left)
        left, right = self.exact(relation, left, right)
        return self.value(relation, left, right, yes, no)

    def exact(self, relation: str, left: Ref, right: Ref) -> tuple[Ref, Ref]:
        """Both sides, a constant rounded to float32 such that comparing it with any float32 gives
        what the constant itself would give."""
        up = {"<": right, "<=": left}.get(relation)
        down = {"<": left, "<=": right}.get(relation)
        found = []
        for side in (left, right):
            if side[0] == "constant":
                number = self.constants[side[1]]
                near = _float32(number)
                if near != number and not math.isnan(number):
                    toward = math.inf if side == up else -math.inf if side == down else math.nan
                    near = _toward(number, near, toward)
                side = self.constant(near)
            found.append(side)
        return found[0], found[1]

    def finish(self, results: Sequence[Ref]) -> Program:
        """Instructions for what the results need; the last one may write a result itself."""
        needed = self.needed(results)
        alone = len(results) == 1 and results[0][0] == "value"
        steps = [(number, *self.values[number]) for number in needed]
        if len(results) > 1:  # all operands are read before a result is written over one of them
            copied = []
            for ref in results:
                if ref[0] != "value":
                    ref = self.value("copy", ref)
                    if ref[1] not in needed:
                        needed.append(ref[1])
                        steps.append((ref[1], *self.values[ref[1]]))
                copied.append(ref)
            results = copied
        return _Allocator(self, steps, results).program(alone)

    def fuse(self, results: Sequence[Ref]) -> None:
        """Join every product that only one sum uses to that sum."""
        uses = Counter(ref for _, args in self.values for ref in args) + Counter(results)
        for number, (operation, args) in enumerate(self.values):
            for product, other in (args, args[::-1]) if operation == "+" else ():
                if product[0] == "value" and uses[product] == 1:
                    inner, factors = self.values[product[1]]
                    if inner == "*":
                        self.values[number] = ("muladd", (*factors, other))
                        break

    def needed(self, results: Sequence[Ref]) -> list[int]:
        self.fuse(results)
        wanted = {index for kind, index in results if kind == "value"}
        for number in range(len(self.values) - 1, -1, -1):
            if number in wanted:
                wanted |= {index for kind, index in self.values[number][1] if kind == "value"}
        return sorted(wanted)


@record
class _Allocator:
    """Registers for values, each free again after its last use."""

    coder: _Coder
    steps: list[tuple[int, str, tuple[Ref, ...]]]
    results: Sequence[Ref]

    def program(self, alone: bool) -> Program:
        used = dict.fromkeys(
            ref for _, _, args in self.steps for ref in args if ref[0] == "constant"
        )
        used |= dict.fromkeys(ref for ref in self.results if ref[0] == "constant")
        draws = any(ref[0] == "draw" for _, _, args in self.steps for ref in args)
        draws = draws or any(ref[0] == "draw" for ref in self.results)
        slot: dict[Ref, int] = {("operand", i): i for i in range(self.coder.operands)}
        for ref in (*used, *([("draw", 0)] if draws else [])):
            slot[ref] = len(slot)
        first = len(slot)
        last = {ref: at for at, (_, _, args) in enumerate(self.steps) for ref in args}
        last |= dict.fromkeys(self.results, len(self.steps))
        free: list[int] = []
        top = first
        code: list[int] = []
        for at, (number, operation, args) in enumerate(self.steps):
            sources = [slot[ref] for ref in args]
            free += sorted(
                {slot[ref] for ref in args if ref[0] == "value" and last[ref] == at}, reverse=True
            )
            if alone and at == len(self.steps) - 1:
                target = -1
            elif free:
                target = free.pop()
            else:
                target, top = top, top + 1
            slot["value", number] = target
            code += [OPCODES[operation], target, *sources]
        if not alone:
            for k, ref in enumerate(self.results):
                code += [OPCODES["copy"], -1 - k, slot[ref]]
        constants = tuple(_float32(self.coder.constants[index]) for _, index in used)
        return Program(tuple(code), constants, top - first, draws)


def _float32(number: float) -> float:
    if math.isnan(number):
        return math.nan  # always the same object, so that equal programs compare equal
    return to_f32(number)


def _toward(number: float, near: float, direction: float) -> float:
    """The float32 next to `number` on one side of it; `near` is the nearest one."""
    if math.isnan(direction):
        return math.nan  # no float32 is equal to the number
    if (near < number) == (direction < 0):
        return near
    return float(np.nextafter(np.float32(near), np.float32(direction)))


__all__ = ["MAX_OPERANDS", "MAX_REGISTERS", "OPCODES", "Program", "encode"]
