// Convolutions as they are defined, with groups, strides, padding and dilation: right, and slow.
// What is fast is a library's; these check it, and stand in where it is missing.
#include "grid.h"
#include "storage.h"

namespace graphc {

constexpr int kSpatial = 3;

// Along one axis: the image's extent, that of the windows' results, and the window.
struct ConvolutionAxis {
    Index size, out, kernel, stride, pad, dilation;
};

// `channels` and `outputs` are those of a group.
struct ConvolutionShape {
    Index samples, groups, channels, outputs;
    ConvolutionAxis axes[kSpatial];
};

struct Position {
    Index at[kSpatial];
};

__device__ inline Position position(Index i, const Index* extents) {
    Position found = {};
    for (int k = kSpatial - 1; k >= 0; --k) {
        found.at[k] = i % extents[k];
        i /= extents[k];
    }
    return found;
}

// The axes' numbers side by side, and their products.
struct Extents {
    Index size[kSpatial], out[kSpatial], kernel[kSpatial];
    Index area = 1, windows = 1, taps = 1;

    __device__ explicit Extents(const ConvolutionShape& shape) {
        for (int k = 0; k < kSpatial; ++k) {
            size[k] = shape.axes[k].size;
            out[k] = shape.axes[k].out;
            kernel[k] = shape.axes[k].kernel;
            area *= size[k];
            windows *= out[k];
            taps *= kernel[k];
        }
    }
};

// Where a window's tap lies in the image, -1 if outside.
__device__ inline Index place_in_image(const ConvolutionShape& shape, const Position& window,
                                       const Position& tap) {
    Index place = 0;
    for (int k = 0; k < kSpatial; ++k) {
        const ConvolutionAxis& axis = shape.axes[k];
        const Index at = window.at[k] * axis.stride - axis.pad + tap.at[k] * axis.dilation;
        if (at < 0 || at >= axis.size) return -1;
        place = place * axis.size + at;
    }
    return place;
}

// The window whose tap lies there in the image, -1 if there is none.
__device__ inline Index window_of(const ConvolutionShape& shape, const Position& pixel,
                                  const Position& tap) {
    Index place = 0;
    for (int k = 0; k < kSpatial; ++k) {
        const ConvolutionAxis& axis = shape.axes[k];
        const Index start = pixel.at[k] + axis.pad - tap.at[k] * axis.dilation;
        if (start < 0 || start % axis.stride || start / axis.stride >= axis.out) return -1;
        place = place * axis.out + start / axis.stride;
    }
    return place;
}

// y[n,g,o,p] = bias[g,o] + sum over c and k of weight[g,o,c,k] x[n,g,c, at p and k]; `bias` may be
// null.
template <class Item>
__global__ void convolution(ConvolutionShape shape, const Item* x, const Item* weight,
                            const Item* bias, Item* y) {
    const Extents e(shape);
    const Index outputs = shape.groups * shape.outputs, count = shape.samples * outputs * e.windows;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Index o = i / e.windows % outputs, n = i / e.windows / outputs;
        const Position window = position(i % e.windows, e.out);
        const Index first = (n * shape.groups + o / shape.outputs) * shape.channels;
        float sum = bias ? float(bias[o]) : 0.0F;
        for (Index k = 0; k < e.taps; ++k) {
            const Index place = place_in_image(shape, window, position(k, e.kernel));
            for (Index c = 0; place >= 0 && c < shape.channels; ++c) {
                sum += float(weight[(o * shape.channels + c) * e.taps + k]) *
                       float(x[(first + c) * e.area + place]);
            }
        }
        y[i] = Item(sum);
    }
}

// dx[n,g,c,h] = sum over o and k of weight[g,o,c,k] dy[n,g,o, the window whose tap k is h]: the
// gradient, and a deconvolution, which has a bias.
template <class Item>
__global__ void convolution_data_gradient(ConvolutionShape shape, const Item* dy,
                                          const Item* weight, const Item* bias, Item* dx) {
    const Extents e(shape);
    const Index channels = shape.groups * shape.channels;
    for (Index i = thread_in_grid(); i < shape.samples * channels * e.area;
         i += threads_of_grid()) {
        const Index c = i / e.area % channels, n = i / e.area / channels;
        const Index group = c / shape.channels, own = c % shape.channels;
        const Position pixel = position(i % e.area, e.size);
        float sum = bias ? float(bias[c]) : 0.0F;
        for (Index k = 0; k < e.taps; ++k) {
            const Index window = window_of(shape, pixel, position(k, e.kernel));
            for (Index o = 0; window >= 0 && o < shape.outputs; ++o) {
                const Index output = group * shape.outputs + o;
                sum += float(weight[(output * shape.channels + own) * e.taps + k]) *
                       float(dy[(n * shape.groups * shape.outputs + output) * e.windows + window]);
            }
        }
        dx[i] = Item(sum);
    }
}

// dweight[g,o,c,k] = sum over n and p of dy[n,g,o,p] x[n,g,c, at p and k]; a block for each
// element.
template <class Item>
__global__ void convolution_weight_gradient(ConvolutionShape shape, int adds, const Item* dy,
                                            const Item* x, float* dweight) {
    GRAPHC_SHARED(float, warps);
    const Extents e(shape);
    const Index i = blockIdx.x, c = i / e.taps % shape.channels, o = i / e.taps / shape.channels;
    const Position tap = position(i % e.taps, e.kernel);
    const Index outputs = shape.groups * shape.outputs, group = o / shape.outputs;
    float sum = 0;
    for (Index j = threadIdx.x; j < shape.samples * e.windows; j += blockDim.x) {
        const Index n = j / e.windows, window = j % e.windows;
        const Index place = place_in_image(shape, position(window, e.out), tap);
        if (place < 0) continue;
        const Index channel = (n * shape.groups + group) * shape.channels + c;
        sum +=
            float(dy[(n * outputs + o) * e.windows + window]) * float(x[channel * e.area + place]);
    }
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) dweight[i] = adds ? dweight[i] + sum : sum;
}

}  // namespace graphc
