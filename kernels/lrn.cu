// Local response normalization of images (N, C, H, W), across channels and within each.
#include "grid.h"
#include "image.h"
#include "lrn.h"
#include "storage.h"

namespace graphc {

struct LrnImage {
    Index samples, height, width;
    ImageOrder order;
};

__device__ inline Index count_of(const LrnImage& image) {
    return image.samples * image.order.channels * image.height * image.width;
}

template <class Item>
__global__ void lrn_across_forward(Lrn lrn, LrnImage image, const Item* x, Item* y) {
    const Index step = image.order.is_last ? 1 : image.height * image.width;
    const Index row = image.order.channels * step;
    for (Index i = thread_in_grid(); i < count_of(image); i += threads_of_grid()) {
        const Item* const pixel = x + i / row * row + i % step;
        y[i] = Item(lrn_across(lrn, pixel, image.order.channels, step, i % row / step));
    }
}

template <class Item>
__global__ void lrn_within_forward(Lrn lrn, LrnImage image, const Item* x, Item* y) {
    for (Index i = thread_in_grid(); i < count_of(image); i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, image.height, image.width);
        const Item* const plane = x + start_of_plane(image.order, at, image.height * image.width);
        y[i] = Item(lrn_within(lrn, plane, image.height, image.width, image.width * at.step, at.h,
                               at.w, at.step));
    }
}

// With s = shift + share * sum and r = dy x s^(-beta - 1), dx = dy s^-beta - 2 beta share x *
// (the sum of r over the window). A block has `blockDim.x` pixels and all of their channels, whose
// r lie in shared memory, channels * blockDim.x floats; so dx may be dy.
template <class Item>
__global__ void lrn_across_gradient(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                    Item* dx) {
    GRAPHC_SHARED(float, ratio);
    const Index area = image.height * image.width, channels = image.order.channels;
    const Index step = image.order.is_last ? 1 : area, pixel = thread_in_grid();
    const bool is_there = pixel < image.samples * area;
    const Index start = pixel / step * step * channels + pixel % step;
    for (Index c = threadIdx.y; c < channels && is_there; c += blockDim.y) {
        const float sum = lrn_sum_across(lrn, x + start, channels, step, c);
        const Index at = start + c * step;
        ratio[c * blockDim.x + threadIdx.x] =
            float(dy[at]) * float(x[at]) * powf(lrn.shift + lrn.share * sum, -lrn.beta - 1);
    }
    __syncthreads();
    const float factor = 2 * lrn.beta * lrn.share;
    for (Index c = threadIdx.y; c < channels && is_there; c += blockDim.y) {
        const Index first = greater(c - lrn.radius, 0);
        const Index stop = lesser(c + lrn.radius + 1, channels);
        float shared = 0;
        for (Index j = first; j < stop; ++j) shared += ratio[j * blockDim.x + threadIdx.x];
        const float sum = lrn_sum_across(lrn, x + start, channels, step, c);
        const Index at = start + c * step;
        dx[at] = Item(lrn_value(lrn, float(dy[at]), sum) - factor * float(x[at]) * shared);
    }
}

// The ratio r of every element, for lrn_within_gradient.
template <class Item>
__global__ void lrn_within_ratio(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                 float* ratio) {
    for (Index i = thread_in_grid(); i < count_of(image); i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, image.height, image.width);
        const Item* const plane = x + start_of_plane(image.order, at, image.height * image.width);
        const float sum = lrn_sum_within(lrn, plane, image.height, image.width,
                                         image.width * at.step, at.h, at.w, at.step);
        ratio[i] = float(dy[i]) * float(x[i]) * powf(lrn.shift + lrn.share * sum, -lrn.beta - 1);
    }
}

template <class Item>
__global__ void lrn_within_gradient(Lrn lrn, LrnImage image, const Item* dy, const Item* x,
                                    const float* ratio, Item* dx) {
    const Index height = image.height, width = image.width;
    for (Index i = thread_in_grid(); i < count_of(image); i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, height, width);
        const Index plane = start_of_plane(image.order, at, height * width);
        const Index top = greater(at.h - lrn.radius, 0);
        const Index bottom = lesser(at.h + lrn.radius + 1, height);
        const Index left = greater(at.w - lrn.radius, 0);
        const Index right = lesser(at.w + lrn.radius + 1, width);
        float shared = 0;
        for (Index k = top; k < bottom; ++k) {
            for (Index l = left; l < right; ++l) shared += ratio[plane + (k * width + l) * at.step];
        }
        const float sum =
            lrn_sum_within(lrn, x + plane, height, width, width * at.step, at.h, at.w, at.step);
        dx[i] = Item(lrn_value(lrn, float(dy[i]), sum) -
                     2 * lrn.beta * lrn.share * float(x[i]) * shared);
    }
}

}  // namespace graphc
