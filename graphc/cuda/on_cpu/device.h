// CUDA's words for g++: a file of kernels is compiled behind this header.
#pragma once

#include <math.h>

#include <cstring>
#include <type_traits>

#include "scheduler.h"

#define CUDA_ON_CPU 1
#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
// One block runs at a time, so a static array is shared by its threads and by nobody else. Being
// thread-local brings all of them together (g++ puts none that belongs to a template in a section),
// so that the scheduler can poison them.
#define __shared__ static thread_local
#define threadIdx (::cuda_on_cpu::running.thread->index)
#define blockIdx (::cuda_on_cpu::running.block_index)
#define blockDim (::cuda_on_cpu::running.block)
#define gridDim (::cuda_on_cpu::running.grid)

inline void __syncthreads(int site = __builtin_LINE()) { ::cuda_on_cpu::barrier(site); }

inline void __syncwarp(unsigned mask = ~0u, int site = __builtin_LINE()) {
    ::cuda_on_cpu::collective(mask, 0, site);
}

namespace cuda_on_cpu {

template <class T>
T from_lane(unsigned mask, T value, int lane, int site) {
    static_assert(std::is_arithmetic_v<T>);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = collective(mask, bits, site)[lane];
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace cuda_on_cpu

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int site = __builtin_LINE()) {
    return ::cuda_on_cpu::from_lane(mask, value, lane & 31, site);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int site = __builtin_LINE()) {
    const int lane = int(::cuda_on_cpu::running.thread->lane);
    return ::cuda_on_cpu::from_lane(mask, value, (lane ^ bits) & 31, site);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned step, int site = __builtin_LINE()) {
    const unsigned lane = ::cuda_on_cpu::running.thread->lane;
    return ::cuda_on_cpu::from_lane(mask, value, int(lane + step < 32 ? lane + step : lane), site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, int site = __builtin_LINE()) {
    const std::uint64_t* values = ::cuda_on_cpu::collective(mask, predicate != 0, site);
    unsigned found = 0;
    for (int lane = 0; lane < 32; ++lane) found |= unsigned(values[lane] == 1) << lane;
    return found;
}

inline int __popc(unsigned word) { return __builtin_popcount(word); }
inline int __ffs(int word) { return __builtin_ffs(word); }

// One OS thread runs all: what no switch interrupts is atomic.
template <class T>
T atomicAdd(T* place, T value) {
    const T old = *place;
    *place = old + value;
    return old;
}

template <class T>
T atomicMin(T* place, T value) {
    const T old = *place;
    *place = value < old ? value : old;
    return old;
}

template <class T>
T atomicCAS(T* place, T expected, T value) {
    const T old = *place;
    if (old == expected) *place = value;
    return old;
}
