// Part of a loop file (see loops.h): LRN.

namespace graphc::GRAPHC_LOOPS {

namespace {

#include "kernels/span_math.h"

// y = x * (shift + share * sum)^-beta; the common exponents need square roots alone.
void finish(const Lrn& lrn, const float* x, const float* sums, Index count, float* __restrict y) {
    if (lrn.beta == 0.75F) {
        for (Index i = 0; i < count; ++i) {
            const float root = sqrtf(lrn.shift + lrn.share * sums[i]);
            y[i] = x[i] / (root * sqrtf(root));
        }
    } else if (lrn.beta == 0.5F) {
        for (Index i = 0; i < count; ++i) y[i] = x[i] / sqrtf(lrn.shift + lrn.share * sums[i]);
    } else if (lrn.beta == 0) {
        for (Index i = 0; i < count; ++i) y[i] = x[i];
    } else {
        for (Index i = 0; i < count; ++i) {
            y[i] = x[i] * exp_of(-lrn.beta * log_of(lrn.shift + lrn.share * sums[i]));
        }
    }
}

// sums += terms of kRows rows, `step` apart; a term is x^2, or x itself.
template <int kRows, bool kSquares>
void add_rows(const float* x, Index step, Index count, float* __restrict sums) {
    for (Index i = 0; i < count; ++i) {
        float sum = sums[i];
        for (int k = 0; k < kRows; ++k) {
            const float value = x[k * step + i];
            sum += kSquares ? value * value : value;
        }
        sums[i] = sum;
    }
}

// sums = terms of `rows` rows, `step` apart.
template <bool kSquares>
void sum_rows(const float* x, Index step, Index rows, Index count, float* sums) {
    for (Index i = 0; i < count; ++i) sums[i] = 0;
    for (; rows >= 5; rows -= 5, x += 5 * step) add_rows<5, kSquares>(x, step, count, sums);
    for (; rows >= 3; rows -= 3, x += 3 * step) add_rows<3, kSquares>(x, step, count, sums);
    for (; rows >= 1; rows -= 1, x += step) add_rows<1, kSquares>(x, step, count, sums);
}

void lrn_across(const Lrn& lrn, const float* x, Index x_step, float* y, Index y_step,
                Index channels, Index count) {
    float sums[kLrnBlock];
    for (Index c = 0; c < channels; ++c) {
        const Index first = greater(c - lrn.radius, 0);
        const Index stop = lesser(c + lrn.radius + 1, channels);
        sum_rows<true>(x + first * x_step, x_step, stop - first, count, sums);
        finish(lrn, x + c * x_step, sums, count, y + c * y_step);
    }
}

void lrn_within(const Lrn& lrn, const float* plane, Index height, Index width, Index pitch, Index h,
                Index first, Index stop, float* y) {
    float down[kLrnRow], sums[kLrnRow];  // of columns; `down` with zeros beyond the row's ends
    const Index reach = lesser(lrn.radius, width - 1), start = first - reach;
    const Index top = greater(h - lrn.radius, 0), bottom = lesser(h + lrn.radius + 1, height);
    const Index left = greater(start, 0), right = lesser(stop + reach, width);
    for (Index w = start; w < left; ++w) down[w - start] = 0;
    for (Index w = right; w < stop + reach; ++w) down[w - start] = 0;
    sum_rows<true>(plane + top * pitch + left, pitch, bottom - top, right - left,
                   down + (left - start));
    sum_rows<false>(down, 1, 2 * reach + 1, stop - first, sums);
    finish(lrn, plane + h * pitch + first, sums, stop - first, y);
}

// What lies so many channels beyond a vector of them: the upper lanes of one vector of its pixel
// and the lower ones of the next.
struct Shifted {
    const float *low, *high;
    Lanes::Mask in_low, in_high;

    Lanes::Reg load(Index at) const {
        return Lanes::load_where(in_high, high + at,
                                 Lanes::load_where(in_low, low + at, Lanes::zero()));
    }
};

// `channel`: that of lane 0. Vectors beyond the first and last channel are read as zeros.
inline Shifted shifted(const float* x, Index plane, Index blocks, Index lanes, Index channel) {
    const Index width = Lanes::width, count = blocks * lanes;
    const Index part = (channel % width + width) % width, first = channel - part;
    const auto is_there = [&](Index from) { return from >= 0 && from < count; };
    const auto at = [&](Index from) {
        return is_there(from) ? x + from / lanes * plane + from % lanes : x;
    };
    const int from_low = int(width - part);
    return {at(first) + part, at(first + width) - from_low,
            Lanes::mask(0, is_there(first) ? from_low : 0),
            Lanes::mask(from_low, is_there(first + width) ? int(width) : from_low)};
}

void lrn_blocked(const Lrn& lrn, const float* x, Index plane, Index block, Index blocks,
                 Index lanes, Index pixels, float* y) {
    constexpr int kTaps = 5;  // taken at once
    float sums[kLrnBlock];
    const Index count = pixels * lanes, reach = lesser(lrn.radius, blocks * lanes);
    for (Index i = 0; i < count; ++i) sums[i] = 0;
    for (Index tap = -reach; tap <= reach; tap += kTaps) {
        for (Index c = 0; c < lanes; c += Lanes::width) {
            Shifted taps[kTaps];
            for (int k = 0; k < kTaps; ++k) {
                // beyond the window as beyond the channels: zeros
                const Index channel = block * lanes + c + lesser(tap + k, reach + 1);
                taps[k] = shifted(x, plane, blocks, lanes, channel);
                if (tap + k > reach) taps[k].in_low = taps[k].in_high = Lanes::mask(0, 0);
            }
            for (Index i = c; i < count; i += lanes) {
                Lanes::Reg sum = Lanes::load(sums + i);
                for (int k = 0; k < kTaps; ++k) {
                    const Lanes::Reg each = taps[k].load(i - c);
                    sum = Lanes::add(sum, Lanes::multiply(each, each));
                }
                Lanes::store(sums + i, sum);
            }
        }
    }
    finish(lrn, x + block * plane, sums, count, y);
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
