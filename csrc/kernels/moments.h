// Mean and variance in one pass, and how to take a mean off without losing digits.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/spans.h"

namespace graphc {

struct Moments {
    double mean, variance;  // the biased variance; both 0 over nothing
};

// Of `rows` runs of `size` floats, `stride` apart. The sums are of x less the first element, so
// that a variance far below the squared mean keeps its digits.
inline Moments moments_of(const Spans& loops, const float* x, std::int64_t rows, std::int64_t size,
                          std::int64_t stride) {
    const double count = double(rows * size);
    if (count == 0) return {0, 0};
    const double shift = std::isfinite(x[0]) ? double(x[0]) : 0;
    double first = 0, second = 0, sums[2];
    for (std::int64_t row = 0; row < rows; ++row) {
        loops.moments(x + row * stride, size, shift, sums);
        first += sums[0];
        second += sums[1];
    }
    const double offset = first / count;
    const double variance = second / count - offset * offset;
    return {shift + offset, variance < 0 ? 0 : variance};
}

// A number as the sum of two floats: x - high - low is as good as subtracting it in double.
struct Centre {
    explicit Centre(double value) : high(float(value)), low(float(value - double(high))) {
        if (!std::isfinite(high)) low = 0;
    }
    float high, low;
};

}  // namespace graphc
