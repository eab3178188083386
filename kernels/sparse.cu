// Products with sparse weights, in compressed rows: output o has the entries starts[o] ..
// starts[o + 1] - 1, a column and a value each. No image is laid out as a matrix: Park et al.,
// "Faster CNNs with Direct Sparse Convolutions and Guided Pruning" (ICLR 2017).
#include "grid.h"
#include "storage.h"

namespace graphc {

struct SparseAxis {
    int size, out, stride, pad;
};

// Offsets in the image of each column (channel of the group, row, column of the window) come with
// the weight. `channels` and `outputs` are those of a group.
struct SparseShape {
    SparseAxis rows, cols;
    int samples, groups, channels, outputs;
};

// Where in its group's image an entry lies, from the window's start: the channel, then pixels down
// and across.
struct SparseColumn {
    int channel, down, across;
};

constexpr int kOutputs = 4;  // a block's, of which it makes one after the other
constexpr int kEntries = 256;

// y[n,g,o,p,q] = bias[g,o] + sum of value x[n,g,channel, p s - pad + down, q s - pad + across].
// A thread has a pixel, a block kOutputs outputs of it; entries pass through shared memory. grid:
// blocks of pixels, quadruples of outputs. `bias` may be null.
template <class Item>
__global__ void sparse_convolution(SparseShape shape, const Item* x, const int* starts,
                                   const SparseColumn* columns, const float* values,
                                   const Item* bias, Item* y) {
    __shared__ SparseColumn places[kEntries];
    __shared__ float weights[kEntries];
    const SparseAxis &rows = shape.rows, &cols = shape.cols;
    const int windows = rows.out * cols.out, outputs = shape.groups * shape.outputs;
    const Index pixel = thread_in_grid();
    const bool is_there = pixel < Index(shape.samples) * windows;
    const Index sample = pixel / windows;
    const int window = int(pixel % windows);
    const int top = window / cols.out * rows.stride - rows.pad;
    const int left = window % cols.out * cols.stride - cols.pad;
    const Index area = Index(rows.size) * cols.size;
    for (int k = 0; k < kOutputs; ++k) {
        const int o = int(blockIdx.y) * kOutputs + k;
        if (o >= outputs) break;  // all threads of the block alike
        const Item* const image =
            x + (sample * shape.groups + o / shape.outputs) * shape.channels * area;
        float sum = bias ? float(bias[o]) : 0.0F;
        for (int first = starts[o]; first < starts[o + 1]; first += kEntries) {
            const int count = int(lesser(kEntries, starts[o + 1] - first));
            __syncthreads();  // whoever still reads those before
            for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) {
                places[i] = columns[first + i];
                weights[i] = values[first + i];
            }
            __syncthreads();
            for (int i = 0; is_there && i < count; ++i) {
                const int h = top + places[i].down, w = left + places[i].across;
                if (h < 0 || h >= rows.size || w < 0 || w >= cols.size) continue;
                sum += weights[i] * float(image[places[i].channel * area + h * cols.size + w]);
            }
        }
        if (is_there) y[(sample * outputs + o) * windows + window] = Item(sum);
    }
}

constexpr int kSamples = 8;  // of which a warp makes one output each, loading an entry once

// y[n,o] = bias[o] + sum of value x[n,column]; x (samples, depth), y (samples, outputs) dense. A
// warp has an output; grid: blocks of warps, eights of samples.
template <class Item>
__global__ void sparse_product(int samples, int outputs, int depth, const Item* x,
                               const int* starts, const int* columns, const float* values,
                               const Item* bias, Item* y) {
    const int o = int(thread_in_grid() / kWarp), lane = int(threadIdx.x % kWarp);
    const int first = int(blockIdx.y) * kSamples;
    const int begin = o < outputs ? starts[o] : 0, end = o < outputs ? starts[o + 1] : 0;
    float sums[kSamples] = {};
    for (int i = begin + lane; i < end; i += kWarp) {
        const float value = values[i];
        const Item* const own = x + columns[i];
#pragma unroll
        for (int k = 0; k < kSamples; ++k) {
            if (first + k < samples) sums[k] += value * float(own[Index(first + k) * depth]);
        }
    }
#pragma unroll
    for (int k = 0; k < kSamples; ++k) {
        const float sum = warp_sum(sums[k]);
        if (lane != 0 || o >= outputs || first + k >= samples) continue;
        y[Index(first + k) * outputs + o] = Item(bias ? sum + float(bias[o]) : sum);
    }
}

}  // namespace graphc
