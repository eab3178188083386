// BatchNorm's parts: statistics of channels, normalizing by them, its gradient, the running state.
// x is seen as (outer, channels, inner). Sums over a channel are taken by `gridDim.y` blocks, which
// leave partial ones, and these are added up in order: the result is the same in every run.
#include "grid.h"
#include "storage.h"

namespace graphc {

struct Channels {
    Index outer, count, inner;
};

// Calls each(place) with this thread's elements of channel blockIdx.x, which all blocks of a column
// of the grid share out.
template <class Each>
__device__ void each_of_channel(const Channels& channels, const Each& each) {
    const Index size = channels.outer * channels.inner;
    const Index step = Index(gridDim.y) * blockDim.x;
    for (Index i = Index(blockIdx.y) * blockDim.x + threadIdx.x; i < size; i += step) {
        const Index outer = i / channels.inner;
        each((outer * channels.count + blockIdx.x) * channels.inner + i % channels.inner);
    }
}

// How many elements the block of a channel has, of all its threads.
__device__ inline Index share_of_block(const Channels& channels) {
    const Index size = channels.outer * channels.inner;
    const Index step = Index(gridDim.y) * blockDim.x, first = Index(blockIdx.y) * blockDim.x;
    const Index turns = size / step, rest = size % step;
    return turns * blockDim.x + greater(0, lesser(rest - first, blockDim.x));
}

// The sum and the sum of squared differences from the block's own mean, of each block's elements:
// partial[(channel * gridDim.y + block) * 2 + 0, 1].
template <class Item>
__global__ void batch_norm_moments(Channels channels, const Item* x, float* partial) {
    GRAPHC_SHARED(float, warps);
    float sum = 0, squares = 0;
    each_of_channel(channels, [&](Index at) { sum += float(x[at]); });
    sum = block_sum(sum, warps);
    const float mean = sum / float(greater(1, share_of_block(channels)));
    each_of_channel(channels, [&](Index at) {
        const float away = float(x[at]) - mean;
        squares += away * away;
    });
    squares = block_sum(squares, warps);
    if (threadIdx.x == 0) {
        float* const own = partial + (Index(blockIdx.x) * gridDim.y + blockIdx.y) * 2;
        own[0] = sum;
        own[1] = squares;
    }
}

// One thread for each channel puts its blocks' moments together; Chan, Golub, LeVeque 1979.
__global__ void batch_norm_statistics(Channels channels, int blocks, int threads,
                                      const float* partial, float* mean, float* variance) {
    const Index c = thread_in_grid();
    if (c >= channels.count) return;
    const Index size = channels.outer * channels.inner, step = Index(blocks) * threads;
    float total = 0;
    for (int b = 0; b < blocks; ++b) total += partial[(c * blocks + b) * 2];
    const float level = total / float(greater(1, size));
    float squares = 0;
    for (int b = 0; b < blocks; ++b) {
        const Index rest = greater(0, lesser(size % step - Index(b) * threads, threads));
        const float count = float(size / step * threads + rest);
        const float* const own = partial + (c * blocks + b) * 2;
        const float away = count > 0 ? own[0] / count - level : 0.0F;
        squares += own[1] + count * away * away;
    }
    mean[c] = level;
    variance[c] = squares / float(greater(1, size));
}

// y = (x - mean) / sqrt(variance + eps). `factor`: null, or what the state is divided by, where 0
// makes the state 0.
template <class Item>
__global__ void batch_norm_normalize(Channels channels, float eps, const Item* x, const float* mean,
                                     const float* variance, const float* factor, Item* y) {
    const Index count = channels.outer * channels.count * channels.inner;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Index c = i / channels.inner % channels.count;
        float level = mean[c], width = variance[c];
        if (factor) {
            level = factor[0] != 0 ? level / factor[0] : level * 0;
            width = factor[0] != 0 ? width / factor[0] : width * 0;
        }
        y[i] = Item((float(x[i]) - level) / sqrtf(width + eps));
    }
}

template <class Item>
__global__ void batch_norm_global_gradient(Channels channels, float eps, const Item* dy,
                                           const float* variance, const float* factor, Item* dx) {
    const Index count = channels.outer * channels.count * channels.inner;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float width = variance[i / channels.inner % channels.count];
        const float unscaled = factor[0] != 0 ? width / factor[0] : width * 0;
        dx[i] = Item(float(dy[i]) / sqrtf(unscaled + eps));
    }
}

// partial[(channel * gridDim.y + block) * 2 + 0, 1]: the block's sums of dy and of dy y.
template <class Item>
__global__ void batch_norm_slopes(Channels channels, const Item* dy, const Item* y,
                                  float* partial) {
    GRAPHC_SHARED(float, warps);
    float level = 0, slope = 0;
    each_of_channel(channels, [&](Index at) {
        level += float(dy[at]);
        slope += float(dy[at]) * float(y[at]);
    });
    level = block_sum(level, warps);
    slope = block_sum(slope, warps);
    if (threadIdx.x == 0) {
        float* const own = partial + (Index(blockIdx.x) * gridDim.y + blockIdx.y) * 2;
        own[0] = level;
        own[1] = slope;
    }
}

// dx = (dy - mean(dy) - mean(dy y) y) / sqrt(variance + eps), from batch_norm_slopes in the same
// grid. dx may be dy.
template <class Item>
__global__ void batch_norm_gradient(Channels channels, float eps, const Item* dy, const Item* y,
                                    const float* variance, const float* partial, Item* dx) {
    float level = 0, slope = 0;
    for (unsigned b = 0; b < gridDim.y; ++b) {
        const float* const own = partial + (Index(blockIdx.x) * gridDim.y + b) * 2;
        level += own[0];
        slope += own[1];
    }
    const float size = float(greater(1, channels.outer * channels.inner));
    const float deviation = sqrtf(variance[blockIdx.x] + eps);
    each_of_channel(channels, [&](Index at) {
        const float rest = float(dy[at]) - level / size - slope / size * float(y[at]);
        dx[at] = Item(rest / deviation);
    });
}

// The decayed state with a batch added, of `size` elements a channel; new_* may be the old ones.
__global__ void batch_norm_update(Index channels, Index size, float kept, const float* batch_mean,
                                  const float* batch_variance, const float* mean,
                                  const float* variance, const float* factor, float* new_mean,
                                  float* new_variance, float* new_factor) {
    const Index c = thread_in_grid();
    const float unbiased = size > 1 ? float(size) / float(size - 1) : 1.0F;
    if (c < channels) {
        new_mean[c] = size ? mean[c] * kept + batch_mean[c] : mean[c];
        new_variance[c] = size ? variance[c] * kept + unbiased * batch_variance[c] : variance[c];
    }
    if (c == 0) new_factor[0] = size ? factor[0] * kept + 1 : factor[0];
}

}  // namespace graphc
