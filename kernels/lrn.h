// LRN: y = x * (shift + share * sum of x^2 over the window round it)^-beta.
#pragma once

#include "device.h"

namespace graphc {

struct Lrn {
    Index radius;              // of the window, local_size / 2
    float shift, share, beta;  // share: the weight of one square
};

// Sum of squares of `x` from index first to stop - 1, `step` elements apart.
GRAPHC_DEVICE float sum_of_squares(const float* x, Index first, Index stop, Index step) {
    float sum = 0;
    for (Index i = first; i < stop; ++i) sum += x[i * step] * x[i * step];
    return sum;
}

GRAPHC_DEVICE float lrn_value(const Lrn& lrn, float x, float sum) {
    return x * powf(lrn.shift + lrn.share * sum, -lrn.beta);
}

// Across channels: `x` points at channel 0 of the pixel, channels lie `step` elements apart.
GRAPHC_DEVICE float lrn_across(const Lrn& lrn, const float* x, Index channels, Index step,
                               Index c) {
    const Index first = greater(c - lrn.radius, 0);
    const Index stop = lesser(c + lrn.radius + 1, channels);
    return lrn_value(lrn, x[c * step], sum_of_squares(x, first, stop, step));
}

// Within a channel: the window is a square of pixels round (h, w).
GRAPHC_DEVICE float lrn_within(const Lrn& lrn, const float* plane, Index height, Index width,
                               Index pitch, Index h, Index w) {
    const Index top = greater(h - lrn.radius, 0), bottom = lesser(h + lrn.radius + 1, height);
    const Index left = greater(w - lrn.radius, 0), right = lesser(w + lrn.radius + 1, width);
    float sum = 0;
    for (Index i = top; i < bottom; ++i) sum += sum_of_squares(plane + i * pitch, left, right, 1);
    return lrn_value(lrn, plane[h * pitch + w], sum);
}

}  // namespace graphc
