// BatchNorm's parts: statistics of channels, normalizing by them, its gradient, the running state;
// of MVN, too, whose groups are channels. x is seen as (outer, channels, inner), inner 1 where
// channels come last in memory. Sums over a channel are shared out to `gridDim.y` blocks, which
// leave partial ones, and these are added up in order: the result is the same in every run.
#include "grid.h"
#include "storage.h"

namespace graphc {

struct Channels {
    Index outer, count, inner;
};

// A block has channel blockIdx.x.
struct ByBlock {
    static __device__ Index channel() { return blockIdx.x; }
    static __device__ bool is_first() { return threadIdx.x == 0; }

    // Calls each(place) with this thread's elements of the channel.
    template <class Each>
    static __device__ void visit(const Channels& channels, const Each& each) {
        const Index size = channels.outer * channels.inner;
        const Index step = Index(gridDim.y) * blockDim.x;
        for (Index i = Index(blockIdx.y) * blockDim.x + threadIdx.x; i < size; i += step) {
            const Index outer = i / channels.inner;
            each((outer * channels.count + blockIdx.x) * channels.inner + i % channels.inner);
        }
    }

    // The sum over the channel's threads, in each of them; `room`: a number per warp.
    static __device__ float sum(float value, float* room) { return block_sum(value, room); }
};

// A block has blockDim.x neighbouring channels, which come last in memory, so that its threads read
// runs; a channel's threads are those of one threadIdx.x.
struct ByColumn {
    static __device__ Index channel() { return Index(blockIdx.x) * blockDim.x + threadIdx.x; }
    static __device__ bool is_first() { return threadIdx.y == 0; }

    template <class Each>
    static __device__ void visit(const Channels& channels, const Each& each) {
        const Index step = Index(gridDim.y) * blockDim.y, own = channel();
        const Index rows = own < channels.count ? channels.outer : 0;
        for (Index row = Index(blockIdx.y) * blockDim.y + threadIdx.y; row < rows; row += step) {
            each(row * channels.count + own);
        }
    }

    // `room`: a number per thread.
    static __device__ float sum(float value, float* room) {
        __syncthreads();  // whoever still reads what `room` held
        room[threadIdx.y * blockDim.x + threadIdx.x] = value;
        __syncthreads();
        float total = 0;
        for (unsigned k = 0; k < blockDim.y; ++k) total += room[k * blockDim.x + threadIdx.x];
        return total;
    }
};

// partial[block, 0, 1, 2, channel]: of a block's elements, how many, their sum, and the sum of
// squared differences from their own mean.
template <class Item, class Share>
__global__ void batch_norm_moments(Channels channels, const Item* x, float* partial) {
    GRAPHC_SHARED(float, room);
    float count = 0, sum = 0, squares = 0;
    Share::visit(channels, [&](Index at) {
        count += 1;
        sum += float(x[at]);
    });
    count = Share::sum(count, room);
    sum = Share::sum(sum, room);
    const float mean = count > 0 ? sum / count : 0.0F;
    Share::visit(channels, [&](Index at) {
        const float away = float(x[at]) - mean;
        squares += away * away;
    });
    squares = Share::sum(squares, room);
    if (!Share::is_first() || Share::channel() >= channels.count) return;
    float* const own = partial + Index(blockIdx.y) * 3 * channels.count + Share::channel();
    own[0] = count;
    own[channels.count] = sum;
    own[2 * channels.count] = squares;
}

// One thread for each channel puts its blocks' moments together; Chan, Golub, LeVeque 1979.
__global__ void batch_norm_statistics(Index channels, int blocks, const float* partial, float* mean,
                                      float* variance) {
    const Index c = thread_in_grid();
    if (c >= channels) return;
    float count = 0, total = 0, squares = 0;
    for (int b = 0; b < blocks; ++b) {
        count += partial[3 * b * channels + c];
        total += partial[(3 * b + 1) * channels + c];
    }
    const float level = total / (count > 1 ? count : 1.0F);
    for (int b = 0; b < blocks; ++b) {
        const float own = partial[3 * b * channels + c];
        const float away = own > 0 ? partial[(3 * b + 1) * channels + c] / own - level : 0.0F;
        squares += partial[(3 * b + 2) * channels + c] + own * away * away;
    }
    mean[c] = level;
    variance[c] = squares / (count > 1 ? count : 1.0F);
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

// partial[block, 0, 1, channel]: the block's sums of dy and of dy y.
template <class Item, class Share>
__global__ void batch_norm_slopes(Channels channels, const Item* dy, const Item* y,
                                  float* partial) {
    GRAPHC_SHARED(float, room);
    float level = 0, slope = 0;
    Share::visit(channels, [&](Index at) {
        level += float(dy[at]);
        slope += float(dy[at]) * float(y[at]);
    });
    level = Share::sum(level, room);
    slope = Share::sum(slope, room);
    if (!Share::is_first() || Share::channel() >= channels.count) return;
    float* const own = partial + Index(blockIdx.y) * 2 * channels.count + Share::channel();
    own[0] = level;
    own[channels.count] = slope;
}

// dx = (dy - sums[0] / size - sums[1] / size * y) / deviation; sums (2, channels), of dy and of dy
// y over all `size` elements of a channel. The deviation is sqrt(spread + eps), or the spread
// itself. dx may be dy.
template <class Item>
__global__ void batch_norm_gradient(Channels channels, Index size, int is_deviation, float eps,
                                    const Item* dy, const Item* y, const float* spread,
                                    const float* sums, Item* dx) {
    const Index count = channels.outer * channels.count * channels.inner;
    const float by = float(greater(1, size));
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Index c = i / channels.inner % channels.count;
        const float rest =
            float(dy[i]) - sums[c] / by - sums[channels.count + c] / by * float(y[i]);
        dx[i] = Item(rest / (is_deviation ? spread[c] : sqrtf(spread[c] + eps)));
    }
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
