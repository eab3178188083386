// Local response normalization of images (N, C, H, W), across channels and within each.
#include "grid.h"
#include "lrn.h"
#include "storage.h"

namespace graphc {

struct LrnImage {
    Index samples, channels, height, width;
};

template <class Item>
__global__ void lrn_across_forward(Lrn lrn, LrnImage image, const Item* x, Item* y) {
    const Index area = image.height * image.width, row = image.channels * area;
    for (Index i = thread_in_grid(); i < image.samples * row; i += threads_of_grid()) {
        const Item* const pixel = x + i / row * row + i % area;
        y[i] = Item(lrn_across(lrn, pixel, image.channels, area, i % row / area));
    }
}

template <class Item>
__global__ void lrn_within_forward(Lrn lrn, LrnImage image, const Item* x, Item* y) {
    const Index width = image.width, area = image.height * width;
    const Index count = image.samples * image.channels * area;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Item* const plane = x + i / area * area;
        y[i] =
            Item(lrn_within(lrn, plane, image.height, width, width, i % area / width, i % width));
    }
}

// With s = shift + share * sum and r = dy x s^(-beta - 1), dx = dy s^-beta - 2 beta share x *
// (the sum of r over the window). A block has `blockDim.x` pixels and all of their channels, whose
// r lie in shared memory, channels * blockDim.x floats; so dx may be dy.
template <class Item>
__global__ void lrn_across_gradient(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                    Item* dx) {
    GRAPHC_SHARED(float, ratio);
    const Index area = image.height * image.width, count = image.samples * area;
    const Index pixel = thread_in_grid();
    const bool is_there = pixel < count;
    const Index start = pixel / area * image.channels * area + pixel % area;
    for (Index c = threadIdx.y; c < image.channels && is_there; c += blockDim.y) {
        const float sum = lrn_sum_across(lrn, x + start, image.channels, area, c);
        const Index at = start + c * area;
        ratio[c * blockDim.x + threadIdx.x] =
            float(dy[at]) * float(x[at]) * powf(lrn.shift + lrn.share * sum, -lrn.beta - 1);
    }
    __syncthreads();
    const float factor = 2 * lrn.beta * lrn.share;
    for (Index c = threadIdx.y; c < image.channels && is_there; c += blockDim.y) {
        const Index first = greater(c - lrn.radius, 0);
        const Index stop = lesser(c + lrn.radius + 1, image.channels);
        float shared = 0;
        for (Index j = first; j < stop; ++j) shared += ratio[j * blockDim.x + threadIdx.x];
        const float sum = lrn_sum_across(lrn, x + start, image.channels, area, c);
        const Index at = start + c * area;
        dx[at] = Item(lrn_value(lrn, float(dy[at]), sum) - factor * float(x[at]) * shared);
    }
}

// The ratio r of every element, for lrn_within_gradient.
template <class Item>
__global__ void lrn_within_ratio(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                 float* ratio) {
    const Index width = image.width, area = image.height * width;
    const Index count = image.samples * image.channels * area;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const float sum = lrn_sum_within(lrn, x + i / area * area, image.height, width, width,
                                         i % area / width, i % width);
        ratio[i] = float(dy[i]) * float(x[i]) * powf(lrn.shift + lrn.share * sum, -lrn.beta - 1);
    }
}

template <class Item>
__global__ void lrn_within_gradient(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                    const float* ratio, Item* dx) {
    const Index width = image.width, area = image.height * width;
    const Index count = image.samples * image.channels * area;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Index plane = i / area * area, h = i % area / width, w = i % width;
        const Index top = greater(h - lrn.radius, 0);
        const Index bottom = lesser(h + lrn.radius + 1, image.height);
        const Index left = greater(w - lrn.radius, 0), right = lesser(w + lrn.radius + 1, width);
        float shared = 0;
        for (Index k = top; k < bottom; ++k) {
            for (Index l = left; l < right; ++l) shared += ratio[plane + k * width + l];
        }
        const float sum = lrn_sum_within(lrn, x + plane, image.height, width, width, h, w);
        dx[i] = Item(lrn_value(lrn, float(dy[i]), sum) -
                     2 * lrn.beta * lrn.share * float(x[i]) * shared);
    }
}

}  // namespace graphc
