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

// The Lanes::width channels from the `group`-th vector of channels on; null where there are none.
inline const float* channels_at(const float* x, Index plane, Index lanes, Index blocks,
                                Index group) {
    const Index each = lanes / Lanes::width;
    if (group < 0 || group >= blocks * each) return nullptr;
    return x + group / each * plane + group % each * Lanes::width;
}

void lrn_blocked(const Lrn& lrn, const float* x, Index plane, Index block, Index blocks,
                 Index lanes, Index pixels, float* y) {
    float sums[kLrnBlock];
    const Index count = pixels * lanes, reach = lesser(lrn.radius, blocks * lanes);
    for (Index i = 0; i < count; ++i) sums[i] = 0;
    // What lies `shift` channels further comes from two neighbouring vectors.
    for (Index shift = -reach; shift <= reach; ++shift) {
        const Index whole =
            shift >= 0 ? shift / Lanes::width : -((Lanes::width - 1 - shift) / Lanes::width);
        const int part = int(shift - whole * Lanes::width);
        const auto lower = Lanes::mask(0, Lanes::width - part),
                   upper = Lanes::mask(Lanes::width - part, Lanes::width);
        for (Index c = 0; c < lanes; c += Lanes::width) {
            const Index group = (block * lanes + c) / Lanes::width + whole;
            const float* low = channels_at(x, plane, lanes, blocks, group);
            const float* high =
                part > 0 ? channels_at(x, plane, lanes, blocks, group + 1) : nullptr;
            if (!low && !high) continue;
            for (Index i = c; i < count; i += lanes) {
                Lanes::Reg each = Lanes::zero();
                if (low) each = Lanes::load_where(lower, low + (i - c) + part, each);
                if (high)
                    each = Lanes::load_where(upper, high + (i - c) + part - Lanes::width, each);
                Lanes::store(sums + i,
                             Lanes::add(Lanes::load(sums + i), Lanes::multiply(each, each)));
            }
        }
    }
    finish(lrn, x + block * plane, sums, count, y);
}

}  // namespace

}  // namespace graphc::GRAPHC_LOOPS
