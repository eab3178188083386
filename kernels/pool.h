// Pooling: the maximum or the mean of one window of an image.
#pragma once

#include "device.h"

namespace graphc {

// Windows along one axis: window p covers start .. start + kernel - 1, start = p * stride - pad.
struct PoolAxis {
    Index size, kernel, stride, pad;
};

// A window's start, and the part first .. stop - 1 of it that lies in the image (maybe nothing).
struct PoolSpan {
    Index start, first, stop;
};

GRAPHC_DEVICE PoolSpan pool_span(const PoolAxis& axis, Index window) {
    const Index start = window * axis.stride - axis.pad;
    const Index first = greater(start, 0);
    return {start, first, greater(first, lesser(start + axis.kernel, axis.size))};
}

// Elements of a window that lie in the padded image; 0 or less if it lies wholly outside.
GRAPHC_DEVICE Index pool_extent(const PoolAxis& axis, Index window) {
    const Index start = window * axis.stride - axis.pad;
    return lesser(start + axis.kernel, axis.size + axis.pad) - start;
}

// A window's maximum and its row-major index in the window.
struct PoolPeak {
    float value;
    Index index;
};

// The first of equal maxima wins. What is not over -FLT_MAX (NaN, -inf) never does; where nothing
// is, the value is -FLT_MAX and the index 0. `pitch`: elements from one row to the next, `step`:
// from one column to the next.
template <class Item>
GRAPHC_DEVICE PoolPeak pool_max(const Item* plane, Index pitch, PoolSpan rows, PoolSpan cols,
                                Index kernel_w, Index step = 1) {
    PoolPeak peak = {-kFloatMax, 0};
    for (Index h = rows.first; h < rows.stop; ++h) {
        for (Index w = cols.first; w < cols.stop; ++w) {
            const float value = float(plane[h * pitch + w * step]);
            if (value > peak.value) {
                peak = {value, (h - rows.start) * kernel_w + (w - cols.start)};
            }
        }
    }
    return peak;
}

// The maximum's flat index in the image, as a float; -1 where nothing is over -FLT_MAX.
GRAPHC_DEVICE float pool_mask(PoolPeak peak, PoolSpan rows, PoolSpan cols, Index kernel_w,
                              Index width) {
    if (!(peak.value > -kFloatMax)) return -1.0F;
    const Index h = rows.start + peak.index / kernel_w, w = cols.start + peak.index % kernel_w;
    return float(h * width + w);
}

// Sum of the window's elements in the image.
template <class Sum, class Item>
GRAPHC_DEVICE Sum pool_sum(const Item* plane, Index pitch, PoolSpan rows, PoolSpan cols,
                           Index step = 1) {
    Sum sum = 0;
    for (Index h = rows.first; h < rows.stop; ++h) {
        for (Index w = cols.first; w < cols.stop; ++w) sum += Sum(plane[h * pitch + w * step]);
    }
    return sum;
}

// The windows first .. stop - 1 that element `at` of the image lies in, of `count` there are.
struct PoolWindows {
    Index first, stop;
};

GRAPHC_DEVICE PoolWindows pool_windows(const PoolAxis& axis, Index at, Index count) {
    const Index last = (at + axis.pad) / axis.stride;
    const Index before = at + axis.pad - axis.kernel;  // where windows start that end before `at`
    return {before < 0 ? 0 : before / axis.stride + 1, lesser(last + 1, count)};
}

}  // namespace graphc
