// Rows of a matrix picked by number, the sums that go back to them, and rows that a selector names.
// Numbers are floats, truncated; one that names no row is a fault: its place is noted, as that of a
// wrong label is.
#include "gather.h"
#include "grid.h"
#include "storage.h"

namespace graphc {

// y[m] = x[index[m]] + bias; x (samples, size), y (rows, size), `bias` (size) may be null.
template <class Item>
__global__ void gather_rows(Index rows, Index samples, Index size, const Item* x,
                            const float* index, const Item* bias, Item* y, int* fault) {
    for (Index i = thread_in_grid(); i < rows * size; i += threads_of_grid()) {
        const Index m = i / size, column = i % size, n = sample_of(index[m], samples);
        if (n < 0) {
            if (column == 0) atomicMin(fault, int(m));
            continue;
        }
        const Item value = x[n * size + column];
        y[i] = bias ? Item(float(value) + float(bias[column])) : value;
    }
}

constexpr int kWarps = 8;  // of a block of the kernels below

// total[n] = the sum of dy[m] with index[m] = n, in the order of m; with `adds` to what is there. A
// block has a row, blockIdx.x, and looks through all numbers for it, once for each of its columns'
// runs, which the blocks of a column of the grid share out.
template <class Item, class Total>
__global__ void scatter_rows(Index rows, Index samples, Index size, int adds, const Item* dy,
                             const float* index, Total* total, int* fault) {
    __shared__ unsigned found[kWarps];
    const Index n = blockIdx.x, step = Index(gridDim.y) * blockDim.x;
    for (Index left = Index(blockIdx.y) * blockDim.x; left < size; left += step) {
        const Index column = left + threadIdx.x, at = n * size + column;
        const bool is_there = column < size;
        float sum = adds && is_there ? float(total[at]) : 0.0F;
        for (Index first = 0; first < rows; first += blockDim.x) {
            const Index m = first + threadIdx.x;
            const Index named = m < rows ? sample_of(index[m], samples) : samples;
            if (n == 0 && named < 0) atomicMin(fault, int(m));
            const unsigned hits = __ballot_sync(kAllLanes, named == n);
            __syncthreads();  // whoever still reads those before
            if (threadIdx.x % kWarp == 0) found[threadIdx.x / kWarp] = hits;
            __syncthreads();
            for (int w = 0; w < kWarps; ++w) {
                for (unsigned left_hits = found[w]; left_hits; left_hits &= left_hits - 1) {
                    const Index hit = first + w * kWarp + __ffs(int(left_hits)) - 1;
                    if (is_there) sum += float(dy[hit * size + column]);
                }
            }
        }
        if (is_there) total[at] = Total(sum);
    }
}

// places[n] = how many rows before n the selector names, -1 where it does not name n, or as many as
// `most`; one block.
__global__ void selected_places(Index rows, Index most, const float* selector, int* places) {
    __shared__ int counts[kWarps];
    Index before = 0;
    const int warp = int(threadIdx.x / kWarp), lane = int(threadIdx.x % kWarp);
    for (Index first = 0; first < rows; first += blockDim.x) {
        const Index n = first + threadIdx.x;
        const bool is_named = n < rows && selector[n] != 0;
        const unsigned hits = __ballot_sync(kAllLanes, is_named);
        __syncthreads();  // whoever still reads those before
        if (lane == 0) counts[warp] = __popc(hits);
        __syncthreads();
        Index place = before + __popc(hits & ((1u << lane) - 1));
        for (int w = 0; w < kWarps; ++w) {
            place += w < warp ? counts[w] : 0;
            before += counts[w];
        }
        if (n < rows) places[n] = is_named && place < most ? int(place) : -1;
    }
}

// dx[n] = dy[places[n]], 0 where that is -1.
template <class Item>
__global__ void spread_rows(Index rows, Index size, const Item* dy, const int* places, Item* dx) {
    for (Index i = thread_in_grid(); i < rows * size; i += threads_of_grid()) {
        const Index place = places[i / size];
        dx[i] = place < 0 ? Item(0.0F) : dy[place * size + i % size];
    }
}

// Does element i of value a come before element k of value b? Of equal ones the later does, and NaN
// before numbers.
__device__ inline bool comes_before(float a, int i, float b, int k) {
    return i > k ? a != a || a >= b : !(b != b || b >= a);
}

// The `top_k` largest elements of each row of x (outer, extent, inner), a warp's, as indices,
// values or both, in y (outer, both * top_k, inner). Each is looked for among those behind the
// last.
template <class Item, class Result>
__global__ void arg_max(Index outer, Index extent, Index inner, int top_k, int has_indices,
                        int has_values, const Item* x, Result* y) {
    const int lane = int(threadIdx.x % kWarp);
    for (Index row = thread_in_grid() / kWarp; row < outer * inner;
         row += threads_of_grid() / kWarp) {
        const Item* const from = x + row / inner * extent * inner + row % inner;
        Result* to = y + row / inner * (has_indices + has_values) * top_k * inner + row % inner;
        float last = 0;
        int last_index = -1;
        for (int j = 0; j < top_k; ++j, to += inner) {
            float best = 0;
            int index = -1;
            for (int k = lane; k < extent; k += kWarp) {
                const float value = float(from[k * inner]);
                if (j > 0 && !comes_before(last, last_index, value, k)) continue;
                if (index < 0 || comes_before(value, k, best, index)) {
                    best = value;
                    index = k;
                }
            }
            for (int bits = kWarp / 2; bits > 0; bits /= 2) {
                const float other = __shfl_xor_sync(kAllLanes, best, bits);
                const int number = __shfl_xor_sync(kAllLanes, index, bits);
                if (number >= 0 && (index < 0 || comes_before(other, number, best, index))) {
                    best = other;
                    index = number;
                }
            }
            last = best;
            last_index = index;
            if (lane != 0) continue;
            if (has_indices) *to = Result(float(index));
            if (has_values) to[has_indices * top_k * inner] = Result(best);
        }
    }
}

}  // namespace graphc
