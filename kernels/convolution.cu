// Convolutions as they are defined, with groups, strides, padding and dilation: right, and slow.
// What is fast is a library's; these check it, and stand in where it is missing. And their columns.
#include "convolution.h"
#include "grid.h"
#include "storage.h"

namespace graphc {

__device__ inline Index weight_at(const ConvolutionShape& shape, Index output, Index channel,
                                  Index tap) {
    const ConvolutionSteps& steps = shape.weight;
    return output * steps.sample + channel * steps.channel + tap * steps.pixel;
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
        const Index first = o / shape.outputs * shape.channels;
        const Item* const image = x + n * shape.x.sample + first * shape.x.channel;
        float sum = bias ? float(bias[o]) : 0.0F;
        for (Index k = 0; k < e.taps; ++k) {
            const Index place = place_in_image(shape, window, position(k, e.kernel));
            for (Index c = 0; place >= 0 && c < shape.channels; ++c) {
                sum += float(weight[weight_at(shape, o, c, k)]) *
                       float(image[c * shape.x.channel + place * shape.x.pixel]);
            }
        }
        y[n * shape.y.sample + o * shape.y.channel + i % e.windows * shape.y.pixel] = Item(sum);
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
        const Item* const image = dy + n * shape.y.sample;
        const Position pixel = position(i % e.area, e.size);
        float sum = bias ? float(bias[c]) : 0.0F;
        for (Index k = 0; k < e.taps; ++k) {
            const Index window = window_of(shape, pixel, position(k, e.kernel));
            for (Index o = 0; window >= 0 && o < shape.outputs; ++o) {
                const Index output = group * shape.outputs + o;
                sum += float(weight[weight_at(shape, output, own, k)]) *
                       float(image[output * shape.y.channel + window * shape.y.pixel]);
            }
        }
        dx[n * shape.x.sample + c * shape.x.channel + i % e.area * shape.x.pixel] = Item(sum);
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
    const Index channel = (o / shape.outputs * shape.channels + c) * shape.x.channel;
    float sum = 0;
    for (Index j = threadIdx.x; j < shape.samples * e.windows; j += blockDim.x) {
        const Index n = j / e.windows, window = j % e.windows;
        const Index place = place_in_image(shape, position(window, e.out), tap);
        if (place < 0) continue;
        const Index at = n * shape.y.sample + o * shape.y.channel + window * shape.y.pixel;
        sum += float(dy[at]) * float(x[n * shape.x.sample + channel + place * shape.x.pixel]);
    }
    sum = block_sum(sum, warps);
    float* const to = dweight + weight_at(shape, o, c, i % e.taps);
    if (threadIdx.x == 0) *to = adds ? *to + sum : sum;
}

// y[n, c * taps + k, p] = x[n, c, at p and k], zero in the padding; one group.
template <class Item>
__global__ void im2col(ConvolutionShape shape, const Item* x, Item* y) {
    const Extents e(shape);
    const Index count = shape.samples * shape.channels * e.taps * e.windows;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Position window = position(i % e.windows, e.out);
        const Index plane = i / e.windows;
        const Index place = place_in_image(shape, window, position(plane % e.taps, e.kernel));
        y[i] = place < 0 ? Item(0.0F) : x[plane / e.taps * e.area + place];
    }
}

// x[n, c, h] = the sum of what lies where im2col puts x[n, c, h].
template <class Item>
__global__ void col2im(ConvolutionShape shape, const Item* y, Item* x) {
    const Extents e(shape);
    const Index count = shape.samples * shape.channels * e.area;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const Item* const planes = y + i / e.area * e.taps * e.windows;
        const Position pixel = position(i % e.area, e.size);
        float sum = 0;
        for (Index k = 0; k < e.taps; ++k) {
            const Index window = window_of(shape, pixel, position(k, e.kernel));
            if (window >= 0) sum += float(planes[k * e.windows + window]);
        }
        x[i] = Item(sum);
    }
}

}  // namespace graphc
