// Kernels with known results and known faults, for the tests of the runner itself.
#include "grid.h"

#if !defined(FIRST_BARRIER)
#define FIRST_BARRIER __syncthreads()
#endif

template <int kSide>
__global__ void transpose(const float* from, float* to) {
    __shared__ float tile[kSide][kSide];
    tile[threadIdx.y][threadIdx.x] = from[threadIdx.y * kSide + threadIdx.x];
    FIRST_BARRIER;
    to[threadIdx.y * kSide + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}

__global__ void total(const float* x, float* out, int count) {
    GRAPHC_SHARED(float, partial);
    float sum = 0;
    for (graphc::Index i = graphc::thread_in_grid(); i < count; i += graphc::threads_of_grid()) {
        sum += x[i];
    }
    sum = graphc::block_sum(sum, partial);
    if (threadIdx.x == 0) atomicAdd(out, sum);
}

__global__ void collectives(const int* x, int* out) {
    const int lane = int(threadIdx.x % 32), value = x[threadIdx.x];
    int* const mine = out + threadIdx.x * 4;
    mine[0] = __shfl_sync(~0u, value, 3);
    mine[1] = __shfl_down_sync(~0u, value, 5);
    mine[2] = int(__ballot_sync(~0u, value % 3 == 0));
    // two halves of a warp, each with a mask of its own
    mine[3] = __shfl_xor_sync(lane < 16 ? 0xFFFFu : 0xFFFF0000u, value, 1);
}

__global__ void counts(const int* x, int* out) {
    atomicAdd(out + x[graphc::thread_in_grid()], 1);
    atomicMin(out + 8, x[graphc::thread_in_grid()] - 5);
}

template <int kSize>
__global__ void uninitialized(float* static_half, float* dynamic_half) {
    __shared__ float still[kSize];
    GRAPHC_SHARED(float, moving);
    if (threadIdx.x < kSize / 2) still[threadIdx.x] = moving[threadIdx.x] = 1;
    __syncthreads();
    static_half[blockIdx.x * kSize + threadIdx.x] = still[threadIdx.x];
    dynamic_half[blockIdx.x * kSize + threadIdx.x] = moving[threadIdx.x];
}

__global__ void two_barriers(float* x) {
    if (threadIdx.x < 8) {
        x[0] = 1;
        __syncthreads();
    } else {
        x[1] = 2;
        __syncthreads();
    }
}

__global__ void early_return(float* x) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void half_a_warp(int* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(~0u, x[threadIdx.x], 1);
}

__global__ void not_in_mask(int* x) { x[threadIdx.x] = __shfl_xor_sync(0xFFFFu, 0, 1); }

__global__ void two_collectives(int* x) {
    if (threadIdx.x % 2) {
        x[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1);
    } else {
        x[threadIdx.x] = __shfl_sync(~0u, 2, 1);
    }
}

__global__ void neighbour_of_block(int* x) {
    x[blockIdx.x] = blockIdx.x ? x[blockIdx.x - 1] + 1 : 1;
}

__global__ void one_too_many(float* x, int count) {
    const graphc::Index i = graphc::thread_in_grid();
    if (i <= count) x[i] = 1;
}

// Each warp makes its number of two sums; the first sum's partial ones may not be overwritten yet.
__global__ void hurried(const float* x, float* out) {
    __shared__ float partial[4];
    for (int k = 0; k < 2; ++k) {
        float sum = x[k * 128 + threadIdx.x];
        for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(~0u, sum, bits);
        if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
        __syncthreads();
        out[k * 128 + threadIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
    }
}

struct Pair {
    int times;
    float number;
};

__global__ void numbers(Pair pair, float factor, long long index, const unsigned char* x,
                        double* out) {
    out[index] = pair.times * pair.number * factor + (x ? x[0] : 100);
}
