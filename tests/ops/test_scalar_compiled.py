"""The C bodies of every elementwise layer, compiled, against their float64 values."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graphc.check.case import Case, cases
from graphc.ops.elementwise import DRAW, Elementwise
from graphc.ops.scalar import Expr, evaluate, free_variables, literal, to_c, to_c_block

COUNT = 400
SPECIAL = [0.0, -0.0, 1.0, -1.0, 6.0, 60.0, -60.0, np.inf, -np.inf, np.nan, 1e-5, -1e-5]


def bodies() -> Iterator[tuple[str, Case, Expr]]:
    """(name, case, expression) of every output and gradient of every sample."""
    for case in cases():
        if issubclass(case.op, Elementwise):
            a, s = case.attrs, case.sig
            for kind, table in (("", case.op.outputs(a, s)), ("d", case.op.gradients(a, s))):
                for role, expr in table.items():
                    yield f"{case.op.type}_{case.index}_{kind}{role}", case, expr


BODIES = list(bodies())


def c_function(name: str, expr: Expr) -> str:
    operands = "".join(
        f"    const float {role} = in[{k}][i];\n" for k, role in enumerate(free_variables(expr))
    )
    return (
        f'extern "C" void {name}(int count, const float* const* in, float* out) {{\n'
        "  (void)in;\n  for (int i = 0; i < count; ++i) {\n"
        f"{operands}{to_c_block({'result': expr})}"
        f"    out[i] = result;\n    out[count + i] = {to_c(expr)};\n  }}\n}}\n"
    )


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("no g++ on this machine to compile the printed expressions with")
    return found


def build(compiler: str, folder: Path, text: str) -> ctypes.CDLL:
    source, library = folder / "bodies.cpp", folder / "bodies.so"
    source.write_text("#include <math.h>\n" + text)
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC"]
    done = subprocess.run(
        [compiler, *flags, str(source), "-o", str(library)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module")
def library(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    text = "".join(c_function(name, expr) for name, _, expr in BODIES)
    return build(compiler, tmp_path_factory.mktemp("bodies"), text)


def operand(role: str, case: Case, rng: np.random.Generator) -> np.ndarray:
    if role == DRAW:
        return rng.random(COUNT).astype(np.float32)
    if role == "mask":
        return rng.integers(0, len(case.sig.ins), COUNT).astype(np.float32)
    values = rng.standard_normal(COUNT) * 3
    values[:100] = rng.choice(SPECIAL, 100)
    return values.astype(np.float32)


@pytest.mark.parametrize(("name", "case", "expr"), BODIES, ids=[b[0] for b in BODIES])
def test_compiled_body_equals_float64(
    library: ctypes.CDLL, name: str, case: Case, expr: Expr
) -> None:
    rng = np.random.default_rng(len(name))
    env = {role: operand(role, case, rng) for role in free_variables(expr)}
    both = np.full((2, COUNT), 7.7, np.float32)
    pointers = (ctypes.c_void_p * max(1, len(env)))(*(a.ctypes.data for a in env.values()))
    getattr(library, name)(COUNT, pointers, ctypes.c_void_p(both.ctypes.data))
    found, in_one_expression = both
    np.testing.assert_array_equal(found, in_one_expression)
    with np.errstate(all="ignore"):
        exact = np.broadcast_to(evaluate(expr, env), (COUNT,))
        expected = exact.astype(np.float32)
        slack = sum((abs(evaluate(expr, e) - exact) for e in disturbed(env)), np.zeros(COUNT))
    is_finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~is_finite], expected[~is_finite])
    error = abs(found[is_finite] - exact[is_finite])
    assert (error <= 2e-6 + 1e-5 * abs(exact[is_finite]) + slack[is_finite]).all()


def disturbed(env: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """The operands with one of them off by a few units in the last place: what this changes is
    lost to float32 rounding, most where terms cancel."""
    for role, values in env.items():
        yield {**env, role: values.astype(np.float64) * (1 + 2.0**-22)}


def test_all_layers_made_from_expressions_are_here() -> None:
    types = {case.op.type for _, case, _ in BODIES}
    named = "AbsVal BNLL Bias Clip Dropout ELU Eltwise Exp Log PReLU Power ReLU Scale Sigmoid Swish"
    assert types >= {*named.split(), "TanH", "Threshold"}


def test_literals_are_the_nearest_floats(compiler: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    floats = rng.integers(0, 1 << 32, 500, np.uint32).view(np.float32)
    floats = floats[np.isfinite(floats)].astype(np.float64)
    with np.errstate(all="ignore"):
        between = floats * (1 + 2.0**-24)  # about half way to the next float
        values = np.concatenate([floats, between, rng.standard_normal(500), [np.inf, -np.inf]])
        expected = values.astype(np.float32)
    text = ",\n".join(literal(v) for v in values)
    source = f'extern "C" {{ extern const float table[]; const float table[] = {{\n{text}\n}}; }}\n'
    table = build(compiler, tmp_path, source)
    found = np.array((ctypes.c_float * values.size).in_dll(table, "table"))
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()
