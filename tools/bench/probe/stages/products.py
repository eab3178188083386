"""Rate of an 8192^3 matrix product through torch, and the error that tells its arithmetic."""

from __future__ import annotations

from typing import Any

from bench.probe.facts import Clock, Facts
from bench.probe.stats import summary
from bench.probe.torch_steps import open_torch, precision

SIZE = 8192
CHECKED = 1024
CASES = ("bf16", "fp16", "tf32", "fp32")


def relative_error(torch: Any, dtype: Any) -> float:
    """|C - C64| / |C64| for a product of random 1024 x 1024 matrices."""
    a, b = (torch.randn(CHECKED, CHECKED, device="cuda").to(dtype) for _ in range(2))
    exact = a.double() @ b.double()
    return float(((a @ b).double() - exact).norm() / exact.norm())


def run(facts: Facts, clock: Clock, dry: bool) -> None:
    torch = open_torch(facts, dry)
    if dry:
        return
    types = {"bf16": torch.bfloat16, "fp16": torch.float16}
    for case in CASES:
        if clock.left() < 1:
            break
        with facts.part(case):
            dtype = types.get(case, torch.float32)
            precision(torch, tf32=case == "tf32")
            a, b = (torch.randn(SIZE, SIZE, device="cuda").to(dtype) for _ in range(2))
            out = torch.empty_like(a)
            for _ in range(3):
                torch.mm(a, b, out=out)
            pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(15)]
            for first, last in pairs:
                first.record()
                torch.mm(a, b, out=out)
                last.record()
            torch.cuda.synchronize()
            times = summary([first.elapsed_time(last) for first, last in pairs])
            rate = 2 * SIZE**3 / times["median"] / 1e9
            error = relative_error(torch, dtype)
            facts(case, {"ms": times, "tflops": rate, "relative_error": error})
            facts.say(f"{SIZE}^3 {case}: {rate:.0f} TFLOP/s, relative error {error:.1e}")
