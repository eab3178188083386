"""The raw kernels of the probe. No headers, so that nothing but NVRTC is needed to build them."""

from __future__ import annotations

from typing import Any

from bench.probe.facts import need

# Half precision is handled as 16-bit words: ReLU needs the sign bit alone, and one instruction
# rounds a float to half.
SOURCE = r"""
typedef unsigned long long u64;

__device__ __forceinline__ u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

__device__ __forceinline__ float uniform(u64 seed, u64 i) {
    return (float)(int)(mix(seed + (i + 1) * 0x9e3779b97f4a7c15ull) >> 40) * 0x1p-23f - 1.0f;
}

__device__ __forceinline__ unsigned short to_half(float x) {
    unsigned short h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

__device__ __forceinline__ unsigned short to_bfloat(float x) {
    unsigned short h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

#define EACH(i, n) for (u64 i = blockIdx.x * (u64)blockDim.x + threadIdx.x; i < (n); \
                        i += (u64)gridDim.x * blockDim.x)

extern "C" __global__ void nothing() {}

// x[i] = scale * uniform(-1, 1)
extern "C" __global__ void fill_float(float* x, u64 n, u64 seed, float scale) {
    EACH(i, n) x[i] = scale * uniform(seed, i);
}

extern "C" __global__ void fill_half(unsigned short* x, u64 n, u64 seed, float scale) {
    EACH(i, n) x[i] = to_half(scale * uniform(seed, i));
}

extern "C" __global__ void fill_bfloat(unsigned short* x, u64 n, u64 seed, float scale) {
    EACH(i, n) x[i] = to_bfloat(scale * uniform(seed, i));
}

// y = max(x, 0); a NaN with its sign set becomes 0, which no sound input holds
extern "C" __global__ void relu_half(const unsigned short* x, unsigned short* y, u64 n) {
    EACH(i, n) y[i] = x[i] & 0x8000 ? 0 : x[i];
}

// m = momentum*m + rate*g; w -= m; h = half(w)
extern "C" __global__ void sgd(float* w, float* m, const float* g, unsigned short* h, u64 n,
                               float rate, float momentum) {
    EACH(i, n) {
        m[i] = momentum * m[i] + rate * g[i];
        w[i] -= m[i];
        h[i] = to_half(w[i]);
    }
}

// sum += sum of mix(word_i, i) modulo 2^64: the same bits give the same sum in any order
extern "C" __global__ void digest(const unsigned* x, u64 n, u64* sum) {
    u64 mine = 0;
    EACH(i, n) mine += mix(i * 0x9e3779b97f4a7c15ull + x[i]);
    for (int lane = 16; lane; lane >>= 1) mine += __shfl_xor_sync(0xffffffffu, mine, lane);
    if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}
"""

NAMES = ("nothing", "fill_float", "fill_half", "fill_bfloat", "relu_half", "sgd", "digest")
OPTIONS = ("-std=c++17",)


def build(arch: str) -> dict[str, Any]:
    """Compile SOURCE for sm_<arch> without a device. Returns the cubin's bytes and the log."""
    need("cupy")
    nvrtc = need("cupy_backends.cuda.libs.nvrtc", "nvrtc")
    program = nvrtc.createProgram(SOURCE, "probe.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch=sm_{arch}", "--ptxas-options=-v"))
        cubin = nvrtc.getCUBIN(program)
        return {"cubin_bytes": len(cubin), "log": nvrtc.getProgramLog(program)}
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program)
        raise RuntimeError(f"NVRTC for sm_{arch}: {error}\n{log}") from error
    finally:
        nvrtc.destroyProgram(program)
