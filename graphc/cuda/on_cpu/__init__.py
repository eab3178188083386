"""Run CUDA kernels on the CPU: what they compute, and what they do wrong, seen without a GPU.

`Module` compiles CUDA C++ with g++ and calls its kernels on numpy arrays or addresses, in the shape
of CuPy's calls; `Kernels` those of launches, each built once. Each CUDA thread is a fiber, see
scheduler.h. Found: wrong results, in three orders of the threads; barriers and warp collectives
that not all threads reach; shared memory that is read before it is written; and, sanitized,
whatever AddressSanitizer and UBSan see. Not found: races between what no barrier or collective
separates in none of the orders, and all that concerns speed.
"""

from graphc.cuda.on_cpu.kernels import Kernels
from graphc.cuda.on_cpu.module import ORDERS, KernelError, Module, runtimes, unavailable

__all__ = ["ORDERS", "KernelError", "Kernels", "Module", "runtimes", "unavailable"]
