// LRN: y = x * (shift + share * sum of x^2 over the window round it)^-beta.
#pragma once

#include "device.h"

namespace graphc {

struct Lrn {
    Index radius;              // of the window, local_size / 2
    float shift, share, beta;  // share: the weight of one square
};

// Sum of squares of `x` from index first to stop - 1, `step` elements apart.
template <class Item>
GRAPHC_DEVICE float sum_of_squares(const Item* x, Index first, Index stop, Index step) {
    float sum = 0;
    for (Index i = first; i < stop; ++i) sum += float(x[i * step]) * float(x[i * step]);
    return sum;
}

GRAPHC_DEVICE float lrn_value(const Lrn& lrn, float x, float sum) {
    return x * powf(lrn.shift + lrn.share * sum, -lrn.beta);
}

// The sum round channel `c` of a pixel: `x` points at its channel 0, channels lie `step` apart.
template <class Item>
GRAPHC_DEVICE float lrn_sum_across(const Lrn& lrn, const Item* x, Index channels, Index step,
                                   Index c) {
    const Index first = greater(c - lrn.radius, 0);
    return sum_of_squares(x, first, lesser(c + lrn.radius + 1, channels), step);
}

template <class Item>
GRAPHC_DEVICE float lrn_across(const Lrn& lrn, const Item* x, Index channels, Index step, Index c) {
    return lrn_value(lrn, float(x[c * step]), lrn_sum_across(lrn, x, channels, step, c));
}

// The sum over a square of pixels round (h, w); rows lie `pitch` elements apart, columns `step`.
template <class Item>
GRAPHC_DEVICE float lrn_sum_within(const Lrn& lrn, const Item* plane, Index height, Index width,
                                   Index pitch, Index h, Index w, Index step = 1) {
    const Index top = greater(h - lrn.radius, 0), bottom = lesser(h + lrn.radius + 1, height);
    const Index left = greater(w - lrn.radius, 0), right = lesser(w + lrn.radius + 1, width);
    float sum = 0;
    for (Index i = top; i < bottom; ++i) {
        sum += sum_of_squares(plane + i * pitch, left, right, step);
    }
    return sum;
}

// Within a channel.
template <class Item>
GRAPHC_DEVICE float lrn_within(const Lrn& lrn, const Item* plane, Index height, Index width,
                               Index pitch, Index h, Index w, Index step = 1) {
    const float sum = lrn_sum_within(lrn, plane, height, width, pitch, h, w, step);
    return lrn_value(lrn, float(plane[h * pitch + w * step]), sum);
}

}  // namespace graphc
