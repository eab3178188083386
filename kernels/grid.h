// What kernels of a grid share: shared memory, sums over a warp and over a block.
//
// Every .cu file includes this header first, and compiles with NVRTC, with nvcc, and with g++ as
// tests/cuda runs it (graphc/cuda/on_cpu). Threads of a block all reach every barrier, lanes of a
// warp every collective: nobody returns before one.
#pragma once

#include "device.h"

#if defined(CUDA_ON_CPU)
#define GRAPHC_SHARED(Item, name) \
    Item* const name = reinterpret_cast<Item*>(::cuda_on_cpu::running.dynamic_shared)
#else
#define GRAPHC_SHARED(Item, name)                                        \
    extern __shared__ __align__(16) unsigned char graphc_shared_bytes[]; \
    Item* const name = reinterpret_cast<Item*>(graphc_shared_bytes)
#endif

namespace graphc {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

__device__ inline Index thread_in_grid() { return Index(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline Index threads_of_grid() { return Index(gridDim.x) * blockDim.x; }

// The sum over the lanes of a warp, in every lane; always in the same order.
template <class Number>
__device__ Number warp_sum(Number value) {
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, bits);
    }
    return value;
}

__device__ inline float warp_max(float value) {
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
        const float other = __shfl_xor_sync(kAllLanes, value, bits);
        value = value < other ? other : value;
    }
    return value;
}

// The sum over the threads of a block, in every thread. `partial`: shared, a number per warp.
__device__ inline float block_sum(float value, float* partial) {
    value = warp_sum(value);
    __syncthreads();  // whoever still reads what `partial` held
    if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
    __syncthreads();
    float sum = 0;
    for (unsigned i = 0; i < blockDim.x / kWarp; ++i) sum += partial[i];
    return sum;
}

}  // namespace graphc
