// Sums: over all axes but one, over the last axes, over one axis, over everything. Each is taken in
// an order that the launch alone decides.
#include "grid.h"
#include "storage.h"

namespace graphc {

// sums[k] = the sum of x (outer, kept, inner) over outer and inner; a block for each k.
template <class Item>
__global__ void channel_sums(Index outer, Index kept, Index inner, int adds, const Item* x,
                             float* sums) {
    GRAPHC_SHARED(float, warps);
    float sum = 0;
    for (Index i = threadIdx.x; i < outer * inner; i += blockDim.x) {
        sum += float(x[(i / inner * kept + blockIdx.x) * inner + i % inner]);
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) sums[blockIdx.x] = adds ? sums[blockIdx.x] + sum : sum;
}

constexpr int kColumns = 32, kRowsAtOnce = 8;  // of a block of the next kernel

// sums[share, c] = the sum of the share's rows of x (rows, columns), which the blocks of a column
// of the grid share out; neighbouring threads read neighbouring columns. `adds` takes a single
// share.
template <class Item>
__global__ void column_sums(Index rows, Index columns, int adds, const Item* x, float* sums) {
    __shared__ float partial[kRowsAtOnce][kColumns];
    const Index column = Index(blockIdx.x) * kColumns + threadIdx.x;
    const Index step = Index(gridDim.y) * kRowsAtOnce;
    const bool is_there = column < columns;
    float sum = 0;
    for (Index row = Index(blockIdx.y) * kRowsAtOnce + threadIdx.y; row < rows && is_there;
         row += step) {
        sum += float(x[row * columns + column]);
    }
    partial[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || !is_there) return;
    sum = 0;
    for (int k = 0; k < kRowsAtOnce; ++k) sum += partial[k][threadIdx.x];
    float* const to = sums + blockIdx.y * columns + column;
    *to = adds ? *to + sum : sum;
}

constexpr int kPlain = 0, kAbsolute = 1, kSquared = 2;

// y[row, share] = factor * the sum of x, |x| or x^2 over a share of a row of `size` elements; grid:
// rows, shares.
template <class Item, class Result>
__global__ void reduce_rows(Index size, int kind, float factor, const Item* x, Result* y) {
    GRAPHC_SHARED(float, warps);
    const Item* const row = x + blockIdx.x * size;
    float sum = 0;
    for (Index i = Index(blockIdx.y) * blockDim.x + threadIdx.x; i < size;
         i += Index(gridDim.y) * blockDim.x) {
        const float value = float(row[i]);
        sum += kind == kPlain ? value : kind == kAbsolute ? fabsf(value) : value * value;
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) y[Index(blockIdx.x) * gridDim.y + blockIdx.y] = Result(factor * sum);
}

// y (outer, inner) = the sum of x (outer, count, inner) over its middle axis, in order.
template <class Item, class Result>
__global__ void sum_middle(Index outer, Index count, Index inner, const Item* x, Result* y) {
    for (Index i = thread_in_grid(); i < outer * inner; i += threads_of_grid()) {
        const Item* const from = x + i / inner * count * inner + i % inner;
        float sum = 0;
        for (Index k = 0; k < count; ++k) sum += float(from[k * inner]);
        y[i] = Result(sum);
    }
}

// factor[0] = longest / norm if norm > longest, else 1; norm^2: the sum of all squares; one block.
__global__ void clip_factor(Index count, float longest, const float* squares, float* factor) {
    GRAPHC_SHARED(float, warps);
    float sum = 0;
    for (Index i = threadIdx.x; i < count; i += blockDim.x) sum += squares[i];
    const float norm = sqrtf(block_sum(sum, warps));
    if (threadIdx.x == 0) factor[0] = norm > longest ? longest / norm : 1.0F;
}

}  // namespace graphc
